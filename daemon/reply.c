/* SPDX-License-Identifier: MIT */
/* Answers in the making. */
#include "reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "segment.h"

void reply_init(struct reply *reply)
{
	reply->length = 0;
	reply->fd_count = 0;
	reply->are_lent = false;
	reply->last = false;
	reply->deferred = false;
}

void reply_deinit(struct reply *reply)
{
	for (uint32_t i = 0; i < reply->fd_count && !reply->are_lent; i++)
		close(reply->fds[i]);
	reply->fd_count = 0;
	reply->are_lent = false;
}

void *reply_begin(struct reply *reply, const struct shmb_msg_head *request, size_t size)
{
	struct shmb_msg_head *head = (struct shmb_msg_head *)reply->bytes;

	reply_deinit(reply);
	memset(reply->bytes, 0, size);
	head->opcode = request->opcode;
	head->serial = request->serial;
	reply->length = size;
	return reply->bytes;
}

size_t reply_room(const struct reply *reply)
{
	return sizeof(reply->bytes) - reply->length;
}

void *reply_tail(struct reply *reply, size_t bytes)
{
	struct shmb_msg_head *head = (struct shmb_msg_head *)reply->bytes;
	unsigned char *at = reply->bytes + reply->length;

	if (bytes > reply_room(reply))
		return NULL;
	memset(at, 0, bytes);
	reply->length += bytes;
	head->tail_bytes += (uint32_t)bytes;
	return at;
}

void reply_done(struct reply *reply, const struct shmb_msg_head *request)
{
	reply_begin(reply, request, sizeof(struct shmb_msg_answer));
}

void reply_error(struct reply *reply, const struct shmb_msg_head *request, int result, const char *format, ...)
{
	struct shmb_msg_answer *answer = reply_begin(reply, request, sizeof(*answer));
	char text[2 * SHMB_TEXT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	shmb_text_set(answer->text, sizeof(answer->text), text);
	answer->head.result = result;
}

void reply_in_use(struct reply *reply, const struct shmb_msg_head *request, uint32_t handle)
{
	reply_error(reply, request, -EEXIST, "handle %u of this connection is in use for another segment or role: choose another number",
		    handle);
}

void reply_holder(struct reply *reply, const struct holder *holder, const char *comm)
{
	struct shmb_msg_answer *answer = (struct shmb_msg_answer *)reply->bytes;

	answer->holder_pid = holder->pid;
	answer->holder_uid = holder->uid;
	shmb_text_set(answer->holder_comm, sizeof(answer->holder_comm), comm);
}
