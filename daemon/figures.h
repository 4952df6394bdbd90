/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_FIGURES_H
#define SHMB_DAEMON_FIGURES_H

/*
 * Figures that change all the time: what writers and readers say of themselves in the memory of a segment. It is read as files, without
 * mapping anything, shown to people, and believed by nobody.
 */

#include "dispatch.h"
#include "segment.h"

dispatch_fn figures_list;

/* How far a segment's writer is. */
struct figures_writer {
	uint64_t next;	       /* UINT64_MAX unknown */
	uint64_t heartbeat_ns; /* 0 never */
};
void figures_writer(struct store *store, const struct segment *segment, struct figures_writer *out);

/* How far one of its readers is; all of it UINT64_MAX where the reader has no cell to say it in. */
struct figures_reader {
	uint64_t behind;
	uint64_t counters[SHMB_COUNTERS];
};
void figures_reader(struct store *store, const struct segment *segment, const struct attachment *attachment, uint64_t next,
		    struct figures_reader *out);

#endif
