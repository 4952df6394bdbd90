/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_LISTENER_H
#define SHMB_DAEMON_LISTENER_H

/*
 * The control socket: ours, or systemd's.
 *
 * First it is claimed (nobody else serves it, nobody else will), then the segments are taken over, and only then does it listen: a client
 * that gets through finds everything in place.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "options.h"

struct inherited;
struct loop;
struct loop_fd;
struct loop_timer;

/* A connection; the descriptor (non-blocking) is given. Where it returns our own want of descriptors or memory (store_is_short()), the others wait. */
typedef int listener_fn(int fd, void *user);

struct listener {
	int fd;		 /* -1 until it is there */
	int lock_fd;	 /* of PATH.lock, -1 where systemd owns the socket */
	bool activated;	 /* systemd made the socket and keeps it */
	bool is_private; /* its directory lets no other user in */
	bool paused;
	uint64_t told_ns; /* when that was last logged, 0 never */
	dev_t dev;	  /* of the socket we made: only that one is removed at the end */
	ino_t ino;
	char path[OPTIONS_PATH_MAX + 1];
	struct loop *loop;
	struct loop_fd *watch;
	struct loop_timer *retry;
	listener_fn *fn;
	void *user;
};

enum { LISTENER_WHY_MAX = 512 };

/*
 * Takes the socket systemd passed (`inherited` has it; it is given), or claims the path: makes the runtime directory (0700), locks PATH.lock, makes sure that no daemon
 * answers there. Logs nothing; `why` (LISTENER_WHY_MAX bytes) says what is wrong and what to do. -EADDRINUSE another daemon serves it.
 */
int listener_claim(struct listener *listener, const struct options *options, const struct inherited *inherited, char *why);
/* Puts the socket in place, replacing a stale one, and accepts. */
int listener_start(struct listener *listener, struct loop *loop, listener_fn *fn, void *user, char *why);
/* A descriptor has become free: goes on after a pause. */
void listener_resume(struct listener *listener);
/* Closes; removes the socket if we made it. */
void listener_close(struct listener *listener);

#endif
