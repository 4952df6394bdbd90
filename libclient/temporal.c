/* SPDX-License-Identifier: MIT */
/*
 * Temporal queries on rings (shmb_temporal.h): the search of temporal.h between bounds taken once, then copies that are verified as every
 * read is. Whatever is overwritten on the way means: once more with new bounds, SHMB_READ_TRIES times at the most.
 *
 * One untyped engine; a macro at the end puts the key types of the three clocks in front.
 */
#include "temporal.h"

#include <string.h>
#include <time.h>

#include "clock.h"
#include "read.h"
#include "segment.h"

_Static_assert((int)SHMB_CLOCK_MONOTONIC == (int)SHMB_KEY_MONOTONIC_NS && (int)SHMB_CLOCK_REALTIME == (int)SHMB_KEY_REALTIME_NS &&
		       (int)SHMB_CLOCK_SEQUENCE == (int)SHMB_KEY_SEQUENCE,
	       "the public names of the key types");

/* shmb_found_CLOCK and shmb_bracket_CLOCK without their clock. */
struct query_found {
	uint64_t number;
	uint64_t stamp_ns;
	uint64_t key;
};

struct query_bracket {
	struct query_found before;
	struct query_found after;
	double alpha;
};

static inline struct slots_reader *slots_of(struct shmb_ring_reader *reader)
{
	return &((struct reader *)reader)->slots;
}

static __attribute__((noinline, cold)) int other_clock(const struct slots_reader *reader, enum shmb_clock clock)
{
	static const char *const names[] = { "no", "monotonic", "realtime", "sequence" };

	return text_fail(-EXDEV, "this ring has %s keys, and the query a %s key", names[reader->key_type & 3], names[clock & 3]);
}

static inline int clock_check(const struct slots_reader *reader, enum shmb_clock clock)
{
	if (!is_ours(reader->guard))
		return text_forked();
	return likely(reader->key_type == (uint8_t)clock) ? 0 : other_clock(reader, clock);
}

static inline struct temporal_view view_of(struct slots_reader *reader)
{
	return (struct temporal_view){
		.ids = reader->slots,
		.keys = reader->keys,
		.mask = reader->mask,
		.id_shift = reader->slot_shift,
		.key_shift = reader->key_shift,
		.rate = &reader->key_rate,
	};
}

/* The numbers of this run of keys. key_base is looked at after the counter (key.publish). */
static inline int bounds(struct slots_reader *reader, uint64_t *first, uint64_t *next)
{
	uint64_t base;

	*next = next_number(reader);
	if (unlikely(*next >= SHMB_NUMBER_MAX))
		return -EBADMSG;
	base = atomic_load_explicit(&reader->data->key_base, memory_order_relaxed);
	*first = oldest_number(reader, *next);
	if (*first < base)
		*first = base;
	return likely(*first < *next) ? 0 : -ENODATA;
}

/* -EAGAIN: overtaken, worth another try with new bounds. */
static inline int copy(struct slots_reader *reader, uint64_t number, void *payload, uint64_t *stamp_ns)
{
	const struct shmb_shm_slot *slot = slot_of(reader, number);

	return likely(slot_holds(slot, number) && slot_copy(reader, slot, number, payload, stamp_ns, reader->is_short)) ? 0 : -EAGAIN;
}

static inline int query_closest(struct slots_reader *reader, enum shmb_clock clock, uint64_t key, uint64_t max_distance, void *payload,
				struct query_found *found)
{
	struct temporal_view view;
	int r = clock_check(reader, clock);

	if (unlikely(r < 0))
		return r;
	view = view_of(reader);
	for (int i = 0; i < SHMB_READ_TRIES; i++) {
		uint64_t first, next;

		r = bounds(reader, &first, &next);
		if (r == 0)
			r = temporal_closest(&view, first, next, key, max_distance, &found->number, &found->key);
		if (r == 0)
			r = copy(reader, found->number, payload, &found->stamp_ns);
		if (likely(r != -EAGAIN))
			return r;
	}
	return -EAGAIN;
}

static inline int query_bracket(struct slots_reader *reader, enum shmb_clock clock, uint64_t key, uint64_t max_distance, void *before,
				void *after, struct query_bracket *out)
{
	struct temporal_view view;
	int r = clock_check(reader, clock);

	if (unlikely(r < 0))
		return r;
	view = view_of(reader);
	for (int i = 0; i < SHMB_READ_TRIES; i++) {
		struct temporal_pair pair;
		uint64_t first, next;

		r = bounds(reader, &first, &next);
		if (r == 0)
			r = temporal_bracket(&view, first, next, key, max_distance, &pair, &out->alpha);
		if (r == 0)
			r = copy(reader, pair.before, before, &out->before.stamp_ns);
		if (r == 0)
			r = copy(reader, pair.after, after, &out->after.stamp_ns);
		if (likely(r == 0)) {
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

static inline int query_fresh(struct slots_reader *reader, enum shmb_clock clock, uint64_t min_key, void *payload,
			      struct query_found *found)
{
	struct temporal_view view;
	int r = clock_check(reader, clock);

	if (unlikely(r < 0))
		return r;
	view = view_of(reader);
	for (int i = 0; i < SHMB_READ_TRIES; i++) {
		uint64_t first, next;

		r = bounds(reader, &first, &next);
		if (unlikely(r < 0))
			return r;
		found->number = next - 1;
		found->key = temporal_key(&view, next - 1);
		if (likely(found->key >= min_key))
			r = copy(reader, next - 1, payload, &found->stamp_ns);
		else
			r = temporal_holds(&view, next - 1, next - 1) ? -ETIME : -EAGAIN;
		if (likely(r != -EAGAIN))
			return r;
	}
	return -EAGAIN;
}

static int range_once(struct slots_reader *reader, const struct temporal_view *view, uint64_t from, uint64_t to, struct shmb_range *out)
{
	struct temporal_pair pair;
	uint64_t first, next, begin;
	int r = bounds(reader, &first, &next);

	if (r == 0)
		r = temporal_since(view, first, next, from, &begin);
	if (r == 0)
		r = temporal_around(view, first, next, to, &pair);
	if (r < 0)
		return r;
	if (!pair.has_before || pair.before < begin)
		return -ERANGE;
	*out = (struct shmb_range){
		.first = begin,
		.count = pair.before - begin + 1,
		.is_cut = begin == first && first > reader->base &&
			  first != atomic_load_explicit(&reader->data->key_base, memory_order_relaxed),
	};
	return 0;
}

static int query_range(struct slots_reader *reader, enum shmb_clock clock, uint64_t from, uint64_t to, struct shmb_range *out)
{
	struct temporal_view view;
	int r = clock_check(reader, clock);

	if (r < 0)
		return r;
	if (to < from)
		return text_fail(-EINVAL, "the range ends before it begins");
	view = view_of(reader);
	r = -EAGAIN;
	for (int i = 0; i < SHMB_READ_TRIES && r == -EAGAIN; i++)
		r = range_once(reader, &view, from, to, out);
	return r;
}

static int query_key(struct slots_reader *reader, enum shmb_clock clock, uint64_t number, uint64_t *key)
{
	struct temporal_view view;
	int r = clock_check(reader, clock);

	if (r < 0)
		return r;
	view = view_of(reader);
	for (int i = 0; i < SHMB_READ_TRIES; i++) {
		uint64_t next = next_number(reader);

		if (next >= SHMB_NUMBER_MAX)
			return -EBADMSG;
		if (number >= next)
			return -ENODATA;
		if (number < oldest_number(reader, next))
			return -ESTALE;
		*key = temporal_key(&view, number);
		if (temporal_holds(&view, number, number))
			return 0;
	}
	return -EAGAIN;
}

static int query_since(struct slots_reader *reader, enum shmb_clock clock, uint64_t key)
{
	struct temporal_view view;
	uint64_t number;
	int r = clock_check(reader, clock);

	if (r < 0)
		return r;
	view = view_of(reader);
	r = -EAGAIN;
	for (int i = 0; i < SHMB_READ_TRIES && r == -EAGAIN; i++) {
		uint64_t first, next;

		r = bounds(reader, &first, &next);
		number = next;
		if (r == 0)
			r = temporal_since(&view, first, next, key, &number);
		if (r == -ENODATA)
			r = 0;
	}
	return r == 0 ? slots_seek(reader, number) : r;
}

/* ---- whatever the clock ---- */

enum shmb_clock shmb_ring_clock(const struct shmb_ring_reader *reader)
{
	return (enum shmb_clock)((const struct reader *)reader)->slots.key_type;
}

int shmb_ring_restart_keys(struct shmb_ring_writer *writer)
{
	return slots_restart_keys(&((struct writer *)writer)->slots);
}

int shmb_ring_lag(struct shmb_ring_reader *reader, uint64_t *lag)
{
	return slots_lag(slots_of(reader), lag);
}

int shmb_ring_seek_oldest(struct shmb_ring_reader *reader)
{
	uint64_t oldest, next;
	int r = slots_bounds(slots_of(reader), &oldest, &next);

	return r == 0 ? slots_seek(slots_of(reader), oldest) : r;
}

int shmb_ring_seek_age(struct shmb_ring_reader *reader, uint64_t age_ns)
{
	enum shmb_clock clock = shmb_ring_clock(reader);
	struct timespec time;
	uint64_t now;

	if (clock != SHMB_CLOCK_MONOTONIC && clock != SHMB_CLOCK_REALTIME)
		return other_clock(slots_of(reader), SHMB_CLOCK_MONOTONIC);
	clock_gettime(clock == SHMB_CLOCK_MONOTONIC ? CLOCK_MONOTONIC : CLOCK_REALTIME, &time);
	now = (uint64_t)time.tv_sec * UINT64_C(1000000000) + (uint64_t)time.tv_nsec;
	return query_since(slots_of(reader), clock, now > age_ns ? now - age_ns : 0);
}

int shmb_ring_read_range(struct shmb_ring_reader *ring, uint64_t first, size_t count, void *payloads, struct shmb_sample *samples,
			 size_t *read, uint64_t *lost)
{
	struct slots_reader *reader = slots_of(ring);
	unsigned char *to = payloads;
	uint64_t number = first;
	uint64_t end = count < UINT64_MAX - first ? first + count : UINT64_MAX;
	uint64_t all_gone = 0;
	uint64_t gone = 0;
	int r = 0;

	*read = 0;
	while (number < end) {
		struct shmb_sample sample;
		uint64_t oldest, next, go_on;

		r = slots_read(reader, number, to, &sample);
		if (r == 0) {
			sample.missed = gone;
			gone = 0;
			if (samples != NULL)
				samples[*read] = sample;
			to += reader->payload_bytes;
			(*read)++;
			number++;
			continue;
		}
		if (r != -ESTALE)
			break;
		r = slots_bounds(reader, &oldest, &next);
		if (r < 0)
			break;
		/* Stale, so there is a higher oldest number now; one more in any case, so that this ends. */
		go_on = oldest > number ? oldest : number + 1;
		go_on = go_on < end ? go_on : end;
		gone += go_on - number;
		all_gone += go_on - number;
		number = go_on;
	}
	if (lost != NULL)
		*lost = all_gone;
	if (*read > 0)
		return 0;
	return r < 0 ? r : count > 0 ? -ESTALE : -ENODATA;
}

/* ---- by clock ---- */

#define RING_FUNCTIONS(clock, CLOCK, member)                                                                                               \
	static inline struct shmb_found_##clock found_##clock(const struct query_found *found)                                             \
	{                                                                                                                                  \
		return (struct shmb_found_##clock){ found->number, found->stamp_ns, { found->key } };                                      \
	}                                                                                                                                  \
	int shmb_ring_closest_##clock(struct shmb_ring_reader *reader, struct shmb_key_##clock key, uint64_t max_distance, void *payload,  \
				      struct shmb_found_##clock *out)                                                                      \
	{                                                                                                                                  \
		struct query_found found;                                                                                                  \
		int r = query_closest(slots_of(reader), CLOCK, key.member, max_distance, payload, &found);                                 \
                                                                                                                                           \
		if (r == 0 && out != NULL)                                                                                                 \
			*out = found_##clock(&found);                                                                                      \
		return r;                                                                                                                  \
	}                                                                                                                                  \
	int shmb_ring_bracket_##clock(struct shmb_ring_reader *reader, struct shmb_key_##clock key, uint64_t max_distance, void *before,   \
				      void *after, struct shmb_bracket_##clock *out)                                                       \
	{                                                                                                                                  \
		struct query_bracket found;                                                                                                \
		int r = query_bracket(slots_of(reader), CLOCK, key.member, max_distance, before, after, &found);                           \
                                                                                                                                           \
		if (r == 0 && out != NULL) {                                                                                               \
			out->before = found_##clock(&found.before);                                                                        \
			out->after = found_##clock(&found.after);                                                                          \
			out->alpha = found.alpha;                                                                                          \
		}                                                                                                                          \
		return r;                                                                                                                  \
	}                                                                                                                                  \
	int shmb_ring_range_##clock(struct shmb_ring_reader *reader, struct shmb_key_##clock from, struct shmb_key_##clock to,             \
				    struct shmb_range *out)                                                                                \
	{                                                                                                                                  \
		return query_range(slots_of(reader), CLOCK, from.member, to.member, out);                                                  \
	}                                                                                                                                  \
	int shmb_ring_fresh_##clock(struct shmb_ring_reader *reader, struct shmb_key_##clock oldest, void *payload,                        \
				    struct shmb_found_##clock *out)                                                                        \
	{                                                                                                                                  \
		struct query_found found;                                                                                                  \
		int r = query_fresh(slots_of(reader), CLOCK, oldest.member, payload, &found);                                              \
                                                                                                                                           \
		if (r == 0 && out != NULL)                                                                                                 \
			*out = found_##clock(&found);                                                                                      \
		return r;                                                                                                                  \
	}                                                                                                                                  \
	int shmb_ring_key_##clock(struct shmb_ring_reader *reader, uint64_t number, struct shmb_key_##clock *out)                          \
	{                                                                                                                                  \
		return query_key(slots_of(reader), CLOCK, number, &out->member);                                                           \
	}                                                                                                                                  \
	int shmb_ring_since_##clock(struct shmb_ring_reader *reader, struct shmb_key_##clock key)                                          \
	{                                                                                                                                  \
		return query_since(slots_of(reader), CLOCK, key.member);                                                                   \
	}

RING_FUNCTIONS(monotonic, SHMB_CLOCK_MONOTONIC, private_ns)
RING_FUNCTIONS(realtime, SHMB_CLOCK_REALTIME, private_ns)
RING_FUNCTIONS(sequence, SHMB_CLOCK_SEQUENCE, private_count)
