/* SPDX-License-Identifier: MIT */
/* Scenarios of life and death in which the shared memory that was used before failed, by the number each has in the list of its defects. */
#include "../support/client.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A daemon that may not signal the writer (another user's) does not take it for dead; not after a restart either. */
START_TEST(defect_L1_writer_of_another_user_is_not_dead)
{
	struct program writer;
	struct shmb *client;
	struct listed listed;
	struct broker b;

	if (geteuid() != 0)
		TEST_SKIP("needs root to run the daemon as another user");
	if (eaccess(path_daemon(), X_OK) != 0 ||
	    system("setpriv --reuid 65534 --regid 65534 --clear-groups test -x " SHMB_BUILT_DAEMON) != 0)
		TEST_SKIP("another user cannot reach the build directory");
	broker_start(&b, &(struct broker_options){ .uid = 65534, .runtime_mode = 0755 });
	client = broker_connect(&b);
	worker_start(&writer, &b, "writer", false);
	worker_must(&writer, "writer name=roots bytes=64");
	worker_must(&writer, "write n=1");
	for (unsigned i = 0; i < 2; i++) {
		ASSERT_ERROR(ring_writer_try(client, "roots", 64, 16), EBUSY);
		ck_assert(segment_listed(client, "roots", &listed) && listed.writer == SHMB_WRITER_IS_ALIVE &&
			  listed.writer_pid == writer.pid);
		if (i == 0) {
			broker_kill(&b);
			broker_restart(&b);
		}
	}
	worker_must(&writer, "write n=1");
	program_kill(&writer);
	wait_writer(client, "roots", SHMB_WRITER_IS_DEAD);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* The name is there only when the segment is complete: whoever waits for it never sees half of one. */
START_TEST(defect_L3_nothing_is_visible_before_it_is_complete)
{
	enum { ROUNDS = 40, READERS = 3 };
	struct program readers[READERS];
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	for (unsigned i = 0; i < READERS; i++)
		worker_start(&readers[i], &b, "reader", false);
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct shmb_ring_writer *writer;
		char name[32];

		snprintf(name, sizeof(name), "appears/%u", round);
		for (unsigned i = 0; i < READERS; i++)
			program_send(&readers[i], "reader name=%s bytes=4096 deadline=15000", name);
		if (round % 4 != 0)
			sleep_ms(round % 4);
		writer = ring_writer(client, name, 4096, 8);
		ring_write(writer, 4096, 1, 1);
		for (unsigned i = 0; i < READERS; i++) {
			struct answer answer = worker_answer(&readers[i]);

			ASSERT_RESULT(answer, 0);
			worker_must(&readers[i], "wait deadline=15000");
			answer = worker_must(&readers[i], "next");
			ck_assert(answer.v[0] == 0 && answer.v[4] == 0);
			worker_must(&readers[i], "close-reader");
		}
		shmb_ring_writer_close(writer);
	}
	for (unsigned i = 0; i < READERS; i++)
		worker_quit(&readers[i]);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Whoever attaches, and whoever is refused, changes no byte of a live segment. */
START_TEST(defect_L6_attaching_changes_nothing)
{
	static const char *const parts[] = { "steady,1", "steady,1,data" };
	struct shmb_ring_writer *writer;
	struct shmb *other;
	struct shmb *client;
	struct broker b;
	char *before[2];
	size_t sizes[2];

	broker_start(&b, NULL);
	client = broker_connect(&b);
	other = broker_connect(&b);
	writer = ring_writer(client, "steady", 64, 8);
	ring_write(writer, 64, 5, 1);
	for (unsigned i = 0; i < 2; i++) {
		char path[512];

		snprintf(path, sizeof(path), "%s/%s", b.shm, parts[i]);
		before[i] = file_read(path, &sizes[i]);
	}
	ASSERT_ERROR(ring_writer_try(other, "steady", 64, 8), EBUSY);
	ck_assert_int_lt(ring_writer_try(other, "steady", 128, 8), 0);
	ck_assert_int_lt(value_writer_try(other, "steady", 64), 0);
	ASSERT_ERROR(shmb_remove(other, "steady"), EBUSY);
	for (unsigned i = 0; i < 2; i++) {
		char path[512];
		size_t size;
		char *now;

		snprintf(path, sizeof(path), "%s/%s", b.shm, parts[i]);
		now = file_read(path, &size);
		ck_assert_msg(size == sizes[i] && memcmp(now, before[i], size) == 0, "%s has changed", parts[i]);
		free(now);
	}
	ASSERT_OK(ring_reader_try(other, "steady", SHMB_NO_WAIT));
	{
		char path[512];
		size_t size;
		char *now;

		snprintf(path, sizeof(path), "%s/%s", b.shm, parts[1]);
		now = file_read(path, &size);
		ck_assert_msg(size == sizes[1] && memcmp(now, before[1], size) == 0, "a reader changed the data");
		free(now);
	}
	free(before[0]);
	free(before[1]);
	ring_write(writer, 64, 1, 1);
	ck_assert_uint_eq(shmb_ring_next_number(writer), 6);
	shmb_ring_writer_close(writer);
	shmb_disconnect(other);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Every kind begins with the header that the tools of before know: the writer's pid, its heartbeat, nothing else. */
START_TEST(defect_L7_every_kind_has_the_header)
{
	static const char *const kinds[] = { "ring", "value" };

	for (unsigned k = 0; k < 2; k++) {
		struct program writer;
		struct broker b;
		uint32_t words[8];
		uint64_t heartbeat;
		uint64_t before;
		char path[512];
		char *bytes;
		size_t size;

		broker_start(&b, NULL);
		worker_start(&writer, &b, "writer", false);
		worker_must(&writer, "writer name=head kind=%s bytes=64", kinds[k]);
		before = now_ns();
		worker_must(&writer, "heartbeat");
		snprintf(path, sizeof(path), "%s/head,1,data", b.shm);
		bytes = file_read(path, &size);
		memcpy(words, bytes, sizeof(words));
		memcpy(&heartbeat, bytes + 8, 8);
		ck_assert_uint_eq(words[0], 0x53484D48);
		ck_assert_uint_eq(words[1], 1);
		ck_assert(heartbeat >= before && heartbeat <= now_ns());
		ck_assert_uint_eq(words[4], (uint32_t)writer.pid);
		ck_assert(words[5] == 0 && words[6] == 0 && words[7] == 0);
		free(bytes);
		worker_quit(&writer);
		broker_finish(&b);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lifecycle");

	suite_add(suite, defect_L1_writer_of_another_user_is_not_dead, 60);
	suite_add(suite, defect_L3_nothing_is_visible_before_it_is_complete, 60);
	suite_add(suite, defect_L6_attaching_changes_nothing, 30);
	suite_add(suite, defect_L7_every_kind_has_the_header, 60);
	return suite_run(suite);
}
