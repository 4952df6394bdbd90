/* SPDX-License-Identifier: MIT */
/*
 * Who reads a segment: taking and freeing reader cells (segment.h).
 *
 * A cell is a place in the card's table; if it lies in an area, its reader has memory there too. An area is bound to the first uid that takes
 * a cell in it and stays so for the generation's life, because its pages cannot be taken back from who mapped them.
 *
 *   take   area_uid, then the bit of bound_areas (where the area was free); the cell's memory cleared; cookie, uid and role (record), start,
 *          incarnation + 1; then pid: from here on it is taken; then its bit of area_cells: from here on its pins count.
 *          Killed before pid: free; perhaps an area was bound for nobody, and the next cell of that uid goes there.
 *          Killed after it:   taken for a client that has not heard of it and, after the restart, does not list it: it is freed.
 *   free   a block's lock taken from it, its bit of area_cells cleared, its pins cleared, a queue's producer woken (the consumer may have died
 *          between its position and the wake-up), then pid = 0: from here on it is free.
 *          Killed before pid = 0: still taken, as if nothing had happened, and its holder is dead or does not list it: freed once more.
 *
 * The bits of area_cells follow from the pids: cells_settle() derives them again after a restart. Cell SHMB_QUEUE_CELL of a queue is its
 * consumer's and nobody else's; its position and wake word are not cleared, for the next consumer goes on where the one before stopped, and
 * its producer may be asleep on the word.
 */
#include "cells.h"

#include "cleanup.h"
#include "log.h"
#include "proto/step.h"
#include "repair.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct cell_work {
	struct parts *parts;
	const struct segment *segment;
	const struct holder *who;
	enum shmb_role role;
	struct shmb_shm_area *area; /* NULL: the cell has no memory */
	uint32_t cell;
	uint32_t incarnation;
	bool bind;
};

static uint32_t cell_area(const struct segment *segment, uint32_t cell)
{
	uint32_t area = cell / SHMB_CELLS_PER_AREA;

	return area < segment->geometry.area_count ? area : UINT32_MAX;
}

static uint32_t area_cells_bit(uint32_t cell)
{
	return UINT32_C(1) << cell % SHMB_CELLS_PER_AREA;
}

/* First free cell of [begin, end), or `end`. */
static uint32_t cell_find(const struct shmb_shm_card *card, uint32_t begin, uint32_t end)
{
	while (begin < end && atomic_load_explicit(&card->cells[begin].pid, memory_order_relaxed) != 0)
		begin++;
	return begin;
}

/* The consumer's cell, or none. */
static int cell_choose_consumer(struct cell_work *work)
{
	const struct shmb_shm_card *card = work->parts->card;
	uint64_t bound = atomic_load_explicit(&card->bound_areas, memory_order_relaxed);
	uint32_t area = SHMB_QUEUE_CELL / SHMB_CELLS_PER_AREA;

	if (work->segment->geometry.area_count <= area || work->segment->areas_lost)
		return -EUSERS;
	if (atomic_load_explicit(&card->cells[SHMB_QUEUE_CELL].pid, memory_order_relaxed) != 0)
		return -EBUSY;
	work->bind = (bound >> area & 1) == 0;
	if (!work->bind && work->who->uid != 0 && atomic_load_explicit(&card->area_uid[area], memory_order_relaxed) != work->who->uid)
		return -EPERM;
	work->cell = SHMB_QUEUE_CELL;
	return 0;
}

static int cell_choose(void *arg)
{
	struct cell_work *work = arg;
	const struct shmb_shm_card *card = work->parts->card;
	uint32_t area_count = work->segment->geometry.area_count;
	uint32_t reserved = work->segment->geometry.kind == SHMB_KIND_QUEUE ? SHMB_QUEUE_CELL + 1 : 0;
	uint64_t bound;
	int r = parts_check(work->parts, work->segment);

	if (r < 0)
		return r;
	if (work->role == SHMB_ROLE_CONSUMER)
		return cell_choose_consumer(work);
	bound = atomic_load_explicit(&card->bound_areas, memory_order_relaxed);
	for (int pass = work->segment->areas_lost ? 2 : 0; pass < 2; pass++) { /* first the uid's own areas, then free ones */
		for (uint32_t i = 0; i < area_count; i++) {
			bool is_bound = bound >> i & 1;
			uint32_t begin = i == 0 ? reserved : i * SHMB_CELLS_PER_AREA;
			uint32_t end = (i + 1) * SHMB_CELLS_PER_AREA;

			if (pass == 0 && !(is_bound && atomic_load_explicit(&card->area_uid[i], memory_order_relaxed) == work->who->uid))
				continue;
			if (pass == 1 && is_bound)
				continue;
			work->cell = cell_find(card, begin, end);
			work->bind = !is_bound;
			if (work->cell < end)
				return 0;
		}
	}
	work->bind = false;
	work->cell = cell_find(card, area_count == 0 ? reserved : area_count * SHMB_CELLS_PER_AREA, SHMB_CELLS_MAX);
	return work->cell < SHMB_CELLS_MAX ? 0 : -EUSERS;
}

static void pins_clear(struct shmb_shm_cell *cell)
{
	for (unsigned i = 0; i < SHMB_PINS_PER_CELL; i++)
		atomic_store_explicit(&cell->pins[i], 0, memory_order_relaxed);
}

static void cell_clear(struct shmb_shm_cell *cell, bool keeps_position)
{
	if (!keeps_position) {
		atomic_store_explicit(&cell->position, 0, memory_order_relaxed);
		atomic_store_explicit(&cell->wake, 0, memory_order_relaxed);
	}
	pins_clear(cell);
	for (unsigned i = 0; i < SHMB_COUNTERS; i++)
		atomic_store_explicit(&cell->counters[i], 0, memory_order_relaxed);
}

static int cell_write(void *arg)
{
	struct cell_work *work = arg;
	struct shmb_shm_card *card = work->parts->card;
	struct shmb_shm_cell_owner *owner = &card->cells[work->cell];
	struct shmb_shm_record_cell *kept = &work->parts->record->cells[work->cell];

	if (work->bind) {
		uint32_t area = work->cell / SHMB_CELLS_PER_AREA;
		uint64_t bound = atomic_load_explicit(&card->bound_areas, memory_order_relaxed);

		atomic_store_explicit(&card->area_uid[area], work->who->uid, memory_order_relaxed);
		/* Nobody reads in it yet, so nobody waits. */
		atomic_store_explicit(&work->area->waiters, 0, memory_order_relaxed);
		SHMB_STEP("cell.uid");
		/* ORDER area.bind (release). Partner: publish_look().
		 * Orders:  the area's uid and flag -> its bit; and the bit comes before the reader has the descriptor to wait with.
		 * Without: a reader waits in an area whose bit the writer does not see, and sleeps through what is published.
		 * Model:   tests/model/src/bind.rs */
		atomic_store_explicit(&card->bound_areas, bound | UINT64_C(1) << area, memory_order_release);
		SHMB_STEP("cell.bind");
	}
	if (work->area != NULL)
		cell_clear(&work->area->cells[work->cell % SHMB_CELLS_PER_AREA], work->role == SHMB_ROLE_CONSUMER);
	SHMB_STEP("cell.clear");
	memcpy(kept->cookie, work->who->cookie, SHMB_COOKIE_BYTES);
	kept->uid = work->who->uid;
	kept->role = work->role;
	SHMB_STEP("cell.cookie");
	work->incarnation = atomic_load_explicit(&owner->incarnation, memory_order_relaxed) + 1;
	atomic_store_explicit(&owner->start_time, work->who->start_time, memory_order_relaxed);
	atomic_store_explicit(&owner->incarnation, work->incarnation, memory_order_relaxed);
	SHMB_STEP("cell.incarnation");
	/* ORDER cell.take (release). Partner: cell_compare(), of the broker after a restart.
	 * Orders:  cleared cell, cookie, start, incarnation -> pid.
	 * Without: a cell taken with the cookie or the pins of its owner before.
	 * Model:   none: the new owner learns of its cell through the socket; what is left is the order of one thread's stores at its death */
	atomic_store_explicit(&owner->pid, work->who->pid, memory_order_release);
	SHMB_STEP("cell.pid");
	if (work->area != NULL) {
		_Atomic uint32_t *bits = &card->area_cells[work->cell / SHMB_CELLS_PER_AREA];

		/* Only the broker writes it. Release: its reader hears of the cell, and pins, after this; a writer that sees a pin sees the bit. */
		atomic_store_explicit(bits, atomic_load_explicit(bits, memory_order_relaxed) | area_cells_bit(work->cell),
				      memory_order_release);
		SHMB_STEP("cell.bit");
	}
	return 0;
}

int segment_cell_take(struct store *store, struct segment *segment, const struct holder *who, enum shmb_role role, uint32_t *cell,
		      uint32_t *incarnation, uint32_t *area)
{
	auto_foreign struct foreign area_map = { 0 };
	auto_parts struct parts parts = { 0 };
	struct cell_work work = { .parts = &parts, .segment = segment, .who = who, .role = role };
	int r;

	if (who->pid <= 0)
		return -EOPNOTSUPP; /* a process the broker cannot see cannot be watched */
	r = parts_map(store, segment, true, &parts);
	if (r < 0)
		return store_error(r);
	r = foreign_call(cell_choose, &work);
	if (r < 0)
		return r == -EFAULT ? -EBADMSG : r;
	*area = cell_area(segment, work.cell);
	if (*area != UINT32_MAX) {
		r = part_map(store, segment, PART_AREA, *area, 0, sizeof(struct shmb_shm_area), true, &area_map);
		if (r < 0)
			return store_error(r);
		work.area = area_map.at;
	}
	r = foreign_call(cell_write, &work);
	if (r < 0)
		return r == -EFAULT ? -EBADMSG : r;
	*cell = work.cell;
	*incarnation = work.incarnation;
	segment->cells_used++;
	return 0;
}

static int cell_is_taken(void *arg)
{
	struct cell_work *work = arg;
	int r = parts_check(work->parts, work->segment);

	if (r < 0)
		return r;
	return atomic_load_explicit(&work->parts->card->cells[work->cell].pid, memory_order_relaxed) == 0 ? -ENOENT : 0;
}

static int cell_clear_bit(void *arg)
{
	struct cell_work *work = arg;
	_Atomic uint32_t *bits = &work->parts->card->area_cells[work->cell / SHMB_CELLS_PER_AREA];

	atomic_store_explicit(bits, atomic_load_explicit(bits, memory_order_relaxed) & ~area_cells_bit(work->cell), memory_order_release);
	SHMB_STEP("cell.unbit");
	return 0;
}

/* What is left of the dead in the cell's memory. */
static int cell_leave(void *arg)
{
	struct cell_work *work = arg;
	struct shmb_shm_cell *cell = &work->area->cells[work->cell % SHMB_CELLS_PER_AREA];

	pins_clear(cell);
	/* ORDER queue.wake (release). Partner: wait_words().
	 * Orders:  position (stored by a consumer whose end we have seen) -> wake word.
	 * Without: the producer sleeps on a word that was counted up already for the position it did not see.
	 * Model:   tests/model/src/queue.rs */
	atomic_fetch_add_explicit(&cell->wake, 1, memory_order_release);
	SHMB_STEP("cell.left");
	return 0;
}

/* Best effort: the area belongs to its uid, which may have made it shorter. Pins count no more without their bit. */
static int cell_memory_leave(struct store *store, struct cell_work *work, uint32_t area)
{
	auto_foreign struct foreign map = { 0 };
	int r = part_map(store, work->segment, PART_AREA, area, 0, sizeof(struct shmb_shm_area), true, &map);

	if (r < 0)
		return store_is_short(r) ? r : 0;
	work->area = map.at;
	if (foreign_call(cell_leave, work) == 0)
		syscall(SYS_futex, &work->area->cells[work->cell % SHMB_CELLS_PER_AREA].wake, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	work->area = NULL;
	return 0;
}

static int cell_clear_owner(void *arg)
{
	struct cell_work *work = arg;

	atomic_store_explicit(&work->parts->card->cells[work->cell].pid, 0, memory_order_release);
	SHMB_STEP("cell.free");
	return 0;
}

/* Takes a block's lock from the cell. The data part may have been destroyed by who shares it: the cell is freed all the same. */
static int lock_take(struct store *store, const struct segment *segment, uint32_t cell, unsigned *mended)
{
	auto_close int fd = part_open(store, segment, PART_DATA, 0, O_RDWR);
	int r = fd < 0 ? fd : repair_lock(fd, cell, mended);

	if (r < 0 && store_is_short(r))
		return r;
	if (r < 0)
		log_error("%s: its lock cannot be looked at: %s; remove the segment", segment->name, strerror(-r));
	return 0;
}

int segment_cell_free(struct store *store, struct segment *segment, uint32_t cell, unsigned *mended)
{
	auto_parts struct parts parts = { 0 };
	struct cell_work work = { .parts = &parts, .segment = segment, .cell = cell };
	uint32_t area = cell_area(segment, cell);
	unsigned locks = 0;
	int r;

	if (mended != NULL)
		*mended = 0;
	if (cell >= SHMB_CELLS_MAX)
		return -EINVAL;
	r = parts_map(store, segment, true, &parts);
	if (r == 0)
		r = foreign_call(cell_is_taken, &work);
	if (r == 0 && segment->geometry.kind == SHMB_KIND_BLOCK)
		r = lock_take(store, segment, cell, &locks);
	if (r == 0 && area != UINT32_MAX)
		r = foreign_call(cell_clear_bit, &work);
	if (r == 0 && area != UINT32_MAX && (segment->geometry.kind == SHMB_KIND_FRAME || segment->geometry.kind == SHMB_KIND_QUEUE))
		r = cell_memory_leave(store, &work, area);
	if (r == 0)
		r = foreign_call(cell_clear_owner, &work);
	if (mended != NULL)
		*mended = locks;
	if (r < 0)
		return r == -EFAULT ? -EBADMSG : r;
	segment->cells_used--;
	return 0;
}

static int cell_compare(void *arg)
{
	struct cell_work *work = arg;
	const struct shmb_shm_cell_owner *owner = &work->parts->card->cells[work->cell];
	const struct shmb_shm_record_cell *kept = &work->parts->record->cells[work->cell];
	int r = parts_check(work->parts, work->segment);

	if (r < 0)
		return r;
	/* ORDER cell.take (acquire). Partner: cell_write().
	 * Orders:  cookie, start, incarnation -> pid.
	 * Without: the cookie of the owner before beside the pid of the new one.
	 * Model:   none, see there */
	return atomic_load_explicit(&owner->pid, memory_order_acquire) == work->who->pid &&
	       atomic_load_explicit(&owner->incarnation, memory_order_relaxed) == work->incarnation &&
	       atomic_load_explicit(&owner->start_time, memory_order_relaxed) == work->who->start_time && kept->uid == work->who->uid &&
	       memcmp(kept->cookie, work->who->cookie, SHMB_COOKIE_BYTES) == 0;
}

bool segment_cell_is(struct store *store, struct segment *segment, uint32_t cell, uint32_t incarnation, const struct holder *who)
{
	auto_parts struct parts parts = { 0 };
	struct cell_work work = { .parts = &parts, .segment = segment, .who = who, .cell = cell, .incarnation = incarnation };

	if (cell >= SHMB_CELLS_MAX || who->pid <= 0)
		return false;
	if (parts_map(store, segment, false, &parts) < 0)
		return false;
	return foreign_call(cell_compare, &work) == 1;
}

/* ---- adoption ---- */

static uint32_t cells_bits(const struct shmb_shm_card *card, uint32_t area, uint32_t area_count)
{
	uint32_t bits = 0;

	for (uint32_t i = 0; area < area_count && i < SHMB_CELLS_PER_AREA; i++) {
		uint32_t cell = area * SHMB_CELLS_PER_AREA + i;

		if (atomic_load_explicit(&card->cells[cell].pid, memory_order_relaxed) != 0)
			bits |= area_cells_bit(cell);
	}
	return bits;
}

static int bits_store(void *arg)
{
	struct cell_work *work = arg;
	struct shmb_shm_card *card = work->parts->card;
	int r = parts_check(work->parts, work->segment);

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < SHMB_AREAS_MAX; i++) {
		/* One store each, of what it should be: the bit of a reader that lives is never away, for its pins count meanwhile. */
		atomic_store_explicit(&card->area_cells[i], cells_bits(card, i, work->segment->geometry.area_count), memory_order_release);
		SHMB_STEP("adopt.bits");
	}
	return 0;
}

int cells_settle(struct store *store, const struct segment *segment, const struct shmb_shm_card *card)
{
	auto_parts struct parts parts = { 0 };
	struct cell_work work = { .parts = &parts, .segment = segment };
	uint32_t area = 0;
	int r;

	while (area < SHMB_AREAS_MAX &&
	       atomic_load_explicit(&card->area_cells[area], memory_order_relaxed) == cells_bits(card, area, segment->geometry.area_count))
		area++;
	if (area == SHMB_AREAS_MAX)
		return 0;
	r = parts_map(store, segment, true, &parts);
	if (r < 0)
		return r;
	r = foreign_call(bits_store, &work);
	return r == -EFAULT ? -EBADMSG : r;
}
