/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_CLOSER_H
#define SHMB_DAEMON_CLOSER_H

/*
 * Closes descriptors that a client sent us. No message carries any, and kernels from 6.16 on keep them away (SO_PASSRIGHTS); on older
 * ones they arrive, and closing a hostile one (a lingering TCP socket, a file of a hung network file system) can block: so that is done
 * on a thread, which is started with the first one and then sleeps in read(2).
 */

#include <stdbool.h>

struct closer {
	int pipe_fd; /* to the thread; -1 not started */
	bool started;
};

void closer_init(struct closer *closer);
/* Takes the descriptors. */
void closer_close(struct closer *closer, const int *fds_consume, unsigned count);

#endif
