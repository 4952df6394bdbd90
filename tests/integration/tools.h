/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_TOOLS_H
#define SHMB_TESTS_TOOLS_H

/* Runs of the command that end as is expected, and a type that it publishes and draws. */

#include "../support/client.h"
#include "command.h"

#include <string.h>

SHMB_TYPE(point, (uint64, stamp_ns)(float64, p, 3)(char, who, 8)(int16, k)(bool, on));

/* Runs; its exit status, and a word on stderr (NULL: nothing there). */
static inline void expect(struct broker *b, int status, const char *word, const char *const argv[])
{
	struct program_result result;

	program_run(&result, plain(b), argv);
	ck_assert_msg(result.status == status, "%s %s: exit status %d, not %d: %s", argv[1], argv[2], result.status, status, result.err);
	ck_assert_msg(word == NULL ? result.err[0] == '\0' : strstr(result.err, word) != NULL, "not '%s': %s", word == NULL ? "" : word,
		      result.err);
	program_result_deinit(&result);
}

#define EXPECT(b, status, word, ...) expect(b, status, word, ARGV(path_shmbctl(), __VA_ARGS__))

static inline double number_of(const json_t *json, const char *key)
{
	const json_t *value = json_object_get(json, key);

	ck_assert_msg(json_is_number(value), "%s is no number", key);
	return json_number_value(value);
}

#endif
