/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_KEEPER_H
#define SHMB_TESTS_KEEPER_H

/* What a service manager does for the daemon: hears what it says of itself, and keeps descriptors for the next one. */

#include "program.h"

struct keeper {
	char path[192]; /* of the socket that the daemon is told of */
	int fd;
	bool is_ready; /* READY=1 was heard since this was set to false */
	struct program_handed handed;
};

void keeper_init(struct keeper *keeper, const char *path);
/* Closes all that it keeps. */
void keeper_deinit(struct keeper *keeper);

/* Takes one more; the caller's no longer. */
void handed_add(struct program_handed *handed, int fd_consume, const char *name);
/* Closes and forgets the i-th; the others keep their order. */
void handed_drop(struct program_handed *handed, unsigned i);
/* Does what a message says about descriptors; false: it says nothing about them. `fd_consume` came with it, -1 none. */
bool handed_hear(struct program_handed *handed, const char *text, int fd_consume);

/* The next thing that was said, valid until the next call; its descriptor, or -1, goes to *out_fd. NULL: nothing. */
const char *keeper_next(int fd, int *out_fd);
/* Hears all that was said up to now. */
void keeper_listen(struct keeper *keeper);

#endif
