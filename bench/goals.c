/* SPDX-License-Identifier: MIT */
/*
 * The goals: medians of the rounds, through the shared library, nobody waiting. Times are of the 2-core virtual machine that the design was measured
 * on (gcc 12, -O3); a slower machine may miss them without a fault of ours.
 */
#include "bench.h"

#include <stdio.h>
#include <string.h>

struct goal {
	const char *name; /* of the case */
	size_t bytes;
	const char *impl;
	double below_ns; /* the median of the rounds */
};

static const struct goal goals[] = {
	{ "value.store_load", 64, "shmbroker", 15 },
};

unsigned bench_check_goals(const struct bench_case *which, const struct bench_result *results)
{
	unsigned missed = 0;

	for (size_t i = 0; i < sizeof(goals) / sizeof(goals[0]); i++) {
		const struct goal *goal = &goals[i];

		if (strcmp(goal->name, which->name) != 0 || goal->bytes != which->bytes)
			continue;
		for (unsigned j = 0; j < BENCH_IMPLS_MAX && which->impls[j] != NULL; j++) {
			double median = results[j].median_ns;
			bool met = median < goal->below_ns;

			if (strcmp(which->impls[j]->name, goal->impl) != 0)
				continue;
			printf("goal %s: %s %zu bytes, %s below %.1f ns: median %.1f ns, min %.1f ns\n", met ? "met" : "MISSED", goal->name,
			       goal->bytes, goal->impl, goal->below_ns, median, results[j].min_ns);
			missed += met ? 0 : 1;
		}
	}
	return missed;
}
