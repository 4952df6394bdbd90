/* SPDX-License-Identifier: MIT */
/*
 * From schema to text. Each primitive is copied out of the payload (which need not be aligned for it) and printed by its own rule.
 * JSON is printed here and not through jansson because that has no unsigned 64-bit integers, and a checksum or a counter must arrive
 * unchanged. Field names consist of [a-z0-9_] (the schema's parser saw to it), so they need no escaping.
 */

#include "payload.h"

#include "output.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAYLOAD_ELEMENTS_SHOWN = 16, PAYLOAD_NUMBER_SIZE = 40 };

enum payload_class {
	PAYLOAD_BOOL,
	PAYLOAD_CHAR,
	PAYLOAD_UNSIGNED,
	PAYLOAD_SIGNED,
	PAYLOAD_FLOAT,
};

struct payload_field {
	char *name;
	enum payload_class class;
	size_t offset;
	size_t size;
	size_t count;
	bool is_array;
};

struct payload {
	struct payload_field *fields;
	size_t field_count;
	size_t field_space;
	int name_width;
};

static enum payload_class payload_classify(const char *primitive)
{
	if (strcmp(primitive, "bool") == 0)
		return PAYLOAD_BOOL;
	if (strcmp(primitive, "char") == 0)
		return PAYLOAD_CHAR;
	if (strncmp(primitive, "float", 5) == 0)
		return PAYLOAD_FLOAT;
	if (strncmp(primitive, "int", 3) == 0)
		return PAYLOAD_SIGNED;
	return PAYLOAD_UNSIGNED;
}

static int payload_add(const struct shmb_type_field *field, void *user)
{
	struct payload *payload = user;
	char *name;
	int width = (int)strlen(field->name);

	if (payload->field_count == payload->field_space) {
		size_t space = payload->field_space ? 2 * payload->field_space : 16;
		struct payload_field *fields = realloc(payload->fields, space * sizeof(*fields));

		if (!fields)
			return -ENOMEM;
		payload->fields = fields;
		payload->field_space = space;
	}
	name = strdup(field->name);
	if (!name)
		return -ENOMEM;
	if (width > payload->name_width)
		payload->name_width = width;
	payload->fields[payload->field_count++] = (struct payload_field){
		.name = name,
		.class = payload_classify(field->primitive),
		.offset = field->offset,
		.size = field->size,
		.count = field->count,
		.is_array = field->is_array != 0,
	};
	return 0;
}

int payload_new(struct payload **out, const struct shmb_type *type)
{
	struct payload *payload = calloc(1, sizeof(*payload));
	int r;

	if (!payload)
		return -ENOMEM;
	r = shmb_type_fields(type, payload_add, payload);
	if (r < 0) {
		payload_free(payload);
		return r;
	}
	*out = payload;
	return 0;
}

struct payload *payload_free(struct payload *payload)
{
	if (!payload)
		return NULL;
	for (size_t i = 0; i < payload->field_count; i++)
		free(payload->fields[i].name);
	free(payload->fields);
	free(payload);
	return NULL;
}

static uint64_t payload_unsigned(const void *at, size_t size)
{
	uint8_t u8;
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;

	switch (size) {
	case 1:
		memcpy(&u8, at, 1);
		return u8;
	case 2:
		memcpy(&u16, at, 2);
		return u16;
	case 4:
		memcpy(&u32, at, 4);
		return u32;
	default:
		memcpy(&u64, at, 8);
		return u64;
	}
}

static int64_t payload_signed(const void *at, size_t size)
{
	uint64_t bits = payload_unsigned(at, size);
	unsigned unused = 64 - 8 * (unsigned)size;

	return (int64_t)(bits << unused) >> unused;
}

/* The shortest text that reads back as the same number of that size. */
static void payload_float(char *out, const void *at, size_t size)
{
	double value;
	float narrow = 0;

	if (size == 4) {
		memcpy(&narrow, at, 4);
		value = (double)narrow;
	} else {
		memcpy(&value, at, 8);
	}
	for (int digits = size == 4 ? 6 : 15; digits <= (size == 4 ? 9 : 17); digits++) {
		snprintf(out, PAYLOAD_NUMBER_SIZE, "%.*g", digits, value);
		if (size == 4 ? strtof(out, NULL) == narrow : strtod(out, NULL) == value)
			break;
	}
}

static bool payload_is_finite(const char *number)
{
	return isfinite(strtod(number, NULL));
}

static void payload_print_one(const struct payload_field *field, const void *at, bool json)
{
	char number[PAYLOAD_NUMBER_SIZE];

	switch (field->class) {
	case PAYLOAD_BOOL:
		fputs(payload_unsigned(at, field->size) ? "true" : "false", stdout);
		break;
	case PAYLOAD_CHAR:
	case PAYLOAD_UNSIGNED:
		printf("%" PRIu64, payload_unsigned(at, field->size));
		break;
	case PAYLOAD_SIGNED:
		printf("%" PRId64, payload_signed(at, field->size));
		break;
	case PAYLOAD_FLOAT:
		payload_float(number, at, field->size);
		fputs(json && !payload_is_finite(number) ? "null" : number, stdout);
		break;
	}
}

/* An array of char is text as far as it is printable, and ends at its first NUL. */
static void payload_print_chars(const struct payload_field *field, const char *at)
{
	char *text = strndup(at, field->count);

	putchar('"');
	output_text(text ? text : "");
	putchar('"');
	free(text);
}

void payload_print_text(const struct payload *payload, const void *bytes, bool full)
{
	for (size_t i = 0; i < payload->field_count; i++) {
		const struct payload_field *field = &payload->fields[i];
		const char *at = (const char *)bytes + field->offset;
		size_t shown = full || field->count <= PAYLOAD_ELEMENTS_SHOWN ? field->count : PAYLOAD_ELEMENTS_SHOWN;

		printf("  %s%-*s%s  ", output_on(OUTPUT_DIM), payload->name_width, field->name, output_off(OUTPUT_DIM));
		if (field->is_array && field->class == PAYLOAD_CHAR) {
			payload_print_chars(field, at);
		} else if (field->is_array) {
			putchar('[');
			for (size_t e = 0; e < shown; e++) {
				fputs(e ? ", " : "", stdout);
				payload_print_one(field, at + e * field->size, false);
			}
			if (shown < field->count)
				printf(", ... %zu more", field->count - shown);
			putchar(']');
		} else {
			payload_print_one(field, at, false);
		}
		putchar('\n');
	}
}

void payload_print_json(const struct payload *payload, const void *bytes)
{
	putchar('{');
	for (size_t i = 0; i < payload->field_count; i++) {
		const struct payload_field *field = &payload->fields[i];
		const char *at = (const char *)bytes + field->offset;

		printf("%s\"%s\":", i ? "," : "", field->name);
		if (field->is_array)
			putchar('[');
		for (size_t e = 0; e < field->count; e++) {
			fputs(e ? "," : "", stdout);
			payload_print_one(field, at + e * field->size, true);
		}
		if (field->is_array)
			putchar(']');
	}
	putchar('}');
}
