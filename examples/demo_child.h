/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_DEMO_CHILD_H
#define EXAMPLES_DEMO_CHILD_H

/*
 * The demo's processes: started with pipes and a log for their stderr, watched, ended. Each dies with the demo (PR_SET_PDEATHSIG) and
 * has a process group of its own, so that Ctrl-C reaches the demo only, which then ends all of them in order.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { CHILD_BUFFER = 8192, CHILD_LABEL_MAX = 48 };

struct child {
	char label[CHILD_LABEL_MAX]; /* for people */
	pid_t pid;		     /* 0: not running */
	int in_fd;		     /* to its stdin, -1 none */
	int out_fd;		     /* from its stdout, -1 none or at its end */
	bool may_end;		     /* its end is no surprise any more */
	int status;		     /* as of waitpid, once it has ended */
	char buffer[CHILD_BUFFER];   /* of what came from its stdout and is not taken yet */
	size_t length;
};

struct child_options {
	const char *log;    /* path of the file that its stderr is appended to */
	const char *notify; /* NOTIFY_SOCKET, NULL none */
	bool has_in;
	bool has_out;
};

/* A child that is not running. */
void child_init(struct child *child, const char *label);
/* Starts argv[0], a path, or a name to be looked for in PATH. 0 or a negative errno; a program that is not there exits with status 127. */
int child_start(struct child *child, const char *const argv[], const struct child_options *options);
/* Reads what is there into the buffer; closes out_fd at its end. */
void child_receive(struct child *child);
/* Drops the first bytes of the buffer. */
void child_take(struct child *child, size_t length);
/* True once the process has ended (and is collected). Never waits. */
bool child_has_ended(struct child *child);
/* Waits for its end until the deadline, then kills it. False when it had to. */
bool child_end(struct child *child, uint64_t deadline_ns);
/* "exit status 1", "signal 9 (Killed)" */
const char *child_end_text(const struct child *child, char *out, size_t size);
/* Closes pipes and ends the process at once, if it runs. */
void child_deinit(struct child *child);

#endif
