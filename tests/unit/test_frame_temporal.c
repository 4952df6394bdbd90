/* SPDX-License-Identifier: MIT */
/*
 * Frames in time, on plain memory: the queries against a search that looks at each frame, what they pin, what a commit refuses, and keys that no
 * writer wrote.
 */
#include "libclient/segment.h"
#include "tests/support/unit.h"

#include <errno.h>
#include <pthread.h>
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

static struct shmb_frame_writer *writer_of(struct bench *bench)
{
	return (struct shmb_frame_writer *)&bench->writer;
}

static struct shmb_frame_reader *reader_of(struct bench *bench)
{
	return (struct shmb_frame_reader *)bench->reader;
}

static void *pages(size_t bytes)
{
	size_t rounded = (bytes + SHMB_PAGE - 1) & ~(size_t)(SHMB_PAGE - 1);
	void *memory = aligned_alloc(SHMB_PAGE, rounded);

	ck_assert_ptr_nonnull(memory);
	memset(memory, 0, rounded);
	return memory;
}

static void writer_begin(struct bench *bench)
{
	ck_assert_int_eq(frame_writer_init(&bench->writer, &bench->memory, granted), 0);
	bench->writer.entries.key_bytes = 8;
	bench->run = bench->writer.entries.next;
}

static struct bench *bench_new(enum shmb_key_type type, uint32_t field, uint32_t flags)
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

static struct bench *bench_keyed(void)
{
	return bench_new(SHMB_KEY_MONOTONIC_NS, offsetof(struct picture, key), 0);
}

static struct bench *bench_free(struct bench *bench)
{
	frame_writer_deinit(&bench->writer);
	free(bench->card);
	free(bench->data);
	free(bench->area);
	free(bench->reader);
	free(bench);
	return NULL;
}

static struct shmb_key_monotonic key_of(uint64_t value)
{
	struct shmb_rule_monotonic any = shmb_rule_range_monotonic(0, UINT64_MAX);
	struct shmb_key_monotonic key;

	ck_assert_int_eq(shmb_key_make(&key, value, &any), 0);
	return key;
}

static struct picture *fill(struct bench *bench, uint64_t key)
{
	struct picture *picture;
	size_t capacity;
	void *payload;

	ck_assert_int_eq(shmb_frame_loan(writer_of(bench), &payload, &capacity), 0);
	picture = payload;
	*picture = (struct picture){ .key = key, .number = bench->writer.entries.next };
	return picture;
}

static void publish(struct bench *bench, uint64_t key)
{
	uint64_t number = fill(bench, key)->number;

	ck_assert_int_eq(shmb_frame_commit(writer_of(bench), sizeof(struct picture)), 0);
	bench->keys[number] = key;
}

/* What is pinned is this number with this key; lets it go. */
static void check_frame(struct bench *bench, struct shmb_frame *frame, uint64_t number)
{
	const struct picture *picture = frame->payload;

	ck_assert_uint_eq(frame->number, number);
	ck_assert_uint_eq(frame->length, sizeof(*picture));
	ck_assert_uint_eq(picture->number, number);
	ck_assert_uint_eq(picture->key, bench->keys[number]);
	ck_assert_int_eq(shmb_frame_release(reader_of(bench), frame), 0);
}

static void check_nothing_held(struct bench *bench)
{
	ck_assert_uint_eq(bench->reader->frame.held_mask, 0);
	for (int i = 0; i < SHMB_PINS_PER_CELL; i++)
		ck_assert_uint_eq(bench->area->cells[0].pins[i], 0);
}

/* ---- what a search that looks at each frame says ---- */

static uint64_t oldest_of(const struct bench *bench)
{
	uint64_t next = bench->writer.entries.next;
	uint64_t oldest = next > HISTORY ? next - HISTORY : 0;

	return oldest > bench->run ? oldest : bench->run;
}

static uint64_t away(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

static void check_closest(struct bench *bench, uint64_t t, uint64_t max)
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

static void check_bracket(struct bench *bench, uint64_t t)
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

static void check_range(struct bench *bench, uint64_t from, uint64_t to)
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

static void check_fresh_and_since(struct bench *bench, uint64_t t)
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

static void check_all(struct bench *bench, uint64_t t, uint64_t max)
{
	check_closest(bench, t, max);
	check_bracket(bench, t);
	check_range(bench, t > max ? t - max : 0, t < UINT64_MAX - max ? t + max : UINT64_MAX);
	check_fresh_and_since(bench, t);
}

/* ---- tests ---- */

START_TEST(answers_are_those_of_looking_at_each)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct bench *bench = bench_keyed();
		uint64_t random = seed;
		uint64_t key = unit_random(&random) % 100;

		check_all(bench, key, 10);
		for (int i = 0; i < 150; i++) {
			/* even, jittered, with gaps and with equal ones */
			key += seed % 4 == 0 ? 10 : unit_random(&random) % (seed % 4 == 1 ? 3 : 20);
			publish(bench, key);
			if (seed % 5 == 0 && i == 90) {
				ck_assert_int_eq(shmb_frame_restart_keys(writer_of(bench)), 0);
				bench->run = bench->writer.entries.next;
				key = 3;
			}
			check_all(bench, key - unit_random(&random) % (key / 2 + 1), unit_random(&random) % 40);
			check_all(bench, key, 0);
			check_all(bench, key + 1, 1);
		}
		bench_free(bench);
	}
}
END_TEST

START_TEST(keys_use_all_64_bits)
{
	struct bench *bench = bench_keyed();

	publish(bench, 0);
	publish(bench, 1);
	publish(bench, (UINT64_C(1) << 63) + 5);
	publish(bench, UINT64_MAX - 1);
	publish(bench, UINT64_MAX);
	for (unsigned i = 0; i < 64; i++)
		check_all(bench, UINT64_MAX >> i, UINT64_MAX >> (i / 2));
	bench_free(bench);
}
END_TEST

START_TEST(refused_commits_leave_the_frame_on_loan)
{
	struct bench *bench = bench_keyed();
	struct picture *picture;

	publish(bench, 100);
	picture = fill(bench, 99);
	ck_assert_int_eq(shmb_frame_commit(writer_of(bench), sizeof(*picture)), -EDOM);
	picture->key = 150;
	ck_assert_int_eq(shmb_frame_commit(writer_of(bench), sizeof(*picture) + 1), -EMSGSIZE);
	ck_assert_int_eq(shmb_frame_commit(writer_of(bench), 7), -EMSGSIZE); /* the key ends behind it */
	ck_assert_int_eq(shmb_frame_commit_at(writer_of(bench), sizeof(*picture), key_of(150)), -EXDEV);
	bench->writer.entries.key_is_signed = true;
	picture->key = UINT64_C(1) << 63;
	ck_assert_int_eq(shmb_frame_commit(writer_of(bench), sizeof(*picture)), -ERANGE);
	picture->key = 150;
	ck_assert_uint_eq(shmb_frame_next_number(writer_of(bench)), 1);
	check_closest(bench, 150, 100);
	ck_assert_int_eq(shmb_frame_commit(writer_of(bench), sizeof(*picture)), 0);
	bench->keys[1] = 150;
	check_all(bench, 140, 60);
	/* once, after a restart, it may be lower */
	ck_assert_int_eq(shmb_frame_restart_keys(writer_of(bench)), 0);
	bench->run = 2;
	publish(bench, 5);
	check_all(bench, 5, 1000);
	fill(bench, 4);
	ck_assert_int_eq(shmb_frame_commit(writer_of(bench), sizeof(*picture)), -EDOM);
	bench_free(bench);
}
END_TEST

START_TEST(keys_that_are_given)
{
	struct bench *bench = bench_new(SHMB_KEY_SEQUENCE, SHMB_KEY_IS_GIVEN, SHMB_SEGMENT_STAMPED);
	struct shmb_rule_sequence any = shmb_rule_range_sequence(0, UINT64_MAX);
	struct shmb_key_sequence key;
	struct shmb_found_sequence found;
	struct shmb_frame frame;

	fill(bench, 0);
	ck_assert_int_eq(shmb_frame_commit(writer_of(bench), 0), -ENOKEY);
	ck_assert_int_eq(shmb_frame_commit_at(writer_of(bench), 0, key_of(7)), -EXDEV);
	ck_assert_int_eq(shmb_key_make(&key, 1000, &any), 0);
	ck_assert_int_eq(shmb_frame_commit_at(writer_of(bench), 0, key), 0); /* no payload is needed */
	fill(bench, 0);
	ck_assert_int_eq(shmb_key_make(&key, 999, &any), 0);
	ck_assert_int_eq(shmb_frame_commit_at(writer_of(bench), 16, key), -EDOM);
	ck_assert_int_eq(shmb_key_make(&key, 1010, &any), 0);
	ck_assert_int_eq(shmb_frame_commit_at(writer_of(bench), 16, key), 0);
	ck_assert_int_eq(shmb_frame_clock(reader_of(bench)), SHMB_CLOCK_SEQUENCE);
	ck_assert_int_eq(shmb_frame_closest(reader_of(bench), key, 0, &frame, &found), 0);
	ck_assert_uint_eq(found.number, 1);
	ck_assert_uint_eq(shmb_key_value(found.key), 1010);
	ck_assert(found.stamp_ns != 0 && found.stamp_ns == frame.stamp_ns);
	ck_assert_int_eq(shmb_frame_release(reader_of(bench), &frame), 0);
	ck_assert_int_eq(shmb_frame_closest(reader_of(bench), key, 0, NULL, &found), 0);
	ck_assert(found.stamp_ns != 0);
	/* and a monotonic time finds nothing in it */
	ck_assert_int_eq(shmb_frame_closest(reader_of(bench), key_of(1010), 5, &frame, NULL), -EXDEV);
	bench_free(bench);
}
END_TEST

START_TEST(without_keys_stamps_are_searched_or_nothing)
{
	struct bench *plain = bench_new(SHMB_KEY_NONE, SHMB_KEY_IS_STAMP, 0);
	struct bench *stamped = bench_new(SHMB_KEY_NONE, SHMB_KEY_IS_STAMP, SHMB_SEGMENT_STAMPED);
	struct bench *stamp_key = bench_new(SHMB_KEY_MONOTONIC_NS, SHMB_KEY_IS_STAMP, SHMB_SEGMENT_STAMPED);
	struct bench *searched[2] = { stamped, stamp_key };
	struct shmb_found_monotonic found;
	struct shmb_frame frame;
	uint64_t lag;

	publish(plain, 5);
	ck_assert_int_eq(shmb_frame_clock(reader_of(plain)), SHMB_CLOCK_NONE);
	ck_assert_int_eq(shmb_frame_closest(reader_of(plain), key_of(5), 5, &frame, NULL), -EXDEV);
	ck_assert_int_eq(shmb_frame_seek_age(reader_of(plain), 5), -EXDEV);
	ck_assert_int_eq(shmb_frame_restart_keys(writer_of(plain)), -EINVAL);
	for (unsigned i = 0; i < 2; i++) {
		struct bench *bench = searched[i];

		for (unsigned n = 0; n < 5; n++)
			publish(bench, n);
		ck_assert_int_eq(shmb_frame_clock(reader_of(bench)), SHMB_CLOCK_MONOTONIC);
		ck_assert_int_eq(shmb_frame_pin_number(reader_of(bench), 3, &frame), 0);
		ck_assert_int_eq(shmb_frame_closest(reader_of(bench), key_of(frame.stamp_ns), 0, NULL, &found), 0);
		ck_assert_uint_eq(found.stamp_ns, frame.stamp_ns);
		ck_assert_uint_eq(shmb_key_value(found.key), frame.stamp_ns);
		check_frame(bench, &frame, 3);
		ck_assert_int_eq(shmb_frame_seek_age(reader_of(bench), UINT64_C(3600000000000)), 0);
		ck_assert_int_eq(shmb_frame_lag(reader_of(bench), &lag), 0);
		ck_assert_uint_eq(lag, 5);
		ck_assert_int_eq(shmb_frame_seek(reader_of(bench), 4), 0);
		ck_assert_int_eq(shmb_frame_seek_oldest(reader_of(bench)), 0);
		ck_assert_int_eq(shmb_frame_pin_next(reader_of(bench), &frame), 0);
		check_frame(bench, &frame, 0);
	}
	bench_free(plain);
	bench_free(stamped);
	bench_free(stamp_key);
}
END_TEST

START_TEST(a_pin_found_by_key_protects_as_any)
{
	struct bench *bench = bench_keyed();
	struct shmb_frame before, after, one;

	for (uint64_t i = 0; i < 5; i++)
		publish(bench, i * 10);
	ck_assert_int_eq(shmb_frame_bracket(reader_of(bench), key_of(25), 10, &before, &after, NULL), 0);
	for (uint64_t i = 5; i < 100; i++)
		publish(bench, i * 10);
	check_frame(bench, &before, 2);
	check_frame(bench, &after, 3);
	ck_assert_int_eq(shmb_frame_closest(reader_of(bench), key_of(25), 10, &one, NULL), -ERANGE);
	ck_assert_int_eq(shmb_frame_bracket(reader_of(bench), key_of(25), 10, &before, &after, NULL), -ESTALE);
	/* an exact hit of the newest: the same frame twice */
	ck_assert_int_eq(shmb_frame_bracket(reader_of(bench), key_of(990), 10, &before, &after, NULL), 0);
	check_frame(bench, &before, 99);
	check_frame(bench, &after, 99);
	check_nothing_held(bench);
	bench_free(bench);
}
END_TEST

START_TEST(quota_both_or_none)
{
	struct bench *bench = bench_keyed();
	struct shmb_frame frames[SHMB_FRAME_PINS], before, after;
	struct shmb_found_monotonic found;
	struct picture copy;

	for (uint64_t i = 0; i < 5; i++)
		publish(bench, i * 10);
	for (int i = 0; i < SHMB_FRAME_PINS - 1; i++)
		ck_assert_int_eq(shmb_frame_pin_newest(reader_of(bench), &frames[i]), 0);
	ck_assert_int_eq(shmb_frame_bracket(reader_of(bench), key_of(25), 10, &before, &after, NULL), -EMFILE);
	ck_assert_int_eq(shmb_frame_closest(reader_of(bench), key_of(25), 10, &before, NULL), 0);
	check_frame(bench, &before, 2);
	for (int i = 0; i < SHMB_FRAME_PINS - 1; i++)
		check_frame(bench, &frames[i], 4);
	check_nothing_held(bench);
	/* without a cell: found, and loaded */
	frame_reader_drop_cell(&bench->reader->frame);
	ck_assert_int_eq(shmb_frame_closest(reader_of(bench), key_of(25), 10, &before, NULL), -EUSERS);
	ck_assert_int_eq(shmb_frame_closest(reader_of(bench), key_of(31), 10, NULL, &found), 0);
	ck_assert_int_eq(shmb_frame_load_number(reader_of(bench), found.number, &copy, sizeof(copy), &before), 0);
	ck_assert_uint_eq(copy.key, 30);
	ck_assert_uint_eq(copy.number, 3);
	ck_assert_ptr_eq(before.payload, &copy);
	ck_assert_int_eq(shmb_frame_load_number(reader_of(bench), 5, &copy, sizeof(copy), &before), -ENODATA);
	ck_assert_int_eq(shmb_frame_load_number(reader_of(bench), 3, &copy, 15, &before), -EMSGSIZE);
	ck_assert_int_eq(shmb_frame_load_number(reader_of(bench), 3, NULL, 15, &before), -EINVAL);
	bench_free(bench);
}
END_TEST

START_TEST(no_query_looks_behind_a_lease)
{
	struct bench *bench = bench_keyed();
	struct shmb_frame frame;

	for (uint64_t i = 0; i < 5; i++)
		publish(bench, 1000 + i);
	frame_writer_deinit(&bench->writer);
	writer_begin(bench);
	ck_assert_int_eq(shmb_frame_closest(reader_of(bench), key_of(1000), 5, &frame, NULL), -ENODATA);
	ck_assert_int_eq(shmb_frame_pin_newest(reader_of(bench), &frame), 0); /* by number it is there */
	check_frame(bench, &frame, 4);
	publish(bench, 7);
	check_all(bench, 7, 2000);
	bench_free(bench);
}
END_TEST

START_TEST(join_of_rings_and_frames)
{
	struct bench *fast = bench_keyed();
	struct bench *slow = bench_keyed();
	struct shmb_frame one, before, after;
	struct shmb_join_part_monotonic parts[] = {
		{ .frames = reader_of(fast), .how = SHMB_JOIN_BRACKET, .max_distance = 5, .frame = &before, .frame_after = &after },
		{ .frames = reader_of(slow), .how = SHMB_JOIN_CLOSEST, .max_distance = 50, .frame = &one },
	};
	size_t failed = 99;

	for (uint64_t i = 0; i < 40; i++)
		publish(fast, 1000 + i * 5);
	for (uint64_t i = 0; i < 3; i++)
		publish(slow, 1000 + i * 100);
	ck_assert_int_eq(shmb_join(parts, 2, key_of(1162), &failed), 0);
	ck_assert_uint_eq(shmb_key_value(parts[0].found.before.key), 1160);
	ck_assert_double_eq_tol(parts[0].found.alpha, 0.4, 1e-12);
	ck_assert_uint_eq(shmb_key_value(parts[1].found.before.key), 1200);
	ck_assert_uint_eq(parts[1].found.after.number, 2);
	check_frame(fast, &before, 32);
	check_frame(fast, &after, 33);
	check_frame(slow, &one, 2);
	/* the last has none: nothing is held of those before it */
	ck_assert_int_eq(shmb_join(parts, 2, key_of(1150), &failed), 0);
	check_frame(fast, &before, 30);
	check_frame(fast, &after, 31);
	check_frame(slow, &one, 1);
	parts[1].max_distance = 10;
	ck_assert_int_eq(shmb_join(parts, 2, key_of(1150), &failed), -ERANGE);
	ck_assert_uint_eq(failed, 1);
	check_nothing_held(fast);
	check_nothing_held(slow);
	parts[1].frame = NULL;
	ck_assert_int_eq(shmb_join(parts, 2, key_of(1150), &failed), -EINVAL);
	ck_assert_uint_eq(failed, 1);
	parts[1] = (struct shmb_join_part_monotonic){ .max_distance = 10 };
	ck_assert_int_eq(shmb_join(parts, 2, key_of(1150), &failed), -EINVAL);
	check_nothing_held(fast);
	bench_free(fast);
	bench_free(slow);
}
END_TEST

START_TEST(forked_child_is_told)
{
	struct bench *bench = bench_keyed();
	struct shmb_key_monotonic key;
	struct shmb_range range;
	struct shmb_frame frame;

	publish(bench, 5);
	guard = 0;
	ck_assert_int_eq(shmb_frame_closest(reader_of(bench), key_of(5), 5, &frame, NULL), -EOWNERDEAD);
	ck_assert_int_eq(shmb_frame_bracket(reader_of(bench), key_of(5), 5, &frame, &frame, NULL), -EOWNERDEAD);
	ck_assert_int_eq(shmb_frame_fresh(reader_of(bench), key_of(5), &frame, NULL), -EOWNERDEAD);
	ck_assert_int_eq(shmb_frame_range(reader_of(bench), key_of(5), key_of(6), &range), -EOWNERDEAD);
	ck_assert_int_eq(shmb_frame_key(reader_of(bench), 0, &key), -EOWNERDEAD);
	ck_assert_int_eq(shmb_frame_since(reader_of(bench), key_of(5)), -EOWNERDEAD);
	ck_assert_int_eq(shmb_frame_load_number(reader_of(bench), 0, &key, sizeof(key), &frame), -EOWNERDEAD);
	ck_assert_int_eq(shmb_frame_commit_at(writer_of(bench), 0, key_of(5)), -EOWNERDEAD);
	ck_assert_int_eq(shmb_frame_restart_keys(writer_of(bench)), -EOWNERDEAD);
	guard = 1;
	bench_free(bench);
}
END_TEST

/* Whatever the memory holds: an error that is documented, or something that lies in the pool; and nothing is left pinned. */
START_TEST(rubbish_is_survived)
{
	static const int errors[] = { 0, -ENODATA, -ERANGE, -ETIME, -ESTALE, -EAGAIN, -EBADMSG };
	uint64_t random = 7;

	for (int round = 0; round < 1500; round++) {
		struct bench *bench = bench_keyed();
		struct shmb_frame before = { 0 }, after = { 0 };
		struct shmb_range range;
		struct picture copy;
		int results[5];

		for (uint64_t i = 0; i < 20; i++)
			publish(bench, i);
		for (unsigned i = 0; i < 1 + unit_random(&random) % 20; i++) {
			uint64_t begin = bench->geometry.key_offset;
			uint64_t span = bench->geometry.entry_offset + ((uint64_t)bench->geometry.entry_count << 6) - begin;
			uint64_t *at = (uint64_t *)((char *)bench->data + begin + unit_random(&random) % span / 8 * 8);

			*at = unit_random(&random) >> unit_random(&random) % 64;
		}
		if (round % 3 == 0)
			bench->data->counter = unit_random(&random) >> unit_random(&random) % 64;
		if (round % 4 == 0)
			bench->data->key_base = unit_random(&random) >> unit_random(&random) % 64;
		results[0] = shmb_frame_closest(reader_of(bench), key_of(unit_random(&random) % 50), 100, &before, NULL);
		if (results[0] == 0)
			shmb_frame_release(reader_of(bench), &before);
		results[1] = shmb_frame_bracket(reader_of(bench), key_of(unit_random(&random) % 50), 100, &before, &after, NULL);
		if (results[1] == 0) {
			copy = *(const struct picture *)before.payload;
			copy = *(const struct picture *)after.payload;
			shmb_frame_release(reader_of(bench), &before);
			shmb_frame_release(reader_of(bench), &after);
		}
		results[2] = shmb_frame_range(reader_of(bench), key_of(3), key_of(30), &range);
		results[3] = shmb_frame_fresh(reader_of(bench), key_of(3), NULL, NULL);
		results[4] = shmb_frame_load_number(reader_of(bench), 15, &copy, sizeof(copy), &before);
		check_nothing_held(bench);
		for (int i = 0; i < 5; i++) {
			bool known = false;

			for (unsigned e = 0; e < sizeof(errors) / sizeof(errors[0]); e++)
				known |= results[i] == errors[e];
			ck_assert_msg(known, "query %d: %d", i, results[i]);
		}
		bench_free(bench);
	}
}
END_TEST

/* A writer at full speed against a reader that pins by key: what is pinned is what was asked for, from pin to release. */
static void *write_all(void *arg)
{
	struct bench *bench = arg;

	for (uint64_t i = 0; i < 200000; i++) {
		struct picture *picture;
		size_t capacity;
		void *payload;

		if (shmb_frame_loan(writer_of(bench), &payload, &capacity) != 0)
			abort();
		picture = payload;
		*picture = (struct picture){ .key = i * 10, .number = i };
		if (shmb_frame_commit(writer_of(bench), sizeof(*picture)) != 0)
			abort();
	}
	return NULL;
}

START_TEST(race)
{
	struct bench *bench = bench_keyed();
	uint64_t pinned = 0, asked = 0, newest = 0;
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, write_all, bench), 0);
	while (newest < 1999990) {
		struct shmb_found_monotonic found;
		struct shmb_frame frame;
		uint64_t t;
		int r = shmb_frame_fresh(reader_of(bench), key_of(0), NULL, &found);

		if (r != 0)
			continue;
		newest = shmb_key_value(found.key);
		t = newest > 45 ? newest - 45 + asked++ % 40 : newest;
		r = shmb_frame_closest(reader_of(bench), key_of(t), 5, &frame, &found);
		if (r == 0) {
			const struct picture *picture = frame.payload;

			ck_assert_uint_eq(picture->number, found.number);
			ck_assert_uint_eq(picture->key, found.number * 10);
			ck_assert_uint_eq(shmb_key_value(found.key), found.number * 10);
			ck_assert_uint_le(away(t, picture->key), 5);
			ck_assert_int_eq(shmb_frame_release(reader_of(bench), &frame), 0);
			pinned++;
		} else {
			ck_assert_msg(r == -ERANGE || r == -EAGAIN || r == -ENODATA, "closest: %d", r);
		}
	}
	pthread_join(thread, NULL);
	ck_assert_uint_gt(pinned, 0);
	check_nothing_held(bench);
	bench_free(bench);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("frame_temporal");

	unit_add(suite, answers_are_those_of_looking_at_each, 30);
	unit_add(suite, keys_use_all_64_bits, 5);
	unit_add(suite, refused_commits_leave_the_frame_on_loan, 5);
	unit_add(suite, keys_that_are_given, 5);
	unit_add(suite, without_keys_stamps_are_searched_or_nothing, 5);
	unit_add(suite, a_pin_found_by_key_protects_as_any, 5);
	unit_add(suite, quota_both_or_none, 5);
	unit_add(suite, no_query_looks_behind_a_lease, 5);
	unit_add(suite, join_of_rings_and_frames, 5);
	unit_add(suite, forked_child_is_told, 5);
	unit_add(suite, rubbish_is_survived, 30);
	unit_add(suite, race, 60);
	return unit_run(suite);
}
