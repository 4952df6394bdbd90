/* SPDX-License-Identifier: MIT */
/*
 * What time it is (lines 45 and 46 of the catalogue): a wall clock that jumps, a monotonic clock that is another's or jumps. Clocks are changed for the
 * programs under test only, with libfaketime, and in time namespaces, which need root.
 */
#include "../support/client.h"
#include "look.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- a clock that jumps ---- */

static char clock_file[256];

/* The address sanitizer's library, which refuses to come behind another one; "" where there is none, or it is not a shared one. */
static const char *sanitizer_path(void)
{
	static char path[256];
	char *maps = file_read("/proc/self/maps", NULL);
	char *name = maps != NULL ? strstr(maps, "/libasan.so") : NULL;

	path[0] = '\0';
	if (name != NULL) {
		char *begin = name;

		while (begin[-1] != ' ')
			begin--;
		snprintf(path, sizeof(path), "%.*s", (int)strcspn(begin, "\n"), begin);
	}
	free(maps);
	return path;
}

/* Programs started from here on have a clock that clock_jump() moves; with `monotonic` that one too. False: there is no libfaketime. */
static bool clock_fake(bool monotonic)
{
	static const char *const places[] = { "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
					      "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1" };

	snprintf(clock_file, sizeof(clock_file), "/tmp/shmb-test-%d-clock", (int)suite_pid());
	for (unsigned i = 0; i < 2; i++) {
		char preload[512];

		if (access(places[i], R_OK) != 0)
			continue;
		file_write(clock_file, "+0\n", 3);
		snprintf(preload, sizeof(preload), "%s %s", sanitizer_path(), places[i]);
		setenv("LD_PRELOAD", preload, 1);
		setenv("FAKETIME_TIMESTAMP_FILE", clock_file, 1);
		setenv("FAKETIME_NO_CACHE", "1", 1);
		if (!monotonic)
			setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1", 1);
		return true;
	}
	return false;
}

static void clock_jump(const char *offset)
{
	char next[300];

	/* Whole at once: it is read at every look at the clock. */
	snprintf(next, sizeof(next), "%s.new", clock_file);
	file_write(next, offset, strlen(offset));
	ck_assert_int_eq(rename(next, clock_file), 0);
}

static void clock_end(void)
{
	unsetenv("LD_PRELOAD");
	unsetenv("FAKETIME_TIMESTAMP_FILE");
	unsetenv("FAKETIME_NO_CACHE");
	unsetenv("FAKETIME_DONT_FAKE_MONOTONIC");
	unlink(clock_file);
}

/* A program under libfaketime that is killed leaves a file and a semaphore with its number in /dev/shm: a failed test does. */
static void clock_sweep(void)
{
	static const char *const prefixes[] = { "faketime_shm_", "sem.faketime_sem_" };
	DIR *directory = opendir("/dev/shm");
	struct dirent *entry;

	if (directory == NULL)
		return;
	while ((entry = readdir(directory)) != NULL) {
		for (unsigned i = 0; i < 2; i++) {
			size_t prefix = strlen(prefixes[i]);
			int pid = strncmp(entry->d_name, prefixes[i], prefix) == 0 ? atoi(entry->d_name + prefix) : 0;

			if (pid > 0 && kill(pid, 0) < 0 && errno == ESRCH)
				unlinkat(dirfd(directory), entry->d_name, 0);
		}
	}
	closedir(directory);
}

/* ---- 45 ---- */

START_TEST(fault_45_wall_clock_jump)
{
	static const char *const jumps[] = { "+400d\n", "-400d\n", "+1d\n", "+0\n" };
	struct broker_options options = { .linger = "1500ms" };
	struct program writer;
	struct program reader;
	struct program idle;
	struct shmb_shm_card card;
	struct answer answer;
	struct shmb *client;
	struct broker b;
	uint64_t last = 0;

	if (!clock_fake(false))
		TEST_SKIP("there is no libfaketime");
	broker_start(&b, &options);
	client = broker_connect(&b);
	worker_start(&writer, &b, "writer", false);
	worker_start(&reader, &b, "reader", false);
	worker_must(&writer, "writer name=ring bytes=64 stamped=1 salt=1");
	worker_must(&writer, "write n=1");
	worker_must(&reader, "reader name=ring bytes=64");
	worker_must(&reader, "latest");
	for (unsigned i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
		uint64_t begin;
		uint64_t ended;

		/* What nobody needs stays for its linger time, no shorter, no longer. */
		worker_start(&idle, &b, "idle", false);
		worker_must(&idle, "writer name=idle bytes=64");
		begin = now_ns();
		worker_quit(&idle);
		/* A sleeper wakes at its deadline, not before, and not in 400 days. */
		program_send(&reader, "wait deadline=600");
		program_wait_asleep(&reader);
		clock_jump(jumps[i]);
		worker_must(&writer, "heartbeat");
		ck_assert(segment_listed(client, "idle", NULL) || now_ns() - begin > 1500000000);
		ASSERT_RESULT(worker_answer(&reader), -ETIMEDOUT);
		ended = now_ns();
		ck_assert_msg(ended - begin >= 550000000, "the wait ended after %llu ms", (unsigned long long)(ended - begin) / 1000000);
		ck_assert(segment_listed(client, "idle", NULL) || now_ns() - begin > 1500000000);
		WAIT_UNTIL(!segment_listed(client, "idle", NULL));
		ck_assert_msg(now_ns() - begin >= 1450000000, "reaped after %llu ms", (unsigned long long)(now_ns() - begin) / 1000000);

		/* It did jump, for them. */
		worker_start(&idle, &b, "idle", false);
		worker_must(&idle, "writer name=dated bytes=64");
		look_card(&b, "dated", &card);
		if (i < 2) {
			struct timespec now;
			int64_t days;

			clock_gettime(CLOCK_REALTIME, &now);
			days = ((int64_t)(card.created_ns / 1000000000) - (int64_t)now.tv_sec) / 86400;
			ck_assert_msg(i == 0 ? days > 390 : days < -390, "the clock was not changed: %d days", (int)days);
		}
		worker_quit(&idle);
		/* The living live, and their stamps go on. */
		worker_must(&writer, "write n=1");
		answer = worker_must(&reader, "latest");
		ck_assert(answer.v[2] >= last && answer.v[2] <= now_ns());
		last = answer.v[2];
		answer = worker_must(&reader, "status");
		ck_assert(answer.v[0] == SHMB_WRITER_IS_ALIVE);
	}
	worker_quit(&writer);
	worker_quit(&reader);
	clock_end();
	WAIT_UNTIL(segments_count(client) == 0);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- 46 ---- */

/* CPU time of a process so far, in ticks. */
static unsigned long ticks(pid_t pid)
{
	unsigned long user = 0;
	unsigned long system = 0;
	char *text = proc_read(pid, "stat");

	ck_assert_ptr_nonnull(text);
	ck_assert_int_eq(sscanf(strrchr(text, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system), 2);
	free(text);
	return user + system;
}

/* A client whose monotonic clock is 40 days ahead of the broker's: its deadlines are its own, and nobody takes it for dead. */
static void in_time_namespace(void)
{
	const char *environment[] = { NULL, NULL };
	struct program_options options = { .name = "ahead", .environment = environment, .without_wrapper = true };
	struct program ahead;
	struct program here;
	struct answer answer;
	struct shmb *client;
	uint64_t begin;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	environment[0] = b.environment;
	program_start(&ahead, &options,
		      ARGV("unshare", "--time", "--monotonic", "3456000", "--boottime", "3456000", "--fork", "--kill-child=SIGKILL",
			   path_worker()));
	worker_start(&here, &b, "here", false);
	worker_must(&ahead, "writer name=ahead bytes=64 stamped=1 salt=1");
	worker_must(&ahead, "write n=1");
	worker_must(&here, "reader name=ahead bytes=64");
	answer = worker_must(&here, "latest");
	ck_assert_msg(answer.v[2] > now_ns() + UINT64_C(3000000000000000), "the clock was not changed");
	worker_must(&here, "writer name=here bytes=64 stamped=1 salt=2");
	worker_must(&here, "write n=1");
	worker_must(&ahead, "reader name=here bytes=64");
	worker_must(&ahead, "latest");
	begin = now_ns();
	ASSERT_RESULT(worker_ask(&ahead, "wait deadline=300"), -ETIMEDOUT);
	ck_assert_uint_ge(now_ns() - begin, 290000000);
	ck_assert_uint_lt(now_ns() - begin, UINT64_C(15000000000) * suite_slow());
	program_send(&ahead, "wait deadline=100000");
	worker_must(&here, "write n=1");
	ASSERT_RESULT(worker_answer(&ahead), 0);
	/* Over a restart: who it is does not depend on its clock. */
	broker_kill(&b);
	broker_restart(&b);
	answer = worker_must(&here, "status");
	ck_assert_int_eq((int)answer.v[0], SHMB_WRITER_IS_ALIVE);
	ASSERT_RESULT(worker_ask(&here, "writer name=ahead bytes=64 stamped=1 salt=2"), -EBUSY);
	worker_must(&ahead, "write n=1");
	worker_quit(&ahead);
	worker_quit(&here);
	segments_count(client);
	shmb_disconnect(client);
	broker_finish(&b);
}

/* A daemon whose monotonic clock jumps, as after a restored virtual machine: what is in use stays, the dead are noticed, nothing spins. */
static void monotonic_jumps(void)
{
	static const char *const jumps[] = { "+7200\n", "-7200\n", "+0\n" };
	struct broker_options options = { .linger = "10s" };
	struct program writer;
	struct program reader;
	struct program mortal;
	struct broker b;
	unsigned long before;
	uint64_t written = 1;

	ck_assert(clock_fake(true));
	broker_start(&b, &options);
	clock_end();
	file_write(clock_file, "+0\n", 3);
	worker_start(&writer, &b, "writer", false);
	worker_start(&reader, &b, "reader", false);
	worker_must(&writer, "writer name=live bytes=64 salt=1");
	worker_must(&writer, "write n=1");
	worker_must(&reader, "reader name=live bytes=64");
	for (unsigned i = 0; i < 3; i++) {
		worker_start(&mortal, &b, "mortal", false);
		worker_must(&mortal, "writer name=mortal%u bytes=64 salt=1", i);
		clock_jump(jumps[i]);
		program_kill(&mortal);
		before = ticks(b.daemon.pid);
		sleep_ms(300);
		ck_assert_uint_lt(ticks(b.daemon.pid) - before, 15); /* of 30 */
		ASSERT_RESULT(worker_ask(&writer, "remove name=none"), -ENOENT);
		worker_must(&writer, "write n=1");
		ck_assert_uint_eq(worker_must(&reader, "latest").v[0], written++);
		ck_assert_uint_eq(worker_must(&reader, "status").v[0], SHMB_WRITER_IS_ALIVE);
		WAIT_UNTIL(look_log(&b, "mortal", "died") >= i + 1);
	}
	worker_quit(&writer);
	worker_quit(&reader);
	unlink(clock_file);
	broker_kill(&b);
	broker_drop(&b);
}

START_TEST(fault_46_other_monotonic_clocks)
{
	if (!clock_fake(true))
		TEST_SKIP("there is no libfaketime");
	clock_end();
	monotonic_jumps();
	if (geteuid() != 0)
		TEST_SKIP("a time namespace needs root");
	in_time_namespace();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fault: clocks");
	int status;

	suite_add(suite, fault_45_wall_clock_jump, 90);
	suite_add(suite, fault_46_other_monotonic_clocks, 60);
	status = suite_run(suite);
	clock_sweep();
	return status;
}
