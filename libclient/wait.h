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

/*
 * What every wait does with news from the broker before it sleeps: looks at the socket and comes back to a new broker. `event` is the event
 * word that the wait goes by. True: time has passed, look again at what is waited for. *until is put forward where the socket must be looked at
 * again soon.
 */
bool wait_broker(struct shmb *broker, uint32_t event, uint64_t *until);

#endif
