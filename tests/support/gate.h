/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_GATE_H
#define SHMB_TESTS_GATE_H

/* Holds a program of the test build up at a step, for as long as the test likes: it waits there until the gate is opened. */

#include "broker.h"

struct gate {
	char path[192];
	char reached[208];
};

/* Starts a daemon that stops at the `time`th pass of a step. `more` is what else is asked of it; NULL: nothing. */
void gate_start(struct gate *gate, struct broker *broker, const char *step, unsigned time, const struct broker_options *more);
/* A worker with step hooks stops at the next pass of a step. */
void gate_hold(struct gate *gate, struct broker *broker, struct program *worker, const char *step);
/* Waits until the program has come to the step. */
void gate_wait(const struct gate *gate);
bool gate_reached(const struct gate *gate);
void gate_open(const struct gate *gate);
/* Removes its files, once it has been opened and passed. */
void gate_end(const struct gate *gate);

#endif
