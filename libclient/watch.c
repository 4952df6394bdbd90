/* SPDX-License-Identifier: MIT */
/*
 * Watching what happens (shmb_watch.h).
 *
 * The connection is used for nothing else, so every packet after the answer to WATCH is an EVENT. The descriptor for event loops is an epoll
 * that holds the connection's socket and, while there is none, a timer that says when to look for the daemon again: so it stays the same.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "clock.h"
#include "query.h"
#include "text.h"

/* How often a daemon that is away is looked for. */
#define RETRY_NS UINT64_C(200000000)

struct shmb_watch {
	struct shmb *broker;
	int epoll_fd;
	int timer_fd;
	bool is_watching;
	bool reconnected; /* and not said yet */
	uint64_t lost;	  /* not said yet */
	uint32_t serial;
	uint32_t count; /* events in the packet */
	uint32_t at;	/* of them, the next one to be given */
	char pattern[SHMB_NAME_MAX + 8];
	struct shmb_msg_event event; /* the one given last */
	char text[96];
};

/* ---- the connection ---- */

static void timer_set(struct shmb_watch *watch, uint64_t period_ns)
{
	struct itimerspec spec = { 0 };

	spec.it_value.tv_nsec = (long)period_ns;
	spec.it_interval.tv_nsec = (long)period_ns;
	timerfd_settime(watch->timer_fd, 0, &spec, NULL);
}

/* Says WATCH, on a connection made anew if need be. */
static int begin(struct shmb_watch *watch)
{
	struct shmb_msg_watch request = { .head.opcode = SHMB_OP_WATCH };
	struct epoll_event event = { .events = EPOLLIN };
	struct shmb_msg_answer done;
	int r;

	memcpy(request.pattern, watch->pattern, sizeof(request.pattern));
	r = query_ask(watch->broker, &request.head, &done, NULL);
	if (r < 0)
		return r;
	watch->serial = request.head.serial;
	/* A socket that was closed has left the epoll by itself. */
	if (epoll_ctl(watch->epoll_fd, EPOLL_CTL_ADD, watch->broker->fd, &event) < 0 && errno != EEXIST)
		return text_fail(text_system(-errno), "watching a socket: %s", strerrordesc_np(errno));
	watch->is_watching = true;
	timer_set(watch, 0);
	return 0;
}

static void end(struct shmb_watch *watch)
{
	watch->is_watching = false;
	pthread_mutex_lock(&watch->broker->lock);
	connection_drop(watch->broker);
	pthread_mutex_unlock(&watch->broker->lock);
	timer_set(watch, RETRY_NS);
}

/* One packet, if there is one. -EAGAIN none; -ECONNRESET. */
static int receive(struct shmb_watch *watch)
{
	struct shmb *broker = watch->broker;
	ssize_t length = recv(broker->fd, broker->packet, sizeof(broker->packet), MSG_DONTWAIT);
	struct shmb_msg_answer error;
	struct shmb_msg_events events;
	const char *tail;
	size_t tail_bytes;

	if (length < 0 && (errno == EAGAIN || errno == EINTR))
		return -EAGAIN;
	if (length <= 0 ||
	    shmb_answer_decode(broker->packet, (size_t)length, SHMB_OP_EVENT, watch->serial, &events, &error, &tail, &tail_bytes) < 0)
		return -ECONNRESET;
	watch->count = events.count;
	watch->at = 0;
	watch->lost += events.lost;
	return 0;
}

/* ---- the public face ---- */

struct shmb_watch *shmb_watch_close(struct shmb_watch *watch)
{
	if (watch == NULL)
		return NULL;
	shmb_disconnect(watch->broker);
	if (watch->epoll_fd >= 0)
		close(watch->epoll_fd);
	if (watch->timer_fd >= 0)
		close(watch->timer_fd);
	free(watch);
	return NULL;
}

static int open_descriptors(struct shmb_watch *watch)
{
	struct epoll_event event = { .events = EPOLLIN };

	watch->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	watch->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (watch->epoll_fd < 0 || watch->timer_fd < 0 || epoll_ctl(watch->epoll_fd, EPOLL_CTL_ADD, watch->timer_fd, &event) < 0)
		return text_fail(text_system(-errno), "making the descriptor of a watch: %s", strerrordesc_np(errno));
	return 0;
}

int shmb_watch_open(struct shmb_watch **out, const char *socket_path, const char *pattern)
{
	struct shmb_watch *watch = calloc(1, sizeof(*watch));
	int r;

	*out = NULL;
	if (watch == NULL)
		return text_fail(-ENOMEM, "no memory for a watch");
	watch->epoll_fd = watch->timer_fd = -1;
	r = query_pattern_set(watch->pattern, pattern);
	if (r == 0)
		r = open_descriptors(watch);
	if (r == 0)
		r = shmb_connect(&watch->broker, socket_path);
	if (r == 0)
		r = begin(watch);
	if (r < 0) {
		shmb_watch_close(watch);
		return r;
	}
	*out = watch;
	return 0;
}

static uint64_t realtime_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* An event of the watch itself. */
static int give_own(struct shmb_watch *watch, struct shmb_event *out, const char *kind, uint64_t lost)
{
	*out = (struct shmb_event){
		.time_ns = realtime_ns(),
		.kind = kind,
		.segment = "",
		.comm = "",
		.reason = "",
		.text = watch->text,
		.level = 4,
		.lost = lost,
	};
	return 0;
}

/* What has been received. -EAGAIN nothing. */
static int give(struct shmb_watch *watch, struct shmb_event *out)
{
	uint64_t lost = watch->lost;

	if (watch->reconnected) {
		watch->reconnected = false;
		snprintf(watch->text, sizeof(watch->text), "the daemon was away; what happened meanwhile is not known");
		return give_own(watch, out, "reconnected", 0);
	}
	if (lost > 0) {
		watch->lost = 0;
		snprintf(watch->text, sizeof(watch->text), "%llu events were lost: they came faster than they were read",
			 (unsigned long long)lost);
		return give_own(watch, out, "lost", lost);
	}
	if (watch->at == watch->count)
		return -EAGAIN;
	memcpy(&watch->event, watch->broker->packet + sizeof(struct shmb_msg_events) + watch->at++ * sizeof(watch->event),
	       sizeof(watch->event));
	*out = (struct shmb_event){
		.time_ns = watch->event.time_ns,
		.kind = watch->event.kind,
		.segment = watch->event.segment,
		.pid = watch->event.pid,
		.uid = watch->event.uid,
		.comm = watch->event.comm,
		.reason = watch->event.reason,
		.text = watch->event.text,
		.level = watch->event.level,
	};
	return 0;
}

/* Comes back to the daemon, if it is there again. Errors that will not pass are given back. */
static int come_back(struct shmb_watch *watch)
{
	uint64_t expired;
	int r;

	/* Taken, so that the descriptor is quiet until it is time to look again. */
	if (read(watch->timer_fd, &expired, sizeof(expired)) < 0 && errno != EAGAIN && errno != EINTR)
		return text_fail(text_system(-errno), "the timer of a watch: %s", strerrordesc_np(errno));
	r = begin(watch);
	if (r == 0)
		watch->reconnected = true;
	return r == -ENOMEM || r == -EMFILE || r == -EOWNERDEAD ? r : 0;
}

/* Sleeps until there may be something. */
static void sleep_until(const struct shmb_watch *watch, uint64_t deadline_ns)
{
	struct pollfd poll_fd = { .fd = watch->epoll_fd, .events = POLLIN };
	uint64_t now = clock_now_ns();
	uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
	struct timespec span = { .tv_sec = (time_t)(left / UINT64_C(1000000000)), .tv_nsec = (long)(left % UINT64_C(1000000000)) };

	ppoll(&poll_fd, 1, deadline_ns == SHMB_FOREVER ? NULL : &span, NULL);
}

int shmb_watch_next(struct shmb_watch *watch, struct shmb_event *out, uint64_t deadline_ns)
{
	int r;

	if (!connection_is_ours(watch->broker))
		return text_forked();
	for (;;) {
		r = give(watch, out);
		if (r != -EAGAIN)
			return r;
		if (watch->is_watching) {
			r = receive(watch);
			if (r == 0)
				continue;
			if (r == -ECONNRESET)
				end(watch);
		}
		if (!watch->is_watching) {
			r = come_back(watch);
			if (r < 0)
				return r;
			if (watch->reconnected)
				continue;
		}
		if (deadline_ns == SHMB_NO_WAIT || (deadline_ns != SHMB_FOREVER && clock_now_ns() >= deadline_ns))
			return -ETIMEDOUT;
		sleep_until(watch, deadline_ns);
	}
}

int shmb_watch_fd(const struct shmb_watch *watch)
{
	return watch->epoll_fd;
}
