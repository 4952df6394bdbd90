/* SPDX-License-Identifier: MIT */
/* Names of segments: what is one, what is none, and the way to a file name and back. */
#include "proto/name.h"
#include "tests/support/unit.h"

#include <errno.h>
#include <string.h>

static int check(const char *name)
{
	const char *why = NULL;
	int r = shmb_name_check(name, strlen(name), &why);

	ck_assert((r == 0) == (why == NULL));
	ck_assert_int_eq(shmb_name_check(name, strlen(name), NULL), r);
	return r;
}

START_TEST(valid_names)
{
	static const char *const names[] = {
		"a", "imu", "imu/main", "-", "_", "A.b-c_9", "0/1/2", "a..b", "a.", "camera-0/left.raw", "x/-/y",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		ck_assert_msg(check(names[i]) == 0, "%s", names[i]);
}
END_TEST

START_TEST(invalid_names)
{
	static const char *const names[] = {
		"",    "/",   "/a",  "a/",   "a//b", ".",     ".a",	  "..",	  "a/.", "a/..", "a/../b", "../a",
		"a b", "a,b", "a%b", "a\nb", "a\tb", "a\x7f", "\xc3\xa4", "a\\b", "a:b", "a*",	 "~",	   "a\x01",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		ck_assert_msg(check(names[i]) == -EINVAL, "%s", names[i]);
	ck_assert_int_eq(shmb_name_check("a\0b", 3, NULL), -EINVAL);
}
END_TEST

/* Every byte, at the beginning of a part and inside one. */
START_TEST(every_byte)
{
	static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

	for (int c = 0; c < 256; c++) {
		char name[3] = { 'x', (char)c, 'x' };
		int leads = c != 0 && strchr(first, c) != NULL;

		ck_assert_int_eq(shmb_name_check(name + 1, 2, NULL) == 0, leads);
		ck_assert_int_eq(shmb_name_check(name, 3, NULL) == 0, leads || c == '.' || c == '/');
	}
}
END_TEST

START_TEST(longest_name)
{
	char name[SHMB_NAME_MAX + 2];

	memset(name, 'n', sizeof(name));
	ck_assert_int_eq(shmb_name_check(name, SHMB_NAME_MAX, NULL), 0);
	ck_assert_int_eq(shmb_name_check(name, SHMB_NAME_MAX + 1, NULL), -ENAMETOOLONG);
}
END_TEST

START_TEST(name_in_a_field)
{
	char field[SHMB_NAME_MAX + 8] = "imu/main";
	const char *why = NULL;

	ck_assert_int_eq(shmb_name_check_field(field, sizeof(field), &why), 0);
	for (size_t i = strlen("imu/main") + 1; i < sizeof(field); i++) {
		field[i] = 'x';
		ck_assert_int_eq(shmb_name_check_field(field, sizeof(field), &why), -EINVAL);
		ck_assert_ptr_nonnull(why);
		field[i] = '\0';
	}
	field[0] = '\0';
	ck_assert_int_lt(shmb_name_check_field(field, sizeof(field), &why), 0);
	memset(field, 'x', sizeof(field));
	ck_assert_int_eq(shmb_name_check_field(field, sizeof(field), &why), -EINVAL);
	memset(field + SHMB_NAME_MAX, 0, 8);
	ck_assert_int_eq(shmb_name_check_field(field, sizeof(field), &why), 0);
	field[SHMB_NAME_MAX] = 'x';
	ck_assert_int_eq(shmb_name_check_field(field, sizeof(field), &why), -ENAMETOOLONG);
}
END_TEST

START_TEST(file_names)
{
	char file[SHMB_NAME_MAX + 1];
	char name[SHMB_NAME_MAX + 1];

	shmb_name_encode("a/b-c/d.e", file);
	ck_assert_str_eq(file, "a%b-c%d.e");
	ck_assert_int_eq(shmb_name_decode(file, strlen(file), name), 0);
	ck_assert_str_eq(name, "a/b-c/d.e");

	memset(name, 'n', SHMB_NAME_MAX);
	name[SHMB_NAME_MAX] = '\0';
	shmb_name_encode(name, file);
	ck_assert_uint_eq(strlen(file), SHMB_NAME_MAX);
	ck_assert_int_eq(shmb_name_decode(file, SHMB_NAME_MAX, name), 0);
	ck_assert_str_eq(name, file);
}
END_TEST

START_TEST(foreign_file_names)
{
	static const char *const files[] = { "", "a/b", "/", "%", "%a", "a%", "a%%b", ".", "..", ".hidden", "a%..", "a,1", "a b", "a\xff" };
	char long_file[SHMB_NAME_MAX + 1];
	char name[SHMB_NAME_MAX + 1];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		ck_assert_msg(shmb_name_decode(files[i], strlen(files[i]), name) == -EINVAL, "%s", files[i]);
		ck_assert_str_eq(name, "");
	}
	ck_assert_int_eq(shmb_name_decode("a\0b", 3, name), -EINVAL);
	memset(long_file, 'f', sizeof(long_file));
	ck_assert_int_eq(shmb_name_decode(long_file, sizeof(long_file), name), -EINVAL);
}
END_TEST

/* Whatever decodes, encodes to the same again. */
START_TEST(random_file_names)
{
	static const char bytes[] = "ab%./-_,9";
	uint64_t random = 1;

	for (int round = 0; round < 100000; round++) {
		char file[9] = "";
		char name[SHMB_NAME_MAX + 1];
		char again[SHMB_NAME_MAX + 1];
		size_t length = unit_random(&random) % 8;

		for (size_t i = 0; i < length; i++)
			file[i] = bytes[unit_random(&random) % (sizeof(bytes) - 1)];
		if (shmb_name_decode(file, length, name) == 0) {
			ck_assert_int_eq(shmb_name_check(name, strlen(name), NULL), 0);
			shmb_name_encode(name, again);
			ck_assert_str_eq(again, file);
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("name");

	unit_add(suite, valid_names, 5);
	unit_add(suite, invalid_names, 5);
	unit_add(suite, every_byte, 5);
	unit_add(suite, longest_name, 5);
	unit_add(suite, name_in_a_field, 5);
	unit_add(suite, file_names, 5);
	unit_add(suite, foreign_file_names, 5);
	unit_add(suite, random_file_names, 10);
	return unit_run(suite);
}
