/* SPDX-License-Identifier: MIT */
/*
 * Daemons that come and go (lines 18, 21 and 23 of the catalogue): killed a thousand times under load, stopped and started in order, and several at
 * once for one place.
 *
 *   SHMB_FAULT_KILLS=N     kills under load, default 1000
 */
#include "../support/client.h"
#include "look.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned kills_wanted(void)
{
	const char *text = getenv("SHMB_FAULT_KILLS");

	if (getenv("SHMB_TEST_SHORT") != NULL)
		return 30;
	return text != NULL && atoi(text) > 0 ? (unsigned)atoi(text) : 1000;
}

/* ---- 18 ---- */

struct queue_ends {
	struct shmb_queue_producer *producer;
	struct shmb_queue_consumer *consumer;
};

static void queue_open(struct queue_ends *ends, struct shmb *client)
{
	struct shmb_type *type = pattern_type(64);

	ASSERT_OK(shmb_queue_producer_open(&ends->producer, client, "load/queue", type, &(struct shmb_options){ .capacity = 8 }));
	ASSERT_OK(shmb_queue_consumer_open(&ends->consumer, client, "load/queue", NULL, SHMB_NO_WAIT));
	shmb_type_free(type);
}

/* A few through it, whatever the daemon does meanwhile. */
static void queue_use(struct queue_ends *ends, uint64_t *items)
{
	uint64_t payload[8];

	for (unsigned i = 0; i < 5; i++) {
		pattern_fill(payload, sizeof(payload), shmb_queue_next_number(ends->producer), 1);
		ASSERT_OK(shmb_queue_push(ends->producer, payload));
	}
	for (unsigned i = 0; i < 5; i++, ++*items) {
		struct shmb_sample sample;
		unsigned salt;

		ASSERT_OK(shmb_queue_pop(ends->consumer, payload, &sample));
		ck_assert(sample.number == *items && pattern_check(payload, sizeof(payload), *items, &salt));
	}
}

/* A worker that is busy for some milliseconds at a time: once more, when it has ended. */
static void keep_busy(struct program *worker, const char *command, bool *busy, uint64_t *sum)
{
	if (*busy && !program_has_line(worker, 0))
		return;
	if (*busy) {
		struct answer answer = worker_answer(worker);

		ck_assert_msg(answer.result == 0, "%s: %d %s", command, answer.result, answer.text);
		sum[0] += answer.v[0];
		sum[1] += answer.v[1];
		sum[2] += answer.v[2];
		sum[3] += answer.v[3];
	}
	program_send(worker, "%s", command);
	*busy = true;
}

/* Somebody who opens, writes, reads and closes all the time; what the daemon's death interrupts is tried again. */
static unsigned control_use(struct program *worker, unsigned turn)
{
	static const char *const commands[] = { "writer name=load/control bytes=64 salt=3",
						"write n=1",
						"reader name=load/control bytes=64",
						"latest",
						"close-reader",
						"close-writer" };
	struct answer answer = worker_ask(worker, "%s", commands[turn % 6]);

	if (answer.result == -ECONNRESET || answer.result == -ECONNREFUSED || answer.result == -ENOENT)
		return turn;
	ck_assert_msg(answer.result == 0, "%s: %d (%s) %s", commands[turn % 6], answer.result, shmb_strerror(answer.result), answer.text);
	return turn + 1;
}

START_TEST(fault_18_a_thousand_kills_under_load)
{
	unsigned wanted = kills_wanted();
	unsigned kills = 0, young = 0, turn = 0;
	uint64_t frames[4] = { 0 };
	uint64_t floods[4] = { 0 };
	bool holding = false, flooding = false;
	struct program ring, ring_in, value, value_in, frame, frame_in, control;
	struct queue_ends ends;
	uint64_t items = 0;
	uint64_t begin = now_ns();
	struct shmb *client;
	struct answer end;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	worker_start(&ring, &b, "ring", false);
	worker_start(&ring_in, &b, "ring_in", false);
	worker_start(&value, &b, "value", false);
	worker_start(&value_in, &b, "value_in", false);
	worker_start(&frame, &b, "frame", false);
	worker_start(&frame_in, &b, "frame_in", false);
	worker_start(&control, &b, "control", false);
	worker_must(&ring, "writer name=load/ring bytes=256 capacity=65536 salt=1");
	worker_must(&ring_in, "reader name=load/ring bytes=256");
	worker_must(&value, "writer name=load/value kind=value bytes=4096 salt=1");
	worker_must(&value_in, "reader name=load/value kind=value bytes=4096");
	worker_must(&frame, "frame-writer name=load/frame bytes=16384 history=2 pins=8 salt=1");
	worker_must(&frame, "frame-write n=1");
	worker_must(&frame_in, "frame-reader name=load/frame");
	queue_open(&ends, client);
	worker_must(&ring, "run period=500");
	worker_must(&value, "run period=1000");
	worker_must(&ring_in, "watch");
	worker_must(&value_in, "watch");
	srandom(18);
	while (kills < wanted) {
		keep_busy(&frame, "frame-flood ms=40", &flooding, floods);
		keep_busy(&frame_in, "frame-hold ms=40", &holding, frames);
		queue_use(&ends, &items);
		for (long i = random() % 4; i > 0; i--)
			turn = control_use(&control, turn);
		usleep((useconds_t)(random() % 8000));
		broker_kill(&b);
		kills++;
		/* Some do not live to be ready. */
		while (random() % 4 == 0 && kills < wanted) {
			b.options.not_ready = true;
			broker_restart(&b);
			usleep((useconds_t)(random() % 8000));
			broker_kill(&b);
			b.options.not_ready = false;
			kills++;
			young++;
		}
		queue_use(&ends, &items); /* with no daemon there */
		broker_restart(&b);
	}
	if (flooding)
		ck_assert_int_eq(worker_answer(&frame).result, 0);
	if (holding) {
		end = worker_answer(&frame_in);
		ASSERT_RESULT(end, 0);
		for (unsigned i = 0; i < 4; i++)
			frames[i] += end.v[i];
	}
	for (unsigned i = 0; i < 6; i++)
		turn = control_use(&control, turn);
	while (turn % 6 != 0)
		turn = control_use(&control, turn);

	/* The ring: every number, none torn, nobody ever said to be dead or closed. */
	end = worker_must(&ring, "stop");
	end = worker_must(&ring_in, "stop last=%llu", (unsigned long long)end.v[0] - 1);
	ck_assert_msg(end.v[1] + end.v[2] + end.v[3] + end.v[4] + end.v[5] + end.v[6] == 0,
		      "missed %d torn %d backward %d dead %d closed %d others %d", (int)end.v[1], (int)end.v[2], (int)end.v[3],
		      (int)end.v[4], (int)end.v[5], (int)end.v[6]);
	printf("forced: the daemon killed %u times, %u of them before it was ready, in %.1f s; %llu samples of a ring, %llu frames held, "
	       "%llu items, "
	       "%u control requests: none lost, none torn\n",
	       kills, young, (double)(now_ns() - begin) / 1e9, (unsigned long long)end.v[0], (unsigned long long)frames[0],
	       (unsigned long long)items, turn);
	worker_must(&value, "stop");
	end = worker_must(&value_in, "stop");
	ck_assert(end.v[2] + end.v[3] + end.v[4] + end.v[5] + end.v[6] == 0);
	ck_assert_uint_gt(frames[0], 0);
	ck_assert_msg(frames[1] + frames[2] + frames[3] == 0, "frames: torn %d stale %d backward %d", (int)frames[1], (int)frames[2],
		      (int)frames[3]);
	segments_count(client);
	shmb_queue_producer_close(ends.producer);
	shmb_queue_consumer_close(ends.consumer);
	{
		struct program *all[] = { &ring, &ring_in, &value, &value_in, &frame, &frame_in, &control };

		for (unsigned i = 0; i < 7; i++) {
			worker_ask(all[i], "remove name=none"); /* is connected */
			worker_quit(all[i]);
		}
	}
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- 21 ---- */

/* Stopped in order and started again, with everything in use, and with people that come to their end while nobody is there. */
START_TEST(fault_21_stop_and_start)
{
	struct program writer, reader, frame, holder, mortal, lock, waiter;
	struct answer answer;
	struct shmb *client;
	struct broker b;
	uint64_t next = 0;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	worker_start(&writer, &b, "writer", false);
	worker_start(&reader, &b, "reader", false);
	worker_start(&frame, &b, "frame", false);
	worker_start(&holder, &b, "holder", false);
	worker_must(&writer, "writer name=on/ring bytes=64 salt=1");
	worker_must(&reader, "reader name=on/ring bytes=64");
	worker_must(&frame, "frame-writer name=on/frame bytes=4096 history=1 pins=1 salt=1");
	worker_must(&frame, "frame-write n=1");
	worker_must(&holder, "frame-reader name=on/frame");
	for (unsigned turn = 0; turn < 6; turn++) {
		struct listed listed;

		worker_must(&holder, "frame-pin");
		worker_start(&mortal, &b, "mortal", true);
		worker_must(&mortal, "writer name=on/mortal bytes=64 salt=%u", turn);
		worker_must(&mortal, "write n=2");
		worker_must(&mortal, "step at=slot.claimed do=stop");
		program_send(&mortal, "write n=1");
		program_wait_stopped(&mortal);
		worker_start(&lock, &b, "lock", false);
		worker_start(&waiter, &b, "waiter", false);
		worker_must(&lock, "block name=on/block");
		worker_must(&waiter, "block name=on/block");
		ck_assert_int_ge(worker_ask(&lock, "lock deadline=forever").result, 0);
		program_send(&waiter, "lock deadline=forever");
		program_wait_asleep(&waiter);

		broker_stop(&b);
		/* Nobody misses it. */
		worker_must(&writer, "write n=10");
		next += 10;
		worker_must(&frame, "frame-write n=20");
		ck_assert_uint_eq(worker_must(&reader, "latest").v[0], next - 1);
		ck_assert_uint_eq(worker_must(&holder, "frame-check").v[1], 0);
		ASSERT_RESULT(worker_ask(&reader, "wait deadline=20"), -ETIMEDOUT);
		if (turn % 2 == 0) {
			program_kill(&mortal);
			program_kill(&lock);
		}
		broker_restart(&b);
		if (turn % 2 == 1) {
			program_kill(&mortal);
			program_kill(&lock);
		}
		wait_writer(client, "on/mortal", SHMB_WRITER_IS_DEAD);
		ck_assert_uint_eq(look_half_written(&b, "on/mortal"), 0);
		ASSERT_RESULT(worker_answer(&waiter), SHMB_BLOCK_OWNER_DIED);
		worker_must(&waiter, "recovered");
		worker_must(&waiter, "unlock");
		worker_quit(&waiter);
		ck_assert(segment_listed(client, "on/ring", &listed) && listed.writer == SHMB_WRITER_IS_ALIVE &&
			  listed.writer_pid == writer.pid && listed.readers == 1);
		ck_assert_uint_eq(worker_must(&holder, "frame-check").v[1], 0);
		ck_assert_uint_eq(worker_must(&holder, "frame-release").v[0], 0);
		answer = worker_ask(&writer, "remove name=none");
		ASSERT_RESULT(answer, -ENOENT);
	}
	worker_must(&holder, "frame-close");
	worker_quit(&holder);
	worker_quit(&frame);
	worker_quit(&reader);
	worker_quit(&writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- 23 ---- */

/* Starts a daemon that is to be refused: its message and its end. */
static void refused(struct broker *b, const char *runtime, const char *shm, const char *why)
{
	struct program_result result;

	program_run(&result, NULL, ARGV(path_daemon(), "--runtime-dir", runtime, "--shm-dir", shm));
	ck_assert_int_eq(result.status, 1);
	ck_assert_msg(strstr(result.err, "another") != NULL && strstr(result.err, why) != NULL, "unclear: %s", result.err);
	program_result_deinit(&result);
	ck_assert(b == NULL || !program_has_ended(&b->daemon));
}

/* Of several that are started at once for the same place, one serves it. */
static unsigned race(const char *runtime[2], const char *shm[2])
{
	enum { RIVALS = 6 };
	struct program rivals[RIVALS];
	uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);
	unsigned left = 0;
	unsigned alone;
	int status;

	for (unsigned i = 0; i < RIVALS; i++) {
		int log = dup(STDERR_FILENO);
		struct program_options options = { .no_pipes = true, .stderr_fd = log };

		program_start(&rivals[i], &options, ARGV(path_daemon(), "--runtime-dir", runtime[i % 2], "--shm-dir", shm[i % 2]));
		close(log);
	}
	do {
		left = 0;
		alone = 0;
		for (unsigned i = 0; i < RIVALS; i++) {
			left += !program_has_ended(&rivals[i]);
			alone = program_has_ended(&rivals[i]) ? alone : i;
		}
	} while (left > 1 && suite_pause(deadline));
	ck_assert_uint_eq(left, 1);
	for (unsigned i = 0; i < RIVALS; i++) {
		if (i == alone)
			continue;
		status = program_wait(&rivals[i]);
		ck_assert_int_eq(status, 1);
	}
	program_signal(&rivals[alone], SIGTERM);
	ck_assert_int_eq(program_wait(&rivals[alone]), 0);
	return RIVALS;
}

/* The first has claimed the socket and does not listen yet: the second, with segments elsewhere, must not come in between. */
static void early(struct broker *b, const char *runtime, const char *shm)
{
	const char *environment[] = { "SHMB_STEP_AT=start.locked", "SHMB_STEP_DO=stop", NULL };
	struct program_options options = { .no_pipes = true, .environment = environment };
	struct program first;
	char own[300];

	snprintf(own, sizeof(own), "%s-early", b->shm);
	program_start(&first, &options, ARGV(path_daemon_steps(), "--runtime-dir", runtime, "--shm-dir", own));
	program_wait_stopped(&first);
	refused(NULL, runtime, shm, runtime);
	program_signal(&first, SIGCONT);
	program_signal(&first, SIGTERM);
	ck_assert_int_eq(program_wait(&first), 0);
	dir_remove(own);
}

START_TEST(fault_23_two_daemons)
{
	struct shmb_ring_writer *writer;
	struct shmb *client;
	struct broker b;
	char runtime[200];
	char shm[300];
	unsigned raced = 0;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "first", 64, 8);
	snprintf(runtime, sizeof(runtime), "%s/other", b.dir);
	snprintf(shm, sizeof(shm), "%s-other", b.shm);
	for (unsigned i = 0; i < 3; i++) {
		refused(&b, b.runtime, b.shm, b.runtime);
		refused(&b, runtime, b.shm, b.shm);
		refused(&b, b.runtime, shm, b.runtime);
		ring_write(writer, 64, 1, 1);
		ck_assert_int_eq(ring_writer_try(client, "second", 64, 8), 0);
	}
	ck_assert_uint_eq(segments_count(client), 2);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_settle(&b); /* a daemon killed before it has heard of that leaves the client's event page to the next one */
	broker_kill(&b);
	for (unsigned i = 0; i < 4; i++) {
		raced += race((const char *[]){ b.runtime, b.runtime }, (const char *[]){ b.shm, b.shm });
		raced += race((const char *[]){ b.runtime, runtime }, (const char *[]){ b.shm, b.shm });
		raced += race((const char *[]){ b.runtime, b.runtime }, (const char *[]){ b.shm, shm });
	}
	early(&b, runtime, shm);
	printf("%u daemons raced for one place, 6 at a time\n", raced);
	dir_remove(shm);
	broker_restart(&b);
	client = broker_connect(&b);
	ck_assert_uint_eq(segments_count(client), 2);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fault: outage");

	suite_add(suite, fault_18_a_thousand_kills_under_load, 300);
	suite_add(suite, fault_21_stop_and_start, 120);
	suite_add(suite, fault_23_two_daemons, 120);
	return suite_run(suite);
}
