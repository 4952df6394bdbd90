/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_CRASH_STEP_H
#define SHMB_TESTS_CRASH_STEP_H

/* The step hook of tests that kill the broker: it counts, and kills at the chosen step. */

#include "proto/step.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static unsigned kill_at; /* 0: never */
static unsigned passed;
static char *last_step; /* shared with the children, for messages */

void shmb_step(const char *name)
{
	if (kill_at == 0)
		return;
	snprintf(last_step, 64, "%s", name);
	if (++passed == kill_at)
		kill(getpid(), SIGKILL);
}

#endif
