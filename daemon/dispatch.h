/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_DISPATCH_H
#define SHMB_DAEMON_DISPATCH_H

/*
 * Which request is allowed in which state of a connection, and who handles it: one table (dispatch.c).
 *
 *   CONNECTED --HELLO--> RESUMING --READY--> ACTIVE
 *
 * Only the handlers of HELLO and READY change the state, and only when they answer 0. A closed connection is freed, it has no state.
 */

#include "proto/message.h"

struct peer;
struct reply;

enum peer_state {
	PEER_CONNECTED = 0,
	PEER_RESUMING = 1,
	PEER_ACTIVE = 2,
	PEER_STATES = 3,
};

/* Makes the answer in `reply`. `tail` is the request's, head.tail_bytes long. Must not free the peer. */
typedef void dispatch_fn(struct peer *peer, const union shmb_msg_request *request, const char *tail, struct reply *reply);

struct dispatch_entry {
	const char *name;
	unsigned states; /* bit n: allowed in state n */
	dispatch_fn *fn;
};

/* The entry of an opcode, NULL unknown. */
const struct dispatch_entry *dispatch_find(uint16_t opcode);
/* 0 with *entry set; -ENOSYS unknown opcode, -EPROTO not in this state; `text` then says why and what to do. */
int dispatch_check(enum peer_state state, uint16_t opcode, const struct dispatch_entry **entry, char text[SHMB_TEXT_MAX]);

#endif
