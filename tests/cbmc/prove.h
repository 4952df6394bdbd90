/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_CBMC_PROVE_H
#define SHMB_TESTS_CBMC_PROVE_H

/*
 * What the harnesses share. Each tests/cbmc/NAME.c has one function, harness(), which takes any values that its assumptions leave and states what must
 * hold. tests/cbmc/prove has CBMC prove it for all of them; tests/cbmc/run compiles it with gcc and runs it over random values, which proves nothing
 * and shows that the harness says what it means to.
 *
 *   ANY(object)         any bytes. For CBMC an object without a value has any
 *   DRAW(what)          random values that are not hopeless; nothing to CBMC
 *   ASSUME(condition)   only these are looked at
 *   PROVE(condition)    holds for all of them
 *   END()               is reached: CBMC has to find values that come this far, or nothing would be proven of what is accepted
 */

#include <stdint.h>
#include <string.h>

void harness(void);

#ifdef __CPROVER

#define ANY(object) ((void)0)
#define DRAW(what) ((void)0)
#define ASSUME(condition) __CPROVER_assume(condition)
#define PROVE(condition) __CPROVER_assert(condition, #condition)
#define END() __CPROVER_assert(0, "the end is not reached")

/* CBMC knows these by name alone. As the C library has them, with every byte that is read checked. */

size_t strnlen(const char *text, size_t size)
{
	size_t length = 0;

	while (length < size && text[length] != '\0')
		length++;
	return length;
}

void *memchr(const void *bytes, int byte, size_t size)
{
	const unsigned char *at = bytes;

	for (size_t i = 0; i < size; i++) {
		if (at[i] == (unsigned char)byte)
			return (void *)(at + i);
	}
	return NULL;
}

#else

#include <stdio.h>
#include <stdlib.h>

static uint64_t drawn = 1;
static int left_out; /* an assumption of this round does not hold */

static inline uint64_t draw(uint64_t below)
{
	uint64_t z = drawn += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) % below;
}

static inline void draw_bytes(void *to, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((unsigned char *)to)[i] = (unsigned char)draw(256);
}

#define ANY(object) draw_bytes(&(object), sizeof(object))
#define DRAW(what) (what)
#define ASSUME(condition)                                                                                                                  \
	do {                                                                                                                               \
		if (!(condition)) {                                                                                                        \
			left_out = 1;                                                                                                      \
			return;                                                                                                            \
		}                                                                                                                          \
	} while (0)
#define PROVE(condition)                                                                                                                   \
	do {                                                                                                                               \
		if (!(condition)) {                                                                                                        \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);                                     \
			abort();                                                                                                           \
		}                                                                                                                          \
	} while (0)

#define END() ((void)0)

int main(void)
{
	unsigned long ended = 0;

	for (unsigned long round = 0; round < 200000; round++) {
		left_out = 0;
		harness();
		ended += !left_out;
	}
	if (ended < 1000) {
		fprintf(stderr, "%s: too few random values come as far as to what is to be proven\n", __FILE__);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

#endif

#endif
