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
	char primitive[8]; /* "float64" is the longest */
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
	payload->fields[payload->field_count] = (struct payload_field){
		.name = name,
		.class = payload_classify(field->primitive),
		.offset = field->offset,
		.size = field->size,
		.count = field->count,
		.is_array = field->is_array != 0,
	};
	snprintf(payload->fields[payload->field_count++].primitive, sizeof(payload->fields->primitive), "%s", field->primitive);
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
static void payload_print_chars(const char *at, size_t count)
{
	char *text = strndup(at, count);

	putchar('"');
	output_text(text ? text : "");
	putchar('"');
	free(text);
}

/* How many of the field's elements lie within the length. */
static size_t payload_elements(const struct payload_field *field, size_t length)
{
	size_t there = length > field->offset ? (length - field->offset) / field->size : 0;

	return there < field->count ? there : field->count;
}

void payload_print_text(const struct payload *payload, const void *bytes, size_t length, bool full)
{
	for (size_t i = 0; i < payload->field_count; i++) {
		const struct payload_field *field = &payload->fields[i];
		size_t count = payload_elements(field, length);
		const char *at = (const char *)bytes + field->offset;
		size_t shown = full || count <= PAYLOAD_ELEMENTS_SHOWN ? count : PAYLOAD_ELEMENTS_SHOWN;

		if (count == 0)
			continue;
		printf("  %s%-*s%s  ", output_on(OUTPUT_DIM), payload->name_width, field->name, output_off(OUTPUT_DIM));
		if (field->is_array && field->class == PAYLOAD_CHAR) {
			payload_print_chars(at, count);
		} else if (field->is_array) {
			putchar('[');
			for (size_t e = 0; e < shown; e++) {
				fputs(e ? ", " : "", stdout);
				payload_print_one(field, at + e * field->size, false);
			}
			if (shown < count)
				printf(", ... %zu more", count - shown);
			putchar(']');
		} else {
			payload_print_one(field, at, false);
		}
		putchar('\n');
	}
}

void payload_print_json(const struct payload *payload, const void *bytes, size_t length, bool full)
{
	putchar('{');
	for (size_t i = 0; i < payload->field_count; i++) {
		const struct payload_field *field = &payload->fields[i];
		const char *at = (const char *)bytes + field->offset;
		size_t count = payload_elements(field, length);

		printf("%s\"%s\":", i ? "," : "", field->name);
		if (count == 0 || (field->is_array && !full && count > PAYLOAD_JSON_ELEMENTS)) {
			fputs("null", stdout);
			continue;
		}
		if (field->is_array)
			putchar('[');
		for (size_t e = 0; e < count; e++) {
			fputs(e ? "," : "", stdout);
			payload_print_one(field, at + e * field->size, true);
		}
		if (field->is_array)
			putchar(']');
	}
	putchar('}');
}

const char *payload_field_name(const struct payload *payload, size_t i)
{
	return i < payload->field_count ? payload->fields[i].name : NULL;
}

/* ---- by name ------------------------------------------------------------------------------------------------------------------------ */

/* The field of that name, and the index in brackets behind it (SIZE_MAX none). NULL: none, or brackets that are no index. */
static const struct payload_field *payload_look_up(const struct payload *payload, const char *name, size_t *index)
{
	size_t length = strcspn(name, "[");
	char *end;

	*index = SIZE_MAX;
	if (name[length] == '[') {
		*index = strtoul(name + length + 1, &end, 10);
		if (end == name + length + 1 || strcmp(end, "]") != 0 || *index == SIZE_MAX)
			return NULL;
	}
	for (size_t i = 0; i < payload->field_count; i++) {
		const struct payload_field *field = &payload->fields[i];

		if (strlen(field->name) == length && memcmp(field->name, name, length) == 0)
			return field;
	}
	return NULL;
}

int payload_find(const struct payload *payload, const char *name, struct payload_place *out)
{
	size_t index;
	const struct payload_field *field = payload_look_up(payload, name, &index);

	if (!field)
		return -ENOENT;
	if (field->is_array != (index != SIZE_MAX) || (field->is_array && index >= field->count))
		return -EINVAL;
	*out = (struct payload_place){
		.offset = field->offset + (field->is_array ? index * field->size : 0),
		.size = field->size,
		.primitive = field->primitive,
	};
	return 0;
}

double payload_number(const struct payload_place *place, const void *bytes)
{
	const char *at = (const char *)bytes + place->offset;
	double wide;
	float narrow;

	switch (payload_classify(place->primitive)) {
	case PAYLOAD_FLOAT:
		if (place->size == 4) {
			memcpy(&narrow, at, 4);
			return (double)narrow;
		}
		memcpy(&wide, at, 8);
		return wide;
	case PAYLOAD_SIGNED:
		return (double)payload_signed(at, place->size);
	default:
		return (double)payload_unsigned(at, place->size);
	}
}

/* ---- from text ---------------------------------------------------------------------------------------------------------------------- */

static int payload_set_float(const struct payload_field *field, char *at, const char *text, const char **why)
{
	char *end;
	double wide = strtod(text, &end);
	float narrow = (float)wide;

	if (end == text || *end) {
		*why = "is no number";
		return -EINVAL;
	}
	if (field->size == 4)
		memcpy(at, &narrow, 4);
	else
		memcpy(at, &wide, 8);
	return 0;
}

static int payload_set_integer(const struct payload_field *field, char *at, const char *text, const char **why)
{
	unsigned unused = 64 - 8 * (unsigned)field->size;
	bool negative = *text == '-';
	char *end;
	uint64_t bits;

	if (strcmp(text, "now") == 0 && field->size == 8) {
		bits = shmb_now_ns();
		memcpy(at, &bits, 8);
		return 0;
	}
	if (field->class == PAYLOAD_BOOL && (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)) {
		*at = (char)(strcmp(text, "true") == 0);
		return 0;
	}
	errno = 0;
	bits = negative ? (uint64_t)strtoll(text, &end, 0) : strtoull(text, &end, 0);
	if (end == text || *end || (!negative && (*text < '0' || *text > '9'))) {
		*why = "is no whole number";
		return -EINVAL;
	}
	if (errno || (negative && field->class != PAYLOAD_SIGNED) || (field->class == PAYLOAD_BOOL && bits > 1) ||
	    (field->class == PAYLOAD_SIGNED ? (int64_t)(bits << unused) >> unused != (int64_t)bits || negative != ((int64_t)bits < 0)
					    : bits << unused >> unused != bits)) {
		*why = "does not fit its field";
		return -ERANGE;
	}
	memcpy(at, &bits, field->size); /* little-endian, as all the library's machines */
	return 0;
}

static int payload_set_one(const struct payload_field *field, char *at, const char *text, const char **why)
{
	if (field->class == PAYLOAD_FLOAT)
		return payload_set_float(field, at, text, why);
	return payload_set_integer(field, at, text, why);
}

/* "[1, 2, 3]" */
static int payload_set_list(const struct payload_field *field, char *at, const char *text, const char **why)
{
	size_t length = strlen(text);
	char *copy;
	char *rest;
	char *word;
	size_t count = 0;
	int r = 0;

	if (length < 2 || text[0] != '[' || text[length - 1] != ']') {
		*why = "is no list: write [1, 2, 3], or NAME[INDEX]=...";
		return -EINVAL;
	}
	copy = strndup(text + 1, length - 2);
	if (!copy)
		return -ENOMEM;
	for (word = strtok_r(copy, ", \t", &rest); r == 0 && word; word = strtok_r(NULL, ", \t", &rest)) {
		if (count == field->count) {
			*why = "has more elements than its field";
			r = -E2BIG;
		} else {
			r = payload_set_one(field, at + count++ * field->size, word, why);
		}
	}
	free(copy);
	if (r == 0)
		memset(at + count * field->size, 0, (field->count - count) * field->size);
	return r;
}

int payload_set(const struct payload *payload, void *bytes, const char *name, const char *text, const char **why)
{
	size_t index;
	const struct payload_field *field = payload_look_up(payload, name, &index);
	char *at;

	*why = "";
	if (!field) {
		*why = "is no field of this segment";
		return -ENOENT;
	}
	at = (char *)bytes + field->offset;
	if (index != SIZE_MAX) {
		if (!field->is_array || index >= field->count) {
			*why = field->is_array ? "has no element of that index" : "is no array";
			return -ENOENT;
		}
		return payload_set_one(field, at + index * field->size, text, why);
	}
	if (!field->is_array)
		return payload_set_one(field, at, text, why);
	if (field->class == PAYLOAD_CHAR && *text != '[') {
		if (strlen(text) > field->count) {
			*why = "has more characters than its field";
			return -E2BIG;
		}
		strncpy(at, text, field->count); /* NUL-filled, and without a NUL where it just fits, as fields of char are */
		return 0;
	}
	return payload_set_list(field, at, text, why);
}
