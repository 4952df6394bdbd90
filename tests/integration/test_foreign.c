/* SPDX-License-Identifier: MIT */
/* What others put into the directories: foreign files, damaged segments, things at the place of the socket. One line in the log each, and nothing
 * is changed that is not ours. */
#include "../support/client.h"
#include "../support/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char schema[] = "uint64[8] words\n";

/* The text of the last error is a sentence, and names what it is about. */
static void assert_text(const char *word)
{
	ck_assert_msg(strlen(shmb_text()) > 10 && strstr(shmb_text(), word) != NULL, "'%s' is not in: %s", word, shmb_text());
}

static void assert_serves(struct broker *b, unsigned segments)
{
	struct shmb *client = broker_connect(b);

	ck_assert_uint_eq(segments_count(client), segments);
	ASSERT_OK(ring_writer_try(client, "still/serves", 64, 8));
	ASSERT_OK(shmb_remove(client, "still/serves"));
	shmb_disconnect(client);
}

/* ---- in the directory ---- */

static const char *const foreign[] = { "foreign", "fifo,1",  "directory,1", "link,1",	     "empty,1",
				       "short,1", "noise,1", "zeros,1",	    "single,1,data", ",stray" };

static void foreign_make(const char *shm)
{
	unsigned char noise[8192];
	unsigned seed = 99;
	char path[512];

#define AT(name) (snprintf(path, sizeof(path), "%s/%s", shm, name), path)
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (unsigned char)rand_r(&seed);
	file_write(AT("foreign"), "hello", 5);
	ck_assert_int_eq(mkfifo(AT("fifo,1"), 0600), 0);
	ck_assert_int_eq(mkdir(AT("directory,1"), 0700), 0);
	ck_assert_int_eq(symlink("/etc/passwd", AT("link,1")), 0);
	file_write(AT("empty,1"), "", 0);
	file_write(AT("short,1"), noise, 100);
	file_write(AT("noise,1"), noise, sizeof(noise));
	memset(noise, 0, sizeof(noise));
	file_write(AT("zeros,1"), noise, sizeof(noise));
	file_write(AT("single,1,data"), noise, sizeof(noise));
	file_write(AT(",stray"), noise, 10);
}

static void foreign_remove(const char *shm)
{
	for (unsigned i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		char path[512];

		snprintf(path, sizeof(path), "%s/%s", shm, foreign[i]);
		ck_assert_msg(remove(path) == 0, "%s: %s", path, strerror(errno));
	}
}

/* Everything that can be seen of a directory: names, sizes, times. */
static char *foreign_state(const char *shm)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	for (unsigned i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		struct stat status;
		char path[512];

		snprintf(path, sizeof(path), "%s/%s", shm, foreign[i]);
		ck_assert_msg(lstat(path, &status) == 0, "%s: %s", path, strerror(errno));
		fprintf(out, "%s %o %ld %ld.%ld %lu\n", foreign[i], (unsigned)status.st_mode, (long)status.st_size,
			(long)status.st_mtim.tv_sec, status.st_mtim.tv_nsec, (unsigned long)status.st_ino);
	}
	fclose(out);
	return text;
}

START_TEST(foreign_files_are_left_alone)
{
	static const char *const names[] = { "fifo", "directory", "link", "empty", "short", "noise", "zeros" };
	struct shmb_ring_writer *writer;
	struct shmb *client;
	struct broker b;
	char *before;
	char *after;
	char *log;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "own", 64, 8);
	ring_write(writer, 64, 3, 1);
	foreign_make(b.shm);
	before = foreign_state(b.shm);
	/* while it runs */
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int r = ring_writer_try(client, names[i], 64, 8);

		ck_assert_msg(r == -EEXIST || r == -EBADMSG, "%s: %d %s", names[i], r, shmb_text());
		assert_text(names[i]);
		ASSERT_ERROR(ring_reader_try(client, names[i], SHMB_NO_WAIT), ENOENT);
		ASSERT_ERROR(shmb_remove(client, names[i]), ENOENT);
	}
	after = foreign_state(b.shm);
	ck_assert_str_eq(before, after);
	free(after);
	/* at a start: a line in the log for each */
	broker_kill(&b);
	file_write(b.log, "", 0);
	broker_restart(&b);
	log = broker_log(&b);
	for (unsigned i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		char name[64];
		unsigned lines = 0;
		char *copy = strdup(log);
		char *rest = copy;
		char *line;

		snprintf(name, sizeof(name), "%.*s", (int)(foreign[i][0] == ',' ? 6 : strcspn(foreign[i], ",")), foreign[i]);
		while ((line = strsep(&rest, "\n")) != NULL)
			lines += strstr(line, name) != NULL && strstr(line, "left alone") != NULL;
		free(copy);
		ck_assert_msg(lines == 1 || (strcmp(name, "foreign") == 0 && lines >= 1), "%u lines about %s in:\n%s", lines, foreign[i],
			      log);
	}
	free(log);
	after = foreign_state(b.shm);
	ck_assert_str_eq(before, after);
	free(after);
	free(before);
	ring_write(writer, 64, 1, 1);
	ck_assert_uint_eq(segments_count(client), 1);
	foreign_remove(b.shm);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* A segment of ours that somebody damaged while no daemon ran: left alone, said once, and not served. */
START_TEST(damaged_cards_are_not_adopted)
{
	static const struct {
		size_t offset;
		unsigned char bytes[8];
		size_t size;
	} damages[] = {
		{ offsetof(struct shmb_shm_card, magic), { 0, 0, 0, 1 }, 4 },
		{ offsetof(struct shmb_shm_card, version), { 99, 0, 99, 0 }, 4 },
		{ offsetof(struct shmb_shm_card, kind), { 77 }, 1 },
		{ offsetof(struct shmb_shm_card, slot_count), { 3, 0, 0, 0 }, 4 },
		{ offsetof(struct shmb_shm_card, data_bytes), { 0, 0, 0, 0, 0, 0, 0, 0x7f }, 8 },
		{ offsetof(struct shmb_shm_card, slot_shift), { 63 }, 1 },
		{ offsetof(struct shmb_shm_card, name), { 'o', 't', 'h', 'e', 'r', 0 }, 6 },
		{ offsetof(struct shmb_shm_card, generation), { 7 }, 1 },
		{ offsetof(struct shmb_shm_card, segment_id), { 1, 2, 3, 4 }, 4 },
		{ offsetof(struct shmb_shm_card, schema_length), { 0xff, 0xff, 0xff, 0xff }, 4 },
		{ offsetof(struct shmb_shm_card, lease_pid), { 0xff, 0xff, 0xff, 0xff }, 4 }, /* -1 */
		{ offsetof(struct shmb_shm_card, state), { 99 }, 1 },
	};
	struct broker b;

	broker_start(&b, NULL);
	for (unsigned i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		struct shmb *client = broker_connect(&b);
		unsigned char saved[8];
		char path[512];
		char *log;
		int fd;
		int r;

		ASSERT_OK(ring_writer_try(client, "victim", 64, 8));
		broker_kill(&b);
		snprintf(path, sizeof(path), "%s/victim,1", b.shm);
		fd = open(path, O_RDWR | O_CLOEXEC);
		ck_assert(pread(fd, saved, damages[i].size, (off_t)damages[i].offset) == (ssize_t)damages[i].size);
		ck_assert(pwrite(fd, damages[i].bytes, damages[i].size, (off_t)damages[i].offset) == (ssize_t)damages[i].size);
		file_write(b.log, "", 0);
		broker_restart(&b);
		log = broker_log(&b);
		ck_assert_msg(text_count(log, "victim") == 1 && strstr(log, "left alone") != NULL, "damage %u: in the log:\n%s", i, log);
		free(log);
		ck_assert_uint_eq(segments_count(client), 0);
		ASSERT_ERROR(ring_reader_try(client, "victim", SHMB_NO_WAIT), ENOENT);
		r = ring_writer_try(client, "victim", 64, 8);
		ck_assert_msg(r == -EEXIST || r == -EBADMSG, "damage %u: %d %s", i, r, shmb_text());
		/* mended, it is adopted again */
		broker_kill(&b);
		ck_assert(pwrite(fd, saved, damages[i].size, (off_t)damages[i].offset) == (ssize_t)damages[i].size);
		close(fd);
		broker_restart(&b);
		ck_assert_uint_eq(segments_count(client), 1);
		ASSERT_OK(shmb_remove(client, "victim"));
		shmb_disconnect(client);
	}
	broker_finish(&b);
}
END_TEST

/* The writer cuts its own data short under everybody: its readers may suffer, the daemon not. */
START_TEST(truncated_data_does_not_kill_the_daemon)
{
	static struct raw_answer answer;
	struct shmb_msg_open_writer open;
	struct raw raw = { 0 };
	struct shmb *client;
	struct broker b;
	int r;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	ASSERT_OK(raw_start(&raw, b.socket));
	raw_open_writer(&open, "cut", schema, 64);
	ASSERT_OK(raw_ask(&raw, SHMB_OP_OPEN_WRITER, &open, sizeof(open), schema, strlen(schema), &answer));
	ck_assert_int_eq(ftruncate(answer.fds[1], 0), 0);
	raw_answer_deinit(&answer);
	{
		struct shmb_msg_close end = { .handle = 1 };

		raw_ask(&raw, SHMB_OP_CLOSE, &end, sizeof(end), NULL, 0, &answer);
	}
	raw_close(&raw);
	r = ring_reader_try(client, "cut", SHMB_NO_WAIT);
	ck_assert_msg(r == -EBADMSG || r == -ENOENT, "%d %s", r, shmb_text());
	r = ring_writer_try(client, "cut", 64, 8);
	ck_assert_msg(r < 0, "a segment without data was opened");
	broker_kill(&b);
	broker_restart(&b);
	ASSERT_OK(ring_writer_try(client, "fine", 64, 8));
	r = shmb_remove(client, "cut");
	if (r != 0) { /* not adopted: left alone, so it is removed by hand */
		static const char *const parts[] = { "", ",record", ",data", ",area0", ",area1", ",area2", ",area3", ",area4", ",area5" };

		ck_assert_int_eq(r, -ENOENT);
		for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
			char path[512];

			snprintf(path, sizeof(path), "%s/cut,1%s", b.shm, parts[i]);
			unlink(path);
		}
	}
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* A socket file of a daemon that was killed does not stop the next; a file that is no socket is not removed. */
START_TEST(what_lies_at_the_sockets_place)
{
	struct program_result result;
	struct broker b;
	char text[8];
	char *now;

	broker_start(&b, NULL);
	broker_kill(&b);
	ck_assert_int_eq(access(b.socket, F_OK), 0);
	broker_restart(&b);
	assert_serves(&b, 0);
	broker_stop(&b);
	file_write(b.socket, "precious", 8);
	program_run(&result, NULL, ARGV(path_daemon(), "--runtime-dir", b.runtime, "--shm-dir", b.shm));
	ck_assert_int_eq(result.status, 1);
	ck_assert_msg(strstr(result.err, b.socket) != NULL, "the path is not named: %s", result.err);
	program_result_deinit(&result);
	now = file_read(b.socket, NULL);
	snprintf(text, sizeof(text), "%.7s", now);
	ck_assert_str_eq(text, "preciou");
	free(now);
	unlink(b.socket);
	broker_restart(&b);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("foreign");

	suite_add(suite, foreign_files_are_left_alone, 60);
	suite_add(suite, damaged_cards_are_not_adopted, 60);
	suite_add(suite, truncated_data_does_not_kill_the_daemon, 30);
	suite_add(suite, what_lies_at_the_sockets_place, 60);
	return suite_run(suite);
}
