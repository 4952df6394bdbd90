/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_USERS_H
#define SHMB_DAEMON_USERS_H

/* USERS: what each user has and may have (account.h). Root and the daemon's own user see all, others themselves. */

#include "dispatch.h"

dispatch_fn users_list;

#endif
