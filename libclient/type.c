/* SPDX-License-Identifier: MIT */
/*
 * Types at run time: made from text, checked against their schema, walked field by field.
 *
 * A type made here is one allocation: the struct, the name, the schema. Types declared with SHMB_TYPE are static and never freed; both are
 * only ever read.
 */
#include "type.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/copy.h"
#include "proto/schema.h"
#include "text.h"

static int name_check(const char *name)
{
	size_t length = name != NULL ? strnlen(name, SHMB_TYPE_NAME_MAX + 1) : 0;

	if (length == 0)
		return text_fail(-EINVAL, "the type has no name");
	if (length > SHMB_TYPE_NAME_MAX)
		return text_fail(-EINVAL, "the type's name is longer than %d bytes", SHMB_TYPE_NAME_MAX);
	for (size_t i = 0; i < length; i++) {
		if (name[i] < 0x20 || name[i] > 0x7e)
			return text_fail(-EINVAL, "the type's name is not printable ASCII");
	}
	return 0;
}

/* Parses, and says what is wrong with it. */
static int parse(const char *name, const char *text, size_t length, struct shmb_schema *out)
{
	const char *why = "";
	unsigned line = 0;
	int r = shmb_schema_parse(text, length, out, &line, &why);

	if (r == -ENOMEM)
		return text_fail(r, "no memory for the schema of type %s", name);
	if (r < 0)
		return text_fail(-EINVAL, "type %s, line %u of its schema: %s", name, line, why);
	return 0;
}

static int make(struct shmb_type **out, const char *name, const char *schema, size_t schema_length, const struct shmb_schema *parsed)
{
	size_t name_size = strlen(name) + 1;
	struct shmb_type *type = malloc(sizeof(*type) + name_size + schema_length + 1);
	char *text;

	if (type == NULL)
		return text_fail(-ENOMEM, "no memory for type %s", name);
	text = (char *)(type + 1);
	memcpy(text, name, name_size);
	memcpy(text + name_size, schema, schema_length);
	text[name_size + schema_length] = '\0';
	*type = (struct shmb_type){ .name = text, .schema = text + name_size, .size = parsed->size, .align = parsed->align };
	*out = type;
	return 0;
}

int shmb_type_parse(struct shmb_type **out, const char *name, const char *schema)
{
	struct shmb_schema parsed;
	size_t length;
	int r;

	*out = NULL;
	r = name_check(name);
	if (r < 0)
		return r;
	if (schema == NULL)
		return text_fail(-EINVAL, "type %s has no schema", name);
	length = strlen(schema);
	r = parse(name, schema, length, &parsed);
	if (r < 0)
		return r;
	r = make(out, name, schema, length, &parsed);
	shmb_schema_deinit(&parsed);
	return r;
}

int shmb_type_opaque(struct shmb_type **out, size_t bytes)
{
	char schema[64];

	*out = NULL;
	if (bytes == 0 || bytes > SHMB_PAYLOAD_MAX)
		return text_fail(-EINVAL, "%zu opaque bytes: a payload has 1 byte to 256 MiB", bytes);
	snprintf(schema, sizeof(schema), "uint8[%zu] data\n", bytes);
	return shmb_type_parse(out, "bytes", schema);
}

struct shmb_type *shmb_type_free(struct shmb_type *type)
{
	free(type);
	return NULL;
}

uint64_t shmb_type_hash(const struct shmb_type *type)
{
	return shmb_schema_hash(type->schema, strlen(type->schema));
}

int shmb_type_fields(const struct shmb_type *type, int (*visit)(const struct shmb_type_field *field, void *user), void *user)
{
	struct shmb_schema parsed;
	int r = parse(type->name, type->schema, strlen(type->schema), &parsed);

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < parsed.field_count && r == 0; i++) {
		const struct shmb_field *field = &parsed.fields[i];
		struct shmb_type_field public = {
			.name = field->name,
			.primitive = shmb_primitive_name(field->primitive),
			.offset = field->offset,
			.size = field->size,
			.count = field->count,
			.is_array = field->is_array,
		};

		r = visit(&public, user);
	}
	shmb_schema_deinit(&parsed);
	return r;
}

/* By name, or where that is NULL by what stands in out->offset. */
static int integer_find(const struct shmb_type *type, const char *name, struct type_integer *out)
{
	uint32_t offset = out->offset;
	struct shmb_schema parsed;
	int r = name_check(type->name);

	if (r < 0)
		return r;
	if (type->schema == NULL)
		return text_fail(-EINVAL, "type %s has no schema", type->name);
	r = parse(type->name, type->schema, strlen(type->schema), &parsed);
	if (r < 0)
		return r;
	r = text_fail(-EINVAL, "type %s has no field %.80s that could be a key: a scalar integer", type->name,
		      name != NULL ? name : "there");
	for (uint32_t i = 0; i < parsed.field_count; i++) {
		const struct shmb_field *field = &parsed.fields[i];
		bool is_signed = field->primitive == SHMB_INT8 || field->primitive == SHMB_INT16 || field->primitive == SHMB_INT32 ||
				 field->primitive == SHMB_INT64;
		bool is_unsigned = field->primitive == SHMB_UINT8 || field->primitive == SHMB_UINT16 || field->primitive == SHMB_UINT32 ||
				   field->primitive == SHMB_UINT64;

		bool is_it = name != NULL ? strcmp(field->name, name) == 0 : field->offset == offset;

		if (is_it && !field->is_array && (is_signed || is_unsigned)) {
			*out = (struct type_integer){ .offset = (uint32_t)field->offset,
						      .bytes = (uint8_t)field->size,
						      .is_signed = is_signed };
			r = 0;
		}
	}
	shmb_schema_deinit(&parsed);
	return r;
}

int type_integer_field(const struct shmb_type *type, const char *name, struct type_integer *out)
{
	return integer_find(type, name, out);
}

int type_integer_at(const struct shmb_type *type, uint32_t offset, struct type_integer *out)
{
	out->offset = offset;
	return integer_find(type, NULL, out);
}

int type_check(const struct shmb_type *type, uint64_t *hash)
{
	struct shmb_schema parsed;
	uint64_t size;
	uint32_t align;
	int r = name_check(type->name);

	if (r < 0)
		return r;
	if (type->schema == NULL)
		return text_fail(-EINVAL, "type %s has no schema", type->name);
	r = parse(type->name, type->schema, strlen(type->schema), &parsed);
	if (r < 0)
		return r;
	*hash = parsed.hash;
	size = parsed.size;
	align = parsed.align;
	shmb_schema_deinit(&parsed);
	if (type->size != size)
		return text_fail(-EINVAL, "type %s says it has %zu bytes, but its schema makes %llu", type->name, type->size,
				 (unsigned long long)size);
	if (type->align < align || type->align > SHMB_CACHE_LINE || (type->align & (type->align - 1)) != 0)
		return text_fail(-EINVAL, "type %s says it is aligned to %zu; possible are powers of two from %u to %d", type->name,
				 type->align, align, SHMB_CACHE_LINE);
	return 0;
}

int type_from_card(struct shmb_type **out, const struct shmb_shm_card *card, const char *schema, uint64_t payload_bytes)
{
	struct shmb_schema parsed;
	char *text = malloc(card->schema_length + 1);
	int r;

	if (text == NULL)
		return text_fail(-ENOMEM, "no memory for the schema of type %s", card->type);
	shmb_copy(text, schema, card->schema_length);
	r = shmb_schema_parse(text, card->schema_length, &parsed, NULL, NULL);
	if (r == 0) {
		if (parsed.size == payload_bytes && parsed.hash == card->schema_hash)
			r = make(out, card->type, text, card->schema_length, &parsed);
		else
			r = text_fail(-EBADMSG, "segment %s: its schema is not the one its card states", card->name);
		shmb_schema_deinit(&parsed);
	} else if (r != -ENOMEM) {
		r = text_fail(-EBADMSG, "segment %s: its schema cannot be read", card->name);
	}
	free(text);
	return r;
}
