/* SPDX-License-Identifier: MIT */
/* Requests that are put off (later.h). */
#include "later.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker.h"
#include "peer.h"

struct later {
	struct chore chore;
	struct peer *peer; /* NULL: it is gone, or its request answered */
	bool runs;	   /* its handler is being called */
	union shmb_msg_request request;
	size_t size;
};

static enum chore_state on_turn(void *user)
{
	struct later *later = user;

	later->runs = true;
	peer_again(later->peer, &later->request, later->size);
	later->runs = false;
	if (later->peer != NULL)
		return CHORE_MORE;
	free(later);
	return CHORE_DONE;
}

void later_defer(struct peer *peer, const void *request, size_t size, struct reply *reply)
{
	struct later *later = peer->later;

	if (later == NULL)
		later = peer->later = calloc(1, sizeof(*later));
	if (later == NULL) {
		reply_error(reply, request, -ENOMEM, "the broker is out of memory");
		return;
	}
	later->peer = peer;
	later->size = size;
	memcpy(&later->request, request, size);
	if (!later->runs)
		chores_add_request(&peer->broker->chores, &later->chore, on_turn, later);
	reply->deferred = true;
}

void later_drop(struct peer *peer)
{
	struct later *later = peer->later;

	if (later == NULL)
		return;
	peer->later = NULL;
	later->peer = NULL;
	if (later->runs)
		return;
	chores_drop(&later->chore);
	free(later);
}
