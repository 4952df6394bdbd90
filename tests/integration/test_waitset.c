/* SPDX-License-Identifier: MIT */
/* Wait sets: a descriptor that is readable while a member has something to tell; and every function of waits and sets in a forked child. */
#include "../support/client.h"

#include <errno.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BYTES = 64 };

static bool readable(const struct shmb_waitset *set, int ms)
{
	struct pollfd poll_fd = { .fd = shmb_waitset_fd(set), .events = POLLIN };

	return poll(&poll_fd, 1, ms) == 1;
}

START_TEST(waitset_is_level_triggered)
{
	struct shmb_waitset *set;
	struct shmb_ring_writer *writers[2];
	struct shmb_ring_reader *readers[2];
	struct shmb_ring_reader *unseen;
	struct shmb *client;
	struct broker b;
	void *user = NULL;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	ASSERT_OK(shmb_waitset_new(&set, client));
	ck_assert(!readable(set, 0));
	ASSERT_ERROR(shmb_waitset_next(set, &user), ENODATA);
	for (unsigned i = 0; i < 2; i++) {
		writers[i] = ring_writer(client, i == 0 ? "a" : "b", BYTES, 8);
		readers[i] = ring_reader(client, i == 0 ? "a" : "b");
		ASSERT_OK(shmb_waitset_add(set, shmb_ring_waitable(readers[i]), readers[i]));
	}
	ASSERT_ERROR(shmb_waitset_next(set, &user), ENODATA);
	ck_assert(!readable(set, 50));
	/* News: each member once a pass, readable until it has been read. */
	ring_write(writers[1], BYTES, 2, 1);
	for (unsigned pass = 0; pass < 3; pass++) {
		ck_assert(readable(set, SUITE_PATIENCE_MS));
		ASSERT_OK(shmb_waitset_next(set, &user));
		ck_assert_ptr_eq(user, readers[1]);
		ASSERT_ERROR(shmb_waitset_next(set, &user), ENODATA);
	}
	ring_next(readers[1], 0, 0);
	ck_assert(readable(set, SUITE_PATIENCE_MS));
	ASSERT_OK(shmb_waitset_next(set, &user));
	ring_next(readers[1], 1, 0);
	ASSERT_ERROR(shmb_waitset_next(set, &user), ENODATA);
	ck_assert(!readable(set, 50));
	/* Both, and a cancel. */
	ring_write(writers[0], BYTES, 1, 1);
	ASSERT_OK(shmb_cancel(shmb_ring_waitable(readers[1])));
	ck_assert(readable(set, SUITE_PATIENCE_MS));
	ASSERT_OK(shmb_waitset_next(set, &user));
	ck_assert_ptr_eq(user, readers[0]);
	ring_next(readers[0], 0, 0);
	ASSERT_ERROR(shmb_waitset_next(set, &user), ECANCELED);
	ck_assert_ptr_eq(user, readers[1]);
	ASSERT_ERROR(shmb_waitset_next(set, &user), ENODATA);
	/* A member leaves while the helper sleeps on it, and is closed. */
	ASSERT_OK(shmb_waitset_remove(set, shmb_ring_waitable(readers[0])));
	shmb_ring_reader_close(readers[0]);
	ring_write(writers[0], BYTES, 1, 1);
	ASSERT_ERROR(shmb_waitset_next(set, &user), ENODATA);
	ck_assert(!readable(set, 50));
	/* One that no writer knows of. */
	ASSERT_OK(shmb_ring_observe(&unseen, client, "a"));
	ASSERT_OK(shmb_ring_seek(unseen, 2));
	ASSERT_OK(shmb_waitset_add(set, shmb_ring_waitable(unseen), unseen));
	ASSERT_ERROR(shmb_waitset_next(set, &user), ENODATA);
	ck_assert(!readable(set, 50));
	ring_write(writers[0], BYTES, 1, 1);
	ck_assert(readable(set, SUITE_PATIENCE_MS));
	ASSERT_OK(shmb_waitset_next(set, &user));
	ck_assert_ptr_eq(user, unseen);
	ring_next(unseen, 2, 0);
	ASSERT_ERROR(shmb_waitset_next(set, &user), ENODATA);
	/* What became of a writer: once. */
	shmb_ring_writer_close(writers[1]);
	ck_assert(readable(set, SUITE_PATIENCE_MS));
	ASSERT_ERROR(shmb_waitset_next(set, &user), EPIPE);
	ck_assert_ptr_eq(user, readers[1]);
	ASSERT_ERROR(shmb_waitset_next(set, &user), ENODATA);
	ck_assert(!readable(set, 50));
	shmb_waitset_free(set);
	shmb_ring_reader_close(unseen);
	shmb_ring_reader_close(readers[1]);
	shmb_ring_writer_close(writers[0]);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Nothing is missed: each number arrives through the descriptor, however reading, arming and writing meet. */
START_TEST(waitset_misses_nothing)
{
	struct shmb_waitset *set;
	struct program writer;
	struct shmb_ring_reader *reader;
	struct shmb *client;
	struct broker b;
	uint64_t number = 0;
	void *user;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	worker_start(&writer, &b, "writer", false);
	worker_must(&writer, "writer name=ring kind=ring bytes=64 capacity=1048576");
	reader = ring_reader(client, "ring");
	ASSERT_OK(shmb_waitset_new(&set, client));
	ASSERT_OK(shmb_waitset_add(set, shmb_ring_waitable(reader), reader));
	worker_must(&writer, "run period=20");
	while (number < 5000) {
		ck_assert_msg(readable(set, SUITE_PATIENCE_MS), "the descriptor sleeps at number %llu", (unsigned long long)number);
		while (shmb_waitset_next(set, &user) == 0)
			ring_next(reader, number++, 0);
	}
	worker_must(&writer, "stop");
	/* A daemon that is killed and comes back is the helper's business. */
	broker_kill(&b);
	broker_restart(&b);
	while (shmb_waitset_next(set, &user) == 0)
		ring_next(reader, number++, 0);
	program_send(&writer, "write n=1");
	ck_assert(readable(set, SUITE_PATIENCE_MS));
	worker_answer(&writer);
	shmb_waitset_free(set);
	shmb_ring_reader_close(reader);
	worker_quit(&writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Every function in a forked child. */
static int forked_results(struct shmb_ring_reader *reader, struct shmb_waitset *set, struct shmb *client)
{
	struct shmb_waitable *waitable = shmb_ring_waitable(reader);
	struct shmb_waitset *another;
	void *user;

	if (shmb_wait_any(&waitable, 1, SHMB_FOREVER, NULL) != -EOWNERDEAD)
		return 1;
	if (shmb_cancel(waitable) != -EOWNERDEAD)
		return 2;
	if (shmb_set_spin(waitable, 1) != -EOWNERDEAD)
		return 3;
	if (shmb_waitset_new(&another, client) != -EOWNERDEAD)
		return 4;
	if (shmb_waitset_add(set, waitable, NULL) != -EOWNERDEAD)
		return 5;
	if (shmb_waitset_next(set, &user) != -EOWNERDEAD)
		return 6;
	if (shmb_waitset_remove(set, waitable) != -EOWNERDEAD)
		return 7;
	if (shmb_waitset_free(set) != NULL)
		return 8;
	return 0;
}

START_TEST(forked)
{
	struct shmb_waitset *set;
	struct shmb_ring_writer *writer;
	struct shmb_ring_reader *reader;
	struct shmb *client;
	struct broker b;
	void *user;
	int status;
	pid_t pid;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "ring", BYTES, 8);
	reader = ring_reader(client, "ring");
	ASSERT_OK(shmb_waitset_new(&set, client));
	ASSERT_OK(shmb_waitset_add(set, shmb_ring_waitable(reader), reader));
	ASSERT_ERROR(shmb_waitset_next(set, &user), ENODATA);
	pid = fork();
	if (pid == 0)
		_exit(forked_results(reader, set, client));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	/* The parent's set goes on. */
	ck_assert(!readable(set, 0));
	ring_write(writer, BYTES, 1, 1);
	ck_assert(readable(set, SUITE_PATIENCE_MS));
	ASSERT_OK(shmb_waitset_next(set, &user));
	shmb_waitset_free(set);
	shmb_ring_reader_close(reader);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("waitset");

	suite_add(suite, waitset_is_level_triggered, 60);
	suite_add(suite, waitset_misses_nothing, 60);
	suite_add(suite, forked, 30);
	return suite_run(suite);
}
