/* SPDX-License-Identifier: MIT */
/*
 * A copy in, a copy out, or both (store_load.h). All copy from the same kind of source to the same kind of destination, through shared memory;
 * between blocks each checks that the last value has arrived, and begins another.
 */
#include "store_load.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "common.h"
#include "shmb.h"

/* ---- memcpy ---- */

struct copies {
	struct ends ends;
	struct buffers buffers;
	unsigned char *last; /* buffer that was written */
};

static void copies_deinit(void *state)
{
	struct copies *copies = state;

	buffers_deinit(&copies->buffers);
	ends_deinit(&copies->ends);
	free(copies);
}

static int copies_init_kind(void **state, const struct bench_place *place, uint32_t kind)
{
	struct copies *copies = calloc(1, sizeof(*copies));
	int r;

	if (copies == NULL)
		return -ENOMEM;
	r = ends_init(&copies->ends, place->which->bytes);
	if (r == 0)
		r = buffers_init(&copies->buffers, kind, place->which->slots, (uint32_t)place->which->bytes);
	if (r < 0) {
		copies_deinit(copies);
		return r;
	}
	copies->last = copies->buffers.first;
	*state = copies;
	return 0;
}

static int copies_init_value(void **state, const struct bench_place *place)
{
	return copies_init_kind(state, place, SHMB_KIND_VALUE);
}

static int copies_init_ring(void **state, const struct bench_place *place)
{
	return copies_init_kind(state, place, SHMB_KIND_RING);
}

static int copies_store(void *state, uint64_t count)
{
	struct copies *copies = state;

	for (uint64_t i = 0; i < count; i++) {
		copies->last = buffers_next(&copies->buffers);
		copy_opaque(copies->last, copies->ends.source, copies->ends.bytes);
	}
	return 0;
}

/* The newest lies in one place until the next store. */
static int copies_load(void *state, uint64_t count)
{
	struct copies *copies = state;

	for (uint64_t i = 0; i < count; i++)
		copy_opaque(copies->ends.destination, copies->last, copies->ends.bytes);
	return 0;
}

static int copies_both(void *state, uint64_t count)
{
	struct copies *copies = state;

	for (uint64_t i = 0; i < count; i++) {
		unsigned char *buffer = buffers_next(&copies->buffers);

		copy_opaque(buffer, copies->ends.source, copies->ends.bytes);
		copy_opaque(copies->ends.destination, buffer, copies->ends.bytes);
	}
	return 0;
}

/* Between blocks they do what the others do, so that the caches are left alike: one load after stores, one store after loads. */
static int copies_check_store(void *state)
{
	struct copies *copies = state;

	copy_opaque(copies->ends.destination, copies->last, copies->ends.bytes);
	return ends_check(&copies->ends);
}

static int copies_check_load(void *state)
{
	struct copies *copies = state;

	ends_change(&copies->ends);
	return copies_store(state, 1);
}

const struct bench_impl store_memcpy = {
	.name = "memcpy", .init = copies_init_value, .run = copies_store, .check = copies_check_store, .deinit = copies_deinit
};
const struct bench_impl load_memcpy = {
	.name = "memcpy", .init = copies_init_value, .run = copies_load, .check = copies_check_load, .deinit = copies_deinit
};
const struct bench_impl store_load_memcpy = { .name = "memcpy", .init = copies_init_value, .run = copies_both, .deinit = copies_deinit };
const struct bench_impl insert_latest_memcpy = { .name = "memcpy", .init = copies_init_ring, .run = copies_both, .deinit = copies_deinit };

/* ---- shmbroker ---- */

struct segment {
	struct ends ends;
	struct shmb *broker;
	struct shmb_type *type;
	struct shmb_value_writer *writer;
	struct shmb_value_reader *reader;
	struct shmb_ring_writer *ring_writer;
	struct shmb_ring_reader *ring_reader;
	char name[64];
};

static void segment_deinit(void *state)
{
	struct segment *segment = state;

	shmb_value_reader_close(segment->reader);
	shmb_ring_reader_close(segment->ring_reader);
	shmb_value_writer_close(segment->writer);
	shmb_ring_writer_close(segment->ring_writer);
	shmb_remove(segment->broker, segment->name);
	shmb_type_free(segment->type);
	ends_deinit(&segment->ends);
	free(segment);
}

static int segment_init(void **state, const struct bench_place *place, bool ring)
{
	struct segment *segment = calloc(1, sizeof(*segment));
	const struct shmb_options options = { .capacity = place->which->slots };
	int r;

	if (segment == NULL)
		return -ENOMEM;
	segment->broker = place->broker;
	snprintf(segment->name, sizeof(segment->name), "bench/%s/%zu", ring ? "ring" : "value", place->which->bytes);
	r = ends_init(&segment->ends, place->which->bytes);
	if (r == 0)
		r = shmb_type_opaque(&segment->type, place->which->bytes);
	if (r == 0 && ring) {
		r = shmb_ring_writer_open(&segment->ring_writer, place->broker, segment->name, segment->type, &options);
		if (r == 0)
			r = shmb_ring_reader_open(&segment->ring_reader, place->broker, segment->name, segment->type, SHMB_NO_WAIT);
	} else if (r == 0) {
		r = shmb_value_writer_open(&segment->writer, place->broker, segment->name, segment->type, &options);
		if (r == 0)
			r = shmb_value_reader_open(&segment->reader, place->broker, segment->name, segment->type, SHMB_NO_WAIT);
		if (r == 0)
			r = shmb_value_store(segment->writer, segment->ends.source);
	}
	if (r < 0) {
		fprintf(stderr, "bench: %s: %s\n", segment->name, shmb_text());
		segment_deinit(segment);
		return r;
	}
	*state = segment;
	return 0;
}

static int value_init(void **state, const struct bench_place *place)
{
	return segment_init(state, place, false);
}

static int ring_init(void **state, const struct bench_place *place)
{
	return segment_init(state, place, true);
}

static int value_store(void *state, uint64_t count)
{
	struct segment *segment = state;
	int r = 0;

	for (uint64_t i = 0; i < count; i++)
		r |= shmb_value_store(segment->writer, segment->ends.source);
	return r;
}

static int value_load(void *state, uint64_t count)
{
	struct segment *segment = state;
	struct shmb_sample sample;
	int r = 0;

	for (uint64_t i = 0; i < count; i++)
		r |= shmb_value_load(segment->reader, segment->ends.destination, &sample);
	return r;
}

static int value_both(void *state, uint64_t count)
{
	struct segment *segment = state;
	struct shmb_sample sample;
	int r = 0;

	for (uint64_t i = 0; i < count; i++) {
		r |= shmb_value_store(segment->writer, segment->ends.source);
		r |= shmb_value_load(segment->reader, segment->ends.destination, &sample);
	}
	return r;
}

static int ring_both(void *state, uint64_t count)
{
	struct segment *segment = state;
	struct shmb_sample sample;
	int r = 0;

	for (uint64_t i = 0; i < count; i++) {
		r |= shmb_ring_insert(segment->ring_writer, segment->ends.source);
		r |= shmb_ring_latest(segment->ring_reader, segment->ends.destination, &sample);
	}
	return r;
}

/* What was stored last arrives, and another value is there for the loads of the next block. */
static int value_check_store(void *state)
{
	struct segment *segment = state;
	int r = value_load(segment, 1);

	if (r == 0)
		r = ends_check(&segment->ends);
	ends_change(&segment->ends);
	return r;
}

static int value_check_load(void *state)
{
	struct segment *segment = state;
	int r = ends_check(&segment->ends);

	ends_change(&segment->ends);
	return r < 0 ? r : value_store(segment, 1);
}

static int segment_check(void *state)
{
	struct segment *segment = state;
	int r = ends_check(&segment->ends);

	ends_change(&segment->ends);
	return r;
}

const struct bench_impl store_shmbroker = {
	.name = "shmbroker",
	.init = value_init,
	.run = value_store,
	.check = value_check_store,
	.deinit = segment_deinit,
};
const struct bench_impl load_shmbroker = {
	.name = "shmbroker",
	.init = value_init,
	.run = value_load,
	.check = value_check_load,
	.deinit = segment_deinit,
};
const struct bench_impl store_load_shmbroker = {
	.name = "shmbroker",
	.init = value_init,
	.run = value_both,
	.check = segment_check,
	.deinit = segment_deinit,
};
const struct bench_impl insert_latest_shmbroker = {
	.name = "shmbroker",
	.init = ring_init,
	.run = ring_both,
	.check = segment_check,
	.deinit = segment_deinit,
};

/* ---- seqlock_wake_always ---- */

struct locked {
	struct ends ends;
	struct seqlock *seqlock;
	size_t memory_bytes;
};

static void locked_deinit(void *state)
{
	struct locked *locked = state;

	if (locked->seqlock != NULL)
		munmap(locked->seqlock, locked->memory_bytes);
	ends_deinit(&locked->ends);
	free(locked);
}

static int locked_init(void **state, const struct bench_place *place)
{
	struct locked *locked = calloc(1, sizeof(*locked));
	int r;

	if (locked == NULL)
		return -ENOMEM;
	r = ends_init(&locked->ends, place->which->bytes);
	if (r == 0) {
		locked->memory_bytes = sizeof(*locked->seqlock) + place->which->bytes;
		locked->seqlock = memory_map(locked->memory_bytes);
		if (locked->seqlock == NULL)
			r = -ENOMEM;
	}
	if (r < 0) {
		locked_deinit(locked);
		return r;
	}
	*state = locked;
	return 0;
}

static int locked_store(void *state, uint64_t count)
{
	struct locked *locked = state;

	for (uint64_t i = 0; i < count; i++)
		seqlock_store(locked->seqlock, locked->ends.source, locked->ends.bytes);
	return 0;
}

static int locked_load(void *state, uint64_t count)
{
	struct locked *locked = state;

	for (uint64_t i = 0; i < count; i++)
		seqlock_load(locked->seqlock, locked->ends.destination, locked->ends.bytes);
	return 0;
}

static int locked_both(void *state, uint64_t count)
{
	struct locked *locked = state;

	for (uint64_t i = 0; i < count; i++) {
		seqlock_store(locked->seqlock, locked->ends.source, locked->ends.bytes);
		seqlock_load(locked->seqlock, locked->ends.destination, locked->ends.bytes);
	}
	return 0;
}

static int locked_check_store(void *state)
{
	struct locked *locked = state;

	locked_load(locked, 1);
	return ends_check(&locked->ends);
}

static int locked_check_load(void *state)
{
	struct locked *locked = state;

	ends_change(&locked->ends);
	return locked_store(locked, 1);
}

const struct bench_impl store_seqlock = {
	.name = "seqlock_wake_always",
	.init = locked_init,
	.run = locked_store,
	.check = locked_check_store,
	.deinit = locked_deinit,
};
const struct bench_impl load_seqlock = {
	.name = "seqlock_wake_always",
	.init = locked_init,
	.run = locked_load,
	.check = locked_check_load,
	.deinit = locked_deinit,
};
const struct bench_impl store_load_seqlock = {
	.name = "seqlock_wake_always",
	.init = locked_init,
	.run = locked_both,
	.deinit = locked_deinit,
};
