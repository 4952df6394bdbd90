/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_FRAME_FIXTURE_H
#define SHMB_TESTS_FRAME_FIXTURE_H

/* A frame in plain memory with a writer and up to four readers on it: no broker, no files. Payloads are those of pattern.h, each of a length of its own. */

#include "libclient/frame.h"
#include "tests/support/pattern.h"
#include "tests/support/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES = 4096, AREAS = 2 };

struct bench {
	struct shmb_geometry geometry;
	struct shmb_shm_card *card;
	struct shmb_shm_data *data;
	struct shmb_shm_area *areas[AREAS];
	struct slots_memory memory; /* as a writer sees it */
	struct frame_writer writer;
	struct frame_reader readers[4];
	unsigned reader_count;
};

static _Atomic uint32_t guard = 1;
static const uint64_t granted = 3 << 8 | SHMB_STATE_HELD;

static inline struct shmb_frame_writer *writer_of(struct bench *bench)
{
	return (struct shmb_frame_writer *)&bench->writer;
}

static inline struct shmb_frame_reader *reader_of(struct bench *bench, unsigned reader)
{
	return (struct shmb_frame_reader *)&bench->readers[reader];
}

static inline void *pages(size_t bytes)
{
	size_t rounded = (bytes + SHMB_PAGE - 1) & ~(size_t)(SHMB_PAGE - 1);
	void *memory = aligned_alloc(SHMB_PAGE, rounded);

	ck_assert_ptr_nonnull(memory);
	memset(memory, 0, rounded);
	return memory;
}

/* A reader as if it were opened now, of pid 1000 + its number, in area 0. */
static inline struct shmb_frame_reader *reader_open(struct bench *bench)
{
	struct slots_memory memory = bench->memory;
	unsigned reader = bench->reader_count++;

	memory.area_count = 1;
	bench->card->cells[reader].pid = 1000 + (int32_t)reader;
	bench->card->area_cells[0] |= 1u << reader;
	frame_reader_init(&bench->readers[reader], &memory, &bench->areas[0]->cells[reader]);
	return reader_of(bench, reader);
}

static inline void bench_setup(struct bench *bench, uint32_t history, uint32_t pins, uint32_t flags)
{
	struct shmb_request request = {
		.kind = SHMB_KIND_FRAME,
		.flags = flags,
		.payload_align = 8,
		.payload_bytes = BYTES,
		.history = history,
		.pins = pins,
		.key_field = SHMB_KEY_IS_STAMP,
	};

	memset(bench, 0, sizeof(*bench));
	ck_assert_int_eq(shmb_geometry_plan(&request, AREAS, &bench->geometry, NULL), 0);
	bench->card = pages(sizeof(*bench->card));
	bench->data = pages(bench->geometry.data_bytes);
	for (int i = 0; i < AREAS; i++)
		bench->areas[i] = pages(sizeof(*bench->areas[i]));
	strcpy(bench->card->name, "camera/front");
	bench->card->state = granted;
	bench->card->cut = UINT64_MAX;
	bench->card->writer = shmb_writer_word(3, SHMB_WRITER_ALIVE);
	bench->card->bound_areas = 1;
	bench->memory = (struct slots_memory){
		.geometry = &bench->geometry,
		.card = bench->card,
		.data = bench->data,
		.areas = { bench->areas[0], bench->areas[1] },
		.area_count = AREAS,
		.guard = &guard,
	};
	ck_assert_int_eq(frame_writer_init(&bench->writer, &bench->memory, granted), 0);
	reader_open(bench);
}

static inline void bench_teardown(struct bench *bench)
{
	frame_writer_deinit(&bench->writer);
	free(bench->card);
	free(bench->data);
	for (int i = 0; i < AREAS; i++)
		free(bench->areas[i]);
}

static inline struct shmb_shm_entry *entry_at(struct bench *bench, uint64_t number)
{
	uint64_t index = number & (bench->geometry.entry_count - 1);

	return (struct shmb_shm_entry *)((char *)bench->data + bench->geometry.entry_offset + (index << bench->geometry.entry_shift));
}

static inline struct shmb_shm_slot *header_at(struct bench *bench, uint64_t slot)
{
	return (struct shmb_shm_slot *)((char *)bench->data + bench->geometry.slot_offset + (slot << bench->geometry.slot_shift));
}

/* Publishes frames of pattern.h; each of a length of its own. */
static inline size_t length_of(uint64_t number)
{
	return 64 + number * 40 % (BYTES - 64);
}

static inline int publish_one(struct bench *bench)
{
	uint64_t number = bench->writer.entries.next;
	size_t capacity;
	void *payload;
	int r = shmb_frame_loan(writer_of(bench), &payload, &capacity);

	if (r < 0)
		return r;
	ck_assert_uint_eq(capacity, BYTES);
	pattern_fill(payload, length_of(number), number, 1);
	return shmb_frame_commit(writer_of(bench), length_of(number));
}

static inline void publish(struct bench *bench, unsigned count)
{
	while (count-- > 0)
		ck_assert_int_eq(publish_one(bench), 0);
}

static inline void check(const struct shmb_frame *frame, uint64_t number)
{
	unsigned salt;

	ck_assert_uint_eq(frame->number, number);
	ck_assert_uint_eq(frame->length, length_of(number));
	ck_assert(pattern_check(frame->payload, frame->length, number, &salt) && salt == 1);
}

static inline struct shmb_frame newest_is(struct bench *bench, unsigned reader, uint64_t number)
{
	struct shmb_frame frame = { 0 };
	int r = shmb_frame_pin_newest(reader_of(bench, reader), &frame);

	ck_assert_msg(r == 0, "pin_newest: %d", r);
	check(&frame, number);
	return frame;
}

static inline int pin_result(struct bench *bench, uint64_t number)
{
	struct shmb_frame frame;
	int r = shmb_frame_pin_number(reader_of(bench, 0), number, &frame);

	if (r == 0) {
		check(&frame, number);
		ck_assert_int_eq(shmb_frame_release(reader_of(bench, 0), &frame), 0);
	}
	return r;
}

#endif
