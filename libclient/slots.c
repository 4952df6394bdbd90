/* SPDX-License-Identifier: MIT */
/*
 * Publishing and reading (slots.h). The named orderings are explained in proto/MEMORY.md; each comment here has its twin at the other end.
 */
#include "slots.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "extras.h"
#include "futex.h"
#include "proto/copy.h"
#include "proto/step.h"
#include "publish.h"
#include "read.h"
#include "text.h"

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
	writer->slot_stride = UINT64_C(1) << geometry->slot_shift;
	writer->payload_stride = UINT64_C(1) << geometry->pool_shift;
	writer->extras = (geometry->flags & SHMB_SEGMENT_STAMPED) != 0 ? SLOTS_STAMPED : 0;
	writer->area_mask = (1u << memory->area_count) - 1;
	memcpy(writer->areas, memory->areas, sizeof(writer->areas));
	/* Whoever wrote before has let go and was repaired before we were granted the lease: the counter is exact. */
	writer->next = atomic_load_explicit(&memory->data->counter, memory_order_acquire);
	if (writer->next < geometry->base)
		writer->next = geometry->base;
	writer->first = writer->next;
	writer->key_field = geometry->key_field;
	if ((geometry->kind == SHMB_KIND_RING || geometry->kind == SHMB_KIND_FRAME) && geometry->key_offset != 0) {
		writer->extras |= SLOTS_KEYED;
		writer->keys = (_Atomic uint64_t *)((unsigned char *)memory->data + geometry->key_offset);
		keys_begin(writer);
	}
	writer->is_short = writer->extras == 0 && geometry->payload_bytes <= SHMB_COPY_SHORT;
	if (writer->next >= SHMB_NUMBER_MAX)
		return -EOVERFLOW;
	/* For safe-shm's tools, which look for nothing else; the broker clears it when we have ended. */
	atomic_store_explicit(&memory->data->writer_pid, getpid(), memory_order_relaxed);
	return 0;
}

/* Somebody may sleep: wakes all who do. Returns 0. */
__attribute__((noinline, cold)) int wake_waiters(struct slots_writer *writer, uint32_t bound)
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
	/* ORDER wait.wake (release). Partner: wait_words().
	 * Orders:  flag swapped to 0, id, counter -> wake word -> wake-up.
	 * Without: a reader that sets the flag again between look and swap sleeps on the value it loaded before, and nobody wakes it.
	 * Model:   tests/model/src/wait.rs */
	atomic_fetch_add_explicit(&writer->data->wake, 1, memory_order_release);
	futex_wake_all(&writer->data->wake);
	SHMB_STEP("slot.woken");
	return 0;
}

/* `is_short` is a constant: made once for writers with it, without a call on the way and so without a register to save, and once for all. */
static inline __attribute__((always_inline)) int publish(struct slots_writer *writer, const void *payload, bool is_short)
{
	uint64_t number = writer->next;
	uint64_t index = number & writer->mask;
	struct shmb_shm_slot *slot = (struct shmb_shm_slot *)(writer->slots + index * writer->slot_stride);
	struct extras extras = { 0 };
	int r;

	SHMB_STEP("slot.before");
	r = writer_check(writer);
	if (unlikely(r < 0))
		return r;
	if (!is_short && unlikely(writer->extras != 0)) {
		r = extras_take(writer, payload, &extras);
		if (unlikely(r < 0))
			return r;
	}

	/* ORDER slot.claim (release). Partners: slot_copy(), temporal_holds().
	 * Orders:  id "being written" -> slot bytes.
	 * Without: a reader copies new bytes between two looks at the old id.
	 * Model:   tests/model/src/slot.rs */
	atomic_store_explicit(&slot->id, shmb_id_writing(number), memory_order_relaxed);
	shmb_fence_release();
	SHMB_STEP("slot.claimed");

	if (is_short) {
		shmb_copy_short(writer->payloads + index * writer->payload_stride, payload, writer->payload_bytes);
	} else {
		if (unlikely(writer->extras != 0))
			extras_put(writer, &slot->stamp_ns, index, &extras);
		shmb_copy(writer->payloads + index * writer->payload_stride, payload, writer->payload_bytes);
	}
	SHMB_STEP("slot.filled");

	/* ORDER slot.publish (release). Partner: slot_holds().
	 * Orders:  slot bytes -> slot id.
	 * Without: a reader sees the new id and old bytes.
	 * Model:   tests/model/src/slot.rs */
	atomic_store_explicit(&slot->id, shmb_id_done(number), memory_order_release);
	SHMB_STEP("slot.published");

	publish_count(writer, number + 1);
	SHMB_STEP("slot.counted");
	return publish_look(writer);
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

/* Where everything lies, from checked geometry. */
static void attach(struct slots_reader *reader, const struct slots_memory *memory)
{
	const struct shmb_geometry *geometry = memory->geometry;

	reader->card = memory->card;
	reader->data = memory->data;
	reader->slots = (const unsigned char *)memory->data + geometry->slot_offset;
	reader->payloads = (const unsigned char *)memory->data + geometry->pool_offset;
	reader->mask = geometry->slot_count - 1;
	reader->window = reader->mask;
	reader->payload_bytes = (uint32_t)geometry->payload_bytes;
	reader->slot_stride = UINT64_C(1) << geometry->slot_shift;
	reader->payload_stride = UINT64_C(1) << geometry->pool_shift;
	reader->stamped = (geometry->flags & SHMB_SEGMENT_STAMPED) != 0;
	reader->is_short = !reader->stamped && geometry->payload_bytes <= SHMB_COPY_SHORT;
	reader->keys = NULL;
	reader->key_stride = 0;
	reader->key_type = 0;
	reader->key_rate = 0;
	if (geometry->key_offset != 0) {
		reader->keys = (const unsigned char *)memory->data + geometry->key_offset;
		reader->key_stride = UINT64_C(1) << geometry->key_shift;
		reader->key_type = geometry->key_type;
	} else if (reader->stamped) {
		reader->keys = reader->slots + offsetof(struct shmb_shm_slot, stamp_ns);
		reader->key_stride = reader->slot_stride;
		reader->key_type = SHMB_KEY_MONOTONIC_NS;
	}
	reader->base = geometry->base;
	reader->seen = geometry->base;
	reader->area = memory->area_count > 0 ? memory->areas[0] : NULL;
	reader->reported = 0;
	reader->waitable.wake = &reader->data->wake;
}

static void publish_position_to(struct slots_reader *reader, struct shmb_shm_cell *cell)
{
	atomic_store_explicit(&reader->published_position, cell != NULL ? &cell->position : &reader->nowhere, memory_order_relaxed);
}

void slots_reader_init(struct slots_reader *reader, const struct slots_memory *memory, struct shmb_shm_cell *cell)
{
	uint64_t oldest, next;

	memset(reader, 0, sizeof(*reader));
	reader->guard = memory->guard;
	attach(reader, memory);
	waitable_init(&reader->waitable, reader);
	publish_position_to(reader, cell);
	reader->position = reader->base;
	if (slots_bounds(reader, &oldest, &next) == 0)
		move_to(reader, next > oldest ? next - 1 : next);
}

void slots_reader_follow(struct slots_reader *reader, const struct slots_memory *memory, struct shmb_shm_cell *cell)
{
	uint64_t position = reader->position;

	attach(reader, memory);
	publish_position_to(reader, cell);
	/* Beyond the first number only where numbers begin again, or where the old writer gave out numbers that were not its own. */
	move_to(reader, position < reader->base ? position : reader->base);
}

void slots_counters_show(struct slots_reader *reader)
{
	_Atomic uint64_t *position = atomic_load_explicit(&reader->published_position, memory_order_relaxed);
	struct shmb_shm_cell *cell = (struct shmb_shm_cell *)position;

	_Static_assert(offsetof(struct shmb_shm_cell, position) == 0, "a cell begins with its position");
	if (position == &reader->nowhere)
		return;
	atomic_store_explicit(&cell->counters[SHMB_COUNT_READ], reader->reads, memory_order_relaxed);
	atomic_store_explicit(&cell->counters[SHMB_COUNT_RETRIED], reader->retries, memory_order_relaxed);
	atomic_store_explicit(&cell->counters[SHMB_COUNT_LAPPED], reader->lost, memory_order_relaxed);
	atomic_store_explicit(&cell->counters[SHMB_COUNT_WAITED], reader->waitable.waited, memory_order_relaxed);
	atomic_store_explicit(&cell->counters[SHMB_COUNT_WOKEN], reader->waitable.woken, memory_order_relaxed);
}

void slots_reader_drop_cell(struct slots_reader *reader)
{
	atomic_store_explicit(&reader->published_position, &reader->nowhere, memory_order_relaxed);
}

/* One try to read the newest: 0, an error, or -EAGAIN lapped. */
static inline __attribute__((always_inline)) int latest(struct slots_reader *reader, void *payload, struct shmb_sample *sample,
							bool is_short)
{
	const struct shmb_shm_slot *slot;
	uint64_t number = 0, stamp_ns, missed = 0; /* 0: for gcc's analyzer */
	int r = newest_number(reader, &number);

	if (unlikely(r < 0))
		return r;
	slot = slot_of(reader, number);
	if (unlikely(!slot_holds(slot, number)))
		return -EAGAIN;
	if (unlikely(!slot_copy(reader, slot, number, payload, &stamp_ns, is_short)) || is_cut(reader, number))
		return -EAGAIN;
	if (unlikely(number > reader->position)) {
		missed = number - reader->position;
		COUNT(reader->lost, missed);
	}
	/* Words of one cache line one after the other: the fence of the next publish waits for fewer stores. */
	reader->seen = number + 1;
	COUNT(reader->reads, 1);
	move_to(reader, number + 1);
	if (sample != NULL)
		*sample = (struct shmb_sample){ .number = number, .stamp_ns = stamp_ns, .missed = missed };
	return 0;
}

/* The last of a superseded generation, whatever its counter says. */
static __attribute__((noinline, cold)) int latest_left(struct slots_reader *reader, void *payload, struct shmb_sample *sample)
{
	uint64_t number = next_before_cut(reader);
	uint64_t stamp_ns;

	if (!is_cut(reader, number) && slot_holds(slot_of(reader, number), number))
		number++;
	for (uint64_t left = (uint64_t)reader->mask + 1; left > 0 && number > reader->base && number >= reader->seen; left--) {
		const struct shmb_shm_slot *slot = slot_of(reader, --number);

		if (slot_holds(slot, number) && slot_copy(reader, slot, number, payload, &stamp_ns, false)) {
			uint64_t missed = number > reader->position ? number - reader->position : 0;

			move_to(reader, number + 1);
			return read_done(reader, number, stamp_ns, missed, sample);
		}
	}
	return -ENODATA;
}

static __attribute__((noinline)) int latest_any(struct slots_reader *reader, void *payload, struct shmb_sample *sample)
{
	int r = -EAGAIN;

	if (!is_ours(reader->guard))
		return text_forked();
	for (int i = 0; r == -EAGAIN && i < SHMB_READ_TRIES; i++)
		r = latest(reader, payload, sample, false);
	if ((r == -EAGAIN || r == -EBADMSG) && is_superseded(reader))
		return latest_left(reader, payload, sample);
	return r;
}

__attribute__((hot)) int slots_latest(struct slots_reader *reader, void *payload, struct shmb_sample *sample)
{
	/* An error is the last word only where the generation has not come to its end. */
	if (likely(reader->is_short) && is_ours(reader->guard) && likely(latest(reader, payload, sample, true) == 0))
		return 0;
	return latest_any(reader, payload, sample);
}

/* One try to take this one, at the position or, where that was overwritten, beyond it. */
static inline __attribute__((always_inline)) bool next_take(struct slots_reader *reader, uint64_t number, void *payload,
							    struct shmb_sample *sample, bool is_short)
{
	const struct shmb_shm_slot *slot = slot_of(reader, number);
	uint64_t missed = number - reader->position;
	uint64_t stamp_ns;

	if (unlikely(!slot_holds(slot, number)) || unlikely(!slot_copy(reader, slot, number, payload, &stamp_ns, is_short)) ||
	    is_cut(reader, number))
		return false;
	read_done(reader, number, stamp_ns, missed, sample);
	move_to(reader, number + 1);
	return true;
}

static __attribute__((noinline)) int read_next_any(struct slots_reader *reader, void *payload, struct shmb_sample *sample)
{
	uint64_t number = reader->position;

	if (!is_ours(reader->guard))
		return text_forked();
	for (int i = 0; i < SHMB_READ_TRIES; i++) {
		const struct shmb_shm_slot *slot = slot_of(reader, number);
		uint64_t next, oldest;

		if (next_take(reader, number, payload, sample, false))
			return 0;
		if (is_superseded(reader)) {
			/* What cannot be copied now is being spoilt by a writer that is none any more. */
			number = slots_left(reader, slot_holds(slot, number) ? number + 1 : number);
			if (number == UINT64_MAX)
				return -EREMCHG;
			continue;
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

__attribute__((hot)) int slots_read_next(struct slots_reader *reader, void *payload, struct shmb_sample *sample)
{
	if (likely(reader->is_short) && is_ours(reader->guard) && likely(next_take(reader, reader->position, payload, sample, true)))
		return 0;
	return read_next_any(reader, payload, sample);
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

		if (slot_holds(slot, number) && slot_copy(reader, slot, number, payload, &stamp_ns, false) && !is_cut(reader, number))
			return read_done(reader, number, stamp_ns, 0, sample);
		if (is_superseded(reader))
			return is_cut(reader, number) ? -ENODATA : -ESTALE;
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
	number = next_before_cut(reader);
	if (number >= SHMB_NUMBER_MAX)
		return -EBADMSG;
	if (number < reader->base) /* a cut before the first number leaves nothing */
		number = reader->base;
	else if (slot_holds(slot_of(reader, number), number) && !is_cut(reader, number))
		number++;
	reader->seen = number;
	*oldest = oldest_number(reader, number);
	*next = number;
	return 0;
}

int slots_lag(struct slots_reader *reader, uint64_t *lag)
{
	uint64_t oldest, next;
	int r = slots_bounds(reader, &oldest, &next);

	if (r == 0)
		*lag = next > reader->position ? next - reader->position : 0;
	return r;
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

uint64_t slots_left(const struct slots_reader *reader, uint64_t from)
{
	uint64_t cut = atomic_load_explicit(&reader->card->cut, memory_order_relaxed);
	uint64_t oldest = oldest_number(reader, next_before_cut(reader));
	uint64_t span = 2 * ((uint64_t)reader->mask + 1);

	if (from < oldest)
		from = oldest;
	/* An honest counter is near the cut. */
	if (from < cut && cut - from > span)
		from = cut - span;
	for (; from < cut; from++) {
		if (slot_holds(slot_of(reader, from), from))
			return from;
	}
	return UINT64_MAX;
}

bool slots_is_drained(const struct slots_reader *reader)
{
	return is_superseded(reader) && slots_left(reader, reader->position) == UINT64_MAX;
}

int slots_has_news(struct slots_reader *reader)
{
	uint64_t next;

	if (is_superseded(reader))
		return slots_left(reader, reader->position) != UINT64_MAX;
	next = next_before_cut(reader);
	if (next >= SHMB_NUMBER_MAX)
		return -EBADMSG;
	return next > reader->position ||
	       (slot_holds(slot_of(reader, reader->position), reader->position) && !is_cut(reader, reader->position));
}
