/* SPDX-License-Identifier: MIT */
/*
 * What the library makes of any answers and events: each request that a program can make, answered by the input. sendmsg() and recvmsg() of the
 * library end here (the linker's --wrap), so there are no sockets; the head of an answer is made to fit unless the input wants otherwise.
 */
#include "fuzz.h"

#include "libclient/control.h"
#include "shmb_figures.h"
#include "shmb_operator.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <time.h>

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags);
int __wrap_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask);
int __wrap_nanosleep(const struct timespec *time, struct timespec *left);

static struct fuzz input;
static struct shmb_msg_head asked;

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
	(void)fd;
	(void)flags;
	memcpy(&asked, message->msg_iov[0].iov_base, sizeof(asked));
	return 1;
}

/* One packet: how, its length, then its bytes. */
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags)
{
	uint8_t how = fuzz_u8(&input);
	size_t length = fuzz_u16(&input);
	size_t fixed = shmb_answer_size(asked.opcode);
	struct shmb_msg_head head;

	(void)fd;
	(void)flags;
	message->msg_controllen = 0;
	message->msg_flags = 0;
	if (input.left == 0)
		return 0; /* the broker has gone */
	if (length > input.left)
		length = input.left;
	if (length > message->msg_iov[0].iov_len)
		length = message->msg_iov[0].iov_len;
	fuzz_take(&input, message->msg_iov[0].iov_base, length);
	if ((how & 1) == 0 && length >= sizeof(head)) {
		memcpy(&head, message->msg_iov[0].iov_base, sizeof(head));
		head.opcode = asked.opcode;
		head.reserved = 0;
		head.serial = asked.serial;
		head.result = (how & 2) == 0 ? 0 : -(int32_t)(how >> 2);
		head.tail_bytes = length > fixed ? (uint32_t)(length - fixed) : 0;
		memcpy(message->msg_iov[0].iov_base, &head, sizeof(head));
	}
	return (ssize_t)length;
}

int __wrap_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
	(void)timeout;
	(void)mask;
	fds[0].revents = fds[0].events;
	return (int)count;
}

int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
	(void)time;
	(void)left;
	return 0;
}

static unsigned visits;

static void text(const char *from)
{
	FUZZ_HOLDS(from == NULL || strlen(from) < SHMB_MESSAGE_MAX);
}

static int on_segment(const struct shmb_segment_info *info, void *user)
{
	(void)user;
	text(info->name);
	text(info->type);
	text(info->kind);
	text(info->writer_comm);
	return ++visits > 1000;
}

static int on_info(const struct shmb_segment_info *info, const char *schema, const struct shmb_reader_info *readers, void *user)
{
	uint64_t sum = 0;

	(void)user;
	on_segment(info, NULL);
	text(schema);
	for (uint32_t i = 0; i < info->readers; i++) {
		text(readers[i].comm);
		sum += (uint64_t)readers[i].pid;
	}
	return sum == 12345;
}

static int on_status(const struct shmb_broker_status *status, void *user)
{
	(void)user;
	text(status->version);
	text(status->shm_dir);
	return 0;
}

static int on_figures(const struct shmb_figures *figures, void *user)
{
	(void)user;
	text(figures->name);
	return ++visits > 1000;
}

static int on_reload(const struct shmb_reload_result *result, void *user)
{
	(void)result;
	(void)user;
	return 0;
}

static int on_policy(const struct shmb_policy_info *info, void *user)
{
	(void)info;
	(void)user;
	return 0;
}

static int on_gc(const struct shmb_gc_info *info, void *user)
{
	(void)info;
	(void)user;
	return ++visits > 1000;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	static struct shmb broker;
	static struct shmb_shm_event page;
	static _Atomic uint32_t guard = 1;
	int r;

	input = (struct fuzz){ bytes, length };
	memset(&broker, 0, offsetof(struct shmb, packet));
	broker.guard = &guard;
	broker.event = &page;
	pthread_mutex_init(&broker.lock, NULL);
	LIST_INIT(&broker.handles);
	broker.fd = 1000; /* nobody's */
	broker.stage = CONNECTION_READY;
	visits = 0;
	switch (fuzz_u8(&input) % 8) {
	case 0:
		r = shmb_list(&broker, on_segment, NULL);
		break;
	case 1:
		r = shmb_info(&broker, "x", on_info, NULL);
		break;
	case 2:
		r = shmb_status(&broker, on_status, NULL);
		break;
	case 3:
		r = shmb_figures(&broker, NULL, on_figures, NULL);
		break;
	case 4:
		r = shmb_reload(&broker, on_reload, NULL);
		break;
	case 5:
		r = shmb_policy(&broker, "x", NULL, on_policy, NULL);
		break;
	case 6:
		r = shmb_gc(&broker, SHMB_GC_DRY_RUN, on_gc, NULL);
		break;
	default:
		r = shmb_remove(&broker, "x");
		break;
	}
	if (r < 0)
		text(shmb_text());
	pthread_mutex_destroy(&broker.lock);
	return 0;
}
