/* SPDX-License-Identifier: MIT */
/* Writers that publish nothing for their stale time: what readers, watchers and the list say of them, and what it costs the daemon. */
#include "../support/client.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Long, so that a writer that a busy machine is slow with does not count as hanging. */
static const char hangs[] = "[segment hang/*]\nstale-time = 2s\n";

static void expect(struct shmb_watch *watch, const char *kind)
{
	struct shmb_event event = { 0 };

	ASSERT_OK(shmb_watch_next(watch, &event, deadline_in(SUITE_PATIENCE_MS)));
	ck_assert_msg(strcmp(event.kind, kind) == 0, "expected %s, but %s: %s", kind, event.kind, event.text);
}

/* Stopped, going on without publishing, publishing, dead: each is told once, to readers, watchers and tools. */
START_TEST(each_change_is_told_once)
{
	struct program writer;
	struct program reader;
	struct shmb_watch *watch;
	struct shmb *client;
	struct broker b;

	broker_start(&b, &(struct broker_options){ .config = hangs });
	client = broker_connect(&b);
	worker_start(&writer, &b, "writer", false);
	worker_start(&reader, &b, "reader", false);
	worker_must(&writer, "writer name=hang/ring bytes=64 capacity=8");
	worker_must(&writer, "write n=1");
	worker_must(&reader, "reader name=hang/ring bytes=64");
	worker_must(&reader, "next");
	/* It may hang before it is stopped: the test's own doing, whatever is told of it comes first. */
	program_signal(&writer, SIGSTOP);
	program_wait_stopped(&writer);
	wait_writer(client, "hang/ring", SHMB_WRITER_IS_STOPPED);
	ASSERT_OK(shmb_watch_open(&watch, b.socket, "hang/*"));
	ASSERT_RESULT(worker_ask(&reader, "wait deadline=forever"), -EHOSTDOWN);
	ASSERT_RESULT(worker_ask(&reader, "wait deadline=300"), -ETIMEDOUT);
	ck_assert_uint_eq(worker_must(&reader, "status").v[0], SHMB_WRITER_IS_STOPPED);

	program_send(&reader, "wait deadline=forever");
	program_wait_asleep(&reader);
	program_signal(&writer, SIGCONT);
	expect(watch, "writer-hung");
	ASSERT_RESULT(worker_answer(&reader), -EHOSTDOWN);
	ck_assert_uint_eq(worker_must(&reader, "status").v[0], SHMB_WRITER_IS_HUNG);

	program_send(&reader, "wait deadline=forever");
	program_wait_asleep(&reader);
	worker_must(&writer, "run period=5000");
	ASSERT_RESULT(worker_answer(&reader), 0);
	expect(watch, "writer-alive");
	wait_writer(client, "hang/ring", SHMB_WRITER_IS_ALIVE);
	program_kill(&writer);
	expect(watch, "writer-dead");
	shmb_watch_close(watch);
	worker_quit(&reader);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* The verdict of a daemon that was killed does not bind the next one, which comes to its own. */
START_TEST(the_next_daemon_judges_anew)
{
	struct program writer;
	struct shmb *client;
	struct broker b;
	char *log;

	broker_start(&b, &(struct broker_options){ .config = hangs });
	client = broker_connect(&b);
	worker_start(&writer, &b, "writer", false);
	worker_must(&writer, "writer name=hang/value kind=value bytes=64");
	worker_must(&writer, "write n=1");
	wait_writer(client, "hang/value", SHMB_WRITER_IS_HUNG);
	broker_kill(&b);
	broker_restart(&b);
	wait_writer(client, "hang/value", SHMB_WRITER_IS_HUNG);
	log = broker_log(&b);
	ck_assert_uint_ge(text_count(log, "hangs: it runs"), 2);
	free(log);
	worker_must(&writer, "heartbeat");
	wait_writer(client, "hang/value", SHMB_WRITER_IS_ALIVE);
	worker_quit(&writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Thirty writers with a stale time cost one wake-up a stale time, not thirty. */
START_TEST(one_timer_for_all)
{
	enum { MANY = 30, SECONDS = 3 };
	struct shmb_value_writer *writers[MANY];
	struct shmb *client;
	struct broker b;
	uint64_t begun_ns;
	long before;
	long after;
	long slept_ms;

	broker_start(&b, &(struct broker_options){ .config = "[segment hang/*]\nstale-time = 500ms\n", .linger = "infinity" });
	client = broker_connect(&b);
	for (unsigned i = 0; i < MANY; i++) {
		char name[32];

		snprintf(name, sizeof(name), "hang/%u", i);
		writers[i] = value_writer(client, name, 8);
		value_write(writers[i], 8, 1, 1);
	}
	for (unsigned i = 0; i < MANY; i++) {
		char name[32];

		snprintf(name, sizeof(name), "hang/%u", i);
		wait_writer(client, name, SHMB_WRITER_IS_HUNG);
	}
	sleep_ms(1200); /* all have been found to hang, and are looked at on the beat */
	begun_ns = now_ns();
	before = wakeups(b.daemon.pid);
	sleep_ms(SECONDS * 1000);
	after = wakeups(b.daemon.pid);
	slept_ms = (long)((now_ns() - begun_ns) / 1000000);
	if (getenv("SHMB_TEST_WRAPPER") == NULL && suite_slow() == 1) {
		ck_assert_int_ge(after - before, 1);
		/* One timer's are two a second, thirty timers' sixty. */
		ck_assert_msg(after - before <= 4 + 4 * slept_ms / 1000, "%ld wake-ups in %ld ms", after - before, slept_ms);
	}
	for (unsigned i = 0; i < MANY; i++)
		shmb_value_writer_close(writers[i]);
	/* and none when nobody writes any more; a timer left would wake it in each of these times */
	for (unsigned i = 0; i < 8 && (i == 0 || after - before > 1); i++) {
		before = wakeups(b.daemon.pid);
		sleep_ms(1200);
		after = wakeups(b.daemon.pid);
	}
	ck_assert_int_le(after - before, 1);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hang");

	suite_add(suite, each_change_is_told_once, 60);
	suite_add(suite, the_next_daemon_judges_anew, 60);
	suite_add(suite, one_timer_for_all, 60);
	return suite_run(suite);
}
