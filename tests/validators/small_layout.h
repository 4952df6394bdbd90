/* SPDX-License-Identifier: MIT */
#ifndef SHMB_PROTO_LAYOUT_H
#define SHMB_PROTO_LAYOUT_H

/*
 * proto/layout.h in small: all words are 8 bits wide, a cache line has 4 bytes, a page 64, the largest data part two pages. Who includes this
 * first and then proto/validate.c compiles the validator as it is, with words that wrap at 256 and limits that just keep its sums from it: every
 * value of a field can be tried.
 */

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Whoever includes this takes these names back when the validator is compiled. */
#define uint16_t uint8_t
#define uint32_t uint8_t
#define uint64_t uint8_t
#define int32_t int8_t
#undef UINT32_MAX
#define UINT32_MAX UINT8_MAX

enum {
	SHMB_PAGE = 64,
	SHMB_CACHE_LINE = 4,
	SHMB_NAME_MAX = 3,
	SHMB_TYPE_NAME_MAX = 2,
	SHMB_SCHEMA_MAX = 2 * 64,
	SHMB_COOKIE_BYTES = 2,
	SHMB_AREAS_MAX = 2,
	SHMB_CAPACITY_MIN = 2,
	SHMB_CAPACITY_MAX = 8,
	SHMB_PINS_PER_CELL = 2,
	SHMB_LINE_SHIFT = 2,
	SHMB_KEY_SHIFT = 1,
	SHMB_PAYLOAD_SHIFT_MAX = 3,
	SHMB_PAYLOAD_MAX = 8,
	SHMB_DATA_MAX = 128,
	SHMB_NUMBER_MAX = 64,
	SHMB_CARD_MAGIC = 0xc5,
	SHMB_EVENT_MAGIC = 0xe5,
	SHMB_LAYOUT_VERSION = 5,
	SHMB_LAYOUT_OLDEST = 3,
};

enum shmb_kind {
	SHMB_KIND_NONE = 0,
	SHMB_KIND_VALUE = 1,
	SHMB_KIND_RING = 2,
	SHMB_KIND_FRAME = 3,
	SHMB_KIND_QUEUE = 4,
	SHMB_KIND_BLOCK = 5,
};

enum { SHMB_BACKING_NAMED = 1, SHMB_BACKING_SEALED = 2 };
enum { SHMB_SEGMENT_STAMPED = 1, SHMB_SEGMENT_FLAGS_KNOWN = 1 };
enum shmb_key_type { SHMB_KEY_NONE = 0, SHMB_KEY_MONOTONIC_NS = 1, SHMB_KEY_REALTIME_NS = 2, SHMB_KEY_SEQUENCE = 3 };

#define SHMB_KEY_IS_STAMP UINT32_MAX
#define SHMB_KEY_IS_GIVEN (UINT32_MAX - 1)

struct shmb_shm_card {
	_Atomic uint32_t magic;
	uint16_t version;
	uint16_t oldest_reader;
	uint32_t card_bytes;
	uint32_t schema_offset;
	uint32_t schema_length;
	uint8_t kind;
	uint8_t backing;
	uint8_t key_type;
	uint64_t generation;
	uint64_t base;
	uint64_t data_bytes;
	uint64_t payload_bytes;
	uint64_t slot_offset;
	uint64_t pool_offset;
	uint64_t key_offset;
	uint64_t entry_offset;
	uint32_t flags;
	uint32_t slot_count;
	uint32_t pool_count;
	uint32_t entry_count;
	uint8_t slot_shift;
	uint8_t pool_shift;
	uint8_t key_shift;
	uint8_t entry_shift;
	uint32_t history;
	uint32_t key_field;
	uint32_t area_count;
	uint32_t payload_align;
	uint32_t pins;
	char name[SHMB_NAME_MAX + 1];
	char type[SHMB_TYPE_NAME_MAX + 1];
	uint8_t reserved[27];
};
_Static_assert(sizeof(struct shmb_shm_card) == SHMB_PAGE, "card");

struct shmb_shm_data {
	uint8_t head[2 * SHMB_CACHE_LINE];
};

struct shmb_shm_slot {
	uint8_t id[2];
	uint8_t stamp_ns[2];
};

struct shmb_shm_event {
	_Atomic uint32_t magic;
	uint16_t version;
	uint16_t oldest_reader;
	int32_t pid;
	uint8_t cookie[SHMB_COOKIE_BYTES];
};

#endif
