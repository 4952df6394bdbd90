/* SPDX-License-Identifier: MIT */
/* A POSIX message queue. The system limits how many messages of what size it takes: 10 of 8 KiB where nobody has changed that. */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "channel.h"

enum { NAME_ROOM = 256, DEPTH = 8 };

struct end {
	mqd_t queue;
	size_t bytes;
	bool receives;
	char name[NAME_ROOM];
};

/* The last part of the directory's name is of this run alone. */
static int name_of(char *out, const struct channel_place *place)
{
	const char *last = strrchr(place->directory, '/');
	struct channel_place here = *place;

	here.directory = last != NULL ? last + 1 : place->directory;
	if (channel_path(out, NAME_ROOM, "/", &here) < 0)
		return -ENAMETOOLONG;
	for (char *at = out + 1; *at != '\0'; at++) {
		if (*at == '/')
			*at = '-';
	}
	return 0;
}

static int mqueue_open(void **out, const struct channel_place *place, bool receives)
{
	struct mq_attr attributes = { .mq_maxmsg = DEPTH, .mq_msgsize = (long)place->bytes };
	struct end *end = calloc(1, sizeof(*end));
	int r;

	if (end == NULL)
		return -ENOMEM;
	end->bytes = place->bytes;
	end->receives = receives;
	r = name_of(end->name, place);
	if (r == 0) {
		end->queue = mq_open(end->name, (receives ? O_RDONLY : O_WRONLY) | O_CREAT | O_CLOEXEC, 0600, &attributes);
		if (end->queue == (mqd_t)-1)
			r = errno == EINVAL || errno == EMFILE ? channel_absent("a message queue does not take %zu bytes here", end->bytes)
							       : -errno;
	}
	if (r < 0) {
		free(end);
		return r;
	}
	*out = end;
	return 0;
}

static int mqueue_receiver_open(void **out, const struct channel_place *place)
{
	return mqueue_open(out, place, true);
}

static int mqueue_sender_open(void **out, const struct channel_place *place)
{
	return mqueue_open(out, place, false);
}

static int mqueue_send(void *state, const void *payload)
{
	const struct end *end = state;

	return mq_send(end->queue, payload, end->bytes, 0) < 0 ? -errno : 0;
}

static int mqueue_receive(void *state, void *payload, enum channel_wait how)
{
	static const struct timespec past = { 0 };
	const struct end *end = state;
	ssize_t n = how == CHANNEL_TRY ? mq_timedreceive(end->queue, payload, end->bytes, NULL, &past)
				       : mq_receive(end->queue, payload, end->bytes, NULL);

	if (n < 0)
		return errno == ETIMEDOUT ? -EAGAIN : -errno;
	return (size_t)n == end->bytes ? 0 : -EBADMSG;
}

static void mqueue_close(void *state)
{
	struct end *end = state;

	mq_close(end->queue);
	if (end->receives)
		mq_unlink(end->name);
	free(end);
}

const struct channel_kind mqueue_kind = {
	.name = "posix_mq",
	.receiver_open = mqueue_receiver_open,
	.sender_open = mqueue_sender_open,
	.send = mqueue_send,
	.receive = mqueue_receive,
	.close = mqueue_close,
};
