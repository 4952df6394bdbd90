/* SPDX-License-Identifier: MIT */
/*
 * The event loop, on libev. This is the only file that knows it.
 *
 * libev wakes up every minute to find out whether the wall clock jumped, unless it has a periodic watcher: then it keeps a timerfd that
 * tells it of jumps and sleeps for weeks. We want no wake-ups, so there is one periodic watcher far in the future.
 *
 * Drains are edge-triggered, which libev does not do, so they lie in an epoll of their own that the loop watches like any descriptor.
 */
#include "loop.h"

#include <errno.h>
#include <ev.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>

struct loop_signal {
	ev_signal ev;
	loop_signal_fn *fn;
	void *user;
	SLIST_ENTRY(loop_signal) link;
};

struct loop {
	struct ev_loop *ev;
	ev_periodic far_away;
	SLIST_HEAD(, loop_signal) signals;
	int drain_fd; /* the epoll of drains */
	struct loop_fd *drain_watch;
};

struct loop_drain {
	struct loop *loop;
	int fd;
	loop_drain_fn *fn;
	void *user;
};

struct loop_fd {
	ev_io ev;
	struct loop *loop;
	loop_fd_fn *fn;
	void *user;
};

struct loop_timer {
	ev_timer ev;
	struct loop *loop;
	loop_timer_fn *fn;
	void *user;
};

static void on_far_away(struct ev_loop *ev, ev_periodic *watch, int events)
{
	(void)ev;
	(void)watch;
	(void)events;
}

static void on_drain(int events, void *user)
{
	struct loop *loop = user;
	struct epoll_event event;

	(void)events;
	/* One at a time: the callback may free other drains. What is left is reported again. */
	if (epoll_wait(loop->drain_fd, &event, 1, 0) == 1) {
		struct loop_drain *drain = event.data.ptr;

		drain->fn(drain->user);
	}
}

int loop_new(struct loop **out)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int r = -ENOMEM;

	if (loop == NULL)
		return r;
	SLIST_INIT(&loop->signals);
	loop->drain_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->drain_fd < 0) {
		r = -errno;
		goto fail;
	}
	loop->ev = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	if (loop->ev == NULL) {
		r = -ENOSYS;
		goto fail;
	}
	r = loop_fd_new(loop, loop->drain_fd, LOOP_READ, on_drain, loop, &loop->drain_watch);
	if (r < 0)
		goto fail;
	ev_periodic_init(&loop->far_away, on_far_away, 1e10, 0., NULL);
	ev_periodic_start(loop->ev, &loop->far_away);
	*out = loop;
	return 0;
fail:
	if (loop->ev != NULL)
		ev_loop_destroy(loop->ev);
	if (loop->drain_fd >= 0)
		close(loop->drain_fd);
	free(loop);
	return r;
}

struct loop *loop_free(struct loop *loop)
{
	if (loop == NULL)
		return NULL;
	while (!SLIST_EMPTY(&loop->signals)) {
		struct loop_signal *watch = SLIST_FIRST(&loop->signals);

		SLIST_REMOVE_HEAD(&loop->signals, link);
		ev_signal_stop(loop->ev, &watch->ev);
		free(watch);
	}
	loop->drain_watch = loop_fd_free(loop->drain_watch);
	close(loop->drain_fd);
	ev_periodic_stop(loop->ev, &loop->far_away);
	ev_loop_destroy(loop->ev);
	free(loop);
	return NULL;
}

void loop_run(struct loop *loop)
{
	ev_run(loop->ev, 0);
}

void loop_stop(struct loop *loop)
{
	ev_break(loop->ev, EVBREAK_ALL);
}

uint64_t loop_round(struct loop *loop)
{
	return ev_iteration(loop->ev);
}

static int events_to_ev(int events)
{
	return ((events & LOOP_READ) != 0 ? EV_READ : 0) | ((events & LOOP_WRITE) != 0 ? EV_WRITE : 0);
}

static void on_fd(struct ev_loop *ev, ev_io *io, int events)
{
	struct loop_fd *watch = (struct loop_fd *)io;

	(void)ev;
	watch->fn(((events & EV_READ) != 0 ? LOOP_READ : 0) | ((events & EV_WRITE) != 0 ? LOOP_WRITE : 0), watch->user);
}

int loop_fd_new(struct loop *loop, int fd, int events, loop_fd_fn *fn, void *user, struct loop_fd **out)
{
	struct loop_fd *watch = calloc(1, sizeof(*watch));

	if (watch == NULL)
		return -ENOMEM;
	watch->loop = loop;
	watch->fn = fn;
	watch->user = user;
	ev_io_init(&watch->ev, on_fd, fd, events_to_ev(events));
	if (events != 0)
		ev_io_start(loop->ev, &watch->ev);
	*out = watch;
	return 0;
}

void loop_fd_set(struct loop_fd *watch, int events)
{
	if ((watch->ev.events & (EV_READ | EV_WRITE)) == events_to_ev(events) && ev_is_active(&watch->ev) == (events != 0))
		return;
	ev_io_stop(watch->loop->ev, &watch->ev);
	ev_io_set(&watch->ev, watch->ev.fd, events_to_ev(events));
	if (events != 0)
		ev_io_start(watch->loop->ev, &watch->ev);
}

struct loop_fd *loop_fd_free(struct loop_fd *watch)
{
	if (watch == NULL)
		return NULL;
	ev_io_stop(watch->loop->ev, &watch->ev);
	free(watch);
	return NULL;
}

int loop_drain_new(struct loop *loop, int fd, loop_drain_fn *fn, void *user, struct loop_drain **out)
{
	struct loop_drain *drain;
	struct epoll_event event = { .events = EPOLLOUT | EPOLLET };
	int r;

	drain = calloc(1, sizeof(*drain));
	if (drain == NULL)
		return -ENOMEM;
	*drain = (struct loop_drain){ .loop = loop, .fd = fd, .fn = fn, .user = user };
	event.data.ptr = drain;
	if (epoll_ctl(loop->drain_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
		r = -errno;
		free(drain);
		return r;
	}
	*out = drain;
	return 0;
}

struct loop_drain *loop_drain_free(struct loop_drain *drain)
{
	if (drain == NULL)
		return NULL;
	epoll_ctl(drain->loop->drain_fd, EPOLL_CTL_DEL, drain->fd, NULL);
	free(drain);
	return NULL;
}

static void on_timer(struct ev_loop *ev, ev_timer *timer_ev, int events)
{
	struct loop_timer *timer = (struct loop_timer *)timer_ev;

	(void)ev;
	(void)events;
	timer->fn(timer->user);
}

int loop_timer_new(struct loop *loop, loop_timer_fn *fn, void *user, struct loop_timer **out)
{
	struct loop_timer *timer = calloc(1, sizeof(*timer));

	if (timer == NULL)
		return -ENOMEM;
	timer->loop = loop;
	timer->fn = fn;
	timer->user = user;
	ev_init(&timer->ev, on_timer);
	*out = timer;
	return 0;
}

void loop_timer_last(struct loop_timer *timer)
{
	ev_set_priority(&timer->ev, EV_MINPRI);
}

void loop_timer_set(struct loop_timer *timer, uint64_t delay_ns)
{
	ev_timer_stop(timer->loop->ev, &timer->ev);
	/* The loop's idea of now is from when it last woke up, which was before the work that sets this timer. */
	ev_now_update(timer->loop->ev);
	ev_timer_set(&timer->ev, (double)delay_ns / 1e9, 0.);
	ev_timer_start(timer->loop->ev, &timer->ev);
}

void loop_timer_stop(struct loop_timer *timer)
{
	ev_timer_stop(timer->loop->ev, &timer->ev);
}

struct loop_timer *loop_timer_free(struct loop_timer *timer)
{
	if (timer == NULL)
		return NULL;
	loop_timer_stop(timer);
	free(timer);
	return NULL;
}

static void on_signal(struct ev_loop *ev, ev_signal *signal_ev, int events)
{
	struct loop_signal *watch = (struct loop_signal *)signal_ev;

	(void)ev;
	(void)events;
	watch->fn(watch->ev.signum, watch->user);
}

int loop_signal(struct loop *loop, int number, loop_signal_fn *fn, void *user)
{
	struct loop_signal *watch = calloc(1, sizeof(*watch));

	if (watch == NULL)
		return -ENOMEM;
	watch->fn = fn;
	watch->user = user;
	ev_signal_init(&watch->ev, on_signal, number);
	ev_signal_start(loop->ev, &watch->ev);
	SLIST_INSERT_HEAD(&loop->signals, watch, link);
	return 0;
}

uint64_t loop_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t loop_realtime_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
