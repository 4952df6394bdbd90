/* SPDX-License-Identifier: MIT */
#ifndef SHMB_QUEUE_H
#define SHMB_QUEUE_H

/*
 * Queues: commands, jobs, measurements of which none may be lost. One producer, one consumer, in order, bounded. Included by shmb.h.
 *
 *   producer                                                  consumer
 *   shmb_queue_push(producer, &command);                      shmb_queue_pop_until(consumer, &command, &sample, SHMB_FOREVER);
 *
 * Items are numbered, from 0, through all producers. An item is consumed when the consumer says so: shmb_queue_pop says it with the copy,
 * in place it is said by shmb_queue_release. What is in the queue outlives both sides. The next consumer begins with the oldest item that
 * is not consumed, so an item that its predecessor had peeked at and not released comes again, under the same number: who must not do a
 * thing twice keeps the number of what was done last. The next producer goes on with the number after the last item that was pushed: what
 * died with it was either pushed whole or not at all.
 *
 * Neither side can spoil the other's memory. Positions and ids that cannot be, left by a process that writes where it should not, end in
 * -EPROTO and are not followed.
 *
 * Producer and consumer handles are for one thread at a time each. No function but those with a deadline blocks; none allocates; push and
 * pop make no system call unless the other side sleeps. In a forked child every call is -EOWNERDEAD and closing only frees memory.
 */

#include "shmb.h"
#include "shmb_wait.h"

#ifdef __cplusplus
extern "C" {
#endif

struct shmb_queue_producer;
struct shmb_queue_consumer;

/* ---- producer ---- */

/*
 * Opens the producing end; makes the queue where there is none. options->capacity is the number of items it holds: a power of two from 2
 * to 2^20, default 16. options->stamped: each item carries the time of its push. Errors as for every writer (shmb.h), and
 *   -EUSERS the queue has no reader area, so that nobody could consume      -EPROTO the consumer's position cannot be
 */
SHMB_PUBLIC int shmb_queue_producer_open(struct shmb_queue_producer **out, struct shmb *broker, const char *name,
					 const struct shmb_type *type, const struct shmb_options *options);
SHMB_PUBLIC struct shmb_queue_producer *shmb_queue_producer_close(struct shmb_queue_producer *producer);

/*
 * Pushes a copy of one item (type->size bytes). Does not wait.
 *   -EAGAIN full    -EBUSY an item is claimed, commit or abort it first    -ESTALE the lease was taken away, perhaps while the item was being
 *   pushed: then it may be consumed or not; what was pushed before is
 *   -EPROTO the consumer's position cannot be    -EOWNERDEAD after fork
 */
SHMB_PUBLIC int shmb_queue_push(struct shmb_queue_producer *producer, const void *payload);
/* Likewise, but waits for room until the deadline. Not -EAGAIN but -ETIMEDOUT; and -ECANCELED. */
SHMB_PUBLIC int shmb_queue_push_until(struct shmb_queue_producer *producer, const void *payload, uint64_t deadline_ns);
/*
 * Pushes as many of `count` items as there is room for; they lie one behind the other at `payloads`, type->size bytes apart. *pushed says
 * how many; 0 where it is at least one (or `count` is 0). A consumer that sleeps is woken once, after the last. Errors as push, nothing pushed.
 */
SHMB_PUBLIC int shmb_queue_push_batch(struct shmb_queue_producer *producer, const void *payloads, size_t count, size_t *pushed);

/*
 * In place: *payload is where the next item is to be written, type->size bytes, until it is committed (pushed) or aborted. One at a time.
 * What lies there before is of no meaning. Claim: errors as push. Commit: -EPERM nothing is claimed, -EOWNERDEAD: nothing is pushed then; -ESTALE as
 * push. Abort: -EPERM, -EOWNERDEAD.
 */
SHMB_PUBLIC int shmb_queue_claim(struct shmb_queue_producer *producer, void **payload);
SHMB_PUBLIC int shmb_queue_commit(struct shmb_queue_producer *producer);
SHMB_PUBLIC int shmb_queue_abort(struct shmb_queue_producer *producer);

/* Waits until there is room for an item. 0; -ETIMEDOUT; -ECANCELED; -ESTALE the lease was taken away or the queue removed; -EPROTO;
 * -EOWNERDEAD after fork. A dead consumer is no reason to end: its successor makes room. */
SHMB_PUBLIC int shmb_queue_wait_room(struct shmb_queue_producer *producer, uint64_t deadline_ns);
/* For shmb_wait_any(), shmb_cancel(), shmb_set_spin(): room for an item. */
SHMB_PUBLIC struct shmb_waitable *shmb_queue_room_waitable(struct shmb_queue_producer *producer);
/* Number of the item that will be pushed next. */
SHMB_PUBLIC uint64_t shmb_queue_next_number(const struct shmb_queue_producer *producer);
/* "I am alive" without an item. -ESTALE, -EOWNERDEAD. */
SHMB_PUBLIC int shmb_queue_heartbeat(struct shmb_queue_producer *producer);

/* ---- consumer ---- */

/*
 * Opens the consuming end of a queue that is there, waiting until `deadline_ns` for its name and for the consumer before to close or end. `type`
 * NULL: whatever it is. Errors as for every reader (shmb.h), and
 *   -EBUSY another process consumes, at once or still at the deadline (shmb_text() names it)    -EUSERS the queue has no reader area for this user
 *   -EPERM another user consumed it before: only that one or root goes on with it    -EOPNOTSUPP the broker cannot see this process
 *   -EPROTO the positions in the queue cannot be
 */
SHMB_PUBLIC int shmb_queue_consumer_open(struct shmb_queue_consumer **out, struct shmb *broker, const char *name,
					 const struct shmb_type *type, uint64_t deadline_ns);
SHMB_PUBLIC struct shmb_queue_consumer *shmb_queue_consumer_close(struct shmb_queue_consumer *consumer);

/*
 * Copies the oldest item to `payload` (type->size bytes) and consumes it. sample (may be NULL) has its number. Does not wait.
 *   -ENODATA empty    -EREMCHG empty, and replaced by a new queue (shmb_wait.h): wait, or shmb_follow()    -ESTALE this handle is not the consumer any more    -EPROTO its place holds what cannot be    -EOWNERDEAD after fork
 * What was peeked at and not released counts as not taken: it is the oldest. Who dies between pop and the use of the copy has lost the
 * item; who must not peeks, uses, releases.
 */
SHMB_PUBLIC int shmb_queue_pop(struct shmb_queue_consumer *consumer, void *payload, struct shmb_sample *sample);
/* Likewise, but waits for an item until the deadline. Not -ENODATA, but what shmb_queue_wait() has to tell. */
SHMB_PUBLIC int shmb_queue_pop_until(struct shmb_queue_consumer *consumer, void *payload, struct shmb_sample *sample, uint64_t deadline_ns);
/* Pops up to `count` items, one behind the other at `payloads`; `samples` has room for as many, or is NULL. *popped says how many; 0
 * where it is at least one (or `count` is 0). They are consumed together, after the last was copied. Errors as pop, nothing consumed. */
SHMB_PUBLIC int shmb_queue_pop_batch(struct shmb_queue_consumer *consumer, void *payloads, struct shmb_sample *samples, size_t count,
				     size_t *popped);

/*
 * In place: *payload is the item `ahead` places behind the oldest one (0: the oldest), where it lies, valid until it is released. It stays
 * as it is unless its producer does what a producer must not. Errors as pop; -ENODATA there are not that many.
 */
SHMB_PUBLIC int shmb_queue_peek(struct shmb_queue_consumer *consumer, uint32_t ahead, const void **payload, struct shmb_sample *sample);
/* Consumes the oldest `count` items, which must have been peeked at: -EPERM otherwise. -ESTALE, -EOWNERDEAD. */
SHMB_PUBLIC int shmb_queue_release(struct shmb_queue_consumer *consumer, uint32_t count);

/*
 * Waits until there is an item that is not consumed. Results as of every wait (shmb_wait.h): those about the producer come after all its
 * items were consumed, -ESTALE when the queue was removed and is empty, -EREMCHG when it was replaced, is empty and was followed. -EPROTO the producer's counter cannot be.
 */
SHMB_PUBLIC int shmb_queue_wait(struct shmb_queue_consumer *consumer, uint64_t deadline_ns);
/* For shmb_wait_any(), shmb_cancel(), shmb_set_spin(): an item. */
SHMB_PUBLIC struct shmb_waitable *shmb_queue_waitable(struct shmb_queue_consumer *consumer);
/* Number of the oldest item that is not consumed: what pop or peek gives next. After an open a number at or below the last one that this
 * program has seen is a repetition. */
SHMB_PUBLIC uint64_t shmb_queue_position(const struct shmb_queue_consumer *consumer);
/* As of every reader; oldest is the position, next - oldest the number of items in the queue. -EOWNERDEAD, -EBADMSG. */
SHMB_PUBLIC int shmb_queue_status(struct shmb_queue_consumer *consumer, struct shmb_segment_status *out);
/* The queue's own type; belongs to the consumer. */
SHMB_PUBLIC const struct shmb_type *shmb_queue_type(const struct shmb_queue_consumer *consumer);

#ifdef __cplusplus
}
#endif

#endif
