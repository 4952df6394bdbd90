/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_FUZZ_READING_H
#define SHMB_TESTS_FUZZ_READING_H

/*
 * A client at work on memory whose other side is not to be trusted: one call of the data path for each byte of input, with bytes overwritten in
 * between. What must hold whatever lies there: calls end, results are the stated ones, numbers never go back, views lie in the pool.
 */

#include "fuzz.h"
#include "libclient/block.h"
#include "libclient/frame.h"
#include "libclient/queue.h"
#include "libclient/slots.h"

#include <errno.h>
#include <stdbool.h>

enum { READING_FRAMES = 3 };

struct reading {
	const struct shmb_geometry *geometry;
	union {
		struct slots_reader slots;
		struct frame_reader frame;
		struct queue_consumer queue;
	};
	struct shmb_frame frames[READING_FRAMES];
	unsigned held; /* bit i: frames[i] is */
	uint64_t last; /* one more than the highest number of "latest" */
	unsigned char *room;
};

static const uint64_t reading_keys[] = { 0, 1, 5, 100, INT64_MAX, UINT64_MAX };

/* The queue's consumer may find a position that cannot be. */
static inline bool reading_begin(struct reading *reading, const struct shmb_geometry *geometry, const struct slots_memory *memory,
				 struct shmb_shm_cell *cell)
{
	memset(reading, 0, sizeof(*reading));
	reading->geometry = geometry;
	reading->room = malloc(geometry->payload_bytes);
	FUZZ_HOLDS(reading->room != NULL);
	switch (geometry->kind) {
	case SHMB_KIND_FRAME:
		frame_reader_init(&reading->frame, memory, cell);
		return true;
	case SHMB_KIND_QUEUE:
		return queue_consumer_init(&reading->queue, memory, SHMB_QUEUE_CELL, 1) == 0;
	case SHMB_KIND_BLOCK:
		return false;
	default:
		slots_reader_init(&reading->slots, memory, cell);
		return true;
	}
}

static inline void reading_release(struct reading *reading, unsigned i)
{
	int r;

	if ((reading->held & 1u << i) == 0)
		return;
	r = shmb_frame_release((struct shmb_frame_reader *)&reading->frame, &reading->frames[i]);
	FUZZ_HOLDS(r == 0 || r == -ESTALE);
	reading->held &= ~(1u << i);
}

static inline void reading_end(struct reading *reading)
{
	for (unsigned i = 0; i < READING_FRAMES; i++)
		reading_release(reading, i);
	free(reading->room);
}

/* Only results that the interface states. */
static inline void reading_result(int r)
{
	switch (r) {
	case 0:
	case -ENODATA:
	case -EAGAIN:
	case -EBADMSG:
	case -EREMCHG:
	case -ESTALE:
	case -ERANGE:
	case -ETIME:
	case -ETIMEDOUT:
	case -EOWNERDEAD:
	case -EPIPE:
	case -EHOSTDOWN:
	case -EINVAL:
	case -ENOTSUP:
	case -EPROTOTYPE:
	case -EMSGSIZE:
	case -EPROTO:
	case -EUSERS:
	case -EMFILE:
	case -EPERM:
	case -EOVERFLOW:
	case -E2BIG:
	case -EXDEV:
		return;
	default:
		fprintf(stderr, "result %d\n", r);
		FUZZ_HOLDS(!"a result that is stated");
	}
}

static inline void reading_ring(struct reading *reading, unsigned op, uint64_t argument)
{
	struct shmb_ring_reader *ring = (struct shmb_ring_reader *)&reading->slots;
	struct slots_reader *slots = &reading->slots;
	struct shmb_key_sequence key = { argument };
	struct shmb_key_sequence end = { reading_keys[argument % 6] };
	struct shmb_key_monotonic stamp = { argument };
	struct shmb_sample sample = { 0 };
	struct shmb_found_sequence found;
	struct shmb_bracket_sequence bracket;
	struct shmb_range range;
	unsigned char *other;
	uint64_t a, b;
	int r;

	switch (op % 14) {
	case 0:
		r = slots_latest(slots, reading->room, &sample);
		if (r == 0) {
			FUZZ_HOLDS(sample.number + 1 >= reading->last && sample.number < SHMB_NUMBER_MAX);
			reading->last = sample.number + 1;
		}
		break;
	case 1:
		r = slots_read_next(slots, reading->room, &sample);
		break;
	case 2:
		r = slots_read(slots, argument, reading->room, &sample);
		if (r == 0)
			FUZZ_HOLDS(sample.number == argument);
		break;
	case 3:
		r = slots_lag(slots, &a);
		break;
	case 4:
		r = slots_seek(slots, argument);
		break;
	case 5:
		r = slots_bounds(slots, &a, &b);
		if (r == 0)
			FUZZ_HOLDS(a <= b && b - a <= slots->window);
		break;
	case 6:
		r = slots_wait(slots, NULL, SHMB_NO_WAIT);
		break;
	case 7:
		r = shmb_ring_closest_sequence(ring, key, argument, reading->room, &found);
		break;
	case 8:
		other = malloc(reading->geometry->payload_bytes);
		r = shmb_ring_bracket_sequence(ring, key, UINT64_MAX, reading->room, other, &bracket);
		if (r == 0)
			FUZZ_HOLDS(bracket.alpha >= 0 && bracket.alpha <= 1);
		free(other);
		break;
	case 9:
		r = shmb_ring_range_sequence(ring, key, end, &range);
		break;
	case 10:
		r = shmb_ring_since_sequence(ring, key);
		break;
	case 11:
		r = shmb_ring_fresh_monotonic(ring, stamp, reading->room, NULL);
		break;
	case 12:
		r = shmb_ring_key_sequence(ring, argument, &key);
		break;
	default:
		r = shmb_ring_seek_oldest(ring);
		break;
	}
	reading_result(r);
}

static inline void reading_frame(struct reading *reading, unsigned op, uint64_t argument)
{
	struct shmb_frame_reader *frames = (struct shmb_frame_reader *)&reading->frame;
	const struct shmb_geometry *geometry = reading->geometry;
	unsigned i = argument % READING_FRAMES;
	struct shmb_frame *frame = &reading->frames[i];
	struct shmb_frame loaded;
	struct shmb_key_sequence key = { argument };
	struct shmb_found_sequence found;
	bool pins = false;
	uint64_t a, b;
	int r;

	switch (op % 11) {
	case 0:
	case 1:
	case 2:
	case 3:
		reading_release(reading, i);
		if (op % 11 == 0)
			r = shmb_frame_pin_newest(frames, frame);
		else if (op % 11 == 1)
			r = shmb_frame_pin_next(frames, frame);
		else if (op % 11 == 2)
			r = shmb_frame_pin_number(frames, argument, frame);
		else
			r = shmb_frame_closest_sequence(frames, key, UINT64_MAX, frame, &found);
		pins = r == 0;
		break;
	case 4:
		r = shmb_frame_load_newest(frames, reading->room, geometry->payload_bytes, &loaded);
		break;
	case 5:
		r = shmb_frame_load_number(frames, argument, reading->room, geometry->payload_bytes, &loaded);
		break;
	case 6:
		r = shmb_frame_seek(frames, argument);
		break;
	case 7:
		r = shmb_frame_bounds(frames, &a, &b);
		if (r == 0)
			FUZZ_HOLDS(a <= b && b - a <= geometry->history);
		break;
	case 8:
		r = slots_wait(&reading->slots, NULL, SHMB_NO_WAIT);
		break;
	case 9:
		r = shmb_frame_lag(frames, &a);
		break;
	default:
		reading_release(reading, i);
		r = 0;
		break;
	}
	reading_result(r);
	if (pins) {
		const unsigned char *payload = frame->payload;
		const unsigned char *pool = reading->frame.payloads;

		reading->held |= 1u << i;
		FUZZ_HOLDS(payload >= pool && frame->length <= geometry->payload_bytes);
		FUZZ_HOLDS((uint64_t)(payload - pool) + geometry->payload_bytes <= (uint64_t)geometry->pool_count << geometry->pool_shift);
		/* All of it can be read. */
		memcpy(reading->room, payload, geometry->payload_bytes);
	}
}

static inline void reading_queue(struct reading *reading, unsigned op, uint64_t argument)
{
	struct queue_consumer *queue = &reading->queue;
	uint64_t before = queue->slots.position;
	struct shmb_sample sample;
	const void *payload;
	size_t popped;
	int r;

	switch (op % 5) {
	case 0:
		r = queue_pop(queue, reading->room, &sample);
		if (r == 0)
			FUZZ_HOLDS(sample.number == before && queue->slots.position == before + 1);
		break;
	case 1: {
		unsigned char *payloads = malloc(4 * reading->geometry->payload_bytes);

		r = queue_pop_many(queue, payloads, NULL, 4, &popped);
		if (r == 0)
			FUZZ_HOLDS(popped >= 1 && popped <= 4 && queue->slots.position == before + popped);
		free(payloads);
		break;
	}
	case 2:
		r = queue_peek(queue, (uint32_t)argument, &payload, &sample);
		if (r == 0) {
			memcpy(reading->room, payload, reading->geometry->payload_bytes);
			FUZZ_HOLDS(sample.number == before + (uint32_t)argument);
		}
		break;
	case 3:
		r = queue_release(queue, (uint32_t)argument);
		break;
	default:
		r = queue_wait(queue, SHMB_NO_WAIT);
		break;
	}
	reading_result(r);
}

static inline void reading_step(struct reading *reading, unsigned op, uint64_t argument)
{
	switch (reading->geometry->kind) {
	case SHMB_KIND_FRAME:
		reading_frame(reading, op, argument);
		break;
	case SHMB_KIND_QUEUE:
		reading_queue(reading, op, argument);
		break;
	default:
		reading_ring(reading, op, argument);
		break;
	}
}

#endif
