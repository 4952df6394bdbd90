/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_REPAIR_H
#define SHMB_DAEMON_REPAIR_H

/*
 * What the broker does in a data part: mends what a dead writer left half-done, takes a block's lock from a dead holder, wakes the sleepers.
 *
 * A queue's consumer leaves nothing to mend: its position is one word. A producer that waits for room is woken when its cell is freed (cells.c),
 * and waits on for the next consumer.
 *
 * The data part belongs to its writer, alive or not: its bytes may be anything, its file may shrink meanwhile. Nothing read here decides
 * anything but what is written back here.
 */

#include <stdbool.h>

#include "proto/geometry.h"

struct repair {
	uint64_t next;	 /* the number the next writer begins with, at least its share of the truth that the data tells */
	unsigned mended; /* half-written elements, and slots of a frame on loan */
};

/*
 * Mends the data part open (read-write) at `fd`. Idempotent, and correct beside readers. -EBADMSG: the file is shorter than its card says,
 * then nothing can be mended. Of a frame all slots' heads are looked at, a page at a time; otherwise only the head's page and that of one slot,
 * unless there is more to roll forward.
 */
int repair_data(int fd, const struct shmb_geometry *geometry, struct repair *out);

/* Says in safe-shm's header that nobody writes, lets the wake word grow and wakes all sleepers. -EBADMSG as above. */
int repair_wake(int fd, bool writer_ended);

/*
 * Takes the lock of a block from `cell` (UINT32_MAX: from whoever holds it), if it holds it: SHMB_LOCK_OWNER_DIED; *mended is then 1, else 0.
 * Wakes all who sleep on it either way. -EBADMSG as above; -EAGAIN when somebody kept changing the word.
 */
int repair_lock(int fd, uint32_t cell, unsigned *mended);

#endif
