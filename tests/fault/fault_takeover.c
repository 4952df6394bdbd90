/* SPDX-License-Identifier: MIT */
/*
 * Writers that are replaced while they live (line 10 of the catalogue), connections that come into other hands or are closed behind the library's back, and
 * many changes of generation at once while everybody is killed.
 */
#include "../support/client.h"
#include "../support/raw.h"
#include "look.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char replacing[] = "[segment *]\nstale-time = 100ms\non-hang = replace\n";

static unsigned files_in(struct broker *b)
{
	DIR *directory = opendir(b->shm);
	struct dirent *entry;
	unsigned count = 0;

	ck_assert_ptr_nonnull(directory);
	while ((entry = readdir(directory)) != NULL)
		count += entry->d_name[0] != '.';
	closedir(directory);
	return count;
}

static int note_draining(const struct shmb_segment_info *info, const char *schema, const struct shmb_reader_info *readers, void *user)
{
	(void)schema;
	(void)readers;
	*(uint32_t *)user = info->draining;
	return 0;
}

static uint32_t draining(struct shmb *client, const char *name)
{
	uint32_t count = 0;

	ASSERT_OK(shmb_info(client, name, note_draining, &count));
	return count;
}

/* ---- 10: stopped past its heartbeat ---- */

/* Each kind, its writer stopped where `before` has left it; `after` is what it does when it goes on. */
static const struct {
	const char *name, *writer, *write, *before, *reader, *read, *after;
	bool copies;
} kinds[] = {
	{ "value", "writer name=value kind=value bytes=64 stamped=1", "write n=3", NULL, "reader name=value kind=value bytes=64", "latest",
	  "write n=1", true },
	{ "ring", "writer name=ring bytes=64 capacity=16", "write n=3", NULL, "reader name=ring bytes=64", "next", "write n=1", true },
	{ "frame", "frame-writer name=frame bytes=4096 history=4 pins=8", "frame-write n=3", "frame-loan", "frame-reader name=frame",
	  "frame-pin", "frame-commit", false },
	{ "queue", "producer name=queue bytes=64 capacity=16", "push n=3", NULL, "consumer name=queue", "consume n=3", "push n=1", false },
};

/* What of the old memory is read, then the change, then the new writer's first number, which is `next`. */
static void reads_on(struct program *reader, unsigned kind, uint64_t next)
{
	struct answer answer;
	unsigned changes = 0;

	switch (kind) {
	case 0:
		ck_assert_uint_eq(worker_must(reader, "latest").v[0], 2); /* still: it did not follow yet */
									  /* fallthrough */
	case 1:
		for (uint64_t n = 0; kind == 1 && n < 3; n++) {
			answer = worker_must(reader, "next");
			ck_assert(answer.v[0] == n && answer.v[1] == 0 && answer.v[4] == 0);
		}
		while ((answer = worker_ask(reader, "wait deadline=15000")).result != 0) {
			changes += answer.result == -EREMCHG;
			ck_assert(answer.result == -EREMCHG || answer.result == -EHOSTDOWN || answer.result == -EPIPE);
		}
		ck_assert_uint_eq(changes, 1);
		answer = worker_must(reader, "%s", kinds[kind].read);
		ck_assert_uint_eq(answer.v[0], next);
		ck_assert_uint_eq(answer.v[1], 1); /* the number that might have been under way */
		ck_assert(answer.v[3] == 2 && answer.v[4] == 0);
		break;
	case 2: /* holds the last one of the old memory, whole */
		ck_assert_uint_eq(worker_must(reader, "frame-check").v[1], 0);
		worker_must(reader, "frame-follow");
		answer = worker_must(reader, "frame-pin");
		ck_assert(answer.v[0] == next && answer.v[1] == 2);
		ck_assert_uint_eq(worker_must(reader, "frame-check").v[1], 0);
		ck_assert_uint_eq(worker_must(reader, "frame-release").v[0], 0);
		worker_must(reader, "frame-follow"); /* lets the old memory go */
		break;
	default:
		program_send(reader, "consume n=4 deadline=15000");
		for (uint64_t n = 0; n < 4; n++) {
			const char *line = program_line(reader, SUITE_PATIENCE_MS);
			unsigned long long number;
			unsigned salt;

			ck_assert_ptr_nonnull(line);
			ck_assert_int_eq(sscanf(line, "item %llu %u 0", &number, &salt), 2);
			ck_assert_uint_eq(number, n < 3 ? n : next);
			ck_assert_uint_eq(salt, n < 3 ? 1 : 2);
		}
		answer = worker_answer(reader);
		ASSERT_RESULT(answer, 0);
		break;
	}
}

static void stopped_and_replaced(struct broker *b, struct shmb *client, unsigned kind, bool restart)
{
	struct program zombie, next, reader;
	struct answer answer;
	struct listed listed;

	worker_start(&zombie, b, "zombie", false);
	worker_start(&next, b, "next", false);
	worker_start(&reader, b, "reader", false);
	worker_must(&zombie, "%s salt=1", kinds[kind].writer);
	worker_must(&reader, "%s", kinds[kind].reader);
	worker_must(&zombie, "%s", kinds[kind].write);
	if (kind == 2)
		worker_must(&reader, "frame-pin");
	if (kinds[kind].before != NULL)
		worker_must(&zombie, "%s", kinds[kind].before);
	program_signal(&zombie, SIGSTOP);
	program_wait_stopped(&zombie);
	wait_writer(client, kinds[kind].name, SHMB_WRITER_IS_STOPPED);
	sleep_ms(300); /* suspect for as long as it likes: nobody takes anything from it */
	ck_assert(segment_listed(client, kinds[kind].name, &listed));
	ck_assert(listed.generation == 1 && listed.writer_pid == zombie.pid);

	answer = worker_must(&next, "%s salt=2", kinds[kind].writer);
	ck_assert_uint_eq(answer.v[0], kind == 3 ? 3 + 16 : 4);
	worker_must(&next, "%s", kind == 2 ? "frame-write n=1" : kind == 3 ? "push n=1" : "write n=1");
	if (restart) {
		broker_kill(b);
		broker_restart(b);
		ck_assert_uint_gt(segments_count(client), 0);
	}
	ck_assert(segment_listed(client, kinds[kind].name, &listed));
	ck_assert(listed.generation == 2 && listed.writer_pid == next.pid);
	program_signal(&zombie, SIGCONT);
	/* It was between two claims, or has memory on loan: refused, and again. */
	ASSERT_RESULT(worker_ask(&zombie, "%s", kinds[kind].after), -ESTALE);
	ASSERT_RESULT(worker_ask(&zombie, "%s", kind == 2 ? "frame-write n=1" : kinds[kind].after), -ESTALE);
	reads_on(&reader, kind, answer.v[0]);
	ck_assert(segment_listed(client, kinds[kind].name, &listed));
	ck_assert(listed.generation == 2 && listed.writer_pid == next.pid);
	worker_quit(&zombie);
	WAIT_UNTIL(draining(client, kinds[kind].name) == 0);
	worker_quit(&next);
	worker_quit(&reader);
	WAIT_UNTIL(shmb_remove(client, kinds[kind].name) == 0);
}

START_TEST(fault_10_stopped_past_its_heartbeat)
{
	struct shmb *client;
	struct broker b;

	broker_start(&b, &(struct broker_options){ .config = replacing });
	client = broker_connect(&b);
	for (unsigned kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++) {
		for (unsigned restart = 0; restart < 2; restart++)
			stopped_and_replaced(&b, client, kind, restart != 0);
	}
	ck_assert_uint_eq(segments_count(client), 0);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- connections in other hands ---- */

/* The descriptor of a connection among ours, a socket whose peer is the daemon's, other than `except`. */
static int socket_of(struct broker *b, int except)
{
	for (int fd = 3; fd < 256; fd++) {
		struct ucred peer = { 0 };
		socklen_t size = sizeof(peer);

		if (fd != except && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid == b->daemon.pid)
			return fd;
	}
	ck_abort_msg("no socket to the broker");
	return -1;
}

/* Sends a descriptor to a child, which uses it: the connection ends, and with it, as after any stray end, what it held is let go. */
START_TEST(a_connection_that_was_passed_on_is_refused)
{
	struct shmb_ring_writer *writer;
	struct program next, reader;
	struct shmb_msg_status status = { .head = { .opcode = SHMB_OP_STATUS, .serial = 77 } };
	struct listed listed;
	struct shmb *client, *watcher;
	struct broker b;
	int watcher_fd;
	int null_fd;
	int pair[2];
	int ended;
	pid_t pid;

	broker_start(&b, NULL);
	watcher = broker_connect(&b);
	watcher_fd = socket_of(&b, -1);
	client = broker_connect(&b);
	writer = ring_writer(client, "passed", 64, 8);
	ring_write(writer, 64, 2, 1);
	worker_start(&reader, &b, "reader", false);
	worker_must(&reader, "reader name=passed bytes=64");
	ASSERT_OK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
		char byte;
		struct iovec bytes = { .iov_base = &byte, .iov_len = 1 };
		struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
		int fd;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (recvmsg(pair[1], &message, 0) != 1)
			_exit(1);
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
		if (send(fd, &status, sizeof(status), MSG_NOSIGNAL) != (ssize_t)sizeof(status))
			_exit(2);
		_exit(0);
	}
	{
		_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = "";
		char byte = 'x';
		struct iovec bytes = { .iov_base = &byte, .iov_len = 1 };
		struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
		struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
		int fd = socket_of(&b, watcher_fd);

		rights->cmsg_level = SOL_SOCKET;
		rights->cmsg_type = SCM_RIGHTS;
		rights->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(rights), &fd, sizeof(fd));
		ck_assert_int_eq(sendmsg(pair[0], &message, MSG_NOSIGNAL), 1);
	}
	ck_assert_int_eq(waitpid(pid, &ended, 0), pid);
	ck_assert_int_eq(ended, 0);
	close(pair[0]);
	close(pair[1]);
	wait_writer(watcher, "passed", SHMB_WRITER_IS_GONE);
	/* Nobody else has asked: this library comes back at its next request, and has its lease again. */
	ck_assert_uint_eq(segments_count(client), 1);
	wait_writer(watcher, "passed", SHMB_WRITER_IS_ALIVE);
	ring_write(writer, 64, 1, 1);
	ck_assert(segment_listed(watcher, "passed", &listed) && listed.generation == 1);

	/* Closed behind the library's back, and its number used for something else: the same; but now somebody else is quicker. */
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(null_fd, 0);
	ck_assert_int_ge(dup3(null_fd, socket_of(&b, watcher_fd), O_CLOEXEC), 0);
	close(null_fd);
	wait_writer(watcher, "passed", SHMB_WRITER_IS_GONE);
	worker_start(&next, &b, "next", false);
	ck_assert_uint_eq(worker_must(&next, "writer name=passed bytes=64 capacity=8 salt=2").v[0], 4);
	worker_must(&next, "write n=1");
	{
		uint64_t payload[8] = { 0 };

		ASSERT_ERROR(shmb_ring_insert(writer, payload), ESTALE);
	}
	shmb_ring_writer_close(writer);
	for (unsigned n = 1; n < 5;) {
		struct answer answer = worker_ask(&reader, "wait deadline=15000");

		if (answer.result == -EPIPE || answer.result == -EREMCHG)
			continue;
		ASSERT_RESULT(answer, 0);
		answer = worker_must(&reader, "next");
		if (n == 1)
			n = (unsigned)answer.v[0];
		ck_assert(answer.v[0] == n && answer.v[1] == (n == 4 ? 1 : 0));
		n = n == 2 ? 4 : n + 1;
	}
	worker_quit(&next);
	worker_quit(&reader);
	shmb_disconnect(client);
	WAIT_UNTIL(shmb_remove(watcher, "passed") == 0);
	ck_assert_uint_eq(files_in(&b) == 0 ? 0 : segments_count(watcher), 0);
	shmb_disconnect(watcher);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fault takeover");

	suite_add(suite, fault_10_stopped_past_its_heartbeat, 120);
	suite_add(suite, a_connection_that_was_passed_on_is_refused, 60);
	return suite_run(suite);
}
