/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_RECORD_H
#define SHMB_DAEMON_RECORD_H

/*
 * The record of a segment: what the broker must find again after its restart and nobody else may see. A file of two pages, never handed
 * out. It is made first and removed last; `segment_id` and `generation` tie it to its card.
 *
 *   offset size field
 *        0    4 magic          SHMB_RECORD_MAGIC
 *        4    2 version        RECORD_VERSION
 *        6    2 oldest_reader  oldest version that understands this
 *        8    8 segment_id     as in the card
 *       16    8 generation
 *       24    4 owner_uid      who made the segment
 *       28    4 owner_gid
 *       32    4 policy_class   0: the built-in default
 *       36    4 step           of a change that needs more than the order of its stores: 0, none does yet
 *       40    8 committed      of a superseded generation: numbers below it were published
 *       48    4 writer_uid     who may write it and is charged for it
 *       52    4 has_writer_uid 1; 0 (made before there was such a field): the owner
 *       56    8 reserved0
 *       64   16 lease_cookie   of the connection that holds the lease; counts only while the card's lease_pid is not 0
 *       80    4 area_backing   enum shmb_backing of the reader areas; 0: named
 *       84  940 reserved1
 *     1024 5952 cells          SHMB_CELLS_MAX, counting only while the card's cell has a pid
 *     6976 1216 reserved2
 *
 * Of a cell:
 *        0   16 cookie
 *       16    4 uid
 *       20    4 role           enum shmb_role; 0: a reader
 *       24    8 reserved
 */

#include "proto/layout.h"

#define SHMB_RECORD_MAGIC UINT32_C(0x52424d53) /* "SMBR" */

enum {
	RECORD_VERSION = 1,
	RECORD_OLDEST = 1,
	RECORD_BYTES = 2 * SHMB_PAGE,
};

struct shmb_shm_record_cell {
	uint8_t cookie[SHMB_COOKIE_BYTES];
	uint32_t uid;
	uint32_t role;
	uint32_t reserved[2];
};

struct shmb_shm_record {
	_Atomic uint32_t magic;
	uint16_t version;
	uint16_t oldest_reader;
	uint64_t segment_id;
	uint64_t generation;
	uint32_t owner_uid;
	uint32_t owner_gid;
	uint32_t policy_class;
	uint32_t step;
	uint64_t committed;
	uint32_t writer_uid;
	uint32_t has_writer_uid;
	uint8_t reserved0[8];
	uint8_t lease_cookie[SHMB_COOKIE_BYTES];
	uint32_t area_backing;
	uint8_t reserved1[940];
	struct shmb_shm_record_cell cells[SHMB_CELLS_MAX];
	uint8_t reserved2[1216];
};
SHMB_AT(shmb_shm_record, segment_id, 8);
SHMB_AT(shmb_shm_record, owner_uid, 24);
SHMB_AT(shmb_shm_record, policy_class, 32);
SHMB_AT(shmb_shm_record, step, 36);
SHMB_AT(shmb_shm_record, committed, 40);
SHMB_AT(shmb_shm_record, writer_uid, 48);
SHMB_AT(shmb_shm_record, lease_cookie, 64);
SHMB_AT(shmb_shm_record, area_backing, 80);
SHMB_AT(shmb_shm_record, cells, 1024);
SHMB_AT(shmb_shm_record_cell, uid, 16);
SHMB_AT(shmb_shm_record_cell, role, 20);
_Static_assert(sizeof(struct shmb_shm_record_cell) == 32, "record cell");
_Static_assert(sizeof(struct shmb_shm_record) == RECORD_BYTES, "record");

#endif
