/* SPDX-License-Identifier: MIT */
/* Declared types: what the macros make of a list of fields, types from text, and what is refused when one is opened. */
#include "libclient/type.h"
#include "tests/support/unit.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* clang-format off */
SHMB_TYPE(every, (bool, a)(byte, b)(char, c)(int8, d)(uint8, e)(int16, f)(uint16, g)(int32, h)(uint32, i)(int64, j)(uint64, k)(float32, l)(float64, m));
SHMB_TYPE(imu, (uint64, stamp_ns)(float64, gyro, 3)(float64, accel, 3)(uint8, status)(float32, temperature));
SHMB_TYPE(one, (uint8, x));

struct point {
	float x, y, z;
	uint32_t colour[2];
	double weight;
};
SHMB_TYPE_OF(struct point, cloud_point, (float32, x)(float32, y)(float32, z)(uint32, colour, 2)(float64, weight));
/* clang-format on */

struct seen {
	unsigned count;
	unsigned stop_at;
	struct shmb_type_field fields[16];
	char names[16][32];
};

static int see(const struct shmb_type_field *field, void *user)
{
	struct seen *seen = user;

	ck_assert_uint_lt(seen->count, 16);
	seen->fields[seen->count] = *field;
	snprintf(seen->names[seen->count], sizeof(seen->names[0]), "%s %s", field->primitive, field->name);
	seen->count++;
	return seen->count == seen->stop_at ? 42 : 0;
}

START_TEST(declared)
{
	ck_assert_str_eq(imu_type.name, "imu");
	ck_assert_str_eq(imu_type.schema, "uint64 stamp_ns\nfloat64[3] gyro\nfloat64[3] accel\nuint8 status\nfloat32 temperature\n");
	ck_assert_uint_eq(imu_type.size, sizeof(struct imu));
	ck_assert_uint_eq(imu_type.size, 64);
	ck_assert_uint_eq(imu_type.align, 8);
	ck_assert_str_eq(one_type.schema, "uint8 x\n");
	ck_assert_uint_eq(one_type.size, 1);
	ck_assert_str_eq(cloud_point_type.name, "cloud_point");
	ck_assert_str_eq(cloud_point_type.schema, "float32 x\nfloat32 y\nfloat32 z\nuint32[2] colour\nfloat64 weight\n");
	ck_assert_uint_eq(cloud_point_type.size, sizeof(struct point));
}
END_TEST

/* What the schema says about places and sizes is what the compiler did. */
START_TEST(fields_lie_where_the_compiler_put_them)
{
#define AT(index, type, member, text, elements, array)                                                                                     \
	do {                                                                                                                               \
		const struct shmb_type_field *field = &seen.fields[index];                                                                 \
		ck_assert_str_eq(seen.names[index], text);                                                                                 \
		ck_assert_uint_eq(field->offset, offsetof(struct type, member));                                                           \
		ck_assert_uint_eq(field->size * field->count, sizeof(((struct type *)0)->member));                                         \
		ck_assert_uint_eq(field->count, elements);                                                                                 \
		ck_assert_int_eq(field->is_array, array);                                                                                  \
	} while (0)
	struct seen seen = { 0 };

	ck_assert_int_eq(shmb_type_fields(&every_type, see, &seen), 0);
	ck_assert_uint_eq(seen.count, 13);
	AT(0, every, a, "bool a", 1, 0);
	AT(1, every, b, "byte b", 1, 0);
	AT(2, every, c, "char c", 1, 0);
	AT(3, every, d, "int8 d", 1, 0);
	AT(4, every, e, "uint8 e", 1, 0);
	AT(5, every, f, "int16 f", 1, 0);
	AT(6, every, g, "uint16 g", 1, 0);
	AT(7, every, h, "int32 h", 1, 0);
	AT(8, every, i, "uint32 i", 1, 0);
	AT(9, every, j, "int64 j", 1, 0);
	AT(10, every, k, "uint64 k", 1, 0);
	AT(11, every, l, "float32 l", 1, 0);
	AT(12, every, m, "float64 m", 1, 0);

	seen = (struct seen){ 0 };
	ck_assert_int_eq(shmb_type_fields(&imu_type, see, &seen), 0);
	ck_assert_uint_eq(seen.count, 5);
	AT(1, imu, gyro, "float64 gyro", 3, 1);
	AT(3, imu, status, "uint8 status", 1, 0);
	AT(4, imu, temperature, "float32 temperature", 1, 0);

	seen = (struct seen){ .stop_at = 2 };
	ck_assert_int_eq(shmb_type_fields(&imu_type, see, &seen), 42);
	ck_assert_uint_eq(seen.count, 2);
}
END_TEST

START_TEST(parsed)
{
	struct shmb_type *type = NULL;
	uint64_t hash = 0;

	ck_assert_int_eq(shmb_type_parse(&type, "imu", imu_type.schema), 0);
	ck_assert_str_eq(type->name, "imu");
	ck_assert_str_eq(type->schema, imu_type.schema);
	ck_assert_uint_eq(type->size, imu_type.size);
	ck_assert_uint_eq(type->align, imu_type.align);
	ck_assert_uint_eq(shmb_type_hash(type), shmb_type_hash(&imu_type));
	ck_assert_int_eq(type_check(type, &hash), 0);
	ck_assert_uint_eq(hash, shmb_type_hash(type));
	ck_assert_uint_ne(hash, shmb_type_hash(&one_type));
	ck_assert_ptr_null(shmb_type_free(type));
	ck_assert_ptr_null(shmb_type_free(NULL));
}
END_TEST

/* Each refused with a sentence that names what is wrong. */
static void refused(const char *name, const char *schema, const char *text)
{
	struct shmb_type *type = (struct shmb_type *)&type;

	ck_assert_int_eq(shmb_type_parse(&type, name, schema), -EINVAL);
	ck_assert_ptr_null(type);
	ck_assert_msg(strstr(shmb_text(), text) != NULL, "'%s' lacks '%s'", shmb_text(), text);
}

START_TEST(bad_text)
{
	char longest[SHMB_TYPE_NAME_MAX + 2];
	char *large = malloc(SHMB_SCHEMA_MAX + 2);
	struct shmb_type *type;

	refused(NULL, "uint8 x", "no name");
	refused("", "uint8 x", "no name");
	refused("a\nb", "uint8 x", "printable");
	memset(longest, 'x', sizeof(longest));
	longest[SHMB_TYPE_NAME_MAX + 1] = '\0';
	refused(longest, "uint8 x", "longer than 47");
	longest[SHMB_TYPE_NAME_MAX] = '\0';
	ck_assert_int_eq(shmb_type_parse(&type, longest, "uint8 x"), 0);
	shmb_type_free(type);
	refused("t", NULL, "no schema");
	refused("t", "uint64 a\nstring name\n", "line 2");
	refused("t", "", "line 1");
	memset(large, '#', SHMB_SCHEMA_MAX + 1);
	large[SHMB_SCHEMA_MAX + 1] = '\0';
	refused("t", large, "60 KiB");
	free(large);
}
END_TEST

START_TEST(opaque)
{
	static const size_t sizes[] = { 1, 56, 4096, 6220800, SHMB_PAYLOAD_MAX };
	struct shmb_type *type = NULL;
	uint64_t hash;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char schema[64];

		ck_assert_int_eq(shmb_type_opaque(&type, sizes[i]), 0);
		ck_assert_uint_eq(type->size, sizes[i]);
		ck_assert_uint_eq(type->align, 1);
		snprintf(schema, sizeof(schema), "uint8[%zu] data\n", sizes[i]);
		ck_assert_str_eq(type->schema, schema);
		ck_assert_int_eq(type_check(type, &hash), 0);
		shmb_type_free(type);
	}
	ck_assert_int_eq(shmb_type_opaque(&type, 0), -EINVAL);
	ck_assert_ptr_null(type);
	ck_assert_int_eq(shmb_type_opaque(&type, SHMB_PAYLOAD_MAX + 1), -EINVAL);
	ck_assert_int_eq(shmb_type_opaque(&type, SIZE_MAX), -EINVAL);
	ck_assert_ptr_nonnull(strstr(shmb_text(), "256 MiB"));
}
END_TEST

/* A struct that was put together by hand. */
START_TEST(contradictions)
{
	struct shmb_type type = imu_type;
	uint64_t hash;

	type.size = 60;
	ck_assert_int_eq(type_check(&type, &hash), -EINVAL);
	ck_assert_ptr_nonnull(strstr(shmb_text(), "60 bytes, but its schema makes 64"));
	for (size_t align = 0; align <= 130; align++) {
		type = imu_type;
		type.align = align;
		ck_assert_int_eq(type_check(&type, &hash), align == 8 || align == 16 || align == 32 || align == 64 ? 0 : -EINVAL);
	}
	type = imu_type;
	type.schema = NULL;
	ck_assert_int_eq(type_check(&type, &hash), -EINVAL);
	type.schema = "uint64 x y";
	ck_assert_int_eq(type_check(&type, &hash), -EINVAL);
	ck_assert_int_eq(shmb_type_fields(&type, NULL, NULL), -EINVAL);
}
END_TEST

/* The type that comes with a segment: its text is the broker's word, checked all the same. */
START_TEST(from_a_card)
{
	struct shmb_shm_card card = { .schema_length = (uint32_t)strlen(imu_type.schema), .schema_hash = shmb_type_hash(&imu_type) };
	struct shmb_type *type = NULL;

	strcpy(card.name, "imu/main");
	strcpy(card.type, "imu");
	ck_assert_int_eq(type_from_card(&type, &card, imu_type.schema, imu_type.size), 0);
	ck_assert_str_eq(type->name, "imu");
	ck_assert_str_eq(type->schema, imu_type.schema);
	shmb_type_free(type);
	ck_assert_int_eq(type_from_card(&type, &card, imu_type.schema, imu_type.size + 8), -EBADMSG);
	card.schema_hash++;
	ck_assert_int_eq(type_from_card(&type, &card, imu_type.schema, imu_type.size), -EBADMSG);
	card.schema_length = 3;
	ck_assert_int_eq(type_from_card(&type, &card, imu_type.schema, imu_type.size), -EBADMSG);
	ck_assert_ptr_nonnull(strstr(shmb_text(), "imu/main"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("type");

	unit_add(suite, declared, 5);
	unit_add(suite, fields_lie_where_the_compiler_put_them, 5);
	unit_add(suite, parsed, 5);
	unit_add(suite, bad_text, 5);
	unit_add(suite, opaque, 5);
	unit_add(suite, contradictions, 5);
	unit_add(suite, from_a_card, 5);
	return unit_run(suite);
}
