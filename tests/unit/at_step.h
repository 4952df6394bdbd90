/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_AT_STEP_H
#define SHMB_TESTS_AT_STEP_H

/*
 * The other side between two instructions. Programs with this are linked with the library's sources built with step hooks, and each hook comes here:
 * what a test asked for is done at the very step, in the same thread, as another process might do it.
 *
 *   at_step("read.copied", 1, publish_all, &bench);    the first time
 *   at_step("read.copied", ALWAYS, ...);               each time
 */

#include "proto/step.h"

#include <limits.h>
#include <string.h>

enum { ALWAYS = INT_MAX };

static struct {
	const char *name;
	int times;
	void (*act)(void *user);
	void *user;
	bool acting; /* it passes steps of its own */
} step_act;
static int steps_acted; /* how often, since at_step() */

static inline void at_step(const char *name, int times, void (*act)(void *user), void *user)
{
	step_act.name = name;
	step_act.times = times;
	step_act.act = act;
	step_act.user = user;
	steps_acted = 0;
}

void shmb_step(const char *name); /* step.h declares it for the library only */

void shmb_step(const char *name)
{
	if (step_act.times == 0 || step_act.acting || strcmp(name, step_act.name) != 0)
		return;
	step_act.times--;
	step_act.acting = true;
	step_act.act(step_act.user);
	step_act.acting = false;
	steps_acted++;
}

#endif
