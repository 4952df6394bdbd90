/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_PATTERN_H
#define SHMB_DAEMON_PATTERN_H

/*
 * Patterns of names: '*' matches any bytes, '/' among them, '?' one byte. Pure.
 *
 * Both sides may be chosen to be slow, so the time does not depend on them: a name is prepared once and then compared with any number of patterns, each in
 * a few steps for each of its bytes. All places in the name at which the part of the pattern read so far can end are kept at once, one bit each.
 */

#include <stdbool.h>
#include <stdint.h>

#include "proto/layout.h"

enum {
	PATTERN_BYTES = 128, /* names are ASCII */
	PATTERN_WORDS = (SHMB_NAME_MAX + 1 + 63) / 64,
};

struct pattern_name {
	unsigned length;
	unsigned words;				   /* that hold places 0 to length */
	uint64_t at[PATTERN_BYTES][PATTERN_WORDS]; /* bit i of a byte: it is the name's byte i */
};

/* A name longer than names are is met by no pattern. */
void pattern_name_init(struct pattern_name *out, const char *name);
bool pattern_meets(const char *pattern, const struct pattern_name *name);

#endif
