/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_COMMAND_H
#define SHMB_TESTS_COMMAND_H

/* shmbctl run on a broker, without colours, and its lines of JSON. */

#include "../support/broker.h"

#include <jansson.h>

static inline const struct program_options *plain(const struct broker *b)
{
	static const char *environment[4];
	static struct program_options options;

	environment[0] = b->environment;
	environment[1] = "NO_COLOR=1";
	environment[2] = NULL;
	options.environment = environment;
	return &options;
}

#define SHMBCTL(result, b, ...) program_run(result, plain(b), ARGV(path_shmbctl(), __VA_ARGS__))

static inline json_t *object(const char *line)
{
	json_error_t error;
	json_t *json = json_loads(line, JSON_REJECT_DUPLICATES | JSON_DISABLE_EOF_CHECK, &error);

	ck_assert_msg(json_is_object(json), "no JSON object: %s: %s", error.text, line);
	return json;
}

#endif
