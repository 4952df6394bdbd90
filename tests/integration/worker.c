/* SPDX-License-Identifier: MIT */
/*
 * A process for tests to order about: it connects, writes and reads as it is told on stdin, and answers each command with one line on
 * stdout, "RESULT NUMBERS... | TEXT" where RESULT is 0 or a negative errno. Payloads are those of pattern.h. One writer and one reader.
 *
 *   writer name= kind=ring|value bytes= capacity= stamped= deadline=MS|forever type= schema= salt=     -> next | text
 *   reader name= kind= bytes= (0: any type) deadline= type= schema=                                      -> | text
 *   write n=                                   -> next                publishes n patterns
 *   run period=US                              ->                     publishes until the next command; `stop` -> next
 *   latest / next / read n=                    -> number missed stamp salt torn
 *   wait deadline=MS|forever                   -> time of its end
 *   watch                                      ->                     reads all until the next command but `seen`
 *   seen                                       -> samples             so far; it goes on
 *   stop [last=N] [dead=N]                     -> samples missed torn backward dead closed others last first again
 *                                                 after number `last` has come and `dead` deaths were seen (or 15 s have passed)
 *   bounds                                     -> oldest next
 *   status                                     -> condition pid epoch oldest next heartbeat generation next-generation
 *   follow                                     ->                     goes on in the next generation
 *   heartbeat, close-writer, close-reader, disconnect, remove name=, ping
 *   step at=NAME do=ACTION                     the next hook of that name (worker of the test build)
 *   become uid= [group=]                       ->                     goes on as another user, in one more group; before it connects
 *   exec                                       becomes sleep(1)
 *   quit                                       closes everything and ends
 *
 * Commands for queues and blocks: worker_queue.h; for frames: worker_frame.h. In `schema=`, '+' stands for a blank and ';' for a newline.
 */
#include "shmb.h"

#include "../support/pattern.h"
#include "worker_frame.h"
#include "worker_queue.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct tally {
	uint64_t samples, missed, torn, backward, dead, closed, others, last, first, again;
};

struct worker {
	struct shmb *broker;
	struct shmb_ring_writer *ring_writer;
	struct shmb_value_writer *value_writer;
	struct shmb_ring_reader *ring_reader;
	struct shmb_value_reader *value_reader;
	void *out; /* the writer's payload */
	size_t out_bytes;
	void *in;
	size_t in_bytes;
	unsigned salt;
	struct tally tally;
	int run_result;
	char line[4096];
	char buffer[8192];
	size_t filled;
};

static void answer(int result, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void answer(int result, const char *format, ...)
{
	va_list args;

	printf("%d ", result);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf(" |");
	for (const char *text = result < 0 ? shmb_text() : ""; *text != '\0'; text++)
		putchar(*text == '\n' ? ';' : *text);
	putchar('\n');
	fflush(stdout);
}

/* ---- commands and their arguments ---- */

/* Value of `key=` in the command; NULL when it is not there. Valid for the next few calls. */
static const char *argument(const struct worker *worker, const char *key)
{
	static char values[8][2048];
	static unsigned turn;
	char *value = values[turn++ % 8];
	size_t length = strlen(key);

	for (const char *at = worker->line; (at = strstr(at, key)) != NULL; at += length) {
		if (at > worker->line && at[-1] == ' ' && at[length] == '=') {
			snprintf(value, sizeof(values[0]), "%.*s", (int)strcspn(at + length + 1, " "), at + length + 1);
			return value;
		}
	}
	return NULL;
}

static uint64_t number(const struct worker *worker, const char *key, uint64_t otherwise)
{
	const char *value = argument(worker, key);

	return value != NULL ? strtoull(value, NULL, 10) : otherwise;
}

static uint64_t deadline(const struct worker *worker)
{
	const char *value = argument(worker, "deadline");

	if (value == NULL)
		return SHMB_NO_WAIT;
	if (strcmp(value, "forever") == 0)
		return SHMB_FOREVER;
	return shmb_now_ns() + strtoull(value, NULL, 10) * 1000000;
}

/* Waits until a command has come; `ms` as poll(2). 1 a command in worker->line, 0 none yet, -1 end. */
static int command(struct worker *worker, int ms)
{
	for (;;) {
		char *end = memchr(worker->buffer, '\n', worker->filled);
		struct pollfd ready = { .fd = STDIN_FILENO, .events = POLLIN };
		ssize_t got;

		if (end != NULL) {
			size_t length = (size_t)(end - worker->buffer);

			snprintf(worker->line, sizeof(worker->line), "%.*s", (int)length, worker->buffer);
			worker->filled -= length + 1;
			memmove(worker->buffer, end + 1, worker->filled);
			return 1;
		}
		if (poll(&ready, 1, ms) <= 0)
			return 0;
		got = read(STDIN_FILENO, worker->buffer + worker->filled, sizeof(worker->buffer) - worker->filled);
		if (got <= 0)
			return -1;
		worker->filled += (size_t)got;
	}
}

/* ---- both kinds alike ---- */

static int publish(struct worker *worker, uint64_t count)
{
	int r = worker->out == NULL ? -EBADF : 0;

	for (; r == 0 && count > 0; count--) {
		if (worker->ring_writer != NULL) {
			pattern_fill(worker->out, worker->out_bytes, shmb_ring_next_number(worker->ring_writer), worker->salt);
			r = shmb_ring_insert(worker->ring_writer, worker->out);
		} else {
			pattern_fill(worker->out, worker->out_bytes, shmb_value_next(worker->value_writer), worker->salt);
			r = shmb_value_store(worker->value_writer, worker->out);
		}
	}
	return r;
}

static uint64_t next_number(const struct worker *worker)
{
	if (worker->ring_writer != NULL)
		return shmb_ring_next_number(worker->ring_writer);
	return worker->value_writer != NULL ? shmb_value_next(worker->value_writer) : 0;
}

static int wait_for(struct worker *worker, uint64_t until)
{
	return worker->ring_reader != NULL ? shmb_ring_wait(worker->ring_reader, until) : shmb_value_wait(worker->value_reader, until);
}

static int take_next(struct worker *worker, struct shmb_sample *sample)
{
	if (worker->ring_reader != NULL)
		return shmb_ring_read_next(worker->ring_reader, worker->in, sample);
	return shmb_value_load(worker->value_reader, worker->in, sample);
}

static void answer_sample(struct worker *worker, int r, const struct shmb_sample *sample)
{
	unsigned salt = 0;
	bool whole = r == 0 && pattern_check(worker->in, worker->in_bytes, sample->number, &salt);

	if (r == 0)
		answer(r, "%llu %llu %llu %u %d", (unsigned long long)sample->number, (unsigned long long)sample->missed,
		       (unsigned long long)sample->stamp_ns, salt, !whole);
	else
		answer(r, "%s", "");
}

/* ---- open ---- */

static int make_type(const struct worker *worker, struct shmb_type **out)
{
	const char *name = argument(worker, "type");
	const char *given = argument(worker, "schema");
	size_t bytes = number(worker, "bytes", 64);
	char schema[2048];

	if (given != NULL)
		snprintf(schema, sizeof(schema), "%s", given);
	else if (bytes % 8 == 0)
		snprintf(schema, sizeof(schema), "uint64[%zu]+words;", bytes / 8);
	else
		snprintf(schema, sizeof(schema), "uint8[%zu]+bytes;", bytes);
	for (char *c = schema; *c != '\0'; c++)
		*c = *c == '+' ? ' ' : *c == ';' ? '\n' : *c;
	return shmb_type_parse(out, name != NULL ? name : "pattern", schema);
}

static int connect_once(struct worker *worker)
{
	return worker->broker != NULL ? 0 : shmb_connect(&worker->broker, NULL);
}

static bool wants_value(const struct worker *worker)
{
	const char *kind = argument(worker, "kind");

	return kind != NULL && strcmp(kind, "value") == 0;
}

static void open_writer(struct worker *worker)
{
	struct shmb_options options = { .capacity = (uint32_t)number(worker, "capacity", 0),
					.stamped = (uint32_t)number(worker, "stamped", 0),
					.deadline_ns = deadline(worker) };
	const char *name = argument(worker, "name");
	struct shmb_type *type = NULL;
	int r = connect_once(worker);

	if (r == 0)
		r = make_type(worker, &type);
	if (r == 0) {
		worker->salt = (unsigned)number(worker, "salt", 0);
		free(worker->out);
		worker->out_bytes = type->size;
		worker->out = calloc(1, type->size);
		if (wants_value(worker))
			r = shmb_value_writer_open(&worker->value_writer, worker->broker, name, type, &options);
		else
			r = shmb_ring_writer_open(&worker->ring_writer, worker->broker, name, type, &options);
	}
	answer(r, "%llu", (unsigned long long)(r == 0 ? next_number(worker) : 0));
	shmb_type_free(type);
}

static void open_reader(struct worker *worker)
{
	const char *name = argument(worker, "name");
	struct shmb_type *type = NULL;
	int r = connect_once(worker);

	if (r == 0 && number(worker, "bytes", 64) != 0)
		r = make_type(worker, &type);
	if (r == 0 && wants_value(worker)) {
		r = shmb_value_reader_open(&worker->value_reader, worker->broker, name, type, deadline(worker));
		worker->in_bytes = r == 0 ? shmb_value_type(worker->value_reader)->size : 0;
	} else if (r == 0) {
		r = shmb_ring_reader_open(&worker->ring_reader, worker->broker, name, type, deadline(worker));
		worker->in_bytes = r == 0 ? shmb_ring_type(worker->ring_reader)->size : 0;
	}
	free(worker->in);
	worker->in = calloc(1, worker->in_bytes + 8);
	answer(r, "%s", "");
	shmb_type_free(type);
}

static void close_writer(struct worker *worker)
{
	worker->ring_writer = shmb_ring_writer_close(worker->ring_writer);
	worker->value_writer = shmb_value_writer_close(worker->value_writer);
	free(worker->out);
	worker->out = NULL;
}

static void close_reader(struct worker *worker)
{
	worker->ring_reader = shmb_ring_reader_close(worker->ring_reader);
	worker->value_reader = shmb_value_reader_close(worker->value_reader);
}

/* ---- loops that go on until the next command ---- */

static int run(struct worker *worker)
{
	uint64_t period = number(worker, "period", 1000) * 1000;
	uint64_t due = shmb_now_ns();
	int got;

	answer(0, "%s", "");
	worker->run_result = 0;
	do {
		for (int i = 0; i < (period == 0 ? 16 : 1) && worker->run_result == 0; i++)
			worker->run_result = publish(worker, 1);
		got = command(worker, worker->run_result == 0 ? 0 : -1);
		if (got == 0 && period != 0) {
			struct timespec at;

			due += period;
			at = (struct timespec){ .tv_sec = (time_t)(due / 1000000000), .tv_nsec = (long)(due % 1000000000) };
			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
		}
	} while (got == 0);
	if (got > 0)
		answer(worker->run_result, "%llu", (unsigned long long)next_number(worker));
	return got;
}

static void watch_sample(struct worker *worker, const struct shmb_sample *sample)
{
	struct tally *tally = &worker->tally;
	unsigned salt;

	if (!pattern_check(worker->in, worker->in_bytes, sample->number, &salt))
		tally->torn++;
	if (tally->samples == 0)
		tally->first = sample->number;
	else if (sample->number <= tally->last)
		tally->backward++;
	else if (sample->number != tally->last + 1 + sample->missed)
		tally->others++; /* the count of what was missed is wrong */
	if (tally->samples > 0)
		tally->missed += sample->missed;
	tally->samples++;
	tally->last = sample->number;
}

static bool is(const struct worker *worker, const char *word)
{
	size_t length = strlen(word);

	return strncmp(worker->line, word, length) == 0 && (worker->line[length] == '\0' || worker->line[length] == ' ');
}

/* `stop last=N dead=N` before number N has come, and that many writers were seen dead: go on a little. */
static bool watch_goes_on(struct worker *worker, uint64_t *until)
{
	uint64_t last = number(worker, "last", 0);

	if (*until == 0)
		*until = shmb_now_ns() + UINT64_C(15000000000);
	if (argument(worker, "last") == NULL || shmb_now_ns() >= *until)
		return false;
	return worker->tally.samples == 0 || worker->tally.last < last || worker->tally.dead < number(worker, "dead", 0);
}

static int watch(struct worker *worker)
{
	struct tally *tally = &worker->tally;
	uint64_t until = 0;
	int got = 0;

	memset(tally, 0, sizeof(*tally));
	answer(0, "%s", "");
	do {
		struct shmb_sample sample;
		int r = wait_for(worker, shmb_now_ns() + 20000000);

		for (int i = 0; r == 0 && i < 64; i++) {
			r = take_next(worker, &sample);
			if (r == 0)
				watch_sample(worker, &sample);
			if (r == 0 && worker->value_reader != NULL)
				break;
		}
		tally->again += r == -EAGAIN;
		tally->dead += r == -EOWNERDEAD;
		tally->closed += r == -EPIPE;
		tally->others += r != 0 && r != -ENODATA && r != -ETIMEDOUT && r != -EAGAIN && r != -EOWNERDEAD && r != -EPIPE &&
				 r != -EREMCHG && r != -EHOSTDOWN;
		if (got == 0)
			got = command(worker, 0);
		if (got > 0 && is(worker, "seen")) {
			answer(0, "%llu", (unsigned long long)tally->samples);
			got = 0;
		}
	} while (got == 0 || (got > 0 && watch_goes_on(worker, &until)));
	if (got > 0)
		answer(0, "%llu %llu %llu %llu %llu %llu %llu %llu %llu %llu", (unsigned long long)tally->samples,
		       (unsigned long long)tally->missed, (unsigned long long)tally->torn, (unsigned long long)tally->backward,
		       (unsigned long long)tally->dead, (unsigned long long)tally->closed, (unsigned long long)tally->others,
		       (unsigned long long)tally->last, (unsigned long long)tally->first, (unsigned long long)tally->again);
	return got;
}

/* ---- one command ---- */

static void say_status(struct worker *worker)
{
	struct shmb_segment_status s = { 0 };
	int r = worker->ring_reader != NULL ? shmb_ring_status(worker->ring_reader, &s) : shmb_value_status(worker->value_reader, &s);

	answer(r, "%d %d %llu %llu %llu %llu %llu %llu", (int)s.writer, s.writer_pid, (unsigned long long)s.epoch,
	       (unsigned long long)s.oldest, (unsigned long long)s.next, (unsigned long long)s.heartbeat_ns,
	       (unsigned long long)s.generation, (unsigned long long)s.next_generation);
}

static void act_reader(struct worker *worker)
{
	struct shmb_sample sample = { 0 };
	uint64_t oldest = 0;
	uint64_t next = 0;
	int r;

	if (worker->ring_reader == NULL && worker->value_reader == NULL) {
		answer(-EBADF, "%s", "");
	} else if (is(worker, "latest")) {
		r = worker->ring_reader != NULL ? shmb_ring_latest(worker->ring_reader, worker->in, &sample) : take_next(worker, &sample);
		answer_sample(worker, r, &sample);
	} else if (is(worker, "next")) {
		r = take_next(worker, &sample);
		answer_sample(worker, r, &sample);
	} else if (is(worker, "read")) {
		r = shmb_ring_read(worker->ring_reader, number(worker, "n", 0), worker->in, &sample);
		answer_sample(worker, r, &sample);
	} else if (is(worker, "wait")) {
		r = wait_for(worker, deadline(worker));
		answer(r, "%llu", (unsigned long long)shmb_now_ns());
	} else if (is(worker, "follow")) {
		r = shmb_follow(worker->ring_reader != NULL ? shmb_ring_waitable(worker->ring_reader)
							    : shmb_value_waitable(worker->value_reader));
		answer(r, "%s", "");
	} else if (is(worker, "bounds")) {
		r = shmb_ring_bounds(worker->ring_reader, &oldest, &next);
		answer(r, "%llu %llu", (unsigned long long)oldest, (unsigned long long)next);
	} else {
		say_status(worker);
	}
}

static void act(struct worker *worker)
{
	if (is(worker, "writer")) {
		open_writer(worker);
	} else if (is(worker, "reader")) {
		open_reader(worker);
	} else if (is(worker, "write")) {
		int r = publish(worker, number(worker, "n", 1));

		answer(r, "%llu", (unsigned long long)next_number(worker));
	} else if (is(worker, "heartbeat")) {
		answer(worker->ring_writer != NULL ? shmb_ring_heartbeat(worker->ring_writer) : shmb_value_heartbeat(worker->value_writer),
		       "%s", "");
	} else if (is(worker, "close-writer")) {
		close_writer(worker);
		answer(0, "%s", "");
	} else if (is(worker, "close-reader")) {
		close_reader(worker);
		answer(0, "%s", "");
	} else if (is(worker, "disconnect")) {
		close_writer(worker);
		close_reader(worker);
		worker->broker = shmb_disconnect(worker->broker);
		answer(0, "%s", "");
	} else if (is(worker, "remove")) {
		int r = connect_once(worker);

		answer(r == 0 ? shmb_remove(worker->broker, argument(worker, "name")) : r, "%s", "");
	} else if (is(worker, "step")) {
		setenv("SHMB_STEP_AT", argument(worker, "at"), 1);
		setenv("SHMB_STEP_DO", argument(worker, "do"), 1);
		answer(0, "%s", "");
	} else if (is(worker, "become")) {
		uid_t uid = (uid_t)number(worker, "uid", 0);
		gid_t group = (gid_t)number(worker, "group", 0);
		int r = setgroups(group != 0, &group) != 0 || setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0 ? -errno : 0;

		answer(r, "%s", "");
	} else if (is(worker, "exec")) {
		answer(0, "%s", "");
		execl("/bin/sleep", "sleep", "1000", (char *)NULL);
		_exit(127);
	} else if (is(worker, "eat")) { /* memory of its own */
		size_t bytes = number(worker, "mb", 256) << 20;
		char *memory = malloc(bytes);

		if (memory != NULL)
			memset(memory, 1, bytes);
		answer(memory != NULL && memory[bytes - 1] == 1 ? 0 : -ENOMEM, "%s", "");
		free(memory);
	} else if (is(worker, "ping")) {
		answer(0, "%s", "");
	} else if (!worker_queue_act(&worker->broker, worker->line) && !worker_frame_act(&worker->broker, worker->line)) {
		act_reader(worker);
	}
}

int main(void)
{
	struct worker worker = { 0 };
	bool again = false; /* the command in `line` came during a loop and was not `stop` */

	while (again || command(&worker, -1) > 0) {
		again = false;
		if (is(&worker, "quit"))
			break;
		if (is(&worker, "run") || is(&worker, "watch")) {
			if ((is(&worker, "run") ? run(&worker) : watch(&worker)) < 0)
				break;
			again = !is(&worker, "stop");
			continue;
		}
		act(&worker);
	}
	close_writer(&worker);
	close_reader(&worker);
	worker_queue_end();
	worker_frame_end();
	shmb_disconnect(worker.broker);
	free(worker.in);
	return 0;
}
