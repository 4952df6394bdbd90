/* SPDX-License-Identifier: MIT */
#ifndef SHMB_CLIENT_CLOCK_H
#define SHMB_CLIENT_CLOCK_H

/* CLOCK_MONOTONIC in nanoseconds, and arithmetic on deadlines made of it. */

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* `span` from now, but not after `deadline`; UINT64_MAX is never. */
static inline uint64_t clock_within(uint64_t span, uint64_t deadline)
{
	uint64_t end = clock_now_ns() + span;

	return end < deadline ? end : deadline;
}

#endif
