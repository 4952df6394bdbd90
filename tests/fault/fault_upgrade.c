/* SPDX-License-Identifier: MIT */
/*
 * An upgrade to a build with another layout version, and the way back (line 22 of the catalogue).
 *
 * Both builds are there: the other one is made of the same sources with another number (proto/layout.h), daemon and client. Neither reads
 * the other's segments: they stay where they are, with a line in the log, and the daemon that made them finds them again as they were.
 */
#include "../support/client.h"
#include "look.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
	const char *kind, *open, *write;
} kinds[] = {
	{ "ring", "writer name=%s-ring bytes=64 salt=1", "write n=3" },
	{ "value", "writer name=%s-value kind=value bytes=4096 salt=1", "write n=3" },
	{ "frame", "frame-writer name=%s-frame bytes=4096 salt=1", "frame-write n=3" },
	{ "queue", "producer name=%s-queue bytes=64 salt=1", "push n=3" },
	{ "block", "block name=%s-block", "set value=7" },
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

/* A program of the other build. */
static const char *path_next(const char *variable, const char *built)
{
	const char *given = getenv(variable);

	return given != NULL ? given : built;
}

/* Which daemon is started from here on: this build's or the other one's. */
static void daemon_is(bool next)
{
	static char *this;

	if (this == NULL)
		this = strdup(path_daemon());
	setenv("SHMB_TEST_DAEMON", next ? path_next("SHMB_TEST_DAEMON_NEXT", SHMB_BUILT_DAEMON_NEXT) : this, 1);
}

static void worker_start_next(struct program *worker, struct broker *b, const char *name)
{
	const char *environment[] = { b->environment, "SHMB_STEP_AT", "SHMB_STEP_DO", NULL };

	program_start(worker, &(struct program_options){ .name = name, .environment = environment },
		      ARGV(path_next("SHMB_TEST_WORKER_NEXT", SHMB_BUILT_WORKER_NEXT)));
}

static const char *command_of(const char *format, const char *prefix)
{
	static char command[256];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(command, sizeof(command), format, prefix);
#pragma GCC diagnostic pop
	return command;
}

/* One segment of each kind, with its writer, who lives. */
static void people_start(struct program workers[KINDS], struct broker *b, bool next, const char *prefix)
{
	for (unsigned i = 0; i < KINDS; i++) {
		if (next)
			worker_start_next(&workers[i], b, kinds[i].kind);
		else
			worker_start(&workers[i], b, kinds[i].kind, false);
		worker_must(&workers[i], "%s", command_of(kinds[i].open, prefix));
		worker_must(&workers[i], "%s", kinds[i].write);
	}
}

/* They go on without noticing: what they have is in memory. */
static void people_write(struct program workers[KINDS])
{
	for (unsigned i = 0; i < KINDS; i++)
		worker_must(&workers[i], "%s", kinds[i].write);
}

/* The files of the segments with this prefix, byte for byte. */
static char *contents(struct broker *b, const char *prefix)
{
	char *names = dir_names(b->shm);
	char *rest = names;
	char *file;
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	while ((file = strsep(&rest, "\n")) != NULL) {
		char path[1024];
		size_t bytes;
		char *all;
		uint64_t sum = 0;

		if (strncmp(file, prefix, strlen(prefix)) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", b->shm, file);
		all = file_read(path, &bytes);
		for (size_t i = 0; i < bytes; i++)
			sum = sum * 31 + (unsigned char)all[i];
		free(all);
		fprintf(out, "%s %zu %llx\n", file, bytes, (unsigned long long)sum);
	}
	free(names);
	fclose(out);
	return text;
}

/* How many of the prefix's five segments the log says were left alone because of their version; and one line for each only. */
static unsigned left_alone(struct broker *b, const char *prefix, const char *why)
{
	unsigned found = 0;

	for (unsigned i = 0; i < KINDS; i++) {
		char name[64];

		snprintf(name, sizeof(name), "%s-%s: ", prefix, kinds[i].kind);
		found += look_log(b, name, why) == 1;
	}
	return found;
}

START_TEST(fault_22_upgrade_with_another_layout_version)
{
	struct program old[KINDS];
	struct program new[KINDS];
	struct program reader;
	struct program stray;
	struct answer answer;
	struct shmb *client;
	struct broker b;
	char *before;
	char *after;

	broker_start(&b, NULL);
	people_start(old, &b, false, "old");
	worker_start(&reader, &b, "reader", false);
	worker_must(&reader, "reader name=old-ring bytes=64");
	broker_kill(&b);

	/* The later version. */
	daemon_is(true);
	before = contents(&b, "old-");
	broker_restart(&b);
	ck_assert_uint_eq(left_alone(&b, "old", "the layout is older than this version can read"), KINDS);
	worker_start_next(&stray, &b, "stray");
	for (unsigned i = 0; i < KINDS; i++) {
		/* It is not there for anybody, and its name is not given to another while its files lie there. */
		answer = worker_ask(&stray, "%s", command_of(kinds[i].open, "old"));
		ck_assert_msg(answer.result < 0 && strstr(answer.text, "old-") != NULL, "%d %s", answer.result, answer.text);
	}
	ASSERT_RESULT(worker_ask(&stray, "reader name=old-ring bytes=64"), -ENOENT);
	worker_quit(&stray);
	after = contents(&b, "old-");
	ck_assert_msg(strcmp(before, after) == 0, "before:\n%s\nafter:\n%s", before, after);
	free(before);
	free(after);
	people_write(old);
	answer = worker_must(&reader, "latest");
	ck_assert(answer.v[0] == 5 && answer.v[4] == 0);
	people_start(new, &b, true, "new");
	/* A client of the version before is told so when it asks for something, and what it has stays its own. */
	answer = worker_ask(&old[0], "remove name=new-ring");
	ck_assert_msg(answer.result < 0, "it was served: %d", answer.result);
	worker_start(&stray, &b, "stray", false);
	answer = worker_ask(&stray, "reader name=new-ring bytes=64");
	ck_assert_msg(answer.result == -EPROTONOSUPPORT && answer.text[0] != '\0', "%d %s", answer.result, answer.text);
	program_kill(&stray);
	worker_must(&old[0], "write n=1");
	worker_must(&reader, "latest");
	broker_kill(&b);

	/* And back. */
	daemon_is(false);
	before = contents(&b, "new-");
	broker_restart(&b);
	ck_assert_uint_eq(left_alone(&b, "new", "the layout is newer than this version can read"), KINDS);
	after = contents(&b, "new-");
	ck_assert_str_eq(before, after);
	free(before);
	free(after);
	people_write(new);
	people_write(old);
	client = broker_connect(&b);
	ck_assert_uint_eq(segments_count(client), KINDS);
	for (unsigned i = 0; i < KINDS; i++) {
		struct listed listed;
		char name[64];

		snprintf(name, sizeof(name), "old-%s", kinds[i].kind);
		ck_assert(segment_listed(client, name, &listed));
		if (strcmp(kinds[i].kind, "block") != 0)
			ck_assert(listed.writer == SHMB_WRITER_IS_ALIVE && listed.writer_pid == old[i].pid);
		ASSERT_RESULT(worker_ask(&old[i], "remove name=none"), -ENOENT);
	}
	answer = worker_must(&reader, "latest");
	ck_assert(answer.v[0] == 9 && answer.v[4] == 0);
	worker_quit(&reader);
	for (unsigned i = 0; i < KINDS; i++) {
		worker_quit(&old[i]);
		program_kill(&new[i]);
	}
	shmb_disconnect(client);
	broker_settle(&b);
	broker_kill(&b);

	/* Nothing of the other version's is lost either: it takes over what its people left, and removes it when told. */
	daemon_is(true);
	broker_restart(&b);
	worker_start_next(&stray, &b, "stray");
	ck_assert_uint_eq(worker_must(&stray, "%s", command_of(kinds[0].open, "new")).v[0], 6);
	worker_must(&stray, "close-writer");
	for (unsigned i = 0; i < KINDS; i++)
		worker_must(&stray, "remove name=new-%s", kinds[i].kind);
	worker_quit(&stray);
	broker_settle(&b); /* a page that it left behind would be nobody's for the version before */
	broker_stop(&b);
	daemon_is(false);
	broker_restart(&b);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fault: upgrade");

	suite_add(suite, fault_22_upgrade_with_another_layout_version, 60);
	return suite_run(suite);
}
