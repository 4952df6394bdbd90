/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_CHAOS_H
#define SHMB_TESTS_CHAOS_H

/*
 * A hostile client: speaks the protocol by hand on several connections, with numbers from a seed: requests of every opcode, right and nearly right, answers
 * read and not read, descriptors sent, what was handed out overwritten and cut short, connections given up at any place.
 */

#include "../support/broker.h"

#include "proto/message.h"

#include <stdatomic.h>

/* CHAOS_UID and the next one are other users. */
enum { CHAOS_CLIENTS = 7, CHAOS_UID = 61051 };

/* A number from the environment. */
uint64_t chaos_number(const char *variable, uint64_t usual);

/* The last one cannot be read. */
enum { CHAOS_CONFIGS = 3 };
extern const char *const chaos_configs[CHAOS_CONFIGS];
void chaos_reload(struct broker *b, unsigned which);

/* Somebody who behaves comes, writes, reads and goes. */
void chaos_serves(struct broker *b, unsigned salt);

/*
 * The first descriptor that a client sends makes the daemon start a thread that closes such, with a pipe, where the kernel does not keep them away. Sends
 * one; returns how many descriptors that has cost the daemon.
 */
int chaos_descriptor_send(struct broker *b);

/* Written by all of them. */
struct chaos_books {
	uint32_t cut_one_in; /* of the times that memory is overwritten it is cut short instead. A test says so before the first client */
	_Atomic uint64_t served[SHMB_OP_COUNT];
	_Atomic uint64_t refused[SHMB_OP_COUNT];
	_Atomic uint64_t connections, odd, unread, spoilt, sent_fds, lies;
};

/* Numbers of this process, the same after the same seed. */
void chaos_seed(uint64_t seed, unsigned who, unsigned life);
uint32_t chaos_draw(uint32_t below);

/* Starts the client `who`, the last two as other users where that can be. It goes on until it is killed. */
pid_t chaos_client(struct broker *b, struct chaos_books *shared, uint64_t seed, unsigned who, unsigned life);

#endif
