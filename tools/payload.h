/* SPDX-License-Identifier: MIT */
#ifndef SHMBCTL_PAYLOAD_H
#define SHMBCTL_PAYLOAD_H

/*
 * Payloads decoded by their schema. The fields are looked up once; numbers are printed exactly: integers in full, floating point with as
 * few digits as give the same value again.
 */

#include "shmb.h"

#include <stdbool.h>

struct payload;

/* -ENOMEM, or an error of shmb_type_fields(). */
int payload_new(struct payload **out, const struct shmb_type *type);
struct payload *payload_free(struct payload *payload);

/*
 * The first `length` bytes of a payload; fields beyond are left out by the first and null in the second.
 *
 * One field a line, aligned. Arrays are cut after their first elements unless `full`.
 */
void payload_print_text(const struct payload *payload, const void *bytes, size_t length, bool full);
/*
 * {"field":value,...} on the current line. NaN and infinities are null, for JSON has none; and so are arrays of more than
 * PAYLOAD_JSON_ELEMENTS unless `full`: the pixels of a picture are for `snap`.
 */
enum { PAYLOAD_JSON_ELEMENTS = 4096 };
void payload_print_json(const struct payload *payload, const void *bytes, size_t length, bool full);

/* A field by its name, with the index of one of its elements in brackets where it is an array: "gyro[2]". */
struct payload_place {
	size_t offset;
	size_t size;
	const char *primitive; /* its ROS 2 name, static */
};
/* -ENOENT no such field, -EINVAL an array without an index, an index without an array, or one too large. */
int payload_find(const struct payload *payload, const char *name, struct payload_place *out);
/* The number there, whatever its primitive. */
double payload_number(const struct payload_place *place, const void *bytes);

/*
 * Writes text into the field, at all of its elements if it is an array without an index and the text is a list in brackets, "[1, 2.5, 3]"; an
 * array of char takes text. Integers: decimal or 0x...; "now": CLOCK_MONOTONIC nanoseconds. *why is a static sentence.
 * -ENOENT no such field; -EINVAL no such number; -ERANGE it does not fit; -E2BIG more elements than the array has (the rest is 0 where there are
 * fewer).
 */
int payload_set(const struct payload *payload, void *bytes, const char *name, const char *text, const char **why);
/* Name of field i in order; NULL behind the last. */
const char *payload_field_name(const struct payload *payload, size_t i);

#endif
