/* SPDX-License-Identifier: MIT */
#ifndef SHMB_CLIENT_TEMPORAL_H
#define SHMB_CLIENT_TEMPORAL_H

/*
 * Searching keys that another process is writing: which numbers lie around a time.
 *
 * Works on any array of ids with an array of keys beside it, for rings and frames alike; finds numbers, copies nothing. The caller takes
 * the bounds once, [first, next) with first not below key_base, and calls again with new ones where the answer is -EAGAIN: overwritten
 * meanwhile.
 *
 * All is done with absolute numbers, so nothing drifts while the writer goes on. Data that comes at an even rate is found at the first
 * guess, back from the newest at the rate that was right the last time: three keys, no division. A guess that misses is followed by
 * interpolation between the two ends, and two of those by halving, so the worst case is bounded by log2(2^20) steps. Keys on the way may be
 * overwritten while they are looked at: they can mislead the search, but not the answer, because the ids of the two neighbours it ends at
 * are looked at once more. With before.key <= t < after.key for neighbours, and keys that do not shrink, that is the answer whatever led
 * there.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/atomics.h"
#include "proto/layout.h"

struct temporal_view {
	const unsigned char *ids;  /* id of number n: (n & mask) * id_stride */
	const unsigned char *keys; /* likewise with key_stride */
	uint64_t mask;
	uint64_t id_stride;
	uint64_t key_stride;
	double *rate; /* numbers per unit of key as of the last search that had to look; begins with 0. The caller's alone */
};

/* Neighbours: before + 1 == after, before_key <= t < after_key. Where one of the two is not there, it is the other. */
struct temporal_pair {
	uint64_t before;
	uint64_t after;
	uint64_t before_key;
	uint64_t after_key;
	bool has_before;
	bool has_after;
};

static inline uint64_t temporal_key(const struct temporal_view *view, uint64_t number)
{
	const _Atomic uint64_t *key = (const _Atomic uint64_t *)(view->keys + (number & view->mask) * view->key_stride);

	return atomic_load_explicit(key, memory_order_relaxed);
}

/* After the last look at a key: did these numbers, the lowest that decide, still lie where their keys were looked at? */
static inline bool temporal_holds(const struct temporal_view *view, uint64_t number, uint64_t neighbour)
{
	const _Atomic uint64_t *id = (const _Atomic uint64_t *)(view->ids + (number & view->mask) * view->id_stride);
	const _Atomic uint64_t *other = (const _Atomic uint64_t *)(view->ids + (neighbour & view->mask) * view->id_stride);

	/* ORDER slot.claim (acquire). Partner: publish().
	 * Orders:  id "being written" -> slot bytes, the key among them.
	 * Without: a search ends at the key of another number.
	 * Model:   tests/model/src/slot.rs */
	/* ORDER frame.entry (acquire). Partner: commit().
	 * Orders:  entry id "being written" -> slot, length, stamp, key.
	 * Without: a search in a frame's entries ends at the key of another number.
	 * Model:   tests/model/src/frame.rs */
	shmb_fence_acquire();
	return atomic_load_explicit(id, memory_order_relaxed) == shmb_id_done(number) &&
	       atomic_load_explicit(other, memory_order_relaxed) == shmb_id_done(neighbour);
}

enum { TEMPORAL_GUESSES = 2 };

/* Narrows neighbours-to-be, low_key <= t < high_key, down to neighbours. */
static inline void temporal_narrow(const struct temporal_view *view, uint64_t key, uint64_t low, uint64_t low_key, uint64_t high,
				   uint64_t high_key, struct temporal_pair *out)
{
	for (int guess = 0; high - low > 1; guess++) {
		uint64_t span = high_key - low_key;
		uint64_t at = (high - low) / 2;
		uint64_t a, b;

		if (guess < TEMPORAL_GUESSES && span <= INT64_MAX) {
			at = (uint64_t)(int64_t)((double)(int64_t)(key - low_key) * (double)(int64_t)(high - low) / (double)(int64_t)span);
			at = at < high - low ? at : high - low - 1;
		}
		at += low;
		a = at > low ? temporal_key(view, at) : low_key;
		b = at + 1 < high ? temporal_key(view, at + 1) : high_key;
		if (__builtin_expect(a <= key && key < b, 1)) {
			low = at;
			low_key = a;
			high = at + 1;
			high_key = b;
		} else if (b <= key) {
			low = at + 1;
			low_key = b;
		} else {
			high = at;
			high_key = a;
		}
	}
	out->before = low;
	out->before_key = low_key;
	out->after = high;
	out->after_key = high_key;
}

/* The way that always finds it: by both ends. Learns the rate. */
static __attribute__((noinline)) void temporal_search(const struct temporal_view *view, uint64_t first, uint64_t last, uint64_t last_key,
						      uint64_t key, struct temporal_pair *out)
{
	uint64_t first_key = temporal_key(view, first);

	if (first_key > key) {
		out->before = out->after = first;
		out->before_key = out->after_key = first_key;
		out->has_before = false;
		return;
	}
	*view->rate = (double)(last - first) / (double)(last_key - first_key);
	temporal_narrow(view, key, first, first_key, last, last_key, out);
}

/* The neighbours around `key` among [first, next), which is not empty. Not yet verified. */
static inline void temporal_split(const struct temporal_view *view, uint64_t first, uint64_t next, uint64_t key, struct temporal_pair *out)
{
	uint64_t last = next - 1;
	uint64_t last_key = temporal_key(view, last);
	double back;

	out->has_before = true;
	out->has_after = true;
	if (last_key <= key) {
		out->before = out->after = last;
		out->before_key = out->after_key = last_key;
		out->has_after = false;
		return;
	}
	back = (double)(int64_t)(last_key - key) * *view->rate;
	if (__builtin_expect(back >= 0 && back < (double)(int64_t)(last - first), 1)) {
		out->before = last - 1 - (uint64_t)(int64_t)back;
		out->after = out->before + 1;
		out->before_key = temporal_key(view, out->before);
		out->after_key = temporal_key(view, out->after);
		if (__builtin_expect(out->before_key <= key && key < out->after_key, 1))
			return;
	}
	temporal_search(view, first, last, last_key, key, out);
}

/* Of the equal keys from out->after on, the newest. */
static inline void temporal_newest_equal(const struct temporal_view *view, uint64_t next, struct temporal_pair *out)
{
	struct temporal_pair further;

	if (out->after + 1 >= next || temporal_key(view, out->after + 1) != out->after_key)
		return;
	temporal_split(view, out->after, next, out->after_key, &further);
	if (further.has_before)
		out->after = further.before;
}

/*
 * The neighbours around `key`, verified; of equal keys each is the newest (so before + 1 == after holds no longer where the later ones are
 * equal). 0, or -EAGAIN: overwritten meanwhile.
 */
static inline int temporal_around(const struct temporal_view *view, uint64_t first, uint64_t next, uint64_t key, struct temporal_pair *out)
{
	uint64_t neighbour;

	temporal_split(view, first, next, key, out);
	neighbour = out->after;
	if (out->has_after)
		temporal_newest_equal(view, next, out);
	/* The writer overwrites the lowest first: newer ones are as they were where these are. */
	return temporal_holds(view, out->has_before ? out->before : neighbour, out->has_after ? neighbour : out->before) ? 0 : -EAGAIN;
}

/* The number closest to `key`, and its key; the earlier of two equally far ones. -ERANGE not within `max_distance`, -EAGAIN. */
static inline int temporal_closest(const struct temporal_view *view, uint64_t first, uint64_t next, uint64_t key, uint64_t max_distance,
				   uint64_t *number, uint64_t *number_key)
{
	struct temporal_pair pair;
	int r = temporal_around(view, first, next, key, &pair);
	uint64_t back, ahead;
	bool is_after;

	if (r < 0)
		return r;
	back = pair.has_before ? key - pair.before_key : UINT64_MAX;
	ahead = pair.has_after ? pair.after_key - key : UINT64_MAX;
	is_after = !pair.has_before || (pair.has_after && ahead < back);
	*number = is_after ? pair.after : pair.before;
	*number_key = is_after ? pair.after_key : pair.before_key;
	return (is_after ? ahead : back) <= max_distance ? 0 : -ERANGE;
}

/* The bracket of shmb_ring_bracket_CLOCK() without its payloads; `out` has both. -ETIME, -ESTALE, -ERANGE, -EAGAIN. */
static inline int temporal_bracket(const struct temporal_view *view, uint64_t first, uint64_t next, uint64_t key, uint64_t max_distance,
				   struct temporal_pair *out, double *alpha)
{
	int r = temporal_around(view, first, next, key, out);

	if (r < 0)
		return r;
	if (!out->has_before)
		return -ESTALE;
	if (!out->has_after) {
		if (out->before_key != key)
			return -ETIME;
		out->after = out->before;
		out->after_key = out->before_key;
		*alpha = 0;
		return 0;
	}
	if (key - out->before_key > max_distance || (out->after_key - key > max_distance && key != out->before_key))
		return -ERANGE;
	/* Both differences were taken from one verified pair: the lower is not the larger. */
	*alpha = (double)(key - out->before_key) / (double)(out->after_key - out->before_key);
	return 0;
}

/* The first number whose key is not below `key`; `next` where all are. -EAGAIN. */
static inline int temporal_since(const struct temporal_view *view, uint64_t first, uint64_t next, uint64_t key, uint64_t *number)
{
	struct temporal_pair pair;

	*number = first;
	if (key == 0)
		return 0;
	temporal_split(view, first, next, key - 1, &pair);
	*number = pair.has_before ? pair.before + 1 : first;
	return temporal_holds(view, pair.has_before ? pair.before : pair.after, pair.has_after ? pair.after : pair.before) ? 0 : -EAGAIN;
}

#endif
