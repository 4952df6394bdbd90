/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_REFUSAL_H
#define SHMB_DAEMON_REFUSAL_H

#include <stdbool.h>

#include "proto/message.h"

/*
 * Requests that were refused, as events. What a client meets in the ordinary course of things is none: waiting for a segment that is not there yet
 * or a lease that is taken, resuming what has ended, finding out what kind a segment is. What goes over a quota is told of where it is found (EVENT_QUOTA).
 */

struct peer;

/* Is this answer (0 or a negative errno) worth telling? */
bool refusal_is_event(int result);
/* `request` was answered with `answer`. Its fields are looked at only where it was decoded as one (`is_sound`). */
void refusal_tell(struct peer *peer, const union shmb_msg_request *request, bool is_sound, const struct shmb_msg_answer *answer);

#endif
