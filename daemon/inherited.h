/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_INHERITED_H
#define SHMB_DAEMON_INHERITED_H

/*
 * The descriptors that systemd handed over at the start ($LISTEN_FDS): the control socket, and what its descriptor store kept of the daemon before.
 */

#include "vault.h"

struct inherited {
	int socket_fd;	       /* -1 none; the first one */
	unsigned socket_count; /* all that are no kept parts */
	struct vault *vault;   /* NULL none */
};

enum { INHERITED_WHY_MAX = 512 };

/* Takes them, once in the life of the process. 0, or a negative errno with `why`. */
int inherited_take(struct inherited *out, char why[INHERITED_WHY_MAX]);

#endif
