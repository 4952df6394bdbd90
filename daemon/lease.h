/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_LEASE_H
#define SHMB_DAEMON_LEASE_H

/* Taking over leases at adoption (lease.c); granting and releasing are in segment.h. */

#include "parts.h"

/* May this card's lease fields be what lease.c wrote, killed anywhere? NULL, or what cannot be. `card` is a private copy. */
const char *lease_check(const struct shmb_shm_card *card);

/*
 * Brings the lease to the state before or after the change in which a broker was killed, and fills the segment's epoch, state, writer and
 * lease. A holder of another boot is dead. `card` and `cookie` are private copies of what the files say; lease_check() has passed.
 * Idempotent; without a system call when there is nothing to settle.
 */
int lease_settle(struct store *store, struct segment *segment, const struct shmb_shm_card *card, const uint8_t cookie[SHMB_COOKIE_BYTES],
		 bool other_boot);

#endif
