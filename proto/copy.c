/* SPDX-License-Identifier: MIT */
/*
 * The one copy routine between private memory and shared memory.
 *
 * It lives in a file of its own, is never inlined and passes its pointers through an empty asm statement, so that the compiler can neither
 * re-read the source nor move the copy across the fences of the caller, not even in a link-time build.
 *
 *   up to 64 bytes           shmb_copy_short() (copy.h)
 *   1 to 4 KiB, x86-64       whole cache lines, where the processor has registers as wide as one
 *   else                     memcpy
 *   large, x86-64            `rep movsb`: fills whole cache lines without reading them first, and stays in the cache where the reader will look.
 *                            Many glibc versions turn to non-temporal stores somewhere above 512 KiB, which do not.
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

#if defined(__x86_64__)

/* Measured against glibc 2.36's memcpy, which uses `rep movsb` itself from 2 KiB on that machine: no difference from 8 KiB to 16 MiB. Slow only on
 * x86-64 processors without ERMS (before 2012). */
enum { REP_MOVSB_FROM = 512 * 1024, LINES_FROM = 1024, LINES_UNTIL = 4096 };

typedef uint8_t line __attribute__((vector_size(64), aligned(1), may_alias));
#define LINE sizeof(line)

/* Ice Lake, Zen 4 and later: the ones before that have such registers clock down when they are used. */
static inline int has_lines(void)
{
	return __builtin_cpu_supports("avx512vbmi2");
}

/*
 * Against memcpy, 4 KiB in and out, a fence between: 36 ns instead of 42 through 4 buffers; through 8, which `rep movsb` does not keep in the
 * first-level cache, 39 to 49 instead of 66. Below 1 KiB and from 8 KiB on it is no faster. Four lines at a time, loaded before the first is stored: else loads
 * wait for stores to places that only look the same (the same 12 low bits). The first and the last line overlap their neighbours; those between are the
 * destination's own.
 */
static __attribute__((target("avx512f"))) void copy_lines(uint8_t *to, const uint8_t *from, size_t bytes)
{
	size_t at = LINE - (uintptr_t)to % LINE;
	line last = *(const line *)(from + bytes - LINE);

	*(line *)to = *(const line *)from;
	for (; at + 4 * LINE <= bytes; at += 4 * LINE) {
		line one = *(const line *)(from + at), two = *(const line *)(from + at + LINE);
		line three = *(const line *)(from + at + 2 * LINE), four = *(const line *)(from + at + 3 * LINE);

		*(line *)(to + at) = one;
		*(line *)(to + at + LINE) = two;
		*(line *)(to + at + 2 * LINE) = three;
		*(line *)(to + at + 3 * LINE) = four;
	}
	for (; at + LINE < bytes; at += LINE) {
		*(line *)(to + at) = *(const line *)(from + at);
		__asm__ __volatile__("" ::: "memory"); /* no memmove of it */
	}
	*(line *)(to + bytes - LINE) = last;
}

#endif

OPAQUE void shmb_copy(void *dst, const void *src, size_t bytes)
{
	uint8_t *to = dst;
	const uint8_t *from = src;

	__asm__ __volatile__("" : "+r"(to), "+r"(from)::"memory");
	if (bytes <= SHMB_COPY_SHORT) {
		shmb_copy_short(to, from, bytes);
		return;
	}
#if defined(__x86_64__)
	if (bytes >= LINES_FROM && bytes <= LINES_UNTIL && has_lines()) {
		copy_lines(to, from, bytes);
		return;
	}
	if (bytes >= REP_MOVSB_FROM) {
		__asm__ __volatile__("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes)::"memory");
		return;
	}
#endif
	memcpy(to, from, bytes);
}

#endif
