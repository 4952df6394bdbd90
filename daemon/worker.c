/* SPDX-License-Identifier: MIT */
/* The thread for memory (worker.h). One mutex guards both lists; it is never held over a system call that takes long. */
#include "worker.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "log.h"
#include "proto/step.h"
#include "slice.h"

/* Of one turn: 16 MiB take about 5 ms. The stack is the least that arm64 takes. */
enum { CHUNK_BYTES = 16 << 20, INTERRUPTED_TRIES = 16, STACK_BYTES = 128 * 1024 };

TAILQ_HEAD(job_list, worker_job);

struct worker {
	pthread_mutex_t lock;
	pthread_cond_t wanted;
	struct job_list waiting;
	struct job_list finished;
	bool ends;
	bool has_thread;
	pthread_t thread;
	int event_fd;
};

/* ---- on the thread ---- */

static int chunk_allocate(int fd, uint64_t at, uint64_t bytes)
{
	int r = EINTR;

	for (unsigned i = 0; r == EINTR && i < INTERRUPTED_TRIES; i++)
		r = posix_fallocate(fd, (off_t)at, (off_t)bytes);
	return -r;
}

/* One turn. False: there is more to do. */
static bool job_turn(struct worker_job *job)
{
	uint64_t left = job->bytes - job->at;
	uint64_t bytes = left < CHUNK_BYTES ? left : CHUNK_BYTES;

	if (job->what == WORKER_FREE) {
		/* Closing would free it as well, all at once. */
		if (bytes > 0 && fallocate(job->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)job->at, (off_t)bytes) < 0)
			bytes = left;
		job->at += bytes;
		if (job->at < job->bytes)
			return false;
		close(job->fd);
		job->fd = -1;
		return true;
	}
	SHMB_STEP("worker.allocate");
	if (atomic_load_explicit(&job->cancelled, memory_order_relaxed))
		job->result = -ECANCELED;
	else
		job->result = chunk_allocate(job->fd, job->at, bytes);
	if (job->result == 0) {
		job->at += bytes;
		if (job->at < job->bytes)
			return false;
		if (job->seals != 0 && fcntl(job->fd, F_ADD_SEALS, job->seals) < 0)
			job->result = -errno;
	}
	if (job->result == 0)
		return true;
	/* What has been had goes back the same way. */
	job->what = WORKER_FREE;
	job->bytes = job->at;
	job->at = 0;
	return false;
}

static void finish(struct worker *worker, struct worker_job *job)
{
	TAILQ_INSERT_TAIL(&worker->finished, job, link);
	/* Else it fails only where it is readable for long. */
	for (unsigned i = 0; eventfd_write(worker->event_fd, 1) < 0 && errno == EINTR && i < INTERRUPTED_TRIES; i++)
		;
}

static void *worker_main(void *arg)
{
	struct worker *worker = arg;
	struct worker_job *job;
	bool is_done;

	slice_ordinary();
	pthread_mutex_lock(&worker->lock);
	for (;;) {
		while ((job = TAILQ_FIRST(&worker->waiting)) == NULL && !worker->ends)
			pthread_cond_wait(&worker->wanted, &worker->lock);
		if (job == NULL)
			break;
		TAILQ_REMOVE(&worker->waiting, job, link);
		pthread_mutex_unlock(&worker->lock);
		is_done = job_turn(job);
		pthread_mutex_lock(&worker->lock);
		if (worker->ends)
			atomic_store_explicit(&job->cancelled, true, memory_order_relaxed);
		if (is_done)
			finish(worker, job);
		else
			TAILQ_INSERT_TAIL(&worker->waiting, job, link);
	}
	pthread_mutex_unlock(&worker->lock);
	return NULL;
}

/* ---- on the loop ---- */

int worker_new(struct worker **out)
{
	struct worker *worker = calloc(1, sizeof(*worker));

	if (worker == NULL)
		return -ENOMEM;
	worker->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (worker->event_fd < 0) {
		int r = -errno;

		free(worker);
		return r;
	}
	pthread_mutex_init(&worker->lock, NULL);
	pthread_cond_init(&worker->wanted, NULL);
	TAILQ_INIT(&worker->waiting);
	TAILQ_INIT(&worker->finished);
	*out = worker;
	return 0;
}

struct worker *worker_free(struct worker *worker)
{
	struct worker_job *job;

	if (worker == NULL)
		return NULL;
	pthread_mutex_lock(&worker->lock);
	TAILQ_FOREACH (job, &worker->waiting, link)
		atomic_store_explicit(&job->cancelled, true, memory_order_relaxed);
	worker->ends = true;
	pthread_cond_signal(&worker->wanted);
	pthread_mutex_unlock(&worker->lock);
	if (worker->has_thread)
		pthread_join(worker->thread, NULL);
	worker_collect(worker);
	close(worker->event_fd);
	pthread_cond_destroy(&worker->wanted);
	pthread_mutex_destroy(&worker->lock);
	free(worker);
	return NULL;
}

int worker_fd(const struct worker *worker)
{
	return worker->event_fd;
}

void worker_collect(struct worker *worker)
{
	struct worker_job *job;
	eventfd_t count;

	eventfd_read(worker->event_fd, &count);
	do {
		pthread_mutex_lock(&worker->lock);
		job = TAILQ_FIRST(&worker->finished);
		if (job != NULL)
			TAILQ_REMOVE(&worker->finished, job, link);
		pthread_mutex_unlock(&worker->lock);
		if (job != NULL)
			job->done(job, job->user);
	} while (job != NULL);
}

static bool thread_start(struct worker *worker)
{
	pthread_attr_t attr;
	sigset_t all;
	sigset_t before;
	int r;

	if (worker->has_thread)
		return true;
	if (pthread_attr_init(&attr) != 0)
		return false;
	r = pthread_attr_setstacksize(&attr, STACK_BYTES);
	assert(r == 0);
	/* Signals are for the loop. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	worker->has_thread = pthread_create(&worker->thread, &attr, worker_main, worker) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	if (!worker->has_thread)
		log_warning("no thread can be started: large memory is had and freed on the loop, and others wait meanwhile");
	return worker->has_thread;
}

void worker_submit(struct worker *worker, struct worker_job *job)
{
	bool has_thread = !worker->ends && thread_start(worker); /* at the end one job's done() may want another, and the thread is gone */

	job->at = 0;
	job->result = 0;
	atomic_init(&job->cancelled, false);
	while (!has_thread && !job_turn(job))
		;
	pthread_mutex_lock(&worker->lock);
	if (has_thread)
		TAILQ_INSERT_TAIL(&worker->waiting, job, link);
	else
		finish(worker, job);
	pthread_cond_signal(&worker->wanted);
	pthread_mutex_unlock(&worker->lock);
}
