/* SPDX-License-Identifier: MIT */
/* A pipe, with room for one payload at least, which is written and read with one call where that takes it whole. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "channel.h"

enum { PATH_ROOM = 256 };

struct end {
	int fd;
	size_t bytes;
};

/* Open for both directions, so that opening does not wait for the other side. */
static int pipe_open(void **out, const struct channel_place *place)
{
	struct end *end = calloc(1, sizeof(*end));
	char path[PATH_ROOM];
	int r;

	if (end == NULL)
		return -ENOMEM;
	end->bytes = place->bytes;
	r = channel_path(path, sizeof(path), "", place);
	if (r == 0 && mkfifo(path, 0600) < 0 && errno != EEXIST)
		r = -errno;
	end->fd = r == 0 ? open(path, O_RDWR | O_CLOEXEC) : -1;
	if (r == 0 && end->fd < 0)
		r = -errno;
	if (r == 0) {
		int room = fcntl(end->fd, F_GETPIPE_SZ);

		if (room >= 0 && (size_t)room < end->bytes && fcntl(end->fd, F_SETPIPE_SZ, (int)end->bytes) < 0)
			r = channel_absent("a pipe does not take %zu bytes here", end->bytes);
	}
	if (r < 0) {
		if (end->fd >= 0)
			close(end->fd);
		free(end);
		return r;
	}
	*out = end;
	return 0;
}

static int pipe_send(void *state, const void *payload)
{
	const struct end *end = state;
	const unsigned char *at = payload;
	size_t left = end->bytes;

	while (left > 0) {
		ssize_t n = write(end->fd, at, left);

		if (n < 0)
			return -errno;
		at += n;
		left -= (size_t)n;
	}
	return 0;
}

static int pipe_receive(void *state, void *payload, enum channel_wait how)
{
	const struct end *end = state;
	struct pollfd there = { .fd = end->fd, .events = POLLIN };
	unsigned char *at = payload;
	size_t left = end->bytes;

	if (how == CHANNEL_TRY && poll(&there, 1, 0) == 0)
		return -EAGAIN;
	while (left > 0) {
		ssize_t n = read(end->fd, at, left);

		if (n < 0)
			return -errno;
		at += n;
		left -= (size_t)n;
	}
	return 0;
}

static void pipe_close(void *state)
{
	struct end *end = state;

	close(end->fd);
	free(end);
}

const struct channel_kind pipe_kind = {
	.name = "pipe",
	.receiver_open = pipe_open,
	.sender_open = pipe_open,
	.send = pipe_send,
	.receive = pipe_receive,
	.close = pipe_close,
};
