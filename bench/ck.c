/* SPDX-License-Identifier: MIT */
/*
 * queue.spsc by Concurrency Kit's ring, where that is installed (Debian: libck-dev): items by value, one producer, one consumer, in memory that two
 * processes share. What it does not have: anything that survives a death, and sleeping.
 */
#include "parts.h"

#include <ck_ring.h>
#include <stdlib.h>

#include "common.h"
#include "peer.h"

enum { ITEM_BYTES = 64 };

struct item {
	uint64_t number;
	unsigned char rest[ITEM_BYTES - sizeof(uint64_t)];
};

CK_RING_PROTOTYPE(item, item)

struct shared {
	ck_ring_t ring;
	_Alignas(SHMB_CACHE_LINE) struct item items[];
};

struct rings {
	struct peer peer;
	struct shared *shared;
	struct item item;
	uint64_t next;
};

static int enqueuer_run(struct peer *peer, void *state)
{
	struct rings *rings = state;

	while (!peer_is_over(peer)) {
		rings->item.number = rings->next;
		if (CK_RING_ENQUEUE_SPSC(item, &rings->shared->ring, rings->shared->items, &rings->item))
			rings->next++;
	}
	return 0;
}

static void rings_deinit(void *state)
{
	struct rings *rings = state;

	peer_stop(&rings->peer);
	free(rings);
}

static int rings_init(void **state, const struct bench_place *place)
{
	static const struct peer_work work = { .run = enqueuer_run };
	struct rings *rings = calloc(1, sizeof(*rings));
	int r;

	if (rings == NULL)
		return -ENOMEM;
	if (place->which->bytes != sizeof(struct item))
		r = -EINVAL;
	else
		r = peer_map(&rings->peer, sizeof(*rings->shared) + place->which->slots * sizeof(struct item));
	if (r == 0) {
		rings->shared = peer_memory(&rings->peer);
		ck_ring_init(&rings->shared->ring, place->which->slots);
		r = peer_start(&rings->peer, &work, rings);
	}
	if (r < 0) {
		rings_deinit(rings);
		return r;
	}
	*state = rings;
	return 0;
}

static int rings_run(void *state, uint64_t count)
{
	struct rings *rings = state;

	for (uint64_t i = 0; i < count; i++) {
		while (!CK_RING_DEQUEUE_SPSC(item, &rings->shared->ring, rings->shared->items, &rings->item))
			;
		if (rings->item.number != rings->next++)
			return -EBADMSG;
	}
	return 0;
}

static int rings_begin(void *state)
{
	struct rings *rings = state;

	return peer_begin(&rings->peer);
}

static void rings_end(void *state)
{
	struct rings *rings = state;

	peer_end(&rings->peer);
}

const struct bench_impl queue_two_ck = {
	.name = "ck_ring",
	.init = rings_init,
	.run = rings_run,
	.begin = rings_begin,
	.end = rings_end,
	.deinit = rings_deinit,
};
