/* SPDX-License-Identifier: MIT */
/*
 * The one copy routine between private memory and shared memory.
 *
 * It lives in a file of its own, is never inlined and passes its pointers through an empty asm statement, so that the compiler can neither
 * re-read the source nor move the copy across the fences of the caller, not even in a link-time build.
 *
 *   up to 128 bytes   moves of constant size from both ends that overlap in the middle: no loop, no call
 *   then              memcpy
 *   large, x86-64     `rep movsb`, which fills whole cache lines without reading them first and without leaving the cache
 */
#include "copy.h"
#include "atomics.h"

#include <string.h>

#if defined(__has_attribute)
#if __has_attribute(noipa)
#define OPAQUE __attribute__((noipa))
#endif
#endif
#ifndef OPAQUE
#define OPAQUE __attribute__((noinline))
#endif

#ifdef SHMB_TSAN

/* ThreadSanitizer would call every torn copy a race: relaxed atomics say that it is meant. */
OPAQUE void shmb_copy(void *dst, const void *src, size_t bytes)
{
	uint8_t *to = dst;
	const uint8_t *from = src;

	if ((uintptr_t)to % 8 == (uintptr_t)from % 8) {
		for (; bytes > 0 && (uintptr_t)to % 8 != 0; to++, from++, bytes--)
			__atomic_store_n(to, __atomic_load_n(from, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
		for (; bytes >= 8; to += 8, from += 8, bytes -= 8)
			__atomic_store_n((uint64_t *)to, __atomic_load_n((const uint64_t *)from, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
	}
	for (; bytes > 0; to++, from++, bytes--)
		__atomic_store_n(to, __atomic_load_n(from, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
}

#else

enum { REP_MOVSB_FROM = 512 * 1024 };

/* The first and the last `size` bytes; with bytes <= 2 * size they meet or overlap. Both are loaded before either is stored. */
#define COPY_ENDS(size)                                                                                                                    \
	do {                                                                                                                               \
		uint8_t first[size], last[size];                                                                                           \
		memcpy(first, from, size);                                                                                                 \
		memcpy(last, from + bytes - (size), size);                                                                                 \
		memcpy(to, first, size);                                                                                                   \
		memcpy(to + bytes - (size), last, size);                                                                                   \
	} while (0)

OPAQUE void shmb_copy(void *dst, const void *src, size_t bytes)
{
	uint8_t *to = dst;
	const uint8_t *from = src;

	__asm__ __volatile__("" : "+r"(to), "+r"(from)::"memory");
	if (bytes > 128) {
#if defined(__x86_64__)
		if (bytes >= REP_MOVSB_FROM) {
			__asm__ __volatile__("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes)::"memory");
			return;
		}
#endif
		memcpy(to, from, bytes);
	} else if (bytes > 64) {
		COPY_ENDS(64);
	} else if (bytes > 32) {
		COPY_ENDS(32);
	} else if (bytes > 16) {
		COPY_ENDS(16);
	} else if (bytes >= 8) {
		COPY_ENDS(8);
	} else if (bytes >= 4) {
		COPY_ENDS(4);
	} else if (bytes >= 2) {
		COPY_ENDS(2);
	} else if (bytes == 1) {
		*to = *from;
	}
	__asm__ __volatile__("" ::: "memory");
}

#endif
