/* SPDX-License-Identifier: MIT */
#ifndef SHMB_KEY_H
#define SHMB_KEY_H

/*
 * Keys: the points in time, or in a count, by which elements are found (shmb_temporal.h).
 *
 * Each clock has a key type of its own, so that times of two clocks cannot be compared, mixed or taken for one another: that does not
 * compile. A key is made out of a raw number only by a rule that says what numbers can be true; the members of the structs are not set by
 * hand. Wherever the functions below are written with CLOCK, there are three, for monotonic, realtime and sequence:
 *
 *   monotonic   CLOCK_MONOTONIC, nanoseconds
 *   realtime    CLOCK_REALTIME, PTP, UTC, nanoseconds since 1970
 *   sequence    a count: frame numbers, encoder ticks
 *
 *   struct shmb_rule_monotonic rule = shmb_rule_plausible_monotonic(10 * SECOND, SECOND);
 *   struct shmb_key_monotonic key;
 *   int r = shmb_key_make_monotonic(&key, message.stamp_ns, &rule);
 *
 * In C the names without CLOCK (shmb_key_make, shmb_key_value, ...) pick the function by the type of the key.
 *
 * Everything here is pure but shmb_rule_plausible_CLOCK(), which reads two clocks where it is checked. No function waits, allocates or
 * keeps a pointer; rules of rules and user functions are borrowed as long as the rule is used. Any thread, any process, also after fork.
 */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The clock of a segment's keys: an option of its writer. */
enum shmb_clock {
	SHMB_CLOCK_NONE = 0,
	SHMB_CLOCK_MONOTONIC = 1,
	SHMB_CLOCK_REALTIME = 2,
	SHMB_CLOCK_SEQUENCE = 3,
};

struct shmb_key_monotonic {
	uint64_t private_ns;
};

struct shmb_key_realtime {
	uint64_t private_ns;
};

struct shmb_key_sequence {
	uint64_t private_count;
};

/* What all rules are made of; not for direct use. */
struct shmb_rule {
	int (*private_check)(const struct shmb_rule *rule, uint64_t value);
	uint64_t private_first;
	uint64_t private_last;
	uint64_t private_now[2];
	const void *private_list;
	size_t private_count;
	int (*private_own)(uint64_t value, void *user);
	void *private_user;
	enum shmb_clock private_clock;
};

struct shmb_rule_monotonic {
	struct shmb_rule rule;
};

struct shmb_rule_realtime {
	struct shmb_rule rule;
};

struct shmb_rule_sequence {
	struct shmb_rule rule;
};

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

/*
 * shmb_rule_plausible_monotonic, _realtime: a time of that clock, in nanoseconds, not longer ago than `max_age_ns` and not further ahead
 * than `max_ahead_ns` when it is checked (UINT64_MAX: no limit).
 *
 *   -ERANGE  too long ago, or too far ahead
 *   -EDOM    a time in microseconds, milliseconds or seconds, or of the other clock, taken for one in nanoseconds (shmb_text() says which)
 *
 * How that is told. Outside the limits, the value is refused anyway; -EDOM where a multiple of it by 1000, 10^6 or 10^9 lies within them,
 * or is the time of the other clock within an hour. Within the limits, which may be wide, it is refused
 *
 *   - where a multiple of it is nearer to now than itself. That is so for every time in us, ms or s, at any uptime: v < 2/1001 now. What it
 *     costs: true times of the first 2 thousandths of the uptime, where max_age_ns lets them in at all.
 *   - where it is more than a second from now, and it or a multiple of it is nearer to the now of the other clock. So CLOCK_REALTIME in us,
 *     which reaches the uptime after some 20 days, is told from a time of those days unless it lies within that second.
 *
 * The monotonic clock begins at boot: a CLOCK_REALTIME value in ns is ahead by decades, however long the machine is up.
 */
struct shmb_rule_monotonic shmb_rule_plausible_monotonic(uint64_t max_age_ns, uint64_t max_ahead_ns);
struct shmb_rule_realtime shmb_rule_plausible_realtime(uint64_t max_age_ns, uint64_t max_ahead_ns);
/* The same at a given now of both clocks, instead of the clocks: for tests and for logs. 0 and 0 are not given: the clocks. */
struct shmb_rule_monotonic shmb_rule_plausible_at_monotonic(uint64_t max_age_ns, uint64_t max_ahead_ns, uint64_t monotonic_ns,
							    uint64_t realtime_ns);
struct shmb_rule_realtime shmb_rule_plausible_at_realtime(uint64_t max_age_ns, uint64_t max_ahead_ns, uint64_t monotonic_ns,
							  uint64_t realtime_ns);

/*
 * For each CLOCK:
 *
 *   shmb_rule_range_CLOCK(first, last)        first <= value <= last, else -ERANGE
 *   shmb_rule_near_CLOCK(key, distance)       not further than that from another key of the same clock, else -ERANGE
 *   shmb_rule_all_CLOCK(rules, count)         each of an array of rules, in their order; the error of the first that refuses. None: -EINVAL
 *   shmb_rule_own_CLOCK(check, user)          your own: returns 0, or the negative errno that refuses; a positive number is -EINVAL
 *
 *   shmb_key_make_CLOCK(out, value, rule)     makes a key. 0, or what the rule says, then *out is not touched. -EINVAL rule NULL or not
 *                                             made by one of the functions above
 *   shmb_key_value_CLOCK(key)                 the number
 *   shmb_key_move_CLOCK(out, key, by)         the key that much later (earlier where negative). -ERANGE below 0 or over 2^64 - 1
 *   shmb_key_compare_CLOCK(a, b)              -1 a is earlier, 0 the same, 1 later
 */
#define SHMB_KEY_FUNCTIONS(clock)                                                                                                          \
	struct shmb_rule_##clock shmb_rule_range_##clock(uint64_t first, uint64_t last);                                                   \
	struct shmb_rule_##clock shmb_rule_near_##clock(struct shmb_key_##clock key, uint64_t distance);                                   \
	struct shmb_rule_##clock shmb_rule_all_##clock(const struct shmb_rule_##clock *rules, size_t count);                               \
	struct shmb_rule_##clock shmb_rule_own_##clock(int (*check)(uint64_t value, void *user), void *user);                              \
	int shmb_key_make_##clock(struct shmb_key_##clock *out, uint64_t value, const struct shmb_rule_##clock *rule);                     \
	uint64_t shmb_key_value_##clock(struct shmb_key_##clock key);                                                                      \
	int shmb_key_move_##clock(struct shmb_key_##clock *out, struct shmb_key_##clock key, int64_t by);                                  \
	int shmb_key_compare_##clock(struct shmb_key_##clock a, struct shmb_key_##clock b)

SHMB_KEY_FUNCTIONS(monotonic);
SHMB_KEY_FUNCTIONS(realtime);
SHMB_KEY_FUNCTIONS(sequence);
#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#undef SHMB_KEY_FUNCTIONS

#ifdef __cplusplus
}
#else

/* The function `name`_CLOCK for the clock of `key`; other types do not compile. */
#define SHMB_BY_KEY(name, key)                                                                                                             \
	_Generic((key), struct shmb_key_monotonic                                                                                          \
		 : name##_monotonic, struct shmb_key_realtime                                                                              \
		 : name##_realtime, struct shmb_key_sequence                                                                               \
		 : name##_sequence)

#define shmb_key_make(out, value, rule) SHMB_BY_KEY(shmb_key_make, *(out))(out, value, rule)
#define shmb_key_value(key) SHMB_BY_KEY(shmb_key_value, key)(key)
#define shmb_key_move(out, key, by) SHMB_BY_KEY(shmb_key_move, key)(out, key, by)
#define shmb_key_compare(a, b) SHMB_BY_KEY(shmb_key_compare, a)(a, b)
#define shmb_rule_near(key, distance) SHMB_BY_KEY(shmb_rule_near, key)(key, distance)

#endif

#endif
