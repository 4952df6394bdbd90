/* SPDX-License-Identifier: MIT */
/*
 * Large segments: nobody else waits while one is made or removed; who asked may end meanwhile, or the daemon; two may ask for one name. The
 * worker's thread is stopped at a step in the middle of its work, so that "meanwhile" is as long as the test likes.
 */
#include "../support/client.h"
#include "../support/gate.h"
#include "../support/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Eight slots of this: more than the daemon makes by itself, in two turns of its worker. */
enum { LARGE_BYTES = 4 << 20 };

static char schema[64];

/* A daemon whose worker waits at its `turn`th step until gate_open(). */
static void large_start(struct gate *gate, struct broker *b, unsigned turn, const char *config)
{
	gate_start(gate, b, "worker.allocate", turn, &(struct broker_options){ .config = config });
	snprintf(schema, sizeof(schema), "uint8[%d] bytes\n", LARGE_BYTES);
}

/* Sends the request and does not wait for its answer. */
static int large_ask(struct raw *raw)
{
	struct shmb_msg_open_writer open;

	raw_open_writer(&open, "large", schema, LARGE_BYTES);
	return raw_request(raw, SHMB_OP_OPEN_WRITER, &open, sizeof(open), schema, strlen(schema));
}

static uint64_t shm_used(const struct broker *b)
{
	uint64_t bytes = 0;
	char *names = dir_names(b->shm);
	char *rest = names;
	char *name;

	while ((name = strsep(&rest, "\n")) != NULL && *name != '\0') {
		char path[1024];
		struct stat st;

		snprintf(path, sizeof(path), "%s/%s", b->shm, name);
		if (lstat(path, &st) == 0)
			bytes += (uint64_t)st.st_blocks * 512;
	}
	free(names);
	return bytes;
}

/* All that others do is served while the worker is at it. */
START_TEST(others_are_served_meanwhile)
{
	static const char *const configs[] = { NULL, "[segment *]\nbacking = sealed\n" };

	for (unsigned i = 0; i < 2; i++) {
		static struct raw_answer answer;
		struct raw raw = { 0 };
		struct shmb_ring_writer *writer;
		struct shmb *client;
		struct listed listed;
		struct broker b;
		struct gate gate;

		large_start(&gate, &b, 2, configs[i]);
		client = broker_connect(&b);
		ASSERT_OK(raw_start(&raw, b.socket));
		ASSERT_OK(large_ask(&raw));
		gate_wait(&gate);
		writer = ring_writer(client, "small", 64, 8);
		ring_write(writer, 64, 3, 1);
		shmb_ring_writer_close(writer);
		ASSERT_OK(shmb_remove(client, "small"));
		ck_assert(!segment_listed(client, "large", &listed));
		ck_assert_int_eq(raw_receive(&raw, &answer, 50), -ETIMEDOUT);
		gate_open(&gate);
		raw_must(&raw, &answer);
		ck_assert_uint_ge(answer.fd_count, 2);
		{
			struct stat st;

			ck_assert_int_eq(fstat(answer.fds[1], &st), 0);
			ck_assert_int_ge(st.st_size, 8 * LARGE_BYTES);
			ck_assert_int_ge(st.st_blocks * 512, st.st_size); /* had, not promised */
			if (i == 1)
				ck_assert_int_eq(fcntl(answer.fds[1], F_GET_SEALS) & 0xf, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
		}
		raw_answer_deinit(&answer);
		ck_assert(segment_listed(client, "large", &listed));
		raw_end(&raw);
		shmb_disconnect(client);
		broker_finish(&b);
		gate_end(&gate);
	}
}
END_TEST

/* Who asked is killed, or hangs up, in the middle: nothing is made and the memory goes back. */
START_TEST(client_ends_meanwhile)
{
	for (unsigned i = 0; i < 2; i++) {
		struct raw_child child;
		struct raw raw = { 0 };
		struct shmb *client;
		struct broker b;
		struct gate gate;

		large_start(&gate, &b, 2, NULL);
		client = broker_connect(&b);
		if (i == 0) {
			raw_child_start(&child, b.socket, large_ask);
			ASSERT_OK(child.result);
		} else {
			ASSERT_OK(raw_start(&raw, b.socket));
			ASSERT_OK(large_ask(&raw));
		}
		gate_wait(&gate);
		if (i == 0) {
			raw_child_kill(&child);
			WAIT_UNTIL(clients_count(client) == 1);
		} else {
			raw_close(&raw);
		}
		gate_open(&gate);
		WAIT_UNTIL(clients_count(client) == 1);
		ck_assert_uint_eq(segments_count(client), 0);
		ck_assert_uint_lt(shm_used(&b), LARGE_BYTES);
		shmb_disconnect(client);
		broker_finish(&b);
		gate_end(&gate);
	}
}
END_TEST

/* Killed in each turn: nothing of it is there, and the client gets it from the next daemon. */
START_TEST(daemon_dies_meanwhile)
{
	for (unsigned turn = 1; turn <= 2; turn++) {
		static struct raw_answer answer;
		struct raw raw = { 0 };
		struct broker b;
		char step_at[40];

		snprintf(schema, sizeof(schema), "uint8[%d] bytes\n", LARGE_BYTES);
		snprintf(step_at, sizeof(step_at), "worker.allocate:%u", turn);
		broker_start(&b, &(struct broker_options){ .steps = true, .step_at = step_at });
		ASSERT_OK(raw_start(&raw, b.socket));
		ASSERT_OK(large_ask(&raw));
		ck_assert_int_eq(program_wait(&b.daemon), -SIGKILL);
		raw_close(&raw);
		ck_assert_uint_lt(shm_used(&b), LARGE_BYTES);
		broker_restart(&b);
		ASSERT_OK(raw_start(&raw, b.socket));
		ASSERT_OK(large_ask(&raw));
		raw_must(&raw, &answer);
		ck_assert_uint_eq(answer.open.epoch, 1);
		raw_answer_deinit(&answer);
		raw_end(&raw);
		broker_finish(&b);
	}
}
END_TEST

/* The orderly end does not wait for the memory of others, and leaves nothing of it. */
START_TEST(daemon_stops_meanwhile)
{
	struct raw_child child;
	struct broker b;
	struct gate gate;

	large_start(&gate, &b, 1, NULL);
	raw_child_start(&child, b.socket, large_ask);
	ASSERT_OK(child.result);
	gate_wait(&gate);
	program_signal(&b.daemon, SIGTERM);
	broker_wait_log(&b, "SIGTERM: ending");
	gate_open(&gate);
	ck_assert_int_eq(program_wait(&b.daemon), 0);
	ck_assert_uint_lt(shm_used(&b), LARGE_BYTES);
	raw_child_kill(&child);
	broker_restart(&b);
	broker_finish(&b);
	gate_end(&gate);
}
END_TEST

/* The second request of a name waits for the first, and is told what came of it. */
START_TEST(two_ask_for_one_name)
{
	for (unsigned i = 0; i < 2; i++) {
		static struct raw_answer answer;
		struct raw_child first;
		struct raw second = { 0 };
		struct shmb *client;
		struct broker b;
		struct gate gate;

		large_start(&gate, &b, 1, NULL);
		client = broker_connect(&b);
		raw_child_start(&first, b.socket, large_ask);
		ASSERT_OK(first.result);
		gate_wait(&gate);
		ASSERT_OK(raw_start(&second, b.socket));
		ASSERT_OK(large_ask(&second));
		ck_assert_int_eq(raw_receive(&second, &answer, 50), -ETIMEDOUT);
		if (i == 1) {
			raw_child_kill(&first);
			WAIT_UNTIL(clients_count(client) == 2);
		}
		gate_open(&gate);
		ck_assert_int_gt(raw_receive(&second, &answer, SUITE_PATIENCE_MS), 0);
		ck_assert_int_eq(answer.head.result, i == 0 ? -EBUSY : 0);
		raw_answer_deinit(&answer);
		ck_assert_uint_eq(segments_count(client), 1);
		if (i == 0) {
			ck_assert_int_eq(answer.answer.holder_pid, first.pid);
			raw_child_kill(&first);
			raw_close(&second);
		} else {
			raw_end(&second);
		}
		shmb_disconnect(client);
		broker_finish(&b);
		gate_end(&gate);
	}
}
END_TEST

/* A client that waits for memory says more meanwhile: that is read afterwards, in order. */
START_TEST(next_request_waits)
{
	static struct raw_answer answer;
	struct shmb_msg_status status = { 0 };
	struct raw raw = { 0 };
	struct broker b;
	struct gate gate;

	large_start(&gate, &b, 1, NULL);
	ASSERT_OK(raw_start(&raw, b.socket));
	ASSERT_OK(large_ask(&raw));
	ASSERT_OK(raw_request(&raw, SHMB_OP_STATUS, &status, sizeof(status), NULL, 0));
	gate_wait(&gate);
	ck_assert_int_eq(raw_receive(&raw, &answer, 50), -ETIMEDOUT);
	gate_open(&gate);
	raw_must(&raw, &answer);
	ck_assert_uint_eq(answer.head.opcode, SHMB_OP_OPEN_WRITER);
	raw_answer_deinit(&answer);
	ck_assert_int_gt(raw_receive(&raw, &answer, SUITE_PATIENCE_MS), 0);
	ck_assert_uint_eq(answer.head.opcode, SHMB_OP_STATUS);
	raw_answer_deinit(&answer);
	raw_end(&raw);
	broker_finish(&b);
	gate_end(&gate);
}
END_TEST

/* The other kinds too, through the library, made and removed again and again; and larger than there is memory. */
START_TEST(made_and_removed)
{
	struct shmb_options options = { .capacity = 8 };
	struct shmb_options many = { .capacity = 65536 };
	struct shmb_ring_writer *writer = NULL;
	struct shmb_type *type = NULL;
	struct shmb_type *huge = NULL;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	ASSERT_OK(shmb_type_parse(&type, "large", "uint8[4194304] bytes\n"));
	ASSERT_OK(shmb_type_parse(&huge, "huge", "uint8[268435456] bytes\n"));
	for (unsigned i = 0; i < 5; i++) {
		ASSERT_OK(shmb_ring_writer_open(&writer, client, "large", type, &options));
		shmb_ring_writer_close(writer);
		ASSERT_OK(shmb_remove(client, "large"));
		ck_assert_uint_eq(segments_count(client), 0);
		ASSERT_ERROR(shmb_ring_writer_open(&writer, client, "huge", huge, &many), ENOSPC);
		ck_assert_ptr_nonnull(strstr(shmb_text(), "full"));
	}
	shmb_type_free(type);
	shmb_type_free(huge);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("large");

	suite_add(suite, others_are_served_meanwhile, 60);
	suite_add(suite, client_ends_meanwhile, 60);
	suite_add(suite, daemon_dies_meanwhile, 60);
	suite_add(suite, daemon_stops_meanwhile, 60);
	suite_add(suite, two_ask_for_one_name, 60);
	suite_add(suite, next_request_waits, 60);
	suite_add(suite, made_and_removed, 60);
	return suite_run(suite);
}
