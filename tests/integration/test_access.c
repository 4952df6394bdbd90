/* SPDX-License-Identifier: MIT */
/*
 * Who may read and write, by uid, group and supplementary groups as the kernel tells them; what the others see. The other users are children of this
 * process that changed their ids. Skipped without root.
 */
#include "../support/raw.h"
#include "access.h"
#include "shmb_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static int count_one(const struct shmb_segment_info *info, void *user)
{
	(void)info;
	++*(unsigned *)user;
	return 0;
}

static int find_info(const struct shmb_segment_info *info, const char *text, const struct shmb_reader_info *readers, void *user)
{
	(void)info;
	(void)text;
	(void)readers;
	(void)user;
	return 0;
}

static int ignore_reload(const struct shmb_reload_result *result, void *user)
{
	(void)result;
	(void)user;
	return 0;
}

static int ignore_gc(const struct shmb_gc_info *info, void *user)
{
	++*(unsigned *)user;
	(void)info;
	return 0;
}

static int ignore_policy(const struct shmb_policy_info *info, void *user)
{
	*(int *)user = info->may_write * 2 + info->may_read;
	return 0;
}

static int child_writer(struct broker *b)
{
	struct shmb *client = NULL;

	CHILD_CHECK(shmb_connect(&client, b->socket) == 0);
	CHILD_CHECK(writes(client, "camera/a") == 0);
	CHILD_CHECK(reads(client, "camera/a") == 0); /* who may write may read */
	CHILD_CHECK(writes(client, "shut/a") == -EACCES);
	CHILD_CHECK(writes(client, "plain") == -EPERM && strstr(shmb_text(), "belongs to uid 0") != NULL);
	shmb_disconnect(client);
	return 0;
}

static int child_reader(struct broker *b)
{
	struct shmb *client = NULL;
	unsigned count = 0;
	int may = 0;

	CHILD_CHECK(shmb_connect(&client, b->socket) == 0);
	CHILD_CHECK(reads(client, "camera/a") == 0);
	CHILD_CHECK(writes(client, "camera/a") == -EACCES);
	CHILD_CHECK(strstr(shmb_text(), "writers = 4201 (") != NULL && strstr(shmb_text(), "shmbrokerd.conf:4)") != NULL);
	CHILD_CHECK(writes(client, "camera/new") == -EACCES);
	CHILD_CHECK(shmb_list(client, count_one, &count) == 0 && count == 2); /* camera/a and plain */
	CHILD_CHECK(shmb_policy(client, "camera/a", NULL, ignore_policy, &may) == 0 && may == 1);
	shmb_disconnect(client);
	return 0;
}

static int child_stranger(struct broker *b)
{
	const uint32_t groups[] = { GROUP };
	struct shmb *client = NULL;
	unsigned count = 0;
	int may = 0;
	char first[240];

	CHILD_CHECK(shmb_connect(&client, b->socket) == 0);
	CHILD_CHECK(reads(client, "camera/a") == -EACCES);
	CHILD_CHECK(strstr(shmb_text(), "readers = @4301 (") != NULL && strstr(shmb_text(), "shmbrokerd.conf:5)") != NULL);
	/* Nothing tells whether there is such a segment. */
	CHILD_CHECK(shmb_info(client, "secret/a", find_info, NULL) == -EACCES);
	snprintf(first, sizeof(first), "%s", strchr(shmb_text(), ' '));
	CHILD_CHECK(shmb_info(client, "secret/b", find_info, NULL) == -EACCES && strcmp(first, strchr(shmb_text(), ' ')) == 0);
	CHILD_CHECK(reads(client, "secret/b") == -EACCES && shmb_remove(client, "secret/a") == -EACCES);
	CHILD_CHECK(shmb_remove(client, "secret/b") == -EACCES);
	CHILD_CHECK(shmb_list(client, count_one, &count) == 0 && count == 1); /* plain */
	CHILD_CHECK(reads(client, "plain") == 0 && shmb_remove(client, "plain") == -EPERM);
	/* What is the operator's is not his. */
	CHILD_CHECK(shmb_reload(client, ignore_reload, NULL) == -EPERM);
	CHILD_CHECK(shmb_gc(client, 0, ignore_gc, &count) == -EPERM);
	count = 0;
	CHILD_CHECK(shmb_gc(client, SHMB_GC_TELL, ignore_gc, &count) == 0 && count == 1);
	CHILD_CHECK(shmb_policy(client, "camera/a", NULL, ignore_policy, &may) == 0 && may == 0);
	CHILD_CHECK(shmb_policy(client, "camera/a", &(struct shmb_user){ .uid = UID, .gids = groups }, ignore_policy, &may) == -EPERM);
	/* Asking as oneself with groups that one does not have. */
	CHILD_CHECK(shmb_policy(client, "camera/a", &(struct shmb_user){ .uid = STRANGER, .gids = groups, .gid_count = 1 }, ignore_policy,
				&may) == 0 &&
		    may == 0);
	shmb_disconnect(client);
	return 0;
}

START_TEST(lists_of_users_and_groups)
{
	struct broker b;

	if (geteuid() != 0)
		TEST_SKIP("needs root to become other users");
	start(&b);
	as_user(UID, 0, child_writer, &b);
	as_user(STRANGER, GROUP, child_reader, &b);
	as_user(STRANGER, 0, child_stranger, &b);
	broker_finish(&b);
}
END_TEST

/* ---- while it is open ---- */

static int pipe_to_child[2];
static int pipe_from_child[2];

static int child_holds(struct broker *b)
{
	struct shmb_ring_reader *reader = NULL;
	struct shmb *client = NULL;
	char payload[64];
	char byte = 0;

	CHILD_CHECK(shmb_connect(&client, b->socket) == 0);
	CHILD_CHECK(shmb_ring_reader_open(&reader, client, "camera/a", NULL, SHMB_NO_WAIT) == 0);
	CHILD_CHECK(write(pipe_from_child[1], "x", 1) == 1 && read(pipe_to_child[0], &byte, 1) == 1);
	/* What it has mapped it keeps, but it gets it no second time. */
	CHILD_CHECK(shmb_ring_latest(reader, payload, NULL) == 0);
	CHILD_CHECK(reads(client, "camera/a") == -EACCES);
	shmb_ring_reader_close(reader);
	shmb_disconnect(client);
	return 0;
}

static int note_reload(const struct shmb_reload_result *result, void *user)
{
	snprintf(user, 2048, "%u %s", result->not_applied, result->notes);
	return 0;
}

START_TEST(rights_taken_away_while_it_is_open)
{
	struct shmb *client;
	struct broker b;
	char notes[2048];
	char byte;
	pid_t pid;

	if (geteuid() != 0)
		TEST_SKIP("needs root to become other users");
	start(&b);
	as_user(UID, 0, child_writer, &b);
	ck_assert(pipe(pipe_to_child) == 0 && pipe(pipe_from_child) == 0);
	pid = fork();
	if (pid == 0) {
		gid_t group = GROUP;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (setgroups(1, &group) != 0 || setresgid(STRANGER, STRANGER, STRANGER) != 0 ||
		    setresuid(STRANGER, STRANGER, STRANGER) != 0)
			_exit(126);
		_exit(child_holds(&b));
	}
	close(pipe_from_child[1]); /* its end is the end of the pipe */
	ck_assert_int_eq(read(pipe_from_child[0], &byte, 1), 1);
	broker_configure(&b, "[broker]\nlinger = infinity\n[segment camera/*]\nreaders = none\n");
	client = broker_connect(&b);
	ASSERT_OK(shmb_reload(client, note_reload, notes));
	ck_assert_msg(strstr(notes, "may no longer read it, but has it open: readers = none (") != NULL, "%s", notes);
	ck_assert_int_eq(write(pipe_to_child[1], "x", 1), 1);
	wait_child(pid);
	close(pipe_to_child[0]);
	close(pipe_to_child[1]);
	close(pipe_from_child[0]);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

static int own_requests(const struct shmb_client_info *client, void *user)
{
	if (client->pid == getpid())
		*(uint64_t *)user = client->requests;
	return 0;
}

static int loads_what_it_may_not_follow(struct broker *b)
{
	uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);
	struct shmb_ring_reader *reader = NULL;
	struct shmb_loader *loader = NULL;
	struct shmb *client = NULL;
	uint64_t before = 0;
	uint64_t after = 0;
	uint64_t pause_end;
	char byte = 0;
	int r;

	CHILD_CHECK(shmb_connect(&client, b->socket) == 0);
	CHILD_CHECK(shmb_ring_reader_open(&reader, client, "plain", NULL, SHMB_NO_WAIT) == 0);
	CHILD_CHECK(shmb_loader_open_ring(&loader, reader) == 0);
	CHILD_CHECK(write(pipe_from_child[1], "x", 1) == 1 && read(pipe_to_child[0], &byte, 1) == 1);
	/* What was there before, and what became of its writer, comes first. */
	do {
		const void *payload;

		r = shmb_loader_wait(loader, deadline);
		if (r == 0)
			r = shmb_loader_snapshot(loader, &payload, NULL);
	} while (r == 0 || r == -EPIPE);
	CHILD_CHECK(r == -EACCES);
	/* It is told again, and the broker asked again, at a pace: the operator may change his mind. */
	CHILD_CHECK(shmb_clients(client, own_requests, &before) == 0);
	pause_end = deadline_in(1000);
	while (suite_pause(pause_end))
		;
	CHILD_CHECK(shmb_clients(client, own_requests, &after) == 0);
	CHILD_CHECK(after - before <= UINT64_C(60) * suite_slow()); /* as long as the pause is */
	CHILD_CHECK(shmb_loader_wait(loader, deadline) == -EACCES);
	shmb_loader_close(loader);
	shmb_ring_reader_close(reader);
	shmb_disconnect(client);
	return 0;
}

/* A loader whose reader may not go on to the new generation does not ask for it without end. */
START_TEST(loader_that_may_not_follow)
{
	struct shmb_ring_writer *writer;
	struct shmb *client;
	struct broker b;
	char notes[2048];
	char byte;
	pid_t pid;

	OTHER_SKIP();
	start(&b);
	ck_assert(pipe(pipe_to_child) == 0 && pipe(pipe_from_child) == 0);
	pid = other_start(STRANGER, loads_what_it_may_not_follow, &b);
	close(pipe_from_child[1]);
	ck_assert_int_eq(read(pipe_from_child[0], &byte, 1), 1);
	broker_configure(&b, "[broker]\nlinger = infinity\n[segment plain]\nreaders = none\n");
	client = broker_connect(&b);
	ASSERT_OK(shmb_reload(client, note_reload, notes));
	writer = ring_writer(client, "plain", 64, 16);
	ck_assert_int_eq(write(pipe_to_child[1], "x", 1), 1);
	other_wait(pid);
	close(pipe_to_child[0]);
	close(pipe_to_child[1]);
	close(pipe_from_child[0]);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- what is hidden ---- */

struct policy_seen {
	int may;
	bool is_there;
	char why[2][256];
};

static int keep_policy(const struct shmb_policy_info *info, void *user)
{
	struct policy_seen *seen = user;

	seen->may = info->may_write * 2 + info->may_read;
	seen->is_there = info->is_there;
	snprintf(seen->why[0], sizeof(seen->why[0]), "%s", info->read_why);
	snprintf(seen->why[1], sizeof(seen->why[1]), "%s", info->write_why);
	return 0;
}

static int asks_about_secrets(struct broker *b)
{
	struct policy_seen there = { 0 }, nowhere = { 0 };
	struct shmb *client;

	CHILD_CHECK(shmb_connect(&client, b->socket) == 0);
	CHILD_CHECK(shmb_policy(client, "secret/a", NULL, keep_policy, &there) == 0);
	CHILD_CHECK(shmb_policy(client, "secret/b", NULL, keep_policy, &nowhere) == 0);
	CHILD_CHECK(there.may == nowhere.may && there.is_there == nowhere.is_there);
	CHILD_CHECK(strcmp(there.why[0], nowhere.why[0]) == 0 && strcmp(there.why[1], nowhere.why[1]) == 0);
	CHILD_CHECK(shmb_remove(client, "secret/a") == -EACCES && shmb_remove(client, "secret/b") == -EACCES);
	CHILD_CHECK(writes(client, "secret/a") == -EACCES);
	snprintf(there.why[0], sizeof(there.why[0]), "%s", strchr(shmb_text(), ' '));
	CHILD_CHECK(writes(client, "secret/b") == -EACCES && strcmp(there.why[0], strchr(shmb_text(), ' ')) == 0);
	shmb_disconnect(client);
	return 0;
}

/* Where a policy hides a name, its answer is the same whether the segment is there or not. */
START_TEST(policy_does_not_tell_what_it_hides)
{
	struct broker b;

	if (geteuid() != 0)
		TEST_SKIP("needs root to become other users");
	start(&b);
	as_user(STRANGER, 0, asks_about_secrets, &b);
	broker_finish(&b);
}
END_TEST

static uint64_t secret_id; /* as a stranger may have listed it when he still saw it */

static int resumes_a_secret(struct broker *b)
{
	static struct raw_answer answer;
	struct shmb_msg_resume resume = { .handle = 1, .role = SHMB_ROLE_OBSERVER, .cell = UINT32_MAX, .generation = 1 };
	struct shmb_msg_ready ready = { 0 };
	struct shmb_msg_open_reader open;
	struct raw raw = { 0 };

	CHILD_CHECK(raw_hello(&raw, b->socket) == 0);
	resume.segment_id = secret_id;
	strcpy(resume.name, "secret/a");
	raw_ask(&raw, SHMB_OP_RESUME, &resume, sizeof(resume), NULL, 0, &answer);
	raw_answer_deinit(&answer);
	CHILD_CHECK(raw_ask(&raw, SHMB_OP_READY, &ready, sizeof(ready), NULL, 0, &answer) == 0);
	raw_answer_deinit(&answer);
	raw_open_reader(&open, "secret/a");
	open.handle = 1;
	open.role = SHMB_ROLE_OBSERVER;
	CHILD_CHECK(raw_ask(&raw, SHMB_OP_OPEN_READER, &open, sizeof(open), NULL, 0, &answer) == -EACCES);
	CHILD_CHECK(answer.fd_count == 0);
	raw_answer_deinit(&answer);
	raw_close(&raw);
	return 0;
}

/* Resuming what one never had open is no way to its descriptors. */
START_TEST(resuming_is_no_way_round_the_policy)
{
	static struct raw_answer answer;
	struct shmb_msg_list list = { 0 };
	const struct shmb_msg_segment *record;
	struct broker b;
	struct raw raw = { 0 };

	if (geteuid() != 0)
		TEST_SKIP("needs root to become other users");
	start(&b);
	ck_assert_int_eq(raw_start(&raw, b.socket), 0);
	ck_assert_int_eq(raw_ask(&raw, SHMB_OP_LIST, &list, sizeof(list), NULL, 0, &answer), 0);
	record = (const struct shmb_msg_segment *)(answer.bytes + sizeof(struct shmb_msg_list_answer));
	ck_assert_str_eq(record->name, "secret/a");
	secret_id = record->segment_id;
	raw_answer_deinit(&answer);
	raw_close(&raw);
	as_user(STRANGER, 0, resumes_a_secret, &b);
	broker_finish(&b);
}
END_TEST

static int watches_secrets(struct broker *b)
{
	struct shmb_event event;
	struct shmb_watch *watch;
	struct shmb *client;

	CHILD_CHECK(shmb_connect(&client, b->socket) == 0);
	CHILD_CHECK(shmb_watch_open(&watch, b->socket, "secret/*") == 0);
	CHILD_CHECK(shmb_remove(client, "secret/a") == -EACCES && shmb_remove(client, "secret/b") == -EACCES);
	CHILD_CHECK(shmb_watch_next(watch, &event, deadline_in(300)) == -ETIMEDOUT);
	shmb_watch_close(watch);
	shmb_disconnect(client);
	return 0;
}

/* Nor do events: who is refused hears nothing of a hidden name, whether it is there or not. */
START_TEST(events_do_not_tell_what_is_hidden)
{
	struct broker b;

	if (geteuid() != 0)
		TEST_SKIP("needs root to become other users");
	start(&b);
	as_user(STRANGER, 0, watches_secrets, &b);
	broker_finish(&b);
}
END_TEST

static int to_parent[2];

/* Hears of two refusals about a segment that it may see, and of no other. */
static int watches_what_is_open(struct broker *b)
{
	uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);
	struct shmb_event event;
	struct shmb_watch *watch;
	unsigned refusals = 0;

	CHILD_CHECK(shmb_watch_open(&watch, b->socket, NULL) == 0);
	CHILD_CHECK(write(to_parent[1], "w", 1) == 1);
	while (refusals < 2) {
		CHILD_CHECK(shmb_watch_next(watch, &event, deadline) == 0);
		if (strstr(event.text, "secret") != NULL)
			fprintf(stderr, "told: %s\n", event.text);
		CHILD_CHECK(strstr(event.text, "secret") == NULL);
		refusals += strcmp(event.kind, "refused") == 0 && strcmp(event.segment, "plain") == 0;
	}
	shmb_watch_close(watch);
	return 0;
}

/* A mistake with a handle's number is told to those who may see the segment that was asked for, who may not see the one that has the number. */
START_TEST(handle_in_use_does_not_tell_whose)
{
	static struct raw_answer answer;
	struct shmb_msg_resume resume = { .role = SHMB_ROLE_OBSERVER, .cell = UINT32_MAX };
	struct shmb_msg_ready ready = { 0 };
	struct shmb_msg_open_reader open;
	struct raw raw = { 0 };
	struct broker b;
	char byte;
	pid_t pid;

	OTHER_SKIP();
	start(&b);
	ck_assert_int_eq(pipe2(to_parent, O_CLOEXEC), 0);
	pid = other_start(STRANGER, watches_what_is_open, &b);
	ck_assert_int_eq(read(to_parent[0], &byte, 1), 1);
	ck_assert_int_eq(raw_start(&raw, b.socket), 0);
	raw_open_reader(&open, "secret/a");
	open.handle = 1;
	open.role = SHMB_ROLE_OBSERVER;
	ck_assert_int_eq(raw_ask(&raw, SHMB_OP_OPEN_READER, &open, sizeof(open), NULL, 0, &answer), 0);
	resume.handle = 1;
	resume.segment_id = answer.open.segment_id;
	resume.generation = answer.open.generation;
	raw_answer_deinit(&answer);
	raw_open_reader(&open, "plain");
	open.handle = 1;
	open.role = SHMB_ROLE_OBSERVER;
	ck_assert_int_eq(raw_ask(&raw, SHMB_OP_OPEN_READER, &open, sizeof(open), NULL, 0, &answer), -EEXIST);
	ck_assert_msg(strstr(answer.answer.text, "handle 1 ") != NULL, "%s", answer.answer.text);
	raw_close(&raw);
	ck_assert_int_eq(raw_hello(&raw, b.socket), 0);
	shmb_text_set(resume.name, sizeof(resume.name), "secret/a");
	ck_assert_int_eq(raw_ask(&raw, SHMB_OP_RESUME, &resume, sizeof(resume), NULL, 0, &answer), 0);
	shmb_text_set(resume.name, sizeof(resume.name), "plain");
	ck_assert_int_eq(raw_ask(&raw, SHMB_OP_RESUME, &resume, sizeof(resume), NULL, 0, &answer), -EEXIST);
	ck_assert_int_eq(raw_ask(&raw, SHMB_OP_READY, &ready, sizeof(ready), NULL, 0, &answer), 0);
	other_wait(pid);
	close(to_parent[0]);
	close(to_parent[1]);
	raw_end(&raw);
	broker_finish(&b);
}
END_TEST

/* Who sends nonsense again and again does not fill the log. */
START_TEST(nonsense_does_not_fill_the_log)
{
	struct raw_answer answer;
	struct raw raw = { 0 };
	unsigned lines = 0;
	struct broker b;
	char *log;

	broker_start(&b, NULL);
	for (unsigned i = 0; i < 100; i++) {
		ck_assert_int_eq(raw_start(&raw, b.socket), 0);
		ck_assert_int_eq(raw_send(&raw, "nonsense", 8), 0);
		while (raw_receive(&raw, &answer, SUITE_PATIENCE_MS) > 0)
			raw_answer_deinit(&answer);
		raw_close(&raw);
	}
	log = broker_log(&b);
	for (const char *at = log; (at = strstr(at, "no request")) != NULL; at++)
		lines++;
	ck_assert_uint_gt(lines, 0);
	ck_assert_uint_le(lines, 40);
	free(log);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("access");

	suite_add(suite, lists_of_users_and_groups, 60);
	suite_add(suite, rights_taken_away_while_it_is_open, 60);
	suite_add(suite, loader_that_may_not_follow, 60);
	suite_add(suite, policy_does_not_tell_what_it_hides, 30);
	suite_add(suite, handle_in_use_does_not_tell_whose, 30);
	suite_add(suite, events_do_not_tell_what_is_hidden, 30);
	suite_add(suite, nonsense_does_not_fill_the_log, 60);
	suite_add(suite, resuming_is_no_way_round_the_policy, 30);
	return suite_run(suite);
}
