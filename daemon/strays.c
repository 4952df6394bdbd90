/* SPDX-License-Identifier: MIT */
/*
 * Foreign files with safe-shm's header (strays.h).
 *
 * The directory is everybody's: names in it may be links, fifos or devices, and may be swapped between any two calls. A file is opened without
 * following links, and everything is decided about the open file. To remove it, it is renamed to a name of our own, and only when that
 * names the file that was decided about is it unlinked; anything else is renamed back. A daemon killed in between leaves ".shmbroker-gone,NAME",
 * which the next look treats as NAME: removed if it may go, else given its name back.
 *
 * Anybody can put many files there: a look lasts one turn (chores.h) and the next one goes on from its place in the directory.
 */
#include "strays.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "broker.h"
#include "chores.h"
#include "cleanup.h"
#include "config.h"
#include "event.h"
#include "proto/step.h"
#include "setting.h"

#define GONE_PREFIX ".shmbroker-gone,"

enum { NAME_BYTES = 256 };

/* The first 32 bytes of safe-shm's segments and of our data parts. */
struct stray_header {
	uint32_t magic;
	uint32_t version;
	uint64_t heartbeat_ns;
	uint32_t writer_pid;
	uint32_t reserved[3];
};

_Static_assert(sizeof(struct stray_header) == 32, "ShmHeader");
_Static_assert(offsetof(struct shmb_shm_data, writer_pid) == offsetof(struct stray_header, writer_pid), "ShmHeader");

struct stray {
	char name[NAME_BYTES]; /* as it lies in the directory */
	int dir_fd;	       /* borrowed */
	int fd;		       /* borrowed */
	struct stat st;
	int32_t pid;
	bool goes;
	char reason[SHMB_TEXT_MAX];
};

typedef bool stray_fn(struct broker *broker, struct stray *stray, void *user); /* false: enough */

/* ---- who needs it ---- */

static bool pid_has_ended(int32_t pid, char *reason)
{
	auto_close int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd poll_fd = { .fd = pidfd, .events = POLLIN };

	if (pidfd < 0 && errno != ESRCH) {
		snprintf(reason, SHMB_TEXT_MAX, "its writer, process %d, cannot be looked at: %s", pid, strerror(errno));
		return false;
	}
	if (pidfd >= 0 && poll(&poll_fd, 1, 0) == 0) {
		snprintf(reason, SHMB_TEXT_MAX, "its writer, process %d, lives", pid);
		return false;
	}
	return true;
}

/* Does nobody have it open or mapped? The lease stays until the descriptor is closed: who opens the file now waits that long. */
static bool is_in_no_use(int fd, char *reason)
{
	if (fcntl(fd, F_SETLEASE, F_WRLCK) == 0)
		return true;
	if (errno == EAGAIN)
		snprintf(reason, SHMB_TEXT_MAX, "a process has it open or mapped");
	else
		snprintf(reason, SHMB_TEXT_MAX,
			 "whether somebody has it open cannot be told: %s (other users' files need CAP_LEASE and CAP_FOWNER)",
			 strerror(errno));
	return false;
}

static void judge(struct broker *broker, struct stray *stray)
{
	if (stray->pid <= 0) {
		snprintf(stray->reason, sizeof(stray->reason), "its header names no writer");
		return;
	}
	if (!pid_has_ended(stray->pid, stray->reason) || !is_in_no_use(stray->fd, stray->reason))
		return;
	stray->goes = broker->config->foreign == CONFIG_FOREIGN_REAP;
	snprintf(stray->reason, sizeof(stray->reason), "its writer, process %d, has ended, and nobody has it open%s", stray->pid,
		 stray->goes ? "" : "; it stays: foreign = list");
}

/* ---- removing ---- */

/* The name it shall have when it stays. */
static const char *own_name(const char *name)
{
	size_t length = strlen(GONE_PREFIX);

	return strncmp(name, GONE_PREFIX, length) == 0 && name[length] != '\0' ? name + length : name;
}

static void give_name_back(struct broker *broker, int dir_fd, const char *gone, const char *name)
{
	/* Somebody made the name again meanwhile: then both files stay. */
	if (renameat2(dir_fd, gone, dir_fd, name, RENAME_NOREPLACE) < 0)
		event_tell(broker, &(struct event){ .kind = EVENT_IGNORED, .reason = "foreign-renamed" },
			   "%s was swapped while it was looked at, and now lies there as %s: %s", name, gone, strerror(errno));
}

/* 0, or -ESTALE: the name belongs to another file by now. */
static int stray_remove(struct broker *broker, struct stray *stray)
{
	const char *name = own_name(stray->name);
	char gone[NAME_BYTES + sizeof(GONE_PREFIX)];
	struct stat there;

	snprintf(gone, sizeof(gone), GONE_PREFIX "%s", name);
	if (strlen(gone) >= NAME_BYTES)
		return -ENAMETOOLONG;
	SHMB_STEP("stray.judged");
	if (strcmp(gone, stray->name) != 0 && renameat2(stray->dir_fd, stray->name, stray->dir_fd, gone, RENAME_NOREPLACE) < 0)
		return -errno;
	SHMB_STEP("stray.renamed");
	if (fstatat(stray->dir_fd, gone, &there, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (there.st_ino != stray->st.st_ino || there.st_dev != stray->st.st_dev) {
		give_name_back(broker, stray->dir_fd, gone, name);
		return -ESTALE;
	}
	return unlinkat(stray->dir_fd, gone, 0) < 0 ? -errno : 0;
}

static int stray_reap(struct broker *broker, struct stray *stray)
{
	int r = stray_remove(broker, stray);

	if (r == 0) {
		broker->reaps++;
		event_tell(broker,
			   &(struct event){ .kind = EVENT_REAPED, .pid = stray->pid, .uid = stray->st.st_uid, .reason = "foreign-dead" },
			   "%s/%s: removed: %s; foreign = reap", broker->config->foreign_dir, own_name(stray->name), stray->reason);
	} else if (r == -ESTALE) {
		snprintf(stray->reason, sizeof(stray->reason), "another file has its name now");
	} else {
		snprintf(stray->reason, sizeof(stray->reason), "cannot be removed: %s", strerror(-r));
	}
	return r;
}

/* ---- looking ---- */

/* Opens and reads one entry. Is it one of these files? */
static bool stray_open(int dir_fd, const char *name, struct stray *stray, int *out_fd)
{
	auto_close int fd = -1;
	struct stray_header header;

	*stray = (struct stray){ .dir_fd = dir_fd };
	if (strlen(name) >= sizeof(stray->name))
		return false;
	strcpy(stray->name, name);
	/* A device must not even be opened. */
	if (fstatat(dir_fd, name, &stray->st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(stray->st.st_mode))
		return false;
	fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd < 0 || fstat(fd, &stray->st) < 0 || !S_ISREG(stray->st.st_mode))
		return false;
	if (pread(fd, &header, sizeof(header), 0) != sizeof(header) || header.magic != SHMB_DATA_MAGIC)
		return false;
	stray->pid = header.writer_pid <= INT32_MAX ? (int32_t)header.writer_pid : 0;
	stray->fd = fd;
	*out_fd = cleanup_steal(&fd);
	return true;
}

/* Looks at one entry. False: enough. */
static bool look_at(struct broker *broker, int dir_fd, const char *name, stray_fn *fn, void *user)
{
	auto_close int fd = -1;
	struct stray stray;

	if (!stray_open(dir_fd, name, &stray, &fd))
		return true;
	SHMB_STEP("stray.look");
	judge(broker, &stray);
	if (!stray.goes && own_name(stray.name) != stray.name)
		give_name_back(broker, dir_fd, stray.name, own_name(stray.name));
	return fn(broker, &stray, user);
}

/* From this place in the directory on, 0 its beginning. Where the next look goes on; 0: all has been looked at. */
static uint64_t strays_look(struct broker *broker, uint64_t from, stray_fn *fn, void *user)
{
	int dir_fd = open(broker->config->foreign_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = dir_fd >= 0 ? fdopendir(dir_fd) : NULL;
	uint64_t begun_ns = loop_now_ns();
	const struct dirent *entry;
	bool more;

	if (dir == NULL) {
		event_tell(broker, &(struct event){ .kind = EVENT_IGNORED, .reason = "foreign-dir" },
			   "%s cannot be looked at for foreign files: %s", broker->config->foreign_dir, strerror(errno));
		if (dir_fd >= 0)
			close(dir_fd);
		return 0;
	}
	if (from != 0)
		seekdir(dir, (long)from);
	do {
		from = (uint64_t)telldir(dir);
		entry = readdir(dir);
		more = entry != NULL && look_at(broker, dir_fd, entry->d_name, fn, user);
		if (more)
			from = (uint64_t)telldir(dir);
	} while (more && !chores_turn_is_over(begun_ns));
	closedir(dir);
	return entry != NULL ? from : 0;
}

static bool reap_one(struct broker *broker, struct stray *stray, void *user)
{
	(void)user;
	if (stray->goes)
		stray_reap(broker, stray);
	return true;
}

struct answering {
	struct reply *reply;
	struct shmb_msg_gc_answer *answer;
	bool dry;
};

static bool answer_one(struct broker *broker, struct stray *stray, void *user)
{
	struct answering *answering = user;
	struct shmb_msg_gc_item *item = reply_tail(answering->reply, sizeof(*item));

	if (item == NULL)
		return false;
	item->verdict = stray->goes ? SHMB_GC_GOES : SHMB_GC_STAYS;
	if (stray->goes && !answering->dry)
		item->verdict = stray_reap(broker, stray) == 0 ? SHMB_GC_REMOVED : SHMB_GC_FAILED;
	item->is_foreign = 1;
	item->bytes = (uint64_t)stray->st.st_blocks * 512;
	item->due_ns = UINT64_MAX;
	item->uid = stray->st.st_uid;
	item->pid = stray->pid;
	shmb_text_set(item->name, sizeof(item->name), own_name(stray->name));
	shmb_text_set(item->reason, sizeof(item->reason), stray->reason);
	answering->answer->count++;
	return true;
}

void strays_answer(struct broker *broker, const struct shmb_msg_gc *gc, struct reply *reply, struct shmb_msg_gc_answer *answer)
{
	struct answering answering = { .reply = reply, .answer = answer, .dry = (gc->flags & SHMB_GC_DRY_RUN) != 0 };

	if (broker->config->foreign != CONFIG_FOREIGN_IGNORE)
		answer->next = strays_look(broker, gc->after, answer_one, &answering);
}

/* ---- by itself ---- */

static enum chore_state look_on(void *user)
{
	struct broker *broker = user;

	broker->strays.from = strays_look(broker, broker->strays.from, reap_one, NULL);
	if (broker->strays.from != 0)
		return CHORE_MORE;
	if (broker->config->foreign_interval_ns != UINT64_MAX)
		loop_timer_set(broker->strays.timer, broker->config->foreign_interval_ns);
	return CHORE_DONE;
}

static void on_timer(void *user)
{
	struct broker *broker = user;

	chores_add(&broker->chores, &broker->strays.look, look_on, broker);
}

void strays_follow(struct broker *broker)
{
	/* Who opens a file while we hold its lease makes the kernel send this; it would end us. */
	signal(SIGIO, SIG_IGN);
	if (broker->config->foreign != CONFIG_FOREIGN_REAP) {
		strays_deinit(broker);
		return;
	}
	broker->strays.from = 0; /* perhaps in another directory */
	if (broker->strays.timer == NULL && loop_timer_new(broker->loop, on_timer, broker, &broker->strays.timer) < 0)
		return;
	loop_timer_set(broker->strays.timer, 0);
}

void strays_deinit(struct broker *broker)
{
	chores_drop(&broker->strays.look);
	broker->strays.timer = loop_timer_free(broker->strays.timer);
}
