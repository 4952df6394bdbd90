/* SPDX-License-Identifier: MIT */
/* Several rings at one time: the queries of temporal.c, one ring after the other, until one has no answer. */
#include "shmb.h"

#include <errno.h>
#include <stdbool.h>

#include "text.h"

#define JOIN_FUNCTION(clock)                                                                                                               \
	static int join_part_##clock(struct shmb_join_part_##clock *part, struct shmb_key_##clock key)                                     \
	{                                                                                                                                  \
		bool is_bracket = part->how == SHMB_JOIN_BRACKET;                                                                          \
		int r;                                                                                                                     \
                                                                                                                                           \
		if (part->reader == NULL || part->payload == NULL || (is_bracket && part->payload_after == NULL))                          \
			return text_fail(-EINVAL, "a part of a join has a reader and room for its payloads");                              \
		if (is_bracket)                                                                                                            \
			return shmb_ring_bracket_##clock(part->reader, key, part->max_distance, part->payload, part->payload_after,        \
							 &part->found);                                                                    \
		r = shmb_ring_closest_##clock(part->reader, key, part->max_distance, part->payload, &part->found.before);                  \
		if (r == 0) {                                                                                                              \
			part->found.after = part->found.before;                                                                            \
			part->found.alpha = 0;                                                                                             \
		}                                                                                                                          \
		return r;                                                                                                                  \
	}                                                                                                                                  \
	int shmb_join_##clock(struct shmb_join_part_##clock *parts, size_t count, struct shmb_key_##clock key, size_t *failed)             \
	{                                                                                                                                  \
		for (size_t i = 0; i < count; i++) {                                                                                       \
			int r = join_part_##clock(&parts[i], key);                                                                         \
                                                                                                                                           \
			if (r < 0) {                                                                                                       \
				if (failed != NULL)                                                                                        \
					*failed = i;                                                                                       \
				return r;                                                                                                  \
			}                                                                                                                  \
		}                                                                                                                          \
		return 0;                                                                                                                  \
	}

JOIN_FUNCTION(monotonic)
JOIN_FUNCTION(realtime)
JOIN_FUNCTION(sequence)
