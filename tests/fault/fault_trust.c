/* SPDX-License-Identifier: MIT */
/*
 * The trust table, row by row: what a reader, a writer and any local process may not do to processes of other users, each attempted by a hostile
 * process of another uid. What it is refused it sees itself (CHILD_CHECK); what it must not bring about is looked at from outside.
 */
#include "../support/client.h"
#include "../support/other.h"
#include "../support/raw.h"
#include "hostile.h"
#include "look.h"
#include "shmb_frame.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char schema[] = "uint64[8] words\n";

static void start(struct broker *b, const char *config)
{
	broker_start(b, &(struct broker_options){ .runtime_mode = 0755, .config = config });
}

/* It was at it to the last, and ends here. */
static void hostile_end(pid_t pid)
{
	ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), 0);
	other_kill(pid);
}

/* Opens a segment by hand as a reader or as the writer of a ring; what came is the caller's. */
static int open_by_hand(struct raw *raw, struct broker *b, bool writer, const char *name, struct raw_answer *answer)
{
	struct shmb_msg_open_reader reading;
	struct shmb_msg_open_writer writing;
	int r = raw_start(raw, b->socket);

	if (r < 0)
		return r;
	raw_open_reader(&reading, name);
	raw_open_writer(&writing, name, schema, 64);
	return writer ? raw_ask(raw, SHMB_OP_OPEN_WRITER, &writing, sizeof(writing), schema, strlen(schema), answer)
		      : raw_ask(raw, SHMB_OP_OPEN_READER, &reading, sizeof(reading), NULL, 0, answer);
}

static bool can_write(int fd)
{
	char path[64];
	int again;
	void *at = mmap(NULL, SHMB_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR | O_CLOEXEC);
	return at != MAP_FAILED || again >= 0 || ftruncate(fd, 0) == 0 || pwrite(fd, "x", 1, 0) == 1;
}

/* ---- a reader ---- */

static int reader_changes(struct broker *b)
{
	static struct raw_answer answer;
	struct raw raw = { 0 };

	CHILD_CHECK(open_by_hand(&raw, b, false, "shared", &answer) == 0);
	CHILD_CHECK(!can_write(answer.fds[0]) && !can_write(answer.fds[1]));
	raw_answer_deinit(&answer);
	raw_end(&raw);
	return 0;
}

START_TEST(trust_reader_cannot_change_data)
{
	struct shmb_ring_writer *writer;
	struct shmb_ring_reader *reader;
	struct shmb *client;
	struct broker b;

	OTHER_SKIP();
	start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "shared", 64, 8);
	ring_write(writer, 64, 3, 1);
	other_run(OTHER_UID, reader_changes, &b);
	reader = ring_reader(client, "shared");
	ck_assert_uint_eq(ring_latest(reader, 2, -1), 1);
	shmb_ring_reader_close(reader);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Scribbles over what its user's readers share, until it is killed. */
static int reader_scribbles(struct broker *b)
{
	static struct raw_answer answer;
	struct raw raw = { 0 };
	uint64_t *area;

	CHILD_CHECK(open_by_hand(&raw, b, false, "shared", &answer) == 0);
	CHILD_CHECK(answer.fd_count == 3);
	area = mmap(NULL, SHMB_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, answer.fds[2], 0);
	CHILD_CHECK(area != MAP_FAILED);
	for (;;)
		for (unsigned i = 0; i < SHMB_PAGE / 8; i++)
			area[i] = random() % 2 == 0 ? UINT64_MAX : (uint64_t)random();
}

START_TEST(trust_reader_cannot_crash_or_block_writer_and_readers)
{
	struct shmb_ring_writer *writer;
	struct shmb_ring_reader *reader;
	struct shmb *client;
	struct broker b;
	uint64_t begin;
	pid_t hostile;

	OTHER_SKIP();
	start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "shared", 64, 8);
	reader = ring_reader(client, "shared");
	hostile = other_start(OTHER_UID, reader_scribbles, &b);
	WAIT_UNTIL(clients_count(client) == 2);
	sleep_ms(50);
	begin = now_ns();
	for (uint64_t i = 0; i < 1000; i++) {
		ring_write(writer, 64, 1, 1);
		ASSERT_OK(shmb_ring_wait(reader, deadline_in(SUITE_PATIENCE_MS)));
		ck_assert_uint_eq(ring_next(reader, i, 0), 1);
	}
	ck_assert_uint_lt(now_ns() - begin, (uint64_t)10 * SERVED_WITHIN_NS * suite_slow());
	serves_others(&b);
	hostile_end(hostile);
	serves_others(&b);
	shmb_ring_reader_close(reader);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

static int told[2]; /* a byte for each pin taken */

static int reader_pins(struct broker *b)
{
	struct shmb_frame_reader *reader;
	struct shmb_frame frame;
	struct shmb *client;

	CHILD_CHECK(shmb_connect(&client, b->socket) == 0);
	CHILD_CHECK(shmb_frame_reader_open(&reader, client, "frames", NULL, SHMB_NO_WAIT) == 0);
	CHILD_CHECK(shmb_frame_pin_newest(reader, &frame) == 0);
	CHILD_CHECK(write(told[1], "x", 1) == 1);
	for (;;)
		pause();
}

START_TEST(trust_reader_cannot_keep_a_dead_pin)
{
	struct program writer;
	struct broker b;
	pid_t hostile;
	char byte;

	OTHER_SKIP();
	start(&b, NULL);
	ck_assert_int_eq(pipe2(told, O_CLOEXEC), 0);
	worker_start(&writer, &b, "writer", false);
	worker_must(&writer, "frame-writer name=frames bytes=64 history=1 pins=1 salt=1");
	worker_must(&writer, "frame-write n=2");
	for (unsigned i = 0; i < 3; i++) {
		hostile = other_start(OTHER_UID, reader_pins, &b);
		ck_assert_int_eq(read(told[0], &byte, 1), 1);
		ck_assert_uint_eq(look_bits(&b, "frames"), 1); /* the pins themselves lie in memory without a name */
		hostile_end(hostile);
		WAIT_UNTIL(look_bits(&b, "frames") == 0 && look_cells(&b, "frames") == 0);
		worker_must(&writer, "frame-write n=5"); /* there are 3 slots: the second pin that is kept would stop it */
	}
	close(told[0]);
	close(told[1]);
	worker_quit(&writer);
	broker_finish(&b);
}
END_TEST

/* ---- a writer ---- */

/* Writes rubbish into its own data part, which is allowed to it, until it is killed. */
static int writer_scribbles(struct broker *b)
{
	static struct raw_answer answer;
	struct raw raw = { 0 };
	struct stat status;
	uint64_t *data;

	CHILD_CHECK(open_by_hand(&raw, b, true, "rubbish", &answer) == 0);
	CHILD_CHECK(!can_write(answer.fds[0])); /* who it is stands in the card */
	CHILD_CHECK(fstat(answer.fds[1], &status) == 0);
	data = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, answer.fds[1], 0);
	CHILD_CHECK(data != MAP_FAILED);
	for (;;)
		for (size_t i = 0; i < (size_t)status.st_size / 8; i++)
			data[i] = random() % 3 == 0 ? UINT64_MAX : (uint64_t)random() << (random() % 34);
}

START_TEST(trust_writer_cannot_lead_readers_astray)
{
	static const char *const commands[] = { "latest", "next", "wait deadline=2", "bounds", "read n=1", "read n=4611686018427387903" };
	struct program reader;
	struct shmb *client;
	struct listed listed;
	struct broker b;
	pid_t hostile;

	OTHER_SKIP();
	start(&b, NULL);
	client = broker_connect(&b);
	hostile = other_start(OTHER_UID, writer_scribbles, &b);
	WAIT_UNTIL(segment_listed(client, "rubbish", NULL));
	worker_start(&reader, &b, "reader", false);
	worker_must(&reader, "reader name=rubbish bytes=64");
	for (unsigned i = 0; i < 120; i++) {
		uint64_t begin = now_ns();

		worker_ask(&reader, "%s", commands[i % 6]);
		ck_assert(!program_has_ended(&reader));
		ck_assert_uint_lt(now_ns() - begin, (uint64_t)5 * SERVED_WITHIN_NS * suite_slow());
	}
	/* It is who it is. */
	ck_assert(segment_listed(client, "rubbish", &listed));
	ck_assert_int_eq(listed.writer_pid, hostile);
	ck_assert_uint_eq(listed.owner_uid, OTHER_UID);
	serves_others(&b);
	hostile_end(hostile);
	worker_quit(&reader);
	wait_writer(client, "rubbish", SHMB_WRITER_IS_DEAD);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

static int writer_takes(struct broker *b)
{
	static struct raw_answer answer;
	struct shmb_msg_resume resume = { .handle = 5, .role = SHMB_ROLE_WRITER, .generation = 1, .cell = UINT32_MAX, .name = "shared" };
	struct raw raw = { 0 };
	struct shmb_shm_card *card;

	/* The card tells a reader everything that it would need to claim the lease. */
	CHILD_CHECK(open_by_hand(&raw, b, false, "shared", &answer) == 0);
	card = mmap(NULL, SHMB_PAGE, PROT_READ, MAP_SHARED, answer.fds[0], 0);
	CHILD_CHECK(card != MAP_FAILED);
	raw_answer_deinit(&answer);
	resume.segment_id = answer.open.segment_id;
	raw_end(&raw);
	CHILD_CHECK(open_by_hand(&raw, b, true, "shared", &answer) < 0 && answer.fd_count == 0);
	raw_close(&raw);
	CHILD_CHECK(raw_hello(&raw, b->socket) == 0);
	for (resume.epoch = 0; resume.epoch < 4; resume.epoch++) {
		CHILD_CHECK(raw_ask(&raw, SHMB_OP_RESUME, &resume, sizeof(resume), NULL, 0, &answer) < 0 && answer.fd_count == 0);
	}
	raw_close(&raw);
	return 0;
}

START_TEST(trust_writer_cannot_take_anothers_lease)
{
	struct shmb_ring_writer *writer;
	struct shmb *client;
	struct listed listed;
	struct broker b;

	OTHER_SKIP();
	start(&b, "[segment shared]\nwriters = *\nreaders = *\n");
	client = broker_connect(&b);
	writer = ring_writer(client, "shared", 64, 8);
	ring_write(writer, 64, 1, 1);
	other_run(OTHER_UID, writer_takes, &b);
	ring_write(writer, 64, 1, 1);
	ck_assert(segment_listed(client, "shared", &listed));
	ck_assert(listed.writer == SHMB_WRITER_IS_ALIVE && listed.epoch == 1 && listed.writer_pid == getpid());
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

START_TEST(trust_writer_cannot_keep_a_lease_after_death)
{
	struct shmb_shm_card card;
	struct shmb *client;
	struct broker b;
	pid_t hostile;

	OTHER_SKIP();
	start(&b, NULL);
	client = broker_connect(&b);
	hostile = other_start(OTHER_UID, writer_scribbles, &b);
	WAIT_UNTIL(segment_listed(client, "rubbish", NULL));
	sleep_ms(20);
	hostile_end(hostile);
	wait_writer(client, "rubbish", SHMB_WRITER_IS_DEAD);
	look_card(&b, "rubbish", &card);
	ck_assert_int_eq(atomic_load(&card.lease_pid), 0);
	hostile = other_start(OTHER_UID, writer_scribbles, &b); /* the next one gets it */
	wait_writer(client, "rubbish", SHMB_WRITER_IS_ALIVE);
	hostile_end(hostile);
	wait_writer(client, "rubbish", SHMB_WRITER_IS_DEAD);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- any local process ---- */

/* As many connections as it gets, floods on each, no answer read, until it is killed. */
static int any_floods(struct broker *b)
{
	struct shmb_msg_status status = { .head = { .opcode = SHMB_OP_STATUS } };
	static struct raw raws[500];
	unsigned count = 0;

	while (count < 500 && raw_start(&raws[count], b->socket) == 0)
		count++;
	CHILD_CHECK(count > 0);
	for (unsigned i = 0;; i++) {
		if (send(raws[i % count].fd, &status, sizeof(status), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN) {
			raw_close(&raws[i % count]);
			raw_start(&raws[i % count], b->socket);
		}
	}
}

START_TEST(trust_any_cannot_exhaust_or_stall_the_daemon)
{
	struct broker b;
	pid_t hostile;

	OTHER_SKIP();
	start(&b, NULL);
	serves_others(&b);
	hostile = other_start(OTHER_UID, any_floods, &b);
	for (unsigned i = 0; i < 10; i++) {
		sleep_ms(20);
		serves_others(&b);
	}
	hostile_end(hostile);
	serves_others(&b);
	broker_finish(&b);
}
END_TEST

static int any_meddles(struct broker *b)
{
	static const char *const parts[] = { "", ",data", ",record", ",area0" };
	struct shmb *client;
	char path[512];
	char other[512];
	int r;

	for (unsigned i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s/shared,1%s", b->shm, parts[i]);
		snprintf(other, sizeof(other), "%s/taken,1%s", b->shm, parts[i]);
		CHILD_CHECK(unlink(path) < 0 && errno == EACCES);
		CHILD_CHECK(rename(path, other) < 0 && errno == EACCES);
		CHILD_CHECK(open(other, O_CREAT | O_RDWR | O_CLOEXEC, 0666) < 0 && errno == EACCES);
		CHILD_CHECK(open(path, O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES);
		CHILD_CHECK(symlink("/etc/passwd", other) < 0 && mkdir(other, 0777) < 0 && mkfifo(other, 0666) < 0);
	}
	CHILD_CHECK(unlink(b->socket) < 0 && rename(b->socket, "/tmp/taken") < 0);
	snprintf(other, sizeof(other), "%s/other.sock", b->runtime);
	CHILD_CHECK(symlink(b->socket, other) < 0);
	CHILD_CHECK(shmb_connect(&client, b->socket) == 0);
	r = shmb_remove(client, "shared");
	CHILD_CHECK(r == -EACCES || r == -EPERM);
	shmb_disconnect(client);
	return 0;
}

START_TEST(trust_any_cannot_unlink_squat_or_swap_names)
{
	struct shmb_ring_writer *writer;
	struct shmb *client;
	struct broker b;
	char *before;
	char *after;

	OTHER_SKIP();
	start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "shared", 64, 8);
	ring_write(writer, 64, 1, 1);
	before = dir_names(b.shm);
	other_run(OTHER_UID, any_meddles, &b);
	after = dir_names(b.shm);
	ck_assert_str_eq(before, after);
	free(before);
	free(after);
	ring_write(writer, 64, 1, 1);
	ASSERT_OK(ring_writer_try(client, "taken", 64, 8));
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

static int any_looks(struct broker *b)
{
	struct shmb_ring_reader *reader;
	struct shmb *client;
	int there;

	CHILD_CHECK(shmb_connect(&client, b->socket) == 0);
	CHILD_CHECK(!segment_listed(client, "secret/a", NULL) && segments_count(client) == 0);
	there = shmb_ring_reader_open(&reader, client, "secret/a", NULL, SHMB_NO_WAIT);
	CHILD_CHECK(there < 0 && there == shmb_ring_reader_open(&reader, client, "secret/none", NULL, SHMB_NO_WAIT));
	there = shmb_remove(client, "secret/a");
	CHILD_CHECK(there < 0 && there == shmb_remove(client, "secret/none"));
	shmb_disconnect(client);
	return 0;
}

START_TEST(trust_any_cannot_see_what_policy_hides)
{
	struct shmb *client;
	struct broker b;

	OTHER_SKIP();
	start(&b, "[segment secret/*]\nreaders = none\n");
	client = broker_connect(&b);
	ASSERT_OK(ring_writer_try(client, "secret/a", 64, 8));
	other_run(OTHER_UID, any_looks, &b);
	ck_assert(segment_listed(client, "secret/a", NULL));
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fault: trust");

	suite_add(suite, trust_reader_cannot_change_data, 30);
	suite_add(suite, trust_reader_cannot_crash_or_block_writer_and_readers, 60);
	suite_add(suite, trust_reader_cannot_keep_a_dead_pin, 60);
	suite_add(suite, trust_writer_cannot_lead_readers_astray, 60);
	suite_add(suite, trust_writer_cannot_take_anothers_lease, 30);
	suite_add(suite, trust_writer_cannot_keep_a_lease_after_death, 60);
	suite_add(suite, trust_any_cannot_exhaust_or_stall_the_daemon, 60);
	suite_add(suite, trust_any_cannot_unlink_squat_or_swap_names, 30);
	suite_add(suite, trust_any_cannot_see_what_policy_hides, 30);
	return suite_run(suite);
}
