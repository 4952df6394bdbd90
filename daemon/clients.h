/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_CLIENTS_H
#define SHMB_DAEMON_CLIENTS_H

/* CLIENTS: who is connected, what each has open. Root and the daemon's own user see all, others what is their own user's. */

#include "dispatch.h"

dispatch_fn clients_list;

#endif
