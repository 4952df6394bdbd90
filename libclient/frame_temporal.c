/* SPDX-License-Identifier: MIT */
/*
 * Temporal queries on frames (shmb_temporal.h): a search over the entries (search.h), then pins. What is found stays where it is: a pin that comes
 * too late means once more with new bounds, SHMB_READ_TRIES times at the most.
 *
 * The entry of a number holds its key for twice the history and more, so a search is seldom overtaken; a pin needs the number to be among the
 * newest H still.
 */
#include <stddef.h>

#include "search.h"
#include "segment.h"

static inline struct frame_reader *frames_of(struct shmb_frame_reader *reader)
{
	return &((struct reader *)reader)->frame;
}

/* What is known of a number, and its pin where one is asked for. -EAGAIN overtaken. */
static int take(struct frame_reader *reader, uint64_t number, struct shmb_frame *frame, uint64_t *stamp_ns)
{
	const struct shmb_shm_entry *entry = (const struct shmb_shm_entry *)slot_of(&reader->entries, number);
	int r;

	if (frame != NULL) {
		r = frame_pin_try(reader, number, frame);
		*stamp_ns = frame->stamp_ns;
		return r;
	}
	*stamp_ns = reader->stamped ? atomic_load_explicit(&entry->stamp_ns, memory_order_relaxed) : 0;
	/* ORDER frame.entry (acquire). Partner: commit().
	 * Orders:  entry id "being written" -> slot, length, stamp, key.
	 * Without: the stamp of another frame.
	 * Model:   tests/model/src/frame.rs */
	shmb_fence_acquire();
	return atomic_load_explicit(&entry->id, memory_order_relaxed) == shmb_id_done(number) ? 0 : -EAGAIN;
}

static int frame_closest(struct frame_reader *reader, enum shmb_clock clock, uint64_t key, uint64_t max_distance, struct shmb_frame *frame,
			 struct query_found *found)
{
	struct slots_reader *entries = &reader->entries;
	struct temporal_view view;
	int r = clock_check(entries, clock);

	if (r < 0)
		return r;
	view = search_view(entries);
	for (int i = 0; i < SHMB_READ_TRIES; i++) {
		uint64_t first, next;

		r = search_bounds(entries, &first, &next);
		if (r == 0)
			r = temporal_closest(&view, first, next, key, max_distance, &found->number, &found->key);
		if (r == 0)
			r = take(reader, found->number, frame, &found->stamp_ns);
		if (r != -EAGAIN)
			return r;
	}
	return -EAGAIN;
}

/* Both or none. */
static int take_two(struct frame_reader *reader, const struct temporal_pair *pair, struct shmb_frame *before, struct shmb_frame *after,
		    struct query_bracket *out)
{
	int r = take(reader, pair->before, before, &out->before.stamp_ns);

	if (r < 0)
		return r;
	r = take(reader, pair->after, after, &out->after.stamp_ns);
	if (r < 0 && before != NULL)
		shmb_frame_release((struct shmb_frame_reader *)reader, before);
	return r;
}

static int frame_bracket(struct frame_reader *reader, enum shmb_clock clock, uint64_t key, uint64_t max_distance, struct shmb_frame *before,
			 struct shmb_frame *after, struct query_bracket *out)
{
	struct slots_reader *entries = &reader->entries;
	struct temporal_view view;
	int r = clock_check(entries, clock);

	if (r < 0)
		return r;
	view = search_view(entries);
	for (int i = 0; i < SHMB_READ_TRIES; i++) {
		struct temporal_pair pair;
		uint64_t first, next;

		r = search_bounds(entries, &first, &next);
		if (r == 0)
			r = temporal_bracket(&view, first, next, key, max_distance, &pair, &out->alpha);
		if (r == 0)
			r = take_two(reader, &pair, before, after, out);
		if (r == 0) {
			out->before.number = pair.before;
			out->before.key = pair.before_key;
			out->after.number = pair.after;
			out->after.key = pair.after_key;
			return 0;
		}
		if (r != -EAGAIN)
			return r;
	}
	return -EAGAIN;
}

static int frame_fresh(struct frame_reader *reader, enum shmb_clock clock, uint64_t oldest, struct shmb_frame *frame,
		       struct query_found *found)
{
	struct slots_reader *entries = &reader->entries;
	struct temporal_view view;
	int r = clock_check(entries, clock);

	if (r < 0)
		return r;
	view = search_view(entries);
	for (int i = 0; i < SHMB_READ_TRIES; i++) {
		uint64_t first, next;

		r = search_bounds(entries, &first, &next);
		if (r < 0)
			return r;
		found->number = next - 1;
		found->key = temporal_key(&view, next - 1);
		if (!temporal_holds(&view, next - 1, next - 1))
			continue;
		if (found->key < oldest)
			return -ETIME;
		r = take(reader, next - 1, frame, &found->stamp_ns);
		if (r != -EAGAIN)
			return r;
	}
	return -EAGAIN;
}

/* ---- whatever the clock ---- */

enum shmb_clock shmb_frame_clock(const struct shmb_frame_reader *reader)
{
	return (enum shmb_clock)((const struct reader *)reader)->slots.key_type;
}

int shmb_frame_restart_keys(struct shmb_frame_writer *writer)
{
	return slots_restart_keys(&((struct writer *)writer)->slots);
}

int shmb_frame_lag(struct shmb_frame_reader *reader, uint64_t *lag)
{
	return slots_lag(&frames_of(reader)->entries, lag);
}

int shmb_frame_seek_oldest(struct shmb_frame_reader *reader)
{
	return query_seek_oldest(&frames_of(reader)->entries);
}

int shmb_frame_seek_age(struct shmb_frame_reader *reader, uint64_t age_ns)
{
	return query_seek_age(&frames_of(reader)->entries, age_ns);
}

/* ---- by clock ---- */

#define FRAME_FUNCTIONS(clock, CLOCK, member)                                                                                              \
	static struct shmb_found_##clock found_##clock(const struct query_found *found)                                                    \
	{                                                                                                                                  \
		return (struct shmb_found_##clock){ found->number, found->stamp_ns, { found->key } };                                      \
	}                                                                                                                                  \
	int shmb_frame_closest_##clock(struct shmb_frame_reader *reader, struct shmb_key_##clock key, uint64_t max_distance,               \
				       struct shmb_frame *frame, struct shmb_found_##clock *out)                                           \
	{                                                                                                                                  \
		struct query_found found;                                                                                                  \
		int r = frame_closest(frames_of(reader), CLOCK, key.member, max_distance, frame, &found);                                  \
                                                                                                                                           \
		if (r == 0 && out != NULL)                                                                                                 \
			*out = found_##clock(&found);                                                                                      \
		return r;                                                                                                                  \
	}                                                                                                                                  \
	int shmb_frame_bracket_##clock(struct shmb_frame_reader *reader, struct shmb_key_##clock key, uint64_t max_distance,               \
				       struct shmb_frame *before, struct shmb_frame *after, struct shmb_bracket_##clock *out)              \
	{                                                                                                                                  \
		struct query_bracket found;                                                                                                \
		int r = frame_bracket(frames_of(reader), CLOCK, key.member, max_distance, before, after, &found);                          \
                                                                                                                                           \
		if (r == 0 && out != NULL) {                                                                                               \
			out->before = found_##clock(&found.before);                                                                        \
			out->after = found_##clock(&found.after);                                                                          \
			out->alpha = found.alpha;                                                                                          \
		}                                                                                                                          \
		return r;                                                                                                                  \
	}                                                                                                                                  \
	int shmb_frame_range_##clock(struct shmb_frame_reader *reader, struct shmb_key_##clock from, struct shmb_key_##clock to,           \
				     struct shmb_range *out)                                                                               \
	{                                                                                                                                  \
		return query_range(&frames_of(reader)->entries, CLOCK, from.member, to.member, out);                                       \
	}                                                                                                                                  \
	int shmb_frame_fresh_##clock(struct shmb_frame_reader *reader, struct shmb_key_##clock oldest, struct shmb_frame *frame,           \
				     struct shmb_found_##clock *out)                                                                       \
	{                                                                                                                                  \
		struct query_found found;                                                                                                  \
		int r = frame_fresh(frames_of(reader), CLOCK, oldest.member, frame, &found);                                               \
                                                                                                                                           \
		if (r == 0 && out != NULL)                                                                                                 \
			*out = found_##clock(&found);                                                                                      \
		return r;                                                                                                                  \
	}                                                                                                                                  \
	int shmb_frame_key_##clock(struct shmb_frame_reader *reader, uint64_t number, struct shmb_key_##clock *out)                        \
	{                                                                                                                                  \
		return query_key(&frames_of(reader)->entries, CLOCK, number, &out->member);                                                \
	}                                                                                                                                  \
	int shmb_frame_since_##clock(struct shmb_frame_reader *reader, struct shmb_key_##clock key)                                        \
	{                                                                                                                                  \
		return query_since(&frames_of(reader)->entries, CLOCK, key.member);                                                        \
	}

FRAME_FUNCTIONS(monotonic, SHMB_CLOCK_MONOTONIC, private_ns)
FRAME_FUNCTIONS(realtime, SHMB_CLOCK_REALTIME, private_ns)
FRAME_FUNCTIONS(sequence, SHMB_CLOCK_SEQUENCE, private_count)
