/* SPDX-License-Identifier: MIT */
/*
 * Blocks between processes: the lock, and what becomes of it when its holder, or who waits for it, is killed at each step, with and
 * without a daemon at that moment.
 */
#include "../support/client.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pair {
	uint64_t first, second;
};

static struct shmb_type *pair_type(void)
{
	struct shmb_type *type;

	ASSERT_OK(shmb_type_parse(&type, "pair", "uint64 first\nuint64 second\n"));
	return type;
}

static struct shmb_block *block_open(struct shmb *client, const char *name)
{
	struct shmb_type *type = pair_type();
	struct shmb_block *block;

	ASSERT_OK(shmb_block_open(&block, client, name, type));
	shmb_type_free(type);
	return block;
}

static void sharer_start(struct program *worker, struct broker *b, const char *name, bool steps)
{
	worker_start(worker, b, name, steps);
	worker_must(worker, "block name=b");
}

/* ---- sharing ---- */

START_TEST(memory_is_shared_and_stays)
{
	struct shmb_block *one, *two;
	struct shmb_type *other = pattern_type(64);
	struct program worker;
	struct shmb *client;
	struct pair *pair;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	one = block_open(client, "b");
	two = block_open(client, "b");
	pair = shmb_block_payload(one);
	ck_assert_uint_eq((uintptr_t)pair % 64, 0);
	ck_assert(pair->first == 0 && pair->second == 0);
	ASSERT_ERROR(shmb_block_open(&two, client, "b", other), EPROTOTYPE);
	ASSERT_ERROR(shmb_block_open(&two, client, "b", NULL), EINVAL);
	ck_assert_ptr_null(two);
	ck_assert_int_lt(ring_writer_try(client, "b", 64, 4), 0);
	two = block_open(client, "b");
	pair->first = 1;
	ck_assert_uint_eq(((struct pair *)shmb_block_payload(two))->first, 1);
	sharer_start(&worker, &b, "worker", false);
	worker_must(&worker, "set value=7");
	ck_assert(pair->first == 7 && pair->second == 7);
	worker_quit(&worker);
	/* The block outlives all its handles. */
	shmb_block_close(one);
	shmb_block_close(two);
	one = block_open(client, "b");
	pair = shmb_block_payload(one);
	ck_assert_uint_eq(pair->second, 7);
	shmb_block_close(one);
	shmb_type_free(other);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

START_TEST(one_at_a_time)
{
	enum { SHARERS = 4, ROUNDS = 5000 };
	struct program workers[SHARERS];
	struct shmb_block *block;
	struct shmb *client;
	struct pair *pair;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	block = block_open(client, "b");
	pair = shmb_block_payload(block);
	for (int i = 0; i < SHARERS; i++)
		sharer_start(&workers[i], &b, "worker", false);
	for (int i = 0; i < SHARERS; i++)
		program_send(&workers[i], "add n=%d", ROUNDS);
	for (int i = 0; i < SHARERS; i++) {
		ASSERT_RESULT(worker_answer(&workers[i]), 0);
		worker_quit(&workers[i]);
	}
	ck_assert_uint_eq(pair->first, SHARERS * ROUNDS);
	ck_assert_uint_eq(pair->second, SHARERS * ROUNDS);
	ck_assert_int_eq(shmb_block_holder(block), 0);
	shmb_block_close(block);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- I1: a dead holder, even one that only read ---- */

START_TEST(defect_I1_a_dead_holder_blocks_nobody)
{
	struct program holder, waiters[3];
	struct shmb_block *block;
	struct answer locked;
	struct shmb *client;
	struct pair *pair;
	unsigned told = 0;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	block = block_open(client, "b");
	pair = shmb_block_payload(block);
	sharer_start(&holder, &b, "holder", false);
	worker_must(&holder, "lock deadline=forever");
	worker_must(&holder, "half value=5");
	ck_assert_int_eq(shmb_block_holder(block), holder.pid);
	ASSERT_ERROR(shmb_block_trylock(block), EBUSY);
	ASSERT_ERROR(shmb_block_lock(block, deadline_in(10)), ETIMEDOUT);
	for (int i = 0; i < 3; i++) {
		sharer_start(&waiters[i], &b, "waiter", false);
		program_send(&waiters[i], "lock deadline=forever");
		program_wait_asleep(&waiters[i]);
	}
	program_kill(&holder);
	/* One after the other gets it; each is told until one has mended. */
	for (unsigned left = 3; left > 0; left--) {
		int at = -1;

		WAIT_UNTIL((at = program_has_line(&waiters[0], 1)   ? 0
				 : program_has_line(&waiters[1], 1) ? 1
				 : program_has_line(&waiters[2], 1) ? 2
								    : -1) >= 0);
		locked = worker_answer(&waiters[at]);
		ck_assert_int_ge(locked.result, 0);
		told += locked.result == SHMB_BLOCK_OWNER_DIED;
		if (left == 3) {
			ASSERT_RESULT(locked, SHMB_BLOCK_OWNER_DIED);
			ck_assert(locked.v[0] == 5 && locked.v[1] == 0);
		}
		if (left == 2) {
			ASSERT_RESULT(locked, SHMB_BLOCK_OWNER_DIED);
			worker_must(&waiters[at], "set value=6");
			worker_must(&waiters[at], "recovered");
		}
		worker_must(&waiters[at], "unlock");
	}
	ck_assert_uint_eq(told, 2);
	ck_assert_int_eq(shmb_block_lock(block, deadline_in(SUITE_PATIENCE_MS)), 0);
	ck_assert(pair->first == 6 && pair->second == 6);
	ASSERT_OK(shmb_block_unlock(block));
	for (int i = 0; i < 3; i++)
		worker_quit(&waiters[i]);
	shmb_block_close(block);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* `held`: the next one is told of a death. */
static const struct {
	const char *name;
	bool held;
} steps[] = {
	{ "block.locked", true },
	{ "block.unlocking", true },
	{ "block.unlocked", false },
	{ "block.sleeping", false },
};
enum { STEPS = sizeof(steps) / sizeof(steps[0]) };

START_TEST(defect_I1_killed_at_each_step)
{
	struct program victim, sleeper;
	struct shmb_block *block;
	struct answer locked;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	block = block_open(client, "b");
	for (unsigned step = 0; step < STEPS; step++) {
		bool waits = strcmp(steps[step].name, "block.sleeping") == 0;

		for (unsigned with_sleeper = 0; with_sleeper < 2; with_sleeper++) {
			bool releases = step == 1 || step == 2;

			sharer_start(&victim, &b, "victim", true);
			sharer_start(&sleeper, &b, "sleeper", false);
			if (releases)
				worker_must(&victim, "lock deadline=forever");
			else if (waits || with_sleeper)
				ck_assert_int_eq(shmb_block_lock(block, SHMB_FOREVER), 0);
			if (with_sleeper) {
				program_send(&sleeper, "lock deadline=forever");
				program_wait_asleep(&sleeper);
			}
			worker_must(&victim, "step at=%s do=kill", steps[step].name);
			program_send(&victim, releases ? "unlock" : "lock deadline=forever");
			if (!releases && !waits && with_sleeper) {
				/* Both sleep; whoever comes first: the victim dies with the lock, sooner or later. */
				program_wait_asleep(&victim);
				ASSERT_OK(shmb_block_unlock(block));
				locked = worker_answer(&sleeper);
				ck_assert_int_ge(locked.result, 0);
				worker_must(&sleeper, "recovered");
				worker_must(&sleeper, "unlock");
			}
			ck_assert_msg(program_wait(&victim) == -SIGKILL, "nobody came to %s", steps[step].name);
			if (waits)
				ASSERT_OK(shmb_block_unlock(block));
			if (with_sleeper && (releases || waits)) {
				locked = worker_answer(&sleeper);
				ck_assert_msg(locked.result == steps[step].held, "%s: %d", steps[step].name, locked.result);
				worker_must(&sleeper, "recovered");
				worker_must(&sleeper, "unlock");
			}
			worker_quit(&sleeper);
			ck_assert_int_ge(shmb_block_lock(block, deadline_in(SUITE_PATIENCE_MS)), 0);
			ASSERT_OK(shmb_block_recovered(block));
			ASSERT_OK(shmb_block_unlock(block));
		}
	}
	shmb_block_close(block);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* The holder dies while no daemon is there: its lock is taken at the adoption, and who sleeps hears of it. */
START_TEST(defect_I1_no_daemon_when_the_holder_dies)
{
	struct program holder, sleeper;
	struct shmb_block *block;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	block = block_open(client, "b");
	sharer_start(&holder, &b, "holder", false);
	sharer_start(&sleeper, &b, "sleeper", false);
	worker_must(&holder, "lock deadline=forever");
	program_send(&sleeper, "lock deadline=forever");
	program_wait_asleep(&sleeper);
	broker_kill(&b);
	program_kill(&holder);
	ASSERT_ERROR(shmb_block_lock(block, deadline_in(50)), ETIMEDOUT);
	broker_restart(&b);
	ASSERT_RESULT(worker_answer(&sleeper), SHMB_BLOCK_OWNER_DIED);
	worker_must(&sleeper, "recovered");
	worker_must(&sleeper, "unlock");
	ck_assert_int_eq(shmb_block_lock(block, deadline_in(SUITE_PATIENCE_MS)), 0);
	/* A holder that lives keeps its lock through a restart. */
	program_send(&sleeper, "lock deadline=forever");
	program_wait_asleep(&sleeper);
	broker_kill(&b);
	broker_restart(&b);
	ck_assert(!program_has_line(&sleeper, 300));
	ASSERT_OK(shmb_block_unlock(block));
	ASSERT_RESULT(worker_answer(&sleeper), 0);
	worker_must(&sleeper, "unlock");
	worker_quit(&sleeper);
	shmb_block_close(block);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- I2: nobody can release what is another's ---- */

START_TEST(defect_I2_closing_releases_only_what_is_ours)
{
	struct shmb_block *one, *two;
	struct program worker;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	one = block_open(client, "b");
	two = block_open(client, "b");
	ASSERT_OK(shmb_block_trylock(one));
	ASSERT_ERROR(shmb_block_lock(one, SHMB_FOREVER), EDEADLK);
	ASSERT_ERROR(shmb_block_trylock(two), EBUSY);
	ASSERT_ERROR(shmb_block_unlock(two), EPERM);
	ASSERT_ERROR(shmb_block_recovered(two), EPERM);
	sharer_start(&worker, &b, "worker", false);
	ASSERT_RESULT(worker_ask(&worker, "unlock"), -EPERM);
	worker_must(&worker, "close-block");
	worker_must(&worker, "block name=b");
	program_kill(&worker); /* not the holder */
	shmb_block_close(two);
	two = block_open(client, "b");
	sleep_ms(50);
	ASSERT_ERROR(shmb_block_trylock(two), EBUSY);
	/* Closing with the lock is like dying with it. */
	shmb_block_close(one);
	ck_assert_int_eq(shmb_block_lock(two, deadline_in(SUITE_PATIENCE_MS)), SHMB_BLOCK_OWNER_DIED);
	ASSERT_OK(shmb_block_recovered(two));
	ASSERT_OK(shmb_block_unlock(two));
	ASSERT_ERROR(shmb_block_unlock(two), EPERM);
	shmb_block_close(two);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

START_TEST(not_removed_while_it_is_shared)
{
	struct shmb_block *block;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	block = block_open(client, "b");
	ASSERT_ERROR(shmb_remove(client, "b"), EBUSY);
	ASSERT_OK(shmb_block_trylock(block));
	ASSERT_OK(shmb_block_unlock(block));
	shmb_block_close(block);
	ASSERT_OK(shmb_remove(client, "b"));
	block = block_open(client, "b");
	shmb_block_close(block);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("block");

	suite_add(suite, memory_is_shared_and_stays, 60);
	suite_add(suite, one_at_a_time, 60);
	suite_add(suite, defect_I1_a_dead_holder_blocks_nobody, 60);
	suite_add(suite, defect_I1_killed_at_each_step, 120);
	suite_add(suite, defect_I1_no_daemon_when_the_holder_dies, 60);
	suite_add(suite, defect_I2_closing_releases_only_what_is_ours, 60);
	suite_add(suite, not_removed_while_it_is_shared, 60);
	return suite_run(suite);
}
