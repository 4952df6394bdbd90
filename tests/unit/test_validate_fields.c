/* SPDX-License-Identifier: MIT */
/*
 * Cards that lie in one field, the others being good: each field corrupted by itself, overlaps, shifts that would wrap, and what each kind must have and
 * what it must not.
 */
#include "card_fixture.h"

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

int main(void)
{
	Suite *suite = suite_create("validate_fields");

	unit_add(suite, each_field_of_the_identity, 5);
	unit_add(suite, unterminated_strings, 5);
	unit_add(suite, each_field_of_the_geometry, 5);
	unit_add(suite, counts_and_shifts, 5);
	unit_add(suite, fields_of_kinds, 5);
	unit_add(suite, pool_in_front, 5);
	return unit_run(suite);
}
