/* SPDX-License-Identifier: MIT */
#ifndef SHMB_CLIENT_QUEUE_H
#define SHMB_CLIENT_QUEUE_H

/*
 * The data path of a queue: numbered items from one producer to one consumer, none lost, in order, no lock. queue.c has the protocol.
 *
 * As slots.h this knows memory only, and what the other side wrote may be rubbish:
 * indices are masked, positions are checked before they are used, every loop has an end.
 */

#include "slots.h"
#include "wait.h"

struct queue_producer {
	struct slots_writer slots;
	uint64_t room;	   /* numbers below it have room, as far as we know */
	uint64_t position; /* the consumer's when we looked last: it does not go back */
	uint64_t base;
	struct shmb_shm_cell *cell;    /* the consumer's */
	struct shmb_waitable waitable; /* for room; its broker is set by who knows it */
	uint32_t flag;		       /* what data.queue_flag holds: odd while we wait */
	bool claimed;
};

struct queue_consumer {
	struct slots_reader slots; /* its position: the oldest item that is not released */
	uint64_t peeked;	   /* items below it were shown by a peek */
	struct shmb_shm_cell *cell;
	const struct shmb_shm_cell_owner *owner;
	uint32_t incarnation; /* of the cell, while it is ours */
	uint32_t woken;	      /* the queue_flag that we have woken the producer for */
};

/* -EUSERS there is no area; -EOVERFLOW; -EPROTO the position in the cell cannot be. Nobody else is the producer. */
int queue_producer_init(struct queue_producer *producer, const struct slots_memory *memory, uint64_t granted);
/* -EAGAIN full, -EBUSY something is claimed, -EPROTO, -ESTALE, -EOWNERDEAD in a forked child. */
int queue_push(struct queue_producer *producer, const void *payload);
/* Pushes what there is room for, at least one; *pushed says how many. */
int queue_push_many(struct queue_producer *producer, const void *payloads, size_t count, size_t *pushed);
int queue_claim(struct queue_producer *producer, void **payload);
/* -EPERM nothing is claimed. */
int queue_commit(struct queue_producer *producer);
int queue_abort(struct queue_producer *producer);
/* 0 there is room; -ETIMEDOUT, -ECANCELED; -EPROTO, -ESTALE, -EOWNERDEAD. */
int queue_wait_room(struct queue_producer *producer, uint64_t deadline_ns);

/* -EUSERS without the consumer's cell; -EPROTO the position in it cannot be. */
int queue_consumer_init(struct queue_consumer *consumer, const struct slots_memory *memory, uint32_t cell, uint32_t incarnation);
/* Goes over to the queue that follows its own, as slots_reader_follow(). Errors as of init; the consumer is not to be used then. */
int queue_consumer_follow(struct queue_consumer *consumer, const struct slots_memory *memory, uint32_t cell, uint32_t incarnation);
/* Is there a queue after this one, and nothing left to consume in this one? */
bool queue_is_drained(const struct queue_consumer *consumer);
/* -ENODATA empty, -EREMCHG empty and superseded, -EPROTO, -ESTALE the cell is not ours any more, -EOWNERDEAD in a forked child. */
int queue_pop(struct queue_consumer *consumer, void *payload, struct shmb_sample *sample);
/* Pops what is there, at least one; samples may be NULL. */
int queue_pop_many(struct queue_consumer *consumer, void *payloads, struct shmb_sample *samples, size_t count, size_t *popped);
/* Shows the item `ahead` places behind the oldest. */
int queue_peek(struct queue_consumer *consumer, uint32_t ahead, const void **payload, struct shmb_sample *sample);
/* 0 there is an item; as slots_wait(), but -EPROTO for -EBADMSG and for a counter that lies. */
int queue_wait(struct queue_consumer *consumer, uint64_t deadline_ns);
/* -EPERM fewer were peeked at. */
int queue_release(struct queue_consumer *consumer, uint32_t count);

#endif
