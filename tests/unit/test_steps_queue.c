/* SPDX-License-Identifier: MIT */
/* Queues: what the other end and the broker do between two steps of a push or a pop, and the last items of a queue that was replaced. */
#include "queue_fixture.h"
#include "at_step.h"

static unsigned char payload[8192];

static void take_lease(void *user)
{
	struct bench *bench = user;

	bench->card->state = shmb_state_word(4, SHMB_STATE_SUPERSEDED);
}

/* The queue is replaced before the push has ended: whether the item counts is for the consumer's last look to say, so the push does not promise it. */
START_TEST(replaced_during_a_push)
{
	struct bench bench;
	size_t pushed = 7;
	void *place;

	bench_setup(&bench, 4, 8);
	at_step("queue.counted", 1, take_lease, &bench);
	ck_assert_int_eq(push(&bench), -ESTALE);
	ck_assert_int_eq(push(&bench), -ESTALE);
	ck_assert_uint_eq(bench.data->counter, 1);
	bench.card->state = granted;
	at_step("queue.counted", 1, take_lease, &bench);
	ck_assert_int_eq(queue_push_many(&bench.producer, payload, 2, &pushed), -ESTALE);
	ck_assert_uint_eq(pushed, 0);
	bench.card->state = granted;
	ck_assert_int_eq(queue_claim(&bench.producer, &place), 0);
	at_step("queue.counted", 1, take_lease, &bench);
	ck_assert_int_eq(queue_commit(&bench.producer), -ESTALE);
	bench_teardown(&bench);
}
END_TEST

static void push_one(void *user)
{
	push_n(user, 1);
}

/* The item arrives between the two looks at its place: no producer is called a liar for it. */
START_TEST(an_item_comes_while_it_is_looked_for)
{
	struct bench bench;

	for (unsigned i = 0; i < 6; i++) { /* in new places and in used ones */
		if (i == 0)
			bench_setup(&bench, 4, 8);
		at_step("queue.absent", 1, push_one, &bench);
		pop_is(&bench, i);
		ck_assert_int_eq(steps_acted, 1);
	}
	at_step("", 0, NULL, NULL);
	ck_assert_int_eq(pop_result(&bench), -ENODATA);
	bench_teardown(&bench);
}
END_TEST

START_TEST(the_last_items_of_a_queue)
{
	const void *place;
	struct bench bench;

	bench_setup(&bench, 4, 8);
	push_n(&bench, 3);
	/* Not replaced yet, but numbers from 2 on are another's. */
	bench.card->cut = 2;
	pop_is(&bench, 0);
	ck_assert_int_eq(queue_peek(&bench.consumer, 0, &place, NULL), 0);
	ck_assert_int_eq(queue_peek(&bench.consumer, 1, &place, NULL), -ENODATA);
	ck_assert(!queue_is_drained(&bench.consumer));
	bench.card->next = 2;
	ck_assert_int_eq(queue_peek(&bench.consumer, 1, &place, NULL), -ENODATA);
	ck_assert_ptr_null(place);
	pop_is(&bench, 1);
	ck_assert_int_eq(queue_peek(&bench.consumer, 0, &place, NULL), -EREMCHG);
	ck_assert_int_eq(pop_result(&bench), -EREMCHG);
	ck_assert(queue_is_drained(&bench.consumer));
	bench_teardown(&bench);
}
END_TEST

START_TEST(ends_that_cannot_be_opened)
{
	struct queue_consumer consumer;
	struct bench bench;

	bench_setup_at(&bench, 4, 8, 0, 100);
	ck_assert_int_eq(queue_consumer_init(&consumer, &bench.memory, SHMB_QUEUE_CELL + 1, 1), -EUSERS);
	ck_assert_int_eq(queue_consumer_follow(&bench.consumer, &bench.memory, SHMB_QUEUE_CELL + 1, 1), -EUSERS);
	bench.data->counter = 5; /* below the queue's first number: nothing is there */
	ck_assert_int_eq(consumer_open(&bench), 0);
	ck_assert_uint_eq(bench.consumer.slots.position, 100);
	ck_assert_int_eq(pop_result(&bench), -ENODATA);
	bench.data->counter = SHMB_NUMBER_MAX;
	ck_assert_int_eq(producer_open(&bench), -EOVERFLOW);
	ck_assert_int_eq(consumer_open(&bench), -EPROTO);
	bench_teardown(&bench);
}
END_TEST

START_TEST(batches_at_their_limits)
{
	unsigned char many[8 * 8];
	const void *place;
	struct bench bench;
	size_t popped;

	bench_setup(&bench, 4, 8);
	ck_assert_int_eq(queue_pop_many(&bench.consumer, many, NULL, 0, &popped), 0);
	ck_assert_uint_eq(popped, 0);
	push_n(&bench, 4);
	ck_assert_int_eq(queue_pop_many(&bench.consumer, many, NULL, 8, &popped), 0);
	ck_assert_uint_eq(popped, 4);
	for (uint64_t n = 0; n < 4; n++)
		check(many + 8 * n, 8, n);
	push_n(&bench, 2);
	/* Looked at once more, and released later: what was seen stays seen. */
	ck_assert_int_eq(queue_peek(&bench.consumer, 1, &place, NULL), 0);
	ck_assert_int_eq(queue_peek(&bench.consumer, 0, &place, NULL), 0);
	check(place, 8, 4);
	ck_assert_int_eq(queue_release(&bench.consumer, 0), 0);
	ck_assert_int_eq(queue_release(&bench.consumer, 2), 0);
	ck_assert_int_eq(pop_result(&bench), -ENODATA);
	bench.card->cells[0].pid = 0; /* given up by the broker */
	ck_assert_int_eq(queue_pop_many(&bench.consumer, many, NULL, 8, &popped), -ESTALE);
	ck_assert_int_eq(queue_release(&bench.consumer, 0), -ESTALE);
	bench_teardown(&bench);
}
END_TEST

static void pop_one(void *user)
{
	struct bench *bench = user;

	pop_is(bench, bench->consumer.slots.position);
}

/* Room that comes after the producer has said that it sleeps, while it spins, and never. */
START_TEST(waiting_for_room)
{
	struct bench bench;

	bench_setup(&bench, 4, 8);
	push_n(&bench, 4);
	at_step("wait.flagged", 1, pop_one, &bench);
	ck_assert_int_eq(queue_wait_room(&bench.producer, SHMB_FOREVER), 0);
	ck_assert_int_eq(steps_acted, 1);
	push_n(&bench, 1);
	bench.producer.waitable.spin_ns = 1000000;
	at_step("wait.looked", 1, pop_one, &bench); /* after a spin that saw none */
	ck_assert_int_eq(queue_wait_room(&bench.producer, SHMB_FOREVER), 0);
	push_n(&bench, 1);
	at_step("", 0, NULL, NULL);
	ck_assert_int_eq(queue_wait_room(&bench.producer, in_ms(5)), -ETIMEDOUT);
	ck_assert_uint_eq(bench.data->queue_flag & 1, 0);
	guard = 0;
	ck_assert_int_eq(queue_wait_room(&bench.producer, SHMB_FOREVER), -EOWNERDEAD);
	ck_assert_int_eq(waitable_look(&bench.producer.waitable, false), -EOWNERDEAD);
	bench_teardown(&bench);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("steps: queue");

	unit_add(suite, replaced_during_a_push, 10);
	unit_add(suite, an_item_comes_while_it_is_looked_for, 10);
	unit_add(suite, the_last_items_of_a_queue, 10);
	unit_add(suite, ends_that_cannot_be_opened, 10);
	unit_add(suite, batches_at_their_limits, 10);
	unit_add(suite, waiting_for_room, 10);
	return unit_run(suite);
}
