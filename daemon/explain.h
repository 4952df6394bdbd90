/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_EXPLAIN_H
#define SHMB_DAEMON_EXPLAIN_H

/* POLICY: which rule applies to a name and why, and what a user may do with it. Changes nothing; the name need not be there. */

#include "dispatch.h"

dispatch_fn explain_policy;

#endif
