/* SPDX-License-Identifier: MIT */
/*
 * The data path of queues and the lock of blocks on plain memory: order, loss, who comes after whom, sleeping, and words that nobody
 * wrote.
 */
#include "queue_fixture.h"

#include <pthread.h>
#include <time.h>

static const struct {
	uint64_t bytes;
	uint32_t flags;
} shapes[] = {
	{ 1, 0 }, { 56, 0 }, { 57, 0 }, { 64, 0 }, { 4096, 0 }, { 5000, 0 }, { 48, SHMB_SEGMENT_STAMPED }, { 49, SHMB_SEGMENT_STAMPED },
};
enum { SHAPES = sizeof(shapes) / sizeof(shapes[0]) };

START_TEST(all_places_are_used_in_order)
{
	for (unsigned shape = 0; shape < SHAPES; shape++) {
		for (uint32_t capacity = 2; capacity <= 16; capacity *= 2) {
			struct bench bench;
			uint64_t popped = 0;

			bench_setup_at(&bench, capacity, shapes[shape].bytes, shapes[shape].flags, 0);
			ck_assert_int_eq(pop_result(&bench), -ENODATA);
			for (unsigned round = 0; round < 40; round++) {
				unsigned drained = round % (capacity + 1);

				while (push(&bench) == 0)
					;
				ck_assert_int_eq(push(&bench), -EAGAIN);
				ck_assert_uint_eq(bench.producer.slots.next, popped + capacity);
				for (unsigned i = 0; i < drained; i++)
					pop_is(&bench, popped++);
			}
			while (popped < bench.producer.slots.next)
				pop_is(&bench, popped++);
			ck_assert_int_eq(pop_result(&bench), -ENODATA);
			bench_teardown(&bench);
		}
	}
}
END_TEST

START_TEST(batches_take_what_is_there)
{
	unsigned char payloads[16 * 100];
	struct shmb_sample samples[16];
	uint64_t pushed_to = 0, popped_to = 0;
	struct bench bench;
	size_t n;

	bench_setup(&bench, 8, 100);
	ck_assert_int_eq(queue_pop_many(&bench.consumer, payloads, samples, 16, &n), -ENODATA);
	for (unsigned round = 1; round < 200; round++) {
		size_t wanted = round % 13 + 1;
		size_t room = 8 - (pushed_to - popped_to);

		for (size_t i = 0; i < wanted; i++)
			fill(payloads + 100 * i, 100, pushed_to + i);
		ck_assert_int_eq(queue_push_many(&bench.producer, payloads, wanted, &n), room == 0 ? -EAGAIN : 0);
		ck_assert_uint_eq(n, wanted < room ? wanted : room);
		pushed_to += n;
		wanted = round % 7 + 1;
		ck_assert_int_eq(queue_pop_many(&bench.consumer, payloads, samples, wanted, &n), 0);
		ck_assert_uint_eq(n, wanted < pushed_to - popped_to ? wanted : pushed_to - popped_to);
		for (size_t i = 0; i < n; i++) {
			ck_assert_uint_eq(samples[i].number, popped_to);
			check(payloads + 100 * i, 100, popped_to++);
		}
	}
	ck_assert_int_eq(queue_push_many(&bench.producer, payloads, 0, &n), 0);
	ck_assert_uint_eq(n, 0);
	bench_teardown(&bench);
}
END_TEST

START_TEST(in_place)
{
	struct shmb_sample sample;
	const void *item;
	struct bench bench;
	void *place;
	void *again;

	bench_setup(&bench, 4, 200);
	ck_assert_int_eq(queue_commit(&bench.producer), -EPERM);
	ck_assert_int_eq(queue_abort(&bench.producer), -EPERM);
	for (uint64_t n = 0; n < 4; n++) {
		ck_assert_int_eq(queue_claim(&bench.producer, &place), 0);
		ck_assert_int_eq(queue_claim(&bench.producer, &again), -EBUSY);
		ck_assert_ptr_null(again);
		ck_assert_int_eq(push(&bench), -EBUSY);
		memset(place, 0xee, 200);
		ck_assert_int_eq(queue_abort(&bench.producer), 0);
		ck_assert_int_eq(queue_peek(&bench.consumer, (uint32_t)n, &item, &sample), -ENODATA);
		ck_assert_int_eq(queue_claim(&bench.producer, &place), 0);
		fill(place, 200, n);
		ck_assert_int_eq(queue_commit(&bench.producer), 0);
	}
	ck_assert_int_eq(queue_claim(&bench.producer, &place), -EAGAIN);
	ck_assert_int_eq(queue_release(&bench.consumer, 1), -EPERM);
	for (uint32_t n = 0; n < 3; n++) {
		ck_assert_int_eq(queue_peek(&bench.consumer, n, &item, &sample), 0);
		ck_assert_uint_eq(sample.number, n);
		check(item, 200, n);
	}
	ck_assert_int_eq(queue_peek(&bench.consumer, 4, &item, &sample), -ENODATA);
	ck_assert_int_eq(queue_peek(&bench.consumer, UINT32_MAX, &item, &sample), -ENODATA);
	ck_assert_int_eq(queue_release(&bench.consumer, 4), -EPERM);
	ck_assert_int_eq(queue_release(&bench.consumer, 2), 0);
	ck_assert_int_eq(queue_release(&bench.consumer, 2), -EPERM);
	pop_is(&bench, 2);
	ck_assert_int_eq(queue_release(&bench.consumer, 1), -EPERM);
	pop_is(&bench, 3);
	ck_assert_int_eq(queue_peek(&bench.consumer, 0, &item, &sample), -ENODATA);
	ck_assert_ptr_null(item);
	bench_teardown(&bench);
}
END_TEST

/* P1: it makes no difference who is there first, and how much was pushed by then. */
START_TEST(defect_P1_consumer_comes_late)
{
	for (unsigned pushed = 0; pushed <= 4; pushed++) {
		struct shmb_request request = {
			.kind = SHMB_KIND_QUEUE, .capacity = 4, .payload_align = 1, .payload_bytes = 8, .key_field = SHMB_KEY_IS_STAMP
		};
		struct bench bench;

		memory_setup(&bench, &request, 0);
		ck_assert_int_eq(producer_open(&bench), 0);
		push_n(&bench, pushed);
		ck_assert_int_eq(consumer_open(&bench), 0);
		for (uint64_t n = 0; n < pushed; n++)
			pop_is(&bench, n);
		ck_assert_int_eq(pop_result(&bench), -ENODATA);
		push_n(&bench, 4);
		for (uint64_t n = pushed; n < pushed + 4; n++)
			pop_is(&bench, n);
		bench_teardown(&bench);
	}
}
END_TEST

/* P2: neither end adds an item or takes one by going and coming. */
START_TEST(defect_P2_ends_come_and_go)
{
	struct shmb_sample sample;
	const void *item;
	struct bench bench;
	void *place;

	bench_setup(&bench, 4, 8);
	push_n(&bench, 3);
	for (unsigned i = 0; i < 5; i++) {
		ck_assert_int_eq(queue_claim(&bench.producer, &place), 0);
		ck_assert_int_eq(producer_open(&bench), 0);
		ck_assert_uint_eq(bench.producer.slots.next, 3);
		ck_assert_int_eq(queue_peek(&bench.consumer, 1, &item, &sample), 0);
		ck_assert_int_eq(consumer_open(&bench), 0);
	}
	pop_is(&bench, 0);
	ck_assert_int_eq(consumer_open(&bench), 0);
	pop_is(&bench, 1);
	pop_is(&bench, 2);
	ck_assert_int_eq(pop_result(&bench), -ENODATA);
	ck_assert_int_eq(consumer_open(&bench), 0);
	ck_assert_int_eq(pop_result(&bench), -ENODATA);
	push_n(&bench, 4);
	ck_assert_int_eq(push(&bench), -EAGAIN);
	ck_assert_int_eq(producer_open(&bench), 0);
	ck_assert_int_eq(push(&bench), -EAGAIN);
	pop_is(&bench, 3);
	bench_teardown(&bench);
}
END_TEST

/* What was peeked at and not released comes again, with the same number. */
START_TEST(unreleased_items_come_again)
{
	struct shmb_sample sample;
	const void *item;
	struct bench bench;

	bench_setup(&bench, 4, 8);
	push_n(&bench, 4);
	for (uint32_t n = 0; n < 3; n++)
		ck_assert_int_eq(queue_peek(&bench.consumer, n, &item, &sample), 0);
	ck_assert_int_eq(queue_release(&bench.consumer, 1), 0);
	ck_assert_int_eq(consumer_open(&bench), 0);
	ck_assert_uint_eq(bench.consumer.slots.position, 1);
	ck_assert_int_eq(queue_release(&bench.consumer, 1), -EPERM);
	for (uint64_t n = 1; n < 4; n++)
		pop_is(&bench, n);
	bench_teardown(&bench);
}
END_TEST

/* A new generation's numbers begin at its base, and its cell is zero. */
START_TEST(numbers_begin_at_the_base)
{
	struct bench bench;

	bench_setup_at(&bench, 4, 8, 0, 1000);
	ck_assert_uint_eq(bench.consumer.slots.position, 1000);
	ck_assert_int_eq(pop_result(&bench), -ENODATA);
	push_n(&bench, 4);
	ck_assert_int_eq(push(&bench), -EAGAIN);
	ck_assert_int_eq(producer_open(&bench), 0);
	pop_is(&bench, 1000);
	ck_assert_int_eq(push(&bench), 0);
	bench_teardown(&bench);
}
END_TEST

/* A producer that died between id and counter: the item was pushed. */
START_TEST(an_item_that_is_not_counted_is_there)
{
	struct bench bench;

	bench_setup(&bench, 4, 8);
	push_n(&bench, 3);
	bench.data->counter = 2;
	ck_assert_int_eq(consumer_open(&bench), 0);
	for (uint64_t n = 0; n < 3; n++)
		pop_is(&bench, n);
	ck_assert_int_eq(consumer_open(&bench), 0);
	ck_assert_int_eq(pop_result(&bench), -ENODATA);
	bench_teardown(&bench);
}
END_TEST

START_TEST(positions_that_cannot_be)
{
	static const uint64_t wrong[] = { 9, 10, 1000, UINT64_C(1) << 62, UINT64_MAX };
	struct bench bench;
	size_t n;
	void *place;

	bench_setup(&bench, 4, 8);
	push_n(&bench, 4);
	for (uint64_t i = 0; i < 4; i++)
		pop_is(&bench, i);
	push_n(&bench, 4); /* next is 8, the position 4 */
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		bench.area->cells[0].position = wrong[i];
		ck_assert_int_eq(push(&bench), -EPROTO);
		ck_assert_int_eq(queue_claim(&bench.producer, &place), -EPROTO);
		ck_assert_int_eq(queue_push_many(&bench.producer, "12345678", 1, &n), -EPROTO);
		ck_assert_int_eq(queue_wait_room(&bench.producer, SHMB_FOREVER), -EPROTO);
		ck_assert_int_eq(producer_open(&bench), -EPROTO);
		ck_assert_int_eq(consumer_open(&bench), -EPROTO);
		bench.area->cells[0].position = 4;
		ck_assert_int_eq(producer_open(&bench), 0);
	}
	bench.area->cells[0].position = 3; /* back */
	ck_assert_int_eq(push(&bench), -EPROTO);
	ck_assert_int_eq(producer_open(&bench), -EPROTO);
	ck_assert_int_eq(consumer_open(&bench), -EPROTO);
	bench.area->cells[0].position = 4;
	ck_assert_int_eq(push(&bench), -EAGAIN);
	ck_assert_int_eq(consumer_open(&bench), 0);
	for (uint64_t i = 4; i < 8; i++)
		pop_is(&bench, i);
	bench_teardown(&bench);
}
END_TEST

START_TEST(a_producer_that_lies)
{
	struct shmb_sample sample;
	const void *item;
	struct bench bench;
	struct shmb_shm_slot *slot;

	bench_setup(&bench, 4, 64);
	push_n(&bench, 2);
	slot = (struct shmb_shm_slot *)((char *)bench.data + bench.geometry.slot_offset);
	slot->id = shmb_id_done(4); /* overwritten before it was consumed */
	ck_assert_int_eq(pop_result(&bench), -EPROTO);
	ck_assert_int_eq(queue_peek(&bench.consumer, 0, &item, &sample), -EPROTO);
	slot->id = shmb_id_writing(0);
	ck_assert_int_eq(pop_result(&bench), -EPROTO);
	slot->id = 0; /* not there, but counted */
	ck_assert_int_eq(pop_result(&bench), -ENODATA);
	ck_assert_int_eq(queue_wait(&bench.consumer, SHMB_FOREVER), -EPROTO);
	slot->id = shmb_id_done(0);
	bench.data->counter = UINT64_MAX;
	pop_is(&bench, 0);
	pop_is(&bench, 1);
	ck_assert_int_eq(pop_result(&bench), -ENODATA);
	ck_assert_int_eq(queue_wait(&bench.consumer, SHMB_FOREVER), -EPROTO);
	ck_assert_int_eq(consumer_open(&bench), -EPROTO);
	bench_teardown(&bench);
}
END_TEST

START_TEST(who_has_lost_it_is_told)
{
	struct shmb_sample sample;
	const void *item;
	struct bench bench;
	void *place;
	size_t n;

	bench_setup(&bench, 4, 8);
	push_n(&bench, 2);
	ck_assert_int_eq(queue_claim(&bench.producer, &place), 0);
	bench.card->state = 4 << 8 | SHMB_STATE_HELD;
	ck_assert_int_eq(queue_commit(&bench.producer), -ESTALE);
	ck_assert_int_eq(push(&bench), -ESTALE);
	ck_assert_int_eq(queue_push_many(&bench.producer, "", 0, &n), -ESTALE);
	ck_assert_int_eq(queue_wait_room(&bench.producer, SHMB_FOREVER), -ESTALE);
	bench.card->cells[0].incarnation++;
	ck_assert_int_eq(pop_result(&bench), -ESTALE);
	ck_assert_int_eq(queue_peek(&bench.consumer, 0, &item, &sample), -ESTALE);
	ck_assert_int_eq(queue_release(&bench.consumer, 0), -ESTALE);
	bench.card->cells[0].incarnation--;
	pop_is(&bench, 0);
	bench.card->cells[0].pid = 0;
	ck_assert_int_eq(pop_result(&bench), -ESTALE);
	ck_assert_uint_eq(bench.area->cells[0].position, 1);
	bench.data->queue_flag = 3; /* a wait for several leaves it odd */
	bench.producer.flag = 3;
	guard = 0;
	ck_assert_int_eq(pop_result(&bench), -EOWNERDEAD);
	ck_assert_int_eq(push(&bench), -EOWNERDEAD);
	ck_assert_int_eq(queue_abort(&bench.producer), -EOWNERDEAD);
	ck_assert_int_eq(queue_wait_room(&bench.producer, SHMB_FOREVER), -EOWNERDEAD);
	ck_assert_uint_eq(bench.data->queue_flag, 3); /* in a child it is not there */
	guard = 1;
	bench_teardown(&bench);
}
END_TEST

START_TEST(without_an_area_nobody_can_consume)
{
	struct bench bench;

	bench_setup(&bench, 4, 8);
	ck_assert_int_eq(queue_consumer_init(&bench.consumer, &bench.memory, 1, 1), -EUSERS);
	ck_assert_int_eq(queue_consumer_init(&bench.consumer, &bench.memory, UINT32_MAX, 1), -EUSERS);
	bench.memory.area_count = 0;
	ck_assert_int_eq(producer_open(&bench), -EUSERS);
	ck_assert_int_eq(consumer_open(&bench), -EUSERS);
	bench_teardown(&bench);
}
END_TEST

/* ---- two threads ---- */

struct job {
	struct bench *bench;
	uint64_t count;
	unsigned batch;
};

static void *produce(void *arg)
{
	struct job *job = arg;
	struct queue_producer *producer = &job->bench->producer;
	unsigned char payloads[16 * 64];
	uint64_t done = 0;

	while (done < job->count) {
		size_t n = job->batch < job->count - done ? job->batch : job->count - done;
		int r;

		for (size_t i = 0; i < n; i++)
			fill(payloads + 64 * i, 64, done + i);
		r = job->batch > 1 ? queue_push_many(producer, payloads, n, &n) : queue_push(producer, payloads);
		if (r == -EAGAIN) {
			ck_assert_int_eq(queue_wait_room(producer, in_ms(10000)), 0);
			continue;
		}
		ck_assert_int_eq(r, 0);
		done += n;
	}
	return NULL;
}

static void run_threads(uint32_t capacity, unsigned batch, uint64_t count)
{
	unsigned char payload[64];
	struct shmb_sample sample;
	struct bench bench;
	struct job job = { .bench = &bench, .count = count, .batch = batch };
	pthread_t thread;

	bench_setup(&bench, capacity, 64);
	ck_assert_int_eq(pthread_create(&thread, NULL, produce, &job), 0);
	for (uint64_t n = 0; n < count; n++) {
		int r = queue_pop(&bench.consumer, payload, &sample);

		if (r == -ENODATA) {
			ck_assert_int_eq(queue_wait(&bench.consumer, in_ms(10000)), 0);
			r = queue_pop(&bench.consumer, payload, &sample);
		}
		ck_assert_int_eq(r, 0);
		ck_assert_uint_eq(sample.number, n);
		check(payload, 64, n);
	}
	pthread_join(thread, NULL);
	ck_assert_int_eq(pop_result(&bench), -ENODATA);
	bench_teardown(&bench);
}

/* Both sides sleep as often as they can: P3's deadlocks, and every wake-up that could be missed. */
START_TEST(defect_P3_both_sides_block)
{
	run_threads(2, 1, 60000);
	run_threads(4, 3, 60000);
	run_threads(64, 16, 200000);
}
END_TEST

static void *wait_room(void *arg)
{
	struct bench *bench = arg;

	return (void *)(intptr_t)queue_wait_room(&bench->producer, in_ms(10000));
}

/* Waits until the producer's thread has said that it sleeps, and then a little. */
static uint32_t flagged(struct bench *bench)
{
	struct timespec nap = { .tv_nsec = 2000000 };

	while ((atomic_load(&bench->data->queue_flag) & 1) == 0)
		nanosleep(&nap, NULL);
	nanosleep(&nap, NULL);
	return atomic_load(&bench->data->queue_flag);
}

static void join_is(pthread_t thread, int expected)
{
	void *result;

	pthread_join(thread, &result);
	ck_assert_int_eq((int)(intptr_t)result, expected);
}

/* A consumer that died between its position and the wake-up, a producer that died while it slept. */
START_TEST(nobody_is_left_asleep)
{
	struct bench bench;
	pthread_t thread;
	uint32_t flag;

	bench_setup(&bench, 2, 8);
	push_n(&bench, 2);
	ck_assert_int_eq(queue_wait_room(&bench.producer, SHMB_NO_WAIT), -ETIMEDOUT);
	ck_assert_int_eq(queue_wait_room(&bench.producer, in_ms(5)), -ETIMEDOUT);
	ck_assert_uint_eq(bench.data->queue_flag & 1, 0);
	pthread_create(&thread, NULL, wait_room, &bench);
	flagged(&bench);
	atomic_store(&bench.area->cells[0].position, 1);
	ck_assert_int_eq(consumer_open(&bench), 0);
	join_is(thread, 0);
	ck_assert_uint_eq(bench.area->cells[0].wake, 1);

	push_n(&bench, 1);
	flag = bench.data->queue_flag + 1;
	bench.data->queue_flag = flag;
	pop_is(&bench, 1); /* wakes for the number of the dead */
	ck_assert_uint_eq(bench.area->cells[0].wake, 2);
	pop_is(&bench, 2); /* once */
	ck_assert_uint_eq(bench.area->cells[0].wake, 2);
	ck_assert_int_eq(producer_open(&bench), 0);
	ck_assert_uint_eq(bench.data->queue_flag, flag + 1);
	push_n(&bench, 2);
	pthread_create(&thread, NULL, wait_room, &bench);
	ck_assert_uint_ne(flagged(&bench), flag);
	pop_is(&bench, 3);
	join_is(thread, 0);
	ck_assert_uint_eq(bench.area->cells[0].wake, 3);
	bench_teardown(&bench);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("queue");

	unit_add(suite, all_places_are_used_in_order, 20);
	unit_add(suite, batches_take_what_is_there, 20);
	unit_add(suite, in_place, 20);
	unit_add(suite, defect_P1_consumer_comes_late, 20);
	unit_add(suite, defect_P2_ends_come_and_go, 20);
	unit_add(suite, unreleased_items_come_again, 20);
	unit_add(suite, numbers_begin_at_the_base, 20);
	unit_add(suite, an_item_that_is_not_counted_is_there, 20);
	unit_add(suite, positions_that_cannot_be, 20);
	unit_add(suite, a_producer_that_lies, 20);
	unit_add(suite, who_has_lost_it_is_told, 20);
	unit_add(suite, without_an_area_nobody_can_consume, 20);
	unit_add(suite, defect_P3_both_sides_block, 60);
	unit_add(suite, nobody_is_left_asleep, 20);
	return unit_run(suite);
}
