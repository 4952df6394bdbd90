/* SPDX-License-Identifier: MIT */
/*
 * A name's next generation: who gets one and why, what its readers see, what becomes of it across restarts of the daemon. Other users are workers that
 * changed their uid before they connected; without root those tests are skipped.
 */
#include "../support/raw.h"
#include "takeover.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { UID = 4201, OTHER = 4202, STRANGER = 4203 };

static void worker_of(struct program *worker, struct broker *b, const char *name, unsigned uid)
{
	worker_start(worker, b, name, false);
	worker_must(worker, "become uid=%u", uid);
}

/* ---- other users ---- */

/* Each of the users that may write gets memory that the others never had mapped writable; readers go along and miss nothing. */
START_TEST(another_user_writes)
{
	struct program first, second, stranger, reader, late;
	struct answer answer;
	struct shmb *client;
	struct listed listed;
	struct broker b;

	if (geteuid() != 0)
		TEST_SKIP("needs root to become another user");
	broker_start(&b, &(struct broker_options){ .runtime_mode = 0755, .config = "[segment shared/*]\nwriters = 4201 4202\n" });
	client = broker_connect(&b);
	worker_of(&first, &b, "first", UID);
	worker_of(&second, &b, "second", OTHER);
	worker_of(&stranger, &b, "stranger", STRANGER);
	worker_of(&reader, &b, "reader", STRANGER);
	worker_must(&first, "writer name=shared/ring bytes=64 capacity=16 salt=1");
	worker_must(&reader, "reader name=shared/ring bytes=64");
	worker_must(&first, "write n=3");
	/* While it is held nobody gets it, permitted or not. */
	ASSERT_RESULT(worker_ask(&second, "writer name=shared/ring bytes=64 capacity=16"), -EBUSY);
	ASSERT_RESULT(worker_ask(&stranger, "writer name=shared/ring bytes=64 capacity=16"), -EACCES);
	worker_must(&first, "close-writer");
	ASSERT_RESULT(worker_ask(&stranger, "writer name=shared/ring bytes=64 capacity=16"), -EACCES);
	ck_assert_uint_eq(generation_of(client, "shared/ring"), 1);

	answer = worker_must(&second, "writer name=shared/ring bytes=64 capacity=16 salt=2");
	ck_assert_uint_eq(answer.v[0], 3);
	ck_assert(segment_listed(client, "shared/ring", &listed));
	ck_assert(listed.generation == 2 && listed.owner_uid == UID && listed.writer_pid == second.pid);
	worker_must(&second, "write n=2");
	for (unsigned n = 0; n < 3; n++)
		must_read(&reader, n, 0, 1);
	ASSERT_RESULT(worker_ask(&reader, "next"), -EREMCHG);
	ASSERT_RESULT(worker_ask(&reader, "next"), -EREMCHG);
	ck_assert_uint_eq(followed(&reader), 1);
	must_read(&reader, 3, 0, 2);
	must_read(&reader, 4, 0, 2);
	WAIT_UNTIL(draining(client, "shared/ring") == 0);

	/* Dead, not closed: the same. Root may write whatever the list says. */
	program_kill(&second);
	wait_writer(client, "shared/ring", SHMB_WRITER_IS_DEAD);
	worker_start(&late, &b, "late", false);
	answer = worker_must(&late, "writer name=shared/ring bytes=64 capacity=16 salt=3");
	ck_assert_uint_eq(answer.v[0], 5);
	ck_assert_uint_eq(generation_of(client, "shared/ring"), 3);
	worker_must(&late, "write n=1");
	ck_assert_uint_eq(followed(&reader), 1);
	must_read(&reader, 5, 0, 3);
	worker_must(&late, "close-writer");

	/* The owner, again; and its own process after it goes on in place. */
	worker_must(&first, "writer name=shared/ring bytes=64 capacity=16 salt=4");
	ck_assert_uint_eq(generation_of(client, "shared/ring"), 4);
	worker_must(&first, "write n=1");
	worker_must(&first, "close-writer");
	answer = worker_must(&first, "writer name=shared/ring bytes=64 capacity=16 salt=4");
	ck_assert_uint_eq(answer.v[0], 7);
	ck_assert_uint_eq(generation_of(client, "shared/ring"), 4);
	ck_assert_uint_eq(followed(&reader), 1);
	must_read(&reader, 6, 0, 4);
	worker_quit(&reader);
	worker_quit(&stranger);
	worker_quit(&late);
	worker_quit(&first);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* The files of each generation belong to the daemon alone, and a descriptor of the one before reaches nothing of the next. */
START_TEST(memory_of_its_own)
{
	static struct raw_answer before, after;
	static const char schema[] = "uint64[8] words\n";
	struct shmb_msg_open_writer open;
	struct raw raw = { 0 };
	struct program other;
	struct stat a, c;
	struct shmb *client;
	struct broker b;

	if (geteuid() != 0)
		TEST_SKIP("needs root to become another user");
	broker_start(&b, &(struct broker_options){ .runtime_mode = 0755, .config = "[segment shared]\nwriters = 4201\n" });
	client = broker_connect(&b);
	ASSERT_OK(raw_start(&raw, b.socket));
	raw_open_writer(&open, "shared", schema, 64);
	open.handle = 1;
	ASSERT_OK(raw_ask(&raw, SHMB_OP_OPEN_WRITER, &open, sizeof(open), schema, strlen(schema), &before));
	raw_end(&raw); /* closed, but the descriptors are kept here */
	WAIT_UNTIL(clients_count(client) == 1);
	worker_of(&other, &b, "other", UID);
	WAIT_UNTIL(worker_ask(&other, "writer name=shared bytes=64 capacity=%u", open.capacity).result == 0);
	ck_assert_uint_eq(generation_of(client, "shared"), 2);
	ASSERT_OK(raw_start(&raw, b.socket));
	{
		struct shmb_msg_open_reader read;

		raw_open_reader(&read, "shared");
		ASSERT_OK(raw_ask(&raw, SHMB_OP_OPEN_READER, &read, sizeof(read), NULL, 0, &after));
	}
	for (unsigned i = 0; i < 2; i++) {
		ASSERT_OK(fstat(before.fds[i], &a));
		ASSERT_OK(fstat(after.fds[i], &c));
		ck_assert(a.st_ino != c.st_ino || a.st_dev != c.st_dev);
		ck_assert_uint_eq(c.st_uid, geteuid());
		ck_assert_uint_eq(c.st_mode & 0777, 0600);
	}
	raw_answer_deinit(&before);
	raw_answer_deinit(&after);
	raw_end(&raw);
	worker_quit(&other);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- by policy ---- */

static const char replacing[] = "[segment exit/*]\non-exit = replace\n[segment hang/*]\nstale-time = 2s\non-hang = replace\n";

/* on-exit = replace: the next writer begins in new memory, but where nothing was published. */
START_TEST(replaced_after_an_exit)
{
	struct shmb_ring_writer *writer;
	struct program reader, died;
	struct shmb *client;
	struct broker b;

	broker_start(&b, &(struct broker_options){ .config = replacing });
	client = broker_connect(&b);
	worker_start(&reader, &b, "reader", false);
	writer = ring_writer(client, "exit/ring", 64, 8);
	worker_must(&reader, "reader name=exit/ring bytes=64");
	shmb_ring_writer_close(writer);
	writer = ring_writer(client, "exit/ring", 64, 8);
	ck_assert_uint_eq(generation_of(client, "exit/ring"), 1);
	ring_write(writer, 64, 2, 1);
	shmb_ring_writer_close(writer);

	worker_start(&died, &b, "died", false);
	ck_assert_uint_eq(worker_must(&died, "writer name=exit/ring bytes=64 capacity=8 salt=2").v[0], 2);
	ck_assert_uint_eq(generation_of(client, "exit/ring"), 2);
	worker_must(&died, "write n=2");
	program_kill(&died);
	wait_writer(client, "exit/ring", SHMB_WRITER_IS_DEAD);
	writer = ring_writer(client, "exit/ring", 64, 8);
	ck_assert_uint_eq(generation_of(client, "exit/ring"), 3);
	ck_assert_uint_eq(shmb_ring_next_number(writer), 4);
	ck_assert_uint_eq(draining(client, "exit/ring"), 2);
	ring_write(writer, 64, 1, 3);
	followed(&reader);
	must_read(&reader, 0, 0, 1);
	must_read(&reader, 1, 0, 1);
	ck_assert_uint_eq(followed(&reader), 1);
	must_read(&reader, 2, 0, 2);
	must_read(&reader, 3, 0, 2);
	ck_assert_uint_eq(followed(&reader), 1);
	must_read(&reader, 4, 0, 3);
	shmb_ring_writer_close(writer);
	worker_quit(&reader);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* on-hang = replace: who asks and waits has it as soon as the hang is known; one that is at work is not touched. */
START_TEST(replaced_while_it_hangs)
{
	struct program hangs, next, reader;
	struct answer answer;
	struct shmb *client;
	struct broker b;

	broker_start(&b, &(struct broker_options){ .config = replacing });
	client = broker_connect(&b);
	worker_start(&hangs, &b, "hangs", false);
	worker_start(&next, &b, "next", false);
	worker_start(&reader, &b, "reader", false);
	worker_must(&hangs, "writer name=hang/ring bytes=64 capacity=8 salt=1");
	worker_must(&hangs, "write n=1");
	worker_must(&reader, "reader name=hang/ring bytes=64");
	worker_must(&hangs, "run period=5000");
	ASSERT_RESULT(worker_ask(&next, "writer name=hang/ring bytes=64 capacity=8 salt=2"), -EBUSY);
	ASSERT_RESULT(worker_ask(&next, "writer name=hang/ring bytes=64 capacity=8 salt=2 deadline=500"), -EBUSY);
	answer = worker_must(&hangs, "stop");
	/* It hangs from now on: its successor need not ask again. */
	program_send(&next, "writer name=hang/ring bytes=64 capacity=8 salt=2 deadline=15000");
	ASSERT_RESULT(worker_answer(&next), 0);
	ck_assert_uint_eq(generation_of(client, "hang/ring"), 2);
	ASSERT_RESULT(worker_ask(&hangs, "write n=1"), -ESTALE);
	ASSERT_RESULT(worker_ask(&hangs, "heartbeat"), -ESTALE);
	worker_must(&next, "write n=1");
	followed(&reader);
	/* The last ones of the old memory, then the number that might have been under way. */
	worker_must(&reader, "latest");
	while (worker_ask(&reader, "next").result == 0)
		;
	ck_assert_uint_eq(followed(&reader), 1);
	must_read(&reader, answer.v[0] + 1, 1, 2);
	/* It may have the name again when the other one ends. */
	worker_must(&hangs, "close-writer");
	worker_must(&next, "close-writer");
	worker_must(&hangs, "writer name=hang/ring bytes=64 capacity=8 salt=3");
	ck_assert_uint_eq(generation_of(client, "hang/ring"), 2);
	worker_quit(&hangs);
	worker_quit(&next);
	worker_quit(&reader);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- other types ---- */

START_TEST(another_type_or_kind_is_not_followed)
{
	struct shmb_ring_writer *writer;
	struct shmb_value_writer *value;
	struct program reader;
	struct answer answer;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	worker_start(&reader, &b, "reader", false);
	writer = ring_writer(client, "ring", 64, 8);
	worker_must(&reader, "reader name=ring bytes=64");
	ring_write(writer, 64, 1, 1);
	shmb_ring_writer_close(writer);
	writer = ring_writer(client, "ring", 128, 8);
	ck_assert_uint_eq(shmb_ring_next_number(writer), 1);
	ring_write(writer, 128, 1, 1);
	must_read(&reader, 0, 0, 1);
	for (unsigned i = 0; i < 4; i++) {
		answer = worker_ask(&reader, i < 2 ? "wait deadline=15000" : "follow");
		if (answer.result == -EPIPE)
			answer = worker_ask(&reader, "wait deadline=15000");
		ASSERT_RESULT(answer, -EPROTOTYPE);
		ck_assert_msg(strstr(answer.text, "uint64[8] words") != NULL && strstr(answer.text, "uint64[16] words") != NULL, "%s",
			      answer.text);
	}
	/* What it had stays readable. */
	ck_assert_uint_eq(worker_must(&reader, "latest").v[0], 0);
	ck_assert_uint_eq(worker_must(&reader, "status").v[7], 2);
	worker_must(&reader, "close-reader");
	worker_must(&reader, "reader name=ring bytes=128");
	ck_assert_uint_eq(worker_must(&reader, "latest").v[0], 1);
	shmb_ring_writer_close(writer);

	value = value_writer(client, "ring", 128);
	ck_assert_uint_eq(generation_of(client, "ring"), 3);
	value_write(value, 128, 1, 1);
	answer = worker_ask(&reader, "follow");
	ASSERT_RESULT(answer, -EMEDIUMTYPE);
	worker_quit(&reader);
	shmb_value_writer_close(value);
	WAIT_UNTIL(draining(client, "ring") == 0);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- restarts ---- */

/* Holders of the old and of the new one come back to the next daemon, each to its own. */
START_TEST(resumed_in_its_own_generation)
{
	struct program zombie, writer, slow, quick;
	struct answer answer;
	struct shmb *client;
	struct broker b;

	broker_start(&b, &(struct broker_options){ .config = "[segment *]\nstale-time = 100ms\non-hang = replace\n" });
	client = broker_connect(&b);
	worker_start(&zombie, &b, "zombie", false);
	worker_start(&writer, &b, "writer", false);
	worker_start(&slow, &b, "slow", false);
	worker_start(&quick, &b, "quick", false);
	worker_must(&zombie, "writer name=ring bytes=64 capacity=16 salt=1");
	worker_must(&slow, "reader name=ring bytes=64");
	worker_must(&zombie, "write n=4");
	program_signal(&zombie, SIGSTOP);
	wait_writer(client, "ring", SHMB_WRITER_IS_STOPPED);
	answer = worker_must(&writer, "writer name=ring bytes=64 capacity=16 salt=2");
	ck_assert_uint_eq(answer.v[0], 5);
	worker_must(&quick, "reader name=ring bytes=64");
	worker_must(&writer, "write n=2");
	must_read(&slow, 0, 0, 1);
	/* From the next start on a writer that this machine is slow with does not count as hanging. */
	broker_configure(&b, "");
	for (unsigned turn = 0; turn < 3; turn++) {
		broker_kill(&b);
		worker_must(&writer, "write n=1");
		broker_restart(&b);
		ASSERT_RESULT(worker_ask(&writer, "remove name=none"), -ENOENT); /* talks to the broker again */
		ASSERT_RESULT(worker_ask(&slow, "remove name=none"), -ENOENT);
		ASSERT_RESULT(worker_ask(&quick, "remove name=none"), -ENOENT);
		ck_assert_uint_eq(generation_of(client, "ring"), 2);
		ck_assert_uint_eq(draining(client, "ring"), 1);
		ck_assert_uint_eq(worker_must(&slow, "status").v[6], 1);
		must_read(&slow, turn + 1, 0, 1);
		ck_assert_uint_eq(worker_must(&quick, "status").v[6], 2);
		must_read(&quick, 5 + turn, 0, 2);
	}
	program_signal(&zombie, SIGCONT);
	ASSERT_RESULT(worker_ask(&zombie, "write n=1"), -ESTALE);
	ASSERT_RESULT(worker_ask(&zombie, "remove name=none"), -ENOENT);
	ASSERT_RESULT(worker_ask(&zombie, "write n=1"), -ESTALE);
	ASSERT_RESULT(worker_ask(&zombie, "writer name=ring bytes=64 capacity=16"), -EBUSY);
	ck_assert_uint_eq(followed(&slow), 1);
	must_read(&slow, 5, 1, 2);
	worker_quit(&slow);
	worker_quit(&zombie);
	WAIT_UNTIL(draining(client, "ring") == 0);
	worker_must(&writer, "write n=1");
	worker_quit(&writer);
	worker_quit(&quick);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* The answer was lost, with the connection or with the daemon: the same client gets what it was given, and no generation more. */
START_TEST(asking_again_makes_no_generation_more)
{
	static const char schema[] = "uint64[8] words\n";
	static struct raw_answer answer;
	struct shmb_msg_open_writer open;
	struct shmb_ring_writer *writer;
	struct raw raw = { 0 };
	struct shmb *client;
	uint64_t expected;
	struct broker b;

	broker_start(&b, &(struct broker_options){ .config = replacing });
	client = broker_connect(&b);
	for (unsigned turn = 0; turn < 2; turn++) {
		writer = ring_writer(client, "exit/ring", 64, 8);
		ring_write(writer, 64, 1, 1);
		shmb_ring_writer_close(writer);
		expected = generation_of(client, "exit/ring") + 1;
		ASSERT_OK(raw_start(&raw, b.socket));
		raw_open_writer(&open, "exit/ring", schema, 64);
		open.handle = 1;
		for (unsigned i = 0; i < 2; i++) {
			ASSERT_OK(raw_ask(&raw, SHMB_OP_OPEN_WRITER, &open, sizeof(open), schema, strlen(schema), &answer));
			ck_assert_uint_eq(answer.open.generation, expected);
			raw_answer_deinit(&answer);
		}
		raw_close(&raw);
		if (turn == 1) {
			broker_kill(&b);
			broker_restart(&b);
		} else {
			wait_writer(client, "exit/ring", SHMB_WRITER_IS_GONE);
		}
		/* It resumes nothing, as it never heard of it, and asks again. */
		ASSERT_OK(raw_start(&raw, b.socket));
		ASSERT_OK(raw_ask(&raw, SHMB_OP_OPEN_WRITER, &open, sizeof(open), schema, strlen(schema), &answer));
		ck_assert_uint_eq(answer.open.generation, expected);
		raw_answer_deinit(&answer);
		raw_end(&raw);
		WAIT_UNTIL(clients_count(client) == 1);
	}
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Sealed reader areas go with a daemon that had nowhere to keep them: the next writer's open gives the name new ones. */
START_TEST(lost_reader_areas_come_with_the_next_writer)
{
	struct program writer, before, after;
	struct answer answer;
	struct shmb *client;
	struct broker b;

	broker_start(&b, &(struct broker_options){ .runtime_mode = 0755 }); /* others may connect, so areas are sealed */
	client = broker_connect(&b);
	worker_start(&writer, &b, "writer", false);
	worker_start(&before, &b, "before", false);
	worker_start(&after, &b, "after", false);
	worker_must(&writer, "frame-writer name=frames bytes=4096 history=4 pins=8 salt=1");
	worker_must(&writer, "frame-write n=2");
	worker_must(&before, "frame-reader name=frames");
	ck_assert_uint_eq(worker_must(&before, "frame-pin").v[0], 1);
	broker_kill(&b);
	broker_restart(&b);
	ck_assert_uint_eq(clients_count(client), 1);
	worker_must(&after, "frame-reader name=frames");
	ASSERT_RESULT(worker_ask(&after, "frame-pin"), -EUSERS);
	worker_must(&writer, "frame-write n=1");
	worker_must(&writer, "frame-close");
	worker_must(&after, "frame-close");
	answer = worker_must(&writer, "frame-writer name=frames bytes=4096 history=4 pins=8 salt=2");
	ck_assert_uint_eq(answer.v[0], 3);
	ck_assert_uint_eq(generation_of(client, "frames"), 2);
	worker_must(&writer, "frame-write n=1");
	worker_must(&after, "frame-reader name=frames");
	ck_assert_uint_eq(worker_must(&after, "frame-pin").v[0], 3);
	/* Its own area is mapped still: what it held it holds. */
	ck_assert_uint_eq(worker_must(&before, "frame-check").v[1], 0);
	ck_assert_uint_eq(worker_must(&before, "frame-release").v[0], 0);
	worker_quit(&before);
	worker_quit(&after);
	worker_quit(&writer);
	WAIT_UNTIL(draining(client, "frames") == 0);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Waits of 100 ms, as those are who look after something else in between: one is cut short by a daemon that is stopped, the next follow. */
START_TEST(short_waits_follow)
{
	enum { SLICE_MS = 100, SLICES = 30 };
	struct shmb_ring_writer *writer;
	struct shmb_ring_reader *reader;
	struct shmb *client;
	struct broker b;
	int r = -ETIMEDOUT;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "ring", 64, 8);
	reader = ring_reader(client, "ring");
	shmb_ring_writer_close(writer);
	ck_assert_int_eq(shmb_ring_wait(reader, deadline_in(SUITE_PATIENCE_MS)), -EPIPE);
	writer = ring_writer(client, "ring", 64, 16);
	ring_write(writer, 64, 1, 1);
	ck_assert_int_eq(kill(b.daemon.pid, SIGSTOP), 0);
	ck_assert_int_eq(shmb_ring_wait(reader, deadline_in(SLICE_MS)), -ETIMEDOUT);
	ck_assert_int_eq(kill(b.daemon.pid, SIGCONT), 0);
	for (unsigned i = 0; i < SLICES && r == -ETIMEDOUT; i++)
		r = shmb_ring_wait(reader, deadline_in(SLICE_MS));
	ck_assert_int_eq(r, -EREMCHG);
	ring_next(reader, 0, 0);
	shmb_ring_reader_close(reader);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("takeover");

	suite_add(suite, another_user_writes, 60);
	suite_add(suite, memory_of_its_own, 60);
	suite_add(suite, replaced_after_an_exit, 60);
	suite_add(suite, replaced_while_it_hangs, 60);
	suite_add(suite, another_type_or_kind_is_not_followed, 60);
	suite_add(suite, resumed_in_its_own_generation, 60);
	suite_add(suite, short_waits_follow, 60);
	suite_add(suite, asking_again_makes_no_generation_more, 60);
	suite_add(suite, lost_reader_areas_come_with_the_next_writer, 60);
	return suite_run(suite);
}
