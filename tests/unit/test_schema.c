/* SPDX-License-Identifier: MIT */
/* Schema text: layouts against what the compiler makes of the same struct, every kind of mistake with its line, and random bytes. */
#include "proto/schema.h"
#include "tests/support/unit.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Which call from now on fails; 0: none. Linked in the place of realloc(). */
static int failing_realloc;
void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);

void *__wrap_realloc(void *memory, size_t size)
{
	if (failing_realloc > 0 && --failing_realloc == 0)
		return NULL;
	return __real_realloc(memory, size);
}

static int parse(const char *text, struct shmb_schema *schema)
{
	return shmb_schema_parse(text, strlen(text), schema, NULL, NULL);
}

static void refused(const char *text, int error, unsigned expected_line)
{
	struct shmb_schema schema = { .size = 77 };
	unsigned line = 0;
	const char *why = NULL;
	int r = shmb_schema_parse(text, strlen(text), &schema, &line, &why);

	ck_assert_msg(r == error, "%s: %d", text, r);
	ck_assert_msg(line == expected_line, "%s: line %u", text, line);
	ck_assert_ptr_nonnull(why);
	ck_assert_uint_eq(schema.size, 77);
}

START_TEST(layout_is_the_compilers)
{
	struct sample {
		uint64_t stamp_ns;
		uint8_t flag;
		double gyro[3];
		bool valid;
		int16_t raw[5];
		float temperature;
		char letter;
		uint8_t tail[3];
	};
	static const char text[] =
		"uint64 stamp_ns\nuint8 flag\nfloat64[3] gyro\nbool valid\nint16[5] raw\nfloat32 temperature\nchar letter\n"
		"byte[3] tail\n";
	struct shmb_schema schema;

	ck_assert_int_eq(parse(text, &schema), 0);
	ck_assert_uint_eq(schema.size, sizeof(struct sample));
	ck_assert_uint_eq(schema.align, _Alignof(struct sample));
	ck_assert_uint_eq(schema.field_count, 8);
#define SAME(index, field, kind, n, array)                                                                                                 \
	do {                                                                                                                               \
		ck_assert_str_eq(schema.fields[index].name, #field);                                                                       \
		ck_assert_uint_eq(schema.fields[index].offset, offsetof(struct sample, field));                                            \
		ck_assert_uint_eq(schema.fields[index].size *schema.fields[index].count, sizeof(((struct sample *)0)->field));             \
		ck_assert_int_eq(schema.fields[index].primitive, kind);                                                                    \
		ck_assert_uint_eq(schema.fields[index].count, n);                                                                          \
		ck_assert_int_eq(schema.fields[index].is_array, array);                                                                    \
	} while (0)
	SAME(0, stamp_ns, SHMB_UINT64, 1, 0);
	SAME(1, flag, SHMB_UINT8, 1, 0);
	SAME(2, gyro, SHMB_FLOAT64, 3, 1);
	SAME(3, valid, SHMB_BOOL, 1, 0);
	SAME(4, raw, SHMB_INT16, 5, 1);
	SAME(5, temperature, SHMB_FLOAT32, 1, 0);
	SAME(6, letter, SHMB_CHAR, 1, 0);
	SAME(7, tail, SHMB_BYTE, 3, 1);
	shmb_schema_deinit(&schema);
	ck_assert_ptr_null(schema.fields);
}
END_TEST

START_TEST(every_primitive)
{
	static const struct {
		enum shmb_primitive primitive;
		const char *name;
		uint32_t size;
	} all[] = {
		{ SHMB_BOOL, "bool", 1 },	{ SHMB_BYTE, "byte", 1 },   { SHMB_CHAR, "char", 1 },	  { SHMB_INT8, "int8", 1 },
		{ SHMB_UINT8, "uint8", 1 },	{ SHMB_INT16, "int16", 2 }, { SHMB_UINT16, "uint16", 2 }, { SHMB_INT32, "int32", 4 },
		{ SHMB_UINT32, "uint32", 4 },	{ SHMB_INT64, "int64", 8 }, { SHMB_UINT64, "uint64", 8 }, { SHMB_FLOAT32, "float32", 4 },
		{ SHMB_FLOAT64, "float64", 8 },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct shmb_schema schema;
		char text[64];

		snprintf(text, sizeof(text), "uint8 a\n%s b", all[i].name);
		ck_assert_int_eq(parse(text, &schema), 0);
		ck_assert_int_eq(schema.fields[1].primitive, all[i].primitive);
		ck_assert_uint_eq(schema.fields[1].size, all[i].size);
		ck_assert_uint_eq(schema.fields[1].offset, all[i].size);
		ck_assert_uint_eq(schema.size, 2 * all[i].size);
		ck_assert_uint_eq(schema.align, all[i].size);
		ck_assert_str_eq(shmb_primitive_name(all[i].primitive), all[i].name);
		shmb_schema_deinit(&schema);
	}
	ck_assert_ptr_null(shmb_primitive_name(0));
	ck_assert_ptr_null(shmb_primitive_name(SHMB_FLOAT64 + 1));
	ck_assert_ptr_null(shmb_primitive_name((enum shmb_primitive) - 1));
}
END_TEST

START_TEST(comments_and_blanks)
{
	static const char *const texts[] = {
		"uint8 a",
		"uint8 a\n",
		"\n\n  \t\n# only a comment\nuint8 a\n",
		"  uint8\t a  # why\n",
		"uint8 a# no blank before it",
		"#uint8 b\nuint8 a",
		"uint8 a\n#",
		"\tuint8 a\t",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct shmb_schema schema;

		ck_assert_msg(parse(texts[i], &schema) == 0, "%s", texts[i]);
		ck_assert_uint_eq(schema.field_count, 1);
		ck_assert_uint_eq(schema.size, 1);
		ck_assert_str_eq(schema.fields[0].name, "a");
		shmb_schema_deinit(&schema);
	}
}
END_TEST

START_TEST(mistakes)
{
	static const struct {
		const char *text;
		int error;
		unsigned line;
	} wrong[] = {
		{ "", -EINVAL, 1 },
		{ "\n\n", -EINVAL, 2 },
		{ "# nothing", -EINVAL, 1 },
		{ "uint8", -EINVAL, 1 },
		{ "uint8 ", -EINVAL, 1 },
		{ "uint8 # a", -EINVAL, 1 },
		{ "uint8\na", -EINVAL, 1 },
		{ "uint8 a\nuint8", -EINVAL, 2 },
		{ "uint8a", -EINVAL, 1 },
		{ "uint24 a", -EINVAL, 1 },
		{ "int a", -EINVAL, 1 },
		{ "Uint8 a", -EINVAL, 1 },
		{ "UINT8 a", -EINVAL, 1 },
		{ "string a", -EINVAL, 1 },
		{ "wstring a", -EINVAL, 1 },
		{ "string<=5 a", -EINVAL, 1 },
		{ "geometry_msgs/Point a", -EINVAL, 1 },
		{ "Point a", -EINVAL, 1 },
		{ "uint8[] a", -EINVAL, 1 },
		{ "uint8[<=3] a", -EINVAL, 1 },
		{ "uint8[0] a", -EINVAL, 1 },
		{ "uint8[00] a", -EINVAL, 1 },
		{ "uint8[03] a", -EINVAL, 1 },
		{ "uint8[-1] a", -EINVAL, 1 },
		{ "uint8[+1] a", -EINVAL, 1 },
		{ "uint8[0x4] a", -EINVAL, 1 },
		{ "uint8[ 4] a", -EINVAL, 1 },
		{ "uint8[4 ] a", -EINVAL, 1 },
		{ "uint8[4", -EINVAL, 1 },
		{ "uint8[", -EINVAL, 1 },
		{ "uint8[4]", -EINVAL, 1 },
		{ "uint8[4]a", -EINVAL, 1 },
		{ "uint8 [4] a", -EINVAL, 1 },
		{ "uint8[4][4] a", -EINVAL, 1 },
		{ "uint8 A", -EINVAL, 1 },
		{ "uint8 _a", -EINVAL, 1 },
		{ "uint8 1a", -EINVAL, 1 },
		{ "uint8 aB", -EINVAL, 1 },
		{ "uint8 a-b", -EINVAL, 1 },
		{ "uint8 a.b", -EINVAL, 1 },
		{ "uint8 a b", -EINVAL, 1 },
		{ "uint8 a 5", -EINVAL, 1 },
		{ "uint8 a=5", -EINVAL, 1 },
		{ "uint8 A=5", -EINVAL, 1 },
		{ "uint8 a;", -EINVAL, 1 },
		{ "uint8 a\r\n", -EINVAL, 1 },
		{ "uint8 a # \xc3\xa4", -EINVAL, 1 },
		{ "uint8 a\x7f", -EINVAL, 1 },
		{ "uint8 a\n\x1b[31m", -EINVAL, 2 },
		{ "uint8 a\nuint8 b\nuint8 a\n", -EINVAL, 3 },
		{ "uint8 a\nuint16[4] a", -EINVAL, 2 },
		{ "uint8[268435457] a", -E2BIG, 1 },
		{ "uint8[18446744073709551617] a", -E2BIG, 1 },
		{ "uint8[99999999999999999999999999999999] a", -E2BIG, 1 },
		{ "float64[33554433] a", -E2BIG, 1 },
		{ "uint8[268435456] a\nuint8 b", -E2BIG, 2 },
		{ "uint8[268435455] a\nuint16 b", -E2BIG, 2 },
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		refused(wrong[i].text, wrong[i].error, wrong[i].line);
}
END_TEST

START_TEST(a_nul_is_refused)
{
	struct shmb_schema schema;

	ck_assert_int_eq(shmb_schema_parse("uint8 a\0", 8, &schema, NULL, NULL), -EINVAL);
	ck_assert_int_eq(shmb_schema_parse("uint8 a\n\0", 9, &schema, NULL, NULL), -EINVAL);
}
END_TEST

START_TEST(limits)
{
	struct shmb_schema schema;
	char name[SHMB_FIELD_NAME_MAX + 2];
	char text[256];
	char *large;
	size_t length = 0;

	ck_assert_int_eq(parse("uint8[268435456] a", &schema), 0);
	ck_assert_uint_eq(schema.size, SHMB_PAYLOAD_MAX);
	shmb_schema_deinit(&schema);
	ck_assert_int_eq(parse("float64[33554432] a", &schema), 0);
	ck_assert_uint_eq(schema.size, SHMB_PAYLOAD_MAX);
	shmb_schema_deinit(&schema);
	ck_assert_int_eq(parse("uint64 b\nuint8[268435441] a", &schema), 0); /* rounded up to the limit */
	ck_assert_uint_eq(schema.size, SHMB_PAYLOAD_MAX);
	shmb_schema_deinit(&schema);

	memset(name, 'n', sizeof(name));
	snprintf(text, sizeof(text), "uint8 %.*s", SHMB_FIELD_NAME_MAX, name);
	ck_assert_int_eq(parse(text, &schema), 0);
	shmb_schema_deinit(&schema);
	snprintf(text, sizeof(text), "uint8 %.*s", SHMB_FIELD_NAME_MAX + 1, name);
	ck_assert_int_eq(parse(text, &schema), -EINVAL);

	large = malloc(SHMB_SCHEMA_MAX + 1);
	ck_assert_ptr_nonnull(large);
	for (int i = 0; i < SHMB_FIELDS_MAX; i++)
		length += (size_t)sprintf(large + length, "uint16 f%d\n", i);
	ck_assert_int_eq(shmb_schema_parse(large, length, &schema, NULL, NULL), 0);
	ck_assert_uint_eq(schema.field_count, SHMB_FIELDS_MAX);
	ck_assert_uint_eq(schema.fields[SHMB_FIELDS_MAX - 1].offset, 2 * (SHMB_FIELDS_MAX - 1));
	shmb_schema_deinit(&schema);
	length += (size_t)sprintf(large + length, "uint16 one_more\n");
	ck_assert_int_eq(shmb_schema_parse(large, length, &schema, NULL, NULL), -E2BIG);

	memset(large, '\n', SHMB_SCHEMA_MAX + 1);
	memcpy(large, "uint8 a", 7);
	ck_assert_int_eq(shmb_schema_parse(large, SHMB_SCHEMA_MAX, &schema, NULL, NULL), 0);
	shmb_schema_deinit(&schema);
	ck_assert_int_eq(shmb_schema_parse(large, SHMB_SCHEMA_MAX + 1, &schema, NULL, NULL), -E2BIG);
	free(large);
}
END_TEST

/* No memory, at the first field or when there is no more room: refused, and nothing of it is left. */
START_TEST(no_memory)
{
	struct shmb_schema schema = { .size = 77 };
	char text[1024];
	const char *why = NULL;
	size_t length = 0;
	unsigned line = 0;

	for (int i = 0; i < 40; i++)
		length += (size_t)sprintf(text + length, "uint16 f%d\n", i);
	for (int allocation = 1; allocation <= 3; allocation++) {
		failing_realloc = allocation;
		ck_assert_int_eq(shmb_schema_parse(text, length, &schema, &line, &why), -ENOMEM);
		ck_assert_str_eq(why, "out of memory");
		ck_assert_uint_eq(line, allocation == 1 ? 1 : allocation == 2 ? 17 : 33);
		ck_assert_uint_eq(schema.size, 77);
	}
	failing_realloc = 4;
	ck_assert_int_eq(shmb_schema_parse(text, length, &schema, &line, &why), 0);
	ck_assert_uint_eq(schema.field_count, 40);
	shmb_schema_deinit(&schema);
}
END_TEST

/* Other implementations must come to the same number: XXH3-64, seed 0, of every byte. The values are those of libxxhash 0.8.1. */
START_TEST(hash_is_xxh3)
{
	static const struct {
		const char *text;
		uint64_t hash;
	} known[] = {
		{ "uint64 stamp_ns\n", UINT64_C(0x5af962c55da60a9d) },
		{ "uint64 stamp_ns\nfloat64[3] angular_velocity\n", UINT64_C(0x35b861acc0ae314f) },
		{ "uint64 stamp_ns", UINT64_C(0xfb59c15ed0ce12b8) },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		struct shmb_schema schema;

		ck_assert_int_eq(parse(known[i].text, &schema), 0);
		ck_assert_uint_eq(schema.hash, known[i].hash);
		shmb_schema_deinit(&schema);
	}
}
END_TEST

/* What lies behind the text is not part of it, whatever it is. */
START_TEST(text_ends_where_its_length_says)
{
	static const char text[] = "\tuint16[12] abz_9 # ~\nfloat64 z\nbool[3] q";
	static const char behind[] = "0]a _9[#\n";

	for (size_t length = 0; length < sizeof(text); length++) {
		char exact[sizeof(text) + 1];
		struct shmb_schema expected;
		const char *expected_why = NULL;
		int r;

		memcpy(exact, text, length);
		exact[length] = '\0';
		r = shmb_schema_parse(exact, length, &expected, NULL, &expected_why);
		if (length == sizeof(text) - 1)
			ck_assert_int_eq(r, 0);
		for (size_t i = 0; i < sizeof(behind); i++) {
			struct shmb_schema schema;
			const char *why = NULL;

			exact[length] = behind[i];
			ck_assert_int_eq(shmb_schema_parse(exact, length, &schema, NULL, &why), r);
			ck_assert_ptr_eq(why, expected_why);
			if (r < 0)
				continue;
			ck_assert_uint_eq(schema.size, expected.size);
			ck_assert_uint_eq(schema.field_count, expected.field_count);
			for (uint32_t f = 0; f < schema.field_count; f++) {
				ck_assert_str_eq(schema.fields[f].name, expected.fields[f].name);
				ck_assert_uint_eq(schema.fields[f].offset, expected.fields[f].offset);
				ck_assert_uint_eq(schema.fields[f].count, expected.fields[f].count);
			}
			shmb_schema_deinit(&schema);
		}
		if (r == 0)
			shmb_schema_deinit(&expected);
	}
}
END_TEST

static void random_text_check(const char *text, size_t length)
{
	char *copy = malloc(length > 0 ? length : 1); /* of its exact size: sanitizers see a byte read too many */
	struct shmb_schema schema;
	unsigned line;
	const char *why;

	ck_assert_ptr_nonnull(copy);
	memcpy(copy, text, length);
	if (shmb_schema_parse(copy, length, &schema, &line, &why) == 0) {
		uint64_t end = 0;

		ck_assert_uint_ge(schema.field_count, 1);
		for (uint32_t i = 0; i < schema.field_count; i++) {
			ck_assert_uint_ge(schema.fields[i].offset, end);
			ck_assert_uint_eq(schema.fields[i].offset % schema.fields[i].size, 0);
			end = schema.fields[i].offset + schema.fields[i].size * schema.fields[i].count;
		}
		ck_assert_uint_le(end, schema.size);
		ck_assert_uint_le(schema.size, SHMB_PAYLOAD_MAX);
		shmb_schema_deinit(&schema);
	}
	free(copy);
}

START_TEST(random_texts)
{
	static const char *const words[] = { "uint8", "float64", "bool", "[3]", "[", "]", "[268435456]", " ",
					     "\t",    "\n",	 "a",	 "b_1", "#", "=", "0",		 "x" };
	uint64_t random = 4;
	char text[256];

	for (int round = 0; round < 50000; round++) {
		size_t length = 0;

		for (uint64_t n = unit_random(&random) % 16; n > 0; n--)
			length += (size_t)sprintf(text + length, "%s", words[unit_random(&random) % (sizeof(words) / sizeof(words[0]))]);
		random_text_check(text, length);
		unit_random_fill(&random, text, 24);
		random_text_check(text, unit_random(&random) % 25);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("schema");

	unit_add(suite, layout_is_the_compilers, 5);
	unit_add(suite, every_primitive, 5);
	unit_add(suite, comments_and_blanks, 5);
	unit_add(suite, mistakes, 5);
	unit_add(suite, a_nul_is_refused, 5);
	unit_add(suite, limits, 5);
	unit_add(suite, no_memory, 5);
	unit_add(suite, hash_is_xxh3, 5);
	unit_add(suite, text_ends_where_its_length_says, 5);
	unit_add(suite, random_texts, 20);
	return unit_run(suite);
}
