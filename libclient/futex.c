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

/* Where two words cannot be waited for at once, the second is looked at this often. */
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

void futex_sleep_two(const _Atomic uint32_t *first, uint32_t first_value, const _Atomic uint32_t *second, uint32_t second_value,
		     uint64_t deadline_ns)
{
#ifdef SYS_futex_waitv
	struct futex_waitv words[2] = {
		{ .val = first_value, .uaddr = (uintptr_t)first, .flags = FUTEX_32 },
		{ .val = second_value, .uaddr = (uintptr_t)second, .flags = FUTEX_32 },
	};
	struct timespec spec;

	/* EPERM: a container's system call filter that is older than the call. */
	if (syscall(SYS_futex_waitv, words, 2, 0, deadline_spec(deadline_ns, &spec), CLOCK_MONOTONIC) >= 0 ||
	    (errno != ENOSYS && errno != EPERM))
		return;
#endif
	if (atomic_load_explicit(second, memory_order_acquire) == second_value)
		futex_sleep(first, first_value, clock_within(SLICE_NS, deadline_ns));
}

void futex_wake_all(const _Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}
