/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_VAULT_H
#define SHMB_DAEMON_VAULT_H

/*
 * The sealed parts of the daemon before, as the keeper gave them back at the start: each waits here for the card it belongs to. What no card asks
 * for is given up at the end of the scan.
 */

#include "sealed.h"

struct vault;

/* -ENOMEM. */
int vault_new(struct vault **out);
/* Takes a descriptor in, whatever it is. -EINVAL (closed): its name is none of ours; -ENOMEM (closed). */
int vault_add(struct vault *vault, const char *name, int fd_consume);
/* Hands out the part, checked (sealed_check()), at most once. -ENOENT none, -EBADMSG it is not what it should be. NULL vault: -ENOENT. */
int vault_take(struct vault *vault, uint64_t segment_id, enum part part, uint32_t area, uint64_t bytes);
/*
 * Closes what nobody took. `drop`: and tells the store's keeper to drop it, for every card was looked at and none belongs to it. Returns NULL.
 */
struct vault *vault_free(struct vault *vault, struct store *store, bool drop);

#endif
