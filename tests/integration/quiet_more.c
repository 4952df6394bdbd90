/* SPDX-License-Identifier: MIT */
#include "quiet_more.h"

#include "../support/pattern.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BATCH = 4 };

struct more {
	int (*trip)(struct more *more, uint64_t number);
	size_t bytes;
	struct shmb_ring_writer *ring;
	struct shmb_ring_reader *ring_in;
	struct shmb_frame_writer *frame;
	struct shmb_frame_reader *frame_in;
	struct shmb_queue_producer *producer;
	struct shmb_queue_consumer *consumer;
	struct shmb_block *block;
	struct shmb_loader *loader;
	pthread_t writer;
	struct shmb *own; /* the writer's connection */
	struct shmb_value_writer *value;
	_Atomic int stop;
	unsigned char *buffers[2]; /* BATCH payloads each */
};

/* Until the next call. */
static const char *name_of(const struct more *more, const char *what)
{
	static char name[64];

	snprintf(name, sizeof(name), "quiet/%s/%zu", what, more->bytes);
	return name;
}

/* ---- keyed rings and frames ---- */

static int keyed_insert(struct more *more, uint64_t number)
{
	size_t capacity;
	void *payload;
	int r;

	memset(more->buffers[0], 0, more->bytes);
	memcpy(more->buffers[0], &number, sizeof(number));
	r = shmb_ring_insert(more->ring, more->buffers[0]);
	if (r == 0)
		r = shmb_frame_loan(more->frame, &payload, &capacity);
	if (r != 0)
		return r;
	memcpy(payload, more->buffers[0], more->bytes);
	return shmb_frame_commit(more->frame, more->bytes);
}

static int keyed_query_ring(struct more *more, struct shmb_key_sequence key)
{
	struct shmb_bracket_sequence at;
	struct shmb_found_sequence found;
	struct shmb_key_sequence again;
	struct shmb_range range;
	size_t read;
	uint64_t lost;
	int r = shmb_ring_closest(more->ring_in, key, 10, more->buffers[0], &found);

	if (r == 0)
		r = shmb_ring_bracket(more->ring_in, key, 10, more->buffers[0], more->buffers[1], &at);
	if (r == 0)
		r = shmb_ring_fresh(more->ring_in, key, more->buffers[0], &found);
	if (r == 0)
		r = shmb_ring_range(more->ring_in, key, found.key, &range);
	if (r == 0)
		r = shmb_ring_read_range(more->ring_in, range.first, 2, more->buffers[0], NULL, &read, &lost);
	if (r == 0)
		r = shmb_ring_key(more->ring_in, found.number, &again);
	if (r == 0)
		r = shmb_ring_since(more->ring_in, key);
	return r == 0 && shmb_key_compare(again, found.key) != 0 ? -EBADMSG : r;
}

static int keyed_query_frame(struct more *more, struct shmb_key_sequence key)
{
	struct shmb_bracket_sequence at;
	struct shmb_found_sequence found;
	struct shmb_frame one, two;
	struct shmb_range range;
	int r = shmb_frame_closest(more->frame_in, key, 10, &one, &found);

	if (r == 0)
		r = shmb_frame_release(more->frame_in, &one);
	if (r == 0)
		r = shmb_frame_bracket(more->frame_in, key, 10, &one, &two, &at);
	if (r == 0)
		r = shmb_frame_release(more->frame_in, &one);
	if (r == 0)
		r = shmb_frame_release(more->frame_in, &two);
	if (r == 0)
		r = shmb_frame_fresh(more->frame_in, key, NULL, &found);
	if (r == 0)
		r = shmb_frame_range(more->frame_in, key, found.key, &range);
	if (r == 0)
		r = shmb_frame_load_number(more->frame_in, found.number, more->buffers[0], more->bytes, &one);
	if (r == 0)
		r = shmb_frame_load_newest(more->frame_in, more->buffers[0], more->bytes, &one);
	return r == 0 ? shmb_frame_since(more->frame_in, key) : r;
}

static int keyed_join(struct more *more, struct shmb_key_sequence key)
{
	struct shmb_frame frame;
	struct shmb_join_part_sequence parts[] = {
		{ .reader = more->ring_in,
		  .how = SHMB_JOIN_BRACKET,
		  .max_distance = 10,
		  .payload = more->buffers[0],
		  .payload_after = more->buffers[1] },
		{ .frames = more->frame_in, .max_distance = 10, .frame = &frame },
	};
	int r = shmb_join(parts, 2, key, NULL);

	return r == 0 ? shmb_frame_release(more->frame_in, &frame) : r;
}

static int keyed_trip(struct more *more, uint64_t number)
{
	struct shmb_rule_sequence any = shmb_rule_range_sequence(0, UINT64_MAX);
	struct shmb_key_sequence key;
	int r = keyed_insert(more, number * 10);

	if (r == 0 && number < 8)
		return 0; /* enough to search among first */
	if (r == 0)
		r = shmb_key_make(&key, number * 10 - 17, &any);
	if (r == 0)
		r = keyed_query_ring(more, key);
	if (r == 0)
		r = keyed_query_frame(more, key);
	return r == 0 ? keyed_join(more, key) : r;
}

static int keyed_open(struct more *more, struct shmb *broker)
{
	struct shmb_type *type = NULL;
	char schema[64];
	int r;

	/* the count, and behind it as many bytes as were asked for */
	snprintf(schema, sizeof(schema), "uint64 count\nuint64[%zu] data\n", more->bytes / 8);
	more->bytes = more->bytes / 8 * 8 + 8;
	r = shmb_type_parse(&type, "counted", schema);
	if (r == 0)
		r = shmb_ring_writer_open(&more->ring, broker, name_of(more, "keyed/ring"), type,
					  &(struct shmb_options){ .key_clock = SHMB_CLOCK_SEQUENCE, .key_field = "count" });
	if (r == 0)
		r = shmb_ring_reader_open(&more->ring_in, broker, name_of(more, "keyed/ring"), type, SHMB_NO_WAIT);
	if (r == 0)
		r = shmb_frame_writer_open(&more->frame, broker, name_of(more, "keyed/frame"), type,
					   &(struct shmb_frame_options){ .key_clock = SHMB_CLOCK_SEQUENCE, .key_field = "count" });
	if (r == 0)
		r = shmb_frame_reader_open(&more->frame_in, broker, name_of(more, "keyed/frame"), type, SHMB_NO_WAIT);
	shmb_type_free(type);
	return r;
}

/* ---- queues ---- */

static int batch_trip(struct more *more, uint64_t number)
{
	struct shmb_sample samples[BATCH];
	size_t pushed, popped;
	const void *peeked;
	void *claimed;
	int r;

	memset(more->buffers[0], (int)number, BATCH * more->bytes);
	r = shmb_queue_push_batch(more->producer, more->buffers[0], BATCH, &pushed);
	if (r == 0)
		r = shmb_queue_pop_batch(more->consumer, more->buffers[1], samples, BATCH, &popped);
	if (r == 0 && (pushed != BATCH || popped != BATCH || memcmp(more->buffers[0], more->buffers[1], BATCH * more->bytes) != 0))
		r = -EBADMSG;
	if (r == 0)
		r = shmb_queue_claim(more->producer, &claimed);
	if (r != 0)
		return r;
	memset(claimed, (int)number, more->bytes);
	r = shmb_queue_commit(more->producer);
	if (r == 0)
		r = shmb_queue_peek(more->consumer, 0, &peeked, samples);
	if (r == 0 && memcmp(peeked, claimed, more->bytes) != 0)
		r = -EBADMSG;
	return r == 0 ? shmb_queue_release(more->consumer, 1) : r;
}

static int batch_open(struct more *more, struct shmb *broker)
{
	struct shmb_type *type = NULL;
	int r = shmb_type_opaque(&type, more->bytes);

	if (r == 0)
		r = shmb_queue_producer_open(&more->producer, broker, name_of(more, "batch"), type,
					     &(struct shmb_options){ .capacity = 16 });
	if (r == 0)
		r = shmb_queue_consumer_open(&more->consumer, broker, name_of(more, "batch"), type, SHMB_NO_WAIT);
	shmb_type_free(type);
	return r;
}

/* ---- blocks ---- */

static int block_trip(struct more *more, uint64_t number)
{
	int r = number % 2 == 0 ? shmb_block_lock(more->block, SHMB_FOREVER) : shmb_block_trylock(more->block);

	if (r != 0)
		return r;
	memset(shmb_block_payload(more->block), (int)number, more->bytes);
	return shmb_block_unlock(more->block);
}

static int block_open(struct more *more, struct shmb *broker)
{
	struct shmb_type *type = NULL;
	int r = shmb_type_opaque(&type, more->bytes);

	if (r == 0)
		r = shmb_block_open(&more->block, broker, name_of(more, "block"), type);
	shmb_type_free(type);
	return r;
}

/* ---- loaders ---- */

static int loader_trip(struct more *more, uint64_t number)
{
	struct shmb_sample sample;
	const void *payload;
	unsigned salt;
	int r = shmb_loader_snapshot(more->loader, &payload, &sample);

	(void)number;
	return r == 0 && !pattern_check(payload, more->bytes, sample.number, &salt) ? -EBADMSG : r;
}

/* The writer: a thread with a connection of its own. Its calls are not counted, and the filter is not on it. */
static void *loader_feed(void *arg)
{
	struct more *more = arg;
	void *payload = malloc(more->bytes);
	int r = payload != NULL ? 0 : -ENOMEM;

	while (r == 0 && atomic_load(&more->stop) == 0) {
		pattern_fill(payload, more->bytes, shmb_value_next(more->value), 1);
		r = shmb_value_store(more->value, payload);
		usleep(100);
	}
	if (r != 0)
		fprintf(stderr, "quiet: the loader's writer: %s\n", shmb_strerror(r));
	free(payload);
	return NULL;
}

static int loader_open(struct more *more, struct shmb *broker)
{
	struct shmb_value_reader *reader;
	struct shmb_type *type = NULL;
	int r = shmb_type_opaque(&type, more->bytes);

	if (r == 0)
		r = shmb_connect(&more->own, NULL);
	if (r == 0)
		r = shmb_value_writer_open(&more->value, more->own, name_of(more, "loader"), type, NULL);
	shmb_type_free(type);
	if (r == 0)
		r = shmb_value_reader_open(&reader, broker, name_of(more, "loader"), NULL, SHMB_NO_WAIT);
	if (r == 0)
		r = shmb_loader_open_value(&more->loader, reader);
	if (r != 0)
		return r;
	r = -pthread_create(&more->writer, NULL, loader_feed, more);
	return r == 0 ? shmb_loader_wait(more->loader, SHMB_FOREVER) : r;
}

void more_end(struct more *more)
{
	if (more->loader == NULL)
		return;
	atomic_store(&more->stop, 1);
	pthread_join(more->writer, NULL);
	shmb_loader_close(more->loader);
	shmb_disconnect(more->own);
}

struct more *more_open(struct shmb *broker, const char *kind, size_t bytes)
{
	static const struct {
		const char *name;
		int (*open)(struct more *more, struct shmb *broker);
		int (*trip)(struct more *more, uint64_t number);
	} kinds[] = {
		{ "keyed", keyed_open, keyed_trip },
		{ "batch", batch_open, batch_trip },
		{ "block", block_open, block_trip },
		{ "loader", loader_open, loader_trip },
	};
	struct more *more = calloc(1, sizeof(*more));

	for (size_t i = 0; more != NULL && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		int r;

		if (strcmp(kind, kinds[i].name) != 0)
			continue;
		more->bytes = bytes;
		more->trip = kinds[i].trip;
		r = kinds[i].open(more, broker);
		for (int b = 0; b < 2; b++)
			more->buffers[b] = calloc(BATCH, more->bytes);
		if (r == 0)
			return more;
		fprintf(stderr, "quiet: %s: %s: %s\n", kind, shmb_strerror(r), shmb_text());
		break;
	}
	return NULL;
}

int more_trip(struct more *more, uint64_t number)
{
	return more->trip(more, number);
}
