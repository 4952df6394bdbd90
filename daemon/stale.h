/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_STALE_H
#define SHMB_DAEMON_STALE_H

/*
 * Looks at writers whose policy has a stale time: one that published nothing and sent no heartbeat for that long is called what the kernel
 * says of its process - stopped, traced, dumping core - or else hung, and alive again when it goes on.
 *
 * Each watched segment is looked at once a stale time; those of the same stale time at the same moment, so that any number of them costs
 * one wake-up. No segment with a stale time and a writer: no timer. Where
 * a hang has no consequence at all (on-hang = keep) nobody looks.
 */

#include <stdbool.h>

#include "segment.h"

struct broker;

/* After any change of who holds the lease or of the policy: begins, goes on or ends looking. */
void stale_follow(struct broker *broker, struct segment *segment);
/* Ends it. */
void stale_end(struct segment *segment);

/* ---- the judgement, without clock or files ---- */

enum stale_finding {
	STALE_BEATS,  /* it has done something since the last look */
	STALE_SILENT, /* it has not, but not for a whole stale time */
	STALE_OVER,   /* for a whole stale time */
};

struct stale_state {
	struct segment_pulse pulse; /* at the last look */
	uint64_t since_ns;	    /* CLOCK_MONOTONIC of the look at which it was this for the first time */
	uint64_t due_ns;	    /* of the next look */
	uint64_t suspended_ns;	    /* time that the host slept, up to the last look */
};

void stale_state_init(struct stale_state *state, const struct segment_pulse *pulse, uint64_t stale_ns, uint64_t now_ns,
		      uint64_t suspended_ns);
/*
 * One look: `pulse` is what there is now. Sets when to look next. A look that comes much too late, or after the host slept, proves nothing
 * about the writer, which did not run either: the time is counted from there.
 */
enum stale_finding stale_state_look(struct stale_state *state, const struct segment_pulse *pulse, uint64_t stale_ns, uint64_t now_ns,
				    uint64_t suspended_ns);

#endif
