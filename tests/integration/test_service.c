/* SPDX-License-Identifier: MIT */
/*
 * The daemon under a service manager, which is this test: a socket that is handed over, what the daemon says of itself and when, the watchdog, and
 * descriptors that are kept for the next daemon. (tests/fault/systemd has the real one.)
 */
#include "../support/client.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { FDS_MAX = 128, BYTES = 64 };

struct service {
	char dir[128], runtime[160], shm[160], socket[192], notify[192], log[192], config[192];
	int notify_fd;
	int fds[FDS_MAX]; /* handed over */
	char names[FDS_MAX][64];
	unsigned fd_count;
	struct program daemon;
	int watchdog_us;	 /* 0 none */
	const char *notify_name; /* instead of `notify` */
	const char *listen_fds;	 /* instead of the count */
};

static int unix_socket(int type, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	/* Without a path the kernel gives it a name that is none in the file system. */
	if (path != NULL)
		snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, path != NULL ? sizeof(address) : sizeof(address.sun_family)), 0);
	if (type != SOCK_DGRAM)
		ck_assert_int_eq(listen(fd, 16), 0);
	return fd;
}

static void service_add(struct service *s, int fd, const char *name)
{
	ck_assert_uint_lt(s->fd_count, FDS_MAX);
	s->fds[s->fd_count] = fd;
	snprintf(s->names[s->fd_count++], sizeof(s->names[0]), "%s", name);
}

static void service_make(struct service *s, const char *config)
{
	memset(s, 0, sizeof(*s));
	snprintf(s->dir, sizeof(s->dir), "%s/shmb-test-%d-XXXXXX", broker_tmp(), (int)suite_pid());
	ck_assert_ptr_nonnull(mkdtemp(s->dir));
	snprintf(s->shm, sizeof(s->shm), "/dev/shm/shmb-test-%d-XXXXXX", (int)suite_pid());
	ck_assert_ptr_nonnull(mkdtemp(s->shm));
	snprintf(s->runtime, sizeof(s->runtime), "%s/run", s->dir);
	ck_assert_int_eq(mkdir(s->runtime, 0700), 0);
	snprintf(s->socket, sizeof(s->socket), "%s/handed.sock", s->dir);
	snprintf(s->notify, sizeof(s->notify), "%s/notify", s->dir);
	snprintf(s->log, sizeof(s->log), "%s/daemon.log", s->dir);
	snprintf(s->config, sizeof(s->config), "%s/shmbrokerd.conf", s->dir);
	file_write(s->config, config, strlen(config));
	ck_assert_int_eq(chmod(s->config, 0644), 0);
	s->notify_fd = unix_socket(SOCK_DGRAM, s->notify);
}

/* The child between fork and exec: descriptors from 3 on, and the environment that sd_listen_fds(3) looks at. */
static void service_exec(const struct service *s, pid_t parent)
{
	const char *wrapper = getenv("SHMB_TEST_WRAPPER");
	const char *args[32];
	char words[1024], text[64], names[FDS_MAX * 64] = "";
	char *rest = words;
	char *word;
	unsigned count = 0;
	int log = open(s->log, O_WRONLY | O_CREAT | O_APPEND, 0644);

	dup2(log, STDERR_FILENO);
	/* Out of the way first. */
	int moved[FDS_MAX];

	for (unsigned i = 0; i < s->fd_count; i++)
		moved[i] = fcntl(s->fds[i], F_DUPFD_CLOEXEC, 3 + FDS_MAX);
	for (unsigned i = 0; i < s->fd_count; i++) {
		dup2(moved[i], 3 + (int)i);
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s", i > 0 ? ":" : "", s->names[i]);
	}
	snprintf(text, sizeof(text), "%d", (int)getpid());
	setenv("LISTEN_PID", text, 1);
	setenv("WATCHDOG_PID", text, 1);
	snprintf(text, sizeof(text), "%u", s->fd_count);
	setenv("LISTEN_FDS", s->listen_fds != NULL ? s->listen_fds : text, 1);
	setenv("LISTEN_FDNAMES", names, 1);
	setenv("NOTIFY_SOCKET", s->notify_name != NULL ? s->notify_name : s->notify, 1);
	if (s->watchdog_us != 0) {
		snprintf(text, sizeof(text), "%d", s->watchdog_us);
		setenv("WATCHDOG_USEC", text, 1);
	}
	unsetenv("SHMBROKER_SOCKET");
	snprintf(words, sizeof(words), "%s", wrapper != NULL ? wrapper : "");
	while ((word = strsep(&rest, " ")) != NULL && count < 16)
		if (*word != '\0')
			args[count++] = word;
	args[count++] = path_daemon();
	args[count++] = "--runtime-dir";
	args[count++] = s->runtime;
	args[count++] = "--shm-dir";
	args[count++] = s->shm;
	args[count++] = "--config";
	args[count++] = s->config;
	args[count] = NULL;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent)
		execvp(args[0], (char *const *)(uintptr_t)args);
	_exit(127);
}

static void service_start(struct service *s)
{
	pid_t parent = getpid();

	memset(&s->daemon, 0, sizeof(s->daemon));
	strcpy(s->daemon.name, "shmbrokerd");
	s->daemon.in = s->daemon.out = -1;
	fflush(NULL);
	s->daemon.pid = fork();
	ck_assert_int_ge(s->daemon.pid, 0);
	if (s->daemon.pid == 0)
		service_exec(s, parent);
}

/* The next thing the daemon says; its descriptor, or -1, goes to *fd (NULL: there is none). */
static const char *said(struct service *s, int *fd)
{
	static char text[512];
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = { .iov_base = text, .iov_len = sizeof(text) - 1 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);
	ssize_t length;

	while ((length = recvmsg(s->notify_fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC)) < 0)
		ck_assert_msg(suite_pause(deadline), "the daemon says nothing");
	text[length] = '\0';
	if (fd != NULL) {
		*fd = -1;
		if (message.msg_controllen > 0 && CMSG_FIRSTHDR(&message)->cmsg_type == SCM_RIGHTS)
			memcpy(fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(*fd));
	} else {
		ck_assert_msg(message.msg_controllen == 0, "a descriptor came with: %s", text);
	}
	return text;
}

/* Does anything come within a while? */
static bool more_is_said(struct service *s)
{
	uint64_t deadline = deadline_in(300);
	char byte;

	while (recv(s->notify_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0) {
		if (!suite_pause(deadline))
			return false;
	}
	return true;
}

/* Passes over what is said before. */
static void must_say(struct service *s, const char *what)
{
	while (strstr(said(s, NULL), what) == NULL)
		;
}

static struct shmb *service_connect(struct service *s)
{
	struct shmb *client;

	ASSERT_OK(shmb_connect(&client, s->socket));
	return client;
}

static void log_must_have(struct service *s, const char *what)
{
	char *text = file_read(s->log, NULL);

	ck_assert_msg(text != NULL && strstr(text, what) != NULL, "'%s' is not in: %s", what, text);
	free(text);
}

static void service_end(struct service *s)
{
	static const char *const inside[] = { "handed.sock", "notify", "daemon.log", "shmbrokerd.conf", "other.sock" };
	char path[256];

	if (!program_has_ended(&s->daemon))
		program_kill(&s->daemon);
	for (unsigned i = 0; i < s->fd_count; i++)
		close(s->fds[i]);
	close(s->notify_fd);
	for (unsigned i = 0; i < sizeof(inside) / sizeof(inside[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", s->dir, inside[i]);
		unlink(path);
	}
	dir_remove(s->runtime);
	dir_remove(s->shm);
	ck_assert_int_eq(rmdir(s->dir), 0);
}

/* Ready, alive, read anew, ended: each is said, and the socket outlives the daemon. */
START_TEST(a_service_from_start_to_end)
{
	struct service s;
	struct shmb *client;

	service_make(&s, "");
	service_add(&s, unix_socket(SOCK_SEQPACKET, s.socket), "control");
	s.watchdog_us = 200000;
	service_start(&s);
	must_say(&s, "READY=1");
	client = service_connect(&s);
	ASSERT_OK(value_writer_try(client, "v", BYTES));
	shmb_disconnect(client);
	for (unsigned i = 0; i < 3; i++)
		must_say(&s, "WATCHDOG=1");
	program_signal(&s.daemon, SIGHUP);
	must_say(&s, "RELOADING=1");
	must_say(&s, "READY=1");
	program_signal(&s.daemon, SIGTERM);
	must_say(&s, "STOPPING=1");
	ck_assert_int_eq(program_wait(&s.daemon), 0);
	ck_assert_int_eq(access(s.socket, F_OK), 0);

	/* The next one serves on it; who connected meanwhile has waited. */
	service_start(&s);
	client = service_connect(&s);
	ck_assert_uint_eq(segments_count(client), 1);
	shmb_disconnect(client);
	service_end(&s);
}
END_TEST

/* Sealed parts are given away as they are made, however slowly they are taken, and a daemon that gets them back has the segments. */
START_TEST(descriptors_are_kept_for_the_next)
{
	enum { SEGMENTS = 4 };
	struct shmb_value_writer *writers[SEGMENTS], *gone;
	struct shmb_value_reader *reader;
	struct service s;
	struct shmb *client;
	char name[64];
	int fd;

	service_make(&s, "[segment *]\nbacking = sealed\nlinger = infinity\n");
	service_add(&s, unix_socket(SOCK_SEQPACKET, s.socket), "control");
	service_start(&s);
	must_say(&s, "READY=1");
	client = service_connect(&s);
	/* More than a datagram socket holds: the rest stands in the daemon's queue. */
	for (unsigned i = 0; i < SEGMENTS; i++) {
		snprintf(name, sizeof(name), "v%u", i);
		writers[i] = value_writer(client, name, BYTES);
		value_write(writers[i], BYTES, 3, 1);
	}
	gone = value_writer(client, "gone", BYTES);
	shmb_value_writer_close(gone);
	ASSERT_OK(shmb_remove(client, "gone"));
	for (unsigned i = 0; i < SEGMENTS; i++)
		shmb_value_writer_close(writers[i]);
	shmb_disconnect(client);

	/* All of them come, each with its descriptor, and no other is left of the one that was removed. */
	while (more_is_said(&s)) {
		const char *text = said(&s, &fd);

		if (strstr(text, "FDSTOREREMOVE=1") != NULL) {
			ck_assert_int_eq(fd, -1);
			for (unsigned i = 1; i < s.fd_count; i++) {
				if (strcmp(s.names[i], strstr(text, "FDNAME=") + 7) != 0)
					continue;
				close(s.fds[i]);
				s.fd_count--;
				s.fds[i] = s.fds[s.fd_count];
				strcpy(s.names[i], s.names[s.fd_count]);
				break;
			}
		} else {
			ck_assert_msg(strstr(text, "FDSTORE=1") != NULL && fd >= 0, "%s", text);
			service_add(&s, fd, strstr(text, "FDNAME=") + 7);
		}
	}
	ck_assert_uint_ge(s.fd_count, 1 + SEGMENTS);
	ck_assert_uint_eq((s.fd_count - 1) % SEGMENTS, 0); /* as many of each */

	program_kill(&s.daemon);
	service_start(&s);
	client = service_connect(&s);
	ck_assert_uint_eq(segments_count(client), SEGMENTS);
	reader = value_reader(client, "v3");
	value_latest(reader, 2, -1);
	shmb_value_reader_close(reader);
	shmb_disconnect(client);
	service_end(&s);
}
END_TEST

static void refused(struct service *s, const char *why)
{
	service_start(s);
	ck_assert_int_ne(program_wait(&s->daemon), 0);
	log_must_have(s, why);
	service_end(s);
}

START_TEST(what_cannot_be_taken_over)
{
	struct service s;
	char path[192];

	service_make(&s, "");
	snprintf(path, sizeof(path), "%s/other.sock", s.dir);
	service_add(&s, unix_socket(SOCK_SEQPACKET, s.socket), "control");
	service_add(&s, unix_socket(SOCK_SEQPACKET, path), "control");
	refused(&s, "one control socket");

	service_make(&s, "");
	service_add(&s, unix_socket(SOCK_STREAM, s.socket), "control");
	refused(&s, "no listening SOCK_SEQPACKET");

	service_make(&s, "");
	service_add(&s, unix_socket(SOCK_SEQPACKET, NULL), "control");
	refused(&s, "has no path");

	service_make(&s, "");
	s.listen_fds = "many";
	refused(&s, "cannot be understood");
}
END_TEST

/* An address that is none is told once, and the daemon serves all the same. */
START_TEST(nobody_to_tell)
{
	struct service s;
	struct shmb *client;

	service_make(&s, "");
	service_add(&s, unix_socket(SOCK_SEQPACKET, s.socket), "control");
	s.notify_name = "somewhere";
	service_start(&s);
	client = service_connect(&s);
	shmb_disconnect(client);
	log_must_have(&s, "NOTIFY_SOCKET=somewhere is no address");
	service_end(&s);
}
END_TEST

/* The service manager goes away and comes back (systemd executes itself anew): the next beat finds it. */
START_TEST(who_is_told_comes_back)
{
	struct service s;

	service_make(&s, "");
	service_add(&s, unix_socket(SOCK_SEQPACKET, s.socket), "control");
	s.watchdog_us = 200000;
	service_start(&s);
	must_say(&s, "READY=1");
	must_say(&s, "WATCHDOG=1");
	close(s.notify_fd);
	ck_assert_int_eq(unlink(s.notify), 0);
	sleep_ms(250);
	ck_assert(!program_has_ended(&s.daemon));
	s.notify_fd = unix_socket(SOCK_DGRAM, s.notify);
	must_say(&s, "WATCHDOG=1");
	program_signal(&s.daemon, SIGTERM);
	ck_assert_int_eq(program_wait(&s.daemon), 0);
	service_end(&s);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("service");

	suite_add(suite, a_service_from_start_to_end, 60);
	suite_add(suite, descriptors_are_kept_for_the_next, 60);
	suite_add(suite, what_cannot_be_taken_over, 60);
	suite_add(suite, nobody_to_tell, 60);
	suite_add(suite, who_is_told_comes_back, 60);
	return suite_run(suite);
}
