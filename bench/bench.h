/* SPDX-License-Identifier: MIT */
#ifndef SHMB_BENCH_H
#define SHMB_BENCH_H

/*
 * The benchmark's parts.
 *
 * A case is one operation on payloads of one size ("value.store_load", 64 bytes); several implementations do it, of which the first
 * is what the others are compared with. They take turns, round after round, so that what the machine does meanwhile hits all of them; ratios are
 * taken within a round.
 *
 * A new case is a function that does N operations for each implementation, and a row in cases.c.
 */

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct shmb;

enum { BENCH_IMPLS_MAX = 12, BENCH_ROUNDS_LEAST = 15, BENCH_REASON_BYTES = 120 };

struct bench_case;
struct bench_impl;

/* What an implementation is set up for. */
struct bench_place {
	struct shmb *broker;
	const struct bench_case *which;
	const struct bench_impl *impl;
};

struct bench_impl {
	const char *name;
	/* What takes long, or must be prepared each time in check: a block is one operation, which is not warmed up with more. */
	bool single;
	bool peer;	    /* measured with --peers only */
	const void *detail; /* for implementations that share their functions */
	/* *state is given to the others. 0 or a negative errno with a message on stderr; -EOPNOTSUPP: not to be had here, the reason by bench_skip(). */
	int (*init)(void **state, const struct bench_place *place);
	/* Does the operation `count` times. 0, or a negative errno: what the case does must not fail. */
	int (*run)(void *state, uint64_t count);
	/* Between blocks, not timed: what was moved must have arrived. NULL: nothing to look at. */
	int (*check)(void *state);
	/* Around the blocks of a round: a second process gets to work, and stops. NULL: there is none. */
	int (*begin)(void *state);
	void (*end)(void *state);
	/* What part of the writes was seen, since the last call. NULL: does not apply. */
	double (*seen)(void *state);
	void (*deinit)(void *state);
};

struct bench_case {
	const char *name;
	unsigned procs;
	size_t bytes;
	unsigned slots;
	const struct bench_impl *impls[BENCH_IMPLS_MAX]; /* the first is what ratios are to */
};

extern const struct bench_case bench_cases[];
extern const size_t bench_case_count;

/* ---- measuring (measure.c) ---- */

struct bench_result {
	double min_ns;			/* the fastest block */
	double median_ns;		/* of the rounds */
	double p99_ns;			/* of the blocks */
	double ratios[BENCH_IMPLS_MAX]; /* to each implementation: median of the rounds' ratios */
	double seen;			/* part of the writes, median of the rounds; below 0: does not apply */
	bool measured;
	char skipped[BENCH_REASON_BYTES]; /* why it was not, though it should have been */
};

/*
 * Measures the implementations of one case, `rounds` rounds; results[i] belongs to impls[i]. `progress` is called before each round.
 * 0, -EINTR when *stop was set, or what an implementation failed with.
 */
int bench_measure(const struct bench_case *which, struct shmb *broker, unsigned rounds, bool peers, const volatile bool *stop,
		  void (*progress)(const struct bench_case *which, unsigned round, unsigned rounds), struct bench_result *results);
/* Why the implementation that is being set up cannot be had here. */
void bench_skip(const char *why, va_list arguments);

/* ---- goals (goals.c) ---- */

/* Prints how the results of all cases stand to the goals; returns how many are missed. A case that was not measured has median_ns 0. */
unsigned bench_check_goals(struct bench_result (*results)[BENCH_IMPLS_MAX]);

/* ---- a private broker (broker.c) ---- */

/* Starts shmbrokerd, from beside this program in the build tree, on directories of its own, and connects. 0 or a negative errno with a message on
 * stderr. */
int bench_broker_start(struct shmb **out);
/* Ends it and removes what it left. */
void bench_broker_stop(struct shmb *broker);
/* Another one, without a connection, on directories that are there; its process, or a negative errno. For who restarts it. */
pid_t bench_daemon_fork(const char *runtime, const char *shm, const char *log);
/* What is this run's alone, and removed afterwards. */
const char *bench_directory(void);
/* Puts it on the core that this process is pinned to, or lets it go where it likes again. */
void bench_broker_pin(bool here);
/* Its socket, for a second process. */
const char *bench_broker_socket(void);

#endif
