/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_CARD_OPINION_H
#define SHMB_TESTS_CARD_OPINION_H

/*
 * A second opinion of small cards (small_layout.h, which is included before), that knows nothing of how the validator works: the data part has at most 128
 * bytes, so an array is a set of bits, and "inside" and "off one another" are seen on the sets.
 */

#include <stdbool.h>

typedef unsigned __int128 set; /* bit i: byte i of the data part, or of what would lie behind it */

enum { HEAD = 2 * SHMB_CACHE_LINE };

static inline bool one_of_powers(int value, int most)
{
	for (int power = 1; power <= most; power *= 2) {
		if (value == power)
			return true;
	}
	return false;
}

/* Below 128. */
static inline set bytes_at(int first, int count)
{
	return (((set)1 << count) - 1) << first;
}

/* The bytes of an array; none, and *ok false, when it does not lie between the head and the end, on its grid, with a stride that may be. */
static inline set array_set(bool *ok, int offset, int count, int shift, int grid, int data)
{
	int bytes;

	if (count == 0 || count > 8 || shift < 1 || shift > 3 || offset % grid != 0) {
		*ok = false;
		return 0;
	}
	bytes = count * (1 << shift);
	if (offset < HEAD || offset + bytes > data) {
		*ok = false;
		return 0;
	}
	return bytes_at(offset, bytes);
}

static inline bool is_absent(int offset, int count, int shift)
{
	return offset == 0 && count == 0 && shift == 0;
}

static inline int head_bytes(const struct shmb_shm_card *c)
{
	return c->flags == 1 ? 4 : 2;
}

static inline bool is_inline(const struct shmb_shm_card *c)
{
	return (c->kind == SHMB_KIND_VALUE || c->kind == SHMB_KIND_RING || c->kind == SHMB_KIND_QUEUE) &&
	       c->pool_offset == c->slot_offset + head_bytes(c);
}

static inline bool counts_may_be(const struct shmb_shm_card *c)
{
	switch (c->kind) {
	case SHMB_KIND_VALUE:
		return (c->slot_count == 4 || c->slot_count == 8) && c->history == 0;
	case SHMB_KIND_RING:
	case SHMB_KIND_QUEUE:
		return (c->slot_count == 2 || c->slot_count == 4 || c->slot_count == 8) && c->history == 0;
	case SHMB_KIND_FRAME:
		return c->history > 0 && c->slot_count > c->history && c->slot_count <= 8 && one_of_powers(c->entry_count, 8) &&
		       c->entry_count >= 2 * (c->history + 1);
	default:
		return c->slot_count == 0 && c->history == 0;
	}
}

static inline bool key_may_be(const struct shmb_shm_card *c)
{
	if (c->key_type == SHMB_KEY_NONE)
		return c->key_field == 255 && is_absent(c->key_offset, 0, c->key_shift);
	if (c->key_type > 3 || c->key_shift != 1 || (c->kind != SHMB_KIND_RING && c->kind != SHMB_KIND_FRAME))
		return false;
	if (c->key_field == 255)
		return c->key_type == SHMB_KEY_MONOTONIC_NS && c->flags == 1;
	if (c->key_field == 254)
		return c->kind == SHMB_KIND_FRAME;
	return c->key_field < c->payload_bytes;
}

static inline bool geometry_may_be(const struct shmb_shm_card *c, int data)
{
	bool is_block = c->kind == SHMB_KIND_BLOCK, is_frame = c->kind == SHMB_KIND_FRAME, ok = true;
	set slots = 0, entries = 0, keys = 0, pool = 0;

	if (c->data_bytes != data || (data != 64 && data != 128))
		return false;
	if (c->payload_bytes == 0 || c->payload_bytes > 8 || !one_of_powers(c->payload_align, 4) || c->pool_offset % c->payload_align != 0)
		return false;
	if (c->area_count > 2 || c->pins > (is_frame ? 2 : 0) || !counts_may_be(c) || !key_may_be(c))
		return false;
	if (c->pool_count != (is_block ? 1 : c->slot_count))
		return false;
	if (is_block)
		ok = is_absent(c->slot_offset, c->slot_count, c->slot_shift);
	else
		slots = array_set(&ok, c->slot_offset, c->slot_count, c->slot_shift, 4, data);
	if (is_frame)
		entries = array_set(&ok, c->entry_offset, c->entry_count, c->entry_shift, 4, data);
	else
		ok = ok && is_absent(c->entry_offset, c->entry_count, c->entry_shift);
	if (c->key_type != SHMB_KEY_NONE)
		keys = array_set(&ok, c->key_offset, is_frame ? c->entry_count : c->slot_count, 1, 4, data);
	if (!ok || (!is_block && c->slot_shift < 2) || (is_frame && c->entry_shift < 2))
		return false;
	if (is_inline(c)) {
		if (c->pool_shift != c->slot_shift || head_bytes(c) + c->payload_bytes > 1 << c->slot_shift)
			return false;
	} else {
		pool = array_set(&ok, c->pool_offset, c->pool_count, c->pool_shift, 4, data);
		if (!ok || c->pool_shift < 2 || c->payload_bytes > 1 << c->pool_shift)
			return false;
	}
	return ((slots & (entries | keys | pool)) | (entries & (keys | pool)) | (keys & pool)) == 0;
}

static inline bool text_may_be(const char *field, int size)
{
	bool ended = false;

	for (int i = 0; i < size; i++) {
		if (field[i] == '\0')
			ended = true;
		else if (ended || field[i] < ' ' || field[i] > '~')
			return false;
	}
	return ended && field[0] != '\0';
}

static inline bool versions_may_be(int version, int oldest)
{
	return oldest >= 1 && oldest <= version && version >= SHMB_LAYOUT_OLDEST && oldest <= SHMB_LAYOUT_VERSION;
}

static inline bool identity_may_be(const struct shmb_shm_card *c, int size)
{
	int pages = c->schema_length > 64 ? 2 : 1;

	return c->magic == SHMB_CARD_MAGIC && versions_may_be(c->version, c->oldest_reader) && c->kind >= 1 && c->kind <= 5 &&
	       (c->backing == 1 || c->backing == 2) && c->flags <= 1 && c->schema_length >= 1 && c->schema_length <= 128 &&
	       c->schema_offset == 64 && c->card_bytes == 64 + pages * 64 && c->card_bytes == size && c->generation > 0 && c->base <= 64 &&
	       text_may_be(c->type, sizeof(c->type));
}

/* Every byte that a reader or writer of such a segment touches, painted once. */
static inline bool paint(set *painted, int first, int count, int data)
{
	set bytes;

	if (first < HEAD || first + count > data)
		return false;
	bytes = bytes_at(first, count);
	if ((*painted & bytes) != 0)
		return false;
	*painted |= bytes;
	return true;
}

static inline bool touches_are_apart(const struct shmb_geometry *g, int data)
{
	set painted = 0;
	bool ok = true;
	int keys = g->key_type == 0 ? 0 : g->kind == SHMB_KIND_FRAME ? g->entry_count : g->slot_count;

	for (int i = 0; i < g->slot_count; i++)
		ok = ok && paint(&painted, g->slot_offset + (i << g->slot_shift), g->flags ? 4 : 2, data);
	for (int i = 0; i < g->pool_count; i++)
		ok = ok && paint(&painted, g->pool_offset + (i << g->pool_shift), g->payload_bytes, data);
	for (int i = 0; i < g->entry_count; i++)
		ok = ok && paint(&painted, g->entry_offset + (i << g->entry_shift), 4, data);
	for (int i = 0; i < keys; i++)
		ok = ok && paint(&painted, g->key_offset + (i << g->key_shift), 2, data);
	return ok;
}

#endif
