/* SPDX-License-Identifier: MIT */
/*
 * Files: what lies in a directory that is everybody's, names that are swapped or made again while the daemon decides about them (lines 48 to 51 of the
 * catalogue). Each test has the daemon stop at a step, changes the directory there, and lets it go on.
 */
#include "../support/client.h"

#include "proto/layout.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- files of safe-shm ---- */

static char dir[64];

static const char *at(const char *name)
{
	static char path[4][400];
	static unsigned next;
	char *out = path[next++ % 4];

	snprintf(out, sizeof(path[0]), "%s/%s", dir, name);
	return out;
}

static void dir_make(void)
{
	snprintf(dir, sizeof(dir), "/dev/shm/shmb-test-%d-foreign-XXXXXX", (int)suite_pid());
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

/* As safe-shm's OwnedShm makes it: a header and some payload. */
static void foreign_file(const char *name, uint32_t magic, pid_t pid)
{
	uint32_t words[256] = { magic, 1, 0, 0, (uint32_t)pid };

	file_write(at(name), words, sizeof(words));
}

static pid_t dead_pid(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	return pid;
}

static void start(struct broker *b, const char *foreign, const char *interval, bool steps, const char *step_at)
{
	static char config[512];

	snprintf(config, sizeof(config), "[broker]\nforeign = %s\nforeign-dir = %s\nforeign-interval = %s\n", foreign, dir, interval);
	broker_start(b, &(struct broker_options){ .config = config, .linger = "infinity", .steps = steps, .step_at = step_at });
}

struct seen {
	unsigned count;
	char text[4096]; /* "NAME outcome reason\n" of each */
};

static int note(const struct shmb_gc_info *info, void *user)
{
	struct seen *seen = user;
	size_t length = strlen(seen->text);

	seen->count++;
	snprintf(seen->text + length, sizeof(seen->text) - length, "%s %d %s\n", info->name, (int)info->outcome, info->reason);
	return 0;
}

static struct seen look(struct shmb *client, unsigned tell)
{
	struct seen seen = { 0 };

	ASSERT_OK(shmb_gc(client, tell | SHMB_GC_FOREIGN_FILES, note, &seen));
	return seen;
}

START_TEST(foreign_files_are_listed_and_reaped_when_dead)
{
	struct shmb *client;
	struct seen seen;
	struct broker b;
	pid_t dead = dead_pid();
	void *mapped;
	int fd;

	dir_make();
	foreign_file("dead", SHMB_DATA_MAGIC, dead);
	foreign_file("live", SHMB_DATA_MAGIC, getpid());
	foreign_file("nobody", SHMB_DATA_MAGIC, 0);
	foreign_file("absurd", SHMB_DATA_MAGIC, -5);
	foreign_file("other", 0x12345678, dead);
	foreign_file("mapped", SHMB_DATA_MAGIC, dead);
	foreign_file("open", SHMB_DATA_MAGIC, dead);
	file_write(at("short"), "HMHS", 4);
	ck_assert_int_eq(symlink(at("dead"), at("link")), 0);
	ck_assert_int_eq(mkfifo(at("fifo"), 0600), 0);
	ck_assert_int_eq(mkdir(at("directory"), 0700), 0);
	fd = open(at("mapped"), O_RDONLY | O_CLOEXEC);
	mapped = mmap(NULL, 1024, PROT_READ, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(mapped, MAP_FAILED);
	close(fd);
	fd = open(at("open"), O_RDONLY | O_CLOEXEC);

	start(&b, "list", "infinity", false, NULL);
	client = broker_connect(&b);
	seen = look(client, 0);
	ck_assert_msg(seen.count == 6, "%s", seen.text);
	ck_assert_msg(strstr(seen.text, "dead 0 its writer, process") != NULL && strstr(seen.text, "foreign = list") != NULL, "%s",
		      seen.text);
	ck_assert_int_eq(access(at("dead"), F_OK), 0);

	broker_configure(&b, "[broker]\nforeign = ignore\n");
	program_signal(&b.daemon, SIGHUP);
	broker_wait_log(&b, "the configuration is loaded");
	ck_assert_uint_eq(look(client, SHMB_GC_TELL).count, 0);
	shmb_disconnect(client);
	broker_finish(&b);

	start(&b, "reap", "infinity", false, NULL); /* looks once, at the start */
	client = broker_connect(&b);
	WAIT_UNTIL(access(at("dead"), F_OK) != 0);
	broker_wait_log(&b, "/dead: removed: its writer, process");
	seen = look(client, 0);
	ck_assert_msg(seen.count == 5, "%s", seen.text);
	ck_assert_msg(strstr(seen.text, "live 0 its writer, process") != NULL && strstr(seen.text, "lives\n") != NULL, "%s", seen.text);
	ck_assert_msg(strstr(seen.text, "mapped 0 a process has it open or mapped") != NULL, "%s", seen.text);
	ck_assert_msg(strstr(seen.text, "open 0 a process has it open or mapped") != NULL, "%s", seen.text);
	ck_assert_msg(strstr(seen.text, "nobody 0 its header names no writer") != NULL && strstr(seen.text, "absurd 0") != NULL, "%s",
		      seen.text);
	/* Once nobody has them any more they go when asked. */
	munmap(mapped, 1024);
	close(fd);
	seen = look(client, SHMB_GC_TELL);
	ck_assert_msg(strstr(seen.text, "mapped 1 ") != NULL && strstr(seen.text, "open 1 ") != NULL, "%s", seen.text);
	seen = look(client, 0);
	ck_assert_msg(strstr(seen.text, "mapped 2 ") != NULL && strstr(seen.text, "open 2 ") != NULL, "%s", seen.text);
	ck_assert(access(at("mapped"), F_OK) != 0 && access(at("open"), F_OK) != 0);
	ck_assert(access(at("live"), F_OK) == 0 && access(at("other"), F_OK) == 0 && access(at("short"), F_OK) == 0);
	shmb_disconnect(client);
	broker_finish(&b);
	dir_remove(at("directory"));
	dir_remove(dir);
}
END_TEST

/* By itself, in intervals. */
START_TEST(foreign_files_are_looked_for_again)
{
	struct broker b;

	dir_make();
	start(&b, "reap", "30ms", false, NULL);
	foreign_file("later", SHMB_DATA_MAGIC, dead_pid());
	WAIT_UNTIL(access(at("later"), F_OK) != 0);
	broker_finish(&b);
	dir_remove(dir);
}
END_TEST

/* 48, 49: a link or a stranger's file where a name was squatted is neither followed nor removed. */
START_TEST(fault_48_links_are_not_followed)
{
	struct broker b;
	char target[400];
	char kept[400];

	/* Would go, if it lay there itself. */
	dir_make();
	snprintf(kept, sizeof(kept), "%s", dir);
	foreign_file("target", SHMB_DATA_MAGIC, dead_pid());
	snprintf(target, sizeof(target), "%s/target", dir);
	dir_make();
	ck_assert_int_eq(symlink(target, at("a")), 0);
	ck_assert_int_eq(symlink("/etc/passwd", at("b")), 0);
	foreign_file("z", SHMB_DATA_MAGIC, dead_pid());
	start(&b, "reap", "infinity", false, NULL);
	WAIT_UNTIL(access(at("z"), F_OK) != 0);
	ck_assert(access(target, F_OK) == 0 && access("/etc/passwd", F_OK) == 0);
	ck_assert(access(at("a"), F_OK) == 0 && access(at("b"), F_OK) == 0);
	broker_finish(&b);
	dir_remove(dir);
	dir_remove(kept);
}
END_TEST

/* ---- while it decides ---- */

/* Another file under the name, of a writer that lives; its inode. */
static ino_t swap(const char *name, bool renamed)
{
	struct stat st;

	if (renamed) { /* 50: in one step */
		foreign_file("newcomer", SHMB_DATA_MAGIC, getpid());
		ck_assert_int_eq(rename(at("newcomer"), at(name)), 0);
	} else { /* 51: removed and made again */
		ck_assert_int_eq(unlink(at(name)), 0);
		foreign_file(name, SHMB_DATA_MAGIC, getpid());
	}
	ck_assert_int_eq(stat(at(name), &st), 0);
	return st.st_ino;
}

/* The daemon has judged the file that lies there; when it goes on another one does. That one stays, under its name. */
static void swapped_while_judged(bool renamed)
{
	static char config[256];
	struct stat st;
	struct broker b;
	ino_t ino;
	char *names;

	dir_make();
	foreign_file("victim", SHMB_DATA_MAGIC, dead_pid());
	snprintf(config, sizeof(config), "[broker]\nforeign = reap\nforeign-dir = %s\nforeign-interval = infinity\n", dir);
	broker_start(&b, &(struct broker_options){
				 .config = config, .linger = "infinity", .steps = true, .step_at = "stray.judged", .step_do = "stop" });
	program_wait_stopped(&b.daemon);
	ino = swap("victim", renamed);
	program_signal(&b.daemon, SIGCONT);
	/* The daemon answers: it has done what it was about to do. */
	shmb_disconnect(broker_connect(&b));
	WAIT_UNTIL(stat(at("victim"), &st) == 0);
	ck_assert_uint_eq(st.st_ino, ino);
	names = dir_names(dir);
	ck_assert_str_eq(names, "victim\n");
	free(names);
	broker_stop(&b); /* what it had open was counted while it stood in the middle of its work */
	broker_drop(&b);
	dir_remove(dir);
}

START_TEST(fault_50_swap_between_check_and_unlink)
{
	swapped_while_judged(true);
}
END_TEST

START_TEST(fault_51_reaper_meets_a_name_made_again)
{
	swapped_while_judged(false);
}
END_TEST

/* 15: killed between taking the name and removing the file: the next daemon finishes it. And what was swapped in gets its name back. */
static bool holds_only(const char *name)
{
	char *names = dir_names(dir);
	bool alone = text_count(names, "\n") == 1 && strncmp(names, name, strlen(name)) == 0 && names[strlen(name)] == '\n';

	free(names);
	return alone;
}

START_TEST(fault_15_killed_while_reaping_a_foreign_file)
{
	static const char *const steps[] = { "stray.judged", "stray.renamed" };

	for (unsigned i = 0; i < 2; i++) {
		static char config[256];
		struct broker b;
		char *names;

		dir_make();
		foreign_file("victim", SHMB_DATA_MAGIC, dead_pid());
		snprintf(config, sizeof(config), "[broker]\nforeign = reap\nforeign-dir = %s\nforeign-interval = infinity\n", dir);
		broker_start(&b, &(struct broker_options){ .config = config, .linger = "infinity", .steps = true, .step_at = steps[i] });
		ck_assert_int_eq(program_wait(&b.daemon), -SIGKILL);
		foreign_file(".shmbroker-gone,precious", SHMB_DATA_MAGIC, getpid());
		names = dir_names(dir);
		ck_assert_uint_eq(text_count(names, "\n"), 2);
		free(names);
		broker_restart(&b);
		WAIT_UNTIL(access(at("precious"), F_OK) == 0);
		WAIT_UNTIL(holds_only("precious"));
		broker_stop(&b);
		broker_drop(&b);
		dir_remove(dir);
	}
}
END_TEST

static int see_ignored(const struct shmb_metrics *metrics, void *user)
{
	for (uint32_t i = 0; i < metrics->event_count; i++) {
		if (strcmp(metrics->events[i].name, "ignored") == 0)
			*(uint64_t *)user = metrics->events[i].value;
	}
	return 0;
}

/* A file that a daemon before had taken the name from, which another has by now: both stay, and that is told and counted. */
START_TEST(a_name_that_is_taken_is_not_given_back)
{
	uint64_t ignored = 0;
	struct shmb *client;
	struct broker b;
	char *names;

	dir_make();
	foreign_file(".shmbroker-gone,precious", SHMB_DATA_MAGIC, getpid());
	foreign_file("precious", SHMB_DATA_MAGIC, getpid());
	start(&b, "reap", "10ms", false, NULL);
	client = broker_connect(&b);
	WAIT_UNTIL(shmb_metrics(client, see_ignored, &ignored) == 0 && ignored > 0);
	names = dir_names(dir);
	ck_assert_uint_eq(text_count(names, "\n"), 2);
	ck_assert_ptr_nonnull(strstr(names, ".shmbroker-gone,precious\n"));
	free(names);
	shmb_disconnect(client);
	broker_finish(&b);
	dir_remove(dir);
}
END_TEST

/* ---- segments ---- */

static void move_part(struct broker *b, const char *from, const char *to)
{
	char old[512];
	char new[512];

	snprintf(old, sizeof(old), "%s/%s", b->shm, from);
	snprintf(new, sizeof(new), "%s/%s", b->shm, to);
	ck_assert_int_eq(rename(old, new), 0);
}

/* 51: where the segment that is reaped lay, the files of another one lie by then: they stay, and the daemon says that something is wrong. */
START_TEST(fault_51_reaper_meets_another_segment)
{
	static const char *const parts[] = { "", ",data", ",record" };
	struct shmb_ring_writer *writer;
	struct shmb *client;
	struct broker b;
	char path[512];

	broker_start(&b, &(struct broker_options){ .config = "[broker]\nlinger = infinity\n[segment idle]\nlinger = 1ms\n",
						   .steps = true,
						   .step_at = "remove.begin",
						   .step_do = "stop" });
	client = broker_connect(&b);
	writer = ring_writer(client, "other", 64, 8);
	ring_write(writer, 64, 3, 1);
	shmb_ring_writer_close(writer);
	writer = ring_writer(client, "idle", 64, 8);
	ring_write(writer, 64, 3, 1);
	shmb_ring_writer_close(writer);
	program_wait_stopped(&b.daemon);
	for (unsigned i = 0; i < 3; i++) {
		char from[64];
		char to[64];

		snprintf(from, sizeof(from), "other,1%s", parts[i]);
		snprintf(to, sizeof(to), "idle,1%s", parts[i]);
		move_part(&b, from, to);
	}
	program_signal(&b.daemon, SIGCONT);
	broker_wait_log(&b, "idle: forgotten, but not all of its files could be removed");
	for (unsigned i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/idle,1%s", b.shm, parts[i]);
		ck_assert_msg(access(path, F_OK) == 0, "%s was removed", path);
	}
	shmb_disconnect(client);
	broker_drop(&b);
}
END_TEST

/* A reader asks while the linger time ends: it has the segment and that stays, or there is none. */
START_TEST(reader_opens_while_linger_ends)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < 10; i++) {
		struct shmb_ring_reader *reader = NULL;
		struct shmb_ring_writer *writer;
		struct program asker;
		struct shmb *client;
		struct answer answer;
		struct broker b;

		broker_start(&b, &(struct broker_options){ .linger = "20ms" });
		client = broker_connect(&b);
		worker_start(&asker, &b, "asker", false);
		worker_must(&asker, "ping");
		writer = ring_writer(client, "race", 64, 8);
		ring_write(writer, 64, 2, 1);
		shmb_ring_writer_close(writer);
		program_signal(&b.daemon, SIGSTOP);
		program_wait_stopped(&b.daemon);
		program_send(&asker, "reader name=race bytes=64");
		sleep_ms(i % 2 == 0 ? 2 : 30); /* some ask in time; else the linger time ends and the request lies there */
		program_signal(&b.daemon, SIGCONT);
		answer = worker_answer(&asker);
		ck_assert_msg(answer.result == 0 || answer.result == -ENOENT, "%d %s", answer.result, answer.text);
		if (answer.result == 0) {
			kept++;
			sleep_ms(60);
			ck_assert_uint_eq(worker_must(&asker, "latest").v[0], 1);
			ASSERT_OK(shmb_ring_reader_open(&reader, client, "race", NULL, SHMB_NO_WAIT));
			shmb_ring_reader_close(reader);
		}
		worker_quit(&asker);
		shmb_disconnect(client);
		broker_finish(&b);
	}
	printf("%u of 10 readers had it, and it stayed\n", kept);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fault files");

	suite_add(suite, foreign_files_are_listed_and_reaped_when_dead, 60);
	suite_add(suite, foreign_files_are_looked_for_again, 60);
	suite_add(suite, fault_48_links_are_not_followed, 60);
	suite_add(suite, fault_50_swap_between_check_and_unlink, 60);
	suite_add(suite, fault_51_reaper_meets_a_name_made_again, 60);
	suite_add(suite, fault_15_killed_while_reaping_a_foreign_file, 60);
	suite_add(suite, a_name_that_is_taken_is_not_given_back, 60);
	suite_add(suite, fault_51_reaper_meets_another_segment, 60);
	suite_add(suite, reader_opens_while_linger_ends, 60);
	return suite_run(suite);
}
