/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_ACCESS_H
#define SHMB_TESTS_ACCESS_H

/* Children of this process that changed their ids, what they may do with a name, and a broker that lets some of them. Needs root. */

#include "../support/client.h"
#include "../support/other.h"

#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { UID = 4201, STRANGER = 4202, GROUP = 4301 };

static inline void wait_child(pid_t pid)
{
	uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);
	int status;

	while (waitpid(pid, &status, WNOHANG) == 0)
		ck_assert_msg(suite_pause(deadline), "the other user's process does not end");
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the other user's process ended with %#x", (unsigned)status);
}

/* Runs `body` in a child of this uid, with this supplementary group (0: none); its result must be 0. */
static inline void as_user(uid_t uid, gid_t group, int (*body)(struct broker *b), struct broker *b)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (setgroups(group != 0, &group) != 0 || setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0)
			_exit(126);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(body(b));
	}
	wait_child(pid);
}

static inline int reads(struct shmb *client, const char *name)
{
	struct shmb_ring_reader *reader = NULL;
	char payload[64];
	int r = shmb_ring_reader_open(&reader, client, name, NULL, SHMB_NO_WAIT);

	if (r == 0)
		r = shmb_ring_latest(reader, payload, NULL);
	shmb_ring_reader_close(reader);
	return r;
}

static inline int writes(struct shmb *client, const char *name)
{
	static const char bytes[64] = "x";
	struct shmb_options options = { .capacity = 8 };
	struct shmb_ring_writer *writer = NULL;
	struct shmb_type *type = pattern_type(64);
	int r = shmb_ring_writer_open(&writer, client, name, type, &options);

	if (r == 0)
		r = shmb_ring_insert(writer, bytes);
	shmb_ring_writer_close(writer);
	shmb_type_free(type);
	return r;
}

static const char config[] = "[broker]\nlinger = infinity\n"
			     "[segment camera/*]\nwriters = 4201\nreaders = @4301\n"
			     "[segment secret/*]\nreaders = none\n"
			     "[segment shut/*]\nwriters = none\n";

static inline void start(struct broker *b)
{
	struct shmb *client;
	struct shmb_ring_writer *writer;

	broker_start(b, &(struct broker_options){ .runtime_mode = 0755, .config = config });
	client = broker_connect(b);
	writer = ring_writer(client, "secret/a", 64, 8);
	ring_write(writer, 64, 1, 1);
	shmb_ring_writer_close(writer);
	writer = ring_writer(client, "plain", 64, 8);
	ring_write(writer, 64, 1, 1);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
}

#endif
