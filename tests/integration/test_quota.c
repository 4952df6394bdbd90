/* SPDX-License-Identifier: MIT */
/* Quotas, each by its effect: memory, segments, connections and requests of a user and of all, and the time a connection may say nothing. */
#include "../support/client.h"
#include "../support/other.h"
#include "../support/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Eight slots of it: a little more than half a MiB. */
enum { HALF_BYTES = 65536 };

static const struct broker_options open_to_all = { .runtime_mode = 0755 };

static void start(struct broker *b, const char *config)
{
	struct broker_options options = open_to_all;

	options.config = config;
	broker_start(b, &options);
}

static int child_bytes(struct broker *b)
{
	struct shmb *client = NULL;

	CHILD_CHECK(shmb_connect(&client, b->socket) == 0);
	CHILD_CHECK(ring_writer_try(client, "first", HALF_BYTES, 8) == 0);
	CHILD_CHECK(ring_writer_try(client, "second", HALF_BYTES, 8) == -EDQUOT);
	CHILD_CHECK(strstr(shmb_text(), "first") != NULL && strstr(shmb_text(), "bytes-max = 1048576") != NULL);
	CHILD_CHECK(ring_writer_try(client, "small", 64, 8) == 0);
	CHILD_CHECK(shmb_remove(client, "first") == 0);
	CHILD_CHECK(ring_writer_try(client, "second", HALF_BYTES, 8) == 0);
	shmb_disconnect(client);
	return 0;
}

static int child_too_much(struct broker *b)
{
	struct shmb *client = NULL;

	CHILD_CHECK(shmb_connect(&client, b->socket) == 0);
	CHILD_CHECK(ring_writer_try(client, "third", HALF_BYTES, 8) == -EDQUOT);
	CHILD_CHECK(strstr(shmb_text(), "second") != NULL && strstr(shmb_text(), "roots") == NULL);
	shmb_disconnect(client);
	return 0;
}

START_TEST(bytes_of_a_user)
{
	struct shmb *client;
	struct broker b;

	OTHER_SKIP();
	start(&b, "[user 65534]\nbytes-max = 1M\n");
	client = broker_connect(&b);
	ASSERT_OK(ring_writer_try(client, "roots", 4 * HALF_BYTES, 8));
	other_run(OTHER_UID, child_bytes, &b);
	broker_wait_log(&b, "bytes-max = 1048576");
	/* What is there counts after a restart as well. */
	broker_kill(&b);
	broker_restart(&b);
	other_run(OTHER_UID, child_too_much, &b);
	ASSERT_OK(ring_writer_try(client, "more", 4 * HALF_BYTES, 8));
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Removed, but mapped by a reader: charged until that lets go of it, in an orderly way or by its end. */
START_TEST(bytes_stay_charged_while_mapped)
{
	static const char *const configs[] = { "[broker]\nbytes-max = 1M\n", "[broker]\nbytes-max = 1M\n[segment *]\nbacking = sealed\n" };

	for (unsigned i = 0; i < 4; i++) {
		struct program reader;
		struct shmb *client;
		struct broker b;

		start(&b, configs[i / 2]);
		client = broker_connect(&b);
		ASSERT_OK(ring_writer_try(client, "first", HALF_BYTES, 8));
		worker_start(&reader, &b, "reader", false);
		worker_must(&reader, "reader name=first bytes=%d", HALF_BYTES);
		ASSERT_OK(shmb_remove(client, "first"));
		ck_assert_uint_eq(segments_count(client), 0);
		for (unsigned j = 0; j < 3; j++)
			ASSERT_ERROR(ring_writer_try(client, "second", HALF_BYTES, 8), ENOSPC);
		if (i % 2 == 0)
			worker_quit(&reader);
		else
			program_kill(&reader);
		WAIT_UNTIL(ring_writer_try(client, "second", HALF_BYTES, 8) == 0);
		shmb_disconnect(client);
		broker_finish(&b);
	}
}
END_TEST

struct seen_users {
	struct shmb_user_info total, root, other;
	unsigned count;
	uint32_t last;
};

static int see_user(const struct shmb_user_info *info, void *user)
{
	struct seen_users *seen = user;

	if (info->is_total) {
		ck_assert_uint_eq(seen->count, 0);
		seen->total = *info;
	} else if (info->uid == 0) {
		seen->root = *info;
	} else if (info->uid == OTHER_UID) {
		seen->other = *info;
	}
	ck_assert(seen->count < 2 || info->uid > seen->last);
	seen->last = info->uid;
	seen->count++;
	return 0;
}

static int child_is_seen(struct broker *b)
{
	struct seen_users seen = { .count = 0 };
	struct shmb *client = NULL;

	CHILD_CHECK(shmb_connect(&client, b->socket) == 0);
	CHILD_CHECK(ring_writer_try(client, "first", HALF_BYTES, 8) == 0);
	CHILD_CHECK(ring_writer_try(client, "second", HALF_BYTES, 8) == -EDQUOT);
	CHILD_CHECK(ring_reader_try(client, "nothing", SHMB_NO_WAIT) == -ENOENT);
	/* Itself and all together, nobody else. */
	CHILD_CHECK(shmb_users(client, see_user, &seen) == 0 && seen.count == 2);
	CHILD_CHECK(seen.other.uid == OTHER_UID && seen.other.clients == 1 && seen.other.segments == 1);
	CHILD_CHECK(seen.other.bytes > 8 * HALF_BYTES && seen.other.bytes_max == 1 << 20);
	CHILD_CHECK(seen.other.requests >= 5 && seen.other.refusals == 2 && seen.other.over_quota == 1);
	CHILD_CHECK(seen.total.segments == 2 && seen.total.bytes > seen.other.bytes && seen.total.over_quota == 1);
	shmb_disconnect(client);
	return 0;
}

/* What is counted of each user can be asked for: by root of all, by others of themselves. */
START_TEST(figures_of_users)
{
	struct seen_users seen = { .count = 0 };
	struct shmb_ring_writer *writer;
	struct shmb *client;
	struct broker b;

	OTHER_SKIP();
	start(&b, "[user *]\nbytes-max = 1M\nrequest-rate = 5000\n[broker]\nsegments-max = 77\n");
	client = broker_connect(&b);
	writer = ring_writer(client, "roots", HALF_BYTES, 8);
	other_run(OTHER_UID, child_is_seen, &b);
	ASSERT_OK(shmb_users(client, see_user, &seen));
	ck_assert_uint_eq(seen.count, 3);
	ck_assert_uint_eq(seen.total.segments_max, 77);
	ck_assert_uint_eq(seen.root.bytes_max, UINT64_MAX);
	ck_assert_uint_eq(seen.root.segments, 1);
	ck_assert_uint_eq(seen.root.clients, 1);
	ck_assert_uint_eq(seen.other.request_rate, 5000);
	ck_assert_uint_eq(seen.other.clients_max, UINT64_MAX);
	ck_assert_uint_eq(seen.root.bytes + seen.other.bytes, seen.total.bytes);
	/* Who has nothing any more is not there. */
	ASSERT_OK(shmb_remove(client, "first"));
	do {
		seen = (struct seen_users){ .count = 0 };
		ASSERT_OK(shmb_users(client, see_user, &seen));
	} while (seen.count != 2 && suite_pause(deadline_in(SUITE_PATIENCE_MS)));
	ck_assert_uint_eq(seen.count, 2);
	ck_assert_uint_eq(seen.total.over_quota, 1);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

START_TEST(bytes_of_all)
{
	struct shmb *client;
	struct broker b;

	start(&b, "[broker]\nbytes-max = 1M\nsegments-max = 3\n");
	client = broker_connect(&b);
	ASSERT_OK(ring_writer_try(client, "first", HALF_BYTES, 8));
	ASSERT_ERROR(ring_writer_try(client, "second", HALF_BYTES, 8), ENOSPC);
	ck_assert_msg(strstr(shmb_text(), "largest: first") != NULL && strstr(shmb_text(), "bytes-max") != NULL, "unclear: %s",
		      shmb_text());
	/* Large ones are asked before their memory is had. */
	ASSERT_ERROR(ring_writer_try(client, "second", 8 * HALF_BYTES, 8), ENOSPC);
	ASSERT_OK(ring_writer_try(client, "a", 64, 8));
	ASSERT_OK(ring_writer_try(client, "b", 64, 8));
	ASSERT_ERROR(ring_writer_try(client, "c", 64, 8), ENOSPC);
	ck_assert_ptr_nonnull(strstr(shmb_text(), "segments-max = 3"));
	/* A configuration that says otherwise holds at once. */
	broker_configure(&b, "[broker]\nbytes-max = 2M\n");
	program_signal(&b.daemon, 1);
	WAIT_UNTIL(ring_writer_try(client, "second", HALF_BYTES, 8) == 0);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

static int watching[2];

/* Hears of both refusals, and of no segment that it may not see. */
static int child_watches(struct broker *b)
{
	uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);
	struct shmb_watch *watch = NULL;
	struct shmb_event event;
	unsigned refusals = 0;

	CHILD_CHECK(shmb_watch_open(&watch, b->socket, NULL) == 0);
	CHILD_CHECK(write(watching[1], "w", 1) == 1);
	while (refusals < 2) {
		CHILD_CHECK(shmb_watch_next(watch, &event, deadline) == 0);
		if (strstr(event.text, "hidden") != NULL)
			fprintf(stderr, "told: %s\n", event.text);
		CHILD_CHECK(strstr(event.text, "hidden") == NULL);
		refusals += strcmp(event.kind, "quota") == 0 || strcmp(event.kind, "refused") == 0;
	}
	shmb_watch_close(watch);
	return 0;
}

START_TEST(largest_are_told_to_who_asked_alone)
{
	struct shmb *client;
	struct broker b;
	char byte;
	pid_t pid;

	OTHER_SKIP();
	ck_assert_int_eq(pipe2(watching, O_CLOEXEC), 0);
	start(&b, "[broker]\nbytes-max = 1M\n[segment hidden*]\nreaders = root\n");
	client = broker_connect(&b);
	ASSERT_OK(ring_writer_try(client, "hidden", HALF_BYTES, 8));
	pid = other_start(OTHER_UID, child_watches, &b);
	ck_assert_int_eq(read(watching[0], &byte, 1), 1);
	ASSERT_ERROR(ring_writer_try(client, "second", HALF_BYTES, 8), ENOSPC);
	ck_assert_ptr_nonnull(strstr(shmb_text(), "largest: hidden"));
	other_wait(pid);
	close(watching[0]);
	close(watching[1]);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

static int child_segments(struct broker *b)
{
	struct shmb *client = NULL;

	CHILD_CHECK(shmb_connect(&client, b->socket) == 0);
	CHILD_CHECK(ring_writer_try(client, "a", 64, 8) == 0);
	CHILD_CHECK(ring_writer_try(client, "b", 64, 8) == 0);
	CHILD_CHECK(ring_writer_try(client, "c", 64, 8) == -EDQUOT);
	CHILD_CHECK(strstr(shmb_text(), "segments-max = 2") != NULL);
	shmb_disconnect(client);
	return 0;
}

/* What [user *] says is for everybody but root and those who have a section of their own, setting by setting. */
START_TEST(segments_of_users)
{
	struct shmb *client;
	struct broker b;

	OTHER_SKIP();
	start(&b, "[user *]\nsegments-max = 1\nbytes-max = 8M\n\n[user 65534]\nsegments-max = 2\n");
	client = broker_connect(&b);
	ASSERT_OK(ring_writer_try(client, "r1", 64, 8));
	ASSERT_OK(ring_writer_try(client, "r2", 64, 8));
	other_run(OTHER_UID, child_segments, &b);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

static int child_connections(struct broker *b)
{
	struct shmb *clients[3] = { NULL };

	CHILD_CHECK(shmb_connect(&clients[0], b->socket) == 0);
	CHILD_CHECK(shmb_connect(&clients[1], b->socket) == 0);
	CHILD_CHECK(shmb_connect(&clients[2], b->socket) == -EUSERS);
	CHILD_CHECK(strstr(shmb_text(), "connections-max") != NULL);
	shmb_disconnect(clients[0]);
	for (unsigned i = 0; i < 1000 && shmb_connect(&clients[2], b->socket) != 0; i++)
		usleep(10000);
	CHILD_CHECK(clients[2] != NULL);
	shmb_disconnect(clients[1]);
	shmb_disconnect(clients[2]);
	return 0;
}

START_TEST(connections_of_a_user)
{
	struct shmb *clients[4];
	struct broker b;

	OTHER_SKIP();
	start(&b, "[user *]\nconnections-max = 2\n");
	other_run(OTHER_UID, child_connections, &b);
	broker_wait_log(&b, "uid 65534 has 2 connections");
	for (unsigned i = 0; i < 4; i++)
		clients[i] = broker_connect(&b);
	for (unsigned i = 0; i < 4; i++)
		shmb_disconnect(clients[i]);
	broker_finish(&b);
}
END_TEST

/* All users together. */
START_TEST(connections_of_all)
{
	struct shmb *clients[3] = { NULL };
	struct broker b;

	start(&b, "[broker]\nconnections-max = 2\n");
	clients[0] = broker_connect(&b);
	clients[1] = broker_connect(&b);
	ASSERT_ERROR(shmb_connect(&clients[2], b.socket), EUSERS);
	ck_assert_msg(strstr(shmb_text(), "connections-max") != NULL, "%s", shmb_text());
	shmb_disconnect(clients[0]);
	WAIT_UNTIL(shmb_connect(&clients[2], b.socket) == 0);
	shmb_disconnect(clients[1]);
	shmb_disconnect(clients[2]);
	broker_finish(&b);
}
END_TEST

static int child_asks_often(struct broker *b)
{
	uint64_t begin = now_ns(), deadline = deadline_in(SUITE_PATIENCE_MS);
	uint64_t asked = 2; /* at least: to connect */
	struct shmb *client = NULL;
	struct seen_users seen;

	CHILD_CHECK(shmb_connect(&client, b->socket) == 0);
	do { /* until it was slowed: a host that stood still has earned it more */
		for (unsigned i = 0; i < 60; i++, asked++)
			CHILD_CHECK(segments_count(client) == 0);
		seen = (struct seen_users){ .count = 0 };
		CHILD_CHECK(shmb_users(client, see_user, &seen) == 0);
		asked++;
	} while (seen.total.over_quota == 0 && now_ns() < deadline);
	CHILD_CHECK(seen.total.over_quota > 0);
	/* 40 at once and 40 a second, however fast it is. */
	CHILD_CHECK((now_ns() - begin) / 25000000 + 1 >= asked - 40);
	shmb_disconnect(client);
	return 0;
}

START_TEST(requests_of_a_user)
{
	struct shmb *client;
	struct broker b;
	pid_t pid;

	OTHER_SKIP();
	start(&b, "[user 65534]\nrequest-rate = 40\n");
	client = broker_connect(&b);
	pid = other_start(OTHER_UID, child_asks_often, &b);
	broker_wait_log(&b, "request-rate = 40");
	for (unsigned i = 0; i < 400; i++) /* would take ten seconds if it were its bucket */
		ck_assert_uint_eq(segments_count(client), 0);
	other_wait(pid);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* All users together but root, whose requests are read in any case. */
START_TEST(requests_of_all)
{
	struct shmb *client;
	struct broker b;
	pid_t pid;

	OTHER_SKIP();
	start(&b, "[broker]\nrequest-rate = 40\n");
	client = broker_connect(&b);
	pid = other_start(OTHER_UID, child_asks_often, &b);
	broker_wait_log(&b, "request-rate = 40");
	for (unsigned i = 0; i < 400; i++)
		ck_assert_uint_eq(segments_count(client), 0);
	other_wait(pid);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Whoever says nothing is sent away; who has introduced itself may be silent. */
START_TEST(silent_connections_are_closed)
{
	static struct raw_answer answer;
	struct raw silent = { 0 };
	struct raw half = { 0 };
	struct shmb *client;
	struct broker b;

	start(&b, "[broker]\nhello-time = 2s\n");
	client = broker_connect(&b);
	ASSERT_OK(raw_connect(&silent, b.socket));
	ASSERT_OK(raw_hello(&half, b.socket));
	ck_assert_int_eq(raw_receive(&silent, &answer, SUITE_PATIENCE_MS), 0);
	ck_assert_int_eq(raw_receive(&half, &answer, SUITE_PATIENCE_MS), 0);
	ck_assert_uint_eq(clients_count(client), 1);
	raw_close(&silent);
	raw_close(&half);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* A shorter time is for those that are silent already as well, and for those behind them. */
START_TEST(silent_connections_follow_a_reload)
{
	static struct raw_answer answer;
	struct raw first = { 0 };
	struct raw next = { 0 };
	struct broker b;
	int before;

	start(&b, "[broker]\nhello-time = 1h\n");
	before = fds_count(b.daemon.pid);
	ASSERT_OK(raw_connect(&first, b.socket));
	WAIT_UNTIL(fds_count(b.daemon.pid) > before);
	broker_configure(&b, "[broker]\nhello-time = 2s\n");
	program_signal(&b.daemon, 1);
	ck_assert_int_eq(raw_receive(&first, &answer, SUITE_PATIENCE_MS), 0);
	ASSERT_OK(raw_connect(&next, b.socket));
	ck_assert_int_eq(raw_receive(&next, &answer, SUITE_PATIENCE_MS), 0);
	raw_close(&first);
	raw_close(&next);
	broker_finish(&b);
}
END_TEST

/* Promising more than there is, is said at the start and at a reload. */
START_TEST(promises_are_looked_at)
{
	struct broker b;
	char *log;

	start(&b, "[broker]\nbytes-max = 900T\n");
	broker_wait_log(&b, "but the file system of");
	broker_configure(&b, "[broker]\nbytes-max = 800T\n");
	program_signal(&b.daemon, 1);
	broker_wait_log(&b, "segments may have 879609302220800 bytes");
	broker_configure(&b, "[broker]\nbytes-max = 1M\n");
	program_signal(&b.daemon, 1);
	WAIT_UNTIL((log = broker_log(&b)) != NULL && (text_count(log, "the configuration is loaded") == 2 || (free(log), false)));
	ck_assert_uint_eq(text_count(log, "but the file system of"), 2);
	free(log);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("quota");

	suite_add(suite, bytes_of_a_user, 30);
	suite_add(suite, bytes_stay_charged_while_mapped, 60);
	suite_add(suite, figures_of_users, 60);
	suite_add(suite, bytes_of_all, 30);
	suite_add(suite, largest_are_told_to_who_asked_alone, 30);
	suite_add(suite, segments_of_users, 30);
	suite_add(suite, connections_of_a_user, 30);
	suite_add(suite, connections_of_all, 30);
	suite_add(suite, requests_of_all, 60);
	suite_add(suite, requests_of_a_user, 60);
	suite_add(suite, silent_connections_are_closed, 30);
	suite_add(suite, silent_connections_follow_a_reload, 90);
	suite_add(suite, promises_are_looked_at, 30);
	return suite_run(suite);
}
