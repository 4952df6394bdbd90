/* SPDX-License-Identifier: MIT */
/* Nothing happens that nobody asked for: no wake-ups of the daemon, no system call and no allocation on the data path. */
#include "../support/client.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long wakeups(pid_t pid)
{
	char path[64];
	char *text;
	char *line;
	long count = -1;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	text = file_read(path, NULL);
	line = text != NULL ? strstr(text, "\nvoluntary_ctxt_switches:") : NULL;
	if (line != NULL)
		count = strtol(strchr(line, ':') + 1, NULL, 10);
	free(text);
	return count;
}

/* Writers publish and a reader sleeps and wakes all the time: the daemon sleeps on. SHMB_QUIET_SECONDS: how long. */
START_TEST(idle_daemon_makes_no_wakeups)
{
	const char *given = getenv("SHMB_QUIET_SECONDS");
	long seconds = given != NULL ? strtol(given, NULL, 10) : 10;
	struct program writer;
	struct program value;
	struct program reader;
	struct answer end;
	struct broker b;
	long before;
	long after;

	broker_start(&b, &(struct broker_options){ .linger = "10s" });
	worker_start(&writer, &b, "writer", false);
	worker_must(&writer, "writer name=quiet/ring bytes=64 capacity=1024 stamped=1");
	worker_start(&value, &b, "value", false);
	worker_must(&value, "writer name=quiet/value kind=value bytes=64");
	worker_start(&reader, &b, "reader", false);
	worker_must(&reader, "reader name=quiet/ring bytes=64");
	worker_must(&reader, "watch");
	worker_must(&writer, "run period=5000");
	worker_must(&value, "run period=5000");
	sleep_ms(200);
	before = wakeups(b.daemon.pid);
	sleep_ms((unsigned)seconds * 1000);
	after = wakeups(b.daemon.pid);
	if (getenv("SHMB_TEST_WRAPPER") == NULL)
		ck_assert_int_ge(before, 0);
	ck_assert_msg(before == after, "%ld wake-ups in %ld s", after - before, seconds);
	end = worker_must(&writer, "stop");
	ck_assert_uint_gt(end.v[0], (uint64_t)seconds * 20);
	worker_must(&value, "stop");
	end = worker_must(&reader, "stop last=%u", (unsigned)end.v[0] - 1);
	ck_assert_uint_gt(end.v[0], (uint64_t)seconds * 20);
	/* and it is not dead: */
	ASSERT_RESULT(worker_ask(&reader, "remove name=quiet/ring"), -16);
	worker_quit(&writer);
	worker_quit(&value);
	worker_quit(&reader);
	broker_finish(&b);
}
END_TEST

static int quiet(struct broker *b, const char *kind, const char *bytes, const char *mode, char *out, size_t size)
{
	struct program_result result;
	int status;

	program_run(&result, &(struct program_options){ .environment = ARGV(b->environment) }, ARGV(path_quiet(), kind, bytes, mode));
	snprintf(out, size, "%s", result.out);
	if (result.err[0] != '\0')
		fprintf(stderr, "%s", result.err);
	status = result.status;
	program_result_deinit(&result);
	return status;
}

static const char *const kinds[] = { "value", "ring", "frame", "queue" };
static const char *const sizes[] = { "8", "56", "64", "4096", "65536" };

/* The defect Q7 of what was used before: a futex system call for every store, even when nobody waits. */
START_TEST(defect_Q7_no_system_call_when_nobody_waits)
{
	struct broker b;
	char out[64];

	broker_start(&b, NULL);
	for (unsigned k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		for (unsigned s = 0; s < 5; s++) {
			int status = quiet(&b, kinds[k], sizes[s], "seccomp", out, sizeof(out));

			if (status == 77) {
				broker_finish(&b);
				TEST_SKIP("no seccomp filter here, or a sanitizer with calls of its own");
			}
			ck_assert_msg(status == 0 && strcmp(out, "ok\n") == 0,
				      "%s of %s bytes: 100,000 stores and loads in a process that dies of any system call: %d", kinds[k],
				      sizes[s], status);
		}
	}
	/* the filter does kill */
	ck_assert_int_eq(quiet(&b, "ring", "64", "stray", out, sizeof(out)), -SIGSYS);
	broker_finish(&b);
}
END_TEST

START_TEST(no_allocation_on_the_data_path)
{
	struct broker b;
	char out[64];

	broker_start(&b, NULL);
	for (unsigned k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		for (unsigned s = 0; s < 5; s++) {
			int status = quiet(&b, kinds[k], sizes[s], "malloc", out, sizeof(out));

			if (status == 77) {
				broker_finish(&b);
				TEST_SKIP("malloc belongs to a sanitizer here");
			}
			ck_assert_msg(status == 0 && strcmp(out, "0\n") == 0, "%s of %s bytes: status %d, allocations: %s", kinds[k],
				      sizes[s], status, out);
		}
	}
	broker_finish(&b);
}
END_TEST

/* Only a stamp reads the clock. What the code could reach is looked at by tests/scripts/no_clock.py. */
START_TEST(no_clock_on_the_data_path)
{
	struct broker b;
	char out[64];

	broker_start(&b, NULL);
	for (unsigned k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		for (unsigned s = 0; s < 5; s++) {
			int status = quiet(&b, kinds[k], sizes[s], "clock", out, sizeof(out));

			if (status == 77) {
				broker_finish(&b);
				TEST_SKIP("clock_gettime belongs to a sanitizer here");
			}
			ck_assert_int_eq(status, 0);
			ck_assert_msg(strcmp(out, "0\n") == 0, "%s of %s bytes: clock calls: %s", kinds[k], sizes[s], out);
		}
	}
	/* and they are counted */
	ck_assert_int_eq(quiet(&b, "stamped", "64", "clock", out, sizeof(out)), 0);
	ck_assert_str_eq(out, "100000\n");
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("quiet");

	suite_add(suite, idle_daemon_makes_no_wakeups, 180);
	suite_add(suite, defect_Q7_no_system_call_when_nobody_waits, 60);
	suite_add(suite, no_clock_on_the_data_path, 60);
	suite_add(suite, no_allocation_on_the_data_path, 60);
	return suite_run(suite);
}
