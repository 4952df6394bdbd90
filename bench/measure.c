/* SPDX-License-Identifier: MIT */
/*
 * Interleaved rounds.
 *
 * Operations of a few nanoseconds cannot be timed one by one: the clock takes longer. They are timed in blocks of about BLOCK_NS, whose length
 * is found once for each implementation. In a round each implementation runs BLOCKS blocks; the round's figure is their median, so
 * that an interrupt or another program's turn does not count. The order turns by one with each round.
 */
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shmb.h"

enum { BLOCKS = 200 };
#define BLOCK_NS UINT64_C(20000)
#define BLOCK_OPERATIONS_MAX (UINT64_C(1) << 20)

struct contender {
	const struct bench_impl *impl;
	void *state;
	bool ready;
	uint64_t count;	 /* operations in a block */
	double *blocks;	 /* of all rounds: ns for each operation */
	double *figures; /* of each round */
	double *ratios;
};

static int compare(const void *left, const void *right)
{
	double a = *(const double *)left;
	double b = *(const double *)right;

	return (a > b) - (a < b);
}

/* Sorts. */
static double quantile(double *values, size_t count, double part)
{
	qsort(values, count, sizeof(*values), compare);
	return values[(size_t)((double)(count - 1) * part + 0.5)];
}

static int run_block(const struct contender *contender, uint64_t *ns)
{
	uint64_t begin = shmb_now_ns();
	int r = contender->impl->run(contender->state, contender->count);

	*ns = shmb_now_ns() - begin;
	return r;
}

/* Finds how many operations make a block, and warms up. */
static int calibrate(struct contender *contender)
{
	uint64_t ns = 0;
	int r = 0;

	for (contender->count = 1; r == 0 && contender->count < BLOCK_OPERATIONS_MAX; contender->count *= 2) {
		r = run_block(contender, &ns);
		if (ns >= BLOCK_NS)
			break;
	}
	return r;
}

static int run_round(struct contender *contender, unsigned round)
{
	double sorted[BLOCKS];
	double *blocks = contender->blocks + (size_t)round * BLOCKS;

	for (unsigned i = 0; i < BLOCKS; i++) {
		uint64_t ns;
		int r = run_block(contender, &ns);

		if (r < 0)
			return r;
		blocks[i] = (double)ns / (double)contender->count;
	}
	memcpy(sorted, blocks, sizeof(sorted));
	contender->figures[round] = quantile(sorted, BLOCKS, 0.5);
	return 0;
}

static void contender_deinit(struct contender *contender)
{
	if (contender->ready)
		contender->impl->deinit(contender->state);
	free(contender->blocks);
	free(contender->figures);
	free(contender->ratios);
}

static int contender_init(struct contender *contender, const struct bench_impl *impl, const struct bench_place *place, unsigned rounds)
{
	int r;

	contender->impl = impl;
	contender->blocks = calloc((size_t)rounds * BLOCKS, sizeof(double));
	contender->figures = calloc(rounds, sizeof(double));
	contender->ratios = calloc(rounds, sizeof(double));
	if (contender->blocks == NULL || contender->figures == NULL || contender->ratios == NULL)
		return -ENOMEM;
	r = impl->init(&contender->state, place);
	if (r < 0)
		return r;
	contender->ready = true;
	return calibrate(contender);
}

static struct bench_result summarize(struct contender *contender, unsigned rounds)
{
	size_t count = (size_t)rounds * BLOCKS;
	struct bench_result result = {
		.p99_ns = quantile(contender->blocks, count, 0.99),
		.median_ns = quantile(contender->figures, rounds, 0.5),
		.ratio = quantile(contender->ratios, rounds, 0.5),
	};

	result.min_ns = contender->blocks[0]; /* sorted by now */
	return result;
}

int bench_measure(const struct bench_case *which, struct shmb *broker, unsigned rounds, const volatile bool *stop,
		  void (*progress)(const struct bench_case *which, unsigned round, unsigned rounds), struct bench_result *results)
{
	struct contender contenders[BENCH_IMPLS_MAX] = { 0 };
	const struct bench_place place = { .broker = broker, .which = which };
	const char *at = "";
	unsigned count = 0;
	int r = 0;

	while (r == 0 && count < BENCH_IMPLS_MAX && which->impls[count] != NULL) {
		at = which->impls[count]->name;
		r = contender_init(&contenders[count], which->impls[count], &place, rounds);
		count++;
	}
	for (unsigned round = 0; r == 0 && round < rounds; round++) {
		progress(which, round, rounds);
		for (unsigned i = 0; r == 0 && i < count; i++) {
			struct contender *contender = &contenders[(round + i) % count];

			at = contender->impl->name;
			r = *stop ? -EINTR : run_round(contender, round);
		}
		for (unsigned i = 0; r == 0 && i < count; i++)
			contenders[i].ratios[round] = contenders[i].figures[round] / contenders[0].figures[round];
	}
	for (unsigned i = 0; r == 0 && i < count; i++)
		results[i] = summarize(&contenders[i], rounds);
	if (r < 0 && r != -EINTR)
		fprintf(stderr, "bench: %s, %zu bytes, %s: %s\n", which->name, which->bytes, at, shmb_strerror(r));
	for (unsigned i = 0; i < count; i++)
		contender_deinit(&contenders[i]);
	return r;
}
