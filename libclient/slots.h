/* SPDX-License-Identifier: MIT */
#ifndef SHMB_CLIENT_SLOTS_H
#define SHMB_CLIENT_SLOTS_H

/*
 * The data path of value and ring: numbered slots, one writer, any number of readers, no lock.
 *
 * Number n lives in slot n & mask. The slot's id names the very write it holds: 2n + 1 while write n is under way, 2n + 2 when it is done.
 * The id is the commit; the counter (numbers below it are committed) may lag one behind, because it is stored after the id. A reader copies
 * between two looks at the id: where both are 2n + 2 the copy is write n and nothing else. The writer overwrites the oldest slot, so the
 * newest is readable whatever happens to the writer.
 *
 * A ring may have keys: an array of one word a slot, written between claim and publish, by which temporal.c finds elements in time. A key
 * never shrinks from one element to the next; key_base is the first number of the run of keys that goes on now.
 *
 * This file knows memory only: no connection, no socket, no kind. Everything in the data part may be rubbish from a hostile writer: indices
 * are masked, numbers are bounded by SHMB_NUMBER_MAX, every loop has an end, and geometry comes from a checked private copy.
 */

#include <stdbool.h>

#include "proto/geometry.h"
#include "shmb.h"
#include "wait.h"

/* Mapped memory of a segment, and what both sides take from it. Borrowed: it outlives writer and reader. */
struct slots_memory {
	const struct shmb_geometry *geometry;
	const struct shmb_shm_card *card;
	struct shmb_shm_data *data;		     /* read-only memory for a reader */
	struct shmb_shm_area *areas[SHMB_AREAS_MAX]; /* writer: all; reader: the first is its own, or NULL */
	uint32_t area_count;			     /* of the array */
	const _Atomic uint32_t *guard;		     /* 0 in a forked child: nothing else may be touched then */
};

/* What an element has beside id and payload. */
enum slots_extra {
	SLOTS_STAMPED = 1u << 0,
	SLOTS_KEYED = 1u << 1,
};

/* Counters of a handle, kept by its own thread in its own memory; nothing at all where they are compiled out. */
#if SHMB_WITH_COUNTERS
#define COUNT(counter, more) ((void)((counter) += (more)))
#else
#define COUNT(counter, more) ((void)sizeof((counter) += (more)))
#endif

/* What a publish touches comes first, in one cache line and the beginning of the next. */
struct slots_writer {
	const _Atomic uint32_t *guard;
	const struct shmb_shm_card *card;
	uint64_t granted; /* the card's state word of our lease */
	uint64_t next;	  /* number of the next write */
	unsigned char *slots;
	unsigned char *payloads;
	struct shmb_shm_data *data;
	uint32_t mask;
	uint32_t payload_bytes;
	uint64_t slot_stride;
	uint64_t payload_stride;
	uint8_t extras; /* enum slots_extra; 0 is the fast way */
	uint8_t key_bytes;
	bool is_short;	    /* no extras, and the payload goes by shmb_copy_short() */
	uint32_t area_mask; /* areas that we have mapped */
	struct shmb_shm_area *areas[SHMB_AREAS_MAX];
	_Atomic uint64_t *keys; /* NULL none */
	uint64_t last_key;	/* of this run; 0 none yet */
	uint32_t key_field;	/* offset in the payload, or SHMB_KEY_IS_STAMP */
	bool key_is_signed;
	uint64_t first; /* number of its first write */
};

struct slots_reader {
	const _Atomic uint32_t *guard;
	const struct shmb_shm_data *data;
	const unsigned char *slots;
	const unsigned char *payloads;
	uint64_t seen; /* one more than the highest number known to be committed: this handle never goes below */
	uint64_t reads;
	uint64_t position;			      /* number to read next */
	_Atomic uint64_t *_Atomic published_position; /* in our cell, or `nowhere` */
	uint64_t slot_stride;
	uint64_t payload_stride;
	uint32_t mask;
	uint32_t window; /* numbers that stay readable: capacity N serves N - 1, a frame its history */
	uint32_t payload_bytes;
	bool stamped;
	uint8_t key_type;	   /* enum shmb_key_type; stamps are monotonic keys where there are no others */
	const unsigned char *keys; /* NULL none */
	uint64_t key_stride;
	double key_rate;  /* of the last search (temporal.h) */
	bool is_short;	  /* as the writer's */
	uint64_t lost;	  /* sum of what was missed */
	uint64_t retries; /* copies that the writer overtook */
	uint64_t base;
	const struct shmb_shm_card *card;
	struct shmb_shm_area *area; /* NULL none */
	uint64_t reported;	    /* the last verdict that a wait returned, epoch and all */
	struct shmb_waitable waitable;
	_Atomic uint64_t nowhere;
};

/* -EOVERFLOW where the numbers are used up. `granted` is the state word that came with the lease. */
int slots_writer_init(struct slots_writer *writer, const struct slots_memory *memory, uint64_t granted);
/* Publishes one payload. 0, -ESTALE the lease is gone, -EOWNERDEAD in a forked child; and nothing is claimed where the key is negative
 * (-ERANGE) or lower than the one before (-EDOM). */
int slots_publish(struct slots_writer *writer, const void *payload);
/* Begins a new run of keys with the next write: the next key may be lower. -EINVAL no keys; -ESTALE, -EOWNERDEAD. */
int slots_restart_keys(struct slots_writer *writer);
/* Stores the time into the head of the data. Errors likewise. */
int slots_heartbeat(struct slots_writer *writer);

/* `cell` is the reader's own cell, or NULL. Sets the position to the newest number, or to the next write where there is none. */
void slots_reader_init(struct slots_reader *reader, const struct slots_memory *memory, struct shmb_shm_cell *cell);
/*
 * Goes over to the memory of the generation that follows its own; what is unread there counts as missed. The old memory is not touched any more.
 * Under the lock that slots_reader_drop_cell() is called with.
 */
void slots_reader_follow(struct slots_reader *reader, const struct slots_memory *memory, struct shmb_shm_cell *cell);
/* The cell belongs to somebody else now. Any thread. */
void slots_reader_drop_cell(struct slots_reader *reader);

/* Stores the counters into our cell, for who looks from outside. */
void slots_counters_show(struct slots_reader *reader);
/* The newest. Moves the position behind it. -ENODATA, -EAGAIN, -EBADMSG (the counter cannot be), -EOWNERDEAD. Of a superseded generation its last. */
int slots_latest(struct slots_reader *reader, void *payload, struct shmb_sample *sample);
/* The one at the position, or the oldest left. Moves the position behind it. Errors likewise, and -EREMCHG: superseded, and nothing is left. */
int slots_read_next(struct slots_reader *reader, void *payload, struct shmb_sample *sample);
/* This one. -ENODATA not yet, -ESTALE not any more. */
int slots_read(struct slots_reader *reader, uint64_t number, void *payload, struct shmb_sample *sample);
/* How many are committed from the position on, those that are lost included. */
int slots_lag(struct slots_reader *reader, uint64_t *lag);
int slots_seek(struct slots_reader *reader, uint64_t number);
int slots_bounds(struct slots_reader *reader, uint64_t *oldest, uint64_t *next);
/* Is there anything at the position? 1, 0, or -EBADMSG. No guard: for wait.c. */
int slots_has_news(struct slots_reader *reader);
/* Is there a generation after this one, and nothing left in this one from the position on? */
bool slots_is_drained(const struct slots_reader *reader);

#endif
