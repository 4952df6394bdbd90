/* SPDX-License-Identifier: MIT */
/* The table of cases: one row each. */
#include "bench.h"

#include "store_load.h"

const struct bench_case bench_cases[] = {
	{ "value.store_load", 1, 64, 4, { &store_load_memcpy, &store_load_shmbroker, &store_load_seqlock } },
};
const size_t bench_case_count = sizeof(bench_cases) / sizeof(bench_cases[0]);
