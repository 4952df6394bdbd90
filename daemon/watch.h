/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_WATCH_H
#define SHMB_DAEMON_WATCH_H

/*
 * WATCH, and the EVENT messages that follow it: clients that are told what happens.
 *
 * The newest events lie in one ring for all watchers, which exists while there is one. Each watcher is sent what is new to it and meets its
 * pattern, as many as fit one packet, when it has taken the packet before; what is overwritten in the ring before it was sent is counted
 * as lost, and the count goes with the next packet. So a watcher that does not read costs one packet, and holds up nobody.
 */

#include <stdbool.h>
#include <sys/queue.h>

#include "dispatch.h"
#include "event.h"

struct broker;
struct reply;
struct watch;
struct watch_ring;

enum {
	WATCH_MAX = 64,	      /* watchers: an event costs a system call for each */
	WATCH_USER_MAX = 32,  /* of one user that is not the daemon's */
	WATCH_RING_MAX = 256, /* events kept */
};

struct watch_list {
	LIST_HEAD(, watch) watches;
	struct watch_ring *ring; /* NULL: nobody watches */
	uint32_t count;
};

dispatch_fn watch_start;
/* Ends what the connection watches, if it does. */
void watch_end(struct peer *peer);

/* Keeps an event for those who watch. */
void watch_event(struct broker *broker, const struct event *event, unsigned level, const char *text);

/* Is there something to be sent to this connection? */
bool watch_has_news(const struct peer *peer);
/* Makes the next packet of events for it. */
void watch_fill(struct peer *peer, struct reply *reply);

#endif
