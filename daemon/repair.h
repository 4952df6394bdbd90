/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_REPAIR_H
#define SHMB_DAEMON_REPAIR_H

/*
 * What the broker does in a data part: mends what a dead writer left half-done, and wakes the readers.
 *
 * The data part belongs to its writer, alive or not: its bytes may be anything, its file may shrink meanwhile. Nothing read here decides
 * anything but what is written back here.
 */

#include <stdbool.h>

#include "proto/geometry.h"

struct repair {
	uint64_t next;	 /* the number the next writer begins with, at least its share of the truth that the data tells */
	unsigned mended; /* half-written elements: 0 or 1 */
};

/*
 * Mends the data part open (read-write) at `fd`. Idempotent, and correct beside readers. -EBADMSG: the file is shorter than its card says,
 * then nothing can be mended. Only the head's page and the page of one slot are mapped, whatever the size.
 */
int repair_data(int fd, const struct shmb_geometry *geometry, struct repair *out);

/* Says in safe-shm's header that nobody writes, lets the wake word grow and wakes all sleepers. -EBADMSG as above. */
int repair_wake(int fd, bool writer_ended);

#endif
