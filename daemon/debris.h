/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_DEBRIS_H
#define SHMB_DAEMON_DEBRIS_H

#include "store.h"

/*
 * Files of ours that were to be removed and could not be: the name they stand in the way of is free again as soon as the cause is gone, and not only
 * after the next start. They are removed in the order in which they came, before another file is made: a record never before the rest of its set, by
 * which a daemon after this one knows that the rest is ours.
 */

/* Removes the file, behind all that is to be removed before it. 0, also where there is none; else it is remembered. */
int debris_unlink(struct store *store, const char *file);
/* Tries again. 0: nothing is left. */
int debris_sweep(struct store *store);
/* The name is that of a new file: what it was before is gone. */
void debris_forget(struct store *store, const char *file);
/* Tries a last time, and forgets all. */
void debris_end(struct store *store);

#endif
