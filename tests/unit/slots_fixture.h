/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_SLOTS_FIXTURE_H
#define SHMB_TESTS_SLOTS_FIXTURE_H

/* A segment in plain memory with a writer and a reader on it: no broker, no files. Payload bytes are the low byte of their number. */

#include "libclient/slots.h"
#include "tests/support/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct bench {
	struct shmb_geometry geometry;
	struct shmb_shm_card *card;
	struct shmb_shm_data *data;
	struct shmb_shm_area *areas[2];
	struct slots_memory memory; /* as a writer sees it */
	struct slots_writer writer;
	struct slots_reader reader;
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

/* A reader as if it were opened now. */
static inline void bench_reader(struct bench *bench, struct slots_reader *reader)
{
	struct slots_memory memory = bench->memory;

	memory.area_count = 1;
	slots_reader_init(reader, &memory, &memory.areas[0]->cells[0]);
}

static inline void bench_setup_at(struct bench *bench, uint32_t capacity, uint64_t bytes, uint32_t flags, uint64_t base)
{
	struct shmb_request request = { .kind = SHMB_KIND_RING,
					.flags = flags,
					.capacity = capacity,
					.payload_align = 1,
					.payload_bytes = bytes,
					.key_field = SHMB_KEY_IS_STAMP };

	memset(bench, 0, sizeof(*bench));
	ck_assert_int_eq(shmb_geometry_plan(&request, 2, &bench->geometry, NULL), 0);
	bench->geometry.base = base;
	bench->card = pages(sizeof(*bench->card));
	bench->data = pages(bench->geometry.data_bytes);
	for (int i = 0; i < 2; i++)
		bench->areas[i] = pages(sizeof(*bench->areas[i]));
	bench->card->state = granted;
	bench->card->cut = UINT64_MAX;
	bench->card->writer = shmb_writer_word(3, SHMB_WRITER_ALIVE);
	bench->card->bound_areas = 1;
	bench->data->counter = base;
	bench->memory = (struct slots_memory){
		.geometry = &bench->geometry,
		.card = bench->card,
		.data = bench->data,
		.areas = { bench->areas[0], bench->areas[1] },
		.area_count = 2,
		.guard = &guard,
	};
	ck_assert_int_eq(slots_writer_init(&bench->writer, &bench->memory, granted), 0);
	bench_reader(bench, &bench->reader);
}

static inline void bench_setup(struct bench *bench, uint32_t capacity, uint64_t bytes, uint32_t flags)
{
	bench_setup_at(bench, capacity, bytes, flags, 0);
}

static inline void bench_teardown(struct bench *bench)
{
	free(bench->card);
	free(bench->data);
	free(bench->areas[0]);
	free(bench->areas[1]);
}

static inline _Atomic uint64_t *id_of(struct bench *bench, uint64_t number)
{
	uint64_t index = number & (bench->geometry.slot_count - 1);

	return (_Atomic uint64_t *)((char *)bench->data + bench->geometry.slot_offset + (index << bench->geometry.slot_shift));
}

/* Publishes `count` payloads whose bytes are all the low byte of their number. */
static inline void publish(struct bench *bench, unsigned count)
{
	unsigned char payload[8192];

	for (unsigned i = 0; i < count; i++) {
		memset(payload, (int)(bench->writer.next & 0xff), bench->geometry.payload_bytes);
		ck_assert_int_eq(slots_publish(&bench->writer, payload), 0);
	}
}

static inline void check_payload(const unsigned char *payload, uint64_t bytes, uint64_t number)
{
	for (uint64_t i = 0; i < bytes; i++)
		if (payload[i] != (number & 0xff))
			ck_abort_msg("byte %llu of write %llu is %u", (unsigned long long)i, (unsigned long long)number, payload[i]);
}

static inline void check_sample(struct bench *bench, const unsigned char *payload, const struct shmb_sample *sample, uint64_t number,
				uint64_t missed)
{
	ck_assert_uint_eq(sample->number, number);
	ck_assert_uint_eq(sample->missed, missed);
	check_payload(payload, bench->geometry.payload_bytes, number);
}

static inline void latest_is(struct bench *bench, uint64_t number, uint64_t missed)
{
	unsigned char payload[8192];
	struct shmb_sample sample;

	ck_assert_int_eq(slots_latest(&bench->reader, payload, &sample), 0);
	check_sample(bench, payload, &sample, number, missed);
}

static inline void next_is(struct bench *bench, uint64_t number, uint64_t missed)
{
	unsigned char payload[8192];
	struct shmb_sample sample;

	ck_assert_int_eq(slots_read_next(&bench->reader, payload, &sample), 0);
	check_sample(bench, payload, &sample, number, missed);
}

static inline int next_result(struct bench *bench)
{
	unsigned char payload[8192];

	return slots_read_next(&bench->reader, payload, NULL);
}

#endif
