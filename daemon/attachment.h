/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_ATTACHMENT_H
#define SHMB_DAEMON_ATTACHMENT_H

/*
 * Who holds what: one handle on one segment, by a process, through a connection.
 *
 *   held       peer set                       the ordinary case
 *   orphaned   peer NULL, given_up false      its connection is gone, it is not: adopted after a restart, its process is about to end, or it is a
 *                                             cell and its process lives on with the memory mapped;
 *                                             RESUME brings it back, READY without RESUME and the death of the process end it
 *   leaving    peer NULL, leaving set         its connection is gone, or its client has said that it closed it: given up, freed or closed in its turn
 *                                             (liveness.h), or before if somebody asks for what it has; RESUME may still bring it back
 *   given up   peer NULL, given_up true       a writer's only: its connection closed while the process lives on; RESUME or the next
 *                                             OPEN_WRITER of the same client bring it back, the death of the process ends it
 *
 * It lies in up to three lists: its segment's, its process's, its connection's.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "event.h"
#include "segment.h"

struct peer;
struct process;

TAILQ_HEAD(attachment_list, attachment);

struct attachment {
	LIST_ENTRY(attachment) segment_link;
	LIST_ENTRY(attachment) process_link;
	LIST_ENTRY(attachment) peer_link;     /* only while peer is set */
	TAILQ_ENTRY(attachment) leaving_link; /* only while leaving is set */
	struct segment *segment;
	struct process *process; /* referenced */
	struct peer *peer;
	struct holder holder;
	enum shmb_role role;
	uint32_t handle; /* 0 while there is no peer */
	bool given_up;
	bool closes;			 /* leaving: by its client's word */
	struct attachment_list *leaving; /* NULL: it is not */
	uint32_t cell;			 /* UINT32_MAX none */
	uint32_t incarnation;
	uint32_t area; /* as handed out with the cell */
};

/* Links a new one into segment and process. NULL when memory is short. */
struct attachment *attachment_new(struct segment *segment, struct process *process, const struct holder *holder, enum shmb_role role);
/* Unlinks and frees it; nothing in the segment changes. Returns NULL. */
struct attachment *attachment_free(struct attachment *attachment);

void attachment_set_peer(struct attachment *attachment, struct peer *peer, uint32_t handle);
void attachment_orphan(struct attachment *attachment);
/* Puts one that has no peer at the end of those that leave. Not twice. */
void attachment_leave(struct attachment *attachment, struct attachment_list *leaving, bool closes);
void attachment_stay(struct attachment *attachment);

/* The one that holds the segment's lease, NULL none. */
struct attachment *attachment_writer(const struct segment *segment);
/* The one that takes items out of the queue, NULL none. */
struct attachment *attachment_consumer(const struct segment *segment);
/* One of those that share the block, NULL none. */
struct attachment *attachment_sharer(const struct segment *segment);
/* Those that count besides the writer: readers, a consumer, sharers; not observers. */
uint32_t attachment_readers(const struct segment *segment);
/* Is there one of those? */
bool attachment_is_read(const struct segment *segment);
/* Of this connection, NULL none. */
struct attachment *attachment_by_handle(const struct peer *peer, uint32_t handle);

/* An event about it: segment, process and user filled in. Valid as long as the attachment. */
struct event attachment_event(const struct attachment *attachment, enum event_kind kind, const char *reason);

/* Same process and cookie: the same client. */
bool holder_is_same(const struct holder *left, const struct holder *right);

#endif
