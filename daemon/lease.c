/* SPDX-License-Identifier: MIT */
/*
 * Who writes a segment: granting the lease and ending it (segment.h).
 *
 * Two words in the card are the truth, all others follow from them: `lease_pid` (who holds it, 0 nobody) and `writer` (epoch and verdict).
 * The broker can be killed between any two of the stores below; lease_settle(), which the scan calls, goes from whatever it finds to the
 * state before or the state after.
 *
 *   grant     while pid is 0: cookie (record), uid, start, epoch + 1; then pid: from here on it is granted; then writer, state.
 *             Killed before pid:    the lease is free, an epoch number is skipped, which nobody sees.
 *             Killed after it:      granted to a client that has not heard of it; writer and state are derived. It asks again.
 *   release   state FREE (the writer is stopped at its next claim), repair, then the verdict: from here on it has ended; then pid = 0, wake.
 *             Killed before the verdict:  still held, as if nothing had happened: state is derived as HELD, repairing again finds nothing to do.
 *             Killed after it:            the verdict of this very epoch beside a pid says that the release is to be finished.
 *             Killed before the wake:     the next broker bumps every event page at its start, and every sleeper looks again.
 *             Of a superseded generation the state stays SUPERSEDED throughout (generation.c).
 *   give up   state GIVEN_UP, then the verdict GONE. Killed between them: still held; the client, not heard of again, is let go again.
 *
 * pid goes to 0 last: while it stands, a broker that comes after knows that there may be something to repair.
 */
#include "lease.h"

#include "cleanup.h"
#include "log.h"
#include "proto/step.h"
#include "repair.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

struct lease_work {
	struct parts *parts;
	const struct segment *segment;
	const struct holder *who;
	uint64_t epoch;
	enum shmb_state state;
	enum shmb_writer_state verdict;
};

static void lease_state_store(struct shmb_shm_card *card, uint64_t epoch, enum shmb_state state)
{
	/* ORDER state.word (release). Partner: writer_check().
	 * Orders:  lease fields -> state word.
	 * Without: a write under a lease that somebody else holds.
	 * Model:   none: one word, compared whole; who was in mid-claim finishes that one write, which repair expects */
	atomic_store_explicit(&card->state, shmb_state_word(epoch, state), memory_order_release);
}

static void lease_verdict_store(struct shmb_shm_card *card, uint64_t epoch, enum shmb_writer_state verdict)
{
	/* ORDER writer.verdict (release). Partner: look().
	 * Orders:  repaired slot, counter -> verdict.
	 * Without: a reader is told that the writer is dead before it has seen all its data.
	 * Model:   tests/model/src/verdict.rs */
	atomic_store_explicit(&card->writer, shmb_writer_word(epoch, verdict), memory_order_release);
}

/* ---- release ---- */

static int lease_stop(void *arg)
{
	struct lease_work *work = arg;
	int r = parts_check(work->parts, work->segment);

	if (r < 0)
		return r;
	lease_state_store(work->parts->card, work->epoch, work->state);
	SHMB_STEP("release.state");
	return 0;
}

static int lease_judge(void *arg)
{
	struct lease_work *work = arg;
	struct shmb_shm_card *card = work->parts->card;

	lease_verdict_store(card, work->epoch, work->verdict);
	SHMB_STEP("repair.verdict");
	if (work->verdict != SHMB_WRITER_GONE)
		atomic_store_explicit(&card->lease_pid, 0, memory_order_release);
	SHMB_STEP("release.pid");
	return 0;
}

static int release(struct store *store, struct segment *segment, enum shmb_state state, enum shmb_writer_state verdict, unsigned *mended)
{
	bool ends = verdict != SHMB_WRITER_GONE;
	auto_parts struct parts parts = { 0 };
	struct lease_work work = { .parts = &parts, .segment = segment, .epoch = segment->epoch, .state = state, .verdict = verdict };
	auto_close int data_fd = -1;
	struct repair repair = { 0 };
	int r;

	r = parts_map(store, segment, true, &parts);
	if (r < 0)
		return r;
	data_fd = part_open(store, segment, PART_DATA, 0, O_RDWR);
	if (data_fd < 0 && store_is_short(data_fd))
		return data_fd;
	SHMB_STEP("release.begin");
	r = foreign_call(lease_stop, &work);
	if (r < 0)
		return r;
	/* What becomes of the data changes nothing about the lease: its holder may have destroyed it, and it ends all the same. */
	if (data_fd < 0) {
		log_error("%s: its data part is gone: %s; remove the segment", segment->name, strerror(-data_fd));
	} else if (ends) {
		r = repair_data(data_fd, &segment->geometry, &repair);
		if (r < 0 && store_is_short(r))
			return r;
		if (r < 0)
			log_error("%s: its data part cannot be repaired%s: %s; remove the segment", segment->name,
				  r == -EBADMSG ? ", its file was made shorter by who could write it" : "", strerror(-r));
		else if (repair.next >= SHMB_NUMBER_MAX)
			log_error("%s: its writer left a counter that cannot be: the next writer gets new memory", segment->name);
	}
	*mended = repair.mended;
	r = foreign_call(lease_judge, &work);
	if (r < 0)
		return r;
	r = data_fd >= 0 ? repair_wake(data_fd, ends) : 0;
	return r < 0 && store_is_short(r) ? r : 0; /* what else can fail here has been said above */
}

int segment_release(struct store *store, struct segment *segment, enum shmb_writer_state verdict, unsigned *repaired)
{
	bool gone = verdict == SHMB_WRITER_GONE;
	enum shmb_state state = gone ? SHMB_STATE_GIVEN_UP : SHMB_STATE_FREE;
	unsigned mended = 0;
	int r;

	/* What it may still have published lies behind the cut, or is the last number before it, which its readers may have or not. */
	if (segment->state == SHMB_STATE_SUPERSEDED)
		state = SHMB_STATE_SUPERSEDED;
	assert(verdict == SHMB_WRITER_CLOSED || verdict == SHMB_WRITER_DEAD || gone);
	assert(segment->lease.pid != 0);
	r = release(store, segment, state, verdict, &mended);
	if (r < 0 && store_is_short(r))
		return r;
	if (r < 0)
		log_error("%s: the lease of pid %d ends here, but cannot be ended in its files: %s", segment->name, segment->lease.pid,
			  strerror(-r));
	/* The broker's own view follows in any case: a holder whose files were destroyed is no holder. */
	segment->state = state;
	segment->writer = verdict;
	if (!gone)
		segment->lease = (struct holder){ 0 };
	if (repaired != NULL)
		*repaired = mended;
	return r == -EFAULT ? -EBADMSG : r;
}

/* ---- grant ---- */

static int lease_write(void *arg)
{
	struct lease_work *work = arg;
	struct shmb_shm_card *card = work->parts->card;
	int r = parts_check(work->parts, work->segment);

	if (r < 0)
		return r;
	if (atomic_load_explicit(&card->lease_pid, memory_order_relaxed) != 0)
		return -EBUSY;
	memcpy(work->parts->record->lease_cookie, work->who->cookie, SHMB_COOKIE_BYTES);
	SHMB_STEP("grant.cookie");
	atomic_store_explicit(&card->lease_uid, work->who->uid, memory_order_relaxed);
	atomic_store_explicit(&card->lease_start, work->who->start_time, memory_order_relaxed);
	SHMB_STEP("grant.start");
	atomic_store_explicit(&card->lease_epoch, work->epoch, memory_order_relaxed);
	SHMB_STEP("grant.epoch");
	/* Release: for the broker that comes after this one, the compiler must not move the stores above below it. */
	atomic_store_explicit(&card->lease_pid, work->who->pid, memory_order_release);
	SHMB_STEP("grant.pid");
	lease_verdict_store(card, work->epoch, SHMB_WRITER_ALIVE);
	SHMB_STEP("grant.writer");
	lease_state_store(card, work->epoch, SHMB_STATE_HELD);
	SHMB_STEP("grant.state");
	return 0;
}

static int lease_is_left(void *arg)
{
	const struct lease_work *work = arg;
	int r = parts_check(work->parts, work->segment);

	return r < 0 ? r : atomic_load_explicit(&work->parts->card->lease_pid, memory_order_relaxed) != 0;
}

/* The release before could not reach the files: done now, else nobody would write here any more. */
static int lease_finish(struct store *store, struct segment *segment)
{
	auto_parts struct parts parts = { 0 };
	struct lease_work work = { .parts = &parts, .segment = segment };
	enum shmb_writer_state verdict = segment->writer == SHMB_WRITER_CLOSED ? SHMB_WRITER_CLOSED : SHMB_WRITER_DEAD;
	unsigned mended;
	int r = parts_map(store, segment, false, &parts);

	if (r == 0)
		r = foreign_call(lease_is_left, &work);
	if (r <= 0)
		return r;
	return release(store, segment, SHMB_STATE_FREE, verdict, &mended);
}

int segment_grant(struct store *store, struct segment *segment, const struct holder *who)
{
	auto_parts struct parts parts = { 0 };
	auto_close int data_fd = -1;
	struct lease_work work = { .parts = &parts, .segment = segment, .who = who, .epoch = segment->epoch + 1 };
	struct repair repair;
	int r;

	if (who->pid <= 0)
		return -EOPNOTSUPP; /* a process the broker cannot see cannot be watched */
	if (segment->state != SHMB_STATE_FREE || segment->lease.pid != 0)
		return -EBUSY;
	r = lease_finish(store, segment);
	if (r < 0)
		return r == -EFAULT ? -EBADMSG : r;
	/* Nothing should be left to mend: a writer that closed in order and went on writing all the same is the exception. */
	data_fd = part_open(store, segment, PART_DATA, 0, O_RDWR);
	if (data_fd < 0)
		return data_fd;
	r = repair_data(data_fd, &segment->geometry, &repair);
	if (r < 0)
		return r;
	if (repair.next >= SHMB_NUMBER_MAX)
		return -EOVERFLOW;
	r = parts_map(store, segment, true, &parts);
	if (r < 0)
		return store_error(r);
	r = foreign_call(lease_write, &work);
	if (r < 0)
		return r == -EFAULT ? -EBADMSG : r;
	segment->epoch = work.epoch;
	segment->state = SHMB_STATE_HELD;
	segment->writer = SHMB_WRITER_ALIVE;
	segment->lease = *who;
	return 0;
}

/* ---- adoption ---- */

static uint64_t word_epoch(uint64_t word)
{
	return word >> 8;
}

const char *lease_check(const struct shmb_shm_card *card)
{
	uint64_t epoch = atomic_load_explicit(&card->lease_epoch, memory_order_relaxed);
	uint64_t state = atomic_load_explicit(&card->state, memory_order_relaxed);
	uint64_t writer = atomic_load_explicit(&card->writer, memory_order_relaxed);

	if (atomic_load_explicit(&card->lease_pid, memory_order_relaxed) < 0)
		return "the lease's process cannot be";
	if (epoch > UINT64_MAX >> 8 || word_epoch(state) > epoch || word_epoch(writer) > epoch)
		return "the epochs of lease, state and verdict contradict each other";
	if ((state & 0xff) == SHMB_STATE_NONE || (state & 0xff) > SHMB_STATE_REMOVED)
		return "the state is unknown";
	if ((writer & 0xff) > SHMB_WRITER_DUMPING)
		return "the verdict on the writer is unknown";
	return NULL;
}

struct settle_work {
	struct parts *parts;
	const struct segment *segment;
	uint64_t state;
	uint64_t writer;
};

static int words_store(void *arg)
{
	struct settle_work *work = arg;
	struct shmb_shm_card *card = work->parts->card;
	int r = parts_check(work->parts, work->segment);

	if (r < 0)
		return r;
	lease_verdict_store(card, word_epoch(work->writer), (enum shmb_writer_state)(work->writer & 0xff));
	SHMB_STEP("adopt.writer");
	lease_state_store(card, word_epoch(work->state), (enum shmb_state)(work->state & 0xff));
	SHMB_STEP("adopt.state");
	return 0;
}

int lease_settle(struct store *store, struct segment *segment, const struct shmb_shm_card *card, const uint8_t cookie[SHMB_COOKIE_BYTES],
		 bool other_boot)
{
	int32_t pid = atomic_load_explicit(&card->lease_pid, memory_order_relaxed);
	uint64_t epoch = atomic_load_explicit(&card->lease_epoch, memory_order_relaxed);
	uint64_t state_word = atomic_load_explicit(&card->state, memory_order_relaxed);
	uint64_t writer_word = atomic_load_explicit(&card->writer, memory_order_relaxed);
	enum shmb_writer_state verdict = (enum shmb_writer_state)(writer_word & 0xff);
	bool judged = word_epoch(writer_word) == epoch && (verdict == SHMB_WRITER_CLOSED || verdict == SHMB_WRITER_DEAD);
	auto_parts struct parts parts = { 0 };
	struct settle_work work = { .parts = &parts, .segment = segment, .state = state_word, .writer = writer_word };
	int r;

	segment->epoch = epoch;
	if (pid == 0) {
		segment->state = SHMB_STATE_FREE;
		segment->writer = verdict;
		/* An epoch may have been skipped (killed in grant, before the pid): the words of the one before are right. */
		if ((state_word & 0xff) != SHMB_STATE_FREE)
			work.state = shmb_state_word(epoch, SHMB_STATE_FREE);
	} else {
		segment->lease = (struct holder){
			.pid = pid,
			.uid = atomic_load_explicit(&card->lease_uid, memory_order_relaxed),
			.start_time = atomic_load_explicit(&card->lease_start, memory_order_relaxed),
		};
		memcpy(segment->lease.cookie, cookie, SHMB_COOKIE_BYTES);
		if (judged || other_boot) {
			unsigned mended = 0;

			r = segment_release(store, segment, judged ? verdict : SHMB_WRITER_DEAD, &mended);
			if (r == 0)
				log_notice("%s: pid %d no longer writes it%s%s", segment->name, pid,
					   other_boot ? ", it was before the host was started again" : "",
					   mended != 0 ? "; a half-written element was mended" : "");
			return r;
		}
		if (word_epoch(writer_word) == epoch && verdict == SHMB_WRITER_GONE) {
			segment->state = SHMB_STATE_GIVEN_UP;
			segment->writer = SHMB_WRITER_GONE;
		} else {
			segment->state = SHMB_STATE_HELD;
			segment->writer = SHMB_WRITER_ALIVE;
		}
		work.state = shmb_state_word(epoch, segment->state);
		work.writer = shmb_writer_word(epoch, segment->writer);
	}
	if (work.state == state_word && work.writer == writer_word)
		return 0;
	r = parts_map(store, segment, true, &parts);
	if (r < 0)
		return r;
	r = foreign_call(words_store, &work);
	return r == -EFAULT ? -EBADMSG : r;
}
