/* SPDX-License-Identifier: MIT */
/* queue.spsc: items of one size through a queue. One process: a push and a pop. Two: the second pushes as fast as it can, the first pops. */
#include "parts.h"

#include <stdio.h>
#include <stdlib.h>

#include "common.h"
#include "peer.h"
#include "shmb.h"

struct items {
	struct ends ends;
	struct shmb *broker;
	struct shmb_type *type;
	struct shmb_queue_producer *producer;
	struct shmb_queue_consumer *consumer;
	const struct bench_case *which;
	struct peer peer;
	uint64_t next;
};

static const char queue_name[] = "bench/queue";

static void items_deinit(void *state)
{
	struct items *items = state;

	peer_stop(&items->peer);
	shmb_queue_consumer_close(items->consumer);
	shmb_queue_producer_close(items->producer);
	shmb_remove(items->broker, queue_name);
	shmb_type_free(items->type);
	ends_deinit(&items->ends);
	free(items);
}

static int open_producer(struct items *items)
{
	const struct shmb_options options = { .capacity = items->which->slots };

	return shmb_queue_producer_open(&items->producer, items->broker, queue_name, items->type, &options);
}

/* The second process: a connection and the producing end. */
static int pusher_init(void *state)
{
	struct items *items = state;
	int r = shmb_connect(&items->broker, bench_broker_socket());

	return r == 0 ? open_producer(items) : r;
}

static int pusher_run(struct peer *peer, void *state)
{
	struct items *items = state;
	uint64_t *number = (uint64_t *)(void *)items->ends.source;

	while (!peer_is_over(peer)) {
		int r;

		*number = items->next;
		r = shmb_queue_push(items->producer, items->ends.source);
		if (r == 0)
			items->next++;
		else if (r != -EAGAIN)
			return r;
	}
	return 0;
}

static int items_init_with(void **state, const struct bench_place *place, bool two)
{
	static const struct peer_work work = { .init = pusher_init, .run = pusher_run };
	struct items *items = calloc(1, sizeof(*items));
	int r;

	if (items == NULL)
		return -ENOMEM;
	items->broker = place->broker;
	items->which = place->which;
	r = ends_init(&items->ends, place->which->bytes);
	if (r == 0)
		r = shmb_type_opaque(&items->type, place->which->bytes);
	if (r == 0 && two) {
		r = peer_map(&items->peer, 0);
		if (r == 0)
			r = peer_start(&items->peer, &work, items);
	} else if (r == 0) {
		r = open_producer(items);
	}
	if (r == 0)
		r = shmb_queue_consumer_open(&items->consumer, place->broker, queue_name, items->type, SHMB_NO_WAIT);
	if (r < 0) {
		fprintf(stderr, "bench: %s: %s\n", queue_name, shmb_text());
		items_deinit(items);
		return r;
	}
	*state = items;
	return 0;
}

static int items_init(void **state, const struct bench_place *place)
{
	return items_init_with(state, place, false);
}

static int items_init_two(void **state, const struct bench_place *place)
{
	return items_init_with(state, place, true);
}

static int items_run(void *state, uint64_t count)
{
	struct items *items = state;
	struct shmb_sample sample;
	int r = 0;

	for (uint64_t i = 0; i < count; i++) {
		r |= shmb_queue_push(items->producer, items->ends.source);
		r |= shmb_queue_pop(items->consumer, items->ends.destination, &sample);
	}
	return r;
}

static int items_check(void *state)
{
	struct items *items = state;
	int r = ends_check(&items->ends);

	ends_change(&items->ends);
	return r;
}

static int items_pop(void *state, uint64_t count)
{
	struct items *items = state;
	const uint64_t *number = (const uint64_t *)(void *)items->ends.destination;
	struct shmb_sample sample;

	for (uint64_t i = 0; i < count; i++) {
		int r;

		do
			r = shmb_queue_pop(items->consumer, items->ends.destination, &sample);
		while (r == -ENODATA);
		if (r < 0)
			return r;
		if (*number != items->next++)
			return -EBADMSG;
	}
	return 0;
}

static int items_begin(void *state)
{
	struct items *items = state;

	return peer_begin(&items->peer);
}

static void items_end(void *state)
{
	struct items *items = state;

	peer_end(&items->peer);
}

const struct bench_impl queue_shmbroker = {
	.name = "shmbroker",
	.init = items_init,
	.run = items_run,
	.check = items_check,
	.deinit = items_deinit,
};
const struct bench_impl queue_two_shmbroker = {
	.name = "shmbroker",
	.init = items_init_two,
	.run = items_pop,
	.begin = items_begin,
	.end = items_end,
	.deinit = items_deinit,
};
