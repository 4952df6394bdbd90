/* SPDX-License-Identifier: MIT */
/* ZeroMQ over ipc: PUSH and PULL with high-water marks of as many payloads as the case has slots. Its I/O thread is not pinned. */
#include <errno.h>
#include <stdlib.h>

#include "channel.h"

#ifdef BENCH_ZEROMQ
#include <zmq.h>

enum { ADDRESS_ROOM = 256 };

struct end {
	void *context;
	void *socket;
	size_t bytes;
};

static void zeromq_close(void *state)
{
	struct end *end = state;

	if (end->socket != NULL)
		zmq_close(end->socket);
	if (end->context != NULL)
		zmq_ctx_term(end->context);
	free(end);
}

static int zeromq_open(void **out, const struct channel_place *place, bool receives)
{
	struct end *end = calloc(1, sizeof(*end));
	int mark = (int)place->slots;
	int linger = 0;
	char address[ADDRESS_ROOM];
	int r;

	if (end == NULL)
		return -ENOMEM;
	end->bytes = place->bytes;
	r = channel_path(address, sizeof(address), "ipc://", place);
	if (r == 0) {
		end->context = zmq_ctx_new();
		end->socket = end->context != NULL ? zmq_socket(end->context, receives ? ZMQ_PULL : ZMQ_PUSH) : NULL;
		if (end->socket == NULL || zmq_setsockopt(end->socket, ZMQ_LINGER, &linger, sizeof(linger)) < 0 ||
		    zmq_setsockopt(end->socket, receives ? ZMQ_RCVHWM : ZMQ_SNDHWM, &mark, sizeof(mark)) < 0 ||
		    (receives ? zmq_bind(end->socket, address) : zmq_connect(end->socket, address)) < 0)
			r = -errno;
	}
	if (r < 0) {
		zeromq_close(end);
		return r;
	}
	*out = end;
	return 0;
}

static int zeromq_receiver_open(void **out, const struct channel_place *place)
{
	return zeromq_open(out, place, true);
}

static int zeromq_sender_open(void **out, const struct channel_place *place)
{
	return zeromq_open(out, place, false);
}

static int zeromq_send(void *state, const void *payload)
{
	const struct end *end = state;

	return zmq_send(end->socket, payload, end->bytes, 0) < 0 ? -errno : 0;
}

static int zeromq_receive(void *state, void *payload, enum channel_wait how)
{
	const struct end *end = state;
	int n;

	do
		n = zmq_recv(end->socket, payload, end->bytes, how == CHANNEL_SLEEP ? 0 : ZMQ_DONTWAIT);
	while (n < 0 && errno == EAGAIN && how == CHANNEL_SPIN);
	if (n < 0)
		return -errno;
	return (size_t)n == end->bytes ? 0 : -EBADMSG;
}

const struct channel_kind zeromq_kind = {
	.name = "zeromq",
	.receiver_open = zeromq_receiver_open,
	.sender_open = zeromq_sender_open,
	.send = zeromq_send,
	.receive = zeromq_receive,
	.close = zeromq_close,
};

#else

static int zeromq_prepare(void)
{
	return channel_absent("libzmq3-dev was not there when this was built");
}

const struct channel_kind zeromq_kind = { .name = "zeromq", .prepare = zeromq_prepare };

#endif
