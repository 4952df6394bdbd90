/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_LIVENESS_H
#define SHMB_DAEMON_LIVENESS_H

/*
 * What follows when somebody ends: a handle, a connection, a process. Each changes the segment (segment.h), lets the attachment go, tells
 * those who read the segment or wait for it, and has the reaper look.
 *
 * A connection can have hundreds of handles, a process thousands, and each costs some 100 us: they are seen to in pieces (chores.h). Until its turn has come
 * what has ended is still there, so whoever decides about a segment asks the functions below who has it: they see to it first.
 */

#include "attachment.h"
#include "broker.h"
#include "peer.h"

/*
 * An orderly end of a handle. Frees the attachment; an error says that the segment's files are damaged. But where store_is_short() nothing is done, for
 * want of descriptors or memory: the attachment is as it was, and to be seen to again.
 */
int liveness_close(struct broker *broker, struct attachment *attachment);
/* The client has it no longer, by its own word: the same in its turn. */
void liveness_close_later(struct broker *broker, struct attachment *attachment);
/* Its client has no use for it: now or, where no descriptor or memory is left to see to it, when there is. 0, or -EBADMSG as liveness_close(). */
int liveness_close_asked(struct broker *broker, struct attachment *attachment);
/* The process ended: as liveness_close(). */
int liveness_ended(struct broker *broker, struct attachment *attachment);
/* Has its writer ended, and is not seen to yet? */
bool liveness_is_ending(const struct segment *segment);
/* Those of the segment that have a lease or a cell and have ended are seen to now. Were there any? */
bool liveness_settle(struct broker *broker, struct segment *segment);
/* The connection closed: sees to everything held through it. */
void liveness_peer_closed(struct broker *broker, struct peer *peer);
/* The callback of process.h: `user` is the broker. */
void liveness_process_died(struct process *process, void *user);

/*
 * Finds the process that the card names as the lease's holder and watches it: at adoption. NULL: it is dead (and seen to), or cannot be
 * looked up (logged; the lease stays as it is).
 */
struct attachment *liveness_find_holder(struct broker *broker, struct segment *segment);

/*
 * Who holds the lease, after a look at whether he still lives; NULL: nobody (the dead are seen to). Where the lease's holder is not known
 * to us yet (he could not be watched when the segment was taken over) he is looked for. `except` is a process that is not looked at: the
 * one that asks, because its connections must not be closed under the handler's feet.
 */
struct attachment *liveness_lease_holder(struct broker *broker, struct segment *segment, const struct process *except);

/* Who takes items out of the queue, after the same look; NULL: nobody, and a superseded segment may be gone with the dead. `except` as above. */
struct attachment *liveness_consumer(struct broker *broker, struct segment *segment, const struct process *except);

/* One of those who share the block, likewise. */
struct attachment *liveness_sharer(struct broker *broker, struct segment *segment, const struct process *except);

/* Wakes the clients that have the segment open, so that they look at it again. */
void liveness_tell_readers(const struct segment *segment);

/* ---- event pages of connections to the broker before ---- */

struct old_page {
	LIST_ENTRY(old_page) link;     /* process's */
	LIST_ENTRY(old_page) all_link; /* broker's */
	struct event_page *page;
	struct process *process; /* referenced */
	uint8_t cookie[SHMB_COOKIE_BYTES];
};

int old_page_new(struct broker *broker, struct process *process, struct event_page *page, const uint8_t cookie[SHMB_COOKIE_BYTES]);
/* Ends those of a process, of this cookie or (NULL) of any; removes the files when `unlink`. */
void old_pages_drop(struct broker *broker, struct process *process, const uint8_t *cookie, bool unlink);
void old_pages_bump(struct broker *broker);

#endif
