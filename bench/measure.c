/* SPDX-License-Identifier: MIT */
/*
 * Interleaved rounds.
 *
 * Operations of a few nanoseconds cannot be timed one by one: the clock takes longer. They are timed in blocks of about BLOCK_NS, whose length
 * is found once for each implementation. In a round each implementation runs as many blocks as last ROUND_NS, within limits; the round's
 * figure is their median, so that an interrupt or another program's turn does not count. The order turns by one with each round.
 */
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shmb.h"

enum { BLOCKS_MAX = 200, BLOCKS_LEAST = 3 };
#define BLOCK_NS UINT64_C(20000)
#define BLOCK_NS_TWO UINT64_C(200000) /* two processes: starting and stopping is not to count */
#define ROUND_NS UINT64_C(5000000)
#define BLOCK_OPERATIONS_MAX (UINT64_C(1) << 20)

struct contender {
	const struct bench_impl *impl;
	struct bench_place place;
	unsigned index; /* of its result */
	void *state;
	bool ready;
	uint64_t block_ns;
	uint64_t count;	      /* operations in a block */
	unsigned block_count; /* of each round */
	double *blocks;	      /* of all rounds: ns for each operation */
	double *figures;      /* of each round */
	double *seen;	      /* of each round */
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

static int begin(const struct contender *contender)
{
	return contender->impl->begin != NULL ? contender->impl->begin(contender->state) : 0;
}

static void end(const struct contender *contender)
{
	if (contender->impl->end != NULL)
		contender->impl->end(contender->state);
}

/* Finds how many operations make a block, how many blocks a round, and warms up. */
static int calibrate(struct contender *contender)
{
	uint64_t ns = 1;
	int r = begin(contender);

	if (r < 0)
		return r;
	contender->count = 1;
	while (!contender->impl->single) {
		r = run_block(contender, &ns);
		if (r < 0 || ns >= contender->block_ns || contender->count >= BLOCK_OPERATIONS_MAX)
			break;
		contender->count *= 2;
	}
	if (r == 0)
		r = run_block(contender, &ns); /* the first was cold */
	if (r == 0 && contender->impl->check != NULL)
		r = contender->impl->check(contender->state);
	end(contender);
	contender->block_count = ns > 0 && ROUND_NS / ns < BLOCKS_MAX ? (unsigned)(ROUND_NS / ns) : BLOCKS_MAX;
	if (contender->block_count < BLOCKS_LEAST)
		contender->block_count = contender->impl->single ? 1 : BLOCKS_LEAST;
	if (contender->impl->seen != NULL)
		contender->impl->seen(contender->state);
	return r;
}

static int run_blocks(struct contender *contender, double *blocks)
{
	for (unsigned i = 0; i < contender->block_count; i++) {
		uint64_t ns;
		int r = run_block(contender, &ns);

		if (r == 0 && contender->impl->check != NULL)
			r = contender->impl->check(contender->state);
		if (r < 0)
			return r;
		blocks[i] = (double)ns / (double)contender->count;
	}
	return 0;
}

static int run_round(struct contender *contender, unsigned round)
{
	double sorted[BLOCKS_MAX];
	double *blocks = contender->blocks + (size_t)round * contender->block_count;
	int r = begin(contender);

	if (r == 0) {
		r = run_blocks(contender, blocks);
		end(contender);
	}
	if (r < 0)
		return r;
	memcpy(sorted, blocks, contender->block_count * sizeof(*sorted));
	contender->figures[round] = quantile(sorted, contender->block_count, 0.5);
	contender->seen[round] = contender->impl->seen != NULL ? contender->impl->seen(contender->state) : -1;
	return 0;
}

static void contender_deinit(struct contender *contender)
{
	if (contender->ready)
		contender->impl->deinit(contender->state);
	free(contender->blocks);
	free(contender->figures);
	free(contender->seen);
}

static char skip_reason[BENCH_REASON_BYTES];

void bench_skip(const char *why, va_list arguments)
{
	vsnprintf(skip_reason, sizeof(skip_reason), why, arguments);
}

/* What does not exist here is left out, and so is what others' software refuses; our own has to work. */
static bool is_skipped(const struct contender *contender, int r, struct bench_result *result)
{
	if (r != -EOPNOTSUPP && (r == 0 || r == -EINTR || !contender->impl->peer))
		return false;
	snprintf(result->skipped, sizeof(result->skipped), "%s", r == -EOPNOTSUPP && skip_reason[0] != '\0' ? skip_reason : strerror(-r));
	return true;
}

static int contender_init(struct contender *contender, const struct bench_place *place, unsigned rounds)
{
	int r;

	contender->place = *place;
	contender->impl = place->impl;
	contender->block_ns = place->which->procs > 1 ? BLOCK_NS_TWO : BLOCK_NS;
	contender->blocks = calloc((size_t)rounds * BLOCKS_MAX, sizeof(double));
	contender->figures = calloc(rounds, sizeof(double));
	contender->seen = calloc(rounds, sizeof(double));
	if (contender->blocks == NULL || contender->figures == NULL || contender->seen == NULL)
		return -ENOMEM;
	skip_reason[0] = '\0';
	r = contender->impl->init(&contender->state, &contender->place);
	if (r < 0)
		return r;
	contender->ready = true;
	return calibrate(contender);
}

/* Median of the rounds' ratios. `room` is for one figure a round. */
static double ratio_of(const struct contender *contender, const struct contender *other, unsigned rounds, double *room)
{
	for (unsigned round = 0; round < rounds; round++)
		room[round] = contender->figures[round] / other->figures[round];
	return quantile(room, rounds, 0.5);
}

/* Sorts what it takes quantiles of, so the ratios, which need the rounds in order, come first. */
static int summarize(struct contender *contenders, unsigned count, unsigned rounds, struct bench_result *results)
{
	double *room = calloc(rounds, sizeof(*room));

	if (room == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < count; i++) {
		for (unsigned j = 0; j < count; j++)
			results[contenders[i].index].ratios[contenders[j].index] = ratio_of(&contenders[i], &contenders[j], rounds, room);
	}
	free(room);
	for (unsigned i = 0; i < count; i++) {
		struct contender *contender = &contenders[i];
		struct bench_result *result = &results[contender->index];
		size_t blocks = (size_t)rounds * contender->block_count;

		result->p99_ns = quantile(contender->blocks, blocks, 0.99);
		result->min_ns = contender->blocks[0]; /* sorted by now */
		result->median_ns = quantile(contender->figures, rounds, 0.5);
		result->seen = quantile(contender->seen, rounds, 0.5);
		result->measured = true;
	}
	return 0;
}

int bench_measure(const struct bench_case *which, struct shmb *broker, unsigned rounds, bool peers, const volatile bool *stop,
		  void (*progress)(const struct bench_case *which, unsigned round, unsigned rounds), struct bench_result *results)
{
	struct contender contenders[BENCH_IMPLS_MAX] = { 0 };
	const char *at = "";
	unsigned count = 0;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < BENCH_IMPLS_MAX && which->impls[i] != NULL; i++) {
		const struct bench_place place = { .broker = broker, .which = which, .impl = which->impls[i] };
		struct contender *contender = &contenders[count];

		if (place.impl->peer && !peers)
			continue;
		at = place.impl->name;
		contender->index = i;
		r = contender_init(contender, &place, rounds);
		if (is_skipped(contender, r, &results[i])) {
			contender_deinit(contender);
			memset(contender, 0, sizeof(*contender));
			r = 0;
			continue;
		}
		count++;
	}
	for (unsigned round = 0; r == 0 && round < rounds; round++) {
		progress(which, round, rounds);
		for (unsigned i = 0; r == 0 && i < count; i++) {
			struct contender *contender = &contenders[(round + i) % count];

			at = contender->impl->name;
			r = *stop ? -EINTR : run_round(contender, round);
		}
	}
	if (r == 0)
		r = summarize(contenders, count, rounds, results);
	if (r < 0 && r != -EINTR)
		fprintf(stderr, "bench: %s, %zu bytes, %s: %s\n", which->name, which->bytes, at, shmb_strerror(r));
	for (unsigned i = 0; i < count; i++)
		contender_deinit(&contenders[i]);
	return r;
}
