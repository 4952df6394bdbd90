/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_FRAME_TEMPORAL_FIXTURE_H
#define SHMB_TESTS_FRAME_TEMPORAL_FIXTURE_H

/* A frame in plain memory whose writer and reader are asked by time, and what a search that looks at each frame says of it. */

#include "libclient/segment.h"
#include "tests/support/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { HISTORY = 12, PINS = 8, FRAMES_MAX = 4096 };

/* A payload: its key where the key is a field, and its number. */
struct picture {
	uint64_t key;
	uint64_t number;
};

struct bench {
	struct shmb_geometry geometry;
	struct shmb_shm_card *card;
	struct shmb_shm_data *data;
	struct shmb_shm_area *area;
	struct slots_memory memory;
	struct frame_writer writer;
	struct reader *reader;
	uint64_t keys[FRAMES_MAX];
	uint64_t run; /* number that the run of keys begins with */
};

static _Atomic uint32_t guard = 1;
static const uint64_t granted = 3 << 8 | SHMB_STATE_HELD;

static inline struct shmb_frame_writer *writer_of(struct bench *bench)
{
	return (struct shmb_frame_writer *)&bench->writer;
}

static inline struct shmb_frame_reader *reader_of(struct bench *bench)
{
	return (struct shmb_frame_reader *)bench->reader;
}

static inline void *pages(size_t bytes)
{
	size_t rounded = (bytes + SHMB_PAGE - 1) & ~(size_t)(SHMB_PAGE - 1);
	void *memory = aligned_alloc(SHMB_PAGE, rounded);

	ck_assert_ptr_nonnull(memory);
	memset(memory, 0, rounded);
	return memory;
}

static inline void writer_begin(struct bench *bench)
{
	ck_assert_int_eq(frame_writer_init(&bench->writer, &bench->memory, granted), 0);
	bench->writer.entries.key_bytes = 8;
	bench->run = bench->writer.entries.next;
}

static inline struct bench *bench_new(enum shmb_key_type type, uint32_t field, uint32_t flags)
{
	struct shmb_request request = { .kind = SHMB_KIND_FRAME,
					.flags = flags,
					.payload_align = 8,
					.payload_bytes = sizeof(struct picture),
					.history = HISTORY,
					.pins = PINS,
					.key_type = type,
					.key_field = field };
	struct bench *bench = pages(sizeof(*bench));

	ck_assert_int_eq(shmb_geometry_plan(&request, 1, &bench->geometry, NULL), 0);
	bench->card = pages(sizeof(*bench->card));
	bench->data = pages(bench->geometry.data_bytes);
	bench->area = pages(sizeof(*bench->area));
	bench->reader = pages(sizeof(*bench->reader));
	bench->card->state = granted;
	bench->card->cut = UINT64_MAX;
	bench->card->bound_areas = 1;
	bench->card->cells[0].pid = 1000;
	bench->card->area_cells[0] = 1;
	bench->memory = (struct slots_memory){ .geometry = &bench->geometry,
					       .card = bench->card,
					       .data = bench->data,
					       .areas = { bench->area },
					       .area_count = 1,
					       .guard = &guard };
	writer_begin(bench);
	frame_reader_init(&bench->reader->frame, &bench->memory, &bench->area->cells[0]);
	return bench;
}

static inline struct bench *bench_keyed(void)
{
	return bench_new(SHMB_KEY_MONOTONIC_NS, offsetof(struct picture, key), 0);
}

static inline struct bench *bench_free(struct bench *bench)
{
	frame_writer_deinit(&bench->writer);
	free(bench->card);
	free(bench->data);
	free(bench->area);
	free(bench->reader);
	free(bench);
	return NULL;
}

static inline struct shmb_key_monotonic key_of(uint64_t value)
{
	struct shmb_rule_monotonic any = shmb_rule_range_monotonic(0, UINT64_MAX);
	struct shmb_key_monotonic key;

	ck_assert_int_eq(shmb_key_make(&key, value, &any), 0);
	return key;
}

static inline struct picture *fill(struct bench *bench, uint64_t key)
{
	struct picture *picture;
	size_t capacity;
	void *payload;

	ck_assert_int_eq(shmb_frame_loan(writer_of(bench), &payload, &capacity), 0);
	picture = payload;
	*picture = (struct picture){ .key = key, .number = bench->writer.entries.next };
	return picture;
}

static inline void publish(struct bench *bench, uint64_t key)
{
	uint64_t number = fill(bench, key)->number;

	ck_assert_int_eq(shmb_frame_commit(writer_of(bench), sizeof(struct picture)), 0);
	bench->keys[number] = key;
}

/* What is pinned is this number with this key; lets it go. */
static inline void check_frame(struct bench *bench, struct shmb_frame *frame, uint64_t number)
{
	const struct picture *picture = frame->payload;

	ck_assert_uint_eq(frame->number, number);
	ck_assert_uint_eq(frame->length, sizeof(*picture));
	ck_assert_uint_eq(picture->number, number);
	ck_assert_uint_eq(picture->key, bench->keys[number]);
	ck_assert_int_eq(shmb_frame_release(reader_of(bench), frame), 0);
}

static inline void check_nothing_held(struct bench *bench)
{
	ck_assert_uint_eq(bench->reader->frame.held_mask, 0);
	for (int i = 0; i < SHMB_PINS_PER_CELL; i++)
		ck_assert_uint_eq(bench->area->cells[0].pins[i], 0);
}

/* ---- what a search that looks at each frame says ---- */

static inline uint64_t oldest_of(const struct bench *bench)
{
	uint64_t next = bench->writer.entries.next;
	uint64_t oldest = next > HISTORY ? next - HISTORY : 0;

	return oldest > bench->run ? oldest : bench->run;
}

static inline uint64_t away(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

static inline void check_closest(struct bench *bench, uint64_t t, uint64_t max)
{
	struct shmb_found_monotonic found;
	struct shmb_frame frame;
	int64_t best = -1;
	int r = shmb_frame_closest(reader_of(bench), key_of(t), max, &frame, &found);

	for (uint64_t n = oldest_of(bench); n < bench->writer.entries.next; n++) {
		uint64_t off = away(bench->keys[n], t);

		if (off <= max && (best < 0 || off < away(bench->keys[best], t) || bench->keys[n] == bench->keys[best]))
			best = (int64_t)n;
	}
	if (best < 0) {
		ck_assert_int_eq(r, oldest_of(bench) == bench->writer.entries.next ? -ENODATA : -ERANGE);
		check_nothing_held(bench);
		return;
	}
	ck_assert_msg(r == 0, "closest to %lu: %d, but %ld is", t, r, best);
	ck_assert_uint_eq(found.number, (uint64_t)best);
	ck_assert_uint_eq(shmb_key_value(found.key), bench->keys[best]);
	check_frame(bench, &frame, (uint64_t)best);
	/* the same without a pin */
	ck_assert_int_eq(shmb_frame_closest(reader_of(bench), key_of(t), max, NULL, &found), 0);
	ck_assert_uint_eq(found.number, (uint64_t)best);
	check_nothing_held(bench);
}

static inline void check_bracket(struct bench *bench, uint64_t t)
{
	uint64_t low = UINT64_MAX, high = UINT64_MAX;
	struct shmb_bracket_monotonic at;
	struct shmb_frame before, after;
	int r = shmb_frame_bracket(reader_of(bench), key_of(t), SHMB_ANY_DISTANCE, &before, &after, &at);

	for (uint64_t n = oldest_of(bench); n < bench->writer.entries.next; n++) {
		if (bench->keys[n] <= t)
			low = n;
		else if (high == UINT64_MAX || bench->keys[n] == bench->keys[high])
			high = n;
	}
	if (low != UINT64_MAX && high == UINT64_MAX && bench->keys[low] == t)
		high = low;
	if (low == UINT64_MAX || high == UINT64_MAX) {
		ck_assert_int_eq(r, oldest_of(bench) == bench->writer.entries.next ? -ENODATA : low == UINT64_MAX ? -ESTALE : -ETIME);
		check_nothing_held(bench);
		return;
	}
	ck_assert_int_eq(r, 0);
	ck_assert_uint_eq(at.before.number, low);
	ck_assert_uint_eq(at.after.number, high);
	ck_assert_uint_eq(shmb_key_value(at.before.key), bench->keys[low]);
	ck_assert_uint_eq(shmb_key_value(at.after.key), bench->keys[high]);
	ck_assert(at.alpha >= 0 && at.alpha <= 1);
	if (low != high)
		ck_assert_double_eq_tol(at.alpha, (double)(t - bench->keys[low]) / (double)(bench->keys[high] - bench->keys[low]), 1e-12);
	check_frame(bench, &before, low);
	check_frame(bench, &after, high);
	check_nothing_held(bench);
}

static inline void check_range(struct bench *bench, uint64_t from, uint64_t to)
{
	struct shmb_range range;
	uint64_t first = 0, count = 0;
	int r = shmb_frame_range(reader_of(bench), key_of(from), key_of(to), &range);

	for (uint64_t n = oldest_of(bench); n < bench->writer.entries.next; n++) {
		if (bench->keys[n] >= from && bench->keys[n] <= to && count++ == 0)
			first = n;
	}
	if (count == 0) {
		ck_assert_int_eq(r, oldest_of(bench) == bench->writer.entries.next ? -ENODATA : -ERANGE);
		return;
	}
	ck_assert_int_eq(r, 0);
	ck_assert_uint_eq(range.first, first);
	ck_assert_uint_eq(range.count, count);
	ck_assert_int_eq(range.is_cut, first == oldest_of(bench) && first > 0 && first != bench->run);
}

static inline void check_fresh_and_since(struct bench *bench, uint64_t t)
{
	uint64_t next = bench->writer.entries.next;
	uint64_t expected = next;
	struct shmb_key_monotonic key;
	struct shmb_frame frame;
	int r;

	if (oldest_of(bench) == next)
		return;
	r = shmb_frame_fresh(reader_of(bench), key_of(t), &frame, NULL);
	ck_assert_int_eq(r, bench->keys[next - 1] >= t ? 0 : -ETIME);
	if (r == 0)
		check_frame(bench, &frame, next - 1);
	for (uint64_t n = next; n-- > oldest_of(bench);) {
		ck_assert_int_eq(shmb_frame_key(reader_of(bench), n, &key), 0);
		ck_assert_uint_eq(shmb_key_value(key), bench->keys[n]);
		if (bench->keys[n] >= t)
			expected = n;
	}
	ck_assert_int_eq(shmb_frame_since(reader_of(bench), key_of(t)), 0);
	r = shmb_frame_pin_next(reader_of(bench), &frame);
	ck_assert_int_eq(r, expected == next ? -ENODATA : 0);
	if (r == 0)
		check_frame(bench, &frame, expected);
	check_nothing_held(bench);
}

static inline void check_all(struct bench *bench, uint64_t t, uint64_t max)
{
	check_closest(bench, t, max);
	check_bracket(bench, t);
	check_range(bench, t > max ? t - max : 0, t < UINT64_MAX - max ? t + max : UINT64_MAX);
	check_fresh_and_since(bench, t);
}

#endif
