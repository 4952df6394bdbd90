/* SPDX-License-Identifier: MIT */
#ifndef SHMB_CLIENT_CONNECTION_H
#define SHMB_CLIENT_CONNECTION_H

/*
 * The connection to the broker: socket, event page, the handles open through it, and how it comes back after the broker was away.
 *
 * The socket is used under `lock` only. A broken one is made anew by the next control request, or by a wait that the new broker's
 * adoption has woken: connect, HELLO with the same cookie, RESUME for each handle, READY. What times out there goes on where it was at the
 * next occasion, because closing the socket would give every lease up. A RESUME that the broker has no memory or descriptor for is asked again a few
 * times: its refusal would be the end of the handle.
 */

#include <pthread.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "proto/message.h"
#include "shmb.h"

/* What the broker knows of one open handle: what RESUME repeats. Changed under the connection's lock. */
struct handle {
	LIST_ENTRY(handle) link;
	struct shmb *broker;
	uint32_t number;  /* in this connection */
	uint8_t role;	  /* enum shmb_role */
	bool resumed;	  /* on the socket that is open now */
	uint8_t short_of; /* how often it could not be for want of memory */
	uint64_t segment_id;
	uint64_t generation;
	uint64_t epoch;
	uint32_t cell;
	uint32_t incarnation;
	char name[SHMB_NAME_MAX + 8];
	void (*lost)(struct handle *handle); /* the broker no longer knows it; any thread, under the lock */
	void (*end)(struct handle *handle);  /* unmaps and frees what it belongs to; off the list, without the broker */
};

enum connection_stage {
	CONNECTION_NONE,      /* no socket */
	CONNECTION_CONNECTED, /* HELLO is next, or its answer */
	CONNECTION_RESUMING,  /* RESUME for those not resumed, then READY */
	CONNECTION_READY,
};

struct shmb {
	_Atomic uint32_t *guard;	    /* 1; wiped to 0 in a forked child, where nothing below may be used but to free it */
	const struct shmb_shm_event *event; /* the address stays, what is mapped there changes with the broker */
	_Atomic uint32_t event_looked;	    /* its word when the socket was last looked at */
	_Atomic uint32_t mapping_flags;	    /* enum shmb_mapping, for handles opened from now on */
	_Atomic uint32_t cancels;	    /* grows with each cancel of a wait; in our own memory */
	pthread_mutex_t lock;
	LIST_HEAD(, handle) handles;
	LIST_HEAD(, shmb_waitset) waitsets;
	int fd;
	enum connection_stage stage;
	uint32_t serial;
	uint32_t pending;	 /* serial of a request of the current stage that is not answered yet, 0 none */
	uint32_t pending_handle; /* RESUME: of which handle, else 0 */
	uint32_t last_handle;
	uint8_t cookie[SHMB_COOKIE_BYTES];
	char path[108];
	unsigned char packet[SHMB_MESSAGE_MAX]; /* the last answer */
};

static inline bool connection_is_ours(const struct shmb *broker)
{
	return atomic_load_explicit(broker->guard, memory_order_relaxed) != 0;
}

static inline const _Atomic uint32_t *connection_event_word(const struct shmb *broker)
{
	return &broker->event->word;
}

static inline uint32_t connection_event(const struct shmb *broker)
{
	/* ORDER event.bump (acquire). Partner: event_word_grow().
	 * Orders:  the change -> event word.
	 * Without: a client wakes, sees nothing new and sleeps on.
	 * Model:   tests/model/src/verdict.rs */
	return atomic_load_explicit(connection_event_word(broker), memory_order_acquire);
}

/* Has the broker had something to say since the socket was last looked at? Acquire: with the value comes the page it was read from. */
static inline bool connection_event_is_new(const struct shmb *broker, uint32_t event)
{
	return atomic_load_explicit(&broker->event_looked, memory_order_acquire) != event;
}

/*
 * Looks whether the broker behind the socket is still there, and comes back to it if not. 0; -EBUSY another thread is talking to it;
 * or why there is no connection. Does not wait for the lock, nor for an answer beyond `deadline_ns`.
 */
int connection_look(struct shmb *broker, uint32_t event, uint64_t deadline_ns);

/* ---- under the lock ---- */

/* Makes the connection READY if it is not. -ECONNREFUSED no daemon, -ETIMEDOUT, -ECONNRESET it went away meanwhile, or its refusal. Sets the text. */
int connection_ensure(struct shmb *broker, uint64_t deadline_ns);
/* The socket is dead. */
void connection_drop(struct shmb *broker);
/* The text for -ECONNRESET. */
void connection_fail_reset(const struct shmb *broker);
/* Is the peer gone? */
bool connection_is_dead(struct shmb *broker);

#endif
