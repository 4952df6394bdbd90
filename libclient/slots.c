/* SPDX-License-Identifier: MIT */
/*
 * Publishing and reading (slots.h). The named orderings are explained in proto/MEMORY.md; each comment here has its twin at the other end.
 */
#include "slots.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "futex.h"
#include "proto/copy.h"
#include "proto/step.h"
#include "text.h"

#define likely(condition) __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)

static inline bool is_ours(const _Atomic uint32_t *guard)
{
	/* The page is wiped in a forked child. */
	return likely(atomic_load_explicit(guard, memory_order_relaxed) != 0);
}

/* ---- writer ---- */

int slots_writer_init(struct slots_writer *writer, const struct slots_memory *memory, uint64_t granted)
{
	const struct shmb_geometry *geometry = memory->geometry;

	memset(writer, 0, sizeof(*writer));
	writer->guard = memory->guard;
	writer->card = memory->card;
	writer->granted = granted;
	writer->data = memory->data;
	writer->slots = (unsigned char *)memory->data + geometry->slot_offset;
	writer->payloads = (unsigned char *)memory->data + geometry->pool_offset;
	writer->mask = geometry->slot_count - 1;
	writer->payload_bytes = (uint32_t)geometry->payload_bytes;
	writer->slot_shift = geometry->slot_shift;
	writer->payload_shift = geometry->pool_shift;
	writer->stamped = (geometry->flags & SHMB_SEGMENT_STAMPED) != 0;
	writer->is_short = !writer->stamped && geometry->payload_bytes <= SHMB_COPY_SHORT;
	writer->area_mask = (1u << memory->area_count) - 1;
	memcpy(writer->areas, memory->areas, sizeof(writer->areas));
	/* Whoever wrote before has let go and was repaired before we were granted the lease: the counter is exact. */
	writer->next = atomic_load_explicit(&memory->data->counter, memory_order_acquire);
	if (writer->next < geometry->base)
		writer->next = geometry->base;
	if (writer->next >= SHMB_NUMBER_MAX)
		return -EOVERFLOW;
	/* For safe-shm's tools, which look for nothing else; the broker clears it when we have ended. */
	atomic_store_explicit(&memory->data->writer_pid, getpid(), memory_order_relaxed);
	return 0;
}

/* Somebody may sleep: wakes all who do. Returns 0. */
static __attribute__((noinline, cold)) int wake_waiters(struct slots_writer *writer, uint32_t bound)
{
	bool waited = false;

	for (; bound != 0; bound &= bound - 1) {
		struct shmb_shm_area *area = writer->areas[__builtin_ctz(bound)];

		if (atomic_load_explicit(&area->waiters, memory_order_relaxed) != 0 &&
		    atomic_exchange_explicit(&area->waiters, 0, memory_order_acq_rel) != 0)
			waited = true;
	}
	if (!waited)
		return 0;
	SHMB_STEP("slot.waking");
	/* ORDER wait.wake (release). Partner: slots_wait().
	 * Orders:  flag swapped to 0, id, counter -> wake word -> wake-up.
	 * Without: a reader that sets the flag again between look and swap sleeps on the value it loaded before, and nobody wakes it.
	 * Model:   tests/model/src/wait.rs */
	atomic_fetch_add_explicit(&writer->data->wake, 1, memory_order_release);
	futex_wake_all(&writer->data->wake);
	SHMB_STEP("slot.woken");
	return 0;
}

static __attribute__((noinline)) void stamp(struct slots_writer *writer, struct shmb_shm_slot *slot)
{
	uint64_t now = clock_now_ns();

	atomic_store_explicit(&slot->stamp_ns, now, memory_order_relaxed);
	atomic_store_explicit(&writer->data->heartbeat_ns, now, memory_order_relaxed);
}

static inline int writer_check(const struct slots_writer *writer)
{
	if (!is_ours(writer->guard))
		return text_forked();
	/* ORDER state.word (acquire). Partners: lease_state_store(), card_mark_removed().
	 * Orders:  card of our grant -> our writes.
	 * Without: a write under a lease that somebody else holds.
	 * Model:   none: one word, compared whole; one write that was claimed before may still end, which repair expects */
	if (unlikely(atomic_load_explicit(&writer->card->state, memory_order_acquire) != writer->granted))
		return -ESTALE;
	return 0;
}

/* `is_short` is a constant: made once for writers with it, without a call on the way and so without a register to save, and once for all. */
static inline __attribute__((always_inline)) int publish(struct slots_writer *writer, const void *payload, bool is_short)
{
	uint64_t number = writer->next;
	uint64_t index = number & writer->mask;
	struct shmb_shm_slot *slot = (struct shmb_shm_slot *)(writer->slots + (index << writer->slot_shift));
	uint32_t bound;
	int r;

	SHMB_STEP("slot.before");
	r = writer_check(writer);
	if (unlikely(r < 0))
		return r;

	/* ORDER slot.claim (release). Partner: slot_copy().
	 * Orders:  id "being written" -> slot bytes.
	 * Without: a reader copies new bytes between two looks at the old id.
	 * Model:   tests/model/src/slot.rs */
	atomic_store_explicit(&slot->id, shmb_id_writing(number), memory_order_relaxed);
	shmb_fence_release();
	SHMB_STEP("slot.claimed");

	if (is_short) {
		shmb_copy_short(writer->payloads + (index << writer->payload_shift), payload, writer->payload_bytes);
	} else {
		if (unlikely(writer->stamped))
			stamp(writer, slot);
		shmb_copy(writer->payloads + (index << writer->payload_shift), payload, writer->payload_bytes);
	}
	SHMB_STEP("slot.filled");

	/* ORDER slot.publish (release). Partner: slot_holds().
	 * Orders:  slot bytes -> slot id.
	 * Without: a reader sees the new id and old bytes.
	 * Model:   tests/model/src/slot.rs */
	atomic_store_explicit(&slot->id, shmb_id_done(number), memory_order_release);
	SHMB_STEP("slot.published");

	/* ORDER counter.publish (release). Partner: next_number().
	 * Orders:  slot id -> counter.
	 * Without: a reader sees the counter and finds the slot of the number below it not done.
	 * Model:   tests/model/src/counter.rs */
	atomic_store_explicit(&writer->data->counter, number + 1, memory_order_release);
	writer->next = number + 1;
	SHMB_STEP("slot.counted");

	/* ORDER wait.flag (seq_cst). Partner: slots_wait().
	 * Orders:  id, counter -> look at the flags.
	 * Without: reader and writer each miss what the other one stored, and the reader sleeps with data there.
	 * Model:   tests/model/src/wait.rs */
	shmb_fence_seq_cst();

	/* ORDER area.bind (acquire). Partner: cell_write().
	 * Orders:  area bound -> look at its flag.
	 * Without: the flag of an area bound before its reader went to sleep is not looked at.
	 * Model:   tests/model/src/bind.rs */
	bound = (uint32_t)atomic_load_explicit(&writer->card->bound_areas, memory_order_acquire) & writer->area_mask;
	for (uint32_t left = bound; left != 0; left &= left - 1) {
		if (unlikely(atomic_load_explicit(&writer->areas[__builtin_ctz(left)]->waiters, memory_order_relaxed) != 0))
			return wake_waiters(writer, bound);
	}
	return 0;
}

static __attribute__((noinline)) int publish_any(struct slots_writer *writer, const void *payload)
{
	return publish(writer, payload, false);
}

__attribute__((hot)) int slots_publish(struct slots_writer *writer, const void *payload)
{
	return likely(writer->is_short) ? publish(writer, payload, true) : publish_any(writer, payload);
}

int slots_heartbeat(struct slots_writer *writer)
{
	int r = writer_check(writer);

	if (r == 0)
		atomic_store_explicit(&writer->data->heartbeat_ns, clock_now_ns(), memory_order_relaxed);
	return r;
}

/* ---- reader ---- */

static inline const struct shmb_shm_slot *slot_of(const struct slots_reader *reader, uint64_t number)
{
	return (const struct shmb_shm_slot *)(reader->slots + ((number & reader->mask) << reader->slot_shift));
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
static inline __attribute__((always_inline)) bool slot_copy(const struct slots_reader *reader, const struct shmb_shm_slot *slot,
							    uint64_t number, void *payload, uint64_t *stamp_ns, bool is_short)
{
	const unsigned char *from = reader->payloads + ((number & reader->mask) << reader->payload_shift);

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
	return likely(atomic_load_explicit(&slot->id, memory_order_relaxed) == shmb_id_done(number));
}

/* One more than the newest committed number, or one less than that: the counter may lag one behind. Never below what we have seen. */
static inline uint64_t next_number(const struct slots_reader *reader)
{
	/* ORDER counter.publish (acquire). Partner: publish().
	 * Orders:  slot id -> counter.
	 * Without: a reader sees the counter and finds the slot of the number below it not done.
	 * Model:   tests/model/src/counter.rs */
	uint64_t counter = atomic_load_explicit(&reader->data->counter, memory_order_acquire);

	return likely(counter >= reader->seen) ? counter : reader->seen;
}

/* The oldest that the writer does not touch while `next` is the next write: capacity N serves N - 1. */
static inline uint64_t oldest_number(const struct slots_reader *reader, uint64_t next)
{
	uint64_t oldest = next > reader->mask ? next - reader->mask : 0;

	return oldest > reader->base ? oldest : reader->base;
}

static inline int read_done(struct slots_reader *reader, uint64_t number, uint64_t stamp_ns, uint64_t missed, struct shmb_sample *sample)
{
	if (number >= reader->seen)
		reader->seen = number + 1;
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

void slots_reader_init(struct slots_reader *reader, const struct slots_memory *memory, struct shmb_shm_cell *cell)
{
	const struct shmb_geometry *geometry = memory->geometry;
	uint64_t oldest, next;

	memset(reader, 0, sizeof(*reader));
	reader->guard = memory->guard;
	reader->card = memory->card;
	reader->data = memory->data;
	reader->slots = (const unsigned char *)memory->data + geometry->slot_offset;
	reader->payloads = (const unsigned char *)memory->data + geometry->pool_offset;
	reader->mask = geometry->slot_count - 1;
	reader->payload_bytes = (uint32_t)geometry->payload_bytes;
	reader->slot_shift = geometry->slot_shift;
	reader->payload_shift = geometry->pool_shift;
	reader->stamped = (geometry->flags & SHMB_SEGMENT_STAMPED) != 0;
	reader->is_short = !reader->stamped && geometry->payload_bytes <= SHMB_COPY_SHORT;
	reader->base = geometry->base;
	reader->seen = geometry->base;
	reader->area = memory->area_count > 0 ? memory->areas[0] : NULL;
	atomic_store_explicit(&reader->published_position, cell != NULL ? &cell->position : &reader->nowhere, memory_order_relaxed);
	reader->position = geometry->base;
	if (slots_bounds(reader, &oldest, &next) == 0)
		move_to(reader, next > oldest ? next - 1 : next);
}

void slots_reader_drop_cell(struct slots_reader *reader)
{
	atomic_store_explicit(&reader->published_position, &reader->nowhere, memory_order_relaxed);
}

/* One try to read the newest: 0, an error, or -EAGAIN lapped. */
static inline __attribute__((always_inline)) int latest(struct slots_reader *reader, void *payload, struct shmb_sample *sample,
							bool is_short)
{
	uint64_t number = next_number(reader);
	const struct shmb_shm_slot *slot = slot_of(reader, number);
	uint64_t stamp_ns, missed;

	if (unlikely(number >= SHMB_NUMBER_MAX))
		return -EBADMSG;
	if (!slot_holds(slot, number)) {
		if (unlikely(number == reader->base))
			return -ENODATA;
		number--;
		slot = slot_of(reader, number);
		if (unlikely(!slot_holds(slot, number)))
			return -EAGAIN;
	}
	if (unlikely(!slot_copy(reader, slot, number, payload, &stamp_ns, is_short)))
		return -EAGAIN;
	missed = number > reader->position ? number - reader->position : 0;
	move_to(reader, number + 1);
	return read_done(reader, number, stamp_ns, missed, sample);
}

static __attribute__((noinline)) int latest_any(struct slots_reader *reader, void *payload, struct shmb_sample *sample)
{
	int r = -EAGAIN;

	if (!is_ours(reader->guard))
		return text_forked();
	for (int i = 0; r == -EAGAIN && i < SHMB_READ_TRIES; i++)
		r = latest(reader, payload, sample, false);
	return r;
}

__attribute__((hot)) int slots_latest(struct slots_reader *reader, void *payload, struct shmb_sample *sample)
{
	if (likely(reader->is_short) && is_ours(reader->guard)) {
		int r = latest(reader, payload, sample, true);

		if (likely(r != -EAGAIN))
			return r;
	}
	return latest_any(reader, payload, sample);
}

__attribute__((hot)) int slots_read_next(struct slots_reader *reader, void *payload, struct shmb_sample *sample)
{
	uint64_t number = reader->position;

	if (!is_ours(reader->guard))
		return text_forked();
	for (int i = 0; i < SHMB_READ_TRIES; i++) {
		const struct shmb_shm_slot *slot = slot_of(reader, number);
		uint64_t stamp_ns, next, oldest;

		if (likely(slot_holds(slot, number)) && likely(slot_copy(reader, slot, number, payload, &stamp_ns, false))) {
			uint64_t missed = number - reader->position;

			move_to(reader, number + 1);
			return read_done(reader, number, stamp_ns, missed, sample);
		}
		next = next_number(reader);
		if (unlikely(next >= SHMB_NUMBER_MAX))
			return -EBADMSG;
		if (number >= next)
			return -ENODATA;
		oldest = oldest_number(reader, next);
		if (number < oldest)
			number = oldest;
	}
	return -EAGAIN;
}

int slots_read(struct slots_reader *reader, uint64_t number, void *payload, struct shmb_sample *sample)
{
	if (!is_ours(reader->guard))
		return text_forked();
	if (number < reader->base)
		return -ESTALE;
	if (number >= SHMB_NUMBER_MAX)
		return -ENODATA;
	for (int i = 0; i < SHMB_READ_TRIES; i++) {
		const struct shmb_shm_slot *slot = slot_of(reader, number);
		uint64_t stamp_ns, next;

		if (slot_holds(slot, number) && slot_copy(reader, slot, number, payload, &stamp_ns, false))
			return read_done(reader, number, stamp_ns, 0, sample);
		next = next_number(reader);
		if (unlikely(next >= SHMB_NUMBER_MAX))
			return -EBADMSG;
		if (number >= next)
			return -ENODATA;
		if (number < oldest_number(reader, next))
			return -ESTALE;
	}
	return -EAGAIN;
}

int slots_bounds(struct slots_reader *reader, uint64_t *oldest, uint64_t *next)
{
	uint64_t number;

	if (!is_ours(reader->guard))
		return text_forked();
	number = next_number(reader);
	if (number >= SHMB_NUMBER_MAX)
		return -EBADMSG;
	if (slot_holds(slot_of(reader, number), number))
		number++;
	reader->seen = number;
	*oldest = oldest_number(reader, number);
	*next = number;
	return 0;
}

int slots_seek(struct slots_reader *reader, uint64_t number)
{
	uint64_t oldest, next;
	int r = slots_bounds(reader, &oldest, &next);

	if (r != 0)
		return r;
	if (number > next)
		return -EINVAL;
	move_to(reader, number);
	return 0;
}

int slots_has_news(struct slots_reader *reader)
{
	uint64_t next = next_number(reader);

	if (next >= SHMB_NUMBER_MAX)
		return -EBADMSG;
	return next > reader->position || slot_holds(slot_of(reader, reader->position), reader->position);
}
