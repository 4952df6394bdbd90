/* SPDX-License-Identifier: MIT */
/*
 * Frames, the writer's side (frame.h): loan, commit, abort.
 *
 * Which slots are free is the writer's own knowledge: `order` is a permutation of the pool's slots, used as a ring. From `head` on lie the slots
 * that no entry of the newest H names, the one that left them longest ago first; behind them the newest H. A commit moves the slot at `head` to
 * the end by moving `head` alone.
 *
 * A slot that has left the newest H and is not named by a pin then stays free: readers pin only what is among the newest. So the pins are
 * looked at for all such slots at once, which is good for the next `spare` loans, as many as the pool has slots to spare; the `free` first ones from
 * `head` on are known to be free.
 */
#include "frame.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "extras.h"
#include "proto/step.h"
#include "publish.h"
#include "text.h"

#define CELLS_MASK ((UINT32_C(1) << SHMB_CELLS_PER_AREA) - 1)
/* In the sentence about a failed loan: who holds most of a large pool is clear from less. */
enum { BLAME_TEXT = 1024 };

static inline struct shmb_shm_slot *header_of(const struct frame_writer *writer, uint64_t slot)
{
	return (struct shmb_shm_slot *)(writer->headers + slot * writer->header_stride);
}

static inline struct shmb_shm_entry *entry_of(const struct frame_writer *writer, uint64_t number)
{
	const struct slots_writer *entries = &writer->entries;

	return (struct shmb_shm_entry *)(entries->slots + (number & entries->mask) * entries->slot_stride);
}

static inline uint32_t order_at(const struct frame_writer *writer, uint32_t place)
{
	uint32_t at = writer->head + place;

	return at < writer->pool_count ? at : at - writer->pool_count;
}

/* ---- which slots are free ---- */

struct marks {
	uint64_t *pinned;
	bool any;
};

static void pinned_clear(struct frame_writer *writer)
{
	memset(writer->pinned, 0, (writer->pool_count + 63) / 64 * sizeof(*writer->pinned));
}

/* What the last writer left: entries of the newest H that are what they should be keep their slots. */
static void order_fill(struct frame_writer *writer, uint32_t history, uint64_t base)
{
	uint64_t next = writer->entries.next;
	uint64_t first = next - base > history ? next - history : base;
	uint32_t tail = writer->pool_count;
	uint32_t spare = 0;

	for (uint64_t number = next; number > first;) {
		const struct shmb_shm_entry *entry = entry_of(writer, --number);
		uint64_t slot = atomic_load_explicit(&entry->slot, memory_order_relaxed);

		if (atomic_load_explicit(&entry->id, memory_order_relaxed) != shmb_id_done(number) || slot >= writer->pool_count)
			continue;
		if (writer->pinned[slot / 64] >> slot % 64 & 1)
			continue;
		writer->pinned[slot / 64] |= UINT64_C(1) << slot % 64;
		writer->order[--tail] = (uint32_t)slot;
	}
	for (uint32_t slot = 0; slot < writer->pool_count; slot++) {
		if (!(writer->pinned[slot / 64] >> slot % 64 & 1))
			writer->order[spare++] = slot;
	}
	pinned_clear(writer);
}

/*
 * Calls `visit` for each pin of an owned cell that names a slot of the pool. A cell's pins beyond the operator's number do not count: whoever
 * uses them holds nothing by it.
 */
static inline __attribute__((always_inline)) void pins_visit(const struct frame_writer *writer,
							     void (*visit)(void *user, uint32_t cell, uint32_t slot), void *user)
{
	const struct slots_writer *entries = &writer->entries;
	uint32_t bound = (uint32_t)atomic_load_explicit(&entries->card->bound_areas, memory_order_relaxed) & entries->area_mask;
	uint32_t pins = writer->pins;

	for (; bound != 0; bound &= bound - 1) {
		uint32_t area = (uint32_t)__builtin_ctz(bound);
		uint32_t cells = atomic_load_explicit(&entries->card->area_cells[area], memory_order_relaxed) & CELLS_MASK;

		for (; cells != 0; cells &= cells - 1) {
			uint32_t at = (uint32_t)__builtin_ctz(cells);
			const struct shmb_shm_cell *cell = &entries->areas[area]->cells[at];

			for (unsigned i = 0; i < pins; i++) {
				/* ORDER frame.reuse (acquire). Partner: pin_clear().
				 * Orders:  the reader's last look at the payload -> pin = 0.
				 * Without: a reader that has not released yet sees bytes of the next frame.
				 * Model:   tests/model/src/frame.rs */
				uint64_t pin = atomic_load_explicit(&cell->pins[i], memory_order_acquire);

				if (pin != 0 && pin <= writer->pool_count)
					visit(user, area * SHMB_CELLS_PER_AREA + at, (uint32_t)pin - 1);
			}
		}
	}
}

struct blame {
	const struct frame_writer *writer;
	char *text;
	size_t length;
	int32_t pid; /* of the part begun last */
};

static void blame_pin(void *user, uint32_t cell, uint32_t slot)
{
	struct blame *blame = user;
	const struct frame_writer *writer = blame->writer;
	int32_t pid = atomic_load_explicit(&writer->entries.card->cells[cell].pid, memory_order_relaxed);
	uint64_t id = atomic_load_explicit(&header_of(writer, slot)->id, memory_order_relaxed);
	size_t room = BLAME_TEXT - blame->length;
	int printed = 0;

	if (id == 0 || room < 64)
		return;
	if (pid != blame->pid)
		printed = snprintf(blame->text + blame->length, room, "%s pid %d holds", blame->length > 0 ? ";" : "", pid);
	else
		printed = snprintf(blame->text + blame->length, room, ",");
	blame->pid = pid;
	blame->length += (size_t)printed;
	printed = snprintf(blame->text + blame->length, BLAME_TEXT - blame->length, " %llu", (unsigned long long)((id - 1) / 2));
	blame->length += (size_t)printed;
}

static int fail_held(const struct frame_writer *writer)
{
	char text[BLAME_TEXT] = "";
	struct blame blame = { .writer = writer, .text = text };

	pins_visit(writer, blame_pin, &blame);
	return text_fail(-ENOBUFS, "frame %.200s: readers hold all %u slots that are not among its newest %u:%s",
			 writer->entries.card->name, writer->spare, writer->pool_count - writer->spare, text);
}

static void mark_pin(void *user, uint32_t cell, uint32_t slot)
{
	struct marks *marks = user;

	(void)cell;
	marks->pinned[slot / 64] |= UINT64_C(1) << slot % 64;
	marks->any = true;
}

/* Of the spare slots, those that no pin names come first. */
static __attribute__((noinline)) void order_sort(struct frame_writer *writer)
{
	for (uint32_t place = 0; place < writer->spare; place++) {
		uint32_t *candidate = &writer->order[order_at(writer, place)];
		uint32_t *first = &writer->order[order_at(writer, writer->free)];
		uint32_t slot = *candidate;

		if (writer->pinned[slot / 64] >> slot % 64 & 1)
			continue;
		*candidate = *first;
		*first = slot;
		writer->free++;
	}
	pinned_clear(writer);
}

/* No slot is known to be free: looks at the pins. -ENOBUFS all are held. */
static inline int order_look(struct frame_writer *writer)
{
	struct marks marks = { .pinned = writer->pinned };

	pins_visit(writer, mark_pin, &marks);
	if (marks.any)
		order_sort(writer);
	else
		writer->free = writer->spare;
	return likely(writer->free > 0) ? 0 : fail_held(writer);
}

/* ---- loan, commit, abort ---- */

int frame_writer_init(struct frame_writer *writer, const struct slots_memory *memory, uint64_t granted)
{
	const struct shmb_geometry *geometry = memory->geometry;
	struct shmb_geometry entries;
	struct slots_memory ring = frame_entries(memory, &entries);
	size_t words = (geometry->pool_count + 63) / 64;
	int r;

	memset(writer, 0, sizeof(*writer));
	r = slots_writer_init(&writer->entries, &ring, granted);
	if (r < 0)
		return r;
	writer->pinned = calloc(words + (geometry->pool_count + 1) / 2, sizeof(uint64_t));
	if (writer->pinned == NULL)
		return text_fail(-ENOMEM, "no memory for a frame's writer");
	writer->order = (uint32_t *)(writer->pinned + words);
	writer->headers = (unsigned char *)memory->data + geometry->slot_offset;
	writer->payloads = (unsigned char *)memory->data + geometry->pool_offset;
	writer->payload_bytes = geometry->payload_bytes;
	writer->payload_stride = UINT64_C(1) << geometry->pool_shift;
	writer->header_stride = UINT64_C(1) << geometry->slot_shift;
	writer->pool_count = geometry->pool_count;
	writer->pins = geometry->pins;
	writer->spare = geometry->pool_count - geometry->history;
	if ((geometry->flags & SHMB_SEGMENT_STAMPED) != 0)
		writer->entries.extras |= SLOTS_STAMPED;
	if (geometry->key_field == SHMB_KEY_IS_GIVEN)
		writer->key_type = geometry->key_type;
	order_fill(writer, geometry->history, geometry->base);
	/* ORDER frame.pin (seq_cst). Partner: pin_take().
	 * Orders:  counter (of the writer before, loaded above) -> look at the pins.
	 * Without: a pin stored while the writer before died between counter and fence is not seen by its successor's first loan.
	 * Model:   tests/model/src/frame.rs */
	shmb_fence_seq_cst();
	return 0;
}

void frame_writer_deinit(struct frame_writer *writer)
{
	free(writer->pinned);
}

/* Takes the slot whose turn it is, which is free. */
static inline __attribute__((always_inline)) int loan_take(struct frame_writer *writer, void **payload, size_t *capacity)
{
	uint64_t slot = writer->order[writer->head];

	SHMB_STEP("frame.loaned");
	/* ORDER slot.claim (release). Partners: copy_take(), shmb_frame_release().
	 * Orders:  id "being written" -> payload.
	 * Without: a reader takes new bytes between two looks at the old id.
	 * Model:   tests/model/src/slot.rs */
	atomic_store_explicit(&header_of(writer, slot)->id, shmb_id_writing(writer->entries.next), memory_order_relaxed);
	shmb_fence_release();
	SHMB_STEP("frame.claimed");
	writer->loaned = slot + 1;
	*payload = writer->payloads + slot * writer->payload_stride;
	*capacity = writer->payload_bytes;
	return 0;
}

/* What is seldom called is called last, so that the ordinary way saves no register for it. */
static __attribute__((noinline)) int loan_look(struct frame_writer *writer, void **payload, size_t *capacity)
{
	int r = order_look(writer);

	return r < 0 ? r : loan_take(writer, payload, capacity);
}

__attribute__((hot)) int shmb_frame_loan(struct shmb_frame_writer *handle, void **payload, size_t *capacity)
{
	struct frame_writer *writer = (struct frame_writer *)handle;
	int r = writer_check(&writer->entries);

	if (unlikely(r < 0))
		return r;
	if (unlikely(writer->loaned != 0))
		return -EBUSY;
	if (unlikely(writer->free == 0))
		return loan_look(writer, payload, capacity);
	return loan_take(writer, payload, capacity);
}

/* `extras` NULL: the frame has none. */
static inline __attribute__((always_inline)) int commit(struct frame_writer *writer, size_t length, const struct extras *extras)
{
	uint64_t number = writer->entries.next;
	uint64_t slot = writer->loaned - 1;
	struct shmb_shm_entry *entry = entry_of(writer, number);
	uint32_t head = writer->head + 1 < writer->pool_count ? writer->head + 1 : 0;

	/* ORDER slot.publish (release). Partner: copy_take().
	 * Orders:  payload -> slot id.
	 * Without: a reader sees the new id and old bytes.
	 * Model:   tests/model/src/slot.rs */
	atomic_store_explicit(&header_of(writer, slot)->id, shmb_id_done(number), memory_order_release);
	SHMB_STEP("frame.slot");

	/* ORDER frame.entry (release). Partner: entry_holds_still().
	 * Orders:  entry id "being written" -> slot, length, stamp, key.
	 * Without: a reader takes slot and length of two frames for one.
	 * Model:   tests/model/src/frame.rs */
	atomic_store_explicit(&entry->id, shmb_id_writing(number), memory_order_relaxed);
	shmb_fence_release();
	SHMB_STEP("frame.entry");
	atomic_store_explicit(&entry->slot, slot, memory_order_relaxed);
	atomic_store_explicit(&entry->length, length, memory_order_relaxed);
	if (extras != NULL)
		extras_put(&writer->entries, &entry->stamp_ns, number & writer->entries.mask, extras);
	/* ORDER slot.publish (release). Partner: slot_holds().
	 * Orders:  payload, slot id, slot, length, stamp, key -> entry id.
	 * Without: a reader pins the new number and reads old bytes.
	 * Model:   tests/model/src/slot.rs */
	atomic_store_explicit(&entry->id, shmb_id_done(number), memory_order_release);
	SHMB_STEP("frame.published");

	writer->loaned = 0;
	writer->head = head;
	writer->free--;
	/* Its fence is that of frame.pin as well. */
	publish_count(&writer->entries, number + 1);
	SHMB_STEP("frame.counted");
	return publish_look(&writer->entries);
}

/* With a stamp, a key, or both. What may be refused is refused before anything is written: the frame stays on loan. */
static __attribute__((noinline)) int commit_extras(struct frame_writer *writer, size_t length, const uint64_t *given)
{
	const struct slots_writer *entries = &writer->entries;
	const unsigned char *payload = writer->payloads + (writer->loaned - 1) * writer->payload_stride;
	struct extras extras = { .key = given != NULL ? *given : 0 };
	int r;

	if (writer->key_type != SHMB_KEY_NONE && given == NULL)
		return -ENOKEY;
	/* The key's field is the payload's, of which only `length` bytes are this frame's. */
	if ((entries->extras & SLOTS_KEYED) != 0 && entries->key_field < SHMB_KEY_IS_GIVEN &&
	    length < (size_t)entries->key_field + entries->key_bytes)
		return -EMSGSIZE;
	r = extras_take(entries, payload, &extras);
	return r < 0 ? r : commit(writer, length, &extras);
}

/* What may be refused at any commit; a frame whose writer lost its lease is dropped. */
static inline __attribute__((always_inline)) int commit_check(struct frame_writer *writer, size_t length)
{
	int r;

	SHMB_STEP("frame.filled");
	r = writer_check(&writer->entries);
	if (unlikely(r < 0)) {
		writer->loaned = 0;
		return r;
	}
	if (unlikely(writer->loaned == 0))
		return -EINVAL;
	return likely(length <= writer->payload_bytes) ? 0 : -EMSGSIZE;
}

__attribute__((hot)) int shmb_frame_commit(struct shmb_frame_writer *handle, size_t length)
{
	struct frame_writer *writer = (struct frame_writer *)handle;
	int r = commit_check(writer, length);

	if (unlikely(r < 0))
		return r;
	return unlikely(writer->entries.extras != 0) ? commit_extras(writer, length, NULL) : commit(writer, length, NULL);
}

static int commit_at(struct frame_writer *writer, size_t length, enum shmb_key_type type, uint64_t key)
{
	int r = commit_check(writer, length);

	if (r < 0)
		return r;
	return writer->key_type == (uint8_t)type ? commit_extras(writer, length, &key) : -EXDEV;
}

int shmb_frame_commit_at_monotonic(struct shmb_frame_writer *writer, size_t length, struct shmb_key_monotonic key)
{
	return commit_at((struct frame_writer *)writer, length, SHMB_KEY_MONOTONIC_NS, key.private_ns);
}

int shmb_frame_commit_at_realtime(struct shmb_frame_writer *writer, size_t length, struct shmb_key_realtime key)
{
	return commit_at((struct frame_writer *)writer, length, SHMB_KEY_REALTIME_NS, key.private_ns);
}

int shmb_frame_commit_at_sequence(struct shmb_frame_writer *writer, size_t length, struct shmb_key_sequence key)
{
	return commit_at((struct frame_writer *)writer, length, SHMB_KEY_SEQUENCE, key.private_count);
}

int shmb_frame_abort(struct shmb_frame_writer *handle)
{
	struct frame_writer *writer = (struct frame_writer *)handle;

	if (!is_ours(writer->entries.guard))
		return text_forked();
	if (writer->loaned == 0)
		return -EINVAL;
	atomic_store_explicit(&header_of(writer, writer->loaned - 1)->id, 0, memory_order_relaxed);
	writer->loaned = 0;
	return 0;
}
