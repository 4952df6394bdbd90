/* SPDX-License-Identifier: MIT */
/*
 * Every system call, every allocation of daemon and library fails, with each of its errors; and both are killed at each of their calls.
 *
 *   inject [--all] [--sites FILE]
 *
 * A scene is played once and its calls are counted. Then it is played again and again, and each time another call fails with another error; after each
 * the daemon serves others, the same scene without a fault succeeds, and nothing is left: no descriptor, file, mapping or block of memory, neither in the
 * daemon nor in the client. By default each error is forced once at each place in the code, and the first of them once from each
 * pair of callers, in whichever scene comes there first; with --all at each call of each scene. Kills: once at each place, with --all at each call. What
 * is called only after a failure is forced after it, in the same play.
 *
 * The tests run in two processes at once, half of them in each. Where a sanitizer is built in, its reports of daemon and clients count as well.
 */
#include "play.h"

#include "scenes.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const ways[] = { "daemon", "library", "daemon-killed", "library-killed" };

/* The tests in turn: of each scene the four ways. */
START_TEST(one)
{
	static char name[96];

	snprintf(name, sizeof(name), "%s-%s", scenes[_i / WAYS].name, ways[_i % WAYS]);
	test_begins(name);
	play(&scenes[_i / WAYS], (enum way)(_i % WAYS));
}
END_TEST

START_TEST(start)
{
	test_begins(start_name((unsigned)_i));
	play_start((unsigned)_i);
}
END_TEST

/* One test, if it is of this half. Its name must last. */
static void test_add(Suite *suite, const TTest *test, unsigned index, const char *name, unsigned half)
{
	static char names[128][96];
	static unsigned turn;

	if (turn % 2 == half)
		suite_add_each(suite, strcpy(names[turn / 2], name), test, 600, (int)index);
	turn++;
}

static Suite *suite_of(unsigned half)
{
	Suite *suite = suite_create(half == 0 ? "inject: one half" : "inject: the other half");
	char name[96];

	for (unsigned i = 0; i < start_count; i++)
		test_add(suite, start, i, start_name(i), half);
	for (unsigned i = 0; i < scene_count * WAYS; i++) {
		if (half == 0 && i % WAYS == 0 && scenes[i / WAYS].as_root && geteuid() != 0)
			printf("skipped: %s: needs root\n", scenes[i / WAYS].name);
		if (!play_applies(&scenes[i / WAYS], (enum way)(i % WAYS)))
			continue;
		snprintf(name, sizeof(name), "%s-%s", scenes[i / WAYS].name, ways[i % WAYS]);
		test_add(suite, one, i, name, half);
	}
	return suite;
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "all", no_argument, NULL, 'a' }, { "sites", required_argument, NULL, 's' }, { 0 } };
	const char *sites = NULL;
	bool all = false;
	int status = 0;
	int failed = EXIT_SUCCESS;
	pid_t halves[2];
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'a')
			all = true;
		else if (c == 's')
			sites = optarg;
		else
			return 2;
	}
	suite_reports_begin();
	play_init(all);
	fflush(NULL);
	for (unsigned half = 0; half < 2; half++) {
		halves[half] = fork();
		if (halves[half] == 0) {
			library_hook();
			exit(suite_run_part(suite_of(half)));
		}
	}
	for (unsigned half = 0; half < 2; half++)
		if (halves[half] < 0 || waitpid(halves[half], &status, 0) != halves[half] || status != 0)
			failed = EXIT_FAILURE;
	if (suite_reports_end() > 0)
		failed = EXIT_FAILURE;
	play_totals(sites);
	return failed;
}
