/* SPDX-License-Identifier: MIT */
/*
 * The daemon killed at each of its steps: whatever it was in the middle of, the next daemon finds a consistent state, clients go on, and in the end
 * nothing is left. The steps are found in the sources, so a new one is tested as soon as it is there.
 *
 * Every step is forced in one life of a segment: made, written, read, its writer dying in mid-write in two ways, written on, closed, removed,
 * made anew. What only frames and blocks need has a life of those. The steps of adoption need a state to adopt; each has its own beginning.
 */
#include "../support/client.h"
#include "../support/raw.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { STEPS_MAX = 128 };

static char steps[STEPS_MAX][64];
static unsigned step_count;

struct scene {
	struct broker b;
	unsigned deaths; /* of the daemon at its step */
};

static void steps_find(void)
{
	char path[1024];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/daemon", path_source());
	dir = opendir(path);
	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)) != NULL) {
		static const char call[] = "SHMB_STEP(\"";
		char file[2048];
		char *text;

		snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
		if (strlen(entry->d_name) < 3 || strcmp(entry->d_name + strlen(entry->d_name) - 2, ".c") != 0)
			continue;
		text = file_read(file, NULL);
		for (const char *at = text; at != NULL && (at = strstr(at, call)) != NULL;) {
			at += strlen(call);
			if (strncmp(at, "worker.", 7) == 0)
				continue; /* of large segments: test_large.c */
			if (strncmp(at, "stray.", 6) == 0)
				continue; /* of files that are no segments: tests/fault/fault_files.c */
			if (strncmp(at, "turn.", 5) == 0)
				continue; /* in the midst of looking at many: test_turns.c */
			ck_assert_uint_lt(step_count, STEPS_MAX);
			snprintf(steps[step_count++], sizeof(steps[0]), "%.*s", (int)strcspn(at, "\""), at);
		}
		free(text);
	}
	closedir(dir);
	ck_assert_uint_gt(step_count, 20);
}

/* If the daemon has died at its step, starts the next one. */
static void revive(struct scene *scene)
{
	if (!program_has_ended(&scene->b.daemon))
		return;
	ck_assert_int_eq(program_wait(&scene->b.daemon), -SIGKILL);
	scene->deaths++;
	broker_restart(&scene->b);
}

/* A control request, once more after the daemon died of it. */
static struct answer persist(struct scene *scene, struct program *worker, const char *command)
{
	uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);

	for (;;) {
		struct answer answer = worker_ask(worker, "%s", command);

		if (answer.result != -ECONNREFUSED && answer.result != -ECONNRESET && answer.result != -ENOENT)
			return answer;
		ck_assert_msg(suite_pause(deadline), "%s: %d %s", command, answer.result, answer.text);
		if (!program_has_ended(&scene->b.daemon) && answer.result == -ENOENT)
			return answer;
		revive(scene);
	}
}

static struct answer persist_ok(struct scene *scene, struct program *worker, const char *command)
{
	struct answer answer = persist(scene, worker, command);

	ck_assert_msg(answer.result == 0, "%s: %d (%s) %s", command, answer.result, shmb_strerror(answer.result), answer.text);
	return answer;
}

/* The reader waits for the verdict on a writer that died; before it come `data` elements. */
static void wait_dead(struct scene *scene, struct program *reader, unsigned data, uint64_t number)
{
	uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);
	unsigned read = 0;

	for (;;) {
		struct answer answer = worker_ask(reader, "wait deadline=100");

		if (answer.result == -EOWNERDEAD)
			break;
		if (answer.result == 0) {
			answer = worker_must(reader, "next");
			ck_assert(answer.v[0] == number && answer.v[1] == 0 && answer.v[4] == 0);
			read++;
			number++;
			continue;
		}
		ASSERT_RESULT(answer, -ETIMEDOUT);
		ck_assert_msg(suite_pause(deadline), "the reader never hears of the death");
		revive(scene);
	}
	ck_assert_uint_eq(read, data);
}

static void worker_die(struct program *worker, const char *step)
{
	worker_must(worker, "step at=%s do=kill", step);
	program_send(worker, "write n=1");
	ck_assert_int_eq(program_wait(worker), -SIGKILL);
}

#define WRITER "writer name=seg bytes=64 capacity=8"

static void life(struct scene *scene)
{
	struct program reader;
	struct program writer;
	struct program other;
	struct answer answer;

	worker_start(&reader, &scene->b, "reader", false);
	worker_start(&other, &scene->b, "other", false);

	worker_start(&writer, &scene->b, "first", true);
	ck_assert_uint_eq(persist_ok(scene, &writer, WRITER " salt=1").v[0], 0);
	worker_must(&writer, "write n=3");
	persist_ok(scene, &reader, "reader name=seg bytes=64");
	answer = worker_must(&reader, "latest");
	ck_assert(answer.v[0] == 2 && answer.v[3] == 1 && answer.v[4] == 0);
	answer = persist(scene, &other, WRITER);
	ASSERT_RESULT(answer, -EBUSY);
	worker_die(&writer, "slot.published");
	wait_dead(scene, &reader, 1, 3);

	worker_start(&writer, &scene->b, "second", true);
	ck_assert_uint_eq(persist_ok(scene, &writer, WRITER " salt=2").v[0], 4);
	worker_must(&writer, "write n=1");
	worker_die(&writer, "slot.claimed");
	wait_dead(scene, &reader, 1, 4);

	worker_start(&writer, &scene->b, "third", false);
	ck_assert_uint_eq(persist_ok(scene, &writer, WRITER " salt=3").v[0], 5);
	worker_must(&writer, "write n=2");
	worker_must(&writer, "close-writer");
	revive(scene);
	worker_quit(&writer);
	for (unsigned n = 1; n < 7; n++) {
		answer = worker_must(&reader, "read n=%u", n);
		ck_assert_msg(answer.v[3] == (n < 4    ? 1
					      : n == 4 ? 2
						       : 3) &&
				      answer.v[4] == 0,
			      "number %u is of writer %d, torn %d", n, (int)answer.v[3], (int)answer.v[4]);
	}
	worker_must(&reader, "close-reader");
	revive(scene);

	answer = persist(scene, &other, "remove name=seg");
	ck_assert_msg(answer.result == 0 || (answer.result == -ENOENT && scene->deaths > 0), "remove: %d %s", answer.result, answer.text);
	ck_assert_uint_eq(persist_ok(scene, &other, WRITER " salt=4").v[0], 0);
	worker_must(&other, "write n=1");
	persist_ok(scene, &reader, "reader name=seg bytes=64");
	answer = worker_must(&reader, "latest");
	ck_assert(answer.v[0] == 0 && answer.v[3] == 4 && answer.v[4] == 0);
	worker_must(&other, "close-writer");
	revive(scene);
	answer = persist(scene, &other, "remove name=seg");
	ck_assert_msg(answer.result == 0 || (answer.result == -ENOENT && scene->deaths > 0), "remove: %d %s", answer.result, answer.text);
	worker_quit(&reader);
	worker_quit(&other);
	revive(scene);
}

/* ---- states to adopt ---- */

/* A segment with a writer and a reader that live, and three numbers. */
static void people(struct scene *scene, struct program *writer, struct program *reader)
{
	worker_start(writer, &scene->b, "writer", true);
	worker_start(reader, &scene->b, "reader", false);
	worker_must(writer, "writer name=old bytes=64 capacity=8 salt=9");
	worker_must(writer, "write n=3");
	worker_must(reader, "reader name=old bytes=64");
}

static void people_check(struct scene *scene, struct program *writer, struct program *reader, int condition)
{
	struct program next;
	struct answer answer = worker_must(reader, "latest");

	ck_assert(answer.v[0] == 2 && answer.v[3] == 9 && answer.v[4] == 0);
	worker_start(&next, &scene->b, "next", false);
	answer = worker_ask(&next, "writer name=old bytes=64 capacity=8 salt=10");
	if (condition == SHMB_WRITER_IS_ALIVE) {
		ASSERT_RESULT(answer, -EBUSY);
		worker_must(writer, "write n=1");
		ck_assert_uint_eq(worker_must(reader, "latest").v[0], 3);
		worker_must(writer, "close-writer");
		answer = worker_must(&next, "writer name=old bytes=64 capacity=8 salt=10");
		ck_assert_uint_eq(answer.v[0], 4);
	} else {
		ASSERT_RESULT(answer, 0);
		ck_assert_uint_eq(answer.v[0], 3);
	}
	worker_must(&next, "write n=1");
	worker_quit(&next);
}

/* The daemon dies at the step when it takes over what is there, and the next one takes it over. */
static void adopt(struct scene *scene, const char *step)
{
	scene->b.options.step_at = step;
	scene->b.started_once = false;
	broker_restart(&scene->b);
	if (!program_has_ended(&scene->b.daemon))
		return;
	revive(scene);
}

static void adopt_living(struct scene *scene, const char *step)
{
	struct program writer;
	struct program reader;

	people(scene, &writer, &reader);
	broker_kill(&scene->b);
	adopt(scene, step);
	people_check(scene, &writer, &reader, SHMB_WRITER_IS_ALIVE);
	worker_quit(&writer);
	worker_quit(&reader);
}

/* A grant cut in two: the lease names a process, the state does not say so yet. */
static void adopt_half_granted(struct scene *scene, const char *step)
{
	struct program writer;
	struct answer answer;

	worker_start(&writer, &scene->b, "writer", false);
	answer = worker_ask(&writer, "writer name=old bytes=64 capacity=8 salt=9");
	ck_assert_msg(answer.result != 0 && program_wait(&scene->b.daemon) == -SIGKILL, "the daemon did not die in the grant");
	adopt(scene, step);
	answer = persist_ok(scene, &writer, "writer name=old bytes=64 capacity=8 salt=9");
	ck_assert_uint_eq(answer.v[0], 0);
	worker_must(&writer, "write n=2");
	worker_quit(&writer);
}

/* As after a power cut with a /dev/shm that survived (a kexec, a restored virtual machine): every holder is of another boot. */
static void adopt_other_boot(struct scene *scene, const char *step)
{
	struct program writer;
	struct program reader;
	struct program next;
	char boot[SHMB_BOOT_ID_BYTES] = "another boot id";
	char card[512];
	struct answer answer;
	int fd;

	people(scene, &writer, &reader);
	worker_must(&writer, "step at=slot.claimed do=stop");
	program_send(&writer, "write n=1");
	program_wait_stopped(&writer);
	broker_kill(&scene->b);
	program_kill(&writer);
	snprintf(card, sizeof(card), "%s/old,1", scene->b.shm);
	fd = open(card, O_WRONLY | O_CLOEXEC);
	ck_assert(fd >= 0 && pwrite(fd, boot, sizeof(boot), offsetof(struct shmb_shm_card, boot_id)) == sizeof(boot));
	close(fd);
	adopt(scene, step);
	worker_start(&next, &scene->b, "next", false);
	answer = worker_must(&next, "writer name=old bytes=64 capacity=8 salt=10");
	ck_assert_uint_eq(answer.v[0], 3);
	worker_must(&next, "write n=1");
	worker_quit(&next);
	worker_quit(&reader);
}

/* A client that lost its connection, not its life, takes its lease back. */
static void resume(struct scene *scene)
{
	static const char schema[] = "uint64[8] words\n";
	struct shmb_msg_open_writer open;
	struct shmb_msg_resume again = { 0 };
	struct shmb_msg_ready ready = { 0 };
	static struct raw_answer answer;
	struct shmb *client;
	struct listed listed;
	struct raw raw = { 0 };
	unsigned before;
	int r;

	ASSERT_OK(raw_start(&raw, scene->b.socket));
	raw_open_writer(&open, "raw", schema, 64);
	ASSERT_OK(raw_ask(&raw, SHMB_OP_OPEN_WRITER, &open, sizeof(open), schema, strlen(schema), &answer));
	again.handle = 1;
	again.role = SHMB_ROLE_WRITER;
	again.segment_id = answer.open.segment_id;
	again.generation = answer.open.generation;
	again.epoch = answer.open.epoch;
	again.cell = UINT32_MAX;
	snprintf(again.name, sizeof(again.name), "raw");
	raw_answer_deinit(&answer);
	raw_close(&raw);
	client = broker_connect(&scene->b);
	wait_writer(client, "raw", SHMB_WRITER_IS_GONE);
	do {
		before = scene->deaths;
		r = raw_hello(&raw, scene->b.socket);
		if (r == 0)
			r = raw_ask(&raw, SHMB_OP_RESUME, &again, sizeof(again), NULL, 0, &answer);
		if (r != 0) {
			raw_close(&raw);
			WAIT_UNTIL(program_has_ended(&scene->b.daemon));
			revive(scene);
		}
	} while (scene->deaths > before);
	ASSERT_OK(r);
	ASSERT_OK(raw_ask(&raw, SHMB_OP_READY, &ready, sizeof(ready), NULL, 0, &answer));
	ck_assert(segment_listed(client, "raw", &listed) && listed.writer == SHMB_WRITER_IS_ALIVE && listed.writer_pid == getpid());
	raw_close(&raw);
	/* This process lives on, so the lease would stay given up: the segment is removed by hand once it is closed in order. */
	ASSERT_OK(raw_hello(&raw, scene->b.socket));
	ASSERT_OK(raw_ask(&raw, SHMB_OP_RESUME, &again, sizeof(again), NULL, 0, &answer));
	ASSERT_OK(raw_ask(&raw, SHMB_OP_READY, &ready, sizeof(ready), NULL, 0, &answer));
	{
		struct shmb_msg_close end = { .handle = 1 };

		ASSERT_OK(raw_ask(&raw, SHMB_OP_CLOSE, &end, sizeof(end), NULL, 0, &answer));
	}
	raw_close(&raw);
	shmb_disconnect(client);
}

/* ---- frames and blocks ---- */

static const char words[] = "uint64[8] words\n";

static void *mapped(int fd)
{
	void *at = mmap(NULL, SHMB_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return at == MAP_FAILED ? NULL : at;
}

/* A writer and reader of a frame: a slot on loan, a pin. All in the first page of the data part. */
static int loan_and_pin(struct raw *raw)
{
	static struct raw_answer answer;
	struct shmb_msg_open_writer open;
	struct shmb_msg_open_reader again;
	struct shmb_shm_area *area;
	char *data;
	int r;

	raw_open_kind(&open, SHMB_KIND_FRAME, "kind", words, 64);
	r = raw_ask(raw, SHMB_OP_OPEN_WRITER, &open, sizeof(open), words, strlen(words), &answer);
	if (r != 0)
		return r;
	data = mapped(answer.fds[1]);
	raw_open_reader(&again, "kind");
	again.handle = 2;
	r = raw_ask(raw, SHMB_OP_OPEN_READER, &again, sizeof(again), NULL, 0, &answer);
	if (r != 0)
		return r;
	area = mapped(answer.fds[2]);
	if (data == NULL || area == NULL || answer.open.cell != 0)
		return -EIO;
	atomic_store((_Atomic uint64_t *)(data + sizeof(struct shmb_shm_data)), 1);
	atomic_store(&area->cells[0].pins[5], 1);
	return 0;
}

static int share_and_lock(struct raw *raw)
{
	static struct raw_answer answer;
	struct shmb_msg_open_writer open;
	struct shmb_shm_data *data;
	int r;

	raw_open_kind(&open, SHMB_KIND_BLOCK, "kind", words, 64);
	r = raw_ask(raw, SHMB_OP_OPEN_WRITER, &open, sizeof(open), words, strlen(words), &answer);
	if (r != 0)
		return r;
	data = mapped(answer.fds[1]);
	if (data == NULL)
		return -EIO;
	atomic_store(&data->lock, answer.open.cell + 1);
	return 0;
}

/* The first page of a part of the segment. */
static void *kind_part(struct scene *scene, const char *part)
{
	char path[512];
	void *at;
	int fd;

	snprintf(path, sizeof(path), "%s/kind,1%s", scene->b.shm, part);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_msg(fd >= 0, "%s", path);
	at = mapped(fd);
	ck_assert_ptr_nonnull(at);
	close(fd);
	return at;
}

/* Its holder dies, and however often the daemon dies of that, in the end nothing is left of what it held. */
static void kind_life(struct scene *scene, int (*act)(struct raw *raw))
{
	struct shmb_shm_card *card;
	struct shmb_shm_data *data;
	struct shmb_shm_area *area;
	struct raw_child child;
	uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);

	raw_child_start(&child, scene->b.socket, act);
	ASSERT_OK(child.result);
	card = kind_part(scene, "");
	data = kind_part(scene, ",data");
	area = kind_part(scene, ",area0");
	ck_assert_uint_eq(atomic_load(&card->area_cells[0]), 1);
	raw_child_kill(&child);
	while (atomic_load(&card->cells[0].pid) != 0 || atomic_load(&card->lease_pid) != 0 || program_has_ended(&scene->b.daemon)) {
		ck_assert_msg(suite_pause(deadline), "the daemon never sees to the death");
		revive(scene);
	}
	ck_assert_uint_eq(atomic_load(&card->area_cells[0]), 0);
	ck_assert_uint_eq(atomic_load(&area->cells[0].pins[5]), 0);
	if (card->kind == SHMB_KIND_BLOCK)
		ck_assert_uint_eq(atomic_load(&data->lock), SHMB_LOCK_OWNER_DIED);
	else
		ck_assert_uint_eq(atomic_load((_Atomic uint64_t *)(data + 1)), 0);
	munmap(card, SHMB_PAGE);
	munmap(data, SHMB_PAGE);
	munmap(area, SHMB_PAGE);
}

/* A cell taken and not yet marked: its reader asks again, and the next daemon marks it meanwhile. */
static void adopt_half_taken(struct scene *scene, const char *step)
{
	struct program writer;
	struct program reader;
	struct answer answer;

	worker_start(&writer, &scene->b, "writer", false);
	worker_start(&reader, &scene->b, "reader", false);
	worker_must(&writer, "writer name=old bytes=64 capacity=8 salt=9");
	worker_must(&writer, "write n=3");
	answer = worker_ask(&reader, "reader name=old bytes=64");
	ck_assert_msg(answer.result != 0 && program_wait(&scene->b.daemon) == -SIGKILL, "the daemon did not die in taking the cell");
	adopt(scene, step);
	persist_ok(scene, &reader, "reader name=old bytes=64");
	people_check(scene, &writer, &reader, SHMB_WRITER_IS_ALIVE);
	worker_quit(&writer);
	worker_quit(&reader);
}

/*
 * A name made anew with another layout, the daemon killed in the middle of it, and where `step` is given killed again while it takes over what is
 * there: there is a second generation and no third, its numbers go on, and the reader that was open all the while has every one.
 */
static void anew(struct scene *scene, const char *step)
{
	struct program writer;
	struct program reader;
	struct program other;
	struct answer answer;

	worker_start(&writer, &scene->b, "writer", false);
	worker_start(&reader, &scene->b, "reader", false);
	worker_start(&other, &scene->b, "other", false);
	worker_must(&writer, "writer name=old bytes=64 capacity=8 salt=9");
	worker_must(&reader, "reader name=old bytes=64");
	worker_must(&writer, "write n=3");
	worker_must(&writer, "close-writer");
	if (step != NULL) {
		answer = worker_ask(&other, "writer name=old bytes=64 capacity=16 salt=10");
		ck_assert_msg(answer.result != 0 && program_wait(&scene->b.daemon) == -SIGKILL, "the daemon did not die");
		adopt(scene, step);
	}
	answer = persist_ok(scene, &other, "writer name=old bytes=64 capacity=16 salt=10");
	ck_assert_uint_eq(answer.v[0], 3);
	worker_must(&other, "write n=2");
	for (unsigned n = 0; n < 5;) {
		answer = worker_ask(&reader, "wait deadline=15000");
		if (answer.result == -EPIPE || answer.result == -EREMCHG)
			continue;
		ASSERT_RESULT(answer, 0);
		answer = worker_must(&reader, "next");
		ck_assert(answer.v[0] == n && answer.v[1] == 0 && answer.v[3] == (n < 3 ? 9 : 10) && answer.v[4] == 0);
		n++;
	}
	ck_assert_uint_eq(worker_must(&reader, "status").v[6], 2);
	worker_quit(&writer);
	worker_quit(&reader);
	worker_quit(&other);
}

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* Returns how often the daemon died. */
static unsigned killed_at(const char *step)
{
	struct broker_options options = { .steps = true };
	struct scene scene = { .deaths = 0 };
	bool adoption = begins(step, "adopt.");

	if (!adoption)
		options.step_at = step;
	else if (begins(step, "adopt.writer") || begins(step, "adopt.state"))
		options.step_at = "grant.pid";
	else if (begins(step, "adopt.bits"))
		options.step_at = "cell.pid";
	if (begins(step, "close."))
		options.step_at = "create.card:2";
	else if (begins(step, "reopen."))
		options.step_at = "cut.cut";
	if (begins(step, "create.sealed"))
		options.runtime_mode = 0755; /* others may connect, so areas are sealed */
	broker_start(&scene.b, &options);
	if (begins(step, "adopt.writer") || begins(step, "adopt.state"))
		adopt_half_granted(&scene, step);
	else if (begins(step, "adopt.cell") || begins(step, "adopt.boot"))
		adopt_other_boot(&scene, step);
	else if (begins(step, "adopt.bits"))
		adopt_half_taken(&scene, step);
	else if (begins(step, "close.") || begins(step, "reopen."))
		anew(&scene, step);
	else if (begins(step, "cut.") || begins(step, "link."))
		anew(&scene, NULL);
	else if (adoption)
		adopt_living(&scene, step);
	else if (begins(step, "resume."))
		resume(&scene);
	else if (begins(step, "repair.loan") || begins(step, "cell.left"))
		kind_life(&scene, loan_and_pin);
	else if (begins(step, "repair.lock"))
		kind_life(&scene, share_and_lock);
	else
		life(&scene);
	broker_finish(&scene.b);
	return scene.deaths;
}

START_TEST(daemon_killed_at_each_step)
{
	unsigned forced = 0;

	steps_find();
	for (unsigned i = 0; i < step_count; i++) {
		unsigned deaths;

		if (getenv("SHMB_TEST_VERBOSE") != NULL)
			fprintf(stderr, "%s\n", steps[i]);
		deaths = killed_at(steps[i]);
		ck_assert_msg(deaths == 1, "%s: the daemon died %u times, not once", steps[i], deaths);
		forced++;
	}
	printf("the daemon was killed at %u steps\n", forced);
}
END_TEST

/* The second time it comes to a step is another situation: another file of the segment, the next writer. Not every step comes twice. */
START_TEST(daemon_killed_at_each_step_the_second_time)
{
	unsigned forced = 0;

	steps_find();
	for (unsigned i = 0; i < step_count; i++) {
		char step[80];

		if (begins(steps[i], "adopt.") || begins(steps[i], "resume.") || begins(steps[i], "close.") || begins(steps[i], "reopen."))
			continue;
		snprintf(step, sizeof(step), "%s:2", steps[i]);
		if (getenv("SHMB_TEST_VERBOSE") != NULL)
			fprintf(stderr, "%s\n", step);
		forced += killed_at(step);
	}
	printf("the daemon was killed at %u steps the second time it came there\n", forced);
	ck_assert_uint_gt(forced, 15);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("daemon steps");

	suite_add(suite, daemon_killed_at_each_step, 150);
	suite_add(suite, daemon_killed_at_each_step_the_second_time, 150);
	return suite_run(suite);
}
