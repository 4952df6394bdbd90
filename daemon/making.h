/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_MAKING_H
#define SHMB_DAEMON_MAKING_H

/*
 * Requests that are put off until memory for a large segment has been had.
 *
 * What takes long is one thing: to allocate the data part. So that happens first, on the worker's thread, to a file or memfd that has no name and
 * belongs to nothing; then the request is handled from its beginning, as if it came just now, and takes this memory where it would have made it.
 * All that was checked before is checked again, and whatever happened meanwhile is met like before any request: the name may be there by now. A
 * daemon killed meanwhile leaves nothing; a client that ends or hangs up meanwhile has its memory freed, and nothing is made.
 *
 * A second request that would make the same name does not have memory as well: it waits for the first and is then handled anew, and so told
 * what it would have been told a little later. A connection's next request is read when its answer has been sent, as ever.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "worker.h"

struct broker;
struct making;
struct peer;
struct reply;
struct segment_spec;
struct shmb_msg_head;

TAILQ_HEAD(making_list, making);

/*
 * Puts the request in broker->packet off, if it would make a large segment and has no memory for it yet. True: `reply` is made (deferred, or an
 * error) and the handler ends. False: go on; spec->memory is set where memory has been had.
 */
bool making_defer(struct peer *peer, const struct shmb_msg_head *head, struct segment_spec *spec, struct reply *reply);
/* Answers that it cannot be made, because of an errno of segment_create(). */
void making_refuse(struct peer *peer, const char *name, int error, const struct shmb_msg_head *head, struct reply *reply);
/* The connection ends: what it waits for is not wanted any more. */
void making_drop(struct peer *peer);

#endif
