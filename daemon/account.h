/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_ACCOUNT_H
#define SHMB_DAEMON_ACCOUNT_H

/*
 * Who uses how much: memory, segments, connections and requests of each user and of all together, against what quota.h allows.
 *
 * Memory is charged to the user whose request had it made, which of a segment's first generation is its owner; a later one, made by another who may
 * write, is charged to that one. It is charged from the request on that has it allocated, while it is the newest or a superseded generation,
 * and after the removal until nobody has it open or mapped any more (gone.h).
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "capacity.h"
#include "later.h"
#include "quota.h"

struct broker;
struct loop_timer;
struct peer;
struct reply;
struct segment;
struct segment_spec;
struct shmb_msg_head;

/* In a sentence about memory: what follows is for who asked alone, because others may not see all of it. */
#define ACCOUNT_LARGEST "; largest: "

enum { ACCOUNTS_IDLE = 256 }; /* of users that have nothing are kept up to this number, for their buckets: those that went last */

struct account {
	LIST_ENTRY(account) link;
	struct broker *broker;
	uint32_t uid;
	uint32_t references; /* segments, memory on its way, connections: it stays while there is one */
	uint64_t gone_ns;    /* CLOCK_MONOTONIC of the last one's end, while there is none */
	uint32_t segments;
	uint32_t connections;
	uint64_t bytes;
	uint64_t refused; /* requests and connections over a quota */
	uint64_t requests;
	uint64_t refusals; /* of these answered with an error */
	struct limits limits;

	/* its turn in this round of the loop */
	uint64_t round;
	uint64_t spent_ns;
	uint64_t lap; /* grows when all its connections that had something to say have been served */
	bool lap_goes_on;

	/* requests: a bucket of tokens, full with what a second allows */
	uint64_t tokens_ns; /* what the bucket lacks is earned from here on */
	uint64_t tokens;
	bool is_full; /* a connection was refused, and that was told */
	bool is_told; /* of its being slowed down, until its bucket is full again */
	struct loop_timer *timer;

	struct later_list later; /* requests of its that go on in another turn */
};

struct account_list {
	LIST_HEAD(, account) list;	      /* by growing uid */
	struct account total;		      /* uid is of no meaning */
	char limit_file[CAPACITY_FILE_BYTES]; /* of the cgroup, where that is what limits its bytes */
};

int account_list_init(struct broker *broker);
void account_list_deinit(struct broker *broker);
/* The configuration has changed, or is there: limits are looked up again, and the total compared with what there is. */
void account_limits_changed(struct broker *broker);

/* The account of a user; a reference. NULL: no memory. */
struct account *account_get(struct broker *broker, uint32_t uid);
/* Takes and returns NULL. */
struct account *account_put(struct account *account);

/* A segment is there: its memory is charged to who had it made. */
void account_charge(struct broker *broker, struct segment *segment);
/* It is removed, its memory perhaps not gone: `segment->account` goes to the caller, who ends with account_uncharge(). */
struct account *account_removed(struct segment *segment);
void account_uncharge(struct account *account, uint64_t bytes);
/* Memory on its way. */
struct account *account_reserve(struct broker *broker, uint32_t uid, uint64_t bytes);

/* May this client have the memory for this segment? Else -EDQUOT or -ENOSPC, naming what takes most. */
bool account_check(struct peer *peer, const struct segment_spec *spec, const struct shmb_msg_head *head, struct reply *reply);
/* The file system is full: -ENOSPC, naming what takes most. */
void account_reply_full(struct peer *peer, const char *name, const char *why, const struct shmb_msg_head *head, struct reply *reply);
/* May it connect? */
bool account_check_connection(struct account *account);
/*
 * Is it this connection's turn? In each round of the loop a user's connections are served for a millisecond, and none of them again before all others of that
 * user: so who has hundreds of them, each with a request, delays himself.
 */
bool account_turn(struct peer *peer);
/* What was spent of it; NULL account: nothing. */
void account_spend(struct account *account, uint64_t ns);
/* A request or connection is over a quota. */
void account_over(struct account *account);
/* A request was answered. */
void account_answered(struct account *account, bool is_refused);
/* May a request of this connection be read now? If not, it is when its user's turn has come. */
bool account_admit(struct peer *peer);

#endif
