/* SPDX-License-Identifier: MIT */
/*
 * The step hooks of the test build (proto/step.h): the environment names one point, and what happens to the process there.
 *
 *   SHMB_STEP_AT=NAME[:N]   the N-th time this process passes NAME (default 1)
 *   SHMB_STEP_DO=kill       SIGKILL       stop  SIGSTOP       exit  _exit(77)
 *                wait:FILE  makes FILE.reached and goes on when FILE exists
 *                slow:MS    takes so many milliseconds, and each time after the N-th again
 *
 *   SHMB_STEP_NUMBER=NAME:N   what the sources call by NAME (a length of time, say) is N
 *
 * The environment is read at each hook: a test program may set it for itself just before. In a build that counts coverage a process that
 * ends here writes its counts first; nobody else would.
 */
#include "proto/step.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef SHMB_COVERAGE
void __gcov_dump(void);
void __gcov_reset(void);

static void write_counts(void)
{
	__gcov_dump();
	__gcov_reset();
}
#else
static void write_counts(void)
{
}
#endif

static void act(const char *action)
{
	if (strncmp(action, "slow:", 5) == 0) {
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 * strtol(action + 5, NULL, 10) }, NULL);
		return;
	}
	if (strncmp(action, "wait:", 5) != 0)
		write_counts();
	if (strcmp(action, "kill") == 0)
		kill(getpid(), SIGKILL);
	if (strcmp(action, "stop") == 0)
		kill(getpid(), SIGSTOP);
	if (strcmp(action, "exit") == 0)
		_exit(77);
	if (strncmp(action, "wait:", 5) == 0) {
		char reached[4096];

		snprintf(reached, sizeof(reached), "%s.reached", action + 5);
		close(open(reached, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
		while (access(action + 5, F_OK) != 0)
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
}

void shmb_step(const char *name)
{
	static _Atomic long passed;
	const char *at = getenv("SHMB_STEP_AT");
	const char *action = getenv("SHMB_STEP_DO");
	const char *colon;
	size_t length;
	long wanted;
	long passes;

	if (at == NULL || action == NULL)
		return;
	colon = strchr(at, ':');
	length = colon != NULL ? (size_t)(colon - at) : strlen(at);
	wanted = colon != NULL ? strtol(colon + 1, NULL, 10) : 1;
	if (strlen(name) != length || strncmp(name, at, length) != 0)
		return;
	passes = atomic_fetch_add(&passed, 1) + 1;
	if (passes == wanted || (passes > wanted && strncmp(action, "slow:", 5) == 0))
		act(action);
}

uint64_t shmb_step_number(const char *name, uint64_t usual)
{
	const char *given = getenv("SHMB_STEP_NUMBER");
	size_t length = strlen(name);

	return given != NULL && strncmp(given, name, length) == 0 && given[length] == ':' ? strtoull(given + length + 1, NULL, 10) : usual;
}
