/* SPDX-License-Identifier: MIT */
/* Nothing happens that nobody asked for: no wake-ups of the daemon, no system call and no allocation on the data path. */
#include "../support/client.h"

#include <dirent.h>
#include <linux/sched/types.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

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

static const struct {
	const char *kind;
	const char *bytes;
} subjects[] = {
	{ "value", "8" },     { "value", "56" },    { "value", "64" },	{ "value", "4096" }, { "value", "65536" }, { "ring", "8" },
	{ "ring", "56" },     { "ring", "64" },	    { "ring", "4096" }, { "ring", "65536" }, { "frame", "8" },	   { "frame", "4096" },
	{ "frame", "65536" }, { "queue", "8" },	    { "queue", "56" },	{ "queue", "64" },   { "queue", "4096" },  { "queue", "65536" },
	{ "keyed", "56" },    { "keyed", "4096" },  { "batch", "56" },	{ "batch", "4096" }, { "block", "56" },	   { "block", "4096" },
	{ "loader", "56" },   { "loader", "4096" },
};
enum { SUBJECTS = sizeof(subjects) / sizeof(subjects[0]) };

/* Each subject in this mode must end with status 0 and this output. */
static void all_quiet(const char *mode, const char *expected)
{
	struct broker b;
	char out[64];

	broker_start(&b, NULL);
	for (unsigned i = 0; i < SUBJECTS; i++) {
		int status = quiet(&b, subjects[i].kind, subjects[i].bytes, mode, out, sizeof(out));

		if (status == 77) {
			broker_finish(&b);
			TEST_SKIP("no seccomp filter here, or a sanitizer with calls and a malloc of its own");
		}
		ck_assert_msg(status == 0 && strcmp(out, expected) == 0, "%s of %s bytes, %s: status %d, output %s", subjects[i].kind,
			      subjects[i].bytes, mode, status, out);
	}
	/* it does kill, and it does count */
	if (strcmp(mode, "seccomp") == 0)
		ck_assert_int_eq(quiet(&b, "ring", "64", "stray", out, sizeof(out)), -SIGSYS);
	if (strcmp(mode, "clock") == 0) {
		ck_assert_int_eq(quiet(&b, "stamped", "64", "clock", out, sizeof(out)), 0);
		ck_assert_str_eq(out, "100000\n");
	}
	broker_finish(&b);
}

/* The defect Q7 of what was used before: a futex system call for every store, even when nobody waits. */
START_TEST(defect_Q7_no_system_call_when_nobody_waits)
{
	all_quiet("seccomp", "ok\n");
}
END_TEST

START_TEST(no_allocation_on_the_data_path)
{
	all_quiet("malloc", "0\n");
}
END_TEST

/* Only a stamp reads the clock. What the code could reach is looked at by tests/scripts/no_clock.py. */
START_TEST(no_clock_on_the_data_path)
{
	all_quiet("clock", "0\n");
}
END_TEST

/* The time slice that a thread has asked for, 0 where the kernel does not tell; -1 there is no such thread any more. */
static int64_t slice_of(pid_t thread)
{
	struct sched_attr attr = { .size = sizeof(attr) };

	return syscall(SYS_sched_getattr, thread, &attr, sizeof(attr), 0) < 0 ? -1 : (int64_t)attr.sched_runtime;
}

/* The loop has short turns; threads that work for long have ordinary ones. */
START_TEST(turns_are_short)
{
	struct shmb_ring_writer *large;
	struct shmb *client;
	struct dirent *entry;
	struct broker b;
	unsigned others = 0;
	char path[64];
	DIR *threads;

	if (getenv("SHMB_TEST_WRAPPER") != NULL || slice_of(0) <= 0)
		TEST_SKIP("no time slices to ask for here (Linux before 6.12, or an emulator)");
	broker_start(&b, NULL);
	client = broker_connect(&b);
	large = ring_writer(client, "quiet/large", 1 << 20, 32); /* on the worker's thread */
	WAIT_UNTIL(slice_of(b.daemon.pid) == 100000);
	snprintf(path, sizeof(path), "/proc/%d/task", (int)b.daemon.pid);
	threads = opendir(path);
	ck_assert_ptr_nonnull(threads);
	while ((entry = readdir(threads)) != NULL) {
		pid_t thread = (pid_t)strtol(entry->d_name, NULL, 10);

		if (thread <= 0 || thread == b.daemon.pid)
			continue;
		WAIT_UNTIL(slice_of(thread) == slice_of(0) || slice_of(thread) < 0);
		others++;
	}
	closedir(threads);
	ck_assert_uint_ge(others, 1);
	shmb_ring_writer_close(large);
	shmb_disconnect(client);
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
	suite_add(suite, turns_are_short, 30);
	return suite_run(suite);
}
