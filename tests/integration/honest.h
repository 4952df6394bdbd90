/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_HONEST_H
#define SHMB_TESTS_HONEST_H

/*
 * Clients that behave, beside those that do not: some of the soak's workers (tests/soak/soak.h), which verify each byte, number and item, and keep
 * books over their deaths.
 */

#include "../support/broker.h"

/* Their number, and which of them are readers. */
enum { HONEST_CLIENTS = 8, HONEST_WRITERS = 3 };

struct honest {
	struct broker *b;
	struct soak_page *page;
	pid_t pids[HONEST_CLIENTS]; /* 0: not there */
	uint64_t told[HONEST_CLIENTS];
	bool awaited[HONEST_CLIENTS]; /* a reader that must still hear of its writer's death */
};

void honest_init(struct honest *honest, struct broker *b, uint64_t seed);
void honest_deinit(struct honest *honest);

/* Starts all that are not there. */
void honest_start(struct honest *honest);
/* Waits until all have opened what they want, with a daemon that serves. */
void honest_wait(struct honest *honest);
/* Kills one. Of the first HONEST_WRITERS the death is told to the reader, which honest_wait_told() waits for. Nothing, when it is not there. */
void honest_kill(struct honest *honest, unsigned which);
/* Waits, with a daemon that serves, until each death since is known. */
void honest_wait_told(struct honest *honest);
/* Fails the test when one has ended by itself or found something wrong. */
void honest_look(struct honest *honest);
/* Ends all in order. Returns how many numbers were written. */
uint64_t honest_finish(struct honest *honest);

#endif
