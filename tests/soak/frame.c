/* SPDX-License-Identifier: MIT */
/*
 * Frames. The writer fills a loan and commits it, now and then it gives one back; holders take them in order, verify them, hold up to four
 * for a while and verify them again before they let go: a frame that is held stays as it is.
 */
#include "worker.h"

enum { FRAME_HELD = 4, FRAME_PINS = 16 };

/* ---- writer ---- */

/* One frame. -ENOBUFS is right for as long as the dead hold pins, which is until the daemon knows; longer is a leak. */
static int frame_write(struct worker *worker, struct shmb_frame_writer *writer, uint32_t life, uint64_t *full_ns)
{
	uint64_t number = shmb_frame_next_number(writer);
	size_t bytes = SOAK_LARGE + worker_random(worker) % 8 * SOAK_LARGE;
	size_t capacity;
	void *payload;
	int r = shmb_frame_loan(writer, &payload, &capacity);

	if (r == -ENOBUFS) {
		uint64_t now = shmb_now_ns();

		*full_ns = *full_ns == 0 ? now : *full_ns;
		if (now - *full_ns < SOAK_PATIENCE_MS * MS) {
			worker_pause(MS);
			return 0;
		}
	}
	if (r < 0)
		return worker_fail(worker, "loan", r);
	*full_ns = 0;
	payload_fill(payload, bytes, number, worker->segment_index, life, worker->page->seed);
	if (worker_random(worker) % 32 == 0) /* some die with a loan */
		worker_pause(worker_random(worker) % (2 * MS));
	if (worker_random(worker) % 16 == 0)
		return shmb_frame_abort(writer);
	worker_begin(worker, number + 1);
	r = shmb_frame_commit(writer, bytes);
	worker_done(worker, number + (r == 0));
	return r < 0 ? worker_fail(worker, "commit", r) : 0;
}

int frame_write_all(struct worker *worker)
{
	struct shmb_frame_options options = { .history = worker->plan->capacity,
					      .pins = FRAME_PINS,
					      .deadline_ns = shmb_now_ns() + SOAK_PATIENCE_MS * MS };
	struct shmb_frame_writer *writer = NULL;
	uint64_t full_ns = 0;
	uint32_t life;
	int r;

	do {
		r = shmb_frame_writer_open(&writer, worker->broker, worker->plan->name, worker->type, &options);
	} while (r < 0 && worker_again(r, options.deadline_ns));
	if (r < 0)
		return worker_fail(worker, "open of frames for writing", r);
	life = worker_life_begin(worker, shmb_frame_next_number(writer));
	while (r == 0 && !worker_must_quit(worker)) {
		r = frame_write(worker, writer, life, &full_ns);
		if (worker_random(worker) % 8 == 0)
			worker_pause(worker_random(worker) % MS);
	}
	shmb_frame_writer_close(writer);
	return r;
}

/* ---- holder ---- */

struct frame_holding {
	struct shmb_frame_reader *reader;
	struct shmb_frame held[FRAME_HELD];
	unsigned count;
	struct soak_span span;
};

static int frame_let_go(struct worker *worker, struct frame_holding *holding)
{
	int r = 0;

	for (unsigned i = 0; i < holding->count; i++) {
		struct shmb_frame *frame = &holding->held[i];
		int released;

		if (!payload_is_right(frame->payload, frame->length, frame->number, worker->segment_index, worker->page->seed))
			worker_wrong(worker, &worker->slot->torn, "%s: frame %llu changed while it was held", worker->plan->name,
				     (unsigned long long)frame->number);
		released = shmb_frame_release(holding->reader, frame);
		if (released < 0)
			r = worker_fail(worker, "release", released);
	}
	holding->count = 0;
	return r;
}

static int frame_take(struct worker *worker, struct frame_holding *holding)
{
	struct shmb_frame *frame = &holding->held[holding->count];
	struct soak_span *span = &holding->span;
	int r = shmb_frame_pin_next(holding->reader, frame);

	if (r < 0)
		return r;
	holding->count++;
	if (frame->number < span->next || frame->number - span->next != frame->missed)
		worker_wrong(worker, &worker->slot->lost, "%s: frame %llu with %llu missed, where %llu was the next", worker->plan->name,
			     (unsigned long long)frame->number, (unsigned long long)frame->missed, (unsigned long long)span->next);
	if (frame->number < span->next)
		return 0;
	span->missed += frame->missed;
	span->next = frame->number + 1;
	if (frame->length < sizeof(struct soak_payload) + 8 || !worker_check(worker, frame->payload, frame->length, frame->number))
		worker_wrong(worker, &worker->slot->torn, "%s: frame %llu of %zu bytes", worker->plan->name,
			     (unsigned long long)frame->number, frame->length);
	else
		span->read++;
	soak_span_set(worker->slot, span);
	return 0;
}

int frame_hold_all(struct worker *worker)
{
	uint64_t deadline = shmb_now_ns() + SOAK_PATIENCE_MS * MS;
	struct frame_holding holding = { .span = soak_span(worker->slot) };
	int r;

	do {
		r = shmb_frame_reader_open(&holding.reader, worker->broker, worker->plan->name, worker->type, deadline);
	} while (r < 0 && worker_again(r, deadline));
	if (r == 0)
		r = shmb_frame_seek(holding.reader, holding.span.next);
	if (r < 0) {
		worker_fail(worker, "open of frames for reading", r);
		shmb_frame_reader_close(holding.reader);
		return -1;
	}
	worker_is_up(worker);
	while (r == 0) {
		r = frame_take(worker, &holding);
		if (r == 0 && holding.count < FRAME_HELD)
			continue;
		if (r < 0 && r != -ENODATA && r != -EAGAIN)
			worker_fail(worker, "pin", r);
		else if (r == -ENODATA && worker_must_quit(worker))
			break; /* the writer has ended before */
		else {
			bool is_empty = r == -ENODATA;

			if (worker_random(worker) % 4 == 0)
				worker_pause(worker_random(worker) % (10 * MS));
			r = frame_let_go(worker, &holding);
			if (r == 0 && is_empty)
				r = worker_waited(worker, shmb_frame_wait(holding.reader, shmb_now_ns() + 100 * MS));
		}
	}
	if (frame_let_go(worker, &holding) == 0 && r == -ENODATA)
		r = 0;
	shmb_frame_reader_close(holding.reader);
	return r < 0 ? -1 : 0;
}
