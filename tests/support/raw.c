/* SPDX-License-Identifier: MIT */
/* The control protocol by hand (raw.h). */
#include "raw.h"

#include "proto/schema.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

int raw_connect(struct raw *raw, const char *socket_path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	static const uint8_t none[SHMB_COOKIE_BYTES];

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
	raw->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (raw->fd < 0)
		return -errno;
	if (memcmp(raw->cookie, none, sizeof(none)) == 0 && getrandom(raw->cookie, sizeof(raw->cookie), 0) != sizeof(raw->cookie))
		return -EIO;
	if (connect(raw->fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		int r = -errno;

		raw_close(raw);
		return r;
	}
	return 0;
}

void raw_close(struct raw *raw)
{
	close(raw->fd);
	raw->fd = -1;
}

int raw_send(struct raw *raw, const void *packet, size_t length)
{
	ssize_t sent = send(raw->fd, packet, length, MSG_NOSIGNAL);

	return sent < 0 ? -errno : sent == (ssize_t)length ? 0 : -EMSGSIZE;
}

int raw_receive(struct raw *raw, struct raw_answer *out, unsigned ms)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(out->fds))];
	struct iovec bytes = { .iov_base = out->bytes, .iov_len = sizeof(out->bytes) };
	struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct pollfd ready = { .fd = raw->fd, .events = POLLIN };
	ssize_t got;

	out->fd_count = 0;
	out->length = 0;
	if (poll(&ready, 1, (int)(ms * suite_slow())) <= 0)
		return -ETIMEDOUT;
	got = recvmsg(raw->fd, &message, MSG_CMSG_CLOEXEC);
	if (got < 0)
		return -errno;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		out->fd_count = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(out->fds, CMSG_DATA(c), out->fd_count * sizeof(int));
	}
	out->length = (size_t)got;
	memset(&out->head, 0, sizeof(out->head));
	if (out->length >= sizeof(out->head))
		memcpy(&out->head, out->bytes, sizeof(out->head));
	return (int)got;
}

void raw_answer_deinit(struct raw_answer *answer)
{
	for (unsigned i = 0; i < answer->fd_count; i++)
		close(answer->fds[i]);
	answer->fd_count = 0;
}

void raw_must(struct raw *raw, struct raw_answer *out)
{
	int r = raw_receive(raw, out, SUITE_PATIENCE_MS);

	ck_assert_msg(r > 0, "no answer: %d", r);
	ck_assert_int_eq(out->head.result, 0);
}

int raw_request(struct raw *raw, uint16_t opcode, void *request, size_t size, const void *tail, size_t tail_bytes)
{
	static char packet[SHMB_MESSAGE_MAX];
	struct shmb_msg_head *head = request;

	head->opcode = opcode;
	head->serial = ++raw->serial;
	head->tail_bytes = (uint32_t)tail_bytes;
	memcpy(packet, request, size);
	if (tail_bytes > 0)
		memcpy(packet + size, tail, tail_bytes);
	return raw_send(raw, packet, size + tail_bytes);
}

int raw_ask(struct raw *raw, uint16_t opcode, void *request, size_t size, const void *tail, size_t tail_bytes, struct raw_answer *out)
{
	int r = raw_request(raw, opcode, request, size, tail, tail_bytes);

	if (r == 0)
		r = raw_receive(raw, out, SUITE_PATIENCE_MS);
	if (r == 0)
		return -ECONNRESET;
	if (r < 0)
		return r;
	if (out->length < sizeof(struct shmb_msg_head) || out->head.opcode != opcode || out->head.serial != raw->serial)
		return -EBADMSG;
	return out->head.result;
}

void raw_end(struct raw *raw)
{
	static struct raw_answer answer;

	for (uint32_t handle = 1; handle <= 32; handle++) {
		struct shmb_msg_close end = { .handle = handle };

		if (raw_ask(raw, SHMB_OP_CLOSE, &end, sizeof(end), NULL, 0, &answer) < 0)
			break;
		raw_answer_deinit(&answer);
	}
	raw_close(raw);
}

int raw_hello(struct raw *raw, const char *socket_path)
{
	struct shmb_msg_hello hello = {
		.magic = SHMB_MESSAGE_MAGIC, .version = SHMB_PROTOCOL_VERSION, .oldest = SHMB_PROTOCOL_OLDEST, .comm = "raw"
	};
	static struct raw_answer answer;
	int r = raw_connect(raw, socket_path);

	if (r < 0)
		return r;
	memcpy(hello.cookie, raw->cookie, sizeof(hello.cookie));
	r = raw_ask(raw, SHMB_OP_HELLO, &hello, sizeof(hello), NULL, 0, &answer);
	if (r == 0 && answer.fd_count != 1)
		r = -EBADMSG;
	raw_answer_deinit(&answer);
	return r;
}

int raw_start(struct raw *raw, const char *socket_path)
{
	struct shmb_msg_ready ready = { 0 };
	static struct raw_answer answer;
	int r = raw_hello(raw, socket_path);

	if (r == 0)
		r = raw_ask(raw, SHMB_OP_READY, &ready, sizeof(ready), NULL, 0, &answer);
	return r;
}

void raw_child_start(struct raw_child *child, const char *socket_path, int (*act)(struct raw *raw))
{
	int told[2];
	ssize_t got;

	ck_assert_int_eq(pipe2(told, O_CLOEXEC), 0);
	child->pid = fork();
	ck_assert_int_ge(child->pid, 0);
	if (child->pid == 0) {
		struct raw raw = { 0 };
		int r;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		r = raw_start(&raw, socket_path);
		if (r == 0)
			r = act(&raw);
		if (write(told[1], &r, sizeof(r)) != sizeof(r))
			_exit(1);
		for (;;)
			pause();
	}
	close(told[1]);
	got = read(told[0], &child->result, sizeof(child->result));
	close(told[0]);
	ck_assert_int_eq(got, sizeof(child->result));
}

void raw_child_kill(struct raw_child *child)
{
	kill(child->pid, SIGKILL);
	ck_assert_int_eq(waitpid(child->pid, NULL, 0), child->pid);
}

void raw_open_writer(struct shmb_msg_open_writer *request, const char *name, const char *schema, uint64_t bytes)
{
	struct shmb_schema parsed;

	memset(request, 0, sizeof(*request));
	request->handle = 1;
	request->kind = SHMB_KIND_RING;
	request->role = SHMB_ROLE_WRITER;
	request->key_field = SHMB_KEY_IS_STAMP;
	request->capacity = 8;
	request->payload_bytes = bytes;
	request->payload_align = 1;
	if (shmb_schema_parse(schema, strlen(schema), &parsed, NULL, NULL) == 0) {
		request->payload_align = parsed.align;
		request->schema_hash = parsed.hash;
		shmb_schema_deinit(&parsed);
	}
	snprintf(request->name, sizeof(request->name), "%s", name);
	snprintf(request->type, sizeof(request->type), "pattern");
}

void raw_open_kind(struct shmb_msg_open_writer *request, enum shmb_kind kind, const char *name, const char *schema, uint64_t bytes)
{
	raw_open_writer(request, name, schema, bytes);
	request->kind = (uint8_t)kind;
	if (kind == SHMB_KIND_FRAME || kind == SHMB_KIND_BLOCK)
		request->capacity = 0;
	if (kind == SHMB_KIND_FRAME) {
		request->history = 2;
		request->pins = 3;
	}
	if (kind == SHMB_KIND_BLOCK)
		request->role = SHMB_ROLE_SHARER;
}

void raw_open_reader(struct shmb_msg_open_reader *request, const char *name)
{
	memset(request, 0, sizeof(*request));
	request->handle = 1;
	request->role = SHMB_ROLE_READER;
	snprintf(request->name, sizeof(request->name), "%s", name);
}
