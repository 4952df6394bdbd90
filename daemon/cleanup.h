/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_CLEANUP_H
#define SHMB_DAEMON_CLEANUP_H

/* Locals that clean up after themselves when they go out of scope: `auto_close int fd = -1;`, `auto_free char *text = NULL;`. */

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_close(const int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

static inline void cleanup_free(void *at)
{
	free(*(void **)at);
}

#define auto_close __attribute__((cleanup(cleanup_close)))
#define auto_free __attribute__((cleanup(cleanup_free)))

/* Hands a descriptor on: the local no longer closes it. */
static inline int cleanup_steal(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

#endif
