/* SPDX-License-Identifier: MIT */
#ifndef SHMB_SOAK_PAYLOAD_H
#define SHMB_SOAK_PAYLOAD_H

/*
 * Payloads: a checksum (XXH3-64, seeded) of all that follows it; number, segment and life of the writer; and words that follow from number,
 * segment and seed. A mixture of two writes does not pass, nor does a whole one under another number.
 */

#include "soak.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

struct soak_payload {
	uint64_t sum;
	uint64_t number;
	uint32_t segment;
	uint32_t life;
	uint64_t words[];
};

static inline uint64_t payload_sum(const struct soak_payload *payload, size_t bytes, uint64_t seed)
{
	return XXH3_64bits_withSeed(&payload->number, bytes - offsetof(struct soak_payload, number), seed);
}

static inline void payload_fill(struct soak_payload *payload, size_t bytes, uint64_t number, uint32_t segment, uint32_t life, uint64_t seed)
{
	uint64_t word = (number + seed) * UINT64_C(0x9e3779b97f4a7c15) ^ segment;

	payload->number = number;
	payload->segment = segment;
	payload->life = life;
	for (size_t i = 0; i < (bytes - sizeof(*payload)) / sizeof(uint64_t); i++)
		payload->words[i] = word + i * UINT64_C(0x94d049bb133111eb);
	payload->sum = payload_sum(payload, bytes, seed);
}

static inline bool payload_is_right(const struct soak_payload *payload, size_t bytes, uint64_t number, uint32_t segment, uint64_t seed)
{
	uint64_t word = (number + seed) * UINT64_C(0x9e3779b97f4a7c15) ^ segment;
	size_t last = (bytes - sizeof(*payload)) / sizeof(uint64_t) - 1;

	return payload->number == number && payload->segment == segment && payload->words[0] == word &&
	       payload->words[last] == word + last * UINT64_C(0x94d049bb133111eb) && payload->sum == payload_sum(payload, bytes, seed);
}

#endif
