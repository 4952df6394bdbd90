/* SPDX-License-Identifier: MIT */
/*
 * Lays out the data part of a new segment.
 *
 * value and ring are one thing here: a row of slots, each a cache line that begins with the id (and the stamp), and a payload for each
 * slot. A payload that fits behind the id shares its cache line, so that one miss brings both; a larger one lies in the pool behind the
 * slots. Either way the payload of index i is at pool_offset + (i << pool_shift): in the first form the pool begins inside the first slot
 * and its stride is the slot's.
 *
 * The sums cannot wrap: at most 2^20 slots of at most 2^28 bytes, and less than 2^27 bytes before them.
 */
#include "geometry.h"

#include <errno.h>
#include <string.h>

_Static_assert(SHMB_CAPACITY_MAX == 1 << 20 && SHMB_PAYLOAD_MAX == UINT64_C(1) << 28, "the bound above");

enum { SLOT_SHIFT = 6 };
_Static_assert(1 << SLOT_SHIFT == SHMB_CACHE_LINE, "a slot is a cache line: slots never share one");

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
	uint8_t shift = SLOT_SHIFT;

	while (UINT64_C(1) << shift < bytes)
		shift++;
	return shift;
}

static int request_check(const struct shmb_request *request, uint32_t area_count, const char **why)
{
	switch (request->kind) {
	case SHMB_KIND_VALUE:
		/* A power of two in any case; fewer than 4 would let the writer come round on its readers, more than 8 buy nothing. */
		if (request->capacity != 4 && request->capacity != 8)
			return fail(-EINVAL, why, "the capacity of a value is 4 or 8");
		break;
	case SHMB_KIND_RING:
		if (!is_power_of_two(request->capacity) || request->capacity < SHMB_CAPACITY_MIN || request->capacity > SHMB_CAPACITY_MAX)
			return fail(-EINVAL, why, "the capacity of a ring is a power of two from 2 to 1048576");
		break;
	default:
		return fail(-EOPNOTSUPP, why, "this version makes segments of the kinds value and ring only");
	}
	if ((request->flags & ~(uint32_t)SHMB_SEGMENT_FLAGS_KNOWN) != 0)
		return fail(-EINVAL, why, "unknown segment flags");
	if (request->payload_bytes == 0 || request->payload_bytes > SHMB_PAYLOAD_MAX)
		return fail(-EINVAL, why, "a payload has 1 byte to 256 MiB");
	if (!is_power_of_two(request->payload_align) || request->payload_align > SHMB_CACHE_LINE)
		return fail(-EINVAL, why, "the alignment of a payload is a power of two up to 64");
	if (area_count > SHMB_AREAS_MAX)
		return fail(-EINVAL, why, "too many reader areas");
	return 0;
}

int shmb_geometry_plan(const struct shmb_request *request, uint32_t area_count, struct shmb_geometry *out, const char **why)
{
	uint64_t slot_head =
		request->flags & SHMB_SEGMENT_STAMPED ? sizeof(struct shmb_shm_slot) : offsetof(struct shmb_shm_slot, stamp_ns);
	uint64_t slots_end = sizeof(struct shmb_shm_data) + ((uint64_t)request->capacity << SLOT_SHIFT);
	struct shmb_geometry plan = { 0 };
	int r = request_check(request, area_count, why);

	if (r < 0)
		return r;
	plan.kind = request->kind;
	plan.flags = request->flags;
	plan.payload_bytes = request->payload_bytes;
	plan.payload_align = request->payload_align;
	plan.area_count = area_count;
	plan.key_field = UINT32_MAX;
	plan.generation = 1;
	plan.slot_offset = sizeof(struct shmb_shm_data);
	plan.slot_shift = SLOT_SHIFT;
	plan.slot_count = request->capacity;
	plan.pool_count = request->capacity;
	if (request->payload_bytes <= SHMB_CACHE_LINE - slot_head && request->payload_align <= slot_head) {
		plan.pool_offset = plan.slot_offset + slot_head;
		plan.pool_shift = SLOT_SHIFT;
		plan.data_bytes = round_up(slots_end, SHMB_PAGE);
	} else {
		plan.pool_shift = stride_shift(request->payload_bytes);
		/* Payloads of a page and more begin on one: that is what spares them a half-used page table entry each. */
		plan.pool_offset = round_up(slots_end, UINT64_C(1) << plan.pool_shift >= SHMB_PAGE ? SHMB_PAGE : SHMB_CACHE_LINE);
		plan.data_bytes = round_up(plan.pool_offset + ((uint64_t)plan.pool_count << plan.pool_shift), SHMB_PAGE);
	}
	if (plan.data_bytes > SHMB_DATA_MAX)
		return fail(-EFBIG, why, "the segment would be larger than 64 TiB: fewer slots or smaller payloads");
	*out = plan;
	return 0;
}
