/* SPDX-License-Identifier: MIT */
/* What is a frame's key, as a commit takes it: a field of the payload, one that is given, the stamp, or none; and what a commit refuses. */
#include "frame_temporal_fixture.h"

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

int main(void)
{
	Suite *suite = suite_create("frame_temporal_keys");

	unit_add(suite, refused_commits_leave_the_frame_on_loan, 5);
	unit_add(suite, keys_that_are_given, 5);
	unit_add(suite, without_keys_stamps_are_searched_or_nothing, 5);
	return unit_run(suite);
}
