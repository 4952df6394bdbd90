/* SPDX-License-Identifier: MIT */
/*
 * What each kind of segment makes of a change of generation: frames that are held across it, queues that are not drained, blocks and their locks. The
 * change is another layout, asked for after the writer closed, or a writer that was stopped and replaced.
 */
#include "takeover.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { BYTES = 64, FRAME_BYTES = 4096 };

static const char replacing[] = "[segment *]\nstale-time = 100ms\non-hang = replace\n";

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
			WAIT_UNTIL(draining(client, "frames") == 0);
		}
		reader = shmb_frame_reader_close(reader); /* the second time with all in hand */
		WAIT_UNTIL(draining(client, "frames") == 0);
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
	WAIT_UNTIL(draining(client, "frames") == 0);
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
	WAIT_UNTIL(draining(client, "block") == 0);
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
	suite_add(suite, a_block_changes_when_nobody_shares_it, 60);
	return suite_run(suite);
}
