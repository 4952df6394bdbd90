/* SPDX-License-Identifier: MIT */
/*
 * control.open, control.open_10k, control.open_cold: a reader's open, from the call to the mapped segment; alone, with 10,000 others, or another one of
 * them each time. bare is what that costs at least: a server in another
 * process, which answers a packet of the same size with one of the same size and the same number of descriptors, mapped and touched in the same
 * way. What was opened is closed between blocks, not timed.
 *
 * Both sides are on one core, where the kernel puts two that take turns as short as these. Left to itself it sometimes wakes the other core instead,
 * which in a virtual machine takes five times as long as all the rest, and which of the two implementations that strikes is chance.
 */
#include "parts.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "common.h"
#include "peer.h"
#include "proto/message.h"
#include "shmb.h"

enum { OPEN_MAX = 128, PARTS = 3, MANY = 10000, STRIDE = 7919 };

/* ---- bare ---- */

struct bare {
	int fd;
	pid_t server;
	unsigned count;
	void *maps[OPEN_MAX][PARTS];
};

static const size_t part_bytes[PARTS] = { 2 * SHMB_PAGE, SHMB_PAGE, SHMB_PAGE };

static _Noreturn void serve(int fd)
{
	union {
		char bytes[CMSG_SPACE(PARTS * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	char packet[1024];
	int fds[PARTS];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned i = 0; i < PARTS; i++) {
		fds[i] = memfd_create("part", MFD_CLOEXEC);
		if (fds[i] < 0 || ftruncate(fds[i], (off_t)part_bytes[i]) < 0 || posix_fallocate(fds[i], 0, (off_t)part_bytes[i]) != 0)
			_exit(1);
	}
	control.align.cmsg_level = SOL_SOCKET;
	control.align.cmsg_type = SCM_RIGHTS;
	control.align.cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(&control.align), fds, sizeof(fds));
	while (recv(fd, packet, sizeof(packet), 0) > 0) {
		struct iovec iov = { .iov_base = packet, .iov_len = sizeof(struct shmb_msg_open_answer) };
		struct msghdr message = {
			.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)
		};

		if (sendmsg(fd, &message, MSG_NOSIGNAL) < 0)
			break;
	}
	_exit(0);
}

static int bare_check(void *state)
{
	struct bare *bare = state;

	for (unsigned i = 0; i < bare->count; i++) {
		for (unsigned j = 0; j < PARTS; j++)
			munmap(bare->maps[i][j], part_bytes[j]);
	}
	bare->count = 0;
	return 0;
}

static void bare_deinit(void *state)
{
	struct bare *bare = state;

	bare_check(bare);
	close(bare->fd);
	if (bare->server > 0) {
		kill(bare->server, SIGKILL);
		waitpid(bare->server, NULL, 0);
	}
	free(bare);
}

static int bare_init(void **state, const struct bench_place *place)
{
	struct bare *bare = calloc(1, sizeof(*bare));
	int pair[2];

	(void)place;
	if (bare == NULL || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		free(bare);
		return -ENOMEM;
	}
	bare->fd = pair[0];
	bare->server = fork();
	if (bare->server == 0) {
		close(pair[0]);
		serve(pair[1]);
	}
	close(pair[1]);
	if (bare->server < 0) {
		bare_deinit(bare);
		return -EAGAIN;
	}
	*state = bare;
	return 0;
}

static int bare_open(struct bare *bare)
{
	union {
		char bytes[CMSG_SPACE(SHMB_FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	char packet[sizeof(struct shmb_msg_open_reader)] = { 0 };
	struct iovec iov = { .iov_base = packet, .iov_len = sizeof(packet) };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fds[PARTS];

	if (sendmsg(bare->fd, &message, MSG_NOSIGNAL) < 0)
		return -errno;
	message.msg_control = control.bytes;
	message.msg_controllen = sizeof(control.bytes);
	if (recvmsg(bare->fd, &message, MSG_CMSG_CLOEXEC) != sizeof(struct shmb_msg_open_answer) || message.msg_controllen == 0)
		return -EBADMSG;
	memcpy(fds, CMSG_DATA(&control.align), sizeof(fds));
	for (unsigned i = 0; i < PARTS; i++) {
		int protection = i == PARTS - 1 ? PROT_READ | PROT_WRITE : PROT_READ;
		void *memory = mmap(NULL, part_bytes[i], protection, MAP_SHARED, fds[i], 0);

		if (memory == MAP_FAILED)
			return -errno;
		if (i == PARTS - 1)
			atomic_store_explicit((_Atomic uint32_t *)memory, 1, memory_order_relaxed);
		else
			atomic_load_explicit((_Atomic uint32_t *)memory, memory_order_relaxed);
		bare->maps[bare->count][i] = memory;
		close(fds[i]);
	}
	bare->count++;
	return 0;
}

static int bare_run(void *state, uint64_t count)
{
	struct bare *bare = state;
	int r = 0;

	for (uint64_t i = 0; r == 0 && i < count; i++) {
		if (bare->count == OPEN_MAX) /* while the length of a block is sought */
			bare_check(bare);
		r = bare_open(bare);
	}
	return r;
}

const struct bench_impl open_bare = {
	.name = "bare",
	.init = bare_init,
	.run = bare_run,
	.check = bare_check,
	.deinit = bare_deinit,
};

/* ---- shmbroker ---- */

struct open_ours {
	struct shmb *broker;
	struct shmb_type *type;
	unsigned segments;
	unsigned stride; /* from the one opened to the next */
	unsigned next;
	unsigned made;
	struct shmb_value_reader *readers[OPEN_MAX];
	unsigned count;
};

static void segment_name(char name[64], unsigned index)
{
	snprintf(name, 64, "bench/control/%u", index);
}

static int ours_check(void *state)
{
	struct open_ours *ours = state;

	while (ours->count > 0)
		shmb_value_reader_close(ours->readers[--ours->count]);
	return 0;
}

static void ours_deinit(void *state)
{
	struct open_ours *ours = state;
	char name[64];

	ours_check(ours);
	for (unsigned i = 0; i < ours->made; i++) {
		segment_name(name, i);
		shmb_remove(ours->broker, name);
	}
	shmb_type_free(ours->type);
	free(ours);
}

static int ours_init(void **state, const struct bench_place *place, unsigned segments, unsigned stride)
{
	struct open_ours *ours = calloc(1, sizeof(*ours));
	int r;

	if (ours == NULL)
		return -ENOMEM;
	ours->broker = place->broker;
	ours->segments = segments;
	ours->stride = stride;
	r = shmb_type_opaque(&ours->type, place->which->bytes);
	for (; r == 0 && ours->made < segments; ours->made++) {
		struct shmb_value_writer *writer = NULL;
		char name[64];

		segment_name(name, ours->made);
		r = shmb_value_writer_open(&writer, ours->broker, name, ours->type, NULL);
		shmb_value_writer_close(writer);
	}
	if (r < 0) {
		fprintf(stderr, "bench: %s\n", shmb_text());
		ours_deinit(ours);
		return r;
	}
	*state = ours;
	return 0;
}

static int ours_begin(void *state)
{
	(void)state;
	bench_broker_pin(true);
	return 0;
}

static void ours_end(void *state)
{
	(void)state;
	bench_broker_pin(false);
}

static int one_init(void **state, const struct bench_place *place)
{
	return ours_init(state, place, 1, 0);
}

static int many_init(void **state, const struct bench_place *place)
{
	return ours_init(state, place, MANY, 0);
}

static int cold_init(void **state, const struct bench_place *place)
{
	return ours_init(state, place, MANY, STRIDE);
}

static int ours_run(void *state, uint64_t count)
{
	struct open_ours *ours = state;
	char name[64];
	int r = 0;

	for (uint64_t i = 0; r == 0 && i < count; i++) {
		if (ours->count == OPEN_MAX)
			ours_check(ours);
		ours->next = (ours->next + ours->stride) % ours->segments;
		segment_name(name, ours->next);
		r = shmb_value_reader_open(&ours->readers[ours->count], ours->broker, name, NULL, SHMB_NO_WAIT);
		ours->count += r == 0;
	}
	return r;
}

const struct bench_impl open_shmbroker = {
	.name = "shmbroker",
	.init = one_init,
	.run = ours_run,
	.check = ours_check,
	.begin = ours_begin,
	.end = ours_end,
	.deinit = ours_deinit,
};
const struct bench_impl open_many_shmbroker = {
	.name = "shmbroker",
	.init = many_init,
	.run = ours_run,
	.check = ours_check,
	.begin = ours_begin,
	.end = ours_end,
	.deinit = ours_deinit,
};
const struct bench_impl open_cold_shmbroker = {
	.name = "shmbroker",
	.init = cold_init,
	.run = ours_run,
	.check = ours_check,
	.begin = ours_begin,
	.end = ours_end,
	.deinit = ours_deinit,
};
