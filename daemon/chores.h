/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_CHORES_H
#define SHMB_DAEMON_CHORES_H

/*
 * Work that grows with what somebody has: the end of a process with thousands of segments, the same number of linger times that are over at once. It is
 * done in pieces, CHORES_TURN_NS of it in each round of the loop, so that requests come in between; several such works take turns piece by piece.
 *
 * The same measure holds for one request that looks at many segments: it stops after CHORES_TURN_NS, with the part of the answer that there is, or
 * is put off and goes on from there (later.h). However many of these there are, half of each turn is for the other work: nobody delays repair by asking.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

enum chore_state {
	CHORE_DONE, /* it was the last piece, and the chore may be gone */
	CHORE_MORE,
	CHORE_RESTS, /* something is missing that may come back: again in CHORES_REST_NS */
};

struct loop;
struct loop_timer;

#define CHORES_TURN_NS UINT64_C(2000000) /* others are to be served within 10 ms, and there may be more in a round than one turn */

#define CHORES_REST_NS UINT64_C(100000000)

/* Does a piece of it. */
typedef enum chore_state chore_fn(void *user);

struct chore {
	TAILQ_ENTRY(chore) link;
	chore_fn *fn;
	void *user;
	struct chore_list *list; /* that it waits in, NULL none */
};

TAILQ_HEAD(chore_list, chore);

struct chores {
	struct chore_list list;
	struct chore_list requests;
	struct chore_list resting;
	bool owes_request; /* the turn before had no time for one */
	struct loop_timer *timer;
	struct loop_timer *rest;
};

int chores_init(struct chores *chores, struct loop *loop);
/* What waits is not done: those it belongs to go next, in any order. */
void chores_deinit(struct chores *chores);

/* Nothing where it waits already. */
void chores_add(struct chores *chores, struct chore *chore, chore_fn *fn, void *user);
/* Likewise what a client has asked for. It never rests. */
void chores_add_request(struct chores *chores, struct chore *chore, chore_fn *fn, void *user);
/* Takes it out; not from within its own function. */
void chores_drop(struct chore *chore);

/* Has a turn that began then been long enough? */
bool chores_turn_is_over(uint64_t begun_ns);

#endif
