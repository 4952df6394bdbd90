/* SPDX-License-Identifier: MIT */
/*
 * Hostile clients (lines 24 to 29 of the catalogue): whatever comes over the socket, the daemon stays and others are served. Each test forces its line and
 * then asks for a segment as somebody else.
 */
#include "../support/other.h"
#include "../support/raw.h"
#include "hostile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const char schema[] = "uint64[8] words\n";

/* ---- 24 ---- */

/* The beginning of a good request, behind the whole of it: what of it lies in the daemon's buffer still is not taken for the rest. */
static void beginnings_are_refused(struct broker *b)
{
	static struct raw_answer answer;

	for (size_t length = 1; length < sizeof(struct shmb_msg_status); length++) {
		struct shmb_msg_status status = { .head = { 0 } };
		struct raw raw = { 0 };
		int r;

		ASSERT_OK(raw_start(&raw, b->socket));
		ASSERT_OK(raw_ask(&raw, SHMB_OP_STATUS, &status, sizeof(status), NULL, 0, &answer));
		raw_answer_deinit(&answer);
		ASSERT_OK(raw_send(&raw, &status, length));
		r = raw_receive(&raw, &answer, SUITE_PATIENCE_MS);
		ck_assert_msg(r <= 0 || answer.head.result == -EBADMSG, "%zu bytes of a request were answered", length);
		raw_answer_deinit(&answer);
		raw_close(&raw);
	}
}

/* A good request with more behind it than it says. */
static void more_than_it_says_is_refused(struct broker *b)
{
	struct {
		struct shmb_msg_status status;
		char more[64];
	} request = { .status = { .head = { .opcode = SHMB_OP_STATUS, .serial = 1 } } };
	static struct raw_answer answer;
	struct raw raw = { 0 };
	int r;

	ASSERT_OK(raw_start(&raw, b->socket));
	ASSERT_OK(raw_send(&raw, &request, sizeof(request)));
	r = raw_receive(&raw, &answer, SUITE_PATIENCE_MS);
	ck_assert_msg(r <= 0 || answer.head.result == -EBADMSG, "%zu bytes too many were accepted", sizeof(request.more));
	raw_answer_deinit(&answer);
	raw_close(&raw);
}

START_TEST(fault_24_garbage_short_and_oversize_packets)
{
	static const size_t lengths[] = { 0, 1, 15, 16, 17, 64, 1000, SHMB_MESSAGE_MAX, SHMB_MESSAGE_MAX + 1, 2 * SHMB_MESSAGE_MAX };
	static unsigned char bytes[2 * SHMB_MESSAGE_MAX];
	static struct raw_answer answer;
	struct broker b;

	broker_start(&b, NULL);
	srandom(24);
	for (unsigned state = 0; state < 3; state++) {
		for (unsigned i = 0; i < 3 * sizeof(lengths) / sizeof(lengths[0]); i++) {
			struct raw raw = { 0 };
			int r;

			for (size_t at = 0; at < sizeof(bytes); at++)
				bytes[at] = (unsigned char)(i % 3 == 0 ? 0 : i % 3 == 1 ? 0xff : random());
			ASSERT_OK(state == 0   ? raw_connect(&raw, b.socket)
				  : state == 1 ? raw_hello(&raw, b.socket)
					       : raw_start(&raw, b.socket));
			if (raw_send(&raw, bytes, lengths[i / 3]) == 0) {
				r = raw_receive(&raw, &answer, SUITE_PATIENCE_MS);
				ck_assert_int_ne(r, -ETIMEDOUT);
				ck_assert_msg(r <= 0 || answer.head.result < 0, "%zu bytes were accepted", lengths[i / 3]);
				/* What was cut off is not even looked at. */
				ck_assert_msg(r <= 0 || lengths[i / 3] <= SHMB_MESSAGE_MAX, "%zu bytes were answered", lengths[i / 3]);
				raw_answer_deinit(&answer);
			}
			raw_close(&raw);
		}
	}
	beginnings_are_refused(&b);
	more_than_it_says_is_refused(&b);
	serves_others(&b);
	broker_finish(&b);
}
END_TEST

/* ---- 25 ---- */

/* Who reads late, and has asked for as much as can be asked: each request is answered, in order, and the connection stays. */
static void late_reader_misses_nothing(struct broker *b)
{
	enum { REQUESTS_MAX = 5000 };
	static struct raw_answer answer;
	struct raw raw = { 0 };
	uint32_t count = 0;

	ASSERT_OK(raw_start(&raw, b->socket));
	for (unsigned idle = 0; idle < 20 && count < REQUESTS_MAX;) {
		struct shmb_msg_status status = { .head = { .opcode = SHMB_OP_STATUS, .serial = count } };

		if (send(raw.fd, &status, sizeof(status), MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof(status)) {
			count++;
			continue;
		}
		ck_assert_msg(errno == EAGAIN, "request %u: %s", count, strerror(errno));
		sleep_ms(1);
		idle++;
	}
	serves_others(b);
	for (uint32_t i = 0; i < count; i++) {
		int r = raw_receive(&raw, &answer, SUITE_PATIENCE_MS);

		ck_assert_msg(r > 0 && answer.head.result == 0 && answer.head.serial == i, "request %u of %u: %d", i, count, r);
		raw_answer_deinit(&answer);
	}
	raw_end(&raw);
}

START_TEST(fault_25_flood_and_never_reading)
{
	struct shmb_msg_status status = { .head = { .opcode = SHMB_OP_STATUS } };
	struct broker b;
	pid_t floods[2];

	broker_start(&b, NULL);
	for (unsigned i = 0; i < 2; i++) {
		floods[i] = fork();
		if (floods[i] == 0) {
			static char drain[SHMB_MESSAGE_MAX];
			struct raw raw = { 0 };

			/* The first never reads; the second takes what comes and asks on. */
			while (raw_start(&raw, b.socket) == 0) {
				while (send(raw.fd, &status, sizeof(status), MSG_NOSIGNAL) == sizeof(status))
					if (i == 1)
						recv(raw.fd, drain, sizeof(drain), MSG_DONTWAIT);
				raw_close(&raw);
			}
			_exit(1);
		}
	}
	sleep_ms(50);
	for (unsigned i = 0; i < 3; i++)
		serves_others(&b);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(waitpid(floods[i], NULL, WNOHANG), 0);
		other_kill(floods[i]);
	}
	late_reader_misses_nothing(&b);
	serves_others(&b);
	broker_finish(&b);
}
END_TEST

/* ---- 26 ---- */

START_TEST(fault_26_descriptors_nobody_asked_for)
{
	enum { COUNT = 253 };
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(COUNT * sizeof(int))] = "";
	struct shmb_msg_status status = { .head = { .opcode = SHMB_OP_STATUS, .serial = 1 } };
	struct iovec bytes = { .iov_base = &status, .iov_len = sizeof(status) };
	struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
	static struct raw_answer answer;
	struct shmb *client;
	struct broker b;
	uint64_t deadline;
	int fds[COUNT];
	int before;
	int after;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	before = fds_count(b.daemon.pid);
	for (unsigned round = 0; round < 5; round++) {
		struct raw raw = { 0 };

		ASSERT_OK(raw_start(&raw, b.socket));
		for (unsigned i = 0; i < COUNT; i++)
			fds[i] = raw.fd;
		rights->cmsg_level = SOL_SOCKET;
		rights->cmsg_type = SCM_RIGHTS;
		rights->cmsg_len = CMSG_LEN(sizeof(fds));
		memcpy(CMSG_DATA(rights), fds, sizeof(fds));
		if (sendmsg(raw.fd, &message, MSG_NOSIGNAL) > 0) /* the kernel may refuse by itself: SO_PASSRIGHTS */
			raw_receive(&raw, &answer, SUITE_PATIENCE_MS);
		raw_close(&raw);
	}
	WAIT_UNTIL(clients_count(client) == 1);
	/* The thread that closes them, and a pipe to it, stay. */
	deadline = deadline_in(SUITE_PATIENCE_MS);
	while ((after = fds_count(b.daemon.pid)) != before && after != before + 2)
		ck_assert_msg(suite_pause(deadline), "%d descriptors before, %d after", before, after);
	b.fds += after - before;
	shmb_disconnect(client);
	serves_others(&b);
	broker_finish(&b);
}
END_TEST

/* ---- 27 ---- */

START_TEST(fault_27_no_descriptors_no_spin)
{
	struct rlimit limit;
	struct rlimit none;
	struct raw waiting[4] = { { 0 } };
	struct shmb *client;
	struct broker b;
	uint64_t before, begin;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	ck_assert_int_eq(prlimit(b.daemon.pid, RLIMIT_NOFILE, NULL, &limit), 0);
	none = (struct rlimit){ .rlim_cur = 3, .rlim_max = limit.rlim_max };
	ck_assert_int_eq(prlimit(b.daemon.pid, RLIMIT_NOFILE, &none, NULL), 0);
	for (unsigned i = 0; i < 4; i++)
		ASSERT_OK(raw_connect(&waiting[i], b.socket)); /* into the backlog */
	before = busy_ns(b.daemon.pid);
	begin = now_ns();
	sleep_ms(400);
	ck_assert_uint_lt(busy_ns(b.daemon.pid) - before, (now_ns() - begin) / 2);
	segments_count(client); /* who is connected is served */
	ck_assert_int_eq(prlimit(b.daemon.pid, RLIMIT_NOFILE, &limit, NULL), 0);
	for (unsigned i = 0; i < 4; i++)
		raw_close(&waiting[i]);
	serves_others(&b);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- 28 ---- */

/* Sends a request in the name of another process and user; 0 or a negative errno. */
static int forge(struct raw *raw, pid_t pid, uid_t uid)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct ucred))] = "";
	struct ucred claim = { .pid = pid, .uid = uid, .gid = uid };
	struct shmb_msg_status status = { .head = { .opcode = SHMB_OP_STATUS, .serial = 99 } };
	struct iovec bytes = { .iov_base = &status, .iov_len = sizeof(status) };
	struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *credentials = CMSG_FIRSTHDR(&message);

	credentials->cmsg_level = SOL_SOCKET;
	credentials->cmsg_type = SCM_CREDENTIALS;
	credentials->cmsg_len = CMSG_LEN(sizeof(claim));
	memcpy(CMSG_DATA(credentials), &claim, sizeof(claim));
	return sendmsg(raw->fd, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int forges(struct broker *b)
{
	struct raw raw = { 0 };

	CHILD_CHECK(raw_start(&raw, b->socket) == 0);
	CHILD_CHECK(forge(&raw, getpid(), 0) == -EPERM);
	CHILD_CHECK(forge(&raw, b->daemon.pid, getuid()) == -EPERM);
	raw_end(&raw);
	return 0;
}

START_TEST(fault_28_forged_pid_or_uid)
{
	static struct raw_answer answer;
	struct raw raw = { 0 };
	struct broker b;

	OTHER_SKIP();
	broker_start(&b, &(struct broker_options){ .runtime_mode = 0755 });
	other_run(OTHER_UID, forges, &b); /* the kernel's part */
	/* Root may say what it likes, and is not believed. */
	ASSERT_OK(raw_start(&raw, b.socket));
	ASSERT_OK(forge(&raw, b.daemon.pid, getuid()));
	ck_assert_int_le(raw_receive(&raw, &answer, SUITE_PATIENCE_MS), 0);
	raw_close(&raw);
	serves_others(&b);
	broker_finish(&b);
}
END_TEST

/* ---- 29 ---- */

START_TEST(fault_29_traversal_nul_and_long_names)
{
	static const char *const names[] = { "..",   "../x",	 "/etc/passwd", "a/../b",   "./a", "a//b", ",a",   "a,1",
					     "a\nb", "a\x1b[2J", " ",		"\xff\xfe", "a/",  "",	   "a\x7f" };
	static struct raw_answer answer;
	struct shmb_msg_open_writer open;
	struct shmb_msg_open_reader reader;
	struct raw raw = { 0 };
	struct broker b;
	char *before;
	char *after;
	int r;

	broker_start(&b, NULL);
	ASSERT_OK(raw_start(&raw, b.socket));
	before = dir_names(b.shm);
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]) + 2; i++) {
		raw_open_writer(&open, "good", schema, 64);
		raw_open_reader(&reader, "good");
		memset(open.name, 0, sizeof(open.name));
		if (i < sizeof(names) / sizeof(names[0]))
			strcpy(open.name, names[i]);
		else if (i == sizeof(names) / sizeof(names[0]))
			memset(open.name, 'x', sizeof(open.name)); /* without an end */
		else
			memcpy(open.name, "nul\0more", 8);
		memcpy(reader.name, open.name, sizeof(open.name));
		r = raw_ask(&raw, SHMB_OP_OPEN_WRITER, &open, sizeof(open), schema, strlen(schema), &answer);
		raw_answer_deinit(&answer);
		ck_assert_msg(r == -EINVAL, "name %u '%.20s' to write: %d", i, open.name, r);
		r = raw_ask(&raw, SHMB_OP_OPEN_READER, &reader, sizeof(reader), NULL, 0, &answer);
		raw_answer_deinit(&answer);
		ck_assert_msg(r == -EINVAL, "name %u '%.20s' to read: %d", i, open.name, r);
	}
	after = dir_names(b.shm);
	ck_assert_str_eq(before, after);
	free(before);
	free(after);
	raw_end(&raw);
	serves_others(&b);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fault: hostile clients");

	suite_add(suite, fault_24_garbage_short_and_oversize_packets, 30);
	suite_add(suite, fault_25_flood_and_never_reading, 60);
	suite_add(suite, fault_26_descriptors_nobody_asked_for, 60);
	suite_add(suite, fault_27_no_descriptors_no_spin, 30);
	suite_add(suite, fault_28_forged_pid_or_uid, 30);
	suite_add(suite, fault_29_traversal_nul_and_long_names, 30);
	return suite_run(suite);
}
