/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_GEOMETRY_SAFE_H
#define SHMB_TESTS_GEOMETRY_SAFE_H

/*
 * What everybody who computes addresses from a checked geometry relies on, for every kind, worked out anew in numbers too wide to wrap:
 * each array lies in the data part, behind its head, aligned, and off every other.
 */

#include "proto/geometry.h"
#include "tests/support/unit.h"

#include <stdbool.h>

struct safe_range {
	unsigned __int128 begin;
	unsigned __int128 end; /* the same: nothing there */
};

static inline struct safe_range safe_array(uint64_t offset, uint64_t count, uint8_t shift)
{
	UNIT_CHECK(shift <= 28);
	return (struct safe_range){ offset, offset + ((unsigned __int128)count << shift) };
}

static inline bool safe_is_power(uint64_t value)
{
	return value != 0 && (value & (value - 1)) == 0;
}

static inline bool safe_overlap(const struct safe_range *a, const struct safe_range *b)
{
	return a->begin != a->end && b->begin != b->end && a->begin < b->end && b->begin < a->end;
}

static inline void geometry_is_safe(const struct shmb_geometry *g, uint64_t data_size)
{
	bool is_frame = g->kind == SHMB_KIND_FRAME, is_block = g->kind == SHMB_KIND_BLOCK;
	bool may_have_key = is_frame || g->kind == SHMB_KIND_RING;
	uint64_t head = g->flags & SHMB_SEGMENT_STAMPED ? 16 : 8;
	struct safe_range slots = safe_array(g->slot_offset, g->slot_count, g->slot_shift);
	struct safe_range entries = safe_array(g->entry_offset, g->entry_count, g->entry_shift);
	struct safe_range keys = safe_array(g->key_offset, g->key_type == 0 ? 0 : is_frame ? g->entry_count : g->slot_count, g->key_shift);
	struct safe_range pool = safe_array(g->pool_offset, g->pool_count, g->pool_shift);
	const struct safe_range *arrays[] = { &slots, &entries, &keys, &pool };
	/* The last payload may end before its stride does where payloads lie inside the slots. */
	bool is_inline = !is_frame && !is_block && g->pool_offset > g->slot_offset && pool.begin < slots.end;

	UNIT_CHECK(g->kind >= SHMB_KIND_VALUE && g->kind <= SHMB_KIND_BLOCK);
	UNIT_CHECK(g->data_bytes == data_size);
	UNIT_CHECK(g->payload_bytes >= 1 && g->payload_bytes <= SHMB_PAYLOAD_MAX);
	UNIT_CHECK(safe_is_power(g->payload_align) && g->payload_align <= 64);
	UNIT_CHECK(g->area_count <= SHMB_AREAS_MAX);
	UNIT_CHECK(g->generation >= 1);
	UNIT_CHECK(g->base <= SHMB_NUMBER_MAX);

	if (is_block) {
		UNIT_CHECK(g->slot_count + g->slot_offset + g->slot_shift == 0);
		UNIT_CHECK(g->pool_count == 1);
	} else {
		UNIT_CHECK(g->slot_count >= 2);
		UNIT_CHECK(g->slot_count == g->pool_count);
		UNIT_CHECK(g->slot_shift >= 6 && g->slot_offset % 64 == 0);
		UNIT_CHECK(is_frame || safe_is_power(g->slot_count));
	}
	if (is_frame) {
		UNIT_CHECK(g->history >= 1);
		UNIT_CHECK(g->slot_count > g->history); /* one to fill beside the newest H */
		UNIT_CHECK(safe_is_power(g->entry_count) && g->entry_count / 2 > g->history);
		UNIT_CHECK(g->entry_shift >= 6 && g->entry_offset % 64 == 0);
	} else {
		UNIT_CHECK(g->history + g->entry_count + g->entry_offset + g->entry_shift == 0);
	}
	if (g->key_type != SHMB_KEY_NONE) {
		UNIT_CHECK(may_have_key && g->key_type <= SHMB_KEY_SEQUENCE);
		UNIT_CHECK(g->key_shift == 3 && g->key_offset % 8 == 0);
		if (g->key_field == SHMB_KEY_IS_STAMP)
			UNIT_CHECK(g->key_type == SHMB_KEY_MONOTONIC_NS && (g->flags & SHMB_SEGMENT_STAMPED) != 0);
		else if (g->key_field == SHMB_KEY_IS_GIVEN)
			UNIT_CHECK(is_frame);
		else
			UNIT_CHECK(g->key_field < g->payload_bytes);
	} else {
		UNIT_CHECK(g->key_offset + g->key_shift == 0);
		UNIT_CHECK(g->key_field == SHMB_KEY_IS_STAMP);
	}

	UNIT_CHECK(g->payload_bytes <= UINT64_C(1) << g->pool_shift);
	UNIT_CHECK(g->pool_offset % g->payload_align == 0 && (UINT64_C(1) << g->pool_shift) % g->payload_align == 0);
	if (is_inline) { /* between the end of each head and the next slot */
		UNIT_CHECK(g->pool_shift == g->slot_shift && g->pool_offset == g->slot_offset + head);
		UNIT_CHECK(head + g->payload_bytes <= UINT64_C(1) << g->slot_shift);
		arrays[3] = &slots;
	}
	for (size_t i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++) {
		if (arrays[i]->begin == arrays[i]->end)
			continue;
		UNIT_CHECK(arrays[i]->begin >= sizeof(struct shmb_shm_data) && arrays[i]->end <= data_size);
		for (size_t j = 0; j < i; j++)
			UNIT_CHECK(arrays[i] == arrays[j] || !safe_overlap(arrays[i], arrays[j]));
	}
}

#endif
