/* SPDX-License-Identifier: MIT */
/*
 * Connections: accepting, reading a request, answering it, closing.
 *
 * Who is at the other end is settled at accept: SO_PEERCRED and a pidfd name the process that connected. Each message then carries the
 * credentials of its sender, put there by the kernel; a sender with another pid has come by the descriptor (a fork, SCM_RIGHTS) and is
 * none of ours.
 */
#include "peer.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker.h"
#include "event.h"
#include "kept.h"
#include "later.h"
#include "liveness.h"
#include "log.h"
#include "proto/step.h"
#include "refusal.h"
#include "watch.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* asm-generic/socket.h of Linux 6.5; the same on x86-64 and arm64 */
#endif

enum {
	INTERRUPTED_TRIES = 16,
	SCM_FDS_MAX = 253,			/* SCM_MAX_FD of the kernel: what one message can carry */
	PEER_SEND_BYTES = 2 * SHMB_MESSAGE_MAX, /* a full packet and the kernel's overhead */
	QUEUE_MAX = 4096,   /* messages in a connection's queue: net.unix.max_dgram_qlen, 512 unless somebody raises it */
	QUEUE_RESIDUE = 64, /* of packets being taken away; one of a single byte counts 768 */
};

static void on_readable(int events, void *user);

/* ---- accepting ---- */

static void refuse(struct peer *peer, int error, const char *text)
{
	peer->refusal = error;
	peer->refusal_text = text;
}

/* How many connections a user has that is not ours: it may not take all. */
static bool user_has_too_many(const struct broker *broker, const struct account *account)
{
	return account->uid != geteuid() && account->connections >= broker->peers_max / 2;
}

/* A quota says no. Told once, until there is room again. */
static void tell_quota(struct peer *peer)
{
	struct account *account = peer->account;

	account_over(account);
	if (account->is_full)
		return;
	account->is_full = true;
	event_tell(
		peer->broker,
		&(struct event){
			.kind = EVENT_QUOTA, .pid = peer->holder.pid, .uid = peer->holder.uid, .reason = limits_name(LIMIT_CONNECTIONS) },
		"uid %u has %u connections: another one of process %d is refused, and more until some close", account->uid,
		account->connections, peer->holder.pid);
}

/* Finds out who it is. An error means that it is gone already; a refusal is kept for the answer to HELLO. */
static int identify(struct peer *peer)
{
	struct broker *broker = peer->broker;
	struct ucred cred;
	socklen_t length = sizeof(cred);
	int pidfd = -1;
	int r;

	if (getsockopt(peer->fd, SOL_SOCKET, SO_PEERCRED, &cred, &length) < 0)
		return -errno;
	peer->holder.pid = cred.pid;
	peer->holder.uid = cred.uid;
	peer->gid = cred.gid;
	peer->account = account_get(broker, cred.uid);
	if (peer->account == NULL)
		return -ENOMEM;
	/* The mode of its directory keeps others out; should it be opened later, reader areas must still be nobody else's. */
	if (broker->listener.is_private && cred.uid != geteuid() && cred.uid != 0) {
		refuse(peer, -EACCES,
		       "this broker is its user's own: start it with a runtime directory that others may enter, or use another");
		return 0;
	}
	if (broker->peer_count >= broker->peers_max || user_has_too_many(broker, peer->account)) {
		if (!broker->is_full)
			log_warning("there are %u connections: another one of process %d (uid %u) is refused, and more until some close",
				    broker->peer_count, cred.pid, cred.uid);
		broker->is_full = true;
		refuse(peer, -EUSERS, "the broker has as many connections as it can serve: close some");
		return 0;
	}
	if (!account_check_connection(peer->account)) {
		tell_quota(peer);
		refuse(peer, -EUSERS,
		       "this user has, or all together have, as many connections as their quota (connections-max) allows: close some");
		return 0;
	}
	length = sizeof(pidfd);
	if (getsockopt(peer->fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &length) < 0) {
		if (errno == ESRCH)
			return -ESRCH;
		pidfd = -1;
	}
	if (cred.pid > 0)
		r = process_watch_peer(&broker->processes, cred.pid, pidfd, &peer->process);
	else if (pidfd >= 0)
		r = process_watch_unseen(&broker->processes, pidfd, &peer->process);
	else
		r = -EOPNOTSUPP;
	if (r == -EOPNOTSUPP) {
		refuse(peer, r,
		       "the broker cannot see this process, which is in a container with pids of its own, and this kernel (before 6.9) "
		       "does not help: run both in one pid namespace");
		return 0;
	}
	if (r == -EACCES) {
		refuse(peer, r,
		       "the broker may not look at this process in /proc: mount /proc without hidepid for it, or run it as the same user");
		return 0;
	}
	if (r < 0)
		return r;
	peer->holder.start_time = peer->process->start_time;
	LIST_INSERT_HEAD(&peer->process->peers, peer, process_link);
	return 0;
}

/* Those that are refused do not count. */
static void count(struct peer *peer, int by)
{
	if (peer->refusal != 0 || peer->account == NULL)
		return;
	peer->account->connections += (unsigned)by;
	peer->broker->accounts.total.connections += (unsigned)by;
	if (by < 0)
		peer->account->is_full = false;
}

int peer_new(struct broker *broker, int fd)
{
	struct peer *peer = calloc(1, sizeof(*peer));
	int send_bytes = PEER_SEND_BYTES;
	int r = -ENOMEM;

	if (peer == NULL) {
		close(fd);
		return r;
	}
	peer->broker = broker;
	peer->fd = fd;
	peer->order = broker->peer_next++;
	peer->connected_ns = loop_realtime_ns();
	LIST_INIT(&peer->attachments);
	LIST_INIT(&peer->interests);
	r = identify(peer);
	if (r == 0 && peer->refusal != 0 && broker->peers_refused >= PEERS_REFUSED_MAX)
		r = peer->refusal;
	if (r == 0 && setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof(send_bytes)) < 0)
		r = -errno;
	if (r == 0)
		r = loop_fd_new(broker->loop, fd, LOOP_READ, on_readable, peer, &peer->watch);
	LIST_INSERT_HEAD(&broker->peers, peer, link);
	broker->peer_count += peer->refusal == 0;
	broker->peers_refused += peer->refusal != 0;
	count(peer, 1);
	hello_wait(peer);
	if (r < 0) {
		if (r != -EUSERS && r != -ESRCH)
			event_tell(broker,
				   &(struct event){ .kind = EVENT_REFUSED,
						    .pid = peer->holder.pid,
						    .uid = peer->holder.uid,
						    .reason = strerrorname_np(-r) },
				   "a connection of process %d is refused: %s", peer->holder.pid, strerror(-r));
		peer_free(peer);
	}
	return r;
}

/* ---- closing ---- */

/* Descriptors that came with a message. */
static void close_sent(struct peer *peer, const struct cmsghdr *control)
{
	int fds[SCM_FDS_MAX];
	size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	memcpy(fds, CMSG_DATA(control), count * sizeof(int));
	closer_close(&peer->broker->closer, fds, (unsigned)count);
}

/*
 * Closes its socket. With messages that were not read go the descriptors in them, and to close one of those can take as long as its sender likes: so they
 * are taken out before, and nothing more comes in.
 */
static void socket_close(struct peer *peer)
{
	union {
		char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(SCM_FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	ssize_t length;

	shutdown(peer->fd, SHUT_RD);
	for (unsigned i = 0; i < QUEUE_MAX; i++) {
		struct msghdr message = {
			.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)
		};

		control.align = (struct cmsghdr){ 0 };
		length = recvmsg(peer->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (length < 0 && errno != ECONNRESET && errno != EINTR)
			break;
		if (length == 0 && message.msg_controllen == 0)
			break;
		for (struct cmsghdr *c = length >= 0 ? CMSG_FIRSTHDR(&message) : NULL; c != NULL; c = CMSG_NXTHDR(&message, c)) {
			if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
				close_sent(peer, c);
		}
	}
	close(peer->fd);
}

static struct peer *end(struct peer *peer, bool unlink_page)
{
	struct broker *broker = peer->broker;

	LIST_REMOVE(peer, link);
	broker->peer_count -= peer->refusal == 0;
	broker->peers_refused -= peer->refusal != 0;
	if (peer->refusal == 0)
		broker->is_full = false;
	interest_drop_peer(peer);
	making_drop(peer);
	later_drop(peer);
	hello_end(peer);
	count(peer, -1);
	peer->account = account_put(peer->account);
	watch_end(peer);
	peer->drain = loop_drain_free(peer->drain);
	peer->watch = loop_fd_free(peer->watch);
	socket_close(peer);
	if (peer->page != NULL) {
		/* Whoever sleeps on it looks at its socket then, and connects again. */
		event_page_bump(peer->page);
		event_page_free(&broker->store, peer->page, unlink_page);
	}
	if (peer->process != NULL) {
		LIST_REMOVE(peer, process_link);
		process_unref(peer->process);
	}
	free(peer->groups);
	free(peer);
	listener_resume(&broker->listener);
	return NULL;
}

struct peer *peer_free(struct peer *peer)
{
	return end(peer, true);
}

struct peer *peer_leave(struct peer *peer)
{
	return end(peer, false);
}

struct peer *peer_close(struct peer *peer)
{
	struct broker *broker = peer->broker;

	liveness_peer_closed(broker, peer);
	peer = peer_free(peer);
	gone_look(broker);
	return peer;
}

/* ---- requests ---- */

/* As an event: what anybody can do again and again is told of a bounded number of times (event.c). */
#define misconduct_tell(peer, ...)                                                                                                         \
	event_tell((peer)->broker,                                                                                                         \
		   &(struct event){ .kind = EVENT_REFUSED, .pid = (peer)->holder.pid, .uid = (peer)->holder.uid, .reason = "misconduct" }, \
		   __VA_ARGS__)

/* Looks at what came with a message: the sender's credentials (wanted), descriptors (not wanted). Is the sender the peer? */
static bool check_control(struct peer *peer, struct msghdr *message)
{
	struct cmsghdr *control;
	bool is_peer = false;

	for (control = CMSG_FIRSTHDR(message); control != NULL; control = CMSG_NXTHDR(message, control)) {
		if (control->cmsg_level != SOL_SOCKET)
			continue;
		if (control->cmsg_type == SCM_CREDENTIALS && control->cmsg_len == CMSG_LEN(sizeof(struct ucred))) {
			struct ucred cred;

			memcpy(&cred, CMSG_DATA(control), sizeof(cred));
			/*
			 * 0: sent before SO_PASSCRED was set on a socket that systemd made. That can only be a HELLO, which gives its
			 * sender nothing; the next message will tell who it is.
			 */
			is_peer = cred.pid == peer->holder.pid || (cred.pid == 0 && peer->state == PEER_CONNECTED);
			if (!is_peer)
				misconduct_tell(peer, "process %d sent a message on the connection of process %d: closed", cred.pid,
						peer->holder.pid);
		} else if (control->cmsg_type == SCM_RIGHTS) {
			close_sent(peer, control);
		}
	}
	return is_peer;
}

/* Receives one packet. Its length; -EAGAIN nothing there; 0 or another error: the connection is over. */
static ssize_t receive(struct peer *peer)
{
	struct broker *broker = peer->broker;
	union {
		char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(SCM_FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = broker->packet, .iov_len = sizeof(broker->packet) };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes) };
	ssize_t length = recvmsg(peer->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (length < 0)
		return -errno;
	if (length == 0 && message.msg_controllen == 0)
		return 0;
	if (!check_control(peer, &message))
		return -EPERM;
	if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
		misconduct_tell(peer, "process %d sent a message longer than any can be: closed", peer->holder.pid);
		return -EMSGSIZE;
	}
	if (length == 0) {
		misconduct_tell(peer, "process %d sent an empty message: closed", peer->holder.pid);
		return -EBADMSG;
	}
	return length;
}

/* Makes the answer to broker->packet. *decoded is what came of decoding it to *request. */
static void answer(struct peer *peer, size_t length, union shmb_msg_request *request, int *decoded, struct reply *reply)
{
	const struct dispatch_entry *entry;
	char text[SHMB_TEXT_MAX];
	const char *tail;
	const char *why = "";
	int r;

	*decoded = shmb_request_decode(peer->broker->packet, length, request, &tail, &why);
	if (*decoded == -EBADMSG) {
		reply_error(reply, &request->head, *decoded, "%s: the connection is closed", why);
		misconduct_tell(peer, "process %d sent something that is no request (%s): closed", peer->holder.pid, why);
		reply->last = true;
		return;
	}
	r = dispatch_check(peer->state, request->head.opcode, &entry, text);
	if (r < 0) {
		reply_error(reply, &request->head, r, "%s", text);
	} else if (*decoded < 0) {
		reply_error(reply, &request->head, *decoded, "%s: %s", entry->name, why);
		/* Somebody who speaks another protocol has nothing more to say to us. */
		reply->last = peer->state == PEER_CONNECTED;
	} else {
		entry->fn(peer, request, tail, reply);
	}
}

/* The one place that every answer comes by: what is refused is counted here. */
static void account(struct peer *peer, const union shmb_msg_request *request, bool is_sound, const struct shmb_msg_answer *made)
{
	metrics_answered(&peer->broker->metrics, made->head.result, loop_now_ns() - peer->received_ns);
	peer->requests++;
	if (peer->account != NULL)
		account_answered(peer->account, made->head.result != 0);
	if (made->head.result == 0)
		return;
	peer->refusals++;
	refusal_tell(peer, request, is_sound, made);
}

static int send_reply(struct peer *peer, struct reply *reply)
{
	union {
		char bytes[CMSG_SPACE(SHMB_FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = reply->bytes, .iov_len = reply->length };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (reply->fd_count > 0) {
		struct cmsghdr *rights = &control.align;

		memset(&control, 0, sizeof(control));
		rights->cmsg_level = SOL_SOCKET;
		rights->cmsg_type = SCM_RIGHTS;
		rights->cmsg_len = CMSG_LEN(reply->fd_count * sizeof(int));
		memcpy(CMSG_DATA(rights), reply->fds, reply->fd_count * sizeof(int));
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(reply->fd_count * sizeof(int));
	}
	for (unsigned i = 0; i < INTERRUPTED_TRIES; i++) {
		if (sendmsg(peer->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno != EINTR)
			break;
	}
	return -errno;
}

/*
 * The queue counts what packets take in memory, each far more than QUEUE_RESIDUE. A packet that is being taken away counts 1 until after the wake-up
 * that tells so (sock_wfree() in the kernel), and no other wake-up follows: what is that little is empty.
 */
static bool has_unread_reply(const struct peer *peer)
{
	int bytes = 0;

	return ioctl(peer->fd, SIOCOUTQ, &bytes) == 0 && bytes > QUEUE_RESIDUE;
}

static bool has_request(const struct peer *peer)
{
	struct pollfd poll_fd = { .fd = peer->fd, .events = POLLIN };

	return poll(&poll_fd, 1, 0) == 1;
}

/* Its answer comes first. */
static bool is_put_off(const struct peer *peer)
{
	return peer->making != NULL || peer->later != NULL;
}

/* Sends what happened. Nothing is read until it has been taken; the drain tells when. */
static int send_events(struct peer *peer)
{
	struct reply *reply = &peer->broker->reply;
	int r;

	loop_fd_set(peer->watch, 0);
	peer->told = true;
	reply_init(reply);
	watch_fill(peer, reply);
	r = send_reply(peer, reply);
	reply_deinit(reply);
	return r;
}

/* The client has taken something, or there is something to tell it. */
static void on_drained(void *user)
{
	struct peer *peer = user;

	if (has_unread_reply(peer))
		return;
	if (is_put_off(peer)) {
		peer->drain = loop_drain_free(peer->drain);
		return;
	}
	if (watch_has_news(peer) && !(peer->told && has_request(peer))) {
		if (send_events(peer) < 0)
			peer_close(peer);
		return;
	}
	peer->drain = loop_drain_free(peer->drain);
	peer_read_on(peer);
}

void peer_read_on(struct peer *peer)
{
	if (peer->drain == NULL && !is_put_off(peer) && peer->slowed_by == NULL)
		loop_fd_set(peer->watch, LOOP_READ);
}

void peer_tell(struct peer *peer)
{
	/* What cannot be begun now is begun with the next event or behind the next answer. */
	if (peer->drain == NULL && loop_drain_new(peer->broker->loop, peer->fd, on_drained, peer, &peer->drain) < 0)
		peer->drain = NULL;
}

/* Answers the request in broker->packet. The connection may be gone then. */
static void serve(struct peer *peer, size_t length)
{
	struct reply *reply = &peer->broker->reply;
	union shmb_msg_request request;
	int decoded;
	int r;

	peer->told = false;
	reply_init(reply);
	kept_request(peer->broker->store.kept, true);
	answer(peer, length, &request, &decoded, reply);
	kept_request(peer->broker->store.kept, false);
	if (reply->deferred) {
		loop_fd_set(peer->watch, 0);
		return;
	}
	if (is_put_off(peer)) {
		peer->making = NULL;
		later_drop(peer);
		peer_read_on(peer);
	}
	SHMB_STEP("reply.sending");
	r = send_reply(peer, reply);
	reply_deinit(reply);
	SHMB_STEP("reply.sent");
	account(peer, &request, decoded == 0, (const struct shmb_msg_answer *)reply->bytes);
	/* The queue was empty, so there is room. What fails is the connection, or the system; the client connects again and repeats. */
	if (r < 0 && r != -EPIPE && r != -ECONNRESET)
		log_warning("process %d cannot be answered: %s; its connection is closed", peer->holder.pid, strerror(-r));
	if (r < 0 || reply->last)
		peer_close(peer);
	else if (watch_has_news(peer))
		peer_tell(peer);
}

void peer_again(struct peer *peer, const void *packet, size_t length)
{
	struct pollfd poll_fd = { .fd = peer->fd, .events = POLLRDHUP };

	if (poll(&poll_fd, 1, 0) == 1) { /* it hung up meanwhile: nothing is made */
		peer_close(peer);
		return;
	}
	memcpy(peer->broker->packet, packet, length);
	serve(peer, length);
}

/* Reads a request and answers it, or ends the connection. */
static void read_one(struct peer *peer)
{
	ssize_t length;
	int r;

	if (peer->process != NULL && peer->process->dead) { /* liveness.c closes it */
		loop_fd_set(peer->watch, 0);
		return;
	}
	if (has_unread_reply(peer)) {
		r = peer->drain != NULL ? 0 : loop_drain_new(peer->broker->loop, peer->fd, on_drained, peer, &peer->drain);
		if (r == 0)
			loop_fd_set(peer->watch, 0);
		else
			peer_close(peer);
		return;
	}
	if (!account_admit(peer)) {
		loop_fd_set(peer->watch, 0);
		return;
	}
	length = receive(peer);
	if (length == -EAGAIN || length == -EINTR)
		return;
	if (length <= 0) {
		peer_close(peer);
		return;
	}
	peer->received_ns = loop_now_ns();
	serve(peer, (size_t)length);
}

/* One request for each round of the loop, as long as its user's turn lasts: what is not read now is reported again in the next round. */
static void on_readable(int events, void *user)
{
	struct peer *peer = user;
	struct account *account = peer->account;
	uint64_t begun_ns;

	(void)events;
	if (!account_turn(peer))
		return;
	begun_ns = loop_now_ns();
	read_one(peer);
	account_spend(account, loop_now_ns() - begun_ns);
}
