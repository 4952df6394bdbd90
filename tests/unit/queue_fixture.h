/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_QUEUE_FIXTURE_H
#define SHMB_TESTS_QUEUE_FIXTURE_H

/* A queue in plain memory with its producer and its consumer: no broker, no files. An item's bytes follow from its number. */

#include "libclient/queue.h"
#include "libclient/wait.h"
#include "tests/support/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct bench {
	struct shmb_geometry geometry;
	struct shmb_shm_card *card;
	struct shmb_shm_data *data;
	struct shmb_shm_area *area;
	struct slots_memory memory;
	struct queue_producer producer;
	struct queue_consumer consumer;
};

static _Atomic uint32_t guard = 1;
static const uint64_t granted = 3 << 8 | SHMB_STATE_HELD;

static inline void *pages(size_t bytes)
{
	size_t rounded = (bytes + SHMB_PAGE - 1) & ~(size_t)(SHMB_PAGE - 1);
	void *memory = aligned_alloc(SHMB_PAGE, rounded);

	ck_assert_ptr_nonnull(memory);
	memset(memory, 0, rounded);
	return memory;
}

static inline uint64_t in_ms(unsigned ms)
{
	return shmb_now_ns() + UINT64_C(1000000) * ms;
}

static inline void memory_setup(struct bench *bench, const struct shmb_request *request, uint64_t base)
{
	memset(bench, 0, sizeof(*bench));
	ck_assert_int_eq(shmb_geometry_plan(request, 1, &bench->geometry, NULL), 0);
	bench->geometry.base = base;
	bench->card = pages(sizeof(*bench->card));
	bench->data = pages(bench->geometry.data_bytes);
	bench->area = pages(sizeof(*bench->area));
	bench->card->state = granted;
	bench->card->cut = UINT64_MAX;
	bench->card->writer = shmb_writer_word(3, SHMB_WRITER_ALIVE);
	bench->card->bound_areas = 1;
	bench->card->cells[0].pid = 100;
	bench->card->cells[0].incarnation = 1;
	bench->data->counter = base;
	bench->memory = (struct slots_memory){
		.geometry = &bench->geometry,
		.card = bench->card,
		.data = bench->data,
		.areas = { bench->area },
		.area_count = 1,
		.guard = &guard,
	};
}

static inline int producer_open(struct bench *bench)
{
	return queue_producer_init(&bench->producer, &bench->memory, granted);
}

/* The next consumer, whose cell the broker has given to it. */
static inline int consumer_open(struct bench *bench)
{
	uint32_t incarnation = ++bench->card->cells[0].incarnation;

	return queue_consumer_init(&bench->consumer, &bench->memory, SHMB_QUEUE_CELL, incarnation);
}

static inline void bench_setup_at(struct bench *bench, uint32_t capacity, uint64_t bytes, uint32_t flags, uint64_t base)
{
	struct shmb_request request = { .kind = SHMB_KIND_QUEUE,
					.flags = flags,
					.capacity = capacity,
					.payload_align = 1,
					.payload_bytes = bytes,
					.key_field = SHMB_KEY_IS_STAMP };

	memory_setup(bench, &request, base);
	ck_assert_int_eq(producer_open(bench), 0);
	ck_assert_int_eq(consumer_open(bench), 0);
}

static inline void bench_setup(struct bench *bench, uint32_t capacity, uint64_t bytes)
{
	bench_setup_at(bench, capacity, bytes, 0, 0);
}

static inline void bench_teardown(struct bench *bench)
{
	free(bench->card);
	free(bench->data);
	free(bench->area);
}

static inline void fill(unsigned char *payload, uint64_t bytes, uint64_t number)
{
	for (uint64_t i = 0; i < bytes; i++)
		payload[i] = (unsigned char)(number * 7 + i);
}

static inline void check(const void *payload, uint64_t bytes, uint64_t number)
{
	unsigned char expected[8192];

	fill(expected, bytes, number);
	ck_assert_msg(memcmp(payload, expected, bytes) == 0, "item %llu has other bytes", (unsigned long long)number);
}

static inline int push(struct bench *bench)
{
	unsigned char payload[8192];

	fill(payload, bench->geometry.payload_bytes, bench->producer.slots.next);
	return queue_push(&bench->producer, payload);
}

static inline void push_n(struct bench *bench, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		ck_assert_int_eq(push(bench), 0);
}

static inline void pop_is(struct bench *bench, uint64_t number)
{
	unsigned char payload[8192];
	struct shmb_sample sample;

	ck_assert_int_eq(queue_pop(&bench->consumer, payload, &sample), 0);
	ck_assert_uint_eq(sample.number, number);
	ck_assert_uint_eq(sample.stamp_ns != 0, bench->geometry.flags != 0);
	check(payload, bench->geometry.payload_bytes, number);
}

static inline int pop_result(struct bench *bench)
{
	unsigned char payload[8192];

	return queue_pop(&bench->consumer, payload, NULL);
}

#endif
