/* SPDX-License-Identifier: MIT */
/*
 * A client in a pid namespace that the daemon does not see into. The daemon and a writer live in a pid namespace of their own, this process
 * beside it (above it, which comes to the same: it has no pid in there).
 */
#include "../support/client.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PIDFS = 0x50494446 }; /* linux/magic.h */

struct inside {
	pid_t pid;
	int commands, answers; /* our ends */
	char socket[192];
};

/* The first process of the namespace: 'w' writes, 'k' kills the daemon and starts another one, 'q' ends. Each is answered with its letter. */
static int inside_main(int commands, int answers)
{
	struct shmb_ring_writer *writer;
	struct shmb *client;
	struct broker b;
	char command = 0;

	broker_start(&b, &(struct broker_options){ .linger = "infinity" });
	client = broker_connect(&b);
	writer = ring_writer(client, "plain", 64, 8);
	ring_write(writer, 64, 1, 1);
	if (write(answers, b.socket, sizeof(b.socket)) != sizeof(b.socket))
		return 1;
	while (command != 'q' && read(commands, &command, 1) == 1) {
		if (command == 'w') {
			ring_write(writer, 64, 1, 1);
		} else if (command == 'k') {
			broker_kill(&b);
			broker_restart(&b);
			ck_assert(segments_count(client) == 1);
		} else {
			shmb_ring_writer_close(writer);
			shmb_disconnect(client);
			broker_finish(&b);
		}
		if (write(answers, &command, 1) != 1)
			return 1;
	}
	return command != 'q';
}

static void inside_start(struct inside *inside)
{
	int commands[2], answers[2];

	ck_assert_int_eq(pipe2(commands, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(answers, O_CLOEXEC), 0);
	inside->pid = fork();
	ck_assert_int_ge(inside->pid, 0);
	if (inside->pid == 0) {
		int status = 1;
		pid_t first;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWPID | CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
			_exit(2);
		first = fork();
		if (first == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			close(commands[1]);
			close(answers[0]);
			_exit(mount("proc", "/proc", "proc", 0, NULL) < 0 ? 3 : inside_main(commands[0], answers[1]));
		}
		_exit(waitpid(first, &status, 0) == first && WIFEXITED(status) ? WEXITSTATUS(status) : 4);
	}
	close(commands[0]);
	close(answers[1]);
	inside->commands = commands[1];
	inside->answers = answers[0];
	ck_assert_msg(read(inside->answers, inside->socket, sizeof(inside->socket)) == sizeof(inside->socket), "it did not start");
}

static void inside_ask(struct inside *inside, char command)
{
	char answer = 0;

	ck_assert_int_eq(write(inside->commands, &command, 1), 1);
	ck_assert_int_eq(read(inside->answers, &answer, 1), 1);
	ck_assert_int_eq(answer, command);
}

static void inside_end(struct inside *inside)
{
	int status;

	inside_ask(inside, 'q');
	ck_assert_int_eq(waitpid(inside->pid, &status, 0), inside->pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", (unsigned)status);
	close(inside->commands);
	close(inside->answers);
}

static unsigned readers_of(struct shmb *client, const char *name)
{
	struct listed listed;

	ck_assert(segment_listed(client, name, &listed));
	return listed.readers;
}

static bool kernel_tells_pidfds_apart(void)
{
	struct statfs system;
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	bool can = fd >= 0 && fstatfs(fd, &system) == 0 && system.f_type == PIDFS;

	close(fd);
	return can;
}

START_TEST(reads_and_does_not_write)
{
	struct shmb_ring_reader *reader;
	struct shmb_block *block;
	struct shmb *client, *second;
	struct shmb_type *type = pattern_type(64);
	struct inside inside;
	pid_t pid;

	if (geteuid() != 0)
		TEST_SKIP("needs root for namespaces");
	if (!kernel_tells_pidfds_apart())
		TEST_SKIP("before Linux 6.9 such a client is refused");
	inside_start(&inside);
	ASSERT_OK(shmb_connect(&client, inside.socket));
	reader = ring_reader(client, "plain");
	ck_assert_uint_eq(ring_latest(reader, 0, -1), 1);
	ck_assert_uint_eq(readers_of(client, "plain"), 1);
	inside_ask(&inside, 'w');
	ASSERT_OK(shmb_ring_wait(reader, shmb_now_ns() + 10000000000));
	ck_assert_uint_eq(ring_next(reader, 1, 0), 1);
	/* Neither a lease, new or old, nor a cell. */
	ck_assert_int_eq(ring_writer_try(client, "mine", 64, 8), -EOPNOTSUPP);
	ck_assert_msg(strstr(shmb_text(), "in one pid namespace") != NULL, "%s", shmb_text());
	ck_assert_int_eq(ring_writer_try(client, "plain", 64, 8), -EOPNOTSUPP);
	ASSERT_ERROR(shmb_block_open(&block, client, "mine", type), EOPNOTSUPP);
	ck_assert_uint_eq(segments_count(client), 1);
	/* Another process is another one, although neither has a pid: its death is seen and takes nothing of ours. */
	pid = fork();
	if (pid == 0) {
		if (shmb_connect(&second, inside.socket) < 0 || shmb_ring_reader_open(&reader, second, "plain", NULL, SHMB_NO_WAIT) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	WAIT_UNTIL(readers_of(client, "plain") == 2);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	WAIT_UNTIL(readers_of(client, "plain") == 1);
	/* Another daemon knows it again. */
	inside_ask(&inside, 'k');
	inside_ask(&inside, 'w');
	ASSERT_OK(shmb_ring_wait(reader, shmb_now_ns() + 10000000000));
	ck_assert_uint_eq(ring_next(reader, 2, 0), 1);
	WAIT_UNTIL(readers_of(client, "plain") == 1);
	shmb_ring_reader_close(reader);
	WAIT_UNTIL(readers_of(client, "plain") == 0);
	shmb_disconnect(client);
	shmb_type_free(type);
	inside_end(&inside);
}
END_TEST

/* Beside the daemon's namespace nobody writes; who shares it (--pid=container:NAME, pid: "service:NAME") does all. */
START_TEST(writes_in_the_daemons_namespace)
{
	struct inside inside;
	char path[64];
	int status;
	pid_t pid;

	if (geteuid() != 0)
		TEST_SKIP("needs root for namespaces");
	inside_start(&inside);
	snprintf(path, sizeof(path), "/proc/%d/ns/pid_for_children", (int)inside.pid);
	pid = fork();
	if (pid == 0) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		struct shmb_block *block;
		struct shmb *client;

		if (fd < 0 || setns(fd, CLONE_NEWPID) < 0)
			_exit(2);
		pid = fork();
		if (pid > 0)
			_exit(waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 3);
		if (shmb_connect(&client, inside.socket) < 0)
			_exit(4);
		if (ring_writer_try(client, "mine", 64, 8) < 0)
			_exit(5);
		_exit(shmb_block_open(&block, client, "shared", pattern_type(64)) < 0 ? 6 : 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", (unsigned)status);
	inside_end(&inside);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("unseen");

	suite_add(suite, reads_and_does_not_write, 60);
	suite_add(suite, writes_in_the_daemons_namespace, 60);
	return suite_run(suite);
}
