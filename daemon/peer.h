/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_PEER_H
#define SHMB_DAEMON_PEER_H

/*
 * A connection: who is at the other end, how far the conversation has come, what was opened through it.
 *
 * One request is read when the answer to the one before has been taken by the client, so that a client that never reads costs one answer
 * and the descriptors in it, not more, and a broker's send never finds the queue full. Events are sent by the same rule: when the queue is
 * empty, and no request is read until they have been taken. A request that waits comes before the next events.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "dispatch.h"
#include "event_page.h"
#include "process.h"
#include "segment.h"

enum {
	PEERS_MAX = 1024,	    /* connections */
	PEERS_REFUSED_MAX = 32,	    /* connections beyond that which are told so */
	PEER_ATTACHMENTS_MAX = 256, /* handles open through one connection */
	PEER_INTERESTS_MAX = 64,    /* names waited for through one connection */
};

struct broker;
struct interest;
struct later;
struct making;
struct watch;

struct peer {
	LIST_ENTRY(peer) link;	       /* broker's */
	LIST_ENTRY(peer) process_link; /* only while process is set */
	struct broker *broker;
	uint64_t order;	       /* grows with each connection: the cursor of CLIENTS */
	uint64_t connected_ns; /* CLOCK_REALTIME */
	uint64_t received_ns;  /* CLOCK_MONOTONIC: its request that is being answered, or was last */
	uint64_t requests;     /* answered */
	uint64_t refusals;     /* of these with an error */
	int fd;
	struct account *account;   /* its user's; referenced */
	struct account *slowed_by; /* its next request is read when this account's turn comes; NULL none */
	uint64_t lap;		   /* of its account, in which it was served last */
	TAILQ_ENTRY(peer) hello_link;
	uint64_t accepted_ns;
	bool says_hello; /* has not introduced itself yet (hello.h) */
	struct loop_fd *watch;
	struct loop_drain *drain; /* set while the client has not taken our last answer */
	enum peer_state state;
	struct process *process; /* referenced; NULL when the connection is refused */
	struct holder holder;	 /* cookie valid after HELLO */
	gid_t gid;
	uint32_t *groups; /* all of them; access.c looks them up when it first needs them */
	size_t group_count;
	bool groups_known;
	struct event_page *page; /* after HELLO */
	LIST_HEAD(, attachment) attachments;
	uint32_t attachment_count;
	uint32_t handle_highest; /* of all that were ever attached: clients count up */
	LIST_HEAD(, interest) interests;
	uint32_t interest_count;
	struct making *making;	    /* the request that waits for memory (making.h); nothing is read until it is answered */
	struct later *later;	    /* the request that goes on in another turn (later.h); likewise */
	struct watch *watch_events; /* what it wants to be told of (watch.h); NULL nothing */
	bool told;		    /* events were sent since its last request */
	int refusal;		    /* negative errno: HELLO is answered with it */
	const char *refusal_text;
};

/* Takes a connection just accepted. On an error the descriptor is closed and nothing is left. */
int peer_new(struct broker *broker, int fd_consume);
/* Reads requests again, unless something else keeps it from that. */
void peer_read_on(struct peer *peer);
/* Handles a request anew that was put off, and answers it. The connection may be gone then. */
void peer_again(struct peer *peer, const void *packet, size_t length);
/* There are events for it: they are sent when it has taken what was sent before. */
void peer_tell(struct peer *peer);
/* Closes it. What it held is given up or, when its process is ending, left to that (liveness.h). */
struct peer *peer_close(struct peer *peer);
/* Frees it, its event page too; what it held must have been seen to. */
struct peer *peer_free(struct peer *peer);
/* The same at the end of the daemon: the event page stays for the next one to find. */
struct peer *peer_leave(struct peer *peer);

#endif
