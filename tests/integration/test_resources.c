/* SPDX-License-Identifier: MIT */
/*
 * No memory, no inodes, and a directory that another daemon has: one clear error each, nothing left behind, the daemon goes on. (No descriptors: test_descriptors.c.) The
 * small tmpfs lies in a mount namespace of the test's own; skipped where that cannot be had.
 */
#include "../support/client.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { PAGE_BYTES = 4096 };

/* Mounts a small tmpfs; an explanation when that is impossible here. */
static const char *tmpfs_make(char path[64], const char *size)
{
	snprintf(path, 64, "/dev/shm/shmb-test-%d-XXXXXX", (int)suite_pid());
	if (geteuid() != 0)
		return "needs root to mount a small tmpfs";
	ck_assert_ptr_nonnull(mkdtemp(path));
	if (unshare(CLONE_NEWNS) != 0) {
		rmdir(path);
		return "no mount namespace can be had";
	}
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) /* in a chroot, "/" may be no mount */
		mount("none", "/dev/shm", NULL, MS_REC | MS_PRIVATE, NULL);
	if (mount("tmpfs", path, "tmpfs", 0, size) != 0) {
		rmdir(path);
		return "a tmpfs cannot be mounted";
	}
	ck_assert_int_eq(chmod(path, 0700), 0);
	return NULL;
}

static void tmpfs_free(const char *path)
{
	umount2(path, MNT_DETACH);
	rmdir(path);
}

static uint64_t blocks_free(const char *path)
{
	struct statfs status;

	ck_assert_int_eq(statfs(path, &status), 0);
	return status.f_bfree;
}

static uint64_t inodes_free(const char *path)
{
	struct statfs status;

	ck_assert_int_eq(statfs(path, &status), 0);
	return status.f_ffree;
}

/* The defect S5 of what was used before: a full tmpfs was a SIGBUS in the first store. */
START_TEST(defect_S5_full_tmpfs_is_an_error_at_creation)
{
	struct shmb_ring_writer *writer;
	struct shmb *client;
	struct broker b;
	char path[64];
	const char *no = tmpfs_make(path, "size=1m");
	uint64_t before;
	char *files;
	char *now;

	if (no != NULL)
		TEST_SKIP("%s", no);
	broker_start(&b, &(struct broker_options){ .shm = path });
	client = broker_connect(&b);
	writer = ring_writer(client, "small", 64, 8);
	ring_write(writer, 64, 3, 1);
	before = blocks_free(path);
	files = dir_names(path);
	for (unsigned i = 0; i < 3; i++) {
		ASSERT_ERROR(ring_writer_try(client, "large", 1 << 20, 8), ENOSPC);
		ck_assert_msg(strstr(shmb_text(), "; largest: small ") != NULL, "does not say who holds what: '%s'", shmb_text());
		ASSERT_ERROR(ring_writer_try(client, "fills", 32768, 32), ENOSPC);
	}
	now = dir_names(path);
	ck_assert_str_eq(files, now);
	free(files);
	free(now);
	ck_assert_uint_eq(blocks_free(path), before);
	ASSERT_ERROR(ring_reader_try(client, "large", SHMB_NO_WAIT), ENOENT);
	ck_assert_uint_eq(segments_count(client), 1);
	ring_write(writer, 64, 3, 1);
	ck_assert_uint_eq(shmb_ring_next_number(writer), 6);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
	tmpfs_free(path);
}
END_TEST

/* Fills the file system to the last page, a page less each time: every part of a segment runs out of memory once. */
START_TEST(memory_runs_out_at_each_part)
{
	struct shmb *client;
	struct broker b;
	char path[64];
	const char *no = tmpfs_make(path, "size=256k");
	unsigned refused = 0;
	unsigned made = 0;
	char filler[128];
	uint64_t before;
	uint64_t total;

	if (no != NULL)
		TEST_SKIP("%s", no);
	broker_start(&b, &(struct broker_options){ .shm = path });
	client = broker_connect(&b);
	total = blocks_free(path);
	snprintf(filler, sizeof(filler), "%s/,filler", path);
	for (uint64_t left = 0; left < 14; left++) {
		char *zeros = calloc(total - left, PAGE_BYTES);
		int r;

		file_write(filler, zeros, (total - left) * PAGE_BYTES);
		free(zeros);
		before = blocks_free(path);
		ck_assert_uint_eq(before, left);
		r = ring_writer_try(client, "tight", 64, 8);
		ck_assert_msg(r == 0 || r == -ENOSPC, "with %u pages left: %d, %s", (unsigned)left, r, shmb_text());
		if (r == 0) {
			made++;
			ASSERT_OK(shmb_remove(client, "tight"));
		} else {
			refused++;
		}
		ck_assert_uint_eq(blocks_free(path), before);
		unlink(filler);
	}
	ck_assert_msg(refused >= 4 && made >= 1, "refused %u times, made %u times", refused, made);
	shmb_disconnect(client);
	broker_finish(&b);
	tmpfs_free(path);
}
END_TEST

START_TEST(inodes_run_out_at_each_part)
{
	struct shmb *client;
	struct broker b;
	char path[64];
	const char *no = tmpfs_make(path, "size=4m,nr_inodes=40");
	unsigned refused = 0;
	unsigned made = 0;
	uint64_t total;

	if (no != NULL)
		TEST_SKIP("%s", no);
	broker_start(&b, &(struct broker_options){ .shm = path });
	client = broker_connect(&b);
	total = inodes_free(path);
	for (uint64_t left = 0; left < 10; left++) {
		char file[128];
		int r;

		for (uint64_t i = 0; i < total - left; i++) {
			snprintf(file, sizeof(file), "%s/,filler%u", path, (unsigned)i);
			file_write(file, "", 0);
		}
		r = ring_writer_try(client, "tight", 64, 8);
		ck_assert_msg(r == 0 || r == -ENOSPC, "with %u inodes left: %d, %s", (unsigned)left, r, shmb_text());
		if (r == 0) {
			made++;
			ASSERT_OK(shmb_remove(client, "tight"));
		} else {
			refused++;
		}
		ck_assert_uint_eq(inodes_free(path), left);
		for (uint64_t i = 0; i < total - left; i++) {
			snprintf(file, sizeof(file), "%s/,filler%u", path, (unsigned)i);
			unlink(file);
		}
	}
	ck_assert_msg(refused >= 4 && made >= 1, "refused %u times, made %u times", refused, made);
	shmb_disconnect(client);
	broker_finish(&b);
	tmpfs_free(path);
}
END_TEST

/* A daemon that has no memory for an event page says so to the client, and serves it later. */
START_TEST(full_tmpfs_refuses_connections_clearly)
{
	struct shmb *client = NULL;
	struct shmb *first;
	struct broker b;
	char path[64];
	const char *no = tmpfs_make(path, "size=64k");
	char filler[128];
	char *zeros;
	uint64_t left;
	int r;

	if (no != NULL)
		TEST_SKIP("%s", no);
	broker_start(&b, &(struct broker_options){ .shm = path });
	first = broker_connect(&b);
	left = blocks_free(path);
	snprintf(filler, sizeof(filler), "%s/,filler", path);
	zeros = calloc(left, PAGE_BYTES);
	file_write(filler, zeros, left * PAGE_BYTES);
	free(zeros);
	r = shmb_connect(&client, b.socket);
	ck_assert_msg(r == -ENOSPC, "connect: %d, %s", r, shmb_text());
	ck_assert_ptr_null(client);
	ck_assert_msg(strlen(shmb_text()) > 10, "no explanation: '%s'", shmb_text());
	ck_assert_uint_eq(segments_count(first), 0);
	unlink(filler);
	client = broker_connect(&b);
	ASSERT_OK(ring_writer_try(client, "fits", 64, 8));
	shmb_disconnect(client);
	shmb_disconnect(first);
	broker_finish(&b);
	tmpfs_free(path);
}
END_TEST

/* The second daemon on the same directories exits with 1 and says why; the first does not notice. */
START_TEST(second_daemon_is_refused)
{
	struct program_result result;
	struct shmb_ring_writer *writer;
	struct shmb *client;
	struct broker b;
	char other[300];

	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "first", 64, 8);

	program_run(&result, NULL, ARGV(path_daemon(), "--runtime-dir", b.runtime, "--shm-dir", b.shm));
	ck_assert_int_eq(result.status, 1);
	ck_assert_msg(strstr(result.err, "another") != NULL || strstr(result.err, "already") != NULL, "unclear: %s", result.err);
	program_result_deinit(&result);

	/* the same segments, another socket */
	snprintf(other, sizeof(other), "%s/other.sock", b.dir);
	program_run(&result, NULL, ARGV(path_daemon(), "--runtime-dir", b.dir, "--socket", other, "--shm-dir", b.shm));
	ck_assert_int_eq(result.status, 1);
	ck_assert_msg(strstr(result.err, b.shm) != NULL, "the directory is not named: %s", result.err);
	program_result_deinit(&result);
	ck_assert_int_ne(access(other, F_OK), 0);

	/* another directory, the same socket */
	snprintf(other, sizeof(other), "%s-2", b.shm);
	program_run(&result, NULL, ARGV(path_daemon(), "--runtime-dir", b.runtime, "--shm-dir", other));
	ck_assert_int_eq(result.status, 1);
	ck_assert_msg(strstr(result.err, "control.sock") != NULL || strstr(result.err, b.runtime) != NULL, "the socket is not named: %s",
		      result.err);
	program_result_deinit(&result);
	dir_remove(other);

	ck_assert_int_eq(access(b.socket, F_OK), 0);
	ring_write(writer, 64, 1, 1);
	ASSERT_OK(ring_writer_try(client, "second", 64, 8));
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("resources");

	suite_add(suite, defect_S5_full_tmpfs_is_an_error_at_creation, 30);
	suite_add(suite, memory_runs_out_at_each_part, 30);
	suite_add(suite, inodes_run_out_at_each_part, 30);
	suite_add(suite, full_tmpfs_refuses_connections_clearly, 30);
	suite_add(suite, second_daemon_is_refused, 30);
	return suite_run(suite);
}
