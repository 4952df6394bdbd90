/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_SESSION_H
#define SHMB_DAEMON_SESSION_H

/* The beginning of a conversation: HELLO, RESUME for what the client still holds, READY. */

#include "dispatch.h"

dispatch_fn session_hello;
dispatch_fn session_resume;
dispatch_fn session_ready;

#endif
