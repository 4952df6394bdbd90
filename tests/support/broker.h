/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_BROKER_H
#define SHMB_TESTS_BROKER_H

/*
 * A private daemon for a test: directories of its own, its log in a file that is shown when the test fails, kill and restart on the same
 * directories, and at the end the proof that nothing is left.
 */

#include "keeper.h"
#include "program.h"
#include "suite.h"

#include "shmb.h"

struct broker_options {
	const char *linger;  /* default "infinity" */
	mode_t runtime_mode; /* default 0700; 0755 lets other uids connect */
	bool steps;	     /* the test build, with SHMB_STEP_AT / SHMB_STEP_DO */
	const char *step_at; /* for the first start only */
	const char *step_do; /* default "kill" */
	const char *shm;     /* a directory given by the test; default one under /dev/shm */
	uid_t uid;	     /* runs as; 0: ours */
	int umask;
	const char *config;    /* text of its configuration, written to the file broker.config; NULL: none */
	bool not_ready;	       /* do not wait for the ready line: it will not come */
	struct keeper *keeper; /* keeps descriptors from each start to the next; NULL: nobody does */
};

struct broker {
	struct broker_options options;
	struct program daemon;
	char dir[128]; /* of the test: log, runtime directory */
	char runtime[160];
	char socket[192];
	char shm[256];
	char log[160];
	char config[160];
	char environment[256]; /* "SHMBROKER_SOCKET=..." for programs */
	int fds;	       /* the daemon's before its first client; -1 not yet looked */
	char *files;	       /* of the shm directory, likewise */
	bool started_once;
};

/* Starts a daemon on new directories and waits until it is ready. */
void broker_start(struct broker *broker, const struct broker_options *options);
/* Writes another configuration; the daemon reads it when it is told to. */
void broker_configure(struct broker *broker, const char *text);
/* Starts it again on the same directories. */
void broker_restart(struct broker *broker);
/* SIGKILL. */
void broker_kill(struct broker *broker);
/* SIGTERM; fails the test unless it exits with 0 and its socket is gone. */
void broker_stop(struct broker *broker);
/*
 * The end: waits until the daemon has as many descriptors as before its first client, removes the segments that are left, checks that the
 * directory holds what it held before and that the daemon has nothing mapped, stops it and removes its directories.
 */
void broker_finish(struct broker *broker);
/* All of that but the end: the daemon serves on. */
void broker_clear(struct broker *broker);
/* Removes all segments. */
void broker_remove_segments(struct broker *broker);
/* Waits until the daemon has as many descriptors as before its first client, but for sealed parts: every client's end was noticed. */
void broker_settle(struct broker *broker);
/* Descriptors of sealed parts that the daemon keeps. */
int broker_sealed(const struct broker *broker);
/* Stops without a check, for tests whose daemon is not there any more; removes the directories. */
void broker_drop(struct broker *broker);
/* Brokers started and not finished. */
unsigned broker_count(void);
/* Where the directories of tests are made: short, so that a socket's path fits. */
const char *broker_tmp(void);

/* The daemon's log so far; the caller frees it. */
char *broker_log(struct broker *broker);
/* Waits until the log contains this text. */
void broker_wait_log(struct broker *broker, const char *text);

/* Connects this process. */
struct shmb *broker_connect(struct broker *broker);
void broker_status(struct broker *broker, struct shmb_broker_status *out);

/* ---- workers: tests/integration/worker.c ---- */

struct answer {
	int result;
	int count;
	uint64_t v[12];
	char text[1024];
};

/* Starts a worker that talks to this broker; with `steps` the one with step hooks. */
void worker_start(struct program *worker, struct broker *broker, const char *name, bool steps);
/* Sends a command and reads its answer. */
struct answer worker_ask(struct program *worker, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Likewise, and its result must be 0. */
struct answer worker_must(struct program *worker, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Reads the answer to a command sent before with program_send(). */
struct answer worker_answer(struct program *worker);
/* Orderly end: exit status 0. */
void worker_quit(struct program *worker);

#define ASSERT_RESULT(of, expected)                                                                                                        \
	do {                                                                                                                               \
		const struct answer assert_answer = (of);                                                                                  \
		ck_assert_msg(assert_answer.result == (expected), "result %d (%s), expected %d; text: %s", assert_answer.result,           \
			      shmb_strerror(assert_answer.result), (int)(expected), assert_answer.text);                                   \
	} while (0)

#define ASSERT_OK(call)                                                                                                                    \
	do {                                                                                                                               \
		int assert_ok = (call);                                                                                                    \
		ck_assert_msg(assert_ok == 0, "%s: %d (%s); text: %s", #call, assert_ok, shmb_strerror(assert_ok), shmb_text());           \
	} while (0)
#define ASSERT_ERROR(call, error)                                                                                                          \
	do {                                                                                                                               \
		int assert_error = (call);                                                                                                 \
		ck_assert_msg(assert_error == -(error), "%s: %d (%s), expected %d; text: %s", #call, assert_error,                         \
			      shmb_strerror(assert_error), -(error), shmb_text());                                                         \
	} while (0)

#endif
