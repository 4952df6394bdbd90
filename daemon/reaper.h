/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_REAPER_H
#define SHMB_DAEMON_REAPER_H

/*
 * Removes segments that nobody writes and nobody reads, after a linger time. One timer for all, set for the segment that has been idle
 * longest; not running while none is idle.
 */

#include <stdbool.h>
#include <sys/queue.h>

#include "segment.h"

struct broker;
struct loop_timer;

struct reaper {
	struct broker *broker;
	struct loop_timer *timer;
	bool armed;
	uint64_t linger_ns;	    /* UINT64_MAX: for ever */
	TAILQ_HEAD(, segment) idle; /* longest first */
};

int reaper_init(struct reaper *reaper, struct broker *broker, uint64_t linger_ns);
void reaper_deinit(struct reaper *reaper);
/* After any change of who holds the segment. */
void reaper_look(struct reaper *reaper, struct segment *segment);

/*
 * Removes a segment: attachments, registry, files; its readers are woken. It is gone from here in any case; an errno when files stay
 * behind.
 */
int reaper_remove(struct broker *broker, struct segment *segment);

#endif
