/* SPDX-License-Identifier: MIT */
/*
 * Clients that end where it hurts (lines 1 to 12 of the catalogue): before they have said who they are, between the broker's answer and their
 * mapping, inside a write, with a loan, with pins, asleep, stopped, forked, replaced by another program.
 */
#include "../support/client.h"
#include "../support/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static const char words[] = "uint64[8] words\n";

/* ---- children that come to a place and stay there until they are killed ---- */

enum { CHILDREN = 24 };

static pid_t child_at(const char *socket_path, int (*act)(const char *socket_path))
{
	int told[2];
	int result = -EIO;
	pid_t pid;

	ck_assert_int_eq(pipe2(told, O_CLOEXEC), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		result = act(socket_path);
		if (write(told[1], &result, sizeof(result)) != sizeof(result))
			_exit(1);
		for (;;)
			pause();
	}
	close(told[1]);
	ck_assert_int_eq(read(told[0], &result, sizeof(result)), sizeof(result));
	close(told[0]);
	ck_assert_msg(result == 0, "the child: %s", strerror(-result));
	return pid;
}

static void child_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

static int to_connected(const char *socket_path)
{
	struct raw raw = { 0 };

	return raw_connect(&raw, socket_path);
}

static int to_half_a_hello(const char *socket_path)
{
	struct raw raw = { 0 };
	struct shmb_msg_hello hello = { .head = { .opcode = SHMB_OP_HELLO } };
	int r = raw_connect(&raw, socket_path);

	return r < 0 ? r : raw_send(&raw, &hello, sizeof(hello.head));
}

/* Dies with the answer in its queue. */
static int to_hello(const char *socket_path)
{
	struct raw raw = { 0 };
	struct shmb_msg_hello hello = {
		.head = { .opcode = SHMB_OP_HELLO, .serial = 1 },
		.magic = SHMB_MESSAGE_MAGIC,
		.version = SHMB_PROTOCOL_VERSION,
		.oldest = SHMB_PROTOCOL_OLDEST,
		.comm = "raw",
	};
	int r = raw_connect(&raw, socket_path);

	return r < 0 ? r : raw_send(&raw, &hello, sizeof(hello));
}

/* With the daemon at work, and with it stopped, so that it finds all of it at once, and every one of them dead. */
START_TEST(fault_01_before_hello)
{
	static int (*const places[])(const char *socket_path) = { to_connected, to_half_a_hello, to_hello };
	struct shmb *client;
	struct broker b;
	unsigned forced = 0;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	for (unsigned stopped = 0; stopped < 2; stopped++) {
		for (unsigned place = 0; place < 3; place++) {
			pid_t pids[CHILDREN];

			if (stopped) {
				program_signal(&b.daemon, SIGSTOP);
				program_wait_stopped(&b.daemon);
			}
			for (unsigned i = 0; i < CHILDREN; i++)
				pids[i] = child_at(b.socket, places[place]);
			for (unsigned i = 0; i < CHILDREN; i++)
				child_kill(pids[i]);
			if (stopped)
				program_signal(&b.daemon, SIGCONT);
			WAIT_UNTIL(clients_count(client) == 1);
			forced += CHILDREN;
		}
	}
	printf("%u clients killed at 3 places before the end of HELLO\n", forced);
	shmb_disconnect(client);
	broker_finish(&b); /* with as many descriptors and files as before */
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fault: clients");

	suite_add(suite, fault_01_before_hello, 60);
	return suite_run(suite);
}
