/* SPDX-License-Identifier: MIT */
#ifndef SHMB_CLIENT_WAIT_H
#define SHMB_CLIENT_WAIT_H

/* Sleeping until there is something to read. */

#include "slots.h"

struct shmb;

/*
 * Waits until something lies at the reader's position. 0; -ETIMEDOUT; -EBADMSG; -EOWNERDEAD in a forked child; and when nothing is left to
 * read: -ESTALE the segment was removed or replaced, -EOWNERDEAD or -EPIPE once for each epoch whose writer ended.
 * `broker` is the connection whose event page and socket are looked at as well; NULL none.
 */
int slots_wait(struct slots_reader *reader, struct shmb *broker, uint64_t deadline_ns);

#endif
