/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_CARD_FIXTURE_H
#define SHMB_TESTS_CARD_FIXTURE_H

/* Good cards of each kind, and the check of one: of whatever is accepted, that every access computed from it stays inside. */

#include "proto/validate.h"
#include "geometry_safe.h"

#include <errno.h>
#include <string.h>

enum { SCHEMA_BYTES = 16 };

static inline struct shmb_shm_card card_of(const struct shmb_geometry *g)
{
	struct shmb_shm_card card = {
		.magic = SHMB_CARD_MAGIC,
		.version = SHMB_LAYOUT_VERSION,
		.oldest_reader = SHMB_LAYOUT_OLDEST,
		.card_bytes = 2 * SHMB_PAGE,
		.schema_offset = SHMB_PAGE,
		.schema_length = SCHEMA_BYTES,
		.kind = (uint8_t)g->kind,
		.backing = SHMB_BACKING_NAMED,
		.key_type = g->key_type,
		.segment_id = 1,
		.generation = g->generation,
		.base = g->base,
		.data_bytes = g->data_bytes,
		.payload_bytes = g->payload_bytes,
		.slot_offset = g->slot_offset,
		.pool_offset = g->pool_offset,
		.key_offset = g->key_offset,
		.entry_offset = g->entry_offset,
		.flags = g->flags,
		.slot_count = g->slot_count,
		.pool_count = g->pool_count,
		.entry_count = g->entry_count,
		.slot_shift = g->slot_shift,
		.pool_shift = g->pool_shift,
		.key_shift = g->key_shift,
		.entry_shift = g->entry_shift,
		.history = g->history,
		.key_field = g->key_field,
		.area_count = g->area_count,
		.payload_align = g->payload_align,
		.name = "imu/main",
		.type = "imu",
		.lease_epoch = 1, /* not 0: the byte behind the type */
		.cut = UINT64_MAX,
	};

	return card;
}

static inline struct shmb_shm_card planned(enum shmb_kind kind, uint32_t flags, uint32_t capacity, uint64_t bytes)
{
	struct shmb_request request = {
		.kind = kind,
		.flags = flags,
		.capacity = capacity,
		.payload_bytes = bytes,
		.payload_align = 8,
		.key_field = SHMB_KEY_IS_STAMP,
	};
	struct shmb_geometry g;

	ck_assert_int_eq(shmb_geometry_plan(&request, 4, &g, NULL), 0);
	return card_of(&g);
}

static inline struct shmb_shm_card inline_card(void)
{
	return planned(SHMB_KIND_VALUE, 0, 4, 56);
}

static inline struct shmb_shm_card pool_card(void)
{
	return planned(SHMB_KIND_RING, SHMB_SEGMENT_STAMPED, 64, 5000);
}

/* A frame with keys: every array there is. */
static inline struct shmb_shm_card frame_card(void)
{
	struct shmb_request request = {
		.kind = SHMB_KIND_FRAME,
		.history = 4,
		.pins = 3,
		.payload_bytes = 5000,
		.payload_align = 8,
		.key_type = SHMB_KEY_SEQUENCE,
		.key_field = 8,
	};
	struct shmb_geometry g;

	ck_assert_int_eq(shmb_geometry_plan(&request, 4, &g, NULL), 0);
	return card_of(&g);
}

static inline struct shmb_shm_card block_card(void)
{
	return planned(SHMB_KIND_BLOCK, 0, 0, 5000);
}

static inline struct shmb_shm_card queue_card(void)
{
	return planned(SHMB_KIND_QUEUE, 0, 16, 100);
}

static inline int check(const struct shmb_shm_card *card, uint64_t data_size)
{
	struct shmb_geometry g;
	const char *why = NULL;
	int r;

	memset(&g, 0xa5, sizeof(g));
	r = shmb_card_check(card, 2 * SHMB_PAGE, data_size, &g, &why);
	UNIT_CHECK((r == 0) == (why == NULL));
	if (r == 0)
		geometry_is_safe(&g, data_size);
	UNIT_CHECK(shmb_card_check(card, 2 * SHMB_PAGE, data_size, &g, NULL) == r);
	return r;
}

#endif
