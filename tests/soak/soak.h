/* SPDX-License-Identifier: MIT */
#ifndef SHMB_SOAK_H
#define SHMB_SOAK_H

/*
 * The soak: what its processes share. One program plays all parts; the controller starts itself again with a role, and everybody maps one
 * page file (an inherited memfd, nothing of the library's) in which the books are kept. The books survive kill -9 of whoever keeps them:
 *
 *   writer   stores `begun` = n + 1 before it publishes number n, and `done` = n + 1 after it. Wherever it was killed, what was published
 *            lies between: at least `done`, at most `begun`. Its successor must be told a next number in that range; less is a loss.
 *   reader   keeps what it has done (next number, read, missed) in two copies and turns from one to the other with one store, after the
 *            samples were verified. Its successor goes on at exactly that number, so that no number is counted twice for one reader, and
 *            read + missed = next holds for all its lives together.
 *
 * A number that a ring reader was told to have missed, because it was lapped, is not lost. Lost is: a published number that the next writer
 * uses again, a number that is neither read nor told as missed, a queue item that never arrives. Torn is: a payload that is not what was
 * written under that number, down to the last byte, or that a writer wrote who did not have that number.
 */

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include "shmb.h"

enum {
	SOAK_SEGMENTS_MAX = 16,
	SOAK_SLOTS_MAX = 48,
	SOAK_LIVES = 8192, /* beginnings of writers' lives that are remembered */
	SOAK_TEXT = 192,
	SOAK_LARGE = 4096,	  /* samples from here on are counted as large */
	SOAK_SHARE_LARGE = 60,	  /* the small writers hold back while fewer than one sample in so many is large */
	SOAK_PATIENCE_MS = 30000, /* for whatever must happen, with a daemon that may be away */
};

#define MS UINT64_C(1000000)

enum soak_role {
	SOAK_RING_WRITER,
	SOAK_RING_READER,
	SOAK_VALUE_WRITER,
	SOAK_VALUE_READER,
	SOAK_FRAME_WRITER,
	SOAK_FRAME_HOLDER,
	SOAK_PRODUCER,
	SOAK_CONSUMER,
	SOAK_LOCKER,
	SOAK_PROBER,
	SOAK_ROLES,
};

/* What a reader has done in all its lives. */
struct soak_span {
	uint64_t next; /* number it takes next */
	uint64_t read;
	uint64_t missed;
	uint64_t repeats; /* announced by their number, not counted as read */
};

/* A process that is started again and again. */
struct soak_slot {
	_Alignas(64) _Atomic uint32_t turn; /* which span is valid */
	struct soak_span spans[2];
	_Alignas(64) _Atomic uint32_t quit;
	_Atomic uint32_t is_down; /* stopped, dead or not there yet: nobody waits for it */
	_Atomic uint64_t up_ns;	  /* runs undisturbed since */
	_Atomic uint64_t lives;	  /* opened its segment so often */
	_Atomic uint64_t torn, lost, errors;
	_Atomic uint64_t hangs;			   /* how often a reader was told that the writer hangs */
	_Atomic uint64_t detections, detection_ns; /* how often a writer's death was noticed, the worst time from the kill on */
	char text[SOAK_TEXT];			   /* the first thing that was wrong */
};

struct soak_segment {
	_Alignas(64) _Atomic uint64_t begun;
	_Atomic uint64_t done;
	_Atomic uint64_t killed_ns;	     /* when its writer was killed last */
	_Atomic uint64_t life;		     /* of its writer now, from 1 */
	_Atomic uint64_t starts[SOAK_LIVES]; /* first number of each life, by life % SOAK_LIVES */
};

struct soak_page {
	uint64_t seed;
	_Atomic uint32_t corrupt;     /* one sample of the first segment gets a wrong byte */
	_Atomic uint32_t daemon_down; /* killed or stopped */
	_Atomic uint64_t served_ns;   /* the daemon serves undisturbed since */
	_Atomic uint64_t probe_wanted, probe_done, probe_ns;
	struct soak_segment segments[SOAK_SEGMENTS_MAX];
	struct soak_slot slots[SOAK_SLOTS_MAX];
};

/* What there is: plan.c. */
struct soak_segment_plan {
	const char *name;
	uint32_t bytes;
	uint32_t capacity; /* ring, queue: slots; frame: history */
	bool paced;	   /* its writer waits (a bounded time) for its readers */
};
struct soak_slot_plan {
	enum soak_role role;
	unsigned segment;
};
extern const struct soak_segment_plan soak_segments[];
extern const unsigned soak_segment_count;
extern const struct soak_slot_plan soak_slots[]; /* the last one is the prober */
extern const unsigned soak_slot_count;
const char *soak_role_name(enum soak_role role);
bool soak_role_writes(enum soak_role role);

/* The i-th event of a seed, always the same. */
enum soak_what {
	SOAK_CLIENT_KILL,
	SOAK_CLIENT_STOP,
	SOAK_CLIENT_QUIT,
	SOAK_DAEMON_KILL,
	SOAK_DAEMON_STOP,
	SOAK_DAEMON_RESTART, /* SIGTERM */
	SOAK_DAEMON_RELOAD,
};
struct soak_event {
	enum soak_what what;
	unsigned slot;
	uint64_t after_ns;  /* the event before */
	uint64_t length_ns; /* of a stop; until the next start after a kill */
};
struct soak_event soak_event_draw(uint64_t seed, uint64_t index, uint64_t interval_ns);

/* Mixes a seed. */
static inline uint64_t soak_mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static inline struct soak_span soak_span(const struct soak_slot *slot)
{
	return slot->spans[atomic_load_explicit(&slot->turn, memory_order_acquire) & 1];
}

/* The whole span changes at once, for whoever looks and for who comes after a kill. */
static inline void soak_span_set(struct soak_slot *slot, const struct soak_span *span)
{
	uint32_t turn = atomic_load_explicit(&slot->turn, memory_order_relaxed) ^ 1;

	slot->spans[turn & 1] = *span;
	atomic_store_explicit(&slot->turn, turn, memory_order_release);
}

#endif
