/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_PARTS_H
#define SHMB_DAEMON_PARTS_H

/*
 * The files of a segment: their names, and mapping them for one change. Shared by the files that make up segment.h; not for others.
 */

#include "foreign.h"
#include "record.h"
#include "segment.h"

enum part {
	PART_CARD,
	PART_RECORD,
	PART_DATA,
	PART_AREA, /* with its index */
};

/* "NAME,G", "NAME,G,record", "NAME,G,data", "NAME,G,area0" */
void part_file(char out[STORE_FILE_MAX], const char *name, uint64_t generation, enum part part, uint32_t area);

/* A file name taken apart. */
struct part_name {
	size_t name_length; /* bytes of the (encoded) name at the beginning */
	uint64_t generation;
	enum part part;
	uint32_t area;
};

/* -EINVAL for what part_file() would not make. */
int part_parse(const char *file, struct part_name *out);

/* Opens a part of the segment, a sealed one too: -ENOENT, -EPERM, -EBADMSG no regular file. */
int part_open(struct store *store, const struct segment *segment, enum part part, uint32_t area, int flags);
/* Opens and maps it, and lets the descriptor go. -EBADMSG also when the file ends before the range. */
int part_map(struct store *store, const struct segment *segment, enum part part, uint32_t area, uint64_t offset, size_t bytes,
	     bool writable, struct foreign *map);

/* Card and record of a segment, mapped for one change. */
struct parts {
	struct foreign card_map;
	struct foreign record_map;
	struct shmb_shm_card *card;
	struct shmb_shm_record *record;
};

int parts_map(struct store *store, const struct segment *segment, bool writable, struct parts *parts);
void parts_unmap(struct parts *parts);
/* Are these the segment's own, and not files somebody put in their place? Only inside foreign_call(). 0 or -ESTALE. */
int parts_check(const struct parts *parts, const struct segment *segment);

#define auto_parts __attribute__((cleanup(parts_unmap)))

/* Rounds up to whole pages. */
static inline uint64_t part_pages(uint64_t bytes)
{
	return (bytes + SHMB_PAGE - 1) & ~(uint64_t)(SHMB_PAGE - 1);
}

/* Bytes of all files of a segment. */
uint64_t parts_bytes(const struct shmb_geometry *geometry, uint32_t schema_length);

/* Removes every file but the card, now or, with an error, later (debris.h). Missing files are none. */
int parts_unlink_rest(struct store *store, const char *name, uint64_t generation);

#endif
