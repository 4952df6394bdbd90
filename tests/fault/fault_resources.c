/* SPDX-License-Identifier: MIT */
/*
 * What runs out (lines 38 to 40 and 42 of the catalogue), names that are squatted (49), odd umasks (52) and storms of signals (54): an error with a
 * reason, nothing left behind, and the daemon serves on. The small tmpfs lies in a mount namespace of the test's own.
 */
#include "../support/client.h"
#include "../support/other.h"
#include "../support/raw.h"
#include "look.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

static void serves_others(struct broker *b)
{
	struct shmb *client;

	ck_assert_msg(!program_has_ended(&b->daemon), "the daemon has ended");
	client = broker_connect(b);
	ASSERT_OK(ring_writer_try(client, "others", 64, 8));
	ASSERT_OK(shmb_remove(client, "others"));
	shmb_disconnect(client);
}

/* Mounts a small tmpfs; an explanation when that is impossible here. */
static const char *tmpfs_make(char path[64], const char *options)
{
	snprintf(path, 64, "/dev/shm/shmb-test-%d-XXXXXX", (int)suite_pid());
	if (geteuid() != 0)
		return "needs root to mount a small tmpfs";
	ck_assert_ptr_nonnull(mkdtemp(path));
	if (unshare(CLONE_NEWNS) == 0) {
		if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) /* in a chroot, "/" may be no mount */
			mount("none", "/dev/shm", NULL, MS_REC | MS_PRIVATE, NULL);
		if (mount("tmpfs", path, "tmpfs", 0, options) == 0) {
			ck_assert_int_eq(chmod(path, 0700), 0);
			return NULL;
		}
	}
	rmdir(path);
	return "a tmpfs cannot be mounted";
}

/* A writer goes on while nobody can make anything new, and what failed leaves nothing. */
static void full(const char *options, size_t bytes, unsigned fillers)
{
	struct shmb_ring_writer *writer;
	struct shmb *client;
	struct broker b;
	char file[128];
	char path[64];
	const char *no = tmpfs_make(path, options);
	char *before;
	char *after;

	if (no != NULL) {
		suite_skip(__func__, "%s", no);
		return;
	}
	broker_start(&b, &(struct broker_options){ .shm = path });
	client = broker_connect(&b);
	writer = ring_writer(client, "first", 64, 8);
	ring_write(writer, 64, 1, 1);
	for (unsigned i = 0; i < fillers; i++) {
		snprintf(file, sizeof(file), "%s/,filler%u", path, i);
		file_write(file, "", 0);
	}
	before = dir_names(path);
	for (unsigned i = 0; i < 5; i++) {
		ASSERT_ERROR(ring_writer_try(client, "second", bytes, 8), ENOSPC);
		ck_assert_msg(strlen(shmb_text()) > 10, "no explanation: '%s'", shmb_text());
		ring_write(writer, 64, 1, 1);
	}
	after = dir_names(path);
	ck_assert_str_eq(before, after);
	free(before);
	free(after);
	for (unsigned i = 0; i < fillers; i++) {
		snprintf(file, sizeof(file), "%s/,filler%u", path, i);
		unlink(file);
	}
	serves_others(&b);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
	umount2(path, MNT_DETACH);
	rmdir(path);
}

START_TEST(fault_38_tmpfs_full)
{
	full("size=1m", 1 << 20, 0);
}
END_TEST

START_TEST(fault_39_inodes_out)
{
	full("size=4m,nr_inodes=40", 64, 27);
}
END_TEST

/* The daemon's address space may grow by a page more each time: another mmap() or malloc() fails. */
START_TEST(fault_40_each_allocation_fails)
{
	struct rlimit none;
	struct rlimit limit;
	struct shmb *client;
	unsigned refused = 0;
	unsigned made = 0;
	struct broker b;
	unsigned long pages;
	char *text;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	segments_count(client);
	ck_assert_int_eq(prlimit(b.daemon.pid, RLIMIT_AS, NULL, &limit), 0);
	for (unsigned i = 0; i < 40; i++) {
		int r;

		text = proc_read(b.daemon.pid, "statm");
		ck_assert_int_eq(sscanf(text, "%lu", &pages), 1);
		free(text);
		none = (struct rlimit){ .rlim_cur = (pages + i) * 4096, .rlim_max = limit.rlim_max };
		ck_assert_int_eq(prlimit(b.daemon.pid, RLIMIT_AS, &none, NULL), 0);
		r = ring_writer_try(client, "tight", 32768, 4);
		ck_assert_int_eq(prlimit(b.daemon.pid, RLIMIT_AS, &limit, NULL), 0);
		ck_assert_msg(r == 0 || r == -ENOMEM, "with %u pages more: %d, %s", i, r, shmb_text());
		if (r == 0) {
			made++;
			ASSERT_OK(shmb_remove(client, "tight"));
		} else {
			refused++;
			ASSERT_ERROR(ring_reader_try(client, "tight", SHMB_NO_WAIT), ENOENT);
		}
		serves_others(&b);
	}
	ck_assert_msg(refused >= 1 && made >= 1, "refused %u times, made %u times", refused, made);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* A user who may start nothing more (root always may): its daemon does not need to. */
enum { UID_ALONE = 61042 }; /* of nobody else: its processes are counted */

START_TEST(fault_42_no_pids)
{
	struct rlimit limit;
	struct rlimit one;
	struct program writer;
	struct program reader;
	struct shmb *client;
	struct broker b;

	OTHER_SKIP();
	if (SUITE_SANITIZED) {
		printf("skipped in part: a daemon that may start nothing cannot look for leaks, which needs a thread at its end\n");
		suite_sanitizer_option("detect_leaks=0");
	}
	ck_assert_int_eq(getrlimit(RLIMIT_NPROC, &limit), 0);
	one = (struct rlimit){ .rlim_cur = 1, .rlim_max = limit.rlim_max };
	ck_assert_int_eq(setrlimit(RLIMIT_NPROC, &one), 0);
	broker_start(&b, &(struct broker_options){ .runtime_mode = 0755, .uid = UID_ALONE });
	ck_assert_int_eq(setrlimit(RLIMIT_NPROC, &limit), 0);
	client = broker_connect(&b);
	/* Large memory is had and freed on a thread where there can be one. */
	ASSERT_OK(ring_writer_try(client, "large", 1 << 20, 4));
	broker_wait_log(&b, "no thread can be started");
	ASSERT_OK(shmb_remove(client, "large"));
	worker_start(&writer, &b, "writer", false);
	worker_start(&reader, &b, "reader", false);
	worker_must(&writer, "writer name=alone bytes=64 salt=1");
	worker_must(&reader, "reader name=alone bytes=64");
	for (uint64_t i = 0; i < 10; i++) {
		worker_must(&writer, "write n=1");
		ck_assert_uint_eq(worker_must(&reader, "latest").v[0], i);
		serves_others(&b);
	}
	program_kill(&writer);
	wait_writer(client, "alone", SHMB_WRITER_IS_DEAD);
	worker_quit(&reader);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Somebody's file lies where a segment would: it is not taken for ours, not changed, and in nobody's way once it is gone. */
START_TEST(fault_49_name_squatted_first)
{
	static const char *const parts[] = { "", ",data", ",record" };
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	segments_count(client);
	for (unsigned i = 0; i < 3; i++) {
		char *now;
		int r;

		file_write(look_path(&b, "mine", parts[i]), "precious", 8);
		r = ring_writer_try(client, "mine", 64, 8);
		ck_assert_msg(r == -EEXIST || r == -EBADMSG, "part %u: %d %s", i, r, shmb_text());
		ck_assert_msg(strstr(shmb_text(), "mine") != NULL, "'%s' does not name it", shmb_text());
		ASSERT_ERROR(ring_reader_try(client, "mine", SHMB_NO_WAIT), ENOENT);
		now = file_read(look_path(&b, "mine", parts[i]), NULL);
		ck_assert_str_eq(now, "precious");
		free(now);
		ck_assert_int_eq(unlink(look_path(&b, "mine", parts[i])), 0);
		ASSERT_OK(ring_writer_try(client, "mine", 64, 8));
		ASSERT_OK(shmb_remove(client, "mine"));
	}
	serves_others(&b);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

START_TEST(fault_52_odd_umask)
{
	static const int umasks[] = { 01000, 0777, 0022 }; /* 01000: 0 */

	for (unsigned i = 0; i < 3; i++) {
		struct shmb_ring_writer *writer;
		struct shmb *client;
		struct stat status;
		struct broker b;
		char *names;
		char *rest;
		char *name;

		if (geteuid() != 0 && umasks[i] == 0777)
			continue; /* its own log and socket would be out of its reach */
		broker_start(&b, &(struct broker_options){ .umask = umasks[i] });
		client = broker_connect(&b);
		writer = ring_writer(client, "modes", 64, 8);
		ring_write(writer, 64, 1, 1);
		ck_assert(stat(b.shm, &status) == 0 && (status.st_mode & 07777) == 0700);
		names = dir_names(b.shm);
		rest = names;
		while ((name = strsep(&rest, "\n")) != NULL && *name != '\0') {
			char path[1024];

			snprintf(path, sizeof(path), "%s/%s", b.shm, name);
			ck_assert_int_eq(lstat(path, &status), 0);
			ck_assert_msg((status.st_mode & 07777) == 0600, "%s has mode %o", name, (unsigned)status.st_mode);
		}
		free(names);
		shmb_ring_writer_close(writer);
		shmb_disconnect(client);
		broker_finish(&b);
	}
}
END_TEST

static void on_alarm(int signal)
{
	(void)signal;
}

/* Hang-ups upon the daemon and alarms upon a client, as fast as they come: calls are neither cut short nor made longer. */
START_TEST(fault_54_signal_storm)
{
	struct itimerval often = { .it_interval = { .tv_usec = 200 }, .it_value = { .tv_usec = 200 } };
	struct itimerval never = { 0 };
	struct sigaction action = { .sa_handler = on_alarm };
	struct shmb_ring_writer *writer;
	struct shmb_ring_reader *reader;
	struct shmb *client;
	struct broker b;
	uint64_t begin, took;
	unsigned late = 0;
	pid_t storm;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "storm", 64, 8);
	reader = ring_reader(client, "storm");
	storm = fork();
	if (storm == 0) {
		static const int signals[] = { SIGHUP, SIGPIPE, SIGCONT, SIGWINCH, SIGCHLD, SIGURG };

		for (unsigned i = 0; kill(b.daemon.pid, signals[i % 6]) == 0; i++)
			if (i % 100 == 0)
				usleep(1000);
		_exit(1);
	}
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	for (uint64_t i = 0; i < 10; i++) {
		begin = now_ns();
		ASSERT_ERROR(shmb_ring_wait(reader, begin + 30000000), ETIMEDOUT);
		took = now_ns() - begin;
		ck_assert_uint_ge(took, 29000000);
		late += took >= UINT64_C(1500000000) * suite_slow();
		ring_write(writer, 64, 1, 1);
		ck_assert_uint_eq(ring_next(reader, i, 0), 1);
		serves_others(&b);
	}
	setitimer(ITIMER_REAL, &never, NULL);
	signal(SIGALRM, SIG_DFL);
	ck_assert_msg(late <= 1, "%u of 10 waits of 30 ms took 1.5 s", late);
	other_kill(storm);
	serves_others(&b);
	shmb_ring_reader_close(reader);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fault: what runs out");

	suite_add(suite, fault_38_tmpfs_full, 30);
	suite_add(suite, fault_39_inodes_out, 30);
	suite_add(suite, fault_40_each_allocation_fails, 60);
	suite_add(suite, fault_42_no_pids, 30);
	suite_add(suite, fault_49_name_squatted_first, 30);
	suite_add(suite, fault_52_odd_umask, 30);
	suite_add(suite, fault_54_signal_storm, 60);
	return suite_run(suite);
}
