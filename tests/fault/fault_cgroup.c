/* SPDX-License-Identifier: MIT */
/*
 * Over the memory limit of a cgroup (line 41 of the catalogue): the kernel kills. A client that it kills is dead like any other. The daemon, to whose cgroup
 * all segments are charged, gives out no more than that can hold.
 *
 * The memory controller is mounted in a mount namespace of this program's, of cgroups version 1 or 2, whichever has it. Each test makes a group below
 * its root; what a failed test leaves, the end of the program removes.
 */
#include "../support/client.h"
#include "look.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define CGROUPS "/sys/fs/cgroup"

static struct {
	const char *top, *limit, *events; /* where it is mounted; names of files */
	char before[512];		  /* the group of this process */
	char group[256];
	const char *why_not;
} cgroups;

static bool write_to(const char *directory, const char *file, const char *text)
{
	char path[1024];
	bool good;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		close(fd);
	return good;
}

/* The line of /proc/self/cgroup that begins or goes on like this names the group we are in. */
static void note_before(const char *mark)
{
	char *text = file_read("/proc/self/cgroup", NULL);
	const char *at = text != NULL ? strstr(text, mark) : NULL;

	if (at != NULL)
		snprintf(cgroups.before, sizeof(cgroups.before), "%s%.*s", cgroups.top, (int)strcspn(at + strlen(mark), "\n"),
			 at + strlen(mark));
	else
		cgroups.why_not = "this process is in no memory cgroup";
	free(text);
}

static void cgroups_mount(void)
{
	char *controllers;

	if (geteuid() != 0) {
		cgroups.why_not = "needs root to make a memory cgroup";
		return;
	}
	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("tmpfs", CGROUPS, "tmpfs", 0, "mode=0755") != 0) {
		cgroups.why_not = "nothing can be mounted";
		return;
	}
	if (mkdir(CGROUPS "/memory", 0755) == 0 && mount("cgroup", CGROUPS "/memory", "cgroup", 0, "memory") == 0) {
		cgroups.top = CGROUPS "/memory";
		cgroups.limit = "memory.limit_in_bytes";
		cgroups.events = "memory.oom_control";
		note_before(":memory:");
		return;
	}
	if (mount("cgroup2", CGROUPS, "cgroup2", 0, NULL) == 0) {
		controllers = file_read(CGROUPS "/cgroup.controllers", NULL);
		if (controllers != NULL && strstr(controllers, "memory") != NULL &&
		    write_to(CGROUPS, "cgroup.subtree_control", "+memory")) {
			cgroups.top = CGROUPS;
			cgroups.limit = "memory.max";
			cgroups.events = "memory.events";
			note_before("0::");
		}
		free(controllers);
	}
	if (cgroups.top == NULL)
		cgroups.why_not = "there is no memory controller that can be mounted here";
}

static void group_make(const char *name, const char *limit)
{
	snprintf(cgroups.group, sizeof(cgroups.group), "%s/shmb-test-%d-%s", cgroups.top, (int)suite_pid(), name);
	ck_assert_msg(mkdir(cgroups.group, 0755) == 0, "%s: %s", cgroups.group, strerror(errno));
	ck_assert(write_to(cgroups.group, cgroups.limit, limit));
}

/* What is started from now on is in the group. */
static void group_enter(void)
{
	ck_assert(write_to(cgroups.group, "cgroup.procs", "0"));
}

static void group_leave(void)
{
	ck_assert(write_to(cgroups.before, "cgroup.procs", "0"));
}

static unsigned group_kills(void)
{
	char path[300];
	unsigned kills = 0;
	char *text;
	char *at;

	snprintf(path, sizeof(path), "%s/%s", cgroups.group, cgroups.events);
	text = file_read(path, NULL);
	ck_assert_ptr_nonnull(text);
	at = strstr(text, "oom_kill ");
	ck_assert_msg(at != NULL && sscanf(at, "oom_kill %u", &kills) == 1, "%s", text);
	free(text);
	return kills;
}

/* Memory that was charged to it is charged to the one above it from here on. */
static void group_remove(void)
{
	WAIT_UNTIL(rmdir(cgroups.group) == 0);
}

static void groups_sweep(void)
{
	char prefix[64];
	char *names = cgroups.top != NULL ? dir_names(cgroups.top) : strdup("");
	char *rest = names;
	char *name;

	snprintf(prefix, sizeof(prefix), "shmb-test-%d-", (int)getpid());
	while ((name = strsep(&rest, "\n")) != NULL) {
		char path[1024];

		snprintf(path, sizeof(path), "%s/%s", cgroups.top, name);
		if (strncmp(name, prefix, strlen(prefix)) == 0)
			rmdir(path);
	}
	free(names);
}

static uint64_t bytes_charged(struct broker *b)
{
	struct shmb_broker_status status;

	broker_status(b, &status);
	return status.bytes;
}

static void serves_others(struct broker *b)
{
	struct shmb *client = broker_connect(b);

	ASSERT_OK(ring_writer_try(client, "others", 64, 8));
	ASSERT_OK(shmb_remove(client, "others"));
	shmb_disconnect(client);
}

/* Killed by the kernel with a slot on loan: what it held is repaired, readers are told, its memory is charged until the policy has it reaped. */
START_TEST(fault_41_client_over_its_cgroups_limit)
{
	struct program eater, reader;
	struct shmb *client;
	struct broker b;
	uint64_t before;

	if (cgroups.why_not != NULL)
		TEST_SKIP("%s", cgroups.why_not);
	broker_start(&b, &(struct broker_options){ .config = "[segment eater]\nlinger = 1s\n" });
	client = broker_connect(&b);
	before = bytes_charged(&b);
	group_make("client", "33554432");
	group_enter();
	worker_start(&eater, &b, "eater", false);
	worker_must(&eater, "ping");
	group_leave();
	worker_start(&reader, &b, "reader", false);
	worker_must(&eater, "frame-writer name=eater bytes=65536 history=2 pins=2 salt=1");
	worker_must(&eater, "frame-write n=3");
	worker_must(&reader, "frame-reader name=eater");
	worker_must(&eater, "frame-loan");
	ck_assert_uint_eq(look_half_written(&b, "eater"), 1);
	ck_assert_uint_gt(bytes_charged(&b), before);

	program_send(&eater, "eat");
	ck_assert_int_eq(program_wait(&eater), -SIGKILL);
	ck_assert_uint_ge(group_kills(), 1);
	wait_writer(client, "eater", SHMB_WRITER_IS_DEAD);
	WAIT_UNTIL(look_half_written(&b, "eater") == 0);
	ck_assert_uint_eq(worker_must(&reader, "frame-pin").v[0], 2);
	ck_assert_uint_eq(worker_must(&reader, "frame-check").v[1], 0);
	serves_others(&b);
	ck_assert_uint_gt(bytes_charged(&b), before);
	worker_quit(&reader);
	WAIT_UNTIL(bytes_charged(&b) == before);
	ck_assert_uint_eq(segments_count(client), 0);
	serves_others(&b);
	group_remove();
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* All at once, and little by little: who wants more than the daemon's cgroup can hold is refused, and told by what. */
START_TEST(fault_41_daemon_under_a_cgroups_limit)
{
	enum { EACH_BYTES = 1 << 20, EACH_SLOTS = 8 };
	struct shmb_ring_writer *writer;
	unsigned made = 0;
	struct shmb *client;
	struct broker b;
	char name[32];
	int r;

	if (cgroups.why_not != NULL)
		TEST_SKIP("%s", cgroups.why_not);
	group_make("daemon", "50331648");
	group_enter();
	broker_start(&b, NULL);
	group_leave();
	client = broker_connect(&b);
	ASSERT_ERROR(ring_writer_try(client, "huge", EACH_BYTES, 64), ENOSPC);
	ck_assert_msg(strstr(shmb_text(), cgroups.limit) != NULL, "'%s' does not say what it is that is full", shmb_text());
	writer = ring_writer(client, "first", EACH_BYTES, EACH_SLOTS);
	ring_write(writer, EACH_BYTES, 2 * EACH_SLOTS, 1);
	do {
		snprintf(name, sizeof(name), "more%u", made++);
		r = ring_writer_try(client, name, EACH_BYTES, EACH_SLOTS);
		ck_assert_msg(r == 0 || r == -ENOSPC, "%s: %d %s", name, r, shmb_text());
	} while (r == 0 && made < 10);
	ck_assert_msg(made >= 3 && made < 6, "%u of 8 MiB beside the first in 48 MiB", made - 1);
	ring_write(writer, EACH_BYTES, 2 * EACH_SLOTS, 1);
	ck_assert_uint_eq(group_kills(), 0);
	ASSERT_OK(shmb_remove(client, "more0"));
	WAIT_UNTIL(ring_writer_try(client, name, EACH_BYTES, EACH_SLOTS) == 0);
	serves_others(&b);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
	group_remove();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fault: memory cgroups");
	int status;

	cgroups_mount();
	suite_add(suite, fault_41_client_over_its_cgroups_limit, 60);
	suite_add(suite, fault_41_daemon_under_a_cgroups_limit, 60);
	status = suite_run(suite);
	groups_sweep();
	return status;
}
