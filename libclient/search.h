/* SPDX-License-Identifier: MIT */
#ifndef SHMB_CLIENT_SEARCH_H
#define SHMB_CLIENT_SEARCH_H

/*
 * What temporal queries on rings and frames have in common: the numbers of the run of keys that goes on now, taken once, the search of temporal.h
 * between them, and the queries that take no payload. Untyped; the public functions put the key types of the three clocks in front.
 *
 * The queries of slots.h's numbers and keys know no kind: those of a ring are of its slots, those of a frame of its entries.
 */

#include "publish.h"
#include "read.h"
#include "temporal.h"

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

/* -EXDEV with text. */
int other_clock(const struct slots_reader *reader, enum shmb_clock clock) __attribute__((cold));

static inline int clock_check(const struct slots_reader *reader, enum shmb_clock clock)
{
	if (!is_ours(reader->guard))
		return text_forked();
	return likely(reader->key_type == (uint8_t)clock) ? 0 : other_clock(reader, clock);
}

static inline struct temporal_view search_view(struct slots_reader *reader)
{
	return (struct temporal_view){
		.ids = reader->slots,
		.keys = reader->keys,
		.mask = reader->mask,
		.id_stride = reader->slot_stride,
		.key_stride = reader->key_stride,
		.rate = &reader->key_rate,
	};
}

/* The numbers of this run of keys. key_base is looked at after the counter (key.publish). */
static inline int search_bounds(struct slots_reader *reader, uint64_t *first, uint64_t *next)
{
	uint64_t base;

	*next = next_before_cut(reader);
	if (unlikely(*next >= SHMB_NUMBER_MAX))
		return -EBADMSG;
	base = atomic_load_explicit(&reader->data->key_base, memory_order_relaxed);
	*first = oldest_number(reader, *next);
	if (*first < base)
		*first = base;
	return likely(*first < *next) ? 0 : -ENODATA;
}

/* shmb_ring_range_CLOCK(), _key_CLOCK(), _since_CLOCK(). */
int query_range(struct slots_reader *reader, enum shmb_clock clock, uint64_t from, uint64_t to, struct shmb_range *out);
int query_key(struct slots_reader *reader, enum shmb_clock clock, uint64_t number, uint64_t *key);
int query_since(struct slots_reader *reader, enum shmb_clock clock, uint64_t key);
int query_seek_oldest(struct slots_reader *reader);
int query_seek_age(struct slots_reader *reader, uint64_t age_ns);

#endif
