/* SPDX-License-Identifier: MIT */
/*
 * The goals: medians of the rounds, through the shared library, nobody waiting unless the case says so. Times are of the 2-core virtual machine that
 * the design was measured on (gcc 12, -O3); a slower machine may miss them without a fault of ours.
 */
#include "bench.h"

#include <stdio.h>
#include <string.h>

enum measure {
	AT_MOST_NS,
	AT_MOST_TIMES, /* the time of `other` */
	FASTER_TIMES,  /* than `other` */
	SEEN_AT_LEAST,
	SAME_WITHIN, /* the slowest of all sizes by the fastest */
};

struct goal {
	const char *name; /* of the case */
	unsigned procs;
	size_t bytes; /* 0: every size */
	enum measure measure;
	double limit;
	const char *other;
};

static const char ours[] = "shmbroker";
static const char memcpy_name[] = "memcpy";
static const char seqlock_name[] = "seqlock_wake_always";

static const struct goal goals[] = {
	{ "value.store_load", 1, 64, AT_MOST_NS, 15, NULL }, /* of the first version; the next row is where it should go */
	{ "value.store_load", 1, 64, AT_MOST_NS, 10, NULL },
	{ "value.store_load", 1, 64, FASTER_TIMES, 28, seqlock_name },
	{ "value.store_load", 1, 4096, AT_MOST_TIMES, 1.25, memcpy_name },
	{ "value.store_load", 1, 1 << 20, AT_MOST_TIMES, 1.0, memcpy_name },
	{ "value.store_load", 1, 6220800, AT_MOST_TIMES, 1.05, memcpy_name },
	{ "ring.insert_latest", 1, 64, FASTER_TIMES, 28, seqlock_name },
	{ "ring.insert_latest", 1, 4096, FASTER_TIMES, 3.5, seqlock_name },
	{ "ring.insert_latest", 1, 1 << 20, FASTER_TIMES, 1.0, seqlock_name },
	{ "ring.closest", 1, 64, AT_MOST_NS, 18, NULL },
	{ "ring.bracket", 1, 64, AT_MOST_NS, 16, NULL },
	{ "ring.fresh", 1, 64, AT_MOST_NS, 6, NULL },
	{ "frame.handover", 1, 0, AT_MOST_NS, 16, NULL },
	{ "frame.handover", 1, 0, SAME_WITHIN, 1.2, NULL },
	{ "latency.spin", 2, 56, AT_MOST_TIMES, 1.2, "raw_flag" },
	{ "latency.spin", 2, 64, AT_MOST_TIMES, 1.4, "raw_flag" },
	{ "latency.blocked", 2, 64, AT_MOST_TIMES, 1.05, "raw_futex" },
	{ "throughput.distinct", 2, 64, FASTER_TIMES, 3, seqlock_name },
	{ "throughput.distinct", 2, 4096, FASTER_TIMES, 3, seqlock_name },
	{ "throughput.distinct", 2, 1 << 20, SEEN_AT_LEAST, 0.9, NULL },
	{ "queue.spsc", 2, 64, FASTER_TIMES, 1.5, "ck_ring" },
	{ "control.open", 2, 64, AT_MOST_TIMES, 1.15, "bare" },
	{ "control.open_10k", 2, 64, AT_MOST_TIMES, 1.15, "bare" },
	{ "death.notice", 2, 64, AT_MOST_TIMES, 2, "pidfd" },
	{ "adopt.10k", 2, 64, AT_MOST_NS, 400e6, NULL },
};

static int find(const struct bench_case *which, const char *impl)
{
	for (int i = 0; i < BENCH_IMPLS_MAX && which->impls[i] != NULL; i++) {
		if (strcmp(which->impls[i]->name, impl) == 0)
			return i;
	}
	return -1;
}

static bool is_for(const struct goal *goal, const struct bench_case *which)
{
	return strcmp(goal->name, which->name) == 0 && goal->procs == which->procs && (goal->bytes == 0 || goal->bytes == which->bytes);
}

/* By how much, in percent of the limit. */
static unsigned say(const struct goal *goal, size_t bytes, const char *what, double value, bool at_least, const char *unit)
{
	bool met = at_least ? value >= goal->limit : value <= goal->limit;
	double by = at_least ? goal->limit / value : value / goal->limit;
	char size[32] = "all sizes";

	if (bytes != 0)
		snprintf(size, sizeof(size), "%zu bytes", bytes);
	printf("goal %-6s  %s, %s: %s %s %.4g%s: %.3g%s", met ? "met" : "MISSED", goal->name, size, what, at_least ? "at least" : "at most",
	       goal->limit, unit, value, unit);
	if (met)
		printf("\n");
	else
		printf(", missed by %.0f %%\n", (by - 1) * 100);
	return met ? 0 : 1;
}

static unsigned check_one(const struct goal *goal, const struct bench_case *which, const struct bench_result *results)
{
	int us = find(which, ours);
	int other = goal->other != NULL ? find(which, goal->other) : -1;
	char what[64] = "median";

	if (goal->other != NULL && (other < 0 || !results[other].measured)) {
		printf("goal UNTOLD  %s, %zu bytes: %s was not measured\n", goal->name, which->bytes, goal->other);
		return 0;
	}
	if (goal->other != NULL)
		snprintf(what, sizeof(what), goal->measure == FASTER_TIMES ? "faster than %s by" : "time of %s", goal->other);
	switch (goal->measure) {
	case AT_MOST_NS:
		return say(goal, which->bytes, what, results[us].median_ns, false, " ns");
	case AT_MOST_TIMES:
		return say(goal, which->bytes, what, results[us].ratios[other], false, " x");
	case FASTER_TIMES:
		return say(goal, which->bytes, what, results[other].ratios[us], true, " x");
	case SEEN_AT_LEAST:
		return say(goal, which->bytes, "part seen", results[us].seen, true, "");
	case SAME_WITHIN:
		break;
	}
	return 0;
}

unsigned bench_check_goals(struct bench_result (*results)[BENCH_IMPLS_MAX])
{
	unsigned missed = 0;

	for (size_t i = 0; i < sizeof(goals) / sizeof(goals[0]); i++) {
		const struct goal *goal = &goals[i];
		double slowest = 0, fastest = 1e300;

		for (size_t j = 0; j < bench_case_count; j++) {
			const struct bench_case *which = &bench_cases[j];
			int us = find(which, ours);

			if (!is_for(goal, which) || us < 0 || !results[j][us].measured)
				continue;
			if (results[j][us].median_ns > slowest)
				slowest = results[j][us].median_ns;
			if (results[j][us].median_ns < fastest)
				fastest = results[j][us].median_ns;
			if (goal->measure != SAME_WITHIN)
				missed += check_one(goal, which, results[j]);
		}
		if (goal->measure == SAME_WITHIN && slowest > 0)
			missed += say(goal, 0, "slowest by fastest size", slowest / fastest, false, " x");
	}
	return missed;
}
