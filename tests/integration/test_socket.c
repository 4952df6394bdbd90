/* SPDX-License-Identifier: MIT */
/* Garbage on the socket: every wrong message is answered with a sentence or ends its own connection, and the daemon serves on. */
#include "../support/client.h"
#include "../support/raw.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const char schema[] = "uint64[8] words\n";

static void assert_serves(struct broker *b, unsigned segments)
{
	struct shmb *client = broker_connect(b);

	ck_assert_uint_eq(segments_count(client), segments);
	ASSERT_OK(ring_writer_try(client, "still/serves", 64, 8));
	ASSERT_OK(shmb_remove(client, "still/serves"));
	shmb_disconnect(client);
}

/* ---- on the socket ---- */

/* Sends one packet on a fresh connection in the given state (0 connected, 1 resuming, 2 active). Returns the result of the answer: a negative errno,
 * -ECONNRESET where the broker hung up without an answer. *closed: the connection ended. */
static int garbage(struct broker *b, unsigned state, const void *packet, size_t length, bool *closed)
{
	static struct raw_answer answer;
	struct raw raw = { 0 };
	int result = -ECONNRESET;
	int r = state == 0 ? raw_connect(&raw, b->socket) : state == 1 ? raw_hello(&raw, b->socket) : raw_start(&raw, b->socket);

	ASSERT_OK(r);
	*closed = false;
	r = raw_send(&raw, packet, length);
	if (r == -EMSGSIZE) { /* the kernel's own limit */
		raw_close(&raw);
		return r;
	}
	ASSERT_OK(r);
	r = raw_receive(&raw, &answer, SUITE_PATIENCE_MS);
	ck_assert_int_ne(r, -ETIMEDOUT);
	if (r > 0) {
		ck_assert_uint_ge(answer.length, sizeof(struct shmb_msg_answer));
		result = answer.head.result;
		ck_assert_int_lt(result, 0);
		ck_assert_msg(strnlen(answer.answer.text, SHMB_TEXT_MAX) > 10 && strnlen(answer.answer.text, SHMB_TEXT_MAX) < SHMB_TEXT_MAX,
			      "no explanation for result %d", result);
		r = recv(raw.fd, &answer, 1, MSG_DONTWAIT) == 0;
	}
	*closed = r <= 0 || r == 1;
	raw_answer_deinit(&answer);
	raw_close(&raw);
	return result;
}

START_TEST(garbage_on_the_socket)
{
	static unsigned char bytes[2 * SHMB_MESSAGE_MAX];
	struct shmb_ring_writer *writer;
	struct shmb *client;
	struct broker b;
	bool closed;
	int r;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "precious", 64, 8);
	ring_write(writer, 64, 3, 1);
	for (unsigned state = 0; state < 3; state++) {
		unsigned seed = 12345 + state;

		for (size_t length = 1; length < 16; length++) { /* shorter than a head */
			memset(bytes, 0, sizeof(bytes));
			r = garbage(&b, state, bytes, length, &closed);
			ck_assert_msg(r == -EBADMSG || r == -ECONNRESET, "%zu zero bytes: %d", length, r);
		}
		for (unsigned round = 0; round < 100; round++) { /* random bytes of random length */
			size_t length = 16 + (size_t)rand_r(&seed) % 2000;

			for (size_t i = 0; i < length; i++)
				bytes[i] = (unsigned char)rand_r(&seed);
			r = garbage(&b, state, bytes, length, &closed);
			ck_assert_msg(r < 0, "random bytes were accepted");
		}
		memset(bytes, 0xff, sizeof(bytes));
		r = garbage(&b, state, bytes, SHMB_MESSAGE_MAX, &closed);
		ck_assert_int_lt(r, 0);
		r = garbage(&b, state, bytes, SHMB_MESSAGE_MAX + 1, &closed);
		ck_assert_int_lt(r, 0);
		r = garbage(&b, state, bytes, sizeof(bytes), &closed);
		ck_assert_int_lt(r, 0);
	}
	ring_write(writer, 64, 3, 1);
	assert_serves(&b, 1);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

START_TEST(empty_packet_and_half_closed_connection)
{
	static struct raw_answer answer;
	struct raw raw = { 0 };
	struct broker b;

	broker_start(&b, NULL);
	ASSERT_OK(raw_start(&raw, b.socket));
	ASSERT_OK(raw_send(&raw, "", 0));
	ck_assert_int_le(raw_receive(&raw, &answer, SUITE_PATIENCE_MS), 0);
	raw_close(&raw);
	ASSERT_OK(raw_start(&raw, b.socket));
	ck_assert_int_eq(shutdown(raw.fd, SHUT_WR), 0);
	ck_assert_int_le(raw_receive(&raw, &answer, SUITE_PATIENCE_MS), 0);
	raw_close(&raw);
	ASSERT_OK(raw_start(&raw, b.socket));
	ck_assert_int_eq(shutdown(raw.fd, SHUT_RD), 0);
	raw_close(&raw);
	assert_serves(&b, 0);
	broker_finish(&b);
}
END_TEST

START_TEST(hello_of_another_kind)
{
	const struct shmb_msg_hello good = { .head = { .opcode = SHMB_OP_HELLO, .serial = 1 },
					     .magic = SHMB_MESSAGE_MAGIC,
					     .version = SHMB_PROTOCOL_VERSION,
					     .oldest = SHMB_PROTOCOL_OLDEST,
					     .cookie = { 1, 2, 3 },
					     .comm = "odd" };
	struct shmb_msg_hello hello;
	struct broker b;
	bool closed;

	broker_start(&b, NULL);
	hello = good;
	hello.magic = 0x12345678;
	ck_assert_int_eq(garbage(&b, 0, &hello, sizeof(hello), &closed), -EPROTO);
	hello = good;
	hello.version = 99;
	hello.oldest = 98;
	ck_assert_int_eq(garbage(&b, 0, &hello, sizeof(hello), &closed), -EPROTONOSUPPORT);
	hello = good;
	hello.version = 0;
	hello.oldest = 0;
	ck_assert_int_lt(garbage(&b, 0, &hello, sizeof(hello), &closed), 0);
	hello = good;
	memset(hello.cookie, 0, sizeof(hello.cookie));
	ck_assert_int_eq(garbage(&b, 0, &hello, sizeof(hello), &closed), -EINVAL);
	hello = good;
	memset(hello.comm, 'x', sizeof(hello.comm));
	ck_assert_int_eq(garbage(&b, 0, &hello, sizeof(hello), &closed), -EINVAL);
	hello = good;
	hello.head.result = 1;
	ck_assert_int_eq(garbage(&b, 0, &hello, sizeof(hello), &closed), -EINVAL);
	hello = good;
	hello.head.tail_bytes = 4;
	ck_assert_int_lt(garbage(&b, 0, &hello, sizeof(hello), &closed), 0);
	/* in the wrong state */
	hello = good;
	ck_assert_int_eq(garbage(&b, 1, &hello, sizeof(hello), &closed), -EPROTO);
	ck_assert_int_eq(garbage(&b, 2, &hello, sizeof(hello), &closed), -EPROTO);
	assert_serves(&b, 0);
	broker_finish(&b);
}
END_TEST

/* Each request in the states where it has no business, and requests that do not exist. */
START_TEST(requests_out_of_turn)
{
	static const size_t sizes[SHMB_OP_COUNT] = {
		[SHMB_OP_HELLO] = sizeof(struct shmb_msg_hello),
		[SHMB_OP_RESUME] = sizeof(struct shmb_msg_resume),
		[SHMB_OP_READY] = sizeof(struct shmb_msg_ready),
		[SHMB_OP_OPEN_WRITER] = sizeof(struct shmb_msg_open_writer),
		[SHMB_OP_OPEN_READER] = sizeof(struct shmb_msg_open_reader),
		[SHMB_OP_CLOSE] = sizeof(struct shmb_msg_close),
		[SHMB_OP_LIST] = sizeof(struct shmb_msg_list),
		[SHMB_OP_INFO] = sizeof(struct shmb_msg_name),
		[SHMB_OP_STATUS] = sizeof(struct shmb_msg_status),
		[SHMB_OP_REMOVE] = sizeof(struct shmb_msg_name),
		[SHMB_OP_RELOAD] = sizeof(struct shmb_msg_reload),
		[SHMB_OP_POLICY] = sizeof(struct shmb_msg_policy),
		[SHMB_OP_METRICS] = sizeof(struct shmb_msg_metrics),
		[SHMB_OP_CLIENTS] = sizeof(struct shmb_msg_clients),
		[SHMB_OP_USERS] = sizeof(struct shmb_msg_users),
		[SHMB_OP_GC] = sizeof(struct shmb_msg_gc),
		[SHMB_OP_WATCH] = sizeof(struct shmb_msg_watch),
		[SHMB_OP_FIGURES] = sizeof(struct shmb_msg_figures),
	};
	struct broker b;
	bool closed;

	broker_start(&b, NULL);
	for (unsigned state = 0; state < 3; state++) {
		for (uint16_t opcode = 0; opcode < SHMB_OP_COUNT + 3; opcode++) {
			char packet[512] = "";
			struct shmb_msg_head head = { .opcode = opcode, .serial = 7 };
			size_t size = opcode < SHMB_OP_COUNT && sizes[opcode] != 0 ? sizes[opcode] : 64;
			bool known = opcode < SHMB_OP_COUNT && sizes[opcode] != 0;
			bool allowed = opcode == SHMB_OP_HELLO ? state == 0 : opcode <= SHMB_OP_READY ? state == 1 : state == 2;
			int r;

			if (allowed && known &&
			    (opcode == SHMB_OP_READY || opcode == SHMB_OP_LIST || opcode == SHMB_OP_STATUS || opcode == SHMB_OP_FIGURES ||
			     opcode == SHMB_OP_RELOAD || opcode == SHMB_OP_GC || opcode == SHMB_OP_WATCH || opcode == SHMB_OP_METRICS ||
			     opcode == SHMB_OP_CLIENTS || opcode == SHMB_OP_USERS))
				continue; /* would be right */
			memcpy(packet, &head, sizeof(head));
			r = garbage(&b, state, packet, size, &closed);
			if (!known)
				ck_assert_msg(r == -ENOSYS, "opcode %u in state %u: %d", opcode, state, r);
			else if (!allowed)
				ck_assert_msg(r == -EPROTO || (r == -EINVAL && state == 0), "opcode %u in state %u: %d", opcode, state, r);
			else
				ck_assert_msg(r < 0, "opcode %u of zeros in state %u was accepted", opcode, state);
		}
	}
	assert_serves(&b, 0);
	broker_finish(&b);
}
END_TEST

/* A whole request with one thing wrong in it. */
START_TEST(requests_with_one_thing_wrong)
{
	static struct raw_answer answer;
	struct shmb_msg_open_writer good;
	struct shmb_msg_open_writer open;
	struct raw raw = { 0 };
	struct broker b;
	int r;

#define WRONG(error, ...)                                                                                                                  \
	do {                                                                                                                               \
		open = good;                                                                                                               \
		__VA_ARGS__;                                                                                                               \
		r = raw_ask(&raw, SHMB_OP_OPEN_WRITER, &open, sizeof(open), schema, strlen(schema), &answer);                              \
		raw_answer_deinit(&answer);                                                                                                \
		ck_assert_msg(r == -(error), "%s: %d, expected %d", #__VA_ARGS__, r, -(error));                                            \
		ck_assert_uint_gt(strnlen(answer.answer.text, SHMB_TEXT_MAX), 10);                                                         \
	} while (0)

	broker_start(&b, NULL);
	ASSERT_OK(raw_start(&raw, b.socket));
	raw_open_writer(&good, "wrong", schema, 64);
	WRONG(EINVAL, open.handle = 0);
	WRONG(EINVAL, open.open_flags = 0x80);
	WRONG(EINVAL, open.segment_flags = 0x80);
	WRONG(EINVAL, open.reserved = 1);
	WRONG(EINVAL, open.capacity = 3);
	WRONG(EINVAL, open.capacity = 0);
	WRONG(EINVAL, open.payload_align = 3);
	WRONG(EINVAL, open.payload_align = 4096);
	WRONG(EINVAL, open.payload_bytes = 0);
	WRONG(EINVAL, open.payload_bytes = UINT64_MAX);
	WRONG(EINVAL, open.payload_bytes = 72);
	WRONG(EINVAL, open.schema_hash ^= 1);
	WRONG(EINVAL, memset(open.name, 'x', sizeof(open.name)));
	WRONG(EINVAL, strcpy(open.name, "../escape"));
	WRONG(EINVAL, strcpy(open.name, "nul\0x"); open.name[5] = 'x');
	WRONG(EINVAL, memset(open.type, 'x', sizeof(open.type)));
	WRONG(EINVAL, open.role = SHMB_ROLE_SHARER);
	WRONG(EINVAL, open.role = SHMB_ROLE_READER);
	WRONG(EINVAL, open.history = 1);
	WRONG(EINVAL, open.pins = 1);
	WRONG(EINVAL, open.key_type = 77);
	WRONG(EINVAL, open.key_type = SHMB_KEY_MONOTONIC_NS); /* the stamp, of elements that have none */
	WRONG(EINVAL, open.key_field = 8);		      /* of no type */
	WRONG(EINVAL, open.key_type = SHMB_KEY_SEQUENCE; open.key_field = 64);
	WRONG(EINVAL, open.kind = SHMB_KIND_FRAME); /* with a capacity */
	WRONG(EINVAL, open.kind = SHMB_KIND_FRAME; open.capacity = 0);
	WRONG(EINVAL, open.kind = SHMB_KIND_FRAME; open.capacity = 0; open.history = 5000);
	WRONG(EINVAL, open.kind = SHMB_KIND_QUEUE; open.pins = 1);
	WRONG(EINVAL, open.kind = SHMB_KIND_BLOCK); /* by a writer */
	WRONG(EINVAL, open.kind = SHMB_KIND_BLOCK; open.role = SHMB_ROLE_SHARER);
	WRONG(EINVAL, open.kind = 77);
	WRONG(EINVAL, open.kind = 0);
#undef WRONG
	r = raw_ask(&raw, SHMB_OP_OPEN_WRITER, &good, sizeof(good), "uint64[8] word\x01\n", strlen(schema), &answer);
	ck_assert_int_eq(r, -EINVAL);
	/* the right one is accepted on the same connection, twice the same */
	r = raw_ask(&raw, SHMB_OP_OPEN_WRITER, &good, sizeof(good), schema, strlen(schema), &answer);
	ck_assert_int_eq(r, 0);
	ck_assert_uint_eq(answer.fd_count, answer.open.fd_count);
	raw_answer_deinit(&answer);
	r = raw_ask(&raw, SHMB_OP_OPEN_WRITER, &good, sizeof(good), schema, strlen(schema), &answer);
	ck_assert_int_eq(r, 0);
	ck_assert_uint_eq(answer.open.epoch, 1);
	raw_answer_deinit(&answer);
	/* the handle for another name */
	open = good;
	strcpy(open.name, "other");
	ck_assert_int_lt(raw_ask(&raw, SHMB_OP_OPEN_WRITER, &open, sizeof(open), schema, strlen(schema), &answer), 0);
	{
		struct shmb_msg_close end = { .handle = 99 };

		/* nothing of that number is open, which is what was asked for; and nothing else was closed */
		ck_assert_int_eq(raw_ask(&raw, SHMB_OP_CLOSE, &end, sizeof(end), NULL, 0, &answer), 0);
		ASSERT_OK(raw_ask(&raw, SHMB_OP_OPEN_WRITER, &good, sizeof(good), schema, strlen(schema), &answer));
		ck_assert_uint_eq(answer.open.epoch, 1);
		raw_answer_deinit(&answer);
		end.handle = 1;
		ck_assert_int_eq(raw_ask(&raw, SHMB_OP_CLOSE, &end, sizeof(end), NULL, 0, &answer), 0);
	}
	raw_close(&raw);
	assert_serves(&b, 1);
	broker_finish(&b);
}
END_TEST

/* Claims to hold what it does not. */
START_TEST(forged_resume_takes_nothing)
{
	static struct raw_answer answer;
	struct shmb_msg_resume resume = {
		.handle = 5, .role = SHMB_ROLE_WRITER, .segment_id = 1, .generation = 1, .epoch = 1, .cell = UINT32_MAX, .name = "precious"
	};
	struct shmb_msg_ready ready = { 0 };
	struct shmb_ring_writer *writer;
	struct shmb *client;
	struct raw raw = { 0 };
	struct listed listed;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "precious", 64, 8);
	ASSERT_OK(raw_hello(&raw, b.socket));
	for (uint64_t epoch = 1; epoch < 4; epoch++) {
		resume.epoch = epoch;
		ck_assert_int_eq(raw_ask(&raw, SHMB_OP_RESUME, &resume, sizeof(resume), NULL, 0, &answer), -ESTALE);
	}
	resume.role = SHMB_ROLE_READER;
	resume.cell = 0;
	ck_assert_int_eq(raw_ask(&raw, SHMB_OP_RESUME, &resume, sizeof(resume), NULL, 0, &answer), -ESTALE);
	resume.cell = 100000;
	ck_assert_int_lt(raw_ask(&raw, SHMB_OP_RESUME, &resume, sizeof(resume), NULL, 0, &answer), 0);
	resume.cell = 0;
	strcpy(resume.name, "nothing");
	ck_assert_int_eq(raw_ask(&raw, SHMB_OP_RESUME, &resume, sizeof(resume), NULL, 0, &answer), -ESTALE);
	ASSERT_OK(raw_ask(&raw, SHMB_OP_READY, &ready, sizeof(ready), NULL, 0, &answer));
	ring_write(writer, 64, 1, 1);
	ck_assert(segment_listed(client, "precious", &listed) && listed.writer == SHMB_WRITER_IS_ALIVE && listed.epoch == 1);
	raw_close(&raw);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Requests without end by somebody who never reads: others are served. */
START_TEST(client_that_never_reads)
{
	struct shmb_msg_status status = { .head = { .opcode = SHMB_OP_STATUS } };
	struct raw raw = { 0 };
	struct broker b;
	unsigned sent = 0;

	broker_start(&b, NULL);
	ASSERT_OK(raw_start(&raw, b.socket));
	while (send(raw.fd, &status, sizeof(status), MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof(status) && sent < 100000)
		sent++;
	ck_assert_uint_gt(sent, 1);
	assert_serves(&b, 0);
	raw_close(&raw);
	broker_finish(&b);
}
END_TEST

/* Sends descriptors that nobody asked for, again and again, and goes away. */
static void send_descriptors(struct broker *b)
{
	enum { COUNT = 250 };
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(COUNT * sizeof(int))] = "";
	struct shmb_msg_status status = { .head = { .opcode = SHMB_OP_STATUS, .serial = 1 } };
	struct iovec bytes = { .iov_base = &status, .iov_len = sizeof(status) };
	struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
	static struct raw_answer answer;
	struct raw raw = { 0 };
	int fds[COUNT];

	ASSERT_OK(raw_start(&raw, b->socket));
	for (unsigned i = 0; i < COUNT; i++)
		fds[i] = raw.fd;
	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(rights), fds, sizeof(fds));
	for (unsigned i = 0; i < 5; i++) {
		int r = (int)sendmsg(raw.fd, &message, MSG_NOSIGNAL);

		ck_assert_msg(r > 0 || errno == EPERM || errno == EPIPE, "sendmsg: %s", strerror(errno)); /* EPERM: SO_PASSRIGHTS is off */
		if (r <= 0 || raw_receive(&raw, &answer, SUITE_PATIENCE_MS) <= 0)
			break;
	}
	raw_close(&raw);
}

START_TEST(unsolicited_descriptors_are_closed)
{
	struct shmb *client;
	struct broker b;
	int before;
	int after;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	before = fds_count(b.daemon.pid);
	send_descriptors(&b);
	WAIT_UNTIL(clients_count(client) == 1);
	/* The first that come start the thread that closes them, with a pipe to it, where the kernel has no SO_PASSRIGHTS. */
	after = fds_count(b.daemon.pid);
	ck_assert_msg(after == before || after == before + 2, "%d descriptors before, %d after", before, after);
	b.fds += after - before;
	shmb_disconnect(client);
	send_descriptors(&b);
	assert_serves(&b, 0);
	broker_finish(&b); /* counts the daemon's descriptors */
}
END_TEST

/* Somebody else uses the connection: a child is not the process that connected. */
START_TEST(message_of_another_process_closes_the_connection)
{
	static struct raw_answer answer;
	struct shmb_msg_status status = { 0 };
	struct raw raw = { 0 };
	struct broker b;
	pid_t pid;

	broker_start(&b, NULL);
	ASSERT_OK(raw_start(&raw, b.socket));
	pid = fork();
	if (pid == 0)
		_exit(raw_ask(&raw, SHMB_OP_STATUS, &status, sizeof(status), NULL, 0, &answer) == -ECONNRESET ? 0 : 1);
	{
		int result;

		ck_assert(waitpid(pid, &result, 0) == pid && WIFEXITED(result) && WEXITSTATUS(result) == 0);
	}
	raw_close(&raw);
	assert_serves(&b, 0);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("socket");

	suite_add(suite, garbage_on_the_socket, 60);
	suite_add(suite, empty_packet_and_half_closed_connection, 60);
	suite_add(suite, hello_of_another_kind, 30);
	suite_add(suite, requests_out_of_turn, 60);
	suite_add(suite, requests_with_one_thing_wrong, 30);
	suite_add(suite, forged_resume_takes_nothing, 30);
	suite_add(suite, client_that_never_reads, 30);
	suite_add(suite, unsolicited_descriptors_are_closed, 30);
	suite_add(suite, message_of_another_process_closes_the_connection, 30);
	return suite_run(suite);
}
