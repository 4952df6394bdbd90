/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_STRAYS_H
#define SHMB_DAEMON_STRAYS_H

/*
 * Files of other programs that begin with safe-shm's ShmHeader: segments that nobody supervises. They are listed, and where the operator says
 * `foreign = reap` removed when they are of no use to anybody.
 *
 * That is so when the process that its header names as the writer has ended, and no process on this host has the file open or mapped: the kernel says
 * so by granting a write lease (fcntl(2), F_SETLEASE). A header without a process, a process that cannot be looked at, a lease that cannot be had:
 * each counts as alive. So the writer's number may mean nothing here (another pid namespace) or be used again: a file in use stays.
 */

#include "chores.h"
#include "reply.h"

struct broker;
struct loop_timer;

struct strays {
	struct loop_timer *timer; /* only while the policy is to reap */
	struct chore look;
	uint64_t from; /* where that goes on in the directory */
};

/* After the configuration was put in place: looks at once, then in intervals, where the policy is to reap; else never. */
void strays_follow(struct broker *broker);
void strays_deinit(struct broker *broker);
/* Lists them in an answer to GC, and removes those that go unless it is a dry run. */
void strays_answer(struct broker *broker, const struct shmb_msg_gc *gc, struct reply *reply, struct shmb_msg_gc_answer *answer);

#endif
