/* SPDX-License-Identifier: MIT */
/*
 * Checks that a card and an event page are what they say.
 *
 * The bytes may be anything: a file somebody else put there, memory after a crash, a card of a later version. The order is: is it one at
 * all; may this version read it; then every number by itself, small ones first, so that each sum below is one of bounded terms:
 * offsets and data_bytes are at most 2^46, a count at most 2^20, a shift at most 28, hence no term passes 2^48 and no sum 2^50.
 * tests/validators compiles this file once more with words of 8 bits and small limits, where every combination can be tried.
 *
 * Reserved bytes are not looked at: they belong to later versions that this one may still read.
 */
#include "validate.h"
#include "name.h"

#include <errno.h>
#include <string.h>

_Static_assert(SHMB_CAPACITY_MAX <= ((uint64_t)-1 - SHMB_DATA_MAX) >> SHMB_PAYLOAD_SHIFT_MAX, "no sum wraps");

static int fail(int error, const char **why, const char *text)
{
	if (why != NULL)
		*why = text;
	return error;
}

static int is_power_of_two(uint64_t value)
{
	return value != 0 && (value & (value - 1)) == 0;
}

/* An array of the data part: `count` items at a stride of 2^shift. Checked before it is believed by array_end(). */
struct array {
	uint64_t offset;
	uint32_t count;
	uint8_t shift;
};

static uint64_t array_end(const struct array *array)
{
	return array->offset + ((uint64_t)array->count << array->shift);
}

/* Behind the head, inside the data part, and with a stride and count that keep the sum from wrapping. */
static int array_fits(const struct array *array, uint64_t data_bytes)
{
	return array->shift >= SHMB_KEY_SHIFT && array->shift <= SHMB_PAYLOAD_SHIFT_MAX && array->count <= SHMB_CAPACITY_MAX &&
	       array->offset >= sizeof(struct shmb_shm_data) && array->offset <= data_bytes && array_end(array) <= data_bytes;
}

/* Printable ASCII, at least one byte, then only NULs. */
static int text_is_valid(const char *field, size_t size)
{
	size_t length = strnlen(field, size);

	if (length == 0 || length == size)
		return 0;
	for (size_t i = 0; i < length; i++) {
		if (field[i] < 0x20 || field[i] > 0x7e)
			return 0;
	}
	for (size_t i = length; i < size; i++) {
		if (field[i] != '\0')
			return 0;
	}
	return 1;
}

/* Card and event page begin alike. */
static int version_check(uint16_t version, uint16_t oldest_reader, const char **why)
{
	if (version == 0 || oldest_reader == 0 || oldest_reader > version)
		return fail(-EBADMSG, why, "the layout versions contradict each other");
	if (version < SHMB_LAYOUT_OLDEST)
		return fail(-EPROTONOSUPPORT, why, "the layout is older than this version can read");
	if (oldest_reader > SHMB_LAYOUT_VERSION)
		return fail(-EPROTONOSUPPORT, why, "the layout is newer than this version can read");
	return 0;
}

static int identity_check(const struct shmb_shm_card *card, uint64_t card_size, const char **why)
{
	uint64_t whole = (uint64_t)SHMB_PAGE + card->schema_length;

	if (card->kind == SHMB_KIND_NONE || card->kind > SHMB_KIND_BLOCK)
		return fail(-EOPNOTSUPP, why, "this version does not know that kind of segment");
	if (card->backing != SHMB_BACKING_NAMED && card->backing != SHMB_BACKING_SEALED)
		return fail(-EOPNOTSUPP, why, "this version does not know the segment's backing");
	if ((card->flags & ~(uint32_t)SHMB_SEGMENT_FLAGS_KNOWN) != 0)
		return fail(-EOPNOTSUPP, why, "this version does not know all of the segment's flags");
	if (card->schema_length == 0 || card->schema_length > SHMB_SCHEMA_MAX)
		return fail(-EBADMSG, why, "the schema's length cannot be");
	if (card->schema_offset != SHMB_PAGE)
		return fail(-EBADMSG, why, "the schema does not follow the card's page");
	if (card->card_bytes != ((whole + SHMB_PAGE - 1) & ~(uint64_t)(SHMB_PAGE - 1)))
		return fail(-EBADMSG, why, "the card's size does not fit its schema");
	if (card->card_bytes != card_size)
		return fail(-EBADMSG, why, "the card's file has another size than the card says");
	if (card->generation == 0)
		return fail(-EBADMSG, why, "the generation is 0");
	if (card->base > SHMB_NUMBER_MAX)
		return fail(-EBADMSG, why, "the first number is out of range");
	if (shmb_name_check_field(card->name, sizeof(card->name), why) < 0)
		return -EBADMSG;
	if (!text_is_valid(card->type, sizeof(card->type)))
		return fail(-EBADMSG, why, "the type's name is not valid");
	return 0;
}

static int arrays_overlap(const struct array *a, const struct array *b)
{
	return a->count != 0 && b->count != 0 && a->offset < array_end(b) && b->offset < array_end(a);
}

/* What a kind has not got must not be there: a later version may give it a meaning that this one would miss. */
static int array_is_absent(const struct array *array)
{
	return array->offset == 0 && array->count == 0 && array->shift == 0;
}

static int slots_check(const struct shmb_shm_card *card, const struct array *slots, const char **why)
{
	if (card->kind == SHMB_KIND_BLOCK)
		return array_is_absent(slots) ? 0 : fail(-EBADMSG, why, "a block has slots");
	if (card->kind == SHMB_KIND_FRAME) {
		if (card->history == 0 || card->slot_count > SHMB_CAPACITY_MAX || card->slot_count <= card->history)
			return fail(-EBADMSG, why, "the number of slots cannot be");
	} else if (!is_power_of_two(card->slot_count) || card->slot_count < SHMB_CAPACITY_MIN || card->slot_count > SHMB_CAPACITY_MAX) {
		return fail(-EBADMSG, why, "the number of slots cannot be");
	}
	if (card->kind == SHMB_KIND_VALUE && card->slot_count != 4 && card->slot_count != 8)
		return fail(-EBADMSG, why, "a value has 4 or 8 slots");
	if (card->slot_offset % SHMB_CACHE_LINE != 0 || slots->shift < SHMB_LINE_SHIFT || !array_fits(slots, card->data_bytes))
		return fail(-EBADMSG, why, "the slots do not lie in the data part");
	return 0;
}

static int entries_check(const struct shmb_shm_card *card, const struct array *entries, const char **why)
{
	if (card->kind != SHMB_KIND_FRAME)
		return array_is_absent(entries) && card->history == 0 ? 0 : fail(-EBADMSG, why, "only a frame has entries and a history");
	/* Twice the history: an entry is not written again while a reader still has to look at it. */
	if (!is_power_of_two(card->entry_count) || card->entry_count > SHMB_CAPACITY_MAX || card->entry_count / 2 <= card->history)
		return fail(-EBADMSG, why, "the number of entries cannot be");
	if (card->entry_offset % SHMB_CACHE_LINE != 0 || entries->shift < SHMB_LINE_SHIFT || !array_fits(entries, card->data_bytes))
		return fail(-EBADMSG, why, "the entries do not lie in the data part");
	return 0;
}

static int key_field_can_be(const struct shmb_shm_card *card)
{
	switch (card->key_field) {
	case SHMB_KEY_IS_STAMP:
		return card->key_type == SHMB_KEY_MONOTONIC_NS && (card->flags & SHMB_SEGMENT_STAMPED) != 0;
	case SHMB_KEY_IS_GIVEN:
		return card->kind == SHMB_KIND_FRAME;
	default:
		return card->key_field < card->payload_bytes;
	}
}

static int keys_check(const struct shmb_shm_card *card, const struct array *keys, const char **why)
{
	if (card->key_type == SHMB_KEY_NONE)
		return card->key_offset == 0 && card->key_shift == 0 && card->key_field == SHMB_KEY_IS_STAMP
			       ? 0
			       : fail(-EBADMSG, why, "there are keys without a type");
	if (card->key_type > SHMB_KEY_SEQUENCE)
		return fail(-EOPNOTSUPP, why, "this version does not know the type of the segment's keys");
	if (card->kind != SHMB_KIND_RING && card->kind != SHMB_KIND_FRAME)
		return fail(-EBADMSG, why, "only rings and frames have keys");
	if (!key_field_can_be(card))
		return fail(-EBADMSG, why, "the key's field cannot be");
	if (card->key_offset % SHMB_CACHE_LINE != 0 || keys->shift != SHMB_KEY_SHIFT || !array_fits(keys, card->data_bytes))
		return fail(-EBADMSG, why, "the keys do not lie in the data part");
	return 0;
}

/* *inline_form: each payload lies behind the id of its slot, and the pool is no array of its own. */
static int pool_check(const struct shmb_shm_card *card, const struct array *pool, int *inline_form, const char **why)
{
	uint64_t slot_head = card->flags & SHMB_SEGMENT_STAMPED ? sizeof(struct shmb_shm_slot) : offsetof(struct shmb_shm_slot, stamp_ns);
	int may_be_inline = card->kind != SHMB_KIND_FRAME && card->kind != SHMB_KIND_BLOCK;

	if (card->pool_count != (card->kind == SHMB_KIND_BLOCK ? 1 : card->slot_count))
		return fail(-EBADMSG, why, "there is not one payload for each slot");
	if (card->pool_offset % card->payload_align != 0)
		return fail(-EBADMSG, why, "the payloads are not aligned");
	*inline_form = may_be_inline && card->pool_offset == card->slot_offset + slot_head;
	if (*inline_form) {
		if (card->pool_shift != card->slot_shift)
			return fail(-EBADMSG, why, "slots and the payloads inside them have different strides");
		if (card->payload_bytes > (UINT64_C(1) << card->slot_shift) - slot_head)
			return fail(-EBADMSG, why, "the payload is larger than its slot");
		return 0;
	}
	if (card->pool_offset % SHMB_CACHE_LINE != 0 || pool->shift < SHMB_LINE_SHIFT || !array_fits(pool, card->data_bytes))
		return fail(-EBADMSG, why, "the payloads do not lie in the data part");
	if (card->payload_bytes > UINT64_C(1) << card->pool_shift)
		return fail(-EBADMSG, why, "the payload is larger than its place");
	return 0;
}

static int arrays_check(const struct shmb_shm_card *card, const char **why)
{
	uint32_t key_count = card->key_type == SHMB_KEY_NONE ? 0 : card->kind == SHMB_KIND_FRAME ? card->entry_count : card->slot_count;
	struct array slots = { card->slot_offset, card->slot_count, card->slot_shift };
	struct array keys = { card->key_offset, key_count, card->key_shift };
	struct array entries = { card->entry_offset, card->entry_count, card->entry_shift };
	struct array pool = { card->pool_offset, card->pool_count, card->pool_shift };
	int inline_form = 0;
	int r = slots_check(card, &slots, why);

	if (r == 0)
		r = entries_check(card, &entries, why);
	if (r == 0)
		r = keys_check(card, &keys, why);
	if (r == 0)
		r = pool_check(card, &pool, &inline_form, why);
	if (r < 0)
		return r;
	if (arrays_overlap(&slots, &keys) || arrays_overlap(&slots, &entries) || arrays_overlap(&keys, &entries))
		return fail(-EBADMSG, why, "slots, keys and entries overlap");
	if (!inline_form && (arrays_overlap(&pool, &slots) || arrays_overlap(&pool, &keys) || arrays_overlap(&pool, &entries)))
		return fail(-EBADMSG, why, "the payloads overlap slots, keys or entries");
	return 0;
}

static int geometry_check(const struct shmb_shm_card *card, uint64_t data_size, const char **why)
{
	if (card->data_bytes != data_size)
		return fail(-EBADMSG, why, "the data part's file has another size than the card says");
	if (card->data_bytes == 0 || card->data_bytes % SHMB_PAGE != 0 || card->data_bytes > SHMB_DATA_MAX)
		return fail(-EBADMSG, why, "the data part's size cannot be");
	if (card->payload_bytes == 0 || card->payload_bytes > SHMB_PAYLOAD_MAX)
		return fail(-EBADMSG, why, "the payload's size cannot be");
	if (!is_power_of_two(card->payload_align) || card->payload_align > SHMB_CACHE_LINE)
		return fail(-EBADMSG, why, "the payload's alignment cannot be");
	if (card->area_count > SHMB_AREAS_MAX)
		return fail(-EBADMSG, why, "there are too many reader areas");
	if (card->pins > (card->kind == SHMB_KIND_FRAME ? SHMB_PINS_PER_CELL : 0))
		return fail(-EBADMSG, why, "the number of a reader's pins cannot be");
	return arrays_check(card, why);
}

int shmb_card_check(const struct shmb_shm_card *card, uint64_t card_size, uint64_t data_size, struct shmb_geometry *out, const char **why)
{
	uint32_t magic = atomic_load_explicit(&card->magic, memory_order_relaxed); /* a private copy: nothing to order */
	int r;

	if (card_size < sizeof(*card))
		return fail(-EBADMSG, why, "the file is smaller than a card");
	if (magic == 0)
		return fail(-ENODATA, why, "the card was never completed");
	if (magic != SHMB_CARD_MAGIC)
		return fail(-EBADMSG, why, "this is no card");
	r = version_check(card->version, card->oldest_reader, why);
	if (r == 0)
		r = identity_check(card, card_size, why);
	if (r == 0)
		r = geometry_check(card, data_size, why);
	if (r < 0)
		return r;
	*out = (struct shmb_geometry){
		.kind = (enum shmb_kind)card->kind,
		.flags = card->flags,
		.data_bytes = card->data_bytes,
		.payload_bytes = card->payload_bytes,
		.slot_offset = card->slot_offset,
		.pool_offset = card->pool_offset,
		.key_offset = card->key_offset,
		.entry_offset = card->entry_offset,
		.slot_count = card->slot_count,
		.pool_count = card->pool_count,
		.entry_count = card->entry_count,
		.history = card->history,
		.pins = card->pins == 0 && card->kind == SHMB_KIND_FRAME ? SHMB_PINS_PER_CELL : card->pins,
		.area_count = card->area_count,
		.payload_align = card->payload_align,
		.slot_shift = card->slot_shift,
		.pool_shift = card->pool_shift,
		.key_shift = card->key_shift,
		.entry_shift = card->entry_shift,
		.key_type = card->key_type,
		.key_field = card->key_field,
		.base = card->base,
		.generation = card->generation,
	};
	return 0;
}

int shmb_event_check(const struct shmb_shm_event *event, uint64_t size, const char **why)
{
	static const uint8_t zero[SHMB_COOKIE_BYTES];
	uint32_t magic = atomic_load_explicit(&event->magic, memory_order_relaxed);
	int r;

	if (size != sizeof(*event))
		return fail(-EBADMSG, why, "the file is not the size of an event page");
	if (magic == 0)
		return fail(-ENODATA, why, "the event page was never completed");
	if (magic != SHMB_EVENT_MAGIC)
		return fail(-EBADMSG, why, "this is no event page");
	r = version_check(event->version, event->oldest_reader, why);
	if (r < 0)
		return r;
	if (event->pid < 0)
		return fail(-EBADMSG, why, "the event page's process cannot be"); /* 0: one the broker cannot see */
	if (memcmp(event->cookie, zero, sizeof(zero)) == 0)
		return fail(-EBADMSG, why, "the event page has no cookie");
	return 0;
}
