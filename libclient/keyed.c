/* SPDX-License-Identifier: MIT */
/* What options say of keys, and opening a writer with them (keyed.h). */
#include "keyed.h"

#include <errno.h>

#include "text.h"
#include "type.h"

/* `field` is the one in the payload, where it is one. */
static int key_plan(const struct key_wish *wish, const struct shmb_type *type, struct shmb_request *wanted, struct type_integer *field)
{
	int r;

	wanted->key_field = SHMB_KEY_IS_STAMP;
	if (wish->clock == SHMB_CLOCK_NONE && wish->field == NULL && !wish->given)
		return 0;
	if ((unsigned)wish->clock > SHMB_CLOCK_SEQUENCE || wish->clock == SHMB_CLOCK_NONE)
		return text_fail(-EINVAL, "options: a key has a clock: monotonic, realtime or sequence");
	if (wish->given && wish->field != NULL)
		return text_fail(-EINVAL, "options: a key is a field of the payload or given with each commit, not both");
	wanted->key_type = (enum shmb_key_type)wish->clock;
	if (wish->given) {
		wanted->key_field = SHMB_KEY_IS_GIVEN;
		return 0;
	}
	if (wish->field == NULL) {
		if (wish->clock != SHMB_CLOCK_MONOTONIC || (wanted->flags & SHMB_SEGMENT_STAMPED) == 0)
			return text_fail(-EINVAL, "options: a key without a field is the stamp: stamped, and of the monotonic clock");
		return 0;
	}
	if (type == NULL)
		return text_fail(-EINVAL, "a writer states its type");
	r = type_integer_field(type, wish->field, field);
	wanted->key_field = field->offset;
	return r;
}

/* Layout and keys of the segment that is there. -ENOENT none. */
static int layout_take(struct shmb *broker, const char *name, const struct shmb_type *type, struct shmb_request *wanted,
		       struct type_integer *field)
{
	const struct shmb_geometry *geometry;
	struct reader *observer;
	int r = reader_open(&observer, broker, wanted->kind, SHMB_ROLE_OBSERVER, name, NULL, SHMB_NO_WAIT);

	if (r < 0)
		return r;
	geometry = &observer->mappings.geometry;
	wanted->flags = geometry->flags;
	wanted->key_type = (enum shmb_key_type)geometry->key_type;
	wanted->key_field = geometry->key_field;
	if (wanted->kind == SHMB_KIND_FRAME) {
		wanted->history = geometry->history;
		wanted->pins = geometry->slot_count - 1 - geometry->history;
	} else {
		wanted->capacity = geometry->slot_count;
	}
	reader_close(observer);
	/* The field is the type's: of another type the segment is not to be had anyhow, unless it is made anew. */
	return wanted->key_field < SHMB_KEY_IS_GIVEN ? type_integer_at(type, wanted->key_field, field) : 0;
}

int keyed_writer_open(struct writer **out, struct shmb *broker, const char *name, const struct shmb_type *type, struct shmb_request *wanted,
		      const struct key_wish *wish, uint64_t deadline_ns)
{
	struct type_integer field = { 0 };
	struct writer *writer;
	int r;

	*out = NULL;
	if (wish->as_it_is && type != NULL)
		r = layout_take(broker, name, type, wanted, &field);
	else
		r = key_plan(wish, type, wanted, &field);
	if (r < 0)
		return r;
	r = writer_open(&writer, broker, name, type, wanted, deadline_ns);
	if (r < 0)
		return r;
	/* The payload is read at that place at each publish: it must be the one that was looked up. */
	if (writer->mappings.geometry.key_type != wanted->key_type || writer->mappings.geometry.key_field != wanted->key_field) {
		writer_close(writer);
		return text_fail(-EBADMSG, "segment %s: the broker made it with another key than was asked for", name);
	}
	writer->slots.key_bytes = field.bytes;
	writer->slots.key_is_signed = field.is_signed;
	*out = writer;
	return 0;
}
