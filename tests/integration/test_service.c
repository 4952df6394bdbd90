/* SPDX-License-Identifier: MIT */
/*
 * The daemon under a service manager, which is this test: a socket that is handed over, what the daemon says of itself and when, the watchdog, and
 * descriptors that are kept for the next daemon. (tests/fault/systemd has the real one.)
 */
#include "../support/client.h"
#include "../support/keeper.h"
#include "../support/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BYTES = 64 };

struct service {
	char dir[128], runtime[160], shm[160], socket[192], notify[192], log[192], config[192];
	int notify_fd;
	struct program_handed handed;
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

static void service_start(struct service *s)
{
	const char *environment[] = { "SHMBROKER_SOCKET", NULL, NULL, NULL, NULL };
	int log = open(s->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	char notify[224], watchdog[64], listen[64];
	unsigned count = 1;

	ck_assert_int_ge(log, 0);
	snprintf(notify, sizeof(notify), "NOTIFY_SOCKET=%s", s->notify_name != NULL ? s->notify_name : s->notify);
	environment[count++] = notify;
	snprintf(watchdog, sizeof(watchdog), "WATCHDOG_USEC=%d", s->watchdog_us);
	if (s->watchdog_us != 0)
		environment[count++] = watchdog;
	snprintf(listen, sizeof(listen), "LISTEN_FDS=%s", s->listen_fds != NULL ? s->listen_fds : "");
	if (s->listen_fds != NULL)
		environment[count++] = listen;
	program_start(&s->daemon,
		      &(struct program_options){ .environment = environment, .stderr_fd = log, .no_pipes = true, .handed = &s->handed },
		      ARGV(path_daemon(), "--runtime-dir", s->runtime, "--shm-dir", s->shm, "--config", s->config));
	close(log);
}

/* The next thing the daemon says; its descriptor, or -1, goes to *fd (NULL: there is none). */
static const char *said(struct service *s, int *fd)
{
	uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);
	const char *text;
	int came;

	while ((text = keeper_next(s->notify_fd, &came)) == NULL)
		ck_assert_msg(suite_pause(deadline), "the daemon says nothing");
	ck_assert_msg(fd != NULL || came == -1, "a descriptor came with: %s", text);
	if (fd != NULL)
		*fd = came;
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
	while (s->handed.count > 0)
		handed_drop(&s->handed, s->handed.count - 1);
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
	handed_add(&s.handed, unix_socket(SOCK_SEQPACKET, s.socket), "control");
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
	uint64_t deadline;
	char name[64];
	int fd;

	service_make(&s, "[segment *]\nbacking = sealed\nlinger = infinity\n");
	handed_add(&s.handed, unix_socket(SOCK_SEQPACKET, s.socket), "control");
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
	deadline = deadline_in(SUITE_PATIENCE_MS);
	do {
		while (more_is_said(&s)) {
			const char *text = said(&s, &fd);

			ck_assert_msg(handed_hear(&s.handed, text, fd), "%s", text);
		}
	} while (s.handed.count - 1 != (unsigned)fds_count_of(s.daemon.pid, "/memfd:shmbroker") && now_ns() < deadline);
	ck_assert_uint_eq(s.handed.count - 1, (unsigned)fds_count_of(s.daemon.pid, "/memfd:shmbroker"));
	ck_assert_uint_ge(s.handed.count, 1 + SEGMENTS);
	ck_assert_uint_eq((s.handed.count - 1) % SEGMENTS, 0); /* as many of each */

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
	handed_add(&s.handed, unix_socket(SOCK_SEQPACKET, s.socket), "control");
	handed_add(&s.handed, unix_socket(SOCK_SEQPACKET, path), "control");
	refused(&s, "one control socket");

	service_make(&s, "");
	handed_add(&s.handed, unix_socket(SOCK_STREAM, s.socket), "control");
	refused(&s, "no listening SOCK_SEQPACKET");

	service_make(&s, "");
	handed_add(&s.handed, unix_socket(SOCK_SEQPACKET, NULL), "control");
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
	handed_add(&s.handed, unix_socket(SOCK_SEQPACKET, s.socket), "control");
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
	handed_add(&s.handed, unix_socket(SOCK_SEQPACKET, s.socket), "control");
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

/* ---- a connection that was there before the daemon ---- */

/* The network of this host alone, which in a network namespace is there, but down until somebody wants it. */
static bool has_loopback(void)
{
	struct ifreq lo = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool is_up = fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &lo) == 0 && (lo.ifr_flags & IFF_UP) != 0;

	if (fd >= 0)
		close(fd);
	return is_up;
}

/* A TCP connection that is full and not read, and which it takes a minute to close. *other is its other end. */
static int lingering_socket(int *other)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);
	int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct linger linger = { .l_onoff = 1, .l_linger = 60 };
	static char bytes[65536];

	ck_assert(listening >= 0 && fd >= 0);
	ck_assert_int_eq(bind(listening, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(listening, 1), 0);
	ck_assert_int_eq(getsockname(listening, (struct sockaddr *)&address, &length), 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	*other = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(*other, 0);
	close(listening);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	return fd;
}

static void send_with_descriptor(int to, const void *packet, size_t size, int fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec bytes = { .iov_base = (void *)(uintptr_t)packet, .iov_len = size };
	struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *rights = CMSG_FIRSTHDR(&message);

	*rights = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(fd)) };
	memcpy(CMSG_DATA(rights), &fd, sizeof(fd));
	ck_assert_int_eq(sendmsg(to, &message, MSG_NOSIGNAL), (ssize_t)size);
}

/*
 * It was made before any daemon could say that descriptors are not wanted in it. The client takes no answer, so its second message is not read; when it
 * goes, the daemon closes the connection, and what lies in it must not keep the daemon.
 */
START_TEST(a_descriptor_in_a_message_that_is_never_read)
{
	struct shmb_msg_hello hello = { .head = { .opcode = SHMB_OP_HELLO, .serial = 1 },
					.magic = SHMB_MESSAGE_MAGIC,
					.version = SHMB_PROTOCOL_VERSION,
					.oldest = SHMB_PROTOCOL_OLDEST,
					.cookie = { 1 },
					.comm = "hostile" };
	struct shmb_msg_ready ready = { .head = { .opcode = SHMB_OP_READY, .serial = 2 } };
	struct raw hostile = { 0 };
	struct shmb *client;
	struct service s;
	int lingering;
	int other;

	if (!has_loopback())
		TEST_SKIP("%s", "no TCP connection can be made here: lo is down");
	service_make(&s, "");
	handed_add(&s.handed, unix_socket(SOCK_SEQPACKET, s.socket), "control");
	ck_assert_int_eq(raw_connect(&hostile, s.socket), 0);
	lingering = lingering_socket(&other);
	ck_assert_int_eq(raw_send(&hostile, &hello, sizeof(hello)), 0);
	send_with_descriptor(hostile.fd, &ready, sizeof(ready), lingering);
	close(lingering);
	service_start(&s);
	must_say(&s, "READY=1");
	client = service_connect(&s);
	ck_assert_uint_eq(clients_count(client), 1);
	raw_close(&hostile);
	/* More than one round of the daemon's loop, the end of the connection in one of them. */
	for (unsigned i = 0; i < 50; i++) {
		ck_assert_uint_eq(clients_count(client), 1);
		sleep_ms(1);
	}
	shmb_disconnect(client);
	program_signal(&s.daemon, SIGTERM);
	ck_assert_int_eq(program_wait(&s.daemon), 0);
	close(other);
	service_end(&s);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("service");

	suite_add(suite, a_service_from_start_to_end, 60);
	suite_add(suite, descriptors_are_kept_for_the_next, 60);
	suite_add(suite, what_cannot_be_taken_over, 60);
	suite_add(suite, a_descriptor_in_a_message_that_is_never_read, 60);
	suite_add(suite, nobody_to_tell, 60);
	suite_add(suite, who_is_told_comes_back, 60);
	return suite_run(suite);
}
