/* SPDX-License-Identifier: MIT */
/* Reading along, whatever the kind. */

#include "source.h"

#include "output.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static volatile sig_atomic_t source_signal;

static void source_on_signal(int signal)
{
	(void)signal;
	source_signal = 1;
}

void source_catch_signals(void)
{
	struct sigaction action = { .sa_handler = source_on_signal };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

int source_is_interrupted(void)
{
	return source_signal;
}

void source_sleep_until(uint64_t time_ns)
{
	while (!source_signal && !output_is_closed()) {
		uint64_t now = shmb_now_ns();
		uint64_t until = time_ns < now + SOURCE_SLICE_NS ? time_ns : now + SOURCE_SLICE_NS;
		struct timespec at = { .tv_sec = (time_t)(until / 1000000000), .tv_nsec = (long)(until % 1000000000) };

		if (now >= time_ns)
			return;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
	}
}

static int source_kind(const struct shmb_segment_info *info, const char *schema, const struct shmb_reader_info *readers, void *user)
{
	(void)schema;
	(void)readers;
	snprintf(user, 16, "%s", info->kind);
	return 0;
}

int source_open(struct source *source, struct shmb *broker, const char *name, enum source_as as)
{
	bool observe = as == SOURCE_OBSERVER;
	char kind[16];
	int r;

	*source = (struct source){ 0 };
	r = shmb_info(broker, name, source_kind, kind);
	if (r < 0)
		return r;
	if (strcmp(kind, "ring") == 0) {
		r = observe ? shmb_ring_observe(&source->ring, broker, name)
			    : shmb_ring_reader_open(&source->ring, broker, name, NULL, SHMB_NO_WAIT);
	} else if (strcmp(kind, "value") == 0) {
		r = observe ? shmb_value_observe(&source->value, broker, name)
			    : shmb_value_reader_open(&source->value, broker, name, NULL, SHMB_NO_WAIT);
	} else if (strcmp(kind, "frame") == 0) {
		r = observe ? shmb_frame_observe(&source->frame, broker, name)
			    : shmb_frame_reader_open(&source->frame, broker, name, NULL, SHMB_NO_WAIT);
	} else {
		char *escaped = output_escape(name);

		fprintf(stderr, "shmbctl: %s is a %s: what is in it is taken out by its consumer or changed in place, not read along\n",
			escaped ? escaped : "?", kind);
		free(escaped);
		return -EMEDIUMTYPE;
	}
	if (r < 0)
		return r;
	source->type = source->ring    ? shmb_ring_type(source->ring)
		       : source->value ? shmb_value_type(source->value)
				       : shmb_frame_type(source->frame);
	source->length = source->type->size;
	source->bytes = malloc(source->type->size);
	return source->bytes ? 0 : -ENOMEM;
}

void source_close(struct source *source)
{
	shmb_ring_reader_close(source->ring);
	shmb_value_reader_close(source->value);
	shmb_frame_reader_close(source->frame);
	free(source->bytes);
	*source = (struct source){ 0 };
}

int source_wait(struct source *source, uint64_t deadline_ns)
{
	return source->ring    ? shmb_ring_wait(source->ring, deadline_ns)
	       : source->value ? shmb_value_wait(source->value, deadline_ns)
			       : shmb_frame_wait(source->frame, deadline_ns);
}

static int source_frame(struct source *source, bool newest, struct shmb_sample *sample)
{
	struct shmb_frame frame;
	int r = newest ? shmb_frame_load_newest(source->frame, source->bytes, source->type->size, &frame)
		       : shmb_frame_load_next(source->frame, source->bytes, source->type->size, &frame);

	if (r < 0)
		return r;
	source->length = frame.length;
	*sample = (struct shmb_sample){ .number = frame.number, .stamp_ns = frame.stamp_ns, .missed = frame.missed };
	return 0;
}

/* All of this generation was read, and another one has followed it. */
static int source_follow(struct source *source)
{
	int r = shmb_follow(source->ring    ? shmb_ring_waitable(source->ring)
			    : source->value ? shmb_value_waitable(source->value)
					    : shmb_frame_waitable(source->frame));

	return r == 0 || r == -EAGAIN ? -ENODATA : r;
}

int source_next(struct source *source, struct shmb_sample *sample)
{
	int r;

	if (source->ring || source->frame) {
		r = source->ring ? shmb_ring_read_next(source->ring, source->bytes, sample) : source_frame(source, false, sample);
		return r == -EREMCHG ? source_follow(source) : r;
	}
	r = shmb_value_wait(source->value, SHMB_NO_WAIT);
	if (r == -EREMCHG)
		return source_follow(source);
	return r == -ETIMEDOUT ? -ENODATA : r < 0 ? r : shmb_value_load(source->value, source->bytes, sample);
}

int source_newest(struct source *source, struct shmb_sample *sample)
{
	if (source->ring)
		return shmb_ring_latest(source->ring, source->bytes, sample);
	return source->frame ? source_frame(source, true, sample) : shmb_value_load(source->value, source->bytes, sample);
}

int source_status(struct source *source, struct shmb_segment_status *out)
{
	return source->ring    ? shmb_ring_status(source->ring, out)
	       : source->value ? shmb_value_status(source->value, out)
			       : shmb_frame_status(source->frame, out);
}
