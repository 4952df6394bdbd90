/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_GENERATION_H
#define SHMB_DAEMON_GENERATION_H

/*
 * One generation of a segment followed by the next: the steps that segment_replace() and the scan are made of. Shared by the files that make up
 * segment.h.
 */

#include "parts.h"

/*
 * Supersedes `old`: its writer is stopped at its next claim, readers refuse numbers from the cut on. *base is the first number of the generation
 * that follows: the cut, or 0 where old's numbers are nearly used up or cannot be. Nobody follows before generation_link().
 */
int generation_cut(struct store *store, struct segment *old, uint64_t *base);
/* Takes that back: nothing has followed. Nothing is done where `old` was not superseded. */
void generation_reopen(struct store *store, struct segment *old);
/* The first half of that, at adoption: the second is lease_settle()'s. */
int generation_uncut(struct store *store, const struct segment *old);
/* The next one is complete: tells readers to follow, and wakes them. Idempotent. */
int generation_link(struct store *store, struct segment *old, uint64_t next);
/*
 * At adoption: generation `next`, whose numbers begin at `base`, is complete and `old` perhaps not closed yet. `card` and `cookie` are private
 * copies of what old's files say. Fills state, writer, epoch and lease of the struct; a holder of another boot is gone. Idempotent.
 */
int generation_close(struct store *store, struct segment *old, const struct shmb_shm_card *card, const uint8_t cookie[SHMB_COOKIE_BYTES],
		     uint64_t next, uint64_t base, bool other_boot);

#endif
