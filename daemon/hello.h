/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_HELLO_H
#define SHMB_DAEMON_HELLO_H

/*
 * Connections whose client has not introduced itself (HELLO to READY): closed when their time is over. They lie in the order of their coming, with one
 * timer for the oldest; without one of them there is none.
 */

#include <sys/queue.h>

struct broker;
struct loop_timer;
struct peer;

struct hello_list {
	TAILQ_HEAD(, peer) peers;
	struct loop_timer *timer;
};

int hello_init(struct broker *broker);
void hello_deinit(struct broker *broker);
/* A connection has come. */
void hello_wait(struct peer *peer);
/* That time is another one from here on, for those that are waited for, too. */
void hello_follow(struct broker *broker);
/* It has introduced itself, or ends. */
void hello_end(struct peer *peer);

#endif
