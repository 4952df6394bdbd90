/* SPDX-License-Identifier: MIT */
#ifndef SHMB_BENCH_STORE_LOAD_H
#define SHMB_BENCH_STORE_LOAD_H

/* Implementations of value.store_load: one store and one load of the newest value by the same thread. */

#include "bench.h"

/* The two copies that it cannot do without, through as many buffers in the same places as the segment has. */
extern const struct bench_impl store_load_memcpy;
/* This library, as it is installed. */
extern const struct bench_impl store_load_shmbroker;
/* What users have today: one slot behind a sequence lock, and a futex wake at every store. */
extern const struct bench_impl store_load_seqlock;

#endif
