/* SPDX-License-Identifier: MIT */
#ifndef SHMB_CLIENT_WAIT_H
#define SHMB_CLIENT_WAIT_H

/*
 * Sleeping until there is something to read, or room to write, or a reason to stop waiting. Each handle that can wait has a waitable; one
 * wait takes any mix of them.
 */

#include <stdbool.h>

#include "proto/atomics.h"
#include "shmb.h"

struct shmb;
struct slots_reader;
struct shmb_waitable;

struct waitable_kind {
	/*
	 * What there is to say: 0 what is waited for is there; -EAGAIN nothing; else why it will not come. What is said once only is left
	 * for the next look by one that merely peeks. Bounded; no system call.
	 */
	int (*look)(struct shmb_waitable *waitable, bool peek);
	/* Tells whoever wakes that somebody sleeps; false: there is nowhere to tell it. A seq_cst fence and another look follow. */
	bool (*raise)(struct shmb_waitable *waitable);
	/* The word that changes when what is waited for comes: for a spin. */
	const _Atomic uint64_t *(*watch)(const struct shmb_waitable *waitable);
};

struct shmb_waitable {
	const struct waitable_kind *kind;
	const _Atomic uint32_t *guard; /* 0 in a forked child */
	const _Atomic uint32_t *wake;  /* grows after news; slept on */
	struct shmb *broker;	       /* whose event page and socket are looked at as well; NULL none */
	/*
	 * A reader's: goes over to the generation that follows its own, where there is one and nothing is left to read in its own; does not wait
	 * for the connection longer than until `deadline_ns`. NULL: nowhere to go (as in tests of memory alone). 0; -EAGAIN and errors of a
	 * connection: later; else why it never will. Sets the text.
	 */
	int (*follow)(struct shmb_waitable *waitable, bool drained_only, uint64_t deadline_ns);
	void (*tidy)(
		struct shmb_waitable *
			waitable); /* lets go of what earlier generations have left, at a wait with a deadline or shmb_follow(); NULL nothing has */
	uint64_t follow_after_ns; /* it could not follow: when to try again */
	_Atomic uint32_t cancelled;
	uint64_t spin_ns;
	uint64_t waited; /* sleeps */
	uint64_t woken;	 /* sleeps that ended because a word had changed */
};

/* Of a reader of numbers, whatever the kind: news are elements at its position and what becomes of its writer and segment. */
void waitable_init(struct shmb_waitable *waitable, struct slots_reader *reader);

/*
 * Waits for the first of `count` (1 to SHMB_WAIT_MAX) that has something to say, and says it; *which (not NULL) is its place in the list.
 * -ETIMEDOUT: *which is `count`. -ECANCELED; -EOWNERDEAD in a forked child.
 */
int wait_any(struct shmb_waitable *const *list, unsigned count, uint64_t deadline_ns, unsigned *which);

/*
 * Waits until something lies at the reader's position. 0; -ETIMEDOUT; -EBADMSG; -ECANCELED; -EOWNERDEAD in a forked child; and when nothing
 * is left to read: -ESTALE the segment was removed; -EREMCHG it was replaced and `reader` has followed (told by SHMB_NO_WAIT: could); and once for each change of the writer's condition -EOWNERDEAD, -EPIPE or
 * -EHOSTDOWN. `broker` is the connection whose event page and socket are looked at as well; NULL none.
 */
int slots_wait(struct slots_reader *reader, struct shmb *broker, uint64_t deadline_ns);

/*
 * What every wait does with news from the broker before it sleeps: looks at the socket and comes back to a new broker. `event` is the event
 * word that the wait goes by. True: time has passed, look again at what is waited for. *until is put forward where the socket must be
 * looked at again soon.
 */
bool wait_broker(struct shmb *broker, uint32_t event, uint64_t *until);

struct futex_word;
/* The words to sleep on, as they are before a look: one a handle, then two a connection: its event page's and that of cancels. */
void wait_words(struct futex_word *words, struct shmb_waitable *const *list, unsigned count, struct shmb *const *brokers,
		unsigned broker_count);

/* -EBADF with text. */
int wait_closed(void);
/* No wait set of its connection looks at this handle's memory from here on, until it is asked again. Under the connection's lock. */
void waitsets_disarm(const struct shmb_waitable *waitable);

/* One look without sleeping; -ECANCELED likewise. For wait sets. */
int waitable_look(struct shmb_waitable *waitable, bool peek);

#endif
