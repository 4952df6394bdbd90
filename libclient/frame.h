/* SPDX-License-Identifier: MIT */
#ifndef SHMB_CLIENT_FRAME_H
#define SHMB_CLIENT_FRAME_H

/*
 * The data path of frames: payloads that are filled and read where they lie.
 *
 * A pool of slots holds the payloads, a ring of entries says which slot holds which number. An entry is a slot of the kind that value and ring
 * have, with {slot, length, stamp} for its payload: numbers, bounds and waiting are theirs. A pool slot's header is one too: 2n + 1
 * while it is on loan for number n, 2n + 2 when it holds it.
 *
 *   writer   loans a slot that is neither among the newest H entries nor named by a pin, fills it, commits: header, entry, counter, fence
 *   reader   takes an entry, stores its pin, fences, looks at the counter again: while the number is among the newest H the writer has not
 *            looked at the pins since the slot became free to take, so it will see this one
 *
 * Of the fence after a commit and the reader's fence one is later: either the reader sees a counter that tells it that it came too late, or the
 * writer sees its pin before it takes the slot. Releasing looks at the header once more: what a hostile writer did to it is reported.
 *
 * This file knows memory only, as slots.h. A pin belongs to a cell; a cell counts while the card says that it has an owner, so what a dead
 * reader held is free as soon as the broker has cleared one bit.
 */

#include <stddef.h>

#include "slots.h"

/* A loan is at most one, its slot is order[head]. */
struct frame_writer {
	struct slots_writer entries; /* first: see segment.h */
	unsigned char *headers;
	unsigned char *payloads;
	uint64_t payload_bytes;
	uint32_t pool_count;
	uint32_t spare; /* slots outside the newest H: 1 + pins */
	uint32_t head;
	uint8_t payload_shift;
	uint8_t header_shift;
	bool stamped;
	bool loaned;
	uint32_t *order;  /* order[head] ..: the spare slots, longest free first; then the newest H, oldest first */
	uint64_t *pinned; /* a bit a slot: for a loan that does not find the first one free */
};

struct frame_held {
	uint64_t number;
	uint32_t slot;
};

struct frame_reader {
	struct slots_reader entries; /* first: see segment.h */
	const unsigned char *headers;
	const unsigned char *payloads;
	uint64_t payload_bytes;
	_Atomic uint64_t *_Atomic pins; /* of our cell, NULL none */
	uint32_t pool_count;
	uint32_t held_mask; /* bit p: pin p is in use */
	uint8_t payload_shift;
	uint8_t header_shift;
	bool stamped;
	struct frame_held held[SHMB_PINS_PER_CELL];
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
/* A slot to fill. -ESTALE, -EOWNERDEAD; -EBUSY one is on loan; -ENOBUFS all are held (sets the text). */
int frame_loan(struct frame_writer *writer, void **payload, size_t *capacity);
/* Publishes it. -EINVAL nothing on loan or too long: what is on loan stays so. -ESTALE: given back. */
int frame_commit(struct frame_writer *writer, size_t length);
/* Gives it back. -EINVAL nothing on loan. */
int frame_abort(struct frame_writer *writer);

/* `cell` is the reader's own cell, or NULL: then nothing can be pinned. */
void frame_reader_init(struct frame_reader *reader, const struct slots_memory *memory, struct shmb_shm_cell *cell);
/* The cell belongs to somebody else now. Any thread. */
void frame_reader_drop_cell(struct frame_reader *reader);

/* Holds on to one. Errors as slots_*(), and -EUSERS no cell, -EMFILE SHMB_PINS_PER_CELL are held. */
int frame_pin_newest(struct frame_reader *reader, struct shmb_frame *frame);
int frame_pin_next(struct frame_reader *reader, struct shmb_frame *frame);
int frame_pin(struct frame_reader *reader, uint64_t number, struct shmb_frame *frame);
/* -EINVAL not held by this handle; -ESTALE was overwritten while it was held. Not held afterwards in either case. */
int frame_release(struct frame_reader *reader, struct shmb_frame *frame);
/* Copies instead. -EMSGSIZE: frame->length says how much is needed. */
int frame_copy_newest(struct frame_reader *reader, void *buffer, size_t size, struct shmb_frame *frame);
int frame_copy_next(struct frame_reader *reader, void *buffer, size_t size, struct shmb_frame *frame);

#endif
