/* SPDX-License-Identifier: MIT */
/* A service manager for tests (keeper.h). */
#include "keeper.h"

#include "suite.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void keeper_init(struct keeper *keeper, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	memset(keeper, 0, sizeof(*keeper));
	snprintf(keeper->path, sizeof(keeper->path), "%s", path);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	keeper->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(keeper->fd, 0);
	ck_assert_int_eq(bind(keeper->fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

void keeper_deinit(struct keeper *keeper)
{
	keeper_listen(keeper);
	while (keeper->handed.count > 0)
		handed_drop(&keeper->handed, keeper->handed.count - 1);
	close(keeper->fd);
}

void handed_add(struct program_handed *handed, int fd_consume, const char *name)
{
	ck_assert_uint_lt(handed->count, PROGRAM_HANDED_MAX);
	ck_assert_uint_lt(strlen(name), sizeof(handed->names[0]));
	handed->fds[handed->count] = fd_consume;
	strcpy(handed->names[handed->count++], name);
}

void handed_drop(struct program_handed *handed, unsigned i)
{
	close(handed->fds[i]);
	handed->count--;
	memmove(&handed->fds[i], &handed->fds[i + 1], (handed->count - i) * sizeof(handed->fds[0]));
	memmove(&handed->names[i], &handed->names[i + 1], (handed->count - i) * sizeof(handed->names[0]));
}

bool handed_hear(struct program_handed *handed, const char *text, int fd_consume)
{
	const char *name = strstr(text, "FDNAME=");

	if (strstr(text, "FDSTORE=1") != NULL) {
		ck_assert_msg(name != NULL && fd_consume >= 0, "%s", text);
		handed_add(handed, fd_consume, name + 7);
		return true;
	}
	ck_assert_msg(fd_consume == -1, "a descriptor came with: %s", text);
	if (strstr(text, "FDSTOREREMOVE=1") == NULL)
		return false;
	for (unsigned i = handed->count; i-- > 0;) {
		if (strcmp(handed->names[i], name + 7) == 0)
			handed_drop(handed, i);
	}
	return true;
}

const char *keeper_next(int fd, int *out_fd)
{
	static char text[512];
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = { .iov_base = text, .iov_len = sizeof(text) - 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	ssize_t length = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	*out_fd = -1;
	if (length < 0)
		return NULL;
	text[length] = '\0';
	if (message.msg_controllen > 0 && CMSG_FIRSTHDR(&message)->cmsg_type == SCM_RIGHTS)
		memcpy(out_fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(*out_fd));
	return text;
}

void keeper_listen(struct keeper *keeper)
{
	const char *text;
	int fd;

	while ((text = keeper_next(keeper->fd, &fd)) != NULL) {
		if (!handed_hear(&keeper->handed, text, fd) && strstr(text, "READY=1") != NULL)
			keeper->is_ready = true;
	}
}
