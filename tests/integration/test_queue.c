/* SPDX-License-Identifier: MIT */
/*
 * Queues between processes: either side is killed at each step of everything it does, and what was consumed in the end is compared with
 * what was pushed, number by number: nothing lost, nothing out of order, nothing invented; and what comes twice is what was not released.
 */
#include "../support/client.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum { BYTES = 64, CAPACITY = 8 };

static struct shmb_queue_producer *producer_open(struct shmb *client, const char *name, uint32_t capacity)
{
	struct shmb_options options = { .capacity = capacity };
	struct shmb_type *type = pattern_type(BYTES);
	struct shmb_queue_producer *producer;

	ASSERT_OK(shmb_queue_producer_open(&producer, client, name, type, &options));
	shmb_type_free(type);
	return producer;
}

static struct shmb_queue_consumer *consumer_open(struct shmb *client, const char *name)
{
	struct shmb_queue_consumer *consumer;

	ASSERT_OK(shmb_queue_consumer_open(&consumer, client, name, NULL, SHMB_NO_WAIT));
	return consumer;
}

/* A dead process's cell or lease is free a moment after its death. */
static struct shmb_queue_consumer *consumer_succeed(struct shmb *client, const char *name)
{
	struct shmb_queue_consumer *consumer = NULL;

	WAIT_UNTIL(shmb_queue_consumer_open(&consumer, client, name, NULL, SHMB_NO_WAIT) == 0);
	return consumer;
}

static int push(struct shmb_queue_producer *producer, unsigned salt)
{
	uint64_t payload[BYTES / 8];

	pattern_fill(payload, BYTES, shmb_queue_next_number(producer), salt);
	return shmb_queue_push(producer, payload);
}

/* Pops an item and returns its salt. */
static unsigned pop_is(struct shmb_queue_consumer *consumer, uint64_t number)
{
	uint64_t payload[BYTES / 8];
	struct shmb_sample sample;
	unsigned salt;

	ASSERT_OK(shmb_queue_pop(consumer, payload, &sample));
	ck_assert_uint_eq(sample.number, number);
	ck_assert(pattern_check(payload, BYTES, number, &salt));
	return salt;
}

static int pop(struct shmb_queue_consumer *consumer)
{
	uint64_t payload[BYTES / 8];

	return shmb_queue_pop(consumer, payload, NULL);
}

/* Reads "item ..." lines of a worker until another line or the end; they must follow `*next` without a gap. */
static const char *items_follow(struct program *worker, uint64_t *next)
{
	const char *line;

	while ((line = program_line(worker, SUITE_PATIENCE_MS)) != NULL && strncmp(line, "item ", 5) == 0) {
		unsigned long long number;
		unsigned salt;
		int torn;

		ck_assert_int_eq(sscanf(line, "item %llu %u %d", &number, &salt, &torn), 3);
		ck_assert_int_eq(torn, 0);
		ck_assert_uint_eq(number, *next);
		++*next;
	}
	return line;
}

/* ---- the death of a producer ---- */

/* `pushed`: the item is in the queue. `needs`: 1 a consumer that sleeps, 2 a full queue. */
static const struct {
	const char *name;
	bool pushed;
	int needs;
} producer_steps[] = {
	{ "queue.claimed", false, 0 }, { "queue.filled", false, 0 }, { "queue.published", true, 0 }, { "queue.counted", true, 0 },
	{ "slot.waking", true, 1 },    { "slot.woken", true, 1 },    { "wait.flagged", false, 2 },   { "wait.sleeping", false, 2 },
};
enum { PRODUCER_STEPS = sizeof(producer_steps) / sizeof(producer_steps[0]) };
static const char *const pushes[] = { "push", "batch", "claim" };

static void producer_killed(struct broker *b, struct shmb *client, unsigned step, const char *how)
{
	struct program first, second, sleeper;
	struct shmb_queue_consumer *consumer;
	uint64_t before = producer_steps[step].needs == 2 ? CAPACITY : 3;
	uint64_t next = before + producer_steps[step].pushed;
	uint64_t seen = 0;
	char name[64];

	snprintf(name, sizeof(name), "%s/%s", producer_steps[step].name, how);
	worker_start(&first, b, "first", true);
	worker_must(&first, "producer name=%s bytes=%d capacity=%d salt=1", name, BYTES, CAPACITY);
	worker_must(&first, "push n=%u how=%s", (unsigned)before, how);
	if (producer_steps[step].needs == 1) {
		worker_start(&sleeper, b, "sleeper", false);
		worker_must(&sleeper, "consumer name=%s", name);
		program_send(&sleeper, "consume n=4 deadline=forever");
		for (; seen < before; seen++)
			ck_assert_ptr_nonnull(strstr(program_line(&sleeper, SUITE_PATIENCE_MS), "item "));
		program_wait_asleep(&sleeper);
	}
	worker_must(&first, "step at=%s do=kill", producer_steps[step].name);
	program_send(&first, "push n=1 how=%s deadline=forever", how);
	ck_assert_msg(program_wait(&first) == -SIGKILL, "the producer never came to %s", producer_steps[step].name);
	if (producer_steps[step].needs == 1) {
		/* The one item that was pushed arrives, whoever woke the sleeper. */
		const char *line = items_follow(&sleeper, &seen);

		ck_assert_ptr_nonnull(line);
		ck_assert_msg(strncmp(line, "0 ", 2) == 0, "%s", line);
		ck_assert_uint_eq(seen, 4);
		worker_quit(&sleeper);
		consumer = consumer_succeed(client, name);
	} else {
		consumer = consumer_open(client, name);
	}
	for (; seen < next; seen++)
		ck_assert_uint_eq(pop_is(consumer, seen), 1);
	ASSERT_ERROR(pop(consumer), ENODATA);
	ASSERT_ERROR(shmb_queue_wait(consumer, deadline_in(SUITE_PATIENCE_MS)), EOWNERDEAD);
	ASSERT_ERROR(shmb_queue_wait(consumer, SHMB_NO_WAIT), ETIMEDOUT);

	worker_start(&second, b, "second", false);
	ck_assert_uint_eq(worker_must(&second, "producer name=%s bytes=%d capacity=%d salt=2", name, BYTES, CAPACITY).v[0], next);
	worker_must(&second, "push n=%d how=%s", CAPACITY, how);
	ASSERT_RESULT(worker_ask(&second, "push n=1 how=%s", how), -EAGAIN);
	for (; seen < next + CAPACITY; seen++)
		ck_assert_uint_eq(pop_is(consumer, seen), 2);
	ASSERT_ERROR(pop(consumer), ENODATA);
	worker_quit(&second);
	shmb_queue_consumer_close(consumer);
}

START_TEST(producer_killed_at_each_step)
{
	struct shmb *client;
	unsigned forced = 0;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	for (unsigned step = 0; step < PRODUCER_STEPS; step++) {
		for (unsigned how = 0; how < 3; how++, forced++)
			producer_killed(&b, client, step, pushes[how]);
	}
	printf("a producer was killed %u times at %d steps\n", forced, (int)PRODUCER_STEPS);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- the death of a consumer ---- */

/* `released`: the item is consumed. `needs`: 1 a producer that sleeps, 2 an empty queue. */
static const struct {
	const char *name;
	bool released;
	int needs;
} consumer_steps[] = {
	{ "queue.consumed", false, 0 }, { "queue.released", true, 0 }, { "queue.waking", true, 1 },
	{ "queue.woken", true, 1 },	{ "wait.flagged", false, 2 },  { "wait.sleeping", false, 2 },
};
enum { CONSUMER_STEPS = sizeof(consumer_steps) / sizeof(consumer_steps[0]) };
static const char *const pops[] = { "pop", "batch", "peek" };

static void consumer_killed(struct broker *b, unsigned step, const char *how, bool sleeper)
{
	struct program first, second, producer;
	uint64_t pushed;
	uint64_t position = 2 + (consumer_steps[step].released ? 1 : 0);
	uint64_t used = 0;
	const char *line;
	char name[64];

	snprintf(name, sizeof(name), "%s/%s/%d", consumer_steps[step].name, how, sleeper);
	worker_start(&producer, b, "producer", false);
	worker_must(&producer, "producer name=%s bytes=%d capacity=%d salt=1", name, BYTES, CAPACITY);
	worker_must(&producer, "push n=2");
	worker_start(&first, b, "first", true);
	worker_must(&first, "consumer name=%s", name);
	program_send(&first, "consume n=2 how=%s", how);
	ck_assert_ptr_nonnull(items_follow(&first, &used));
	ck_assert_uint_eq(used, 2);
	if (consumer_steps[step].needs != 2)
		worker_must(&producer, "push n=%d", CAPACITY);
	pushed = consumer_steps[step].needs == 2 ? 2 : 2 + CAPACITY;
	if (sleeper) {
		program_send(&producer, "push n=1 deadline=forever");
		program_wait_asleep(&producer);
		pushed++;
	}
	worker_must(&first, "step at=%s do=kill", consumer_steps[step].name);
	program_send(&first, "consume n=1 how=%s deadline=forever", how);
	line = items_follow(&first, &used);
	ck_assert_ptr_null(line);
	ck_assert_msg(program_wait(&first) == -SIGKILL, "the consumer never came to %s", consumer_steps[step].name);
	if (sleeper && consumer_steps[step].released)
		ASSERT_RESULT(worker_answer(&producer), 0); /* without a consumer */

	/* The successor: from the first item that is not released, and all of them. What was used and not released comes again. */
	worker_start(&second, b, "second", false);
	{
		struct answer opened = { .result = -EBUSY };
		uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);

		while (opened.result == -EBUSY && suite_pause(deadline))
			opened = worker_ask(&second, "consumer name=%s", name);
		ASSERT_RESULT(opened, 0);
		ck_assert_uint_eq(opened.v[0], position);
	}
	if (strcmp(how, "peek") == 0)
		ck_assert_uint_ge(used, position);
	ck_assert_uint_le(used, position + 1);
	if (consumer_steps[step].needs == 2) {
		worker_must(&producer, "push n=2");
		pushed += 2;
	}
	program_send(&second, "consume n=%u how=%s deadline=forever", (unsigned)(pushed - position), how);
	ck_assert_ptr_nonnull(items_follow(&second, &position));
	ck_assert_uint_eq(position, pushed);
	if (sleeper && !consumer_steps[step].released)
		ASSERT_RESULT(worker_answer(&producer), 0);
	ASSERT_RESULT(worker_ask(&second, "consume n=1 how=%s", how), -ENODATA);
	worker_quit(&producer);
	ASSERT_RESULT(worker_ask(&second, "consume n=1 how=%s deadline=forever", how), -EPIPE);
	worker_quit(&second);
}

START_TEST(consumer_killed_at_each_step)
{
	unsigned forced = 0;
	struct broker b;

	broker_start(&b, NULL);
	for (unsigned step = 0; step < CONSUMER_STEPS; step++) {
		for (unsigned how = 0; how < 3; how++) {
			for (unsigned sleeper = 0; sleeper < 2; sleeper++) {
				if ((consumer_steps[step].needs == 1 && !sleeper) || (consumer_steps[step].needs == 2 && sleeper))
					continue;
				consumer_killed(&b, step, pops[how], sleeper);
				forced++;
			}
		}
	}
	printf("a consumer was killed %u times at %d steps\n", forced, (int)CONSUMER_STEPS);
	broker_finish(&b);
}
END_TEST

/* The lists above are the lists in the source. */
START_TEST(every_step_of_a_queue_is_known)
{
	unsigned found = 0;
	char path[1024];
	char *text;

	snprintf(path, sizeof(path), "%s/libclient/queue.c", path_source());
	text = file_read(path, NULL);
	ck_assert_ptr_nonnull(text);
	for (const char *at = text; (at = strstr(at, "SHMB_STEP(\"")) != NULL; at++) {
		const char *name = at + strlen("SHMB_STEP(\"");
		unsigned known = 0;

		for (unsigned i = 0; i < PRODUCER_STEPS; i++)
			known += strncmp(name, producer_steps[i].name, strlen(producer_steps[i].name)) == 0;
		for (unsigned i = 0; i < CONSUMER_STEPS; i++)
			known += strncmp(name, consumer_steps[i].name, strlen(consumer_steps[i].name)) == 0;
		known += strncmp(name, "queue.absent\"", 13) == 0; /* of a look alone: tests/unit/test_steps_queue.c */
		ck_assert_msg(known >= 1, "an unknown step: %.20s", name);
		found++;
	}
	ck_assert_uint_ge(found, 8);
	free(text);
}
END_TEST

/* Both ends are killed again and again, anywhere, and at the end all that was pushed has been used, in order. */
START_TEST(both_ends_die_again_and_again)
{
	struct program producer, consumer;
	uint64_t pushed = 0, used = 0, again = 0;
	struct broker b;

	broker_start(&b, NULL);
	worker_start(&producer, &b, "producer", false);
	worker_must(&producer, "producer name=q bytes=%d capacity=%d", BYTES, CAPACITY);
	for (unsigned round = 0; round < 40; round++) {
		bool kill_consumer = round % 3 != 0;
		struct answer opened = { .result = -EBUSY };
		uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);

		worker_start(&consumer, &b, "consumer", false);
		while (opened.result == -EBUSY && suite_pause(deadline))
			opened = worker_ask(&consumer, "consumer name=q");
		ASSERT_RESULT(opened, 0);
		ck_assert_uint_le(opened.v[0], used);
		ck_assert_uint_ge(opened.v[0] + 1, used);
		again += used - opened.v[0];
		used = opened.v[0];
		program_send(&producer, "push n=1000000 deadline=forever");
		program_send(&consumer, "consume n=1000000 how=peek deadline=forever");
		for (unsigned i = 0; i < 20 + round * 7; i++) {
			const char *line = program_line(&consumer, SUITE_PATIENCE_MS);
			unsigned long long number;
			unsigned salt;
			int torn;

			ck_assert_ptr_nonnull(line);
			ck_assert_int_eq(sscanf(line, "item %llu %u %d", &number, &salt, &torn), 3);
			ck_assert_uint_eq(number, used);
			ck_assert_int_eq(torn, 0);
			used++;
		}
		if (kill_consumer)
			program_signal(&consumer, SIGKILL);
		program_signal(&producer, SIGKILL);
		if (kill_consumer) {
			ck_assert_ptr_null(items_follow(&consumer, &used));
			program_wait(&consumer);
		} else {
			/* It drains the queue, and is told then. */
			const char *line = items_follow(&consumer, &used);

			ck_assert_msg(line != NULL && atoi(line) == -EOWNERDEAD, "%s", line != NULL ? line : "end");
			worker_quit(&consumer);
		}
		program_wait(&producer);
		worker_start(&producer, &b, "producer", false);
		pushed = worker_must(&producer, "producer name=q bytes=%d capacity=%d deadline=15000", BYTES, CAPACITY).v[0];
		ck_assert_uint_ge(pushed, used);
		ck_assert_uint_le(pushed, used + CAPACITY);
	}
	printf("%llu items, %llu of them twice\n", (unsigned long long)pushed, (unsigned long long)again);
	worker_quit(&producer);
	broker_finish(&b);
}
END_TEST

/* ---- the defects ---- */

START_TEST(defect_P1_consumer_attaches_after_one_push)
{
	struct shmb_queue_producer *producer;
	struct shmb_queue_consumer *consumer;
	struct program worker;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	worker_start(&worker, &b, "producer", false);
	worker_must(&worker, "producer name=q bytes=%d capacity=2 salt=1", BYTES);
	worker_must(&worker, "push n=1");
	program_send(&worker, "push n=9 deadline=forever");
	program_wait_asleep(&worker);
	consumer = consumer_open(client, "q");
	for (uint64_t n = 0; n < 10; n++) {
		ASSERT_OK(shmb_queue_wait(consumer, deadline_in(SUITE_PATIENCE_MS)));
		pop_is(consumer, n);
	}
	ASSERT_RESULT(worker_answer(&worker), 0);
	worker_quit(&worker);
	ASSERT_ERROR(shmb_queue_wait(consumer, deadline_in(SUITE_PATIENCE_MS)), EPIPE);
	producer = producer_open(client, "q", 2);
	ASSERT_OK(push(producer, 2));
	pop_is(consumer, 10);
	shmb_queue_producer_close(producer);
	shmb_queue_consumer_close(consumer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

START_TEST(defect_P2_closing_makes_no_items)
{
	struct shmb_queue_producer *producer;
	struct shmb_queue_consumer *consumer;
	struct shmb *client;
	struct broker b;
	void *place;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	for (unsigned i = 0; i < 4; i++) {
		producer = producer_open(client, "q", 4);
		ck_assert_uint_eq(shmb_queue_next_number(producer), 0);
		ASSERT_OK(shmb_queue_claim(producer, &place));
		shmb_queue_producer_close(producer);
		consumer = consumer_open(client, "q");
		ASSERT_ERROR(pop(consumer), ENODATA);
		shmb_queue_consumer_close(consumer);
	}
	producer = producer_open(client, "q", 4);
	for (unsigned i = 0; i < 4; i++)
		ASSERT_OK(push(producer, 1));
	ASSERT_ERROR(push(producer, 1), EAGAIN);
	shmb_queue_producer_close(producer);
	for (uint64_t n = 0; n < 4; n++) {
		const void *item;

		consumer = consumer_open(client, "q");
		ck_assert_uint_eq(shmb_queue_position(consumer), n);
		pop_is(consumer, n);
		if (n < 3)
			ASSERT_OK(shmb_queue_peek(consumer, 0, &item, NULL));
		shmb_queue_consumer_close(consumer);
	}
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Signals, deadlines, and a consumer that stops in mid-item: nobody is stuck, and the depth is what was asked for. */
START_TEST(defect_P3_signals_and_depth)
{
	struct shmb_queue_producer *producer;
	struct program worker;
	struct shmb *client;
	struct broker b;
	uint64_t before;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	producer = producer_open(client, "q", 1 << 10);
	for (unsigned i = 0; i < 1 << 10; i++)
		ASSERT_OK(push(producer, 1));
	ASSERT_ERROR(push(producer, 1), EAGAIN);
	before = now_ns();
	ASSERT_ERROR(shmb_queue_wait_room(producer, before + 20000000), ETIMEDOUT);
	ck_assert_uint_ge(now_ns() - before, 20000000);
	ASSERT_ERROR(shmb_queue_push_until(producer, &before, before + 21000000), ETIMEDOUT);

	worker_start(&worker, &b, "consumer", false);
	worker_must(&worker, "consumer name=q");
	program_send(&worker, "consume n=1025 how=batch deadline=forever");
	ck_assert_ptr_nonnull(strstr(program_line(&worker, SUITE_PATIENCE_MS), "item 0 1 0"));
	for (unsigned i = 1; i < 1024; i++)
		program_line(&worker, SUITE_PATIENCE_MS);
	program_wait_asleep(&worker);
	for (unsigned i = 0; i < 5; i++) {
		program_signal(&worker, SIGSTOP);
		program_wait_stopped(&worker);
		program_signal(&worker, SIGCONT);
		sleep_ms(2);
	}
	ASSERT_OK(push(producer, 1));
	ck_assert_ptr_nonnull(strstr(program_line(&worker, SUITE_PATIENCE_MS), "item 1024 1 0"));
	ASSERT_RESULT(worker_answer(&worker), 0);
	worker_quit(&worker);
	shmb_queue_producer_close(producer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- who may ---- */

START_TEST(one_producer_one_consumer)
{
	struct shmb_queue_producer *producer, *other_producer;
	struct shmb_queue_consumer *consumer, *other_consumer;
	struct shmb_type *type = pattern_type(BYTES);
	struct shmb_type *wrong = pattern_type(2 * BYTES);
	struct shmb_options odd = { .capacity = 3 };
	struct shmb_options four = { .capacity = 4 };
	struct shmb_ring_reader *ring;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	ASSERT_ERROR(shmb_queue_consumer_open(&consumer, client, "q", NULL, SHMB_NO_WAIT), ENOENT);
	ASSERT_ERROR(shmb_queue_producer_open(&producer, client, "q", type, &odd), EINVAL);
	producer = producer_open(client, "q", 4);
	ASSERT_ERROR(shmb_queue_producer_open(&other_producer, client, "q", type, NULL), EEXIST);
	ASSERT_ERROR(shmb_queue_producer_open(&other_producer, client, "q", type, &four), EBUSY);
	consumer = consumer_open(client, "q");
	ASSERT_ERROR(shmb_queue_consumer_open(&other_consumer, client, "q", NULL, SHMB_NO_WAIT), EBUSY);
	ck_assert_ptr_nonnull(strstr(shmb_text(), "q"));
	ASSERT_ERROR(shmb_queue_consumer_open(&other_consumer, client, "q", wrong, SHMB_NO_WAIT), EPROTOTYPE);
	ASSERT_ERROR(shmb_ring_reader_open(&ring, client, "q", NULL, SHMB_NO_WAIT), EMEDIUMTYPE);
	ASSERT_OK(push(producer, 1));
	ck_assert_uint_eq(pop_is(consumer, 0), 1);
	shmb_queue_producer_close(producer);
	shmb_queue_consumer_close(consumer);
	shmb_type_free(type);
	shmb_type_free(wrong);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* The daemon is killed and restarted under a queue that both sides use and sleep on. */
START_TEST(the_daemon_may_go)
{
	struct program producer, consumer;
	uint64_t next = 0;
	struct broker b;

	broker_start(&b, NULL);
	worker_start(&producer, &b, "producer", false);
	worker_must(&producer, "producer name=q bytes=%d capacity=%d", BYTES, CAPACITY);
	worker_start(&consumer, &b, "consumer", false);
	worker_must(&consumer, "consumer name=q");
	program_send(&consumer, "consume n=30 deadline=forever");
	program_wait_asleep(&consumer);
	broker_kill(&b);
	worker_must(&producer, "push n=20 deadline=forever");
	broker_restart(&b);
	worker_must(&producer, "push n=10 deadline=forever");
	ck_assert_ptr_nonnull(items_follow(&consumer, &next));
	ck_assert_uint_eq(next, 30);
	/* A consumer that dies while no daemon is there: adopted, its successor goes on. */
	program_send(&producer, "push n=%d deadline=forever", CAPACITY + 1);
	program_wait_asleep(&producer);
	broker_kill(&b);
	worker_must(&consumer, "step at=none do=kill");
	program_kill(&consumer);
	broker_restart(&b);
	worker_start(&consumer, &b, "consumer", false);
	{
		struct answer opened = { .result = -EBUSY };
		uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);

		while (opened.result == -EBUSY && suite_pause(deadline))
			opened = worker_ask(&consumer, "consumer name=q");
		ASSERT_RESULT(opened, 0);
		ck_assert_uint_eq(opened.v[0], 30);
	}
	program_send(&consumer, "consume n=%d deadline=forever", CAPACITY + 1);
	ck_assert_ptr_nonnull(items_follow(&consumer, &next));
	ck_assert_uint_eq(next, 31 + CAPACITY);
	ASSERT_RESULT(worker_answer(&producer), 0);
	worker_quit(&producer);
	worker_quit(&consumer);
	broker_finish(&b);
}
END_TEST

/* Who opens with a deadline waits for the name, for the consumer that is there to close, and for one that dies. */
START_TEST(opening_waits_for_the_consumer_before)
{
	struct shmb_queue_consumer *first, *second;
	struct shmb_queue_producer *producer;
	struct broker b;
	struct shmb *client;
	uint64_t before;
	int status, pipe_fds[2];
	pid_t child;
	char byte;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	producer = producer_open(client, "q", 8);
	first = consumer_open(client, "q");
	before = shmb_now_ns();
	ASSERT_ERROR(shmb_queue_consumer_open(&second, client, "q", NULL, deadline_in(50)), EBUSY);
	ck_assert_uint_ge(shmb_now_ns() - before, 50 * UINT64_C(1000000));
	ck_assert(strstr(shmb_text(), "consumed by process") != NULL);
	child = fork();
	if (child == 0) {
		struct shmb *own = broker_connect(&b);

		_exit(shmb_queue_consumer_open(&second, own, "q", NULL, deadline_in(SUITE_PATIENCE_MS)) == 0 ? 0 : 1);
	}
	sleep_ms(50);
	shmb_queue_consumer_close(first);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);

	ck_assert_int_eq(pipe(pipe_fds), 0);
	child = fork();
	if (child == 0) {
		struct shmb *own = broker_connect(&b);

		if (shmb_queue_consumer_open(&second, own, "q", NULL, deadline_in(SUITE_PATIENCE_MS)) != 0 ||
		    write(pipe_fds[1], "x", 1) != 1)
			_exit(1);
		sleep_ms(100);
		raise(SIGKILL);
	}
	ck_assert_int_eq(read(pipe_fds[0], &byte, 1), 1);
	ASSERT_OK(shmb_queue_consumer_open(&first, client, "q", NULL, deadline_in(SUITE_PATIENCE_MS)));
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status));
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	shmb_queue_consumer_close(first);
	shmb_queue_producer_close(producer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("queue");

	suite_add(suite, every_step_of_a_queue_is_known, 30);
	suite_add(suite, producer_killed_at_each_step, 120);
	suite_add(suite, consumer_killed_at_each_step, 120);
	suite_add(suite, both_ends_die_again_and_again, 120);
	suite_add(suite, defect_P1_consumer_attaches_after_one_push, 60);
	suite_add(suite, defect_P2_closing_makes_no_items, 60);
	suite_add(suite, defect_P3_signals_and_depth, 60);
	suite_add(suite, one_producer_one_consumer, 60);
	suite_add(suite, opening_waits_for_the_consumer_before, 60);
	suite_add(suite, the_daemon_may_go, 60);
	return suite_run(suite);
}
