/* SPDX-License-Identifier: MIT */
/*
 * Sleeping and waking through futexes that are shared between processes. A read-only mapping is enough to sleep.
 */
#include "futex.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

/* Where several words cannot be waited for at once, all but the first are looked at this often. */
#define SLICE_NS UINT64_C(5000000)

static const struct timespec *deadline_spec(uint64_t deadline_ns, struct timespec *out)
{
	if (deadline_ns == UINT64_MAX)
		return NULL;
	out->tv_sec = (time_t)(deadline_ns / UINT64_C(1000000000));
	out->tv_nsec = (long)(deadline_ns % UINT64_C(1000000000));
	return out;
}

void futex_sleep(const _Atomic uint32_t *word, uint32_t value, uint64_t deadline_ns)
{
	struct timespec spec;

	/* The bitset form takes an absolute deadline. */
	syscall(SYS_futex, word, FUTEX_WAIT_BITSET, value, deadline_spec(deadline_ns, &spec), NULL, FUTEX_BITSET_MATCH_ANY);
}

void futex_sleep_any(const struct futex_word *words, unsigned count, uint64_t deadline_ns)
{
#ifdef SYS_futex_waitv
	struct futex_waitv waiters[FUTEX_WORDS_MAX];
	struct timespec spec;

	for (unsigned i = 0; i < count; i++)
		waiters[i] = (struct futex_waitv){
			.val = words[i].value,
			.uaddr = (uintptr_t)words[i].word,
			.flags = FUTEX_32 | (words[i].private ? (unsigned)FUTEX_PRIVATE_FLAG : 0),
		};
	/* EPERM: a container's system call filter that is older than the call. */
	if (syscall(SYS_futex_waitv, waiters, count, 0, deadline_spec(deadline_ns, &spec), CLOCK_MONOTONIC) >= 0 ||
	    (errno != ENOSYS && errno != EPERM))
		return;
#endif
	for (unsigned i = 1; i < count; i++) {
		if (atomic_load_explicit(words[i].word, memory_order_acquire) != words[i].value)
			return;
	}
	futex_sleep(words[0].word, words[0].value, count > 1 ? clock_within(SLICE_NS, deadline_ns) : deadline_ns);
}

void futex_sleep_two(const _Atomic uint32_t *first, uint32_t first_value, const _Atomic uint32_t *second, uint32_t second_value,
		     uint64_t deadline_ns)
{
	struct futex_word words[2] = { { first, first_value, false }, { second, second_value, false } };

	futex_sleep_any(words, 2, deadline_ns);
}

void futex_wake_all(const _Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

void futex_wake_private(const _Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT_MAX, NULL, NULL, 0);
}
