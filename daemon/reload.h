/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_RELOAD_H
#define SHMB_DAEMON_RELOAD_H

/*
 * The configuration in use, and putting another one in its place: at the start, on SIGHUP, by RELOAD.
 *
 * All of it or nothing: where one file has a mistake, what was in use stays, and STATUS says so. What a new configuration changes for segments
 * that are there applies at once - stale and linger times, what follows a writer's end, who may open them - except what was settled when they were
 * made (reader areas, size, how clients map them) and what somebody has open already: that is told, segment by segment.
 */

#include <stdint.h>

#include "config.h"
#include "dispatch.h"
#include "reply.h"

struct broker;

struct reload {
	uint64_t loaded_ns;	      /* CLOCK_REALTIME of the last one that was good */
	uint64_t refused_ns;	      /* of the last one that was not; 0: none since then */
	char refusal[CONFIG_WHY_MAX]; /* why */
};

/* For the first time. */
int reload_start(struct broker *broker, char why[CONFIG_WHY_MAX]);
/* Again. `fn` (may be NULL) is called for each thing that does not apply to a segment that is there. 0, or why not is in broker->reload. */
int reload_now(struct broker *broker, void (*fn)(const char *line, void *user), void *user);

/* Adds what STATUS says of it to the answer's tail (message.h). */
void reload_status(const struct broker *broker, struct reply *reply);

/* RELOAD: root and the daemon's own user. */
dispatch_fn reload_request;

#endif
