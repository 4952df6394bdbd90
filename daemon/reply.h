/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_REPLY_H
#define SHMB_DAEMON_REPLY_H

/*
 * The answer to one request while it is made: one packet and the descriptors that go with it. Pure memory but for the descriptors, which
 * the reply owns until it is sent, or has been lent (kept.h).
 */

#include <stdbool.h>
#include <stddef.h>

#include "proto/message.h"

struct holder;

struct reply {
	_Alignas(8) unsigned char bytes[SHMB_MESSAGE_MAX];
	size_t length; /* 0: not made yet */
	int fds[SHMB_FDS_MAX];
	uint32_t fd_count;
	bool are_lent; /* the descriptors */
	bool last;     /* the connection is closed behind it */
	bool deferred; /* there is none yet (making.h, later.h) */
};

void reply_init(struct reply *reply);
/* Closes the descriptors that are its own. */
void reply_deinit(struct reply *reply);

/* Begins an answer of `size` bytes to `request`, all zero but for its head. Whatever was made before is given up. */
void *reply_begin(struct reply *reply, const struct shmb_msg_head *request, size_t size);
/* Adds `bytes` to the tail and returns where they go (zeroed; valid until the reply is sent), or NULL when the packet is full. */
void *reply_tail(struct reply *reply, size_t bytes);
size_t reply_room(const struct reply *reply);

/* The plain answer: done. */
void reply_done(struct reply *reply, const struct shmb_msg_head *request);
/* The answer to what cannot be: `result` is a negative errno, the text says what was wrong and what to do about it. */
void reply_error(struct reply *reply, const struct shmb_msg_head *request, int result, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* -EEXIST, of a number that the client has given to something else. Not to what: others who may see this request's segment may not see that one. */
void reply_in_use(struct reply *reply, const struct shmb_msg_head *request, uint32_t handle);
/* Adds who holds it to a reply_error(). */
void reply_holder(struct reply *reply, const struct holder *holder, const char *comm);

#endif
