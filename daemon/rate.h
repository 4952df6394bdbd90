/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_RATE_H
#define SHMB_DAEMON_RATE_H

/*
 * How often one cause may be told of: RATE_BURST times in RATE_WINDOW_NS, and what was kept back is counted, to be told later. Pure: time is
 * passed in. The table is fixed; a cause for which there is no place takes that of the one that was silent longest.
 */

#include <stdbool.h>
#include <stdint.h>

enum {
	RATE_CAUSES = 64,
	RATE_BURST = 20,
	RATE_LABEL_MAX = 240,
};

#define RATE_WINDOW_NS UINT64_C(10000000000)

struct rate_cause {
	int kind; /* 0: no cause */
	char label[RATE_LABEL_MAX];
	uint64_t begun_ns; /* of its window */
	uint64_t last_ns;
	unsigned said;
	unsigned suppressed;
};

struct rate {
	struct rate_cause causes[RATE_CAUSES];
};

/* May it be told? `kind` from 1 and `label` are the cause. *thrown_out (may be told of, if it has something suppressed) made room for it. */
bool rate_admit(struct rate *rate, int kind, const char *label, uint64_t now_ns, struct rate_cause *thrown_out);
/* The next cause whose window is over (`all`: or is not) with something suppressed; forgotten. False: none. */
bool rate_due(struct rate *rate, uint64_t now_ns, bool all, struct rate_cause *out);

#endif
