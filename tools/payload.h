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

/* One field a line, aligned. Arrays are cut after their first elements unless `full`. */
void payload_print_text(const struct payload *payload, const void *bytes, bool full);
/* {"field":value,...} on the current line. NaN and infinities are null, for JSON has none. */
void payload_print_json(const struct payload *payload, const void *bytes);

#endif
