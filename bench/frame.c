/* SPDX-License-Identifier: MIT */
/*
 * frame.handover: one frame from writer to reader by the same thread: loan, commit of the whole length, pin of the newest, release. Nobody
 * touches the payload but between blocks: who fills and uses a frame pays for that anyway. memcpy is what a handover by copies costs: one
 * in, one out, through four buffers.
 */
#include "parts.h"

#include <stdio.h>
#include <stdlib.h>

#include "common.h"
#include "shmb.h"

struct frames {
	struct shmb *broker;
	struct shmb_type *type;
	struct shmb_frame_writer *writer;
	struct shmb_frame_reader *reader;
	size_t bytes;
	uint64_t next;
	char name[64];
};

static void frames_deinit(void *state)
{
	struct frames *frames = state;

	shmb_frame_reader_close(frames->reader);
	shmb_frame_writer_close(frames->writer);
	shmb_remove(frames->broker, frames->name);
	shmb_type_free(frames->type);
	free(frames);
}

static int frames_init(void **state, const struct bench_place *place)
{
	struct frames *frames = calloc(1, sizeof(*frames));
	int r;

	if (frames == NULL)
		return -ENOMEM;
	frames->broker = place->broker;
	frames->bytes = place->which->bytes;
	snprintf(frames->name, sizeof(frames->name), "bench/frame/%zu", frames->bytes);
	r = shmb_type_opaque(&frames->type, frames->bytes);
	if (r == 0)
		r = shmb_frame_writer_open(&frames->writer, place->broker, frames->name, frames->type, NULL);
	if (r == 0)
		r = shmb_frame_reader_open(&frames->reader, place->broker, frames->name, frames->type, SHMB_NO_WAIT);
	if (r < 0) {
		fprintf(stderr, "bench: %s: %s\n", frames->name, shmb_text());
		frames_deinit(frames);
		return r;
	}
	*state = frames;
	return 0;
}

static int frames_run(void *state, uint64_t count)
{
	struct frames *frames = state;
	int r = 0;

	for (uint64_t i = 0; i < count; i++) {
		struct shmb_frame frame;
		size_t capacity;
		void *payload;

		r |= shmb_frame_loan(frames->writer, &payload, &capacity);
		r |= shmb_frame_commit(frames->writer, frames->bytes);
		r |= shmb_frame_pin_newest(frames->reader, &frame);
		r |= shmb_frame_release(frames->reader, &frame);
	}
	return r;
}

/* One with something in it. */
static int frames_check(void *state)
{
	struct frames *frames = state;
	struct shmb_frame frame;
	size_t capacity;
	void *payload;
	int r = shmb_frame_loan(frames->writer, &payload, &capacity);

	if (r < 0)
		return r;
	*(uint64_t *)payload = ++frames->next;
	r = shmb_frame_commit(frames->writer, frames->bytes);
	if (r == 0)
		r = shmb_frame_pin_newest(frames->reader, &frame);
	if (r < 0)
		return r;
	r = *(const uint64_t *)frame.payload == frames->next && frame.length == frames->bytes ? 0 : -EBADMSG;
	return shmb_frame_release(frames->reader, &frame) < 0 ? -EBADMSG : r;
}

const struct bench_impl handover_shmbroker = {
	.name = "shmbroker", .init = frames_init, .run = frames_run, .check = frames_check, .deinit = frames_deinit
};
