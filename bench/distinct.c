/* SPDX-License-Identifier: MIT */
/*
 * throughput.distinct: the second process writes as fast as it can, the first reads as fast as it can; an operation is a payload that it had not read
 * before. `seen` is what part of the writes that was: of the ring's by sample->missed, of the sequence lock's by its sequence.
 */
#include "parts.h"

#include <stdio.h>
#include <stdlib.h>

#include "common.h"
#include "peer.h"
#include "shmb.h"

struct distinct {
	struct ends ends;
	struct peer peer;
	struct shmb *broker;
	struct shmb_type *type;
	struct shmb_ring_writer *writer;
	struct shmb_ring_reader *reader;
	struct seqlock *seqlock;
	uint32_t slots;
	uint32_t sequence; /* read last */
	uint64_t read;
	uint64_t missed;
};

static const char ring_name[] = "bench/distinct";

static void distinct_deinit(void *state)
{
	struct distinct *distinct = state;

	peer_stop(&distinct->peer);
	shmb_ring_reader_close(distinct->reader);
	if (distinct->type != NULL)
		shmb_remove(distinct->broker, ring_name);
	shmb_type_free(distinct->type);
	ends_deinit(&distinct->ends);
	free(distinct);
}

static int distinct_new(struct distinct **out, const struct bench_place *place, size_t shared)
{
	struct distinct *distinct = calloc(1, sizeof(*distinct));
	int r;

	if (distinct == NULL)
		return -ENOMEM;
	distinct->broker = place->broker;
	distinct->slots = place->which->slots;
	r = ends_init(&distinct->ends, place->which->bytes);
	if (r == 0)
		r = peer_map(&distinct->peer, shared);
	if (r < 0) {
		distinct_deinit(distinct);
		return r;
	}
	*out = distinct;
	return 0;
}

static int distinct_begin(void *state)
{
	struct distinct *distinct = state;

	return peer_begin(&distinct->peer);
}

static void distinct_end(void *state)
{
	struct distinct *distinct = state;

	peer_end(&distinct->peer);
}

static double distinct_seen(void *state)
{
	struct distinct *distinct = state;
	double seen = distinct->read > 0 ? (double)distinct->read / (double)(distinct->read + distinct->missed) : 0;

	distinct->read = 0;
	distinct->missed = 0;
	return seen;
}

/* Every byte that is looked at is of one write. */
static int whole(const struct distinct *distinct)
{
	const unsigned char *bytes = distinct->ends.destination;

	return bytes[0] == bytes[distinct->ends.bytes - 1] ? 0 : -EBADMSG;
}

/* ---- shmbroker ---- */

static int inserter_init(void *state)
{
	struct distinct *distinct = state;
	const struct shmb_options options = { .capacity = distinct->slots };
	int r = shmb_connect(&distinct->broker, bench_broker_socket());

	return r == 0 ? shmb_ring_writer_open(&distinct->writer, distinct->broker, ring_name, distinct->type, &options) : r;
}

static int inserter_run(struct peer *peer, void *state)
{
	struct distinct *distinct = state;
	int r = 0;

	while (r == 0 && !peer_is_over(peer)) {
		ends_change(&distinct->ends);
		r = shmb_ring_insert(distinct->writer, distinct->ends.source);
	}
	return r;
}

static int ring_init(void **state, const struct bench_place *place)
{
	static const struct peer_work work = { .init = inserter_init, .run = inserter_run };
	struct distinct *distinct;
	int r = distinct_new(&distinct, place, 0);

	if (r < 0)
		return r;
	r = shmb_type_opaque(&distinct->type, place->which->bytes);
	if (r == 0)
		r = peer_start(&distinct->peer, &work, distinct);
	if (r == 0)
		r = shmb_ring_reader_open(&distinct->reader, place->broker, ring_name, distinct->type, SHMB_NO_WAIT);
	if (r < 0) {
		fprintf(stderr, "bench: %s: %s\n", ring_name, shmb_text());
		distinct_deinit(distinct);
		return r;
	}
	*state = distinct;
	return 0;
}

static int ring_begin(void *state)
{
	struct distinct *distinct = state;
	int r = distinct_begin(state);

	/* What was written before is none of this round's. */
	if (r == 0)
		r = shmb_ring_latest(distinct->reader, distinct->ends.destination, NULL);
	return r == -ENODATA || r == -EAGAIN ? 0 : r;
}

static int ring_run(void *state, uint64_t count)
{
	struct distinct *distinct = state;
	struct shmb_sample sample;

	for (uint64_t i = 0; i < count; i++) {
		int r;

		do
			r = shmb_ring_read_next(distinct->reader, distinct->ends.destination, &sample);
		while (r == -ENODATA || r == -EAGAIN);
		if (r < 0 || whole(distinct) < 0)
			return r < 0 ? r : -EBADMSG;
		distinct->read++;
		distinct->missed += sample.missed;
	}
	return 0;
}

const struct bench_impl distinct_shmbroker = {
	.name = "shmbroker",
	.init = ring_init,
	.run = ring_run,
	.begin = ring_begin,
	.end = distinct_end,
	.seen = distinct_seen,
	.deinit = distinct_deinit,
};

/* ---- seqlock_wake_always ---- */

static int storer_run(struct peer *peer, void *state)
{
	struct distinct *distinct = state;

	while (!peer_is_over(peer)) {
		ends_change(&distinct->ends);
		seqlock_store(distinct->seqlock, distinct->ends.source, distinct->ends.bytes);
	}
	return 0;
}

static int locked_init(void **state, const struct bench_place *place)
{
	static const struct peer_work work = { .run = storer_run };
	struct distinct *distinct;
	int r = distinct_new(&distinct, place, sizeof(struct seqlock) + place->which->bytes);

	if (r < 0)
		return r;
	distinct->seqlock = peer_memory(&distinct->peer);
	r = peer_start(&distinct->peer, &work, distinct);
	if (r < 0) {
		distinct_deinit(distinct);
		return r;
	}
	*state = distinct;
	return 0;
}

/* As the loads of one process, but of a lock that is nearly always taken: a copy that has begun while it is would be for nothing. */
static uint32_t locked_read(struct distinct *distinct)
{
	uint32_t sequence;

	do {
		do
			sequence = atomic_load_explicit(&distinct->seqlock->sequence, memory_order_acquire);
		while ((sequence & 1) != 0 || sequence == distinct->sequence);
		shmb_copy(distinct->ends.destination, distinct->seqlock->payload, distinct->ends.bytes);
		shmb_fence_acquire();
	} while (atomic_load_explicit(&distinct->seqlock->sequence, memory_order_relaxed) != sequence);
	return sequence;
}

static int locked_begin(void *state)
{
	struct distinct *distinct = state;
	int r = distinct_begin(state);

	distinct->sequence = atomic_load_explicit(&distinct->seqlock->sequence, memory_order_relaxed) & ~UINT32_C(1);
	return r;
}

static int locked_run(void *state, uint64_t count)
{
	struct distinct *distinct = state;

	for (uint64_t i = 0; i < count; i++) {
		uint32_t sequence = locked_read(distinct);

		if (whole(distinct) < 0)
			return -EBADMSG;
		distinct->read++;
		distinct->missed += (sequence - distinct->sequence) / 2 - 1;
		distinct->sequence = sequence;
	}
	return 0;
}

const struct bench_impl distinct_seqlock = {
	.name = "seqlock_wake_always",
	.init = locked_init,
	.run = locked_run,
	.begin = locked_begin,
	.end = distinct_end,
	.seen = distinct_seen,
	.deinit = distinct_deinit,
};
