/* SPDX-License-Identifier: MIT */
/* The lock of blocks: what other sharers and the broker do between two steps of locking and unlocking. */
#include "libclient/block.h"
#include "tests/support/unit.h"
#include "at_step.h"

#include <errno.h>
#include <stdlib.h>

static _Atomic uint32_t guard = 1;
static struct shmb_geometry geometry;
static struct shmb_shm_card *card;
static struct shmb_shm_data *data;
static struct block a, b;

static void setup(void)
{
	struct shmb_request request = { .kind = SHMB_KIND_BLOCK, .payload_align = 8, .payload_bytes = 64, .key_field = SHMB_KEY_IS_STAMP };
	struct slots_memory memory = { .geometry = &geometry, .guard = &guard };

	ck_assert_int_eq(shmb_geometry_plan(&request, 1, &geometry, NULL), 0);
	memory.card = card = aligned_alloc(SHMB_PAGE, sizeof(*card));
	memory.data = data = aligned_alloc(SHMB_PAGE, geometry.data_bytes);
	ck_assert(card != NULL && data != NULL);
	memset(card, 0, sizeof(*card));
	memset(data, 0, geometry.data_bytes);
	card->state = SHMB_STATE_FREE;
	for (unsigned i = 0; i < 2; i++) {
		card->cells[i].pid = 100 + (int)i;
		card->cells[i].incarnation = 1;
	}
	ck_assert_int_eq(block_init(&a, &memory, 0, 1), 0);
	ck_assert_int_eq(block_init(&b, &memory, 1, 1), 0);
}

static void teardown(void)
{
	free(card);
	free(data);
}

static void give_up_a(void *user)
{
	(void)user;
	card->cells[0].pid = 0;
}

static void give_cell_to_another(void *user)
{
	(void)user;
	card->cells[0].incarnation = 2;
	data->lock = 0; /* repaired */
}

/* The broker gave up the handle while it locked, and looks no more: the lock does not stay behind. */
START_TEST(given_up_while_locking)
{
	setup();
	at_step("block.locked", 1, give_up_a, NULL);
	ck_assert_int_eq(block_trylock(&a), -ESTALE);
	ck_assert_uint_eq(data->lock, 0);
	ck_assert_int_eq(block_trylock(&a), -ESTALE);
	ck_assert_int_eq(block_lock(&a, NULL, SHMB_FOREVER), -ESTALE);
	ck_assert_int_eq(block_trylock(&b), 0);
	ck_assert_int_eq(block_unlock(&b), 0);
	teardown();

	setup();
	at_step("block.locked", 1, give_cell_to_another, NULL);
	ck_assert_int_eq(block_lock(&a, NULL, SHMB_FOREVER), -ESTALE);
	ck_assert_uint_eq(data->lock, 0);
	teardown();
}
END_TEST

static void unlock_b(void *user)
{
	(void)user;
	ck_assert_int_eq(block_unlock(&b), 0);
}

/* Unlocked before the waiter has marked the word, or before it sleeps: it does not sleep. */
START_TEST(unlocked_before_the_sleep)
{
	static const char *const steps[] = { "block.busy", "block.sleeping" };

	for (unsigned i = 0; i < 2; i++) {
		setup();
		ck_assert_int_eq(block_trylock(&b), 0);
		at_step(steps[i], 1, unlock_b, NULL);
		ck_assert_int_eq(block_lock(&a, NULL, SHMB_FOREVER), 0);
		ck_assert_int_eq(steps_acted, 1);
		ck_assert_int_eq(block_holder(&b), 100);
		ck_assert_int_eq(block_unlock(&a), 0);
		ck_assert_uint_eq(data->lock, 0);
		teardown();
	}
}
END_TEST

static void wait_for_a(void *user)
{
	(void)user;
	data->lock |= SHMB_LOCK_WAITERS;
}

static void take_away(void *user)
{
	(void)user;
	data->lock = shmb_lock_mark(1, 1);
}

/* A waiter comes while the word is being exchanged: it is woken all the same (the word carries no mark after that). */
START_TEST(changed_while_unlocking)
{
	setup();
	ck_assert_int_eq(block_trylock(&a), 0);
	at_step("block.unlocking", 1, wait_for_a, NULL);
	ck_assert_int_eq(block_unlock(&a), 0);
	ck_assert_uint_eq(data->lock, 0);
	ck_assert_int_eq(block_trylock(&a), 0);
	at_step("block.unlocking", 1, take_away, NULL);
	ck_assert_int_eq(block_unlock(&a), -ESTALE);
	ck_assert_uint_eq(data->lock, shmb_lock_mark(1, 1));
	teardown();
}
END_TEST

START_TEST(removed_or_replaced)
{
	static const uint8_t states[] = { SHMB_STATE_REMOVED, SHMB_STATE_SUPERSEDED };

	for (unsigned i = 0; i < 2; i++) {
		setup();
		card->state = states[i];
		ck_assert_int_eq(block_trylock(&a), -ESTALE);
		ck_assert_int_eq(block_lock(&a, NULL, SHMB_FOREVER), -ESTALE);
		ck_assert_int_eq(block_recovered(&a), -ESTALE);
		ck_assert_uint_eq(data->lock, 0);
		teardown();
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("steps: block");

	unit_add(suite, given_up_while_locking, 10);
	unit_add(suite, unlocked_before_the_sleep, 10);
	unit_add(suite, changed_while_unlocking, 10);
	unit_add(suite, removed_or_replaced, 10);
	return unit_run(suite);
}
