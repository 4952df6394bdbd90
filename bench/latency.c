/* SPDX-License-Identifier: MIT */
/*
 * latency.spin, latency.blocked: from a store in one process until the other has copied the payload out; half of a round trip over two values, one each
 * way. raw_flag is what that costs at least: a flag and the payload behind it, in one cache line where they fit, the reader spins on the flag.
 * raw_futex is the same with a futex wait and a futex wake at each.
 */
#include "parts.h"

#include <stdio.h>
#include <stdlib.h>

#include "common.h"
#include "peer.h"
#include "shmb.h"

enum { PAYLOAD_MAX = 128 };
#define SPIN_NS UINT64_C(1000000000)

/* The first word of a payload: grows by one each way; over tells the second process to stop. */
#define OVER UINT64_MAX

/* ---- raw ---- */

struct line {
	_Alignas(SHMB_CACHE_LINE) _Atomic uint64_t flag;
	unsigned char payload[PAYLOAD_MAX];
};

struct raw {
	struct peer peer;
	struct line *there;
	struct line *back;
	size_t bytes;
	uint64_t sent;
	uint64_t received;
	bool sleeps;
	union {
		uint64_t number;
		unsigned char bytes[PAYLOAD_MAX];
	} payload;
};

/* A futex is 32 bits: the low half of the flag, which is the first on little-endian machines. */
static void line_send(struct raw *raw, struct line *line)
{
	copy_opaque(line->payload, raw->payload.bytes, raw->bytes);
	atomic_store_explicit(&line->flag, ++raw->sent, memory_order_release);
	if (raw->sleeps)
		syscall(SYS_futex, &line->flag, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void line_receive(struct raw *raw, struct line *line)
{
	while (atomic_load_explicit(&line->flag, memory_order_acquire) == raw->received) {
		if (raw->sleeps)
			syscall(SYS_futex, &line->flag, FUTEX_WAIT, (uint32_t)raw->received, NULL, NULL, 0);
	}
	raw->received++;
	copy_opaque(raw->payload.bytes, line->payload, raw->bytes);
}

static int raw_answer(struct peer *peer, void *state)
{
	struct raw *raw = state;

	(void)peer;
	for (;;) {
		line_receive(raw, raw->there);
		if (raw->payload.number == OVER)
			return 0;
		raw->payload.number++;
		line_send(raw, raw->back);
	}
}

static void raw_deinit(void *state)
{
	struct raw *raw = state;

	peer_stop(&raw->peer);
	free(raw);
}

static int raw_init(void **state, const struct bench_place *place, bool sleeps)
{
	static const struct peer_work work = { .run = raw_answer };
	struct raw *raw = calloc(1, sizeof(*raw));
	int r;

	if (raw == NULL)
		return -ENOMEM;
	raw->bytes = place->which->bytes;
	raw->sleeps = sleeps;
	r = peer_map(&raw->peer, 2 * sizeof(struct line));
	if (r == 0) {
		raw->there = peer_memory(&raw->peer);
		raw->back = raw->there + 1;
		r = peer_start(&raw->peer, &work, raw);
	}
	if (r < 0) {
		raw_deinit(raw);
		return r;
	}
	*state = raw;
	return 0;
}

static int flag_init(void **state, const struct bench_place *place)
{
	return raw_init(state, place, false);
}

static int futex_init(void **state, const struct bench_place *place)
{
	return raw_init(state, place, true);
}

/* An operation is one way: every second one is the way back. */
static int raw_run(void *state, uint64_t count)
{
	struct raw *raw = state;

	for (uint64_t i = 0; i < count; i += 2) {
		uint64_t number = i;

		raw->payload.number = number;
		line_send(raw, raw->there);
		line_receive(raw, raw->back);
		if (raw->payload.number != number + 1)
			return -EBADMSG;
	}
	return 0;
}

static int raw_begin(void *state)
{
	struct raw *raw = state;

	return peer_begin(&raw->peer);
}

static void raw_end(void *state)
{
	struct raw *raw = state;

	raw->payload.number = OVER;
	peer_tell(&raw->peer);
	line_send(raw, raw->there);
	peer_end(&raw->peer);
}

const struct bench_impl spin_raw_flag = {
	.name = "raw_flag",
	.init = flag_init,
	.run = raw_run,
	.begin = raw_begin,
	.end = raw_end,
	.deinit = raw_deinit,
};
const struct bench_impl blocked_raw_futex = {
	.name = "raw_futex",
	.init = futex_init,
	.run = raw_run,
	.begin = raw_begin,
	.end = raw_end,
	.deinit = raw_deinit,
};

/* ---- shmbroker ---- */

struct values {
	struct peer peer;
	struct shmb *broker;
	struct shmb_type *type;
	struct shmb_value_writer *writer;
	struct shmb_value_reader *reader;
	uint64_t spin_ns;
	uint32_t slots;
	union {
		uint64_t number;
		unsigned char bytes[PAYLOAD_MAX];
	} payload;
};

static const char there_name[] = "bench/there";
static const char back_name[] = "bench/back";

static int values_open_writer(struct values *values, const char *name)
{
	const struct shmb_options options = { .capacity = values->slots };

	return shmb_value_writer_open(&values->writer, values->broker, name, values->type, &options);
}

static int values_open_reader(struct values *values, const char *name)
{
	int r = shmb_value_reader_open(&values->reader, values->broker, name, values->type, SHMB_NO_WAIT);

	return r == 0 ? shmb_set_spin(shmb_value_waitable(values->reader), values->spin_ns) : r;
}

static int values_receive(struct values *values)
{
	struct shmb_sample sample;
	int r = shmb_value_wait(values->reader, SHMB_FOREVER);

	return r == 0 ? shmb_value_load(values->reader, values->payload.bytes, &sample) : r;
}

static int answerer_init(void *state)
{
	struct values *values = state;
	int r = shmb_connect(&values->broker, bench_broker_socket());

	values->writer = NULL; /* the parent's */
	if (r == 0)
		r = values_open_writer(values, back_name);
	return r == 0 ? values_open_reader(values, there_name) : r;
}

static int answerer_run(struct peer *peer, void *state)
{
	struct values *values = state;

	(void)peer;
	for (;;) {
		int r = values_receive(values);

		if (r < 0 || values->payload.number == OVER)
			return r;
		values->payload.number++;
		r = shmb_value_store(values->writer, values->payload.bytes);
		if (r < 0)
			return r;
	}
}

static void values_deinit(void *state)
{
	struct values *values = state;

	peer_stop(&values->peer);
	shmb_value_reader_close(values->reader);
	shmb_value_writer_close(values->writer);
	shmb_remove(values->broker, there_name);
	shmb_remove(values->broker, back_name);
	shmb_type_free(values->type);
	free(values);
}

static int values_init(void **state, const struct bench_place *place, uint64_t spin_ns)
{
	static const struct peer_work work = { .init = answerer_init, .run = answerer_run };
	struct values *values = calloc(1, sizeof(*values));
	int r;

	if (values == NULL)
		return -ENOMEM;
	values->broker = place->broker;
	values->spin_ns = spin_ns;
	values->slots = place->which->slots;
	r = shmb_type_opaque(&values->type, place->which->bytes);
	if (r == 0)
		r = values_open_writer(values, there_name);
	if (r == 0)
		r = peer_map(&values->peer, 0);
	if (r == 0)
		r = peer_start(&values->peer, &work, values);
	if (r == 0)
		r = values_open_reader(values, back_name);
	if (r < 0) {
		fprintf(stderr, "bench: %s: %s\n", there_name, shmb_text());
		values_deinit(values);
		return r;
	}
	*state = values;
	return 0;
}

static int spinning_init(void **state, const struct bench_place *place)
{
	return values_init(state, place, SPIN_NS);
}

static int sleeping_init(void **state, const struct bench_place *place)
{
	return values_init(state, place, 0);
}

static int values_run(void *state, uint64_t count)
{
	struct values *values = state;

	for (uint64_t i = 0; i < count; i += 2) {
		uint64_t number = i;
		int r;

		values->payload.number = number;
		r = shmb_value_store(values->writer, values->payload.bytes);
		if (r == 0)
			r = values_receive(values);
		if (r < 0)
			return r;
		if (values->payload.number != number + 1)
			return -EBADMSG;
	}
	return 0;
}

static int values_begin(void *state)
{
	struct values *values = state;

	return peer_begin(&values->peer);
}

static void values_end(void *state)
{
	struct values *values = state;

	values->payload.number = OVER;
	peer_tell(&values->peer);
	shmb_value_store(values->writer, values->payload.bytes);
	peer_end(&values->peer);
}

const struct bench_impl spin_shmbroker = {
	.name = "shmbroker",
	.init = spinning_init,
	.run = values_run,
	.begin = values_begin,
	.end = values_end,
	.deinit = values_deinit,
};
const struct bench_impl blocked_shmbroker = {
	.name = "shmbroker",
	.init = sleeping_init,
	.run = values_run,
	.begin = values_begin,
	.end = values_end,
	.deinit = values_deinit,
};
