/* SPDX-License-Identifier: MIT */
#ifndef SHMB_BLOCK_H
#define SHMB_BLOCK_H

/*
 * Blocks: plain typed memory that several processes read and write, with a lock that survives its holder. Included by shmb.h.
 *
 *   struct calibration *calibration = shmb_block_payload(block);
 *   int r = shmb_block_lock(block, shmb_now_ns() + 1000000);
 *   if (r >= 0) {
 *           if (r == SHMB_BLOCK_OWNER_DIED && make_whole(calibration))
 *                   shmb_block_recovered(block);
 *           ... read and write *calibration ...
 *           shmb_block_unlock(block);
 *   }
 *
 * The lock is advisory: memory is memory. Without it, what a process reads while another one writes may be half of each; single aligned
 * words do not tear.
 *
 * A holder that dies does not block anybody: the broker takes the lock from it and whoever locks next is told so, once and again until
 * somebody says shmb_block_recovered(). A holder that is stopped, and lives, holds on. A broker that is not there when a holder dies takes
 * the lock when it is back. Closing a block that is locked, or disconnecting, is like dying: the next one is told.
 *
 * A handle is for one thread at a time, and the lock belongs to the handle: two threads that share a block open it twice. In a forked
 * child every call is -EOWNERDEAD, the payload is not mapped, and closing only frees memory.
 */

#include "shmb.h"

#ifdef __cplusplus
extern "C" {
#endif

struct shmb_block;

/* shmb_block_lock(): locked, and somebody died with the lock after which nobody has said that the payload is whole. */
enum { SHMB_BLOCK_OWNER_DIED = 1 };

/*
 * Opens a block; makes it, all zero, where there is none. As many processes may as there are cells. Errors as for a writer (shmb.h) without those of the
 * lease (-EBUSY, -EOVERFLOW); and -EUSERS: all cells are taken, or none is left for this user.
 */
SHMB_PUBLIC int shmb_block_open(struct shmb_block **out, struct shmb *broker, const char *name, const struct shmb_type *type);
SHMB_PUBLIC struct shmb_block *shmb_block_close(struct shmb_block *block);
/* The memory itself, type->size bytes, on a cache line of its own. Valid until the block is closed. NULL after fork. */
SHMB_PUBLIC void *shmb_block_payload(struct shmb_block *block);

/*
 * Locks, waiting until the deadline. 0, or SHMB_BLOCK_OWNER_DIED (1): locked as well.
 *   -ETIMEDOUT    -EDEADLK this handle has it already    -ESTALE the block was removed or replaced, or this handle is known no more:
 *   open it anew
 *   -EOWNERDEAD after fork
 */
SHMB_PUBLIC int shmb_block_lock(struct shmb_block *block, uint64_t deadline_ns);
/* Likewise without waiting: -EBUSY somebody else has it. */
SHMB_PUBLIC int shmb_block_trylock(struct shmb_block *block);
/* The payload is whole again: nobody need be told any more. -EPERM this handle has not the lock; -ESTALE as above, -EOWNERDEAD after fork. */
SHMB_PUBLIC int shmb_block_recovered(struct shmb_block *block);
/*
 * -EPERM this handle has not the lock; -ESTALE it was taken away meanwhile, and others may have changed the payload; -EOWNERDEAD after
 * fork.
 */
SHMB_PUBLIC int shmb_block_unlock(struct shmb_block *block);
/* Process id of who has the lock, in the pid namespace of the broker; 0 nobody, or after fork. */
SHMB_PUBLIC int32_t shmb_block_holder(const struct shmb_block *block);

#ifdef __cplusplus
}
#endif

#endif
