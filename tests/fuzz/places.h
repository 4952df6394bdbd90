/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_FUZZ_PLACES_H
#define SHMB_TESTS_FUZZ_PLACES_H

/* What a checked geometry promises: every array that it names lies inside the data part, aligned, and none overlaps another. */

#include <stdbool.h>

#include "fuzz.h"
#include "proto/geometry.h"

struct place {
	uint64_t begin;
	uint64_t end;
};

static inline void place_add(struct place *places, unsigned *count, const struct shmb_geometry *geometry, uint64_t offset, uint64_t number,
			     unsigned shift, uint64_t used)
{
	struct place place = { offset, offset };

	if (number == 0 || used == 0)
		return;
	FUZZ_HOLDS(shift < 40 && number <= UINT64_C(1) << 20);
	place.end = offset + ((number - 1) << shift) + used;
	FUZZ_HOLDS(offset >= sizeof(struct shmb_shm_data) && place.end > offset && place.end <= geometry->data_bytes);
	for (unsigned i = 0; i < *count; i++)
		FUZZ_HOLDS(place.begin >= places[i].end || place.end <= places[i].begin);
	places[(*count)++] = place;
}

static inline void places_check(const struct shmb_geometry *geometry)
{
	struct place places[4];
	unsigned count = 0;
	bool is_frame = geometry->kind == SHMB_KIND_FRAME;
	/* A short payload shares the cache line of its id. */
	bool shares = geometry->slot_count > 0 && geometry->pool_offset > geometry->slot_offset &&
		      geometry->pool_offset < geometry->slot_offset + SHMB_CACHE_LINE;
	uint64_t head = geometry->flags & SHMB_SEGMENT_STAMPED ? sizeof(struct shmb_shm_slot) : sizeof(uint64_t);

	FUZZ_HOLDS(geometry->data_bytes <= SHMB_DATA_MAX && geometry->data_bytes >= SHMB_PAGE && geometry->area_count <= SHMB_AREAS_MAX);
	FUZZ_HOLDS(geometry->payload_bytes > 0 && geometry->payload_bytes <= SHMB_PAYLOAD_MAX);
	FUZZ_HOLDS(((geometry->slot_offset | geometry->entry_offset | geometry->key_offset) & 7) == 0);
	FUZZ_HOLDS((geometry->entry_count & (geometry->entry_count - 1)) == 0 && (geometry->entry_count > 0) == is_frame);
	if (!is_frame)
		FUZZ_HOLDS((geometry->slot_count & (geometry->slot_count - 1)) == 0);
	FUZZ_HOLDS((geometry->slot_count > 0) == (geometry->kind != SHMB_KIND_BLOCK));
	FUZZ_HOLDS(geometry->pool_count == (geometry->slot_count > 0 ? geometry->slot_count : 1));
	if (shares)
		FUZZ_HOLDS(geometry->pool_offset >= geometry->slot_offset + head && geometry->pool_shift == geometry->slot_shift &&
			   geometry->pool_offset + geometry->payload_bytes <=
				   geometry->slot_offset + (UINT64_C(1) << geometry->slot_shift));
	else
		place_add(places, &count, geometry, geometry->pool_offset, geometry->pool_count, geometry->pool_shift,
			  geometry->payload_bytes);
	place_add(places, &count, geometry, geometry->slot_offset, geometry->slot_count, geometry->slot_shift,
		  geometry->slot_count > 0 ? UINT64_C(1) << geometry->slot_shift : 0);
	place_add(places, &count, geometry, geometry->entry_offset, geometry->entry_count, geometry->entry_shift,
		  sizeof(struct shmb_shm_entry));
	if (geometry->key_type != SHMB_KEY_NONE)
		place_add(places, &count, geometry, geometry->key_offset, is_frame ? geometry->entry_count : geometry->slot_count,
			  geometry->key_shift, sizeof(uint64_t));
}

#endif
