/* SPDX-License-Identifier: MIT */
/*
 * Values and rings: what a writer does between two steps of a read, and what is left to read of a generation that has come to its end, whatever its
 * writer left behind.
 */
#include "libclient/publish.h"
#include "slots_fixture.h"
#include "at_step.h"

enum { CAPACITY = 4 };

static unsigned char payload[8192];

static int latest_result(struct bench *bench)
{
	return slots_latest(&bench->reader, payload, NULL);
}

/* Every slot gets another number. */
static void overwrite(void *bench)
{
	publish(bench, CAPACITY);
}

static const struct {
	uint64_t bytes;
	uint32_t flags;
} shapes[] = { { 8, 0 }, { 4096, 0 }, { 48, SHMB_SEGMENT_STAMPED } };
enum { SHAPES = sizeof(shapes) / sizeof(shapes[0]) };

START_TEST(overwritten_while_it_is_copied)
{
	for (unsigned shape = 0; shape < SHAPES; shape++) {
		struct bench bench;

		bench_setup(&bench, CAPACITY, shapes[shape].bytes, shapes[shape].flags);
		publish(&bench, 3);
		/* The next try has a newer one. */
		at_step("read.copied", 1, overwrite, &bench);
		latest_is(&bench, 6, 6);
		ck_assert_int_eq(steps_acted, 1);
		ck_assert_uint_eq(bench.reader.retries, 1);
		/* In order: what was lost meanwhile is counted. */
		publish(&bench, 2); /* 7, 8 */
		at_step("read.copied", 1, overwrite, &bench);
		next_is(&bench, 10, 3);
		/* By number: it is gone. */
		at_step("read.copied", 1, overwrite, &bench);
		ck_assert_int_eq(slots_read(&bench.reader, 12, payload, NULL), -ESTALE);
		bench_teardown(&bench);
	}
}
END_TEST

START_TEST(overwritten_each_time)
{
	for (unsigned shape = 0; shape < SHAPES; shape++) {
		struct bench bench;

		bench_setup(&bench, CAPACITY, shapes[shape].bytes, shapes[shape].flags);
		publish(&bench, 3);
		at_step("read.copied", ALWAYS, overwrite, &bench);
		ck_assert_int_eq(latest_result(&bench), -EAGAIN);
		ck_assert_int_ge(steps_acted, SHMB_READ_TRIES);
		ck_assert_int_le(steps_acted, SHMB_READ_TRIES + 1);
		at_step("read.copied", ALWAYS, overwrite, &bench);
		ck_assert_int_eq(next_result(&bench), -EAGAIN);
		ck_assert_int_le(steps_acted, SHMB_READ_TRIES);
		at_step("", 0, NULL, NULL);
		latest_is(&bench, bench.writer.next - 1, bench.writer.next - 1);
		bench_teardown(&bench);
	}
}
END_TEST

/* A slot that stays half-written, its number counted as committed: no read waits for it. */
START_TEST(spoilt_below_the_counter)
{
	struct bench bench;

	bench_setup(&bench, CAPACITY, 8, 0);
	publish(&bench, 3);
	*id_of(&bench, 2) = shmb_id_writing(2);
	ck_assert_int_eq(latest_result(&bench), -EAGAIN);
	ck_assert_int_eq(slots_read(&bench.reader, 2, payload, NULL), -EAGAIN);
	ck_assert_int_eq(slots_seek(&bench.reader, 2), 0);
	ck_assert_int_eq(next_result(&bench), -EAGAIN);
	bench_teardown(&bench);
}
END_TEST

/* The flag is gone when the writer looks again: another writer of the area's user has swapped it. Nobody is woken, nothing is counted. */
START_TEST(a_flag_that_went_away)
{
	struct bench bench;

	bench_setup(&bench, CAPACITY, 8, 0);
	ck_assert_int_eq(wake_waiters(&bench.writer, 3), 0);
	ck_assert_uint_eq(bench.data->wake, 0);
	bench.areas[1]->waiters = 1;
	ck_assert_int_eq(wake_waiters(&bench.writer, 3), 0);
	ck_assert_uint_eq(bench.data->wake, 1);
	bench_teardown(&bench);
}
END_TEST

START_TEST(a_counter_below_the_base)
{
	struct bench bench;

	bench_setup_at(&bench, CAPACITY, 8, 0, 100);
	bench.data->counter = 5;
	ck_assert_int_eq(slots_writer_init(&bench.writer, &bench.memory, granted), 0);
	ck_assert_uint_eq(bench.writer.next, 100);
	ck_assert_int_eq(latest_result(&bench), -ENODATA);
	publish(&bench, 1);
	latest_is(&bench, 100, 0);
	bench.data->counter = SHMB_NUMBER_MAX;
	ck_assert_int_eq(slots_writer_init(&bench.writer, &bench.memory, granted), -EOVERFLOW);
	bench_teardown(&bench);
}
END_TEST

/* ---- generations ---- */

/* There is another one, and its numbers begin with `cut`. */
static void supersede(struct bench *bench, uint64_t cut)
{
	bench->card->cut = cut;
	bench->card->next = 2;
}

/* Published: 0 to 3; the reader stands at 0. */
static void left_setup(struct bench *bench, uint64_t bytes)
{
	memset(bench, 0, sizeof(*bench));
	bench_setup(bench, 8, bytes, 0);
	publish(bench, 4);
}

START_TEST(the_last_of_a_generation)
{
	for (unsigned shape = 0; shape < 2; shape++) {
		struct bench bench;

		/* As it should be. */
		left_setup(&bench, shapes[shape].bytes);
		supersede(&bench, 4);
		latest_is(&bench, 3, 3);
		latest_is(&bench, 3, 0);
		ck_assert(slots_is_drained(&bench.reader));
		ck_assert_int_eq(next_result(&bench), -EREMCHG);
		bench_teardown(&bench);

		/* The last one is being written still. */
		left_setup(&bench, shapes[shape].bytes);
		*id_of(&bench, 3) = shmb_id_writing(3);
		supersede(&bench, 4);
		latest_is(&bench, 2, 2);
		bench_teardown(&bench);

		/* The counter lags, and the one it names is spoilt. */
		left_setup(&bench, shapes[shape].bytes);
		bench.data->counter = 3;
		*id_of(&bench, 2) = 0;
		supersede(&bench, 4);
		latest_is(&bench, 3, 3);
		bench_teardown(&bench);

		/* A counter that cannot be. */
		left_setup(&bench, shapes[shape].bytes);
		bench.data->counter = SHMB_NUMBER_MAX;
		ck_assert_int_eq(latest_result(&bench), -EBADMSG);
		supersede(&bench, 4);
		latest_is(&bench, 3, 3);
		bench_teardown(&bench);

		/* Numbers beyond the cut are void. */
		left_setup(&bench, shapes[shape].bytes);
		bench.card->cut = 2;
		ck_assert_int_eq(latest_result(&bench), -EAGAIN);
		supersede(&bench, 2);
		latest_is(&bench, 1, 1);
		ck_assert_int_eq(slots_has_news(&bench.reader), 0);
		ck_assert_int_eq(next_result(&bench), -EREMCHG);
		bench_teardown(&bench);
	}
}
END_TEST

START_TEST(nothing_is_left)
{
	struct bench bench;

	left_setup(&bench, 8);
	for (uint64_t number = 0; number < 4; number++)
		*id_of(&bench, number) = 0;
	supersede(&bench, 4);
	ck_assert_int_eq(latest_result(&bench), -ENODATA);
	ck_assert_int_eq(next_result(&bench), -EREMCHG);
	ck_assert(slots_is_drained(&bench.reader));
	bench_teardown(&bench);

	/* A handle does not go back, although older ones could be read. */
	left_setup(&bench, 8);
	latest_is(&bench, 3, 3);
	*id_of(&bench, 3) = 0;
	supersede(&bench, 4);
	ck_assert_int_eq(latest_result(&bench), -ENODATA);
	bench_teardown(&bench);
}
END_TEST

START_TEST(what_is_left_is_read_in_order)
{
	struct bench bench;
	uint64_t oldest, next, lag;

	left_setup(&bench, 8);
	*id_of(&bench, 0) = 0;
	*id_of(&bench, 2) = shmb_id_writing(2);
	supersede(&bench, 4);
	ck_assert_int_eq(slots_has_news(&bench.reader), 1);
	next_is(&bench, 1, 1);
	next_is(&bench, 3, 1);
	ck_assert_int_eq(next_result(&bench), -EREMCHG);
	/* By number: gone, and never. */
	ck_assert_int_eq(slots_read(&bench.reader, 2, payload, NULL), -ESTALE);
	ck_assert_int_eq(slots_read(&bench.reader, 4, payload, NULL), -ENODATA);
	ck_assert_int_eq(slots_read(&bench.reader, SHMB_NUMBER_MAX, payload, NULL), -ENODATA);
	bench_teardown(&bench);

	/* Numbers that were given out beyond the cut are passed over too. */
	left_setup(&bench, 8);
	ck_assert_int_eq(slots_seek(&bench.reader, 3), 0);
	bench.card->cut = 3;
	ck_assert_int_eq(slots_has_news(&bench.reader), 0);
	bench.data->counter = 3;
	ck_assert_int_eq(slots_bounds(&bench.reader, &oldest, &next), 0);
	ck_assert_uint_eq(next, 3);
	ck_assert_int_eq(next_result(&bench), -ENODATA);
	supersede(&bench, 3);
	ck_assert_int_eq(next_result(&bench), -EREMCHG);
	bench.card->next = 0;
	bench.data->counter = SHMB_NUMBER_MAX;
	bench.card->cut = UINT64_MAX;
	ck_assert_int_eq(slots_has_news(&bench.reader), -EBADMSG);
	ck_assert_int_eq(slots_lag(&bench.reader, &lag), -EBADMSG);
	ck_assert_int_eq(slots_seek(&bench.reader, 0), -EBADMSG);
	bench_teardown(&bench);
}
END_TEST

static void spoil(void *user)
{
	struct bench *bench = user;

	*id_of(bench, bench->reader.position) = 0;
}

START_TEST(spoilt_while_the_last_are_read)
{
	struct bench bench;

	left_setup(&bench, 8);
	supersede(&bench, 4);
	at_step("read.copied", 1, spoil, &bench);
	next_is(&bench, 1, 1);
	ck_assert_int_eq(steps_acted, 1);
	at_step("", 0, NULL, NULL);
	bench_teardown(&bench);
}
END_TEST

/* A counter that says nothing, far from the cut: the search for what is left stays short. */
START_TEST(far_from_the_cut)
{
	struct bench bench;

	left_setup(&bench, 8);
	bench.data->counter = 0;
	supersede(&bench, UINT64_C(1) << 60);
	ck_assert_int_eq(slots_has_news(&bench.reader), 0);
	for (uint64_t number = 0; number < 4; number++)
		*id_of(&bench, number) = 0;
	ck_assert_int_eq(next_result(&bench), -EREMCHG);
	bench_teardown(&bench);
}
END_TEST

START_TEST(a_cut_before_the_first_number)
{
	struct bench bench;
	uint64_t oldest, next;

	bench_setup_at(&bench, 8, 8, 0, 100);
	supersede(&bench, 50);
	ck_assert_int_eq(slots_bounds(&bench.reader, &oldest, &next), 0);
	ck_assert_uint_eq(oldest, 100);
	ck_assert_uint_eq(next, 100);
	ck_assert_int_eq(latest_result(&bench), -ENODATA);
	bench_teardown(&bench);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("steps: slots");

	unit_add(suite, overwritten_while_it_is_copied, 10);
	unit_add(suite, overwritten_each_time, 10);
	unit_add(suite, spoilt_below_the_counter, 10);
	unit_add(suite, a_flag_that_went_away, 10);
	unit_add(suite, a_counter_below_the_base, 10);
	unit_add(suite, the_last_of_a_generation, 10);
	unit_add(suite, nothing_is_left, 10);
	unit_add(suite, what_is_left_is_read_in_order, 10);
	unit_add(suite, spoilt_while_the_last_are_read, 10);
	unit_add(suite, far_from_the_cut, 10);
	unit_add(suite, a_cut_before_the_first_number, 10);
	return unit_run(suite);
}
