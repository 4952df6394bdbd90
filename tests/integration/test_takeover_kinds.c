/* SPDX-License-Identifier: MIT */
/*
 * What each kind of segment, and each way of waiting, makes of a change of generation: frames that are held across it, queues that are not drained,
 * loaders, wait sets, waits for several, queries by time, blocks and their locks. The change is another layout, asked for after the writer closed, or a
 * writer that was stopped and replaced.
 */
#include "../support/client.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES = 64, FRAME_BYTES = 4096 };

static const char replacing[] = "[segment *]\nstale-time = 100ms\non-hang = replace\n";

#define WAIT_FOR(condition)                                                                                                                \
	do {                                                                                                                               \
		uint64_t wait_deadline = deadline_in(SUITE_PATIENCE_MS);                                                                   \
		while (!(condition))                                                                                                       \
			ck_assert_msg(suite_pause(wait_deadline), "never true: %s", #condition);                                           \
	} while (0)

static int note_draining(const struct shmb_segment_info *info, const char *schema, const struct shmb_reader_info *readers, void *user)
{
	(void)schema;
	(void)readers;
	*(uint32_t *)user = info->draining;
	return 0;
}

static uint32_t draining(struct shmb *client, const char *name)
{
	uint32_t count = 0;

	ASSERT_OK(shmb_info(client, name, note_draining, &count));
	return count;
}

static uint64_t generation_of(struct shmb *client, const char *name)
{
	struct listed listed = { 0 };

	ck_assert(segment_listed(client, name, &listed));
	return listed.generation;
}

/* ---- frames ---- */

static struct shmb_frame_writer *frame_writer(struct shmb *client, const char *name, uint32_t history)
{
	struct shmb_frame_options options = { .history = history, .pins = 8 };
	struct shmb_frame_writer *writer = NULL;
	struct shmb_type *type = NULL;

	ASSERT_OK(shmb_type_opaque(&type, FRAME_BYTES));
	ASSERT_OK(shmb_frame_writer_open(&writer, client, name, type, &options));
	shmb_type_free(type);
	return writer;
}

static void frame_write(struct shmb_frame_writer *writer, unsigned count, unsigned salt)
{
	while (count-- > 0) {
		size_t capacity;
		void *payload;

		ASSERT_OK(shmb_frame_loan(writer, &payload, &capacity));
		pattern_fill(payload, capacity, shmb_frame_next_number(writer), salt);
		ASSERT_OK(shmb_frame_commit(writer, capacity));
	}
}

static void frame_is(const struct shmb_frame *frame, uint64_t number, unsigned salt)
{
	unsigned found;

	ck_assert_uint_eq(frame->number, number);
	ck_assert(pattern_check(frame->payload, frame->length, number, &found) && found == salt);
}

/* Frames of three generations in one hand: each stays what it is, whatever is written since, and can be given back in any order. */
START_TEST(frames_stay_where_they_are)
{
	struct shmb_frame_writer *writer;
	struct shmb_frame_reader *reader = NULL;
	struct shmb_frame held[6];
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	for (unsigned turn = 0; turn < 2; turn++) {
		unsigned first = 0;

		writer = frame_writer(client, "frames", 4);
		first = (unsigned)shmb_frame_next_number(writer);
		ASSERT_OK(shmb_frame_reader_open(&reader, client, "frames", NULL, SHMB_NO_WAIT));
		for (unsigned g = 0; g < 3; g++) {
			if (g > 0) {
				writer = frame_writer(client, "frames", 4 + g);
				ck_assert_uint_eq(shmb_frame_next_number(writer), first + 2 * g);
				ASSERT_ERROR(shmb_frame_pin_next(reader, &held[2 * g]), EREMCHG);
				ASSERT_OK(shmb_follow(shmb_frame_waitable(reader)));
				ASSERT_ERROR(shmb_frame_pin_next(reader, &held[2 * g]), ENODATA);
			}
			frame_write(writer, 2, g + 1);
			ASSERT_OK(shmb_frame_pin_next(reader, &held[2 * g]));
			ASSERT_OK(shmb_frame_pin_next(reader, &held[2 * g + 1]));
			ck_assert_uint_eq(held[2 * g].missed, 0);
			if (g < 2)
				shmb_frame_writer_close(writer);
		}
		ck_assert_uint_eq(draining(client, "frames"), 2);
		frame_write(writer, 50, 9);
		for (unsigned i = 0; i < 6; i++)
			frame_is(&held[i], first + i, i / 2 + 1);
		if (turn == 0) { /* back, the middle one first; waiting lets go of what is not held any more */
			static const unsigned order[] = { 3, 0, 5, 1, 2, 4 };

			for (unsigned i = 0; i < 6; i++) {
				ASSERT_OK(shmb_frame_release(reader, &held[order[i]]));
				ASSERT_ERROR(shmb_frame_release(reader, &held[order[i]]), EINVAL);
				ck_assert_ptr_null(held[order[i]].payload);
			}
			ASSERT_OK(shmb_frame_wait(reader, deadline_in(SUITE_PATIENCE_MS))); /* there is something: it does not sleep */
			WAIT_FOR(draining(client, "frames") == 0);
		}
		reader = shmb_frame_reader_close(reader); /* the second time with all in hand */
		WAIT_FOR(draining(client, "frames") == 0);
		shmb_frame_writer_close(writer);
	}
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* The daemon is killed while frames of two generations are held: the next one knows of both holdings, and of the death of the holder. */
START_TEST(held_across_change_and_restart)
{
	struct shmb_frame_writer *writer;
	struct shmb_frame_reader *reader = NULL;
	struct shmb_frame old, new;
	struct program holder;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = frame_writer(client, "frames", 4);
	frame_write(writer, 1, 1);
	ASSERT_OK(shmb_frame_reader_open(&reader, client, "frames", NULL, SHMB_NO_WAIT));
	worker_start(&holder, &b, "holder", false);
	worker_must(&holder, "frame-reader name=frames");
	ASSERT_OK(shmb_frame_pin_newest(reader, &old));
	worker_must(&holder, "frame-pin");
	shmb_frame_writer_close(writer);
	writer = frame_writer(client, "frames", 6);
	frame_write(writer, 1, 2);
	ASSERT_OK(shmb_follow(shmb_frame_waitable(reader)));
	ASSERT_OK(shmb_frame_pin_newest(reader, &new));
	for (unsigned i = 0; i < 2; i++) {
		broker_kill(&b);
		frame_write(writer, 20, 3);
		broker_restart(&b);
		ck_assert_uint_eq(clients_count(client), 1);
		ck_assert_uint_eq(draining(client, "frames"), 1);
		frame_write(writer, 20, 3);
		frame_is(&old, 0, 1);
		frame_is(&new, 1, 2);
	}
	ASSERT_OK(shmb_frame_release(reader, &old));
	ASSERT_OK(shmb_follow(shmb_frame_waitable(reader)));
	ck_assert_uint_eq(draining(client, "frames"), 1); /* the other one's */
	program_kill(&holder);
	WAIT_FOR(draining(client, "frames") == 0);
	ASSERT_OK(shmb_frame_release(reader, &new));
	shmb_frame_reader_close(reader);
	shmb_frame_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- queues ---- */

static struct shmb_queue_producer *producer_of(struct shmb *client, const char *name, uint32_t capacity)
{
	struct shmb_queue_producer *producer = NULL;
	struct shmb_type *type = pattern_type(BYTES);

	ASSERT_OK(shmb_queue_producer_open(&producer, client, name, type, &(struct shmb_options){ .capacity = capacity }));
	shmb_type_free(type);
	return producer;
}

static void push(struct shmb_queue_producer *producer, unsigned count, unsigned salt)
{
	unsigned char payload[BYTES];

	while (count-- > 0) {
		pattern_fill(payload, BYTES, shmb_queue_next_number(producer), salt);
		ASSERT_OK(shmb_queue_push(producer, payload));
	}
}

static void pop_is(struct shmb_queue_consumer *consumer, uint64_t number, unsigned salt)
{
	unsigned char payload[BYTES];
	struct shmb_sample sample;
	unsigned found;

	ASSERT_OK(shmb_queue_pop(consumer, payload, &sample));
	ck_assert_uint_eq(sample.number, number);
	ck_assert(pattern_check(payload, BYTES, number, &found) && found == salt);
}

static int pop(struct shmb_queue_consumer *consumer)
{
	unsigned char payload[BYTES];

	return shmb_queue_pop(consumer, payload, NULL);
}

/* Three generations, the first two not drained: whoever consumes has the oldest item first, with daemons killed in between. */
START_TEST(queue_is_drained_in_order)
{
	struct shmb_queue_producer *producer;
	struct shmb_queue_consumer *consumer = NULL;
	uint64_t next = 0;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	for (unsigned g = 0; g < 3; g++) {
		producer = producer_of(client, "queue", 8u << g);
		ck_assert_uint_eq(shmb_queue_next_number(producer), 4 * g);
		push(producer, 4, g + 1);
		if (g < 2)
			shmb_queue_producer_close(producer);
	}
	ck_assert_uint_eq(draining(client, "queue"), 2); /* nobody has them open; they are full of items */
	while (next < 12) {
		ASSERT_OK(shmb_queue_consumer_open(&consumer, client, "queue", NULL, SHMB_NO_WAIT));
		for (unsigned i = 0; i < 3 && next < 12; i++) {
			if (pop(consumer) != 0) {
				ASSERT_ERROR(pop(consumer), EREMCHG);
				ASSERT_OK(shmb_follow(shmb_queue_waitable(consumer)));
				pop_is(consumer, next, (unsigned)(next / 4) + 1);
			} else {
				ck_assert_uint_eq(shmb_queue_position(consumer), next + 1);
			}
			next++;
			if (next % 4 != 0 && next < 8)
				ASSERT_ERROR(shmb_follow(shmb_queue_waitable(consumer)), EAGAIN);
		}
		consumer = shmb_queue_consumer_close(consumer);
		if (next == 6) {
			broker_kill(&b);
			broker_restart(&b);
			ck_assert_uint_eq(clients_count(client), 1);
			ck_assert_uint_eq(draining(client, "queue"), 1);
		}
	}
	ck_assert_uint_eq(draining(client, "queue"), 0);
	push(producer, 1, 4);
	ASSERT_OK(shmb_queue_consumer_open(&consumer, client, "queue", NULL, SHMB_NO_WAIT));
	pop_is(consumer, 12, 4);
	shmb_queue_consumer_close(consumer);
	shmb_queue_producer_close(producer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* A live producer is replaced while its consumer sleeps on the empty queue, and while the producer itself sleeps for room. */
START_TEST(producer_is_replaced_under_a_sleeper)
{
	struct program old, consumer;
	struct shmb_queue_producer *producer;
	struct shmb *client;
	struct broker b;
	uint64_t base;

	broker_start(&b, &(struct broker_options){ .config = replacing });
	client = broker_connect(&b);
	for (unsigned full = 0; full < 2; full++) {
		char name[16];

		snprintf(name, sizeof(name), "queue/%u", full);
		worker_start(&old, &b, "old", false);
		worker_start(&consumer, &b, "consumer", false);
		worker_must(&old, "producer name=%s bytes=%d capacity=8 salt=1", name, BYTES);
		worker_must(&old, "push n=%d", full != 0 ? 7 : 2); /* a queue of 8 holds 7 or 8 */
		if (full != 0) {
			program_send(&old, "push n=10 deadline=forever");
			program_wait_asleep(&old);
		}
		worker_must(&consumer, "consumer name=%s", name);
		if (full == 0) {
			program_send(&consumer, "consume n=5 deadline=15000");
			for (unsigned i = 0; i < 2; i++)
				ck_assert_ptr_nonnull(program_line(&consumer, SUITE_PATIENCE_MS));
		}
		wait_writer(client, name, SHMB_WRITER_IS_HUNG);
		producer = producer_of(client, name, 8);
		base = shmb_queue_next_number(producer);
		push(producer, 3, 2);
		if (full != 0) /* it is woken, and stopped */
			ASSERT_RESULT(worker_answer(&old), -ESTALE);
		else
			ASSERT_RESULT(worker_ask(&old, "push n=1"), -ESTALE);
		if (full != 0)
			program_send(&consumer, "consume n=%u deadline=15000", (unsigned)(worker_ask(&old, "push n=1").v[0] + 3));
		/* all that were pushed before, then the three */
		for (uint64_t i = 0, expected = full != 0 ? 0 : base;; i++) {
			const char *line = program_line(&consumer, SUITE_PATIENCE_MS);
			unsigned long long number;
			unsigned salt;
			int torn;

			ck_assert_ptr_nonnull(line);
			if (sscanf(line, "item %llu %u %d", &number, &salt, &torn) != 3) {
				ck_assert_msg(strncmp(line, "0 ", 2) == 0, "%s", line);
				ck_assert_uint_eq(expected, base + 3);
				break;
			}
			if (salt == 2 && expected < base)
				expected = base;
			ck_assert_msg(number == expected && torn == 0 && salt == (number < base ? 1 : 2), "%s, not %llu", line,
				      (unsigned long long)expected);
			expected++;
		}
		shmb_queue_producer_close(producer);
		worker_quit(&old);
		worker_quit(&consumer);
	}
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- ways of waiting ---- */

static void ring_anew(struct shmb *client, struct shmb_ring_writer **writer, const char *name, uint32_t capacity, unsigned salt)
{
	shmb_ring_writer_close(*writer);
	*writer = ring_writer(client, name, BYTES, capacity);
	ring_write(*writer, BYTES, 1, salt);
}

START_TEST(a_loader_goes_on)
{
	struct shmb_ring_writer *writer;
	struct shmb_ring_reader *reader;
	struct shmb_loader *loader = NULL;
	struct shmb_sample sample;
	const void *payload;
	struct shmb *client;
	struct broker b;
	unsigned salt;
	int r = 0;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "ring", BYTES, 8);
	ring_write(writer, BYTES, 1, 1);
	reader = ring_reader(client, "ring");
	ASSERT_OK(shmb_loader_open_ring(&loader, reader));
	for (unsigned g = 0; g < 6; g++) {
		do
			ASSERT_OK(shmb_loader_snapshot(loader, &payload, &sample));
		while (sample.number != g && suite_pause(deadline_in(SUITE_PATIENCE_MS)));
		ck_assert(pattern_check(payload, BYTES, g, &salt) && salt == g + 1);
		WAIT_FOR(draining(client, "ring") == 0);
		ring_anew(client, &writer, "ring", g % 2 == 0 ? 16 : 8, g + 2);
		ck_assert(pattern_check(payload, BYTES, g, &salt) && salt == g + 1);
	}
	shmb_ring_writer_close(writer);
	/* Another type: the last snapshot stays, the wait says why nothing comes. */
	writer = ring_writer(client, "ring", 2 * BYTES, 8);
	for (unsigned i = 0; i < 20 && r != -EPROTOTYPE; i++) {
		r = shmb_loader_wait(loader, deadline_in(SUITE_PATIENCE_MS));
		if (r == 0)
			ASSERT_OK(shmb_loader_snapshot(loader, &payload, &sample));
	}
	ck_assert_int_eq(r, -EPROTOTYPE);
	ASSERT_OK(shmb_loader_snapshot(loader, &payload, &sample));
	ck_assert_uint_eq(sample.number, 6);
	shmb_loader_close(loader);
	shmb_ring_reader_close(reader);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

static bool is_readable(struct shmb_waitset *set)
{
	struct pollfd ready = { .fd = shmb_waitset_fd(set), .events = POLLIN };

	return poll(&ready, 1, SUITE_PATIENCE_MS) == 1;
}

/* A set tells it as often as it is asked, until it was followed; then of the new memory. */
START_TEST(wait_sets_tell_and_go_on)
{
	struct shmb_ring_writer *writers[2];
	struct shmb_ring_reader *readers[2];
	struct shmb_waitset *set = NULL;
	unsigned changes[2] = { 0 }, items[2] = { 0 };
	uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	ASSERT_OK(shmb_waitset_new(&set, client));
	for (unsigned i = 0; i < 2; i++) {
		char name[16];

		snprintf(name, sizeof(name), "ring/%u", i);
		writers[i] = ring_writer(client, name, BYTES, 8);
		readers[i] = ring_reader(client, name);
		ASSERT_OK(shmb_waitset_add(set, shmb_ring_waitable(readers[i]), &readers[i]));
		ring_write(writers[i], BYTES, 2, 1);
		ring_anew(client, &writers[i], name, 16, 2);
		ring_anew(client, &writers[i], name, 8, 3);
	}
	while (items[0] + items[1] < 8) {
		void *user = NULL;
		unsigned which;
		int r;

		ck_assert_msg(shmb_now_ns() < deadline, "items %u and %u, changes %u and %u", items[0], items[1], changes[0], changes[1]);
		ck_assert(is_readable(set));
		while ((r = shmb_waitset_next(set, &user)) != -ENODATA) {
			which = user == &readers[1];
			if (r == -EREMCHG) {
				changes[which]++;
				ASSERT_OK(shmb_follow(shmb_ring_waitable(readers[which])));
			} else if (r == 0) {
				ring_next(readers[which], items[which], 0);
				items[which]++;
			} else {
				ck_assert_int_eq(r, -EPIPE);
			}
		}
	}
	ck_assert(items[0] == 4 && items[1] == 4);
	ck_assert_msg(changes[0] == 2 && changes[1] == 2, "%u and %u", changes[0], changes[1]);
	ring_write(writers[1], BYTES, 1, 4);
	ck_assert(is_readable(set));
	shmb_waitset_free(set);
	for (unsigned i = 0; i < 2; i++) {
		shmb_ring_reader_close(readers[i]);
		shmb_ring_writer_close(writers[i]);
	}
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* A wait for several follows that one of them whose name was given new memory, and no other. */
START_TEST(wait_any_follows)
{
	struct shmb_ring_writer *writers[3];
	struct shmb_ring_reader *readers[3];
	struct shmb_waitable *list[3];
	struct shmb_segment_status status;
	struct shmb *client;
	struct broker b;
	size_t which;
	int r;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	for (unsigned i = 0; i < 3; i++) {
		char name[16];

		snprintf(name, sizeof(name), "ring/%u", i);
		writers[i] = ring_writer(client, name, BYTES, 8);
		readers[i] = ring_reader(client, name);
		list[i] = shmb_ring_waitable(readers[i]);
	}
	ring_write(writers[1], BYTES, 1, 1);
	ring_anew(client, &writers[1], "ring/1", 16, 2);
	ASSERT_OK(shmb_wait_any(list, 3, deadline_in(SUITE_PATIENCE_MS), &which));
	ck_assert_uint_eq(which, 1);
	ring_next(readers[1], 0, 0);
	do
		r = shmb_wait_any(list, 3, deadline_in(SUITE_PATIENCE_MS), &which);
	while (r == -EPIPE);
	ck_assert_int_eq(r, -EREMCHG);
	ck_assert_uint_eq(which, 1);
	ASSERT_OK(shmb_wait_any(list, 3, deadline_in(SUITE_PATIENCE_MS), &which));
	ck_assert_uint_eq(which, 1);
	ring_next(readers[1], 1, 0);
	for (unsigned i = 0; i < 3; i++) {
		ASSERT_OK(shmb_ring_status(readers[i], &status));
		ck_assert_uint_eq(status.generation, i == 1 ? 2 : 1);
	}
	ASSERT_ERROR(shmb_wait_any(list, 3, shmb_now_ns() + 50000000, &which), ETIMEDOUT);
	ring_write(writers[1], BYTES, 1, 3);
	ASSERT_OK(shmb_wait_any(list, 3, deadline_in(SUITE_PATIENCE_MS), &which));
	ck_assert_uint_eq(which, 1);
	for (unsigned i = 0; i < 3; i++) {
		shmb_ring_reader_close(readers[i]);
		shmb_ring_writer_close(writers[i]);
	}
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- queries by time ---- */

SHMB_TYPE(timed, (uint64, stamp_ns)(float64, value));

static struct shmb_key_monotonic at(uint64_t value)
{
	struct shmb_rule_monotonic any = shmb_rule_range_monotonic(0, UINT64_MAX);
	struct shmb_key_monotonic key;

	ASSERT_OK(shmb_key_make(&key, value, &any));
	return key;
}

static void insert_timed(struct shmb_ring_writer *writer, uint64_t from, uint64_t to)
{
	for (uint64_t key = from; key <= to; key += 10) {
		struct timed timed = { .stamp_ns = key, .value = (double)key };

		ASSERT_OK(shmb_ring_insert(writer, &timed));
	}
}

/* Queries answer from the memory that the handle is on: the old one until it follows, the new one afterwards; none crosses. */
START_TEST(queries_by_time_stay_on_their_side)
{
	struct shmb_options options = { .capacity = 64, .key_clock = SHMB_CLOCK_MONOTONIC, .key_field = "stamp_ns" };
	struct shmb_ring_writer *writer = NULL;
	struct shmb_ring_reader *reader = NULL;
	struct shmb_found_monotonic found;
	struct shmb_bracket_monotonic around;
	struct shmb_range range;
	struct timed a, c;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	ASSERT_OK(shmb_ring_writer_open(&writer, client, "timed", &timed_type, &options));
	ASSERT_OK(shmb_ring_reader_open(&reader, client, "timed", &timed_type, SHMB_NO_WAIT));
	insert_timed(writer, 1000, 1100); /* 0 to 10 */
	shmb_ring_writer_close(writer);
	options.capacity = 128;
	writer = NULL;
	ASSERT_OK(shmb_ring_writer_open(&writer, client, "timed", &timed_type, &options));
	ASSERT_OK(shmb_ring_closest(reader, at(1100), SHMB_ANY_DISTANCE, &a, &found));
	ck_assert(found.number == 10 && a.stamp_ns == 1100);
	insert_timed(writer, 500, 600); /* 11 to 21; a new lease may begin anew */
	ASSERT_OK(shmb_ring_closest(reader, at(550), SHMB_ANY_DISTANCE, &a, &found));
	ck_assert(found.number == 0 && a.stamp_ns == 1000);
	ASSERT_ERROR(shmb_ring_bracket(reader, at(1105), SHMB_ANY_DISTANCE, &a, &c, &around), ETIME);
	ASSERT_OK(shmb_ring_range(reader, at(500), at(1050), &range));
	ck_assert(range.first == 0 && range.count == 6);

	ASSERT_OK(shmb_follow(shmb_ring_waitable(reader)));
	ASSERT_OK(shmb_ring_closest(reader, at(1100), SHMB_ANY_DISTANCE, &a, &found));
	ck_assert(found.number == 21 && a.stamp_ns == 600);
	ASSERT_OK(shmb_ring_bracket(reader, at(555), SHMB_ANY_DISTANCE, &a, &c, &around));
	ck_assert(around.before.number == 16 && around.after.number == 17 && a.stamp_ns == 550 && c.stamp_ns == 560);
	ASSERT_OK(shmb_ring_range(reader, at(0), at(2000), &range));
	ck_assert(range.first == 11 && range.count == 11);
	{
		struct shmb_key_monotonic key;

		ASSERT_ERROR(shmb_ring_key(reader, 10, &key), ESTALE);
		ASSERT_OK(shmb_ring_key(reader, 11, &key));
		ck_assert_uint_eq(shmb_key_value(key), 500);
	}
	shmb_ring_reader_close(reader);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- blocks ---- */

/* A block gets another type when nobody shares it; who died with its lock is no sharer, and leaves the new one alone. */
START_TEST(a_block_changes_when_nobody_shares_it)
{
	struct shmb_block *block = NULL;
	struct shmb_type *pair = NULL;
	struct shmb_type *other = NULL;
	struct program sharer;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	ASSERT_OK(shmb_type_parse(&pair, "pair", "uint64 first\nuint64 second\n"));
	ASSERT_OK(shmb_type_parse(&other, "triple", "uint64[3] values\n"));
	worker_start(&sharer, &b, "sharer", false);
	worker_must(&sharer, "block name=block");
	worker_must(&sharer, "lock deadline=forever");
	worker_must(&sharer, "half value=7");
	ASSERT_ERROR(shmb_block_open(&block, client, "block", other), EPROTOTYPE);
	ck_assert_uint_eq(generation_of(client, "block"), 1);
	/* In the same type it is shared as ever, whatever its lock says. */
	ASSERT_OK(shmb_block_open(&block, client, "block", pair));
	ASSERT_ERROR(shmb_block_trylock(block), EBUSY);
	block = shmb_block_close(block);
	program_kill(&sharer);
	ASSERT_OK(shmb_block_open(&block, client, "block", other));
	ck_assert_uint_eq(generation_of(client, "block"), 2);
	WAIT_FOR(draining(client, "block") == 0);
	ck_assert_int_eq(shmb_block_trylock(block), 0);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_uint_eq(((const uint64_t *)shmb_block_payload(block))[i], 0);
	((uint64_t *)shmb_block_payload(block))[2] = 5;
	ASSERT_OK(shmb_block_unlock(block));
	/* Now it is this one's turn to be refused. */
	worker_start(&sharer, &b, "sharer", false);
	ASSERT_RESULT(worker_ask(&sharer, "block name=block"), -EPROTOTYPE);
	broker_kill(&b);
	broker_restart(&b);
	ASSERT_RESULT(worker_ask(&sharer, "block name=block"), -EPROTOTYPE);
	ck_assert_uint_eq(((const uint64_t *)shmb_block_payload(block))[2], 5);
	shmb_block_close(block);
	worker_must(&sharer, "block name=block");
	ck_assert_uint_eq(generation_of(client, "block"), 3);
	worker_quit(&sharer);
	shmb_type_free(pair);
	shmb_type_free(other);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("takeover of each kind");

	suite_add(suite, frames_stay_where_they_are, 60);
	suite_add(suite, held_across_change_and_restart, 60);
	suite_add(suite, queue_is_drained_in_order, 60);
	suite_add(suite, producer_is_replaced_under_a_sleeper, 60);
	suite_add(suite, a_loader_goes_on, 60);
	suite_add(suite, wait_sets_tell_and_go_on, 60);
	suite_add(suite, wait_any_follows, 60);
	suite_add(suite, queries_by_time_stay_on_their_side, 60);
	suite_add(suite, a_block_changes_when_nobody_shares_it, 60);
	return suite_run(suite);
}
