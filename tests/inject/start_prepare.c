/* SPDX-License-Identifier: MIT */
/*
 * What the daemon finds at its start (start.h). What systemd does, and where the log goes, is arranged by a shell, in the place of which the daemon comes.
 */
#include "start.h"

#include "proto/layout.h"

#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the directory ---- */

static void files_save(struct start *start)
{
	char *all = dir_names(start->b.shm);
	char *rest = all;
	char *name;

	snprintf(start->links, sizeof(start->links), "%s.links", start->b.shm);
	ck_assert_int_eq(mkdir(start->links, 0700), 0);
	while ((name = strsep(&rest, "\n")) != NULL && *name != '\0') {
		unsigned i = start->file_count++;

		ck_assert_uint_lt(i, FILES_MAX);
		snprintf(start->files[i].path, sizeof(start->files[i].path), "%s/%s", start->b.shm, name);
		snprintf(start->files[i].link, sizeof(start->files[i].link), "%s/%u", start->links, i);
		ck_assert_int_eq(link(start->files[i].path, start->files[i].link), 0);
		start->files[i].bytes = file_read(start->files[i].path, &start->files[i].size);
	}
	free(all);
}

void start_put_back(struct start *start)
{
	char *all = dir_names(start->b.shm);
	char *rest = all;
	char *name;

	while ((name = strsep(&rest, "\n")) != NULL && *name != '\0') {
		char path[600];

		snprintf(path, sizeof(path), "%s/%s", start->b.shm, name);
		unlink(path);
	}
	free(all);
	for (unsigned i = 0; i < start->file_count; i++) {
		size_t size = start->files[i].size;
		int fd;

		ck_assert_int_eq(link(start->files[i].link, start->files[i].path), 0);
		fd = open(start->files[i].path, O_WRONLY | O_CLOEXEC);
		ck_assert(fd >= 0 && ftruncate(fd, (off_t)size) == 0 && pwrite(fd, start->files[i].bytes, size, 0) == (ssize_t)size);
		close(fd);
	}
}

/* ---- systemd ---- */

static int socket_bind(const char *path, int type)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	if (type == SOCK_SEQPACKET)
		ck_assert_int_eq(listen(fd, 64), 0);
	return fd;
}

void start_notify_take(struct start *start, bool keep)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	char text[512];
	struct iovec iov = { .iov_base = text, .iov_len = sizeof(text) - 1 };

	for (;;) {
		struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
		ssize_t length = recvmsg(start->notify_fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		const char *name;
		int fd;

		if (length < 0)
			return;
		text[length] = '\0';
		if (CMSG_FIRSTHDR(&message) == NULL)
			continue;
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
		name = strstr(text, "FDNAME=");
		if (!keep || name == NULL || start->kept_count == KEPT_MAX) {
			close(fd);
			continue;
		}
		snprintf(start->kept_names[start->kept_count], 64, "%.63s", name + strlen("FDNAME="));
		start->kept_names[start->kept_count][strcspn(start->kept_names[start->kept_count], "\n")] = '\0';
		start->kept[start->kept_count++] = fd;
	}
}

/* The script, which is complete now, starts the daemon from now on. */
static void wrapper_set(FILE *script, const char *path)
{
	char wrapper[256];

	ck_assert_int_eq(fclose(script), 0);
	snprintf(wrapper, sizeof(wrapper), "bash %s", path);
	setenv("SHMB_TEST_WRAPPER", wrapper, 1);
}

/* Has the daemon started by a shell that arranges its descriptors as systemd does. */
static void activation_set(struct start *start)
{
	char path[200];
	struct stat st;
	FILE *script;

	ck_assert_int_eq(stat(start->b.log, &st), 0);
	snprintf(path, sizeof(path), "%s/activate", start->b.dir);
	script = fopen(path, "we");
	ck_assert_ptr_nonnull(script);
	fprintf(script, "export NOTIFY_SOCKET=%s/notify LISTEN_PID=$$ WATCHDOG_PID=$$ WATCHDOG_USEC=20000000 JOURNAL_STREAM=%llu:%llu\n",
		start->b.dir, (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	fprintf(script, "export LISTEN_FDS=%u LISTEN_FDNAMES=control", 1 + start->kept_count);
	for (unsigned i = 0; i < start->kept_count; i++)
		fprintf(script, ":%s", start->kept_names[i]);
	fprintf(script, "\nexec 3<&%d", start->listen_fd);
	for (unsigned i = 0; i < start->kept_count; i++)
		fprintf(script, " %u<&%d", 4 + i, start->kept[i]);
	fprintf(script, "\nexec \"$@\"\n");
	wrapper_set(script, path);
}

/* A descriptor that a program we start inherits, out of the way of those that the shell arranges. */
static int inheritable(int fd_consume)
{
	int fd = fcntl(fd_consume, F_DUPFD, 100);

	ck_assert_int_ge(fd, 0);
	close(fd_consume);
	return fd;
}

/* ---- a log that is no file ---- */

/* The daemon writes its log into `fd_consume`; what comes out of the other end, `out_consume`, goes into the file. */
static void log_redirect(struct start *start, int fd_consume, int out_consume)
{
	char path[200];
	int fd = inheritable(fd_consume);
	FILE *script;

	fflush(NULL);
	start->drain = fork();
	ck_assert_int_ge(start->drain, 0);
	if (start->drain == 0) {
		int log = open(start->b.log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
		char bytes[4096];
		ssize_t got = 1;

		close(fd);
		while (got > 0) {
			got = read(out_consume, bytes, sizeof(bytes));
			if (got > 0 && write(log, bytes, (size_t)got) < 0)
				break;
		}
		_exit(0);
	}
	close(out_consume);
	start->listen_fd = fd;
	snprintf(path, sizeof(path), "%s/redirect", start->b.dir);
	script = fopen(path, "we");
	ck_assert_ptr_nonnull(script);
	fprintf(script, "exec \"$@\" 2>&%d\n", fd);
	wrapper_set(script, path);
}

static void piped_prepare(struct start *start)
{
	int ends[2];

	ck_assert_int_eq(start->kind == PIPED ? pipe2(ends, O_CLOEXEC) : socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	broker_stop(&start->b);
	log_redirect(start, ends[1], ends[0]);
	start->segments = strdup("");
}

/* ---- what is there at the start ---- */

static void card_path(const struct start *start, const char *name, char path[600])
{
	snprintf(path, 600, "%s/%s,1", start->b.shm, name);
}

static void card_patch(const struct start *start, const char *name, size_t at, const void *bytes, size_t size)
{
	char path[600];
	int fd;

	card_path(start, name, path);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, bytes, size, (off_t)at), (ssize_t)size);
	close(fd);
}

/* One that was being removed, one that was being made, one of another boot. */
static void remains_make(struct start *start)
{
	uint8_t other_boot[SHMB_BOOT_ID_BYTES] = { 1 };
	uint8_t removed = SHMB_STATE_REMOVED;
	char path[600];

	card_patch(start, "removed", offsetof(struct shmb_shm_card, state), &removed, sizeof(removed));
	card_patch(start, "boot", offsetof(struct shmb_shm_card, boot_id), other_boot, sizeof(other_boot));
	card_path(start, "half", path);
	ck_assert_int_eq(unlink(path), 0);
}

static void adopt_prepare(struct start *start)
{
	struct shmb *client = broker_connect(&start->b);
	struct shmb_block *block;
	struct shmb_type *type;
	struct program worker;

	ASSERT_OK(shmb_type_opaque(&type, 64));
	ASSERT_OK(shmb_block_open(&block, client, "boot", type));
	shmb_block_close(block);
	shmb_type_free(type);
	shmb_value_writer_close(value_writer(client, "removed", 64));
	shmb_value_writer_close(value_writer(client, "half", 64));
	shmb_disconnect(client);
	worker_start(&start->idle, &start->b, "idle", false);
	worker_must(&start->idle, "writer name=idle bytes=64 capacity=8 salt=1");
	worker_start(&worker, &start->b, "dying", false);
	for (unsigned i = 0; scene_holds[i] != NULL; i++)
		worker_must(&worker, "%s", scene_holds[i]);
	program_signal(&start->idle, SIGSTOP);
	broker_kill(&start->b);
	program_kill(&worker);
	remains_make(start);
	start->segments = strdup("boot dead/block dead/frame dead/ring idle ");
}

/* Two sockets: which is ours? */
static void refused_prepare(struct start *start)
{
	char path[200];

	broker_stop(&start->b);
	snprintf(path, sizeof(path), "%s/notify", start->b.dir);
	start->notify_fd = socket_bind(path, SOCK_DGRAM);
	start->listen_fd = inheritable(socket_bind(start->b.socket, SOCK_SEQPACKET));
	snprintf(path, sizeof(path), "%s/other", start->b.dir);
	start->kept[0] = inheritable(socket_bind(path, SOCK_SEQPACKET));
	snprintf(start->kept_names[0], sizeof(start->kept_names[0]), "other");
	start->kept_count = 1;
	activation_set(start);
	start->segments = strdup("");
}

static void activated_prepare(struct start *start)
{
	char path[200];
	struct shmb *client;

	broker_stop(&start->b);
	snprintf(path, sizeof(path), "%s/notify", start->b.dir);
	start->notify_fd = socket_bind(path, SOCK_DGRAM);
	start->listen_fd = inheritable(socket_bind(start->b.socket, SOCK_SEQPACKET));
	activation_set(start);
	broker_restart(&start->b);
	client = broker_connect(&start->b);
	shmb_ring_writer_close(ring_writer(client, "sealed/ring", 64, 8));
	shmb_disconnect(client);
	sleep_ms(20);
	broker_kill(&start->b);
	start_notify_take(start, true);
	ck_assert_uint_ge(start->kept_count, 2);
	for (unsigned i = 0; i < start->kept_count; i++)
		start->kept[i] = inheritable(start->kept[i]);
	activation_set(start);
	start->segments = strdup("sealed/ring ");
}

void start_prepare(struct start *start)
{
	char config[2048];

	mkdir(scene_foreign_dir(), 0700);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(config, sizeof(config), scene_config, scene_foreign_dir());
#pragma GCC diagnostic pop
	broker_start(&start->b, &(struct broker_options){ .config = config });
	switch (start->kind) {
	case ADOPT:
		adopt_prepare(start);
		break;
	case ACTIVATED:
		activated_prepare(start);
		break;
	case REFUSED:
		refused_prepare(start);
		break;
	case PIPED:
	case SOCKETED:
		piped_prepare(start);
		break;
	default:
		broker_stop(&start->b);
		start->segments = strdup("");
	}
	files_save(start);
}

void start_drop(struct start *start)
{
	unsetenv("SHMB_TEST_WRAPPER");
	for (unsigned i = 0; i < start->kept_count; i++)
		close(start->kept[i]);
	if (start->listen_fd >= 0)
		close(start->listen_fd);
	if (start->notify_fd >= 0)
		close(start->notify_fd);
	if (start->drain > 0) {
		kill(start->drain, SIGKILL);
		waitpid(start->drain, NULL, 0);
	}
	if (start->idle.pid > 0)
		program_kill(&start->idle);
	for (unsigned i = 0; i < start->file_count; i++)
		free(start->files[i].bytes);
	if (start->file_count > 0)
		dir_remove(start->links);
	free(start->segments);
	broker_drop(&start->b);
	dir_remove(scene_foreign_dir());
}
