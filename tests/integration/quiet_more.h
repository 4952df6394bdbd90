/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_QUIET_MORE_H
#define SHMB_TESTS_QUIET_MORE_H

/*
 * What quiet.c measures beside plain stores and loads: temporal queries on rings and frames and joins of both ("keyed"), batches and items in place of
 * a queue ("batch"), locking and changing a block ("block"), the snapshots of a loader while another thread writes ("loader").
 */
#include "shmb.h"

struct more;

/* NULL: no such kind, or it cannot be opened, which is said on stderr. Closed as far as more_end() does. */
struct more *more_open(struct shmb *broker, const char *kind, size_t bytes);
/* One round of everything. */
int more_trip(struct more *more, uint64_t number);
/* Ends the threads. */
void more_end(struct more *more);

#endif
