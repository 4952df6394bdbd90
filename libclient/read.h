/* SPDX-License-Identifier: MIT */
#ifndef SHMB_CLIENT_READ_H
#define SHMB_CLIENT_READ_H

/*
 * The steps that reads are made of, whatever the kind: which numbers there are, does a slot hold this one, did it still hold it after the
 * copy. Inline, because this is most of what a small read does.
 */

#include "publish.h"
#include "proto/copy.h"
#include "proto/step.h"
#include "slots.h"

static inline const struct shmb_shm_slot *slot_of(const struct slots_reader *reader, uint64_t number)
{
	return (const struct shmb_shm_slot *)(reader->slots + (number & reader->mask) * reader->slot_stride);
}

static inline bool slot_holds(const struct shmb_shm_slot *slot, uint64_t number)
{
	/* ORDER slot.publish (acquire). Partner: publish().
	 * Orders:  slot bytes -> slot id.
	 * Without: a reader sees the new id and old bytes.
	 * Model:   tests/model/src/slot.rs */
	return atomic_load_explicit(&slot->id, memory_order_acquire) == shmb_id_done(number);
}

/* Copies a slot that was seen to hold `number`. False: it was overwritten meanwhile, the copy is worth nothing. */
static inline __attribute__((always_inline)) bool slot_copy(struct slots_reader *reader, const struct shmb_shm_slot *slot, uint64_t number,
							    void *payload, uint64_t *stamp_ns, bool is_short)
{
	const unsigned char *from = reader->payloads + (number & reader->mask) * reader->payload_stride;

	SHMB_STEP("read.checked");
	*stamp_ns = 0;
	if (is_short) {
		shmb_copy_short(payload, from, reader->payload_bytes);
	} else {
		if (reader->stamped)
			*stamp_ns = atomic_load_explicit(&slot->stamp_ns, memory_order_relaxed);
		shmb_copy(payload, from, reader->payload_bytes);
	}
	SHMB_STEP("read.copied");
	/* ORDER slot.claim (acquire). Partner: publish().
	 * Orders:  id "being written" -> slot bytes.
	 * Without: a reader copies new bytes between two looks at the old id.
	 * Model:   tests/model/src/slot.rs */
	shmb_fence_acquire();
	if (likely(atomic_load_explicit(&slot->id, memory_order_relaxed) == shmb_id_done(number)))
		return true;
	COUNT(reader->retries, 1);
	return false;
}

/*
 * Numbers from the cut on are void: another generation has them. No honest writer gets there (daemon/generation.c), so the load needs no order of its
 * own; it comes after the look at the id.
 */
static inline bool is_cut(const struct slots_reader *reader, uint64_t number)
{
	return unlikely(number >= atomic_load_explicit(&reader->card->cut, memory_order_relaxed));
}

/* Is there a generation after this one? Then what is found here after it is all there will be. */
static inline bool is_superseded(const struct slots_reader *reader)
{
	/* ORDER cut.next (acquire). Partner: next_store().
	 * Orders:  last published data, cut -> next.
	 * Without: a reader follows before it has seen all that was published.
	 * Model:   tests/model/src/cut.rs */
	return unlikely(atomic_load_explicit(&reader->card->next, memory_order_acquire) != 0);
}

/* One more than the newest committed number, or one less than that: the counter may lag one behind. Never below what we have seen. */
static inline uint64_t next_number(const struct slots_reader *reader)
{
	/* ORDER counter.publish (acquire). Partner: publish_count().
	 * Orders:  slot id -> counter.
	 * Without: a reader sees the counter and finds the slot of the number below it not done.
	 * Model:   tests/model/src/counter.rs */
	/* ORDER key.publish (acquire). Partner: publish_count().
	 * Orders:  keys, key_base -> counter.
	 * Without: a search finds its way by the keys of numbers that were overwritten long ago, or crosses a restart of the keys.
	 * Model:   tests/model/src/key.rs */
	uint64_t counter = atomic_load_explicit(&reader->data->counter, memory_order_acquire);

	return likely(counter >= reader->seen) ? counter : reader->seen;
}

/*
 * The newest number there may be: 0, -ENODATA none yet, -EBADMSG the counter cannot be. Where one number is new, it is taken from what this handle knows: so
 * its slot can be looked at before the counter is there. The counter may lag one behind: that matters where it tells nothing new.
 */
static inline __attribute__((always_inline)) int newest_number(const struct slots_reader *reader, uint64_t *newest)
{
	uint64_t next = next_number(reader);
	uint64_t number = reader->seen;

	if (unlikely(next >= SHMB_NUMBER_MAX))
		return -EBADMSG;
	if (unlikely(next != number + 1)) {
		if (next > number) {
			number = next - 1;
		} else if (!slot_holds(slot_of(reader, number), number)) {
			if (unlikely(number == reader->base))
				return -ENODATA;
			number--;
		}
	}
	*newest = number;
	return 0;
}

/* next_number(), not beyond the cut. */
static inline uint64_t next_before_cut(const struct slots_reader *reader)
{
	uint64_t next = next_number(reader);

	return is_cut(reader, next) ? atomic_load_explicit(&reader->card->cut, memory_order_relaxed) : next;
}

/* The oldest that the writer does not touch while `next` is the next write. */
static inline uint64_t oldest_number(const struct slots_reader *reader, uint64_t next)
{
	uint64_t oldest = next > reader->window ? next - reader->window : 0;

	return oldest > reader->base ? oldest : reader->base;
}

/* Of a superseded generation: the first number from `from` on that is there, UINT64_MAX none. */
uint64_t slots_left(const struct slots_reader *reader, uint64_t from) __attribute__((cold));

static inline int read_done(struct slots_reader *reader, uint64_t number, uint64_t stamp_ns, uint64_t missed, struct shmb_sample *sample)
{
	if (number >= reader->seen)
		reader->seen = number + 1;
	COUNT(reader->reads, 1);
	if (unlikely(missed != 0))
		COUNT(reader->lost, missed);
	if (sample != NULL)
		*sample = (struct shmb_sample){ .number = number, .stamp_ns = stamp_ns, .missed = missed };
	return 0;
}

static inline void move_to(struct slots_reader *reader, uint64_t position)
{
	reader->position = position;
	/* Shown to the broker, believed by nobody. */
	atomic_store_explicit(atomic_load_explicit(&reader->published_position, memory_order_relaxed), position, memory_order_relaxed);
}

#endif
