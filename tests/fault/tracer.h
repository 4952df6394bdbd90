/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_TRACER_H
#define SHMB_TESTS_TRACER_H

/* A child followed from system call to system call, and killed at the entry of the one that is wanted: it is then not made any more. */

#include <stdbool.h>
#include <sys/types.h>

struct tracer {
	pid_t pid;
	unsigned calls; /* entered so far */
	long last;	/* number of the last one */
	bool attached;
	bool asleep; /* in a call that waits for events */
	bool ended;  /* killed, by us or itself; its status is still to be waited for */
};

/* Takes hold of a running child. */
void tracer_attach(struct tracer *tracer, pid_t pid);
/* Starts a program under it; it stands before its first system call. stderr goes to `log`. */
void tracer_start(struct tracer *tracer, const char *log, const char *const argv[]);
/*
 * Lets it go on until it sleeps while done(user) is true, or has entered its `kill_at`-th system call since the beginning, where it is killed
 * (0: never). Returns true when it was killed there, false when it came to its end: it is then let go, or, if it was started here, killed.
 */
bool tracer_run(struct tracer *tracer, unsigned kill_at, bool (*done)(void *user), void *user);

#endif
