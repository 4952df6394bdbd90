/* SPDX-License-Identifier: MIT */
/* Temporal queries on plain memory: every answer against a look at each element; edges, errors, and memory that no writer wrote. */
#include "temporal_fixture.h"

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
	ck_assert_int_eq(shmb_ring_read_range(bench->ring, 14, 0, elements, NULL, &read, NULL), -ENODATA);
	/* One that is spoilt in a generation that has ended: passed over, and counted. */
	bench->card->cut = 20;
	bench->card->next = 2;
	atomic_store((_Atomic uint64_t *)((char *)bench->data + bench->geometry.slot_offset + (16 % 8 << bench->geometry.slot_shift)), 0);
	ck_assert_int_eq(shmb_ring_read_range(bench->ring, 15, 4, elements, samples, &read, &lost), 0);
	ck_assert_uint_eq(read, 3);
	ck_assert_uint_eq(lost, 1);
	ck_assert_uint_eq(elements[1].number, 17);
	ck_assert_uint_eq(samples[1].missed, 1);
	bench_free(bench);
}
END_TEST

/* A counter that cannot be, and a number whose slot is not done although it is counted. */
START_TEST(what_cannot_be_is_refused)
{
	struct bench *bench = bench_keyed(8, 100);
	struct shmb_key_monotonic key;
	struct element element;
	uint64_t lost;
	size_t read;

	for (uint64_t i = 0; i < 4; i++)
		must_insert(bench, i * 10);
	ck_assert_int_eq(shmb_ring_key_monotonic(bench->ring, 103, &key), 0);
	ck_assert_uint_eq(shmb_key_value(key), 30);
	ck_assert_int_eq(shmb_ring_key_monotonic(bench->ring, 104, &key), -ENODATA);
	ck_assert_int_eq(shmb_ring_key_monotonic(bench->ring, 99, &key), -ESTALE);
	atomic_store((_Atomic uint64_t *)((char *)bench->data + bench->geometry.slot_offset + (102 % 8 << bench->geometry.slot_shift)), 0);
	ck_assert_int_eq(shmb_ring_key_monotonic(bench->ring, 102, &key), -EAGAIN);
	ck_assert_int_eq(shmb_ring_closest(bench->ring, key_of(20), 0, &element, NULL), -EAGAIN);
	bench->data->counter = SHMB_NUMBER_MAX;
	ck_assert_int_eq(shmb_ring_key_monotonic(bench->ring, 103, &key), -EBADMSG);
	ck_assert_int_eq(shmb_ring_since(bench->ring, key_of(10)), -EBADMSG);
	ck_assert_int_eq(shmb_ring_seek_oldest(bench->ring), -EBADMSG);
	ck_assert_int_eq(shmb_ring_read_range(bench->ring, 99, 2, &element, NULL, &read, &lost), -EBADMSG);
	ck_assert_uint_eq(read, 0);
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
	unit_add(suite, what_cannot_be_is_refused, 5);
	unit_add(suite, ranges_are_read_by_number, 5);
	unit_add(suite, late_joiner_and_lag, 5);
	unit_add(suite, join_says_which_ring_has_none, 5);
	unit_add(suite, forked_child_is_told, 5);
	unit_add(suite, rubbish_is_survived, 30);
	return unit_run(suite);
}
