/* SPDX-License-Identifier: MIT */
/*
 * Looking at a writer that holds its lease, and saying in the card what becomes of it (segment.h).
 *
 * A verdict between grant and release changes one word and nothing that follows from it: killed before the store or before the wake-up, the
 * next broker begins with ALIVE (lease_settle()), wakes everybody at its start, and judges anew.
 */
#include "cleanup.h"
#include "parts.h"
#include "repair.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>

struct pulse_work {
	struct shmb_shm_data *data;
	uint64_t now_ns;
	struct segment_pulse *pulse;
};

static int pulse_read(void *arg)
{
	struct pulse_work *work = arg;
	uint64_t counter = atomic_load_explicit(&work->data->counter, memory_order_relaxed);
	uint64_t heartbeat = atomic_load_explicit(&work->data->heartbeat_ns, memory_order_relaxed);

	/* Readers of safe-shm's header know a writer by its heartbeat alone; one that does not stamp gets it here. */
	if (counter != work->pulse->counter && heartbeat < work->now_ns) {
		heartbeat = work->now_ns;
		atomic_store_explicit(&work->data->heartbeat_ns, heartbeat, memory_order_relaxed);
	}
	*work->pulse = (struct segment_pulse){ .counter = counter, .heartbeat_ns = heartbeat };
	return 0;
}

int segment_pulse(struct store *store, struct segment *segment, uint64_t now_ns, struct segment_pulse *pulse)
{
	auto_foreign struct foreign map = { 0 };
	struct pulse_work work = { .now_ns = now_ns, .pulse = pulse };
	int r = part_map(store, segment, PART_DATA, 0, 0, SHMB_PAGE, true, &map);

	if (r < 0)
		return r;
	work.data = map.at;
	r = foreign_call(pulse_read, &work);
	return r == -EFAULT ? -EBADMSG : r;
}

struct judge_work {
	struct parts *parts;
	const struct segment *segment;
	enum shmb_writer_state verdict;
};

static int verdict_store(void *arg)
{
	struct judge_work *work = arg;
	int r = parts_check(work->parts, work->segment);

	if (r < 0)
		return r;
	/* Release as for every verdict (ORDER writer.verdict in lease.c). */
	atomic_store_explicit(&work->parts->card->writer, shmb_writer_word(work->segment->epoch, work->verdict), memory_order_release);
	return 0;
}

int segment_judge(struct store *store, struct segment *segment, enum shmb_writer_state verdict)
{
	auto_parts struct parts parts = { 0 };
	auto_close int data_fd = -1;
	struct judge_work work = { .parts = &parts, .segment = segment, .verdict = verdict };
	int r;

	assert(segment->state == SHMB_STATE_HELD);
	assert(verdict == SHMB_WRITER_ALIVE || verdict >= SHMB_WRITER_STOPPED);
	segment->writer = verdict;
	r = parts_map(store, segment, true, &parts);
	if (r == 0)
		r = foreign_call(verdict_store, &work);
	if (r < 0)
		return r == -EFAULT ? -EBADMSG : r;
	data_fd = part_open(store, segment, PART_DATA, 0, O_RDWR);
	return data_fd < 0 ? data_fd : repair_wake(data_fd, false);
}
