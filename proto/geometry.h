/* SPDX-License-Identifier: MIT */
#ifndef SHMB_PROTO_GEOMETRY_H
#define SHMB_PROTO_GEOMETRY_H

/*
 * Where things lie in a data part: planned once by the broker when it makes a segment, checked once by everybody who maps one, and
 * from then on used from this private copy.
 */

#include "layout.h"

/*
 * What a client asks for.
 *
 *            capacity                       history  pins  key
 *   value    4 or 8                         0        0     none
 *   ring     2 to 2^20, a power of two      0        0     any
 *   frame    0                              1..4096  0..1024   any   pool of 1 + history + pins slots
 *   queue    2 to 2^20, a power of two      0        0     none
 *   block    0                              0        0     none
 */
struct shmb_request {
	enum shmb_kind kind;
	uint32_t flags;		/* enum shmb_segment_flags */
	uint32_t capacity;	/* slots; value and ring serve one less */
	uint32_t payload_align; /* a power of two, at most 64 */
	uint64_t payload_bytes;
	uint32_t history; /* frame: H, newest numbers that stay readable */
	uint32_t pins;	  /* frame: slots beyond 1 + H, for readers that hold on to older ones */
	enum shmb_key_type key_type;
	uint32_t
		key_field; /* offset of the key in the payload, or SHMB_KEY_IS_STAMP (also where there is no key), or, frame, SHMB_KEY_IS_GIVEN */
};

/* Checked numbers; every access computed from them stays inside data_bytes. */
struct shmb_geometry {
	enum shmb_kind kind;
	uint32_t flags;
	uint64_t data_bytes;
	uint64_t payload_bytes;
	uint64_t slot_offset;
	uint64_t pool_offset;
	uint64_t key_offset;
	uint64_t entry_offset;
	uint32_t slot_count;
	uint32_t pool_count;
	uint32_t entry_count;
	uint32_t history;
	uint32_t area_count;
	uint32_t payload_align;
	uint8_t slot_shift;
	uint8_t pool_shift;
	uint8_t key_shift;
	uint8_t entry_shift;
	uint8_t key_type;
	uint32_t key_field;
	uint32_t pins; /* of one reader of a frame, 1 to SHMB_PINS_PER_CELL; 0 elsewhere */
	uint64_t base;
	uint64_t generation;
};

/*
 * Lays out a segment. Pure. Returns 0 or
 *   -EINVAL        capacity no power of two or out of SHMB_CAPACITY_MIN..MAX, payload 0 or over SHMB_PAYLOAD_MAX, bad alignment, unknown
 * flags -EOPNOTSUPP    a kind that this version does not make -EFBIG         the whole would pass SHMB_DATA_MAX and then *why is a sentence
 * without a full stop for people (static storage).
 */
int shmb_geometry_plan(const struct shmb_request *request, uint32_t area_count, struct shmb_geometry *out, const char **why);

#endif
