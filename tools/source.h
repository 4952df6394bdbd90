/* SPDX-License-Identifier: MIT */
#ifndef SHMBCTL_SOURCE_H
#define SHMBCTL_SOURCE_H

/*
 * What a verb reads from: a ring, a value or a frame, behind one set of functions. Payloads are copied into a buffer of the source's own.
 */

#include "shmb.h"

enum source_as {
	SOURCE_OBSERVER, /* takes no cell, keeps nothing alive, notices what is new within 10 ms */
	SOURCE_READER,	 /* as a program would: woken at once, counted as a reader */
};

struct source {
	struct shmb_ring_reader *ring; /* exactly one of the three is open */
	struct shmb_value_reader *value;
	struct shmb_frame_reader *frame;
	const struct shmb_type *type;
	void *bytes;   /* the element read last, type->size bytes */
	size_t length; /* of it; frames may be shorter than their type */
};

/*
 * Opens what is there under this name. -EMEDIUMTYPE: a kind that is not for reading along (queue, block); it has been said on stderr. Else as
 * the library. source_close() in any case.
 */
int source_open(struct source *source, struct shmb *broker, const char *name, enum source_as as);
void source_close(struct source *source);
/* As shmb_ring_wait(). */
int source_wait(struct source *source, uint64_t deadline_ns);
/* The next in order; of a value the newest, if it is new. -ENODATA, -EAGAIN, -EBADMSG. */
int source_next(struct source *source, struct shmb_sample *sample);
/* The newest, new or not. */
int source_newest(struct source *source, struct shmb_sample *sample);
int source_status(struct source *source, struct shmb_segment_status *out);

/*
 * Ctrl-C and SIGTERM end what the verbs do in a loop: sets the handlers, and tells whether one came. SOURCE_SLICE_NS is how long one wait in such
 * a loop lasts at most.
 */
#define SOURCE_SLICE_NS UINT64_C(100000000)
void source_catch_signals(void);
int source_is_interrupted(void);
/* Sleeps until then (CLOCK_MONOTONIC), or until a signal, or until nobody reads our output. */
void source_sleep_until(uint64_t time_ns);

#endif
