/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_FOLLOW_H
#define EXAMPLES_FOLLOW_H

/*
 * Follows one segment in a thread of its own: waits, reads everything that comes, keeps the books (samples, lost, latency, rate) and the
 * newest payload, and tells about the writer's end. A program that follows several segments has one of these for each; all share the
 * connection.
 */

#include "histogram.h"
#include "shmb.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { FOLLOW_NAME_MAX = 256 };

enum follow_event {
	FOLLOW_OPENED,	      /* the segment is there */
	FOLLOW_SAMPLE,	      /* one was read; called for each */
	FOLLOW_WRITER_DEAD,   /* every sample it wrote was read before */
	FOLLOW_WRITER_CLOSED, /* likewise */
	FOLLOW_ENDED,	      /* cannot go on: `error` */
};

/* What is known of a segment; copied out under the lock by follow_look(). */
struct follow_state {
	bool is_open;
	bool is_value;
	bool is_stamped;
	int error; /* why it ended; 0 while it goes on */
	uint64_t samples;
	uint64_t lost;
	uint64_t first; /* number of the first sample read */
	uint64_t last;	/* number of the newest sample read; valid once samples > 0 */
	struct shmb_segment_status status;
	bool has_window; /* the three that follow are known */
	double rate;	 /* samples a second, and latencies from write to arrival, in the last full second */
	uint64_t p50_ns;
	uint64_t p99_ns;
};

struct follow {
	char name[FOLLOW_NAME_MAX];
	struct shmb *broker;
	uint64_t open_deadline_ns;
	/* Called in the thread, without the lock. For FOLLOW_SAMPLE, `payload` and `sample` are set. */
	void (*notice)(struct follow *follow, enum follow_event event, const void *payload, const struct shmb_sample *sample);
	void *user;

	pthread_t thread;
	bool is_started;
	atomic_bool is_stopped;

	/* the thread's own */
	struct shmb_ring_reader *ring;
	struct shmb_value_reader *value;
	const struct shmb_type *type;
	void *payload;
	uint64_t refreshed_ns;

	/* under the lock */
	pthread_mutex_t lock;
	struct follow_state state;
	void *newest; /* copy of the newest payload, type->size bytes */
	struct histogram total;
	struct histogram window;   /* the second that is running */
	struct histogram previous; /* the one before it */
	uint64_t window_ns;	   /* when that second began */
	uint64_t window_samples;
};

/* Starts following. `notice` may be NULL. 0 or a negative errno; what happens to the segment comes through `notice` and follow_look(). */
int follow_start(struct follow *follow, struct shmb *broker, const char *name, uint64_t open_deadline_ns,
		 void (*notice)(struct follow *follow, enum follow_event event, const void *payload, const struct shmb_sample *sample),
		 void *user);
/* Ends the thread (within a fifth of a second) and closes. What was counted stays readable until follow_deinit(). */
void follow_stop(struct follow *follow);
void follow_deinit(struct follow *follow);

/* Copies the books. Adds the latencies of all time, or those of the last full second, to histograms; both may be NULL. */
void follow_look(struct follow *follow, struct follow_state *out, struct histogram *total, struct histogram *recent);
/* Within `notice` of this follow only: looks at, or reads, the segment itself. */
int follow_status(struct follow *follow, struct shmb_segment_status *out);
int follow_read(struct follow *follow, uint64_t number, void *payload);

#endif
