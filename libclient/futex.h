/* SPDX-License-Identifier: MIT */
#ifndef SHMB_CLIENT_FUTEX_H
#define SHMB_CLIENT_FUTEX_H

/*
 * Sleeping on words, of shared memory and of our own. Every sleep may end early without a reason: callers look at what they wait for and
 * sleep again.
 */

#include <stdbool.h>

#include "proto/atomics.h"

enum { FUTEX_WORDS_MAX = 128 }; /* what one futex_waitv(2) takes */

struct futex_word {
	const _Atomic uint32_t *word;
	uint32_t value;
	bool private; /* of this process alone */
};

/* Sleeps while *word == value, until `deadline_ns` (absolute, CLOCK_MONOTONIC, UINT64_MAX never). */
void futex_sleep(const _Atomic uint32_t *word, uint32_t value, uint64_t deadline_ns);

/*
 * Sleeps while all words (1 to FUTEX_WORDS_MAX) have their values. Where the kernel has no futex_waitv(2), sleeps on the first for a few
 * milliseconds at most.
 */
void futex_sleep_any(const struct futex_word *words, unsigned count, uint64_t deadline_ns);

/* Sleeps while both words have their values. */
void futex_sleep_two(const _Atomic uint32_t *first, uint32_t first_value, const _Atomic uint32_t *second, uint32_t second_value,
		     uint64_t deadline_ns);

/* Wakes everybody who sleeps on it, in all processes. */
void futex_wake_all(const _Atomic uint32_t *word);
/* Wakes everybody of this process who sleeps on it as a private word. For signal handlers too. */
void futex_wake_private(const _Atomic uint32_t *word);

#endif
