/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TEMPORAL_H
#define SHMB_TEMPORAL_H

/*
 * Finding elements of rings and frames in time, several of both at one time, and reading them by range, age and from their oldest element.
 *
 *   struct shmb_bracket_monotonic at;
 *   struct imu before, after;
 *   int r = shmb_ring_bracket(imu, image_time, 20 * MILLISECOND, &before, &after, &at);
 *   if (r == 0)
 *           interpolate(&before, &after, at.alpha);
 *
 * Every ring or frame that was opened with options.key_clock has keys; one that is only stamped is searched by its stamps, with monotonic keys.
 * A query takes the number of writes once and answers for that moment, while the writer goes on. Keys never shrink from one element to the
 * next; of equal keys the newest counts. No query looks across the beginning of a lease or a restart of the keys.
 *
 * All functions here but those that restart keys belong to readers. Those of rings copy, those of frames pin what they find, without a copy.
 * They never wait, allocate nothing, make no system call (the seeks by age read a clock), and none but the seeks moves the position of
 * shmb_ring_read_next() and shmb_frame_pin_next(). Results are filled only where the function returns 0; after an error payloads and views may hold
 * rubbish, and no frame is pinned. Threads as for the reader itself.
 *
 * Errors that several have in common:
 *   -ENODATA     nothing there in this run of keys
 *   -ERANGE      there is, but nothing within the distance
 *   -ETIME       everything there is is older
 *   -ESTALE      everything there is is newer: overwritten, or never there
 *   -EXDEV       the key is of another clock than the segment's, or it has neither keys nor stamps
 *   -EAGAIN      overtaken by the writer SHMB_READ_TRIES times
 *   -EBADMSG     the segment's memory contradicts itself
 *   -EOWNERDEAD  after fork
 */

#include "shmb_key.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SHMB_ANY_DISTANCE UINT64_MAX

struct shmb_frame;
struct shmb_frame_reader;
struct shmb_frame_writer;
struct shmb_ring_reader;
struct shmb_ring_writer;
struct shmb_sample;

/* What was found: shmb_found_CLOCK. And two elements around a time: shmb_bracket_CLOCK. */
#define SHMB_FOUND(clock)                                                                                                                  \
	struct shmb_found_##clock {                                                                                                        \
		uint64_t number;                                                                                                           \
		uint64_t stamp_ns; /* 0 unless stamped */                                                                                  \
		struct shmb_key_##clock key;                                                                                               \
	};                                                                                                                                 \
	struct shmb_bracket_##clock {                                                                                                      \
		struct shmb_found_##clock before; /* its key is not after the time asked for */                                            \
		struct shmb_found_##clock after;  /* its key is after it */                                                                \
		double alpha;			  /* 0 at before, to 1 at after */                                                         \
	}
SHMB_FOUND(monotonic);
SHMB_FOUND(realtime);
SHMB_FOUND(sequence);
#undef SHMB_FOUND

/* Numbers first, first + 1, ... */
struct shmb_range {
	uint64_t first;
	uint64_t count;
	int is_cut; /* the oldest there is is not older than the range's beginning: there may have been more */
};

/* How a ring or frame takes part in a join. */
enum shmb_join_how {
	SHMB_JOIN_CLOSEST = 0,
	SHMB_JOIN_BRACKET = 1,
};

/* One ring or frame of a join: shmb_join_part_CLOCK. Either `reader` and payloads, or `frames` and views. */
#define SHMB_JOIN_PART(clock)                                                                                                              \
	struct shmb_join_part_##clock {                                                                                                    \
		struct shmb_ring_reader *reader;                                                                                           \
		enum shmb_join_how how;                                                                                                    \
		uint64_t max_distance; /* from the time asked for to each element taken */                                                 \
		void *payload;	       /* of a ring: room for the element, or the one before; required */                                  \
		void *payload_after;   /* bracket: for the one after; required there */                                                    \
		struct shmb_bracket_##clock                                                                                                \
			found; /* result. Closest: `before` is the element, whichever side; `after` the same, alpha 0 */                   \
		struct shmb_frame_reader *frames;                                                                                          \
		struct shmb_frame *frame;	/* the frame, or the one before: pinned, to be released; required */                       \
		struct shmb_frame *frame_after; /* bracket: the one after, likewise */                                                     \
	}
SHMB_JOIN_PART(monotonic);
SHMB_JOIN_PART(realtime);
SHMB_JOIN_PART(sequence);
#undef SHMB_JOIN_PART

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

/*
 * For each CLOCK:
 *
 *   shmb_ring_closest_CLOCK(reader, key, max_distance, payload, found)
 *       The element whose key is closest, at most `max_distance` away; of two equally far ones the earlier. `found` may be NULL.
 *       -ENODATA -ERANGE -EXDEV -EAGAIN
 *
 *   shmb_ring_bracket_CLOCK(reader, key, max_distance, before, after, out)
 *       The two neighbours around the time: before.key <= key < after.key, each at most `max_distance` away, and where between them the
 *       time lies: alpha = (key - before.key) / (after.key - before.key), in [0, 1]. An exact hit is `before` with alpha 0, however far
 *       `after` is; where nothing is newer then, `after` is the same element. `before` and `after` are two payloads of type->size bytes.
 *       `out` may be NULL.
 *       -ENODATA; -ETIME key is after the newest: ask again later; -ESTALE before the oldest; -ERANGE; -EXDEV; -EAGAIN
 *
 *   shmb_ring_range_CLOCK(reader, from, to, out)
 *       The numbers of all elements with from <= key <= to, for shmb_ring_read_range(). A key of an element that was overwritten since is
 *       told there. -EINVAL to < from; -ERANGE none; -ENODATA -EXDEV -EAGAIN
 *
 *   shmb_ring_fresh_CLOCK(reader, oldest, payload, found)
 *       The newest, unless its key is below `oldest`. -ETIME it is; -ENODATA -EXDEV -EAGAIN
 *
 *   shmb_ring_key_CLOCK(reader, number, out)
 *       The key of one element. -ENODATA not written yet; -ESTALE overwritten; -EXDEV -EAGAIN
 *
 *   shmb_ring_since_CLOCK(reader, key)
 *       Sets the position to the first element that is not older, or behind the newest where all are. -EXDEV -EAGAIN
 *
 *   shmb_join_CLOCK(parts, count, key, failed)
 *       For each ring or frame its closest element or its bracket at one time. Where one has none, its error, and *failed (may be NULL) is its
 *       index; the parts before it are filled, but their frames are released again. They are looked at one after the other. -EINVAL a part without
 *       reader, with two, or without room for payloads or views; -EMFILE, -EUSERS as shmb_frame_closest_CLOCK().
 *
 * The same for frames: what is found is pinned, so that it stays as it is until shmb_frame_release(); frame->missed is 0. Where a struct shmb_frame
 * is NULL nothing is pinned, and the result only tells number, stamp and key: for readers that have no cell, with shmb_frame_load_number(). All
 * also: -EMFILE this handle holds too many frames, -EUSERS it has no cell.
 *
 *   shmb_frame_closest_CLOCK(reader, key, max_distance, frame, found)
 *       max_distance 0: the frame of this very key, the newest if there are several.
 *   shmb_frame_bracket_CLOCK(reader, key, max_distance, before, after, out)
 *       Both are pinned, or none: also where they are the same frame, which is released twice then.
 *   shmb_frame_range_CLOCK(reader, from, to, out)
 *       Numbers for shmb_frame_pin_number(): -ESTALE there if a frame has left the newest since.
 *   shmb_frame_fresh_CLOCK(reader, oldest, frame, found)
 *   shmb_frame_key_CLOCK(reader, number, out)
 *   shmb_frame_since_CLOCK(reader, key)
 *       Sets the position of shmb_frame_pin_next().
 */
#define SHMB_TEMPORAL_FUNCTIONS(clock)                                                                                                     \
	int shmb_ring_closest_##clock(struct shmb_ring_reader *reader, struct shmb_key_##clock key, uint64_t max_distance, void *payload,  \
				      struct shmb_found_##clock *found);                                                                   \
	int shmb_ring_bracket_##clock(struct shmb_ring_reader *reader, struct shmb_key_##clock key, uint64_t max_distance, void *before,   \
				      void *after, struct shmb_bracket_##clock *out);                                                      \
	int shmb_ring_range_##clock(struct shmb_ring_reader *reader, struct shmb_key_##clock from, struct shmb_key_##clock to,             \
				    struct shmb_range *out);                                                                               \
	int shmb_ring_fresh_##clock(struct shmb_ring_reader *reader, struct shmb_key_##clock oldest, void *payload,                        \
				    struct shmb_found_##clock *found);                                                                     \
	int shmb_ring_key_##clock(struct shmb_ring_reader *reader, uint64_t number, struct shmb_key_##clock *out);                         \
	int shmb_ring_since_##clock(struct shmb_ring_reader *reader, struct shmb_key_##clock key);                                         \
	int shmb_frame_closest_##clock(struct shmb_frame_reader *reader, struct shmb_key_##clock key, uint64_t max_distance,               \
				       struct shmb_frame *frame, struct shmb_found_##clock *found);                                        \
	int shmb_frame_bracket_##clock(struct shmb_frame_reader *reader, struct shmb_key_##clock key, uint64_t max_distance,               \
				       struct shmb_frame *before, struct shmb_frame *after, struct shmb_bracket_##clock *out);             \
	int shmb_frame_range_##clock(struct shmb_frame_reader *reader, struct shmb_key_##clock from, struct shmb_key_##clock to,           \
				     struct shmb_range *out);                                                                              \
	int shmb_frame_fresh_##clock(struct shmb_frame_reader *reader, struct shmb_key_##clock oldest, struct shmb_frame *frame,           \
				     struct shmb_found_##clock *found);                                                                    \
	int shmb_frame_key_##clock(struct shmb_frame_reader *reader, uint64_t number, struct shmb_key_##clock *out);                       \
	int shmb_frame_since_##clock(struct shmb_frame_reader *reader, struct shmb_key_##clock key);                                       \
	int shmb_join_##clock(struct shmb_join_part_##clock *parts, size_t count, struct shmb_key_##clock key, size_t *failed)
SHMB_TEMPORAL_FUNCTIONS(monotonic);
SHMB_TEMPORAL_FUNCTIONS(realtime);
SHMB_TEMPORAL_FUNCTIONS(sequence);
#undef SHMB_TEMPORAL_FUNCTIONS

/* The clock of the segment's keys; SHMB_CLOCK_NONE where it can not be searched. */
enum shmb_clock shmb_ring_clock(const struct shmb_ring_reader *reader);
enum shmb_clock shmb_frame_clock(const struct shmb_frame_reader *reader);

/*
 * Copies up to `count` elements from number `first` on, in order, to `payloads`, type->size bytes each, one behind the other, and what is
 * known of each to `samples` (may be NULL). Elements that are gone leave no gap there: they are counted in *lost (may be NULL), and
 * sample->missed says how many were lost right before that one. *read is how many were copied.
 *   0 at least one   -ENODATA none written yet, or `count` is 0   -ESTALE all `count` are gone   -EAGAIN, -EBADMSG, -EOWNERDEAD
 */
int shmb_ring_read_range(struct shmb_ring_reader *reader, uint64_t first, size_t count, void *payloads, struct shmb_sample *samples,
			 size_t *read, uint64_t *lost);

/* Sets the position to the oldest element there is: a late joiner reads the history first. This, and all below that have no errors of their own:
 * -EBADMSG, -EOWNERDEAD. */
int shmb_ring_seek_oldest(struct shmb_ring_reader *reader);
int shmb_frame_seek_oldest(struct shmb_frame_reader *reader);
/* Sets the position to the first element that is not older than `age_ns`, by the clock of the segment's keys: the monotonic or the realtime
 * one; -EXDEV for a count. */
int shmb_ring_seek_age(struct shmb_ring_reader *reader, uint64_t age_ns);
int shmb_frame_seek_age(struct shmb_frame_reader *reader, uint64_t age_ns);
/* How many elements this reader is behind, lost ones included. */
int shmb_ring_lag(struct shmb_ring_reader *reader, uint64_t *lag);
int shmb_frame_lag(struct shmb_frame_reader *reader, uint64_t *lag);

/*
 * From the next insert or commit on, keys may begin anew, lower than before: a log played again, a device that was reset. No query looks across it.
 * -EINVAL the segment has no keys; -ESTALE the lease was taken away; -EOWNERDEAD after fork.
 */
int shmb_ring_restart_keys(struct shmb_ring_writer *writer);
int shmb_frame_restart_keys(struct shmb_frame_writer *writer);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#else

/* In C, by the type of the key. */
#define shmb_ring_closest(reader, key, max_distance, payload, found)                                                                       \
	SHMB_BY_KEY(shmb_ring_closest, key)(reader, key, max_distance, payload, found)
#define shmb_ring_bracket(reader, key, max_distance, before, after, out)                                                                   \
	SHMB_BY_KEY(shmb_ring_bracket, key)(reader, key, max_distance, before, after, out)
#define shmb_ring_range(reader, from, to, out) SHMB_BY_KEY(shmb_ring_range, from)(reader, from, to, out)
#define shmb_ring_fresh(reader, oldest, payload, found) SHMB_BY_KEY(shmb_ring_fresh, oldest)(reader, oldest, payload, found)
#define shmb_ring_key(reader, number, out) SHMB_BY_KEY(shmb_ring_key, *(out))(reader, number, out)
#define shmb_ring_since(reader, key) SHMB_BY_KEY(shmb_ring_since, key)(reader, key)
#define shmb_frame_closest(reader, key, max_distance, frame, found)                                                                        \
	SHMB_BY_KEY(shmb_frame_closest, key)(reader, key, max_distance, frame, found)
#define shmb_frame_bracket(reader, key, max_distance, before, after, out)                                                                  \
	SHMB_BY_KEY(shmb_frame_bracket, key)(reader, key, max_distance, before, after, out)
#define shmb_frame_range(reader, from, to, out) SHMB_BY_KEY(shmb_frame_range, from)(reader, from, to, out)
#define shmb_frame_fresh(reader, oldest, frame, found) SHMB_BY_KEY(shmb_frame_fresh, oldest)(reader, oldest, frame, found)
#define shmb_frame_key(reader, number, out) SHMB_BY_KEY(shmb_frame_key, *(out))(reader, number, out)
#define shmb_frame_since(reader, key) SHMB_BY_KEY(shmb_frame_since, key)(reader, key)
#define shmb_frame_commit_at(writer, length, key) SHMB_BY_KEY(shmb_frame_commit_at, key)(writer, length, key)
#define shmb_join(parts, count, key, failed) SHMB_BY_KEY(shmb_join, key)(parts, count, key, failed)

#endif

#endif
