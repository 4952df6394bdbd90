/* SPDX-License-Identifier: MIT */
/*
 * A segment's name is given new memory (segment_replace(), segment.h).
 *
 * The parts of generation G + 1 are made as those of any segment, record first, card last. Between its last area and its card, when all memory has
 * been had, G is cut; when the card has its name, G is told what follows it.
 *
 *   cut      state SUPERSEDED, fence, load the counter c, `committed` = c into the record, `cut` into the card.
 *            Killed before G + 1's card has its name: that is a set without a card, which the scan removes; G says SUPERSEDED and has no `next`:
 *            it is reopened: cut = none, state as lease and verdict say. Nobody has followed, and nothing was answered.
 *   link     `next` = G + 1, sleepers woken.
 *            Killed before `next`: the scan finds G + 1 complete and closes G: the same words once more, cut from G + 1's own base.
 *            Killed before the wake: the next broker bumps every event page.
 *
 * What the cut is. A writer looks at the state at each claim, and between any two claims of it lies the fence of publish_count(), after the counter
 * of the first. So a claim that still saw the lease held is of a number that this broker's load of the counter has reached: c at the most, which
 * may yet be published or never be. The cut is c + 1. Two exceptions: where the writer has ended and was repaired, c is exact and the cut is c; a
 * queue's producer claims a whole batch with one look, but no more than the queue holds: the cut is c + capacity. The next generation's numbers
 * begin at the cut, so no number is used for two contents. A counter that has come half the way to SHMB_NUMBER_MAX was not counted up by
 * writing: numbers begin at 0 again.
 */
#include "generation.h"

#include "cleanup.h"
#include "log.h"
#include "proto/step.h"
#include "repair.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define NUMBERS_SANE (SHMB_NUMBER_MAX / 2)

struct cut_work {
	struct parts *parts;
	const struct segment *segment;
	struct foreign head;   /* of the data part; not mapped where that was destroyed */
	enum shmb_state state; /* to be reopened with */
	uint64_t counter;
	uint64_t cut;
	uint64_t next;
	uint64_t lease_pid;
	uint64_t writer;
};

static void state_store(struct shmb_shm_card *card, uint64_t epoch, enum shmb_state state)
{
	/* ORDER state.word (release). Partner: writer_check().
	 * Orders:  nothing a writer needs -> state word.
	 * Without: a writer goes on in memory that nobody follows.
	 * Model:   none: one word, compared whole; what it may still publish is what cut.fence is about */
	atomic_store_explicit(&card->state, shmb_state_word(epoch, state), memory_order_release);
}

static void cut_store(struct shmb_shm_card *card, uint64_t cut)
{
	/* Made visible by `next` (cut.next) to all who follow; a reader that looks at it earlier is warned of nothing an honest writer does. */
	atomic_store_explicit(&card->cut, cut, memory_order_release);
}

static void next_store(struct shmb_shm_card *card, uint64_t next)
{
	/* ORDER cut.next (release). Partner: is_superseded().
	 * Orders:  counter (acquired when it was loaded), cut -> next.
	 * Without: a reader follows before it has seen all that was published.
	 * Model:   tests/model/src/cut.rs */
	atomic_store_explicit(&card->next, next, memory_order_release);
}

/* ---- cut ---- */

static int state_write(void *arg)
{
	struct cut_work *work = arg;
	int r = parts_check(work->parts, work->segment);

	if (r == 0)
		state_store(work->parts->card, work->segment->epoch, SHMB_STATE_SUPERSEDED);
	SHMB_STEP("cut.state");
	return r;
}

static int counter_load(void *arg)
{
	struct cut_work *work = arg;
	const struct shmb_shm_data *data = work->head.at;

	/* ORDER cut.fence (seq_cst). Partner: publish_count().
	 * Orders:  state SUPERSEDED -> look at the counter.
	 * Without: a writer claims the number after the one we see as the last, and so does the writer of the next generation.
	 * Model:   tests/model/src/cut.rs */
	shmb_fence_seq_cst();
	/* ORDER cut.next (acquire). Partner: next_store().
	 * Orders:  ids -> counter.
	 * Without: a reader that follows has not seen the last number before the cut.
	 * Model:   tests/model/src/cut.rs */
	work->counter = atomic_load_explicit(&data->counter, memory_order_acquire);
	return 0;
}

static int cut_write(void *arg)
{
	struct cut_work *work = arg;

	work->parts->record->committed = work->counter;
	SHMB_STEP("cut.committed");
	cut_store(work->parts->card, work->cut);
	SHMB_STEP("cut.cut");
	return 0;
}

/* Where the writer has ended and went on all the same, or left what its release could not reach: as at a grant. */
static void mend(struct store *store, const struct segment *segment)
{
	auto_close int fd = part_open(store, segment, PART_DATA, 0, O_RDWR);
	struct repair repair;

	if (fd >= 0)
		repair_data(fd, &segment->geometry, &repair);
}

static uint64_t cut_after(const struct segment *segment, uint64_t counter)
{
	if (segment->lease.pid == 0)
		return counter;
	return counter + (segment->geometry.kind == SHMB_KIND_QUEUE ? segment->geometry.slot_count : 1);
}

int generation_cut(struct store *store, struct segment *old, uint64_t *base)
{
	auto_parts struct parts parts = { 0 };
	struct cut_work work = { .parts = &parts, .segment = old };
	auto_foreign struct foreign head = { 0 };
	int r;

	if (old->lease.pid == 0)
		mend(store, old);
	r = parts_map(store, old, true, &parts);
	if (r < 0)
		return r;
	r = foreign_call(state_write, &work);
	if (r < 0)
		return r == -EFAULT ? -EBADMSG : r;
	old->state = SHMB_STATE_SUPERSEDED;
	/* A data part that its writer has destroyed is what a new generation heals; its numbers are lost. */
	work.counter = SHMB_NUMBER_MAX;
	if (part_map(store, old, PART_DATA, 0, 0, SHMB_PAGE, false, &head) == 0) {
		work.head = head;
		if (foreign_call(counter_load, &work) < 0)
			work.counter = SHMB_NUMBER_MAX;
	}
	SHMB_STEP("cut.counter");
	if (work.counter < old->geometry.base)
		work.counter = old->geometry.base;
	if (work.counter > SHMB_NUMBER_MAX)
		work.counter = SHMB_NUMBER_MAX;
	work.cut = cut_after(old, work.counter);
	if (work.cut > SHMB_NUMBER_MAX)
		work.cut = SHMB_NUMBER_MAX;
	r = foreign_call(cut_write, &work);
	if (r < 0)
		return r == -EFAULT ? -EBADMSG : r;
	old->committed = work.counter;
	*base = work.cut < NUMBERS_SANE ? work.cut : 0;
	return 0;
}

/* ---- taking it back ---- */

static int cut_unwrite(void *arg)
{
	struct cut_work *work = arg;
	int r = parts_check(work->parts, work->segment);

	if (r < 0)
		return r;
	cut_store(work->parts->card, UINT64_MAX);
	SHMB_STEP("reopen.cut");
	return 0;
}

static int state_unwrite(void *arg)
{
	struct cut_work *work = arg;

	state_store(work->parts->card, work->segment->epoch, work->state);
	return 0;
}

int generation_uncut(struct store *store, const struct segment *old)
{
	auto_parts struct parts parts = { 0 };
	struct cut_work work = { .parts = &parts, .segment = old };
	int r = parts_map(store, old, true, &parts);

	if (r == 0)
		r = foreign_call(cut_unwrite, &work);
	return r == -EFAULT ? -EBADMSG : r;
}

void generation_reopen(struct store *store, struct segment *old)
{
	auto_parts struct parts parts = { 0 };
	struct cut_work work = { .parts = &parts, .segment = old, .state = SHMB_STATE_HELD };
	int r;

	if (old->state != SHMB_STATE_SUPERSEDED)
		return;
	if (old->lease.pid == 0)
		work.state = SHMB_STATE_FREE;
	else if (old->writer == SHMB_WRITER_GONE)
		work.state = SHMB_STATE_GIVEN_UP;
	r = parts_map(store, old, true, &parts);
	if (r == 0)
		r = foreign_call(cut_unwrite, &work);
	if (r == 0)
		r = foreign_call(state_unwrite, &work);
	if (r < 0)
		log_error("%s: cannot be reopened after its next generation could not be made: %s", old->name, strerror(-r));
	old->state = work.state;
	old->committed = 0;
}

/* ---- telling ---- */

static int next_write(void *arg)
{
	struct cut_work *work = arg;
	int r = parts_check(work->parts, work->segment);

	if (r < 0)
		return r;
	next_store(work->parts->card, work->next);
	SHMB_STEP("link.next");
	return 0;
}

int generation_link(struct store *store, struct segment *old, uint64_t next)
{
	auto_parts struct parts parts = { 0 };
	struct cut_work work = { .parts = &parts, .segment = old, .next = next };
	auto_close int data_fd = -1;
	int r = parts_map(store, old, true, &parts);

	if (r == 0)
		r = foreign_call(next_write, &work);
	if (r < 0)
		return r == -EFAULT ? -EBADMSG : r;
	data_fd = part_open(store, old, PART_DATA, 0, O_RDWR);
	if (data_fd >= 0)
		repair_wake(data_fd, false); /* of a part that was destroyed there is nobody to wake */
	return 0;
}

/* ---- adoption ---- */

static int close_write(void *arg)
{
	struct cut_work *work = arg;
	struct shmb_shm_card *card = work->parts->card;
	int r = parts_check(work->parts, work->segment);

	if (r < 0)
		return r;
	state_store(card, work->segment->epoch, SHMB_STATE_SUPERSEDED);
	SHMB_STEP("close.state");
	cut_store(card, work->cut);
	SHMB_STEP("close.cut");
	atomic_store_explicit(&card->writer, work->writer, memory_order_release);
	SHMB_STEP("close.writer");
	if (work->lease_pid == 0)
		atomic_store_explicit(&card->lease_pid, 0, memory_order_release);
	SHMB_STEP("close.pid");
	next_store(card, work->next);
	SHMB_STEP("close.next");
	return 0;
}

int generation_close(struct store *store, struct segment *old, const struct shmb_shm_card *card, const uint8_t cookie[SHMB_COOKIE_BYTES],
		     uint64_t next, uint64_t base, bool other_boot)
{
	int32_t pid = atomic_load_explicit(&card->lease_pid, memory_order_relaxed);
	uint64_t state = atomic_load_explicit(&card->state, memory_order_relaxed);
	uint64_t cut = atomic_load_explicit(&card->cut, memory_order_relaxed);
	uint64_t writer = atomic_load_explicit(&card->writer, memory_order_relaxed);
	enum shmb_writer_state verdict = (enum shmb_writer_state)(writer & 0xff);
	auto_parts struct parts parts = { 0 };
	struct cut_work work = { .parts = &parts, .segment = old, .next = next, .writer = writer };
	int r;

	old->epoch = atomic_load_explicit(&card->lease_epoch, memory_order_relaxed);
	old->state = SHMB_STATE_SUPERSEDED;
	old->writer = verdict;
	if (pid != 0 && writer >> 8 == old->epoch && (verdict == SHMB_WRITER_CLOSED || verdict == SHMB_WRITER_DEAD)) {
		pid = 0; /* its release was cut off before that */
	} else if (pid != 0 && other_boot) {
		pid = 0;
		old->writer = SHMB_WRITER_DEAD;
		work.writer = shmb_writer_word(old->epoch, SHMB_WRITER_DEAD);
	} else if (pid != 0) {
		old->lease = (struct holder){
			.pid = pid,
			.uid = atomic_load_explicit(&card->lease_uid, memory_order_relaxed),
			.start_time = atomic_load_explicit(&card->lease_start, memory_order_relaxed),
		};
		memcpy(old->lease.cookie, cookie, SHMB_COOKIE_BYTES);
	}
	work.lease_pid = (uint64_t)pid;
	/* The cut was stored before the next card had its name; what is there is right, unless somebody else wrote it. */
	work.cut = cut != UINT64_MAX ? cut : base;
	if (state == shmb_state_word(old->epoch, SHMB_STATE_SUPERSEDED) && cut == work.cut && writer == work.writer &&
	    atomic_load_explicit(&card->lease_pid, memory_order_relaxed) == pid &&
	    atomic_load_explicit(&card->next, memory_order_relaxed) == next)
		return 0;
	r = parts_map(store, old, true, &parts);
	if (r < 0)
		return r;
	r = foreign_call(close_write, &work);
	return r == -EFAULT ? -EBADMSG : r;
}

/* ---- what the data says ---- */

/* A word of a part, read as a file. 0, or an error. */
static int word_read(struct store *store, const struct segment *segment, enum part part, size_t offset, uint64_t *word)
{
	auto_close int fd = part_open(store, segment, part, 0, O_RDONLY);
	ssize_t got;

	if (fd < 0)
		return fd;
	got = pread(fd, word, sizeof(*word), (off_t)offset);
	if (got < 0)
		return -errno;
	return got == sizeof(*word) ? 0 : -EBADMSG;
}

bool segment_is_unused(struct store *store, const struct segment *segment)
{
	uint64_t counter;

	return word_read(store, segment, PART_DATA, offsetof(struct shmb_shm_data, counter), &counter) == 0 &&
	       counter == segment->geometry.base;
}

bool segment_is_drained(struct store *store, const struct segment *segment)
{
	size_t cell = offsetof(struct shmb_shm_area, cells) + SHMB_QUEUE_CELL % SHMB_CELLS_PER_AREA * sizeof(struct shmb_shm_cell);
	uint64_t position;
	int r;

	/* Without an area nothing was ever consumed, and nothing ever will be. */
	if (segment->geometry.kind != SHMB_KIND_QUEUE || segment->geometry.area_count == 0 || segment->areas_lost)
		return true;
	if (segment->committed <= segment->geometry.base)
		return true;
	r = word_read(store, segment, PART_AREA, cell + offsetof(struct shmb_shm_cell, position), &position);
	/* Our own want says nothing about its items: they stay, and the next look tells. What its consumer destroyed, nobody can consume. */
	if (r < 0)
		return !store_is_short(r);
	return position >= segment->committed;
}
