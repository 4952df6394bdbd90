/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_RAW_H
#define SHMB_TESTS_RAW_H

/* The control protocol by hand: what the library never sends, and the descriptors that it closes after mapping. */

#include "broker.h"

#include "proto/message.h"

struct raw {
	int fd;
	uint32_t serial;
	uint8_t cookie[SHMB_COOKIE_BYTES];
};

struct raw_answer {
	struct shmb_msg_head head;
	union {
		struct shmb_msg_answer answer;
		struct shmb_msg_hello_answer hello;
		struct shmb_msg_open_answer open;
		char bytes[SHMB_MESSAGE_MAX];
	};
	size_t length;
	int fds[16];
	unsigned fd_count;
};

/* Connects only; a random cookie unless one is there. A negative errno on failure: usable in forked children. */
int raw_connect(struct raw *raw, const char *socket_path);
void raw_close(struct raw *raw);
/* An orderly end: closes the handles up to 32 first. Without it their cells stay taken until this process ends. */
void raw_end(struct raw *raw);
/* connect, HELLO, READY */
int raw_start(struct raw *raw, const char *socket_path);
/* connect, HELLO only; the answer's result. */
int raw_hello(struct raw *raw, const char *socket_path);

/* Sends bytes as they are. */
int raw_send(struct raw *raw, const void *packet, size_t length);
/* Receives one packet: its length, 0 end of the connection, -ETIMEDOUT, ... Descriptors in *out are the caller's (raw_answer_deinit). */
int raw_receive(struct raw *raw, struct raw_answer *out, unsigned ms);
/* Likewise, and it must be the answer to a request, which was granted. */
void raw_must(struct raw *raw, struct raw_answer *out);
/* Fills the head, sends fixed struct and tail, and does not wait. */
int raw_request(struct raw *raw, uint16_t opcode, void *request, size_t size, const void *tail, size_t tail_bytes);
/* Likewise, and receives the answer: its result, -ECONNRESET when the broker hung up. */
int raw_ask(struct raw *raw, uint16_t opcode, void *request, size_t size, const void *tail, size_t tail_bytes, struct raw_answer *out);
void raw_answer_deinit(struct raw_answer *answer);

/* Another process with a client of its own. */
struct raw_child {
	pid_t pid;
	int result; /* of what it did */
};

/* Forks; the child connects, does `act`, tells its result and sleeps, holding what it has, until it is killed. */
void raw_child_start(struct raw_child *child, const char *socket_path, int (*act)(struct raw *raw));
void raw_child_kill(struct raw_child *child);

/* Requests to fill in further. */
void raw_open_writer(struct shmb_msg_open_writer *request, const char *name, const char *schema, uint64_t bytes);
/* A frame of history 2 with 3 pins, a queue of 8, a block. */
void raw_open_kind(struct shmb_msg_open_writer *request, enum shmb_kind kind, const char *name, const char *schema, uint64_t bytes);
void raw_open_reader(struct shmb_msg_open_reader *request, const char *name);

#endif
