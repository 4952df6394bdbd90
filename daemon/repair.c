/* SPDX-License-Identifier: MIT */
/*
 * Repair of a data part (repair.h).
 *
 * A writer of number n stores id = 2n+1, the payload, id = 2n+2, counter = n+1: the id of the slot in a value, ring or queue, of the entry in
 * a frame. Wherever it was killed, the counter c is behind by what was published since it was stored, and only the element of number c can be
 * in a state between:
 *
 *   id of element c   it was killed                           mended to
 *   2c+2              between id and counter                  counter = c+1 (the id is the commit: readers may have it already), and on
 *   2c+1              while it filled the element             id = 0 (nothing valid; the old content is gone, no old id is restored)
 *   else              elsewhere, or it wrote rubbish          nothing
 *
 * In a frame the slots that were on loan have an odd id of their own; they become 0, and with that free: an entry names only slots that were
 * complete before it. A block has no numbers; of it only the lock is mended, when the cell that holds it is freed.
 *
 * Each is one store of one word, computed from what is there: killed before it, the broker finds the same again; killed after it, it finds
 * nothing to do.
 */
#include "repair.h"

#include "foreign.h"
#include "proto/step.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LOCK_TRIES = 64 };

struct repair_work {
	struct shmb_shm_data *data;
	struct foreign page; /* of slots or entries */
	uint64_t page_offset;
	_Atomic uint64_t *id; /* in it */
	uint64_t begin;	      /* ids in it from here */
	uint64_t end;
	uint64_t stride;
	uint64_t counter;
	unsigned mended;
	bool writer_ended;
	uint32_t cell; /* whose lock, UINT32_MAX anybody's */
};

static int file_check(int fd, uint64_t bytes)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	return st.st_size >= 0 && (uint64_t)st.st_size >= bytes ? 0 : -EBADMSG;
}

static int counter_read(void *arg)
{
	struct repair_work *work = arg;

	/* ORDER counter.publish (acquire). Partner: publish_count().
	 * Orders:  slot id -> counter.
	 * Without: the slot's id looks older than the counter says, and a half-written slot is passed over.
	 * Model:   tests/model/src/counter.rs */
	/* ORDER repair.slot (acquire). Partner: slot_mend(), of a broker killed since.
	 * Orders:  mended slot -> counter.
	 * Without: what was rolled forward looks half-written.
	 * Model:   tests/model/src/repair.rs */
	work->counter = atomic_load_explicit(&work->data->counter, memory_order_acquire);
	return 0;
}

/* The slot, or in a frame the entry, of the counter's number. 1: it was rolled forward, and the next one is to be looked at. */
static int slot_mend(void *arg)
{
	struct repair_work *work = arg;
	uint64_t number = work->counter;
	uint64_t id = atomic_load_explicit(work->id, memory_order_acquire);

	if (id == shmb_id_done(number)) {
		SHMB_STEP("repair.counter");
		/* ORDER counter.publish (release). Partner: next_number().
		 * Orders:  slot id (acquired above) -> counter.
		 * Without: a reader led to the slot by the counter finds the id of the write before.
		 * Model:   tests/model/src/counter.rs */
		atomic_store_explicit(&work->data->counter, number + 1, memory_order_release);
		work->counter = number + 1;
		work->mended++;
		return 1;
	}
	if (id == shmb_id_writing(number)) {
		SHMB_STEP("repair.slot");
		/* ORDER repair.slot (release). Partner: counter_read(), of the next broker; the readers' end is writer.verdict.
		 * Orders:  id = 0 -> all that follows of the repair.
		 * Without: who has heard of the death finds the slot half-written still.
		 * Model:   tests/model/src/repair.rs */
		atomic_store_explicit(work->id, 0, memory_order_release);
		work->mended++;
	}
	SHMB_STEP("repair.mended");
	return 0;
}

/* The ids of one page that are odd: slots of a frame that were on loan. */
static int loans_end(void *arg)
{
	struct repair_work *work = arg;

	for (uint64_t at = work->begin; at < work->end; at += work->stride) {
		_Atomic uint64_t *id = (_Atomic uint64_t *)((char *)work->page.at + at);

		if ((atomic_load_explicit(id, memory_order_relaxed) & 1) == 0)
			continue;
		SHMB_STEP("repair.loan");
		/* Release as for repair.slot, whose end this is too: nothing else is made of it. */
		atomic_store_explicit(id, 0, memory_order_release);
		work->mended++;
	}
	return 0;
}

/* Maps the page of the data part that holds `offset`, unless it is the one that is mapped. Ids never cross a page: they lie on cache lines. */
static int page_map(struct repair_work *work, int fd, uint64_t offset)
{
	uint64_t page_offset = offset & ~(uint64_t)(SHMB_PAGE - 1);

	if (work->page.at != NULL && work->page_offset == page_offset)
		return 0;
	foreign_unmap(&work->page);
	work->page_offset = page_offset;
	return foreign_map(&work->page, fd, page_offset, SHMB_PAGE, true);
}

/*
 * Mends the element of the counter's number in a ring of `count` ids, and while that was complete, the next: a writer may have published
 * several before it stored the counter, but no more than there are.
 */
static int elements_mend(struct repair_work *work, int fd, uint64_t array_offset, uint32_t count, uint8_t shift)
{
	for (uint32_t i = 0; i < count && work->counter < SHMB_NUMBER_MAX; i++) {
		/* Inside data_bytes, whatever the counter is: shmb_geometry says so. */
		uint64_t offset = array_offset + ((work->counter & (count - 1)) << shift);
		int r = page_map(work, fd, offset);

		if (r < 0)
			return r;
		work->id = (_Atomic uint64_t *)((char *)work->page.at + (offset & (SHMB_PAGE - 1)));
		r = foreign_call(slot_mend, work);
		if (r <= 0)
			return r;
	}
	return 0;
}

static int slots_end_loans(struct repair_work *work, int fd, const struct shmb_geometry *geometry)
{
	uint64_t offset = geometry->slot_offset;
	uint64_t end = offset + ((uint64_t)geometry->slot_count << geometry->slot_shift);

	work->stride = UINT64_C(1) << geometry->slot_shift;
	while (offset < end) {
		uint64_t page = offset & ~(uint64_t)(SHMB_PAGE - 1);
		int r = page_map(work, fd, offset);

		if (r < 0)
			return r;
		work->begin = offset - page;
		work->end = end - page < SHMB_PAGE ? end - page : SHMB_PAGE;
		r = foreign_call(loans_end, work);
		if (r < 0)
			return r;
		/* The next slot, which a stride over a page puts beyond the next page. */
		offset += (work->end - work->begin + work->stride - 1) / work->stride * work->stride;
	}
	return 0;
}

int repair_data(int fd, const struct shmb_geometry *geometry, struct repair *out)
{
	auto_foreign struct foreign head = { 0 };
	struct repair_work work = { 0 };
	bool is_frame = geometry->kind == SHMB_KIND_FRAME;
	int r;

	*out = (struct repair){ 0 };
	r = file_check(fd, geometry->data_bytes);
	if (r == 0)
		r = foreign_map(&head, fd, 0, SHMB_PAGE, true);
	if (r < 0)
		return r;
	work.data = head.at;
	r = foreign_call(counter_read, &work);
	/* From SHMB_NUMBER_MAX on it is no number at all: its ids would wrap. Nobody is given a lease here any more. */
	if (r == 0 && is_frame)
		r = elements_mend(&work, fd, geometry->entry_offset, geometry->entry_count, geometry->entry_shift);
	else if (r == 0)
		r = elements_mend(&work, fd, geometry->slot_offset, geometry->slot_count, geometry->slot_shift);
	if (r == 0 && is_frame)
		r = slots_end_loans(&work, fd, geometry);
	foreign_unmap(&work.page);
	if (r < 0)
		return r == -EFAULT ? -EBADMSG : r;
	out->next = work.counter;
	out->mended = work.mended;
	return 0;
}

static int wake_grow(void *arg)
{
	struct repair_work *work = arg;

	if (work->writer_ended)
		atomic_store_explicit(&work->data->writer_pid, 0, memory_order_relaxed);
	/* ORDER wait.wake (release). Partner: wait_words().
	 * Orders:  state, verdict, repair -> wake word.
	 * Without: a reader sees the new wake word and the old verdict, and sleeps on the new word for ever.
	 * Model:   tests/model/src/wait.rs */
	atomic_fetch_add_explicit(&work->data->wake, 1, memory_order_release);
	return 0;
}

int repair_wake(int fd, bool writer_ended)
{
	auto_foreign struct foreign head = { 0 };
	struct repair_work work = { .writer_ended = writer_ended };
	int r;

	r = file_check(fd, SHMB_PAGE);
	if (r == 0)
		r = foreign_map(&head, fd, 0, SHMB_PAGE, true);
	if (r < 0)
		return r;
	work.data = head.at;
	SHMB_STEP("repair.waking");
	r = foreign_call(wake_grow, &work);
	if (r < 0)
		return r == -EFAULT ? -EBADMSG : r;
	/* Shared, not FUTEX_WAKE_PRIVATE: the sleepers are other processes. EFAULT when the page went meanwhile: nobody sleeps on it then. */
	syscall(SYS_futex, &work.data->wake, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	SHMB_STEP("repair.woken");
	return 0;
}

static int lock_take_away(void *arg)
{
	struct repair_work *work = arg;
	uint32_t word = atomic_load_explicit(&work->data->lock, memory_order_relaxed);

	/* Its holder is gone, so only SHMB_LOCK_WAITERS can come in between, once; more is somebody's mischief and not worth waiting for. */
	for (int tries = 0; tries < LOCK_TRIES; tries++) {
		uint32_t holder = word & SHMB_LOCK_CELL;

		if (holder == 0 || (work->cell != UINT32_MAX && holder != work->cell + 1))
			return 0;
		SHMB_STEP("repair.lock");
		/* ORDER block.lock (acq_rel). Partners: take(), block_unlock().
		 * Orders:  the dead holder's changes of the payload -> lock word.
		 * Without: who is told of the death looks for the half-made change and does not see it yet.
		 * Model:   tests/model/src/block.rs */
		if (atomic_compare_exchange_strong_explicit(&work->data->lock, &word, SHMB_LOCK_OWNER_DIED, memory_order_acq_rel,
							    memory_order_relaxed)) {
			work->mended = 1;
			SHMB_STEP("repair.locked");
			return 0;
		}
	}
	return -EAGAIN;
}

int repair_lock(int fd, uint32_t cell, unsigned *mended)
{
	auto_foreign struct foreign head = { 0 };
	struct repair_work work = { .cell = cell };
	int r;

	*mended = 0;
	r = file_check(fd, SHMB_PAGE);
	if (r == 0)
		r = foreign_map(&head, fd, 0, SHMB_PAGE, true);
	if (r < 0)
		return r;
	work.data = head.at;
	r = foreign_call(lock_take_away, &work);
	if (r < 0)
		return r == -EFAULT ? -EBADMSG : r;
	*mended = work.mended;
	/*
	 * All who sleep, in any case: a sharer that was woken to take the lock and died before it could has taken the others' wake-up with it. Who
	 * is woken looks, says again that it waits, and sleeps on.
	 */
	syscall(SYS_futex, &work.data->lock, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	SHMB_STEP("repair.lock.woken");
	return 0;
}
