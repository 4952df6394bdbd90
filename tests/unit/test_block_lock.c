/* SPDX-License-Identifier: MIT */
/* The lock of blocks on plain memory: one at a time, the dead are told of, and words that nobody wrote. */
#include "libclient/block.h"
#include "tests/support/unit.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct bench {
	struct shmb_geometry geometry;
	struct shmb_shm_card *card;
	struct shmb_shm_data *data;
	struct slots_memory memory;
};

static _Atomic uint32_t guard = 1;

static void *pages(size_t bytes)
{
	size_t rounded = (bytes + SHMB_PAGE - 1) & ~(size_t)(SHMB_PAGE - 1);
	void *memory = aligned_alloc(SHMB_PAGE, rounded);

	ck_assert_ptr_nonnull(memory);
	memset(memory, 0, rounded);
	return memory;
}

static uint64_t in_ms(unsigned ms)
{
	return shmb_now_ns() + UINT64_C(1000000) * ms;
}

static void bench_setup(struct bench *bench)
{
	struct shmb_request request = { .kind = SHMB_KIND_BLOCK, .payload_align = 8, .payload_bytes = 64, .key_field = SHMB_KEY_IS_STAMP };

	memset(bench, 0, sizeof(*bench));
	ck_assert_int_eq(shmb_geometry_plan(&request, 1, &bench->geometry, NULL), 0);
	bench->card = pages(sizeof(*bench->card));
	bench->data = pages(bench->geometry.data_bytes);
	bench->card->state = SHMB_STATE_FREE;
	for (unsigned i = 0; i < 4; i++) {
		bench->card->cells[i].pid = 100 + (int)i;
		bench->card->cells[i].incarnation = 1;
	}
	bench->memory = (struct slots_memory){
		.geometry = &bench->geometry,
		.card = bench->card,
		.data = bench->data,
		.guard = &guard,
	};
}

static void bench_teardown(struct bench *bench)
{
	free(bench->card);
	free(bench->data);
}

static void sharer(struct bench *bench, struct block *block, uint32_t cell)
{
	ck_assert_int_eq(block_init(block, &bench->memory, cell, 1), 0);
}

START_TEST(lock_and_unlock)
{
	struct block a, b;
	struct bench bench;

	bench_setup(&bench);
	ck_assert_int_eq(block_init(&a, &bench.memory, UINT32_MAX, 1), -EUSERS);
	sharer(&bench, &a, 0);
	sharer(&bench, &b, 3);
	ck_assert_int_eq(block_holder(&a), 0);
	ck_assert_int_eq(block_unlock(&a), -EPERM);
	ck_assert_int_eq(block_recovered(&a), -EPERM);
	ck_assert_int_eq(block_lock(&a, NULL, SHMB_FOREVER), 0);
	ck_assert_int_eq(block_lock(&a, NULL, SHMB_FOREVER), -EDEADLK);
	ck_assert_int_eq(block_trylock(&a), -EDEADLK);
	ck_assert_int_eq(block_holder(&b), 100);
	ck_assert_int_eq(block_trylock(&b), -EBUSY);
	ck_assert_int_eq(block_unlock(&b), -EPERM);
	ck_assert_int_eq(block_lock(&b, NULL, SHMB_NO_WAIT), -ETIMEDOUT);
	ck_assert_int_eq(block_lock(&b, NULL, in_ms(10)), -ETIMEDOUT);
	ck_assert_int_eq(block_unlock(&a), 0);
	ck_assert_uint_eq(bench.data->lock, 0);
	ck_assert_int_eq(block_trylock(&b), 0);
	ck_assert_int_eq(block_holder(&a), 103);
	ck_assert_int_eq(block_unlock(&b), 0);
	bench_teardown(&bench);
}
END_TEST

/* I2: a handle that has not the lock cannot release it, whatever the word says. */
START_TEST(what_the_word_says_is_not_believed)
{
	struct block a, b;
	struct bench bench;

	bench_setup(&bench);
	sharer(&bench, &a, 0);
	sharer(&bench, &b, 1);
	bench.data->lock = shmb_lock_mark(1, 1); /* names b, which has not locked */
	ck_assert_int_eq(block_unlock(&b), -EPERM);
	ck_assert_int_eq(block_trylock(&b), -EBUSY);
	ck_assert_int_eq(block_lock(&a, NULL, in_ms(5)), -ETIMEDOUT);
	bench.data->lock = 0xff; /* no cell at all */
	ck_assert_int_eq(block_trylock(&a), -EBUSY);
	ck_assert_int_eq(block_holder(&a), 0);
	bench.data->lock = 0;
	ck_assert_int_eq(block_lock(&a, NULL, SHMB_FOREVER), 0);
	bench.data->lock = shmb_lock_mark(1, 1); /* taken from it */
	ck_assert_int_eq(block_unlock(&a), -ESTALE);
	ck_assert_uint_eq(bench.data->lock, shmb_lock_mark(1, 1));
	ck_assert_int_eq(block_unlock(&a), -EPERM);
	bench.data->lock = 0;
	ck_assert_int_eq(block_lock(&a, NULL, SHMB_FOREVER), 0);
	bench.card->cells[0].incarnation = 2; /* cell and lock are another's now */
	bench.data->lock = shmb_lock_mark(0, 2);
	ck_assert_int_eq(block_unlock(&a), -ESTALE);
	ck_assert_uint_eq(bench.data->lock, shmb_lock_mark(0, 2));
	bench.data->lock = 0;
	ck_assert_int_eq(block_trylock(&a), -ESTALE);
	bench.card->state = SHMB_STATE_REMOVED;
	ck_assert_int_eq(block_trylock(&b), -ESTALE);
	guard = 0;
	ck_assert_int_eq(block_trylock(&b), -EOWNERDEAD);
	ck_assert_int_eq(block_unlock(&b), -EOWNERDEAD);
	ck_assert_int_eq(block_recovered(&b), -EOWNERDEAD);
	ck_assert_int_eq(block_holder(&b), 0);
	guard = 1;
	bench_teardown(&bench);
}
END_TEST

START_TEST(the_dead_are_told_of_until_somebody_has_mended)
{
	struct block a, b;
	struct bench bench;

	bench_setup(&bench);
	sharer(&bench, &a, 0);
	sharer(&bench, &b, 1);
	ck_assert_int_eq(block_lock(&a, NULL, SHMB_FOREVER), 0);
	bench.data->lock = SHMB_LOCK_OWNER_DIED; /* as the broker does */
	ck_assert_int_eq(block_lock(&b, NULL, SHMB_FOREVER), SHMB_BLOCK_OWNER_DIED);
	ck_assert_uint_eq(bench.data->lock, shmb_lock_mark(1, 1));
	ck_assert_int_eq(block_unlock(&b), 0);
	ck_assert_uint_eq(bench.data->lock, SHMB_LOCK_OWNER_DIED);
	ck_assert_int_eq(block_unlock(&a), -ESTALE);
	ck_assert_int_eq(block_trylock(&a), SHMB_BLOCK_OWNER_DIED);
	ck_assert_int_eq(block_recovered(&a), 0);
	ck_assert_int_eq(block_unlock(&a), 0);
	ck_assert_int_eq(block_trylock(&b), 0);
	ck_assert_int_eq(block_unlock(&b), 0);
	bench_teardown(&bench);
}
END_TEST

/* The broker gave a handle up, freed its lock and gave its cell to the next, at any place of its unlocking: the next one's lock stays. */
START_TEST(the_next_owner_of_a_cell_keeps_its_lock)
{
	struct block a, b, c;
	struct bench bench;

	bench_setup(&bench);
	sharer(&bench, &a, 0);
	sharer(&bench, &c, 1);
	ck_assert_int_eq(block_lock(&a, NULL, SHMB_FOREVER), 0);
	bench.data->lock = SHMB_LOCK_OWNER_DIED;
	bench.card->cells[0].incarnation = 2;
	ck_assert_int_eq(block_init(&b, &bench.memory, 0, 2), 0);
	ck_assert_int_eq(block_lock(&b, NULL, SHMB_FOREVER), SHMB_BLOCK_OWNER_DIED);
	ck_assert_int_eq(block_recovered(&b), 0);
	ck_assert_int_eq(block_trylock(&c), -EBUSY);
	bench.card->cells[0].incarnation = 1; /* what `a` may have read before: the word alone tells */
	ck_assert_int_eq(block_unlock(&a), -ESTALE);
	bench.card->cells[0].incarnation = 2;
	ck_assert_int_eq(block_trylock(&c), -EBUSY);
	ck_assert_int_eq(block_trylock(&a), -ESTALE);
	ck_assert_int_eq(block_holder(&c), 100);
	ck_assert_int_eq(block_unlock(&b), 0);
	ck_assert_int_eq(block_trylock(&c), 0);
	ck_assert_int_eq(block_unlock(&c), 0);
	/* incarnations that differ beyond the word's bits are the same, 4 million owners later */
	ck_assert_uint_eq(shmb_lock_mark(3, 5 + (1u << 22)), shmb_lock_mark(3, 5));
	ck_assert_uint_eq(shmb_lock_mark(185, UINT32_MAX) & ~(SHMB_LOCK_INCARNATION | SHMB_LOCK_CELL), 0);
	bench_teardown(&bench);
}
END_TEST

struct adder {
	struct block block;
	uint64_t *sum;
};

static void *add(void *arg)
{
	struct adder *adder = arg;

	for (int i = 0; i < 20000; i++) {
		ck_assert_int_eq(block_lock(&adder->block, NULL, in_ms(10000)), 0);
		++*adder->sum;
		ck_assert_int_eq(block_unlock(&adder->block), 0);
	}
	return NULL;
}

START_TEST(one_at_a_time)
{
	struct adder adders[4];
	pthread_t threads[4];
	struct bench bench;

	bench_setup(&bench);
	for (uint32_t i = 0; i < 4; i++) {
		sharer(&bench, &adders[i].block, i);
		adders[i].sum = (uint64_t *)adders[i].block.payload;
		pthread_create(&threads[i], NULL, add, &adders[i]);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(*adders[0].sum, 80000);
	ck_assert_uint_eq(bench.data->lock, 0);
	bench_teardown(&bench);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("block");

	unit_add(suite, lock_and_unlock, 30);
	unit_add(suite, what_the_word_says_is_not_believed, 30);
	unit_add(suite, the_dead_are_told_of_until_somebody_has_mended, 30);
	unit_add(suite, the_next_owner_of_a_cell_keeps_its_lock, 30);
	unit_add(suite, one_at_a_time, 30);
	return unit_run(suite);
}
