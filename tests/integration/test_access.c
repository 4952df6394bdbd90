/* SPDX-License-Identifier: MIT */
/*
 * Who may read and write, by uid, group and supplementary groups as the kernel tells them; what the others see; clients in namespaces of their own. The
 * other users are children of this process that changed their ids. Skipped without root.
 */
#include "../support/client.h"
#include "../support/raw.h"
#include "shmb_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { UID = 4201, STRANGER = 4202, GROUP = 4301 };

#define CHILD_CHECK(condition)                                                                                                             \
	do {                                                                                                                               \
		if (!(condition)) {                                                                                                        \
			fprintf(stderr, "as uid %d: %s:%d: not so: %s (errno %d, text: %s)\n", (int)getuid(), __FILE__, __LINE__,          \
				#condition, errno, shmb_text());                                                                           \
			return 1;                                                                                                          \
		}                                                                                                                          \
	} while (0)

static void wait_child(pid_t pid)
{
	uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);
	int status;

	while (waitpid(pid, &status, WNOHANG) == 0)
		ck_assert_msg(suite_pause(deadline), "the other user's process does not end");
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the other user's process ended with %#x", (unsigned)status);
}

/* Runs `body` in a child of this uid, with this supplementary group (0: none); its result must be 0. */
static void as_user(uid_t uid, gid_t group, int (*body)(struct broker *b), struct broker *b)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (setgroups(group != 0, &group) != 0 || setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0)
			_exit(126);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(body(b));
	}
	wait_child(pid);
}

static int reads(struct shmb *client, const char *name)
{
	struct shmb_ring_reader *reader = NULL;
	char payload[64];
	int r = shmb_ring_reader_open(&reader, client, name, NULL, SHMB_NO_WAIT);

	if (r == 0)
		r = shmb_ring_latest(reader, payload, NULL);
	shmb_ring_reader_close(reader);
	return r;
}

static int writes(struct shmb *client, const char *name)
{
	static const char bytes[64] = "x";
	struct shmb_options options = { .capacity = 8 };
	struct shmb_ring_writer *writer = NULL;
	struct shmb_type *type = pattern_type(64);
	int r = shmb_ring_writer_open(&writer, client, name, type, &options);

	if (r == 0)
		r = shmb_ring_insert(writer, bytes);
	shmb_ring_writer_close(writer);
	shmb_type_free(type);
	return r;
}

static int count_one(const struct shmb_segment_info *info, void *user)
{
	(void)info;
	++*(unsigned *)user;
	return 0;
}

static int find_info(const struct shmb_segment_info *info, const char *text, const struct shmb_reader_info *readers, void *user)
{
	(void)info;
	(void)text;
	(void)readers;
	(void)user;
	return 0;
}

static int ignore_reload(const struct shmb_reload_result *result, void *user)
{
	(void)result;
	(void)user;
	return 0;
}

static int ignore_gc(const struct shmb_gc_info *info, void *user)
{
	++*(unsigned *)user;
	(void)info;
	return 0;
}

static int ignore_policy(const struct shmb_policy_info *info, void *user)
{
	*(int *)user = info->may_write * 2 + info->may_read;
	return 0;
}

static const char config[] = "[broker]\nlinger = infinity\n"
			     "[segment camera/*]\nwriters = 4201\nreaders = @4301\n"
			     "[segment secret/*]\nreaders = none\n"
			     "[segment shut/*]\nwriters = none\n";

static void start(struct broker *b)
{
	struct shmb *client;
	struct shmb_ring_writer *writer;

	broker_start(b, &(struct broker_options){ .runtime_mode = 0755, .config = config });
	client = broker_connect(b);
	writer = ring_writer(client, "secret/a", 64, 8);
	ring_write(writer, 64, 1, 1);
	shmb_ring_writer_close(writer);
	writer = ring_writer(client, "plain", 64, 8);
	ring_write(writer, 64, 1, 1);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
}

static int child_writer(struct broker *b)
{
	struct shmb *client = NULL;

	CHILD_CHECK(shmb_connect(&client, b->socket) == 0);
	CHILD_CHECK(writes(client, "camera/a") == 0);
	CHILD_CHECK(reads(client, "camera/a") == 0); /* who may write may read */
	CHILD_CHECK(writes(client, "shut/a") == -EACCES);
	CHILD_CHECK(writes(client, "plain") == -EPERM && strstr(shmb_text(), "belongs to uid 0") != NULL);
	shmb_disconnect(client);
	return 0;
}

static int child_reader(struct broker *b)
{
	struct shmb *client = NULL;
	unsigned count = 0;
	int may = 0;

	CHILD_CHECK(shmb_connect(&client, b->socket) == 0);
	CHILD_CHECK(reads(client, "camera/a") == 0);
	CHILD_CHECK(writes(client, "camera/a") == -EACCES);
	CHILD_CHECK(strstr(shmb_text(), "writers = 4201 (") != NULL && strstr(shmb_text(), "shmbrokerd.conf:4)") != NULL);
	CHILD_CHECK(writes(client, "camera/new") == -EACCES);
	CHILD_CHECK(shmb_list(client, count_one, &count) == 0 && count == 2); /* camera/a and plain */
	CHILD_CHECK(shmb_policy(client, "camera/a", NULL, ignore_policy, &may) == 0 && may == 1);
	shmb_disconnect(client);
	return 0;
}

static int child_stranger(struct broker *b)
{
	const uint32_t groups[] = { GROUP };
	struct shmb *client = NULL;
	unsigned count = 0;
	int may = 0;
	char first[240];

	CHILD_CHECK(shmb_connect(&client, b->socket) == 0);
	CHILD_CHECK(reads(client, "camera/a") == -EACCES);
	CHILD_CHECK(strstr(shmb_text(), "readers = @4301 (") != NULL && strstr(shmb_text(), "shmbrokerd.conf:5)") != NULL);
	/* Nothing tells whether there is such a segment. */
	CHILD_CHECK(shmb_info(client, "secret/a", find_info, NULL) == -EACCES);
	snprintf(first, sizeof(first), "%s", strchr(shmb_text(), ' '));
	CHILD_CHECK(shmb_info(client, "secret/b", find_info, NULL) == -EACCES && strcmp(first, strchr(shmb_text(), ' ')) == 0);
	CHILD_CHECK(reads(client, "secret/b") == -EACCES && shmb_remove(client, "secret/a") == -EACCES);
	CHILD_CHECK(shmb_remove(client, "secret/b") == -EACCES);
	CHILD_CHECK(shmb_list(client, count_one, &count) == 0 && count == 1); /* plain */
	CHILD_CHECK(reads(client, "plain") == 0 && shmb_remove(client, "plain") == -EPERM);
	/* What is the operator's is not his. */
	CHILD_CHECK(shmb_reload(client, ignore_reload, NULL) == -EPERM);
	CHILD_CHECK(shmb_gc(client, 0, ignore_gc, &count) == -EPERM);
	count = 0;
	CHILD_CHECK(shmb_gc(client, SHMB_GC_TELL, ignore_gc, &count) == 0 && count == 1);
	CHILD_CHECK(shmb_policy(client, "camera/a", NULL, ignore_policy, &may) == 0 && may == 0);
	CHILD_CHECK(shmb_policy(client, "camera/a", &(struct shmb_user){ .uid = UID, .gids = groups }, ignore_policy, &may) == -EPERM);
	/* Asking as oneself with groups that one does not have. */
	CHILD_CHECK(shmb_policy(client, "camera/a", &(struct shmb_user){ .uid = STRANGER, .gids = groups, .gid_count = 1 }, ignore_policy,
				&may) == 0 &&
		    may == 0);
	shmb_disconnect(client);
	return 0;
}

START_TEST(lists_of_users_and_groups)
{
	struct broker b;

	if (geteuid() != 0)
		TEST_SKIP("needs root to become other users");
	start(&b);
	as_user(UID, 0, child_writer, &b);
	as_user(STRANGER, GROUP, child_reader, &b);
	as_user(STRANGER, 0, child_stranger, &b);
	broker_finish(&b);
}
END_TEST

/* ---- while it is open ---- */

static int pipe_to_child[2];
static int pipe_from_child[2];

static int child_holds(struct broker *b)
{
	struct shmb_ring_reader *reader = NULL;
	struct shmb *client = NULL;
	char payload[64];
	char byte = 0;

	CHILD_CHECK(shmb_connect(&client, b->socket) == 0);
	CHILD_CHECK(shmb_ring_reader_open(&reader, client, "camera/a", NULL, SHMB_NO_WAIT) == 0);
	CHILD_CHECK(write(pipe_from_child[1], "x", 1) == 1 && read(pipe_to_child[0], &byte, 1) == 1);
	/* What it has mapped it keeps, but it gets it no second time. */
	CHILD_CHECK(shmb_ring_latest(reader, payload, NULL) == 0);
	CHILD_CHECK(reads(client, "camera/a") == -EACCES);
	shmb_ring_reader_close(reader);
	shmb_disconnect(client);
	return 0;
}

static int note_reload(const struct shmb_reload_result *result, void *user)
{
	snprintf(user, 2048, "%u %s", result->not_applied, result->notes);
	return 0;
}

START_TEST(rights_taken_away_while_it_is_open)
{
	struct shmb *client;
	struct broker b;
	char notes[2048];
	char byte;
	pid_t pid;

	if (geteuid() != 0)
		TEST_SKIP("needs root to become other users");
	start(&b);
	as_user(UID, 0, child_writer, &b);
	ck_assert(pipe(pipe_to_child) == 0 && pipe(pipe_from_child) == 0);
	pid = fork();
	if (pid == 0) {
		gid_t group = GROUP;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (setgroups(1, &group) != 0 || setresgid(STRANGER, STRANGER, STRANGER) != 0 ||
		    setresuid(STRANGER, STRANGER, STRANGER) != 0)
			_exit(126);
		_exit(child_holds(&b));
	}
	close(pipe_from_child[1]); /* its end is the end of the pipe */
	ck_assert_int_eq(read(pipe_from_child[0], &byte, 1), 1);
	broker_configure(&b, "[broker]\nlinger = infinity\n[segment camera/*]\nreaders = none\n");
	client = broker_connect(&b);
	ASSERT_OK(shmb_reload(client, note_reload, notes));
	ck_assert_msg(strstr(notes, "may no longer read it, but has it open: readers = none (") != NULL, "%s", notes);
	ck_assert_int_eq(write(pipe_to_child[1], "x", 1), 1);
	wait_child(pid);
	close(pipe_to_child[0]);
	close(pipe_to_child[1]);
	close(pipe_from_child[0]);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- namespaces ---- */

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

/* ---- recipes: each is read by --check-config, and does what it says ---- */

static char *recipe(const char *name)
{
	struct program_result result;
	char copy[64];
	char path[1024];
	char *text;

	snprintf(copy, sizeof(copy), "/tmp/shmb-test-recipe-%d.conf", (int)getpid());
	snprintf(path, sizeof(path), "%s/docs/recipes/%s", path_source(), name);
	text = file_read(path, NULL);
	ck_assert_ptr_nonnull(text);
	file_write(copy, text, strlen(text)); /* the tree's own may belong to anybody, and be refused */
	ck_assert_int_eq(chmod(copy, 0644), 0);
	program_run(&result, NULL, ARGV(path_daemon(), "--check-config", copy));
	unlink(copy);
	ck_assert_msg(result.status == 0, "%s: %s", name, result.err);
	program_result_deinit(&result);
	return text;
}

START_TEST(recipe_camera_rig)
{
	char *text = recipe("camera-rig.conf");
	struct shmb_ring_writer *writer;
	struct shmb *client;
	struct broker b;

	if (geteuid() != 0)
		TEST_SKIP("its users are root");
	broker_start(&b, &(struct broker_options){ .config = text, .linger = "0" });
	client = broker_connect(&b);
	ck_assert_int_eq(ring_writer_try(client, "camera/front/calibration", 8192, 64), -EFBIG);
	writer = ring_writer(client, "camera/front/calibration", 64, 8);
	ring_write(writer, 64, 1, 1);
	shmb_ring_writer_close(writer);
	writer = ring_writer(client, "other", 64, 8);
	shmb_ring_writer_close(writer);
	WAIT_UNTIL(segments_count(client) == 1); /* the other went, the calibration is kept */
	ck_assert(segment_listed(client, "camera/front/calibration", &(struct listed){ 0 }));
	shmb_disconnect(client);
	broker_finish(&b);
	free(text);
}
END_TEST

static int child_plugin(struct broker *b)
{
	struct shmb *client = NULL;

	CHILD_CHECK(shmb_connect(&client, b->socket) == 0);
	CHILD_CHECK(writes(client, "proposal/lanes") == 0);
	CHILD_CHECK(writes(client, "proposal/parking") == -EACCES && writes(client, "proposal/new") == -EACCES);
	CHILD_CHECK(writes(client, "world/map") == -EACCES && reads(client, "world/map") == 0);
	CHILD_CHECK(reads(client, "state") == -EACCES && writes(client, "state") == -EACCES);
	shmb_disconnect(client);
	return 0;
}

START_TEST(recipe_planner_plugins)
{
	char *text = recipe("planner-plugins.conf");
	struct shmb_ring_writer *writer;
	struct shmb *client;
	struct broker b;

	if (geteuid() != 0)
		TEST_SKIP("needs root to become other users");
	broker_start(&b, &(struct broker_options){ .config = text, .runtime_mode = 0755, .linger = "infinity" });
	client = broker_connect(&b);
	writer = ring_writer(client, "world/map", 64, 8);
	ring_write(writer, 64, 1, 1);
	as_user(3001, 0, child_plugin, &b);
	WAIT_UNTIL(segments_count(client) == 1); /* its proposal ended with it */
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
	free(text);
}
END_TEST

static int child_driver(struct broker *b)
{
	struct shmb *client = NULL;

	CHILD_CHECK(shmb_connect(&client, b->socket) == 0);
	CHILD_CHECK(writes(client, "sensor/lidar") == 0);
	shmb_disconnect(client);
	return 0;
}

static int child_consumer(struct broker *b)
{
	struct shmb *client = NULL;

	CHILD_CHECK(shmb_connect(&client, b->socket) == 0);
	CHILD_CHECK(reads(client, "sensor/lidar") == 0 && writes(client, "sensor/lidar") == -EACCES);
	CHILD_CHECK(writes(client, "planner/path") == 0);
	shmb_disconnect(client);
	return 0;
}

START_TEST(recipe_containers)
{
	char *text = recipe("containers.conf");
	struct broker b;

	if (geteuid() != 0)
		TEST_SKIP("needs root to become other users");
	broker_start(&b, &(struct broker_options){ .config = text, .runtime_mode = 0755 });
	as_user(100000, 0, child_driver, &b);
	as_user(100007, 0, child_consumer, &b);
	broker_finish(&b);
	free(text);
}
END_TEST

/* ---- what is hidden ---- */

struct policy_seen {
	int may;
	bool is_there;
	char why[2][256];
};

static int keep_policy(const struct shmb_policy_info *info, void *user)
{
	struct policy_seen *seen = user;

	seen->may = info->may_write * 2 + info->may_read;
	seen->is_there = info->is_there;
	snprintf(seen->why[0], sizeof(seen->why[0]), "%s", info->read_why);
	snprintf(seen->why[1], sizeof(seen->why[1]), "%s", info->write_why);
	return 0;
}

static int asks_about_secrets(struct broker *b)
{
	struct policy_seen there = { 0 }, nowhere = { 0 };
	struct shmb *client;

	CHILD_CHECK(shmb_connect(&client, b->socket) == 0);
	CHILD_CHECK(shmb_policy(client, "secret/a", NULL, keep_policy, &there) == 0);
	CHILD_CHECK(shmb_policy(client, "secret/b", NULL, keep_policy, &nowhere) == 0);
	CHILD_CHECK(there.may == nowhere.may && there.is_there == nowhere.is_there);
	CHILD_CHECK(strcmp(there.why[0], nowhere.why[0]) == 0 && strcmp(there.why[1], nowhere.why[1]) == 0);
	CHILD_CHECK(shmb_remove(client, "secret/a") == -EACCES && shmb_remove(client, "secret/b") == -EACCES);
	CHILD_CHECK(writes(client, "secret/a") == -EACCES);
	snprintf(there.why[0], sizeof(there.why[0]), "%s", strchr(shmb_text(), ' '));
	CHILD_CHECK(writes(client, "secret/b") == -EACCES && strcmp(there.why[0], strchr(shmb_text(), ' ')) == 0);
	shmb_disconnect(client);
	return 0;
}

/* Where a policy hides a name, its answer is the same whether the segment is there or not. */
START_TEST(policy_does_not_tell_what_it_hides)
{
	struct broker b;

	if (geteuid() != 0)
		TEST_SKIP("needs root to become other users");
	start(&b);
	as_user(STRANGER, 0, asks_about_secrets, &b);
	broker_finish(&b);
}
END_TEST

static uint64_t secret_id; /* as a stranger may have listed it when he still saw it */

static int resumes_a_secret(struct broker *b)
{
	static struct raw_answer answer;
	struct shmb_msg_resume resume = { .handle = 1, .role = SHMB_ROLE_OBSERVER, .cell = UINT32_MAX, .generation = 1 };
	struct shmb_msg_ready ready = { 0 };
	struct shmb_msg_open_reader open;
	struct raw raw = { 0 };

	CHILD_CHECK(raw_hello(&raw, b->socket) == 0);
	resume.segment_id = secret_id;
	strcpy(resume.name, "secret/a");
	raw_ask(&raw, SHMB_OP_RESUME, &resume, sizeof(resume), NULL, 0, &answer);
	raw_answer_deinit(&answer);
	CHILD_CHECK(raw_ask(&raw, SHMB_OP_READY, &ready, sizeof(ready), NULL, 0, &answer) == 0);
	raw_answer_deinit(&answer);
	raw_open_reader(&open, "secret/a");
	open.handle = 1;
	open.role = SHMB_ROLE_OBSERVER;
	CHILD_CHECK(raw_ask(&raw, SHMB_OP_OPEN_READER, &open, sizeof(open), NULL, 0, &answer) == -EACCES);
	CHILD_CHECK(answer.fd_count == 0);
	raw_answer_deinit(&answer);
	raw_close(&raw);
	return 0;
}

/* Resuming what one never had open is no way to its descriptors. */
START_TEST(resuming_is_no_way_round_the_policy)
{
	static struct raw_answer answer;
	struct shmb_msg_list list = { 0 };
	const struct shmb_msg_segment *record;
	struct broker b;
	struct raw raw = { 0 };

	if (geteuid() != 0)
		TEST_SKIP("needs root to become other users");
	start(&b);
	ck_assert_int_eq(raw_start(&raw, b.socket), 0);
	ck_assert_int_eq(raw_ask(&raw, SHMB_OP_LIST, &list, sizeof(list), NULL, 0, &answer), 0);
	record = (const struct shmb_msg_segment *)(answer.bytes + sizeof(struct shmb_msg_list_answer));
	ck_assert_str_eq(record->name, "secret/a");
	secret_id = record->segment_id;
	raw_answer_deinit(&answer);
	raw_close(&raw);
	as_user(STRANGER, 0, resumes_a_secret, &b);
	broker_finish(&b);
}
END_TEST

static int watches_secrets(struct broker *b)
{
	struct shmb_event event;
	struct shmb_watch *watch;
	struct shmb *client;

	CHILD_CHECK(shmb_connect(&client, b->socket) == 0);
	CHILD_CHECK(shmb_watch_open(&watch, b->socket, "secret/*") == 0);
	CHILD_CHECK(shmb_remove(client, "secret/a") == -EACCES && shmb_remove(client, "secret/b") == -EACCES);
	CHILD_CHECK(shmb_watch_next(watch, &event, deadline_in(300)) == -ETIMEDOUT);
	shmb_watch_close(watch);
	shmb_disconnect(client);
	return 0;
}

/* Nor do events: who is refused hears nothing of a hidden name, whether it is there or not. */
START_TEST(events_do_not_tell_what_is_hidden)
{
	struct broker b;

	if (geteuid() != 0)
		TEST_SKIP("needs root to become other users");
	start(&b);
	as_user(STRANGER, 0, watches_secrets, &b);
	broker_finish(&b);
}
END_TEST

/* Who sends nonsense again and again does not fill the log. */
START_TEST(nonsense_does_not_fill_the_log)
{
	struct raw_answer answer;
	struct raw raw = { 0 };
	unsigned lines = 0;
	struct broker b;
	char *log;

	broker_start(&b, NULL);
	for (unsigned i = 0; i < 100; i++) {
		ck_assert_int_eq(raw_start(&raw, b.socket), 0);
		ck_assert_int_eq(raw_send(&raw, "nonsense", 8), 0);
		while (raw_receive(&raw, &answer, SUITE_PATIENCE_MS) > 0)
			raw_answer_deinit(&answer);
		raw_close(&raw);
	}
	log = broker_log(&b);
	for (const char *at = log; (at = strstr(at, "no request")) != NULL; at++)
		lines++;
	ck_assert_uint_gt(lines, 0);
	ck_assert_uint_le(lines, 40);
	free(log);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("access");

	suite_add(suite, lists_of_users_and_groups, 60);
	suite_add(suite, rights_taken_away_while_it_is_open, 60);
	suite_add(suite, policy_does_not_tell_what_it_hides, 30);
	suite_add(suite, events_do_not_tell_what_is_hidden, 30);
	suite_add(suite, nonsense_does_not_fill_the_log, 60);
	suite_add(suite, resuming_is_no_way_round_the_policy, 30);
	suite_add(suite, clients_in_containers, 60);
	suite_add(suite, recipe_camera_rig, 30);
	suite_add(suite, recipe_planner_plugins, 30);
	suite_add(suite, recipe_containers, 30);
	return suite_run(suite);
}
