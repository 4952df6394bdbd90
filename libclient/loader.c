/* SPDX-License-Identifier: MIT */
/*
 * Loaders (shmb_loader.h): a thread, three buffers, and one word that says which is whose.
 *
 * The word `middle` holds the index of the buffer that nobody works with, and whether it is newer than what the caller has. The thread
 * fills its own buffer and exchanges it for the middle one; the caller exchanges the one it holds for the middle one when that is newer.
 * So each buffer belongs to one of three places at any time, and neither side waits for the other.
 *
 * The caller sleeps on `news`, which the thread counts up after each exchange and each thing it was told about the writer. A wait of the
 * thread is ended by cancelling it, however long it would have lasted; after each it looks whether it shall end.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "futex.h"
#include "proto/step.h"
#include "segment.h"
#include "text.h"
#include "wait.h"

enum {
	BUFFERS = 3,
	INDEX = 3, /* of `middle`: which buffer */
	FRESH = 4, /* of `middle`: newer than the caller's */
};

/*
 * What the thread does not ask at once again: an element that is overwritten faster than it can be copied; data that cannot be, a generation to which it
 * may not go on.
 */
#define AGAIN_NS UINT64_C(1000000)
#define BROKEN_NS UINT64_C(100000000)

struct buffer {
	unsigned char *payload;
	size_t length;
	struct shmb_sample sample;
};

struct shmb_loader {
	struct buffer buffers[BUFFERS];
	unsigned char *memory; /* of their payloads */
	struct reader *reader;
	pthread_t thread;

	/* both sides' */
	_Alignas(SHMB_CACHE_LINE) _Atomic uint32_t middle;
	_Atomic uint32_t news;
	_Atomic uint32_t sleeper; /* the caller sleeps on news */
	_Atomic uint32_t stop;	  /* the thread shall end; it sleeps on it when it sleeps on nothing else */
	_Atomic int told;	  /* what the thread was told about the writer, 0 nothing */

	/* the thread's */
	_Alignas(SHMB_CACHE_LINE) uint32_t back;

	/* the caller's */
	_Alignas(SHMB_CACHE_LINE) uint32_t front;
	uint64_t next; /* after the last snapshot's number */
	bool has_snapshot;
};

/* ---- the thread ---- */

static int load_slot(struct shmb_loader *loader, struct buffer *buffer)
{
	buffer->length = loader->reader->mappings.geometry.payload_bytes;
	return slots_latest(&loader->reader->slots, buffer->payload, &buffer->sample);
}

static int load_frame(struct shmb_loader *loader, struct buffer *buffer)
{
	struct shmb_frame frame;
	int r = shmb_frame_load_newest((struct shmb_frame_reader *)loader->reader, buffer->payload,
				       loader->reader->mappings.geometry.payload_bytes, &frame);

	if (r < 0)
		return r;
	buffer->length = frame.length;
	buffer->sample = (struct shmb_sample){ .number = frame.number, .stamp_ns = frame.stamp_ns, .missed = frame.missed };
	return 0;
}

/* Loads the newest element, if it is newer than the one before, and hands it over. */
static int load(struct shmb_loader *loader)
{
	struct buffer *buffer = &loader->buffers[loader->back];
	int r = loader->reader->mappings.geometry.kind == SHMB_KIND_FRAME ? load_frame(loader, buffer) : load_slot(loader, buffer);

	/* Release: with the index go the bytes. Acquire: what comes back was let go by the caller, who has read it. */
	if (r == 0)
		loader->back = atomic_exchange_explicit(&loader->middle, loader->back | FRESH, memory_order_acq_rel) & INDEX;
	return r;
}

static void tell(struct shmb_loader *loader, int what)
{
	if (what != 0)
		atomic_store_explicit(&loader->told, what, memory_order_release);
	atomic_fetch_add_explicit(&loader->news, 1, memory_order_release);
	/* Either we see the sleeper or it sees the news. */
	shmb_fence_seq_cst();
	if (atomic_load_explicit(&loader->sleeper, memory_order_relaxed) != 0)
		futex_wake_all(&loader->news);
}

static bool stops(const struct shmb_loader *loader)
{
	return atomic_load_explicit(&loader->stop, memory_order_acquire) != 0;
}

static void rest(struct shmb_loader *loader, uint64_t span)
{
	futex_sleep(&loader->stop, 0, clock_within(span, UINT64_MAX));
}

/* Nothing will ever come: removed, or superseded by something that this reader cannot read. */
static bool is_final(int r)
{
	return r == -ESTALE || r == -EPROTOTYPE || r == -EMEDIUMTYPE;
}

/* What a wait says once, so that the next one waits; all else it says each time, at once, and perhaps after a request. */
static bool is_news(int r)
{
	return r == 0 || r == -EOWNERDEAD || r == -EPIPE || r == -EHOSTDOWN || r == -EREMCHG || r == -ECANCELED;
}

static void *run(void *arg)
{
	struct shmb_loader *loader = arg;

	while (!stops(loader)) {
		int r = slots_wait(&loader->reader->slots, loader->reader->handle.broker, SHMB_FOREVER);

		if (stops(loader))
			break;
		if (r == 0)
			r = load(loader);
		if (r == -EAGAIN || r == -ENODATA) {
			rest(loader, AGAIN_NS);
			continue;
		}
		tell(loader, r);
		if (is_final(r))
			break;
		if (!is_news(r))
			rest(loader, BROKEN_NS);
	}
	return NULL;
}

/* ---- opening and closing ---- */

static int thread_start(struct shmb_loader *loader)
{
	sigset_t all, before;
	int r;

	/* The new thread has them blocked from its first instruction. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&loader->thread, NULL, run, loader);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r != 0)
		return text_fail(-r, "the loader's thread cannot be started: %s", strerrordesc_np(r));
	pthread_setname_np(loader->thread, "shmb-loader");
	return 0;
}

static struct shmb_loader *loader_free(struct shmb_loader *loader)
{
	free(loader->memory);
	free(loader);
	return NULL;
}

static int loader_open(struct shmb_loader **out, struct reader *reader)
{
	uint64_t stride = (reader->mappings.geometry.payload_bytes + SHMB_CACHE_LINE - 1) & ~(uint64_t)(SHMB_CACHE_LINE - 1);
	struct shmb_loader *loader;
	int r;

	*out = NULL;
	if (!connection_is_ours(reader->handle.broker))
		return text_forked();
	loader = aligned_alloc(SHMB_CACHE_LINE, sizeof(*loader));
	if (loader == NULL)
		return text_fail(-ENOMEM, "no memory for a loader");
	memset(loader, 0, sizeof(*loader));
	loader->memory = aligned_alloc(SHMB_CACHE_LINE, BUFFERS * stride);
	if (loader->memory == NULL) {
		loader_free(loader);
		return text_fail(-ENOMEM, "no memory for three copies of %llu bytes", (unsigned long long)stride);
	}
	for (unsigned i = 0; i < BUFFERS; i++)
		loader->buffers[i].payload = loader->memory + i * stride;
	loader->reader = reader;
	loader->front = 0;
	loader->middle = 1;
	loader->back = 2;
	r = load(loader);
	if (r == 0 || r == -ENODATA || r == -EAGAIN)
		r = thread_start(loader);
	if (r < 0) {
		loader_free(loader);
		return r;
	}
	*out = loader;
	return 0;
}

int shmb_loader_open_value(struct shmb_loader **out, struct shmb_value_reader *reader)
{
	return loader_open(out, (struct reader *)reader);
}

int shmb_loader_open_ring(struct shmb_loader **out, struct shmb_ring_reader *reader)
{
	return loader_open(out, (struct reader *)reader);
}

int shmb_loader_open_frame(struct shmb_loader **out, struct shmb_frame_reader *reader)
{
	return loader_open(out, (struct reader *)reader);
}

struct shmb_loader *shmb_loader_close(struct shmb_loader *loader)
{
	struct shmb_waitable *waitable;

	if (loader == NULL)
		return NULL;
	/* In a forked child there is no thread, and the reader is not to be touched. */
	if (connection_is_ours(loader->reader->handle.broker)) {
		waitable = &loader->reader->slots.waitable;
		atomic_store_explicit(&loader->stop, 1, memory_order_release);
		futex_wake_all(&loader->stop);
		shmb_cancel(waitable);
		pthread_join(loader->thread, NULL);
		/* The thread may have ended without it; the reader's next wait shall not. */
		atomic_store_explicit(&waitable->cancelled, 0, memory_order_relaxed);
	}
	return loader_free(loader);
}

/* ---- the caller ---- */

static bool is_fresh(const struct shmb_loader *loader)
{
	return (atomic_load_explicit(&loader->middle, memory_order_relaxed) & FRESH) != 0;
}

int shmb_loader_snapshot(struct shmb_loader *loader, const void **payload, struct shmb_sample *sample)
{
	struct buffer *buffer;

	if (connection_is_ours(loader->reader->handle.broker) && is_fresh(loader)) {
		loader->front = atomic_exchange_explicit(&loader->middle, loader->front, memory_order_acq_rel) & INDEX;
		buffer = &loader->buffers[loader->front];
		buffer->sample.missed = loader->has_snapshot ? buffer->sample.number - loader->next : 0;
		loader->next = buffer->sample.number + 1;
		loader->has_snapshot = true;
	}
	buffer = &loader->buffers[loader->front];
	*payload = loader->has_snapshot ? buffer->payload : NULL;
	if (!connection_is_ours(loader->reader->handle.broker))
		return text_forked();
	if (!loader->has_snapshot)
		return -ENODATA;
	if (sample != NULL)
		*sample = buffer->sample;
	return 0;
}

size_t shmb_loader_length(const struct shmb_loader *loader)
{
	return loader->has_snapshot ? loader->buffers[loader->front].length : 0;
}

/* 0 a new snapshot, or what the thread was told, or -EAGAIN. */
static int look(struct shmb_loader *loader)
{
	/* Acquire: a verdict comes after the data before it. */
	int told = atomic_load_explicit(&loader->told, memory_order_acquire);

	if (is_fresh(loader))
		return 0;
	if (told == 0)
		return -EAGAIN;
	if (!is_final(told) && told != -EBADMSG)
		atomic_compare_exchange_strong_explicit(&loader->told, &told, 0, memory_order_relaxed, memory_order_relaxed);
	return text_fail(told, "the loader's reader was told: %s", shmb_strerror(told));
}

int shmb_loader_wait(struct shmb_loader *loader, uint64_t deadline_ns)
{
	if (!connection_is_ours(loader->reader->handle.broker))
		return text_forked();
	for (;;) {
		uint32_t news = atomic_load_explicit(&loader->news, memory_order_acquire);
		int r = look(loader);

		if (r != -EAGAIN)
			return r;
		if (deadline_ns == SHMB_NO_WAIT || (deadline_ns != SHMB_FOREVER && clock_now_ns() >= deadline_ns))
			return -ETIMEDOUT;
		atomic_store_explicit(&loader->sleeper, 1, memory_order_relaxed);
		shmb_fence_seq_cst();
		SHMB_STEP("loader.flagged");
		r = look(loader);
		if (r == -EAGAIN)
			futex_sleep(&loader->news, news, deadline_ns);
		atomic_store_explicit(&loader->sleeper, 0, memory_order_relaxed);
		if (r != -EAGAIN)
			return r;
	}
}
