/* SPDX-License-Identifier: MIT */
/* Requests that are put off (later.h). */
#include "later.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "account.h"
#include "broker.h"
#include "peer.h"

struct later {
	TAILQ_ENTRY(later) link; /* its user's, not while its handler is being called */
	struct peer *peer;	 /* NULL: it is gone, or its request answered */
	bool runs;		 /* its handler is being called */
	union shmb_msg_request request;
	size_t size;
};

/* A piece of the user's work: of the request of his that has waited longest. */
static enum chore_state on_turn(void *user)
{
	struct account *account = user;
	struct later *later = TAILQ_FIRST(&account->later.list);

	TAILQ_REMOVE(&account->later.list, later, link);
	later->runs = true;
	peer_again(later->peer, &later->request, later->size);
	later->runs = false;
	if (later->peer != NULL)
		TAILQ_INSERT_TAIL(&account->later.list, later, link);
	else
		free(later);
	return TAILQ_EMPTY(&account->later.list) ? CHORE_DONE : CHORE_MORE;
}

void later_defer(struct peer *peer, const void *request, size_t size, struct reply *reply)
{
	struct later_list *list = &peer->account->later;
	struct later *later = peer->later;

	if (later == NULL)
		later = peer->later = calloc(1, sizeof(*later));
	if (later == NULL) {
		reply_error(reply, request, -ENOMEM, "the broker is out of memory");
		return;
	}
	later->size = size;
	memcpy(&later->request, request, size);
	if (later->peer == NULL) {
		TAILQ_INSERT_TAIL(&list->list, later, link);
		chores_add_request(&peer->broker->chores, &list->chore, on_turn, peer->account);
	}
	later->peer = peer;
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
	TAILQ_REMOVE(&peer->account->later.list, later, link);
	if (TAILQ_EMPTY(&peer->account->later.list))
		chores_drop(&peer->account->later.chore);
	free(later);
}
