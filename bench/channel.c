/* SPDX-License-Identifier: MIT */
/*
 * The cases by other means of passing payloads (channel.h).
 *
 * One process opens both ends and sends and receives in turn. With two, the second one is this program started anew as `bench --second KIND WORK FD
 * DIRECTORY BYTES SLOTS`: it answers each payload through a second channel, or sends numbered ones as fast as they are taken.
 */
#include "channel.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "parts.h"
#include "peer.h"

static const struct channel_kind *const kinds[] = {
	&pipe_kind, &mqueue_kind, &seqpacket_kind, &zeromq_kind, &nng_kind, &iceoryx_kind, &iceoryx2_kind,
};
enum { KIND_COUNT = sizeof(kinds) / sizeof(kinds[0]), NUMBER_ROOM = 24 };

/* Tells the second process to stop. */
#define OVER UINT64_MAX

enum work { ANSWER_SPINNING, ANSWER_SLEEPING, STREAM_LOSSY, STREAM_ALL };

struct channel {
	const struct channel_kind *kind;
	const struct bench_place *place;
	struct ends ends;
	struct peer peer;
	enum work work;
	void *sender;
	void *receiver;
	uint64_t next;
	uint64_t read;
	uint64_t missed;
};

int channel_absent(const char *why, ...)
{
	va_list arguments;

	va_start(arguments, why);
	bench_skip(why, arguments);
	va_end(arguments);
	return -EOPNOTSUPP;
}

int channel_path(char *out, size_t bytes, const char *prefix, const struct channel_place *place)
{
	int n = snprintf(out, bytes, "%s%s/%s-%llu-%s", prefix, place->directory, place->kind, (unsigned long long)place->bytes,
			 place->name);

	return n < 0 || (size_t)n >= bytes ? -ENAMETOOLONG : 0;
}

/* Threads of a library's own are not to share this process's core. */
static int open_end(int (*open)(void **end, const struct channel_place *place), void **end, const struct channel_place *place, bool last)
{
	int r;

	peer_unpin(0);
	r = open(end, place);
	peer_pin(0, last);
	return r;
}

/* ---- the first process ---- */

static void channel_deinit(void *state)
{
	struct channel *channel = state;

	peer_stop(&channel->peer);
	if (channel->sender != NULL)
		channel->kind->close(channel->sender);
	if (channel->receiver != NULL)
		channel->kind->close(channel->receiver);
	ends_deinit(&channel->ends);
	free(channel);
}

static int channel_new(struct channel **out, const struct bench_place *place)
{
	struct channel *channel = calloc(1, sizeof(*channel));
	int r;

	if (channel == NULL)
		return -ENOMEM;
	channel->kind = place->impl->detail;
	channel->place = place;
	r = channel->kind->prepare != NULL ? channel->kind->prepare() : 0;
	if (r == 0 && channel->kind->load != NULL)
		r = channel->kind->load();
	if (r == 0)
		r = ends_init(&channel->ends, place->which->bytes);
	if (r < 0) {
		channel_deinit(channel);
		return r;
	}
	*out = channel;
	return 0;
}

static struct channel_place place_of(const struct channel *channel, const char *name)
{
	return (struct channel_place){
		.directory = bench_directory(),
		.kind = channel->kind->name,
		.name = name,
		.bytes = channel->place->which->bytes,
		.slots = channel->place->which->slots,
		.lossy = channel->work == STREAM_LOSSY,
		.wakes = channel->work == ANSWER_SLEEPING,
	};
}

static int one_run(void *state, uint64_t count)
{
	struct channel *channel = state;
	const struct channel_kind *kind = channel->kind;
	int r = 0;

	for (uint64_t i = 0; i < count && r == 0; i++) {
		r = kind->send(channel->sender, channel->ends.source);
		if (r == 0)
			r = kind->receive(channel->receiver, channel->ends.destination, CHANNEL_SPIN);
	}
	return r;
}

static int hand_over_run(void *state, uint64_t count)
{
	struct channel *channel = state;
	int r = 0;

	for (uint64_t i = 0; i < count && r == 0; i++)
		r = channel->kind->hand_over(channel->sender, channel->receiver);
	return r;
}

static int one_check(void *state)
{
	struct channel *channel = state;
	int r;

	ends_change(&channel->ends);
	r = one_run(channel, 1);
	return r < 0 ? r : ends_check(&channel->ends);
}

static int one_init(void **state, const struct bench_place *place)
{
	struct channel_place where;
	struct channel *channel;
	int r = channel_new(&channel, place);

	if (r < 0)
		return r;
	channel->work = STREAM_ALL;
	where = place_of(channel, "one");
	r = open_end(channel->kind->receiver_open, &channel->receiver, &where, true);
	if (r == 0)
		r = open_end(channel->kind->sender_open, &channel->sender, &where, true);
	if (r == 0)
		r = one_check(channel);
	if (r < 0) {
		channel_deinit(channel);
		return r;
	}
	*state = channel;
	return 0;
}

/* In both kinds of work the first process receives through `back`. */
static int two_init(void **state, const struct bench_place *place, enum work work)
{
	char fd[NUMBER_ROOM], bytes[NUMBER_ROOM], slots[NUMBER_ROOM], works[NUMBER_ROOM];
	struct channel_place where;
	struct channel *channel;
	int r = channel_new(&channel, place);

	if (r < 0)
		return r;
	channel->work = work;
	where = place_of(channel, "back");
	r = peer_map(&channel->peer, 0);
	if (r == 0)
		r = open_end(channel->kind->receiver_open, &channel->receiver, &where, true);
	if (r == 0) {
		const char *const arguments[] = { "--second", channel->kind->name, works, fd, where.directory, bytes, slots, NULL };

		snprintf(works, sizeof(works), "%d", (int)work);
		snprintf(fd, sizeof(fd), "%d", channel->peer.fd);
		snprintf(bytes, sizeof(bytes), "%zu", place->which->bytes);
		snprintf(slots, sizeof(slots), "%u", place->which->slots);
		r = peer_exec(&channel->peer, arguments);
	}
	if (r == 0 && (work == ANSWER_SPINNING || work == ANSWER_SLEEPING)) {
		where.name = "there";
		r = open_end(channel->kind->sender_open, &channel->sender, &where, true);
	}
	if (r < 0) {
		channel_deinit(channel);
		return r;
	}
	*state = channel;
	return 0;
}

static int spin_init(void **state, const struct bench_place *place)
{
	return two_init(state, place, ANSWER_SPINNING);
}

static int blocked_init(void **state, const struct bench_place *place)
{
	return two_init(state, place, ANSWER_SLEEPING);
}

static int distinct_init(void **state, const struct bench_place *place)
{
	return two_init(state, place, STREAM_LOSSY);
}

static int queue_init(void **state, const struct bench_place *place)
{
	return two_init(state, place, STREAM_ALL);
}

static int begin(void *state)
{
	struct channel *channel = state;

	return peer_begin(&channel->peer);
}

static enum channel_wait wait_of(enum work work)
{
	return work == ANSWER_SLEEPING ? CHANNEL_SLEEP : CHANNEL_SPIN;
}

/* An operation is one way: every second one is the way back. */
static int answered_run(void *state, uint64_t count)
{
	struct channel *channel = state;
	uint64_t *sent = (uint64_t *)(void *)channel->ends.source;
	const uint64_t *answered = (const uint64_t *)(const void *)channel->ends.destination;
	int r = 0;

	for (uint64_t i = 0; i < count && r == 0; i += 2) {
		*sent = i;
		r = channel->kind->send(channel->sender, channel->ends.source);
		if (r == 0)
			r = channel->kind->receive(channel->receiver, channel->ends.destination, wait_of(channel->work));
		if (r == 0 && *answered != i + 1)
			r = -EBADMSG;
	}
	return r;
}

static void answered_end(void *state)
{
	struct channel *channel = state;
	const uint64_t over = OVER;

	memcpy(channel->ends.source, &over, sizeof(over));
	peer_tell(&channel->peer);
	channel->kind->send(channel->sender, channel->ends.source);
	peer_end(&channel->peer);
}

/* Counts what came, by its number; every byte that is looked at is of one payload. */
static int take_in(struct channel *channel)
{
	const unsigned char *bytes = channel->ends.destination;
	uint64_t number;

	memcpy(&number, bytes, sizeof(number));
	if (number < channel->next || bytes[channel->ends.bytes - 1] != (unsigned char)number)
		return -EBADMSG;
	channel->missed += number - channel->next;
	channel->next = number + 1;
	channel->read++;
	return channel->work == STREAM_ALL && channel->missed > 0 ? -EBADMSG : 0;
}

static int stream_run(void *state, uint64_t count)
{
	struct channel *channel = state;

	for (uint64_t i = 0; i < count; i++) {
		int r = channel->kind->receive(channel->receiver, channel->ends.destination, CHANNEL_SPIN);

		if (r == 0)
			r = take_in(channel);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The second process may wait for room, so what it has sent is taken until it has heard that it is over. */
static void stream_end(void *state)
{
	struct channel *channel = state;

	peer_tell(&channel->peer);
	while (peer_is_working(&channel->peer)) {
		if (channel->kind->receive(channel->receiver, channel->ends.destination, CHANNEL_TRY) == 0)
			take_in(channel);
	}
	peer_end(&channel->peer);
}

static double seen(void *state)
{
	struct channel *channel = state;
	double part = channel->read > 0 ? (double)channel->read / (double)(channel->read + channel->missed) : 0;

	channel->read = 0;
	channel->missed = 0;
	return part;
}

/* ---- as implementations ---- */

#define ONE(label, kind, is_peer)                                                                                                          \
	{                                                                                                                                  \
		.name = (label), .detail = &(kind), .peer = (is_peer), .init = one_init, .run = one_run, .check = one_check,               \
		.deinit = channel_deinit                                                                                                   \
	}
#define HAND_OVER(label, kind)                                                                                                             \
	{                                                                                                                                  \
		.name = (label), .detail = &(kind), .peer = true, .init = one_init, .run = hand_over_run, .check = one_check,              \
		.deinit = channel_deinit                                                                                                   \
	}
#define SPIN(label, kind)                                                                                                                  \
	{                                                                                                                                  \
		.name = (label), .detail = &(kind), .peer = true, .init = spin_init, .run = answered_run, .begin = begin,                  \
		.end = answered_end, .deinit = channel_deinit                                                                              \
	}
#define BLOCKED(label, kind, is_peer)                                                                                                      \
	{                                                                                                                                  \
		.name = (label), .detail = &(kind), .peer = (is_peer), .init = blocked_init, .run = answered_run, .begin = begin,          \
		.end = answered_end, .deinit = channel_deinit                                                                              \
	}
#define DISTINCT(label, kind, is_peer)                                                                                                     \
	{                                                                                                                                  \
		.name = (label), .detail = &(kind), .peer = (is_peer), .init = distinct_init, .run = stream_run, .begin = begin,           \
		.end = stream_end, .seen = seen, .deinit = channel_deinit                                                                  \
	}
#define QUEUE(label, kind)                                                                                                                 \
	{                                                                                                                                  \
		.name = (label), .detail = &(kind), .peer = true, .init = queue_init, .run = stream_run, .begin = begin,                   \
		.end = stream_end, .deinit = channel_deinit                                                                                \
	}

const struct bench_impl one_pipe = ONE("pipe", pipe_kind, false);
const struct bench_impl one_mqueue = ONE("posix_mq", mqueue_kind, false);
const struct bench_impl one_seqpacket = ONE("seqpacket", seqpacket_kind, false);
const struct bench_impl one_zeromq = ONE("zeromq", zeromq_kind, true);
const struct bench_impl one_nng = ONE("nng", nng_kind, true);
const struct bench_impl one_iceoryx = ONE("iceoryx", iceoryx_kind, true);
const struct bench_impl one_iceoryx2 = ONE("iceoryx2", iceoryx2_kind, true);

const struct bench_impl handover_iceoryx = HAND_OVER("iceoryx", iceoryx_kind);
const struct bench_impl handover_iceoryx2 = HAND_OVER("iceoryx2", iceoryx2_kind);

const struct bench_impl spin_zeromq = SPIN("zeromq", zeromq_kind);
const struct bench_impl spin_nng = SPIN("nng", nng_kind);
const struct bench_impl spin_iceoryx = SPIN("iceoryx", iceoryx_kind);
const struct bench_impl spin_iceoryx2 = SPIN("iceoryx2", iceoryx2_kind);

const struct bench_impl blocked_pipe = BLOCKED("pipe", pipe_kind, false);
const struct bench_impl blocked_mqueue = BLOCKED("posix_mq", mqueue_kind, false);
const struct bench_impl blocked_seqpacket = BLOCKED("seqpacket", seqpacket_kind, false);
const struct bench_impl blocked_zeromq = BLOCKED("zeromq", zeromq_kind, true);
const struct bench_impl blocked_nng = BLOCKED("nng", nng_kind, true);
const struct bench_impl blocked_iceoryx = BLOCKED("iceoryx", iceoryx_kind, true);
const struct bench_impl blocked_iceoryx2 = BLOCKED("iceoryx2", iceoryx2_kind, true);

const struct bench_impl distinct_pipe = DISTINCT("pipe", pipe_kind, false);
const struct bench_impl distinct_mqueue = DISTINCT("posix_mq", mqueue_kind, false);
const struct bench_impl distinct_seqpacket = DISTINCT("seqpacket", seqpacket_kind, false);
const struct bench_impl distinct_zeromq = DISTINCT("zeromq", zeromq_kind, true);
const struct bench_impl distinct_nng = DISTINCT("nng", nng_kind, true);
const struct bench_impl distinct_iceoryx = DISTINCT("iceoryx", iceoryx_kind, true);
const struct bench_impl distinct_iceoryx2 = DISTINCT("iceoryx2", iceoryx2_kind, true);

const struct bench_impl queue_zeromq = QUEUE("zeromq", zeromq_kind);
const struct bench_impl queue_nng = QUEUE("nng", nng_kind);
const struct bench_impl queue_iceoryx = QUEUE("iceoryx", iceoryx_kind);
const struct bench_impl queue_iceoryx2 = QUEUE("iceoryx2", iceoryx2_kind);

/* ---- the second process ---- */

struct second {
	const struct channel_kind *kind;
	enum work work;
	struct channel_place place;
	void *sender;
	void *receiver;
	unsigned char *payload;
	uint64_t next;
};

static int second_open(void *state)
{
	struct second *second = state;
	const struct channel_kind *kind = second->kind;
	int r = kind->load != NULL ? kind->load() : 0;

	if (r < 0)
		return r;
	second->payload = calloc(1, second->place.bytes);
	if (second->payload == NULL)
		return -ENOMEM;
	if (second->work == ANSWER_SPINNING || second->work == ANSWER_SLEEPING) {
		second->place.name = "there";
		r = open_end(kind->receiver_open, &second->receiver, &second->place, false);
	}
	second->place.name = "back";
	return r < 0 ? r : open_end(kind->sender_open, &second->sender, &second->place, false);
}

static int answer(struct second *second)
{
	uint64_t *number = (uint64_t *)(void *)second->payload;

	for (;;) {
		int r = second->kind->receive(second->receiver, second->payload, wait_of(second->work));

		if (r < 0 || *number == OVER)
			return r;
		++*number;
		r = second->kind->send(second->sender, second->payload);
		if (r < 0)
			return r;
	}
}

static int second_run(struct peer *peer, void *state)
{
	struct second *second = state;
	int r = 0;

	if (second->work == ANSWER_SPINNING || second->work == ANSWER_SLEEPING)
		return answer(second);
	while (r == 0 && !peer_is_over(peer)) {
		memcpy(second->payload, &second->next, sizeof(second->next));
		second->payload[second->place.bytes - 1] = (unsigned char)second->next;
		r = second->kind->send(second->sender, second->payload);
		second->next++;
	}
	return r;
}

int channel_second(int argc, char **argv)
{
	static const struct peer_work work = { .init = second_open, .run = second_run };
	struct second second = { 0 };
	int r;

	if (argc != 8)
		return 2;
	for (unsigned i = 0; i < KIND_COUNT; i++) {
		if (strcmp(kinds[i]->name, argv[2]) == 0)
			second.kind = kinds[i];
	}
	if (second.kind == NULL)
		return 2;
	second.work = (enum work)atoi(argv[3]);
	second.place = (struct channel_place){
		.directory = argv[5],
		.kind = second.kind->name,
		.bytes = strtoull(argv[6], NULL, 10),
		.slots = (uint32_t)strtoul(argv[7], NULL, 10),
		.lossy = second.work == STREAM_LOSSY,
		.wakes = second.work == ANSWER_SLEEPING,
	};
	r = peer_attach(atoi(argv[4]), &work, &second);
	if (second.sender != NULL)
		second.kind->close(second.sender);
	if (second.receiver != NULL)
		second.kind->close(second.receiver);
	free(second.payload);
	return r < 0 ? 1 : 0;
}
