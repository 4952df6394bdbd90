/* SPDX-License-Identifier: MIT */
/*
 * Plans and cards in their real width, at all combinations of the numbers where something can turn: each power of two, one less and one more, the
 * limits, and what is about to wrap. A plan is made exactly where the table in geometry.h says so; nothing in it overlaps or lies outside; and the
 * validator takes a card of it for what it is. Of cards with any two fields changed, and with any one array's three, what is accepted is safe.
 */
#include "proto/validate.h"
#include "tests/fuzz/places.h"
#include "tests/support/unit.h"

#include <stdbool.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static unsigned long tried, accepted;

static void count_print(const char *what)
{
	printf("%s: %lu tried, %lu of them accepted\n", what, tried, accepted);
	fflush(stdout);
	ck_assert_uint_gt(accepted, 0);
	ck_assert_uint_gt(tried, accepted);
}

/* All powers of two below 2^64 and their neighbours, and small numbers. Returns how many. */
static unsigned turns_fill(uint64_t *out, uint64_t most)
{
	unsigned count = 0;

	for (unsigned i = 0; i <= 18; i++)
		out[count++] = i;
	for (unsigned shift = 5; shift < 64; shift++) {
		for (int i = -1; i <= 1; i++) {
			uint64_t value = (UINT64_C(1) << shift) + (uint64_t)(int64_t)i;

			if (value <= most && value > 18)
				out[count++] = value;
		}
	}
	if (most > 64)
		out[count++] = most;
	return count;
}

static bool is_power(uint64_t value, uint64_t most)
{
	return value > 0 && value <= most && __builtin_popcountll(value) == 1;
}

/* ---- plans ---- */

/* The table in geometry.h. */
static bool request_may_be(const struct shmb_request *q, uint32_t areas)
{
	bool is_frame = q->kind == SHMB_KIND_FRAME, keyed = q->key_type != SHMB_KEY_NONE;

	switch ((int)q->kind) {
	case SHMB_KIND_VALUE:
		if (q->capacity != 4 && q->capacity != 8)
			return false;
		break;
	case SHMB_KIND_RING:
	case SHMB_KIND_QUEUE:
		if (q->capacity == 1 || !is_power(q->capacity, 1 << 20))
			return false;
		break;
	case SHMB_KIND_FRAME:
		if (q->capacity != 0 || q->history == 0 || q->history > 4096 || q->pins > 1024)
			return false;
		break;
	case SHMB_KIND_BLOCK:
		if (q->capacity != 0 || q->flags != 0)
			return false;
		break;
	default:
		return false;
	}
	if (!is_frame && (q->history != 0 || q->pins != 0))
		return false;
	if (q->flags > 1 || q->payload_bytes == 0 || q->payload_bytes > UINT64_C(1) << 28 || !is_power(q->payload_align, 64) || areas > 6)
		return false;
	if (keyed && ((q->kind != SHMB_KIND_RING && !is_frame) || (unsigned)q->key_type > 3))
		return false;
	if (q->key_field == SHMB_KEY_IS_STAMP)
		return !keyed || (q->key_type == SHMB_KEY_MONOTONIC_NS && q->flags == 1);
	return keyed && (q->key_field == SHMB_KEY_IS_GIVEN ? is_frame : q->key_field < q->payload_bytes);
}

/* Of a request that may be: slots, keys, payloads at their stride, and whole pages. */
static bool is_too_large(const struct shmb_request *q)
{
	uint64_t slots = q->kind == SHMB_KIND_FRAME ? 1 + (uint64_t)q->history + q->pins : q->capacity, stride = 64;

	while (stride < q->payload_bytes)
		stride *= 2;
	return (unsigned __int128)slots * (stride > 64 ? 64 + stride : 64) + slots * (q->key_type != 0 ? 8 : 0) + 8192 > SHMB_DATA_MAX;
}

static struct shmb_shm_card card_of(const struct shmb_geometry *g)
{
	return (struct shmb_shm_card){
		.magic = SHMB_CARD_MAGIC,
		.version = SHMB_LAYOUT_VERSION,
		.oldest_reader = SHMB_LAYOUT_OLDEST,
		.card_bytes = 2 * SHMB_PAGE,
		.schema_offset = SHMB_PAGE,
		.schema_length = 16,
		.kind = (uint8_t)g->kind,
		.backing = SHMB_BACKING_NAMED,
		.key_type = g->key_type,
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
		.pins = g->pins,
		.name = "n",
		.type = "t",
	};
}

static void try_request(const struct shmb_request *q, uint32_t areas)
{
	struct shmb_geometry plan, again;
	struct shmb_shm_card card;
	const char *why = NULL;
	int r = shmb_geometry_plan(q, areas, &plan, &why);

	tried++;
	if ((r == 0) != (request_may_be(q, areas) && !is_too_large(q)) || (r == 0) != (why == NULL))
		ck_abort_msg("kind %d flags %u capacity %u align %u payload %lu history %u pins %u key %d field %u areas %u: %d (%s)",
			     (int)q->kind, q->flags, q->capacity, q->payload_align, (unsigned long)q->payload_bytes, q->history, q->pins,
			     (int)q->key_type, q->key_field, areas, r, why != NULL ? why : "");
	if (r < 0)
		return;
	accepted++;
	places_check(&plan);
	card = card_of(&plan);
	if (shmb_card_check(&card, 2 * SHMB_PAGE, plan.data_bytes, &again, &why) < 0)
		ck_abort_msg("the validator refuses a plan: %s", why);
	FUZZ_HOLDS(again.slot_offset == plan.slot_offset && again.pool_offset == plan.pool_offset && again.key_offset == plan.key_offset &&
		   again.entry_offset == plan.entry_offset && again.data_bytes == plan.data_bytes && again.pins == plan.pins);
}

/* All of what is asked of payloads and keys, for one number of slots. */
static void try_payloads(struct shmb_request *q)
{
	static const uint32_t aligns[] = { 0, 1, 2, 3, 8, 16, 32, 63, 64, 128 };
	static uint64_t payloads[256];
	static unsigned payload_count;

	if (payload_count == 0)
		payload_count = turns_fill(payloads, UINT64_MAX);
	for (unsigned p = 0; p < payload_count; p++) {
		uint32_t last = (uint32_t)payloads[p] - 1;
		const uint32_t fields[] = { SHMB_KEY_IS_STAMP, SHMB_KEY_IS_GIVEN, 0, last, last + 1 };

		q->payload_bytes = payloads[p];
		for (unsigned n = 0; n < COUNT(aligns) * COUNT(fields) * 3 * 5; n++) {
			q->payload_align = aligns[n % COUNT(aligns)];
			q->key_field = fields[n / COUNT(aligns) % COUNT(fields)];
			q->flags = n / COUNT(aligns) / COUNT(fields) % 3;
			q->key_type = (enum shmb_key_type)(n / COUNT(aligns) / COUNT(fields) / 3);
			try_request(q, 3);
		}
	}
}

START_TEST(plans)
{
	static const uint32_t histories[] = { 0, 1, 2, 3, 4, 7, 8, 1023, 1024, 4095, 4096, 4097, INT32_MAX, UINT32_MAX };
	static const uint32_t pins[] = { 0, 1, 2, 1023, 1024, 1025, UINT32_MAX };
	uint64_t capacities[256];
	unsigned count = turns_fill(capacities, UINT32_MAX);

	for (unsigned kind = 0; kind <= 6; kind++) {
		for (unsigned i = 0; i < count; i++)
			try_payloads(&(struct shmb_request){ .kind = (enum shmb_kind)kind, .capacity = (uint32_t)capacities[i] });
		for (unsigned i = 0; i < COUNT(histories) * COUNT(pins); i++) {
			/* Only of frames anything may be; of the others one capacity, which would do without. */
			struct shmb_request q = { .kind = (enum shmb_kind)kind,
						  .capacity = kind == SHMB_KIND_FRAME || kind == SHMB_KIND_BLOCK ? 0 : 4,
						  .history = histories[i / COUNT(pins)],
						  .pins = pins[i % COUNT(pins)] };

			try_payloads(&q);
		}
		for (unsigned areas = 0; areas <= 64; areas++)
			try_request(&(struct shmb_request){ .kind = (enum shmb_kind)kind,
							    .capacity = kind == SHMB_KIND_FRAME || kind == SHMB_KIND_BLOCK ? 0 : 4,
							    .history = kind == SHMB_KIND_FRAME,
							    .payload_bytes = 8,
							    .payload_align = 8,
							    .key_field = SHMB_KEY_IS_STAMP },
				    areas);
	}
	count_print("plans");
}
END_TEST

/* ---- cards ---- */

/* A small and the largest of each kind. */
static unsigned good_cards(struct shmb_shm_card *out)
{
	unsigned count = 0;

	for (unsigned kind = SHMB_KIND_VALUE; kind <= SHMB_KIND_BLOCK; kind++) {
		bool has_keys = kind == SHMB_KIND_RING || kind == SHMB_KIND_FRAME;

		for (unsigned i = 0; i < (has_keys ? 4 : 2); i++) {
			bool is_large = i & 1, keyed = i & 2;
			struct shmb_request q = { .kind = (enum shmb_kind)kind,
						  .flags = keyed,
						  .payload_bytes = is_large ? SHMB_PAYLOAD_MAX >> 6 : 40,
						  .payload_align = is_large ? 64 : 8,
						  .key_type = keyed ? SHMB_KEY_MONOTONIC_NS : SHMB_KEY_NONE,
						  .key_field = SHMB_KEY_IS_STAMP };
			struct shmb_geometry plan;

			if (kind == SHMB_KIND_FRAME)
				q.history = is_large ? 4096 : 1;
			else if (kind != SHMB_KIND_BLOCK)
				q.capacity = kind == SHMB_KIND_VALUE ? 4 : is_large ? 1 << 20 : 2;
			ck_assert_int_eq(shmb_geometry_plan(&q, 3, &plan, NULL), 0);
			out[count++] = card_of(&plan);
		}
	}
	return count;
}

static void try_card(const struct shmb_shm_card *card)
{
	struct shmb_geometry geometry;
	const char *why = NULL;
	int r = shmb_card_check(card, card->card_bytes, card->data_bytes, &geometry, &why);

	tried++;
	FUZZ_HOLDS((r == 0) == (why == NULL));
	if (r < 0)
		return;
	accepted++;
	places_check(&geometry);
}

struct field {
	size_t offset;
	size_t size;
};

static const struct field fields[] = {
#define F(name)                                                                                                                            \
	{                                                                                                                                  \
		offsetof(struct shmb_shm_card, name), sizeof(((struct shmb_shm_card *)0)->name)                                            \
	}
	F(slot_offset), F(slot_count), F(slot_shift),  F(entry_offset),	 F(entry_count),   F(entry_shift), F(key_offset),
	F(entry_count), F(key_shift),  F(pool_offset), F(pool_count),	 F(pool_shift),	   F(data_bytes),  F(payload_bytes),
	F(flags),	F(history),    F(key_field),   F(area_count),	 F(payload_align), F(pins),	   F(kind),
	F(key_type),	F(generation), F(base),	       F(schema_length), F(schema_offset), F(card_bytes),
#undef F
};

enum { ARRAY_FIELDS = 12 };

/* What a field may become: the turns of its width, and its own value moved by the smallest steps that matter. */
static unsigned values_fill(const struct shmb_shm_card *card, const struct field *field, uint64_t *out)
{
	static const int steps[] = { -4096, -64, -8, 8, 64, 4096 };
	uint64_t most = UINT64_MAX >> (64 - 8 * field->size);
	unsigned count = turns_fill(out, most);
	uint64_t own = 0;

	memcpy(&own, (const char *)card + field->offset, field->size);
	for (unsigned i = 0; i < COUNT(steps); i++)
		out[count++] = (own + (uint64_t)(int64_t)steps[i]) & most;
	out[count++] = own;
	return count;
}

static void field_set(struct shmb_shm_card *card, const struct field *field, uint64_t value)
{
	memcpy((char *)card + field->offset, &value, field->size);
}

START_TEST(any_two_fields)
{
	struct shmb_shm_card cards[20];
	unsigned count = good_cards(cards);

	for (unsigned i = 0; i < count; i++) {
		for (unsigned a = 0; a < COUNT(fields); a++) {
			for (unsigned b = 0; b < a; b++) {
				uint64_t ones[256], twos[256];
				unsigned one_count = values_fill(&cards[i], &fields[a], ones),
					 two_count = values_fill(&cards[i], &fields[b], twos);
				struct shmb_shm_card card = cards[i];

				for (unsigned n = 0; n < one_count * two_count; n++) {
					field_set(&card, &fields[a], ones[n % one_count]);
					field_set(&card, &fields[b], twos[n / one_count]);
					try_card(&card);
				}
			}
		}
	}
	count_print("cards with any two fields changed");
}
END_TEST

/* The three of one array, and the size of the data part: where a sum would wrap. */
START_TEST(any_array)
{
	struct shmb_shm_card cards[20];
	unsigned count = good_cards(cards);

	for (unsigned i = 0; i < count; i++) {
		for (unsigned array = 0; array < ARRAY_FIELDS; array += 3) {
			const struct field *field = &fields[array];
			uint64_t offsets[256], counts[256];
			unsigned offset_count = values_fill(&cards[i], &field[0], offsets),
				 count_count = values_fill(&cards[i], &field[1], counts);
			struct shmb_shm_card card = cards[i];

			for (unsigned shift = 0; shift < 256; shift += shift < 72 ? 1 : 61) {
				field_set(&card, &field[2], shift);
				for (unsigned n = 0; n < offset_count * count_count; n++) {
					field_set(&card, &field[0], offsets[n % offset_count]);
					field_set(&card, &field[1], counts[n / offset_count]);
					if (array == 0 && card.kind != SHMB_KIND_BLOCK)
						card.pool_count = card.slot_count;
					try_card(&card);
				}
			}
		}
	}
	count_print("cards with any array changed");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("exhaustive_geometry");

	unit_add(suite, plans, 300);
	unit_add(suite, any_two_fields, 300);
	unit_add(suite, any_array, 300);
	return unit_run(suite);
}
