/* SPDX-License-Identifier: MIT */
/*
 * Who reads a segment: taking and freeing reader cells (segment.h).
 *
 * A cell is a place in the card's table; if it lies in an area, its reader has memory there too. An area is bound to the first uid that takes
 * a cell in it and stays so for the generation's life, because its pages cannot be taken back from who mapped them.
 *
 *   take   area_uid, then the bit of bound_areas (where the area was free); the cell's memory cleared; cookie and uid (record), start,
 *          incarnation + 1; then pid: from here on it is taken.
 *          Killed before pid: free; perhaps an area was bound for nobody, and the next cell of that uid goes there.
 *          Killed after it:   taken for a client that has not heard of it and, after the restart, does not list it: it is freed.
 *   free   pid = 0. One store.
 */
#include "cleanup.h"
#include "parts.h"
#include "proto/step.h"

#include <errno.h>
#include <string.h>

struct cell_work {
	struct parts *parts;
	const struct segment *segment;
	const struct holder *who;
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

/* First free cell of [begin, end), or `end`. */
static uint32_t cell_find(const struct shmb_shm_card *card, uint32_t begin, uint32_t end)
{
	while (begin < end && atomic_load_explicit(&card->cells[begin].pid, memory_order_relaxed) != 0)
		begin++;
	return begin;
}

static int cell_choose(void *arg)
{
	struct cell_work *work = arg;
	const struct shmb_shm_card *card = work->parts->card;
	uint32_t area_count = work->segment->geometry.area_count;
	uint64_t bound;
	int r = parts_check(work->parts, work->segment);

	if (r < 0)
		return r;
	bound = atomic_load_explicit(&card->bound_areas, memory_order_relaxed);
	for (int pass = 0; pass < 2; pass++) { /* first the uid's own areas, then free ones */
		for (uint32_t i = 0; i < area_count; i++) {
			bool is_bound = bound >> i & 1;
			uint32_t end = (i + 1) * SHMB_CELLS_PER_AREA;

			if (pass == 0 && !(is_bound && atomic_load_explicit(&card->area_uid[i], memory_order_relaxed) == work->who->uid))
				continue;
			if (pass == 1 && is_bound)
				continue;
			work->cell = cell_find(card, i * SHMB_CELLS_PER_AREA, end);
			work->bind = !is_bound;
			if (work->cell < end)
				return 0;
		}
	}
	work->bind = false;
	work->cell = cell_find(card, area_count * SHMB_CELLS_PER_AREA, SHMB_CELLS_MAX);
	return work->cell < SHMB_CELLS_MAX ? 0 : -EUSERS;
}

static void cell_clear(struct shmb_shm_cell *cell)
{
	atomic_store_explicit(&cell->position, 0, memory_order_relaxed);
	atomic_store_explicit(&cell->wake, 0, memory_order_relaxed);
	for (unsigned i = 0; i < SHMB_PINS_PER_CELL; i++)
		atomic_store_explicit(&cell->pins[i], 0, memory_order_relaxed);
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
		/* ORDER area.bind (release). Partner: publish().
		 * Orders:  the area's uid and flag -> its bit; and the bit comes before the reader has the descriptor to wait with.
		 * Without: a reader waits in an area whose bit the writer does not see, and sleeps through what is published.
		 * Model:   tests/model/src/bind.rs */
		atomic_store_explicit(&card->bound_areas, bound | UINT64_C(1) << area, memory_order_release);
		SHMB_STEP("cell.bind");
	}
	if (work->area != NULL)
		cell_clear(&work->area->cells[work->cell % SHMB_CELLS_PER_AREA]);
	SHMB_STEP("cell.clear");
	memcpy(kept->cookie, work->who->cookie, SHMB_COOKIE_BYTES);
	kept->uid = work->who->uid;
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
	return 0;
}

int segment_cell_take(struct store *store, struct segment *segment, const struct holder *who, uint32_t *cell, uint32_t *incarnation,
		      uint32_t *area)
{
	auto_foreign struct foreign area_map = { 0 };
	auto_parts struct parts parts = { 0 };
	struct cell_work work = { .parts = &parts, .segment = segment, .who = who };
	int r;

	if (who->pid <= 0)
		return -EOPNOTSUPP; /* a process the broker cannot see cannot be watched */
	r = parts_map(store, segment, true, &parts);
	if (r < 0)
		return r;
	r = foreign_call(cell_choose, &work);
	if (r < 0)
		return r == -EFAULT ? -EBADMSG : r;
	*area = cell_area(segment, work.cell);
	if (*area != UINT32_MAX) {
		r = part_map(store, segment, PART_AREA, *area, 0, sizeof(struct shmb_shm_area), true, &area_map);
		if (r < 0)
			return r;
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

static int cell_clear_owner(void *arg)
{
	struct cell_work *work = arg;
	struct shmb_shm_cell_owner *owner = &work->parts->card->cells[work->cell];
	int r = parts_check(work->parts, work->segment);

	if (r < 0)
		return r;
	if (atomic_load_explicit(&owner->pid, memory_order_relaxed) == 0)
		return -ENOENT;
	atomic_store_explicit(&owner->pid, 0, memory_order_release);
	SHMB_STEP("cell.free");
	return 0;
}

int segment_cell_free(struct store *store, struct segment *segment, uint32_t cell)
{
	auto_parts struct parts parts = { 0 };
	struct cell_work work = { .parts = &parts, .segment = segment, .cell = cell };
	int r;

	if (cell >= SHMB_CELLS_MAX)
		return -EINVAL;
	r = parts_map(store, segment, true, &parts);
	if (r < 0)
		return r;
	r = foreign_call(cell_clear_owner, &work);
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
