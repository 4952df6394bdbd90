/* SPDX-License-Identifier: MIT */
/*
 * The validator of cards and event pages with words of 8 bits (small_layout.h), against a second opinion that knows nothing of how it works
 * (card_opinion.h). Both must say the same of every card; and of what is accepted, the bytes that are really touched (ids, stamps, payloads, keys,
 * entries) are painted one by one.
 *
 * A card has 26 fields of 8 bits. Tried are, from good cards of every kind:
 *   each field with each other, over all their values;
 *   each array by itself: all values of offset, count and stride together;
 *   each two arrays: all offsets that could fit and those about to wrap, all counts and strides up to beyond their limits;
 *   all arrays together: all places on the grid of cache lines, for all counts and strides that may be.
 * What the validator says depends on no more than that at once, but for the last.
 */
#include "small_layout.h"
#include "proto/validate.c"

#undef uint16_t
#undef uint32_t
#undef uint64_t
#undef int32_t

#include "card_opinion.h"
#include "tests/support/unit.h"

static unsigned long tried, accepted;

/* ---- trying one ---- */

static void show(const struct shmb_shm_card *c, int data)
{
	printf("kind %d type %d flags %d data %d/%d payload %d align %d areas %d pins %d history %d key %d field %d\n", c->kind,
	       c->key_type, c->flags, c->data_bytes, data, c->payload_bytes, c->payload_align, c->area_count, c->pins, c->history,
	       c->key_type, c->key_field);
	printf("slots %d %d %d, entries %d %d %d, keys %d %d, pool %d %d %d\n", c->slot_offset, c->slot_count, c->slot_shift,
	       c->entry_offset, c->entry_count, c->entry_shift, c->key_offset, c->key_shift, c->pool_offset, c->pool_count, c->pool_shift);
	fflush(stdout);
}

static void try_card(const struct shmb_shm_card *c, int size, int data)
{
	struct shmb_geometry g;
	const char *why = NULL;
	bool good = shmb_card_check(c, (uint8_t)size, (uint8_t)data, &g, &why) == 0;
	bool may_be = identity_may_be(c, size) && geometry_may_be(c, data);

	tried++;
	if (good != may_be || (why == NULL) != good) {
		show(c, data);
		ck_abort_msg("the validator says %s, and it is %s", good ? "yes" : why, may_be ? "sound" : "not");
	}
	if (!good)
		return;
	accepted++;
	if (!touches_are_apart(&g, data) || g.slot_offset != c->slot_offset || g.pool_offset != c->pool_offset ||
	    g.key_offset != c->key_offset || g.entry_offset != c->entry_offset || g.slot_count != c->slot_count ||
	    g.pool_count != c->pool_count || g.entry_count != c->entry_count || g.slot_shift != c->slot_shift ||
	    g.pool_shift != c->pool_shift || g.key_shift != c->key_shift || g.entry_shift != c->entry_shift) {
		show(c, data);
		ck_abort_msg("accepted, and not safe to use");
	}
}

static void try_geometry(const struct shmb_shm_card *c)
{
	try_card(c, 128, c->data_bytes);
}

/* ---- good cards ---- */

static const struct shmb_shm_card blank = { .magic = SHMB_CARD_MAGIC,
					    .version = 5,
					    .oldest_reader = 5,
					    .card_bytes = 128,
					    .schema_offset = 64,
					    .schema_length = 8,
					    .backing = 1,
					    .generation = 1,
					    .data_bytes = 64,
					    .key_field = 255,
					    .payload_bytes = 4,
					    .payload_align = 2,
					    .name = "n",
					    .type = "t" };

/* Each kind, with payloads inside the slots and outside, stamped and not, keyed and not. */
static unsigned good_cards(struct shmb_shm_card *out)
{
	static const int slot_counts[6] = { 0, 4, 2, 2, 2, 0 };
	unsigned count = 0;

	for (int kind = 1; kind <= 5; kind++) {
		for (int shape = 0; shape < 4; shape++) {
			struct shmb_shm_card c = blank;
			bool wants_inline = shape & 1, keyed = (shape & 2) != 0 && (kind == SHMB_KIND_RING || kind == SHMB_KIND_FRAME);

			c.kind = (uint8_t)kind;
			c.flags = keyed && kind == SHMB_KIND_RING;
			c.slot_count = (uint8_t)slot_counts[kind];
			c.pool_count = kind == SHMB_KIND_BLOCK ? 1 : c.slot_count;
			if (kind != SHMB_KIND_BLOCK) {
				c.slot_offset = HEAD;
				c.slot_shift = wants_inline ? 3 : 2;
			}
			c.pool_shift = 2;
			c.pool_offset = kind == SHMB_KIND_VALUE ? 40 : 24;
			if (kind == SHMB_KIND_FRAME) {
				c.history = 1;
				c.entry_offset = 32;
				c.entry_count = 4;
				c.entry_shift = 2;
			} else if (wants_inline && kind != SHMB_KIND_BLOCK) {
				c.pool_offset = (uint8_t)(HEAD + head_bytes(&c));
				c.pool_shift = 3;
			}
			if (keyed) {
				c.key_type = SHMB_KEY_MONOTONIC_NS;
				c.key_shift = 1;
				c.key_offset = kind == SHMB_KIND_FRAME ? 48 : 32;
				c.key_field = kind == SHMB_KIND_FRAME ? 254 : 255;
			}
			out[count++] = c;
		}
	}
	return count;
}

static void count_print(const char *what)
{
	printf("%s: %lu cards, %lu of them sound\n", what, tried, accepted);
	fflush(stdout);
	ck_assert_uint_gt(accepted, 0);
	ck_assert_uint_gt(tried, accepted);
}

START_TEST(good_cards_are_good)
{
	struct shmb_shm_card cards[20];
	unsigned count = good_cards(cards);

	for (unsigned i = 0; i < count; i++) {
		try_geometry(&cards[i]);
		ck_assert_uint_eq(accepted, i + 1);
	}
}
END_TEST

static const size_t fields[] = {
#define F(name) offsetof(struct shmb_shm_card, name)
	F(version),    F(oldest_reader), F(card_bytes), F(schema_offset), F(schema_length), F(kind),	    F(backing),	   F(key_type),
	F(generation), F(base),		 F(data_bytes), F(payload_bytes), F(slot_offset),   F(pool_offset), F(key_offset), F(entry_offset),
	F(flags),      F(slot_count),	 F(pool_count), F(entry_count),	  F(slot_shift),    F(pool_shift),  F(key_shift),  F(entry_shift),
	F(history),    F(key_field),	 F(area_count), F(payload_align), F(pins),	    F(magic),
#undef F
};

START_TEST(each_field_with_each_other)
{
	struct shmb_shm_card cards[20];
	unsigned count = good_cards(cards);

	for (unsigned i = 0; i < count; i++) {
		for (unsigned a = 0; a < sizeof(fields) / sizeof(fields[0]); a++) {
			for (unsigned b = 0; b < a; b++) {
				struct shmb_shm_card c = cards[i];

				for (unsigned values = 0; values < 65536; values++) {
					((unsigned char *)&c)[fields[a]] = (unsigned char)values;
					((unsigned char *)&c)[fields[b]] = (unsigned char)(values >> 8);
					try_geometry(&c);
				}
			}
		}
	}
	count_print("each field with each other, all values");
}
END_TEST

/* An array's fields; NULL: it follows from another's. */
struct place {
	uint8_t *offset;
	uint8_t *count;
	uint8_t *shift;
};

enum { SLOTS, ENTRIES, KEYS, POOL, ARRAYS };

static struct place place_of(struct shmb_shm_card *c, int array)
{
	switch (array) {
	case SLOTS:
		return (struct place){ &c->slot_offset, &c->slot_count, &c->slot_shift };
	case ENTRIES:
		return (struct place){ &c->entry_offset, &c->entry_count, &c->entry_shift };
	case KEYS:
		return (struct place){ &c->key_offset, NULL, &c->key_shift };
	default:
		return (struct place){ &c->pool_offset, NULL, &c->pool_shift };
	}
}

/* There is a payload for each slot. */
static void pool_follows(struct shmb_shm_card *c)
{
	if (c->kind != SHMB_KIND_BLOCK)
		c->pool_count = c->slot_count;
}

START_TEST(each_array_by_itself)
{
	struct shmb_shm_card cards[20];
	unsigned count = good_cards(cards);

	for (unsigned i = 0; i < count; i += 2) { /* payloads outside the slots */
		for (int array = 0; array < ARRAYS; array++) {
			struct shmb_shm_card c = cards[i];
			struct place place = place_of(&c, array);

			for (unsigned n = 0; n < (place.count != NULL ? 256 : 1); n++) {
				if (place.count != NULL)
					*place.count = (uint8_t)n;
				pool_follows(&c);
				for (unsigned values = 0; values < 65536; values++) {
					*place.offset = (uint8_t)values;
					*place.shift = (uint8_t)(values >> 8);
					try_geometry(&c);
				}
			}
		}
	}
	count_print("each array by itself, all values");
}
END_TEST

/* All that could fit, some behind, and all from which a sum would wrap. */
static unsigned offsets_fill(uint8_t *out)
{
	unsigned count = 0;

	for (unsigned offset = 0; offset < 256; offset++) {
		if (offset <= 68 || offset % 32 == 0 || offset % 32 == 31 || offset >= 192)
			out[count++] = (uint8_t)offset;
	}
	return count;
}

START_TEST(each_two_arrays)
{
	static const uint8_t shifts[] = { 0, 1, 2, 3, 4 };
	static const uint8_t counts[] = { 0, 1, 2, 3, 4, 8, 9 };
	uint8_t offsets[256];
	unsigned offset_count = offsets_fill(offsets);
	struct shmb_shm_card cards[20];
	unsigned count = good_cards(cards);

	/* A card of each kind without keys and one with. */
	for (unsigned i = 0; i < count; i += 2) {
		for (int a = 0; a < ARRAYS; a++) {
			for (int b = 0; b < a; b++) {
				struct shmb_shm_card c = cards[i];
				struct place one = place_of(&c, a), two = place_of(&c, b);
				unsigned ones = one.count != NULL ? sizeof(counts) : 1, twos = two.count != NULL ? sizeof(counts) : 1;

				for (unsigned n = 0; n < ones * twos * sizeof(shifts) * sizeof(shifts); n++) {
					unsigned shape = n / (sizeof(shifts) * sizeof(shifts));

					*one.shift = shifts[n % sizeof(shifts)];
					*two.shift = shifts[n / sizeof(shifts) % sizeof(shifts)];
					if (one.count != NULL)
						*one.count = counts[shape / twos];
					if (two.count != NULL)
						*two.count = counts[shape % twos];
					pool_follows(&c);
					for (unsigned at = 0; at < offset_count * offset_count; at++) {
						*one.offset = offsets[at % offset_count];
						*two.offset = offsets[at / offset_count];
						try_geometry(&c);
					}
				}
			}
		}
	}
	count_print("each two arrays, all places");
}
END_TEST

/* All of them at once, on the grid; payloads at every byte, as they may lie inside slots. */
static void all_places(struct shmb_shm_card *c)
{
	int pool_step = c->kind == SHMB_KIND_FRAME ? 4 : 1, entries = c->kind == SHMB_KIND_FRAME, keys = c->key_type != 0;

	for (int slot_shift = 2; slot_shift <= 3; slot_shift++) {
		for (int pool_shift = 2; pool_shift <= 3; pool_shift++) {
			c->slot_shift = (uint8_t)slot_shift;
			c->pool_shift = (uint8_t)pool_shift;
			for (int slot = HEAD; slot < 64; slot += 4) {
				c->slot_offset = (uint8_t)slot;
				for (int pool = HEAD; pool < 64; pool += pool_step) {
					c->pool_offset = (uint8_t)pool;
					for (int entry = entries ? HEAD : 0; entry < (entries ? 64 : 4); entry += 4) {
						c->entry_offset = (uint8_t)entry;
						for (int key = keys ? HEAD : 0; key < (keys ? 64 : 4); key += 4) {
							c->key_offset = (uint8_t)key;
							try_geometry(c);
						}
					}
				}
			}
		}
	}
}

static void all_numbers(struct shmb_shm_card *c)
{
	static const uint8_t payloads[] = { 1, 2, 3, 4, 5, 8 };

	for (unsigned flags = 0; flags <= 1; flags++) {
		for (unsigned payload = 0; payload < sizeof(payloads); payload++) {
			for (unsigned align = 1; align <= 4; align *= 2) {
				for (unsigned data = 64; data <= 128; data += 64) {
					c->flags = (uint8_t)flags;
					c->payload_bytes = payloads[payload];
					c->payload_align = (uint8_t)align;
					c->data_bytes = (uint8_t)data;
					all_places(c);
				}
			}
		}
	}
}

START_TEST(all_arrays_together)
{
	struct shmb_shm_card cards[20];
	unsigned count = good_cards(cards);

	for (unsigned i = 0; i < count; i += 2) {
		struct shmb_shm_card c = cards[i];

		if (c.kind == SHMB_KIND_BLOCK)
			continue; /* only one array */
		if (c.key_type != 0 && c.kind == SHMB_KIND_RING)
			c.key_field = 0; /* the stamp would need flags */
		for (unsigned slots = 2; slots <= 8; slots++) {
			c.slot_count = c.pool_count = (uint8_t)slots;
			if (c.kind != SHMB_KIND_FRAME) {
				all_numbers(&c);
				continue;
			}
			/* Few numbers: places are many. */
			c.payload_bytes = c.payload_align = 4;
			c.data_bytes = 64;
			for (unsigned history = 1; history <= 3; history++) {
				for (unsigned entries = 4; entries <= 8; entries *= 2) {
					for (unsigned shift = 2; shift <= 3; shift++) {
						c.history = (uint8_t)history;
						c.entry_count = (uint8_t)entries;
						c.entry_shift = (uint8_t)shift;
						all_places(&c);
					}
				}
			}
		}
	}
	count_print("all arrays together, all places on the grid");
}
END_TEST

/* Of keys: type, field and payload over all values, for each kind. */
START_TEST(keys)
{
	struct shmb_shm_card cards[20];
	unsigned count = good_cards(cards);

	for (unsigned i = 0; i < count; i += 2) {
		for (unsigned flags = 0; flags <= 1; flags++) {
			struct shmb_shm_card c = cards[i];

			c.flags = (uint8_t)flags;
			for (unsigned values = 0; values < 1 << 24; values++) {
				c.key_type = (uint8_t)values;
				c.key_field = (uint8_t)(values >> 8);
				c.payload_bytes = (uint8_t)(values >> 16);
				try_geometry(&c);
			}
		}
	}
	count_print("keys, all types, fields and payloads");
}
END_TEST

START_TEST(sizes_of_cards)
{
	struct shmb_shm_card cards[20];

	good_cards(cards);
	for (unsigned values = 0; values < 1 << 24; values++) {
		cards[0].schema_length = (uint8_t)values;
		cards[0].card_bytes = (uint8_t)(values >> 8);
		try_card(&cards[0], (int)(values >> 16), 64);
	}
	count_print("sizes of cards, all values");
}
END_TEST

START_TEST(sizes_of_data)
{
	struct shmb_shm_card cards[20];
	unsigned count = good_cards(cards);

	for (unsigned i = 0; i < count; i++) {
		for (unsigned values = 0; values < 65536; values++) {
			cards[i].data_bytes = (uint8_t)values;
			try_card(&cards[i], 128, (int)(values >> 8));
		}
	}
	count_print("sizes of data parts, all values");
}
END_TEST

START_TEST(types)
{
	struct shmb_shm_card cards[20];

	good_cards(cards);
	for (unsigned values = 0; values < 1 << 24; values++) {
		memcpy(cards[0].type, &values, sizeof(cards[0].type));
		try_geometry(&cards[0]);
	}
	count_print("names of types, all bytes");
}
END_TEST

START_TEST(event_pages)
{
	static const uint8_t cookies[][2] = { { 0, 0 }, { 1, 0 }, { 0, 1 }, { 255, 255 } };
	struct shmb_shm_event event = { .magic = SHMB_EVENT_MAGIC };

	for (unsigned cookie = 0; cookie < 4; cookie++) {
		memcpy(event.cookie, cookies[cookie], sizeof(event.cookie));
		for (unsigned values = 0; values < 1 << 24; values++) {
			const char *why = NULL;
			bool good, may_be;

			event.version = (uint8_t)values;
			event.oldest_reader = (uint8_t)(values >> 8);
			event.pid = (int8_t)(values >> 16);
			good = shmb_event_check(&event, sizeof(event), &why) == 0;
			may_be = versions_may_be(event.version, event.oldest_reader) && event.pid >= 0 && cookie > 0;
			tried++;
			accepted += good;
			if (good != may_be || (why == NULL) != good)
				ck_abort_msg("version %d, oldest %d, pid %d, cookie %u", event.version, event.oldest_reader, event.pid,
					     cookie);
		}
	}
	count_print("event pages, all versions and processes");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("exhaustive_card");

	unit_add(suite, good_cards_are_good, 5);
	unit_add(suite, each_field_with_each_other, 300);
	unit_add(suite, each_array_by_itself, 300);
	unit_add(suite, each_two_arrays, 300);
	unit_add(suite, all_arrays_together, 300);
	unit_add(suite, keys, 300);
	unit_add(suite, sizes_of_cards, 300);
	unit_add(suite, sizes_of_data, 300);
	unit_add(suite, types, 300);
	unit_add(suite, event_pages, 300);
	return unit_run(suite);
}
