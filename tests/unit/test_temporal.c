/* SPDX-License-Identifier: MIT */
/*
 * Temporal queries on plain memory: every answer against a search that looks at each element, edges and errors, what a writer in the middle of
 * a write leaves, a writer that never stops, and memory that no writer wrote.
 *
 * The payload's first word is the key, the second the number, so that a copy tells whether it is what was found.
 */
#include "libclient/segment.h"
#include "tests/support/unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

static void *pages(size_t bytes)
{
	size_t rounded = (bytes + SHMB_PAGE - 1) & ~(size_t)(SHMB_PAGE - 1);
	void *memory = aligned_alloc(SHMB_PAGE, rounded);

	ck_assert_ptr_nonnull(memory);
	memset(memory, 0, rounded);
	return memory;
}

static struct bench *bench_new(const struct shmb_request *request, uint64_t base)
{
	struct bench *bench = pages(sizeof(*bench));

	ck_assert_int_eq(shmb_geometry_plan(request, 0, &bench->geometry, NULL), 0);
	bench->geometry.base = base;
	bench->card = pages(sizeof(*bench->card));
	bench->data = pages(bench->geometry.data_bytes);
	bench->reader = pages(sizeof(*bench->reader));
	bench->ring = (struct shmb_ring_reader *)bench->reader;
	bench->card->state = granted;
	bench->data->counter = base;
	bench->run = base;
	bench->memory = (struct slots_memory){ .geometry = &bench->geometry, .card = bench->card, .data = bench->data, .guard = &guard };
	ck_assert_int_eq(slots_writer_init(&bench->writer, &bench->memory, granted), 0);
	bench->writer.key_bytes = 8;
	slots_reader_init(&bench->reader->slots, &bench->memory, NULL);
	return bench;
}

static struct bench *bench_keyed(uint32_t capacity, uint64_t base)
{
	struct shmb_request request = { .kind = SHMB_KIND_RING,
					.capacity = capacity,
					.payload_align = 8,
					.payload_bytes = sizeof(struct element),
					.key_type = SHMB_KEY_MONOTONIC_NS,
					.key_field = 0 };

	return bench_new(&request, base);
}

static void bench_free(struct bench *bench)
{
	free(bench->card);
	free(bench->data);
	free(bench->reader);
	free(bench);
}

static int insert(struct bench *bench, uint64_t key)
{
	struct element element = { .key = key, .number = bench->writer.next };
	int r = slots_publish(&bench->writer, &element);

	if (r == 0)
		bench->keys[element.number - bench->geometry.base] = key;
	return r;
}

static void must_insert(struct bench *bench, uint64_t key)
{
	ck_assert_int_eq(insert(bench, key), 0);
}

static struct shmb_key_monotonic key_of(uint64_t value)
{
	struct shmb_rule_monotonic any = shmb_rule_range_monotonic(0, UINT64_MAX);
	struct shmb_key_monotonic key;

	ck_assert_int_eq(shmb_key_make(&key, value, &any), 0);
	return key;
}

/* ---- what a search that looks at each element says ---- */

static uint64_t oldest_of(const struct bench *bench)
{
	uint64_t next = bench->writer.next;
	uint64_t served = bench->geometry.slot_count - 1;
	uint64_t oldest = next > served ? next - served : 0;

	oldest = oldest > bench->geometry.base ? oldest : bench->geometry.base;
	return oldest > bench->run ? oldest : bench->run;
}

static uint64_t true_key(const struct bench *bench, uint64_t number)
{
	return bench->keys[number - bench->geometry.base];
}

static uint64_t away(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

/* The closest: equally far, the earlier key; equal keys, the newest. -1 none. */
static int64_t true_closest(const struct bench *bench, uint64_t t, uint64_t max)
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

static void check_closest(struct bench *bench, uint64_t t, uint64_t max)
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

static void check_bracket(struct bench *bench, uint64_t t, uint64_t max)
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

static void check_range(struct bench *bench, uint64_t from, uint64_t to)
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

static void check_since(struct bench *bench, uint64_t t)
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

static void check_all(struct bench *bench, uint64_t t, uint64_t max)
{
	check_closest(bench, t, max);
	check_bracket(bench, t, max);
	check_range(bench, t > max ? t - max : 0, t < UINT64_MAX - max ? t + max : UINT64_MAX);
	check_since(bench, t);
}

/* Steps of many shapes: even, jittered, bursts, repeats, gaps of many magnitudes. */
static uint64_t step(uint64_t *random, unsigned shape)
{
	uint64_t r = unit_random(random);

	switch (shape) {
	case 0:
		return 1000;
	case 1:
		return 990 + r % 21;
	case 2:
		return r % 3 == 0 ? 0 : r % 100;
	case 3:
		return r % 50 == 0 ? UINT64_C(1000000000000) : r % 5;
	default:
		return UINT64_C(1) << r % 40;
	}
}

START_TEST(answers_are_those_of_looking_at_each)
{
	static const uint32_t capacities[] = { 2, 4, 16, 64, 1024 };
	uint64_t random = 7;

	for (unsigned shape = 0; shape < 5; shape++) {
		for (unsigned c = 0; c < 5; c++) {
			struct bench *bench = bench_keyed(capacities[c], c % 2 ? 1000 : 0);
			uint64_t key = shape == 2 ? 0 : 1000000;

			for (unsigned i = 0; i < capacities[c] * 3; i++) {
				key += step(&random, shape);
				must_insert(bench, key);
				if (capacities[c] > 64 && i % 97 != 0)
					continue;
				for (int query = 0; query < 12; query++) {
					uint64_t oldest = true_key(bench, oldest_of(bench));
					uint64_t span = key - oldest + 1;
					uint64_t t = oldest - oldest / 10 + unit_random(&random) % (span + span / 4 + 10);

					if (query % 3 == 0) /* a key itself, or beside it */
						t = true_key(bench, oldest_of(bench) + unit_random(&random) %
											       (bench->writer.next - oldest_of(bench))) +
						    unit_random(&random) % 3 - (t > 0);
					check_all(bench, t, query % 2 ? UINT64_MAX / 4 : unit_random(&random) % (span / 2 + 2));
				}
			}
			bench_free(bench);
		}
	}
}
END_TEST

START_TEST(keys_use_all_64_bits)
{
	static const uint64_t keys[] = { 0, 1, UINT64_C(1) << 62, UINT64_C(1) << 63, (UINT64_C(1) << 63) + 1, UINT64_MAX - 1, UINT64_MAX };
	struct bench *bench = bench_keyed(16, 0);

	for (unsigned i = 0; i < 7; i++) {
		must_insert(bench, keys[i]);
		for (unsigned k = 0; k < 7; k++) {
			check_closest(bench, keys[k], UINT64_MAX);
			check_bracket(bench, keys[k], UINT64_MAX);
			check_closest(bench, keys[k] / 2, UINT64_MAX);
			check_bracket(bench, keys[k] - keys[k] / 3, UINT64_MAX);
		}
	}
	bench_free(bench);
}
END_TEST

START_TEST(equal_keys_the_newest_counts)
{
	struct bench *bench = bench_keyed(16, 0);
	struct shmb_found_monotonic found;
	struct shmb_bracket_monotonic at;
	struct element a, b;

	must_insert(bench, 10);
	for (int i = 0; i < 4; i++)
		must_insert(bench, 20); /* 1 to 4 */
	for (int i = 0; i < 3; i++)
		must_insert(bench, 30); /* 5 to 7 */
	ck_assert_int_eq(shmb_ring_closest(bench->ring, key_of(20), 0, &a, &found), 0);
	ck_assert_uint_eq(found.number, 4);
	ck_assert_int_eq(shmb_ring_closest(bench->ring, key_of(29), 5, &a, &found), 0);
	ck_assert_uint_eq(found.number, 7);
	/* Equally far from both: the earlier. */
	ck_assert_int_eq(shmb_ring_closest(bench->ring, key_of(25), 5, &a, &found), 0);
	ck_assert_uint_eq(found.number, 4);
	ck_assert_int_eq(shmb_ring_bracket(bench->ring, key_of(25), 5, &a, &b, &at), 0);
	ck_assert_uint_eq(at.before.number, 4);
	ck_assert_uint_eq(at.after.number, 7);
	ck_assert(at.alpha == 0.5);
	bench_free(bench);
}
END_TEST

START_TEST(nothing_there_has_a_code_for_each_case)
{
	struct bench *bench = bench_keyed(4, 0);
	struct element a, b;

	memset(&a, 0x55, sizeof(a));
	ck_assert_int_eq(shmb_ring_closest(bench->ring, key_of(5), SHMB_ANY_DISTANCE, &a, NULL), -ENODATA);
	ck_assert_int_eq(shmb_ring_bracket(bench->ring, key_of(5), SHMB_ANY_DISTANCE, &a, &b, NULL), -ENODATA);
	ck_assert_int_eq(shmb_ring_fresh(bench->ring, key_of(5), &a, NULL), -ENODATA);
	ck_assert_uint_eq(a.key, UINT64_C(0x5555555555555555));
	must_insert(bench, 100);
	must_insert(bench, 200);
	ck_assert_int_eq(shmb_ring_closest(bench->ring, key_of(130), 29, &a, NULL), -ERANGE);
	ck_assert_int_eq(shmb_ring_closest(bench->ring, key_of(130), 30, &a, NULL), 0);
	ck_assert_int_eq(shmb_ring_bracket(bench->ring, key_of(99), 1000, &a, &b, NULL), -ESTALE);
	ck_assert_int_eq(shmb_ring_bracket(bench->ring, key_of(201), 1000, &a, &b, NULL), -ETIME);
	ck_assert_int_eq(shmb_ring_bracket(bench->ring, key_of(130), 69, &a, &b, NULL), -ERANGE);
	ck_assert_int_eq(shmb_ring_bracket(bench->ring, key_of(130), 70, &a, &b, NULL), 0);
	ck_assert_int_eq(shmb_ring_fresh(bench->ring, key_of(201), &a, NULL), -ETIME);
	ck_assert_int_eq(shmb_ring_fresh(bench->ring, key_of(200), &a, NULL), 0);
	ck_assert_uint_eq(a.number, 1);
	bench_free(bench);
}
END_TEST

START_TEST(a_key_of_another_clock_is_refused)
{
	struct bench *bench = bench_keyed(4, 0);
	struct shmb_rule_realtime realtime = shmb_rule_range_realtime(0, UINT64_MAX);
	struct shmb_rule_sequence sequence = shmb_rule_range_sequence(0, UINT64_MAX);
	struct shmb_key_realtime utc;
	struct shmb_key_sequence count;
	struct shmb_range range;
	struct element a, b;

	ck_assert_int_eq(shmb_key_make(&utc, 100, &realtime), 0);
	ck_assert_int_eq(shmb_key_make(&count, 100, &sequence), 0);
	must_insert(bench, 100);
	ck_assert_int_eq(shmb_ring_clock(bench->ring), SHMB_CLOCK_MONOTONIC);
	ck_assert_int_eq(shmb_ring_closest(bench->ring, utc, 10, &a, NULL), -EXDEV);
	ck_assert_int_eq(shmb_ring_closest(bench->ring, count, 10, &a, NULL), -EXDEV);
	ck_assert_int_eq(shmb_ring_bracket(bench->ring, utc, 10, &a, &b, NULL), -EXDEV);
	ck_assert_int_eq(shmb_ring_range(bench->ring, utc, utc, &range), -EXDEV);
	ck_assert_int_eq(shmb_ring_fresh(bench->ring, utc, &a, NULL), -EXDEV);
	ck_assert_int_eq(shmb_ring_since(bench->ring, utc), -EXDEV);
	ck_assert_int_eq(shmb_ring_key(bench->ring, 0, &utc), -EXDEV);
	ck_assert_int_eq(shmb_ring_closest(bench->ring, key_of(100), 10, &a, NULL), 0);
	ck_assert_int_eq(shmb_ring_range(bench->ring, key_of(2), key_of(1), &range), -EINVAL);
	bench_free(bench);
}
END_TEST

START_TEST(without_keys_stamps_are_searched_or_nothing)
{
	struct shmb_request request = {
		.kind = SHMB_KIND_RING, .capacity = 8, .payload_align = 8, .payload_bytes = 16, .key_field = SHMB_KEY_IS_STAMP
	};
	struct bench *plain = bench_new(&request, 0);
	struct shmb_found_monotonic found;
	struct bench *stamped;
	struct element a;

	must_insert(plain, 1);
	ck_assert_int_eq(shmb_ring_clock(plain->ring), SHMB_CLOCK_NONE);
	ck_assert_int_eq(shmb_ring_closest(plain->ring, key_of(1), 10, &a, NULL), -EXDEV);
	bench_free(plain);

	request.flags = SHMB_SEGMENT_STAMPED;
	for (int keyed = 0; keyed < 2; keyed++) {
		request.key_type = keyed ? SHMB_KEY_MONOTONIC_NS : SHMB_KEY_NONE;
		stamped = bench_new(&request, 0);
		for (unsigned i = 0; i < 20; i++)
			must_insert(stamped, i);
		for (uint64_t n = 13; n < 20; n++) {
			struct shmb_sample sample;

			ck_assert_int_eq(slots_read(&stamped->reader->slots, n, &a, &sample), 0);
			ck_assert_int_eq(shmb_ring_closest(stamped->ring, key_of(sample.stamp_ns), 0, &a, &found), 0);
			ck_assert_uint_eq(shmb_key_value(found.key), sample.stamp_ns);
			ck_assert_uint_eq(found.stamp_ns, sample.stamp_ns);
		}
		ck_assert_int_eq(shmb_ring_seek_age(stamped->ring, UINT64_C(3600000000000)), 0);
		ck_assert_int_eq(slots_read_next(&stamped->reader->slots, &a, NULL), 0);
		ck_assert_uint_eq(a.number, 13);
		bench_free(stamped);
	}
}
END_TEST

START_TEST(every_integer_can_be_a_key)
{
	static const struct {
		uint8_t bytes;
		bool is_signed;
		uint64_t most; /* the largest key */
	} fields[] = { { 1, false, UINT8_MAX },	 { 1, true, INT8_MAX },	 { 2, false, UINT16_MAX }, { 2, true, INT16_MAX },
		       { 4, false, UINT32_MAX }, { 4, true, INT32_MAX }, { 8, false, UINT64_MAX }, { 8, true, INT64_MAX } };

	for (unsigned i = 0; i < 8; i++) {
		struct bench *bench = bench_keyed(8, 0);
		struct shmb_found_monotonic found;
		struct element a;

		bench->writer.key_bytes = fields[i].bytes;
		bench->writer.key_is_signed = fields[i].is_signed;
		must_insert(bench, 5);
		must_insert(bench, fields[i].most);
		ck_assert_int_eq(shmb_ring_closest(bench->ring, key_of(UINT64_MAX), SHMB_ANY_DISTANCE, &a, &found), 0);
		ck_assert_uint_eq(shmb_key_value(found.key), fields[i].most);
		if (fields[i].is_signed) {
			uint64_t before = bench->data->counter;

			ck_assert_int_eq(insert(bench, UINT64_MAX), -ERANGE);
			ck_assert_int_eq(insert(bench, fields[i].most + 1), -ERANGE);
			ck_assert_uint_eq(bench->data->counter, before);
			ck_assert_int_eq(shmb_ring_fresh(bench->ring, key_of(0), &a, &found), 0);
			ck_assert_uint_eq(found.number, 1);
		}
		bench_free(bench);
	}
}
END_TEST

START_TEST(no_query_crosses_a_restart)
{
	struct bench *bench = bench_keyed(16, 0);
	struct shmb_ring_writer *writer = (struct shmb_ring_writer *)&bench->writer;
	struct element a;

	for (uint64_t i = 1; i <= 5; i++)
		must_insert(bench, i * 1000);
	ck_assert_int_eq(insert(bench, 4999), -EDOM);
	ck_assert_int_eq(shmb_ring_restart_keys(writer), 0);
	bench->run = 5;
	ck_assert_int_eq(shmb_ring_closest(bench->ring, key_of(3000), SHMB_ANY_DISTANCE, &a, NULL), -ENODATA);
	ck_assert_int_eq(shmb_ring_since(bench->ring, key_of(0)), 0);
	must_insert(bench, 10);
	must_insert(bench, 20);
	for (uint64_t t = 0; t < 6000; t += 5)
		check_all(bench, t, 4000);
	/* All of it can still be read by number. */
	ck_assert_int_eq(slots_read(&bench->reader->slots, 0, &a, NULL), 0);
	ck_assert_uint_eq(a.key, 1000);
	/* A new lease is a new run. */
	ck_assert_int_eq(slots_writer_init(&bench->writer, &bench->memory, granted), 0);
	bench->writer.key_bytes = 8;
	bench->run = 7;
	ck_assert_int_eq(shmb_ring_fresh(bench->ring, key_of(0), &a, NULL), -ENODATA);
	must_insert(bench, 1);
	for (uint64_t t = 0; t < 30; t++)
		check_all(bench, t, 4000);
	bench_free(bench);
}
END_TEST

START_TEST(ranges_are_read_by_number)
{
	struct bench *bench = bench_keyed(8, 0);
	struct element elements[32];
	struct shmb_sample samples[32];
	uint64_t lost;
	size_t read;

	ck_assert_int_eq(shmb_ring_read_range(bench->ring, 0, 4, elements, samples, &read, &lost), -ENODATA);
	for (uint64_t i = 0; i < 20; i++)
		must_insert(bench, i * 10);
	/* 13 to 19 are there. */
	ck_assert_int_eq(shmb_ring_read_range(bench->ring, 14, 3, elements, samples, &read, &lost), 0);
	ck_assert_uint_eq(read, 3);
	ck_assert_uint_eq(lost, 0);
	for (unsigned i = 0; i < 3; i++)
		ck_assert(elements[i].number == 14 + i && samples[i].number == 14 + i && samples[i].missed == 0);
	ck_assert_int_eq(shmb_ring_read_range(bench->ring, 10, 32, elements, samples, &read, &lost), 0);
	ck_assert_uint_eq(read, 7);
	ck_assert_uint_eq(lost, 3);
	ck_assert_uint_eq(samples[0].missed, 3);
	ck_assert_uint_eq(samples[1].missed, 0);
	ck_assert_uint_eq(elements[6].number, 19);
	ck_assert_int_eq(shmb_ring_read_range(bench->ring, 2, 5, elements, NULL, &read, &lost), -ESTALE);
	ck_assert_uint_eq(lost, 5);
	ck_assert_int_eq(shmb_ring_read_range(bench->ring, 20, 5, elements, NULL, &read, NULL), -ENODATA);
	ck_assert_int_eq(shmb_ring_read_range(bench->ring, UINT64_MAX - 1, 5, elements, NULL, &read, NULL), -ENODATA);
	bench_free(bench);
}
END_TEST

START_TEST(late_joiner_and_lag)
{
	struct bench *bench = bench_keyed(8, 0);
	struct shmb_sample sample;
	struct element a;
	uint64_t lag;

	for (uint64_t i = 0; i < 20; i++)
		must_insert(bench, i * 10);
	ck_assert_int_eq(shmb_ring_seek_oldest(bench->ring), 0);
	ck_assert_int_eq(shmb_ring_lag(bench->ring, &lag), 0);
	ck_assert_uint_eq(lag, 7);
	for (uint64_t n = 13; n < 20; n++) {
		ck_assert_int_eq(slots_read_next(&bench->reader->slots, &a, &sample), 0);
		ck_assert_uint_eq(a.number, n);
		ck_assert_uint_eq(sample.missed, 0);
	}
	ck_assert_int_eq(shmb_ring_lag(bench->ring, &lag), 0);
	ck_assert_uint_eq(lag, 0);
	for (uint64_t i = 20; i < 40; i++)
		must_insert(bench, i * 10);
	ck_assert_int_eq(shmb_ring_lag(bench->ring, &lag), 0);
	ck_assert_uint_eq(lag, 20);
	bench_free(bench);
}
END_TEST

START_TEST(join_says_which_ring_has_none)
{
	struct bench *fast = bench_keyed(64, 0);
	struct bench *slow = bench_keyed(8, 0);
	struct element a, b, c;
	struct shmb_join_part_monotonic parts[] = {
		{ .reader = fast->ring, .how = SHMB_JOIN_BRACKET, .max_distance = 5, .payload = &a, .payload_after = &b },
		{ .reader = slow->ring, .how = SHMB_JOIN_CLOSEST, .max_distance = 50, .payload = &c },
	};
	size_t failed = 99;

	for (uint64_t i = 0; i < 60; i++)
		must_insert(fast, 1000 + i * 5);
	for (uint64_t i = 0; i < 3; i++)
		must_insert(slow, 1000 + i * 100);
	ck_assert_int_eq(shmb_join(parts, 2, key_of(1042), &failed), 0);
	ck_assert_uint_eq(a.key, 1040);
	ck_assert_uint_eq(b.key, 1045);
	ck_assert_double_eq_tol(parts[0].found.alpha, 0.4, 1e-12);
	ck_assert_uint_eq(c.key, 1000);
	ck_assert_uint_eq(parts[1].found.before.number, 0);
	ck_assert_uint_eq(failed, 99);
	ck_assert_int_eq(shmb_join(parts, 2, key_of(1290), &failed), -ERANGE);
	ck_assert_uint_eq(failed, 1);
	ck_assert_int_eq(shmb_join(parts, 2, key_of(1299), &failed), -ETIME);
	ck_assert_uint_eq(failed, 0);
	parts[1].payload = NULL;
	ck_assert_int_eq(shmb_join(parts, 2, key_of(1042), &failed), -EINVAL);
	ck_assert_uint_eq(failed, 1);
	bench_free(fast);
	bench_free(slow);
}
END_TEST

START_TEST(forked_child_is_told)
{
	struct bench *bench = bench_keyed(8, 0);
	struct shmb_range range;
	struct element a, b;
	size_t read;

	must_insert(bench, 1);
	guard = 0;
	ck_assert_int_eq(shmb_ring_closest(bench->ring, key_of(1), 1, &a, NULL), -EOWNERDEAD);
	ck_assert_int_eq(shmb_ring_bracket(bench->ring, key_of(1), 1, &a, &b, NULL), -EOWNERDEAD);
	ck_assert_int_eq(shmb_ring_range(bench->ring, key_of(1), key_of(1), &range), -EOWNERDEAD);
	ck_assert_int_eq(shmb_ring_fresh(bench->ring, key_of(1), &a, NULL), -EOWNERDEAD);
	ck_assert_int_eq(shmb_ring_read_range(bench->ring, 0, 1, &a, NULL, &read, NULL), -EOWNERDEAD);
	ck_assert_int_eq(shmb_ring_seek_age(bench->ring, 1), -EOWNERDEAD);
	ck_assert_int_eq(insert(bench, 2), -EOWNERDEAD);
	guard = 1;
	bench_free(bench);
}
END_TEST

/* Whatever a hostile writer leaves: an answer or an error, soon, and nothing outside the mapping. */
START_TEST(rubbish_is_survived)
{
	static const int errors[] = { 0, -ENODATA, -ERANGE, -ETIME, -ESTALE, -EAGAIN, -EBADMSG };
	uint64_t random = 99;

	for (int round = 0; round < 3000; round++) {
		struct bench *bench = bench_keyed(16, 0);
		uint64_t *words = (uint64_t *)bench->data;
		struct shmb_range range;
		struct element a, b;
		int results[5];
		size_t read;

		for (uint64_t i = 0; i < 40; i++)
			must_insert(bench, i);
		for (int i = 0; i < 20; i++)
			words[unit_random(&random) % (bench->geometry.data_bytes / 8)] = unit_random(&random) >> unit_random(&random) % 64;
		if (round % 3 == 0)
			bench->data->counter = unit_random(&random) >> unit_random(&random) % 64;
		if (round % 4 == 0)
			bench->data->key_base = unit_random(&random) >> unit_random(&random) % 64;
		results[0] = shmb_ring_closest(bench->ring, key_of(unit_random(&random) % 50), 100, &a, NULL);
		results[1] = shmb_ring_bracket(bench->ring, key_of(unit_random(&random) % 50), 100, &a, &b, NULL);
		results[2] = shmb_ring_range(bench->ring, key_of(3), key_of(30), &range);
		results[3] = shmb_ring_fresh(bench->ring, key_of(3), &a, NULL);
		results[4] = shmb_ring_read_range(bench->ring, 30, 1, &a, NULL, &read, NULL);
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

/* ---- defects ---- */

/* T1: the limit holds also where the first guesses miss and halving finds the answer. */
START_TEST(defect_T1_distance_limit_on_every_path)
{
	struct bench *bench = bench_keyed(1024, 0);
	uint64_t key = 1;

	/* Growing steps: interpolation is wrong nearly everywhere. */
	for (unsigned i = 0; i < 900; i++)
		must_insert(bench, key += i * i);
	for (unsigned n = 1; n < 900; n += 7) {
		uint64_t low = bench->keys[n], gap = bench->keys[n + 1 < 900 ? n + 1 : n] - low;

		check_closest(bench, low + gap / 3, gap / 3);
		if (gap >= 9)
			check_closest(bench, low + gap / 3, gap / 3 - 1);
		check_bracket(bench, low + gap / 3, gap / 3);
	}
	bench_free(bench);
}
END_TEST

struct runner {
	struct bench *bench;
	_Atomic bool stop;
	uint64_t period;
};

static void *write_all_the_time(void *user)
{
	struct runner *runner = user;
	uint64_t random = 3;
	uint64_t key = 1000000;

	while (!atomic_load(&runner->stop)) {
		struct element element = { .key = key, .number = runner->bench->writer.next };

		slots_publish(&runner->bench->writer, &element);
		key += runner->period - 10 + unit_random(&random) % 21;
	}
	return NULL;
}

/* Queries while the writer comes round all the time. */
static void race(uint32_t capacity, double seconds)
{
	struct bench *bench = bench_keyed(capacity, 0);
	struct runner runner = { .bench = bench, .period = 1000 };
	uint64_t random = 5;
	unsigned long answers = 0;
	struct timespec begin, now;
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, write_all_the_time, &runner), 0);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		struct shmb_bracket_monotonic at;
		struct shmb_found_monotonic found;
		struct element newest, a, b;
		uint64_t t;
		int r;

		clock_gettime(CLOCK_MONOTONIC, &now);
		if (slots_latest(&bench->reader->slots, &newest, NULL) != 0)
			continue;
		t = newest.key - unit_random(&random) % (capacity * 900);
		r = shmb_ring_closest(bench->ring, key_of(t), SHMB_ANY_DISTANCE, &a, &found);
		ck_assert_msg(r == 0 || r == -EAGAIN, "closest: %d", r);
		if (r == 0) {
			answers++;
			ck_assert_uint_eq(a.number, found.number);
			ck_assert_uint_eq(a.key, shmb_key_value(found.key));
		}
		r = shmb_ring_bracket(bench->ring, key_of(t), 2000, &a, &b, &at);
		ck_assert_msg(r == 0 || r == -EAGAIN || r == -ESTALE, "bracket: %d", r);
		if (r == 0) {
			answers++;
			ck_assert_uint_eq(a.number, at.before.number);
			ck_assert_uint_eq(b.number, at.after.number);
			ck_assert(b.number == a.number + 1 || (b.number == a.number && a.key == t));
			ck_assert_uint_eq(a.key, shmb_key_value(at.before.key));
			ck_assert(a.key <= t && (t < b.key || a.key == t));
			ck_assert(at.alpha >= 0 && at.alpha <= 1);
		}
	} while ((now.tv_sec - begin.tv_sec) + (now.tv_nsec - begin.tv_nsec) * 1e-9 < seconds);
	atomic_store(&runner.stop, true);
	pthread_join(thread, NULL);
	ck_assert_msg(answers > 100, "only %lu answers", answers);
	bench_free(bench);
}

/* T2, T3: absolute numbers and one look at the counter: nothing drifts while the writer goes on, and no difference underflows. */
START_TEST(defect_T2_no_drift_while_writing)
{
	race(64, 0.4);
	race(1024, 0.4);
}
END_TEST

START_TEST(defect_T3_alpha_stays_within_0_and_1)
{
	race(4, 0.4);
	race(16, 0.4);
}
END_TEST

static void claim_next(struct bench *bench)
{
	struct shmb_shm_slot *slot = (struct shmb_shm_slot *)((char *)bench->data + bench->geometry.slot_offset +
							      ((bench->writer.next & bench->writer.mask) << bench->geometry.slot_shift));

	slot->id = shmb_id_writing(bench->writer.next);
	bench->writer.keys[bench->writer.next & bench->writer.mask] = UINT64_C(0xdeadbeefdeadbeef);
}

/* T4, T5: a slot that is being written (by a writer that may be stopped for ever) is none of those that are searched. */
START_TEST(defect_T4_answers_while_the_oldest_is_overwritten)
{
	struct bench *bench = bench_keyed(16, 0);

	for (uint64_t i = 1; i <= 40; i++) {
		must_insert(bench, i * 1000);
		claim_next(bench);
		for (uint64_t t = 0; t < 42000; t += 250)
			check_all(bench, t, 700);
	}
	bench_free(bench);
}
END_TEST

START_TEST(defect_T5_half_written_never_hides_the_closest)
{
	struct bench *bench = bench_keyed(16, 0);
	struct shmb_found_monotonic found;
	struct element a;

	for (uint64_t i = 1; i <= 15; i++)
		must_insert(bench, i * 1000);
	claim_next(bench);
	for (uint64_t n = 0; n < 15; n++) {
		ck_assert_int_eq(shmb_ring_closest(bench->ring, key_of((n + 1) * 1000 + 499), 499, &a, &found), 0);
		ck_assert_uint_eq(found.number, n);
	}
	/* One that was searched was overwritten meanwhile: not skipped, but looked for anew, a bounded number of times. */
	*(_Atomic uint64_t *)((char *)bench->data + bench->geometry.slot_offset + (7 << bench->geometry.slot_shift)) = 1;
	ck_assert_int_eq(shmb_ring_closest(bench->ring, key_of(8000), 499, &a, &found), -EAGAIN);
	bench_free(bench);
}
END_TEST

static void *query_on_a_small_stack(void *user)
{
	struct bench *bench = user;
	unsigned char *a = malloc(8 << 20), *b = malloc(8 << 20);
	struct shmb_bracket_monotonic at;
	uintptr_t r;

	r = (uintptr_t)(shmb_ring_bracket(bench->ring, key_of(150), 1000, a, b, &at) != 0 || at.alpha != 0.5 || a[100] != 7 || b[100] != 7);
	free(a);
	free(b);
	return (void *)r;
}

/* T6: nothing of the size of an element on the stack; keys out of order are an error at the publish, and nothing is published. */
START_TEST(defect_T6_large_elements_and_order)
{
	struct shmb_request request = { .kind = SHMB_KIND_RING,
					.capacity = 4,
					.payload_align = 8,
					.payload_bytes = 8 << 20,
					.key_type = SHMB_KEY_MONOTONIC_NS,
					.key_field = 0 };
	struct bench *bench = bench_new(&request, 0);
	unsigned char *payload = calloc(1, 8 << 20);
	struct shmb_sample sample;
	pthread_attr_t attr;
	pthread_t thread;
	void *result;

	memset(payload, 7, 8 << 20);
	for (uint64_t key = 100; key <= 200; key += 100) {
		memcpy(payload, &key, sizeof(key));
		ck_assert_int_eq(slots_publish(&bench->writer, payload), 0);
	}
	memcpy(payload, &(uint64_t){ 199 }, sizeof(uint64_t));
	ck_assert_int_eq(slots_publish(&bench->writer, payload), -EDOM);
	ck_assert_uint_eq(bench->data->counter, 2);
	ck_assert_int_eq(slots_latest(&bench->reader->slots, payload, &sample), 0);
	ck_assert_uint_eq(sample.number, 1);
	memcpy(payload, &(uint64_t){ 200 }, sizeof(uint64_t));
	ck_assert_int_eq(slots_publish(&bench->writer, payload), 0);
	ck_assert_int_eq(slots_writer_init(&bench->writer, &bench->memory, granted), 0);
	bench->data->key_base = 0;
	bench->data->counter = 2;
	pthread_attr_init(&attr);
	ck_assert_int_eq(pthread_attr_setstacksize(&attr, 64 << 10), 0);
	ck_assert_int_eq(pthread_create(&thread, &attr, query_on_a_small_stack, bench), 0);
	pthread_join(thread, &result);
	ck_assert_ptr_null(result);
	pthread_attr_destroy(&attr);
	free(payload);
	bench_free(bench);
}
END_TEST

/* C2: "the oldest" is told apart from what was written a lap later. */
START_TEST(defect_C2_a_lap_is_noticed)
{
	struct bench *bench = bench_keyed(8, 0);
	struct element a;

	for (uint64_t i = 0; i < 7; i++)
		must_insert(bench, i);
	ck_assert_int_eq(slots_read(&bench->reader->slots, 0, &a, NULL), 0);
	for (uint64_t i = 7; i < 15; i++)
		must_insert(bench, i);
	/* Number 0's slot holds number 8 now. */
	ck_assert_int_eq(slots_read(&bench->reader->slots, 0, &a, NULL), -ESTALE);
	ck_assert_int_eq(slots_read(&bench->reader->slots, 8, &a, NULL), 0);
	ck_assert_uint_eq(a.number, 8);
	bench_free(bench);
}
END_TEST

/* C3: whatever the payload's size, ids, stamps and keys lie aligned, each slot on lines of its own. */
START_TEST(defect_C3_strides_keep_the_alignment)
{
	for (uint64_t bytes = 1; bytes < 300; bytes++) {
		struct shmb_request request = { .kind = SHMB_KIND_RING,
						.flags = SHMB_SEGMENT_STAMPED,
						.capacity = 8,
						.payload_align = 1,
						.payload_bytes = bytes,
						.key_type = SHMB_KEY_MONOTONIC_NS,
						.key_field = SHMB_KEY_IS_STAMP };
		struct shmb_geometry geometry;

		ck_assert_int_eq(shmb_geometry_plan(&request, 1, &geometry, NULL), 0);
		ck_assert_uint_eq(geometry.slot_offset % 64, 0);
		ck_assert_uint_ge(geometry.slot_shift, 6);
		ck_assert_uint_eq(geometry.key_offset % 8, 0);
		ck_assert_uint_eq(geometry.key_shift, 3);
	}
}
END_TEST

/* C4: the slot that is written next is not among those that are offered. */
START_TEST(defect_C4_bounds_leave_out_the_one_being_written)
{
	struct bench *bench = bench_keyed(8, 0);
	uint64_t oldest, next;
	struct element a;

	for (uint64_t i = 0; i < 20; i++)
		must_insert(bench, i);
	claim_next(bench);
	ck_assert_int_eq(slots_bounds(&bench->reader->slots, &oldest, &next), 0);
	ck_assert_uint_eq(next - oldest, 7);
	for (uint64_t n = oldest; n < next; n++)
		ck_assert_int_eq(slots_read(&bench->reader->slots, n, &a, NULL), 0);
	bench_free(bench);
}
END_TEST

/* C5: an empty ring and a number that is not there are errors, and the payload is not touched. */
START_TEST(defect_C5_empty_and_out_of_range_are_errors)
{
	struct bench *bench = bench_keyed(8, 0);
	struct element a = { .key = 77, .number = 77 };

	ck_assert_int_eq(slots_latest(&bench->reader->slots, &a, NULL), -ENODATA);
	ck_assert_int_eq(slots_read_next(&bench->reader->slots, &a, NULL), -ENODATA);
	ck_assert_int_eq(slots_read(&bench->reader->slots, 0, &a, NULL), -ENODATA);
	ck_assert_int_eq(slots_read(&bench->reader->slots, UINT64_MAX, &a, NULL), -ENODATA);
	must_insert(bench, 1);
	ck_assert_int_eq(slots_read(&bench->reader->slots, 1, &a, NULL), -ENODATA);
	ck_assert_uint_eq(a.key, 77);
	bench_free(bench);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("temporal");

	unit_add(suite, answers_are_those_of_looking_at_each, 30);
	unit_add(suite, keys_use_all_64_bits, 5);
	unit_add(suite, equal_keys_the_newest_counts, 5);
	unit_add(suite, nothing_there_has_a_code_for_each_case, 5);
	unit_add(suite, a_key_of_another_clock_is_refused, 5);
	unit_add(suite, without_keys_stamps_are_searched_or_nothing, 5);
	unit_add(suite, every_integer_can_be_a_key, 5);
	unit_add(suite, no_query_crosses_a_restart, 5);
	unit_add(suite, ranges_are_read_by_number, 5);
	unit_add(suite, late_joiner_and_lag, 5);
	unit_add(suite, join_says_which_ring_has_none, 5);
	unit_add(suite, forked_child_is_told, 5);
	unit_add(suite, rubbish_is_survived, 30);
	unit_add(suite, defect_T1_distance_limit_on_every_path, 10);
	unit_add(suite, defect_T2_no_drift_while_writing, 20);
	unit_add(suite, defect_T3_alpha_stays_within_0_and_1, 20);
	unit_add(suite, defect_T4_answers_while_the_oldest_is_overwritten, 10);
	unit_add(suite, defect_T5_half_written_never_hides_the_closest, 10);
	unit_add(suite, defect_T6_large_elements_and_order, 20);
	unit_add(suite, defect_C2_a_lap_is_noticed, 5);
	unit_add(suite, defect_C3_strides_keep_the_alignment, 5);
	unit_add(suite, defect_C4_bounds_leave_out_the_one_being_written, 5);
	unit_add(suite, defect_C5_empty_and_out_of_range_are_errors, 5);
	return unit_run(suite);
}
