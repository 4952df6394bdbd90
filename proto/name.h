/* SPDX-License-Identifier: MIT */
#ifndef SHMB_PROTO_NAME_H
#define SHMB_PROTO_NAME_H

/* Names of segments: parts of [A-Za-z0-9_-][A-Za-z0-9_.-]* joined by '/', at most SHMB_NAME_MAX bytes. */

#include "layout.h"

/* Checks `length` bytes (no NUL among them). 0, or -EINVAL / -ENAMETOOLONG with *why set (a static sentence). */
int shmb_name_check(const char *name, size_t length, const char **why);

/* Checks a NUL-terminated, NUL-filled field of `size` bytes as it lies in a message or card: the name, then only NULs. */
int shmb_name_check_field(const char *field, size_t size, const char **why);

/* Name to file name ('/' becomes '%') and back. `out` holds SHMB_NAME_MAX + 1 bytes. The name must have been checked; decode checks
 * and returns -EINVAL for what no name encodes to. */
void shmb_name_encode(const char *name, char *out);
int shmb_name_decode(const char *file, size_t length, char *out);

#endif
