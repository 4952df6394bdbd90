/* SPDX-License-Identifier: MIT */
/*
 * A lease given up and taken back by the same client (segment.h).
 *
 * The verdict ALIVE, then the state HELD. Killed between them: the verdict is no longer GONE, so lease_settle() derives HELD, which the
 * client has asked for. The state word becomes the one that was granted, so the client's handle writes on; nobody else has written
 * meanwhile.
 */
#include "parts.h"
#include "proto/step.h"

#include <errno.h>

struct resume_work {
	struct parts *parts;
	const struct segment *segment;
};

static int lease_take_back(void *arg)
{
	struct resume_work *work = arg;
	struct shmb_shm_card *card = work->parts->card;
	uint64_t epoch = work->segment->epoch;
	int r = parts_check(work->parts, work->segment);

	if (r < 0)
		return r;
	/* Release as for every change of these words (ORDER writer.verdict, ORDER state.word in lease.c); nothing new comes before them. */
	atomic_store_explicit(&card->writer, shmb_writer_word(epoch, SHMB_WRITER_ALIVE), memory_order_release);
	SHMB_STEP("resume.writer");
	atomic_store_explicit(&card->state, shmb_state_word(epoch, SHMB_STATE_HELD), memory_order_release);
	SHMB_STEP("resume.state");
	return 0;
}

int segment_resume(struct store *store, struct segment *segment)
{
	auto_parts struct parts parts = { 0 };
	struct resume_work work = { .parts = &parts, .segment = segment };
	int r;

	if (segment->state != SHMB_STATE_GIVEN_UP)
		return -EINVAL;
	r = parts_map(store, segment, true, &parts);
	if (r < 0)
		return r;
	r = foreign_call(lease_take_back, &work);
	if (r < 0)
		return r == -EFAULT ? -EBADMSG : r;
	segment->state = SHMB_STATE_HELD;
	segment->writer = SHMB_WRITER_ALIVE;
	return 0;
}
