/* SPDX-License-Identifier: MIT */
/*
 * Who somebody is (lines 43, 44 and 47 of the catalogue): a process id used again, process ids of other namespaces, holders of another boot. Namespaces
 * need root.
 */
#include "../support/client.h"
#include "look.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define NEEDS_ROOT(what)                                                                                                                   \
	do {                                                                                                                               \
		if (geteuid() != 0)                                                                                                        \
			TEST_SKIP("%s needs root", what);                                                                                  \
	} while (0)

/* ---- 43: the same number, another process ---- */

/* Runs it as process 1 of a process namespace of its own, with its own /proc. */
static void in_pid_namespace(void (*body)(void))
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		ck_assert_msg(unshare(CLONE_NEWPID | CLONE_NEWNS) == 0, "unshare: %s", strerror(errno));
		pid = fork();
		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			ck_assert_int_eq(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
			ck_assert_int_eq(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL), 0);
			body();
			_exit(0);
		}
		_exit(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the namespace's first process ended with %#x", (unsigned)status);
}

/* The next process gets this id. */
static void next_pid(pid_t pid)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", (int)pid - 1);
	file_write("/proc/sys/kernel/ns_last_pid", text, strlen(text));
}

/* Another process with the same id as the one just dead. */
static void reborn(struct program *worker, struct broker *b, pid_t pid)
{
	sleep_ms(30); /* start times are counted in ticks of 10 ms */
	next_pid(pid);
	worker_start(worker, b, "reborn", false);
	ck_assert_int_eq(worker->pid, pid);
	worker_must(worker, "ping");
}

/* A thread of this process, which tells its number and stays. */
static void *thread_note(void *id)
{
	atomic_store((_Atomic pid_t *)id, gettid());
	for (;;)
		pause();
	return NULL;
}

static void pin_and_lock(struct program *holder)
{
	worker_must(holder, "frame-reader name=frame");
	worker_must(holder, "frame-pin");
	worker_must(holder, "block name=block");
	worker_must(holder, "lock deadline=forever");
}

static void lock_of_the_dead(struct program *next)
{
	static unsigned late;
	uint64_t begin;

	worker_must(next, "block name=block");
	begin = now_ns();
	ASSERT_RESULT(worker_ask(next, "lock deadline=15000"), SHMB_BLOCK_OWNER_DIED);
	late += now_ns() - begin >= UINT64_C(1000000000) * suite_slow();
	ck_assert_uint_le(late, 1); /* in a test: a machine that stands still spoils one */
	worker_must(next, "recovered");
	worker_must(next, "unlock");
}

static void pids_used_again(void)
{
	_Atomic pid_t id = 0;
	pthread_t thread;
	struct program writer;
	struct program holder;
	struct program again;
	struct program other;
	struct answer answer;
	struct broker b;
	pid_t pid;

	broker_start(&b, NULL);
	for (unsigned turn = 0; turn < 4; turn++) {
		/* With and without a daemon there to see the death; in the second case it is as if nobody had died. */
		bool unseen = turn % 2 == 0;

		worker_start(&writer, &b, "writer", true);
		worker_must(&writer, "writer name=ring bytes=4096 salt=%u", turn);
		worker_must(&writer, "write n=3");
		worker_must(&writer, "step at=slot.claimed do=stop");
		program_send(&writer, "write n=1");
		program_wait_stopped(&writer);
		if (unseen) {
			broker_kill(&b);
		} else {
			program_signal(&b.daemon, SIGSTOP);
			program_wait_stopped(&b.daemon);
		}
		pid = writer.pid;
		program_kill(&writer);
		reborn(&again, &b, pid);
		if (unseen) {
			broker_restart(&b);
			worker_start(&other, &b, "other", false);
			answer = worker_must(&other, "writer name=ring bytes=4096 salt=9");
			worker_must(&other, "close-writer");
			worker_quit(&other);
		} else {
			program_send(&again, "writer name=ring bytes=4096 salt=9");
			program_signal(&b.daemon, SIGCONT);
			answer = worker_answer(&again);
			ASSERT_RESULT(answer, 0);
			worker_must(&again, "close-writer");
		}
		ck_assert_uint_eq(answer.v[0], 3 * (turn + 1));
		ck_assert_uint_eq(look_half_written(&b, "ring"), 0);
		worker_quit(&again);
	}

	/* Pins and a lock of the dead are not those of who has its number now. */
	worker_start(&writer, &b, "writer", false);
	worker_must(&writer, "frame-writer name=frame bytes=64 history=1 pins=1");
	worker_must(&writer, "frame-write n=1");
	worker_start(&holder, &b, "holder", false);
	pin_and_lock(&holder);
	broker_kill(&b);
	pid = holder.pid;
	program_kill(&holder);
	reborn(&again, &b, pid);
	broker_restart(&b);
	WAIT_UNTIL(look_cells(&b, "frame") == 0);
	ck_assert_uint_eq(look_pins(&b, "frame", false), 0);
	lock_of_the_dead(&again);
	worker_quit(&again);
	worker_ask(&writer, "remove name=none");

	/* Nor are they, or a lease, those of a thread that has its number now. */
	worker_start(&holder, &b, "holder", false);
	worker_must(&holder, "writer name=ring bytes=4096 salt=1");
	pin_and_lock(&holder);
	broker_kill(&b);
	pid = holder.pid;
	program_kill(&holder);
	next_pid(pid);
	ck_assert_int_eq(pthread_create(&thread, NULL, thread_note, &id), 0);
	WAIT_UNTIL(atomic_load(&id) != 0);
	ck_assert_int_eq(atomic_load(&id), pid);
	broker_restart(&b);
	WAIT_UNTIL(look_cells(&b, "frame") == 0);
	ck_assert_uint_eq(look_pins(&b, "frame", false), 0);
	worker_start(&again, &b, "again", false);
	worker_must(&again, "writer name=ring bytes=4096 salt=2");
	lock_of_the_dead(&again);
	worker_quit(&again);
	pthread_cancel(thread);
	pthread_join(thread, NULL);
	worker_ask(&writer, "remove name=none");
	worker_quit(&writer);
	broker_finish(&b);
}

START_TEST(fault_43_pid_reuse)
{
	NEEDS_ROOT("a process namespace");
	in_pid_namespace(pids_used_again);
}
END_TEST

/* ---- 44: other namespaces ---- */

/* A worker that is process 1 of a namespace of its own; *outside is its id here. */
static void worker_start_inside(struct program *worker, struct broker *b, pid_t *outside)
{
	const char *environment[] = { b->environment, NULL };
	struct program_options options = { .name = "inside", .environment = environment, .without_wrapper = true };
	char path[64];
	char *children;

	program_start(worker, &options, ARGV("unshare", "--pid", "--fork", "--kill-child=SIGKILL", path_worker()));
	worker_must(worker, "ping");
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)worker->pid, (int)worker->pid);
	children = file_read(path, NULL);
	ck_assert_ptr_nonnull(children);
	*outside = atoi(children);
	free(children);
	ck_assert_int_gt(*outside, 1);
}

static void lease_of(struct broker *b, const char *name, pid_t expected)
{
	struct shmb_shm_card card;

	look_card(b, name, &card);
	ck_assert_int_eq(atomic_load(&card.lease_pid), expected);
}

static void namespaces(void)
{
	struct program first;
	struct program second;
	struct program reader;
	struct answer answer;
	struct shmb *client;
	pid_t first_pid;
	pid_t second_pid;
	struct broker b;
	char text[32];

	/* Two clients, each of which is number 1 to itself. */
	broker_start(&b, NULL);
	client = broker_connect(&b);
	worker_start_inside(&first, &b, &first_pid);
	worker_start_inside(&second, &b, &second_pid);
	worker_start(&reader, &b, "reader", false);
	worker_must(&first, "writer name=far bytes=64 salt=1");
	worker_must(&first, "write n=2");
	lease_of(&b, "far", first_pid);
	answer = worker_ask(&second, "writer name=far bytes=64 salt=2");
	ASSERT_RESULT(answer, -EBUSY);
	snprintf(text, sizeof(text), "process %d ", (int)first_pid);
	ck_assert_msg(strstr(answer.text, text) != NULL, "'%s' lacks '%s'", answer.text, text);
	worker_must(&second, "reader name=far bytes=64");
	worker_must(&reader, "reader name=far bytes=64");
	ck_assert_uint_eq(worker_must(&second, "latest").v[0], 1);
	ck_assert_uint_eq(worker_must(&reader, "latest").v[0], 1);
	/* A restart finds them where they are. */
	broker_kill(&b);
	broker_restart(&b);
	ASSERT_RESULT(worker_ask(&second, "writer name=far bytes=64 salt=2"), -EBUSY);
	worker_must(&first, "write n=1");
	lease_of(&b, "far", first_pid);
	kill(first_pid, SIGKILL);
	wait_writer(client, "far", SHMB_WRITER_IS_DEAD);
	ASSERT_RESULT(worker_ask(&reader, "wait deadline=15000"), 0); /* number 2 */
	worker_must(&reader, "latest");
	ASSERT_RESULT(worker_ask(&reader, "wait deadline=15000"), -EOWNERDEAD);
	ck_assert_uint_eq(worker_must(&second, "writer name=far bytes=64 salt=2").v[0], 3);
	lease_of(&b, "far", second_pid);
	program_wait(&first);
	worker_quit(&second);
	worker_quit(&reader);
	shmb_disconnect(client);
	broker_finish(&b);

	/* A daemon that cannot see its client says so; nothing is granted that could not be taken back. */
	setenv("SHMB_TEST_WRAPPER", "unshare --pid --fork --mount-proc --kill-child=SIGKILL", 1);
	broker_start(&b, NULL);
	unsetenv("SHMB_TEST_WRAPPER");
	worker_start(&first, &b, "first", false);
	answer = worker_ask(&first, "writer name=far bytes=64 salt=1");
	ck_assert_msg(answer.result == -EOPNOTSUPP && strstr(answer.text, "namespace") != NULL, "%d %s", answer.result, answer.text);
	answer = worker_ask(&first, "reader name=far bytes=64");
	ck_assert_int_lt(answer.result, 0);
	worker_quit(&first);
	broker_kill(&b); /* unshare; the daemon ends with it, and comes to this process */
	while (waitpid(-1, NULL, 0) > 0)
		;
	broker_drop(&b);
}

START_TEST(fault_44_other_pid_namespaces)
{
	NEEDS_ROOT("a process namespace");
	namespaces();
}
END_TEST

/* The defect L2 of what was used before: verdicts by number, where numbers are used again and differ between namespaces. */
START_TEST(defect_L2_numbers_are_not_processes)
{
	NEEDS_ROOT("a process namespace");
	in_pid_namespace(pids_used_again);
	namespaces();
}
END_TEST

/* ---- 47 ---- */

/* Everybody who holds anything is of another boot, though processes of their numbers and start times are there. */
START_TEST(fault_47_leftovers_of_another_boot)
{
	static const char *const names[] = { "boot-ring", "boot-value", "boot-frame", "boot-queue", "boot-block" };
	struct program writer;
	struct program frames;
	struct program next;
	struct shmb_shm_data *data;
	struct shmb *client;
	struct broker b;
	size_t size;

	broker_start(&b, NULL);
	worker_start(&writer, &b, "writer", true);
	worker_start(&frames, &b, "frames", true);
	worker_must(&writer, "writer name=boot-value kind=value bytes=64 salt=1");
	worker_must(&writer, "write n=2");
	worker_must(&writer, "close-writer");
	worker_must(&writer, "writer name=boot-ring bytes=64 salt=1");
	worker_must(&writer, "write n=3");
	worker_must(&writer, "producer name=boot-queue bytes=64 salt=1");
	worker_must(&writer, "push n=4");
	worker_must(&frames, "consumer name=boot-queue");
	worker_must(&writer, "block name=boot-block");
	worker_must(&writer, "lock deadline=forever");
	worker_must(&frames, "frame-writer name=boot-frame bytes=64 salt=1");
	worker_must(&frames, "frame-write n=2");
	worker_must(&frames, "frame-reader name=boot-frame");
	worker_must(&frames, "frame-pin");
	worker_must(&frames, "step at=frame.filled do=stop");
	program_send(&frames, "frame-write n=1");
	program_wait_stopped(&frames);
	worker_must(&writer, "step at=slot.claimed do=stop");
	program_send(&writer, "write n=1");
	program_wait_stopped(&writer);
	broker_kill(&b);
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct shmb_shm_card *card = look_map(&b, names[i], "", &size);

		memcpy(card->boot_id, "another boot id", SHMB_BOOT_ID_BYTES);
		look_unmap(card, size);
	}
	broker_restart(&b);
	client = broker_connect(&b);
	ck_assert_uint_eq(segments_count(client), 5);
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct shmb_shm_card card;

		look_card(&b, names[i], &card);
		ck_assert_int_eq(atomic_load(&card.lease_pid), 0);
		ck_assert_uint_eq(look_cells(&b, names[i]) + look_bits(&b, names[i]), 0);
		ck_assert_int_ne(memcmp(card.boot_id, "another boot id", SHMB_BOOT_ID_BYTES), 0);
		ck_assert_uint_eq(look_half_written(&b, names[i]), 0);
	}
	ck_assert_uint_eq(look_log(&b, "boot-ring", "before the host was started again"), 1);
	data = look_map(&b, "boot-block", ",data", &size);
	ck_assert_uint_eq(atomic_load(&data->lock), SHMB_LOCK_OWNER_DIED);
	look_unmap(data, size);
	/* What they wrote is there, and others go on with it. */
	worker_start(&next, &b, "next", false);
	ck_assert_uint_eq(worker_must(&next, "writer name=boot-ring bytes=64 salt=2").v[0], 3);
	worker_must(&next, "reader name=boot-ring bytes=64");
	ck_assert_uint_eq(worker_must(&next, "latest").v[0], 2);
	ck_assert_uint_eq(worker_must(&next, "frame-writer name=boot-frame bytes=64 salt=2").v[0], 2);
	worker_must(&next, "frame-write n=30");
	ck_assert_uint_eq(worker_must(&next, "producer name=boot-queue bytes=64 salt=2").v[0], 4);
	ck_assert_uint_eq(worker_must(&next, "consumer name=boot-queue").v[0], 0);
	/* Those of before are told at their next claim. */
	program_signal(&writer, SIGCONT);
	worker_answer(&writer);
	ASSERT_RESULT(worker_ask(&writer, "write n=1"), -ESTALE);
	program_kill(&writer);
	program_kill(&frames);
	worker_quit(&next);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fault: identity");

	suite_add(suite, fault_43_pid_reuse, 60);
	suite_add(suite, fault_44_other_pid_namespaces, 60);
	suite_add(suite, defect_L2_numbers_are_not_processes, 90);
	suite_add(suite, fault_47_leftovers_of_another_boot, 60);
	return suite_run(suite);
}
