/* SPDX-License-Identifier: MIT */
/* The daemon killed and started again: data flows on, leases stay, clients reconnect by themselves; and what died meanwhile is mended. */
#include "../support/client.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* Three kills under load: no sample lost, none torn, the lease kept. */
START_TEST(nothing_is_lost_while_the_daemon_is_killed)
{
	static const char *const kinds[] = { "ring", "value" };
	struct program writers[2];
	struct program readers[2];
	struct program other;
	struct answer end;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	for (unsigned k = 0; k < 2; k++) {
		worker_start(&writers[k], &b, "writer", false);
		worker_must(&writers[k], "writer name=load/%s kind=%s bytes=256%s salt=1", kinds[k], kinds[k],
			    k == 0 ? " capacity=4096" : "");
		worker_start(&readers[k], &b, "reader", false);
		worker_must(&readers[k], "reader name=load/%s kind=%s bytes=256", kinds[k], kinds[k]);
		worker_must(&readers[k], "watch");
		worker_must(&writers[k], "run period=1000");
	}
	worker_start(&other, &b, "other", false);
	for (unsigned round = 0; round < 3; round++) {
		sleep_ms(100);
		broker_kill(&b);
		sleep_ms(100);
		broker_restart(&b);
		for (unsigned k = 0; k < 2; k++) {
			struct answer refused = worker_ask(&other, "writer name=load/%s kind=%s bytes=256%s", kinds[k], kinds[k],
							   k == 0 ? " capacity=4096" : "");
			char pid[32];

			snprintf(pid, sizeof(pid), "%d", (int)writers[k].pid);
			ASSERT_RESULT(refused, -EBUSY);
			ck_assert_msg(strstr(refused.text, pid) != NULL, "the holder's pid %s is not in: %s", pid, refused.text);
		}
		ck_assert_uint_eq(segments_count(client), 2); /* this connection was made before the kill */
	}
	for (unsigned k = 0; k < 2; k++)
		WAIT_UNTIL(worker_must(&readers[k], "seen").v[0] > 100);
	for (unsigned k = 0; k < 2; k++) {
		struct answer wrote = worker_must(&writers[k], "stop");

		end = worker_must(&readers[k], "stop last=%u", (unsigned)wrote.v[0] - 1);
		ck_assert_msg(end.v[2] == 0 && end.v[3] == 0 && end.v[4] == 0 && end.v[5] == 0 && end.v[6] == 0,
			      "%s: torn %d backward %d dead %d closed %d other errors %d", kinds[k], (int)end.v[2], (int)end.v[3],
			      (int)end.v[4], (int)end.v[5], (int)end.v[6]);
		ck_assert_uint_eq(end.v[7], wrote.v[0] - 1);
		if (k == 0) {
			ck_assert_uint_eq(end.v[1], 0);
			ck_assert_uint_eq(end.v[0], wrote.v[0] - end.v[8]);
		}
	}
	/* the handles still work in every way: close, and another may write */
	for (unsigned k = 0; k < 2; k++) {
		worker_must(&writers[k], "close-writer");
		ASSERT_RESULT(worker_ask(&readers[k], "wait deadline=15000"), -EPIPE);
		worker_must(&other, "writer name=load/%s kind=%s bytes=256%s", kinds[k], kinds[k], k == 0 ? " capacity=4096" : "");
		worker_must(&other, "write n=1");
		worker_must(&readers[k], "wait deadline=15000");
		worker_must(&other, "close-writer");
		worker_quit(&writers[k]);
		worker_quit(&readers[k]);
	}
	worker_quit(&other);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Without a daemon: reads and writes go on, control requests fail with a clear error, and work again when there is a daemon. */
START_TEST(control_requests_reconnect)
{
	struct shmb_ring_writer *writer;
	struct shmb_ring_writer *second;
	struct shmb_ring_reader *reader;
	struct shmb *client;
	struct listed listed;
	struct broker b;
	int r;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "alone", 64, 8);
	reader = ring_reader(client, "alone");
	broker_kill(&b);
	ring_write(writer, 64, 5, 1);
	for (unsigned n = 0; n < 5; n++)
		ring_next(reader, n, 0);
	r = ring_writer_try(client, "new", 64, 8);
	ck_assert_msg(r == -ECONNREFUSED || r == -ENOENT, "without a daemon: %d, %s", r, shmb_text());
	ck_assert_msg(strlen(shmb_text()) > 10, "no explanation: '%s'", shmb_text());
	ring_write(writer, 64, 1, 1);
	broker_restart(&b);
	second = ring_writer(client, "new", 64, 8);
	ring_write(second, 64, 1, 1);
	ring_write(writer, 64, 1, 1);
	ck_assert(segment_listed(client, "alone", &listed));
	ck_assert_int_eq(listed.writer_pid, getpid());
	ck_assert_uint_eq(listed.readers, 1);
	ck_assert_uint_eq(listed.epoch, 1);
	shmb_ring_writer_close(second);
	shmb_ring_writer_close(writer);
	shmb_ring_reader_close(reader);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Closing a handle while there is no daemon gives the lease up all the same, at the next daemon's. */
START_TEST(closed_during_the_outage)
{
	struct program writer;
	struct program reader;
	struct program other;
	struct broker b;

	broker_start(&b, NULL);
	worker_start(&writer, &b, "writer", false);
	worker_start(&reader, &b, "reader", false);
	worker_start(&other, &b, "other", false);
	worker_must(&writer, "writer name=outage bytes=64");
	worker_must(&writer, "write n=2");
	worker_must(&reader, "reader name=outage bytes=64");
	worker_must(&reader, "latest");
	broker_kill(&b);
	program_send(&reader, "wait deadline=forever");
	worker_quit(&writer);
	broker_restart(&b);
	ASSERT_RESULT(worker_answer(&reader), -EOWNERDEAD); /* the broker never heard of the close: the process ended with the lease */
	ck_assert_uint_eq(worker_must(&other, "writer name=outage bytes=64").v[0], 2);
	worker_quit(&other);
	worker_quit(&reader);
	broker_finish(&b);
}
END_TEST

/* Writer in mid-write and daemon die together: the next daemon mends what is left. */
START_TEST(writer_and_daemon_die_together)
{
	static const char *const steps[] = { "slot.claimed", "slot.filled", "slot.published", "slot.counted" };
	static const char *const kinds[] = { "ring", "value" };

	for (unsigned step = 0; step < 4; step++) {
		struct program writers[2];
		struct program reader;
		struct program next;
		struct shmb_broker_status status;
		unsigned committed = step >= 2;
		struct broker b;

		broker_start(&b, NULL);
		worker_start(&reader, &b, "reader", false);
		worker_start(&next, &b, "next", false);
		for (unsigned k = 0; k < 2; k++) {
			worker_start(&writers[k], &b, "writer", true);
			worker_must(&writers[k], "writer name=both/%s kind=%s bytes=4096 salt=1", kinds[k], kinds[k]);
			worker_must(&writers[k], "write n=9");
			worker_must(&writers[k], "step at=%s do=stop", steps[step]);
			program_send(&writers[k], "write n=1");
			program_wait_stopped(&writers[k]);
		}
		broker_kill(&b);
		program_kill(&writers[0]);
		program_kill(&writers[1]);
		broker_restart(&b);
		for (unsigned k = 0; k < 2; k++) {
			struct answer got;

			worker_must(&reader, "reader name=both/%s kind=%s bytes=4096", kinds[k], kinds[k]);
			got = worker_must(&reader, "latest");
			ck_assert(got.v[0] == 8 + committed && got.v[3] == 1 && got.v[4] == 0);
			ck_assert_uint_eq(worker_must(&reader, "status").v[0], SHMB_WRITER_IS_DEAD);
			ck_assert_uint_eq(worker_must(&next, "writer name=both/%s kind=%s bytes=4096 salt=2", kinds[k], kinds[k]).v[0],
					  9 + committed);
			worker_must(&next, "write n=1");
			worker_must(&reader, "wait deadline=15000");
			got = worker_must(&reader, "latest");
			ck_assert(got.v[0] == 9 + committed && got.v[3] == 2 && got.v[4] == 0);
			worker_must(&next, "close-writer");
			worker_must(&reader, "close-reader");
		}
		broker_status(&b, &status);
		ck_assert_uint_eq(status.deaths, 2);
		ck_assert_uint_eq(status.adopted, 2);
		if (step < 3)
			ck_assert_uint_eq(status.repairs, 2);
		worker_quit(&next);
		worker_quit(&reader);
		broker_finish(&b);
	}
}
END_TEST

/* A reader asleep without a deadline; daemon and writer are killed, then a daemon is started: it wakes with "writer dead". */
START_TEST(sleeper_wakes_when_daemon_and_writer_died)
{
	static const char *const kinds[] = { "ring", "value" };

	for (unsigned k = 0; k < 2; k++) {
		for (unsigned order = 0; order < 2; order++) {
			struct program writer;
			struct program sleeper;
			struct broker b;

			broker_start(&b, NULL);
			worker_start(&writer, &b, "writer", false);
			worker_start(&sleeper, &b, "sleeper", false);
			worker_must(&writer, "writer name=sleep kind=%s bytes=64", kinds[k]);
			worker_must(&writer, "write n=1");
			worker_must(&sleeper, "reader name=sleep kind=%s bytes=64", kinds[k]);
			worker_must(&sleeper, "latest");
			program_send(&sleeper, "wait deadline=forever");
			program_wait_asleep(&sleeper);
			if (order == 0)
				broker_kill(&b);
			program_signal(&writer, SIGSTOP);
			if (order == 1)
				broker_kill(&b);
			program_kill(&writer);
			ck_assert_msg(!program_has_line(&sleeper, 50), "it woke although nobody could tell it");
			broker_restart(&b);
			ASSERT_RESULT(worker_answer(&sleeper), -EOWNERDEAD);
			ck_assert_uint_eq(worker_must(&sleeper, "latest").v[0], 0);
			worker_quit(&sleeper);
			broker_finish(&b);
		}
	}
}
END_TEST

/* The same, but the writer lives through the outage and dies under the new daemon. */
START_TEST(sleeper_wakes_when_the_writer_dies_after_a_restart)
{
	struct program writer;
	struct program sleeper;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	worker_start(&writer, &b, "writer", false);
	worker_start(&sleeper, &b, "sleeper", false);
	worker_must(&writer, "writer name=sleep bytes=64");
	worker_must(&sleeper, "reader name=sleep bytes=64");
	program_send(&sleeper, "wait deadline=forever");
	program_wait_asleep(&sleeper);
	broker_kill(&b);
	broker_restart(&b);
	client = broker_connect(&b);
	WAIT_UNTIL(clients_count(client) == 2); /* the sleeper reconnects by itself; the writer, who asks for nothing, does not */
	shmb_disconnect(client);
	ck_assert_msg(!program_has_line(&sleeper, 100), "the restart ended its sleep");
	worker_must(&writer, "write n=1");
	ASSERT_RESULT(worker_answer(&sleeper), 0);
	worker_must(&sleeper, "next");
	program_send(&sleeper, "wait deadline=forever");
	program_wait_asleep(&sleeper);
	program_kill(&writer);
	ASSERT_RESULT(worker_answer(&sleeper), -EOWNERDEAD);
	worker_quit(&sleeper);
	broker_finish(&b);
}
END_TEST

/* Readers that died during the outage leave nothing. */
START_TEST(readers_that_died_during_the_outage)
{
	struct program writer;
	struct program readers[3];
	struct shmb *client;
	struct listed listed;
	struct broker b;

	broker_start(&b, NULL);
	worker_start(&writer, &b, "writer", false);
	worker_must(&writer, "writer name=cells bytes=64");
	for (unsigned i = 0; i < 3; i++) {
		worker_start(&readers[i], &b, "reader", false);
		worker_must(&readers[i], "reader name=cells bytes=64");
	}
	broker_kill(&b);
	program_kill(&readers[0]);
	program_kill(&readers[1]);
	broker_restart(&b);
	client = broker_connect(&b);
	WAIT_UNTIL(segment_listed(client, "cells", &listed) && listed.readers == 1);
	worker_must(&writer, "write n=1");
	ck_assert_uint_eq(worker_must(&readers[2], "latest").v[0], 0);
	worker_quit(&readers[2]);
	WAIT_UNTIL(segment_listed(client, "cells", &listed) && listed.readers == 0);
	worker_quit(&writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* An orderly stop keeps the segments too; writer and reader do not notice. */
START_TEST(orderly_restart_keeps_everything)
{
	struct program writer;
	struct program reader;
	struct answer end;
	struct broker b;

	broker_start(&b, NULL);
	worker_start(&writer, &b, "writer", false);
	worker_must(&writer, "writer name=kept bytes=64 capacity=16384");
	worker_start(&reader, &b, "reader", false);
	worker_must(&reader, "reader name=kept bytes=64");
	worker_must(&reader, "watch");
	worker_must(&writer, "run period=1000");
	sleep_ms(50);
	broker_stop(&b);
	sleep_ms(50);
	broker_restart(&b);
	sleep_ms(50);
	end = worker_must(&writer, "stop");
	end = worker_must(&reader, "stop last=%u", (unsigned)end.v[0] - 1);
	ck_assert(end.v[1] == 0 && end.v[2] == 0 && end.v[3] == 0 && end.v[4] == 0 && end.v[5] == 0 && end.v[6] == 0);
	worker_must(&writer, "close-writer");
	ck_assert_uint_gt(worker_must(&writer, "writer name=kept bytes=64 capacity=16384").v[0], 50);
	worker_quit(&writer);
	worker_quit(&reader);
	broker_finish(&b);
}
END_TEST

/* Many kills in a row, with clients that keep opening and closing. */
START_TEST(restart_storm)
{
	struct program writer;
	struct program reader;
	struct answer end;
	struct broker b;

	broker_start(&b, NULL);
	worker_start(&writer, &b, "writer", false);
	worker_must(&writer, "writer name=storm bytes=64 capacity=16384");
	worker_start(&reader, &b, "reader", false);
	worker_must(&reader, "reader name=storm bytes=64");
	worker_must(&reader, "watch");
	worker_must(&writer, "run period=500");
	for (unsigned i = 0; i < 20; i++) {
		struct program client;

		worker_start(&client, &b, "client", false);
		ck_assert_uint_eq(worker_must(&client, "writer name=storm/value kind=value bytes=64").v[0], i);
		worker_must(&client, "write n=1");
		if (i % 2 == 0)
			worker_must(&client, "close-writer");
		broker_kill(&b);
		if (i % 4 == 1)
			worker_must(&client, "close-writer");
		broker_restart(&b);
		if (i % 4 == 3)
			worker_must(&client, "close-writer");
		worker_quit(&client);
	}
	end = worker_must(&writer, "stop");
	end = worker_must(&reader, "stop last=%u", (unsigned)end.v[0] - 1);
	ck_assert(end.v[1] == 0 && end.v[2] == 0 && end.v[3] == 0 && end.v[4] == 0 && end.v[5] == 0 && end.v[6] == 0);
	worker_quit(&writer);
	worker_quit(&reader);
	broker_finish(&b);
}
END_TEST

/* Who disconnects while no daemon is there, and lives on, leaves nothing in the next one: neither a file nor a descriptor. */
START_TEST(disconnected_without_a_daemon)
{
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	broker_kill(&b);
	shmb_disconnect(client);
	broker_restart(&b);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("restart");

	suite_add(suite, nothing_is_lost_while_the_daemon_is_killed, 60);
	suite_add(suite, control_requests_reconnect, 30);
	suite_add(suite, closed_during_the_outage, 60);
	suite_add(suite, writer_and_daemon_die_together, 60);
	suite_add(suite, sleeper_wakes_when_daemon_and_writer_died, 60);
	suite_add(suite, sleeper_wakes_when_the_writer_dies_after_a_restart, 60);
	suite_add(suite, readers_that_died_during_the_outage, 60);
	suite_add(suite, orderly_restart_keeps_everything, 60);
	suite_add(suite, restart_storm, 60);
	suite_add(suite, disconnected_without_a_daemon, 30);
	return suite_run(suite);
}
