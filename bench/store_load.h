/* SPDX-License-Identifier: MIT */
#ifndef SHMB_BENCH_STORE_LOAD_H
#define SHMB_BENCH_STORE_LOAD_H

/*
 * value.store, value.load, value.store_load, ring.insert_latest: a copy in, a copy out of the newest, or both by the same thread. memcpy is the copies
 * that it cannot do without, through as many buffers in the same places as the segment has; seqlock_wake_always is one slot behind a
 * sequence lock and a futex wake at every store.
 */

#include "bench.h"

extern const struct bench_impl store_memcpy, store_shmbroker, store_seqlock;
extern const struct bench_impl load_memcpy, load_shmbroker, load_seqlock;
extern const struct bench_impl store_load_memcpy, store_load_shmbroker, store_load_seqlock;
extern const struct bench_impl insert_latest_memcpy, insert_latest_shmbroker;

#endif
