/* SPDX-License-Identifier: MIT */
#ifndef SHMBCTL_PUBLISHER_H
#define SHMBCTL_PUBLISHER_H

/* What `pub` writes to: a value, ring, frame or queue, behind one set of functions. */

#include "command.h"

struct publisher {
	struct shmb_value_writer *value; /* exactly one of the four is open */
	struct shmb_ring_writer *ring;
	struct shmb_frame_writer *frame;
	struct shmb_queue_producer *queue;
	struct shmb_type *type;
};

/*
 * Opens the segment as its writer. What is there already says of which kind and type it is; otherwise options->kind (default: value) and
 * options->schema do. 0, or an exit status after the reason was said on stderr. publisher_close() in any case.
 */
int publisher_open(struct publisher *publisher, struct shmb *broker, const struct command_options *options);
void publisher_close(struct publisher *publisher);
/* Publishes type->size bytes. Waits for room in a queue, and for a frame's readers, until the deadline. An error of the library. */
int publisher_put(struct publisher *publisher, const void *payload, uint64_t deadline_ns);

#endif
