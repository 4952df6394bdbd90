/* SPDX-License-Identifier: MIT */
/* The daemon has no descriptor left, for a moment or for long: nothing is lost, forgotten or done by half, and it goes on when it has some again. */
#include "../support/client.h"
#include "../support/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* The daemon gets no descriptor from here on. Returns what it could have. */
static struct rlimit descriptors_take(struct broker *b)
{
	struct rlimit limit;
	struct rlimit none;

	ck_assert_int_eq(prlimit(b->daemon.pid, RLIMIT_NOFILE, NULL, &limit), 0);
	none = (struct rlimit){ .rlim_cur = 3, .rlim_max = limit.rlim_max };
	ck_assert_int_eq(prlimit(b->daemon.pid, RLIMIT_NOFILE, &none, NULL), 0);
	return limit;
}

static void descriptors_give_back(struct broker *b, const struct rlimit *limit)
{
	ck_assert_int_eq(prlimit(b->daemon.pid, RLIMIT_NOFILE, limit, NULL), 0);
}

/* So many that the card of what was open before does not stay mapped in the daemon. */
static void open_others(struct shmb *client)
{
	for (unsigned i = 0; i < 20; i++) {
		char name[16];

		snprintf(name, sizeof(name), "other%u", i);
		ASSERT_OK(ring_writer_try(client, name, 64, 8));
	}
}

/* Descriptors run out in the daemon: the request fails, the daemon does not spin or die, and serves again. */
START_TEST(daemon_without_descriptors)
{
	enum { CLIENTS = 40 };
	struct shmb *clients[CLIENTS] = { NULL };
	struct rlimit limit = { .rlim_cur = 32, .rlim_max = 32 };
	unsigned connected = 0;
	struct broker b;
	int r;

	broker_start(&b, NULL);
	ck_assert_int_eq(prlimit(b.daemon.pid, RLIMIT_NOFILE, &limit, NULL), 0);
	for (unsigned i = 0; i < CLIENTS; i++) {
		if (shmb_connect(&clients[i], b.socket) != 0)
			break;
		connected++;
	}
	ck_assert_msg(connected > 3 && connected < CLIENTS, "%u clients connected", connected);
	r = ring_writer_try(clients[0], "x", 64, 8);
	ck_assert_msg(r == 0 || r == -EMFILE || r == -ENFILE, "without descriptors: %d, %s", r, shmb_text());
	for (unsigned i = 0; i < connected; i++)
		shmb_disconnect(clients[i]);
	WAIT_UNTIL(shmb_connect(&clients[0], b.socket) == 0);
	ASSERT_OK(ring_writer_try(clients[0], "y", 64, 8));
	shmb_disconnect(clients[0]);
	broker_finish(&b);
}
END_TEST

/*
 * A superseded queue is looked at while the daemon has no descriptor to look with: what nobody has consumed of it stays.
 */
START_TEST(no_descriptor_is_no_reason_to_drop_items)
{
	struct shmb_options options = { .capacity = 8 };
	struct shmb_type *small = pattern_type(64);
	struct shmb_type *large = pattern_type(128);
	struct shmb_queue_producer *producer, *never;
	struct shmb_queue_consumer *consumer;
	unsigned char payload[128] = { 0 };
	struct rlimit limit;
	struct shmb_sample sample;
	struct shmb *client, *other;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	other = broker_connect(&b);
	ASSERT_OK(shmb_queue_producer_open(&producer, client, "q", small, &options));
	for (unsigned i = 0; i < 3; i++)
		ASSERT_OK(shmb_queue_push(producer, payload));
	shmb_queue_producer_close(producer);
	ASSERT_OK(shmb_queue_producer_open(&producer, client, "q", large, &options));

	limit = descriptors_take(&b);
	ASSERT_ERROR(shmb_queue_producer_open(&never, other, "q", large, &options), EBUSY); /* the broker looks at the name */
	descriptors_give_back(&b, &limit);

	ASSERT_OK(shmb_queue_consumer_open(&consumer, client, "q", small, SHMB_NO_WAIT));
	for (uint64_t i = 0; i < 3; i++) {
		ASSERT_OK(shmb_queue_pop(consumer, payload, &sample));
		ck_assert_uint_eq(sample.number, i);
	}
	shmb_queue_consumer_close(consumer);
	shmb_queue_producer_close(producer);
	shmb_type_free(small);
	shmb_type_free(large);
	shmb_disconnect(other);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

static int share_and_lock(struct raw *raw)
{
	static struct raw_answer answer;
	struct shmb_msg_open_writer open;
	struct shmb_shm_data *data;
	int r;

	raw_open_kind(&open, SHMB_KIND_BLOCK, "block", "uint64[8] words\n", 64);
	r = raw_ask(raw, SHMB_OP_OPEN_WRITER, &open, sizeof(open), "uint64[8] words\n", 16, &answer);
	if (r != 0)
		return r;
	data = mmap(NULL, SHMB_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, answer.fds[1], 0);
	if (data == MAP_FAILED)
		return -EIO;
	atomic_store(&data->lock, answer.open.cell + 1);
	munmap(data, SHMB_PAGE);
	raw_answer_deinit(&answer);
	return 0;
}

/* Who holds a block's lock dies while the daemon has no descriptor to look at it with: it is seen to when there is one. */
START_TEST(no_descriptor_is_no_reason_to_leave_a_lock)
{
	struct shmb_type *type = pattern_type(64);
	struct rlimit limit;
	struct raw_child child;
	struct shmb_block *block;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	raw_child_start(&child, b.socket, share_and_lock);
	ck_assert_int_eq(child.result, 0);
	ASSERT_OK(shmb_block_open(&block, client, "block", type));
	limit = descriptors_take(&b);
	raw_child_kill(&child);
	WAIT_UNTIL(clients_count(client) == 1); /* it has heard of the death */
	sleep_ms(50);
	descriptors_give_back(&b, &limit);
	ck_assert_int_eq(shmb_block_lock(block, deadline_in(SUITE_PATIENCE_MS)), SHMB_BLOCK_OWNER_DIED);
	ASSERT_OK(shmb_block_recovered(block));
	shmb_block_unlock(block);
	shmb_block_close(block);
	shmb_type_free(type);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* The same where it is closed while its process lives on. */
START_TEST(no_descriptor_is_no_reason_to_keep_a_cell)
{
	static struct raw_answer answer;
	struct shmb_type *type = pattern_type(64);
	struct shmb_msg_close end = { .handle = 1 };
	struct rlimit limit;
	struct raw raw = { 0 };
	struct shmb_block *block;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	ck_assert_int_eq(raw_start(&raw, b.socket), 0);
	ck_assert_int_eq(share_and_lock(&raw), 0);
	ASSERT_OK(shmb_block_open(&block, client, "block", type));
	limit = descriptors_take(&b);
	ck_assert_int_eq(raw_ask(&raw, SHMB_OP_CLOSE, &end, sizeof(end), NULL, 0, &answer), 0);
	raw_answer_deinit(&answer);
	descriptors_give_back(&b, &limit);
	ck_assert_int_eq(shmb_block_lock(block, deadline_in(SUITE_PATIENCE_MS)), SHMB_BLOCK_OWNER_DIED);
	ASSERT_OK(shmb_block_recovered(block));
	shmb_block_unlock(block);
	shmb_block_close(block);
	shmb_type_free(type);
	shmb_disconnect(client);
	raw_close(&raw);
	broker_finish(&b);
}
END_TEST

/* A connection closes while the daemon cannot look at its process: that is not taken for dying, which would keep its lease until it does. */
START_TEST(no_descriptor_is_no_reason_to_keep_a_lease)
{
	struct shmb_msg_open_writer request;
	struct shmb_ring_writer *writer;
	struct rlimit limit;
	struct raw_answer answer;
	struct shmb *client;
	struct raw raw;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	ck_assert_int_eq(raw_start(&raw, b.socket), 0);
	raw_open_writer(&request, "r", "uint64[8] words\n", 64);
	ck_assert_int_eq(raw_ask(&raw, SHMB_OP_OPEN_WRITER, &request, sizeof(request), "uint64[8] words\n", 16, &answer), 0);
	raw_answer_deinit(&answer);

	limit = descriptors_take(&b);
	raw_close(&raw);
	WAIT_UNTIL(clients_count(client) == 1);
	descriptors_give_back(&b, &limit);

	writer = ring_writer(client, "r", 64, 8);
	ring_write(writer, 64, 1, 1);
	shmb_ring_writer_close(writer);
	ck_assert_int_eq(raw_start(&raw, b.socket), 0); /* as the same client, which has nothing open any more */
	raw_close(&raw);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* The lease of a client that has come back is kept for it where the daemon has no descriptor to give it back with: it asks again. */
START_TEST(no_descriptor_is_no_reason_to_refuse_a_lease_for_good)
{
	struct shmb_msg_open_writer request;
	struct rlimit limit;
	struct raw_answer answer;
	struct shmb_msg_resume resume = { .handle = 1, .role = SHMB_ROLE_WRITER, .cell = UINT32_MAX };
	struct shmb_msg_ready ready = { 0 };
	struct shmb *client;
	struct listed now;
	struct raw raw;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	ck_assert_int_eq(raw_start(&raw, b.socket), 0);
	raw_open_writer(&request, "r", "uint64[8] words\n", 64);
	ck_assert_int_eq(raw_ask(&raw, SHMB_OP_OPEN_WRITER, &request, sizeof(request), "uint64[8] words\n", 16, &answer), 0);
	resume.segment_id = answer.open.segment_id;
	resume.generation = answer.open.generation;
	resume.epoch = answer.open.epoch;
	strcpy(resume.name, "r");
	raw_answer_deinit(&answer);
	raw_close(&raw); /* given up: the process lives */
	WAIT_UNTIL(segment_listed(client, "r", &now) && now.writer == SHMB_WRITER_IS_GONE);
	open_others(client);
	ck_assert_int_eq(raw_hello(&raw, b.socket), 0);
	limit = descriptors_take(&b);
	ck_assert_int_eq(raw_ask(&raw, SHMB_OP_RESUME, &resume, sizeof(resume), NULL, 0, &answer), -EMFILE);
	descriptors_give_back(&b, &limit);
	ck_assert_int_eq(raw_ask(&raw, SHMB_OP_RESUME, &resume, sizeof(resume), NULL, 0, &answer), 0);
	ck_assert(segment_listed(client, "r", &now) && now.writer == SHMB_WRITER_IS_ALIVE);
	ck_assert_int_eq(raw_ask(&raw, SHMB_OP_READY, &ready, sizeof(ready), NULL, 0, &answer), 0);
	raw_end(&raw);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Somebody sleeps until there is something new in the segment. */
static void start_waiting(struct program *reader, struct broker *b, const char *name)
{
	struct answer answer;

	worker_start(reader, b, "reader", false);
	worker_must(reader, "reader name=%s bytes=64", name);
	answer = worker_ask(reader, "wait deadline=15000"); /* is told once that nobody writes */
	ASSERT_RESULT(answer, -EPIPE);
	program_send(reader, "wait deadline=60000");
	sleep_ms(50);
}

/* Removes it, and who waits for it is told. */
static void remove_wakes(struct shmb *client, struct program *reader)
{
	struct answer answer;
	uint64_t begun_ns;

	ASSERT_OK(shmb_remove(client, "r"));
	begun_ns = now_ns();
	answer = worker_answer(reader);
	ASSERT_RESULT(answer, -ESTALE);
	ck_assert_uint_lt(now_ns() - begun_ns, UINT64_C(5000000000) * suite_slow());
}

/* Where the daemon cannot tell a segment's readers that it is removed it is not, and goes when they can be told. */
START_TEST(nothing_is_removed_behind_its_readers)
{
	struct rlimit limit;
	struct program reader;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	ASSERT_OK(ring_writer_try(client, "r", 64, 8));
	start_waiting(&reader, &b, "r");
	open_others(client);
	limit = descriptors_take(&b);
	ASSERT_ERROR(shmb_remove(client, "r"), EMFILE);
	ck_assert_msg(strstr(shmb_text(), "not removed") != NULL, "%s", shmb_text());
	ck_assert(segment_listed(client, "r", NULL));
	descriptors_give_back(&b, &limit);
	remove_wakes(client, &reader);
	worker_quit(&reader);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Its card can be written, and the data part not be had, in which its readers sleep: they are woken through their event pages. */
START_TEST(readers_of_a_removed_segment_are_woken_without_descriptors)
{
	struct rlimit limit;
	struct program reader;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	ASSERT_OK(ring_writer_try(client, "r", 64, 8));
	start_waiting(&reader, &b, "r");
	limit = descriptors_take(&b);
	remove_wakes(client, &reader);
	descriptors_give_back(&b, &limit);
	worker_quit(&reader);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* The same at the end of its linger time: not while its readers cannot be told, and then soon. */
START_TEST(lingering_segments_wait_for_descriptors)
{
	uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);
	struct rlimit limit;
	struct shmb *client;
	struct broker b;

	broker_start(&b, &(struct broker_options){ .config = "[broker]\nlinger = infinity\n[segment idle]\nlinger = 300ms\n" });
	client = broker_connect(&b);
	for (;;) {
		ASSERT_OK(ring_writer_try(client, "idle", 64, 8));
		open_others(client);
		limit = descriptors_take(&b);
		if (segment_listed(client, "idle", NULL))
			break;
		descriptors_give_back(&b, &limit); /* the machine was held up */
		ck_assert_msg(suite_pause(deadline), "it is always removed before");
	}
	sleep_ms(600);
	ck_assert(segment_listed(client, "idle", NULL));
	descriptors_give_back(&b, &limit);
	WAIT_UNTIL(!segment_listed(client, "idle", NULL));
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

enum { KNOCKS = 200 };

/* Connects again and again, as a client does that is refused each time. */
static void knock(const char *socket)
{
	for (unsigned i = 0; i < KNOCKS; i++) {
		struct raw raw = { 0 };

		if (raw_connect(&raw, socket) == 0)
			raw_close(&raw);
	}
}

/* There is a descriptor for a connection, and none to watch its process with: how often clients try is neither how often it wakes up nor how long its log gets. */
START_TEST(refusing_for_want_of_descriptors_is_bounded)
{
	struct rlimit limit, none;
	struct shmb *client;
	struct broker b;
	uint64_t begun_ns;
	unsigned lines;
	char *log;
	int done[2], fds;
	pid_t pid;
	char byte;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	fds = fds_count(b.daemon.pid);
	for (unsigned i = 0; i < 10; i++) { /* what it has open for a moment does not count */
		int now;

		sleep_ms(5);
		now = fds_count(b.daemon.pid);
		fds = now < fds ? now : fds;
	}
	ck_assert_int_eq(prlimit(b.daemon.pid, RLIMIT_NOFILE, NULL, &limit), 0);
	none = (struct rlimit){ .rlim_cur = (rlim_t)fds + 1, .rlim_max = limit.rlim_max };
	ck_assert_int_eq(prlimit(b.daemon.pid, RLIMIT_NOFILE, &none, NULL), 0);
	begun_ns = now_ns();
	ck_assert_int_eq(pipe2(done, O_CLOEXEC), 0);
	pid = fork(); /* this one's process is watched already */
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		knock(b.socket);
		if (write(done[1], "k", 1) != 1)
			_exit(EXIT_FAILURE);
		for (;;)
			pause(); /* of connections whose process is gone nothing is said */
	}
	close(done[1]);
	ck_assert_int_eq(read(done[0], &byte, 1), 1);
	close(done[0]);
	broker_wait_log(&b, "a connection of process");
	segments_count(client); /* who is connected is served */
	log = broker_log(&b);
	lines = text_count(log, "Too many open files");
	/* One try a second, which is told of twice. */
	ck_assert_msg(lines <= 2 + 2 * (now_ns() - begun_ns) / 1000000000, "%u lines:\n%s", lines, log);
	free(log);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_int_eq(prlimit(b.daemon.pid, RLIMIT_NOFILE, &limit, NULL), 0);
	shmb_disconnect(client);
	client = broker_connect(&b); /* it accepts again */
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("descriptors");

	suite_add(suite, daemon_without_descriptors, 60);
	suite_add(suite, no_descriptor_is_no_reason_to_drop_items, 30);
	suite_add(suite, no_descriptor_is_no_reason_to_leave_a_lock, 60);
	suite_add(suite, no_descriptor_is_no_reason_to_keep_a_cell, 60);
	suite_add(suite, no_descriptor_is_no_reason_to_keep_a_lease, 30);
	suite_add(suite, no_descriptor_is_no_reason_to_refuse_a_lease_for_good, 30);
	suite_add(suite, nothing_is_removed_behind_its_readers, 60);
	suite_add(suite, readers_of_a_removed_segment_are_woken_without_descriptors, 60);
	suite_add(suite, lingering_segments_wait_for_descriptors, 60);
	suite_add(suite, refusing_for_want_of_descriptors_is_bounded, 60);
	return suite_run(suite);
}
