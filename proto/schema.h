/* SPDX-License-Identifier: MIT */
#ifndef SHMB_PROTO_SCHEMA_H
#define SHMB_PROTO_SCHEMA_H

/*
 * Payload types as ROS 2 message definitions, restricted to what a flat C struct can be: fields of fixed-size primitives and fixed-size
 * arrays of them, one a line, `#` comments and blank lines allowed, no constants, strings, sequences or nested types.
 *
 *   uint64 stamp_ns
 *   float64[3] angular_velocity
 *
 * Fields lie at their natural alignment in the order of the text, the size is rounded up to the largest alignment: that is the struct a
 * C compiler makes of them on x86-64 and arm64, and byte for byte a CDR body (OMG CDR, little-endian, without its 4-byte header).
 */

#include "layout.h"

enum shmb_primitive {
	SHMB_BOOL = 1,
	SHMB_BYTE,
	SHMB_CHAR,
	SHMB_INT8,
	SHMB_UINT8,
	SHMB_INT16,
	SHMB_UINT16,
	SHMB_INT32,
	SHMB_UINT32,
	SHMB_INT64,
	SHMB_UINT64,
	SHMB_FLOAT32,
	SHMB_FLOAT64,
};

enum { SHMB_FIELD_NAME_MAX = 63, SHMB_FIELDS_MAX = 1024 };

struct shmb_field {
	char name[SHMB_FIELD_NAME_MAX + 1];
	enum shmb_primitive primitive;
	uint32_t size;	 /* bytes of one element */
	uint64_t count;	 /* elements; 1 and is_array false for a scalar */
	uint64_t offset; /* in the payload, bytes */
	int is_array;
};

struct shmb_schema {
	uint64_t hash; /* XXH3-64 of the text, every byte of it */
	uint64_t size; /* bytes of one payload */
	uint32_t align;
	uint32_t field_count;
	struct shmb_field *fields;
};

/*
 * Parses `length` bytes of text (untrusted, need not be NUL-terminated). On success *out is filled and owns `fields`
 * (shmb_schema_deinit). -EINVAL with *line (from 1) and *why set, -E2BIG beyond SHMB_SCHEMA_MAX / SHMB_FIELDS_MAX / SHMB_PAYLOAD_MAX,
 * -ENOMEM. `line` and `why` may be NULL.
 */
int shmb_schema_parse(const char *text, size_t length, struct shmb_schema *out, unsigned *line, const char **why);
void shmb_schema_deinit(struct shmb_schema *schema);

/* The hash alone, of text that need not parse. */
uint64_t shmb_schema_hash(const char *text, size_t length);

/* "uint64", ... ; NULL for no primitive. */
const char *shmb_primitive_name(enum shmb_primitive primitive);

#endif
