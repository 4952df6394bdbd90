/* SPDX-License-Identifier: MIT */
/* nng over ipc: a pair of sockets, with buffers of as many payloads as the case has slots. Its threads are not pinned. */
#include <errno.h>
#include <stdlib.h>

#include "channel.h"

#ifdef BENCH_NNG
#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>

enum { ADDRESS_ROOM = 256 };

struct end {
	nng_socket socket;
	size_t bytes;
};

static int errno_of(int error)
{
	switch (error) {
	case 0:
		return 0;
	case NNG_EAGAIN:
		return -EAGAIN;
	case NNG_ENOMEM:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

static int nng_open(void **out, const struct channel_place *place, bool receives)
{
	struct end *end = calloc(1, sizeof(*end));
	char address[ADDRESS_ROOM];
	int r;

	if (end == NULL)
		return -ENOMEM;
	end->bytes = place->bytes;
	r = channel_path(address, sizeof(address), "ipc://", place);
	if (r == 0)
		r = errno_of(nng_pair0_open(&end->socket));
	if (r < 0) {
		free(end);
		return r;
	}
	r = nng_socket_set_int(end->socket, receives ? NNG_OPT_RECVBUF : NNG_OPT_SENDBUF, (int)place->slots);
	if (r == 0)
		r = nng_socket_set_size(end->socket, NNG_OPT_RECVMAXSZ, 0); /* no limit */
	if (r == 0)
		r = receives ? nng_listen(end->socket, address, NULL, 0) : nng_dial(end->socket, address, NULL, 0);
	if (r != 0) {
		nng_close(end->socket);
		free(end);
		return errno_of(r);
	}
	*out = end;
	return 0;
}

static int nng_receiver_open(void **out, const struct channel_place *place)
{
	return nng_open(out, place, true);
}

static int nng_sender_open(void **out, const struct channel_place *place)
{
	return nng_open(out, place, false);
}

/* It takes no const, and does not change what it copies. */
static int nng_send_one(void *state, const void *payload)
{
	const struct end *end = state;

	return errno_of(nng_send(end->socket, (void *)payload, end->bytes, 0));
}

static int nng_receive_one(void *state, void *payload, enum channel_wait how)
{
	const struct end *end = state;
	size_t bytes = end->bytes;
	int r;

	do
		r = nng_recv(end->socket, payload, &bytes, how == CHANNEL_SLEEP ? 0 : NNG_FLAG_NONBLOCK);
	while (r == NNG_EAGAIN && how == CHANNEL_SPIN);
	if (r != 0)
		return errno_of(r);
	return bytes == end->bytes ? 0 : -EBADMSG;
}

static void nng_close_one(void *state)
{
	struct end *end = state;

	nng_close(end->socket);
	free(end);
}

const struct channel_kind nng_kind = {
	.name = "nng",
	.receiver_open = nng_receiver_open,
	.sender_open = nng_sender_open,
	.send = nng_send_one,
	.receive = nng_receive_one,
	.close = nng_close_one,
};

#else

static int nng_prepare(void)
{
	return channel_absent("libnng-dev was not there when this was built");
}

const struct channel_kind nng_kind = { .name = "nng", .prepare = nng_prepare };

#endif
