/* SPDX-License-Identifier: MIT */
/*
 * Queues: every item that was pushed arrives, in order, once; or again, under the number it had. The consumer verifies items where they
 * lie, writes them into its books, and releases them: killed in between, its successor gets them again and knows them by their numbers.
 */
#include "worker.h"

#include <stdlib.h>

enum { QUEUE_BATCH = 32 };

/* Some die with a claim. */
static int queue_push_in_place(struct worker *worker, struct shmb_queue_producer *producer, const void *item)
{
	void *place;
	int r = shmb_queue_claim(producer, &place);

	if (r < 0)
		return r;
	memcpy(place, item, worker->plan->bytes);
	if (worker_random(worker) % 64 == 0)
		worker_pause(worker_random(worker) % (2 * MS));
	return shmb_queue_commit(producer);
}

static int queue_push(struct worker *worker, struct shmb_queue_producer *producer, unsigned char *items, uint32_t life)
{
	uint64_t next = shmb_queue_next_number(producer);
	size_t count = worker_random(worker) % QUEUE_BATCH + 1;
	size_t pushed = 0;
	int r;

	for (size_t i = 0; i < count; i++)
		payload_fill((struct soak_payload *)(items + i * worker->plan->bytes), worker->plan->bytes, next + i, worker->segment_index,
			     life, worker->page->seed);
	worker_begin(worker, next + count);
	if (count == 1) {
		r = queue_push_in_place(worker, producer, items);
		pushed = r == 0;
	} else {
		r = shmb_queue_push_batch(producer, items, count, &pushed);
	}
	worker_done(worker, next + pushed);
	worker_begin(worker, next + pushed);
	if (r != -EAGAIN)
		return r < 0 ? worker_fail(worker, "push", r) : 0;
	r = shmb_queue_wait_room(producer, shmb_now_ns() + 50 * MS);
	return r < 0 && r != -ETIMEDOUT ? worker_fail(worker, "wait for room", r) : 0;
}

int queue_produce_all(struct worker *worker)
{
	struct shmb_options options = { .capacity = worker->plan->capacity, .deadline_ns = shmb_now_ns() + SOAK_PATIENCE_MS * MS };
	unsigned char *items = calloc(QUEUE_BATCH, worker->plan->bytes);
	struct shmb_queue_producer *producer = NULL;
	uint32_t life;
	int r;

	if (items == NULL)
		return -1;
	do {
		r = shmb_queue_producer_open(&producer, worker->broker, worker->plan->name, worker->type, &options);
	} while (r < 0 && worker_again(r, options.deadline_ns));
	if (r < 0) {
		free(items);
		return worker_fail(worker, "open of a queue for producing", r);
	}
	life = worker_life_begin(worker, shmb_queue_next_number(producer));
	while (r == 0 && !worker_must_quit(worker)) {
		r = queue_push(worker, producer, items, life);
		if (worker_random(worker) % 64 == 0)
			worker_pause(worker_random(worker) % MS);
	}
	shmb_queue_producer_close(producer);
	free(items);
	return r;
}

/* Looks at what is there, verifies it, books it, and lets it go. */
static int queue_take(struct worker *worker, struct shmb_queue_consumer *consumer, struct soak_span *span)
{
	uint64_t position = shmb_queue_position(consumer);
	unsigned most = (unsigned)(worker_random(worker) % QUEUE_BATCH) + 1;
	unsigned count = 0;
	int r = 0;

	while (count < most) {
		struct shmb_sample sample;
		const void *payload;

		r = shmb_queue_peek(consumer, count, &payload, &sample);
		if (r < 0)
			break;
		if (sample.number != position + count)
			worker_wrong(worker, &worker->slot->lost, "%s: item %llu at place %llu", worker->plan->name,
				     (unsigned long long)sample.number, (unsigned long long)(position + count));
		count++;
		if (!worker_check(worker, payload, worker->plan->bytes, sample.number))
			continue;
		if (sample.number < span->next) {
			span->repeats++;
			continue;
		}
		if (sample.number > span->next)
			worker_wrong(worker, &worker->slot->lost, "%s: item %llu came where %llu was the next", worker->plan->name,
				     (unsigned long long)sample.number, (unsigned long long)span->next);
		span->next = sample.number + 1;
		span->read++;
	}
	if (count == 0)
		return r;
	soak_span_set(worker->slot, span);
	return shmb_queue_release(consumer, count);
}

int queue_consume_all(struct worker *worker)
{
	uint64_t deadline = shmb_now_ns() + SOAK_PATIENCE_MS * MS;
	struct soak_span span = soak_span(worker->slot);
	struct shmb_queue_consumer *consumer = NULL;
	int r;

	do {
		r = shmb_queue_consumer_open(&consumer, worker->broker, worker->plan->name, worker->type, deadline);
	} while (r < 0 && worker_again(r, deadline));
	if (r < 0)
		return worker_fail(worker, "open of a queue for consuming", r);
	worker_is_up(worker);
	while (r == 0) {
		r = queue_take(worker, consumer, &span);
		if (r == -ENODATA && worker_must_quit(worker))
			break; /* the producer has ended before */
		if (r == -ENODATA)
			r = worker_waited(worker, shmb_queue_wait(consumer, shmb_now_ns() + 100 * MS));
		else if (r < 0)
			worker_fail(worker, "consume", r);
	}
	shmb_queue_consumer_close(consumer);
	return r < 0 && r != -ENODATA ? -1 : 0;
}
