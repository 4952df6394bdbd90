/* SPDX-License-Identifier: MIT */
/* What a test with hostile clients does itself (chaos.h). */
#include "chaos.h"

#include "../support/client.h"
#include "../support/raw.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

uint64_t chaos_number(const char *variable, uint64_t usual)
{
	const char *text = getenv(variable);

	return text != NULL ? strtoull(text, NULL, 10) : usual;
}

/*
 * Linger times are short, generations many; what one configuration replaces the other keeps. Before Linux 6.16 a connection that is one too many can send
 * its own other end along and then nobody sees it hang up: it is closed after the time for introductions.
 */
const char *const chaos_configs[CHAOS_CONFIGS] = {
	"[broker]\nhello-time = 1s\n"
	"[segment reap/*]\nlinger = 5ms\nkeep-while-read = no\n"
	"[segment replace/*]\non-exit = replace\non-hang = replace\nstale-time = 30ms\n"
	"[segment sealed/*]\nbacking = sealed\nlinger = 20ms\non-exit = replace\n"
	"[segment hung/*]\nstale-time = 10ms\non-hang = reap\nlinger = 1ms\n"
	"[segment keep/*]\non-exit = keep\non-never = keep\n"
	"[segment soak/*]\non-exit = keep\non-never = keep\n"
	"[user *]\nsegments-max = 6\nconnections-max = 4\nrequest-rate = 2000\n",
	"[broker]\nhello-time = 1s\n"
	"[segment reap/*]\nlinger = 0\n"
	"[segment replace/*]\non-exit = replace\nreaders = nobody 61051\n"
	"[segment sealed/*]\nbacking = sealed\nlinger = 1ms\n"
	"[segment hung/*]\nstale-time = 5ms\non-hang = replace\n"
	"[segment keep/*]\non-exit = keep\nbacking = sealed\npins = 2\n"
	"[segment soak/*]\non-exit = keep\non-never = keep\n"
	"[user *]\nbytes-max = 3M\nconnections-max = 3\n",
	"[segment *]\nlinger = nonsense\n",
};

void chaos_reload(struct broker *b, unsigned which)
{
	broker_configure(b, chaos_configs[which]);
	program_signal(&b->daemon, SIGHUP);
}

void chaos_serves(struct broker *b, unsigned salt)
{
	uint64_t begin, deadline = deadline_in(SUITE_PATIENCE_MS);
	struct shmb *client = NULL;
	struct shmb_ring_writer *writer;
	struct shmb_ring_reader *reader;
	uint64_t number;
	int r;

	ck_assert_msg(!program_has_ended(&b->daemon), "the daemon has ended (status %#x)", (unsigned)b->daemon.status);
	do { /* held up for longer than hello-time it is hung up on, and comes again */
		begin = now_ns();
		r = shmb_connect(&client, b->socket);
	} while (r == -ECONNREFUSED && now_ns() - begin >= 1000000000 && suite_pause(deadline));
	ASSERT_OK(r);
	writer = ring_writer(client, "honest", 64, 8);
	reader = ring_reader(client, "honest");
	number = shmb_ring_next_number(writer);
	ring_write(writer, 64, 1, salt);
	ck_assert_uint_eq(ring_latest(reader, number, -1), salt);
	shmb_ring_reader_close(reader);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
}

int chaos_descriptor_send(struct broker *b)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct shmb_msg_status status = { .head = { .opcode = SHMB_OP_STATUS, .serial = 1 } };
	struct iovec bytes = { .iov_base = &status, .iov_len = sizeof(status) };
	struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	struct shmb *client = broker_connect(b);
	int before = fds_count(b->daemon.pid);
	static struct raw_answer answer;
	struct raw raw = { 0 };

	ASSERT_OK(raw_start(&raw, b->socket));
	*c = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) };
	memcpy(CMSG_DATA(c), &raw.fd, sizeof(int));
	if (sendmsg(raw.fd, &message, MSG_NOSIGNAL) > 0)
		raw_receive(&raw, &answer, SUITE_PATIENCE_MS);
	raw_close(&raw);
	WAIT_UNTIL(clients_count(client) == 1);
	before = fds_count(b->daemon.pid) - before;
	shmb_disconnect(client);
	return before;
}
