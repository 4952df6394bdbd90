/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_RELOAD_H
#define SHMB_DAEMON_RELOAD_H

/*
 * The configuration in use, and putting another one in its place: at the start, on SIGHUP, by RELOAD.
 *
 * All of it or nothing: where one file has a mistake, what was in use stays, and STATUS says so. What a new configuration changes for segments
 * that are there applies at once - stale and linger times, what follows a writer's end, who may open them - except what was settled when they were
 * made (reader areas, size, how clients map them) and what somebody has open already: that is told, segment by segment.
 *
 * The segments that are there are gone through in pieces (chores.h). Until its turn has come a segment has the policy it had.
 */

#include <stdint.h>

#include "chores.h"
#include "config.h"
#include "dispatch.h"
#include "reply.h"

struct broker;

struct reload {
	uint64_t loaded_ns;	      /* CLOCK_REALTIME of the last one that was good */
	uint64_t refused_ns;	      /* of the last one that was not; 0: none since then */
	char refusal[CONFIG_WHY_MAX]; /* why */

	struct config *before; /* of the segments behind `next`, while they are gone through; else NULL */
	struct chore chore;
	uint64_t next;

	uint64_t owner; /* order of the connection whose RELOAD it is, until that is answered; 0 none */
	uint32_t segments;
	uint32_t not_applied;
	char *notes; /* lines for its answer */
	size_t notes_length;
};

/* For the first time. */
int reload_start(struct broker *broker, char why[CONFIG_WHY_MAX]);
/* Again. Events say what came of it. */
void reload_now(struct broker *broker);
void reload_deinit(struct broker *broker);

/* Adds what STATUS says of it to the answer's tail (message.h). */
void reload_status(const struct broker *broker, struct reply *reply);

/* RELOAD: root and the daemon's own user. */
dispatch_fn reload_request;

#endif
