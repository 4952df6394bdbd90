/* SPDX-License-Identifier: MIT */
/*
 * Cards and event pages as a whole: what is accepted and what is made of it, wrong sizes and versions, the largest numbers, and random changes and bytes.
 */
#include "card_fixture.h"

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
	unit_add(suite, random_changes, 20);
	unit_add(suite, random_bytes, 20);
	unit_add(suite, event_pages, 5);
	return unit_run(suite);
}
