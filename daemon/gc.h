/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_GC_H
#define SHMB_DAEMON_GC_H

/*
 * GC: removes now what policy lets go, without waiting for the rest of its linger time, or tells what that would be. Telling is for everybody, of
 * what he may see; removing is for root and the daemon's own user. With SHMB_GC_FOREIGN the same for the files of other programs (strays.h).
 */

#include "dispatch.h"

dispatch_fn gc_request;

#endif
