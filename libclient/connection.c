/* SPDX-License-Identifier: MIT */
/*
 * Connecting, coming back, disconnecting (connection.h).
 *
 * The event page's mapping stays at one address for the connection's life: a new broker's page is mapped over the old one, because
 * other threads may be asleep on it or about to be. `event_looked` is stored after the exchange; whoever still finds the old value there looks
 * at the socket once more, whoever finds the new one sleeps on the new page.
 */
#include "connection.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "control.h"
#include "proto/copy.h"
#include "proto/validate.h"
#include "text.h"

_Static_assert(sizeof(((struct shmb *)0)->path) == sizeof(((struct sockaddr_un *)0)->sun_path), "a path that fits a socket's address");

/* How often a RESUME that the broker had no memory for is asked again, and after how long, twice as long each time: 127 ms in all. */
enum { RESUME_PAUSES = 7, RESUME_PAUSE_NS = 1000000 };

static const char system_socket[] = "/run/shmbroker/control.sock";

/* ---- where the broker is ---- */

static int path_set(struct shmb *broker, const char *path)
{
	if (strlen(path) >= sizeof(broker->path))
		return text_fail(-ENAMETOOLONG, "the socket's path is longer than %zu bytes: %s", sizeof(broker->path) - 1, path);
	strcpy(broker->path, path);
	return 0;
}

/* What the caller or the environment names is taken as it is: falling back to another daemon would only hide the mistake. */
static int path_find(struct shmb *broker, const char *given)
{
	const char *named = given != NULL ? given : secure_getenv("SHMBROKER_SOCKET");
	const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
	char user[4096];

	if (named != NULL && (given != NULL || named[0] != '\0'))
		return path_set(broker, named);
	if (runtime != NULL && runtime[0] == '/' &&
	    snprintf(user, sizeof(user), "%s/shmbroker/control.sock", runtime) < (int)sizeof(user) && access(user, F_OK) == 0)
		return path_set(broker, user);
	return path_set(broker, system_socket);
}

static int fail_no_daemon(const struct shmb *broker, int error)
{
	return text_fail(error, "no shmbrokerd at %s: start it, or set SHMBROKER_SOCKET to the socket of one that runs", broker->path);
}

void connection_fail_reset(const struct shmb *broker)
{
	text_fail(0, "shmbrokerd at %s closed the connection: it has ended, or its log says why", broker->path);
}

/* Waits by itself for as long as an answer may take (control.c). Where that cannot be had, recvmsg(2) does not wait, and ppoll(2) does. */
static void socket_block(int fd)
{
	struct timeval limit = { .tv_sec = SHMB_ANSWER_TIMEOUT_NS / UINT64_C(1000000000) };

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0)
		fcntl(fd, F_SETFL, 0);
}

static int socket_connect(struct shmb *broker, uint64_t deadline_ns)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r;

	if (fd < 0)
		return text_fail(text_system(-errno), "socket(2): %s", strerrordesc_np(errno));
	memcpy(address.sun_path, broker->path, sizeof(address.sun_path));
	while (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		r = -errno;
		if (r == -EINTR)
			continue;
		/* EAGAIN: the daemon's queue of new connections is full. */
		if (r == -EAGAIN && clock_now_ns() < deadline_ns) {
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
			continue;
		}
		close(fd);
		if (r == -ENOENT || r == -ENOTDIR || r == -ECONNREFUSED)
			return fail_no_daemon(broker, r == -ECONNREFUSED ? r : -ENOENT);
		if (r == -EACCES || r == -EPERM)
			return text_fail(-EACCES, "%s: this user may not connect to that shmbrokerd", broker->path);
		if (r == -EAGAIN)
			return text_fail(-ETIMEDOUT, "shmbrokerd at %s accepts no connections: it hangs or is overloaded", broker->path);
		if (r == -EPROTOTYPE || r == -ENOTSOCK)
			return text_fail(-ECONNREFUSED, "%s is no socket of shmbrokerd", broker->path);
		return text_fail(text_system(r), "%s: %s", broker->path, strerrordesc_np(-r));
	}
	socket_block(fd);
	broker->fd = fd;
	broker->stage = CONNECTION_CONNECTED;
	broker->pending = 0;
	return 0;
}

void connection_drop(struct shmb *broker)
{
	struct handle *handle;

	if (broker->fd >= 0)
		close(broker->fd);
	broker->fd = -1;
	broker->stage = CONNECTION_NONE;
	broker->pending = 0;
	LIST_FOREACH (handle, &broker->handles, link) {
		handle->resumed = false;
		handle->short_of = 0;
	}
}

bool connection_is_dead(struct shmb *broker)
{
	char byte;
	ssize_t n;

	if (broker->fd < 0)
		return true;
	do {
		n = recv(broker->fd, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	/* What the system lacks at the moment says nothing of the connection. */
	return n == 0 || (n < 0 && errno != EAGAIN && errno != ENOMEM && errno != ENOBUFS);
}

/* ---- becoming known ---- */

/* A request of the way to READY. One that timed out before is not sent again: its answer is still to come. */
static int stage_request(struct shmb *broker, struct shmb_msg_head *request, uint32_t handle, void *out, struct answer *answer,
			 uint64_t deadline_ns)
{
	int r;

	memset(answer, 0, sizeof(*answer));
	if (broker->pending == 0 || broker->pending_handle != handle) {
		r = control_send(broker, request, NULL, 0, deadline_ns);
		if (r < 0)
			return r;
		broker->pending = request->serial;
		broker->pending_handle = handle;
	}
	r = control_receive(broker, request->opcode, broker->pending, out, answer, deadline_ns);
	if (r != -ETIMEDOUT || answer->answered)
		broker->pending = 0;
	return r;
}

/* Maps the event page over the one before. The descriptor is borrowed. */
static int event_map(struct shmb *broker, int fd)
{
	struct shmb_shm_event copy;
	struct stat status;
	const char *why = "its size cannot be read";
	void *page;
	int r = -EBADMSG;

	page = mmap(NULL, sizeof(copy), PROT_READ, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		return text_fail(text_mapping(-errno), "mapping the event page: %s", strerrordesc_np(errno));
	if (fstat(fd, &status) == 0) {
		r = -EBADMSG;
		why = "it is too short";
		if ((uint64_t)status.st_size >= sizeof(copy)) {
			shmb_copy(&copy, page, sizeof(copy));
			r = shmb_event_check(&copy, (uint64_t)status.st_size, &why);
		}
	}
	if (r == 0 && memcmp(copy.cookie, broker->cookie, sizeof(copy.cookie)) != 0) {
		r = -EBADMSG;
		why = "it belongs to another connection";
	}
	if (r < 0) {
		munmap(page, sizeof(copy));
		return text_fail(r == -ENODATA ? -EBADMSG : r, "shmbrokerd at %s sent an event page that is none: %s", broker->path, why);
	}
	madvise(page, sizeof(copy), MADV_DONTFORK);
	madvise(page, sizeof(copy), MADV_DONTDUMP);
	if (broker->event == NULL)
		broker->event = page;
	else if (mremap(page, sizeof(copy), sizeof(copy), MREMAP_MAYMOVE | MREMAP_FIXED, (void *)(uintptr_t)broker->event) == MAP_FAILED) {
		r = -errno;
		munmap(page, sizeof(copy));
		return text_fail(text_system(r), "mapping the event page: %s", strerrordesc_np(-r));
	}
	atomic_store_explicit(&broker->event_looked, connection_event(broker), memory_order_release);
	return 0;
}

static int say_hello(struct shmb *broker, uint64_t deadline_ns)
{
	struct shmb_msg_hello hello = {
		.head.opcode = SHMB_OP_HELLO,
		.magic = SHMB_MESSAGE_MAGIC,
		.version = SHMB_PROTOCOL_VERSION,
		.oldest = SHMB_PROTOCOL_OLDEST,
	};
	struct shmb_msg_hello_answer welcome;
	struct answer answer;
	int r;

	memcpy(hello.cookie, broker->cookie, sizeof(hello.cookie));
	shmb_text_set(hello.comm, sizeof(hello.comm), program_invocation_short_name);
	r = stage_request(broker, &hello.head, 0, &welcome, &answer, deadline_ns);
	if (r < 0) {
		if (answer.answered)
			text_fail(r, "shmbrokerd at %s refused the connection: %s", broker->path, answer.error.text);
		else if (r == -ETIMEDOUT)
			text_fail(r, "who listens at %s does not answer: shmbrokerd hangs, or it is another program", broker->path);
		else if (r != -ECONNRESET)
			text_fail(r, "who listens at %s does not answer as shmbrokerd does (%s)", broker->path, strerrordesc_np(-r));
		return r;
	}
	r = answer.fd_count == 1 ? event_map(broker, answer.fds[0])
				 : text_fail(-EBADMSG, "shmbrokerd at %s sent no event page", broker->path);
	answer_close_fds(&answer);
	if (r == 0)
		broker->stage = CONNECTION_RESUMING;
	return r;
}

/* 0: the broker lacks what may be there now, after a wait that is longer each time. -ETIMEDOUT: at the next occasion. Else the error it is. */
static int resume_pause(struct handle *handle, int error, uint64_t deadline_ns)
{
	uint64_t pause_ns = (uint64_t)RESUME_PAUSE_NS << handle->short_of;

	if (handle->short_of == RESUME_PAUSES)
		return error;
	if (clock_now_ns() + pause_ns >= deadline_ns)
		return -ETIMEDOUT;
	handle->short_of++;
	nanosleep(&(struct timespec){ .tv_nsec = (long)pause_ns }, NULL);
	return 0;
}

static int resume(struct shmb *broker, struct handle *handle, uint64_t deadline_ns)
{
	struct shmb_msg_resume request = {
		.head.opcode = SHMB_OP_RESUME,
		.handle = handle->number,
		.role = handle->role,
		.segment_id = handle->segment_id,
		.generation = handle->generation,
		.epoch = handle->epoch,
		.cell = handle->cell,
		.incarnation = handle->incarnation,
	};
	struct shmb_msg_answer done;
	struct answer answer;
	bool is_again;
	int r;

	memcpy(request.name, handle->name, sizeof(request.name));
	do {
		r = stage_request(broker, &request.head, handle->number, &done, &answer, deadline_ns);
		answer_close_fds(&answer);
		if (r < 0 && !answer.answered)
			return r;
		is_again = r == -ENOMEM || r == -EMFILE;
		if (is_again)
			r = resume_pause(handle, r, deadline_ns);
		if (r == -ETIMEDOUT)
			return r;
	} while (is_again && r == 0);
	/* A refusal ends the handle, not the connection: what it stood for is somebody else's by now, or gone. */
	handle->resumed = true;
	if (r < 0)
		handle->lost(handle);
	return 0;
}

static int say_ready(struct shmb *broker, uint64_t deadline_ns)
{
	struct shmb_msg_ready ready = { .head.opcode = SHMB_OP_READY };
	struct shmb_msg_answer done;
	struct answer answer;
	int r = stage_request(broker, &ready.head, 0, &done, &answer, deadline_ns);

	answer_close_fds(&answer);
	if (r < 0) {
		if (answer.answered)
			text_fail(r, "shmbrokerd at %s refused the connection: %s", broker->path, answer.error.text);
		return r;
	}
	broker->stage = CONNECTION_READY;
	return 0;
}

int connection_ensure(struct shmb *broker, uint64_t deadline_ns)
{
	int r = 0;

	if (broker->stage == CONNECTION_NONE)
		r = socket_connect(broker, deadline_ns);
	if (r == 0 && broker->stage == CONNECTION_CONNECTED)
		r = say_hello(broker, deadline_ns);
	if (r == 0 && broker->stage == CONNECTION_RESUMING) {
		struct handle *handle;

		LIST_FOREACH (handle, &broker->handles, link) {
			if (r == 0 && !handle->resumed)
				r = resume(broker, handle, deadline_ns);
		}
		if (r == 0)
			r = say_ready(broker, deadline_ns);
	}
	if (r == -ECONNRESET)
		connection_fail_reset(broker);
	/* After a time-out the socket stays: what was resumed through it would be given up with it. */
	if (r < 0 && r != -ETIMEDOUT)
		connection_drop(broker);
	return r;
}

int connection_look(struct shmb *broker, uint32_t event, uint64_t deadline_ns)
{
	int r = 0;

	if (pthread_mutex_trylock(&broker->lock) != 0)
		return -EBUSY;
	if (connection_event_is_new(broker, event)) {
		if (broker->stage == CONNECTION_READY && connection_is_dead(broker))
			connection_drop(broker);
		if (broker->stage == CONNECTION_READY) {
			atomic_store_explicit(&broker->event_looked, event, memory_order_release);
		} else {
			r = connection_ensure(broker, deadline_ns);
		}
	}
	pthread_mutex_unlock(&broker->lock);
	return r;
}

/* ---- life ---- */

static void connection_free(struct shmb *broker)
{
	bool ours = broker->guard != NULL && connection_is_ours(broker);

	if (broker->fd >= 0)
		close(broker->fd);
	/* In a forked child nothing of ours is mapped there any more; something else may be. */
	if (ours) {
		if (broker->event != NULL)
			munmap((void *)(uintptr_t)broker->event, sizeof(*broker->event));
		munmap(broker->guard, SHMB_PAGE);
		pthread_mutex_destroy(&broker->lock);
	}
	free(broker);
}

static int guard_map(struct shmb *broker)
{
	void *page = mmap(NULL, SHMB_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return text_fail(text_system(-errno), "mapping a page: %s", strerrordesc_np(errno));
	if (madvise(page, SHMB_PAGE, MADV_WIPEONFORK) < 0) {
		int r = -errno;

		munmap(page, SHMB_PAGE);
		return text_fail(text_system(r), "madvise(MADV_WIPEONFORK), which Linux has since 4.14: %s", strerrordesc_np(-r));
	}
	broker->guard = page;
	atomic_store_explicit(broker->guard, 1, memory_order_relaxed);
	return 0;
}

static int cookie_make(struct shmb *broker)
{
	ssize_t n;

	do {
		n = getrandom(broker->cookie, sizeof(broker->cookie), 0);
	} while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof(broker->cookie))
		return text_fail(-EIO, "getrandom(2): %s", strerrordesc_np(errno));
	broker->cookie[0] |= 1; /* all zero is refused */
	return 0;
}

int shmb_connect(struct shmb **out, const char *socket_path)
{
	struct shmb *broker = malloc(sizeof(*broker));
	int r;

	*out = NULL;
	if (broker == NULL)
		return text_fail(-ENOMEM, "no memory for a connection");
	memset(broker, 0, offsetof(struct shmb, packet));
	broker->fd = -1;
	LIST_INIT(&broker->handles);
	LIST_INIT(&broker->waitsets);
	pthread_mutex_init(&broker->lock, NULL);
	r = guard_map(broker);
	if (r == 0)
		r = path_find(broker, socket_path);
	if (r == 0)
		r = cookie_make(broker);
	if (r == 0) {
		r = connection_ensure(broker, clock_now_ns() + SHMB_ANSWER_TIMEOUT_NS);
		if (r == -ETIMEDOUT)
			text_fail(r, "shmbrokerd at %s did not answer: it hangs or the host is overloaded", broker->path);
		if (r == -ECONNRESET)
			r = -ECONNREFUSED;
	}
	if (r < 0) {
		connection_free(broker);
		return r;
	}
	*out = broker;
	return 0;
}

struct shmb *shmb_disconnect(struct shmb *broker)
{
	if (broker == NULL)
		return NULL;
	if (connection_is_ours(broker)) {
		struct handle *handle;

		pthread_mutex_lock(&broker->lock);
		LIST_FOREACH (handle, &broker->handles, link) {
			if (!control_close(broker, handle->number))
				break;
		}
		pthread_mutex_unlock(&broker->lock);
	}
	while (!LIST_EMPTY(&broker->handles)) {
		struct handle *handle = LIST_FIRST(&broker->handles);

		LIST_REMOVE(handle, link);
		handle->end(handle);
	}
	connection_free(broker);
	return NULL;
}

uint64_t shmb_now_ns(void)
{
	return clock_now_ns();
}
