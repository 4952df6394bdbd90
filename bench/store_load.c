/* SPDX-License-Identifier: MIT */
/*
 * value.store_load (store_load.h). All three copy from the same kind of source to the same kind of destination, through shared memory; each
 * checks at the end of a block that the last value has arrived.
 */
#include "store_load.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/copy.h"
#include "proto/geometry.h"
#include "shmb.h"

/* A copy in and a copy out have these two ends everywhere. */
struct ends {
	size_t bytes;
	unsigned char *source;
	unsigned char *destination;
};

static int ends_init(struct ends *ends, size_t bytes)
{
	size_t room = (bytes + SHMB_CACHE_LINE - 1) / SHMB_CACHE_LINE * SHMB_CACHE_LINE;

	ends->bytes = bytes;
	ends->source = aligned_alloc(SHMB_CACHE_LINE, room);
	ends->destination = aligned_alloc(SHMB_CACHE_LINE, room);
	if (ends->source == NULL || ends->destination == NULL)
		return -ENOMEM;
	memset(ends->source, 0x5a, bytes);
	memset(ends->destination, 0, bytes);
	return 0;
}

static void ends_deinit(struct ends *ends)
{
	free(ends->source);
	free(ends->destination);
}

/* Between blocks: another value for the next one. */
static int ends_check(struct ends *ends)
{
	int r = memcmp(ends->source, ends->destination, ends->bytes) == 0 ? 0 : -EBADMSG;

	ends->source[0]++;
	ends->source[ends->bytes - 1]++;
	return r;
}

static void *memory_map(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	return memory != MAP_FAILED ? memory : NULL;
}

/* ---- memcpy ---- */

struct copies {
	struct ends ends;
	struct shmb_geometry geometry;
	unsigned char *memory;
	uint64_t next;
};

static void copies_deinit(void *state)
{
	struct copies *copies = state;

	if (copies->memory != NULL)
		munmap(copies->memory, copies->geometry.data_bytes);
	ends_deinit(&copies->ends);
	free(copies);
}

static int copies_init(void **state, const struct bench_place *place)
{
	struct copies *copies = calloc(1, sizeof(*copies));
	const struct shmb_request request = {
		.kind = SHMB_KIND_VALUE,
		.capacity = place->which->slots,
		.payload_align = 1,
		.payload_bytes = place->which->bytes,
		.key_field = SHMB_KEY_IS_STAMP,
	};
	const char *why;
	int r;

	if (copies == NULL)
		return -ENOMEM;
	r = ends_init(&copies->ends, place->which->bytes);
	if (r == 0)
		r = shmb_geometry_plan(&request, 1, &copies->geometry, &why);
	if (r == 0) {
		copies->memory = memory_map(copies->geometry.data_bytes);
		if (copies->memory == NULL)
			r = -ENOMEM;
	}
	if (r < 0) {
		copies_deinit(copies);
		return r;
	}
	*state = copies;
	return 0;
}

/* The compiler may neither merge the two copies nor know their size. */
static void copy_opaque(void *to, const void *from, size_t bytes)
{
	__asm__ __volatile__("" : "+r"(to), "+r"(from), "+r"(bytes)::"memory");
	memcpy(to, from, bytes);
	__asm__ __volatile__("" ::: "memory");
}

static int copies_run(void *state, uint64_t count)
{
	struct copies *copies = state;
	const struct shmb_geometry *geometry = &copies->geometry;
	size_t bytes = copies->ends.bytes;

	for (uint64_t i = 0; i < count; i++) {
		uint64_t index = copies->next++ & (geometry->slot_count - 1);
		unsigned char *buffer = copies->memory + geometry->pool_offset + (index << geometry->pool_shift);

		copy_opaque(buffer, copies->ends.source, bytes);
		copy_opaque(copies->ends.destination, buffer, bytes);
	}
	return ends_check(&copies->ends);
}

const struct bench_impl store_load_memcpy = { "memcpy", copies_init, copies_run, copies_deinit };

/* ---- shmbroker ---- */

struct value {
	struct ends ends;
	struct shmb *broker;
	struct shmb_type *type;
	struct shmb_value_writer *writer;
	struct shmb_value_reader *reader;
	char name[64];
};

static void value_deinit(void *state)
{
	struct value *value = state;

	shmb_value_reader_close(value->reader);
	if (value->writer != NULL) {
		shmb_value_writer_close(value->writer);
		shmb_remove(value->broker, value->name);
	}
	shmb_type_free(value->type);
	ends_deinit(&value->ends);
	free(value);
}

static int value_init(void **state, const struct bench_place *place)
{
	struct value *value = calloc(1, sizeof(*value));
	const struct shmb_options options = { .capacity = place->which->slots };
	int r;

	if (value == NULL)
		return -ENOMEM;
	value->broker = place->broker;
	snprintf(value->name, sizeof(value->name), "bench/%zu", place->which->bytes);
	r = ends_init(&value->ends, place->which->bytes);
	if (r == 0)
		r = shmb_type_opaque(&value->type, place->which->bytes);
	if (r == 0)
		r = shmb_value_writer_open(&value->writer, place->broker, value->name, value->type, &options);
	if (r == 0)
		r = shmb_value_reader_open(&value->reader, place->broker, value->name, value->type, SHMB_NO_WAIT);
	if (r < 0) {
		fprintf(stderr, "bench: %s: %s\n", value->name, shmb_text());
		value_deinit(value);
		return r;
	}
	*state = value;
	return 0;
}

static int value_run(void *state, uint64_t count)
{
	struct value *value = state;
	struct shmb_sample sample;
	int r = 0;

	for (uint64_t i = 0; i < count; i++) {
		r |= shmb_value_store(value->writer, value->ends.source);
		r |= shmb_value_load(value->reader, value->ends.destination, &sample);
	}
	return r < 0 ? r : ends_check(&value->ends);
}

const struct bench_impl store_load_shmbroker = { "shmbroker", value_init, value_run, value_deinit };

/* ---- seqlock_wake_always ---- */

struct seqlock_memory {
	_Atomic uint32_t sequence;
	_Alignas(SHMB_CACHE_LINE) unsigned char payload[];
};

struct seqlock {
	struct ends ends;
	struct seqlock_memory *memory;
	size_t memory_bytes;
};

static void seqlock_deinit(void *state)
{
	struct seqlock *seqlock = state;

	if (seqlock->memory != NULL)
		munmap(seqlock->memory, seqlock->memory_bytes);
	ends_deinit(&seqlock->ends);
	free(seqlock);
}

static int seqlock_init(void **state, const struct bench_place *place)
{
	struct seqlock *seqlock = calloc(1, sizeof(*seqlock));
	int r;

	if (seqlock == NULL)
		return -ENOMEM;
	r = ends_init(&seqlock->ends, place->which->bytes);
	if (r == 0) {
		seqlock->memory_bytes = sizeof(*seqlock->memory) + place->which->bytes;
		seqlock->memory = memory_map(seqlock->memory_bytes);
		if (seqlock->memory == NULL)
			r = -ENOMEM;
	}
	if (r < 0) {
		seqlock_deinit(seqlock);
		return r;
	}
	*state = seqlock;
	return 0;
}

static void seqlock_store(struct seqlock *seqlock)
{
	struct seqlock_memory *memory = seqlock->memory;
	uint32_t sequence = atomic_load_explicit(&memory->sequence, memory_order_relaxed);

	atomic_store_explicit(&memory->sequence, sequence + 1, memory_order_relaxed);
	shmb_fence_release();
	shmb_copy(memory->payload, seqlock->ends.source, seqlock->ends.bytes);
	atomic_store_explicit(&memory->sequence, sequence + 2, memory_order_release);
	syscall(SYS_futex, &memory->sequence, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static void seqlock_load(struct seqlock *seqlock)
{
	struct seqlock_memory *memory = seqlock->memory;
	uint32_t sequence;

	do {
		sequence = atomic_load_explicit(&memory->sequence, memory_order_acquire);
		shmb_copy(seqlock->ends.destination, memory->payload, seqlock->ends.bytes);
		shmb_fence_acquire();
	} while ((sequence & 1) != 0 || atomic_load_explicit(&memory->sequence, memory_order_relaxed) != sequence);
}

static int seqlock_run(void *state, uint64_t count)
{
	struct seqlock *seqlock = state;

	for (uint64_t i = 0; i < count; i++) {
		seqlock_store(seqlock);
		seqlock_load(seqlock);
	}
	return ends_check(&seqlock->ends);
}

const struct bench_impl store_load_seqlock = { "seqlock_wake_always", seqlock_init, seqlock_run, seqlock_deinit };
