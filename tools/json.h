/* SPDX-License-Identifier: MIT */
#ifndef SHMBCTL_JSON_H
#define SHMBCTL_JSON_H

/*
 * Output for programs: every object is one line. Keys keep their order and are never renamed; times are integer nanoseconds; what is
 * unknown or does not apply is null, never left out.
 */

#include <jansson.h>

#include <stdbool.h>
#include <stdint.h>

/* Foreign bytes as a string: UTF-8 as it is, anything else byte by byte as the code points U+0000 to U+00FF. NULL gives null. */
json_t *json_text(const char *text);
/* null from 2^63 on: our counters and times do not get there, so such a value stands for "none" or "infinite". */
json_t *json_u64(uint64_t value);
/* "0123456789abcdef" */
json_t *json_hash(uint64_t value);
/* Prints the object as one line and gives up the reference. 0, -ENOMEM (also for a NULL object), or as output_flush(). */
int json_line(json_t *object_consume);

#endif
