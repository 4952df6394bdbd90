/* SPDX-License-Identifier: MIT */
#ifndef SHMB_CLIENT_CONTROL_H
#define SHMB_CLIENT_CONTROL_H

/* One request and its answer. All of it under the connection's lock. */

#include "connection.h"

struct answer {
	bool answered; /* the broker answered: the result is its own */
	int fds[SHMB_FDS_MAX];
	unsigned fd_count;	      /* owned by whoever holds the struct */
	struct shmb_msg_answer error; /* where the result is not 0 */
	const char *tail;	      /* in the connection's packet: valid until the next request */
	size_t tail_bytes;
	uint32_t event; /* the event word just before the request was sent */
};

void answer_close_fds(struct answer *answer);

/* Sends without waiting for the answer. -ETIMEDOUT, -ECONNRESET (broken: connection_drop), ... */
int control_send(struct shmb *broker, struct shmb_msg_head *request, const void *tail, size_t tail_bytes, uint64_t deadline_ns);

/*
 * Receives the answer to `serial`; those to earlier requests that were given up are passed over. `out` holds the answer's struct.
 * -ETIMEDOUT, -ECONNRESET, -EBADMSG, -EMFILE, or the broker's own result (answer->answered).
 */
int control_receive(struct shmb *broker, uint16_t opcode, uint32_t serial, void *out, struct answer *answer, uint64_t deadline_ns);

/*
 * Asks, on a connection made anew if need be, and asks again where the broker went away before it answered. At most
 * SHMB_ANSWER_TIMEOUT_NS. Sets the text on failure. -ECONNREFUSED no daemon, else as control_receive().
 */
int control_request(struct shmb *broker, struct shmb_msg_head *request, const void *tail, size_t tail_bytes, void *out,
		    struct answer *answer);

/* The same, until `deadline_ns`. */
int control_request_until(struct shmb *broker, struct shmb_msg_head *request, const void *tail, size_t tail_bytes, void *out,
			  struct answer *answer, uint64_t deadline_ns);

/* Tells the broker that a handle has ended. False: it did not answer. Sets no text. */
bool control_close(struct shmb *broker, uint32_t handle);

#endif
