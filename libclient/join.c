/* SPDX-License-Identifier: MIT */
/* Several rings and frames at one time: the queries of temporal.c and frame_temporal.c, one segment after the other, until one has no answer. */
#include "shmb.h"

#include <errno.h>
#include <stdbool.h>

#include "text.h"

static int part_wrong(void)
{
	return text_fail(-EINVAL,
			 "a part of a join has either a ring's reader and room for its payloads, or a frame's reader and its views");
}

#define JOIN_FUNCTION(clock)                                                                                                               \
	static int join_ring_##clock(struct shmb_join_part_##clock *part, struct shmb_key_##clock key, bool is_bracket)                    \
	{                                                                                                                                  \
		if (part->frames != NULL || part->payload == NULL || (is_bracket && part->payload_after == NULL))                          \
			return part_wrong();                                                                                               \
		if (is_bracket)                                                                                                            \
			return shmb_ring_bracket_##clock(part->reader, key, part->max_distance, part->payload, part->payload_after,        \
							 &part->found);                                                                    \
		return shmb_ring_closest_##clock(part->reader, key, part->max_distance, part->payload, &part->found.before);               \
	}                                                                                                                                  \
	static int join_frame_##clock(struct shmb_join_part_##clock *part, struct shmb_key_##clock key, bool is_bracket)                   \
	{                                                                                                                                  \
		if (part->frames == NULL || part->frame == NULL || (is_bracket && part->frame_after == NULL))                              \
			return part_wrong();                                                                                               \
		if (is_bracket)                                                                                                            \
			return shmb_frame_bracket_##clock(part->frames, key, part->max_distance, part->frame, part->frame_after,           \
							  &part->found);                                                                   \
		return shmb_frame_closest_##clock(part->frames, key, part->max_distance, part->frame, &part->found.before);                \
	}                                                                                                                                  \
	static int join_part_##clock(struct shmb_join_part_##clock *part, struct shmb_key_##clock key)                                     \
	{                                                                                                                                  \
		bool is_bracket = part->how == SHMB_JOIN_BRACKET;                                                                          \
		int r = part->reader != NULL ? join_ring_##clock(part, key, is_bracket) : join_frame_##clock(part, key, is_bracket);       \
                                                                                                                                           \
		if (r == 0 && !is_bracket) {                                                                                               \
			part->found.after = part->found.before;                                                                            \
			part->found.alpha = 0;                                                                                             \
		}                                                                                                                          \
		return r;                                                                                                                  \
	}                                                                                                                                  \
	/* Of a join that failed nothing is held. */                                                                                       \
	static void join_release_##clock(struct shmb_join_part_##clock *parts, size_t count)                                               \
	{                                                                                                                                  \
		for (size_t i = 0; i < count; i++) {                                                                                       \
			if (parts[i].frames == NULL)                                                                                       \
				continue;                                                                                                  \
			shmb_frame_release(parts[i].frames, parts[i].frame);                                                               \
			if (parts[i].how == SHMB_JOIN_BRACKET)                                                                             \
				shmb_frame_release(parts[i].frames, parts[i].frame_after);                                                 \
		}                                                                                                                          \
	}                                                                                                                                  \
	int shmb_join_##clock(struct shmb_join_part_##clock *parts, size_t count, struct shmb_key_##clock key, size_t *failed)             \
	{                                                                                                                                  \
		for (size_t i = 0; i < count; i++) {                                                                                       \
			int r = join_part_##clock(&parts[i], key);                                                                         \
                                                                                                                                           \
			if (r < 0) {                                                                                                       \
				if (failed != NULL)                                                                                        \
					*failed = i;                                                                                       \
				join_release_##clock(parts, i);                                                                            \
				return r;                                                                                                  \
			}                                                                                                                  \
		}                                                                                                                          \
		return 0;                                                                                                                  \
	}

JOIN_FUNCTION(monotonic)
JOIN_FUNCTION(realtime)
JOIN_FUNCTION(sequence)
