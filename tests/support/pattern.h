/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_PATTERN_H
#define SHMB_TESTS_PATTERN_H

/*
 * Payloads whose every byte follows from the number of the write and the salt of its writer: a mixture of two writes, or a number used for
 * two contents, is seen. The first word is salt << 56 | number, the others follow from it; payloads are at least 8 bytes.
 */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t pattern_word(uint64_t first, uint64_t index)
{
	uint64_t seed = first + UINT64_C(0x9e3779b97f4a7c15);

	seed = (seed ^ seed >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	return index == 0 ? first : seed + index * UINT64_C(0x94d049bb133111eb);
}

static inline void pattern_fill(void *payload, size_t bytes, uint64_t number, unsigned salt)
{
	uint64_t first = (uint64_t)salt << 56 | number;
	uint64_t word;

	for (size_t i = 0; i < bytes / 8; i++) {
		word = pattern_word(first, i);
		memcpy((char *)payload + 8 * i, &word, 8);
	}
	word = pattern_word(first, bytes / 8);
	memcpy((char *)payload + bytes / 8 * 8, &word, bytes % 8);
}

/* Is it the pattern of this number, whole? *salt is its writer's. */
static inline bool pattern_check(const void *payload, size_t bytes, uint64_t number, unsigned *salt)
{
	uint64_t wrong = 0;
	uint64_t first;
	uint64_t word;

	memcpy(&first, payload, 8);
	*salt = (unsigned)(first >> 56);
	wrong = (first & (UINT64_MAX >> 8)) ^ number;
	for (size_t i = 1; i < bytes / 8; i++) {
		memcpy(&word, (const char *)payload + 8 * i, 8);
		wrong |= word ^ pattern_word(first, i);
	}
	word = pattern_word(first, bytes / 8);
	return wrong == 0 && memcmp((const char *)payload + bytes / 8 * 8, &word, bytes % 8) == 0;
}

#endif
