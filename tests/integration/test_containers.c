/* SPDX-License-Identifier: MIT */
/* Clients in namespaces of their own, with another root and other clocks, and those in a user namespace. Skipped without root. */
#include "access.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Its clocks that count from the start of the host are ahead by a day. */
static bool shift_clocks(void)
{
	static const char offsets[] = "monotonic 86400 0\nboottime 86400 0\n";
	int fd = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, offsets, sizeof(offsets) - 1) == (ssize_t)sizeof(offsets) - 1;

	close(fd);
	return done;
}

/* Waits by its own clock: for what does not come, and for an element that comes from there. */
static int waits(struct shmb *client, const char *name)
{
	static const char bytes[64] = "y";
	struct shmb_options options = { .capacity = 8 };
	struct shmb_ring_reader *reader = NULL;
	struct shmb_ring_writer *writer = NULL;
	struct shmb_type *type = pattern_type(64);
	struct shmb_sample sample;
	uint64_t begun = shmb_now_ns();
	char payload[64];
	int r = shmb_ring_reader_open(&reader, client, name, NULL, SHMB_NO_WAIT);

	if (r == 0)
		r = shmb_ring_wait(reader, begun + 50000000) == -ETIMEDOUT || shmb_ring_read_next(reader, payload, &sample) == 0 ? 0 : -EIO;
	if (r == 0 && shmb_now_ns() - begun > UINT64_C(1000000) * SUITE_PATIENCE_MS)
		r = -ETIME;
	if (r == 0)
		r = shmb_ring_writer_open(&writer, client, name, type, &options);
	if (r == 0)
		r = shmb_ring_insert(writer, bytes);
	if (r == 0)
		r = shmb_ring_wait(reader, shmb_now_ns() + UINT64_C(1000000) * SUITE_PATIENCE_MS);
	shmb_ring_writer_close(writer);
	shmb_ring_reader_close(reader);
	shmb_type_free(type);
	return r;
}

/*
 * A container: mount, pid, network, time, IPC and UTS namespaces of its own, a root that has nothing of the host's /run and /dev/shm but the socket, bound to
 * another place. `user`: a user namespace around it, in which it is root.
 */
static int contained(struct broker *b, bool user)
{
	const char *own = user ? "from/user" : "from/container";
	uint64_t outside_ns = shmb_now_ns();
	struct shmb *client = NULL;
	char map[64];
	pid_t pid;
	int status;

	if (user) {
		uid_t uid = getuid();
		int fd;

		CHILD_CHECK(unshare(CLONE_NEWUSER) == 0);
		fd = open("/proc/self/setgroups", O_WRONLY | O_CLOEXEC);
		CHILD_CHECK(fd >= 0 && write(fd, "deny", 4) == 4 && close(fd) == 0);
		fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
		snprintf(map, sizeof(map), "0 %u 1", (unsigned)uid);
		CHILD_CHECK(fd >= 0 && write(fd, map, strlen(map)) == (ssize_t)strlen(map) && close(fd) == 0);
		fd = open("/proc/self/gid_map", O_WRONLY | O_CLOEXEC);
		CHILD_CHECK(fd >= 0 && write(fd, map, strlen(map)) == (ssize_t)strlen(map) && close(fd) == 0);
	}
	CHILD_CHECK(unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) == 0);
	/* Of processes that are made from here on; a kernel without these namespaces has EINVAL. */
	if (unshare(CLONE_NEWTIME) == 0)
		CHILD_CHECK(shift_clocks());
	else
		outside_ns = UINT64_MAX;
	CHILD_CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	pid = fork(); /* the first process of the pid namespace */
	CHILD_CHECK(pid >= 0);
	if (pid > 0) {
		CHILD_CHECK(waitpid(pid, &status, 0) == pid);
		return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	CHILD_CHECK(getpid() == 1);
	CHILD_CHECK(outside_ns == UINT64_MAX || shmb_now_ns() - outside_ns > UINT64_C(86000) * 1000000000);
	CHILD_CHECK(mount("none", "/mnt", "tmpfs", 0, NULL) == 0);
	CHILD_CHECK(close(open("/mnt/control.sock", O_CREAT | O_WRONLY | O_CLOEXEC, 0600)) == 0);
	CHILD_CHECK(mount(b->socket, "/mnt/control.sock", NULL, MS_BIND, NULL) == 0);
	CHILD_CHECK(mount("none", "/dev/shm", "tmpfs", 0, NULL) == 0);
	CHILD_CHECK(mount("none", "/tmp", "tmpfs", 0, NULL) == 0);
	CHILD_CHECK(access(b->socket, F_OK) != 0);
	CHILD_CHECK(shmb_connect(&client, "/mnt/control.sock") == 0);
	CHILD_CHECK(reads(client, "plain") == 0);
	CHILD_CHECK(writes(client, own) == 0);
	CHILD_CHECK(reads(client, own) == 0);
	CHILD_CHECK(waits(client, own) == 0);
	CHILD_CHECK(reads(client, "secret/a") == (user ? -EACCES : 0)); /* root in there is nobody here */
	shmb_disconnect(client);
	return 0;
}

static int child_container(struct broker *b)
{
	return contained(b, false);
}

static int child_user_namespace(struct broker *b)
{
	return contained(b, true);
}

/* In a chroot the kernel lets nobody make a user namespace, whoever it is. */
static bool may_make_user_namespaces(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(unshare(CLONE_NEWUSER) == 0 ? 0 : 1);
	return waitpid(pid, &status, 0) == pid && status == 0;
}

START_TEST(clients_in_containers)
{
	struct shmb *client;
	struct listed listed;
	struct broker b;
	pid_t pid;

	if (geteuid() != 0)
		TEST_SKIP("needs root for namespaces");
	start(&b);
	ck_assert_int_eq(chmod(b.dir, 0755), 0);
	pid = fork();
	if (pid == 0)
		_exit(child_container(&b));
	wait_child(pid);
	client = broker_connect(&b);
	ck_assert(segment_listed(client, "from/container", &listed));
	ck_assert_uint_eq(listed.owner_uid, 0);
	if (!may_make_user_namespaces()) {
		shmb_disconnect(client);
		broker_finish(&b);
		TEST_SKIP("the part with a user namespace: none can be made here (in a chroot)");
	}
	pid = fork();
	if (pid == 0) {
		if (setgroups(0, NULL) != 0 || setresgid(UID, UID, UID) != 0 || setresuid(UID, UID, UID) != 0)
			_exit(126);
		prctl(PR_SET_DUMPABLE, 1);
		_exit(child_user_namespace(&b));
	}
	wait_child(pid);
	ck_assert(segment_listed(client, "from/user", &listed));
	ck_assert_uint_eq(listed.owner_uid, UID);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("containers");

	suite_add(suite, clients_in_containers, 60);
	return suite_run(suite);
}
