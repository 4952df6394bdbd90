/* SPDX-License-Identifier: MIT */
/*
 * The daemon's directory (store.h).
 *
 * Files are built without a name and get one with linkat(/proc/self/fd/N): where two daemons or a stranger raced for a name, linkat says
 * EEXIST and nothing was overwritten. Whether this file system and this /proc can do that is tried once at the start, so that the operator
 * hears of it from the daemon and not from the first client.
 */
#include "store.h"

#include "cleanup.h"
#include "debris.h"
#include "kept.h"
#include "log.h"
#include "sealed.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define PROBE_FILE ",probe"

/* posix_fallocate of a large file may be interrupted by any signal; a stream of them must not keep us here for ever. */
enum { ALLOCATE_TRIES = 16, WHY_MAX = 256 };

/* What is wrong and what to do, for the operator; cut where it does not fit. */
__attribute__((format(printf, 2, 3))) static void say(char why[WHY_MAX], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, WHY_MAX, format, args);
	va_end(args);
}

static int boot_id_read(uint8_t out[SHMB_BOOT_ID_BYTES])
{
	auto_close int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	char text[64];
	ssize_t length;
	unsigned digits = 0;

	if (fd < 0)
		return -errno;
	length = read(fd, text, sizeof(text));
	if (length < 0)
		return -errno;
	memset(out, 0, SHMB_BOOT_ID_BYTES);
	for (ssize_t i = 0; i < length && digits < 2 * SHMB_BOOT_ID_BYTES; i++) {
		unsigned char c = (unsigned char)text[i];

		if (!isxdigit(c))
			continue;
		out[digits / 2] = (uint8_t)(out[digits / 2] << 4 | (isdigit(c) ? c - '0' : tolower(c) - 'a' + 10));
		digits++;
	}
	return digits == 2 * SHMB_BOOT_ID_BYTES ? 0 : -EBADMSG;
}

static int directory_open(const char *path, char why[WHY_MAX])
{
	auto_close int fd = -1;
	struct stat st;

	if (mkdir(path, 0700) < 0 && errno != EEXIST) {
		int r = -errno;

		say(why, "cannot make the directory %s: %s", path, strerror(-r));
		return r;
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		int r = -errno;

		say(why, "cannot open %s as a directory: %s", path, strerror(-r));
		return r;
	}
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid != geteuid()) {
		say(why, "%s belongs to uid %u, not to this daemon's uid %u: remove it or choose another --shm-dir", path, st.st_uid,
		    geteuid());
		return -EPERM;
	}
	if (st.st_mode & 077) {
		say(why, "%s is open to others (mode %04o): nothing in it can be trusted; remove it, or chmod 0700 if it is yours", path,
		    st.st_mode & 07777);
		return -EPERM;
	}
	return cleanup_steal(&fd);
}

static int lock_take(int dir_fd, const char *path, char why[WHY_MAX])
{
	auto_close int fd = openat(dir_fd, STORE_LOCK_FILE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char text[24];
	int length;

	if (fd < 0) {
		int r = -errno;

		say(why, "cannot open %s/" STORE_LOCK_FILE ": %s", path, strerror(-r));
		return r;
	}
	if (fcntl(fd, F_OFD_SETLK, &lock) < 0) {
		int r = errno == EACCES || errno == EAGAIN ? -EWOULDBLOCK : -errno;
		ssize_t got = pread(fd, text, sizeof(text) - 1, 0); /* the holder's pid: shown, never believed */
		long pid;

		text[got > 0 ? got : 0] = '\0';
		pid = strtol(text, NULL, 10);
		if (r == -EWOULDBLOCK && pid > 0)
			say(why, "%s is served by another daemon (pid %ld): stop it, or choose another --shm-dir", path, pid);
		else if (r == -EWOULDBLOCK)
			say(why, "%s is served by another daemon: stop it, or choose another --shm-dir", path);
		else
			say(why, "cannot lock %s/" STORE_LOCK_FILE ": %s", path, strerror(-r));
		return r;
	}
	length = snprintf(text, sizeof(text), "%d\n", getpid());
	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)length, 0) < 0)
		log_debug("%s/" STORE_LOCK_FILE ": cannot note the pid: %s", path, strerror(errno));
	return cleanup_steal(&fd);
}

/* Makes, names and removes a file the way every segment's are. */
static int probe(struct store *store, char why[WHY_MAX])
{
	struct statfs fs;
	auto_close int fd = -1;
	int r;

	unlinkat(store->dir_fd, PROBE_FILE, 0); /* of a daemon killed just here */
	fd = store_make(store, SHMB_PAGE);
	if (fd == -EOPNOTSUPP || fd == -EISDIR) {
		say(why, "the file system of %s has no O_TMPFILE: choose a --shm-dir on a tmpfs, such as /dev/shm", store->path);
		return -EOPNOTSUPP;
	}
	if (fd < 0) {
		say(why, "cannot make a file in %s: %s", store->path, strerror(-fd));
		return fd;
	}
	r = store_link(store, fd, PROBE_FILE);
	if (r < 0) {
		say(why, "cannot name a file in %s: %s (linkat through /proc/self/fd: /proc must be mounted)", store->path, strerror(-r));
		return r;
	}
	r = store_unlink(store, PROBE_FILE);
	if (r < 0)
		return r;
	if (fstatfs(store->dir_fd, &fs) < 0)
		return 0;
	store->is_tmpfs = fs.f_type == TMPFS_MAGIC;
	if (!store->is_tmpfs && fs.f_type != RAMFS_MAGIC)
		log_warning("%s is not on a tmpfs: segments will be written to a disk; choose a directory in /dev/shm with --shm-dir",
			    store->path);
	return 0;
}

int store_open(struct store *store, const char *path, uint32_t area_count, char why[WHY_MAX])
{
	mode_t old_umask;
	int r;

	*store = (struct store){ .dir_fd = -1, .lock_fd = -1, .area_count = area_count, .uid = geteuid(), .sealed_max = SEALED_MAX };
	why[0] = '\0';
	if (strlen(path) >= sizeof(store->path)) {
		say(why, "the path of the directory for segments is longer than %zu bytes", sizeof(store->path) - 1);
		return -ENAMETOOLONG;
	}
	strcpy(store->path, path);
	r = boot_id_read(store->boot_id);
	if (r < 0) {
		say(why, "cannot read /proc/sys/kernel/random/boot_id: %s (/proc must be mounted)", strerror(-r));
		return r;
	}
	store->kept = kept_new();
	r = store->kept != NULL ? debris_init(store) : -ENOMEM;
	if (r < 0) {
		say(why, "the daemon is out of memory");
		store_close(store);
		return r;
	}
	/* Whatever umask we were started with must not lock us out of our own directory. */
	old_umask = umask(077);
	r = directory_open(path, why);
	if (r >= 0) {
		store->dir_fd = r;
		r = lock_take(store->dir_fd, path, why);
	}
	umask(old_umask);
	if (r >= 0) {
		store->lock_fd = r;
		r = probe(store, why);
	}
	if (r < 0) {
		if (why[0] == '\0')
			say(why, "%s: %s", path, strerror(-r));
		store_close(store);
		return r;
	}
	return 0;
}

void store_close(struct store *store)
{
	/* The lock file stays: to remove it would let a third daemon lock a new one while a second has just opened the old. */
	debris_end(store);
	store->kept = kept_free(store->kept);
	cleanup_close(&store->lock_fd);
	cleanup_close(&store->dir_fd);
	store->lock_fd = -1;
	store->dir_fd = -1;
}

int store_new(struct store *store)
{
	auto_close int fd = -1;

	debris_sweep(store);
	fd = openat(store->dir_fd, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (fchmod(fd, 0600) < 0) /* an odd umask */
		return -errno;
	return cleanup_steal(&fd);
}

int store_make(struct store *store, uint64_t bytes)
{
	auto_close int fd = store_new(store);
	int r = EINTR;

	if (fd < 0)
		return fd;
	for (unsigned i = 0; r == EINTR && i < ALLOCATE_TRIES; i++)
		r = posix_fallocate(fd, 0, (off_t)bytes);
	if (r != 0)
		return -r;
	return cleanup_steal(&fd);
}

int store_link(struct store *store, int fd, const char *file)
{
	char self[40];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	if (linkat(AT_FDCWD, self, store->dir_fd, file, AT_SYMLINK_FOLLOW) < 0)
		return -errno;
	debris_forget(store, file);
	return 0;
}

int store_open_file(struct store *store, const char *file, int flags)
{
	/* O_NONBLOCK: a fifo under our name must not keep us waiting. */
	auto_close int fd = openat(store->dir_fd, file, flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADMSG;
	if (st.st_uid != store->uid)
		return -EPERM;
	return cleanup_steal(&fd);
}

int store_unlink(struct store *store, const char *file)
{
	return unlinkat(store->dir_fd, file, 0) < 0 ? -errno : 0;
}

int store_error(int error)
{
	switch (error) {
	case 0:
	case -ENOMEM:
	case -EMFILE:
	case -ENOSPC:
	case -EBADMSG: /* files that others have damaged */
	case -ESTALE:  /* or replaced */
	case -EEXIST:  /* or put in the way */
		return error;
	case -ENFILE:
		return -EMFILE;
	case -ENOBUFS:
		return -ENOMEM;
	case -EDQUOT: /* of the file system, not the operator's */
		return -ENOSPC;
	default:
		return -EIO;
	}
}
