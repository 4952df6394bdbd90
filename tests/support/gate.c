/* SPDX-License-Identifier: MIT */
/* A program held up at a step (gate.h), by the action "wait" of step.c. */
#include "gate.h"

#include <stdio.h>
#include <unistd.h>

static void gate_name(struct gate *gate, const char *beginning)
{
	snprintf(gate->path, sizeof(gate->path), "%sgate-%u", beginning, (unsigned)(now_ns() % 1000000007));
	snprintf(gate->reached, sizeof(gate->reached), "%s.reached", gate->path);
}

void gate_start(struct gate *gate, struct broker *broker, const char *step, unsigned time, const struct broker_options *more)
{
	struct broker_options options = more != NULL ? *more : (struct broker_options){ 0 };
	char beginning[160];
	char step_do[200];
	char step_at[40];

	/* The directory of the broker is not there yet. */
	snprintf(beginning, sizeof(beginning), "%s/shmb-test-%d-", broker_tmp(), (int)suite_pid());
	gate_name(gate, beginning);
	snprintf(step_do, sizeof(step_do), "wait:%s", gate->path);
	snprintf(step_at, sizeof(step_at), "%s:%u", step, time);
	options.steps = true;
	options.step_at = step_at;
	options.step_do = step_do;
	broker_start(broker, &options);
}

void gate_hold(struct gate *gate, struct broker *broker, struct program *worker, const char *step)
{
	char beginning[160];

	snprintf(beginning, sizeof(beginning), "%s/", broker->dir);
	gate_name(gate, beginning);
	worker_must(worker, "step at=%s do=wait:%s", step, gate->path);
}

bool gate_reached(const struct gate *gate)
{
	return access(gate->reached, F_OK) == 0;
}

void gate_wait(const struct gate *gate)
{
	WAIT_UNTIL(gate_reached(gate));
}

void gate_open(const struct gate *gate)
{
	file_write(gate->path, "", 0);
}

void gate_end(const struct gate *gate)
{
	unlink(gate->reached);
	unlink(gate->path);
}
