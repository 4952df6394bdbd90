/* SPDX-License-Identifier: MIT */
/*
 * The daemon from its start to its end with a fault in it (play.h). It serves, and ends in order when it is told to; or it ends with status 1 and
 * says why. The next start, without a fault, finds everything that was there, and leaves nothing else.
 *
 *   empty       in new directories
 *   adopt       where a daemon and its clients were killed, a lock, pins and a loan held
 *   activated   by systemd: with a socket, kept descriptors, a notify socket, a watchdog, the journal
 */
#include "play.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { FILES_MAX = 64, KEPT_MAX = 32 };

enum kind { EMPTY, ADOPT, ACTIVATED, KINDS };

static const char *const names[] = { "start-empty",	   "start-empty-killed", "start-adopt",
				     "start-adopt-killed", "start-activated",	 "start-activated-killed" };
const unsigned start_count = 2 * KINDS;

const char *start_name(unsigned kind)
{
	return names[kind];
}

struct start {
	struct broker b;
	enum kind kind;
	/* What lay there, put back before each start. */
	struct {
		char path[600];
		char *bytes;
		size_t size;
	} files[FILES_MAX];
	unsigned file_count;
	char *segments; /* that must be there after each start */
	/* systemd's */
	int notify_fd;
	int listen_fd;
	int kept[KEPT_MAX];
	char kept_names[KEPT_MAX][64];
	unsigned kept_count;
};

/* ---- the directory ---- */

static void files_save(struct start *start)
{
	char *all = dir_names(start->b.shm);
	char *rest = all;
	char *name;

	while ((name = strsep(&rest, "\n")) != NULL && *name != '\0') {
		ck_assert_uint_lt(start->file_count, FILES_MAX);
		snprintf(start->files[start->file_count].path, sizeof(start->files[0].path), "%s/%s", start->b.shm, name);
		start->files[start->file_count].bytes =
			file_read(start->files[start->file_count].path, &start->files[start->file_count].size);
		start->file_count++;
	}
	free(all);
}

static void files_put_back(struct start *start)
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
	for (unsigned i = 0; i < start->file_count; i++)
		file_write(start->files[i].path, start->files[i].bytes, start->files[i].size);
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

/* Takes what the daemon has said; descriptors to be stored are kept, or closed. */
static void notify_take(struct start *start, bool keep)
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

/* Has the daemon started by a shell that arranges its descriptors as systemd does. */
static void activation_set(struct start *start)
{
	char path[200];
	char wrapper[256];
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
	ck_assert_int_eq(fclose(script), 0);
	snprintf(wrapper, sizeof(wrapper), "bash %s", path);
	setenv("SHMB_TEST_WRAPPER", wrapper, 1);
}

/* A descriptor that a program we start inherits, out of the way of those that the shell arranges. */
static int inheritable(int fd_consume)
{
	int fd = fcntl(fd_consume, F_DUPFD, 100);

	ck_assert_int_ge(fd, 0);
	close(fd_consume);
	return fd;
}

/* ---- what is there at the start ---- */

static void adopt_prepare(struct start *start)
{
	static const char *const holds[] = { "writer name=dead/ring bytes=64 capacity=8 salt=1",
					     "write n=3",
					     "reader name=dead/ring bytes=64",
					     "frame-writer name=dead/frame bytes=64 salt=1",
					     "frame-write n=1",
					     "frame-reader name=dead/frame",
					     "frame-pin",
					     "block name=dead/block",
					     "lock deadline=forever" };
	struct program worker;

	worker_start(&worker, &start->b, "dying", false);
	for (unsigned i = 0; i < sizeof(holds) / sizeof(holds[0]); i++)
		worker_must(&worker, "%s", holds[i]);
	broker_kill(&start->b);
	program_kill(&worker);
	start->segments = strdup("dead/block dead/frame dead/ring ");
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
	notify_take(start, true);
	ck_assert_uint_ge(start->kept_count, 2);
	for (unsigned i = 0; i < start->kept_count; i++)
		start->kept[i] = inheritable(start->kept[i]);
	activation_set(start);
	start->segments = strdup("sealed/ring ");
}

/* ---- one start ---- */

static bool answers(struct start *start)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	bool ok;

	snprintf(address.sun_path, sizeof(address.sun_path), "%.107s", start->b.socket);
	ok = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
	close(fd);
	return ok;
}

/* An activated socket answers before there is a daemon: there the log is asked as well, or time, where the log is what failed. */
static bool is_up(struct start *start, uint64_t since)
{
	char *log;
	bool ready;

	if (start->kind != ACTIVATED)
		return answers(start);
	log = broker_log(&start->b);
	ready = strstr(log, "ready") != NULL;
	free(log);
	return ready || now_ns() - since > UINT64_C(300000000);
}

/* Starts it and, when it is up, tells it to end. Its exit status, -N for a signal; *up: it had come up. */
static int start_and_end(struct start *start, bool *up)
{
	uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);
	uint64_t begin = now_ns();
	int null = truncate(start->b.log, 0);

	(void)null;
	*up = false;
	broker_restart(&start->b);
	while (!program_has_ended(&start->b.daemon)) {
		if (!*up && is_up(start, begin)) {
			*up = true;
			program_signal(&start->b.daemon, SIGTERM);
		}
		if (!suite_pause(deadline)) {
			program_kill(&start->b.daemon);
			return -SIGALRM;
		}
	}
	if (start->kind == ACTIVATED)
		notify_take(start, false);
	return program_wait(&start->b.daemon);
}

static int note_name(const struct shmb_segment_info *info, void *user)
{
	strcat(strcat(user, info->name), " ");
	return 0;
}

static int compare_words(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in order. */
static void words_sort(char *text)
{
	char *words[16];
	char copy[1024];
	char *rest = copy;
	char *word;
	unsigned count = 0;

	snprintf(copy, sizeof(copy), "%s", text);
	while ((word = strsep(&rest, " ")) != NULL && count < 16)
		if (*word != '\0')
			words[count++] = word;
	qsort(words, count, sizeof(words[0]), compare_words);
	*text = '\0';
	for (unsigned i = 0; i < count; i++)
		strcat(strcat(text, words[i]), " ");
}

/* Without a fault. Is everything there? */
static void next_start(struct start *start, struct inject_page *page)
{
	char listed[1024] = "";
	struct shmb *client;
	bool ready = start->b.options.not_ready;
	int r;

	start->b.options.not_ready = false;
	broker_restart(&start->b);
	start->b.options.not_ready = ready;
	r = shmb_connect(&client, start->b.socket);
	if (r == 0)
		r = shmb_list(client, note_name, listed);
	words_sort(listed);
	if (r != 0)
		complain(page, false, "the next daemon is not there: %d, %s", r, shmb_text());
	else if (strcmp(listed, start->segments) != 0)
		complain(page, false, "with the next daemon there is '%s', not '%s'", listed, start->segments);
	shmb_disconnect(client);
	if (start->kind == ACTIVATED) {
		program_signal(&start->b.daemon, SIGTERM);
		r = program_wait(&start->b.daemon);
	} else {
		broker_stop(&start->b);
		r = 0;
	}
	if (r != 0)
		complain(page, false, "the next daemon ended with %d", r);
	if (start->kind == ACTIVATED)
		notify_take(start, false);
}

/* Could the message itself not be written? */
static bool is_of_log(const struct inject_page *page)
{
	static const char *const calls[] = { "poll", "write", "fstat", "send", "sendmsg", "socket", "pwritev2" };

	for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (strcmp(inject_call_name(page->call), calls[i]) == 0)
			return true;
	return false;
}

static void start_judge(struct start *start, struct inject_page *page, int status, bool up)
{
	char *log = broker_log(&start->b);

	if (page->armed == INJECT_KILL) {
		if (atomic_load(&page->fired) && status != -SIGKILL)
			complain(page, false, "not killed: %d", status);
	} else if (status == -SIGALRM) {
		complain(page, false, "it hangs");
	} else if (status < 0 || status > 1) {
		complain(page, false, "it ended with %d", status);
	} else if (status == 1 && up) {
		complain(page, false, "it served and ended with 1");
	} else if (status == 1 && *log == '\0' && !is_of_log(page)) {
		complain(page, false, "it ended without a word");
	} else if (status == 0 && !up) {
		complain(page, false, "it ended with 0 before it served");
	}
	free(log);
}

void play_start(unsigned number)
{
	struct start start = { .kind = (enum kind)(number / 2), .notify_fd = -1, .listen_fd = -1 };
	bool kills = number % 2 == 1;
	struct inject_page *page = daemon_page();
	char config[2048];
	struct rlimit limit;
	struct plan plan;
	bool up;

	/* Lower than it may be: the daemon raises it. */
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max < 512 ? limit.rlim_max : 512;
	setrlimit(RLIMIT_NOFILE, &limit);
	mkdir(scene_foreign_dir(), 0700);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(config, sizeof(config), scene_config, scene_foreign_dir());
#pragma GCC diagnostic pop
	broker_start(&start.b, &(struct broker_options){ .config = config });
	if (start.kind == ADOPT) {
		adopt_prepare(&start);
	} else if (start.kind == ACTIVATED) {
		activated_prepare(&start);
	} else {
		broker_stop(&start.b);
		start.segments = strdup("");
	}
	files_save(&start);
	start.b.options.not_ready = true;
	page_count(page);
	ck_assert_int_eq(start_and_end(&start, &up), 0);
	page_disarm(page);
	ck_assert(up);
	plan_init(&plan, page, false, kills);
	files_put_back(&start);
	while (plan_next(&plan)) {
		int status = start_and_end(&start, &up);

		page_disarm(page);
		start_judge(&start, page, status, up);
		forced(page, false, kills);
		next_start(&start, page);
		files_put_back(&start);
	}
	plan_deinit(&plan);
	sites_merge(page, false);
	unsetenv("SHMB_TEST_WRAPPER");
	for (unsigned i = 0; i < start.kept_count; i++)
		close(start.kept[i]);
	if (start.listen_fd >= 0)
		close(start.listen_fd);
	if (start.notify_fd >= 0)
		close(start.notify_fd);
	for (unsigned i = 0; i < start.file_count; i++)
		free(start.files[i].bytes);
	free(start.segments);
	broker_drop(&start.b);
	dir_remove(scene_foreign_dir());
	daemon_page_drop();
	complaints_end();
}
