/* SPDX-License-Identifier: MIT */
#ifndef SHMB_BENCH_COMMON_H
#define SHMB_BENCH_COMMON_H

/*
 * What several implementations are made of: the two ends of every copy, shared memory, the memcpy that the compiler may not see through, and
 * the one slot behind a sequence lock that users have today.
 */

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"
#include "proto/copy.h"
#include "proto/geometry.h"
#include "proto/layout.h"

/* A copy in and a copy out have these two ends everywhere. */
struct ends {
	size_t bytes;
	unsigned char *source;
	unsigned char *destination;
};

int ends_init(struct ends *ends, size_t bytes);
void ends_deinit(struct ends *ends);
/* Between blocks: whether the bytes have arrived. Looks at both ends of large payloads only, to leave the caches as they are. */
int ends_check(const struct ends *ends);
/* Another value. */
void ends_change(struct ends *ends);

/* Shared, present. NULL: none. */
void *memory_map(size_t bytes);

/* As many buffers in the same places as a segment of that kind has. */
struct buffers {
	unsigned char *memory;
	size_t memory_bytes;
	unsigned char *first;
	uint64_t mask;
	unsigned shift;
	uint64_t next;
};

int buffers_init(struct buffers *buffers, uint32_t kind, uint32_t slots, uint32_t bytes);
void buffers_deinit(struct buffers *buffers);

static inline unsigned char *buffers_next(struct buffers *buffers)
{
	return buffers->first + ((buffers->next++ & buffers->mask) << buffers->shift);
}

/* The compiler may neither merge copies nor know their size. */
static inline void copy_opaque(void *to, const void *from, size_t bytes)
{
	__asm__ __volatile__("" : "+r"(to), "+r"(from), "+r"(bytes)::"memory");
	memcpy(to, from, bytes);
	__asm__ __volatile__("" ::: "memory");
}

/* ---- one slot behind a sequence lock, a futex wake at every store, the library's copy ---- */

struct seqlock {
	_Atomic uint32_t sequence;
	_Alignas(SHMB_CACHE_LINE) unsigned char payload[];
};

static inline void seqlock_store(struct seqlock *seqlock, const void *from, size_t bytes)
{
	uint32_t sequence = atomic_load_explicit(&seqlock->sequence, memory_order_relaxed);

	atomic_store_explicit(&seqlock->sequence, sequence + 1, memory_order_relaxed);
	shmb_fence_release();
	shmb_copy(seqlock->payload, from, bytes);
	atomic_store_explicit(&seqlock->sequence, sequence + 2, memory_order_release);
	syscall(SYS_futex, &seqlock->sequence, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* Returns the sequence of what was read. */
static inline uint32_t seqlock_load(struct seqlock *seqlock, void *to, size_t bytes)
{
	uint32_t sequence;

	do {
		sequence = atomic_load_explicit(&seqlock->sequence, memory_order_acquire);
		shmb_copy(to, seqlock->payload, bytes);
		shmb_fence_acquire();
	} while ((sequence & 1) != 0 || atomic_load_explicit(&seqlock->sequence, memory_order_relaxed) != sequence);
	return sequence;
}

#endif
