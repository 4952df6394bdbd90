/* SPDX-License-Identifier: MIT */
/*
 * Names of segments. A name is also a file name in the broker's directory: '/' becomes '%', which no name contains, so the two map one to
 * one; no part begins with a dot, so neither ".." nor a hidden file can come of it; ',' is no letter of a name, so what the store appends
 * after one cannot be mistaken.
 */
#include "name.h"

#include <errno.h>
#include <string.h>

static int fail(int error, const char **why, const char *text)
{
	if (why != NULL)
		*why = text;
	return error;
}

/* Not isalnum(): that one asks the locale. */
static int is_name_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

int shmb_name_check(const char *name, size_t length, const char **why)
{
	int part_begins = 1;

	if (length == 0)
		return fail(-EINVAL, why, "the name is empty");
	if (length > SHMB_NAME_MAX)
		return fail(-ENAMETOOLONG, why, "the name is longer than 200 bytes");
	for (size_t i = 0; i < length; i++) {
		if (name[i] == '/') {
			if (part_begins)
				return fail(-EINVAL, why, "a part of the name is empty");
			part_begins = 1;
			continue;
		}
		if (!is_name_byte(name[i]))
			return fail(-EINVAL, why, "a name consists of letters, digits, '_', '-' and '.', its parts joined by '/'");
		if (part_begins && name[i] == '.')
			return fail(-EINVAL, why, "a part of the name begins with a dot");
		part_begins = 0;
	}
	if (part_begins)
		return fail(-EINVAL, why, "the name ends with '/'");
	return 0;
}

int shmb_name_check_field(const char *field, size_t size, const char **why)
{
	size_t length = strnlen(field, size);

	if (length == size)
		return fail(-EINVAL, why, "the name is not terminated");
	for (size_t i = length; i < size; i++) {
		if (field[i] != '\0')
			return fail(-EINVAL, why, "there are bytes behind the end of the name");
	}
	return shmb_name_check(field, length, why);
}

void shmb_name_encode(const char *name, char *out)
{
	size_t i;

	for (i = 0; i < SHMB_NAME_MAX && name[i] != '\0'; i++)
		out[i] = (char)(name[i] == '/' ? '%' : name[i]);
	out[i] = '\0';
}

int shmb_name_decode(const char *file, size_t length, char *out)
{
	int r = length <= SHMB_NAME_MAX ? 0 : -EINVAL;

	for (size_t i = 0; r == 0 && i < length; i++) {
		if (file[i] == '/')
			r = -EINVAL;
		out[i] = (char)(file[i] == '%' ? '/' : file[i]);
	}
	if (r == 0 && shmb_name_check(out, length, NULL) < 0)
		r = -EINVAL;
	out[r == 0 ? length : 0] = '\0';
	return r;
}
