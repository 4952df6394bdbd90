/* SPDX-License-Identifier: MIT */
/*
 * How much memory the daemon takes: idle, and for each segment. Its own is what smaps calls Anonymous: pages of files that only it has mapped at the
 * moment are the page cache's, and those of a program just built are even dirty.
 */
#include "../support/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RESIDENT_KIB_MAX = 4096, OWN_KIB_MAX = 512, SEGMENTS = 10000 };

/* -1 where there is no such file. */
static long memory_kib(pid_t pid, const char *what)
{
	return proc_number(pid, "smaps_rollup", what);
}

static const char *no_measure(pid_t pid)
{
	if (SUITE_SANITIZED)
		return "a sanitizer's memory is no measure";
	if (getenv("SHMB_TEST_WRAPPER") != NULL)
		return "the memory is the wrapper's";
	return memory_kib(pid, "Rss") < 0 ? "this kernel has no smaps_rollup" : NULL;
}

START_TEST(idle_daemon_is_small)
{
	struct shmb *client;
	struct broker b;
	const char *no;
	long resident;
	long own;

	broker_start(&b, NULL);
	client = broker_connect(&b); /* it has worked once */
	shmb_disconnect(client);
	broker_settle(&b);
	no = no_measure(b.daemon.pid);
	resident = memory_kib(b.daemon.pid, "Rss");
	own = memory_kib(b.daemon.pid, "Anonymous");
	broker_finish(&b);
	if (no != NULL)
		TEST_SKIP("%s", no);
	printf("idle: %ld KiB resident, %ld KiB of it its own\n", resident, own);
	ck_assert_int_le(resident, RESIDENT_KIB_MAX);
	ck_assert_int_gt(own, 0);
	ck_assert_int_le(own, OWN_KIB_MAX);
}
END_TEST

/* Segments that nobody uses cost less than a KiB each, and no descriptor. */
START_TEST(a_segment_costs_less_than_a_kib)
{
	struct shmb *client;
	struct broker b;
	const char *no;
	long before, after;
	char name[32];
	int fds;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	no = no_measure(b.daemon.pid);
	before = memory_kib(b.daemon.pid, "Anonymous");
	fds = fds_count(b.daemon.pid);
	for (unsigned i = 0; no == NULL && i < SEGMENTS; i++) {
		snprintf(name, sizeof(name), "memory/%u", i);
		shmb_value_writer_close(value_writer(client, name, 64));
	}
	after = memory_kib(b.daemon.pid, "Anonymous");
	if (no == NULL) {
		ck_assert_int_eq(fds_count(b.daemon.pid), fds);
		ck_assert_uint_eq(segments_count(client), SEGMENTS);
	}
	for (unsigned i = 0; no == NULL && i < SEGMENTS; i++) {
		snprintf(name, sizeof(name), "memory/%u", i);
		ASSERT_OK(shmb_remove(client, name));
	}
	shmb_disconnect(client);
	broker_finish(&b);
	if (no != NULL)
		TEST_SKIP("%s", no);
	printf("%d segments: %ld bytes each\n", SEGMENTS, (after - before) * 1024 / SEGMENTS);
	ck_assert_int_gt(after, before);
	ck_assert_int_le(after - before, SEGMENTS);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("memory");

	suite_add(suite, idle_daemon_is_small, 60);
	suite_add(suite, a_segment_costs_less_than_a_kib, 120);
	return suite_run(suite);
}
