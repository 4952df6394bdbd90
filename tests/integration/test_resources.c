/* SPDX-License-Identifier: MIT */
/*
 * No memory, no inodes, no descriptors, and a directory that another daemon has: one clear error each, nothing left behind, the daemon goes on. The
 * small tmpfs lies in a mount namespace of the test's own; skipped where that cannot be had.
 */
#include "../support/client.h"
#include "../support/raw.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
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

/* Descriptors run out in the daemon: the request fails, the daemon does not spin or die, and serves again. */
START_TEST(daemon_without_descriptors)
{
	enum { CLIENTS = 40 };
	struct shmb *clients[CLIENTS] = { NULL };
	struct rlimit limit = { .rlim_cur = 32, .rlim_max = 32 };
	unsigned connected = 0;
	struct broker b;
	int r;

	broker_start(&b, NULL);
	ck_assert_int_eq(prlimit(b.daemon.pid, RLIMIT_NOFILE, &limit, NULL), 0);
	for (unsigned i = 0; i < CLIENTS; i++) {
		if (shmb_connect(&clients[i], b.socket) != 0)
			break;
		connected++;
	}
	ck_assert_msg(connected > 3 && connected < CLIENTS, "%u clients connected", connected);
	r = ring_writer_try(clients[0], "x", 64, 8);
	ck_assert_msg(r == 0 || r == -EMFILE || r == -ENFILE, "without descriptors: %d, %s", r, shmb_text());
	for (unsigned i = 0; i < connected; i++)
		shmb_disconnect(clients[i]);
	WAIT_UNTIL(shmb_connect(&clients[0], b.socket) == 0);
	ASSERT_OK(ring_writer_try(clients[0], "y", 64, 8));
	shmb_disconnect(clients[0]);
	broker_finish(&b);
}
END_TEST

/*
 * A superseded queue is looked at while the daemon has no descriptor to look with: what nobody has consumed of it stays.
 */
START_TEST(no_descriptor_is_no_reason_to_drop_items)
{
	struct shmb_options options = { .capacity = 8 };
	struct shmb_type *small = pattern_type(64);
	struct shmb_type *large = pattern_type(128);
	struct shmb_queue_producer *producer, *never;
	struct shmb_queue_consumer *consumer;
	unsigned char payload[128] = { 0 };
	struct rlimit limit, none;
	struct shmb_sample sample;
	struct shmb *client, *other;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	other = broker_connect(&b);
	ASSERT_OK(shmb_queue_producer_open(&producer, client, "q", small, &options));
	for (unsigned i = 0; i < 3; i++)
		ASSERT_OK(shmb_queue_push(producer, payload));
	shmb_queue_producer_close(producer);
	ASSERT_OK(shmb_queue_producer_open(&producer, client, "q", large, &options));

	ck_assert_int_eq(prlimit(b.daemon.pid, RLIMIT_NOFILE, NULL, &limit), 0);
	none = (struct rlimit){ .rlim_cur = 3, .rlim_max = limit.rlim_max };
	ck_assert_int_eq(prlimit(b.daemon.pid, RLIMIT_NOFILE, &none, NULL), 0);
	ASSERT_ERROR(shmb_queue_producer_open(&never, other, "q", large, &options), EBUSY); /* the broker looks at the name */
	ck_assert_int_eq(prlimit(b.daemon.pid, RLIMIT_NOFILE, &limit, NULL), 0);

	ASSERT_OK(shmb_queue_consumer_open(&consumer, client, "q", small, SHMB_NO_WAIT));
	for (uint64_t i = 0; i < 3; i++) {
		ASSERT_OK(shmb_queue_pop(consumer, payload, &sample));
		ck_assert_uint_eq(sample.number, i);
	}
	shmb_queue_consumer_close(consumer);
	shmb_queue_producer_close(producer);
	shmb_type_free(small);
	shmb_type_free(large);
	shmb_disconnect(other);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

static int share_and_lock(struct raw *raw)
{
	static struct raw_answer answer;
	struct shmb_msg_open_writer open;
	struct shmb_shm_data *data;
	int r;

	raw_open_kind(&open, SHMB_KIND_BLOCK, "block", "uint64[8] words\n", 64);
	r = raw_ask(raw, SHMB_OP_OPEN_WRITER, &open, sizeof(open), "uint64[8] words\n", 16, &answer);
	if (r != 0)
		return r;
	data = mmap(NULL, SHMB_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, answer.fds[1], 0);
	if (data == MAP_FAILED)
		return -EIO;
	atomic_store(&data->lock, answer.open.cell + 1);
	munmap(data, SHMB_PAGE);
	raw_answer_deinit(&answer);
	return 0;
}

/* Who holds a block's lock dies while the daemon has no descriptor to look at it with: it is seen to when there is one. */
START_TEST(no_descriptor_is_no_reason_to_leave_a_lock)
{
	struct shmb_type *type = pattern_type(64);
	struct rlimit limit, none;
	struct raw_child child;
	struct shmb_block *block;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	raw_child_start(&child, b.socket, share_and_lock);
	ck_assert_int_eq(child.result, 0);
	ASSERT_OK(shmb_block_open(&block, client, "block", type));
	ck_assert_int_eq(prlimit(b.daemon.pid, RLIMIT_NOFILE, NULL, &limit), 0);
	none = (struct rlimit){ .rlim_cur = 3, .rlim_max = limit.rlim_max };
	ck_assert_int_eq(prlimit(b.daemon.pid, RLIMIT_NOFILE, &none, NULL), 0);
	raw_child_kill(&child);
	WAIT_UNTIL(clients_count(client) == 1); /* it has heard of the death */
	sleep_ms(50);
	ck_assert_int_eq(prlimit(b.daemon.pid, RLIMIT_NOFILE, &limit, NULL), 0);
	ck_assert_int_eq(shmb_block_lock(block, deadline_in(SUITE_PATIENCE_MS)), SHMB_BLOCK_OWNER_DIED);
	ASSERT_OK(shmb_block_recovered(block));
	shmb_block_unlock(block);
	shmb_block_close(block);
	shmb_type_free(type);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* The same where it is closed while its process lives on. */
START_TEST(no_descriptor_is_no_reason_to_keep_a_cell)
{
	static struct raw_answer answer;
	struct shmb_type *type = pattern_type(64);
	struct shmb_msg_close end = { .handle = 1 };
	struct rlimit limit, none;
	struct raw raw = { 0 };
	struct shmb_block *block;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	ck_assert_int_eq(raw_start(&raw, b.socket), 0);
	ck_assert_int_eq(share_and_lock(&raw), 0);
	ASSERT_OK(shmb_block_open(&block, client, "block", type));
	ck_assert_int_eq(prlimit(b.daemon.pid, RLIMIT_NOFILE, NULL, &limit), 0);
	none = (struct rlimit){ .rlim_cur = 3, .rlim_max = limit.rlim_max };
	ck_assert_int_eq(prlimit(b.daemon.pid, RLIMIT_NOFILE, &none, NULL), 0);
	ck_assert_int_eq(raw_ask(&raw, SHMB_OP_CLOSE, &end, sizeof(end), NULL, 0, &answer), 0);
	raw_answer_deinit(&answer);
	ck_assert_int_eq(prlimit(b.daemon.pid, RLIMIT_NOFILE, &limit, NULL), 0);
	ck_assert_int_eq(shmb_block_lock(block, deadline_in(SUITE_PATIENCE_MS)), SHMB_BLOCK_OWNER_DIED);
	ASSERT_OK(shmb_block_recovered(block));
	shmb_block_unlock(block);
	shmb_block_close(block);
	shmb_type_free(type);
	shmb_disconnect(client);
	raw_close(&raw);
	broker_finish(&b);
}
END_TEST

/* A connection closes while the daemon cannot look at its process: that is not taken for dying, which would keep its lease until it does. */
START_TEST(no_descriptor_is_no_reason_to_keep_a_lease)
{
	struct shmb_msg_open_writer request;
	struct shmb_ring_writer *writer;
	struct rlimit limit, none;
	struct raw_answer answer;
	struct shmb *client;
	struct raw raw;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	ck_assert_int_eq(raw_start(&raw, b.socket), 0);
	raw_open_writer(&request, "r", "uint64[8] words\n", 64);
	ck_assert_int_eq(raw_ask(&raw, SHMB_OP_OPEN_WRITER, &request, sizeof(request), "uint64[8] words\n", 16, &answer), 0);
	raw_answer_deinit(&answer);

	ck_assert_int_eq(prlimit(b.daemon.pid, RLIMIT_NOFILE, NULL, &limit), 0);
	none = (struct rlimit){ .rlim_cur = 3, .rlim_max = limit.rlim_max };
	ck_assert_int_eq(prlimit(b.daemon.pid, RLIMIT_NOFILE, &none, NULL), 0);
	raw_close(&raw);
	WAIT_UNTIL(clients_count(client) == 1);
	ck_assert_int_eq(prlimit(b.daemon.pid, RLIMIT_NOFILE, &limit, NULL), 0);

	writer = ring_writer(client, "r", 64, 8);
	ring_write(writer, 64, 1, 1);
	shmb_ring_writer_close(writer);
	ck_assert_int_eq(raw_start(&raw, b.socket), 0); /* as the same client, which has nothing open any more */
	raw_close(&raw);
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
	suite_add(suite, daemon_without_descriptors, 60);
	suite_add(suite, no_descriptor_is_no_reason_to_drop_items, 30);
	suite_add(suite, no_descriptor_is_no_reason_to_leave_a_lock, 60);
	suite_add(suite, no_descriptor_is_no_reason_to_keep_a_cell, 60);
	suite_add(suite, no_descriptor_is_no_reason_to_keep_a_lease, 30);
	return suite_run(suite);
}
