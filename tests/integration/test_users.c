/* SPDX-License-Identifier: MIT */
/*
 * Other users: what they may read they cannot write, what they may not reach they do not reach. The children of these tests only fork and change
 * their uid, so that no other user needs to be able to read the build directory. Skipped without root.
 */
#include "../support/client.h"
#include "../support/other.h"
#include "../support/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char schema[] = "uint64[8] words\n";

static int try_to_write(int fd)
{
	char path[64];
	void *memory;

	CHILD_CHECK(mmap(NULL, SHMB_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EACCES);
	memory = mmap(NULL, SHMB_PAGE, PROT_READ, MAP_SHARED, fd, 0);
	CHILD_CHECK(memory != MAP_FAILED);
	CHILD_CHECK(mprotect(memory, SHMB_PAGE, PROT_READ | PROT_WRITE) == -1 && errno == EACCES);
	munmap(memory, SHMB_PAGE);
	CHILD_CHECK((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CHILD_CHECK(open(path, O_RDWR | O_CLOEXEC) == -1 && errno == EACCES);
	CHILD_CHECK(open(path, O_WRONLY | O_CLOEXEC) == -1 && errno == EACCES);
	CHILD_CHECK(pwrite(fd, "x", 1, 0) == -1);
	CHILD_CHECK(ftruncate(fd, 0) == -1);
	CHILD_CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SHMB_PAGE) == -1);
	CHILD_CHECK(fchmod(fd, 0666) == -1 && errno == EPERM);
	return 0;
}

static int child_cannot_write(struct broker *b)
{
	static struct raw_answer answer;
	struct shmb_msg_open_reader open;
	struct raw raw = { 0 };

	CHILD_CHECK(raw_start(&raw, b->socket) == 0);
	raw_open_reader(&open, "guarded");
	CHILD_CHECK(raw_ask(&raw, SHMB_OP_OPEN_READER, &open, sizeof(open), NULL, 0, &answer) == 0);
	CHILD_CHECK(answer.fd_count == answer.open.fd_count && answer.fd_count >= 2);
	for (unsigned i = 0; i < 2; i++)
		if (try_to_write(answer.fds[i]) != 0)
			return 1;
	/* Its area it may write, but nobody makes it shorter. */
	CHILD_CHECK(answer.open.area == 0 && answer.fd_count == 3);
	CHILD_CHECK((fcntl(answer.fds[2], F_GETFL) & O_ACCMODE) == O_RDWR);
	CHILD_CHECK(ftruncate(answer.fds[2], 0) == -1 && errno == EPERM);
	CHILD_CHECK(ftruncate(answer.fds[2], 2 * SHMB_PAGE) == -1 && errno == EPERM);
	CHILD_CHECK(fcntl(answer.fds[2], F_ADD_SEALS, F_SEAL_WRITE) == -1 && errno == EPERM);
	CHILD_CHECK(fchmod(answer.fds[2], 0666) == -1 && errno == EPERM);
	raw_answer_deinit(&answer);
	raw_close(&raw);
	return 0;
}

START_TEST(other_uid_cannot_map_data_or_card_writable)
{
	struct shmb_ring_writer *writer;
	struct shmb *client;
	struct broker b;

	OTHER_SKIP();
	broker_start(&b, &(struct broker_options){ .runtime_mode = 0755 });
	client = broker_connect(&b);
	writer = ring_writer(client, "guarded", 64, 8);
	ring_write(writer, 64, 2, 1);
	other_run(OTHER_UID, child_cannot_write, &b);
	ring_write(writer, 64, 2, 1);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

static int child_event_page(struct broker *b)
{
	struct shmb_msg_hello hello = { .magic = SHMB_MESSAGE_MAGIC, .version = SHMB_PROTOCOL_VERSION, .oldest = SHMB_PROTOCOL_OLDEST };
	static struct raw_answer answer;
	struct raw raw = { 0 };

	CHILD_CHECK(raw_connect(&raw, b->socket) == 0);
	memcpy(hello.cookie, raw.cookie, sizeof(hello.cookie));
	CHILD_CHECK(raw_ask(&raw, SHMB_OP_HELLO, &hello, sizeof(hello), NULL, 0, &answer) == 0);
	CHILD_CHECK(answer.fd_count == 1);
	if (try_to_write(answer.fds[0]) != 0)
		return 1;
	raw_answer_deinit(&answer);
	raw_close(&raw);
	return 0;
}

START_TEST(other_uid_cannot_map_its_event_page_writable)
{
	struct broker b;

	OTHER_SKIP();
	broker_start(&b, &(struct broker_options){ .runtime_mode = 0755 });
	other_run(OTHER_UID, child_event_page, &b);
	broker_finish(&b);
}
END_TEST

static int child_reads(struct broker *b)
{
	struct shmb_ring_reader *reader = NULL;
	struct shmb_sample sample;
	struct shmb *client = NULL;
	char payload[64];
	unsigned salt;

	CHILD_CHECK(shmb_connect(&client, b->socket) == 0);
	CHILD_CHECK(shmb_ring_reader_open(&reader, client, "shared", NULL, SHMB_NO_WAIT) == 0);
	CHILD_CHECK(shmb_ring_latest(reader, payload, &sample) == 0);
	CHILD_CHECK(sample.number == 1 && pattern_check(payload, 64, 1, &salt) && salt == 7);
	CHILD_CHECK(shmb_ring_wait(reader, shmb_now_ns() + 30000000) == -ETIMEDOUT);
	shmb_ring_reader_close(reader);
	shmb_disconnect(client);
	return 0;
}

static int child_waits(struct broker *b)
{
	struct shmb_ring_reader *reader = NULL;
	struct shmb_sample sample;
	struct shmb *client = NULL;
	char payload[64];
	unsigned salt;

	CHILD_CHECK(shmb_connect(&client, b->socket) == 0);
	CHILD_CHECK(shmb_ring_reader_open(&reader, client, "moving", NULL, SHMB_NO_WAIT) == 0);
	for (unsigned i = 0; i < 20; i++) {
		CHILD_CHECK(shmb_ring_wait(reader, deadline_in(SUITE_PATIENCE_MS)) == 0);
		CHILD_CHECK(shmb_ring_read_next(reader, payload, &sample) == 0);
		CHILD_CHECK(pattern_check(payload, 64, sample.number, &salt) && (i == 0 || sample.missed == 0));
	}
	shmb_ring_reader_close(reader);
	shmb_disconnect(client);
	return 0;
}

START_TEST(other_uid_waits)
{
	struct program writer;
	struct broker b;

	OTHER_SKIP();
	broker_start(&b, &(struct broker_options){ .runtime_mode = 0755 });
	worker_start(&writer, &b, "writer", false);
	worker_must(&writer, "writer name=moving bytes=64 capacity=1024");
	worker_must(&writer, "run period=3000");
	other_run(OTHER_UID, child_waits, &b);
	worker_must(&writer, "stop");
	worker_quit(&writer);
	broker_finish(&b);
}
END_TEST

START_TEST(other_uid_reads)
{
	struct shmb_ring_writer *writer;
	struct shmb *client;
	struct broker b;

	OTHER_SKIP();
	broker_start(&b, &(struct broker_options){ .runtime_mode = 0755 });
	client = broker_connect(&b);
	writer = ring_writer(client, "shared", 64, 8);
	ring_write(writer, 64, 2, 7);
	other_run(OTHER_UID, child_reads, &b);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

static int child_is_no_writer(struct broker *b)
{
	struct shmb_ring_writer *writer = NULL;
	struct shmb_options options = { .capacity = 8 };
	struct shmb_type *type = NULL;
	struct shmb *client = NULL;

	CHILD_CHECK(shmb_connect(&client, b->socket) == 0);
	CHILD_CHECK(shmb_type_parse(&type, "pattern", schema) == 0);
	CHILD_CHECK(shmb_ring_writer_open(&writer, client, "roots", type, &options) == -EPERM);
	CHILD_CHECK(strlen(shmb_text()) > 10);
	CHILD_CHECK(shmb_remove(client, "roots") == -EPERM);
	CHILD_CHECK(shmb_ring_writer_open(&writer, client, "own", type, &options) == 0);
	CHILD_CHECK(shmb_ring_insert(writer, "0123456789012345678901234567890123456789012345678901234567890123") == 0);
	shmb_ring_writer_close(writer);
	shmb_type_free(type);
	shmb_disconnect(client);
	return 0;
}

START_TEST(other_uid_is_refused_as_writer)
{
	struct shmb_ring_writer *writer;
	struct shmb *client;
	struct listed listed;
	struct broker b;

	OTHER_SKIP();
	broker_start(&b, &(struct broker_options){ .runtime_mode = 0755 });
	client = broker_connect(&b);
	writer = ring_writer(client, "roots", 64, 8);
	ring_write(writer, 64, 2, 1);
	shmb_ring_writer_close(writer);
	other_run(OTHER_UID, child_is_no_writer, &b);
	writer = ring_writer(client, "roots", 64, 8);
	ck_assert_uint_eq(shmb_ring_next_number(writer), 2);
	shmb_ring_writer_close(writer);
	ck_assert(segment_listed(client, "own", &listed));
	ck_assert_uint_eq(listed.owner_uid, OTHER_UID);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

static int child_cannot_connect(struct broker *b)
{
	struct shmb *client = NULL;

	CHILD_CHECK(shmb_connect(&client, b->socket) == -EACCES);
	CHILD_CHECK(client == NULL);
	CHILD_CHECK(strlen(shmb_text()) > 10);
	CHILD_CHECK(open(b->shm, O_RDONLY | O_DIRECTORY | O_CLOEXEC) == -1 && errno == EACCES);
	return 0;
}

START_TEST(private_daemon_is_out_of_reach)
{
	struct broker b;

	OTHER_SKIP();
	broker_start(&b, NULL);
	other_run(OTHER_UID, child_cannot_connect, &b);
	broker_finish(&b);
}
END_TEST

/* The directory was 0700 when the daemon looked: others stay out although somebody opens it later, and areas are there. */
static int child_is_refused(struct broker *b)
{
	struct raw raw = { 0 };
	int r = raw_start(&raw, b->socket);

	CHILD_CHECK(r < 0);
	return 0;
}

START_TEST(private_daemon_refuses_others_by_itself)
{
	struct program reader;
	struct broker b;

	OTHER_SKIP();
	broker_start(&b, NULL);
	ck_assert_int_eq(chmod(b.runtime, 0755), 0);
	ck_assert_int_eq(chmod(b.socket, 0666), 0);
	other_run(OTHER_UID, child_is_refused, &b);
	worker_start(&reader, &b, "own", false);
	worker_must(&reader, "writer name=x bytes=64");
	worker_quit(&reader);
	broker_finish(&b);
}
END_TEST

/* What lies in the directory is for the daemon alone, whatever the umask. */
START_TEST(files_are_for_the_daemon_alone)
{
	static const int umasks[] = { 0, 0777 };

	for (unsigned i = 0; i < 2; i++) {
		struct shmb_ring_writer *writer;
		struct shmb *client;
		struct stat status;
		struct broker b;
		char *names;
		char *rest;
		char *name;

		if (geteuid() != 0 && umasks[i] == 0777)
			continue; /* its own log and socket would be out of its reach */
		broker_start(&b, &(struct broker_options){ .umask = umasks[i] == 0 ? 01000 : umasks[i] });
		client = broker_connect(&b);
		writer = ring_writer(client, "modes", 64, 8);
		ck_assert(stat(b.shm, &status) == 0 && (status.st_mode & 07777) == 0700);
		names = dir_names(b.shm);
		rest = names;
		while ((name = strsep(&rest, "\n")) != NULL && *name != '\0') {
			char path[1024];

			snprintf(path, sizeof(path), "%s/%s", b.shm, name);
			ck_assert(lstat(path, &status) == 0);
			ck_assert_msg(S_ISREG(status.st_mode) && (status.st_mode & 07777) == 0600, "%s has mode %o", name,
				      (unsigned)status.st_mode);
		}
		free(names);
		shmb_ring_writer_close(writer);
		shmb_disconnect(client);
		broker_finish(&b);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("users");

	suite_add(suite, other_uid_cannot_map_data_or_card_writable, 30);
	suite_add(suite, other_uid_cannot_map_its_event_page_writable, 30);
	suite_add(suite, other_uid_reads, 30);
	suite_add(suite, other_uid_waits, 30);
	suite_add(suite, other_uid_is_refused_as_writer, 30);
	suite_add(suite, private_daemon_is_out_of_reach, 30);
	suite_add(suite, private_daemon_refuses_others_by_itself, 30);
	suite_add(suite, files_are_for_the_daemon_alone, 30);
	return suite_run(suite);
}
