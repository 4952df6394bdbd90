/* SPDX-License-Identifier: MIT */
/*
 * The few shapes of value that shmbctl prints as JSON, on top of jansson. Integers of payloads, which need all 64 bits unsigned, do not
 * come through here: payload.c prints them.
 */

#include "json.h"

#include "output.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json_t *json_text(const char *text)
{
	json_t *string;
	char *wide;
	char *at;

	if (!text)
		return json_null();
	string = json_string(text);
	if (string)
		return string;
	wide = at = malloc(2 * strlen(text) + 1);
	if (!wide)
		return NULL;
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < 0x80) {
			*at++ = (char)c;
		} else {
			*at++ = (char)(0xc0 | c >> 6);
			*at++ = (char)(0x80 | (c & 0x3f));
		}
	}
	*at = 0;
	string = json_string(wide);
	free(wide);
	return string;
}

json_t *json_u64(uint64_t value)
{
	return value > INT64_MAX ? json_null() : json_integer((json_int_t)value);
}

json_t *json_hash(uint64_t value)
{
	return json_sprintf("%016" PRIx64, value);
}

int json_line(json_t *object_consume)
{
	char *line = object_consume ? json_dumps(object_consume, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;

	json_decref(object_consume);
	if (!line)
		return -ENOMEM;
	puts(line);
	free(line);
	return output_flush();
}
