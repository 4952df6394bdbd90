/* SPDX-License-Identifier: MIT */
/* Temporal queries that take no payload: ranges, keys, positions, for rings and frames alike (search.h). */
#include "search.h"

#include <time.h>

_Static_assert((int)SHMB_CLOCK_MONOTONIC == (int)SHMB_KEY_MONOTONIC_NS && (int)SHMB_CLOCK_REALTIME == (int)SHMB_KEY_REALTIME_NS &&
		       (int)SHMB_CLOCK_SEQUENCE == (int)SHMB_KEY_SEQUENCE,
	       "the public names of the key types");

__attribute__((noinline, cold)) int other_clock(const struct slots_reader *reader, enum shmb_clock clock)
{
	static const char *const names[] = { "no", "monotonic", "realtime", "sequence" };

	return text_fail(-EXDEV, "this segment has %s keys, and the query a %s key", names[reader->key_type & 3], names[clock & 3]);
}

static int range_once(struct slots_reader *reader, const struct temporal_view *view, uint64_t from, uint64_t to, struct shmb_range *out)
{
	struct temporal_pair pair;
	uint64_t first, next, begin;
	int r = search_bounds(reader, &first, &next);

	if (r == 0)
		r = temporal_since(view, first, next, from, &begin);
	if (r == 0)
		r = temporal_around(view, first, next, to, &pair);
	if (r != 0)
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

int query_range(struct slots_reader *reader, enum shmb_clock clock, uint64_t from, uint64_t to, struct shmb_range *out)
{
	struct temporal_view view;
	int r = clock_check(reader, clock);

	if (r < 0)
		return r;
	if (to < from)
		return text_fail(-EINVAL, "the range ends before it begins");
	view = search_view(reader);
	r = -EAGAIN;
	for (int i = 0; i < SHMB_READ_TRIES && r == -EAGAIN; i++)
		r = range_once(reader, &view, from, to, out);
	return r;
}

int query_key(struct slots_reader *reader, enum shmb_clock clock, uint64_t number, uint64_t *key)
{
	struct temporal_view view;
	int r = clock_check(reader, clock);

	if (r < 0)
		return r;
	view = search_view(reader);
	for (int i = 0; i < SHMB_READ_TRIES; i++) {
		uint64_t next = next_before_cut(reader);

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

int query_since(struct slots_reader *reader, enum shmb_clock clock, uint64_t key)
{
	struct temporal_view view;
	uint64_t number;
	int r = clock_check(reader, clock);

	if (r < 0)
		return r;
	view = search_view(reader);
	r = -EAGAIN;
	for (int i = 0; i < SHMB_READ_TRIES && r == -EAGAIN; i++) {
		uint64_t first, next;

		r = search_bounds(reader, &first, &next);
		number = next;
		if (r == 0)
			r = temporal_since(&view, first, next, key, &number);
		if (r == -ENODATA)
			r = 0;
	}
	return r == 0 ? slots_seek(reader, number) : r;
}

int query_seek_oldest(struct slots_reader *reader)
{
	uint64_t oldest, next;
	int r = slots_bounds(reader, &oldest, &next);

	return r == 0 ? slots_seek(reader, oldest) : r;
}

int query_seek_age(struct slots_reader *reader, uint64_t age_ns)
{
	enum shmb_clock clock = (enum shmb_clock)reader->key_type;
	struct timespec time;
	uint64_t now;

	if (clock != SHMB_CLOCK_MONOTONIC && clock != SHMB_CLOCK_REALTIME)
		return other_clock(reader, SHMB_CLOCK_MONOTONIC);
	clock_gettime(clock == SHMB_CLOCK_MONOTONIC ? CLOCK_MONOTONIC : CLOCK_REALTIME, &time);
	now = (uint64_t)time.tv_sec * UINT64_C(1000000000) + (uint64_t)time.tv_nsec;
	return query_since(reader, clock, now > age_ns ? now - age_ns : 0);
}
