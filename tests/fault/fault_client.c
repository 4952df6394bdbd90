/* SPDX-License-Identifier: MIT */
/*
 * Clients that end where it hurts (lines 1 to 3, 11 and 12 of the catalogue): before they have said who they are, between their request and
 * the answer, between the answer and their mapping; and those that fork, or become another program.
 */
#include "../support/client.h"
#include "../support/raw.h"
#include "look.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static const char words[] = "uint64[8] words\n";

/* ---- children that come to a place and stay there until they are killed ---- */

enum { CHILDREN = 24 };

static pid_t child_at(const char *socket_path, int (*act)(const char *socket_path))
{
	int told[2];
	int result = -EIO;
	pid_t pid;

	ck_assert_int_eq(pipe2(told, O_CLOEXEC), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		result = act(socket_path);
		if (write(told[1], &result, sizeof(result)) != sizeof(result))
			_exit(1);
		for (;;)
			pause();
	}
	close(told[1]);
	ck_assert_int_eq(read(told[0], &result, sizeof(result)), sizeof(result));
	close(told[0]);
	ck_assert_msg(result == 0, "the child: %s", strerror(-result));
	return pid;
}

static void child_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

static int to_connected(const char *socket_path)
{
	struct raw raw = { 0 };

	return raw_connect(&raw, socket_path);
}

static int to_half_a_hello(const char *socket_path)
{
	struct raw raw = { 0 };
	struct shmb_msg_hello hello = { .head = { .opcode = SHMB_OP_HELLO } };
	int r = raw_connect(&raw, socket_path);

	return r < 0 ? r : raw_send(&raw, &hello, sizeof(hello.head));
}

/* Dies with the answer in its queue. */
static int to_hello(const char *socket_path)
{
	struct raw raw = { 0 };
	struct shmb_msg_hello hello = {
		.head = { .opcode = SHMB_OP_HELLO, .serial = 1 },
		.magic = SHMB_MESSAGE_MAGIC,
		.version = SHMB_PROTOCOL_VERSION,
		.oldest = SHMB_PROTOCOL_OLDEST,
		.comm = "raw",
	};
	int r = raw_connect(&raw, socket_path);

	return r < 0 ? r : raw_send(&raw, &hello, sizeof(hello));
}

/* With the daemon at work, and with it stopped, so that it finds all of it at once, and every one of them dead. */
START_TEST(fault_01_before_hello)
{
	static int (*const places[])(const char *socket_path) = { to_connected, to_half_a_hello, to_hello };
	struct shmb *client;
	struct broker b;
	unsigned forced = 0;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	for (unsigned stopped = 0; stopped < 2; stopped++) {
		for (unsigned place = 0; place < 3; place++) {
			pid_t pids[CHILDREN];

			if (stopped) {
				program_signal(&b.daemon, SIGSTOP);
				program_wait_stopped(&b.daemon);
			}
			for (unsigned i = 0; i < CHILDREN; i++)
				pids[i] = child_at(b.socket, places[place]);
			for (unsigned i = 0; i < CHILDREN; i++)
				child_kill(pids[i]);
			if (stopped)
				program_signal(&b.daemon, SIGCONT);
			WAIT_UNTIL(clients_count(client) == 1);
			forced += CHILDREN;
		}
	}
	printf("%u clients killed at 3 places before the end of HELLO\n", forced);
	shmb_disconnect(client);
	broker_finish(&b); /* with as many descriptors and files as before */
}
END_TEST

/* ---- between the request and the mapping ---- */

static const struct ask {
	const char *what;
	enum shmb_kind kind;
	enum shmb_role role;
	bool is_new; /* the segment is made by this very request */
} asks[] = {
	{ "a new ring's writer", SHMB_KIND_RING, SHMB_ROLE_WRITER, true },
	{ "a new value's writer", SHMB_KIND_VALUE, SHMB_ROLE_WRITER, true },
	{ "a new frame's writer", SHMB_KIND_FRAME, SHMB_ROLE_WRITER, true },
	{ "a new queue's producer", SHMB_KIND_QUEUE, SHMB_ROLE_WRITER, true },
	{ "a new block's sharer", SHMB_KIND_BLOCK, SHMB_ROLE_SHARER, true },
	{ "a ring's reader", SHMB_KIND_RING, SHMB_ROLE_READER, false },
	{ "a frame's reader", SHMB_KIND_FRAME, SHMB_ROLE_READER, false },
	{ "a queue's consumer", SHMB_KIND_QUEUE, SHMB_ROLE_CONSUMER, false },
	{ "a block's second sharer", SHMB_KIND_BLOCK, SHMB_ROLE_SHARER, false },
};
enum { ASKS = sizeof(asks) / sizeof(asks[0]) };

/* What the children below do; set before each is forked. */
static struct {
	const struct ask *ask;
	const char *name;
	pid_t daemon; /* to be stopped before the request is sent, 0 none */
	bool takes_answer;
} task;

static int request_send(struct raw *raw)
{
	struct shmb_msg_open_reader reader;
	struct shmb_msg_open_writer writer;
	static struct raw_answer answer;
	struct shmb_msg_head *head = &writer.head;
	uint16_t opcode = SHMB_OP_OPEN_WRITER;
	size_t size = sizeof(writer);
	size_t tail_bytes = strlen(words);

	raw_open_kind(&writer, task.ask->kind, task.name, words, 64);
	writer.role = (uint8_t)task.ask->role;
	if (task.ask->role != SHMB_ROLE_WRITER && task.ask->role != SHMB_ROLE_SHARER) {
		raw_open_reader(&reader, task.name);
		reader.role = (uint8_t)task.ask->role;
		reader.kind = (uint8_t)task.ask->kind;
		head = &reader.head;
		opcode = SHMB_OP_OPEN_READER;
		size = sizeof(reader);
		tail_bytes = 0;
	}
	if (task.takes_answer)
		return raw_ask(raw, opcode, head, size, words, tail_bytes, &answer);
	return raw_request(raw, opcode, head, size, words, tail_bytes);
}

static int to_request(const char *socket_path)
{
	struct raw raw = { 0 };
	int r = raw_start(&raw, socket_path);

	if (r == 0 && task.daemon != 0)
		kill(task.daemon, SIGSTOP);
	return r == 0 ? request_send(&raw) : r;
}

/* Nobody holds anything of it, on the broker's word and in its files. */
static bool is_at_rest(struct broker *b, struct shmb *client, const char *name, unsigned cells)
{
	struct shmb_shm_card card;
	struct listed listed;

	if (!segment_listed(client, name, &listed))
		return false;
	look_card(b, name, &card);
	return listed.readers == cells && look_cells(b, name) == cells && look_bits(b, name) == cells &&
	       (cells > 0 || atomic_load(&card.lease_pid) == 0);
}

/* `answered`: the client dies with the descriptors in its hands and nothing mapped; else before the broker has so much as read its request. */
static void killed_in_opening(bool answered)
{
	struct shmb *client;
	struct broker b;
	unsigned forced = 0;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	for (unsigned i = 0; i < ASKS; i++) {
		const struct ask maker = { .kind = asks[i].kind,
					   .role = asks[i].kind == SHMB_KIND_BLOCK ? SHMB_ROLE_SHARER : SHMB_ROLE_WRITER };
		unsigned others = asks[i].kind == SHMB_KIND_BLOCK && !asks[i].is_new;
		char name[32];
		pid_t keeper = 0;

		snprintf(name, sizeof(name), "asked/%u", i);
		task.name = name;
		if (!asks[i].is_new) {
			task.ask = &maker;
			task.daemon = 0;
			task.takes_answer = true;
			keeper = child_at(b.socket, to_request);
		}
		task.ask = &asks[i];
		for (unsigned round = 0; round < 3; round++, forced++) {
			pid_t pid;

			task.daemon = answered ? 0 : b.daemon.pid;
			task.takes_answer = answered;
			pid = child_at(b.socket, to_request);
			child_kill(pid);
			if (!answered) {
				program_wait_stopped(&b.daemon);
				program_signal(&b.daemon, SIGCONT);
			}
			/* The next one finds it free: at once where the broker was asked for a lease, which looks at the holder. */
			task.daemon = 0;
			task.takes_answer = true;
			pid = child_at(b.socket, to_request);
			child_kill(pid);
			if (keeper == 0 || others > 0)
				WAIT_UNTIL(is_at_rest(&b, client, name, others));
			else
				WAIT_UNTIL(look_cells(&b, name) == 0 && look_bits(&b, name) == 0);
		}
		if (keeper != 0)
			child_kill(keeper);
		WAIT_UNTIL(is_at_rest(&b, client, name, 0));
	}
	printf("%u clients killed in the opening of %d things, %s\n", forced, (int)ASKS,
	       answered ? "after the descriptors, before mmap" : "after the request, before the answer");
	WAIT_UNTIL(clients_count(client) == 1);
	shmb_disconnect(client);
	broker_finish(&b);
}

START_TEST(fault_02_after_the_request_before_the_answer)
{
	killed_in_opening(false);
}
END_TEST

START_TEST(fault_03_after_the_descriptors_before_mmap)
{
	killed_in_opening(true);
}
END_TEST

/* ---- fork and exec ---- */

#define CHILD_CHECK(condition)                                                                                                             \
	do {                                                                                                                               \
		if (!(condition)) {                                                                                                        \
			fprintf(stderr, "in the child: %s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                              \
			_exit(1);                                                                                                          \
		}                                                                                                                          \
	} while (0)

struct kinds {
	struct shmb *client;
	struct shmb_ring_writer *ring;
	struct shmb_value_writer *value;
	struct shmb_frame_writer *frame;
	struct shmb_queue_producer *queue;
	struct shmb_queue_consumer *consumer;
	struct shmb_block *block;
	void *loan;
};

static void kinds_open(struct kinds *kinds, struct broker *b)
{
	struct shmb_type *type = pattern_type(64);
	char payload[64] = "";
	size_t capacity;

	kinds->client = broker_connect(b);
	kinds->ring = ring_writer(kinds->client, "kin/ring", 64, 8);
	kinds->value = value_writer(kinds->client, "kin/value", 64);
	ASSERT_OK(shmb_frame_writer_open(&kinds->frame, kinds->client, "kin/frame", type, NULL));
	ASSERT_OK(shmb_queue_producer_open(&kinds->queue, kinds->client, "kin/queue", type, NULL));
	ASSERT_OK(shmb_queue_consumer_open(&kinds->consumer, kinds->client, "kin/queue", NULL, SHMB_NO_WAIT));
	ASSERT_OK(shmb_block_open(&kinds->block, kinds->client, "kin/block", type));
	ring_write(kinds->ring, 64, 2, 1);
	value_write(kinds->value, 64, 2, 1);
	ASSERT_OK(shmb_queue_push(kinds->queue, payload));
	ASSERT_OK(shmb_frame_loan(kinds->frame, &kinds->loan, &capacity));
	ck_assert_int_eq(shmb_block_lock(kinds->block, SHMB_FOREVER), 0);
	shmb_type_free(type);
}

static void child_tries(const struct kinds *kinds)
{
	char payload[64] = "";
	size_t capacity;
	void *loan;

	CHILD_CHECK(shmb_ring_insert(kinds->ring, payload) == -EOWNERDEAD);
	CHILD_CHECK(shmb_value_store(kinds->value, payload) == -EOWNERDEAD);
	CHILD_CHECK(shmb_frame_commit(kinds->frame, 8) == -EOWNERDEAD);
	CHILD_CHECK(shmb_frame_abort(kinds->frame) == -EOWNERDEAD);
	CHILD_CHECK(shmb_frame_loan(kinds->frame, &loan, &capacity) == -EOWNERDEAD);
	CHILD_CHECK(shmb_queue_push(kinds->queue, payload) == -EOWNERDEAD);
	CHILD_CHECK(shmb_queue_pop(kinds->consumer, payload, NULL) == -EOWNERDEAD);
	CHILD_CHECK(shmb_block_unlock(kinds->block) == -EOWNERDEAD);
	CHILD_CHECK(shmb_remove(kinds->client, "kin/ring") == -EOWNERDEAD);
}

/* A parent that forked and died: the child lives on, with the parent's handles in its memory, and holds nothing. */
START_TEST(fault_11_fork_child_is_no_owner)
{
	static const char *const names[] = { "kin/ring", "kin/value", "kin/frame", "kin/queue", "kin/block" };
	struct shmb *client;
	struct broker b;
	int told[2];
	pid_t parent;
	pid_t orphan;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	ck_assert_int_eq(pipe2(told, O_CLOEXEC), 0);
	parent = fork();
	ck_assert_int_ge(parent, 0);
	if (parent == 0) {
		struct kinds kinds;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		kinds_open(&kinds, &b);
		if (fork() == 0) {
			child_tries(&kinds);
			orphan = getpid();
			CHILD_CHECK(write(told[1], &orphan, sizeof(orphan)) == sizeof(orphan));
			for (;;)
				pause();
		}
		close(told[1]); /* from here on its end is the orphan's end */
		for (;;)
			pause();
	}
	close(told[1]);
	ck_assert_msg(read(told[0], &orphan, sizeof(orphan)) == sizeof(orphan), "the child was allowed what is its parent's");
	/* Its attempts have changed nothing. */
	ck_assert_uint_eq(look_counter(&b, "kin/ring"), 2);
	ck_assert_uint_eq(look_half_written(&b, "kin/frame"), 1);
	ck_assert_uint_eq(look_counter(&b, "kin/queue"), 1);
	child_kill(parent);
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		WAIT_UNTIL(is_at_rest(&b, client, names[i], 0));
	ck_assert_uint_eq(look_half_written(&b, "kin/frame"), 0);
	ck_assert_int_eq(kill(orphan, 0), 0);
	child_kill(orphan); /* this process is the one that orphans come to */
	close(told[0]);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* What execs has let go: the next one goes on in memory of its own, where the one before cannot reach it, also over a restart in between. */
START_TEST(fault_12_writer_execs)
{
	static const struct {
		const char *open, *write, *segment;
	} things[] = {
		{ "writer name=e/ring bytes=64", "write n=1", "e/ring" },
		{ "writer name=e/value kind=value bytes=64", "write n=1", "e/value" },
		{ "frame-writer name=e/frame bytes=64", "frame-write n=1", "e/frame" },
	};
	struct program old;
	struct program next;
	struct listed before;
	struct listed after;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	for (unsigned i = 0; i < sizeof(things) / sizeof(things[0]); i++) {
		for (unsigned restart = 0; restart < 2; restart++) {
			worker_start(&old, &b, "old", false);
			worker_start(&next, &b, "next", false);
			worker_must(&old, "%s", things[i].open);
			worker_must(&old, "%s", things[i].write);
			worker_must(&old, "exec");
			wait_writer(client, things[i].segment, SHMB_WRITER_IS_GONE);
			ck_assert(segment_listed(client, things[i].segment, &before));
			if (restart) {
				broker_kill(&b);
				broker_restart(&b);
			}
			worker_must(&next, "%s", things[i].open);
			worker_must(&next, "%s", things[i].write);
			ck_assert(segment_listed(client, things[i].segment, &after));
			ck_assert_uint_gt(after.generation, before.generation);
			ck_assert_int_eq(after.writer_pid, next.pid);
			program_kill(&old);
			worker_must(&next, "%s", things[i].write);
			ck_assert(segment_listed(client, things[i].segment, &after));
			ck_assert(after.writer == SHMB_WRITER_IS_ALIVE && after.writer_pid == next.pid);
			worker_quit(&next);
			segments_count(client); /* connects anew: else its event page would stay until this process ends */
		}
	}
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fault: clients");

	suite_add(suite, fault_01_before_hello, 60);
	suite_add(suite, fault_02_after_the_request_before_the_answer, 60);
	suite_add(suite, fault_03_after_the_descriptors_before_mmap, 60);
	suite_add(suite, fault_11_fork_child_is_no_owner, 60);
	suite_add(suite, fault_12_writer_execs, 60);
	return suite_run(suite);
}
