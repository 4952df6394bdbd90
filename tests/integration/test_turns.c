/* SPDX-License-Identifier: MIT */
/*
 * Much work of the daemon's own leaves others their turn: the end of a process with many segments, of a connection with many handles, linger times
 * that are over together, many writers that fall silent.
 */
#include "turns.h"

#include <stdlib.h>

/* The daemon is held up in the midst of MANY such events: who asks then is answered before they are all through. */
static void answered_in_the_midst(struct turns *t, const char *kind)
{
	static struct raw_answer answer;
	struct shmb_msg_metrics metrics = { 0 };
	struct counts counts = { .kind = kind };

	gate_wait(&t->gate);
	ck_assert_int_eq(raw_request(&t->raw, SHMB_OP_METRICS, &metrics, sizeof(metrics), NULL, 0), 0);
	turns_go_on(t);
	raw_must(&t->raw, &answer);
	read_counts(&answer, &counts);
	raw_answer_deinit(&answer);
	ck_assert_uint_lt(counts.events, MANY);
	do
		ask_counts(&t->raw, &counts);
	while (counts.events < MANY && suite_pause(deadline_in(SUITE_PATIENCE_MS)));
	ck_assert_uint_eq(counts.events, MANY);
}

START_TEST(death_of_a_process_with_many)
{
	struct raw_child child;
	struct turns t;

	turns_start(&t, "chore.piece", 5, NULL);
	raw_child_start(&child, t.b.socket, make_many);
	ck_assert_int_eq(child.result, 0);
	raw_child_kill(&child);
	answered_in_the_midst(&t, "writer-dead");
	turns_end(&t);
}
END_TEST

/* Three readers, then the consumer of a queue: it is seen to last. */
static int consume_behind_others(struct raw *raw)
{
	static struct raw_answer answer;
	struct shmb_msg_open_reader open;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < 4; i++) {
		raw_open_reader(&open, i < 3 ? "many/0" : "queue");
		open.handle = i + 1;
		open.role = i < 3 ? SHMB_ROLE_READER : SHMB_ROLE_CONSUMER;
		open.kind = i < 3 ? SHMB_KIND_NONE : SHMB_KIND_QUEUE;
		r = raw_ask(raw, SHMB_OP_OPEN_READER, &open, sizeof(open), NULL, 0, &answer);
		raw_answer_deinit(&answer);
	}
	return r;
}

static void make_queue(struct raw *raw, uint32_t handle, const char *text, uint64_t bytes)
{
	static struct raw_answer answer;
	struct shmb_msg_close end = { .handle = handle };
	struct shmb_msg_open_writer open;

	raw_open_kind(&open, SHMB_KIND_QUEUE, "queue", text, bytes);
	open.handle = handle;
	ck_assert_int_eq(raw_ask(raw, SHMB_OP_OPEN_WRITER, &open, sizeof(open), text, strlen(text), &answer), 0);
	raw_answer_deinit(&answer);
	ck_assert_int_eq(raw_ask(raw, SHMB_OP_CLOSE, &end, sizeof(end), NULL, 0, &answer), 0);
	raw_answer_deinit(&answer);
}

/* A superseded generation has a consumer that is dead, whose turn has not come: it goes when somebody asks for the queue, and its consumer with it. */
START_TEST(death_of_the_last_of_a_generation)
{
	static struct raw_answer answer;
	struct shmb_msg_open_reader open;
	struct raw_child child;
	struct turns t;

	setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0:glibc.malloc.perturb=165", 1); /* what is freed is not what it was */
	turns_start(&t, "chore.piece", 1, NULL);
	ck_assert_int_eq(make_some(&t.raw, 1), 0);
	make_queue(&t.raw, 2, turns_schema, 64);
	raw_child_start(&child, t.b.socket, consume_behind_others);
	ck_assert_int_eq(child.result, 0);
	make_queue(&t.raw, 2, "uint64[4] words\n", 32);
	raw_child_kill(&child);
	gate_wait(&t.gate);
	raw_open_reader(&open, "queue");
	open.handle = 2;
	open.role = SHMB_ROLE_CONSUMER;
	open.kind = SHMB_KIND_QUEUE;
	ck_assert_int_eq(raw_request(&t.raw, SHMB_OP_OPEN_READER, &open, sizeof(open), NULL, 0), 0);
	turns_go_on(&t);
	raw_must(&t.raw, &answer);
	ck_assert_uint_eq(answer.open.generation, 2);
	raw_answer_deinit(&answer);
	turns_end(&t);
}
END_TEST

START_TEST(close_of_a_connection_with_many)
{
	struct turns t;

	turns_start_many(&t, "chore.piece", 5, NULL);
	raw_close(&t.many);
	answered_in_the_midst(&t, "writer-gone");
	/* The same client comes back and lists none of it: all is closed, in pieces as well. */
	ck_assert_int_eq(raw_start(&t.many, t.b.socket), 0);
	for (struct counts counts = { .kind = "writer-closed" }; counts.events < MANY;)
		ask_counts(&t.raw, &counts);
	turns_end(&t);
}
END_TEST

START_TEST(many_linger_times_at_once)
{
	struct turns t;

	turns_start_many(&t, "chore.piece", 5, &(struct broker_options){ .linger = "2s" });
	raw_end(&t.many);
	answered_in_the_midst(&t, "reaped");
	turns_end(&t);
}
END_TEST

START_TEST(many_silent_writers)
{
	struct turns t;

	turns_start_many(&t, "turn.stale", 5, &(struct broker_options){ .config = "[segment *]\nstale-time = 2s\n" });
	answered_in_the_midst(&t, "writer-hung");
	turns_end(&t);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("turns");

	suite_add(suite, death_of_a_process_with_many, 30);
	suite_add(suite, death_of_the_last_of_a_generation, 30);
	suite_add(suite, close_of_a_connection_with_many, 30);
	suite_add(suite, many_linger_times_at_once, 60);
	suite_add(suite, many_silent_writers, 60);
	return suite_run(suite);
}
