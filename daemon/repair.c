/* SPDX-License-Identifier: MIT */
/*
 * Repair of value and ring (repair.h).
 *
 * A writer of number n stores id = 2n+1, the payload, id = 2n+2, counter = n+1. Wherever it was killed, the counter c is at most one behind
 * and only the slot of number c can be in a state between:
 *
 *   id of slot c   it was killed                           mended to
 *   2c+2           between id and counter                  counter = c+1 (the id is the commit: readers may have it already)
 *   2c+1           while it filled the slot                id = 0 (nothing valid; the old content is gone, no old id is restored)
 *   else           elsewhere, or it wrote rubbish          nothing
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

struct repair_work {
	struct shmb_shm_data *data;
	struct shmb_shm_slot *slot;
	uint64_t counter;
	unsigned mended;
	bool writer_ended;
};

static bool file_has(int fd, uint64_t bytes)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_size >= 0 && (uint64_t)st.st_size >= bytes;
}

static int counter_read(void *arg)
{
	struct repair_work *work = arg;

	/* ORDER counter.publish (acquire). Partner: publish().
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

static int slot_mend(void *arg)
{
	struct repair_work *work = arg;
	uint64_t number = work->counter;
	uint64_t id = atomic_load_explicit(&work->slot->id, memory_order_acquire);

	if (id == shmb_id_done(number)) {
		SHMB_STEP("repair.counter");
		/* ORDER counter.publish (release). Partner: next_number().
		 * Orders:  slot id (acquired above) -> counter.
		 * Without: a reader led to the slot by the counter finds the id of the write before.
		 * Model:   tests/model/src/counter.rs */
		atomic_store_explicit(&work->data->counter, number + 1, memory_order_release);
		work->counter = number + 1;
		work->mended = 1;
	} else if (id == shmb_id_writing(number)) {
		SHMB_STEP("repair.slot");
		/* ORDER repair.slot (release). Partner: counter_read(), of the next broker; the readers' end is writer.verdict.
		 * Orders:  id = 0 -> all that follows of the repair.
		 * Without: who has heard of the death finds the slot half-written still.
		 * Model:   tests/model/src/repair.rs */
		atomic_store_explicit(&work->slot->id, 0, memory_order_release);
		work->mended = 1;
	}
	SHMB_STEP("repair.mended");
	return 0;
}

int repair_data(int fd, const struct shmb_geometry *geometry, struct repair *out)
{
	auto_foreign struct foreign head = { 0 };
	auto_foreign struct foreign page = { 0 };
	struct repair_work work = { 0 };
	uint64_t at;
	int r;

	*out = (struct repair){ 0 };
	if (!file_has(fd, geometry->data_bytes))
		return -EBADMSG;
	r = foreign_map(&head, fd, 0, SHMB_PAGE, true);
	if (r < 0)
		return r;
	work.data = head.at;
	r = foreign_call(counter_read, &work);
	if (r < 0)
		return r == -EFAULT ? -EBADMSG : r;
	out->next = work.counter;
	if (work.counter >= SHMB_NUMBER_MAX) /* no number at all: its ids would wrap. Nobody is given a lease here any more. */
		return 0;

	/* Slots lie on their own cache line, inside data_bytes: shmb_geometry says so, whatever the counter is. */
	at = geometry->slot_offset + ((work.counter & (geometry->slot_count - 1)) << geometry->slot_shift);
	r = foreign_map(&page, fd, at & ~(uint64_t)(SHMB_PAGE - 1), SHMB_PAGE, true);
	if (r < 0)
		return r;
	work.slot = (struct shmb_shm_slot *)((char *)page.at + (at & (SHMB_PAGE - 1)));
	r = foreign_call(slot_mend, &work);
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
	/* ORDER wait.wake (release). Partner: slots_wait().
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

	if (!file_has(fd, SHMB_PAGE))
		return -EBADMSG;
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
