/* SPDX-License-Identifier: MIT */
/* Names that clients wait for. One list: there are few, and they are looked through only when a lease or a name changes. */
#include "interest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer.h"

static void interest_free(struct interest *interest)
{
	LIST_REMOVE(interest, link);
	LIST_REMOVE(interest, peer_link);
	interest->peer->interest_count--;
	free(interest);
}

int interest_add(struct interest_list *interests, struct peer *peer, const char *name)
{
	struct interest *interest;

	LIST_FOREACH (interest, &peer->interests, peer_link) {
		if (strcmp(interest->name, name) == 0)
			return 0;
	}
	if (peer->interest_count >= PEER_INTERESTS_MAX)
		return -EUSERS;
	interest = calloc(1, sizeof(*interest));
	if (interest == NULL)
		return -ENOMEM;
	interest->peer = peer;
	snprintf(interest->name, sizeof(interest->name), "%s", name);
	LIST_INSERT_HEAD(interests, interest, link);
	LIST_INSERT_HEAD(&peer->interests, interest, peer_link);
	peer->interest_count++;
	return 0;
}

void interest_tell(struct interest_list *interests, const char *name)
{
	struct interest *interest = LIST_FIRST(interests);

	while (interest != NULL) {
		struct interest *next = LIST_NEXT(interest, link);

		if (strcmp(interest->name, name) == 0) {
			event_page_bump(interest->peer->page);
			interest_free(interest);
		}
		interest = next;
	}
}

void interest_drop_peer(struct peer *peer)
{
	while (!LIST_EMPTY(&peer->interests))
		interest_free(LIST_FIRST(&peer->interests));
}
