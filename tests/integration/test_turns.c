/* SPDX-License-Identifier: MIT */
/*
 * Much work for one leaves others their turn: the end of a process with many segments, of a connection with many handles, linger times that are over together,
 * requests that look at many things, hundreds of requests of one user.
 *
 * The daemon is held up in the middle of such work, which makes its turn a long one; meanwhile somebody asks for something. When it goes on he has to be
 * answered before the work is done.
 */
#include "../support/client.h"
#include "../support/other.h"
#include "../support/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MANY = 20, FLOOD = 60 };

static const char schema[] = "uint64[8] words\n";
static char gate[160];

/* A daemon that stops at the `time`th pass of a step until gate_open(). */
static void gate_start(struct broker *b, const char *step, unsigned time, const struct broker_options *more)
{
	struct broker_options options = *more;
	char step_do[200];
	char step_at[40];

	snprintf(gate, sizeof(gate), "%s/shmb-test-%d-gate-%u", broker_tmp(), (int)suite_pid(), (unsigned)(now_ns() % 1000000007));
	snprintf(step_do, sizeof(step_do), "wait:%s", gate);
	snprintf(step_at, sizeof(step_at), "%s:%u", step, time);
	options.steps = true;
	options.step_at = step_at;
	options.step_do = step_do;
	broker_start(b, &options);
}

static bool gate_reached(void)
{
	char reached[200];

	snprintf(reached, sizeof(reached), "%s.reached", gate);
	return access(reached, F_OK) == 0;
}

static void gate_open(void)
{
	close(open(gate, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static void gate_end(void)
{
	char reached[200];

	snprintf(reached, sizeof(reached), "%s.reached", gate);
	unlink(reached);
	unlink(gate);
}

static int send_request(struct raw *raw, uint16_t opcode, void *request, size_t size, const char *tail)
{
	char packet[1024];
	struct shmb_msg_head *head = request;

	head->opcode = opcode;
	head->serial = ++raw->serial;
	head->tail_bytes = (uint32_t)strlen(tail);
	memcpy(packet, request, size);
	memcpy(packet + size, tail, strlen(tail));
	return raw_send(raw, packet, size + strlen(tail));
}

static int make_some(struct raw *raw, unsigned count)
{
	static struct raw_answer answer;
	struct shmb_msg_open_writer open;
	char name[32];
	int r = 0;

	for (unsigned i = 0; r == 0 && i < count; i++) {
		snprintf(name, sizeof(name), "many/%u", i);
		raw_open_writer(&open, name, schema, 64);
		open.handle = i + 1;
		r = raw_ask(raw, SHMB_OP_OPEN_WRITER, &open, sizeof(open), schema, strlen(schema), &answer);
		raw_answer_deinit(&answer);
	}
	return r;
}

static int make_a_packetful(struct raw *raw)
{
	return make_some(raw, 160);
}

static int make_many(struct raw *raw)
{
	return make_some(raw, MANY);
}

/* What METRICS says: of one kind of event, and how many requests were answered. */
struct counts {
	const char *kind;
	uint64_t events, requests;
};

static void read_counts(struct raw_answer *answer, struct counts *out)
{
	const struct shmb_msg_metrics_answer *metrics = (const struct shmb_msg_metrics_answer *)answer->bytes;
	const struct shmb_msg_bucket *bucket = (const struct shmb_msg_bucket *)(metrics + 1);
	const struct shmb_msg_count *count = (const struct shmb_msg_count *)(bucket + metrics->bucket_count) + metrics->refusal_count;

	ck_assert_int_eq(answer->head.result, 0);
	out->requests = 0;
	for (uint32_t i = 0; i < metrics->bucket_count; i++)
		out->requests += bucket[i].count;
	for (uint32_t i = 0; i < metrics->event_count; i++) {
		if (out->kind != NULL && strcmp(count[i].name, out->kind) == 0)
			out->events = count[i].value;
	}
}

static void ask_counts(struct raw *raw, struct counts *out)
{
	static struct raw_answer answer;
	struct shmb_msg_metrics metrics = { 0 };

	ck_assert_int_eq(raw_ask(raw, SHMB_OP_METRICS, &metrics, sizeof(metrics), NULL, 0, &answer), 0);
	read_counts(&answer, out);
	raw_answer_deinit(&answer);
}

/* The daemon is held up in the midst of MANY such events: who asks then is answered before they are all through. */
static void answered_in_the_midst(struct raw *raw, const char *kind)
{
	static struct raw_answer answer;
	struct shmb_msg_metrics metrics = { 0 };
	struct counts counts = { .kind = kind };

	WAIT_UNTIL(gate_reached());
	ck_assert_int_eq(send_request(raw, SHMB_OP_METRICS, &metrics, sizeof(metrics), ""), 0);
	sleep_ms(20); /* longer than any turn */
	gate_open();
	ck_assert_int_gt(raw_receive(raw, &answer, SUITE_PATIENCE_MS), 0);
	read_counts(&answer, &counts);
	raw_answer_deinit(&answer);
	ck_assert_uint_lt(counts.events, MANY);
	do
		ask_counts(raw, &counts);
	while (counts.events < MANY && suite_pause(deadline_in(SUITE_PATIENCE_MS)));
	ck_assert_uint_eq(counts.events, MANY);
	gate_end();
}

START_TEST(death_of_a_process_with_many)
{
	struct raw_child child;
	struct raw raw = { 0 };
	struct broker b;

	gate_start(&b, "chore.piece", 5, &(struct broker_options){ 0 });
	ck_assert_int_eq(raw_start(&raw, b.socket), 0);
	raw_child_start(&child, b.socket, make_many);
	ck_assert_int_eq(child.result, 0);
	raw_child_kill(&child);
	answered_in_the_midst(&raw, "writer-dead");
	raw_end(&raw);
	broker_finish(&b);
}
END_TEST

/* Three readers, then the consumer of a queue: it is seen to last. */
static int consume_behind_others(struct raw *raw)
{
	static struct raw_answer answer;
	struct shmb_msg_open_reader open;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < 4; i++) {
		raw_open_reader(&open, i < 3 ? "many/0" : "queue");
		open.handle = i + 1;
		open.role = i < 3 ? SHMB_ROLE_READER : SHMB_ROLE_CONSUMER;
		open.kind = i < 3 ? SHMB_KIND_NONE : SHMB_KIND_QUEUE;
		r = raw_ask(raw, SHMB_OP_OPEN_READER, &open, sizeof(open), NULL, 0, &answer);
		raw_answer_deinit(&answer);
	}
	return r;
}

static void make_queue(struct raw *raw, uint32_t handle, const char *text, uint64_t bytes)
{
	static struct raw_answer answer;
	struct shmb_msg_close end = { .handle = handle };
	struct shmb_msg_open_writer open;

	raw_open_kind(&open, SHMB_KIND_QUEUE, "queue", text, bytes);
	open.handle = handle;
	ck_assert_int_eq(raw_ask(raw, SHMB_OP_OPEN_WRITER, &open, sizeof(open), text, strlen(text), &answer), 0);
	raw_answer_deinit(&answer);
	ck_assert_int_eq(raw_ask(raw, SHMB_OP_CLOSE, &end, sizeof(end), NULL, 0, &answer), 0);
	raw_answer_deinit(&answer);
}

/* A superseded generation has a consumer that is dead, whose turn has not come: it goes when somebody asks for the queue, and its consumer with it. */
START_TEST(death_of_the_last_of_a_generation)
{
	static struct raw_answer answer;
	struct shmb_msg_open_reader open;
	struct raw_child child;
	struct raw raw = { 0 };
	struct broker b;

	setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0:glibc.malloc.perturb=165", 1); /* what is freed is not what it was */
	gate_start(&b, "chore.piece", 1, &(struct broker_options){ 0 });
	ck_assert_int_eq(raw_start(&raw, b.socket), 0);
	ck_assert_int_eq(make_some(&raw, 1), 0);
	make_queue(&raw, 2, schema, 64);
	raw_child_start(&child, b.socket, consume_behind_others);
	ck_assert_int_eq(child.result, 0);
	make_queue(&raw, 2, "uint64[4] words\n", 32);
	raw_child_kill(&child);
	WAIT_UNTIL(gate_reached());
	raw_open_reader(&open, "queue");
	open.handle = 2;
	open.role = SHMB_ROLE_CONSUMER;
	open.kind = SHMB_KIND_QUEUE;
	ck_assert_int_eq(send_request(&raw, SHMB_OP_OPEN_READER, &open, sizeof(open), ""), 0);
	sleep_ms(20);
	gate_open();
	ck_assert_int_gt(raw_receive(&raw, &answer, SUITE_PATIENCE_MS), 0);
	ck_assert_int_eq(answer.head.result, 0);
	ck_assert_uint_eq(answer.open.generation, 2);
	raw_answer_deinit(&answer);
	gate_end();
	raw_end(&raw);
	broker_finish(&b);
}
END_TEST

START_TEST(close_of_a_connection_with_many)
{
	struct raw many = { 0 };
	struct raw raw = { 0 };
	struct broker b;

	gate_start(&b, "chore.piece", 5, &(struct broker_options){ 0 });
	ck_assert_int_eq(raw_start(&raw, b.socket), 0);
	ck_assert_int_eq(raw_start(&many, b.socket), 0);
	ck_assert_int_eq(make_many(&many), 0);
	raw_close(&many);
	answered_in_the_midst(&raw, "writer-gone");
	/* The same client comes back and lists none of it: all is closed, in pieces as well. */
	ck_assert_int_eq(raw_start(&many, b.socket), 0);
	for (struct counts counts = { .kind = "writer-closed" }; counts.events < MANY;)
		ask_counts(&raw, &counts);
	raw_end(&many);
	raw_end(&raw);
	broker_finish(&b);
}
END_TEST

START_TEST(many_linger_times_at_once)
{
	struct raw many = { 0 };
	struct raw raw = { 0 };
	struct broker b;

	gate_start(&b, "chore.piece", 5, &(struct broker_options){ .linger = "100ms" });
	ck_assert_int_eq(raw_start(&raw, b.socket), 0);
	ck_assert_int_eq(raw_start(&many, b.socket), 0);
	ck_assert_int_eq(make_many(&many), 0);
	raw_end(&many);
	answered_in_the_midst(&raw, "reaped");
	raw_end(&raw);
	broker_finish(&b);
}
END_TEST

START_TEST(many_silent_writers)
{
	struct raw many = { 0 };
	struct raw raw = { 0 };
	struct broker b;

	gate_start(&b, "turn.stale", 5, &(struct broker_options){ .config = "[segment *]\nstale-time = 200ms\n" });
	ck_assert_int_eq(raw_start(&raw, b.socket), 0);
	ck_assert_int_eq(raw_start(&many, b.socket), 0);
	ck_assert_int_eq(make_many(&many), 0);
	answered_in_the_midst(&raw, "writer-hung");
	raw_end(&many);
	raw_end(&raw);
	broker_finish(&b);
}
END_TEST

/* Nothing is met among the first ones. One that is made while the request waits for its next turn is met. */
START_TEST(figures_of_names_that_are_not_met)
{
	static struct raw_answer answer;
	struct shmb_msg_figures figures = { .pattern = "late*" };
	const struct shmb_msg_figures_answer *got = (const struct shmb_msg_figures_answer *)answer.bytes;
	struct shmb_msg_open_writer open;
	struct raw many = { 0 };
	struct raw raw = { 0 };
	struct raw gone = { 0 };
	struct broker b;

	gate_start(&b, "turn.figures", 3, &(struct broker_options){ 0 });
	ck_assert_int_eq(raw_start(&raw, b.socket), 0);
	ck_assert_int_eq(raw_start(&many, b.socket), 0);
	ck_assert_int_eq(raw_start(&gone, b.socket), 0);
	ck_assert_int_eq(make_many(&many), 0);
	ck_assert_int_eq(send_request(&raw, SHMB_OP_FIGURES, &figures, sizeof(figures), ""), 0);
	WAIT_UNTIL(gate_reached());
	raw_open_writer(&open, "late", schema, 64);
	open.handle = MANY + 1;
	ck_assert_int_eq(send_request(&many, SHMB_OP_OPEN_WRITER, &open, sizeof(open), schema), 0);
	sleep_ms(20);
	gate_open();
	ck_assert_int_gt(raw_receive(&raw, &answer, SUITE_PATIENCE_MS), 0);
	ck_assert_int_eq(answer.head.result, 0);
	ck_assert_uint_eq(got->count, 1);
	raw_answer_deinit(&answer);
	ck_assert_int_gt(raw_receive(&many, &answer, SUITE_PATIENCE_MS), 0);
	ck_assert_int_eq(answer.head.result, 0);
	raw_answer_deinit(&answer);
	/* And its connection goes on. */
	ask_counts(&raw, &(struct counts){ 0 });
	gate_end();
	raw_end(&gone);
	raw_end(&many);
	raw_end(&raw);
	broker_finish(&b);
}
END_TEST

/* Who hangs up while his request waits for its next turn leaves nothing. */
START_TEST(hung_up_between_two_turns)
{
	struct shmb_msg_figures figures = { .pattern = "late*" };
	struct raw many = { 0 };
	struct raw raw = { 0 };
	struct broker b;

	gate_start(&b, "turn.figures", 3, &(struct broker_options){ 0 });
	ck_assert_int_eq(raw_start(&raw, b.socket), 0);
	ck_assert_int_eq(raw_start(&many, b.socket), 0);
	ck_assert_int_eq(make_many(&many), 0);
	ck_assert_int_eq(send_request(&raw, SHMB_OP_FIGURES, &figures, sizeof(figures), ""), 0);
	WAIT_UNTIL(gate_reached());
	raw_close(&raw);
	sleep_ms(20);
	gate_open();
	ask_counts(&many, &(struct counts){ 0 });
	gate_end();
	raw_end(&many);
	broker_finish(&b);
}
END_TEST

static struct reload_seen {
	uint32_t segments, not_applied;
	size_t lines;
} reload_seen;

static int keep_reload(const struct shmb_reload_result *result, void *user)
{
	(void)user;
	reload_seen = (struct reload_seen){ result->segments, result->not_applied, text_count(result->notes, "\n") };
	return 0;
}

/* Two ask for it at once, and one made meanwhile is under the new rules; the answer to each comes when all have been gone through, and tells of all. */
START_TEST(reload_in_parts)
{
	static struct raw_answer answer;
	const struct shmb_msg_reload_answer *got = (const struct shmb_msg_reload_answer *)answer.bytes;
	struct shmb_msg_reload reload = { 0 };
	struct counts counts = { .kind = "policy" };
	struct raw many = { 0 };
	struct raw raw = { 0 };
	struct raw second = { 0 };
	struct raw third = { 0 };
	struct shmb *client;
	struct broker b;

	gate_start(&b, "turn.reload", 3, &(struct broker_options){ .config = "[broker]\nlinger = infinity\n" });
	ck_assert_int_eq(raw_start(&raw, b.socket), 0);
	ck_assert_int_eq(raw_start(&second, b.socket), 0);
	ck_assert_int_eq(raw_start(&third, b.socket), 0);
	ck_assert_int_eq(raw_start(&many, b.socket), 0);
	ck_assert_int_eq(make_many(&many), 0);
	broker_configure(&b, "[broker]\nlinger = infinity\n[segment many/*]\nreader-areas = 3\n");
	ck_assert_int_eq(send_request(&raw, SHMB_OP_RELOAD, &reload, sizeof(reload), ""), 0);
	WAIT_UNTIL(gate_reached());
	ck_assert_int_eq(send_request(&second, SHMB_OP_RELOAD, &reload, sizeof(reload), ""), 0);
	{
		struct shmb_msg_metrics metrics = { 0 };

		ck_assert_int_eq(send_request(&third, SHMB_OP_METRICS, &metrics, sizeof(metrics), ""), 0);
	}
	sleep_ms(20);
	gate_open();
	ck_assert_int_gt(raw_receive(&third, &answer, SUITE_PATIENCE_MS), 0);
	read_counts(&answer, &counts);
	ck_assert_uint_lt(counts.events, MANY); /* what does not apply to each of them */
	raw_answer_deinit(&answer);
	ck_assert_int_gt(raw_receive(&raw, &answer, SUITE_PATIENCE_MS), 0);
	ck_assert_int_eq(answer.head.result, 0);
	ck_assert_uint_eq(got->segments, MANY);
	ck_assert_uint_eq(got->not_applied, MANY);
	raw_answer_deinit(&answer);
	ck_assert_int_gt(raw_receive(&second, &answer, SUITE_PATIENCE_MS), 0);
	ck_assert_int_eq(answer.head.result, 0);
	ck_assert_uint_eq(got->segments, MANY);
	ck_assert_uint_eq(got->not_applied, 0);
	raw_answer_deinit(&answer);
	gate_end();
	client = broker_connect(&b);
	broker_configure(&b, "[broker]\nlinger = infinity\n");
	ASSERT_OK(shmb_reload(client, keep_reload, NULL));
	ck_assert(reload_seen.segments == MANY && reload_seen.not_applied == MANY && reload_seen.lines == MANY);
	shmb_disconnect(client);
	raw_end(&third);
	raw_end(&second);
	raw_end(&raw);
	raw_end(&many);
	broker_finish(&b);
}
END_TEST

/* Who asked hangs up, and the daemon is told by a signal once more: it is loaded all the same. */
START_TEST(reload_goes_on_alone)
{
	struct shmb_msg_reload reload = { 0 };
	struct raw many = { 0 };
	struct raw raw = { 0 };
	struct broker b;

	gate_start(&b, "turn.reload", 3, &(struct broker_options){ .config = "[broker]\nlinger = infinity\n" });
	ck_assert_int_eq(raw_start(&raw, b.socket), 0);
	ck_assert_int_eq(raw_start(&many, b.socket), 0);
	ck_assert_int_eq(make_many(&many), 0);
	ck_assert_int_eq(send_request(&raw, SHMB_OP_RELOAD, &reload, sizeof(reload), ""), 0);
	WAIT_UNTIL(gate_reached());
	raw_close(&raw);
	program_signal(&b.daemon, SIGHUP);
	sleep_ms(20);
	gate_open();
	for (struct counts counts = { .kind = "policy" }; counts.events < 2;)
		ask_counts(&many, &counts);
	ck_assert_int_eq(raw_start(&raw, b.socket), 0);
	{
		static struct raw_answer answer;

		ck_assert_int_eq(raw_ask(&raw, SHMB_OP_RELOAD, &reload, sizeof(reload), NULL, 0, &answer), 0);
		raw_answer_deinit(&answer);
	}
	gate_end();
	raw_end(&raw);
	raw_end(&many);
	broker_finish(&b);
}
END_TEST

static int count_gc(const struct shmb_gc_info *info, void *user)
{
	(void)info;
	++*(unsigned *)user;
	return 0;
}

/* A turn's worth of an answer, held up at its first step, and where it goes on; the library asks on. */
static void told_in_parts(struct broker *b, struct raw *raw, uint32_t flags, unsigned all)
{
	static struct raw_answer answer;
	const struct shmb_msg_gc_answer *got = (const struct shmb_msg_gc_answer *)answer.bytes;
	struct shmb_msg_gc gc = { .flags = flags };
	struct shmb *client;
	unsigned total = 0;
	unsigned count;

	ck_assert_int_eq(send_request(raw, SHMB_OP_GC, &gc, sizeof(gc), ""), 0);
	WAIT_UNTIL(gate_reached());
	sleep_ms(20);
	gate_open();
	ck_assert_int_gt(raw_receive(raw, &answer, SUITE_PATIENCE_MS), 0);
	ck_assert_int_eq(answer.head.result, 0);
	count = got->count;
	ck_assert_uint_lt(count, all);
	ck_assert_uint_ne(got->next, 0);
	gc.after = got->next;
	raw_answer_deinit(&answer);
	while (gc.after != 0) {
		ck_assert_int_eq(raw_ask(raw, SHMB_OP_GC, &gc, sizeof(gc), NULL, 0, &answer), 0);
		count += got->count;
		gc.after = got->next;
		raw_answer_deinit(&answer);
	}
	ck_assert_uint_eq(count, all);
	client = broker_connect(b);
	ASSERT_OK(shmb_gc(client, SHMB_GC_TELL | ((flags & SHMB_GC_FOREIGN) != 0 ? SHMB_GC_FOREIGN_FILES : 0), count_gc, &total));
	ck_assert_uint_eq(total, all);
	shmb_disconnect(client);
	gate_end();
}

START_TEST(garbage_in_parts)
{
	struct raw many = { 0 };
	struct raw raw = { 0 };
	struct broker b;

	gate_start(&b, "turn.gc", 1, &(struct broker_options){ 0 });
	ck_assert_int_eq(raw_start(&raw, b.socket), 0);
	ck_assert_int_eq(raw_start(&many, b.socket), 0);
	ck_assert_int_eq(make_many(&many), 0);
	raw_end(&many);
	told_in_parts(&b, &raw, SHMB_GC_DRY_RUN, MANY);
	raw_end(&raw);
	broker_finish(&b);
}
END_TEST

START_TEST(foreign_files_in_parts)
{
	struct shmb_shm_data header = { .magic = SHMB_DATA_MAGIC, .version = 1 };
	struct raw raw = { 0 };
	struct broker b;
	char config[256], dir[160], path[192];

	snprintf(dir, sizeof(dir), "%s/shmb-test-%d-foreign", broker_tmp(), (int)suite_pid());
	ck_assert_int_eq(mkdir(dir, 0700), 0);
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(path, sizeof(path), "%s/%u", dir, i);
		file_write(path, &header, sizeof(header));
	}
	snprintf(config, sizeof(config), "[broker]\nforeign = list\nforeign-dir = %s\n", dir);
	gate_start(&b, "stray.look", 1, &(struct broker_options){ .config = config });
	ck_assert_int_eq(raw_start(&raw, b.socket), 0);
	told_in_parts(&b, &raw, SHMB_GC_DRY_RUN | SHMB_GC_FOREIGN, MANY);
	raw_end(&raw);
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(path, sizeof(path), "%s/%u", dir, i);
		unlink(path);
	}
	rmdir(dir);
	broker_finish(&b);
}
END_TEST

/* ---- the turn of a user ---- */

static int to_parent[2];

/* Has FLOOD connections, each with a request for the figures of all segments, sent while the daemon is held up by the first of them. */
static int flood(struct broker *b)
{
	static struct raw raws[FLOOD];
	struct shmb_msg_figures figures = { 0 };

	for (unsigned i = 0; i < FLOOD; i++)
		CHILD_CHECK(raw_start(&raws[i], b->socket) == 0);
	CHILD_CHECK(send_request(&raws[0], SHMB_OP_FIGURES, &figures, sizeof(figures), "") == 0);
	while (!gate_reached())
		sleep_ms(1);
	CHILD_CHECK(write(to_parent[1], "g", 1) == 1);
	sleep_ms(20);
	for (unsigned i = 1; i < FLOOD; i++)
		CHILD_CHECK(send_request(&raws[i], SHMB_OP_FIGURES, &figures, sizeof(figures), "") == 0);
	CHILD_CHECK(write(to_parent[1], "s", 1) == 1);
	for (unsigned i = 0; i < FLOOD; i++) {
		static struct raw_answer answer;

		CHILD_CHECK(raw_receive(&raws[i], &answer, SUITE_PATIENCE_MS) > 0 && answer.head.result == 0);
	}
	return 0;
}

/* Some hundreds of requests of one user, and one of another who asked before: he is not the last to be served, and all are. */
START_TEST(requests_of_one_user)
{
	static struct raw_answer answer;
	struct shmb_msg_metrics metrics = { 0 };
	struct counts before = { 0 }, during = { 0 };
	struct raw_child child;
	struct raw raw = { 0 };
	struct broker b;
	char byte;
	pid_t pid;

	OTHER_SKIP();
	ck_assert_int_eq(pipe2(to_parent, O_CLOEXEC), 0);
	gate_start(&b, "turn.figures", 1, &(struct broker_options){ .runtime_mode = 0755 });
	ck_assert_int_eq(raw_start(&raw, b.socket), 0);
	raw_child_start(&child, b.socket, make_a_packetful);
	ck_assert_int_eq(child.result, 0);
	ask_counts(&raw, &before);
	pid = other_start(OTHER_UID, flood, &b);
	ck_assert_int_eq(read(to_parent[0], &byte, 1), 1);
	ck_assert_int_eq(send_request(&raw, SHMB_OP_METRICS, &metrics, sizeof(metrics), ""), 0);
	ck_assert_int_eq(read(to_parent[0], &byte, 1), 1);
	gate_open();
	ck_assert_int_gt(raw_receive(&raw, &answer, SUITE_PATIENCE_MS), 0);
	read_counts(&answer, &during);
	raw_answer_deinit(&answer);
	/* HELLO and READY of each, and what was answered of the rest. */
	ck_assert_uint_lt(during.requests - before.requests, 2 * FLOOD + FLOOD / 2);
	other_wait(pid);
	gate_end();
	close(to_parent[0]);
	close(to_parent[1]);
	raw_child_kill(&child);
	raw_end(&raw);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("turns");

	suite_add(suite, death_of_a_process_with_many, 30);
	suite_add(suite, death_of_the_last_of_a_generation, 30);
	suite_add(suite, close_of_a_connection_with_many, 30);
	suite_add(suite, many_linger_times_at_once, 30);
	suite_add(suite, many_silent_writers, 30);
	suite_add(suite, figures_of_names_that_are_not_met, 30);
	suite_add(suite, hung_up_between_two_turns, 30);
	suite_add(suite, reload_in_parts, 30);
	suite_add(suite, reload_goes_on_alone, 30);
	suite_add(suite, garbage_in_parts, 30);
	suite_add(suite, foreign_files_in_parts, 30);
	suite_add(suite, requests_of_one_user, 60);
	return suite_run(suite);
}
