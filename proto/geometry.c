/* SPDX-License-Identifier: MIT */
/*
 * Lays out the data part of a new segment: head, slots, keys, entries, pool, each where the one before ends, rounded up to a cache line.
 *
 *            slots                         keys          entries                    pool
 *   value    capacity                      -             -                          one payload a slot
 *   ring     capacity                      one a slot    -                          one payload a slot
 *   queue    capacity                      -             -                          one payload a slot
 *   frame    1 + history + pins headers    one an entry  2 (history + 1) or more    one payload a header
 *   block    -                             -             -                          one payload
 *
 * A slot is a cache line that begins with the id (and the stamp). In a value, ring or queue a payload that fits behind the id shares its
 * line, so that one miss brings both: then the pool begins inside the first slot and its stride is the slot's. Either way the payload of
 * index i is at pool_offset + (i << pool_shift).
 *
 * The sums cannot wrap: at most 2^20 slots of at most 2^28 bytes, and less than 2^28 bytes before them.
 */
#include "geometry.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

_Static_assert(SHMB_CAPACITY_MAX == 1 << 20 && SHMB_PAYLOAD_MAX == UINT64_C(1) << 28, "the bound above");

enum {
	HISTORY_MAX = 4096,
	PINS_MAX = 1024, /* of all readers of a frame together */
};

static int fail(int error, const char **why, const char *text)
{
	if (why != NULL)
		*why = text;
	return error;
}

static uint64_t round_up(uint64_t value, uint64_t unit)
{
	return (value + unit - 1) & ~(unit - 1);
}

static int is_power_of_two(uint64_t value)
{
	return value != 0 && (value & (value - 1)) == 0;
}

/* The smallest power of two, at least a cache line, that holds `bytes`: the payloads of two numbers never share a line. */
static uint8_t stride_shift(uint64_t bytes)
{
	uint8_t shift = SHMB_LINE_SHIFT;

	while (UINT64_C(1) << shift < bytes)
		shift++;
	return shift;
}

static int capacity_check(const struct shmb_request *request, const char **why)
{
	bool is_count =
		is_power_of_two(request->capacity) && request->capacity >= SHMB_CAPACITY_MIN && request->capacity <= SHMB_CAPACITY_MAX;

	switch (request->kind) {
	case SHMB_KIND_VALUE:
		/* A power of two in any case; fewer than 4 would let the writer come round on its readers, more than 8 buy nothing. */
		return request->capacity == 4 || request->capacity == 8 ? 0 : fail(-EINVAL, why, "the capacity of a value is 4 or 8");
	case SHMB_KIND_RING:
		return is_count ? 0 : fail(-EINVAL, why, "the capacity of a ring is a power of two from 2 to 1048576");
	case SHMB_KIND_QUEUE:
		return is_count ? 0 : fail(-EINVAL, why, "the capacity of a queue is a power of two from 2 to 1048576");
	case SHMB_KIND_FRAME:
		if (request->capacity != 0)
			return fail(-EINVAL, why, "a frame has a history and pins, no capacity");
		if (request->history < 1 || request->history > HISTORY_MAX)
			return fail(-EINVAL, why, "the history of a frame is 1 to 4096");
		return request->pins <= PINS_MAX ? 0 : fail(-EINVAL, why, "a frame has 1024 pins at the most");
	case SHMB_KIND_BLOCK:
		return request->capacity == 0 ? 0 : fail(-EINVAL, why, "a block has no capacity");
	case SHMB_KIND_NONE:
		break;
	}
	return fail(-EOPNOTSUPP, why, "this version does not know that kind of segment");
}

static int request_check(const struct shmb_request *request, uint32_t area_count, const char **why)
{
	bool has_numbers = request->kind == SHMB_KIND_RING || request->kind == SHMB_KIND_FRAME;
	int r = capacity_check(request, why);

	if (r < 0)
		return r;
	if (request->kind != SHMB_KIND_FRAME && (request->history != 0 || request->pins != 0))
		return fail(-EINVAL, why, "only a frame has a history and pins");
	if ((request->flags & ~(uint32_t)SHMB_SEGMENT_FLAGS_KNOWN) != 0)
		return fail(-EINVAL, why, "unknown segment flags");
	if (request->kind == SHMB_KIND_BLOCK && request->flags != 0)
		return fail(-EINVAL, why, "a block has no stamps");
	if (request->payload_bytes == 0 || request->payload_bytes > SHMB_PAYLOAD_MAX)
		return fail(-EINVAL, why, "a payload has 1 byte to 256 MiB");
	if (!is_power_of_two(request->payload_align) || request->payload_align > SHMB_CACHE_LINE)
		return fail(-EINVAL, why, "the alignment of a payload is a power of two up to 64");
	if ((unsigned)request->key_type > SHMB_KEY_SEQUENCE || (request->key_type != SHMB_KEY_NONE && !has_numbers))
		return fail(-EINVAL, why, "only rings and frames have keys, of a known type");
	if (request->key_field == SHMB_KEY_IS_STAMP) {
		if (request->key_type != SHMB_KEY_NONE &&
		    (request->key_type != SHMB_KEY_MONOTONIC_NS || !(request->flags & SHMB_SEGMENT_STAMPED)))
			return fail(-EINVAL, why, "a key that is the stamp needs stamped elements and the monotonic clock");
	} else if (request->key_field == SHMB_KEY_IS_GIVEN) {
		if (request->key_type == SHMB_KEY_NONE || request->kind != SHMB_KIND_FRAME)
			return fail(-EINVAL, why, "only a frame is given its keys, of a known type");
	} else if (request->key_type == SHMB_KEY_NONE || request->key_field >= request->payload_bytes) {
		return fail(-EINVAL, why, "the key's field does not lie in the payload");
	}
	if (area_count > SHMB_AREAS_MAX)
		return fail(-EINVAL, why, "too many reader areas");
	return 0;
}

/* Appends an array at the next multiple of `unit`; its offset. */
static uint64_t append(uint64_t *end, uint64_t count, uint8_t shift, uint64_t unit)
{
	uint64_t offset = round_up(*end, unit);

	*end = offset + (count << shift);
	return offset;
}

int shmb_geometry_plan(const struct shmb_request *request, uint32_t area_count, struct shmb_geometry *out, const char **why)
{
	uint64_t slot_head =
		request->flags & SHMB_SEGMENT_STAMPED ? sizeof(struct shmb_shm_slot) : offsetof(struct shmb_shm_slot, stamp_ns);
	bool is_frame = request->kind == SHMB_KIND_FRAME;
	uint64_t end = sizeof(struct shmb_shm_data);
	struct shmb_geometry plan = { 0 };
	int r = request_check(request, area_count, why);

	if (r < 0)
		return r;
	plan.kind = request->kind;
	plan.flags = request->flags;
	plan.payload_bytes = request->payload_bytes;
	plan.payload_align = request->payload_align;
	plan.area_count = area_count;
	plan.key_type = (uint8_t)request->key_type;
	plan.key_field = request->key_field;
	plan.history = request->history;
	plan.generation = 1;
	plan.pins = is_frame ? SHMB_PINS_PER_CELL : 0;
	plan.slot_count = is_frame ? 1 + request->history + request->pins : request->capacity;
	plan.pool_count = request->kind == SHMB_KIND_BLOCK ? 1 : plan.slot_count;
	if (plan.slot_count > 0) {
		plan.slot_shift = SHMB_LINE_SHIFT;
		plan.slot_offset = append(&end, plan.slot_count, plan.slot_shift, SHMB_CACHE_LINE);
	}
	if (is_frame) {
		plan.entry_count = 2;
		while (plan.entry_count < 2 * (request->history + 1))
			plan.entry_count *= 2;
	}
	if (request->key_type != SHMB_KEY_NONE) {
		plan.key_shift = SHMB_KEY_SHIFT;
		plan.key_offset = append(&end, is_frame ? plan.entry_count : plan.slot_count, plan.key_shift, SHMB_CACHE_LINE);
	}
	if (is_frame) {
		plan.entry_shift = SHMB_LINE_SHIFT;
		plan.entry_offset = append(&end, plan.entry_count, plan.entry_shift, SHMB_CACHE_LINE);
	}
	if (plan.slot_count > 0 && !is_frame && request->payload_bytes <= SHMB_CACHE_LINE - slot_head &&
	    request->payload_align <= slot_head) {
		plan.pool_offset = plan.slot_offset + slot_head;
		plan.pool_shift = plan.slot_shift;
	} else {
		plan.pool_shift = stride_shift(request->payload_bytes);
		/* Payloads of a page and more begin on one: that is what spares them a half-used page table entry each. */
		plan.pool_offset = append(&end, plan.pool_count, plan.pool_shift,
					  UINT64_C(1) << plan.pool_shift >= SHMB_PAGE ? SHMB_PAGE : SHMB_CACHE_LINE);
	}
	plan.data_bytes = round_up(end, SHMB_PAGE);
	if (plan.data_bytes > SHMB_DATA_MAX)
		return fail(-EFBIG, why, "the segment would be larger than 64 TiB: fewer slots or smaller payloads");
	*out = plan;
	return 0;
}
