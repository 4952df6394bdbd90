/* SPDX-License-Identifier: MIT */
/* Keys and the rules that make them: what is accepted, what is refused, with which code, at given clocks. */
#include "shmb.h"
#include "tests/support/unit.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define SECOND UINT64_C(1000000000)
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)
#define YEAR (365 * DAY)
#define UTC (UINT64_C(1795000000) * SECOND) /* CLOCK_REALTIME in November 2026 */

static int monotonic(uint64_t value, uint64_t uptime, uint64_t age, uint64_t ahead)
{
	struct shmb_rule_monotonic rule = shmb_rule_plausible_at_monotonic(age, ahead, uptime, UTC);
	struct shmb_key_monotonic key;
	int r = shmb_key_make(&key, value, &rule);

	if (r == 0)
		ck_assert_uint_eq(shmb_key_value(key), value);
	return r;
}

START_TEST(plausible_times_are_taken)
{
	static const uint64_t uptimes[] = { 60 * SECOND, HOUR, DAY, 20 * DAY + 19 * HOUR, 100 * DAY, YEAR, 10 * YEAR };

	for (unsigned i = 0; i < 7; i++) {
		uint64_t now = uptimes[i];

		ck_assert_int_eq(monotonic(now, now, 10 * SECOND, SECOND), 0);
		ck_assert_int_eq(monotonic(now - 10 * SECOND, now, 10 * SECOND, SECOND), 0);
		ck_assert_int_eq(monotonic(now + SECOND, now, 10 * SECOND, SECOND), 0);
		ck_assert_int_eq(monotonic(now - 10 * SECOND - 1, now, 10 * SECOND, SECOND), -ERANGE);
		ck_assert_int_eq(monotonic(now + SECOND + 1, now, 10 * SECOND, SECOND), -ERANGE);
		ck_assert_int_eq(monotonic(now / 2, now, UINT64_MAX, 0), 0);
		ck_assert_int_eq(monotonic(now / 400, now, UINT64_MAX, 0), 0);
	}
}
END_TEST

/* T7: CLOCK_REALTIME values, and us, ms and s of either clock, whatever the uptime, whatever limits let in. */
START_TEST(defect_T7_other_clocks_and_units_are_refused)
{
	static const uint64_t ages[] = { SECOND / 10, 10 * SECOND, HOUR, UINT64_MAX };
	static const uint64_t units[] = { 1000, 1000000, 1000000000 };

	for (uint64_t uptime = 30 * SECOND; uptime < 30 * YEAR; uptime += uptime / 16) {
		for (unsigned a = 0; a < 4; a++) {
			/* The same moment, and ones a little earlier. */
			for (uint64_t back = 0; back <= 10 * SECOND; back += 2 * SECOND) {
				int r = monotonic(UTC - back, uptime, ages[a], SECOND);

				ck_assert_msg(r == -EDOM, "realtime at uptime %lu: %d", uptime, r);
				for (unsigned u = 0; u < 3; u++) {
					uint64_t utc = (UTC - back) / units[u];

					r = monotonic((uptime - back) / units[u], uptime, ages[a], SECOND);
					ck_assert_msg(r == -EDOM || r == -ERANGE, "uptime %lu / %lu, age %lu: %d", uptime, units[u],
						      ages[a], r);
					if (utc <= uptime + SECOND && utc + SECOND >= uptime)
						continue; /* as said: not told within that second */
					r = monotonic(utc, uptime, ages[a], SECOND);
					ck_assert_msg(r == -EDOM || r == -ERANGE, "realtime / %lu at uptime %lu, age %lu: %d", units[u],
						      uptime, ages[a], r);
				}
			}
		}
	}
	/* And it says what it likely is. */
	ck_assert_int_eq(monotonic(UTC / 1000, 30 * DAY, DAY, SECOND), -EDOM);
	ck_assert_ptr_nonnull(strstr(shmb_text(), "CLOCK_REALTIME in microseconds"));
	ck_assert_int_eq(monotonic(HOUR / 1000, HOUR, SECOND, SECOND), -EDOM);
	ck_assert_ptr_nonnull(strstr(shmb_text(), "CLOCK_MONOTONIC in microseconds"));
}
END_TEST

START_TEST(realtime_is_checked_likewise)
{
	struct shmb_rule_realtime rule = shmb_rule_plausible_at_realtime(10 * SECOND, SECOND, 5 * DAY, UTC);
	struct shmb_key_realtime key;

	ck_assert_int_eq(shmb_key_make(&key, UTC - SECOND, &rule), 0);
	ck_assert_int_eq(shmb_key_make(&key, UTC - 11 * SECOND, &rule), -ERANGE);
	ck_assert_int_eq(shmb_key_make(&key, 5 * DAY, &rule), -EDOM);
	ck_assert_int_eq(shmb_key_make(&key, UTC / 1000, &rule), -EDOM);
	ck_assert_int_eq(shmb_key_make(&key, UTC / 1000000000, &rule), -EDOM);
}
END_TEST

START_TEST(the_clocks_themselves_are_read)
{
	struct shmb_rule_monotonic rule = shmb_rule_plausible_monotonic(10 * SECOND, SECOND);
	struct shmb_rule_realtime utc_rule = shmb_rule_plausible_realtime(10 * SECOND, SECOND);
	struct shmb_key_monotonic key;
	struct shmb_key_realtime utc;
	struct timespec now;
	uint64_t utc_ns;

	clock_gettime(CLOCK_REALTIME, &now);
	utc_ns = (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
	ck_assert_int_eq(shmb_key_make(&key, shmb_now_ns(), &rule), 0);
	ck_assert_int_eq(shmb_key_make(&utc, utc_ns, &utc_rule), 0);
	ck_assert_int_eq(shmb_key_make(&key, utc_ns, &rule), -EDOM);
	ck_assert_int_eq(shmb_key_make(&utc, shmb_now_ns(), &utc_rule), -EDOM);
}
END_TEST

START_TEST(range_and_proximity)
{
	struct shmb_rule_sequence range = shmb_rule_range_sequence(10, 20);
	struct shmb_rule_sequence near;
	struct shmb_key_sequence key, other;

	for (uint64_t v = 0; v < 30; v++)
		ck_assert_int_eq(shmb_key_make(&key, v, &range), v >= 10 && v <= 20 ? 0 : -ERANGE);
	ck_assert_int_eq(shmb_key_make(&other, 15, &range), 0);
	near = shmb_rule_near(other, 3);
	for (uint64_t v = 0; v < 30; v++)
		ck_assert_int_eq(shmb_key_make(&key, v, &near), v >= 12 && v <= 18 ? 0 : -ERANGE);
	near = shmb_rule_near(other, UINT64_MAX);
	ck_assert_int_eq(shmb_key_make(&key, UINT64_MAX, &near), 0);
}
END_TEST

static int even_only(uint64_t value, void *user)
{
	++*(int *)user;
	return value % 2 == 0 ? 0 : -EILSEQ;
}

START_TEST(rules_of_rules_and_own_rules)
{
	int calls = 0;
	struct shmb_rule_realtime rules[] = { shmb_rule_range_realtime(100, 200), shmb_rule_own_realtime(even_only, &calls) };
	struct shmb_rule_realtime all = shmb_rule_all_realtime(rules, 2);
	struct shmb_rule_realtime none = shmb_rule_all_realtime(NULL, 0);
	struct shmb_rule_realtime all_of_all = shmb_rule_all_realtime(&all, 1);
	struct shmb_rule_realtime empty = { 0 };
	struct shmb_rule_realtime no_function = shmb_rule_own_realtime(NULL, NULL);
	struct shmb_key_realtime key;

	ck_assert_int_eq(shmb_key_make(&key, 150, &all), 0);
	ck_assert_int_eq(calls, 1);
	ck_assert_int_eq(shmb_key_make(&key, 151, &all), -EILSEQ);
	ck_assert_int_eq(shmb_key_make(&key, 99, &all), -ERANGE);
	ck_assert_int_eq(calls, 2);
	ck_assert_uint_eq(shmb_key_value(key), 150);
	ck_assert_int_eq(shmb_key_make(&key, 152, &all_of_all), 0);
	ck_assert_int_eq(shmb_key_make(&key, 150, &none), -EINVAL);
	ck_assert_int_eq(shmb_key_make(&key, 150, &empty), -EINVAL);
	ck_assert_int_eq(shmb_key_make(&key, 150, &no_function), -EINVAL);
	ck_assert_int_eq(shmb_key_make_realtime(&key, 150, NULL), -EINVAL);
}
END_TEST

START_TEST(keys_move_and_compare)
{
	struct shmb_rule_monotonic any = shmb_rule_range_monotonic(0, UINT64_MAX);
	struct shmb_key_monotonic a, b;

	ck_assert_int_eq(shmb_key_make(&a, 100, &any), 0);
	ck_assert_int_eq(shmb_key_move(&b, a, 50), 0);
	ck_assert_uint_eq(shmb_key_value(b), 150);
	ck_assert_int_eq(shmb_key_compare(a, b), -1);
	ck_assert_int_eq(shmb_key_compare(b, a), 1);
	ck_assert_int_eq(shmb_key_compare(a, a), 0);
	ck_assert_int_eq(shmb_key_move(&b, a, -100), 0);
	ck_assert_uint_eq(shmb_key_value(b), 0);
	ck_assert_int_eq(shmb_key_move(&b, a, -101), -ERANGE);
	ck_assert_int_eq(shmb_key_move(&b, a, INT64_MIN), -ERANGE);
	ck_assert_int_eq(shmb_key_make(&a, UINT64_MAX - 5, &any), 0);
	ck_assert_int_eq(shmb_key_move(&b, a, 6), -ERANGE);
	ck_assert_int_eq(shmb_key_move(&b, a, 5), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("key");

	unit_add(suite, plausible_times_are_taken, 5);
	unit_add(suite, defect_T7_other_clocks_and_units_are_refused, 10);
	unit_add(suite, realtime_is_checked_likewise, 5);
	unit_add(suite, the_clocks_themselves_are_read, 5);
	unit_add(suite, range_and_proximity, 5);
	unit_add(suite, rules_of_rules_and_own_rules, 5);
	unit_add(suite, keys_move_and_compare, 5);
	return unit_run(suite);
}
