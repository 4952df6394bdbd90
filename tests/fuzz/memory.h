/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_FUZZ_MEMORY_H
#define SHMB_TESTS_FUZZ_MEMORY_H

/*
 * Segments as the broker makes them, one of each shape, in plain memory: what fuzz targets begin with and then overwrite. Each part is a block of
 * the heap of its own, so that the address sanitizer sees whoever leaves it.
 */

#include "fuzz.h"
#include "proto/geometry.h"
#include "proto/schema.h"

enum { SHAPES = 9, SHAPE_AREAS = 2 };

static const struct shmb_request shapes[SHAPES] = {
	{ .kind = SHMB_KIND_RING, .capacity = 8, .payload_align = 8, .payload_bytes = 16, .key_field = SHMB_KEY_IS_STAMP },
	{ .kind = SHMB_KIND_RING,
	  .flags = SHMB_SEGMENT_STAMPED,
	  .capacity = 16,
	  .payload_align = 8,
	  .payload_bytes = 16,
	  .key_type = SHMB_KEY_MONOTONIC_NS,
	  .key_field = SHMB_KEY_IS_STAMP },
	{ .kind = SHMB_KIND_RING, .capacity = 4, .payload_align = 8, .payload_bytes = 200, .key_type = SHMB_KEY_SEQUENCE, .key_field = 8 },
	{ .kind = SHMB_KIND_VALUE, .capacity = 4, .payload_align = 8, .payload_bytes = 16, .key_field = SHMB_KEY_IS_STAMP },
	{ .kind = SHMB_KIND_FRAME, .history = 2, .pins = 3, .payload_align = 8, .payload_bytes = 100, .key_field = SHMB_KEY_IS_STAMP },
	{ .kind = SHMB_KIND_FRAME,
	  .history = 3,
	  .pins = 1,
	  .payload_align = 8,
	  .payload_bytes = 72,
	  .key_type = SHMB_KEY_SEQUENCE,
	  .key_field = SHMB_KEY_IS_GIVEN },
	{ .kind = SHMB_KIND_QUEUE, .capacity = 8, .payload_align = 8, .payload_bytes = 16, .key_field = SHMB_KEY_IS_STAMP },
	{ .kind = SHMB_KIND_QUEUE, .capacity = 2, .payload_align = 8, .payload_bytes = 64, .key_field = SHMB_KEY_IS_STAMP },
	{ .kind = SHMB_KIND_BLOCK, .payload_align = 8, .payload_bytes = 16, .key_field = SHMB_KEY_IS_STAMP },
};

static const char shape_schema[] = "uint64 a\nuint64 b\n";
static const char shape_name[] = "fuzz/x";

struct shape_memory {
	struct shmb_geometry geometry;
	struct shmb_shm_card *card; /* and a page of schema behind it */
	struct shmb_shm_data *data;
	struct shmb_shm_area *areas[SHAPE_AREAS];
};

static inline void *shape_pages(size_t bytes)
{
	void *memory = aligned_alloc(SHMB_PAGE, (bytes + SHMB_PAGE - 1) & ~(size_t)(SHMB_PAGE - 1));

	FUZZ_HOLDS(memory != NULL);
	memset(memory, 0, bytes);
	return memory;
}

static inline void shape_card(const struct shmb_geometry *geometry, struct shmb_shm_card *card)
{
	memset(card, 0, sizeof(*card));
	card->magic = SHMB_CARD_MAGIC;
	card->version = SHMB_LAYOUT_VERSION;
	card->oldest_reader = SHMB_LAYOUT_OLDEST;
	card->card_bytes = 2 * SHMB_PAGE;
	card->schema_offset = SHMB_PAGE;
	card->schema_length = sizeof(shape_schema) - 1;
	card->schema_hash = shmb_schema_hash(shape_schema, sizeof(shape_schema) - 1);
	card->kind = (uint8_t)geometry->kind;
	card->backing = SHMB_BACKING_NAMED;
	card->key_type = geometry->key_type;
	card->segment_id = 77;
	card->generation = 1;
	card->data_bytes = geometry->data_bytes;
	card->payload_bytes = geometry->payload_bytes;
	card->slot_offset = geometry->slot_offset;
	card->pool_offset = geometry->pool_offset;
	card->key_offset = geometry->key_offset;
	card->entry_offset = geometry->entry_offset;
	card->flags = geometry->flags;
	card->slot_count = geometry->slot_count;
	card->pool_count = geometry->pool_count;
	card->entry_count = geometry->entry_count;
	card->slot_shift = geometry->slot_shift;
	card->pool_shift = geometry->pool_shift;
	card->key_shift = geometry->key_shift;
	card->entry_shift = geometry->entry_shift;
	card->history = geometry->history;
	card->key_field = geometry->key_field;
	card->area_count = geometry->area_count;
	card->payload_align = geometry->payload_align;
	card->cut = UINT64_MAX;
	card->state = shmb_state_word(3, SHMB_STATE_HELD);
	card->writer = shmb_writer_word(3, SHMB_WRITER_ALIVE);
	card->lease_epoch = 3;
	card->bound_areas = 1;
	strcpy(card->name, shape_name);
	strcpy(card->type, "pair");
}

/* Makes the parts, or makes them new. */
static inline void shape_make(struct shape_memory *memory, unsigned shape)
{
	if (memory->card == NULL) {
		FUZZ_HOLDS(shmb_geometry_plan(&shapes[shape], SHAPE_AREAS, &memory->geometry, NULL) == 0);
		memory->card = shape_pages(2 * SHMB_PAGE);
		memory->data = shape_pages(memory->geometry.data_bytes);
		for (unsigned i = 0; i < SHAPE_AREAS; i++)
			memory->areas[i] = shape_pages(sizeof(*memory->areas[i]));
		memcpy((char *)memory->card + SHMB_PAGE, shape_schema, sizeof(shape_schema) - 1);
	}
	shape_card(&memory->geometry, memory->card);
	memset(memory->data, 0, memory->geometry.data_bytes);
	memory->data->magic = SHMB_DATA_MAGIC;
	for (unsigned i = 0; i < SHAPE_AREAS; i++)
		memset(memory->areas[i], 0, sizeof(*memory->areas[i]));
}

#endif
