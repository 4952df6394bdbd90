/* SPDX-License-Identifier: MIT */
/* The daemon's directory: whose it may be, its lock, and the making and opening of files. */
#include "store_fixture.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

static void path_make(char path[128])
{
	snprintf(path, 128, "%s/%d", fixture_base, getpid());
}

START_TEST(makes_its_directory)
{
	struct fixture fixture;
	struct stat st;

	umask(0777);
	fixture_open(&fixture);
	ck_assert_int_eq(stat(fixture.path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0700);
	ck_assert_uint_eq(fixture_files(&fixture), 0);
	fixture_close(&fixture);
	fixture_open(&fixture); /* and takes it again */
	fixture_close(&fixture);
}
END_TEST

static int refused(const char *path)
{
	struct store store;
	char why[256];
	int r = store_open(&store, path, 4, why);

	ck_assert_int_lt(r, 0);
	ck_assert_uint_gt(strlen(why), 0);
	ck_assert_msg(strstr(why, "shm") != NULL, "the message names the directory: %s", why);
	ck_assert_int_eq(store.dir_fd, -1);
	ck_assert_int_eq(store.lock_fd, -1);
	return r;
}

START_TEST(refuses_what_is_not_its_own)
{
	char path[128], other[160];

	path_make(path);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(chmod(path, 0755), 0);
	ck_assert_int_eq(refused(path), -EPERM);
	ck_assert_int_eq(chmod(path, 0720), 0);
	ck_assert_int_eq(refused(path), -EPERM);
	ck_assert_int_eq(chmod(path, 0700), 0);

	snprintf(other, sizeof(other), "%s/link", path);
	ck_assert_int_eq(symlink(path, other), 0);
	ck_assert_int_lt(refused(other), 0);
	snprintf(other, sizeof(other), "%s/missing/below", path);
	ck_assert_int_eq(refused(other), -ENOENT);
	snprintf(other, sizeof(other), "%s/file", path);
	close(open(other, O_CREAT | O_WRONLY, 0600));
	ck_assert_int_eq(refused(other), -ENOTDIR);
	if (geteuid() == 0) {
		ck_assert_int_eq(chown(path, 12345, 12345), 0);
		ck_assert_int_eq(refused(path), -EPERM);
		ck_assert_int_eq(chown(path, 0, 0), 0);
	}
}
END_TEST

START_TEST(path_too_long)
{
	struct store store;
	char path[300], why[256];

	memset(path, 'x', sizeof(path) - 1);
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	ck_assert_int_eq(store_open(&store, path, 4, why), -ENAMETOOLONG);
	ck_assert_uint_gt(strlen(why), 0);
}
END_TEST

START_TEST(one_daemon_at_a_time)
{
	struct fixture fixture;
	struct store second;
	char why[256], pid[16];

	fixture_open(&fixture);
	ck_assert_int_eq(store_open(&second, fixture.path, 4, why), -EWOULDBLOCK);
	snprintf(pid, sizeof(pid), "%d", getpid());
	ck_assert_ptr_nonnull(strstr(why, pid));
	fixture_close(&fixture);
	ck_assert_int_eq(store_open(&second, fixture.path, 4, why), 0);
	store_close(&second);
}
END_TEST

/* A daemon killed holds the lock no longer. */
START_TEST(lock_ends_with_its_daemon)
{
	struct fixture fixture;
	int ready[2];
	pid_t child;
	char byte;

	ck_assert_int_eq(pipe(ready), 0);
	path_make(fixture.path);
	child = fork();
	if (child == 0) {
		struct store store;
		char why[256];

		if (store_open(&store, fixture.path, 4, why) == 0 && write(ready[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	ck_assert_int_eq(refused(fixture.path), -EWOULDBLOCK);
	kill(child, SIGKILL);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	fixture_open(&fixture);
	fixture_close(&fixture);
}
END_TEST

START_TEST(probe_left_by_a_killed_daemon)
{
	struct fixture fixture;
	char file[160];

	fixture_open(&fixture);
	snprintf(file, sizeof(file), "%s/,probe", fixture.path);
	close(open(file, O_CREAT | O_WRONLY, 0600));
	fixture_close(&fixture);
	fixture_open(&fixture);
	ck_assert_uint_eq(fixture_files(&fixture), 0);
	fixture_close(&fixture);
}
END_TEST

START_TEST(files)
{
	struct fixture fixture;
	struct stat st;
	int fd;
	int again;

	umask(0777);
	fixture_open(&fixture);
	fd = store_make(&fixture.store, 3 * SHMB_PAGE);
	ck_assert_int_ge(fd, 0);
	ck_assert_uint_eq(fixture_files(&fixture), 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(st.st_size, 3 * SHMB_PAGE);
	ck_assert_int_ge(st.st_blocks * 512, 3 * SHMB_PAGE); /* allocated: never SIGBUS later */
	ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);

	ck_assert_int_eq(store_link(&fixture.store, fd, "x"), 0);
	ck_assert_int_eq(store_link(&fixture.store, fd, "x"), -EEXIST);
	close(fd);
	again = store_open_file(&fixture.store, "x", O_RDONLY);
	ck_assert_int_ge(again, 0);
	ck_assert_int_ne(fcntl(again, F_GETFD) & FD_CLOEXEC, 0);
	ck_assert_ptr_eq(mmap(NULL, SHMB_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0), MAP_FAILED);
	close(again);
	ck_assert_int_eq(store_unlink(&fixture.store, "x"), 0);
	ck_assert_int_eq(store_unlink(&fixture.store, "x"), -ENOENT);
	ck_assert_int_eq(store_open_file(&fixture.store, "x", O_RDONLY), -ENOENT);
	fixture_close(&fixture);
}
END_TEST

/* None of them is followed, waited for or opened. */
START_TEST(opens_regular_files_only)
{
	struct fixture fixture;
	char file[160];

	fixture_open(&fixture);
	snprintf(file, sizeof(file), "%s/fifo", fixture.path);
	ck_assert_int_eq(mkfifo(file, 0600), 0);
	ck_assert_int_eq(store_open_file(&fixture.store, "fifo", O_RDONLY), -EBADMSG);
	ck_assert_int_lt(store_open_file(&fixture.store, "fifo", O_RDWR), 0);
	snprintf(file, sizeof(file), "%s/directory", fixture.path);
	ck_assert_int_eq(mkdir(file, 0700), 0);
	ck_assert_int_eq(store_open_file(&fixture.store, "directory", O_RDONLY), -EBADMSG);
	ck_assert_int_eq(store_open_file(&fixture.store, "directory", O_RDWR), -EISDIR);
	snprintf(file, sizeof(file), "%s/link", fixture.path);
	ck_assert_int_eq(symlink("/etc/passwd", file), 0);
	ck_assert_int_eq(store_open_file(&fixture.store, "link", O_RDONLY), -ELOOP);
	if (geteuid() == 0) {
		snprintf(file, sizeof(file), "%s/other", fixture.path);
		close(open(file, O_CREAT | O_WRONLY, 0666));
		ck_assert_int_eq(chown(file, 12345, 12345), 0);
		ck_assert_int_eq(store_open_file(&fixture.store, "other", O_RDONLY), -EPERM);
	}
	fixture_close(&fixture);
}
END_TEST

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	ck_assert_int_eq(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* A directory of ours on a tmpfs of this size, seen by this process alone. False where namespaces are not to be had. */
static bool small_tmpfs(struct fixture *fixture, const char *size)
{
	char why[256];
	char map[64];

	if (unshare(CLONE_NEWNS) < 0) {
		uid_t uid = geteuid();
		gid_t gid = getegid();

		if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) {
			fprintf(stderr, "no namespaces here: not tested\n");
			return false;
		}
		write_file("/proc/self/setgroups", "deny");
		snprintf(map, sizeof(map), "%u %u 1\n", uid, uid);
		write_file("/proc/self/uid_map", map);
		snprintf(map, sizeof(map), "%u %u 1\n", gid, gid);
		write_file("/proc/self/gid_map", map);
	}
	if (mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0) /* in a chroot, "/" may be no mount */
		ck_assert_int_eq(mount(NULL, "/dev/shm", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	path_make(fixture->path);
	ck_assert_int_eq(mkdir(fixture->path, 0700), 0);
	snprintf(map, sizeof(map), "mode=0700,%s", size);
	ck_assert_int_eq(mount("none", fixture->path, "tmpfs", MS_NOSUID | MS_NODEV, map), 0);
	fixture->descriptors = fixture_count("/proc/self/fd");
	ck_assert_msg(store_open(&fixture->store, fixture->path, 4, why) == 0, "%s", why);
	return true;
}

START_TEST(full_file_system)
{
	struct fixture fixture;
	struct segment_spec spec = fixture_spec("big");
	struct segment *segment;
	const char *why;

	if (!small_tmpfs(&fixture, "size=256k"))
		return;
	spec.request.payload_bytes = 64 << 10;
	ck_assert_int_eq(segment_create(&fixture.store, &spec, &segment, &why), -ENOSPC);
	ck_assert_ptr_nonnull(strstr(why, "full"));
	ck_assert_uint_eq(fixture_files(&fixture), 0);
	segment = fixture_segment(&fixture, "small"); /* and all of it can be used again */
	ck_assert_int_eq(segment_remove(&fixture.store, segment), 0);
	fixture_close(&fixture);
}
END_TEST

/* Out of inodes at each of the files: nothing is left of any of them. */
START_TEST(out_of_inodes)
{
	struct fixture fixture;
	unsigned made = 0;

	if (!small_tmpfs(&fixture, "nr_inodes=17"))
		return;
	for (char name[] = "a"; made == 0; name[0]++) {
		struct segment_spec spec = fixture_spec(name);
		unsigned before = fixture_files(&fixture);
		struct segment *segment;
		const char *why;
		int r = segment_create(&fixture.store, &spec, &segment, &why);

		if (r == 0) {
			segment_free(segment);
			continue;
		}
		made = before;
		ck_assert_int_eq(r, -ENOSPC);
		ck_assert_uint_eq(fixture_files(&fixture), before);
	}
	ck_assert_uint_gt(made, 0);
	fixture_close(&fixture);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("store");

	fixture_begin();
	unit_add(suite, makes_its_directory, 5);
	unit_add(suite, refuses_what_is_not_its_own, 5);
	unit_add(suite, path_too_long, 5);
	unit_add(suite, one_daemon_at_a_time, 5);
	unit_add(suite, lock_ends_with_its_daemon, 5);
	unit_add(suite, probe_left_by_a_killed_daemon, 5);
	unit_add(suite, files, 5);
	unit_add(suite, opens_regular_files_only, 5);
	unit_add(suite, full_file_system, 5);
	unit_add(suite, out_of_inodes, 5);
	return fixture_end(unit_run(suite));
}
