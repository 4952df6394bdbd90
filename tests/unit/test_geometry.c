/* SPDX-License-Identifier: MIT */
/* Plans of data parts: known layouts byte for byte, what is refused, and the promises that hold for every plan. */
#include "geometry_safe.h"

#include <errno.h>
#include <string.h>

static int plan(enum shmb_kind kind, uint32_t flags, uint32_t capacity, uint64_t bytes, uint32_t align, struct shmb_geometry *out)
{
	struct shmb_request request = {
		.kind = kind,
		.flags = flags,
		.capacity = capacity,
		.payload_bytes = bytes,
		.payload_align = align,
		.key_field = SHMB_KEY_IS_STAMP,
	};
	const char *why = NULL;
	int r = shmb_geometry_plan(&request, 3, out, &why);

	UNIT_CHECK((r == 0) == (why == NULL));
	return r;
}

static uint64_t payload_at(const struct shmb_geometry *g, uint64_t index)
{
	return g->pool_offset + (index << g->pool_shift);
}

/* What readers and writers rely on when they compute addresses from a plan. */
static void plan_check(const struct shmb_geometry *g)
{
	uint64_t slots_end = g->slot_offset + ((uint64_t)g->slot_count << g->slot_shift);
	uint64_t head = g->flags & SHMB_SEGMENT_STAMPED ? 16 : 8;
	uint64_t stride = UINT64_C(1) << g->pool_shift;

	UNIT_CHECK(g->data_bytes % SHMB_PAGE == 0);
	UNIT_CHECK(g->data_bytes <= SHMB_DATA_MAX);
	UNIT_CHECK(g->slot_offset == 512);
	UNIT_CHECK(g->slot_shift == 6);
	UNIT_CHECK(slots_end <= g->data_bytes);
	UNIT_CHECK(g->pool_count == g->slot_count);
	UNIT_CHECK(payload_at(g, 0) % g->payload_align == 0);
	UNIT_CHECK(payload_at(g, 1) % g->payload_align == 0);
	UNIT_CHECK(payload_at(g, g->pool_count - 1) + g->payload_bytes <= g->data_bytes);
	if (g->pool_offset < slots_end) {
		UNIT_CHECK(g->pool_offset == g->slot_offset + head);
		UNIT_CHECK(g->pool_shift == 6);
		UNIT_CHECK(head + g->payload_bytes <= 64);
	} else {
		UNIT_CHECK(g->payload_bytes <= stride);
		UNIT_CHECK(stride == 64 || stride / 2 < g->payload_bytes);
		UNIT_CHECK(g->pool_offset % (stride >= SHMB_PAGE ? SHMB_PAGE : 64) == 0);
	}
	UNIT_CHECK(g->key_type == 0);
	geometry_is_safe(g, g->data_bytes);
	UNIT_CHECK(g->generation == 1);
	UNIT_CHECK(g->base == 0);
	UNIT_CHECK(g->area_count == 3);
}

START_TEST(known_layouts)
{
	struct shmb_geometry g;

	ck_assert_int_eq(plan(SHMB_KIND_VALUE, 0, 4, 56, 8, &g), 0);
	plan_check(&g);
	ck_assert_uint_eq(g.pool_offset, 520);
	ck_assert_uint_eq(g.data_bytes, 4096);

	ck_assert_int_eq(plan(SHMB_KIND_VALUE, 0, 4, 57, 8, &g), 0);
	plan_check(&g);
	ck_assert_uint_eq(g.pool_offset, 512 + 4 * 64);
	ck_assert_uint_eq(g.pool_shift, 6);

	ck_assert_int_eq(plan(SHMB_KIND_RING, SHMB_SEGMENT_STAMPED, 64, 48, 16, &g), 0);
	plan_check(&g);
	ck_assert_uint_eq(g.pool_offset, 528);
	ck_assert_uint_eq(g.data_bytes, 8192);

	ck_assert_int_eq(plan(SHMB_KIND_RING, SHMB_SEGMENT_STAMPED, 64, 49, 8, &g), 0);
	plan_check(&g);
	ck_assert_uint_eq(g.pool_offset, 512 + 64 * 64);

	ck_assert_int_eq(plan(SHMB_KIND_RING, 0, 16, 4096, 8, &g), 0);
	plan_check(&g);
	ck_assert_uint_eq(g.pool_offset, 4096);
	ck_assert_uint_eq(g.data_bytes, 17 * 4096);

	ck_assert_int_eq(plan(SHMB_KIND_RING, 0, 8, 6220800, 1, &g), 0);
	plan_check(&g);
	ck_assert_uint_eq(g.pool_shift, 23);
	ck_assert_uint_eq(g.data_bytes, 4096 + (UINT64_C(8) << 23));

	/* Alignment over the room behind the id sends even a small payload to the pool. */
	ck_assert_int_eq(plan(SHMB_KIND_VALUE, 0, 8, 16, 16, &g), 0);
	plan_check(&g);
	ck_assert_uint_eq(g.pool_offset, 1024);
	ck_assert_int_eq(plan(SHMB_KIND_VALUE, 0, 8, 16, 64, &g), 0);
	plan_check(&g);
}
END_TEST

START_TEST(refused_requests)
{
	static const uint32_t capacities[] = {
		0, 1, 3, 5, 6, 7, 1000, SHMB_CAPACITY_MAX + 1, 2 * SHMB_CAPACITY_MAX, UINT32_C(1) << 31, UINT32_MAX
	};
	static const uint32_t aligns[] = { 0, 3, 5, 63, 128, UINT32_C(1) << 31, UINT32_MAX };
	static const uint64_t bytes[] = { 0, SHMB_PAYLOAD_MAX + 1, UINT64_C(1) << 63, UINT64_MAX };
	struct shmb_geometry g;

	for (size_t i = 0; i < sizeof(capacities) / sizeof(capacities[0]); i++) {
		ck_assert_int_eq(plan(SHMB_KIND_RING, 0, capacities[i], 8, 8, &g), -EINVAL);
		ck_assert_int_eq(plan(SHMB_KIND_VALUE, 0, capacities[i], 8, 8, &g), -EINVAL);
		ck_assert_int_eq(plan(SHMB_KIND_QUEUE, 0, capacities[i], 8, 8, &g), -EINVAL);
	}
	ck_assert_int_eq(plan(SHMB_KIND_VALUE, 0, 2, 8, 8, &g), -EINVAL);
	ck_assert_int_eq(plan(SHMB_KIND_VALUE, 0, 16, 8, 8, &g), -EINVAL);
	for (size_t i = 0; i < sizeof(aligns) / sizeof(aligns[0]); i++)
		ck_assert_int_eq(plan(SHMB_KIND_RING, 0, 16, 8, aligns[i], &g), -EINVAL);
	for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++)
		ck_assert_int_eq(plan(SHMB_KIND_RING, 0, 16, bytes[i], 8, &g), -EINVAL);
	for (int bit = 1; bit < 32; bit++)
		ck_assert_int_eq(plan(SHMB_KIND_RING, UINT32_C(1) << bit, 16, 8, 8, &g), -EINVAL);
	for (int kind = 0; kind < 300; kind++) {
		if (kind < SHMB_KIND_VALUE || kind > SHMB_KIND_BLOCK)
			ck_assert_int_eq(plan((enum shmb_kind)kind, 0, 4, 8, 8, &g), -EOPNOTSUPP);
	}
}
END_TEST

START_TEST(too_large)
{
	struct shmb_geometry g;

	/* 2^18 payloads of 2^28 bytes are SHMB_DATA_MAX by themselves, and slots come on top. */
	ck_assert_int_eq(plan(SHMB_KIND_RING, 0, 1 << 20, SHMB_PAYLOAD_MAX, 8, &g), -EFBIG);
	ck_assert_int_eq(plan(SHMB_KIND_RING, 0, 1 << 18, SHMB_PAYLOAD_MAX, 8, &g), -EFBIG);
	ck_assert_int_eq(plan(SHMB_KIND_RING, 0, 1 << 17, SHMB_PAYLOAD_MAX, 8, &g), 0);
	plan_check(&g);
}
END_TEST

START_TEST(too_many_areas)
{
	struct shmb_request request = {
		.kind = SHMB_KIND_RING, .capacity = 16, .payload_bytes = 8, .payload_align = 8, .key_field = SHMB_KEY_IS_STAMP
	};
	struct shmb_geometry g;
	const char *why = NULL;

	ck_assert_int_eq(shmb_geometry_plan(&request, SHMB_AREAS_MAX, &g, &why), 0);
	ck_assert_int_eq(shmb_geometry_plan(&request, SHMB_AREAS_MAX + 1, &g, &why), -EINVAL);
	ck_assert_ptr_nonnull(why);
	ck_assert_int_eq(shmb_geometry_plan(&request, UINT32_MAX, &g, NULL), -EINVAL);
}
END_TEST

START_TEST(every_small_payload)
{
	struct shmb_geometry g;

	for (uint64_t bytes = 1; bytes <= 5000; bytes++) {
		for (uint32_t align = 1; align <= 64; align *= 2) {
			for (uint32_t flags = 0; flags <= SHMB_SEGMENT_STAMPED; flags++) {
				ck_assert_int_eq(plan(SHMB_KIND_VALUE, flags, 4, bytes, align, &g), 0);
				plan_check(&g);
			}
		}
	}
}
END_TEST

static int frame(uint32_t history, uint32_t pins, uint64_t bytes, struct shmb_geometry *out)
{
	struct shmb_request request = {
		.kind = SHMB_KIND_FRAME,
		.history = history,
		.pins = pins,
		.payload_bytes = bytes,
		.payload_align = 8,
		.key_field = SHMB_KEY_IS_STAMP,
	};

	return shmb_geometry_plan(&request, 3, out, NULL);
}

START_TEST(frames)
{
	struct shmb_geometry g;

	ck_assert_int_eq(frame(4, 3, 6220800, &g), 0);
	geometry_is_safe(&g, g.data_bytes);
	ck_assert_uint_eq(g.history, 4);
	ck_assert_uint_eq(g.slot_count, 8);
	ck_assert_uint_eq(g.entry_count, 16); /* twice five, a power of two */
	ck_assert_uint_eq(g.slot_offset, 512);
	ck_assert_uint_eq(g.entry_offset, 512 + 8 * 64);
	ck_assert_uint_eq(g.pool_offset, 4096);
	ck_assert_uint_eq(g.data_bytes, 4096 + (UINT64_C(8) << 23));

	/* Even the smallest payload has its place in the pool: a slot's head is not for who holds it. */
	ck_assert_int_eq(frame(1, 0, 1, &g), 0);
	geometry_is_safe(&g, g.data_bytes);
	ck_assert_uint_eq(g.slot_count, 2);
	ck_assert_uint_eq(g.entry_count, 4);
	ck_assert_uint_eq(g.pool_offset, 512 + 2 * 64 + 4 * 64);
	ck_assert_int_eq(frame(4096, 1024, 64, &g), 0);
	geometry_is_safe(&g, g.data_bytes);
	ck_assert_uint_eq(g.entry_count, 16384);

	ck_assert_int_eq(frame(0, 0, 64, &g), -EINVAL);
	ck_assert_int_eq(frame(4097, 0, 64, &g), -EINVAL);
	ck_assert_int_eq(frame(UINT32_MAX, 0, 64, &g), -EINVAL);
	ck_assert_int_eq(frame(4, 1025, 64, &g), -EINVAL);
	ck_assert_int_eq(frame(4, UINT32_MAX, 64, &g), -EINVAL);
	ck_assert_int_eq(frame(4, 4, 0, &g), -EINVAL);
	ck_assert_int_eq(plan(SHMB_KIND_FRAME, 0, 8, 64, 8, &g), -EINVAL); /* a capacity */
}
END_TEST

START_TEST(queues_and_blocks)
{
	struct shmb_geometry g;
	struct shmb_request request = {
		.kind = SHMB_KIND_BLOCK, .payload_bytes = 100, .payload_align = 64, .key_field = SHMB_KEY_IS_STAMP
	};

	ck_assert_int_eq(plan(SHMB_KIND_QUEUE, 0, 2, 56, 8, &g), 0);
	plan_check(&g);
	ck_assert_uint_eq(g.pool_offset, 520);
	ck_assert_int_eq(plan(SHMB_KIND_QUEUE, SHMB_SEGMENT_STAMPED, 1 << 20, 100, 8, &g), 0);
	plan_check(&g);

	ck_assert_int_eq(shmb_geometry_plan(&request, 3, &g, NULL), 0);
	geometry_is_safe(&g, g.data_bytes);
	ck_assert_uint_eq(g.pool_offset, 512);
	ck_assert_uint_eq(g.data_bytes, SHMB_PAGE);
	request.payload_bytes = SHMB_PAYLOAD_MAX;
	ck_assert_int_eq(shmb_geometry_plan(&request, 3, &g, NULL), 0);
	geometry_is_safe(&g, g.data_bytes);
	ck_assert_uint_eq(g.data_bytes, SHMB_PAGE + SHMB_PAYLOAD_MAX);

#define REFUSED(field, value)                                                                                                              \
	do {                                                                                                                               \
		struct shmb_request bad = request;                                                                                         \
		bad.field = value;                                                                                                         \
		ck_assert_int_eq(shmb_geometry_plan(&bad, 3, &g, NULL), -EINVAL);                                                          \
	} while (0)
	REFUSED(capacity, 1);
	REFUSED(flags, SHMB_SEGMENT_STAMPED);
	REFUSED(history, 1);
	REFUSED(pins, 1);
	REFUSED(key_type, SHMB_KEY_SEQUENCE);
	REFUSED(payload_bytes, 0);
	REFUSED(key_field, 0);
	request.kind = SHMB_KIND_QUEUE;
	request.capacity = 16;
	request.payload_bytes = 64;
	ck_assert_int_eq(shmb_geometry_plan(&request, 3, &g, NULL), 0);
	REFUSED(history, 1);
	REFUSED(pins, 1);
	REFUSED(key_type, SHMB_KEY_SEQUENCE);
	REFUSED(key_field, 0);
}
END_TEST

START_TEST(keys)
{
	static const enum shmb_kind kinds[] = { SHMB_KIND_RING, SHMB_KIND_FRAME };
	struct shmb_geometry g;

	for (size_t i = 0; i < 2; i++) {
		struct shmb_request request = {
			.kind = kinds[i],
			.flags = SHMB_SEGMENT_STAMPED,
			.capacity = kinds[i] == SHMB_KIND_RING ? 64 : 0,
			.history = kinds[i] == SHMB_KIND_RING ? 0 : 10,
			.payload_bytes = 24,
			.payload_align = 8,
			.key_type = SHMB_KEY_MONOTONIC_NS,
			.key_field = SHMB_KEY_IS_STAMP,
		};

		ck_assert_int_eq(shmb_geometry_plan(&request, 3, &g, NULL), 0);
		geometry_is_safe(&g, g.data_bytes);
		ck_assert_uint_eq(g.key_type, SHMB_KEY_MONOTONIC_NS);
		ck_assert_uint_eq(g.key_offset, 512 + g.slot_count * 64);
		REFUSED(flags, 0);
		REFUSED(key_type, SHMB_KEY_REALTIME_NS); /* that is not what a stamp is */
		REFUSED(key_type, SHMB_KEY_SEQUENCE + 1);
		REFUSED(key_type, SHMB_KEY_NONE + 1000);
		for (int type = SHMB_KEY_MONOTONIC_NS; type <= SHMB_KEY_SEQUENCE; type++) {
			request.flags = 0;
			request.key_type = (enum shmb_key_type)type;
			request.key_field = 16;
			ck_assert_int_eq(shmb_geometry_plan(&request, 3, &g, NULL), 0);
			geometry_is_safe(&g, g.data_bytes);
			ck_assert_uint_eq(g.key_field, 16);
			REFUSED(key_field, 24);
			REFUSED(key_field, UINT32_MAX - 2);
			if (kinds[i] == SHMB_KIND_RING) {
				REFUSED(key_field, SHMB_KEY_IS_GIVEN); /* a frame's alone */
				continue;
			}
			request.key_field = SHMB_KEY_IS_GIVEN;
			ck_assert_int_eq(shmb_geometry_plan(&request, 3, &g, NULL), 0);
			geometry_is_safe(&g, g.data_bytes);
			request.key_field = 16;
		}
		REFUSED(key_type, SHMB_KEY_NONE); /* a field and no key */
	}
}
END_TEST
#undef REFUSED

START_TEST(random_kinds)
{
	uint64_t random = 4;
	unsigned made = 0;

	for (int round = 0; round < 50000; round++) {
		struct shmb_request request = {
			.kind = (enum shmb_kind)(1 + unit_random(&random) % 5),
			.flags = unit_random(&random) & 1,
			.payload_bytes = 1 + unit_random(&random) % (UINT64_C(1) << unit_random(&random) % 29),
			.payload_align = UINT32_C(1) << unit_random(&random) % 7,
			.key_field = SHMB_KEY_IS_STAMP,
		};
		struct shmb_geometry g;
		int r;

		if (unit_random(&random) % 4 != 0) { /* mostly what can be */
			request.capacity = request.kind == SHMB_KIND_VALUE ? 4 : UINT32_C(2) << unit_random(&random) % 20;
			if (request.kind == SHMB_KIND_FRAME || request.kind == SHMB_KIND_BLOCK)
				request.capacity = 0;
			if (request.kind == SHMB_KIND_FRAME) {
				request.history = 1 + unit_random(&random) % 4096;
				request.pins = unit_random(&random) % 1025;
			}
			if (request.kind == SHMB_KIND_BLOCK)
				request.flags = 0;
			else if (request.kind != SHMB_KIND_VALUE && request.kind != SHMB_KIND_QUEUE && round % 2 != 0)
				request.key_type = (enum shmb_key_type)(unit_random(&random) % 4);
			if (request.key_type != SHMB_KEY_NONE)
				request.key_field = (uint32_t)(unit_random(&random) % request.payload_bytes);
		} else {
			request.capacity = (uint32_t)(unit_random(&random) % 40);
			request.history = (uint32_t)(unit_random(&random) % 3);
			request.pins = (uint32_t)(unit_random(&random) % 3);
			request.key_type = (enum shmb_key_type)(unit_random(&random) % 6);
			request.key_field -= (uint32_t)(unit_random(&random) % 3);
		}
		r = shmb_geometry_plan(&request, 3, &g, NULL);
		ck_assert(r == 0 || r == -EFBIG || r == -EINVAL);
		if (r == 0)
			geometry_is_safe(&g, g.data_bytes);
		made += r == 0;
	}
	ck_assert_uint_gt(made, 30000);
}
END_TEST

START_TEST(random_requests)
{
	uint64_t random = 3;

	for (int round = 0; round < 50000; round++) {
		uint32_t capacity = UINT32_C(2) << unit_random(&random) % 20;
		uint64_t bytes = 1 + unit_random(&random) % (UINT64_C(1) << unit_random(&random) % 29);
		uint32_t align = UINT32_C(1) << unit_random(&random) % 7;
		struct shmb_geometry g;
		int r = plan(SHMB_KIND_RING, unit_random(&random) & 1, capacity, bytes, align, &g);

		UNIT_CHECK(r == 0 || r == -EFBIG);
		if (r == 0)
			plan_check(&g);
		else
			UNIT_CHECK((uint64_t)capacity * 2 * bytes > SHMB_DATA_MAX / 2);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("geometry");

	unit_add(suite, known_layouts, 5);
	unit_add(suite, refused_requests, 5);
	unit_add(suite, too_large, 5);
	unit_add(suite, too_many_areas, 5);
	unit_add(suite, every_small_payload, 20);
	unit_add(suite, random_requests, 20);
	unit_add(suite, frames, 5);
	unit_add(suite, queues_and_blocks, 5);
	unit_add(suite, keys, 5);
	unit_add(suite, random_kinds, 20);
	return unit_run(suite);
}
