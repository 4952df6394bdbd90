/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_LINEAGE_H
#define SHMB_DAEMON_LINEAGE_H

/*
 * The generations of a name: when the next one is made, and how long the earlier ones stay.
 *
 * A generation that is superseded stays while somebody has it open (a reader that has not followed yet, a writer that was replaced and lives), while
 * a queue's items lie in it that nobody has consumed, and while an older one stays, whose readers will come through it. Until then its bytes
 * are charged. All goes with the name when that is removed.
 */

#include "broker.h"
#include "peer.h"

/*
 * Why this client gets a new generation of a segment that it may write, or NULL: it goes on in the memory that is there, or is refused.
 * `differs`: it asks for another type or layout. A word or two, for logs.
 */
const char *lineage_why_replace(struct broker *broker, struct segment *segment, const struct peer *peer, bool differs);
/* Makes it. NULL: *why says why not, *error too; the segment is as it was. */
struct segment *lineage_replace(struct broker *broker, struct segment *old, const struct segment_spec *spec, const char *reason,
				const struct peer *peer, int *error, const char **why);

/* Removes the superseded generations of this name that nobody needs any more; `newest` stays. */
void lineage_look(struct broker *broker, struct segment *newest);
/* The generation of that number; NULL: it is no more. */
struct segment *lineage_find(struct segment *newest, uint64_t generation);
/* The oldest there is. */
struct segment *lineage_oldest(struct segment *newest);
/* Readers, consumers and sharers of all generations. */
uint32_t lineage_readers(const struct segment *newest);
/* Is there one of those? */
bool lineage_is_read(const struct segment *newest);
/* How many are superseded, and what they all take with the newest. */
uint32_t lineage_draining(const struct segment *newest);
uint64_t lineage_bytes(const struct segment *newest);

#endif
