/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_CBMC_SAFE_H
#define SHMB_TESTS_CBMC_SAFE_H

/* What everybody relies on who computes an address from a geometry, in numbers too wide to wrap. */

#include "proto/geometry.h"

#include <stdbool.h>

typedef unsigned __int128 wide;

static inline bool lies_inside(const struct shmb_geometry *g, uint64_t offset, uint64_t count, uint8_t shift, uint64_t bytes)
{
	return count == 0 || (shift <= 28 && offset >= sizeof(struct shmb_shm_data) &&
			      (wide)offset + ((wide)(count - 1) << shift) + bytes <= (wide)g->data_bytes);
}

static inline bool lie_apart(uint64_t a, uint64_t a_count, uint8_t a_shift, uint64_t b, uint64_t b_count, uint8_t b_shift)
{
	return a_count == 0 || b_count == 0 || (wide)a + ((wide)a_count << a_shift) <= b || (wide)b + ((wide)b_count << b_shift) <= a;
}

static inline uint32_t keys_of(const struct shmb_geometry *g)
{
	return g->key_type == SHMB_KEY_NONE ? 0 : g->kind == SHMB_KIND_FRAME ? g->entry_count : g->slot_count;
}

static inline bool payloads_lie_in_slots(const struct shmb_geometry *g)
{
	uint64_t head = (g->flags & SHMB_SEGMENT_STAMPED) != 0 ? 16 : 8;

	return g->kind != SHMB_KIND_FRAME && g->kind != SHMB_KIND_BLOCK && g->pool_offset == g->slot_offset + head &&
	       g->pool_shift == g->slot_shift && head + g->payload_bytes <= UINT64_C(1) << g->slot_shift;
}

static inline bool all_lie_inside(const struct shmb_geometry *g)
{
	return lies_inside(g, g->slot_offset, g->slot_count, g->slot_shift, 16) &&
	       lies_inside(g, g->entry_offset, g->entry_count, g->entry_shift, sizeof(struct shmb_shm_entry)) &&
	       lies_inside(g, g->key_offset, keys_of(g), g->key_shift, 8) &&
	       lies_inside(g, g->pool_offset, g->pool_count, g->pool_shift, g->payload_bytes);
}

static inline bool all_lie_apart(const struct shmb_geometry *g)
{
	if (!lie_apart(g->slot_offset, g->slot_count, g->slot_shift, g->entry_offset, g->entry_count, g->entry_shift) ||
	    !lie_apart(g->slot_offset, g->slot_count, g->slot_shift, g->key_offset, keys_of(g), g->key_shift) ||
	    !lie_apart(g->entry_offset, g->entry_count, g->entry_shift, g->key_offset, keys_of(g), g->key_shift))
		return false;
	return payloads_lie_in_slots(g) ||
	       (lie_apart(g->pool_offset, g->pool_count, g->pool_shift, g->slot_offset, g->slot_count, g->slot_shift) &&
		lie_apart(g->pool_offset, g->pool_count, g->pool_shift, g->entry_offset, g->entry_count, g->entry_shift) &&
		lie_apart(g->pool_offset, g->pool_count, g->pool_shift, g->key_offset, keys_of(g), g->key_shift));
}

/* A number of any kind, masked as readers and writers do, names a slot and a payload inside. */
static inline bool number_stays_inside(const struct shmb_geometry *g, uint64_t number)
{
	bool is_frame = g->kind == SHMB_KIND_FRAME;
	uint64_t mask = (is_frame ? g->entry_count : g->slot_count) - UINT64_C(1);

	if (g->kind == SHMB_KIND_BLOCK)
		return true;
	return is_frame ? lies_inside(g, g->entry_offset + ((number & mask) << g->entry_shift), 1, g->entry_shift,
				      sizeof(struct shmb_shm_entry))
			: lies_inside(g, g->slot_offset + ((number & mask) << g->slot_shift), 1, g->slot_shift, 16) &&
				  lies_inside(g, g->pool_offset + ((number & mask) << g->pool_shift), 1, g->pool_shift, g->payload_bytes);
}

#endif
