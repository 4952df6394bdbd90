/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_CHECKSUM_H
#define EXAMPLES_CHECKSUM_H

/*
 * How the examples make torn or foreign data visible: the last field of each payload is `uint64 checksum`, XXH3-64 of all bytes before
 * it. A copy that mixes two writes, or bytes from elsewhere, does not pass. The payload's size is a multiple of 8, so the
 * field lies in the last 8 bytes.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static inline void checksum_set(void *payload, size_t size)
{
	uint64_t sum = XXH3_64bits(payload, size - sizeof(sum));

	memcpy((char *)payload + size - sizeof(sum), &sum, sizeof(sum));
}

static inline bool checksum_is_right(const void *payload, size_t size)
{
	uint64_t sum;

	if (size <= sizeof(sum))
		return false;
	memcpy(&sum, (const char *)payload + size - sizeof(sum), sizeof(sum));
	return sum == XXH3_64bits(payload, size - sizeof(sum));
}

#endif
