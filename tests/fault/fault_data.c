/* SPDX-License-Identifier: MIT */
/*
 * Clients that end in the middle of the data path (lines 4 to 9 of the catalogue). Each is stopped at the place first: what it left in memory is
 * looked at, so that the test knows that it was there; then it is killed.
 *
 * The steps of each kind one by one, with every size and every way of publishing: writer_steps, reader_steps, frame, queue, block.
 */
#include "../support/client.h"
#include "look.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct kind {
	const char *name;
	const char *writer, *write, *reader, *read; /* commands of the worker; no reader: a queue, whose items are looked for otherwise */
} kinds[] = {
	{ "ring", "writer name=%s kind=ring bytes=%zu capacity=8 salt=%u", "write n=%u", "reader name=%s kind=ring bytes=0", "latest" },
	{ "value", "writer name=%s kind=value bytes=%zu salt=%u", "write n=%u", "reader name=%s kind=value bytes=0", "latest" },
	{ "frame", "frame-writer name=%s bytes=%zu history=2 pins=1 salt=%u", "frame-write n=%u", "frame-reader name=%s", "frame-pin" },
	{ "queue", "producer name=%s bytes=%zu capacity=16 salt=%u", "push n=%u", NULL, NULL },
};

static const struct place {
	unsigned kind;
	const char *step;
	unsigned line;	   /* of the catalogue */
	bool half_written; /* an id says so (a queue has none that does: nobody looks beyond its newest) */
	bool committed;	   /* readers may have it: it survives */
} places[] = {
	{ 0, "slot.claimed", 4, true, false },	  { 0, "slot.filled", 5, true, false },	    { 0, "slot.published", 5, false, true },
	{ 0, "slot.counted", 5, false, true },	  { 1, "slot.claimed", 4, true, false },    { 1, "slot.filled", 5, true, false },
	{ 1, "slot.published", 5, false, true },  { 1, "slot.counted", 5, false, true },    { 2, "frame.claimed", 4, true, false },
	{ 2, "frame.filled", 5, true, false },	  { 2, "frame.slot", 5, false, false },	    { 2, "frame.entry", 4, true, false },
	{ 2, "frame.published", 5, false, true }, { 2, "frame.counted", 5, false, true },   { 3, "queue.claimed", 4, false, false },
	{ 3, "queue.filled", 5, false, false },	  { 3, "queue.published", 5, false, true }, { 3, "queue.counted", 5, false, true },
};
enum { PLACES = sizeof(places) / sizeof(places[0]) };

static void format_must(struct program *worker, uint64_t expected, const char *format, const char *name, size_t bytes, unsigned salt)
{
	char command[256];

	/* The formats above, each with what it needs of these, in this order. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(command, sizeof(command), format, name, bytes, salt);
#pragma GCC diagnostic pop
	ck_assert_uint_eq(worker_must(worker, "%s", command).v[0], expected);
}

static void write_one(struct program *worker, const struct kind *kind)
{
	char command[64];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(command, sizeof(command), kind->write, 1u);
#pragma GCC diagnostic pop
	worker_must(worker, "%s", command);
}

/* The newest number and its salt; whole. */
static void newest_is(struct program *reader, const struct kind *kind, uint64_t number, unsigned salt)
{
	struct answer answer = worker_must(reader, "%s", kind->read);
	bool is_frame = strcmp(kind->name, "frame") == 0;

	ck_assert_msg(answer.v[0] == number && answer.v[is_frame ? 1 : 3] == salt && answer.v[is_frame ? 2 : 4] == 0,
		      "%s: number %d of writer %d, torn %d; expected %d of writer %u", kind->name, (int)answer.v[0],
		      (int)answer.v[is_frame ? 1 : 3], (int)answer.v[is_frame ? 2 : 4], (int)number, salt);
	if (is_frame)
		worker_must(reader, "frame-release");
}

static bool is_repaired(struct broker *b, const char *name)
{
	struct shmb_shm_card card;

	look_card(b, name, &card);
	return atomic_load(&card.lease_pid) == 0;
}

/* Stopped there, looked at, killed; repaired, readable, continued with the right number. */
static void dies_at(struct broker *b, const struct place *place, size_t bytes)
{
	const struct kind *kind = &kinds[place->kind];
	uint64_t next = place->committed ? 4 : 3;
	struct program first;
	struct program second;
	struct program reader;
	char name[64];

	snprintf(name, sizeof(name), "%s/%zu/%s", kind->name, bytes, place->step);
	worker_start(&first, b, "first", true);
	worker_start(&reader, b, "reader", false);
	format_must(&first, 0, kind->writer, name, bytes, 1);
	for (unsigned i = 0; i < 3; i++)
		write_one(&first, kind);
	if (kind->reader != NULL)
		format_must(&reader, 0, kind->reader, name, 0, 0);
	worker_must(&first, "step at=%s do=stop", place->step);
	program_send(&first, strcmp(kind->name, "frame") == 0	? "frame-write n=1"
			     : strcmp(kind->name, "queue") == 0 ? "push n=1"
								: "write n=1");
	program_wait_stopped(&first);
	ck_assert_msg((look_half_written(b, name) > 0) == place->half_written, "%s: half-written: %u", name, look_half_written(b, name));
	if (kind->reader != NULL)
		newest_is(&reader, kind, next - 1, 1); /* without waiting for the writer */

	program_kill(&first);
	WAIT_UNTIL(is_repaired(b, name));
	ck_assert_uint_eq(look_half_written(b, name), 0);
	ck_assert_uint_eq(look_counter(b, name), next);
	if (kind->reader != NULL)
		newest_is(&reader, kind, next - 1, 1);
	worker_start(&second, b, "second", false);
	format_must(&second, next, kind->writer, name, bytes, 2);
	write_one(&second, kind);
	if (kind->reader != NULL) {
		newest_is(&reader, kind, next, 2);
	} else {
		/* Everything that was pushed, once and in order. */
		worker_must(&reader, "consumer name=%s", name);
		program_send(&reader, "consume n=%u", (unsigned)next + 1);
		for (uint64_t n = 0; n <= next; n++) {
			const char *line = program_line(&reader, SUITE_PATIENCE_MS);
			unsigned long long number = 0;
			unsigned salt = 0;
			int torn = 1;

			ck_assert_ptr_nonnull(line);
			ck_assert_msg(sscanf(line, "item %llu %u %d", &number, &salt, &torn) == 3, "%s", line);
			ck_assert(number == n && salt == (n < next ? 1 : 2) && torn == 0);
		}
		ASSERT_RESULT(worker_answer(&reader), 0);
	}
	worker_quit(&second);
	worker_quit(&reader);
}

static void die_at(unsigned line, const char *what)
{
	unsigned forced = 0;
	struct broker b;

	broker_start(&b, NULL);
	for (unsigned i = 0; i < PLACES; i++) {
		if (places[i].line != line)
			continue;
		dies_at(&b, &places[i], 16);
		dies_at(&b, &places[i], 8192 / (places[i].kind == 3 ? 4 : 1));
		forced++;
	}
	printf("writers killed at %u places %s, twice each\n", forced, what);
	broker_finish(&b);
}

START_TEST(fault_04_inside_a_write)
{
	die_at(4, "inside a write");
}
END_TEST

START_TEST(fault_05_after_the_payload_before_publishing)
{
	die_at(5, "after the payload");
}
END_TEST

/* More deaths than the pool has slots, each with one on loan: none is lost. */
START_TEST(fault_06_slot_loaned_not_committed)
{
	static const char *const steps[] = { "frame.loaned", "frame.claimed", "frame.filled" };
	struct shmb_shm_card card;
	struct program writer;
	unsigned deaths = 0;
	struct broker b;

	broker_start(&b, NULL);
	do {
		worker_start(&writer, &b, "writer", true);
		ck_assert_uint_eq(worker_must(&writer, "frame-writer name=camera bytes=4096 history=1 pins=1 salt=1").v[0], deaths);
		worker_must(&writer, "frame-write n=1");
		worker_must(&writer, "step at=%s do=stop", steps[deaths % 3]);
		program_send(&writer, "frame-write n=1");
		program_wait_stopped(&writer);
		ck_assert_uint_eq(look_half_written(&b, "camera"), deaths % 3 == 0 ? 0 : 1);
		program_kill(&writer);
		WAIT_UNTIL(is_repaired(&b, "camera"));
		ck_assert_uint_eq(look_half_written(&b, "camera"), 0);
		look_card(&b, "camera", &card);
	} while (++deaths < 4 * card.pool_count);
	printf("%u writers died with one of %u slots on loan\n", deaths, card.pool_count);
	worker_start(&writer, &b, "writer", false);
	worker_must(&writer, "frame-writer name=camera bytes=4096 history=1 pins=1 salt=1");
	worker_must(&writer, "frame-write n=100");
	worker_quit(&writer);
	broker_finish(&b);
}
END_TEST

/*
 * A dead reader's pins count no more, at once; and they are taken back once: the next owner of the cell keeps its own, whatever is still said of
 * the death before, by this broker or the next.
 */
START_TEST(fault_07_pins_reclaimed_once)
{
	struct program writer;
	struct program first;
	struct program second;
	struct broker b;
	unsigned lives = 0;

	broker_start(&b, NULL);
	worker_start(&writer, &b, "writer", false);
	worker_must(&writer, "frame-writer name=camera bytes=4096 history=1 pins=2 salt=1");
	worker_must(&writer, "frame-write n=1");
	for (unsigned restart = 0; restart < 3; restart++) {
		for (unsigned turn = 0; turn < 3; turn++, lives++) {
			worker_start(&first, &b, "first", false);
			worker_must(&first, "frame-reader name=camera");
			for (unsigned i = 0; i < 3; i++) {
				worker_must(&first, "frame-pin");
				worker_must(&writer, "frame-write n=1");
			}
			ASSERT_RESULT(worker_ask(&writer, "frame-write n=1"), -ENOBUFS);
			ck_assert_uint_eq(look_pins(&b, "camera", true), 3);
			if (restart == 1)
				broker_kill(&b); /* it dies while nobody looks */
			program_kill(&first);
			if (restart == 1)
				broker_restart(&b);
			WAIT_UNTIL(look_cells(&b, "camera") == 0);
			ck_assert_uint_eq(look_pins(&b, "camera", false), 0);
			worker_must(&writer, "frame-write n=10");

			/* The same cell, another owner. */
			worker_start(&second, &b, "second", false);
			worker_must(&second, "frame-reader name=camera");
			ck_assert_uint_eq(look_cells(&b, "camera"), 1);
			worker_must(&second, "frame-pin");
			worker_must(&writer, "frame-write n=1");
			worker_must(&second, "frame-pin");
			if (restart == 2) {
				broker_kill(&b);
				broker_restart(&b);
			}
			worker_ask(&writer, "frame-write n=20");
			ck_assert_uint_eq(look_pins(&b, "camera", true), 2);
			ck_assert_uint_eq(worker_must(&second, "frame-check").v[1], 0);
			ck_assert_uint_eq(worker_must(&second, "frame-release").v[0], 0);
			worker_must(&writer, "frame-write n=10");
			worker_must(&second, "frame-close");
			worker_quit(&second);
		}
	}
	printf("%u readers died with three pins each\n", lives);
	worker_quit(&writer);
	broker_finish(&b);
}
END_TEST

/* Between the pin and the look that makes it good: killed there it holds nothing; stopped there while it is lapped it takes nothing torn. */
START_TEST(fault_08_between_pin_and_recheck)
{
	struct program writer;
	struct program reader;
	struct answer got;
	struct broker b;
	uint64_t next;

	broker_start(&b, NULL);
	worker_start(&writer, &b, "writer", false);
	worker_must(&writer, "frame-writer name=camera bytes=8192 history=1 pins=1 salt=1");
	worker_must(&writer, "frame-write n=3");
	for (unsigned turn = 0; turn < 20; turn++) {
		worker_start(&reader, &b, "reader", true);
		worker_must(&reader, "frame-reader name=camera");
		worker_must(&reader, "step at=pin.stored do=stop");
		program_send(&reader, "frame-pin");
		program_wait_stopped(&reader);
		ck_assert_uint_eq(look_pins(&b, "camera", true), 1);
		next = worker_must(&writer, "frame-write n=%u", 1 + turn % 4).v[0];
		if (turn % 2 == 0) {
			program_kill(&reader);
			WAIT_UNTIL(look_cells(&b, "camera") == 0);
			ck_assert_uint_eq(look_pins(&b, "camera", false), 0);
			worker_must(&writer, "frame-write n=10");
			continue;
		}
		program_signal(&reader, SIGCONT);
		got = worker_answer(&reader);
		ck_assert_msg(got.result == 0 && got.v[0] == next - 1 && got.v[2] == 0, "%d: number %d of %d, torn %d", got.result,
			      (int)got.v[0], (int)next - 1, (int)got.v[2]);
		worker_must(&writer, "frame-write n=50");
		ck_assert_uint_eq(worker_must(&reader, "frame-check").v[1], 0);
		ck_assert_uint_eq(worker_must(&reader, "frame-release").v[0], 0);
		worker_must(&reader, "frame-close");
		worker_quit(&reader);
	}
	worker_quit(&writer);
	broker_finish(&b);
}
END_TEST

/* ---- 9: asleep ---- */

/* Two sleep; one is killed: the other is woken by what comes next, and nothing is left of the first. */
static void sleepers(struct broker *b, const char *name, const char *writer_open, const char *write, const char *open, const char *wait)
{
	struct program writer;
	struct program first;
	struct program second;

	worker_start(&writer, b, "writer", false);
	worker_start(&first, b, "first", false);
	worker_start(&second, b, "second", false);
	worker_must(&writer, "%s", writer_open);
	for (unsigned i = 0; i < 2; i++) {
		worker_must(i == 0 ? &first : &second, "%s", open);
		program_send(i == 0 ? &first : &second, "%s", wait);
		program_wait_asleep(i == 0 ? &first : &second);
	}
	ck_assert_uint_eq(look_cells(b, name), 2);
	program_kill(&first);
	WAIT_UNTIL(look_cells(b, name) == 1);
	worker_must(&writer, "%s", write);
	ASSERT_RESULT(worker_answer(&second), 0);
	/* And of the writer's death. */
	worker_ask(&second, "latest");
	program_send(&second, "%s", wait);
	program_wait_asleep(&second);
	program_kill(&writer);
	ASSERT_RESULT(worker_answer(&second), -EOWNERDEAD);
	worker_quit(&second);
}

/* A consumer dies asleep, and the next one is woken; a producer waits for room, dies, and its successor is woken. */
static void queue_sleepers(struct broker *b)
{
	struct program producer;
	struct program consumer;
	struct program next;

	worker_start(&producer, b, "producer", false);
	worker_must(&producer, "producer name=s/queue bytes=64 capacity=4 salt=1");
	for (unsigned turn = 0; turn < 2; turn++) {
		worker_start(&consumer, b, "consumer", false);
		worker_must(&consumer, "consumer name=s/queue");
		program_send(&consumer, "consume n=1 deadline=forever");
		program_wait_asleep(&consumer);
		if (turn == 0) {
			program_kill(&consumer);
			WAIT_UNTIL(look_cells(b, "s/queue") == 0);
		}
	}
	worker_must(&producer, "push n=1");
	ck_assert_ptr_nonnull(strstr(program_line(&consumer, SUITE_PATIENCE_MS), "item 0"));
	ASSERT_RESULT(worker_answer(&consumer), 0);
	worker_must(&producer, "push n=4");
	program_send(&producer, "push n=1 deadline=forever");
	program_wait_asleep(&producer);
	program_kill(&producer);
	worker_start(&next, b, "next", false);
	ck_assert_uint_eq(worker_must(&next, "producer name=s/queue bytes=64 capacity=4 salt=2").v[0], 5);
	program_send(&next, "push n=1 deadline=forever");
	program_wait_asleep(&next);
	program_send(&consumer, "consume n=1");
	ck_assert_ptr_nonnull(strstr(program_line(&consumer, SUITE_PATIENCE_MS), "item 1"));
	ASSERT_RESULT(worker_answer(&consumer), 0);
	ASSERT_RESULT(worker_answer(&next), 0);
	worker_quit(&next);
	worker_quit(&consumer);
}

/* The one that an unlock woke dies before it has the lock: its wake-up is not lost with it. */
static void lock_sleepers(struct broker *b)
{
	struct program holder;
	struct program first;
	struct program second;

	worker_start(&holder, b, "holder", false);
	worker_must(&holder, "block name=s/block");
	worker_must(&holder, "lock deadline=forever");
	worker_start(&first, b, "first", false);
	worker_start(&second, b, "second", false);
	worker_must(&first, "block name=s/block");
	worker_must(&second, "block name=s/block");
	program_send(&first, "lock deadline=forever");
	program_wait_asleep(&first);
	program_signal(&first, SIGSTOP); /* whoever wakes it: it gets no further */
	program_wait_stopped(&first);
	program_send(&second, "lock deadline=forever");
	program_wait_asleep(&second);
	worker_must(&holder, "unlock");
	program_kill(&first);
	ASSERT_RESULT(worker_answer(&second), 0);
	worker_must(&second, "unlock");
	/* And when the holder dies. */
	worker_must(&holder, "lock deadline=forever");
	program_send(&second, "lock deadline=forever");
	program_wait_asleep(&second);
	program_kill(&holder);
	ASSERT_RESULT(worker_answer(&second), SHMB_BLOCK_OWNER_DIED);
	worker_must(&second, "recovered");
	worker_must(&second, "unlock");
	worker_quit(&second);
}

START_TEST(fault_09_while_futex_waiting)
{
	struct broker b;

	broker_start(&b, NULL);
	sleepers(&b, "s/ring", "writer name=s/ring bytes=64 capacity=8", "write n=1", "reader name=s/ring bytes=64",
		 "wait deadline=forever");
	sleepers(&b, "s/value", "writer name=s/value kind=value bytes=64", "write n=1", "reader name=s/value kind=value bytes=64",
		 "wait deadline=forever");
	queue_sleepers(&b);
	for (unsigned turn = 0; turn < 4; turn++)
		lock_sleepers(&b);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fault: data path");

	suite_add(suite, fault_04_inside_a_write, 120);
	suite_add(suite, fault_05_after_the_payload_before_publishing, 120);
	suite_add(suite, fault_06_slot_loaned_not_committed, 60);
	suite_add(suite, fault_07_pins_reclaimed_once, 60);
	suite_add(suite, fault_08_between_pin_and_recheck, 60);
	suite_add(suite, fault_09_while_futex_waiting, 60);
	return suite_run(suite);
}
