/* SPDX-License-Identifier: MIT */
/*
 * What systemd wants to know (the protocol of sd_notify(3)), sent without waiting.
 *
 * libsystemd's own functions wait for room in systemd's queue, and so would stop the daemon when systemd is stopped or swamped. The protocol is
 * a datagram of lines, with the descriptors in it; we send it on a connected socket that never waits. What finds no room stands in a queue here,
 * which is sent from as soon as the loop says so. Of READY, RELOADING and STOPPING only the newest matters; a descriptor that is taken back
 * before it was sent leaves the queue: so the queue is never longer than what is stored, here or there.
 *
 * A socket that is gone (systemd executes itself anew) is connected to again at the next message, the watchdog's beat among them.
 */
#include "notify.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "log.h"
#include "loop.h"

enum { TEXT_MAX = 192 };

struct message {
	char text[TEXT_MAX];
	char name[NOTIFY_NAME_MAX]; /* of a descriptor; empty: about ourselves */
	int fd;			    /* -1 none; borrowed */
	TAILQ_ENTRY(message) link;
};

static struct {
	struct sockaddr_un address;
	socklen_t address_length; /* 0: nobody asked */
	int fd;			  /* -1: not connected */
	struct loop *loop;
	struct loop_fd *watch; /* of fd */
	struct loop_timer *beat;
	uint64_t beat_ns;
	TAILQ_HEAD(, message) queue;
} notify = { .fd = -1, .queue = TAILQ_HEAD_INITIALIZER(notify.queue) };

static void flush(void);

static void on_writable(int events, void *user)
{
	(void)events;
	(void)user;
	flush();
}

static void disconnect(void)
{
	notify.watch = loop_fd_free(notify.watch);
	cleanup_close(&notify.fd);
	notify.fd = -1;
}

static int reconnect(void)
{
	int r;

	notify.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (notify.fd < 0)
		return -errno;
	if (connect(notify.fd, (struct sockaddr *)&notify.address, notify.address_length) < 0)
		r = -errno;
	else
		r = loop_fd_new(notify.loop, notify.fd, 0, on_writable, NULL, &notify.watch);
	if (r < 0)
		disconnect();
	return r;
}

static int send_once(const char *text, int fd)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text) };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		control.head = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	}
	return sendmsg(notify.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* 0, or what stands in the way. -EAGAIN: there will be room. */
static int send_now(const char *text, int fd)
{
	bool fresh = notify.fd < 0;
	int r = fresh ? reconnect() : 0;

	if (r == 0)
		r = send_once(text, fd);
	if (r == 0 || r == -EAGAIN)
		return r;
	/* The one we were connected to is gone: perhaps there is another by now. */
	disconnect();
	if (!fresh && reconnect() == 0)
		r = send_once(text, fd);
	return r;
}

static void flush(void)
{
	struct message *message;
	int r = 0;

	while (r == 0 && (message = TAILQ_FIRST(&notify.queue)) != NULL) {
		r = send_now(message->text, message->fd);
		if (r == 0) {
			TAILQ_REMOVE(&notify.queue, message, link);
			free(message);
		}
	}
	/* Only a full queue tells when there is room; after anything else (nobody there) the next message tries again. */
	if (notify.watch != NULL)
		loop_fd_set(notify.watch, r == -EAGAIN ? LOOP_WRITE : 0);
}

/* Drops what this message makes pointless. True when something was. */
static bool supersede(const char *name)
{
	struct message *message = TAILQ_FIRST(&notify.queue);
	bool dropped = false;

	while (message != NULL) {
		struct message *next = TAILQ_NEXT(message, link);

		if (strcmp(message->name, name) == 0) {
			TAILQ_REMOVE(&notify.queue, message, link);
			free(message);
			dropped = true;
		}
		message = next;
	}
	return dropped;
}

/* Sends it after all that waits already. */
static void post(const char *text, const char *name, int fd)
{
	struct message *message;

	if (notify.address_length == 0)
		return;
	if (TAILQ_EMPTY(&notify.queue) && send_now(text, fd) == 0)
		return;
	message = calloc(1, sizeof(*message));
	if (message == NULL) {
		log_error("systemd is not told '%s': no memory", text);
		return;
	}
	snprintf(message->text, sizeof(message->text), "%s", text);
	snprintf(message->name, sizeof(message->name), "%s", name);
	message->fd = fd;
	TAILQ_INSERT_TAIL(&notify.queue, message, link);
	flush();
}

/* ---- the watchdog ---- */

static void on_beat(void *user)
{
	(void)user;
	/* From the loop: a daemon that no longer gets round its loop does not beat. Whether it arrives is not looked at: the next one comes. */
	flush();
	send_now("WATCHDOG=1", -1);
	loop_timer_set(notify.beat, notify.beat_ns);
}

static void watchdog_init(void)
{
	uint64_t limit_us = 0;
	int r = sd_watchdog_enabled(0, &limit_us);

	if (r == 0 || limit_us == 0)
		return;
	if (r > 0)
		r = loop_timer_new(notify.loop, on_beat, NULL, &notify.beat);
	if (r < 0) {
		log_error("no watchdog: %s", strerror(-r));
		return;
	}
	notify.beat_ns = limit_us * 1000 / 2;
	loop_timer_set(notify.beat, notify.beat_ns);
}

void notify_init(struct loop *loop)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t length = path == NULL ? 0 : strlen(path);

	notify.loop = loop;
	if (length == 0)
		return;
	if ((path[0] != '/' && path[0] != '@') || length >= sizeof(notify.address.sun_path)) {
		log_warning("NOTIFY_SOCKET=%s is no address of a Unix socket: nobody is told how this daemon is", path);
		return;
	}
	notify.address.sun_family = AF_UNIX;
	memcpy(notify.address.sun_path, path, length);
	if (path[0] == '@')
		notify.address.sun_path[0] = '\0';
	notify.address_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (path[0] == '/' ? 1 : 0));
	watchdog_init();
}

void notify_deinit(void)
{
	struct message *message;

	notify.address_length = 0;
	notify.beat = loop_timer_free(notify.beat);
	disconnect();
	while ((message = TAILQ_FIRST(&notify.queue)) != NULL) {
		TAILQ_REMOVE(&notify.queue, message, link);
		free(message);
	}
}

/* ---- what is said ---- */

static void post_state(const char *text)
{
	supersede("");
	post(text, "", -1);
}

void notify_ready(unsigned segments)
{
	char text[TEXT_MAX];

	snprintf(text, sizeof(text), "READY=1\nSTATUS=serving; %u segment%s at the last start or reload", segments,
		 segments == 1 ? "" : "s");
	post_state(text);
}

void notify_reloading(void)
{
	struct timespec now;
	char text[TEXT_MAX];

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(text, sizeof(text), "RELOADING=1\nSTATUS=reading its configuration\nMONOTONIC_USEC=%llu",
		 (unsigned long long)now.tv_sec * 1000000u + (unsigned long long)now.tv_nsec / 1000u);
	post_state(text);
}

void notify_stopping(void)
{
	post_state("STOPPING=1\nSTATUS=ending; the segments stay");
}

void notify_store(int fd, const char *name)
{
	char text[TEXT_MAX];

	/* FDPOLL=0: systemd drops no descriptor because it reports an error or a hang-up. */
	snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=%s", name);
	post(text, name, fd);
}

void notify_unstore(const char *name)
{
	char text[TEXT_MAX];

	/* Not sent yet: nothing to take back. */
	if (supersede(name))
		return;
	snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	post(text, name, -1);
}
