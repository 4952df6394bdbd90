/* SPDX-License-Identifier: MIT */
/* The soak's workers: beginning, end, and the books (worker.h). */
#include "worker.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

void worker_pause(uint64_t ns)
{
	nanosleep(&(struct timespec){ .tv_sec = (time_t)(ns / (1000 * MS)), .tv_nsec = (long)(ns % (1000 * MS)) }, NULL);
}

uint64_t worker_random(struct worker *worker)
{
	return worker->random = soak_mix(worker->random);
}

bool worker_must_quit(const struct worker *worker)
{
	return atomic_load_explicit(&worker->slot->quit, memory_order_acquire) != 0;
}

void worker_wrong(struct worker *worker, _Atomic uint64_t *count, const char *format, ...)
{
	va_list args;

	if (worker->slot->text[0] == '\0') {
		va_start(args, format);
		vsnprintf(worker->slot->text, sizeof(worker->slot->text), format, args);
		va_end(args);
	}
	atomic_fetch_add(count, 1);
}

int worker_fail(struct worker *worker, const char *what, int result)
{
	worker_wrong(worker, &worker->slot->errors, "%s: %s (%s)", what, shmb_strerror(result), shmb_text());
	return -1;
}

/* ---- opening ---- */

/* Between a kill and the daemon's return everything that says "not there" may be said; so may -EBUSY, before a death is known. */
bool worker_again(int result, uint64_t deadline_ns)
{
	switch (-result) {
	case ENOENT:
	case ECONNREFUSED:
	case ECONNRESET:
	case ETIMEDOUT:
	case EBUSY:
		break;
	default:
		return false;
	}
	if (shmb_now_ns() >= deadline_ns)
		return false;
	worker_pause(MS / 2);
	return true;
}

int worker_connect(struct worker *worker, const char *socket)
{
	uint64_t deadline = shmb_now_ns() + SOAK_PATIENCE_MS * MS;
	int r;

	do {
		r = shmb_connect(&worker->broker, socket);
	} while (r < 0 && worker_again(r, deadline));
	return r < 0 ? worker_fail(worker, "connect", r) : 0;
}

void worker_is_up(struct worker *worker)
{
	atomic_fetch_add(&worker->slot->lives, 1);
	atomic_store(&worker->slot->up_ns, shmb_now_ns());
	atomic_store(&worker->slot->is_down, 0);
}

/* ---- writers' books ---- */

uint32_t worker_life_begin(struct worker *worker, uint64_t next)
{
	struct soak_segment *segment = worker->segment;
	uint64_t begun = atomic_load(&segment->begun);
	uint64_t done = atomic_load(&segment->done);
	uint64_t life = atomic_load(&segment->life) + 1;

	if (next < done) {
		worker_wrong(worker, &worker->slot->lost, "%s: %llu were published, the next writer is told %llu", worker->plan->name,
			     (unsigned long long)done, (unsigned long long)next);
		atomic_fetch_add(&worker->slot->lost, done - next - 1);
	}
	if (next > begun)
		worker_wrong(worker, &worker->slot->errors, "%s: at most %llu were begun, the next writer is told %llu", worker->plan->name,
			     (unsigned long long)begun, (unsigned long long)next);
	atomic_store(&segment->done, next);
	atomic_store(&segment->begun, next);
	atomic_store(&segment->starts[life % SOAK_LIVES], next);
	atomic_store(&segment->life, life);
	worker_is_up(worker);
	return (uint32_t)life;
}

uint64_t worker_slowest(const struct worker *worker, uint64_t next)
{
	uint64_t slowest = next;

	for (unsigned i = 0; i < soak_slot_count; i++) {
		const struct soak_slot *slot = &worker->page->slots[i];
		uint64_t at;

		if (soak_slots[i].segment != worker->segment_index || soak_slots[i].role != SOAK_RING_READER ||
		    atomic_load_explicit(&slot->is_down, memory_order_relaxed) != 0)
			continue;
		at = soak_span(slot).next;
		slowest = at < slowest ? at : slowest;
	}
	return slowest;
}

bool worker_is_ahead(const struct worker *worker)
{
	uint64_t small = 0;
	uint64_t large = 0;

	for (unsigned i = 0; i < soak_slot_count; i++) {
		uint64_t read = soak_span(&worker->page->slots[i]).read;

		if (soak_segments[soak_slots[i].segment].bytes >= SOAK_LARGE)
			large += read;
		else
			small += read;
	}
	if (worker->plan->bytes >= SOAK_LARGE)
		return large * (SOAK_SHARE_LARGE / 2) > small + 100000;
	return large * SOAK_SHARE_LARGE + 1000000 < small;
}

/* ---- readers' books ---- */

bool worker_check(struct worker *worker, const void *payload, size_t bytes, uint64_t number)
{
	const struct soak_payload *sample = payload;
	const struct soak_segment *segment = worker->segment;
	uint64_t life, start, next_start;

	if (!payload_is_right(sample, bytes, number, worker->segment_index, worker->page->seed)) {
		worker_wrong(worker, &worker->slot->torn, "%s: number %llu is torn (says number %llu, segment %u, life %u)",
			     worker->plan->name, (unsigned long long)number, (unsigned long long)sample->number, sample->segment,
			     sample->life);
		return false;
	}
	/* Did the writer of that life have this number? */
	life = atomic_load_explicit(&segment->life, memory_order_acquire);
	if (sample->life == 0 || sample->life > life || sample->life + SOAK_LIVES / 2 < life)
		start = sample->life == 0 || sample->life > life ? UINT64_MAX : 0;
	else
		start = atomic_load_explicit(&segment->starts[sample->life % SOAK_LIVES], memory_order_relaxed);
	next_start = sample->life < life && start != 0 && start != UINT64_MAX
			     ? atomic_load_explicit(&segment->starts[(sample->life + 1) % SOAK_LIVES], memory_order_relaxed)
			     : UINT64_MAX;
	if (number < start || number >= next_start) {
		worker_wrong(worker, &worker->slot->torn, "%s: number %llu is of writer %u, who had %llu to %llu", worker->plan->name,
			     (unsigned long long)number, sample->life, (unsigned long long)start, (unsigned long long)next_start);
		return false;
	}
	return true;
}

static void note_death(struct worker *worker)
{
	uint64_t now = shmb_now_ns();
	uint64_t since = atomic_load(&worker->segment->killed_ns);
	uint64_t up = atomic_load(&worker->slot->up_ns);
	uint64_t served = atomic_load(&worker->page->served_ns);

	/* What cannot be noticed, while the daemon or the reader is away, does not count. */
	since = since > up ? since : up;
	since = since > served ? since : served;
	atomic_fetch_add(&worker->slot->detections, 1);
	if (atomic_load(&worker->page->daemon_down) == 0 && now > since && now - since > atomic_load(&worker->slot->detection_ns))
		atomic_store(&worker->slot->detection_ns, now - since);
}

int worker_waited(struct worker *worker, int result)
{
	switch (-result) {
	case 0:
	case ETIMEDOUT:
	case EPIPE:
		return 0;
	case EHOSTDOWN: /* stopped for longer than its stale time */
		atomic_fetch_add(&worker->slot->hangs, 1);
		return 0;
	case EOWNERDEAD:
		note_death(worker);
		return 0;
	default:
		return worker_fail(worker, "wait", result);
	}
}

/* ---- the prober: is a new open served? ---- */

static int probe_all(struct worker *worker, const char *socket)
{
	struct soak_page *page = worker->page;

	worker_is_up(worker);
	while (!worker_must_quit(worker)) {
		uint64_t wanted = atomic_load(&page->probe_wanted);
		uint64_t deadline = shmb_now_ns() + SOAK_PATIENCE_MS * MS;
		struct shmb_value_reader *reader = NULL;
		struct shmb *broker = NULL;
		int r;

		if (wanted == atomic_load(&page->probe_done)) {
			worker_pause(MS / 4);
			continue;
		}
		do {
			r = shmb_connect(&broker, socket);
			if (r == 0)
				r = shmb_value_reader_open(&reader, broker, worker->plan->name, NULL, SHMB_NO_WAIT);
			if (r < 0)
				broker = shmb_disconnect(broker);
		} while (r < 0 && !worker_must_quit(worker) && worker_again(r, deadline));
		if (r == 0) {
			atomic_store(&page->probe_ns, shmb_now_ns());
			atomic_store(&page->probe_done, wanted);
		}
		shmb_value_reader_close(reader);
		shmb_disconnect(broker);
		if (r < 0 && !worker_must_quit(worker))
			return worker_fail(worker, "probe", r);
	}
	return 0;
}

/* ---- life ---- */

int worker_run(struct soak_page *page, unsigned slot, const char *socket)
{
	static int (*const parts[SOAK_ROLES])(struct worker * worker) = {
		ring_write_all, ring_read_all,	   value_write_all,   value_read_all, frame_write_all,
		frame_hold_all, queue_produce_all, queue_consume_all, block_lock_all, NULL,
	};
	const struct soak_slot_plan *plan = &soak_slots[slot];
	struct worker worker = {
		.page = page,
		.slot = &page->slots[slot],
		.segment = &page->segments[plan->segment],
		.plan = &soak_segments[plan->segment],
		.slot_index = slot,
		.segment_index = plan->segment,
	};
	int r;

	worker.random = soak_mix(page->seed ^ soak_mix(slot)) + atomic_load(&worker.slot->lives);
	if (plan->role == SOAK_PROBER)
		return probe_all(&worker, socket) < 0;
	r = shmb_type_opaque(&worker.type, worker.plan->bytes);
	if (r < 0)
		return 1;
	r = worker_connect(&worker, socket);
	if (r == 0)
		r = parts[plan->role](&worker);
	shmb_disconnect(worker.broker);
	shmb_type_free(worker.type);
	return r < 0;
}
