/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_CELLS_H
#define SHMB_DAEMON_CELLS_H

/* The table of cells at adoption (cells.c); taking and freeing one are in segment.h. */

#include "parts.h"

/*
 * Brings the bits of area_cells to what the table says. `card` is a private copy of what the file says. Idempotent; without a system call when
 * they agree.
 */
int cells_settle(struct store *store, const struct segment *segment, const struct shmb_shm_card *card);

#endif
