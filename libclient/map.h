/* SPDX-License-Identifier: MIT */
#ifndef SHMB_CLIENT_MAP_H
#define SHMB_CLIENT_MAP_H

/* Mapping the parts of a segment and checking that they are what was asked for. */

#include "control.h"
#include "segment.h"

/* What the mapped memory must be. */
struct expected {
	const char *name;
	enum shmb_kind kind;
	enum shmb_role role;
	const struct shmb_type *type; /* NULL any */
	uint64_t schema_hash;
};

/*
 * Maps the descriptors of an open answer (closed in any case) and checks them. `open` is the answer's struct. `type` (may be NULL) receives
 * the segment's own type, from its card. -EBADMSG what came contradicts itself, the answer or what was asked for; -ENOMEM, ...; sets the text.
 */
int segment_map(struct mappings *out, const struct expected *expected, const struct shmb_msg_open_answer *open, struct answer *answer,
		struct shmb_type **type);
void segment_unmap(struct mappings *mappings);

/* Makes the mapped memory present and keeps it so, as `flags` (enum shmb_mapping) ask. -ENOMEM, -EPERM; sets the text. Not unmapped then. */
int segment_settle(const struct mappings *mappings, const struct expected *expected, uint32_t flags);

#endif
