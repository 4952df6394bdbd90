/* SPDX-License-Identifier: MIT */
/* Waking and waiting on plain memory: who is woken, what is told about the writer and when, deadlines. */
#include "libclient/wait.h"
#include "slots_fixture.h"

#include <pthread.h>
#include <time.h>

/* The writer looks at bound areas only, and touches the wake word only for somebody. */
START_TEST(waking)
{
	struct bench bench;

	bench_setup(&bench, 4, 8, 0);
	publish(&bench, 3);
	ck_assert_uint_eq(bench.data->wake, 0);
	bench.areas[1]->waiters = 1;
	publish(&bench, 1);
	ck_assert_uint_eq(bench.data->wake, 0);
	bench.card->bound_areas = 3;
	publish(&bench, 1);
	ck_assert_uint_eq(bench.data->wake, 1);
	ck_assert_uint_eq(bench.areas[1]->waiters, 0);
	bench.areas[0]->waiters = 1;
	bench.areas[1]->waiters = 1;
	publish(&bench, 1);
	ck_assert_uint_eq(bench.data->wake, 2);
	ck_assert_uint_eq(bench.areas[0]->waiters, 0);
	ck_assert_uint_eq(bench.areas[1]->waiters, 0);
	/* Bits of areas that were not mapped are no areas. */
	bench.card->bound_areas = UINT64_MAX;
	publish(&bench, 1);
	ck_assert_uint_eq(bench.data->wake, 2);
	bench_teardown(&bench);
}
END_TEST

START_TEST(verdicts)
{
	struct bench bench;

	bench_setup(&bench, 8, 8, 0);
	ck_assert_int_eq(slots_wait(&bench.reader, NULL, SHMB_NO_WAIT), -ETIMEDOUT);
	publish(&bench, 2);
	bench.card->writer = shmb_writer_word(3, SHMB_WRITER_DEAD);
	/* Data first, then the verdict, and that once. */
	ck_assert_int_eq(slots_wait(&bench.reader, NULL, SHMB_FOREVER), 0);
	next_is(&bench, 0, 0);
	ck_assert_int_eq(slots_wait(&bench.reader, NULL, SHMB_FOREVER), 0);
	next_is(&bench, 1, 0);
	ck_assert_int_eq(slots_wait(&bench.reader, NULL, SHMB_FOREVER), -EOWNERDEAD);
	ck_assert_ptr_nonnull(strstr(shmb_text(), "writer"));
	ck_assert_int_eq(slots_wait(&bench.reader, NULL, SHMB_NO_WAIT), -ETIMEDOUT);
	bench.card->writer = shmb_writer_word(4, SHMB_WRITER_ALIVE);
	ck_assert_int_eq(slots_wait(&bench.reader, NULL, SHMB_NO_WAIT), -ETIMEDOUT);
	bench.card->writer = shmb_writer_word(4, SHMB_WRITER_CLOSED);
	ck_assert_int_eq(slots_wait(&bench.reader, NULL, SHMB_FOREVER), -EPIPE);
	ck_assert_ptr_nonnull(strstr(shmb_text(), "the writer closed"));
	ck_assert_int_eq(slots_wait(&bench.reader, NULL, SHMB_NO_WAIT), -ETIMEDOUT);
	bench.card->writer = shmb_writer_word(5, SHMB_WRITER_GONE);
	ck_assert_int_eq(slots_wait(&bench.reader, NULL, SHMB_FOREVER), -EPIPE);
	ck_assert_ptr_nonnull(strstr(shmb_text(), "let go of the broker"));
	/* A writer that let go and then died has changed twice. */
	bench.card->writer = shmb_writer_word(5, SHMB_WRITER_DEAD);
	ck_assert_int_eq(slots_wait(&bench.reader, NULL, SHMB_FOREVER), -EOWNERDEAD);
	ck_assert_int_eq(slots_wait(&bench.reader, NULL, SHMB_NO_WAIT), -ETIMEDOUT);
	/* One that hangs, goes on and hangs again too. */
	for (unsigned i = 0; i < 2; i++) {
		bench.card->writer = shmb_writer_word(6, SHMB_WRITER_HUNG);
		ck_assert_int_eq(waitable_look(&bench.reader.waitable, true), -EHOSTDOWN);
		ck_assert_int_eq(slots_wait(&bench.reader, NULL, SHMB_FOREVER), -EHOSTDOWN);
		ck_assert_int_eq(waitable_look(&bench.reader.waitable, true), -EAGAIN);
		ck_assert_int_eq(slots_wait(&bench.reader, NULL, SHMB_NO_WAIT), -ETIMEDOUT);
		bench.card->writer = shmb_writer_word(6, SHMB_WRITER_ALIVE);
		ck_assert_int_eq(slots_wait(&bench.reader, NULL, SHMB_NO_WAIT), -ETIMEDOUT);
	}
	bench.card->writer = shmb_writer_word(6, SHMB_WRITER_DEAD);
	bench.card->state = shmb_state_word(6, SHMB_STATE_REMOVED);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(slots_wait(&bench.reader, NULL, SHMB_FOREVER), -ESTALE);
	bench_teardown(&bench);
}
END_TEST

START_TEST(deadlines)
{
	struct bench bench;
	uint64_t begin;

	bench_setup(&bench, 8, 8, 0);
	/* With an area (one sleep) and without (slices). */
	for (int i = 0; i < 2; i++) {
		begin = shmb_now_ns();
		ck_assert_int_eq(slots_wait(&bench.reader, NULL, begin + 30000000), -ETIMEDOUT);
		ck_assert_uint_ge(shmb_now_ns(), begin + 30000000);
		ck_assert_int_eq(slots_wait(&bench.reader, NULL, begin), -ETIMEDOUT);
		bench.reader.area = NULL;
	}
	bench_teardown(&bench);
}
END_TEST

static void *publish_slowly(void *arg)
{
	struct bench *bench = arg;

	for (int i = 0; i < 50; i++) {
		unsigned char payload[8];

		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
		memset(payload, (int)(bench->writer.next & 0xff), sizeof(payload));
		if (slots_publish(&bench->writer, payload) != 0)
			abort();
	}
	return NULL;
}

static void sleep_through(bool seen)
{
	struct bench bench;
	pthread_t thread;

	bench_setup(&bench, 64, 8, 0);
	if (!seen)
		bench.reader.area = NULL;
	ck_assert_int_eq(pthread_create(&thread, NULL, publish_slowly, &bench), 0);
	for (uint64_t n = 0; n < 50; n++) {
		ck_assert_int_eq(slots_wait(&bench.reader, NULL, SHMB_FOREVER), 0);
		next_is(&bench, n, 0);
	}
	pthread_join(thread, NULL);
	ck_assert_int_eq(next_result(&bench), -ENODATA);
	bench_teardown(&bench);
}

/* With an area, and without: then in slices. */
START_TEST(sleeping)
{
	sleep_through(true);
	sleep_through(false);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wait");

	unit_add(suite, waking, 20);
	unit_add(suite, verdicts, 20);
	unit_add(suite, deadlines, 20);
	unit_add(suite, sleeping, 20);
	return unit_run(suite);
}
