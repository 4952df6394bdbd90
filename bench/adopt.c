/* SPDX-License-Identifier: MIT */
/*
 * adopt.10k: from the start of a daemon's process, in whose directory 10,000 segments lie, until it has answered a client. A daemon of its own; it is
 * killed between blocks, not timed.
 */
#include "parts.h"

#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "common.h"
#include "peer.h"
#include "shmb.h"

enum { MANY = 10000, TRIES = 100000, TRY_NS = 200000 };

struct adopt {
	char runtime[64], shm[64], socket[96], log[96];
	pid_t daemon;
	unsigned expected;
	unsigned seen;
};

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *ftw)
{
	(void)status;
	(void)kind;
	(void)ftw;
	remove(path);
	return 0;
}

static int note_segments(const struct shmb_broker_status *status, void *user)
{
	*(unsigned *)user = status->segments;
	return 0;
}

/* Starts the daemon and waits until it answers. *out is the connection, NULL: nobody wants it. */
static int daemon_up(struct adopt *adopt, struct shmb **out)
{
	struct shmb *broker = NULL;
	int r = -ECONNREFUSED;

	adopt->daemon = bench_daemon_fork(adopt->runtime, adopt->shm, adopt->log);
	if (adopt->daemon < 0)
		return adopt->daemon;
	for (int i = 0; (r == -ECONNREFUSED || r == -ENOENT) && i < TRIES; i++) {
		r = shmb_connect(&broker, adopt->socket);
		if (r < 0)
			nanosleep(&(struct timespec){ .tv_nsec = TRY_NS }, NULL);
	}
	if (r == 0)
		r = shmb_status(broker, note_segments, &adopt->seen);
	if (r == 0 && out != NULL)
		*out = broker;
	else
		shmb_disconnect(broker);
	return r;
}

static int daemon_down(void *state)
{
	struct adopt *adopt = state;

	if (adopt->daemon > 0) {
		kill(adopt->daemon, SIGKILL);
		waitpid(adopt->daemon, NULL, 0);
	}
	adopt->daemon = 0;
	return adopt->seen == adopt->expected ? 0 : -EBADMSG;
}

static void adopt_deinit(void *state)
{
	struct adopt *adopt = state;

	daemon_down(adopt);
	if (adopt->shm[0] != '\0')
		nftw(adopt->shm, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	if (adopt->runtime[0] != '\0')
		nftw(adopt->runtime, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(adopt);
}

static int segments_make(struct adopt *adopt, struct shmb *broker, size_t bytes)
{
	struct shmb_type *type;
	int r = shmb_type_opaque(&type, bytes);

	for (; r == 0 && adopt->expected < MANY; adopt->expected++) {
		struct shmb_value_writer *writer = NULL;
		char name[64];

		snprintf(name, sizeof(name), "bench/adopt/%u", adopt->expected);
		r = shmb_value_writer_open(&writer, broker, name, type, NULL);
		shmb_value_writer_close(writer);
	}
	if (r < 0)
		fprintf(stderr, "bench: %s\n", shmb_text());
	shmb_type_free(type);
	return r;
}

static int adopt_init(void **state, const struct bench_place *place)
{
	struct adopt *adopt = calloc(1, sizeof(*adopt));
	struct shmb *broker = NULL;
	int r = 0;

	if (adopt == NULL)
		return -ENOMEM;
	strcpy(adopt->runtime, "/tmp/shmbroker-bench-XXXXXX");
	strcpy(adopt->shm, "/dev/shm/shmbroker-bench-XXXXXX");
	if (mkdtemp(adopt->runtime) == NULL || mkdtemp(adopt->shm) == NULL)
		r = -errno;
	snprintf(adopt->socket, sizeof(adopt->socket), "%s/control.sock", adopt->runtime);
	snprintf(adopt->log, sizeof(adopt->log), "%s/log", adopt->runtime);
	if (r == 0)
		r = daemon_up(adopt, &broker);
	if (r == 0)
		r = segments_make(adopt, broker, place->which->bytes);
	shmb_disconnect(broker);
	adopt->seen = adopt->expected;
	daemon_down(adopt);
	if (r < 0) {
		adopt_deinit(adopt);
		return r;
	}
	*state = adopt;
	return 0;
}

static int adopt_run(void *state, uint64_t count)
{
	(void)count;
	return daemon_up(state, NULL);
}

static int adopt_begin(void *state)
{
	(void)state;
	peer_unpin(0);
	return 0;
}

static void adopt_end(void *state)
{
	(void)state;
	peer_pin(0, true);
}

const struct bench_impl adopt_shmbroker = {
	.name = "shmbroker",
	.single = true,
	.init = adopt_init,
	.run = adopt_run,
	.check = daemon_down,
	.begin = adopt_begin,
	.end = adopt_end,
	.deinit = adopt_deinit,
};
