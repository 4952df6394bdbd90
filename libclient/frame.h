/* SPDX-License-Identifier: MIT */
#ifndef SHMB_CLIENT_FRAME_H
#define SHMB_CLIENT_FRAME_H

/*
 * The data path of frames: payloads that are filled and read where they lie.
 *
 * A pool of slots holds the payloads, a ring of entries says which slot holds which number. An entry is a slot of the kind that value and ring
 * have, with {slot, length, stamp} for its payload, and a key beside it where the frames have keys: numbers, bounds, waiting and searching are
 * theirs. A pool slot's header is one too: 2n + 1 while it is on loan for number n, 2n + 2 when it holds it.
 *
 *   writer   loans a slot that is neither among the newest H entries nor named by a pin, fills it, commits: header, entry, counter, fence
 *   reader   takes an entry, stores its pin, fences, looks at the counter again: while the number is among the newest H the writer has not
 *            looked at the pins since the slot became free to take, so it will see this one
 *
 * Of the fence after a commit and the reader's fence one is later: either the reader sees a counter that tells it that it came too late, or the
 * writer sees its pin before it takes the slot. Releasing looks at the header once more: what a hostile writer did to it is reported.
 *
 * What publishing and reading cost is counted in instructions, so the public functions of the data path are defined in frame_write.c and
 * frame_read.c themselves, on handles that begin with these structs; frame.c has the others. They know memory only, as slots.h does. A pin belongs to a cell; a cell counts while the card says that it has an owner, so what a dead
 * reader held is free as soon as the broker has cleared one bit.
 */

#include <stddef.h>

#include "slots.h"

struct frame_writer {
	struct slots_writer entries; /* first: see segment.h */
	unsigned char *headers;
	unsigned char *payloads;
	uint64_t payload_bytes;
	uint64_t payload_stride;
	uint64_t header_stride;
	uint64_t loaned; /* slot + 1, 0 none; it is order[head] */
	uint32_t *order;
	uint32_t head;
	uint32_t free;	/* of the spare slots, how many from `head` on no pin names */
	uint32_t spare; /* slots outside the newest H: 1 + pins */
	uint32_t pool_count;
	uint32_t pins;	  /* of a cell that count */
	uint8_t key_type; /* enum shmb_key_type of keys that are given, else 0 */
	uint64_t *pinned; /* a bit a slot, while looking at the pins; else all 0 */
};

struct frame_held {
	uint64_t number;
	uint64_t slot;
};

/* Frames of an earlier generation that are held still after the reader has followed. */
struct frame_kept {
	struct frame_kept *next;
	const unsigned char *headers;
	const unsigned char *payloads;
	uint64_t payload_stride;
	uint64_t header_stride;
	_Atomic uint64_t *_Atomic pins; /* NULL: the cell belongs to somebody else now */
	uint32_t held_mask;
	struct frame_held held[SHMB_PINS_PER_CELL];
};

struct frame_reader {
	struct slots_reader entries; /* first: see segment.h */
	const unsigned char *headers;
	const unsigned char *payloads;
	uint64_t payload_bytes;
	uint64_t payload_stride;
	uint64_t header_stride;
	_Atomic uint64_t *_Atomic pins; /* of our cell, NULL none */
	uint32_t pool_count;
	uint32_t pins_max;  /* that we may use at once */
	uint32_t held_mask; /* bit p: pin p is in use */
	bool stamped;
	struct frame_held held[SHMB_PINS_PER_CELL];
	struct frame_kept *kept; /* NULL: none */
};

/* The ring of entries, seen as what slots.h works on. `*geometry` receives it and must outlive the result's use. */
static inline struct slots_memory frame_entries(const struct slots_memory *memory, struct shmb_geometry *geometry)
{
	struct slots_memory entries = *memory;

	*geometry = *memory->geometry;
	geometry->flags = 0;
	geometry->slot_offset = geometry->entry_offset;
	geometry->slot_count = geometry->entry_count;
	geometry->slot_shift = geometry->entry_shift;
	geometry->pool_offset = geometry->entry_offset + offsetof(struct shmb_shm_entry, slot);
	geometry->pool_shift = geometry->entry_shift;
	geometry->payload_bytes = sizeof(struct shmb_shm_entry) - offsetof(struct shmb_shm_entry, slot);
	entries.geometry = geometry;
	return entries;
}

/* As slots_writer_init(); also -ENOMEM. */
int frame_writer_init(struct frame_writer *writer, const struct slots_memory *memory, uint64_t granted);
void frame_writer_deinit(struct frame_writer *writer);
/* `cell` is the reader's own cell, or NULL: then nothing can be pinned. */
void frame_reader_init(struct frame_reader *reader, const struct slots_memory *memory, struct shmb_shm_cell *cell);
/* Pins this number, once: 0, -EAGAIN the writer came by, -EMFILE, -EUSERS, -EBADMSG. For the searches (frame_temporal.c). */
int frame_pin_try(struct frame_reader *reader, uint64_t number, struct shmb_frame *frame);
/* As slots_reader_follow(). What is held goes to `kept` (not NULL where anything is), which is linked, and lives until nothing of it is held. */
void frame_reader_follow(struct frame_reader *reader, const struct slots_memory *memory, struct shmb_shm_cell *cell,
			 struct frame_kept *kept);
/* The cell belongs to somebody else now. Any thread. */
void frame_reader_drop_cell(struct frame_reader *reader);

#endif
