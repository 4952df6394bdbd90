/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_PROGRAM_H
#define SHMB_TESTS_PROGRAM_H

/*
 * Programs under test: started behind SHMB_TEST_WRAPPER, talked to through pipes, never waited for without a deadline, killed when the
 * test dies.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct program {
	char name[32];
	pid_t pid;
	int in;	 /* its stdin, -1 none */
	int out; /* its stdout, -1 none */
	bool ended;
	int status; /* as of waitpid, when ended */
	char buffer[8192];
	size_t filled;
};

/* Descriptors as systemd hands them over: numbers from 3 on, and in the environment how many, whose and their names. */
enum { PROGRAM_HANDED_MAX = 1024 };
struct program_handed {
	unsigned count;
	int fds[PROGRAM_HANDED_MAX];
	char names[PROGRAM_HANDED_MAX][24];
};

struct program_options {
	const char *name;		/* for messages; default: the program's file name */
	const char *const *environment; /* "NAME=VALUE", NULL-terminated, on top of ours; "NAME" alone removes it */
	int stderr_fd;			/* 0: ours */
	bool no_pipes;			/* stdin from /dev/null, stdout to ours */
	uid_t uid;			/* 0: ours */
	int umask;			/* 0: ours */
	bool without_wrapper;
	const struct program_handed *handed; /* NULL: none */
};

void program_start(struct program *program, const struct program_options *options, const char *const argv[]);
/* Sends a signal. Nothing when it has ended. */
void program_signal(struct program *program, int signal);
/* Waits for its end; fails the test after SUITE_PATIENCE_MS. Returns the exit status, or -N for signal N. Closes the pipes. */
int program_wait(struct program *program);
/* SIGKILL and wait. */
void program_kill(struct program *program);
/* Has it ended? Does not wait. */
bool program_has_ended(struct program *program);

/* One line to its stdin. */
void program_send(struct program *program, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* One line of its stdout, without the newline; valid until the next call. Fails the test when none comes within `ms`; a program that ended
 * without a line gives NULL. */
const char *program_line(struct program *program, unsigned ms);
/* Is there a line (or the end) to read now? */
bool program_has_line(struct program *program, unsigned ms);

/* Waits until the process sleeps in a futex (or, where that cannot be seen, sleeps). */
void program_wait_asleep(struct program *program);
/* Waits until the process is stopped by a signal. */
void program_wait_stopped(struct program *program);

/* Runs a program to its end. The caller frees out and err with program_result_deinit. */
struct program_result {
	int status; /* exit status, -N for signal N */
	char *out;
	char *err;
};
void program_run(struct program_result *result, const struct program_options *options, const char *const argv[]);
void program_result_deinit(struct program_result *result);

/* Paths of the programs under test: the environment's SHMB_TEST_<WHAT>, else where the build put them. */
const char *path_daemon(void);
const char *path_daemon_steps(void);
const char *path_worker(void);
const char *path_worker_steps(void);
const char *path_quiet(void);
const char *path_shmbctl(void); /* NULL: not built */
const char *path_source(void);	/* the top of the source tree */

/* A NULL-terminated argv, written in place. */
#define ARGV(...) ((const char *const[]){ __VA_ARGS__, NULL })

#endif
