/* SPDX-License-Identifier: MIT */
/* The demo, as a user runs it: it proves what it says and ends with 0, and with one corrupted sample it does not. */
#include "../support/program.h"
#include "../support/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef SHMB_BUILT_DEMO
#define SHMB_BUILT_DEMO ""
#endif

static const char *demo(void)
{
	const char *given = getenv("SHMB_TEST_DEMO");

	return given != NULL ? given : SHMB_BUILT_DEMO;
}

/* The demo's own children end with it; what it leaves is looked for in /tmp and /dev/shm. */
static char *surroundings(void)
{
	char *shm = dir_names("/dev/shm");
	char *tmp = dir_names("/tmp");
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	char *lists[] = { shm, tmp };

	for (unsigned i = 0; i < 2; i++) {
		char *rest = lists[i];
		char *name;

		while ((name = strsep(&rest, "\n")) != NULL)
			if (strstr(name, "demo") != NULL)
				fprintf(out, "%s\n", name);
	}
	fclose(out);
	free(shm);
	free(tmp);
	return text;
}

START_TEST(demo_proves_what_it_says)
{
	struct program_result result;
	char *before = surroundings();
	char *after;

	if (demo()[0] == '\0')
		TEST_SKIP("the demo is not built");
	program_run(&result, NULL, ARGV(demo(), "--seconds", "4"));
	ck_assert_msg(result.status == 0, "exit status %d:\n%s\n%s", result.status, result.out, result.err);
	ck_assert_msg(strstr(result.out, "lost 0, torn 0, leaked 0") != NULL, "it does not say so:\n%s", result.out);
	program_result_deinit(&result);
	after = surroundings();
	ck_assert_str_eq(before, after);
	free(before);
	free(after);
}
END_TEST

START_TEST(demo_fails_with_a_corrupted_sample)
{
	struct program_result result;

	if (demo()[0] == '\0')
		TEST_SKIP("the demo is not built");
	program_run(&result, NULL, ARGV(demo(), "--seconds", "4", "--corrupt"));
	ck_assert_msg(result.status > 0, "exit status %d:\n%s\n%s", result.status, result.out, result.err);
	ck_assert_msg(strstr(result.out, "lost 0, torn 0, leaked 0") == NULL, "the corrupted sample was not counted:\n%s", result.out);
	program_result_deinit(&result);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("demo");

	suite_add(suite, demo_proves_what_it_says, 90);
	suite_add(suite, demo_fails_with_a_corrupted_sample, 90);
	return suite_run(suite);
}
