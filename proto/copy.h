/* SPDX-License-Identifier: MIT */
#ifndef SHMB_PROTO_COPY_H
#define SHMB_PROTO_COPY_H

#include "atomics.h"

#include <stddef.h>
#include <stdint.h>

/*
 * Copies payload bytes into or out of shared memory that another process may be writing or reading meanwhile. The result may be torn;
 * the caller finds out through the slot's id. Opaque to the compiler, which therefore can neither assume that the source is stable nor
 * move the copy across the fences around the call. As fast as memcpy; in thread-sanitizer builds it is a loop of relaxed atomics, so
 * that the race is none for the C model either. `dst` and `src` do not overlap.
 */
void shmb_copy(void *dst, const void *src, size_t bytes);

enum { SHMB_COPY_SHORT = 64 };

/*
 * The same for at most SHMB_COPY_SHORT bytes, inline: a call would cost the hot path more than the copy. Moves of constant size from both
 * ends that overlap in the middle, all loads before the first store; no loop. The empty asm statements hide where the pointers come from and hold it
 * between the fences.
 */
#ifdef SHMB_TSAN

static inline void shmb_copy_short(void *dst, const void *src, size_t bytes)
{
	shmb_copy(dst, src, bytes);
}

#else

/* Words that may lie anywhere and alias anything. */
typedef uint16_t shmb_word2 __attribute__((aligned(1), may_alias));
typedef uint32_t shmb_word4 __attribute__((aligned(1), may_alias));
typedef uint64_t shmb_word8 __attribute__((aligned(1), may_alias));
typedef uint8_t shmb_word16 __attribute__((vector_size(16), aligned(1), may_alias));

/* The first and the last word; with bytes <= 2 * sizeof(word) they meet or overlap. */
#define SHMB_COPY_ENDS(word)                                                                                                               \
	do {                                                                                                                               \
		word first = *(const word *)from;                                                                                          \
		word last = *(const word *)(from + bytes - sizeof(word));                                                                  \
		*(word *)to = first;                                                                                                       \
		*(word *)(to + bytes - sizeof(word)) = last;                                                                               \
	} while (0)

static inline __attribute__((always_inline)) void shmb_copy_short(void *dst, const void *src, size_t bytes)
{
	uint8_t *to = dst;
	const uint8_t *from = src;

	__asm__ __volatile__("" ::"r"(to), "r"(from) : "memory");
	if (bytes > 32) {
		shmb_word16 first = *(const shmb_word16 *)from, second = *(const shmb_word16 *)(from + 16);
		shmb_word16 third = *(const shmb_word16 *)(from + bytes - 32), last = *(const shmb_word16 *)(from + bytes - 16);

		*(shmb_word16 *)to = first;
		*(shmb_word16 *)(to + 16) = second;
		*(shmb_word16 *)(to + bytes - 32) = third;
		*(shmb_word16 *)(to + bytes - 16) = last;
	} else if (bytes > 16) {
		SHMB_COPY_ENDS(shmb_word16);
	} else if (bytes >= 8) {
		SHMB_COPY_ENDS(shmb_word8);
	} else if (bytes >= 4) {
		SHMB_COPY_ENDS(shmb_word4);
	} else if (bytes >= 2) {
		SHMB_COPY_ENDS(shmb_word2);
	} else if (bytes == 1) {
		*to = *from;
	}
	__asm__ __volatile__("" ::: "memory");
}

#endif

#endif
