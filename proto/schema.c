/* SPDX-License-Identifier: MIT */
/*
 * Parser of schema text (schema.h has the grammar). Line by line, without recursion; the text is untrusted: it comes with a request from any
 * process, or from a card. Time is linear in the text but for the search for equal names, which compares 64-bit hashes (at most
 * SHMB_FIELDS_MAX^2 / 2 comparisons of words, about 0.2 ms).
 */
#include "schema.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* Size is alignment too: natural alignment is what x86-64, arm64 and CDR share. */
static const struct {
	const char *name;
	uint32_t size;
} primitives[] = {
	[SHMB_BOOL] = { "bool", 1 },	   [SHMB_BYTE] = { "byte", 1 },	    [SHMB_CHAR] = { "char", 1 },
	[SHMB_INT8] = { "int8", 1 },	   [SHMB_UINT8] = { "uint8", 1 },   [SHMB_INT16] = { "int16", 2 },
	[SHMB_UINT16] = { "uint16", 2 },   [SHMB_INT32] = { "int32", 4 },   [SHMB_UINT32] = { "uint32", 4 },
	[SHMB_INT64] = { "int64", 8 },	   [SHMB_UINT64] = { "uint64", 8 }, [SHMB_FLOAT32] = { "float32", 4 },
	[SHMB_FLOAT64] = { "float64", 8 },
};
enum { PRIMITIVE_END = sizeof(primitives) / sizeof(primitives[0]) };

struct parser {
	const char *at;	      /* next byte */
	const char *line_end; /* the newline, or the end of the text */
	const char *why;
	struct shmb_schema *schema;
	uint32_t room;			  /* fields allocated */
	uint64_t hashes[SHMB_FIELDS_MAX]; /* of the names so far */
};

const char *shmb_primitive_name(enum shmb_primitive primitive)
{
	return (unsigned)primitive < PRIMITIVE_END ? primitives[primitive].name : NULL;
}

static int refuse(struct parser *parser, int error, const char *why)
{
	parser->why = why;
	return error;
}

static int at_end(const struct parser *parser)
{
	return parser->at == parser->line_end || *parser->at == '#';
}

/* Returns whether there was any. */
static int skip_blanks(struct parser *parser)
{
	const char *begin = parser->at;

	while (parser->at < parser->line_end && (*parser->at == ' ' || *parser->at == '\t'))
		parser->at++;
	return parser->at > begin;
}

static int is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static int is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int parse_primitive(struct parser *parser, struct shmb_field *field)
{
	const char *begin = parser->at;
	size_t length;

	while (parser->at < parser->line_end && (is_lower(*parser->at) || is_digit(*parser->at)))
		parser->at++;
	length = (size_t)(parser->at - begin);
	for (unsigned i = SHMB_BOOL; i < PRIMITIVE_END; i++) {
		if (strlen(primitives[i].name) == length && memcmp(primitives[i].name, begin, length) == 0) {
			field->primitive = (enum shmb_primitive)i;
			field->size = primitives[i].size;
			return 0;
		}
	}
	return refuse(parser, -EINVAL, "a field begins with a primitive of fixed size: bool, byte, char, int8 to uint64, float32, float64");
}

static int parse_count(struct parser *parser, struct shmb_field *field)
{
	uint64_t count = 0;

	field->count = 1;
	if (parser->at == parser->line_end || *parser->at != '[')
		return 0;
	parser->at++;
	if (parser->at < parser->line_end && (*parser->at == ']' || *parser->at == '<'))
		return refuse(parser, -EINVAL, "a sequence has no fixed size; give the array a length");
	if (parser->at == parser->line_end || !is_digit(*parser->at) || *parser->at == '0')
		return refuse(parser, -EINVAL, "the length of an array is a decimal number from 1");
	while (parser->at < parser->line_end && is_digit(*parser->at)) {
		count = count * 10 + (uint64_t)(*parser->at++ - '0');
		if (count > SHMB_PAYLOAD_MAX)
			return refuse(parser, -E2BIG, "the payload is larger than 256 MiB");
	}
	if (parser->at == parser->line_end || *parser->at != ']')
		return refuse(parser, -EINVAL, "the length of an array ends with ']'");
	parser->at++;
	field->count = count;
	field->is_array = 1;
	return 0;
}

static int parse_name(struct parser *parser, struct shmb_field *field)
{
	const char *begin = parser->at;
	size_t length;

	if (at_end(parser))
		return refuse(parser, -EINVAL, "the field has no name");
	if (!is_lower(*begin))
		return refuse(parser, -EINVAL, "the name of a field begins with a lower-case letter");
	while (parser->at < parser->line_end && (is_lower(*parser->at) || is_digit(*parser->at) || *parser->at == '_'))
		parser->at++;
	length = (size_t)(parser->at - begin);
	if (length > SHMB_FIELD_NAME_MAX)
		return refuse(parser, -EINVAL, "the name of a field is longer than 63 bytes");
	memcpy(field->name, begin, length);
	return 0;
}

/* Takes the place of the next field, and refuses a second one of the same name. */
static int field_add(struct parser *parser, const struct shmb_field *field)
{
	struct shmb_schema *schema = parser->schema;
	uint64_t hash = XXH3_64bits(field->name, sizeof(field->name));

	for (uint32_t i = 0; i < schema->field_count; i++) {
		if (parser->hashes[i] == hash && strcmp(schema->fields[i].name, field->name) == 0)
			return refuse(parser, -EINVAL, "two fields have the same name");
	}
	if (schema->field_count == SHMB_FIELDS_MAX)
		return refuse(parser, -E2BIG, "there are more than 1024 fields");
	if (schema->field_count == parser->room) {
		uint32_t room = parser->room > 0 ? 2 * parser->room : 16;
		struct shmb_field *fields = realloc(schema->fields, room * sizeof(*fields));

		if (fields == NULL)
			return refuse(parser, -ENOMEM, "out of memory");
		schema->fields = fields;
		parser->room = room;
	}
	parser->hashes[schema->field_count] = hash;
	schema->fields[schema->field_count++] = *field;
	return 0;
}

static int parse_line(struct parser *parser)
{
	struct shmb_schema *schema = parser->schema;
	struct shmb_field field = { 0 };
	int r;

	for (const char *p = parser->at; p < parser->line_end; p++) {
		if ((*p < 0x20 || *p > 0x7e) && *p != '\t')
			return refuse(parser, -EINVAL, "a byte that is neither printable ASCII nor a tab or newline");
	}
	skip_blanks(parser);
	if (at_end(parser))
		return 0;
	r = parse_primitive(parser, &field);
	if (r == 0)
		r = parse_count(parser, &field);
	if (r < 0)
		return r;
	if (!skip_blanks(parser) && !at_end(parser))
		return refuse(parser, -EINVAL, "the type of a field is followed by a blank and its name");
	r = parse_name(parser, &field);
	if (r < 0)
		return r;
	skip_blanks(parser);
	if (!at_end(parser))
		return refuse(parser, -EINVAL, "nothing may follow the name of a field: no constants, no default values");

	/* At most 2^28 + 7, then 2^28 elements of 8 bytes: far from wrapping. */
	field.offset = (schema->size + field.size - 1) & ~(uint64_t)(field.size - 1);
	if (field.offset + field.count * field.size > SHMB_PAYLOAD_MAX)
		return refuse(parser, -E2BIG, "the payload is larger than 256 MiB");
	r = field_add(parser, &field);
	if (r < 0)
		return r;
	schema->size = field.offset + field.count * field.size;
	if (schema->align < field.size)
		schema->align = field.size;
	return 0;
}

static int parse_text(struct parser *parser, const char *text, size_t length, unsigned *line)
{
	const char *end = text + length;

	for (const char *begin = text; begin < end; begin = parser->line_end + 1) {
		int r;

		++*line;
		parser->at = begin;
		parser->line_end = memchr(begin, '\n', (size_t)(end - begin));
		if (parser->line_end == NULL)
			parser->line_end = end;
		r = parse_line(parser);
		if (r < 0)
			return r;
		if (parser->line_end == end)
			break;
	}
	if (parser->schema->field_count == 0)
		return refuse(parser, -EINVAL, "there is no field");
	return 0;
}

int shmb_schema_parse(const char *text, size_t length, struct shmb_schema *out, unsigned *line, const char **why)
{
	struct shmb_schema schema = { .align = 1 };
	struct parser parser = { .schema = &schema };
	unsigned current = 0;
	int r;

	if (length > SHMB_SCHEMA_MAX)
		r = refuse(&parser, -E2BIG, "the schema is longer than 60 KiB");
	else
		r = parse_text(&parser, text, length, &current);
	if (r < 0) {
		if (line != NULL)
			*line = current > 0 ? current : 1;
		if (why != NULL)
			*why = parser.why;
		shmb_schema_deinit(&schema);
		return r;
	}
	/* The largest size is a multiple of every alignment, so the rounding stays within SHMB_PAYLOAD_MAX. */
	schema.size = (schema.size + schema.align - 1) & ~(uint64_t)(schema.align - 1);
	schema.hash = shmb_schema_hash(text, length);
	*out = schema;
	return 0;
}

void shmb_schema_deinit(struct shmb_schema *schema)
{
	free(schema->fields);
	*schema = (struct shmb_schema){ 0 };
}

uint64_t shmb_schema_hash(const char *text, size_t length)
{
	return XXH3_64bits(text, length);
}
