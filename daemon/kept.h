/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_KEPT_H
#define SHMB_DAEMON_KEPT_H

/*
 * Cards, records and reader areas that were used lately stay mapped: opening, mapping, touching and unmapping them for each request takes
 * several times as long as the request itself. A few segments only, the one used longest ago makes room, and no descriptor is held.
 *
 * A mapping is used only while its file still lies under its name and has its size: one fstatat each time. What was put in its place is
 * mapped anew, and judged as ever. Who makes it shorter afterwards is met as everywhere (foreign.h).
 */

#include <sys/queue.h>
#include <sys/types.h>

#include "parts.h"

enum { KEPT_MAX = 16 };

struct kept_part {
	struct foreign map;
	dev_t device;
	ino_t inode;
};

struct kept {
	char name[SHMB_NAME_MAX + 8];
	uint64_t segment_id;
	uint64_t generation;
	struct kept_part card;
	struct kept_part record;
	struct kept_part areas[SHMB_AREAS_MAX];
	TAILQ_ENTRY(kept) link; /* the one used last first */
};

TAILQ_HEAD(kept_head, kept);

struct kept_list {
	struct kept_head list;
	unsigned count;
};

/* NULL: no memory. Ended with kept_free(), which takes and returns NULL. */
struct kept_list *kept_new(void);
struct kept_list *kept_free(struct kept_list *kept);
/* Maps a whole card's page, record or area, or finds it mapped; *map borrows it. Errors as part_map(); -ENOMEM. */
int kept_map(struct store *store, const struct segment *segment, enum part part, uint32_t area, struct foreign *map);
/* These files are removed. */
void kept_forget(struct store *store, const char *name, uint64_t generation);

#endif
