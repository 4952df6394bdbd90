/* SPDX-License-Identifier: MIT */
/*
 * Requests and answers on the socket. Waiting is recvmsg(2) where as long as it waits by itself, SHMB_ANSWER_TIMEOUT_NS, is left, else ppoll(2)
 * with what is.
 *
 * A request whose answer did not come in time stays unanswered: the socket stays open (closing it would give up every lease), and its
 * late answer is recognised by its serial and dropped, with the descriptors it brings.
 */
#include "control.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "text.h"

/* A broker that goes away again while we ask: how often we come back to it within one request. */
enum { ATTEMPTS = 3, AGAIN_NS = 5000000 };

/* How much longer than its deadline a request may wait, where the time for making and sending it has passed already. */
enum { PROMPT_NS = 1000000 };

static bool fds_follow(const struct answer *answer)
{
	for (unsigned i = 1; i < answer->fd_count; i++) {
		if (answer->fds[i] != answer->fds[i - 1] + 1)
			return false;
	}
	return answer->fd_count > 1;
}

void answer_close_fds(struct answer *answer)
{
	/* All between first and last are its own. */
	if (fds_follow(answer) && close_range((unsigned)answer->fds[0], (unsigned)answer->fds[answer->fd_count - 1], 0) == 0)
		answer->fd_count = 0;
	for (unsigned i = 0; i < answer->fd_count; i++)
		close(answer->fds[i]);
	answer->fd_count = 0;
}

/* 0 ready (or worth a try), -ETIMEDOUT. */
static int wait_ready(int fd, short events, uint64_t deadline_ns)
{
	struct pollfd poll_fd = { .fd = fd, .events = events };
	uint64_t now = clock_now_ns();
	struct timespec left;

	if (now >= deadline_ns)
		return -ETIMEDOUT;
	left.tv_sec = (time_t)((deadline_ns - now) / UINT64_C(1000000000));
	left.tv_nsec = (long)((deadline_ns - now) % UINT64_C(1000000000));
	ppoll(&poll_fd, 1, &left, NULL);
	return 0;
}

int control_send(struct shmb *broker, struct shmb_msg_head *request, const void *tail, size_t tail_bytes, uint64_t deadline_ns)
{
	struct iovec parts[2] = {
		{ .iov_base = request, .iov_len = shmb_request_size(request->opcode) },
		{ .iov_base = (void *)(uintptr_t)tail, .iov_len = tail_bytes },
	};
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = tail_bytes > 0 ? 2 : 1 };

	broker->serial = broker->serial == UINT32_MAX ? 1 : broker->serial + 1;
	request->serial = broker->serial;
	request->tail_bytes = (uint32_t)tail_bytes;
	for (;;) {
		if (sendmsg(broker->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN)
			return -ECONNRESET;
		if (errno != EAGAIN && errno != EINTR)
			return text_fail(text_system(-errno), "sending to shmbrokerd at %s: %s", broker->path, strerrordesc_np(errno));
		if (wait_ready(broker->fd, POLLOUT, deadline_ns) < 0)
			return -ETIMEDOUT;
	}
}

/* Takes the descriptors of a message. -EMFILE when they did not all arrive. */
static int take_fds(struct msghdr *message, struct answer *answer)
{
	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL; part = CMSG_NXTHDR(message, part)) {
		size_t count;

		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
			continue;
		count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(fd));
			if (answer->fd_count < SHMB_FDS_MAX)
				answer->fds[answer->fd_count++] = fd;
			else
				close(fd);
		}
	}
	return message->msg_flags & MSG_CTRUNC ? -EMFILE : 0;
}

/* One packet into broker->packet. Its length, or a negative errno. */
static ssize_t receive_packet(struct shmb *broker, struct answer *answer, uint64_t deadline_ns)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(SHMB_FDS_MAX * sizeof(int))];
	} control;
	struct iovec part = { .iov_base = broker->packet, .iov_len = sizeof(broker->packet) };

	for (bool is_first = true;; is_first = false) {
		/* First wait: the answer to what was just sent is not there yet. */
		bool blocks = is_first && clock_now_ns() + SHMB_ANSWER_TIMEOUT_NS <= deadline_ns + PROMPT_NS;
		bool is_late = !blocks && wait_ready(broker->fd, POLLIN, deadline_ns) < 0;
		struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
		ssize_t length = recvmsg(broker->fd, &message, MSG_CMSG_CLOEXEC | (blocks ? 0 : MSG_DONTWAIT));
		int r;

		if (length == 0)
			return -ECONNRESET;
		if (length > 0) {
			r = take_fds(&message, answer);
			if (r == 0 && (message.msg_flags & MSG_TRUNC))
				r = -EBADMSG;
			return r < 0 ? r : length;
		}
		if (errno != EAGAIN && errno != EINTR)
			return errno == EPIPE || errno == ENOTCONN || errno == ECONNRESET ? -ECONNRESET : text_system(-errno);
		if (is_late)
			return -ETIMEDOUT;
	}
}

int control_receive(struct shmb *broker, uint16_t opcode, uint32_t serial, void *out, struct answer *answer, uint64_t deadline_ns)
{
	memset(answer, 0, offsetof(struct answer, event));
	for (;;) {
		ssize_t length = receive_packet(broker, answer, deadline_ns);
		struct shmb_msg_head head;
		int r;

		if (length >= (ssize_t)sizeof(head)) {
			memcpy(&head, broker->packet, sizeof(head));
			if (head.serial != serial) {
				answer_close_fds(answer);
				if (clock_now_ns() >= deadline_ns)
					return -ETIMEDOUT;
				continue;
			}
		}
		if (length < 0)
			r = (int)length;
		else
			r = shmb_answer_decode(broker->packet, (size_t)length, opcode, serial, out, &answer->error, &answer->tail,
					       &answer->tail_bytes);
		/* The codec's own -EBADMSG leaves no tail. */
		answer->answered = length >= 0 && answer->tail != NULL;
		if (r < 0)
			answer_close_fds(answer);
		return r;
	}
}

/* *sent: the request has gone out, whatever became of it. */
static int attempt(struct shmb *broker, struct shmb_msg_head *request, const void *tail, size_t tail_bytes, void *out,
		   struct answer *answer, uint64_t deadline_ns, bool *sent)
{
	int r = connection_ensure(broker, deadline_ns);

	if (r < 0)
		return r == -ENOENT ? -ECONNREFUSED : r; /* -ENOENT is for what the broker does not find */
	answer->event = connection_event(broker);
	r = control_send(broker, request, tail, tail_bytes, deadline_ns);
	*sent = *sent || r == 0;
	if (r == 0)
		r = control_receive(broker, request->opcode, request->serial, out, answer, deadline_ns);
	if (r == -ECONNRESET && !answer->answered) {
		connection_drop(broker);
		connection_fail_reset(broker);
	}
	return r;
}

static int request_any(struct shmb *broker, struct shmb_msg_head *request, const void *tail, size_t tail_bytes, void *out,
		       struct answer *answer, uint64_t deadline_ns)
{
	int r = -ECONNRESET;
	bool sent = false;
	bool sent_before = false;

	memset(answer, 0, sizeof(*answer));
	for (int i = 0; i < ATTEMPTS && r == -ECONNRESET && !answer->answered; i++) {
		/* A dying process closes its connections before its listener, or after it: the second look comes when it is gone. */
		if (i > 0)
			nanosleep(&(struct timespec){ .tv_nsec = AGAIN_NS }, NULL);
		sent_before = sent;
		r = attempt(broker, request, tail, tail_bytes, out, answer, deadline_ns, &sent);
	}
	/* A removal whose answer was lost had been done when it was asked for again. */
	if (sent_before && r == -ENOENT && answer->answered && request->opcode == SHMB_OP_REMOVE)
		r = 0;
	return r == -ECONNRESET && !answer->answered ? -ECONNREFUSED : r;
}

int control_request(struct shmb *broker, struct shmb_msg_head *request, const void *tail, size_t tail_bytes, void *out,
		    struct answer *answer)
{
	return control_request_until(broker, request, tail, tail_bytes, out, answer, clock_now_ns() + SHMB_ANSWER_TIMEOUT_NS);
}

int control_request_until(struct shmb *broker, struct shmb_msg_head *request, const void *tail, size_t tail_bytes, void *out,
			  struct answer *answer, uint64_t deadline_ns)
{
	int r = request_any(broker, request, tail, tail_bytes, out, answer, deadline_ns);

	if (r >= 0)
		return 0;
	if (answer->answered)
		return text_fail(r, "%s", answer->error.text[0] != '\0' ? answer->error.text : shmb_strerror(r));
	switch (r) {
	case -ETIMEDOUT:
		return text_fail(r, "shmbrokerd at %s did not answer within %u s: it hangs or the host is overloaded", broker->path,
				 (unsigned)(SHMB_ANSWER_TIMEOUT_NS / UINT64_C(1000000000)));
	case -EMFILE:
		return text_fail(r, "no descriptor left for what shmbrokerd sends: raise the limit (ulimit -n) or close some");
	case -EBADMSG:
		return text_fail(r, "shmbrokerd at %s answered with something else than asked: library and daemon do not fit",
				 broker->path);
	default:
		/* connection_ensure() has said it. */
		return r;
	}
}

bool control_close(struct shmb *broker, uint32_t handle)
{
	struct shmb_msg_close request = { .head.opcode = SHMB_OP_CLOSE, .handle = handle };
	struct shmb_msg_answer done;
	struct answer answer = { .fd_count = 0 };
	int r = request_any(broker, &request.head, NULL, 0, &done, &answer, clock_now_ns() + SHMB_ANSWER_TIMEOUT_NS);

	/* What the system does not send cannot be told; what is not resumed on the next connection is given up as well. */
	if (r < 0 && r != -ETIMEDOUT && !answer.answered)
		connection_drop(broker);
	return r == 0 || answer.answered;
}
