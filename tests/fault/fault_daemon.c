/* SPDX-License-Identifier: MIT */
/*
 * The daemon killed at each system call of what it does (lines 13 to 16 of the catalogue): of making a segment, of handing one out, of reaping, of
 * taking over what a daemon before it left.
 *
 * A tracer counts its system calls and kills it at the entry of the first, the second, and so on, until a run comes to its end unharmed. After
 * each death the next daemon starts on the same directories; what it and its clients then see is checked, and that nothing is left behind.
 * (The steps between the system calls: daemon_steps.)
 *
 *   SHMB_FAULT_STRIDE=N    only at every N-th, default 1
 */
#include "../support/client.h"
#include "look.h"
#include "tracer.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Not every system call where the run is expected to fail anyway. */
static unsigned stride(void)
{
	const char *text = getenv("SHMB_FAULT_STRIDE");

	if (getenv("SHMB_TEST_SHORT") != NULL)
		return 3;
	return text != NULL && atoi(text) > 0 ? (unsigned)atoi(text) : 1;
}

static bool has_answered(void *user)
{
	return program_has_line(user, 0);
}

/* Files of a segment (of generation 1). */
static unsigned files_of(struct broker *b, const char *name)
{
	char *names = dir_names(b->shm);
	char *rest = names;
	char *file;
	char prefix[256];
	unsigned count = 0;

	snprintf(prefix, sizeof(prefix), "%s,1", name);
	while ((file = strsep(&rest, "\n")) != NULL)
		count += strncmp(file, prefix, strlen(prefix)) == 0;
	free(names);
	return count;
}

/* A request once more where the daemon died of it; after that it must be answered. */
static struct answer again(struct program *worker, const char *command)
{
	uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);
	struct answer answer;

	do {
		answer = worker_ask(worker, "%s", command);
	} while ((answer.result == -ECONNRESET || answer.result == -ECONNREFUSED) && suite_pause(deadline));
	return answer;
}

struct scene {
	struct broker b;
	unsigned forced; /* kills */
	unsigned calls;	 /* in the last run, which nobody killed */
};

/* Sends the command while the daemon is traced; kills it at call `at`. True: it was killed, and the next one is there. */
static bool killed_at(struct scene *scene, struct program *worker, const char *command, unsigned at, struct answer *answer)
{
	struct tracer tracer;
	bool killed;

	worker_ask(worker, "remove name=none"); /* connected: what follows is one request */
	tracer_attach(&tracer, scene->b.daemon.pid);
	program_send(worker, "%s", command);
	killed = tracer_run(&tracer, at, has_answered, worker);
	scene->calls = tracer.calls;
	if (!killed) {
		*answer = worker_answer(worker);
		return false;
	}
	scene->forced++;
	ck_assert_int_eq(program_wait(&scene->b.daemon), -SIGKILL);
	*answer = worker_answer(worker);
	return true;
}

/* ---- 13 ---- */

static const struct {
	const char *kind, *open, *reader;
} makes[] = {
	{ "ring", "writer name=%s bytes=64 capacity=8 salt=1", "reader name=%s bytes=64" },
	{ "frame", "frame-writer name=%s bytes=4096 salt=1", "frame-reader name=%s" },
	{ "queue", "producer name=%s bytes=64 capacity=8 salt=1", "consumer name=%s" },
	{ "block", "block name=%s", "block name=%s" },
};

static char *command_of(const char *format, const char *name)
{
	static char commands[4][256];
	static unsigned turn;
	char *command = commands[turn++ % 4];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(command, sizeof(commands[0]), format, name);
#pragma GCC diagnostic pop
	return command;
}

START_TEST(fault_13_killed_at_each_system_call_of_create)
{
	struct scene scene = { 0 };
	unsigned whole = 0; /* files of a whole segment: card, data, record, areas */

	broker_start(&scene.b, NULL);
	for (unsigned kind = 0; kind < sizeof(makes) / sizeof(makes[0]); kind++) {
		bool killed = true;

		for (unsigned at = 1; killed; at += stride()) {
			struct program worker;
			struct program other;
			struct answer answer;
			struct shmb *client;
			bool seen;
			char name[32];

			snprintf(name, sizeof(name), "%s%u", makes[kind].kind, at);
			worker_start(&worker, &scene.b, "worker", false);
			killed = killed_at(&scene, &worker, command_of(makes[kind].open, name), at, &answer);
			if (killed)
				broker_restart(&scene.b);
			else
				ASSERT_RESULT(answer, 0);

			/* Another one sees all of it or nothing. */
			client = broker_connect(&scene.b);
			seen = segment_listed(client, name, NULL);
			ck_assert_msg(seen == (files_of(&scene.b, name) > 0), "%s, call %u: listed %d, %u files", makes[kind].kind, at,
				      seen, files_of(&scene.b, name));
			if (seen) {
				if (whole != 0)
					ck_assert_uint_eq(files_of(&scene.b, name), whole);
				worker_start(&other, &scene.b, "other", false);
				worker_must(&other, "%s", command_of(makes[kind].reader, name));
				program_kill(&other);
			}
			/* The one who asked asks again, and has it: it was granted to nobody else meanwhile. */
			if (killed && answer.result != 0)
				ASSERT_RESULT(again(&worker, command_of(makes[kind].open, name)), 0);
			if (whole == 0)
				whole = files_of(&scene.b, name);
			ck_assert_uint_eq(files_of(&scene.b, name), whole);
			ck_assert_uint_eq(look_counter(&scene.b, name), 0);
			worker_quit(&worker);
			WAIT_UNTIL(look_cells(&scene.b, name) == 0);
			ASSERT_OK(shmb_remove(client, name));
			ck_assert_uint_eq(files_of(&scene.b, name), 0);
			shmb_disconnect(client);
		}
	}
	printf("forced: the daemon killed at %u system calls of making a segment (%u in the last)\n", scene.forced, scene.calls);
	ck_assert_uint_gt(scene.forced * stride(), 20);
	broker_finish(&scene.b);
}
END_TEST

/* ---- 14 ---- */

/* What is handed out, and how often it may be held afterwards. */
static const struct {
	const char *what, *open;
	unsigned cells; /* taken when it is open, besides the keeper's */
	bool is_writer;
} opens[] = {
	{ "a free lease", "writer name=ring bytes=64 capacity=8 salt=2", 0, true },
	{ "a ring's reader", "reader name=kept bytes=64", 1, false },
	{ "a frame's reader", "frame-reader name=frame", 1, false },
	{ "a queue's consumer", "consumer name=queue", 1, false },
	{ "a block's sharer", "block name=block", 1, false },
};

START_TEST(fault_14_killed_while_descriptors_are_sent)
{
	static const char *const segments[] = { "ring", "kept", "frame", "queue", "block" };
	struct scene scene = { 0 };
	struct program keeper;
	struct program maker;

	broker_start(&scene.b, NULL);
	worker_start(&maker, &scene.b, "maker", false);
	worker_must(&maker, "writer name=ring bytes=64 capacity=8 salt=1");
	worker_must(&maker, "write n=3");
	worker_must(&maker, "block name=block");
	worker_quit(&maker);
	worker_start(&keeper, &scene.b, "keeper", false);
	worker_must(&keeper, "writer name=kept bytes=64 capacity=8 salt=1");
	worker_must(&keeper, "write n=1");
	worker_must(&keeper, "frame-writer name=frame bytes=64 salt=1");
	worker_must(&keeper, "frame-write n=1");
	worker_must(&keeper, "producer name=queue bytes=64 salt=1");
	for (unsigned i = 0; i < sizeof(opens) / sizeof(opens[0]); i++) {
		bool killed = true;

		for (unsigned at = 1; killed; at += stride()) {
			struct shmb_shm_card before;
			struct shmb_shm_card after;
			struct program worker;
			struct answer answer;

			worker_start(&worker, &scene.b, "worker", false);
			look_card(&scene.b, segments[i], &before);
			killed = killed_at(&scene, &worker, opens[i].open, at, &answer);
			if (killed) {
				broker_restart(&scene.b);
				if (answer.result != 0)
					answer = again(&worker, opens[i].open);
			}
			ck_assert_msg(answer.result == 0, "%s, call %u: asked again: %d %s", opens[i].what, at, answer.result, answer.text);
			/* However often it was given: held once. */
			WAIT_UNTIL(look_cells(&scene.b, segments[i]) == opens[i].cells);
			ck_assert_uint_eq(look_bits(&scene.b, segments[i]), opens[i].cells);
			look_card(&scene.b, segments[i], &after);
			if (opens[i].is_writer) {
				ck_assert_int_eq(atomic_load(&after.lease_pid), worker.pid);
				ck_assert_uint_le(atomic_load(&after.lease_epoch) - atomic_load(&before.lease_epoch), 2);
				worker_must(&worker, "write n=1");
			}
			worker_quit(&worker);
			WAIT_UNTIL(look_cells(&scene.b, segments[i]) == 0);
		}
	}
	worker_must(&keeper, "write n=1");
	worker_must(&keeper, "frame-write n=1");
	worker_must(&keeper, "push n=1");
	printf("forced: the daemon killed at %u system calls of handing out what was asked for (%u in the last)\n", scene.forced,
	       scene.calls);
	ck_assert_uint_gt(scene.forced * stride(), 20);
	worker_quit(&keeper);
	broker_finish(&scene.b);
}
END_TEST

/* ---- 15 ---- */

static char reaped_file[64];

static bool is_reaped(void *user)
{
	struct scene *scene = user;

	return files_of(&scene->b, reaped_file) == 0;
}

static void reap_killed(bool by_hand)
{
	struct broker_options options = { .linger = by_hand ? NULL : "20ms" };
	struct scene scene = { 0 };
	struct program keeper;
	struct program reader;
	unsigned written = 1;
	bool killed = true;

	broker_start(&scene.b, &options);
	worker_start(&keeper, &scene.b, "keeper", false);
	worker_start(&reader, &scene.b, "reader", false);
	worker_must(&keeper, "writer name=kept bytes=64 salt=1");
	worker_must(&keeper, "write n=1");
	worker_must(&reader, "reader name=kept bytes=64");
	for (unsigned at = 1; killed; at += stride(), written++) {
		struct tracer tracer;
		struct program worker;

		snprintf(reaped_file, sizeof(reaped_file), "gone%u", at);
		worker_start(&worker, &scene.b, "worker", false);
		worker_must(&worker, "writer name=%s bytes=64 salt=1", reaped_file);
		worker_must(&worker, "write n=2");
		if (by_hand)
			worker_must(&worker, "close-writer");
		tracer_attach(&tracer, scene.b.daemon.pid);
		program_send(&worker, "%s", by_hand ? command_of("remove name=%s", reaped_file) : "close-writer");
		killed = tracer_run(&tracer, at, is_reaped, &scene);
		scene.calls = tracer.calls;
		if (killed) {
			scene.forced++;
			ck_assert_int_eq(program_wait(&scene.b.daemon), -SIGKILL);
			broker_restart(&scene.b);
		}
		worker_answer(&worker);
		if (by_hand)
			again(&worker, command_of("remove name=%s", reaped_file));
		program_kill(&worker);
		WAIT_UNTIL(is_reaped(&scene));
		/* Nothing that is needed went with it. */
		worker_must(&keeper, "write n=1");
		ck_assert_uint_eq(worker_must(&reader, "latest").v[0], written);
	}
	printf("forced: the daemon killed at %u system calls of %s\n", scene.forced, by_hand ? "removing" : "reaping");
	ck_assert_uint_gt(scene.forced * stride(), 15);
	again(&keeper, "remove name=none");
	again(&reader, "remove name=none");
	worker_quit(&keeper);
	worker_quit(&reader);
	if (!by_hand)
		WAIT_UNTIL(files_of(&scene.b, "kept") == 0);
	broker_finish(&scene.b);
}

/* Of what the policy reaps by itself, and of what is removed by hand; what somebody holds stays. */
START_TEST(fault_15_killed_in_mid_reap)
{
	reap_killed(false);
	reap_killed(true);
}
END_TEST

/* ---- 16 ---- */

enum { SAVED_MAX = 96 };

/* Files of what died, as they lay there: put back before each start, so that each has the same to do. */
static struct saved {
	char path[1024];
	char *bytes;
	size_t size;
} saved[SAVED_MAX];
static unsigned saved_count;

static void save(struct broker *b, const char *prefix)
{
	char *names = dir_names(b->shm);
	char *rest = names;
	char *file;

	while ((file = strsep(&rest, "\n")) != NULL) {
		struct saved *one = &saved[saved_count];

		if (strncmp(file, prefix, strlen(prefix)) != 0)
			continue;
		ck_assert_uint_lt(saved_count, SAVED_MAX);
		snprintf(one->path, sizeof(one->path), "%s/%s", b->shm, file);
		one->bytes = file_read(one->path, &one->size);
		ck_assert_ptr_nonnull(one->bytes);
		saved_count++;
	}
	free(names);
}

static void put_back(void)
{
	for (unsigned i = 0; i < saved_count; i++) {
		unlink(saved[i].path);
		file_write(saved[i].path, saved[i].bytes, saved[i].size);
	}
}

static bool is_ready(void *user)
{
	return look_log(user, "ready on", "") > 0;
}

/* What is there to take over: a writer dead in mid-write, a frame with loan and pins, a locked block, a removal half done; and people who live. */
static void dead_make(struct scene *scene)
{
	struct program ring;
	struct program frame;
	struct program pins;
	struct program lock;
	struct program gone;

	worker_start(&ring, &scene->b, "ring", true);
	worker_must(&ring, "writer name=dead-ring bytes=4096 capacity=8 salt=1");
	worker_must(&ring, "write n=3");
	worker_must(&ring, "step at=slot.claimed do=stop");
	program_send(&ring, "write n=1");
	program_wait_stopped(&ring);
	worker_start(&frame, &scene->b, "frame", true);
	worker_must(&frame, "frame-writer name=dead-frame bytes=4096 salt=1");
	worker_must(&frame, "frame-write n=2");
	worker_must(&frame, "step at=frame.filled do=stop");
	worker_start(&pins, &scene->b, "pins", false);
	worker_must(&pins, "frame-reader name=dead-frame");
	worker_must(&pins, "frame-pin");
	program_send(&frame, "frame-write n=1");
	program_wait_stopped(&frame);
	worker_start(&lock, &scene->b, "lock", false);
	worker_must(&lock, "block name=dead-block");
	worker_must(&lock, "lock deadline=forever");
	worker_start(&gone, &scene->b, "gone", false);
	worker_must(&gone, "writer name=dead-gone bytes=64 salt=1");
	worker_must(&gone, "close-writer");
	worker_quit(&gone);
	broker_kill(&scene->b);
	program_kill(&ring);
	program_kill(&frame);
	program_kill(&pins);
	program_kill(&lock);
	{
		size_t size;
		struct shmb_shm_card *card = look_map(&scene->b, "dead-gone", "", &size);

		atomic_store(&card->state, shmb_state_word(atomic_load(&card->lease_epoch), SHMB_STATE_REMOVED));
		look_unmap(card, size);
	}
	/* Who could write it did this while a daemon died in the middle of removing it. */
	ck_assert_int_eq(truncate(look_path(&scene->b, "dead-gone", ",data"), 0), 0);
	save(&scene->b, "dead-");
}

static void dead_check(struct scene *scene)
{
	size_t size;
	struct shmb_shm_data *data;
	struct shmb_shm_card card;

	ck_assert_uint_eq(look_half_written(&scene->b, "dead-ring"), 0);
	ck_assert_uint_eq(look_counter(&scene->b, "dead-ring"), 3);
	look_card(&scene->b, "dead-ring", &card);
	ck_assert_int_eq(atomic_load(&card.lease_pid), 0);
	ck_assert_uint_eq(look_half_written(&scene->b, "dead-frame"), 0);
	ck_assert_uint_eq(look_cells(&scene->b, "dead-frame") + look_pins(&scene->b, "dead-frame", false), 0);
	data = look_map(&scene->b, "dead-block", ",data", &size);
	ck_assert_uint_eq(atomic_load(&data->lock), SHMB_LOCK_OWNER_DIED);
	look_unmap(data, size);
	ck_assert_uint_eq(files_of(&scene->b, "dead-gone"), 0);
}

static bool never(void *user)
{
	(void)user;
	return false;
}

/*
 * System calls of a daemon that has nothing to do but to say its version. Those before its main() are a sanitizer's, some hundreds, and at these the
 * directory is as it was.
 */
static unsigned calls_of_nothing(const char *log)
{
	const char *options = getenv("ASAN_OPTIONS");
	char *before = options != NULL ? strdup(options) : NULL;
	struct tracer tracer;
	int status;

	suite_sanitizer_option("detect_leaks=0"); /* it would trace as well */
	tracer_start(&tracer, log, ARGV(path_daemon(), "--version"));
	tracer_run(&tracer, 0, never, NULL);
	ck_assert_int_eq(waitpid(tracer.pid, &status, 0), tracer.pid);
	ck_assert_int_eq(status, 0);
	setenv("ASAN_OPTIONS", before != NULL ? before : "", 1);
	free(before);
	return tracer.calls;
}

START_TEST(fault_16_killed_in_mid_adoption)
{
	enum { CALLS_OF_ITS_END = 20 }; /* more than it makes to say that and to end */

	struct program writer;
	struct program reader;
	struct scene scene = { 0 };
	uint64_t number = 2;
	unsigned first = 1;
	bool killed = true;

	broker_start(&scene.b, NULL);
	if (SUITE_SANITIZED)
		first = calls_of_nothing(scene.b.log) - CALLS_OF_ITS_END;
	worker_start(&writer, &scene.b, "writer", false);
	worker_start(&reader, &scene.b, "reader", false);
	worker_must(&writer, "writer name=alive bytes=64 salt=1");
	worker_must(&writer, "write n=3");
	worker_must(&reader, "reader name=alive bytes=64");
	dead_make(&scene);
	for (unsigned at = first; killed; at += stride()) {
		struct tracer tracer;
		struct answer answer;
		int status;

		put_back();
		unlink(scene.b.log);
		tracer_start(&tracer, scene.b.log,
			     ARGV(path_daemon(), "--runtime-dir", scene.b.runtime, "--shm-dir", scene.b.shm, "--linger", "infinity"));
		killed = tracer_run(&tracer, at, is_ready, &scene.b);
		scene.calls = tracer.calls;
		scene.forced += killed;
		ck_assert_int_eq(waitpid(tracer.pid, &status, 0), tracer.pid);
		ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

		broker_restart(&scene.b);
		dead_check(&scene);
		worker_must(&writer, "write n=1");
		answer = worker_must(&reader, "latest");
		ck_assert(answer.v[0] == ++number && answer.v[4] == 0);
		if (at % 16 == 1) {
			ck_assert_int_eq(again(&writer, "remove name=none").result, -ENOENT);
			answer = worker_must(&reader, "status");
			ck_assert(answer.v[0] == SHMB_WRITER_IS_ALIVE && answer.v[1] == (uint64_t)writer.pid);
		}
		broker_kill(&scene.b);
	}
	if (first > 1)
		printf("the first %u system calls of the daemon are the sanitizer's: it is not killed there\n", first - 1);
	printf("forced: the daemon killed at %u system calls between its exec and its being ready\n", scene.forced);
	ck_assert_uint_gt(scene.forced * stride(), 50);
	while (saved_count > 0)
		free(saved[--saved_count].bytes);
	broker_restart(&scene.b);
	again(&writer, "remove name=none");
	again(&reader, "remove name=none");
	worker_quit(&writer);
	worker_quit(&reader);
	broker_finish(&scene.b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fault: daemon");

	suite_add(suite, fault_13_killed_at_each_system_call_of_create, 300);
	suite_add(suite, fault_14_killed_while_descriptors_are_sent, 300);
	suite_add(suite, fault_15_killed_in_mid_reap, 300);
	suite_add(suite, fault_16_killed_in_mid_adoption, 300);
	return suite_run(suite);
}
