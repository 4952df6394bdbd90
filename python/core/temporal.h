/* SPDX-License-Identifier: MIT */
#ifndef SHMBROKER_TEMPORAL_H
#define SHMBROKER_TEMPORAL_H

/* What queries of rings (temporal.c) and of frames (temporal_frame.c) have in common: plain numbers for the keys of all clocks. */

#include "core.h"

enum what {
	CLOSEST,
	BRACKET,
	FRESH,
	RANGE,
	KEY,
	SINCE,
};

/* As shmb_found_CLOCK and shmb_bracket_CLOCK, with a number for the key. */
struct found {
	uint64_t number;
	uint64_t stamp_ns;
	uint64_t key;
};

struct answer {
	struct found before;
	struct found after;
	double alpha;
	struct shmb_range range;
	uint64_t key;
};

/* The functions of one clock: between its keys and numbers. */
#define KEYS(clock)                                                                                                                        \
	static struct found found_of_##clock(const struct shmb_found_##clock *found)                                                       \
	{                                                                                                                                  \
		return (struct found){ found->number, found->stamp_ns, shmb_key_value_##clock(found->key) };                               \
	}                                                                                                                                  \
                                                                                                                                           \
	static int key_of_##clock(uint64_t value, struct shmb_key_##clock *key)                                                            \
	{                                                                                                                                  \
		struct shmb_rule_##clock any = shmb_rule_range_##clock(0, UINT64_MAX);                                                     \
                                                                                                                                           \
		return shmb_key_make_##clock(key, value, &any);                                                                            \
	}

/* A Frame that was found, with its key. The pin goes over to it: frame->payload is NULL afterwards, also where there is no memory. */
PyObject *frames_found(struct handle *reader, struct shmb_frame *frame, int clock, uint64_t key);
/* (before, after, alpha), likewise of both. */
PyObject *frames_bracket(struct handle *reader, struct shmb_frame frames[2], int clock, const struct answer *answer);

#endif
