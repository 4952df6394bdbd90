/* SPDX-License-Identifier: MIT */
/*
 * A block and its lock. Each locker counts the block's number up by one, under the lock, and books it before and after: whoever locks
 * next must find exactly that number and content, and nobody else's in the meantime; or is told that the holder died, and then the number is one of two, and the
 * content may be half of each.
 */
#include "worker.h"

/* Under the lock. */
static int block_turn(struct worker *worker, struct shmb_block *block, bool owner_died, struct soak_span *span)
{
	struct soak_payload *payload = shmb_block_payload(block);
	struct soak_segment *segment = worker->segment;
	size_t bytes = worker->plan->bytes;
	uint64_t begun = atomic_load(&segment->begun);
	uint64_t done = atomic_load(&segment->done);
	int r = 0;

	if (owner_died) {
		span->repeats++; /* counted: locks taken after a death */
		payload_fill(payload, bytes, begun, worker->segment_index, worker->slot_index + 1, worker->page->seed);
		atomic_store(&segment->done, begun);
		done = begun;
		r = shmb_block_recovered(block);
	} else if (done > 0 || begun > 0) {
		if (begun != done || !payload_is_right(payload, bytes, done, worker->segment_index, worker->page->seed))
			worker_wrong(worker, &worker->slot->torn, "%s: number %llu under the lock, where %llu to %llu were booked",
				     worker->plan->name, (unsigned long long)payload->number, (unsigned long long)done,
				     (unsigned long long)begun);
		else
			span->read++;
	}
	atomic_store(&segment->begun, done + 1);
	/* Half-changed for a while, often enough that some die of it. */
	payload->number = done + 1;
	payload->life = worker->slot_index + 1;
	if (worker_random(worker) % 4 == 0)
		worker_pause(worker_random(worker) % (2 * MS));
	payload_fill(payload, bytes, done + 1, worker->segment_index, worker->slot_index + 1, worker->page->seed);
	if (payload->life != worker->slot_index + 1 ||
	    !payload_is_right(payload, bytes, done + 1, worker->segment_index, worker->page->seed))
		worker_wrong(worker, &worker->slot->torn, "%s: somebody wrote while this process had the lock", worker->plan->name);
	atomic_store(&segment->done, done + 1);
	return r;
}

int block_lock_all(struct worker *worker)
{
	uint64_t deadline = shmb_now_ns() + SOAK_PATIENCE_MS * MS;
	struct soak_span span = soak_span(worker->slot);
	struct shmb_block *block = NULL;
	int r;

	do {
		r = shmb_block_open(&block, worker->broker, worker->plan->name, worker->type);
	} while (r < 0 && worker_again(r, deadline));
	if (r < 0)
		return worker_fail(worker, "open of a block", r);
	worker_is_up(worker);
	while (r == 0 && !worker_must_quit(worker)) {
		r = shmb_block_lock(block, shmb_now_ns() + SOAK_PATIENCE_MS * MS);
		if (r < 0) {
			worker_fail(worker, "lock", r);
			break;
		}
		r = block_turn(worker, block, r == SHMB_BLOCK_OWNER_DIED, &span);
		/* Booked before the lock is let go: nobody counts the same number twice. */
		soak_span_set(worker->slot, &span);
		if (r == 0)
			r = shmb_block_unlock(block);
		if (r < 0)
			worker_fail(worker, "unlock", r);
		worker_pause(worker_random(worker) % MS);
	}
	shmb_block_close(block);
	return r < 0 ? -1 : 0;
}
