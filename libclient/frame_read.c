/* SPDX-License-Identifier: MIT */
/*
 * Frames, the reader's side (frame.h): pin, release, copy.
 *
 * Which number is asked for (the newest, the next, this one) and what is done with it (pinned, copied) are independent of each other:
 * pin_take() and copy_take() try once with a number whose entry was seen to be done, and -EAGAIN is "the writer came by". They are inlined into the
 * three searches. Slot and length come from the writer and are bounded before use.
 */
#include <errno.h>
#include <string.h>

#include "frame.h"
#include "read.h"

/* Where a frame goes: to `buffer`, or nowhere and is pinned. */
struct target {
	struct shmb_frame *frame;
	void *buffer;
	size_t size;
};

static inline const struct shmb_shm_slot *header_of(const struct frame_reader *reader, uint32_t slot)
{
	return (const struct shmb_shm_slot *)(reader->headers + ((uint64_t)slot << reader->header_shift));
}

static inline const struct shmb_shm_entry *entry_of(const struct frame_reader *reader, uint64_t number)
{
	return (const struct shmb_shm_entry *)slot_of(&reader->entries, number);
}

/* Is what was taken from the entry that of `number`? */
static inline bool entry_holds_still(const struct shmb_shm_entry *entry, uint64_t number)
{
	/* ORDER frame.entry (acquire). Partner: frame_commit().
	 * Orders:  entry id "being written" -> slot, length, stamp.
	 * Without: slot and length of two frames are taken for one.
	 * Model:   tests/model/src/frame.rs */
	shmb_fence_acquire();
	return atomic_load_explicit(&entry->id, memory_order_relaxed) == shmb_id_done(number);
}

static inline void fill(const struct frame_reader *reader, const struct shmb_shm_entry *entry, uint64_t number, uint64_t length,
			struct shmb_frame *frame)
{
	frame->length = length;
	frame->number = number;
	frame->stamp_ns = reader->stamped ? atomic_load_explicit(&entry->stamp_ns, memory_order_relaxed) : 0;
}

static inline __attribute__((always_inline)) int pin_take(struct frame_reader *reader, uint64_t number, const struct target *target)
{
	const struct shmb_shm_entry *entry = entry_of(reader, number);
	_Atomic uint64_t *pins = atomic_load_explicit(&reader->pins, memory_order_relaxed);
	uint64_t slot = atomic_load_explicit(&entry->slot, memory_order_relaxed);
	uint64_t length = atomic_load_explicit(&entry->length, memory_order_relaxed);
	unsigned pin = (unsigned)__builtin_ctz(~reader->held_mask);
	uint64_t counter;

	if (unlikely(pins == NULL))
		return text_fail(-EUSERS,
				 "this reader has no cell to pin frames with: too many readers, or too many users; load copies instead");
	if (unlikely(pin >= SHMB_PINS_PER_CELL))
		return -EMFILE;
	if (unlikely(slot >= reader->pool_count || length > reader->payload_bytes))
		return entry_holds_still(entry, number) ? -EBADMSG : -EAGAIN;
	fill(reader, entry, number, length, target->frame);
	atomic_store_explicit(&pins[pin], slot + 1, memory_order_relaxed);
	SHMB_STEP("pin.stored");
	/* ORDER frame.pin (seq_cst). Partners: publish_announce(), frame_writer_init().
	 * Orders:  pin -> look at the counter.
	 * Without: the writer does not see the pin and the reader does not see that it came too late: the frame is overwritten while held.
	 * Model:   tests/model/src/frame.rs */
	shmb_fence_seq_cst();
	counter = atomic_load_explicit(&reader->entries.data->counter, memory_order_relaxed);
	if (unlikely(counter - number > reader->entries.window ||
		     atomic_load_explicit(&entry->id, memory_order_relaxed) != shmb_id_done(number))) {
		atomic_store_explicit(&pins[pin], 0, memory_order_relaxed);
		return -EAGAIN;
	}
	SHMB_STEP("pin.checked");
	reader->held_mask |= 1u << pin;
	reader->held[pin] = (struct frame_held){ .number = number, .slot = (uint32_t)slot };
	target->frame->pin = pin;
	target->frame->payload = reader->payloads + (slot << reader->payload_shift);
	return 0;
}

static inline int copy_take(struct frame_reader *reader, uint64_t number, const struct target *target)
{
	const struct shmb_shm_entry *entry = entry_of(reader, number);
	uint64_t slot = atomic_load_explicit(&entry->slot, memory_order_relaxed);
	uint64_t length = atomic_load_explicit(&entry->length, memory_order_relaxed);
	const struct shmb_shm_slot *header;

	fill(reader, entry, number, length, target->frame);
	if (!entry_holds_still(entry, number))
		return -EAGAIN;
	if (slot >= reader->pool_count || length > reader->payload_bytes)
		return -EBADMSG;
	if (length > target->size)
		return -EMSGSIZE;
	header = header_of(reader, (uint32_t)slot);
	/* ORDER slot.publish (acquire). Partner: frame_commit().
	 * Orders:  payload -> slot id.
	 * Without: a reader sees the new id and old bytes.
	 * Model:   tests/model/src/slot.rs */
	if (atomic_load_explicit(&header->id, memory_order_acquire) != shmb_id_done(number))
		return -EAGAIN;
	SHMB_STEP("read.checked");
	shmb_copy(target->buffer, reader->payloads + (slot << reader->payload_shift), length);
	SHMB_STEP("read.copied");
	/* ORDER slot.claim (acquire). Partner: frame_loan().
	 * Orders:  id "being written" -> payload.
	 * Without: a reader takes new bytes between two looks at the old id.
	 * Model:   tests/model/src/slot.rs */
	shmb_fence_acquire();
	if (atomic_load_explicit(&header->id, memory_order_relaxed) != shmb_id_done(number))
		return -EAGAIN;
	target->frame->payload = target->buffer;
	return 0;
}

static inline __attribute__((always_inline)) int take(struct frame_reader *reader, uint64_t number, const struct target *target)
{
	return target->buffer != NULL ? copy_take(reader, number, target) : pin_take(reader, number, target);
}

static inline int took(struct frame_reader *reader, uint64_t number, uint64_t missed, struct shmb_frame *frame)
{
	if (number >= reader->entries.seen)
		reader->entries.seen = number + 1;
	frame->missed = missed;
	return 0;
}

static inline __attribute__((always_inline)) int take_newest(struct frame_reader *reader, const struct target *target)
{
	struct slots_reader *entries = &reader->entries;

	if (!is_ours(entries->guard))
		return text_forked();
	for (int i = 0; i < SHMB_READ_TRIES; i++) {
		uint64_t number = next_number(entries);
		uint64_t missed;
		int r;

		if (unlikely(number >= SHMB_NUMBER_MAX))
			return -EBADMSG;
		/* The counter may lag one behind. */
		if (likely(!slot_holds(slot_of(entries, number), number))) {
			if (unlikely(number == entries->base))
				return -ENODATA;
			number--;
			if (unlikely(!slot_holds(slot_of(entries, number), number)))
				continue;
		}
		r = take(reader, number, target);
		if (unlikely(r == -EAGAIN))
			continue;
		if (unlikely(r < 0))
			return r;
		missed = number > entries->position ? number - entries->position : 0;
		move_to(entries, number + 1);
		return took(reader, number, missed, target->frame);
	}
	return -EAGAIN;
}

static inline __attribute__((always_inline)) int take_next(struct frame_reader *reader, const struct target *target)
{
	struct slots_reader *entries = &reader->entries;
	uint64_t number = entries->position;

	if (!is_ours(entries->guard))
		return text_forked();
	for (int i = 0; i < SHMB_READ_TRIES; i++) {
		uint64_t next, oldest;
		int r = slot_holds(slot_of(entries, number), number) ? take(reader, number, target) : -EAGAIN;

		if (r == 0) {
			uint64_t missed = number - entries->position;

			move_to(entries, number + 1);
			return took(reader, number, missed, target->frame);
		}
		if (r != -EAGAIN)
			return r;
		next = next_number(entries);
		if (unlikely(next >= SHMB_NUMBER_MAX))
			return -EBADMSG;
		if (number >= next)
			return -ENODATA;
		oldest = oldest_number(entries, next);
		if (number < oldest)
			number = oldest;
	}
	return -EAGAIN;
}

void frame_reader_init(struct frame_reader *reader, const struct slots_memory *memory, struct shmb_shm_cell *cell)
{
	const struct shmb_geometry *geometry = memory->geometry;
	struct shmb_geometry entries;
	struct slots_memory ring = frame_entries(memory, &entries);

	memset(reader, 0, sizeof(*reader));
	slots_reader_init(&reader->entries, &ring, cell);
	reader->entries.window = geometry->history;
	reader->headers = (const unsigned char *)memory->data + geometry->slot_offset;
	reader->payloads = (const unsigned char *)memory->data + geometry->pool_offset;
	reader->payload_bytes = geometry->payload_bytes;
	reader->payload_shift = geometry->pool_shift;
	reader->header_shift = geometry->slot_shift;
	reader->pool_count = geometry->pool_count;
	reader->stamped = (geometry->flags & SHMB_SEGMENT_STAMPED) != 0;
	atomic_store_explicit(&reader->pins, cell != NULL ? cell->pins : NULL, memory_order_relaxed);
}

void frame_reader_drop_cell(struct frame_reader *reader)
{
	atomic_store_explicit(&reader->pins, NULL, memory_order_relaxed);
}

__attribute__((hot)) int frame_pin_newest(struct frame_reader *reader, struct shmb_frame *frame)
{
	return take_newest(reader, &(struct target){ .frame = frame });
}

__attribute__((hot)) int frame_pin_next(struct frame_reader *reader, struct shmb_frame *frame)
{
	return take_next(reader, &(struct target){ .frame = frame });
}

int frame_pin(struct frame_reader *reader, uint64_t number, struct shmb_frame *frame)
{
	struct slots_reader *entries = &reader->entries;

	if (!is_ours(entries->guard))
		return text_forked();
	if (number < entries->base)
		return -ESTALE;
	if (number >= SHMB_NUMBER_MAX)
		return -ENODATA;
	for (int i = 0; i < SHMB_READ_TRIES; i++) {
		uint64_t next;
		int r = slot_holds(slot_of(entries, number), number) ? pin_take(reader, number, &(struct target){ .frame = frame })
								     : -EAGAIN;

		if (r == 0)
			return took(reader, number, 0, frame);
		if (r != -EAGAIN)
			return r;
		next = next_number(entries);
		if (unlikely(next >= SHMB_NUMBER_MAX))
			return -EBADMSG;
		if (number >= next)
			return -ENODATA;
		if (number < oldest_number(entries, next))
			return -ESTALE;
	}
	return -EAGAIN;
}

int frame_copy_newest(struct frame_reader *reader, void *buffer, size_t size, struct shmb_frame *frame)
{
	return take_newest(reader, &(struct target){ .frame = frame, .buffer = buffer, .size = size });
}

int frame_copy_next(struct frame_reader *reader, void *buffer, size_t size, struct shmb_frame *frame)
{
	return take_next(reader, &(struct target){ .frame = frame, .buffer = buffer, .size = size });
}

__attribute__((hot)) int frame_release(struct frame_reader *reader, struct shmb_frame *frame)
{
	unsigned pin = frame->pin;
	_Atomic uint64_t *pins;
	uint64_t id;

	if (!is_ours(reader->entries.guard))
		return text_forked();
	if (unlikely(pin >= SHMB_PINS_PER_CELL || !(reader->held_mask >> pin & 1) || frame->payload == NULL ||
		     reader->held[pin].number != frame->number))
		return -EINVAL;
	/* ORDER slot.claim (acquire). Partner: frame_loan().
	 * Orders:  id "being written" -> payload.
	 * Without: bytes of another frame are taken for this one's, and nobody is told.
	 * Model:   tests/model/src/slot.rs */
	shmb_fence_acquire();
	id = atomic_load_explicit(&header_of(reader, reader->held[pin].slot)->id, memory_order_relaxed);
	reader->held_mask &= ~(1u << pin);
	frame->payload = NULL;
	pins = atomic_load_explicit(&reader->pins, memory_order_relaxed);
	if (unlikely(pins == NULL))
		return -ESTALE;
	/* ORDER frame.reuse (release). Partner: frame_loan().
	 * Orders:  the last look at the payload -> pin = 0.
	 * Without: a reader that has not released yet sees bytes of the next frame.
	 * Model:   tests/model/src/frame.rs */
	atomic_store_explicit(&pins[pin], 0, memory_order_release);
	return likely(id == shmb_id_done(reader->held[pin].number)) ? 0 : -ESTALE;
}
