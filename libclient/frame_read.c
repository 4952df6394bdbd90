/* SPDX-License-Identifier: MIT */
/*
 * Frames, the reader's side (frame.h): pin, release, load.
 *
 * Which number is asked for (the newest, the next, this one) and what is done with it (pinned, copied) are independent of each other:
 * pin_take() and copy_take() try once with an entry that was seen to hold the number, and -EAGAIN is "the writer came by". They are inlined into
 * the searches. Slot and length come from the writer and are bounded before use.
 */
#include <errno.h>
#include <string.h>

#include "frame.h"
#include "read.h"

static inline const struct shmb_shm_slot *header_of(const struct frame_reader *reader, uint64_t slot)
{
	return (const struct shmb_shm_slot *)(reader->headers + slot * reader->header_stride);
}

/* Is what was taken from the entry that of `number`? */
static inline bool entry_holds_still(const struct shmb_shm_entry *entry, uint64_t number)
{
	/* ORDER frame.entry (acquire). Partner: commit().
	 * Orders:  entry id "being written" -> slot, length, stamp.
	 * Without: slot and length of two frames are taken for one.
	 * Model:   tests/model/src/frame.rs */
	shmb_fence_acquire();
	return atomic_load_explicit(&entry->id, memory_order_relaxed) == shmb_id_done(number);
}

static inline uint64_t stamp_of(const struct frame_reader *reader, const struct shmb_shm_entry *entry)
{
	return reader->stamped ? atomic_load_explicit(&entry->stamp_ns, memory_order_relaxed) : 0;
}

static inline void fill(struct shmb_frame *frame, uint64_t number, uint64_t length, uint64_t stamp_ns)
{
	frame->length = length;
	frame->number = number;
	frame->stamp_ns = stamp_ns;
}

static __attribute__((noinline, cold)) void tell_no_cell(void)
{
	text_fail(-EUSERS, "this reader has no cell to pin frames with (too many readers or users): load copies instead");
}

/*
 * Nothing is taken from the entry after the last look at its id: it may be written anew then, the pin holds the payload alone. The fence, which
 * lies between the two, orders them as frame.entry does.
 */
static inline __attribute__((always_inline)) int pin_take(struct frame_reader *reader, const struct shmb_shm_slot *at, uint64_t number,
							  struct shmb_frame *frame)
{
	const struct shmb_shm_entry *entry = (const struct shmb_shm_entry *)at;
	_Atomic uint64_t *pins = atomic_load_explicit(&reader->pins, memory_order_relaxed);
	uint64_t slot = atomic_load_explicit(&entry->slot, memory_order_relaxed);
	uint64_t length = atomic_load_explicit(&entry->length, memory_order_relaxed);
	uint64_t stamp_ns = stamp_of(reader, entry);
	uint32_t pin = (uint32_t)__builtin_ctz(~reader->held_mask);
	uint64_t counter;

	if (unlikely(pins == NULL)) {
		tell_no_cell();
		return -EUSERS;
	}
	if (unlikely(pin >= reader->pins_max))
		return -EMFILE;
	if (unlikely(slot >= reader->pool_count || length > reader->payload_bytes))
		return entry_holds_still(entry, number) ? -EBADMSG : -EAGAIN;
	/* ORDER frame.pin (seq_cst). Partners: publish_count(), frame_writer_init().
	 * Orders:  pin -> look at the counter.
	 * Without: the writer does not see the pin and the reader does not see that it came too late: the frame is overwritten while held.
	 * Model:   tests/model/src/frame.rs */
	shmb_fence_seq_cst_storing(&pins[pin], slot + 1);
	SHMB_STEP("pin.stored");
	fill(frame, number, length, stamp_ns);
	frame->pin = pin;
	frame->payload = reader->payloads + slot * reader->payload_stride;
	reader->held_mask |= 1u << pin;
	reader->held[pin] = (struct frame_held){ .number = number, .slot = slot };
	counter = atomic_load_explicit(&reader->entries.data->counter, memory_order_relaxed);
	if (unlikely(counter - number > reader->entries.window ||
		     atomic_load_explicit(&entry->id, memory_order_relaxed) != shmb_id_done(number))) {
		reader->held_mask &= ~(1u << pin);
		atomic_store_explicit(&pins[pin], 0, memory_order_relaxed);
		return -EAGAIN;
	}
	SHMB_STEP("pin.checked");
	return 0;
}

static inline int copy_take(struct frame_reader *reader, const struct shmb_shm_slot *at, uint64_t number, struct shmb_frame *frame,
			    void *buffer, size_t size)
{
	const struct shmb_shm_entry *entry = (const struct shmb_shm_entry *)at;
	uint64_t slot = atomic_load_explicit(&entry->slot, memory_order_relaxed);
	uint64_t length = atomic_load_explicit(&entry->length, memory_order_relaxed);
	const struct shmb_shm_slot *header;

	fill(frame, number, length, stamp_of(reader, entry));
	if (!entry_holds_still(entry, number))
		return -EAGAIN;
	if (slot >= reader->pool_count || length > reader->payload_bytes)
		return -EBADMSG;
	if (length > size)
		return -EMSGSIZE;
	header = header_of(reader, slot);
	/* ORDER slot.publish (acquire). Partner: commit().
	 * Orders:  payload -> slot id.
	 * Without: a reader sees the new id and old bytes.
	 * Model:   tests/model/src/slot.rs */
	if (atomic_load_explicit(&header->id, memory_order_acquire) != shmb_id_done(number))
		return -EAGAIN;
	SHMB_STEP("read.checked");
	shmb_copy(buffer, reader->payloads + slot * reader->payload_stride, length);
	SHMB_STEP("read.copied");
	/* ORDER slot.claim (acquire). Partner: loan_take().
	 * Orders:  id "being written" -> payload.
	 * Without: a reader takes new bytes between two looks at the old id.
	 * Model:   tests/model/src/slot.rs */
	shmb_fence_acquire();
	if (atomic_load_explicit(&header->id, memory_order_relaxed) != shmb_id_done(number))
		return -EAGAIN;
	frame->payload = buffer;
	return 0;
}

/* Copies where there is a buffer, else pins. */
static inline __attribute__((always_inline)) int take(struct frame_reader *reader, const struct shmb_shm_slot *at, uint64_t number,
						      struct shmb_frame *frame, void *buffer, size_t size)
{
	SHMB_STEP("read.found");
	return buffer != NULL ? copy_take(reader, at, number, frame, buffer, size) : pin_take(reader, at, number, frame);
}

static inline int took(struct frame_reader *reader, uint64_t number, uint64_t missed, struct shmb_frame *frame)
{
	frame->missed = missed;
	if (number >= reader->entries.seen)
		reader->entries.seen = number + 1;
	COUNT(reader->entries.reads, 1);
	return 0;
}

/* One try. */
static inline __attribute__((always_inline)) int take_newest(struct frame_reader *reader, struct shmb_frame *frame, void *buffer,
							     size_t size)
{
	struct slots_reader *entries = &reader->entries;
	const struct shmb_shm_slot *at;
	uint64_t number = 0, missed = 0; /* 0: for gcc's analyzer */
	int r = newest_number(entries, &number);

	if (unlikely(r < 0))
		return r;
	at = slot_of(entries, number);
	if (unlikely(!slot_holds(at, number)) || is_cut(entries, number))
		return -EAGAIN;
	r = take(reader, at, number, frame, buffer, size);
	if (unlikely(r < 0))
		return r;
	if (unlikely(number > entries->position))
		missed = number - entries->position;
	took(reader, number, missed, frame);
	move_to(entries, number + 1);
	return 0;
}

/* The last of a superseded generation, whatever its counter says. */
static __attribute__((noinline, cold)) int take_newest_left(struct frame_reader *reader, struct shmb_frame *frame, void *buffer,
							    size_t size)
{
	struct slots_reader *entries = &reader->entries;
	uint64_t number = next_before_cut(entries);
	int r = -ENODATA;

	if (!is_cut(entries, number) && slot_holds(slot_of(entries, number), number))
		number++;
	for (uint32_t left = entries->window; left > 0 && number > entries->base && number >= entries->seen; left--) {
		const struct shmb_shm_slot *at = slot_of(entries, --number);

		r = slot_holds(at, number) ? take(reader, at, number, frame, buffer, size) : -EAGAIN;
		if (r == 0) {
			uint64_t missed = number > entries->position ? number - entries->position : 0;

			move_to(entries, number + 1);
			return took(reader, number, missed, frame);
		}
		if (r != -EAGAIN)
			return r;
	}
	return -ENODATA;
}

/* Out of the way of a first try that succeeds. */
static __attribute__((noinline, cold)) int take_newest_again(struct frame_reader *reader, struct shmb_frame *frame, void *buffer,
							     size_t size)
{
	int r = -EAGAIN;

	for (int i = 1; r == -EAGAIN && i < SHMB_READ_TRIES; i++)
		r = take_newest(reader, frame, buffer, size);
	if ((r == -EAGAIN || r == -EBADMSG) && is_superseded(&reader->entries))
		return take_newest_left(reader, frame, buffer, size);
	return r;
}

static inline __attribute__((always_inline)) int find_newest(struct frame_reader *reader, struct shmb_frame *frame, void *buffer,
							     size_t size)
{
	int r;

	if (!is_ours(reader->entries.guard))
		return text_forked();
	r = take_newest(reader, frame, buffer, size);
	return likely(r != -EAGAIN && r != -EBADMSG) ? r : take_newest_again(reader, frame, buffer, size);
}

static inline __attribute__((always_inline)) int find_next(struct frame_reader *reader, struct shmb_frame *frame, void *buffer, size_t size)
{
	struct slots_reader *entries = &reader->entries;
	uint64_t number = entries->position;

	if (!is_ours(entries->guard))
		return text_forked();
	for (int i = 0; i < SHMB_READ_TRIES; i++) {
		const struct shmb_shm_slot *at = slot_of(entries, number);
		uint64_t next, oldest;
		int r = slot_holds(at, number) && !is_cut(entries, number) ? take(reader, at, number, frame, buffer, size) : -EAGAIN;

		if (r == 0) {
			uint64_t missed = number - entries->position;

			move_to(entries, number + 1);
			return took(reader, number, missed, frame);
		}
		if (r != -EAGAIN)
			return r;
		if (is_superseded(entries)) {
			number = slots_left(entries, slot_holds(at, number) ? number + 1 : number);
			if (number == UINT64_MAX)
				return -EREMCHG;
			continue;
		}
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

static void attach(struct frame_reader *reader, const struct slots_memory *memory, struct shmb_shm_cell *cell)
{
	const struct shmb_geometry *geometry = memory->geometry;

	reader->entries.window = geometry->history;
	reader->headers = (const unsigned char *)memory->data + geometry->slot_offset;
	reader->payloads = (const unsigned char *)memory->data + geometry->pool_offset;
	reader->payload_bytes = geometry->payload_bytes;
	reader->payload_stride = UINT64_C(1) << geometry->pool_shift;
	reader->header_stride = UINT64_C(1) << geometry->slot_shift;
	reader->pool_count = geometry->pool_count;
	reader->pins_max = geometry->pins;
	reader->stamped = (geometry->flags & SHMB_SEGMENT_STAMPED) != 0;
	if (reader->stamped && reader->entries.keys == NULL) {
		reader->entries.keys =
			(const unsigned char *)memory->data + geometry->entry_offset + offsetof(struct shmb_shm_entry, stamp_ns);
		reader->entries.key_stride = UINT64_C(1) << geometry->entry_shift;
		reader->entries.key_type = SHMB_KEY_MONOTONIC_NS;
	}
	atomic_store_explicit(&reader->pins, cell != NULL ? cell->pins : NULL, memory_order_relaxed);
}

void frame_reader_init(struct frame_reader *reader, const struct slots_memory *memory, struct shmb_shm_cell *cell)
{
	struct shmb_geometry entries;
	struct slots_memory ring = frame_entries(memory, &entries);

	memset(reader, 0, sizeof(*reader));
	slots_reader_init(&reader->entries, &ring, cell);
	attach(reader, memory, cell);
}

void frame_reader_follow(struct frame_reader *reader, const struct slots_memory *memory, struct shmb_shm_cell *cell,
			 struct frame_kept *kept)
{
	struct shmb_geometry entries;
	struct slots_memory ring = frame_entries(memory, &entries);

	if (kept != NULL) {
		kept->headers = reader->headers;
		kept->payloads = reader->payloads;
		kept->payload_stride = reader->payload_stride;
		kept->header_stride = reader->header_stride;
		atomic_store_explicit(&kept->pins, atomic_load_explicit(&reader->pins, memory_order_relaxed), memory_order_relaxed);
		kept->held_mask = reader->held_mask;
		memcpy(kept->held, reader->held, sizeof(kept->held));
		kept->next = reader->kept;
		reader->kept = kept;
	}
	reader->held_mask = 0;
	slots_reader_follow(&reader->entries, &ring, cell);
	attach(reader, memory, cell);
}

void frame_reader_drop_cell(struct frame_reader *reader)
{
	atomic_store_explicit(&reader->pins, NULL, memory_order_relaxed);
}

__attribute__((hot)) int shmb_frame_pin_newest(struct shmb_frame_reader *handle, struct shmb_frame *frame)
{
	return find_newest((struct frame_reader *)handle, frame, NULL, 0);
}

__attribute__((hot)) int shmb_frame_pin_next(struct shmb_frame_reader *handle, struct shmb_frame *frame)
{
	return find_next((struct frame_reader *)handle, frame, NULL, 0);
}

/* This number, wherever the position is. */
static int find_number(struct frame_reader *reader, uint64_t number, struct shmb_frame *frame, void *buffer, size_t size)
{
	struct slots_reader *entries = &reader->entries;

	if (!is_ours(entries->guard))
		return text_forked();
	if (number < entries->base)
		return -ESTALE;
	if (number >= SHMB_NUMBER_MAX)
		return -ENODATA;
	for (int i = 0; i < SHMB_READ_TRIES; i++) {
		const struct shmb_shm_slot *at = slot_of(entries, number);
		uint64_t next;
		int r = slot_holds(at, number) && !is_cut(entries, number) ? take(reader, at, number, frame, buffer, size) : -EAGAIN;

		if (r == 0)
			return took(reader, number, 0, frame);
		if (r != -EAGAIN)
			return r;
		if (is_superseded(entries))
			return is_cut(entries, number) ? -ENODATA : -ESTALE;
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

int shmb_frame_pin_number(struct shmb_frame_reader *handle, uint64_t number, struct shmb_frame *frame)
{
	return find_number((struct frame_reader *)handle, number, frame, NULL, 0);
}

int frame_pin_try(struct frame_reader *reader, uint64_t number, struct shmb_frame *frame)
{
	const struct shmb_shm_slot *at = slot_of(&reader->entries, number);
	int r = slot_holds(at, number) ? pin_take(reader, at, number, frame) : -EAGAIN;

	return r == 0 ? took(reader, number, 0, frame) : r;
}

int shmb_frame_load_newest(struct shmb_frame_reader *handle, void *buffer, size_t size, struct shmb_frame *frame)
{
	return buffer != NULL ? find_newest((struct frame_reader *)handle, frame, buffer, size) : -EINVAL;
}

int shmb_frame_load_next(struct shmb_frame_reader *handle, void *buffer, size_t size, struct shmb_frame *frame)
{
	return buffer != NULL ? find_next((struct frame_reader *)handle, frame, buffer, size) : -EINVAL;
}

int shmb_frame_load_number(struct shmb_frame_reader *handle, uint64_t number, void *buffer, size_t size, struct shmb_frame *frame)
{
	return buffer != NULL ? find_number((struct frame_reader *)handle, number, frame, buffer, size) : -EINVAL;
}

/* The writer may have the slot again. */
static void pin_clear(_Atomic uint64_t *pins, uint32_t pin)
{
	/* ORDER frame.reuse (release). Partner: pins_visit().
	 * Orders:  the last look at the payload -> pin = 0.
	 * Without: a reader that has not released yet sees bytes of the next frame.
	 * Model:   tests/model/src/frame.rs */
	atomic_store_explicit(&pins[pin], 0, memory_order_release);
}

/* A frame of an earlier generation. */
static __attribute__((noinline, cold)) int release_kept(const struct frame_reader *reader, struct shmb_frame *frame)
{
	uint32_t pin = frame->pin;
	struct frame_kept *kept = reader->kept;
	const struct frame_held *held;
	_Atomic uint64_t *pins;
	uint64_t id;

	if (pin >= SHMB_PINS_PER_CELL)
		return -EINVAL;
	while (kept != NULL && (!(kept->held_mask >> pin & 1) || kept->held[pin].number != frame->number ||
				kept->payloads + kept->held[pin].slot * kept->payload_stride != frame->payload))
		kept = kept->next;
	if (kept == NULL)
		return -EINVAL;
	held = &kept->held[pin];
	/* ORDER slot.claim (acquire). Partner: loan_take().
	 * Orders:  id "being written" -> payload.
	 * Without: bytes of another frame are taken for this one's, and nobody is told.
	 * Model:   tests/model/src/slot.rs */
	shmb_fence_acquire();
	id = atomic_load_explicit(&((const struct shmb_shm_slot *)(kept->headers + held->slot * kept->header_stride))->id,
				  memory_order_relaxed);
	kept->held_mask &= ~(1u << pin);
	frame->payload = NULL;
	pins = atomic_load_explicit(&kept->pins, memory_order_relaxed);
	if (pins == NULL)
		return -ESTALE;
	pin_clear(pins, pin); /* for a writer that does not know yet that it was replaced */
	return id == shmb_id_done(held->number) ? 0 : -ESTALE;
}

__attribute__((hot)) int shmb_frame_release(struct shmb_frame_reader *handle, struct shmb_frame *frame)
{
	struct frame_reader *reader = (struct frame_reader *)handle;
	uint32_t pin = frame->pin;
	const struct frame_held *held = &reader->held[pin % SHMB_PINS_PER_CELL];
	_Atomic uint64_t *pins;
	uint64_t id;

	if (!is_ours(reader->entries.guard))
		return text_forked();
	if (unlikely(pin >= SHMB_PINS_PER_CELL || !(reader->held_mask >> pin & 1) || held->number != frame->number))
		return release_kept(reader, frame);
	/* ORDER slot.claim (acquire). Partner: loan_take().
	 * Orders:  id "being written" -> payload.
	 * Without: bytes of another frame are taken for this one's, and nobody is told.
	 * Model:   tests/model/src/slot.rs */
	shmb_fence_acquire();
	id = atomic_load_explicit(&header_of(reader, held->slot)->id, memory_order_relaxed);
	reader->held_mask &= ~(1u << pin);
	frame->payload = NULL;
	pins = atomic_load_explicit(&reader->pins, memory_order_relaxed);
	if (unlikely(pins == NULL))
		return -ESTALE;
	pin_clear(pins, pin);
	return likely(id == shmb_id_done(held->number)) ? 0 : -ESTALE;
}
