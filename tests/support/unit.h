/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_UNIT_H
#define SHMB_TESTS_UNIT_H

/*
 * What every unit test program shares: one suite, one TCase and time-out for each test, each test in a process of its own, and the totals
 * that check prints.
 *
 *   int main(void)
 *   {
 *           Suite *suite = suite_create("name");
 *
 *           unit_add(suite, test_of_something, 5);
 *           return unit_run(suite);
 *   }
 *
 * SHMB_TEST_SLOW=N makes every time-out N times as long (emulators, valgrind). Each test has its name as its tag, "test_name/test_of_something",
 * so that CK_EXCLUDE_TAGS leaves out single ones.
 */

#include <check.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* ck_assert(condition) for where there are millions of them: that one writes to a file also when it holds. */
#define UNIT_CHECK(condition)                                                                                                              \
	do {                                                                                                                               \
		if (!(condition))                                                                                                          \
			ck_abort_msg("not so: %s", #condition);                                                                            \
	} while (0)

#define unit_add(suite, test, seconds) unit_add_test(suite, #test, test, seconds)
static inline void unit_add_test(Suite *suite, const char *name, const TTest *test, double seconds)
{
	const char *slow = getenv("SHMB_TEST_SLOW");
	double factor = slow != NULL ? strtod(slow, NULL) : 1;
	TCase *tcase = tcase_create(name);
	char tag[128];

	snprintf(tag, sizeof(tag), "%s/%s", program_invocation_short_name, name);
	tcase_set_tags(tcase, tag);
	tcase_set_timeout(tcase, seconds * (factor >= 1 ? factor : 1));
	tcase_add_test(tcase, test);
	suite_add_tcase(suite, tcase);
}

static inline int unit_run(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;
	int run;

	srunner_set_fork_status(runner, CK_FORK);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	run = srunner_ntests_run(runner);
	srunner_free(runner);
	return run > 0 && failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Random numbers that are the same in every run (splitmix64). */
static inline uint64_t unit_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static inline void unit_random_fill(uint64_t *state, void *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((uint8_t *)bytes)[i] = (uint8_t)unit_random(state);
}

#endif
