/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_LATER_H
#define SHMB_DAEMON_LATER_H

/*
 * A request whose work takes longer than a turn (chores.h): its handler does a part, says from where it would go on, and is called again with that when
 * its turn has come. The connection's next request is read when it is answered, as ever.
 */

#include <stddef.h>

struct later;
struct peer;
struct reply;

/* Puts it off: `request` is what the handler gets next time, a request without a tail. Answers with an error where there is no memory for that. */
void later_defer(struct peer *peer, const void *request, size_t size, struct reply *reply);
/* The connection ends, or its request is answered. */
void later_drop(struct peer *peer);

#endif
