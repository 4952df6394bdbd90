/* SPDX-License-Identifier: MIT */
/* A Unix socket that keeps packets apart: one call for a payload. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "channel.h"

struct end {
	int listener; /* the receiver's, until the sender is there */
	int fd;
	size_t bytes;
};

static int address_of(struct sockaddr_un *address, const struct channel_place *place)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	return channel_path(address->sun_path, sizeof(address->sun_path), "", place);
}

static void seqpacket_close(void *state)
{
	struct end *end = state;

	if (end->listener >= 0)
		close(end->listener);
	if (end->fd >= 0)
		close(end->fd);
	free(end);
}

static int seqpacket_open(void **out, const struct channel_place *place, bool receives)
{
	struct end *end = calloc(1, sizeof(*end));
	struct sockaddr_un address;
	int fd, r, room;

	if (end == NULL)
		return -ENOMEM;
	end->bytes = place->bytes;
	end->fd = -1;
	end->listener = -1;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		free(end);
		return -errno;
	}
	if (receives)
		end->listener = fd;
	else
		end->fd = fd;
	r = address_of(&address, place);
	if (r == 0 && receives) {
		unlink(address.sun_path);
		if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1) < 0)
			r = -errno;
	} else if (r == 0) {
		/* What the kernel adds to a packet has to fit as well. */
		room = (int)(2 * place->bytes);
		if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)) < 0 ||
		    connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
			r = -errno;
	}
	if (r < 0) {
		seqpacket_close(end);
		return r;
	}
	*out = end;
	return 0;
}

static int seqpacket_receiver_open(void **out, const struct channel_place *place)
{
	return seqpacket_open(out, place, true);
}

static int seqpacket_sender_open(void **out, const struct channel_place *place)
{
	return seqpacket_open(out, place, false);
}

static int seqpacket_send(void *state, const void *payload)
{
	const struct end *end = state;

	if (send(end->fd, payload, end->bytes, MSG_NOSIGNAL) >= 0)
		return 0;
	return errno == EMSGSIZE || errno == ENOBUFS ? channel_absent("a packet of %zu bytes is too long here", end->bytes) : -errno;
}

static int seqpacket_receive(void *state, void *payload, enum channel_wait how)
{
	struct end *end = state;
	ssize_t n;

	if (end->fd < 0) {
		end->fd = accept4(end->listener, NULL, NULL, SOCK_CLOEXEC);
		if (end->fd < 0)
			return -errno;
	}
	n = recv(end->fd, payload, end->bytes, how == CHANNEL_TRY ? MSG_DONTWAIT : 0);
	if (n < 0)
		return -errno;
	return (size_t)n == end->bytes ? 0 : -EBADMSG;
}

const struct channel_kind seqpacket_kind = {
	.name = "seqpacket",
	.receiver_open = seqpacket_receiver_open,
	.sender_open = seqpacket_sender_open,
	.send = seqpacket_send,
	.receive = seqpacket_receive,
	.close = seqpacket_close,
};
