/* SPDX-License-Identifier: MIT */
/*
 * Cards and event pages that lie: every field corrupted one by one, wrong sizes and versions, overlaps, shifts that would wrap, and random
 * bytes; and for whatever is accepted, that every access computed from it stays inside.
 */
#include "proto/validate.h"
#include "geometry_safe.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

enum { SCHEMA_BYTES = 16 };

static struct shmb_shm_card card_of(const struct shmb_geometry *g)
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

static struct shmb_shm_card planned(enum shmb_kind kind, uint32_t flags, uint32_t capacity, uint64_t bytes)
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

static struct shmb_shm_card inline_card(void)
{
	return planned(SHMB_KIND_VALUE, 0, 4, 56);
}

static struct shmb_shm_card pool_card(void)
{
	return planned(SHMB_KIND_RING, SHMB_SEGMENT_STAMPED, 64, 5000);
}

/* A frame with keys: every array there is. */
static struct shmb_shm_card frame_card(void)
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

static struct shmb_shm_card block_card(void)
{
	return planned(SHMB_KIND_BLOCK, 0, 0, 5000);
}

static struct shmb_shm_card queue_card(void)
{
	return planned(SHMB_KIND_QUEUE, 0, 16, 100);
}

static int check(const struct shmb_shm_card *card, uint64_t data_size)
{
	struct shmb_geometry g;
	const char *why = NULL;
	int r;

	memset(&g, 0xa5, sizeof(g));
	r = shmb_card_check(card, 2 * SHMB_PAGE, data_size, &g, &why);
	ck_assert((r == 0) == (why == NULL));
	if (r == 0)
		geometry_is_safe(&g, data_size);
	ck_assert_int_eq(shmb_card_check(card, 2 * SHMB_PAGE, data_size, &g, NULL), r);
	return r;
}

START_TEST(plans_are_accepted)
{
	static const uint64_t sizes[] = { 1, 8, 40, 48, 49, 56, 57, 64, 65, 4095, 4096, 4097, 6220800, SHMB_PAYLOAD_MAX };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (uint32_t flags = 0; flags <= SHMB_SEGMENT_STAMPED; flags++) {
			for (uint32_t capacity = 2; capacity <= 1 << 17; capacity *= 2) {
				struct shmb_shm_card card = planned(SHMB_KIND_RING, flags, capacity, sizes[i]);

				ck_assert_int_eq(check(&card, card.data_bytes), 0);
			}
			for (uint32_t capacity = 4; capacity <= 8; capacity *= 2) {
				struct shmb_shm_card card = planned(SHMB_KIND_VALUE, flags, capacity, sizes[i]);

				ck_assert_int_eq(check(&card, card.data_bytes), 0);
			}
		}
	}
}
END_TEST

START_TEST(geometry_is_what_the_card_says)
{
	struct shmb_request request = {
		.kind = SHMB_KIND_RING,
		.flags = 1,
		.capacity = 64,
		.payload_bytes = 5000,
		.payload_align = 4,
		.key_type = SHMB_KEY_MONOTONIC_NS,
		.key_field = SHMB_KEY_IS_STAMP,
	};
	struct shmb_geometry plan, g;
	struct shmb_shm_card card;

	ck_assert_int_eq(shmb_geometry_plan(&request, 5, &plan, NULL), 0);
	plan.base = 1234;
	plan.generation = 7;
	card = card_of(&plan);
	ck_assert_int_eq(shmb_card_check(&card, 2 * SHMB_PAGE, plan.data_bytes, &g, NULL), 0);
#define SAME(field) ck_assert_uint_eq(g.field, plan.field)
	SAME(kind);
	SAME(flags);
	SAME(data_bytes);
	SAME(payload_bytes);
	SAME(slot_offset);
	SAME(pool_offset);
	SAME(key_offset);
	SAME(entry_offset);
	SAME(slot_count);
	SAME(pool_count);
	SAME(entry_count);
	SAME(history);
	SAME(area_count);
	SAME(payload_align);
	SAME(slot_shift);
	SAME(pool_shift);
	SAME(key_shift);
	SAME(entry_shift);
	SAME(key_type);
	SAME(key_field);
	SAME(base);
	SAME(generation);
#undef SAME
}
END_TEST

START_TEST(sizes_of_files)
{
	struct shmb_shm_card card = pool_card();
	struct shmb_geometry g;
	uint64_t data = card.data_bytes;
	static const uint64_t card_sizes[] = { 0, 1, 64, 4095, 4096, 4097, 8191, 8193, 12288, UINT64_MAX };
	const uint64_t data_sizes[] = { 0, 1, 512, 4096, data - 4096, data - 1, data + 1, data + 4096, UINT64_MAX };

	for (size_t i = 0; i < sizeof(card_sizes) / sizeof(card_sizes[0]); i++)
		ck_assert_int_eq(shmb_card_check(&card, card_sizes[i], data, &g, NULL), -EBADMSG);
	for (size_t i = 0; i < sizeof(data_sizes) / sizeof(data_sizes[0]); i++)
		ck_assert_int_eq(check(&card, data_sizes[i]), -EBADMSG);
	ck_assert_int_eq(check(&card, data), 0);
}
END_TEST

START_TEST(magic_and_versions)
{
	struct shmb_shm_card card = inline_card();
	uint64_t data = card.data_bytes;

	card.magic = 0;
	ck_assert_int_eq(check(&card, data), -ENODATA);
	card.magic = SHMB_EVENT_MAGIC;
	ck_assert_int_eq(check(&card, data), -EBADMSG);
	card.magic = SHMB_CARD_MAGIC;

	card.version = SHMB_LAYOUT_VERSION + 1; /* a later version that we may still read */
	ck_assert_int_eq(check(&card, data), 0);
	card.version = UINT16_MAX;
	ck_assert_int_eq(check(&card, data), 0);
	card.oldest_reader = SHMB_LAYOUT_VERSION + 1; /* and one that we may not */
	ck_assert_int_eq(check(&card, data), -EPROTONOSUPPORT);
	card.slot_offset = 3; /* whose fields may mean something else */
	ck_assert_int_eq(check(&card, data), -EPROTONOSUPPORT);

	card = inline_card();
	card.oldest_reader = 0;
	ck_assert_int_eq(check(&card, data), -EBADMSG);
	card.version = 0;
	ck_assert_int_eq(check(&card, data), -EBADMSG);
	card.oldest_reader = 1;
	ck_assert_int_eq(check(&card, data), -EBADMSG);
}
END_TEST

START_TEST(all_zero)
{
	struct shmb_shm_card card = { 0 };

	ck_assert_int_eq(check(&card, 4096), -ENODATA);
}
END_TEST

/* Fields that a reader of this version must not mind. */
START_TEST(reserved_is_ignored)
{
	struct shmb_shm_card card = pool_card();

	card.reserved0 = 1;
	memset(card.reserved1, 0xff, sizeof(card.reserved1));
	memset(card.reserved2, 0xff, sizeof(card.reserved2));
	memset(card.area_cells, 0xff, sizeof(card.area_cells));
	memset(card.reserved4, 0xff, sizeof(card.reserved4));
	memset(card.reserved5, 0xff, sizeof(card.reserved5));
	memset(card.cells, 0xff, sizeof(card.cells));
	ck_assert_int_eq(check(&card, card.data_bytes), 0);
}
END_TEST

/* The largest of everything that has a limit, and one more. */
START_TEST(largest_numbers)
{
	struct shmb_shm_card card = inline_card();
	uint64_t data = card.data_bytes;
	struct shmb_geometry g;

	card.base = SHMB_NUMBER_MAX;
	card.area_count = SHMB_AREAS_MAX;
	memset(card.type, '~', SHMB_TYPE_NAME_MAX);
	card.type[1] = ' ';
	memset(card.name, 'n', SHMB_NAME_MAX);
	card.schema_length = SHMB_PAGE; /* exactly one page more */
	ck_assert_int_eq(check(&card, data), 0);
	card.schema_length = SHMB_SCHEMA_MAX;
	card.card_bytes = SHMB_PAGE + SHMB_SCHEMA_MAX;
	ck_assert_int_eq(shmb_card_check(&card, SHMB_PAGE + SHMB_SCHEMA_MAX, data, &g, NULL), 0);
	card.schema_length++;
	card.card_bytes += SHMB_PAGE;
	ck_assert_int_eq(shmb_card_check(&card, 2 * SHMB_PAGE + SHMB_SCHEMA_MAX, data, &g, NULL), -EBADMSG);
	card.schema_length = 0; /* and the least */
	card.card_bytes = SHMB_PAGE;
	ck_assert_int_eq(shmb_card_check(&card, SHMB_PAGE, data, &g, NULL), -EBADMSG);

	card = planned(SHMB_KIND_RING, 0, SHMB_CAPACITY_MAX, 8);
	ck_assert_int_eq(check(&card, card.data_bytes), 0);
	card.slot_count = card.pool_count = 2 * SHMB_CAPACITY_MAX;
	card.data_bytes *= 2;
	ck_assert_int_eq(check(&card, card.data_bytes), -EBADMSG);

	card = pool_card();
	card.payload_align = 64;
	ck_assert_int_eq(check(&card, card.data_bytes), 0);
	card.data_bytes = SHMB_DATA_MAX; /* more than it needs is no fault */
	ck_assert_int_eq(check(&card, card.data_bytes), 0);
	card.data_bytes += SHMB_PAGE;
	ck_assert_int_eq(check(&card, card.data_bytes), -EBADMSG);
	card = pool_card();
	card.data_bytes += 64; /* no whole pages */
	ck_assert_int_eq(check(&card, card.data_bytes), -EBADMSG);
	card.data_bytes = 0;
	ck_assert_int_eq(check(&card, 0), -EBADMSG);
}
END_TEST

#define REFUSED(make, field, value, error)                                                                                                 \
	do {                                                                                                                               \
		struct shmb_shm_card bad = make();                                                                                         \
		uint64_t data = bad.data_bytes;                                                                                            \
		bad.field = value;                                                                                                         \
		ck_assert_msg(check(&bad, data) == (error), "%s", #make ": " #field " = " #value);                                         \
	} while (0)
#define REFUSED_BOTH(field, value, error)                                                                                                  \
	do {                                                                                                                               \
		REFUSED(inline_card, field, value, error);                                                                                 \
		REFUSED(pool_card, field, value, error);                                                                                   \
	} while (0)

START_TEST(each_field_of_the_identity)
{
	for (unsigned value = 0; value < 256; value++) {
		if (value < SHMB_KIND_VALUE || value > SHMB_KIND_BLOCK)
			REFUSED_BOTH(kind, (uint8_t)value, -EOPNOTSUPP);
		if (value != SHMB_BACKING_NAMED && value != SHMB_BACKING_SEALED)
			REFUSED_BOTH(backing, (uint8_t)value, -EOPNOTSUPP);
	}
	for (unsigned bit = 1; bit < 32; bit++)
		REFUSED_BOTH(flags, UINT32_C(1) << bit, -EOPNOTSUPP);
	REFUSED_BOTH(card_bytes, 0, -EBADMSG);
	REFUSED_BOTH(card_bytes, SHMB_PAGE, -EBADMSG);
	REFUSED_BOTH(card_bytes, 3 * SHMB_PAGE, -EBADMSG);
	REFUSED_BOTH(card_bytes, UINT32_MAX, -EBADMSG);
	REFUSED_BOTH(schema_offset, 0, -EBADMSG);
	REFUSED_BOTH(schema_offset, SHMB_PAGE + 1, -EBADMSG);
	REFUSED_BOTH(schema_offset, UINT32_MAX, -EBADMSG);
	REFUSED_BOTH(schema_length, 0, -EBADMSG);
	REFUSED_BOTH(schema_length, SHMB_PAGE + 1, -EBADMSG);
	REFUSED_BOTH(schema_length, SHMB_SCHEMA_MAX + 1, -EBADMSG);
	REFUSED_BOTH(schema_length, UINT32_MAX, -EBADMSG);
	REFUSED_BOTH(schema_length, UINT32_MAX - SHMB_PAGE + 1, -EBADMSG);
	REFUSED_BOTH(generation, 0, -EBADMSG);
	REFUSED_BOTH(base, SHMB_NUMBER_MAX + 1, -EBADMSG);
	REFUSED_BOTH(base, UINT64_MAX, -EBADMSG);
	REFUSED_BOTH(name[0], '\0', -EBADMSG);
	REFUSED_BOTH(name[0], '/', -EBADMSG);
	REFUSED_BOTH(name[3], '\0', -EBADMSG); /* bytes behind the end */
	REFUSED_BOTH(name[3], '\n', -EBADMSG);
	REFUSED_BOTH(name[sizeof(bad.name) - 1], 'x', -EBADMSG);
	REFUSED_BOTH(type[0], '\0', -EBADMSG);
	REFUSED_BOTH(type[1], '\x1b', -EBADMSG);
	REFUSED_BOTH(type[1], '\xe4', -EBADMSG);
	REFUSED_BOTH(type[sizeof(bad.type) - 1], 'x', -EBADMSG);
}
END_TEST

START_TEST(unterminated_strings)
{
	struct shmb_shm_card card = inline_card();

	memset(card.name, 'x', sizeof(card.name));
	ck_assert_int_eq(check(&card, card.data_bytes), -EBADMSG);
	card = inline_card();
	memset(card.type, 'x', sizeof(card.type));
	ck_assert_int_eq(check(&card, card.data_bytes), -EBADMSG);
}
END_TEST

START_TEST(each_field_of_the_geometry)
{
	REFUSED_BOTH(data_bytes, 0, -EBADMSG);
	REFUSED_BOTH(data_bytes, UINT64_MAX, -EBADMSG);
	REFUSED_BOTH(payload_bytes, 0, -EBADMSG);
	REFUSED_BOTH(payload_bytes, SHMB_PAYLOAD_MAX + 1, -EBADMSG);
	REFUSED_BOTH(payload_bytes, UINT64_MAX, -EBADMSG);
	REFUSED(inline_card, payload_bytes, 57, -EBADMSG);
	REFUSED(pool_card, payload_bytes, 8193, -EBADMSG);
	REFUSED_BOTH(slot_offset, 0, -EBADMSG);
	REFUSED_BOTH(slot_offset, 448, -EBADMSG);
	REFUSED_BOTH(slot_offset, 513, -EBADMSG);
	REFUSED_BOTH(slot_offset, bad.data_bytes, -EBADMSG);
	REFUSED_BOTH(slot_offset, bad.data_bytes - 64, -EBADMSG);
	REFUSED_BOTH(slot_offset, UINT64_MAX - 63, -EBADMSG);
	REFUSED_BOTH(slot_offset, (UINT64_MAX - 63) - ((uint64_t)bad.slot_count << 6) + 64, -EBADMSG);
	REFUSED_BOTH(pool_offset, 0, -EBADMSG);
	REFUSED_BOTH(pool_offset, 8, -EBADMSG);
	REFUSED_BOTH(pool_offset, 512, -EBADMSG);
	REFUSED_BOTH(pool_offset, bad.slot_offset, -EBADMSG);
	REFUSED_BOTH(pool_offset, bad.slot_offset + 24, -EBADMSG);
	REFUSED_BOTH(pool_offset, bad.slot_offset + 64, -EBADMSG);
	REFUSED_BOTH(pool_offset, bad.data_bytes, -EBADMSG);
	REFUSED_BOTH(pool_offset, bad.data_bytes - 64, -EBADMSG);
	REFUSED_BOTH(pool_offset, UINT64_MAX - 63, -EBADMSG);
	REFUSED(inline_card, pool_offset, bad.slot_offset + 16, -EBADMSG); /* that of a stamped one */
	REFUSED(pool_card, pool_offset, bad.slot_offset + 8, -EBADMSG);
	REFUSED(pool_card, pool_offset, bad.slot_offset + 16, -EBADMSG); /* inline, but the payload is too large for it */
	REFUSED(pool_card, pool_offset, bad.pool_offset + 32, -EBADMSG);
	REFUSED_BOTH(key_offset, 512, -EBADMSG);
	REFUSED_BOTH(key_shift, 3, -EBADMSG);
	REFUSED_BOTH(key_type, 1, -EBADMSG);
	REFUSED_BOTH(key_field, 0, -EBADMSG);
	REFUSED_BOTH(key_field, SHMB_KEY_IS_GIVEN, -EBADMSG);
	REFUSED_BOTH(entry_offset, 512, -EBADMSG);
	REFUSED_BOTH(entry_count, 1, -EBADMSG);
	REFUSED_BOTH(entry_shift, 6, -EBADMSG);
	REFUSED_BOTH(history, 1, -EBADMSG);
	REFUSED_BOTH(area_count, SHMB_AREAS_MAX + 1, -EBADMSG);
	REFUSED_BOTH(area_count, UINT32_MAX, -EBADMSG);
	REFUSED_BOTH(pins, 1, -EBADMSG); /* only a frame has them */
	REFUSED_BOTH(payload_align, 0, -EBADMSG);
	REFUSED_BOTH(payload_align, 3, -EBADMSG);
	REFUSED_BOTH(payload_align, 128, -EBADMSG);
	REFUSED_BOTH(payload_align, UINT32_C(1) << 31, -EBADMSG);
	REFUSED(inline_card, payload_align, 16, -EBADMSG);
	REFUSED_BOTH(pool_count, 0, -EBADMSG);
	REFUSED_BOTH(pool_count, 2 * bad.pool_count, -EBADMSG);
	REFUSED_BOTH(pool_count, UINT32_MAX, -EBADMSG);
}
END_TEST

START_TEST(counts_and_shifts)
{
	static const uint32_t counts[] = { 0, 1, 3, 5, 1u << 10, 1u << 20, 1u << 21, 1u << 31, UINT32_MAX };

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct shmb_shm_card bad = inline_card();

		bad.slot_count = bad.pool_count = counts[i];
		ck_assert_int_eq(check(&bad, bad.data_bytes), -EBADMSG);
		bad.kind = SHMB_KIND_RING;
		ck_assert_int_eq(check(&bad, bad.data_bytes), -EBADMSG);
		bad = pool_card();
		bad.slot_count = bad.pool_count = counts[i];
		ck_assert_int_eq(check(&bad, bad.data_bytes), -EBADMSG);
	}
	/* A value of 2 or 16 slots would even fit. */
	for (uint32_t count = 2; count <= 16; count *= 8) {
		struct shmb_shm_card bad = inline_card();

		bad.slot_count = bad.pool_count = count;
		ck_assert_int_eq(check(&bad, bad.data_bytes), -EBADMSG);
		bad.kind = SHMB_KIND_RING;
		ck_assert_int_eq(check(&bad, bad.data_bytes), 0);
	}
	for (unsigned shift = 0; shift < 256; shift++) {
		if (shift != 6) {
			REFUSED(inline_card, slot_shift, (uint8_t)shift, -EBADMSG);
			REFUSED(inline_card, pool_shift, (uint8_t)shift, -EBADMSG);
			REFUSED(pool_card, slot_shift, (uint8_t)shift, -EBADMSG);
		}
		if (shift != 13) /* smaller: too small for the payload; larger: out of the data part */
			REFUSED(pool_card, pool_shift, (uint8_t)shift, -EBADMSG);
	}
}
END_TEST

/* What each kind must have and what it must not. */
START_TEST(fields_of_kinds)
{
	struct shmb_shm_card good = frame_card();

	ck_assert_int_eq(check(&good, good.data_bytes), 0);
	good = block_card();
	ck_assert_int_eq(check(&good, good.data_bytes), 0);
	good = queue_card();
	ck_assert_int_eq(check(&good, good.data_bytes), 0);

	good = frame_card();
	good.key_field = SHMB_KEY_IS_GIVEN; /* with each commit */
	ck_assert_int_eq(check(&good, good.data_bytes), 0);
	good.pins = 0; /* as many as there are in a cell */
	ck_assert_int_eq(check(&good, good.data_bytes), 0);

	REFUSED(frame_card, history, 0, -EBADMSG);
	REFUSED(frame_card, history, 8, -EBADMSG); /* as many as there are slots */
	REFUSED(frame_card, history, UINT32_MAX, -EBADMSG);
	REFUSED(frame_card, slot_count, 4, -EBADMSG);
	REFUSED(frame_card, slot_count, SHMB_CAPACITY_MAX + 1, -EBADMSG);
	REFUSED(frame_card, entry_count, 0, -EBADMSG);
	REFUSED(frame_card, entry_count, 8, -EBADMSG);
	REFUSED(frame_card, entry_count, 15, -EBADMSG);
	REFUSED(frame_card, entry_count, UINT32_C(1) << 31, -EBADMSG);
	REFUSED(frame_card, entry_offset, 0, -EBADMSG);
	REFUSED(frame_card, entry_offset, bad.slot_offset, -EBADMSG);
	REFUSED(frame_card, entry_offset, bad.key_offset, -EBADMSG);
	REFUSED(frame_card, entry_offset, bad.pool_offset, -EBADMSG);
	REFUSED(frame_card, entry_offset, bad.entry_offset + 8, -EBADMSG);
	REFUSED(frame_card, entry_offset, UINT64_MAX - 63, -EBADMSG);
	REFUSED(frame_card, entry_shift, 5, -EBADMSG);
	REFUSED(frame_card, entry_shift, 255, -EBADMSG);
	REFUSED(frame_card, key_type, SHMB_KEY_SEQUENCE + 1, -EOPNOTSUPP);
	REFUSED(frame_card, key_type, SHMB_KEY_NONE, -EBADMSG);
	REFUSED(frame_card, pins, SHMB_PINS_PER_CELL + 1, -EBADMSG);
	REFUSED(frame_card, pins, UINT8_MAX, -EBADMSG);
	REFUSED(frame_card, key_field, 5000, -EBADMSG);
	REFUSED(frame_card, key_field, SHMB_KEY_IS_STAMP, -EBADMSG);
	REFUSED(frame_card, key_offset, 0, -EBADMSG);
	REFUSED(frame_card, key_offset, bad.slot_offset, -EBADMSG);
	REFUSED(frame_card, key_offset, bad.entry_offset, -EBADMSG);
	REFUSED(frame_card, key_offset, bad.key_offset + 8, -EBADMSG);
	REFUSED(frame_card, key_offset, bad.pool_offset, -EBADMSG);
	REFUSED(frame_card, key_offset, UINT64_MAX - 63, -EBADMSG);
	for (unsigned shift = 0; shift < 256; shift++) {
		if (shift != 3)
			REFUSED(frame_card, key_shift, (uint8_t)shift, -EBADMSG);
	}
	REFUSED(frame_card, pool_count, 1, -EBADMSG);
	REFUSED(frame_card, pool_offset, bad.slot_offset + 8, -EBADMSG); /* no frame lies in its slots' heads */
	for (unsigned kind = SHMB_KIND_VALUE; kind <= SHMB_KIND_BLOCK; kind++) {
		if (kind != SHMB_KIND_FRAME)
			REFUSED(frame_card, kind, (uint8_t)kind, -EBADMSG);
		if (kind != SHMB_KIND_BLOCK)
			REFUSED(block_card, kind, (uint8_t)kind, -EBADMSG);
		if (kind != SHMB_KIND_QUEUE && kind != SHMB_KIND_RING)
			REFUSED(queue_card, kind, (uint8_t)kind, -EBADMSG);
	}

	REFUSED(block_card, slot_count, 2, -EBADMSG);
	REFUSED(block_card, slot_offset, 512, -EBADMSG);
	REFUSED(block_card, slot_shift, 6, -EBADMSG);
	REFUSED(block_card, pool_count, 0, -EBADMSG);
	REFUSED(block_card, pool_count, 2, -EBADMSG);
	REFUSED(block_card, pool_offset, 8, -EBADMSG);
	REFUSED(block_card, pool_offset, bad.data_bytes - 64, -EBADMSG);
	REFUSED(block_card, payload_bytes, 8193, -EBADMSG);
	REFUSED(block_card, history, 1, -EBADMSG);
	REFUSED(block_card, key_type, SHMB_KEY_SEQUENCE, -EBADMSG);

	REFUSED(queue_card, key_type, SHMB_KEY_SEQUENCE, -EBADMSG);
	REFUSED(queue_card, history, 1, -EBADMSG);
	REFUSED(queue_card, entry_count, 4, -EBADMSG);
	REFUSED(queue_card, slot_count, 15, -EBADMSG);
}
END_TEST

/* The pool in front of the slots is as good as behind them; half on them is not. */
START_TEST(pool_in_front)
{
	struct shmb_shm_card card = planned(SHMB_KIND_RING, 0, 4, 64);

	card.pool_offset = 512;
	card.slot_offset = 512 + 4 * 64;
	ck_assert_int_eq(check(&card, card.data_bytes), 0);
	for (card.slot_offset = 512; card.slot_offset < 512 + 4 * 64; card.slot_offset += 64)
		ck_assert_int_eq(check(&card, card.data_bytes), -EBADMSG);
}
END_TEST

/* Fields of the card that make geometry and identity, at random: mostly small changes, so that much is almost right. */
START_TEST(random_changes)
{
	static const struct {
		size_t offset;
		size_t size;
	} fields[] = {
#define F(field) { offsetof(struct shmb_shm_card, field), sizeof(((struct shmb_shm_card *)0)->field) }
		F(kind),	  F(payload_bytes), F(slot_offset), F(pool_offset), F(flags),	      F(slot_count),	F(pool_count),
		F(slot_shift),	  F(pool_shift),    F(area_count),  F(generation),  F(base),	      F(payload_align), F(data_bytes),
		F(schema_length), F(card_bytes),    F(key_field),   F(version),	    F(oldest_reader), F(key_type),	F(key_offset),
		F(key_shift),	  F(entry_offset),  F(entry_count), F(entry_shift), F(history),
#undef F
	};
	struct shmb_shm_card (*const makes[])(void) = { inline_card, pool_card, frame_card, block_card, queue_card };
	uint64_t random = 5;
	unsigned accepted = 0;

	for (int round = 0; round < 300000; round++) {
		struct shmb_shm_card card =
			round % 2 ? makes[round % 5]() : planned(SHMB_KIND_RING, round % 4 / 2, 2u << round % 16, 1 + round % 9000);
		uint64_t data = card.data_bytes;

		for (unsigned changes = 1 + unit_random(&random) % 3; changes > 0; changes--) {
			unsigned i = unit_random(&random) % (sizeof(fields) / sizeof(fields[0]));
			char *at = (char *)&card + fields[i].offset;
			uint64_t value = 0;

			memcpy(&value, at, fields[i].size);
			switch (unit_random(&random) % 5) {
			case 0:
				value = unit_random(&random);
				break;
			case 1:
				value = UINT64_C(1) << unit_random(&random) % 64;
				break;
			case 2:
				value += 64 * (unit_random(&random) % 64);
				break;
			case 3:
				value <<= 1;
				break;
			default:
				value >>= 1;
			}
			memcpy(at, &value, fields[i].size);
		}
		if (unit_random(&random) % 4 == 0)
			data = card.data_bytes;
		accepted += check(&card, data) == 0;
	}
	ck_assert_uint_gt(accepted, 1000); /* else it has tried nothing */
}
END_TEST

START_TEST(random_bytes)
{
	struct shmb_shm_card card;
	uint64_t random = 6;

	for (int round = 0; round < 3000; round++) {
		unit_random_fill(&random, &card, sizeof(card));
		ck_assert_int_lt(check(&card, card.data_bytes), 0);
		card.magic = SHMB_CARD_MAGIC;
		card.version = card.oldest_reader = 1;
		ck_assert_int_lt(check(&card, card.data_bytes), 0);
		card.kind = SHMB_KIND_RING;
		card.backing = SHMB_BACKING_NAMED;
		card.flags &= 1;
		ck_assert_int_lt(check(&card, card.data_bytes), 0);
	}
}
END_TEST

static int event_check(const struct shmb_shm_event *event, uint64_t size)
{
	const char *why = NULL;
	int r = shmb_event_check(event, size, &why);

	ck_assert((r == 0) == (why == NULL));
	return r;
}

START_TEST(event_pages)
{
	const struct shmb_shm_event good = { .magic = SHMB_EVENT_MAGIC, .version = 1, .oldest_reader = 1, .pid = 5, .cookie = { 1 } };
	struct shmb_shm_event event = good;
	uint64_t random = 7;

	ck_assert_int_eq(event_check(&event, sizeof(event)), 0);
	ck_assert_int_eq(event_check(&event, sizeof(event) - 1), -EBADMSG);
	ck_assert_int_eq(event_check(&event, sizeof(event) + 1), -EBADMSG);
	ck_assert_int_eq(event_check(&event, 0), -EBADMSG);
	event.magic = 0;
	ck_assert_int_eq(event_check(&event, sizeof(event)), -ENODATA);
	event.magic = SHMB_CARD_MAGIC;
	ck_assert_int_eq(event_check(&event, sizeof(event)), -EBADMSG);
	event = good;
	event.version = 2;
	ck_assert_int_eq(event_check(&event, sizeof(event)), 0);
	event.oldest_reader = 2;
	ck_assert_int_eq(event_check(&event, sizeof(event)), -EPROTONOSUPPORT);
	event.version = 1;
	ck_assert_int_eq(event_check(&event, sizeof(event)), -EBADMSG);
	event = good;
	event.pid = 0;
	ck_assert_int_eq(event_check(&event, sizeof(event)), 0);
	event.pid = -1;
	ck_assert_int_eq(event_check(&event, sizeof(event)), -EBADMSG);
	event = good;
	memset(event.cookie, 0, sizeof(event.cookie));
	ck_assert_int_eq(event_check(&event, sizeof(event)), -EBADMSG);
	for (int round = 0; round < 1000; round++) {
		unit_random_fill(&random, &event, sizeof(event));
		ck_assert_int_lt(event_check(&event, sizeof(event)), 0);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("validate");

	unit_add(suite, plans_are_accepted, 5);
	unit_add(suite, geometry_is_what_the_card_says, 5);
	unit_add(suite, sizes_of_files, 5);
	unit_add(suite, magic_and_versions, 5);
	unit_add(suite, all_zero, 5);
	unit_add(suite, reserved_is_ignored, 5);
	unit_add(suite, largest_numbers, 5);
	unit_add(suite, each_field_of_the_identity, 5);
	unit_add(suite, unterminated_strings, 5);
	unit_add(suite, each_field_of_the_geometry, 5);
	unit_add(suite, counts_and_shifts, 5);
	unit_add(suite, fields_of_kinds, 5);
	unit_add(suite, pool_in_front, 5);
	unit_add(suite, random_changes, 20);
	unit_add(suite, random_bytes, 20);
	unit_add(suite, event_pages, 5);
	return unit_run(suite);
}
