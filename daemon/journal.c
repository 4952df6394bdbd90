/* SPDX-License-Identifier: MIT */
/*
 * The journal's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): an entry is a datagram of lines NAME=value.
 *
 * sd_journal_sendv() waits while the journal's queue is full, and a journal that is stopped or writes to a slow disk would stop the daemon. So the
 * datagram is ours, on a socket that never waits. It is addressed anew each time: the journal may have been restarted since.
 */
#include "journal.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

enum { FIELDS_MAX = 16 };

static struct {
	const char *path;
	int fd; /* -1 none yet */
} journal = { .path = JOURNAL_SOCKET, .fd = -1 };

void journal_init(const char *path)
{
	journal.path = path;
}

int journal_send(const struct journal_field *fields, size_t count)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct iovec iov[FIELDS_MAX * 4];
	struct msghdr message = { .msg_name = &address, .msg_namelen = sizeof(address), .msg_iov = iov };
	size_t at = 0;

	assert(count <= FIELDS_MAX);
	if (journal.fd < 0)
		journal.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (journal.fd < 0)
		return -errno;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", journal.path);
	for (size_t i = 0; i < count; i++) {
		const char *const texts[] = { fields[i].name, "=", fields[i].value, "\n" };

		for (size_t j = 0; j < sizeof(texts) / sizeof(texts[0]); j++)
			iov[at++] = (struct iovec){ .iov_base = (void *)(uintptr_t)texts[j], .iov_len = strlen(texts[j]) };
	}
	message.msg_iovlen = at;
	if (sendmsg(journal.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 0;
	return errno == ENOBUFS || errno == ENOMEM ? -EAGAIN : -errno;
}
