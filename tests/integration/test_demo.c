/* SPDX-License-Identifier: MIT */
/*
 * The demo, as a user runs it: it proves what it says and ends with 0, and with one corrupted sample it does not. And the examples beside it, on a
 * daemon of the test's.
 */
#include "../support/client.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef SHMB_BUILT_DEMO
#define SHMB_BUILT_DEMO ""
#endif

static const char *demo(void)
{
	const char *given = getenv("SHMB_TEST_DEMO");

	return given != NULL ? given : SHMB_BUILT_DEMO;
}

#define NEEDS_DEMO()                                                                                                                       \
	do {                                                                                                                               \
		if (demo()[0] == '\0')                                                                                                     \
			TEST_SKIP("the demo is not built");                                                                                \
		if (getenv("SHMB_TEST_WRAPPER") != NULL)                                                                                   \
			TEST_SKIP("the demo starts its programs itself, without the wrapper");                                             \
	} while (0)

/* The name the demo gave its directories, in a folder of ours and in /dev/shm. */
static void directory_name(const char *out, char name[32])
{
	const char *at = strstr(out, "shmb-demo-");

	ck_assert_msg(at != NULL, "it does not say where its daemon is:\n%s", out);
	snprintf(name, 32, "%.*s", (int)strcspn(at, " \n"), at);
}

START_TEST(demo_proves_what_it_says)
{
	char folder[] = "/tmp/shmb-test-XXXXXX";
	char variable[sizeof(folder) + 8];
	struct program_options options = { 0 };
	struct program_result result;
	char name[32];
	char shm[64];

	NEEDS_DEMO();
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(variable, sizeof(variable), "TMPDIR=%s", folder);
	options.environment = ARGV(variable);
	program_run(&result, &options, ARGV(demo(), "--seconds", "4"));
	ck_assert_msg(result.status == 0, "exit status %d:\n%s\n%s", result.status, result.out, result.err);
	ck_assert_msg(strstr(result.out, "lost 0, torn 0, leaked 0") != NULL, "it does not say so:\n%s", result.out);
	directory_name(result.out, name);
	snprintf(shm, sizeof(shm), "/dev/shm/%s", name);
	program_result_deinit(&result);
	ck_assert_int_ne(access(shm, F_OK), 0);
	ck_assert_msg(rmdir(folder) == 0, "it left something in %s", folder);
}
END_TEST

START_TEST(demo_fails_with_a_corrupted_sample)
{
	struct program_result result;

	NEEDS_DEMO();
	program_run(&result, NULL, ARGV(demo(), "--seconds", "4", "--corrupt"));
	ck_assert_msg(result.status > 0, "exit status %d:\n%s\n%s", result.status, result.out, result.err);
	ck_assert_msg(strstr(result.out, "lost 0, torn 0, leaked 0") == NULL, "the corrupted sample was not counted:\n%s", result.out);
	program_result_deinit(&result);
}
END_TEST

START_TEST(host_sensors_and_watch)
{
	static const char *const names[] = { "host/cpu", "host/memory", "host/network" };
	const char *folder = strrchr(demo(), '/');
	struct program_options options = { 0 };
	struct program_result result;
	struct program sensors;
	struct shmb *client;
	struct listed listed;
	struct broker b;
	char sensors_path[1024];
	char watch_path[1024];

	if (folder == NULL)
		TEST_SKIP("the examples are not built");
	snprintf(sensors_path, sizeof(sensors_path), "%.*s/host_sensors", (int)(folder - demo()), demo());
	snprintf(watch_path, sizeof(watch_path), "%.*s/watch", (int)(folder - demo()), demo());
	broker_start(&b, NULL);
	client = broker_connect(&b);
	options.environment = ARGV(b.environment);
	program_start(&sensors, &options, ARGV(sensors_path, "--rate", "100"));
	for (unsigned i = 0; i < 3; i++)
		WAIT_UNTIL(segment_listed(client, names[i], &listed) && strcmp(listed.kind, "ring") == 0);
	program_run(&result, &options, ARGV(watch_path, "--seconds", "2", "--lines"));
	ck_assert_msg(result.status == 0, "exit status %d: %s", result.status, result.err);
	for (unsigned i = 0; i < 3; i++) {
		struct shmb_ring_reader *reader = ring_reader(client, names[i]);
		struct shmb_segment_status status;

		ck_assert_msg(strstr(result.out, names[i]) != NULL, "%s is not shown:\n%s", names[i], result.out);
		/* It does not make up for what it was held up. */
		WAIT_UNTIL(shmb_ring_status(reader, &status) == 0 && status.next >= 100);
		shmb_ring_reader_close(reader);
	}
	program_result_deinit(&result);
	program_signal(&sensors, SIGTERM);
	ck_assert_int_eq(program_wait(&sensors), 0);
	wait_writer(client, names[0], SHMB_WRITER_IS_CLOSED);
	/* wrong use, and no daemon */
	program_run(&result, &options, ARGV(sensors_path, "--bogus"));
	ck_assert_int_eq(result.status, 2);
	program_result_deinit(&result);
	program_run(&result, &options, ARGV(sensors_path, "--socket", "/nowhere"));
	ck_assert_msg(result.status > 0 && strstr(result.err, "/nowhere") != NULL, "exit status %d: %s", result.status, result.err);
	program_result_deinit(&result);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("demo");

	suite_add(suite, demo_proves_what_it_says, 90);
	suite_add(suite, demo_fails_with_a_corrupted_sample, 90);
	suite_add(suite, host_sensors_and_watch, 60);
	return suite_run(suite);
}
