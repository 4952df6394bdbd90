/* SPDX-License-Identifier: MIT */
#ifndef SHMB_BENCH_PEER_H
#define SHMB_BENCH_PEER_H

/*
 * The second process of a case: forked from this one, on another core, with a connection of its own where it needs one. It sleeps but between
 * peer_begin() and peer_end(), so that it takes nothing from the other implementations.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct peer_page {
	_Atomic uint32_t go; /* 1: to work */
	_Atomic uint32_t working;
	_Atomic int32_t error;
	_Atomic uint32_t ready;
	_Atomic uint32_t leave; /* for good, if it was started anew */
};

struct peer {
	struct peer_page *page; /* shared, zeroed, followed by `bytes` for the implementation, page-aligned */
	size_t page_bytes;
	int fd; /* of the page */
	pid_t pid;
	bool leaves; /* by itself when it is told */
};

/* What the second process does. */
struct peer_work {
	/* Once. 0 or a negative errno. */
	int (*init)(void *state);
	/* Until peer_is_over(), or whatever the first process tells it. 0 or a negative errno. */
	int (*run)(struct peer *peer, void *state);
};

/* Shared memory, before peer_start(). */
int peer_map(struct peer *peer, size_t bytes);
void *peer_memory(const struct peer *peer);
/* `state` is what the child has of it at that moment. */
int peer_start(struct peer *peer, const struct peer_work *work, void *state);
int peer_begin(struct peer *peer);
/* The same in this program started anew, as most libraries do not survive a fork: it gets `arguments` and calls peer_attach() with peer->fd. */
int peer_exec(struct peer *peer, const char *const *arguments);
/* There: works until peer_stop(). 0, or what it could not begin with. */
int peer_attach(int fd, const struct peer_work *work, void *state);
/* Tells it that it is over, and waits until it has heard. peer_tell() only tells. */
void peer_end(struct peer *peer);
void peer_tell(struct peer *peer);
void peer_stop(struct peer *peer);

static inline bool peer_is_over(const struct peer *peer)
{
	return atomic_load_explicit(&peer->page->go, memory_order_relaxed) == 0;
}

/* It has not yet heard that it is over. */
static inline bool peer_is_working(const struct peer *peer)
{
	return atomic_load_explicit(&peer->page->working, memory_order_relaxed) != 0;
}

/* Pins a process, 0 for this one, to the last of the CPUs that this one had at first, or to the first of them. Are there two? */
bool peer_pin(pid_t pid, bool last);
/* To all of them again. */
void peer_unpin(pid_t pid);

#endif
