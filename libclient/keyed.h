/* SPDX-License-Identifier: MIT */
#ifndef SHMB_CLIENT_KEYED_H
#define SHMB_CLIENT_KEYED_H

/* Opening writers of kinds that may have keys: ring and frame. */

#include "segment.h"

/* What the options say of keys. */
struct key_wish {
	enum shmb_clock clock;
	const char *field;
	bool given;    /* stated with each commit */
	bool as_it_is; /* SHMB_AS_IT_IS: these, and the layout, as they are in the segment that is there */
};

/* As writer_open(), with the keys that are wished for. Also -EINVAL. */
int keyed_writer_open(struct writer **out, struct shmb *broker, const char *name, const struct shmb_type *type, struct shmb_request *wanted,
		      const struct key_wish *wish, uint64_t deadline_ns);

#endif
