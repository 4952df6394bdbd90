/* SPDX-License-Identifier: MIT */
/*
 * Queries by time of a frame: their answers against a search that looks at each frame, what they pin, joins, keys that no writer wrote, and a writer at full
 * speed. Which keys there are: test_frame_temporal_keys.c.
 */
#include "frame_temporal_fixture.h"

#include <pthread.h>

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
	unit_add(suite, a_pin_found_by_key_protects_as_any, 5);
	unit_add(suite, quota_both_or_none, 5);
	unit_add(suite, no_query_looks_behind_a_lease, 5);
	unit_add(suite, join_of_rings_and_frames, 5);
	unit_add(suite, forked_child_is_told, 5);
	unit_add(suite, rubbish_is_survived, 30);
	unit_add(suite, race, 60);
	return unit_run(suite);
}
