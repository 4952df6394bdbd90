/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_METRICS_H
#define SHMB_DAEMON_METRICS_H

/*
 * What the daemon counts and measures of itself, and METRICS, which tells it: how long requests take and what is refused, counted where each
 * answer is sent (peer.c) and nowhere else; kinds of events (event.h); memory and descriptors of the process. Fixed tables, no
 * allocation. What belongs to one segment is FIGURES' (figures.h).
 */

#include <errno.h>
#include <stdint.h>

#include "dispatch.h"

enum {
	METRICS_BUCKETS = 17,
	METRICS_ERRNO_MAX = EHWPOISON, /* the last of Linux; what is above, which we do not use, counts as 0 */
};

struct metrics {
	uint64_t buckets[METRICS_BUCKETS]; /* of requests by the time from receiving them to their answer (metrics.c says which times) */
	uint64_t latency_ns;		   /* of all */
	uint64_t refusals[METRICS_ERRNO_MAX + 1];
	uint64_t looked_ns; /* CLOCK_MONOTONIC of the last count of descriptors, where counting is dear; 0 none */
	uint32_t descriptors;
};

/* A request was answered: `result` is the answer's. */
void metrics_answered(struct metrics *metrics, int result, uint64_t elapsed_ns);

/* The handler of METRICS. */
dispatch_fn metrics_request;

#endif
