/* SPDX-License-Identifier: MIT */
/* One writer: who is refused and told by whom, who takes over and when, and what must fit before anybody may write or read. */
#include "../support/client.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

START_TEST(second_writer_is_refused_and_told_by_whom)
{
	static const char *const kinds[] = { "ring", "value" };
	struct program first;
	struct program second;
	struct answer refused;
	struct broker b;
	char pid[32];

	broker_start(&b, NULL);
	worker_start(&first, &b, "first", false);
	worker_start(&second, &b, "second", false);
	snprintf(pid, sizeof(pid), "%d", (int)first.pid);
	for (unsigned k = 0; k < 2; k++) {
		worker_must(&first, "writer name=one/%s kind=%s bytes=64", kinds[k], kinds[k]);
		worker_must(&first, "write n=3");
		refused = worker_ask(&second, "writer name=one/%s kind=%s bytes=64", kinds[k], kinds[k]);
		ASSERT_RESULT(refused, -EBUSY);
		ck_assert_msg(strstr(refused.text, pid) != NULL, "the holder's pid %s is not in: %s", pid, refused.text);
		if (getenv("SHMB_TEST_WRAPPER") == NULL)
			ck_assert_msg(strstr(refused.text, "(shmb-test-work") != NULL, "the holder's command is not in: %s", refused.text);
		worker_must(&first, "write n=1");
		worker_must(&first, "close-writer");
		ck_assert_uint_eq(worker_must(&second, "writer name=one/%s kind=%s bytes=64", kinds[k], kinds[k]).v[0], 4);
		ASSERT_RESULT(worker_ask(&first, "writer name=one/%s kind=%s bytes=64", kinds[k], kinds[k]), -EBUSY);
		worker_must(&second, "close-writer");
	}
	worker_quit(&first);
	worker_quit(&second);
	broker_finish(&b);
}
END_TEST

/* Two writers of one process are two as well. */
START_TEST(second_writer_of_the_same_process_is_refused)
{
	struct shmb_ring_writer *writer;
	struct shmb *other;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	other = broker_connect(&b);
	writer = ring_writer(client, "one", 64, 8);
	ASSERT_ERROR(ring_writer_try(client, "one", 64, 8), EBUSY);
	ASSERT_ERROR(ring_writer_try(other, "one", 64, 8), EBUSY);
	ring_write(writer, 64, 1, 1);
	shmb_ring_writer_close(writer);
	ASSERT_OK(ring_writer_try(other, "one", 64, 8));
	shmb_disconnect(other);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* The next writer can open at once: the lease of a killed process is looked after when it is asked for. */
START_TEST(takeover_after_kill)
{
	struct program first;
	struct program second;
	struct program reader;
	struct answer taken;
	struct broker b;

	broker_start(&b, NULL);
	worker_start(&second, &b, "second", false);
	worker_start(&reader, &b, "reader", false);
	for (unsigned round = 0; round < 5; round++) {
		worker_start(&first, &b, "first", false);
		ck_assert_uint_eq(worker_must(&first, "writer name=taken bytes=64 salt=%u", round + 1).v[0], 4 * round);
		worker_must(&first, "write n=3");
		if (round == 0) {
			worker_must(&reader, "reader name=taken bytes=64");
			ck_assert_uint_eq(worker_must(&reader, "next").v[0], 2);
		}
		program_kill(&first);
		taken = worker_must(&second, "writer name=taken bytes=64 salt=100");
		ck_assert_uint_eq(taken.v[0], 4 * round + 3);
		worker_must(&second, "write n=1");
		worker_must(&second, "close-writer");
		for (unsigned n = round == 0 ? 3 : 0; n < 4; n++) {
			struct answer got = worker_must(&reader, "next");

			ck_assert_uint_eq(got.v[0], 4 * round + n);
			ck_assert_uint_eq(got.v[3], n == 3 ? 100 : round + 1);
			ck_assert_uint_eq(got.v[4], 0);
		}
	}
	worker_quit(&reader);
	worker_quit(&second);
	broker_finish(&b);
}
END_TEST

/* A reader hears once of each end of a writer, after the data before it. */
START_TEST(reader_hears_of_each_end_once)
{
	struct program first;
	struct program reader;
	struct broker b;

	broker_start(&b, NULL);
	worker_start(&reader, &b, "reader", false);
	worker_start(&first, &b, "first", false);
	worker_must(&first, "writer name=ends bytes=64");
	worker_must(&reader, "reader name=ends bytes=64");
	program_send(&reader, "wait deadline=forever");
	program_wait_asleep(&reader);
	program_kill(&first);
	ASSERT_RESULT(worker_answer(&reader), -EOWNERDEAD);
	ASSERT_RESULT(worker_ask(&reader, "wait deadline=50"), -ETIMEDOUT);
	ck_assert_uint_eq(worker_must(&reader, "status").v[0], SHMB_WRITER_IS_DEAD);

	worker_start(&first, &b, "first", false);
	worker_must(&first, "writer name=ends bytes=64");
	program_send(&reader, "wait deadline=forever");
	program_wait_asleep(&reader);
	worker_must(&first, "write n=2");
	ASSERT_RESULT(worker_answer(&reader), 0);
	worker_must(&first, "close-writer");
	worker_must(&reader, "wait deadline=forever");
	ck_assert_uint_eq(worker_must(&reader, "next").v[0], 0);
	worker_must(&reader, "wait deadline=forever");
	ck_assert_uint_eq(worker_must(&reader, "next").v[0], 1);
	ASSERT_RESULT(worker_ask(&reader, "wait deadline=forever"), -EPIPE);
	ASSERT_RESULT(worker_ask(&reader, "wait deadline=50"), -ETIMEDOUT);
	ck_assert_uint_eq(worker_must(&reader, "status").v[0], SHMB_WRITER_IS_CLOSED);
	worker_quit(&first);
	worker_quit(&reader);
	broker_finish(&b);
}
END_TEST

START_TEST(writer_waits_for_the_lease)
{
	struct program first;
	struct program second;
	struct answer late;
	struct broker b;
	uint64_t before;

	broker_start(&b, NULL);
	worker_start(&first, &b, "first", false);
	worker_start(&second, &b, "second", false);
	worker_must(&first, "writer name=queue bytes=64");
	before = now_ns();
	late = worker_ask(&second, "writer name=queue bytes=64 deadline=100");
	ck_assert_msg(late.result == -EBUSY || late.result == -ETIMEDOUT, "result %d: %s", late.result, late.text);
	ck_assert_uint_ge(now_ns() - before, 100000000);

	program_send(&second, "writer name=queue bytes=64 deadline=forever");
	ck_assert_msg(!program_has_line(&second, 50), "it did not wait");
	worker_must(&first, "write n=1");
	worker_must(&first, "close-writer");
	late = worker_answer(&second);
	ASSERT_RESULT(late, 0);
	ck_assert_uint_eq(late.v[0], 1);
	worker_must(&second, "write n=1");

	program_send(&first, "writer name=queue bytes=64 deadline=forever");
	ck_assert_msg(!program_has_line(&first, 50), "it did not wait");
	program_kill(&second);
	late = worker_answer(&first);
	ASSERT_RESULT(late, 0);
	ck_assert_uint_eq(late.v[0], 2);
	worker_quit(&first);
	broker_finish(&b);
}
END_TEST

/* Another type is refused, with both schemas in the text; what is there stays as it is. */
START_TEST(type_mismatch_is_refused_with_both_schemas)
{
	static const char *const kinds[] = { "ring", "value" };
	struct program first;
	struct program second;
	struct broker b;

	broker_start(&b, NULL);
	worker_start(&first, &b, "first", false);
	worker_start(&second, &b, "second", false);
	for (unsigned k = 0; k < 2; k++) {
		struct answer refused;

		worker_must(&first, "writer name=typed/%s kind=%s type=imu schema=uint64+stamp_ns;float64+gyro;", kinds[k], kinds[k]);
		for (unsigned i = 0; i < 2; i++) {
			refused = worker_ask(&second, "reader name=typed/%s kind=%s type=imu schema=uint64+stamp_ns;float32+gyro;",
					     kinds[k], kinds[k]);
			ASSERT_RESULT(refused, -EPROTOTYPE);
			ck_assert_msg(strstr(refused.text, "float64 gyro") != NULL && strstr(refused.text, "float32 gyro") != NULL,
				      "not both schemas in: %s", refused.text);
			if (i == 0)
				worker_must(&first, "close-writer");
		}
		worker_must(&first, "writer name=typed/%s kind=%s type=imu schema=uint64+stamp_ns;float64+gyro;", kinds[k], kinds[k]);
		refused = worker_ask(&second, "writer name=typed/%s kind=%s type=imu schema=uint64+stamp_ns;float32+gyro;", kinds[k],
				     kinds[k]);
		ASSERT_RESULT(refused, -EPROTOTYPE);
		ck_assert_msg(strstr(refused.text, "float64 gyro") != NULL && strstr(refused.text, "float32 gyro") != NULL,
			      "not both schemas in: %s", refused.text);
		worker_must(&second, "reader name=typed/%s kind=%s bytes=0", kinds[k], kinds[k]);
		worker_must(&second, "close-reader");
		worker_must(&first, "close-writer");
	}
	worker_quit(&first);
	worker_quit(&second);
	broker_finish(&b);
}
END_TEST

START_TEST(kind_mismatch_is_refused)
{
	struct shmb_value_reader *value_in = NULL;
	struct shmb_ring_reader *ring_in = NULL;
	struct shmb_ring_writer *ring;
	struct shmb_value_writer *value;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	ring = ring_writer(client, "kind/ring", 64, 4);
	value = value_writer(client, "kind/value", 64);
	ASSERT_ERROR(shmb_value_reader_open(&value_in, client, "kind/ring", NULL, SHMB_NO_WAIT), EMEDIUMTYPE);
	ck_assert_msg(strstr(shmb_text(), "ring") != NULL, "the text does not name the kind: %s", shmb_text());
	ASSERT_ERROR(shmb_ring_reader_open(&ring_in, client, "kind/value", NULL, SHMB_NO_WAIT), EMEDIUMTYPE);
	ck_assert_msg(strstr(shmb_text(), "value") != NULL, "the text does not name the kind: %s", shmb_text());
	ASSERT_ERROR(value_writer_try(client, "kind/ring", 64), EEXIST);
	ASSERT_ERROR(ring_writer_try(client, "kind/value", 64, 4), EEXIST);
	ck_assert_msg(strstr(shmb_text(), "value") != NULL, "the text does not name the kind: %s", shmb_text());
	shmb_ring_writer_close(ring);
	shmb_value_writer_close(value);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

START_TEST(geometry_mismatch_is_refused)
{
	struct shmb_options stamped = { .capacity = 8, .stamped = 1 };
	struct shmb_ring_writer *other = NULL;
	struct shmb_ring_writer *writer;
	struct shmb_type *type;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "shape", 64, 8);
	ring_write(writer, 64, 3, 1);
	ASSERT_ERROR(ring_writer_try(client, "shape", 64, 16), EEXIST);
	ck_assert_msg(strstr(shmb_text(), "capacity 8") != NULL, "the text does not tell: %s", shmb_text());
	type = pattern_type(64);
	ASSERT_ERROR(shmb_ring_writer_open(&other, client, "shape", type, &stamped), EEXIST);
	ck_assert_msg(strstr(shmb_text(), "stamp") != NULL, "the text does not tell: %s", shmb_text());
	shmb_type_free(type);
	ASSERT_ERROR(ring_writer_try(client, "shape", 128, 8), EPROTOTYPE);
	shmb_ring_writer_close(writer);
	writer = ring_writer(client, "shape", 64, 8);
	ck_assert_uint_eq(shmb_ring_next_number(writer), 3);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* A stopped writer is alive: it keeps its lease, and its readers their last value. */
START_TEST(stopped_writer_keeps_its_lease)
{
	struct program first;
	struct program second;
	struct broker b;

	broker_start(&b, NULL);
	worker_start(&first, &b, "first", false);
	worker_start(&second, &b, "second", false);
	worker_must(&first, "writer name=stopped bytes=64");
	worker_must(&first, "write n=5");
	program_signal(&first, SIGSTOP);
	program_wait_stopped(&first);
	ASSERT_RESULT(worker_ask(&second, "writer name=stopped bytes=64"), -EBUSY);
	worker_must(&second, "reader name=stopped bytes=64");
	ck_assert_uint_eq(worker_must(&second, "latest").v[0], 4);
	program_signal(&first, SIGCONT);
	worker_must(&first, "write n=1");
	ck_assert_uint_eq(worker_must(&second, "latest").v[0], 5);
	worker_quit(&first);
	worker_quit(&second);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lease");

	suite_add(suite, second_writer_is_refused_and_told_by_whom, 60);
	suite_add(suite, second_writer_of_the_same_process_is_refused, 30);
	suite_add(suite, takeover_after_kill, 60);
	suite_add(suite, reader_hears_of_each_end_once, 60);
	suite_add(suite, writer_waits_for_the_lease, 60);
	suite_add(suite, type_mismatch_is_refused_with_both_schemas, 60);
	suite_add(suite, kind_mismatch_is_refused, 30);
	suite_add(suite, geometry_mismatch_is_refused, 30);
	suite_add(suite, stopped_writer_keeps_its_lease, 60);
	return suite_run(suite);
}
