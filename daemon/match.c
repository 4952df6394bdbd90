/* SPDX-License-Identifier: MIT */
/*
 * Comparing a request with what is there (match.h).
 *
 * One rule for all kinds: the request is planned once more, with the areas the segment has, and the two plans must be equal. Whatever a kind
 * makes of its numbers is so compared without a word about it here; only the sentence knows them.
 */
#include "match.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

const char *match_kind_name(unsigned kind)
{
	static const char *const names[] = { "nothing", "value", "ring", "frame", "queue", "block" };

	return kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "unknown";
}

struct shmb_request match_request(const struct shmb_msg_open_writer *open)
{
	return (struct shmb_request){
		.kind = (enum shmb_kind)open->kind,
		.flags = open->segment_flags,
		.capacity = open->capacity,
		.payload_align = open->payload_align,
		.payload_bytes = open->payload_bytes,
		.history = open->history,
		.pins = open->pins,
		.key_type = (enum shmb_key_type)open->key_type,
		.key_field = open->key_field,
	};
}

static const char *key_name(unsigned type)
{
	static const char *const names[] = { "no key", "a monotonic key", "a realtime key", "a sequence key" };

	return type < sizeof(names) / sizeof(names[0]) ? names[type] : "an unknown key";
}

/* The first thing that a person would see differ. False: none of those. */
static bool say_difference(const struct shmb_geometry *there, const struct shmb_geometry *asked, char text[SHMB_TEXT_MAX])
{
	if (there->kind != asked->kind)
		snprintf(text, SHMB_TEXT_MAX, "it is a %s, not a %s", match_kind_name(there->kind), match_kind_name(asked->kind));
	else if (there->payload_bytes != asked->payload_bytes)
		snprintf(text, SHMB_TEXT_MAX, "its payload has %" PRIu64 " bytes, not %" PRIu64, there->payload_bytes,
			 asked->payload_bytes);
	else if (there->payload_align != asked->payload_align)
		snprintf(text, SHMB_TEXT_MAX, "its payload is aligned to %u bytes, not %u", there->payload_align, asked->payload_align);
	else if (there->flags != asked->flags)
		snprintf(text, SHMB_TEXT_MAX, "it is %s stamps", (there->flags & SHMB_SEGMENT_STAMPED) != 0 ? "with" : "without");
	else if (there->history != asked->history)
		snprintf(text, SHMB_TEXT_MAX, "its history is %u, not %u", there->history, asked->history);
	else if (there->kind == SHMB_KIND_FRAME && there->slot_count != asked->slot_count)
		snprintf(text, SHMB_TEXT_MAX, "it has %u pins, not %u", there->slot_count - 1 - there->history,
			 asked->slot_count - 1 - asked->history);
	else if (there->slot_count != asked->slot_count)
		snprintf(text, SHMB_TEXT_MAX, "it has capacity %u, not %u", there->slot_count, asked->slot_count);
	else if (there->key_type != asked->key_type)
		snprintf(text, SHMB_TEXT_MAX, "it has %s, not %s", key_name(there->key_type), key_name(asked->key_type));
	else if (there->key_field != asked->key_field)
		snprintf(text, SHMB_TEXT_MAX, "its key is another field");
	else
		return false;
	return true;
}

static bool is_laid_out_alike(const struct shmb_geometry *a, const struct shmb_geometry *b)
{
	return a->data_bytes == b->data_bytes && a->slot_offset == b->slot_offset && a->pool_offset == b->pool_offset &&
	       a->key_offset == b->key_offset && a->entry_offset == b->entry_offset && a->pool_count == b->pool_count &&
	       a->entry_count == b->entry_count && a->slot_shift == b->slot_shift && a->pool_shift == b->pool_shift &&
	       a->key_shift == b->key_shift && a->entry_shift == b->entry_shift;
}

int match_geometry(const struct shmb_geometry *geometry, const struct shmb_request *request, char text[SHMB_TEXT_MAX])
{
	struct shmb_geometry plan;
	const char *why = "";
	int r = shmb_geometry_plan(request, geometry->area_count, &plan, &why);

	if (r < 0) {
		snprintf(text, SHMB_TEXT_MAX, "%s", why);
		return r;
	}
	if (say_difference(geometry, &plan, text))
		return -EEXIST;
	if (is_laid_out_alike(geometry, &plan))
		return 0;
	snprintf(text, SHMB_TEXT_MAX, "another version of this daemon laid it out differently");
	return -EEXIST;
}
