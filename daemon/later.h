/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_LATER_H
#define SHMB_DAEMON_LATER_H

/*
 * A request whose work takes longer than a turn (chores.h): its handler does a part, says from where it would go on, and is called again with that when
 * its turn has come. The connection's next request is read when it is answered, as ever. Users take turns, however many requests each has put off: one
 * chore does a piece of one of a user's requests, and of the next one of his when it has its turn again.
 */

#include <stddef.h>
#include <sys/queue.h>

#include "chores.h"

struct later;
struct peer;
struct reply;

/* Of one user; in his account. */
struct later_list {
	TAILQ_HEAD(, later) list;
	struct chore chore; /* added while there is one */
};

/* Puts it off: `request` is what the handler gets next time, a request without a tail. Answers with an error where there is no memory for that. */
void later_defer(struct peer *peer, const void *request, size_t size, struct reply *reply);
/* The connection ends, or its request is answered. */
void later_drop(struct peer *peer);

#endif
