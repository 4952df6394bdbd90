/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_INTEREST_H
#define SHMB_DAEMON_INTEREST_H

/*
 * Names that clients wait for (SHMB_OPEN_NOTIFY): to appear, or to have their lease or consumer's place free. An interest is over
 * when it was told: the client asks again and says again that it wants to wait.
 */

#include <sys/queue.h>

#include "proto/layout.h"

struct peer;

struct interest {
	LIST_ENTRY(interest) link;	/* broker's */
	LIST_ENTRY(interest) peer_link; /* peer's */
	struct peer *peer;
	char name[SHMB_NAME_MAX + 1];
};

LIST_HEAD(interest_list, interest);

/* Remembers it; once for each name and connection. -EUSERS when the connection waits for PEER_INTERESTS_MAX names, -ENOMEM. */
int interest_add(struct interest_list *interests, struct peer *peer, const char *name);
/* Bumps the event pages of those who wait for the name. */
void interest_tell(struct interest_list *interests, const char *name);
void interest_drop_peer(struct peer *peer);

#endif
