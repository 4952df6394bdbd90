/* SPDX-License-Identifier: MIT */
/* Reaping after the linger time, and the orderly end. */
#include "../support/client.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

START_TEST(unused_segments_are_reaped_after_the_linger_time)
{
	struct shmb_ring_writer *writer;
	struct shmb_ring_reader *reader;
	struct shmb_ring_writer *both;
	struct shmb_broker_status status;
	struct shmb *client;
	struct broker b;
	uint64_t closed;
	unsigned count;
	char *names;

	broker_start(&b, &(struct broker_options){ .linger = "300ms" });
	client = broker_connect(&b);
	writer = ring_writer(client, "unused", 64, 8);
	both = ring_writer(client, "read", 64, 8);
	ring_write(both, 64, 2, 1);
	reader = ring_reader(client, "read");
	shmb_ring_writer_close(both);
	closed = now_ns();
	shmb_ring_writer_close(writer);
	count = segments_count(client);
	ck_assert(count == 2 || now_ns() - closed >= 300000000);
	WAIT_UNTIL(!segment_listed(client, "unused", NULL));
	ck_assert_uint_ge(now_ns() - closed, 300000000);
	ck_assert_uint_lt(now_ns() - closed, UINT64_C(15000000000));
	sleep_ms(400);
	ck_assert(segment_listed(client, "read", NULL)); /* somebody reads it */
	ring_latest(reader, 1, -1);
	broker_status(&b, &status);
	ck_assert_uint_eq(status.reaps, 1);
	ck_assert_uint_eq(status.linger_ns, 300000000);
	shmb_ring_reader_close(reader);
	WAIT_UNTIL(segments_count(client) == 0);
	names = dir_names(b.shm);
	ck_assert_msg(strstr(names, "read,1") == NULL && strstr(names, "unused,1") == NULL, "files are left: %s", names);
	free(names);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Use within the linger time keeps it, and the time begins anew. */
START_TEST(use_keeps_a_segment)
{
	struct shmb_ring_writer *writer;
	uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);
	uint64_t closed = 0, next = 0;
	struct shmb *client;
	struct broker b;

	broker_start(&b, &(struct broker_options){ .linger = "400ms" });
	client = broker_connect(&b);
	for (unsigned kept = 0; kept < 5; kept++) {
		writer = ring_writer(client, "used", 64, 8);
		if (kept > 0 && now_ns() - closed >= 400000000) { /* the machine was held up: begins again */
			ck_assert_uint_lt(now_ns(), deadline);
			kept = 0;
		} else {
			ck_assert_uint_eq(shmb_ring_next_number(writer), next);
		}
		next = shmb_ring_next_number(writer) + 1;
		ring_write(writer, 64, 1, 1);
		closed = now_ns();
		shmb_ring_writer_close(writer);
		sleep_ms(150);
	}
	WAIT_UNTIL(segments_count(client) == 0);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* The dead are unused as well: writer and reader killed, nothing closed. */
START_TEST(segments_of_the_dead_are_reaped)
{
	struct program writer;
	struct program reader;
	struct shmb *client;
	struct broker b;

	broker_start(&b, &(struct broker_options){ .linger = "200ms" });
	client = broker_connect(&b);
	worker_start(&writer, &b, "writer", false);
	worker_start(&reader, &b, "reader", false);
	worker_must(&writer, "writer name=orphan bytes=64");
	worker_must(&reader, "reader name=orphan bytes=64");
	program_kill(&writer);
	sleep_ms(300);
	ck_assert_uint_eq(segments_count(client), 1);
	program_kill(&reader);
	WAIT_UNTIL(segments_count(client) == 0);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* An adopted segment that nobody uses is reaped by the daemon that adopted it; one whose writer lives is not. */
START_TEST(adopted_segments_are_reaped)
{
	struct program writer;
	struct shmb *client;
	struct broker b;

	broker_start(&b, &(struct broker_options){ .linger = "300ms" });
	client = broker_connect(&b);
	worker_start(&writer, &b, "writer", false);
	worker_must(&writer, "writer name=living bytes=64");
	ASSERT_OK(ring_writer_try(client, "unused", 64, 8));
	broker_kill(&b);
	broker_restart(&b);
	ck_assert(segment_listed(client, "living", NULL));
	WAIT_UNTIL(!segment_listed(client, "unused", NULL));
	sleep_ms(300);
	ck_assert(segment_listed(client, "living", NULL));
	worker_must(&writer, "write n=1");
	worker_quit(&writer);
	WAIT_UNTIL(segments_count(client) == 0);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Linger 0: gone with its last user, at once. */
START_TEST(no_linger)
{
	struct shmb *client;
	struct broker b;

	broker_start(&b, &(struct broker_options){ .linger = "0" });
	client = broker_connect(&b);
	ASSERT_OK(ring_writer_try(client, "brief", 64, 8));
	WAIT_UNTIL(segments_count(client) == 0);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* SIGTERM and SIGINT: the socket goes, the segments stay, the next daemon takes them over. */
START_TEST(orderly_end_keeps_the_segments)
{
	static const int signals[] = { SIGTERM, SIGINT };

	for (unsigned i = 0; i < 2; i++) {
		struct shmb_broker_status status;
		struct shmb *client;
		struct broker b;
		struct program reader;
		struct shmb_ring_writer *writer;
		char *names;

		broker_start(&b, NULL);
		client = broker_connect(&b);
		writer = ring_writer(client, "kept", 64, 8);
		ring_write(writer, 64, 3, 6);
		shmb_ring_writer_close(writer);
		shmb_disconnect(client);
		program_signal(&b.daemon, signals[i]);
		ck_assert_int_eq(program_wait(&b.daemon), 0);
		ck_assert_int_ne(access(b.socket, F_OK), 0);
		names = dir_names(b.shm);
		ck_assert_msg(strstr(names, "kept,1\n") != NULL, "the segment is gone: %s", names);
		ck_assert_msg(strstr(names, "event") == NULL, "an event page is left: %s", names);
		free(names);
		broker_restart(&b);
		broker_status(&b, &status);
		ck_assert_uint_eq(status.adopted, 1);
		worker_start(&reader, &b, "reader", false);
		worker_must(&reader, "reader name=kept bytes=64");
		{
			struct answer answer = worker_must(&reader, "latest");

			ck_assert(answer.v[0] == 2 && answer.v[3] == 6 && answer.v[4] == 0);
		}
		worker_quit(&reader);
		broker_finish(&b);
	}
}
END_TEST

/* The defect L8 of what was used before: cleaning up deleted live segments. */
START_TEST(defect_L8_live_segments_are_never_removed)
{
	struct program writer;
	struct program other;
	struct broker b;

	broker_start(&b, &(struct broker_options){ .linger = "50ms" });
	worker_start(&writer, &b, "writer", false);
	worker_start(&other, &b, "other", false);
	worker_must(&writer, "writer name=live bytes=64");
	worker_must(&writer, "write n=1");
	for (unsigned i = 0; i < 5; i++) {
		ASSERT_RESULT(worker_ask(&other, "remove name=live"), -EBUSY);
		sleep_ms(50);
	}
	program_signal(&writer, SIGSTOP); /* stopped is not dead */
	program_wait_stopped(&writer);
	ASSERT_RESULT(worker_ask(&other, "remove name=live"), -EBUSY);
	sleep_ms(200);
	program_signal(&writer, SIGCONT);
	worker_must(&writer, "write n=1");
	worker_must(&other, "reader name=live bytes=64");
	ck_assert_uint_eq(worker_must(&other, "latest").v[0], 1);
	worker_quit(&writer);
	worker_quit(&other);
	broker_finish(&b);
}
END_TEST

/* The last of its files is busy for a while (a mount lies on it, where the daemon sees it): gone soon after that has ended, with nobody asking for anything. */
START_TEST(busy_file_goes_later)
{
	struct shmb_ring_writer *writer;
	struct shmb *client;
	struct broker b;
	char record[300];
	uint64_t free_ns;
	int mounted;

	if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		TEST_SKIP("no mount namespace is to be had: %s", strerror(errno));
	broker_start(&b, &(struct broker_options){ .linger = "200ms" });
	client = broker_connect(&b);
	snprintf(record, sizeof(record), "%s/busy,1,record", b.shm);
	writer = ring_writer(client, "busy", 64, 8);
	mounted = mount(record, record, NULL, MS_BIND, NULL);
	ck_assert_msg(mounted == 0, "%s", strerror(errno));
	shmb_ring_writer_close(writer);
	broker_wait_log(&b, "not all of its files could be removed: Device or resource busy");
	/* Past another linger time: whoever still knew of it would have looked at it again. */
	sleep_ms(600);
	ck_assert_uint_eq(segments_count(client), 0);
	/* It holds up nobody else. */
	ASSERT_OK(ring_writer_try(client, "other", 64, 8));
	WAIT_UNTIL(segments_count(client) == 0);
	ck_assert_int_eq(access(record, F_OK), 0);
	ck_assert_int_eq(umount2(record, MNT_DETACH), 0);
	free_ns = now_ns();
	WAIT_UNTIL(access(record, F_OK) != 0);
	ck_assert_uint_lt(now_ns() - free_ns, UINT64_C(11000000000) * suite_slow());
	ASSERT_OK(ring_writer_try(client, "busy", 64, 8)); /* the name is free */
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("reap");

	suite_add(suite, unused_segments_are_reaped_after_the_linger_time, 60);
	suite_add(suite, use_keeps_a_segment, 60);
	suite_add(suite, segments_of_the_dead_are_reaped, 60);
	suite_add(suite, adopted_segments_are_reaped, 60);
	suite_add(suite, no_linger, 60);
	suite_add(suite, busy_file_goes_later, 60);
	suite_add(suite, orderly_end_keeps_the_segments, 60);
	suite_add(suite, defect_L8_live_segments_are_never_removed, 60);
	return suite_run(suite);
}
