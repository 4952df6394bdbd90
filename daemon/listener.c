/* SPDX-License-Identifier: MIT */
/*
 * The control socket.
 *
 * A socket file of a daemon that was killed stays behind and refuses connections. It is replaced by one that is bound under another name
 * and renamed over it: the path always names a socket, and it has its mode from the beginning. So that two daemons started together do
 * not both do that, each holds a lock on PATH.lock first; whoever holds it and still gets an answer from the socket has met a program
 * that is not ours, and leaves it alone.
 *
 * SO_PASSCRED is set before listening, connections inherit it: a message sent in the moment before the setsockopt would come without
 * credentials. In a socket that came from systemd connections may be waiting that were made before we could set it; peer.c deals with
 * their first message.
 */
#include "listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "cleanup.h"
#include "inherited.h"
#include "log.h"
#include "loop.h"
#include "rate.h"
#include "store.h"

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* asm-generic/socket.h of Linux 6.16; the same on x86-64 and arm64 */
#endif

enum { ACCEPT_BURST = 16 };

/* Where nothing of ours frees a descriptor (the whole system is out of them), we look again after this time. */
static const uint64_t retry_ns = UINT64_C(1000000000);

__attribute__((format(printf, 3, 4))) static int fail(int error, char *why, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, LISTENER_WHY_MAX, format, args);
	va_end(args);
	return error;
}

static int address_fill(struct sockaddr_un *address, const char *path, const char *suffix, char *why)
{
	int length;

	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	length = snprintf(address->sun_path, sizeof(address->sun_path), "%s%s", path, suffix);
	if (length >= (int)sizeof(address->sun_path))
		return fail(-ENAMETOOLONG, why, "the socket's path %s%s is longer than the %zu bytes a socket's may have", path, suffix,
			    sizeof(address->sun_path) - 1);
	return 0;
}

/* Nobody but us (and root) gets to what lies in the directory of `path`. */
static bool directory_is_private(const char *path)
{
	char directory[OPTIONS_PATH_MAX + 1];
	char *slash;
	struct stat st;

	snprintf(directory, sizeof(directory), "%s", path);
	slash = strrchr(directory, '/');
	if (slash == NULL)
		strcpy(directory, ".");
	else if (slash == directory)
		slash[1] = '\0';
	else
		*slash = '\0';
	return stat(directory, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & 077) == 0;
}

/* ---- claiming ---- */

static int take_activated(struct listener *listener, const struct inherited *inherited, char *why)
{
	struct sockaddr_un address;
	socklen_t length = sizeof(address);
	int fd = inherited->socket_fd;

	if (inherited->socket_count > 1)
		return fail(-EINVAL, why,
			    "systemd passed %u sockets, but there is one control socket: have one ListenSequentialPacket= in the unit",
			    inherited->socket_count);
	if (sd_is_socket_unix(fd, SOCK_SEQPACKET, 1, NULL, 0) <= 0)
		return fail(-EINVAL, why,
			    "the socket systemd passed is no listening SOCK_SEQPACKET socket: use ListenSequentialPacket=PATH in the unit");
	memset(&address, 0, sizeof(address));
	if (getsockname(fd, (struct sockaddr *)&address, &length) < 0)
		return fail(-errno, why, "the socket systemd passed has no name: %s", strerror(errno));
	if (address.sun_path[0] != '/')
		return fail(-EINVAL, why, "the socket systemd passed has no path: use ListenSequentialPacket=PATH in the unit");
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return fail(-errno, why, "the socket systemd passed: %s", strerror(errno));
	snprintf(listener->path, sizeof(listener->path), "%.*s", (int)sizeof(address.sun_path), address.sun_path);
	listener->fd = fd;
	listener->activated = true;
	return 0;
}

/* Locks PATH.lock. The holder removes it at its end, so the file locked must be the one that lies there now. */
static int lock_take(const char *socket, char *why)
{
	char path[OPTIONS_PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s.lock", socket);
	for (;;) {
		auto_close int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
		struct stat ours;
		struct stat there;

		if (fd < 0)
			return fail(-errno, why, "%s cannot be made: %s; choose another place with --runtime-dir or --socket", path,
				    strerror(errno));
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			if (errno == EWOULDBLOCK)
				return fail(-EADDRINUSE, why,
					    "another shmbrokerd serves %s: stop it, or give this one its own --runtime-dir", socket);
			return fail(-errno, why, "%s cannot be locked: %s", path, strerror(errno));
		}
		if (fstat(fd, &ours) == 0 && stat(path, &there) == 0 && ours.st_dev == there.st_dev && ours.st_ino == there.st_ino)
			return cleanup_steal(&fd);
	}
}

/* 0 nobody answers there. */
static int probe(const char *path, char *why)
{
	struct sockaddr_un address;
	auto_close int fd = -1;
	struct stat st;
	int r;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : fail(-errno, why, "%s: %s", path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return fail(-EEXIST, why, "%s is there and no socket: remove it, or choose another path with --socket", path);
	r = address_fill(&address, path, "", why);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(-errno, why, "no socket can be made: %s", strerror(errno));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 || errno == EAGAIN || errno == EPROTOTYPE)
		return fail(-EADDRINUSE, why, "another program serves %s: stop it, or choose another path with --socket", path);
	if (errno != ECONNREFUSED && errno != ENOENT)
		return fail(-errno, why, "%s is there, and whether anybody serves it cannot be found out: %s", path, strerror(errno));
	return 0;
}

int listener_claim(struct listener *listener, const struct options *options, const struct inherited *inherited, char *why)
{
	struct sockaddr_un address;
	int r;

	*listener = (struct listener){ .fd = -1, .lock_fd = -1 };
	if (inherited->socket_count > 0) {
		r = take_activated(listener, inherited, why);
		if (r < 0)
			return r;
	} else {
		snprintf(listener->path, sizeof(listener->path), "%s", options->socket);
		r = address_fill(&address, listener->path, ".new", why);
		if (r < 0)
			return r;
		if (options->runtime_dir[0] != '\0' && mkdir(options->runtime_dir, 0700) < 0 && errno != EEXIST)
			return fail(-errno, why,
				    "the runtime directory %s cannot be made: %s; make its parent, or choose another with --runtime-dir",
				    options->runtime_dir, strerror(errno));
		listener->lock_fd = lock_take(listener->path, why);
		if (listener->lock_fd < 0)
			return listener->lock_fd;
		r = probe(listener->path, why);
		if (r < 0)
			return r;
	}
	listener->is_private = directory_is_private(listener->path);
	return 0;
}

/* ---- listening ---- */

/* Credentials with each message, descriptors with none. */
static void set_options(int fd)
{
	int on = 1;
	int off = 0;

	(void)setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
	/* Where the kernel does not know this one, descriptors arrive and are closed (peer.c). */
	(void)setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off));
}

/* Under another name, where nobody looks for it. */
static int make_socket(struct listener *listener, struct sockaddr_un *address, char *why)
{
	auto_close int fd = -1;
	mode_t mask;
	int r = address_fill(address, listener->path, ".new", why);

	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fail(-errno, why, "no socket can be made: %s", strerror(errno));
	/* Left by a daemon killed just here; ours, because we hold the lock. */
	unlink(address->sun_path);
	mask = umask(listener->is_private ? 0177 : 0111);
	r = bind(fd, (struct sockaddr *)address, sizeof(*address));
	umask(mask);
	if (r < 0)
		return fail(-errno, why, "the socket %s cannot be made: %s", address->sun_path, strerror(errno));
	set_options(fd);
	listener->fd = cleanup_steal(&fd);
	return 0;
}

/* From here on it is found and answers. */
static int name_socket(struct listener *listener, const struct sockaddr_un *address, char *why)
{
	struct stat st;

	if (listen(listener->fd, SOMAXCONN) < 0 || lstat(address->sun_path, &st) < 0 || rename(address->sun_path, listener->path) < 0)
		return fail(-errno, why, "the socket %s cannot be put in place: %s", listener->path, strerror(errno));
	listener->dev = st.st_dev;
	listener->ino = st.st_ino;
	return 0;
}

/* Clients decide how often that comes: each end of a connection, and the timer, is another try. */
static void tell_pause(struct listener *listener, int error)
{
	uint64_t now = loop_now_ns();

	if (listener->told_ns != 0 && now - listener->told_ns < RATE_WINDOW_NS)
		return;
	listener->told_ns = now;
	log_warning("no connection can be accepted: %s; waiting until a descriptor is free", strerror(error));
}

static void pause_accepting(struct listener *listener, int error)
{
	tell_pause(listener, error);
	listener->paused = true;
	loop_fd_set(listener->watch, 0);
	loop_timer_set(listener->retry, retry_ns);
}

static void on_connection(int events, void *user)
{
	struct listener *listener = user;

	(void)events;
	for (int i = 0; i < ACCEPT_BURST && !listener->paused; i++) {
		int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			int r;

			if (listener->activated)
				set_options(fd);
			r = listener->fn(fd, listener->user);
			if (store_is_short(r))
				pause_accepting(listener, -r);
			continue;
		}
		if (errno == EAGAIN)
			return;
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			pause_accepting(listener, errno);
		/* Everything else is about that one connection (accept(2)), which is gone. */
	}
}

static void on_retry(void *user)
{
	listener_resume(user);
}

void listener_resume(struct listener *listener)
{
	if (!listener->paused)
		return;
	listener->paused = false;
	loop_timer_stop(listener->retry);
	loop_fd_set(listener->watch, LOOP_READ);
}

int listener_start(struct listener *listener, struct loop *loop, listener_fn *fn, void *user, char *why)
{
	struct sockaddr_un address;
	int r;

	listener->loop = loop;
	listener->fn = fn;
	listener->user = user;
	r = loop_timer_new(loop, on_retry, listener, &listener->retry);
	if (r < 0)
		return fail(r, why, "no memory");
	if (listener->activated) {
		set_options(listener->fd);
	} else {
		r = make_socket(listener, &address, why);
		if (r < 0)
			return r;
	}
	r = loop_fd_new(loop, listener->fd, LOOP_READ, on_connection, listener, &listener->watch);
	if (r < 0)
		r = fail(r, why, "no memory");
	/* Last of all: who connects is served. */
	if (r == 0 && !listener->activated)
		r = name_socket(listener, &address, why);
	if (r < 0 && !listener->activated)
		unlink(address.sun_path);
	return r;
}

void listener_close(struct listener *listener)
{
	struct stat st;

	listener->paused = false;
	listener->watch = loop_fd_free(listener->watch);
	listener->retry = loop_timer_free(listener->retry);
	if (listener->fd >= 0) {
		if (!listener->activated && lstat(listener->path, &st) == 0 && st.st_dev == listener->dev && st.st_ino == listener->ino)
			unlink(listener->path);
		close(listener->fd);
		listener->fd = -1;
	}
	if (listener->lock_fd >= 0) {
		char path[OPTIONS_PATH_MAX + 16];

		snprintf(path, sizeof(path), "%s.lock", listener->path);
		unlink(path);
		close(listener->lock_fd);
		listener->lock_fd = -1;
	}
}
