/* SPDX-License-Identifier: MIT */
/*
 * The loop of a reader as any program would write it: wait for news until a deadline, then read until there is nothing left. A dead or
 * closed writer is an answer of the wait, not the end: waiting again waits for the next writer. The deadline is short only so that the
 * thread sees when it is to stop.
 */

#include "follow.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLLOW_SLICE_NS UINT64_C(200000000)
#define FOLLOW_WINDOW_NS UINT64_C(1000000000)

static int follow_wait(struct follow *follow, uint64_t deadline_ns)
{
	return follow->ring ? shmb_ring_wait(follow->ring, deadline_ns) : shmb_value_wait(follow->value, deadline_ns);
}

int follow_status(struct follow *follow, struct shmb_segment_status *out)
{
	return follow->ring ? shmb_ring_status(follow->ring, out) : shmb_value_status(follow->value, out);
}

int follow_read(struct follow *follow, uint64_t number, void *payload)
{
	struct shmb_sample sample;
	int r;

	if (follow->ring)
		return shmb_ring_read(follow->ring, number, payload, NULL);
	r = shmb_value_load(follow->value, payload, &sample);
	return r == 0 && sample.number != number ? -ESTALE : r;
}

static void follow_tell(struct follow *follow, enum follow_event event)
{
	if (follow->notice)
		follow->notice(follow, event, NULL, NULL);
}

/* Closes the window when its time is over; a window without samples is one with a rate of 0. */
static void follow_turn_window(struct follow *follow, uint64_t now_ns)
{
	struct follow_state *state = &follow->state;
	uint64_t length = now_ns - follow->window_ns;

	if (length < FOLLOW_WINDOW_NS)
		return;
	state->rate = (double)follow->window_samples * 1e9 / (double)length;
	state->p50_ns = histogram_percentile(&follow->window, 0.5);
	state->p99_ns = histogram_percentile(&follow->window, 0.99);
	state->has_window = true;
	follow->previous = follow->window;
	memset(&follow->window, 0, sizeof(follow->window));
	follow->window_samples = 0;
	follow->window_ns = now_ns;
}

static void follow_count(struct follow *follow, const struct shmb_sample *sample, uint64_t now_ns)
{
	struct follow_state *state = &follow->state;
	uint64_t latency = sample->stamp_ns && now_ns > sample->stamp_ns ? now_ns - sample->stamp_ns : 0;

	pthread_mutex_lock(&follow->lock);
	follow_turn_window(follow, now_ns);
	follow->window_samples++;
	if (state->samples == 0) {
		/* it was there before us: its age is no latency */
		state->first = sample->number;
	} else {
		state->lost += sample->missed;
		histogram_add(&follow->total, latency);
		histogram_add(&follow->window, latency);
	}
	state->samples++;
	state->last = sample->number;
	state->is_stamped = sample->stamp_ns != 0;
	memcpy(follow->newest, follow->payload, follow->type->size);
	pthread_mutex_unlock(&follow->lock);
}

/* Reads all there is. 0, or what makes going on impossible. */
static int follow_drain(struct follow *follow)
{
	struct shmb_sample sample;
	int r;

	while (!atomic_load_explicit(&follow->is_stopped, memory_order_relaxed)) {
		r = follow->ring ? shmb_ring_read_next(follow->ring, follow->payload, &sample)
				 : shmb_value_load(follow->value, follow->payload, &sample);
		if (r == -ENODATA || r == -EAGAIN || r == -EREMCHG)
			return 0; /* -EREMCHG: the next wait goes on in the new generation */
		if (r < 0)
			return r;
		follow_count(follow, &sample, shmb_now_ns());
		if (follow->notice)
			follow->notice(follow, FOLLOW_SAMPLE, follow->payload, &sample);
		if (follow->value)
			return 0; /* loading again gives the same */
	}
	return 0;
}

/* Waits for the name in slices, so that the thread can be stopped meanwhile. */
static int follow_open_wait(struct follow *follow)
{
	uint64_t until;
	int r;

	do {
		until = shmb_now_ns() + FOLLOW_SLICE_NS;
		if (until > follow->open_deadline_ns)
			until = follow->open_deadline_ns;
		r = shmb_ring_reader_open(&follow->ring, follow->broker, follow->name, NULL, until);
		if (r == -EMEDIUMTYPE)
			r = shmb_value_reader_open(&follow->value, follow->broker, follow->name, NULL, SHMB_NO_WAIT);
	} while (r == -ENOENT && until < follow->open_deadline_ns && !atomic_load_explicit(&follow->is_stopped, memory_order_relaxed));
	return r;
}

static int follow_open(struct follow *follow)
{
	int r = follow_open_wait(follow);

	if (r < 0)
		return r;
	pthread_mutex_lock(&follow->lock);
	follow->type = follow->ring ? shmb_ring_type(follow->ring) : shmb_value_type(follow->value);
	follow->payload = calloc(1, follow->type->size);
	follow->newest = calloc(1, follow->type->size);
	r = follow->payload && follow->newest ? follow_status(follow, &follow->state.status) : -ENOMEM;
	follow->state.is_open = r == 0;
	follow->state.is_value = follow->value != NULL;
	follow->window_ns = shmb_now_ns();
	pthread_mutex_unlock(&follow->lock);
	return r;
}

/* What the broker says of the writer, now and then and after each change. It lies in shared memory: looking costs nothing. */
static int follow_refresh(struct follow *follow, bool is_due)
{
	struct shmb_segment_status status;
	uint64_t now = shmb_now_ns();
	int r;

	if (!is_due && now - follow->refreshed_ns < FOLLOW_SLICE_NS)
		return 0;
	follow->refreshed_ns = now;
	r = follow_status(follow, &status);
	pthread_mutex_lock(&follow->lock);
	follow_turn_window(follow, now);
	if (r == 0)
		follow->state.status = status;
	pthread_mutex_unlock(&follow->lock);
	return r;
}

static int follow_step(struct follow *follow)
{
	int waited = follow_wait(follow, shmb_now_ns() + FOLLOW_SLICE_NS);
	int r = waited == 0 ? follow_drain(follow) : 0;

	if (r == 0)
		r = follow_refresh(follow, waited != 0);
	if (r < 0)
		return r;
	switch (waited) {
	case -EOWNERDEAD:
		follow_tell(follow, FOLLOW_WRITER_DEAD);
		return 0;
	case -EPIPE:
		follow_tell(follow, FOLLOW_WRITER_CLOSED);
		return 0;
	case 0:
	case -ETIMEDOUT:
	case -EREMCHG:
		return 0;
	default:
		return waited;
	}
}

static void *follow_run(void *user)
{
	struct follow *follow = user;
	int r = follow_open(follow);

	if (r == 0)
		follow_tell(follow, FOLLOW_OPENED);
	while (r == 0 && !atomic_load_explicit(&follow->is_stopped, memory_order_relaxed))
		r = follow_step(follow);
	if (r < 0) {
		pthread_mutex_lock(&follow->lock);
		follow->state.error = r;
		pthread_mutex_unlock(&follow->lock);
		follow_tell(follow, FOLLOW_ENDED);
	}
	return NULL;
}

int follow_start(struct follow *follow, struct shmb *broker, const char *name, uint64_t open_deadline_ns,
		 void (*notice)(struct follow *follow, enum follow_event event, const void *payload, const struct shmb_sample *sample),
		 void *user)
{
	int r;

	memset(follow, 0, sizeof(*follow));
	if (strlen(name) >= sizeof(follow->name))
		return -ENAMETOOLONG;
	strcpy(follow->name, name);
	follow->broker = broker;
	follow->open_deadline_ns = open_deadline_ns;
	follow->notice = notice;
	follow->user = user;
	pthread_mutex_init(&follow->lock, NULL);
	r = pthread_create(&follow->thread, NULL, follow_run, follow);
	if (r != 0)
		return -r;
	follow->is_started = true;
	return 0;
}

void follow_stop(struct follow *follow)
{
	if (!follow->is_started)
		return;
	atomic_store_explicit(&follow->is_stopped, true, memory_order_relaxed);
	pthread_join(follow->thread, NULL);
	follow->is_started = false;
}

void follow_deinit(struct follow *follow)
{
	follow_stop(follow);
	shmb_ring_reader_close(follow->ring);
	shmb_value_reader_close(follow->value);
	free(follow->payload);
	free(follow->newest);
	pthread_mutex_destroy(&follow->lock);
}

void follow_look(struct follow *follow, struct follow_state *out, struct histogram *total, struct histogram *recent)
{
	pthread_mutex_lock(&follow->lock);
	*out = follow->state;
	if (total)
		histogram_merge(total, &follow->total);
	if (recent)
		histogram_merge(recent, &follow->previous);
	pthread_mutex_unlock(&follow->lock);
}
