/* SPDX-License-Identifier: MIT */
/*
 * The closer's thread. It is never joined: it may be blocked in a close(2) for as long as somebody likes, and the program ends without it.
 */
#include "closer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "slice.h"

/* The least that arm64 takes. */
enum { STACK_BYTES = 128 * 1024 };

static void *closer_main(void *arg)
{
	const struct timespec nap = { .tv_nsec = 1000000 };
	int from = (int)(intptr_t)arg;
	int fd;

	slice_ordinary();
	for (;;) {
		/* Several write whole ints, less than PIPE_BUF at a time: they arrive whole. */
		if (read(from, &fd, sizeof(fd)) == (ssize_t)sizeof(fd))
			close(fd);
		else /* which has no reason: to end would leave open what waits in the pipe, and to go on at once could take a whole processor */
			nanosleep(&nap, NULL);
	}
	return NULL;
}

void closer_init(struct closer *closer)
{
	*closer = (struct closer){ .pipe_fd = -1 };
}

static bool closer_start(struct closer *closer)
{
	pthread_attr_t attr;
	sigset_t all;
	sigset_t before;
	pthread_t thread;
	int ends[2];
	int r;

	if (closer->started)
		return closer->pipe_fd >= 0;
	closer->started = true;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return false;
	if (fcntl(ends[1], F_SETFL, O_NONBLOCK) < 0)
		r = errno;
	else
		r = pthread_attr_init(&attr);
	if (r == 0) {
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
		r = pthread_attr_setstacksize(&attr, STACK_BYTES);
		assert(r == 0);
		/* Signals are for the loop. */
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &before);
		r = pthread_create(&thread, &attr, closer_main, (void *)(intptr_t)ends[0]);
		pthread_sigmask(SIG_SETMASK, &before, NULL);
		pthread_attr_destroy(&attr);
	}
	if (r != 0) {
		close(ends[0]);
		close(ends[1]);
		return false;
	}
	closer->pipe_fd = ends[1];
	return true;
}

void closer_close(struct closer *closer, const int *fds, unsigned count)
{
	bool has_thread = closer_start(closer);

	for (unsigned i = 0; i < count; i++) {
		if (has_thread && write(closer->pipe_fd, &fds[i], sizeof(fds[i])) == (ssize_t)sizeof(fds[i]))
			continue;
		log_warning("a descriptor sent by a client is closed without the help of a thread");
		close(fds[i]);
	}
}
