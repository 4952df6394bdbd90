/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_DEBRIS_H
#define SHMB_DAEMON_DEBRIS_H

#include "store.h"

/*
 * Files of ours that were to be removed and could not be: the name they stand in the way of is free again as soon as the cause is gone, and not only
 * after the next start. Each is tried again before another file is made or removed, and by the timer of memory on its way out (gone.h), at growing
 * intervals up to ten seconds. Those of one set (a generation's files) are removed in the order in which they came: a record never before the rest
 * of it, by which a daemon after this one knows that the rest is ours. One that cannot be removed holds up its own set and no other.
 *
 * At most DEBRIS_MAX are remembered. What comes when there are as many stays until the next start, which removes it, and the log says so once.
 */

enum {
	DEBRIS_MAX = 1024, /* some 300 KiB: a hundred segments of ten files */
	/* Had beforehand: what takes the files' removal away (a full table of descriptors, of memory) often takes memory as well. A set is ten. */
	DEBRIS_SPARE = 16,
};

/* -ENOMEM. */
int debris_init(struct store *store);

/*
 * Removes the file, behind all of its set that is to be removed before it. 0, also where there is none; the error, and it is remembered; -ENOBUFS: it is
 * not, and what comes behind it in its set must stay as well.
 */
int debris_unlink(struct store *store, const char *file);
/* Tries again. 0: nothing is left; else the error of the oldest. */
int debris_sweep(struct store *store);
/* The name is that of a new file: what it was before is gone. */
void debris_forget(struct store *store, const char *file);
/* Tries a last time, and forgets all; also after an init that failed. */
void debris_end(struct store *store);

#endif
