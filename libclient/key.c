/* SPDX-License-Identifier: MIT */
/*
 * Keys and the rules that make them (shmb_key.h).
 *
 * One untyped engine: a rule is a function and its numbers. The three clocks get the same functions by a macro at the end; only the types
 * in front differ, and they are what keeps the clocks apart.
 */
#include "shmb.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <time.h>

#include "text.h"

#define SECOND_NS UINT64_C(1000000000)
#define HOUR_NS (3600 * SECOND_NS)

enum { UNITS = 4 };
static const uint64_t scales[UNITS] = { 1, 1000, 1000000, 1000000000 };
static const char *const unit_names[UNITS] = { "nanoseconds", "microseconds", "milliseconds", "seconds" };
static const char *const clock_names[2] = { "CLOCK_MONOTONIC", "CLOCK_REALTIME" };

static uint64_t distance(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

/* ---- rules ---- */

static bool is_within(const struct shmb_rule *rule, uint64_t value, uint64_t now)
{
	return value <= now ? now - value <= rule->private_first : value - now <= rule->private_last;
}

static int suspect(uint64_t value, unsigned own, unsigned clock, unsigned unit)
{
	return text_fail(-EDOM, "%" PRIu64 " is no %s time in nanoseconds: it is likely %s in %s", value, clock_names[own],
			 clock_names[clock], unit_names[unit]);
}

static int check_plausible(const struct shmb_rule *rule, uint64_t value)
{
	unsigned own = rule->private_clock == SHMB_CLOCK_REALTIME;
	bool is_given = rule->private_now[0] != 0 || rule->private_now[1] != 0;
	uint64_t now[2] = { is_given ? rule->private_now[0] : clock_ns(CLOCK_MONOTONIC),
			    is_given ? rule->private_now[1] : clock_ns(CLOCK_REALTIME) };
	uint64_t off = distance(value, now[own]);
	bool is_inside = is_within(rule, value, now[own]);

	for (unsigned clock = 0; clock < 2; clock++) {
		for (unsigned unit = clock == own ? 1 : 0; unit < UNITS && value <= UINT64_MAX / scales[unit]; unit++) {
			uint64_t guess = value * scales[unit];
			uint64_t guess_off = distance(guess, now[clock]);
			bool is_nearer = guess_off < off && (clock == own || off > SECOND_NS);

			if (is_inside ? is_nearer : clock == own ? is_within(rule, guess, now[own]) : guess_off <= HOUR_NS)
				return suspect(value, own, clock, unit);
		}
	}
	if (is_inside)
		return 0;
	return text_fail(-ERANGE, "%" PRIu64 " is no plausible %s time: it lies %" PRIu64 " ns %s", value, clock_names[own], off,
			 value < now[own] ? "back" : "ahead");
}

static int check_range(const struct shmb_rule *rule, uint64_t value)
{
	if (value >= rule->private_first && value <= rule->private_last)
		return 0;
	return text_fail(-ERANGE, "%" PRIu64 " is not within %" PRIu64 " and %" PRIu64, value, rule->private_first, rule->private_last);
}

static int check_near(const struct shmb_rule *rule, uint64_t value)
{
	if (distance(value, rule->private_first) <= rule->private_last)
		return 0;
	return text_fail(-ERANGE, "%" PRIu64 " is further than %" PRIu64 " from %" PRIu64, value, rule->private_last, rule->private_first);
}

static int check_own(const struct shmb_rule *rule, uint64_t value)
{
	int r = rule->private_own(value, rule->private_user);

	return r <= 0 ? r : -EINVAL;
}

static int check_all(const struct shmb_rule *rule, uint64_t value);

static int rule_check(const struct shmb_rule *rule, uint64_t value)
{
	if (rule == NULL || (rule->private_check != check_plausible && rule->private_check != check_range &&
			     rule->private_check != check_near && rule->private_check != check_own && rule->private_check != check_all))
		return text_fail(-EINVAL, "a key is made by a rule, and this is none");
	return rule->private_check(rule, value);
}

static int check_all(const struct shmb_rule *rule, uint64_t value)
{
	/* Structs of the three clocks hold a struct shmb_rule and nothing else. */
	const struct shmb_rule *rules = rule->private_list;

	if (rules == NULL || rule->private_count == 0)
		return text_fail(-EINVAL, "a rule of no rules makes no key");
	for (size_t i = 0; i < rule->private_count; i++) {
		int r = rule_check(&rules[i], value);

		if (r < 0)
			return r;
	}
	return 0;
}

_Static_assert(sizeof(struct shmb_rule_monotonic) == sizeof(struct shmb_rule), "check_all() walks them");
_Static_assert(sizeof(struct shmb_rule_realtime) == sizeof(struct shmb_rule), "check_all() walks them");
_Static_assert(sizeof(struct shmb_rule_sequence) == sizeof(struct shmb_rule), "check_all() walks them");

static struct shmb_rule plausible(enum shmb_clock clock, uint64_t max_age_ns, uint64_t max_ahead_ns, uint64_t monotonic_ns,
				  uint64_t realtime_ns)
{
	return (struct shmb_rule){
		.private_check = check_plausible,
		.private_first = max_age_ns,
		.private_last = max_ahead_ns,
		.private_now = { monotonic_ns, realtime_ns },
		.private_clock = clock,
	};
}

struct shmb_rule_monotonic shmb_rule_plausible_monotonic(uint64_t max_age_ns, uint64_t max_ahead_ns)
{
	return (struct shmb_rule_monotonic){ plausible(SHMB_CLOCK_MONOTONIC, max_age_ns, max_ahead_ns, 0, 0) };
}

struct shmb_rule_realtime shmb_rule_plausible_realtime(uint64_t max_age_ns, uint64_t max_ahead_ns)
{
	return (struct shmb_rule_realtime){ plausible(SHMB_CLOCK_REALTIME, max_age_ns, max_ahead_ns, 0, 0) };
}

struct shmb_rule_monotonic shmb_rule_plausible_at_monotonic(uint64_t max_age_ns, uint64_t max_ahead_ns, uint64_t monotonic_ns,
							    uint64_t realtime_ns)
{
	return (struct shmb_rule_monotonic){ plausible(SHMB_CLOCK_MONOTONIC, max_age_ns, max_ahead_ns, monotonic_ns, realtime_ns) };
}

struct shmb_rule_realtime shmb_rule_plausible_at_realtime(uint64_t max_age_ns, uint64_t max_ahead_ns, uint64_t monotonic_ns,
							  uint64_t realtime_ns)
{
	return (struct shmb_rule_realtime){ plausible(SHMB_CLOCK_REALTIME, max_age_ns, max_ahead_ns, monotonic_ns, realtime_ns) };
}

/* ---- keys ---- */

static int move(uint64_t *out, uint64_t key, int64_t by)
{
	uint64_t moved;

	if (by < 0 ? __builtin_sub_overflow(key, -(uint64_t)by, &moved) : __builtin_add_overflow(key, (uint64_t)by, &moved))
		return text_fail(-ERANGE, "%" PRIu64 " moved by %" PRId64 " is no key", key, by);
	*out = moved;
	return 0;
}

#define KEY_FUNCTIONS(clock, member)                                                                                                       \
	struct shmb_rule_##clock shmb_rule_range_##clock(uint64_t first, uint64_t last)                                                    \
	{                                                                                                                                  \
		return (struct shmb_rule_##clock){ { .private_check = check_range, .private_first = first, .private_last = last } };       \
	}                                                                                                                                  \
	struct shmb_rule_##clock shmb_rule_near_##clock(struct shmb_key_##clock key, uint64_t most)                                        \
	{                                                                                                                                  \
		return (struct shmb_rule_##clock){ { .private_check = check_near, .private_first = key.member, .private_last = most } };   \
	}                                                                                                                                  \
	struct shmb_rule_##clock shmb_rule_all_##clock(const struct shmb_rule_##clock *rules, size_t count)                                \
	{                                                                                                                                  \
		return (struct shmb_rule_##clock){ { .private_check = check_all, .private_list = rules, .private_count = count } };        \
	}                                                                                                                                  \
	struct shmb_rule_##clock shmb_rule_own_##clock(int (*check)(uint64_t value, void *user), void *user)                               \
	{                                                                                                                                  \
		return (struct shmb_rule_##clock){                                                                                         \
			{ .private_check = check != NULL ? check_own : NULL, .private_own = check, .private_user = user }                  \
		};                                                                                                                         \
	}                                                                                                                                  \
	int shmb_key_make_##clock(struct shmb_key_##clock *out, uint64_t value, const struct shmb_rule_##clock *rule)                      \
	{                                                                                                                                  \
		int r = rule_check(rule != NULL ? &rule->rule : NULL, value);                                                              \
                                                                                                                                           \
		if (r == 0)                                                                                                                \
			out->member = value;                                                                                               \
		return r;                                                                                                                  \
	}                                                                                                                                  \
	uint64_t shmb_key_value_##clock(struct shmb_key_##clock key)                                                                       \
	{                                                                                                                                  \
		return key.member;                                                                                                         \
	}                                                                                                                                  \
	int shmb_key_move_##clock(struct shmb_key_##clock *out, struct shmb_key_##clock key, int64_t by)                                   \
	{                                                                                                                                  \
		return move(&out->member, key.member, by);                                                                                 \
	}                                                                                                                                  \
	int shmb_key_compare_##clock(struct shmb_key_##clock a, struct shmb_key_##clock b)                                                 \
	{                                                                                                                                  \
		return (a.member > b.member) - (a.member < b.member);                                                                      \
	}

KEY_FUNCTIONS(monotonic, private_ns)
KEY_FUNCTIONS(realtime, private_ns)
KEY_FUNCTIONS(sequence, private_count)
