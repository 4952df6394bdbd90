/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_KEPT_H
#define SHMB_DAEMON_KEPT_H

/*
 * Cards, records and reader areas that were used lately stay mapped, and of segments that somebody has open also the descriptors stay that were handed
 * to readers last: opening, mapping, touching and unmapping files for each request takes several times as long as the request itself. A few
 * segments only; the one used longest ago makes room.
 *
 * Both are used only while their file still lies under its name. What was put in its place is opened anew, and judged as ever. The
 * directory tells with one fstat for all of them whether anything in it has a new name or none (its ctime); only after that has happened each file is
 * looked at. Who makes a file shorter is met as everywhere (foreign.h).
 *
 * A descriptor that is lent shares its open file with all who got it. They see the same position and could keep each other from moving it
 * (f_pos_lock); so nobody reads or seeks in it, here or in the client: it is looked at and mapped.
 */

#include <sys/queue.h>
#include <sys/types.h>
#include <time.h>

#include "parts.h"

enum {
	KEPT_MAX = 16,	   /* segments */
	KEPT_FDS_MAX = 64, /* descriptors: a reader gets three of a segment */
};

struct kept_part {
	struct foreign map;
	int fd; /* -1 none; of the same file as the map */
	dev_t device;
	ino_t inode;
	uint64_t seen; /* the state of the directory in which it lay under its name; 0: to be looked at */
};

struct kept {
	char name[SHMB_NAME_MAX + 8];
	uint64_t segment_id;
	uint64_t generation;
	struct kept_part card;
	struct kept_part record;
	struct kept_part data;
	struct kept_part areas[SHMB_AREAS_MAX];
	TAILQ_ENTRY(kept) link; /* the one used last first */
};

TAILQ_HEAD(kept_head, kept);

struct kept_list {
	struct kept_head list;
	unsigned count;
	unsigned fd_count;
	unsigned fd_max; /* of KEPT_FDS_MAX, what our limit of descriptors allows; the segment used last keeps what it has */

	uint64_t state;	       /* of the directory: grows when it may have changed */
	uint64_t since_ns;     /* CLOCK_MONOTONIC: seen like this first */
	struct timespec ctime; /* its own */
	bool in_request;       /* one look serves all of a request */
	bool looked;
};

/* NULL: no memory. Ended with kept_free(), which takes and returns NULL. */
struct kept_list *kept_new(void);
struct kept_list *kept_free(struct kept_list *kept);
/* A request begins, or has ended (false). */
void kept_request(struct kept_list *kept, bool begins);
/* Maps a whole card's page, record or area, or finds it mapped; *map borrows it. Errors as part_map(); -ENOMEM. */
int kept_map(struct store *store, const struct segment *segment, enum part part, uint32_t area, struct foreign *map);
/*
 * The descriptor of a card or data part (read-only) or an area, to be handed out at once: it is lent, until the next call of a function of this file
 * that may throw its segment out. Or errors as part_open(); -ENOMEM.
 */
int kept_open(struct store *store, const struct segment *segment, enum part part, uint32_t area);
/* Nobody has the segment open any more: no descriptor of it is kept. */
void kept_close(struct store *store, const struct segment *segment);
/* These files are removed. */
void kept_forget(struct store *store, const char *name, uint64_t generation);

#endif
