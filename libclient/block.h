/* SPDX-License-Identifier: MIT */
#ifndef SHMB_CLIENT_BLOCK_H
#define SHMB_CLIENT_BLOCK_H

/* The lock of a block: a futex word in the data that names its holder. block.c has the protocol. Memory only. */

#include "slots.h"

struct shmb;

struct block {
	struct slots_writer slots; /* of it: guard, card, data */
	unsigned char *payload;
	const struct shmb_shm_cell_owner *owner;
	uint32_t incarnation; /* of the cell, while it is ours */
	uint32_t mark;	      /* what the lock word holds while we do */
	bool held;
	bool died; /* held, and whoever unlocks without a word leaves the mark of the dead */
};

/* -EUSERS without a cell. */
int block_init(struct block *block, const struct slots_memory *memory, uint32_t cell, uint32_t incarnation);
/* 0 locked; 1 locked, an owner died; -ETIMEDOUT, -EDEADLK, -ESTALE, -EOWNERDEAD in a forked child. */
int block_lock(struct block *block, struct shmb *broker, uint64_t deadline_ns);
/* Likewise, -EBUSY. */
int block_trylock(struct block *block);
int block_recovered(struct block *block);
int block_unlock(struct block *block);
/* pid, 0 free. */
int32_t block_holder(const struct block *block);

#endif
