/* SPDX-License-Identifier: MIT */
/* What happens is told to those who watch: which events, in what order, and what becomes of watchers that do not read. */
#include "../support/client.h"
#include "../support/raw.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The next event, which must be of this kind and segment. */
static struct shmb_event expect(struct shmb_watch *watch, const char *kind, const char *segment, int32_t pid)
{
	struct shmb_event event = { 0 };

	ASSERT_OK(shmb_watch_next(watch, &event, deadline_in(SUITE_PATIENCE_MS)));
	ck_assert_msg(strcmp(event.kind, kind) == 0 && strcmp(event.segment, segment) == 0, "expected %s of %s, but %s of %s: %s", kind,
		      segment, event.kind, event.segment, event.text);
	ck_assert_int_eq(event.pid, pid);
	ck_assert_uint_ne(event.time_ns, 0);
	ck_assert_str_ne(event.text, "");
	return event;
}

static void expect_nothing(struct shmb_watch *watch)
{
	struct shmb_event event = { 0 };
	int r = shmb_watch_next(watch, &event, SHMB_NO_WAIT);

	ck_assert_msg(r == -ETIMEDOUT, "%d, %s: %s", r, r == 0 ? event.kind : "", r == 0 ? event.text : shmb_text());
}

START_TEST(the_life_of_a_segment)
{
	struct program writer;
	struct program reader;
	struct shmb_watch *watch;
	struct shmb_watch *other;
	struct shmb_event event;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	ASSERT_OK(shmb_watch_open(&watch, b.socket, "life/*"));
	ASSERT_OK(shmb_watch_open(&other, b.socket, "other"));
	worker_start(&writer, &b, "writer", false);
	worker_start(&reader, &b, "reader", false);
	worker_must(&writer, "writer name=life/ring bytes=64 capacity=8");
	expect(watch, "created", "life/ring", writer.pid);
	event = expect(watch, "writer-up", "life/ring", writer.pid);
	ck_assert_str_eq(event.reason, "first");
	if (getenv("SHMB_TEST_WRAPPER") == NULL)
		ck_assert_int_eq(strncmp(event.comm, "shmb-test", 9), 0);
	worker_must(&reader, "reader name=life/ring bytes=64");
	event = expect(watch, "reader-joined", "life/ring", reader.pid);
	ck_assert_str_eq(event.reason, "read");
	worker_must(&writer, "close-writer");
	expect(watch, "writer-closed", "life/ring", writer.pid);
	worker_must(&writer, "writer name=life/ring bytes=64 capacity=8");
	event = expect(watch, "writer-up", "life/ring", writer.pid);
	ck_assert_str_eq(event.reason, "next");
	program_kill(&writer);
	expect(watch, "writer-dead", "life/ring", writer.pid);
	program_kill(&reader);
	event = expect(watch, "reader-left", "life/ring", reader.pid);
	ck_assert_str_eq(event.reason, "died");
	ASSERT_OK(shmb_remove(client, "life/ring"));
	expect(watch, "removed", "life/ring", getpid());
	expect_nothing(watch);
	expect_nothing(other);
	shmb_watch_close(watch);
	shmb_watch_close(other);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

START_TEST(reaped_and_repaired)
{
	struct program writer;
	struct shmb_event event;
	struct shmb_watch *watch;
	struct broker b;

	broker_start(&b, &(struct broker_options){ .linger = "50ms" });
	ASSERT_OK(shmb_watch_open(&watch, b.socket, NULL));
	worker_start(&writer, &b, "writer", true);
	worker_must(&writer, "writer name=mended bytes=64 capacity=8");
	expect(watch, "created", "mended", writer.pid);
	expect(watch, "writer-up", "mended", writer.pid);
	worker_must(&writer, "step at=slot.filled do=kill");
	program_send(&writer, "write n=1");
	ck_assert_int_eq(program_wait(&writer), -SIGKILL);
	expect(watch, "writer-dead", "mended", writer.pid);
	event = expect(watch, "repaired", "mended", writer.pid);
	ck_assert_str_eq(event.reason, "half-written");
	expect(watch, "reaped", "mended", 0);
	shmb_watch_close(watch);
	broker_finish(&b);
}
END_TEST

/* The descriptor is readable while there is something, and quiet else; it stays the same over a restart, which is told. */
START_TEST(a_restart_is_told)
{
	struct shmb_watch *watch;
	struct shmb_event event;
	struct pollfd fd = { .events = POLLIN };
	struct broker b;
	int r;

	broker_start(&b, NULL);
	ASSERT_OK(shmb_watch_open(&watch, b.socket, NULL));
	fd.fd = shmb_watch_fd(watch);
	ck_assert_int_eq(poll(&fd, 1, 50), 0);
	broker_kill(&b);
	ck_assert_int_eq(poll(&fd, 1, SUITE_PATIENCE_MS), 1);
	expect_nothing(watch); /* and looks for the daemon now and then */
	ck_assert_int_eq(shmb_watch_next(watch, &event, deadline_in(300)), -ETIMEDOUT);
	broker_restart(&b);
	do {
		ck_assert_int_eq(poll(&fd, 1, SUITE_PATIENCE_MS), 1);
		r = shmb_watch_next(watch, &event, SHMB_NO_WAIT);
		ck_assert_msg(r == 0 || r == -ETIMEDOUT, "%d: %s", r, shmb_text());
	} while (r != 0);
	ck_assert_str_eq(event.kind, "reconnected");
	expect_nothing(watch);
	ck_assert_int_eq(shmb_watch_fd(watch), fd.fd);
	ck_assert_int_eq(poll(&fd, 1, 50), 0);
	broker_stop(&b);
	broker_restart(&b);
	expect(watch, "reconnected", "", 0);
	shmb_watch_close(watch);
	broker_finish(&b);
}
END_TEST

/* A watcher that reads nothing loses events and is told exactly how many; the daemon serves on, and its memory does not grow. */
START_TEST(who_does_not_read_loses_events)
{
	enum { ROUNDS = 400 }; /* each of two events */
	struct shmb_watch *lazy;
	struct shmb_watch *keen;
	struct shmb_event event;
	struct shmb_value_writer *writer;
	struct shmb *client;
	struct broker b;
	uint64_t lost = 0;
	unsigned got = 0;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	shmb_value_writer_close(value_writer(client, "much", 8));
	shmb_value_writer_close(value_writer(client, "quiet", 8));
	ASSERT_OK(shmb_watch_open(&lazy, b.socket, "much"));
	ASSERT_OK(shmb_watch_open(&keen, b.socket, "much"));
	for (unsigned i = 0; i < ROUNDS; i++) {
		writer = value_writer(client, "much", 8);
		expect(keen, "writer-up", "much", getpid());
		shmb_value_writer_close(writer);
		expect(keen, "writer-closed", "much", getpid());
		shmb_value_writer_close(value_writer(client, "quiet", 8)); /* which the watchers do not want to know: not lost either */
	}
	while (got + lost < 2 * ROUNDS) {
		ASSERT_OK(shmb_watch_next(lazy, &event, deadline_in(SUITE_PATIENCE_MS)));
		if (strcmp(event.kind, "lost") == 0)
			lost += event.lost;
		else
			got++;
	}
	ck_assert_uint_gt(lost, 0);
	ck_assert_uint_gt(got, 100);
	ck_assert_uint_eq(got + lost, 2 * ROUNDS);
	expect_nothing(lazy);
	expect_nothing(keen);
	shmb_watch_close(lazy);
	shmb_watch_close(keen);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Requests and events on one connection: each request is answered, with events between the answers. */
START_TEST(requests_between_events)
{
	static struct raw_answer answer;
	struct shmb_msg_watch watch = { .head = { .opcode = 0 } };
	struct shmb_msg_status status = { .head = { .opcode = SHMB_OP_STATUS, .serial = 1000 } };
	struct raw raw = { 0 };
	struct shmb *client;
	struct broker b;
	unsigned answers = 0;
	unsigned events = 0;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	ASSERT_OK(raw_start(&raw, b.socket));
	ck_assert_int_eq(raw_ask(&raw, SHMB_OP_WATCH, &watch, sizeof(watch), NULL, 0, &answer), 0);
	raw_answer_deinit(&answer);
	for (unsigned i = 0; i < 20; i++) {
		shmb_value_writer_close(value_writer(client, "much", 8));
		ck_assert_int_eq(raw_send(&raw, &status, sizeof(status)), 0);
		status.head.serial++;
	}
	while (answers < 20 || events < 41) {
		int r = raw_receive(&raw, &answer, SUITE_PATIENCE_MS);

		ck_assert_int_gt(r, 0);
		ck_assert_uint_eq(answer.fd_count, 0);
		if (answer.head.opcode == SHMB_OP_STATUS) {
			ck_assert_uint_eq(answer.head.serial, 1000 + answers);
			answers++;
		} else {
			struct shmb_msg_events packet;

			ck_assert_int_eq(answer.head.opcode, SHMB_OP_EVENT);
			ck_assert_uint_eq(answer.head.serial, watch.head.serial);
			memcpy(&packet, answer.bytes, sizeof(packet));
			ck_assert_uint_eq(packet.lost, 0);
			events += packet.count;
		}
		raw_answer_deinit(&answer);
	}
	ck_assert_uint_eq(answers, 20);
	ck_assert_uint_eq(events, 41);
	raw_close(&raw);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* So many may watch, and no more; who stops makes room. */
START_TEST(watchers_are_counted)
{
	enum { MOST = 64 };
	struct shmb_watch *watches[MOST];
	struct shmb_watch *another;
	struct broker b;

	broker_start(&b, NULL);
	for (unsigned i = 0; i < MOST; i++)
		ASSERT_OK(shmb_watch_open(&watches[i], b.socket, NULL));
	ASSERT_ERROR(shmb_watch_open(&another, b.socket, NULL), EUSERS);
	shmb_watch_close(watches[7]);
	ASSERT_OK(shmb_watch_open(&watches[7], b.socket, NULL));
	for (unsigned i = 0; i < MOST; i++)
		shmb_watch_close(watches[i]);
	broker_finish(&b);
}
END_TEST

START_TEST(monitor_prints_events)
{
	struct program monitor;
	struct program writer;
	const char *line;
	struct broker b;

	if (path_shmbctl() == NULL)
		TEST_SKIP("shmbctl is not built");
	broker_start(&b, NULL);
	program_start(&monitor, &(struct program_options){ .environment = ARGV(b.environment) },
		      ARGV(path_shmbctl(), "monitor", "--json", "mon/*"));
	worker_start(&writer, &b, "writer", false);
	/* From some time on it watches. */
	for (uint64_t deadline = deadline_in(SUITE_PATIENCE_MS); !program_has_line(&monitor, 10);) {
		ck_assert(suite_pause(deadline));
		worker_must(&writer, "writer name=mon/first bytes=64 capacity=8");
		worker_must(&writer, "close-writer");
		worker_must(&writer, "writer name=other bytes=64 capacity=8");
		worker_must(&writer, "close-writer");
	}
	worker_must(&writer, "writer name=mon/ring bytes=64 capacity=8");
	do {
		line = program_line(&monitor, SUITE_PATIENCE_MS);
		ck_assert_ptr_nonnull(line);
		ck_assert_msg(strstr(line, "\"segment\":\"mon/") != NULL, "%s", line);
	} while (strstr(line, "\"kind\":\"created\",\"segment\":\"mon/ring\"") == NULL);
	line = program_line(&monitor, SUITE_PATIENCE_MS);
	ck_assert_msg(line != NULL && strstr(line, "\"kind\":\"writer-up\"") != NULL, "%s", line);
	program_kill(&writer);
	line = program_line(&monitor, SUITE_PATIENCE_MS);
	ck_assert_msg(line != NULL && strstr(line, "\"kind\":\"writer-dead\"") != NULL, "%s", line);
	program_kill(&monitor);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("watch");

	suite_add(suite, the_life_of_a_segment, 60);
	suite_add(suite, reaped_and_repaired, 60);
	suite_add(suite, a_restart_is_told, 60);
	suite_add(suite, who_does_not_read_loses_events, 60);
	suite_add(suite, requests_between_events, 60);
	suite_add(suite, watchers_are_counted, 60);
	suite_add(suite, monitor_prints_events, 60);
	return suite_run(suite);
}
