/* SPDX-License-Identifier: MIT */
/*
 * The one copy routine between private memory and shared memory.
 *
 * It lives in a file of its own, is never inlined and passes its pointers through an empty asm statement, so that the compiler can neither
 * re-read the source nor move the copy across the fences of the caller, not even in a link-time build.
 *
 *   up to 64 bytes    shmb_copy_short() (copy.h)
 *   then              memcpy, which has wider registers than we may assume
 *   large, x86-64     `rep movsb`: fills whole cache lines without reading them first, and stays in the cache where the reader will look.
 *                     Many glibc versions turn to non-temporal stores somewhere above 512 KiB, which do not.
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

/* Measured against glibc 2.36's memcpy, which uses `rep movsb` itself from 2 KiB on that machine: no difference from 4 KiB to 16 MiB. Slow only on
 * x86-64 processors without ERMS (before 2012). */
enum { REP_MOVSB_FROM = 512 * 1024 };

OPAQUE void shmb_copy(void *dst, const void *src, size_t bytes)
{
	uint8_t *to = dst;
	const uint8_t *from = src;

	__asm__ __volatile__("" : "+r"(to), "+r"(from)::"memory");
	if (bytes > 64) {
#if defined(__x86_64__)
		if (bytes >= REP_MOVSB_FROM) {
			__asm__ __volatile__("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes)::"memory");
			return;
		}
#endif
		memcpy(to, from, bytes);
	} else {
		shmb_copy_short(to, from, bytes);
	}
}

#endif
