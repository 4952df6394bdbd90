/* SPDX-License-Identifier: MIT */
/*
 * Processes under watch.
 *
 * Which process a pid means is settled in this order: take a pidfd, read the start time, and look at the pidfd again: if it is still
 * silent, the process it names was there all the time, so the start time is its own.
 *
 * Death is what the pidfd says. It becomes readable when the last thread is gone, so nothing of the process writes to shared memory any
 * more.
 */
#include "process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "log.h"

#ifndef PID_FS_MAGIC
#define PID_FS_MAGIC 0x50494446 /* linux/magic.h of Linux 6.9 */
#endif

/* Reads a small file of /proc/PID into `text`, NUL-terminated. Returns its length. */
static ssize_t read_proc(int32_t pid, const char *file, char *text, size_t size)
{
	char path[64];
	ssize_t length;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	length = read(fd, text, size - 1);
	if (length < 0)
		length = -errno;
	close(fd);
	if (length >= 0)
		text[length] = '\0';
	return length;
}

/* Each line is "Name:\tvalue". */
static const char *status_value(const char *text, const char *name)
{
	const char *line = strstr(text, name);

	return line != NULL ? line + strlen(name) : "";
}

static int compare(const void *left, const void *right)
{
	const struct process *a = left;
	const struct process *b = right;

	if (a->pid != b->pid)
		return a->pid < b->pid ? -1 : 1;
	if (a->start_time != b->start_time)
		return a->start_time < b->start_time ? -1 : 1;
	return 0;
}

void process_table_init(struct process_table *table, struct loop *loop, process_death_fn *on_death, void *user)
{
	*table = (struct process_table){ .loop = loop, .on_death = on_death, .user = user };
}

static void process_free(void *item)
{
	struct process *process = item;

	process->watch = loop_fd_free(process->watch);
	if (process->pidfd >= 0)
		close(process->pidfd);
	free(process);
}

void process_table_deinit(struct process_table *table)
{
	tdestroy(table->by_identity, process_free);
	table->by_identity = NULL;
	table->count = 0;
}

static bool pidfd_has_ended(int pidfd)
{
	struct pollfd poll_fd = { .fd = pidfd, .events = POLLIN };

	return poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & POLLIN) != 0;
}

static void process_died(struct process *process)
{
	if (process->dead)
		return;
	process->dead = true;
	process->watch = loop_fd_free(process->watch);
	process_ref(process);
	process->table->on_death(process, process->table->user);
	process_unref(process);
}

static void on_pidfd(int events, void *user)
{
	(void)events;
	process_died(user);
}

static struct process *find(struct process_table *table, int32_t pid, uint64_t start_time)
{
	struct process key = { .pid = pid, .start_time = start_time };
	struct process **found = tfind(&key, &table->by_identity, compare);

	return found != NULL ? *found : NULL;
}

/* Makes the struct; the pidfd is consumed. */
static int process_new(struct process_table *table, int32_t pid, const struct process_stat *stat, int pidfd, struct process **out)
{
	struct process *process = calloc(1, sizeof(*process));
	int r = -ENOMEM;

	if (process == NULL)
		goto fail;
	process->pid = pid;
	process->start_time = stat->start_time;
	process->pidfd = pidfd;
	process->refs = 1;
	process->table = table;
	memcpy(process->comm, stat->comm, sizeof(process->comm));
	LIST_INIT(&process->attachments);
	LIST_INIT(&process->peers);
	LIST_INIT(&process->old_pages);
	if (pidfd >= 0) {
		r = loop_fd_new(table->loop, pidfd, LOOP_READ, on_pidfd, process, &process->watch);
		if (r < 0)
			goto fail;
	}
	if (tsearch(process, &table->by_identity, compare) == NULL) {
		r = -ENOMEM;
		goto fail;
	}
	table->count++;
	*out = process;
	return 0;
fail:
	if (process != NULL)
		loop_fd_free(process->watch);
	free(process);
	if (pidfd >= 0)
		close(pidfd);
	return r;
}

/*
 * There is no pidfd. A number that is a thread's of some process now has none, which the kernel says in one way or the other: whoever had it as a process
 * is gone.
 */
static int why_none(int32_t pid, int error)
{
	char text[4096];
	ssize_t length;

	if (error != -EINVAL && error != -ENOENT)
		return error;
	length = read_proc(pid, "status", text, sizeof(text));
	if (length > 0 && strtol(status_value(text, "\nTgid:\t"), NULL, 10) != pid)
		length = -ESRCH;
	return length == -ESRCH ? -ESRCH : error;
}

int process_watch_peer(struct process_table *table, int32_t pid, int pidfd, struct process **out)
{
	struct process_stat stat;
	struct process *known;
	int r;

	if (pidfd < 0)
		pidfd = pidfd_open(pid, 0);
	if (pidfd < 0 && errno != ENOSYS && errno != EPERM)
		return why_none(pid, -errno);
	if (pidfd < 0)
		log_warning("no pidfd for process %d: %s; whether it lives is looked up only when its lease is asked for", pid,
			    strerror(errno));
	r = process_stat_read(pid, &stat);
	if (r == 0 && pidfd >= 0 && pidfd_has_ended(pidfd))
		r = -ESRCH;
	if (r < 0) {
		if (pidfd >= 0)
			close(pidfd);
		return r;
	}
	known = find(table, pid, stat.start_time);
	if (known != NULL) {
		if (pidfd >= 0)
			close(pidfd);
		if (known->dead)
			return -ESRCH;
		*out = process_ref(known);
		return 0;
	}
	return process_new(table, pid, &stat, pidfd, out);
}

int process_watch_unseen(struct process_table *table, int pidfd, struct process **out)
{
	struct process_stat stat = { .comm = "?" };
	struct process *known;
	struct statfs system;
	struct stat inode = { 0 };
	int r = 0;

	if (fstatfs(pidfd, &system) < 0 || fstat(pidfd, &inode) < 0)
		r = -errno;
	else if (system.f_type != PID_FS_MAGIC)
		r = -EOPNOTSUPP;
	else if (pidfd_has_ended(pidfd))
		r = -ESRCH;
	if (r < 0) {
		close(pidfd);
		return r;
	}
	stat.start_time = inode.st_ino;
	known = find(table, 0, stat.start_time);
	if (known == NULL)
		return process_new(table, 0, &stat, pidfd, out);
	close(pidfd);
	if (known->dead)
		return -ESRCH;
	*out = process_ref(known);
	return 0;
}

int process_watch(struct process_table *table, int32_t pid, uint64_t start_time, struct process **out)
{
	struct process *process = find(table, pid, start_time);
	int r;

	if (process != NULL) {
		if (process->dead)
			return -ESRCH;
		*out = process_ref(process);
		return 0;
	}
	if (pid <= 0)
		return -ESRCH;
	r = process_watch_peer(table, pid, -1, &process);
	if (process == NULL)
		return r;
	if (process->start_time != start_time) {
		process_unref(process);
		return -ESRCH;
	}
	*out = process;
	return 0;
}

struct process *process_ref(struct process *process)
{
	process->refs++;
	return process;
}

struct process *process_unref(struct process *process)
{
	if (process == NULL || --process->refs > 0)
		return NULL;
	tdelete(process, &process->table->by_identity, compare);
	process->table->count--;
	process_free(process);
	return NULL;
}

bool process_check(struct process *process)
{
	struct process_stat stat;
	bool ended;

	if (process->dead)
		return true;
	if (process->pidfd >= 0) {
		ended = pidfd_has_ended(process->pidfd);
	} else {
		int r = process_stat_read(process->pid, &stat);

		ended = r == -ESRCH || (r == 0 && stat.start_time != process->start_time);
	}
	if (ended)
		process_died(process);
	return ended;
}

int process_stat_parse(const char *text, size_t length, struct process_stat *out)
{
	const char *left = memchr(text, '(', length);
	const char *right = memrchr(text, ')', length);
	char fields[1024];
	char *at;
	size_t size;

	if (left == NULL || right == NULL || right < left || (size_t)(text + length - right) >= sizeof(fields))
		return -EBADMSG;
	memset(out, 0, sizeof(*out));
	size = (size_t)(right - left - 1);
	if (size >= sizeof(out->comm))
		size = sizeof(out->comm) - 1;
	memcpy(out->comm, left + 1, size);
	size = (size_t)(text + length - right) - 1;
	memcpy(fields, right + 1, size);
	fields[size] = '\0';
	/* Behind the command: 3 state, 4 to 8 ids, 9 flags, ..., 22 start time. Each field is preceded by one blank. */
	at = fields;
	for (int field = 3; field <= 22; field++) {
		char *end;
		unsigned long long number;

		if (*at++ != ' ' || *at == '\0' || *at == ' ')
			return -EBADMSG;
		if (field == 3) {
			out->state = *at++;
			continue;
		}
		errno = 0;
		number = strtoull(at, &end, 10);
		if (end == at || errno != 0)
			return -EBADMSG;
		if (field == 9)
			out->flags = (uint32_t)number;
		if (field == 22)
			out->start_time = number;
		at = end;
	}
	return 0;
}

/* `file` below /proc/PID: the process's own, or that of one of its threads. */
static int stat_read(int32_t pid, const char *file, struct process_stat *out)
{
	char text[1024];
	ssize_t length = read_proc(pid, file, text, sizeof(text));

	if (length < 0)
		return length == -EPERM ? -EACCES : (int)length;
	return process_stat_parse(text, (size_t)length, out);
}

int process_stat_read(int32_t pid, struct process_stat *out)
{
	return stat_read(pid, "stat", out);
}

/*
 * Is this what every thread of the process does? The state of the process itself is that of its first thread, which may have ended (a zombie
 * then) while others go on.
 */
static bool threads_are(const struct process *process, bool (*is)(const struct process_stat *stat))
{
	char path[64];
	struct dirent *entry;
	bool all = true;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", process->pid);
	dir = opendir(path);
	if (dir == NULL)
		return false;
	while (all && (entry = readdir(dir)) != NULL) {
		struct process_stat stat;
		int r;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "task/%.16s/stat", entry->d_name);
		r = stat_read(process->pid, path, &stat);
		all = r == -ESRCH || (r == 0 && is(&stat)); /* one that is not there has gone */
	}
	closedir(dir);
	return all;
}

static bool has_ended(const struct process *process)
{
	return process->dead || (process->pidfd >= 0 && pidfd_has_ended(process->pidfd));
}

static bool is_ending(const struct process_stat *stat)
{
	return (stat->flags & PROCESS_FLAG_EXITING) != 0 || stat->state == 'Z' || stat->state == 'X';
}

/* Its threads share their descriptors, which are closed when the last of them ends: each is marked as ending by then. */
bool process_is_exiting(const struct process *process)
{
	struct process_stat stat;
	int r;

	if (has_ended(process))
		return true;
	if (process->pid == 0)
		return false;
	r = process_stat_read(process->pid, &stat);
	if (r < 0) /* where it cannot be looked at (no descriptor is left), its pidfd will tell */
		return r == -ESRCH;
	if (stat.start_time != process->start_time)
		return true;
	return is_ending(&stat) && (threads_are(process, is_ending) || has_ended(process));
}

/* Of a process whose memory is being written out: this thread returns to its program no more. */
static bool is_dumped(const struct process_stat *stat)
{
	return (stat->flags & (PROCESS_FLAG_DUMPS | PROCESS_FLAG_AFTER_DUMP)) != 0 || is_ending(stat);
}

void process_status_parse(const char *text, struct process_status *out)
{
	*out = (struct process_status){
		.tracer = (int32_t)strtol(status_value(text, "\nTracerPid:\t"), NULL, 10),
		.dumping = status_value(text, "\nCoreDumping:\t")[0] == '1',
	};
}

/* 0, or it is not there any more. What was read is the process's own: it is still the same one afterwards. */
static int status_read(const struct process *process, struct process_stat *stat, struct process_status *status)
{
	char text[4096];
	int r;

	if (read_proc(process->pid, "status", text, sizeof(text)) <= 0)
		return -ESRCH;
	process_status_parse(text, status);
	r = process_stat_read(process->pid, stat);
	return r == 0 && stat->start_time != process->start_time ? -ESRCH : r;
}

/*
 * The kernel says "CoreDumping" a moment before the last thread has heard that it shall stop, which may still write meanwhile: it counts
 * from when each is marked, the one that dumps and those that wait for it. (Before Linux 5.16 the waiting ones are marked as ending.)
 */
bool process_is_dumping(const struct process *process)
{
	struct process_status status;
	struct process_stat stat;

	return status_read(process, &stat, &status) == 0 && status.dumping && threads_are(process, is_dumped);
}

enum process_condition process_condition(const struct process *process, int32_t *tracer)
{
	struct process_status status;
	struct process_stat stat;

	*tracer = 0;
	if (status_read(process, &stat, &status) < 0)
		return PROCESS_RUNNING;
	if (status.dumping)
		return PROCESS_DUMPING;
	if (status.tracer != 0 || stat.state == 't') {
		*tracer = status.tracer;
		return PROCESS_TRACED;
	}
	return stat.state == 'T' ? PROCESS_STOPPED : PROCESS_RUNNING;
}
