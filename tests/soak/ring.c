/* SPDX-License-Identifier: MIT */
/*
 * Rings and values. A paced writer waits a bounded time for readers that run, so that nearly all is read; the others run ahead and lap
 * their readers all the time. Readers of rings take turns, life by life, in reading by range and one by one.
 */
#include "worker.h"

#include <stdlib.h>

enum { RING_BURST = 512, RING_BATCH = 256, PACE_TRIES = 40 };

/* ---- ring writer ---- */

static int ring_open(struct worker *worker, struct shmb_ring_writer **out)
{
	struct shmb_options options = { .capacity = worker->plan->capacity, .deadline_ns = shmb_now_ns() + SOAK_PATIENCE_MS * MS };
	int r;

	do {
		r = shmb_ring_writer_open(out, worker->broker, worker->plan->name, worker->type, &options);
	} while (r < 0 && worker_again(r, options.deadline_ns));
	return r < 0 ? worker_fail(worker, "open of a ring for writing", r) : 0;
}

/* After a burst: lets the readers come after, for a while. */
static void ring_pace(struct worker *worker, uint64_t next)
{
	if (!worker->plan->paced) {
		if (worker_random(worker) % 4 == 0)
			worker_pause(worker_random(worker) % (4 * MS));
		return;
	}
	for (unsigned i = 0; i < PACE_TRIES && next - worker_slowest(worker, next) > worker->plan->capacity / 2; i++)
		worker_pause(MS / 20);
	if (worker_is_ahead(worker))
		worker_pause(2 * MS);
}

int ring_write_all(struct worker *worker)
{
	size_t bytes = worker->plan->bytes;
	struct soak_payload *payload = calloc(1, bytes);
	struct shmb_ring_writer *writer = NULL;
	uint32_t life;
	uint64_t next;
	int r = payload == NULL ? -1 : ring_open(worker, &writer);

	if (r < 0) {
		free(payload);
		return r;
	}
	next = shmb_ring_next_number(writer);
	life = worker_life_begin(worker, next);
	while (r == 0 && !worker_must_quit(worker)) {
		unsigned burst = bytes >= SOAK_LARGE ? RING_BURST / 8 : RING_BURST;

		for (unsigned i = 0; r == 0 && i < burst; i++, next++) {
			payload_fill(payload, bytes, next, worker->segment_index, life, worker->page->seed);
			if (atomic_load_explicit(&worker->page->corrupt, memory_order_relaxed) != 0 &&
			    atomic_exchange(&worker->page->corrupt, 0) != 0)
				payload->words[1] ^= 1;
			worker_begin(worker, next + 1);
			r = shmb_ring_insert(writer, payload);
			worker_done(worker, next + (r == 0));
		}
		if (r < 0)
			worker_fail(worker, "insert", r);
		ring_pace(worker, next);
	}
	shmb_ring_writer_close(writer);
	free(payload);
	return r;
}

/* ---- ring reader ---- */

struct ring_reading {
	struct shmb_ring_reader *reader;
	struct soak_span span;
	struct shmb_sample samples[RING_BATCH];
	unsigned char *payloads;
	unsigned batch;
	bool one_by_one;
};

/* Is what a sample says of itself the next number, and as many missed as lie between? */
static bool ring_follows(struct worker *worker, struct soak_span *span, const struct shmb_sample *sample)
{
	if (sample->number < span->next || sample->number - span->next != sample->missed) {
		worker_wrong(worker, &worker->slot->lost, "%s: number %llu with %llu missed, where %llu was the next", worker->plan->name,
			     (unsigned long long)sample->number, (unsigned long long)sample->missed, (unsigned long long)span->next);
		if (sample->number < span->next)
			return false;
	}
	span->missed += sample->missed;
	span->next = sample->number + 1;
	return true;
}

static int ring_take_one(struct worker *worker, struct ring_reading *reading)
{
	struct soak_span *span = &reading->span;
	int r = shmb_ring_read_next(reading->reader, reading->payloads, &reading->samples[0]);

	if (r < 0)
		return r;
	if (!ring_follows(worker, span, &reading->samples[0]))
		return 0;
	if (worker_check(worker, reading->payloads, worker->plan->bytes, reading->samples[0].number))
		span->read++;
	soak_span_set(worker->slot, span);
	return 0;
}

static int ring_take_range(struct worker *worker, struct ring_reading *reading)
{
	struct soak_span *span = &reading->span;
	uint64_t before = span->next;
	uint64_t lost = 0;
	size_t count = 0;
	int r = shmb_ring_read_range(reading->reader, span->next, reading->batch, reading->payloads, reading->samples, &count, &lost);

	if (r == -ESTALE) { /* far behind: the library says how far */
		r = shmb_ring_seek(reading->reader, span->next);
		return r < 0 ? r : ring_take_one(worker, reading);
	}
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++) {
		if (!ring_follows(worker, span, &reading->samples[i]))
			continue;
		if (worker_check(worker, reading->payloads + i * worker->plan->bytes, worker->plan->bytes, reading->samples[i].number))
			span->read++;
	}
	/* Numbers that were gone behind the last one that was read. */
	if (lost > 0 && before + count + lost > span->next) {
		span->missed += before + count + lost - span->next;
		span->next = before + count + lost;
	}
	soak_span_set(worker->slot, span);
	return 0;
}

static int ring_take(struct worker *worker, struct ring_reading *reading)
{
	int r = reading->one_by_one ? ring_take_one(worker, reading) : ring_take_range(worker, reading);

	if (r == 0 || r == -EAGAIN)
		return 0;
	if (r != -ENODATA)
		return worker_fail(worker, "read", r);
	if (worker_must_quit(worker)) /* the writers have ended before */
		return 1;
	if (!reading->one_by_one) {
		r = shmb_ring_seek(reading->reader, reading->span.next);
		if (r < 0)
			return worker_fail(worker, "seek", r);
	}
	return worker_waited(worker, shmb_ring_wait(reading->reader, shmb_now_ns() + 100 * MS));
}

int ring_read_all(struct worker *worker)
{
	uint64_t deadline = shmb_now_ns() + SOAK_PATIENCE_MS * MS;
	struct ring_reading reading = { .span = soak_span(worker->slot),
					.batch = worker->plan->bytes >= SOAK_LARGE ? RING_BATCH / 16 : RING_BATCH,
					.one_by_one = worker->plan->paced ? worker_random(worker) % 8 == 0 : worker_random(worker) % 2 };
	int r;

	reading.payloads = calloc(reading.batch, worker->plan->bytes);
	if (reading.payloads == NULL)
		return -1;
	do {
		r = shmb_ring_reader_open(&reading.reader, worker->broker, worker->plan->name, worker->type, deadline);
	} while (r < 0 && worker_again(r, deadline));
	if (r == 0)
		r = shmb_ring_seek(reading.reader, reading.span.next);
	if (r < 0) {
		worker_fail(worker, "open of a ring for reading", r);
	} else {
		worker_is_up(worker);
		while (r == 0)
			r = ring_take(worker, &reading);
	}
	shmb_ring_reader_close(reading.reader);
	free(reading.payloads);
	return r < 0 ? -1 : 0;
}

/* ---- value ---- */

int value_write_all(struct worker *worker)
{
	struct shmb_options options = { .deadline_ns = shmb_now_ns() + SOAK_PATIENCE_MS * MS };
	union {
		struct soak_payload payload;
		char bytes[SOAK_LARGE];
	} buffer;
	struct shmb_value_writer *writer = NULL;
	uint32_t life;
	uint64_t next;
	int r;

	do {
		r = shmb_value_writer_open(&writer, worker->broker, worker->plan->name, worker->type, &options);
	} while (r < 0 && worker_again(r, options.deadline_ns));
	if (r < 0)
		return worker_fail(worker, "open of a value for writing", r);
	next = shmb_value_next(writer);
	life = worker_life_begin(worker, next);
	while (r == 0 && !worker_must_quit(worker)) {
		unsigned burst = (unsigned)(worker_random(worker) % 64) + 1;

		for (unsigned i = 0; r == 0 && i < burst; i++, next++) {
			payload_fill(&buffer.payload, worker->plan->bytes, next, worker->segment_index, life, worker->page->seed);
			worker_begin(worker, next + 1);
			r = shmb_value_store(writer, &buffer);
			worker_done(worker, next + (r == 0));
		}
		if (r < 0)
			worker_fail(worker, "store", r);
		worker_pause(worker_random(worker) % MS);
	}
	shmb_value_writer_close(writer);
	return r;
}

/* The newest at a time. Never back within a handle; a new handle may see once more what the one before saw. */
static int value_take(struct worker *worker, struct shmb_value_reader *reader, struct soak_span *span, uint64_t *handle_next)
{
	union {
		struct soak_payload payload;
		char bytes[SOAK_LARGE];
	} buffer;
	struct shmb_sample sample;
	int r = shmb_value_load(reader, &buffer, &sample);

	if (r < 0)
		return r == -ENODATA || r == -EAGAIN ? 0 : worker_fail(worker, "load", r);
	if (sample.number + 1 < *handle_next)
		worker_wrong(worker, &worker->slot->lost, "%s: number %llu after %llu", worker->plan->name,
			     (unsigned long long)sample.number, (unsigned long long)*handle_next - 1);
	if (*handle_next > 0 && sample.number + 1 > *handle_next && sample.number - *handle_next != sample.missed)
		worker_wrong(worker, &worker->slot->lost, "%s: number %llu after %llu, but %llu missed", worker->plan->name,
			     (unsigned long long)sample.number, (unsigned long long)*handle_next - 1, (unsigned long long)sample.missed);
	*handle_next = sample.number + 1;
	if (!worker_check(worker, &buffer, worker->plan->bytes, sample.number))
		return 0;
	if (sample.number < span->next) {
		span->repeats++;
	} else {
		span->missed += sample.number - span->next;
		span->next = sample.number + 1;
		span->read++;
	}
	soak_span_set(worker->slot, span);
	return 0;
}

int value_read_all(struct worker *worker)
{
	uint64_t deadline = shmb_now_ns() + SOAK_PATIENCE_MS * MS;
	struct soak_span span = soak_span(worker->slot);
	struct shmb_value_reader *reader = NULL;
	uint64_t handle_next = 0;
	int r;

	do {
		r = shmb_value_reader_open(&reader, worker->broker, worker->plan->name, worker->type, deadline);
	} while (r < 0 && worker_again(r, deadline));
	if (r < 0)
		return worker_fail(worker, "open of a value for reading", r);
	worker_is_up(worker);
	while (r == 0) {
		bool is_over = worker_must_quit(worker);

		r = value_take(worker, reader, &span, &handle_next);
		if (is_over)
			break;
		if (r == 0)
			r = worker_waited(worker, shmb_value_wait(reader, shmb_now_ns() + 100 * MS));
	}
	shmb_value_reader_close(reader);
	return r;
}
