/* SPDX-License-Identifier: MIT */
/*
 * death.notice: from the SIGKILL of a process with a few megabytes mapped until another one knows. pidfd is what that takes at least: that process polls
 * a descriptor of the dead one. shmbroker: it waits for a value whose writer the dead one was. The next one to die is started between blocks, not timed;
 * nobody is pinned.
 */
#include "parts.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "common.h"
#include "peer.h"
#include "shmb.h"

enum { MAPPED = 4 << 20, PATIENCE_NS = 2000000000, TRIES = 20000, TRY_NS = 100000 };

struct death {
	_Atomic uint32_t *ready; /* shared: 1 the victim is ready, 2 it cannot be */
	pid_t victim;
	int pidfd;
	struct shmb *broker; /* NULL: pidfd alone */
	struct shmb_type *type;
	struct shmb_value_reader *reader;
	uint64_t payload[8];
};

static const char death_name[] = "bench/death";

static int victim_write(struct death *death)
{
	struct shmb_options options = { .deadline_ns = shmb_now_ns() + PATIENCE_NS };
	struct shmb_value_writer *writer = NULL;
	struct shmb *broker = NULL;
	int r = shmb_connect(&broker, bench_broker_socket());

	if (r == 0)
		r = shmb_value_writer_open(&writer, broker, death_name, death->type, &options);
	return r == 0 ? shmb_value_store(writer, death->payload) : r;
}

static _Noreturn void victim_live(struct death *death, pid_t parent)
{
	void *memory;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	peer_unpin(0);
	memory = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	atomic_store(death->ready, memory != MAP_FAILED && (death->broker == NULL || victim_write(death) == 0) ? 1 : 2);
	for (;;)
		pause();
}

static void victim_bury(struct death *death)
{
	if (death->pidfd >= 0)
		close(death->pidfd);
	if (death->victim > 0) {
		kill(death->victim, SIGKILL);
		waitpid(death->victim, NULL, 0);
	}
	death->pidfd = -1;
	death->victim = 0;
}

/* What the reader was told of the one before and has not read is out of the way then: the next thing to hear is the death. */
static int reader_settle(struct death *death)
{
	int r = 0;

	for (int i = 0; r == 0 || r == -EOWNERDEAD; i++) {
		uint64_t payload[8];

		r = shmb_value_load(death->reader, payload, NULL);
		if (r == 0)
			r = shmb_value_wait(death->reader, SHMB_NO_WAIT);
		if (i == TRIES)
			return -ETIMEDOUT;
	}
	return r == -ETIMEDOUT ? 0 : r;
}

/* Between blocks: the next one. */
static int victim_next(void *state)
{
	struct death *death = state;
	pid_t parent = getpid();

	victim_bury(death);
	atomic_store(death->ready, 0);
	death->victim = fork();
	if (death->victim == 0)
		victim_live(death, parent);
	if (death->victim < 0)
		return -errno;
	death->pidfd = (int)syscall(SYS_pidfd_open, death->victim, 0);
	if (death->pidfd < 0)
		return -errno;
	for (int i = 0; atomic_load(death->ready) == 0 && i < TRIES; i++)
		nanosleep(&(struct timespec){ .tv_nsec = TRY_NS }, NULL);
	if (atomic_load(death->ready) != 1)
		return -ECHILD;
	if (death->broker != NULL && death->reader == NULL) {
		int r = shmb_value_reader_open(&death->reader, death->broker, death_name, NULL, SHMB_NO_WAIT);

		if (r < 0)
			return r;
	}
	return death->broker != NULL ? reader_settle(death) : 0;
}

static void death_deinit(void *state)
{
	struct death *death = state;

	victim_bury(death);
	if (death->broker != NULL) {
		shmb_value_reader_close(death->reader);
		for (int i = 0; shmb_remove(death->broker, death_name) == -EBUSY && i < TRIES; i++)
			nanosleep(&(struct timespec){ .tv_nsec = TRY_NS }, NULL);
		shmb_type_free(death->type);
	}
	if (death->ready != NULL)
		munmap(death->ready, SHMB_PAGE);
	free(death);
}

static int death_init(void **state, const struct bench_place *place, struct shmb *broker)
{
	struct death *death = calloc(1, sizeof(*death));
	int r = -ENOMEM;

	if (death == NULL)
		return r;
	death->pidfd = -1;
	death->broker = broker;
	death->ready = memory_map(SHMB_PAGE);
	if (death->ready != NULL)
		r = shmb_type_opaque(&death->type, place->which->bytes);
	if (r == 0)
		r = victim_next(death);
	if (r < 0) {
		death_deinit(death);
		return r;
	}
	*state = death;
	return 0;
}

static int pidfd_init(void **state, const struct bench_place *place)
{
	return death_init(state, place, NULL);
}

static int notice_init(void **state, const struct bench_place *place)
{
	return death_init(state, place, place->broker);
}

static int death_run(void *state, uint64_t count)
{
	struct death *death = state;
	struct pollfd poll_fd = { .fd = death->pidfd, .events = POLLIN };
	int r;

	(void)count;
	if (kill(death->victim, SIGKILL) < 0)
		return -errno;
	if (death->broker == NULL)
		return poll(&poll_fd, 1, PATIENCE_NS / 1000000) == 1 ? 0 : -ETIMEDOUT;
	r = shmb_value_wait(death->reader, shmb_now_ns() + PATIENCE_NS);
	return r == -EOWNERDEAD ? 0 : r == 0 ? -EBADMSG : r;
}

static int death_begin(void *state)
{
	(void)state;
	peer_unpin(0);
	return 0;
}

static void death_end(void *state)
{
	(void)state;
	peer_pin(0, true);
}

const struct bench_impl death_pidfd = {
	.name = "pidfd",
	.single = true,
	.init = pidfd_init,
	.run = death_run,
	.check = victim_next,
	.begin = death_begin,
	.end = death_end,
	.deinit = death_deinit,
};
const struct bench_impl death_shmbroker = {
	.name = "shmbroker",
	.single = true,
	.init = notice_init,
	.run = death_run,
	.check = victim_next,
	.begin = death_begin,
	.end = death_end,
	.deinit = death_deinit,
};
