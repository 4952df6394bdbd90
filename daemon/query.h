/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_QUERY_H
#define SHMB_DAEMON_QUERY_H

/* What tools ask: which segments there are, what is known of one, how the broker is; and removing one. */

#include "dispatch.h"

struct broker;

dispatch_fn query_list;
dispatch_fn query_info;
dispatch_fn query_status;
dispatch_fn query_remove;

/* Connections that have said READY. */
uint32_t query_count_clients(const struct broker *broker);

#endif
