/* SPDX-License-Identifier: MIT */
/*
 * Who takes part, and what happens to them. Events follow from seed and index alone: the same seed gives the same events at the same
 * distances, whatever the machine makes of them.
 */
#include "soak.h"

const struct soak_segment_plan soak_segments[] = {
	{ "soak/small", 56, 65536, true }, { "soak/large", 4096, 1024, true },	  { "soak/lapped", 128, 64, false },
	{ "soak/value", 256, 4, false },   { "soak/frame", 64 * 1024, 8, false }, { "soak/queue", 64, 1024, false },
	{ "soak/jobs", 4096, 64, false },  { "soak/block", 512, 0, false },
};
const unsigned soak_segment_count = sizeof(soak_segments) / sizeof(soak_segments[0]);

const struct soak_slot_plan soak_slots[] = {
	{ SOAK_RING_WRITER, 0 },  { SOAK_RING_WRITER, 1 },  { SOAK_RING_WRITER, 2 },  { SOAK_VALUE_WRITER, 3 }, { SOAK_FRAME_WRITER, 4 },
	{ SOAK_PRODUCER, 5 },	  { SOAK_PRODUCER, 6 },	    { SOAK_RING_READER, 0 },  { SOAK_RING_READER, 0 },	{ SOAK_RING_READER, 0 },
	{ SOAK_RING_READER, 0 },  { SOAK_RING_READER, 1 },  { SOAK_RING_READER, 1 },  { SOAK_RING_READER, 2 },	{ SOAK_RING_READER, 2 },
	{ SOAK_VALUE_READER, 3 }, { SOAK_FRAME_HOLDER, 4 }, { SOAK_FRAME_HOLDER, 4 }, { SOAK_CONSUMER, 5 },	{ SOAK_CONSUMER, 6 },
	{ SOAK_LOCKER, 7 },	  { SOAK_LOCKER, 7 },	    { SOAK_LOCKER, 7 },	      { SOAK_PROBER, 3 },
};
const unsigned soak_slot_count = sizeof(soak_slots) / sizeof(soak_slots[0]);

_Static_assert(sizeof(soak_segments) / sizeof(soak_segments[0]) <= SOAK_SEGMENTS_MAX, "segments");
_Static_assert(sizeof(soak_slots) / sizeof(soak_slots[0]) <= SOAK_SLOTS_MAX, "slots");

const char *soak_role_name(enum soak_role role)
{
	static const char *const names[SOAK_ROLES] = { "ring-writer",  "ring-reader", "value-writer", "value-reader", "frame-writer",
						       "frame-holder", "producer",    "consumer",     "locker",	      "prober" };

	return names[role];
}

bool soak_role_writes(enum soak_role role)
{
	return role == SOAK_RING_WRITER || role == SOAK_VALUE_WRITER || role == SOAK_FRAME_WRITER || role == SOAK_PRODUCER;
}

struct soak_event soak_event_draw(uint64_t seed, uint64_t index, uint64_t interval_ns)
{
	/* of 100 events */
	static const unsigned upto[] = { 46, 58, 64, 87, 92, 97, 100 };
	uint64_t random = soak_mix(seed ^ soak_mix(index));
	uint64_t more = soak_mix(random);
	struct soak_event event = { .what = SOAK_CLIENT_KILL };

	while (random % 100 >= upto[event.what])
		event.what++;
	event.slot = (unsigned)(random / 100 % (soak_slot_count - 1));
	event.after_ns = more % (2 * interval_ns);
	more = soak_mix(more);
	/* Most come back at once. */
	event.length_ns = event.what == SOAK_CLIENT_STOP || event.what == SOAK_DAEMON_STOP ? more % (150 * MS) + MS
			  : more % 4 == 0						   ? more / 4 % (60 * MS)
											   : 0;
	return event;
}
