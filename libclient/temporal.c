/* SPDX-License-Identifier: MIT */
/*
 * Temporal queries on rings (shmb_temporal.h): a search (search.h), then copies that are verified as every read is. Whatever is overwritten on
 * the way means: once more with new bounds, SHMB_READ_TRIES times at the most.
 *
 * One untyped engine; a macro at the end puts the key types of the three clocks in front.
 */
#include "search.h"
#include "segment.h"

static inline struct slots_reader *slots_of(struct shmb_ring_reader *reader)
{
	return &((struct reader *)reader)->slots;
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
	view = search_view(reader);
	for (int i = 0; i < SHMB_READ_TRIES; i++) {
		uint64_t first, next;

		r = search_bounds(reader, &first, &next);
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
	view = search_view(reader);
	for (int i = 0; i < SHMB_READ_TRIES; i++) {
		struct temporal_pair pair;
		uint64_t first, next;

		r = search_bounds(reader, &first, &next);
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
	view = search_view(reader);
	for (int i = 0; i < SHMB_READ_TRIES; i++) {
		uint64_t first, next;

		r = search_bounds(reader, &first, &next);
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
	return query_seek_oldest(slots_of(reader));
}

int shmb_ring_seek_age(struct shmb_ring_reader *reader, uint64_t age_ns)
{
	return query_seek_age(slots_of(reader), age_ns);
}

int shmb_ring_read_range(struct shmb_ring_reader *reader, uint64_t first, size_t count, void *payloads, struct shmb_sample *samples,
			 size_t *read, uint64_t *lost)
{
	struct slots_reader *slots = slots_of(reader);
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

		r = slots_read(slots, number, to, &sample);
		if (r == 0) {
			sample.missed = gone;
			gone = 0;
			if (samples != NULL)
				samples[*read] = sample;
			to += slots->payload_bytes;
			(*read)++;
			number++;
			continue;
		}
		if (r != -ESTALE)
			break;
		r = slots_bounds(slots, &oldest, &next);
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
