/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_WORKER_H
#define SHMB_DAEMON_WORKER_H

/*
 * A thread that has memory allocated and freed: of a large segment that takes the kernel long (256 MiB: 73 ms), and the loop must not wait for it.
 *
 * A job is one descriptor. It is done a chunk at a time, and jobs take turns, so that a small one does not wait for a large one to end. The thread is
 * started with the first job and sleeps between them; it touches the descriptor and the job, nothing else of the daemon. What has been done
 * is collected on the loop.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

enum {
	/* From here on the loop does not do it itself: a MiB takes about 0.3 ms. */
	WORKER_BYTES_MIN = 1 << 20,
};

enum worker_what {
	WORKER_ALLOCATE, /* all of it, for good; where `seals` is not 0 they are added at the end */
	WORKER_FREE,	 /* nobody else has it: emptied and closed */
};

struct worker_job {
	TAILQ_ENTRY(worker_job) link; /* the worker's */
	enum worker_what what;
	int fd; /* the worker's from submission to done(); then -1 unless allocated */
	uint64_t bytes;
	int seals;
	uint64_t at;					  /* done so far */
	int result;					  /* 0 or a negative errno; -ECANCELED */
	atomic_bool cancelled;				  /* by the loop: nobody wants it any more */
	void (*done)(struct worker_job *job, void *user); /* on the loop; may free the job */
	void *user;
};

struct worker;

int worker_new(struct worker **out);
/* Waits for the chunk in hand, cancels the rest, calls done() for all. Takes and returns NULL. */
struct worker *worker_free(struct worker *worker);
/* Readable while something has been done. */
int worker_fd(const struct worker *worker);
/* Calls done() for it. */
void worker_collect(struct worker *worker);
/* The worker has the job until done(). Without a thread (none can be started, or it has ended) it is done here and now, and collected like any other. */
void worker_submit(struct worker *worker, struct worker_job *job);

#endif
