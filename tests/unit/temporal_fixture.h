/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_TEMPORAL_FIXTURE_H
#define SHMB_TESTS_TEMPORAL_FIXTURE_H

/*
 * A keyed ring in plain memory, and what a search that looks at each element says of it.
 *
 * The payload's first word is the key, the second the number, so that a copy tells whether it is what was found.
 */
#include "libclient/segment.h"
#include "tests/support/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct element {
	uint64_t key;
	uint64_t number;
};

struct bench {
	struct shmb_geometry geometry;
	struct shmb_shm_card *card;
	struct shmb_shm_data *data;
	struct slots_memory memory;
	struct slots_writer writer;
	struct reader *reader;
	struct shmb_ring_reader *ring; /* the same */
	uint64_t keys[1 << 16];	       /* all that were ever published */
	uint64_t run;		       /* number that the run of keys begins with */
	unsigned char payload[64];
};

static _Atomic uint32_t guard = 1;
static const uint64_t granted = 3 << 8 | SHMB_STATE_HELD;

static inline void *pages(size_t bytes)
{
	size_t rounded = (bytes + SHMB_PAGE - 1) & ~(size_t)(SHMB_PAGE - 1);
	void *memory = aligned_alloc(SHMB_PAGE, rounded);

	ck_assert_ptr_nonnull(memory);
	memset(memory, 0, rounded);
	return memory;
}

static inline struct bench *bench_new(const struct shmb_request *request, uint64_t base)
{
	struct bench *bench = pages(sizeof(*bench));

	ck_assert_int_eq(shmb_geometry_plan(request, 0, &bench->geometry, NULL), 0);
	bench->geometry.base = base;
	bench->card = pages(sizeof(*bench->card));
	bench->data = pages(bench->geometry.data_bytes);
	bench->reader = pages(sizeof(*bench->reader));
	bench->ring = (struct shmb_ring_reader *)bench->reader;
	bench->card->state = granted;
	bench->card->cut = UINT64_MAX;
	bench->data->counter = base;
	bench->run = base;
	bench->memory = (struct slots_memory){ .geometry = &bench->geometry, .card = bench->card, .data = bench->data, .guard = &guard };
	ck_assert_int_eq(slots_writer_init(&bench->writer, &bench->memory, granted), 0);
	bench->writer.key_bytes = 8;
	slots_reader_init(&bench->reader->slots, &bench->memory, NULL);
	return bench;
}

static inline struct bench *bench_keyed(uint32_t capacity, uint64_t base)
{
	struct shmb_request request = { .kind = SHMB_KIND_RING,
					.capacity = capacity,
					.payload_align = 8,
					.payload_bytes = sizeof(struct element),
					.key_type = SHMB_KEY_MONOTONIC_NS,
					.key_field = 0 };

	return bench_new(&request, base);
}

static inline void bench_free(struct bench *bench)
{
	free(bench->card);
	free(bench->data);
	free(bench->reader);
	free(bench);
}

static inline int insert(struct bench *bench, uint64_t key)
{
	struct element element = { .key = key, .number = bench->writer.next };
	int r = slots_publish(&bench->writer, &element);

	if (r == 0)
		bench->keys[element.number - bench->geometry.base] = key;
	return r;
}

static inline void must_insert(struct bench *bench, uint64_t key)
{
	ck_assert_int_eq(insert(bench, key), 0);
}

static inline struct shmb_key_monotonic key_of(uint64_t value)
{
	struct shmb_rule_monotonic any = shmb_rule_range_monotonic(0, UINT64_MAX);
	struct shmb_key_monotonic key;

	ck_assert_int_eq(shmb_key_make(&key, value, &any), 0);
	return key;
}

/* ---- what a search that looks at each element says ---- */

static inline uint64_t oldest_of(const struct bench *bench)
{
	uint64_t next = bench->writer.next;
	uint64_t served = bench->geometry.slot_count - 1;
	uint64_t oldest = next > served ? next - served : 0;

	oldest = oldest > bench->geometry.base ? oldest : bench->geometry.base;
	return oldest > bench->run ? oldest : bench->run;
}

static inline uint64_t true_key(const struct bench *bench, uint64_t number)
{
	return bench->keys[number - bench->geometry.base];
}

static inline uint64_t away(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

/* The closest: equally far, the earlier key; equal keys, the newest. -1 none. */
static inline int64_t true_closest(const struct bench *bench, uint64_t t, uint64_t max)
{
	int64_t best = -1;

	for (uint64_t n = oldest_of(bench); n < bench->writer.next; n++) {
		uint64_t off = away(true_key(bench, n), t);

		if (off > max)
			continue;
		if (best < 0 || off < away(true_key(bench, (uint64_t)best), t) || true_key(bench, n) == true_key(bench, (uint64_t)best))
			best = (int64_t)n;
	}
	return best;
}

static inline void check_closest(struct bench *bench, uint64_t t, uint64_t max)
{
	int64_t expected = true_closest(bench, t, max);
	struct shmb_found_monotonic found;
	struct element element;
	int r = shmb_ring_closest(bench->ring, key_of(t), max, &element, &found);

	if (expected < 0) {
		ck_assert_int_eq(r, oldest_of(bench) == bench->writer.next ? -ENODATA : -ERANGE);
		return;
	}
	ck_assert_msg(r == 0, "closest to %lu: %d, but %ld is", t, r, expected);
	ck_assert_uint_eq(found.number, (uint64_t)expected);
	ck_assert_uint_eq(shmb_key_value(found.key), true_key(bench, found.number));
	ck_assert_uint_eq(element.number, found.number);
	ck_assert_uint_eq(element.key, shmb_key_value(found.key));
}

static inline void check_bracket(struct bench *bench, uint64_t t, uint64_t max)
{
	uint64_t oldest = oldest_of(bench);
	uint64_t next = bench->writer.next;
	struct shmb_bracket_monotonic at;
	struct element before, after;
	uint64_t low = UINT64_MAX, high = UINT64_MAX;
	int r = shmb_ring_bracket(bench->ring, key_of(t), max, &before, &after, &at);
	int expected = 0;

	for (uint64_t n = oldest; n < next; n++) {
		if (true_key(bench, n) <= t)
			low = n;
		else if (high == UINT64_MAX || true_key(bench, n) == true_key(bench, high))
			high = n;
	}
	if (low != UINT64_MAX && high == UINT64_MAX && true_key(bench, low) == t)
		high = low;
	if (oldest == next)
		expected = -ENODATA;
	else if (low == UINT64_MAX)
		expected = -ESTALE;
	else if (high == UINT64_MAX)
		expected = -ETIME;
	else if (true_key(bench, low) != t && (t - true_key(bench, low) > max || true_key(bench, high) - t > max))
		expected = -ERANGE;
	ck_assert_msg(r == expected, "bracket of %lu: %d, expected %d", t, r, expected);
	if (r != 0)
		return;
	ck_assert_uint_eq(at.before.number, low);
	ck_assert_uint_eq(at.after.number, high);
	ck_assert_uint_eq(before.number, low);
	ck_assert_uint_eq(after.number, high);
	ck_assert_uint_eq(shmb_key_value(at.before.key), true_key(bench, low));
	ck_assert_uint_eq(shmb_key_value(at.after.key), true_key(bench, high));
	ck_assert(at.alpha >= 0 && at.alpha <= 1);
	if (true_key(bench, low) == t)
		ck_assert(at.alpha == 0);
	else
		ck_assert_double_eq_tol(at.alpha,
					(double)(t - true_key(bench, low)) / (double)(true_key(bench, high) - true_key(bench, low)), 1e-12);
}

static inline void check_range(struct bench *bench, uint64_t from, uint64_t to)
{
	struct shmb_range range;
	uint64_t first = 0, count = 0;
	int r = shmb_ring_range(bench->ring, key_of(from), key_of(to), &range);

	for (uint64_t n = oldest_of(bench); n < bench->writer.next; n++) {
		if (true_key(bench, n) >= from && true_key(bench, n) <= to && count++ == 0)
			first = n;
	}
	if (count == 0) {
		ck_assert_int_eq(r, oldest_of(bench) == bench->writer.next ? -ENODATA : -ERANGE);
		return;
	}
	ck_assert_int_eq(r, 0);
	ck_assert_uint_eq(range.first, first);
	ck_assert_uint_eq(range.count, count);
	ck_assert_int_eq(range.is_cut, first == oldest_of(bench) && first > bench->geometry.base && first != bench->run);
}

static inline void check_since(struct bench *bench, uint64_t t)
{
	uint64_t expected = bench->writer.next;
	struct element element;

	for (uint64_t n = bench->writer.next; n-- > oldest_of(bench);) {
		if (true_key(bench, n) >= t)
			expected = n;
	}
	ck_assert_int_eq(shmb_ring_since(bench->ring, key_of(t)), 0);
	if (expected == bench->writer.next) {
		ck_assert_int_eq(slots_read_next(&bench->reader->slots, &element, NULL), -ENODATA);
	} else {
		ck_assert_int_eq(slots_read_next(&bench->reader->slots, &element, NULL), 0);
		ck_assert_uint_eq(element.number, expected);
	}
}

static inline void check_all(struct bench *bench, uint64_t t, uint64_t max)
{
	check_closest(bench, t, max);
	check_bracket(bench, t, max);
	check_range(bench, t > max ? t - max : 0, t < UINT64_MAX - max ? t + max : UINT64_MAX);
	check_since(bench, t);
}

#endif
