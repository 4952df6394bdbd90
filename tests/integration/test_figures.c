/* SPDX-License-Identifier: MIT */
/* What tools show live: figures of many segments at once. */
#include "../support/client.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

struct seen {
	struct shmb_figures last;
	char name[256];
	unsigned count;
	unsigned stop_at;
};

static int see(const struct shmb_figures *figures, void *user)
{
	struct seen *seen = user;

	seen->last = *figures;
	snprintf(seen->name, sizeof(seen->name), "%s", figures->name);
	seen->count++;
	return seen->count == seen->stop_at ? 7 : 0;
}

static struct seen figures_of(struct shmb *client, const char *pattern)
{
	struct seen seen = { .count = 0 };

	ASSERT_OK(shmb_figures(client, pattern, see, &seen));
	return seen;
}

START_TEST(figures_of_one_segment)
{
	struct program writer;
	struct program reader;
	struct program slow;
	struct shmb *client;
	struct broker b;
	struct seen seen;
	uint64_t id;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	worker_start(&writer, &b, "writer", false);
	worker_start(&reader, &b, "reader", false);
	worker_start(&slow, &b, "slow", false);
	worker_must(&writer, "writer name=fig/ring bytes=64 capacity=8 stamped=1");
	worker_must(&writer, "write n=1");
	worker_must(&reader, "reader name=fig/ring bytes=64");
	worker_must(&slow, "reader name=fig/ring bytes=64");
	worker_must(&writer, "write n=4");
	for (unsigned i = 0; i < 5; i++)
		worker_must(&reader, "next");
	ASSERT_RESULT(worker_ask(&reader, "wait deadline=100"), -ETIMEDOUT); /* shows its counters */
	seen = figures_of(client, "fig/*");
	ck_assert_uint_eq(seen.count, 1);
	ck_assert_str_eq(seen.name, "fig/ring");
	ck_assert_uint_eq(seen.last.next, 5);
	ck_assert_uint_eq(seen.last.readers, 2);
	ck_assert_uint_eq(seen.last.capacity, 8);
	ck_assert_uint_eq(seen.last.payload_bytes, 64);
	ck_assert_int_eq(seen.last.writer_pid, writer.pid);
	ck_assert_int_eq(seen.last.writer, SHMB_WRITER_IS_ALIVE);
	ck_assert_uint_ne(seen.last.heartbeat_ns, 0);
	ck_assert_uint_ge(seen.last.looked_ns, seen.last.heartbeat_ns);
	ck_assert_uint_eq(seen.last.lag, 5); /* the slow one has read nothing */
	ck_assert_int_eq(seen.last.lag_pid, slow.pid);
	ck_assert(seen.last.read == 5 || seen.last.read == 0); /* 0: built without counters */
	id = seen.last.segment_id;
	worker_must(&writer, "write n=20");
	worker_must(&slow, "next");
	ASSERT_RESULT(worker_ask(&slow, "wait deadline=0"), 0);
	seen = figures_of(client, NULL);
	ck_assert_uint_eq(seen.last.next, 25);
	ck_assert_uint_eq(seen.last.lag, 20);
	ck_assert_int_eq(seen.last.lag_pid, reader.pid);
	ck_assert_uint_eq(seen.last.segment_id, id);
	program_kill(&writer);
	wait_writer(client, "fig/ring", SHMB_WRITER_IS_DEAD);
	seen = figures_of(client, NULL);
	ck_assert_int_eq(seen.last.writer, SHMB_WRITER_IS_DEAD);
	ck_assert_int_eq(seen.last.writer_pid, 0);
	worker_quit(&reader);
	worker_quit(&slow);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* More segments than fit one answer, a pattern, and a visitor that has seen enough. */
START_TEST(figures_of_many_segments)
{
	enum { MANY = 200 };
	static struct shmb_value_writer *writers[MANY];
	struct seen seen = { .stop_at = 3 };
	struct shmb *clients[2];
	struct broker b;
	char long_pattern[300];

	broker_start(&b, NULL);
	for (unsigned i = 0; i < 2; i++)
		clients[i] = broker_connect(&b);
	for (unsigned i = 0; i < MANY; i++) {
		char name[32];

		snprintf(name, sizeof(name), "many/%s/%u", i % 10 == 0 ? "tenth" : "other", i);
		writers[i] = value_writer(clients[i / 100], name, 8);
		value_write(writers[i], 8, i % 3, 1);
	}
	ck_assert_uint_eq(figures_of(clients[0], NULL).count, MANY);
	ck_assert_uint_eq(figures_of(clients[0], "*").count, MANY);
	ck_assert_uint_eq(figures_of(clients[0], "many/tenth/*").count, MANY / 10);
	ck_assert_uint_eq(figures_of(clients[0], "many/*/19?").count, 10);
	ck_assert_uint_eq(figures_of(clients[0], "nothing").count, 0);
	ck_assert_uint_eq(figures_of(clients[0], "[").count, 0);
	ck_assert_uint_eq(figures_of(clients[0], "many/other/198").last.next, 0);
	ck_assert_uint_eq(figures_of(clients[0], "many/other/197").last.next, 2);
	ck_assert_int_eq(shmb_figures(clients[0], NULL, see, &seen), 7);
	ck_assert_uint_eq(seen.count, 3);
	memset(long_pattern, '*', sizeof(long_pattern));
	long_pattern[sizeof(long_pattern) - 1] = '\0';
	ASSERT_ERROR(shmb_figures(clients[0], long_pattern, see, &seen), EINVAL);
	ASSERT_ERROR(shmb_figures(clients[0], "tab\t", see, &seen), EINVAL);
	for (unsigned i = 0; i < MANY; i++)
		shmb_value_writer_close(writers[i]);
	for (unsigned i = 0; i < 2; i++)
		shmb_disconnect(clients[i]);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("figures");

	suite_add(suite, figures_of_one_segment, 60);
	suite_add(suite, figures_of_many_segments, 60);
	return suite_run(suite);
}
