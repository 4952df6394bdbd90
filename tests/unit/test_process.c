/* SPDX-License-Identifier: MIT */
/* Processes under watch: who is meant, when it has ended, what /proc says. */
#include "daemon/process.h"
#include "tests/support/unit.h"

#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CRASH_BYTES = 64 << 20 };

START_TEST(stat_lines)
{
	static const char rest[] = " S 1 2 3 4 -1 4194560 7 8 9 10 11 12 13 14 20 0 1 0 123456789 16 17 18\n";
	static const char *const comms[] = { "cam", "", "a b", ")", "((", ") S 1 (", "x) R 1 1 1", "\n\t", "123456789012345" };
	struct process_stat stat;
	char text[512];

	for (size_t i = 0; i < sizeof(comms) / sizeof(comms[0]); i++) {
		int length = snprintf(text, sizeof(text), "4711 (%s)%s", comms[i], rest);

		ck_assert_int_eq(process_stat_parse(text, (size_t)length, &stat), 0);
		ck_assert_str_eq(stat.comm, comms[i]);
		ck_assert_int_eq(stat.state, 'S');
		ck_assert_uint_eq(stat.flags, 4194560);
		ck_assert_uint_eq(stat.start_time, 123456789);
	}
}
END_TEST

START_TEST(stat_lines_that_are_none)
{
	static const char good[] = "1 (a) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 20 0 1 0 42";
	static const char *const bad[] = { "",
					   "1",
					   "1 a S",
					   ")(",
					   "1 (a)",
					   "1 (a) ",
					   "1 (a) S",
					   "1 (a)S 1 2",
					   "1 (a) S x 2 3",
					   "1 (a) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 20 0 1 0",
					   "1 (a) S 1  2 3 4 5 6 7 8 9 10 11 12 13 14 20 0 1 0 42" };
	struct process_stat stat;
	char long_text[4096];

	ck_assert_int_eq(process_stat_parse(good, strlen(good), &stat), 0);
	ck_assert_uint_eq(stat.start_time, 42);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(process_stat_parse(bad[i], strlen(bad[i]), &stat) == -EBADMSG, "'%s'", bad[i]);
	/* Cut anywhere before the last field it is none, and never read beyond. */
	for (size_t length = 0; length < strlen(good) - 2; length++) {
		char *copy = malloc(length + 1);

		memcpy(copy, good, length);
		ck_assert_int_eq(process_stat_parse(copy, length, &stat), -EBADMSG);
		free(copy);
	}
	memset(long_text, ')', sizeof(long_text));
	ck_assert_int_eq(process_stat_parse(long_text, sizeof(long_text), &stat), -EBADMSG);
	memset(long_text, '(', sizeof(long_text));
	ck_assert_int_eq(process_stat_parse(long_text, sizeof(long_text), &stat), -EBADMSG);
}
END_TEST

START_TEST(own_stat)
{
	struct process_stat stat;

	prctl(PR_SET_NAME, "a (b) c");
	ck_assert_int_eq(process_stat_read(getpid(), &stat), 0);
	ck_assert_str_eq(stat.comm, "a (b) c");
	ck_assert_int_eq(stat.state, 'R');
	ck_assert_uint_eq(stat.flags & PROCESS_FLAG_EXITING, 0);
	ck_assert_uint_gt(stat.start_time, 0);
	/* Above every pid_max. */
	ck_assert_int_eq(process_stat_read(INT32_MAX, &stat), -ESRCH);
}
END_TEST

static struct process_table table;
static struct loop *loop;
static int deaths;
static int32_t dead_pid;

static void on_death(struct process *process, void *user)
{
	ck_assert_ptr_eq(user, &deaths);
	deaths++;
	dead_pid = process->pid;
	ck_assert(process->dead);
	loop_stop(loop);
}

static void set_up(void)
{
	ck_assert_int_eq(loop_new(&loop), 0);
	process_table_init(&table, loop, on_death, &deaths);
	deaths = 0;
}

static void tear_down(void)
{
	process_table_deinit(&table);
	loop = loop_free(loop);
}

static pid_t start_child(void)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return pid;
}

START_TEST(one_struct_for_a_process)
{
	struct process *first, *second, *third;
	struct process_stat stat;

	set_up();
	ck_assert_int_eq(process_watch_peer(&table, getpid(), -1, &first), 0);
	ck_assert_int_eq(process_stat_read(getpid(), &stat), 0);
	ck_assert_uint_eq(first->start_time, stat.start_time);
	ck_assert_int_eq(process_watch(&table, getpid(), stat.start_time, &second), 0);
	ck_assert_int_eq(process_watch_peer(&table, getpid(), -1, &third), 0);
	ck_assert_ptr_eq(first, second);
	ck_assert_ptr_eq(first, third);
	ck_assert_uint_eq(first->refs, 3);
	ck_assert_uint_eq(table.count, 1);
	ck_assert(!process_check(first));
	ck_assert(!process_is_exiting(first));
	ck_assert(!process_is_dumping(first));
	process_unref(first);
	process_unref(second);
	process_unref(third);
	ck_assert_uint_eq(table.count, 0);
	tear_down();
}
END_TEST

/* A pid that another process has now is not the process that was meant. */
START_TEST(another_start_time_is_another_process)
{
	struct process *process = NULL;
	struct process_stat stat;

	set_up();
	ck_assert_int_eq(process_stat_read(getpid(), &stat), 0);
	ck_assert_int_eq(process_watch(&table, getpid(), stat.start_time - 1, &process), -ESRCH);
	ck_assert_int_eq(process_watch(&table, getpid(), stat.start_time + 1, &process), -ESRCH);
	ck_assert_int_eq(process_watch(&table, 0, stat.start_time, &process), -ESRCH);
	ck_assert_int_eq(process_watch(&table, -1, stat.start_time, &process), -ESRCH);
	ck_assert_int_eq(process_watch(&table, INT32_MAX, stat.start_time, &process), -ESRCH);
	ck_assert_ptr_null(process);
	ck_assert_uint_eq(table.count, 0);
	tear_down();
}
END_TEST

START_TEST(death_is_told_by_the_loop)
{
	pid_t pid = start_child();
	struct process *process;

	set_up();
	ck_assert_int_eq(process_watch_peer(&table, pid, -1, &process), 0);
	ck_assert(!process_check(process));
	kill(pid, SIGKILL);
	loop_run(loop);
	ck_assert_int_eq(deaths, 1);
	ck_assert_int_eq(dead_pid, pid);
	/* Told once. A zombie is dead. */
	ck_assert(process_check(process));
	ck_assert(process_is_exiting(process));
	ck_assert_int_eq(deaths, 1);
	ck_assert_int_eq(process_watch(&table, pid, process->start_time, &process), -ESRCH);
	process_unref(process);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	tear_down();
}
END_TEST

START_TEST(death_is_found_when_asked)
{
	pid_t pid = start_child();
	struct process *process;
	siginfo_t info;

	set_up();
	ck_assert_int_eq(process_watch_peer(&table, pid, -1, &process), 0);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	ck_assert_int_eq(deaths, 0);
	ck_assert(process_check(process));
	ck_assert_int_eq(deaths, 1);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_int_eq(process_watch_peer(&table, pid, -1, &process), -ESRCH);
	process_unref(process);
	tear_down();
}
END_TEST

/* By pidfds alone: which is which, that each lives, and that it ended. */
START_TEST(without_a_pid)
{
	pid_t pids[2] = { start_child(), start_child() };
	struct process *first, *second, *again;
	int plain = dup(2);
	int r;

	set_up();
	r = process_watch_unseen(&table, pidfd_open(pids[0], 0), &first);
	if (r == 0) {
		ck_assert_int_eq(process_watch_unseen(&table, pidfd_open(pids[1], 0), &second), 0);
		ck_assert_int_eq(process_watch_unseen(&table, pidfd_open(pids[0], 0), &again), 0);
		ck_assert_ptr_eq(first, again);
		ck_assert_ptr_ne(first, second);
		ck_assert_int_eq(first->pid, 0);
		ck_assert(!process_check(first) && !process_is_exiting(first) && !process_is_dumping(first));
		kill(pids[1], SIGKILL);
		loop_run(loop);
		ck_assert_int_eq(deaths, 1);
		ck_assert(second->dead && !first->dead);
		ck_assert_int_eq(process_watch_unseen(&table, pidfd_open(pids[1], 0), &again), -ESRCH);
		process_unref(first);
		process_unref(first);
		process_unref(second);
	} else {
		ck_assert_int_eq(r, -EOPNOTSUPP); /* this kernel does not tell them apart */
		kill(pids[1], SIGKILL);
	}
	ck_assert_uint_eq(table.count, 0);
	ck_assert_int_eq(process_watch_unseen(&table, plain, &first), -EOPNOTSUPP);
	kill(pids[0], SIGKILL);
	for (unsigned i = 0; i < 2; i++)
		ck_assert_int_eq(waitpid(pids[i], NULL, 0), pids[i]);
	tear_down();
}
END_TEST

START_TEST(a_stopped_process_lives)
{
	pid_t pid = start_child();
	struct process *process;
	siginfo_t info;

	set_up();
	ck_assert_int_eq(process_watch_peer(&table, pid, -1, &process), 0);
	kill(pid, SIGSTOP);
	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT), 0);
	ck_assert(!process_check(process));
	ck_assert(!process_is_exiting(process));
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert(process_check(process));
	process_unref(process);
	tear_down();
}
END_TEST

START_TEST(status_texts)
{
	struct process_status status;

	process_status_parse("Name:\tcam\nState:\tS (sleeping)\nTgid:\t7\nTracerPid:\t4711\nUid:\t0\nCoreDumping:\t1\nThreads:\t3\n",
			     &status);
	ck_assert_int_eq(status.tracer, 4711);
	ck_assert(status.dumping);
	process_status_parse("Name:\tcam\nTracerPid:\t0\nCoreDumping:\t0\n", &status);
	ck_assert_int_eq(status.tracer, 0);
	ck_assert(!status.dumping);
	/* A name with an escaped newline; nothing at all; cut short. */
	process_status_parse("Name:\t\\nTracerPid:\t5\nState:\tS\n", &status);
	ck_assert_int_eq(status.tracer, 0);
	process_status_parse("", &status);
	ck_assert(!status.dumping);
	process_status_parse("Name:\ta\nCoreDumping:\t", &status);
	ck_assert(!status.dumping);
}
END_TEST

static void *second_thread(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static pid_t start_without_leader(void)
{
	pid_t pid = fork();
	pthread_t thread;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pthread_create(&thread, NULL, second_thread, NULL);
		syscall(SYS_exit, 0);
	}
	return pid;
}

/* A process whose first thread has ended looks like a zombie, but lives. */
START_TEST(a_process_without_its_first_thread_lives)
{
	pid_t pid = start_without_leader();
	struct process_stat stat = { .state = '?' };
	struct process *process;

	set_up();
	ck_assert_int_eq(process_watch_peer(&table, pid, -1, &process), 0);
	for (unsigned i = 0; i < 10000 && stat.state != 'Z'; i++) {
		ck_assert_int_eq(process_stat_read(pid, &stat), 0);
		usleep(1000);
	}
	ck_assert_int_eq(stat.state, 'Z');
	ck_assert(!process_check(process));
	ck_assert(!process_is_exiting(process));
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert(process_is_exiting(process));
	process_unref(process);
	tear_down();
}
END_TEST

/* What the kernel says of a process that is stopped, traced, or neither. */
START_TEST(conditions)
{
	pid_t pid = start_child();
	struct process *process;
	siginfo_t info;
	int32_t tracer;

	set_up();
	ck_assert_int_eq(process_watch_peer(&table, pid, -1, &process), 0);
	ck_assert_int_eq(process_condition(process, &tracer), PROCESS_RUNNING);
	ck_assert_int_eq(tracer, 0);
	kill(pid, SIGSTOP);
	ck_assert_int_eq(waitid(P_PID, (id_t)pid, &info, WSTOPPED | WNOWAIT), 0);
	ck_assert_int_eq(process_condition(process, &tracer), PROCESS_STOPPED);
	kill(pid, SIGCONT);
	/* Traced, and running. */
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0) {
		ck_assert_int_eq(process_condition(process, &tracer), PROCESS_TRACED);
		ck_assert_int_eq(tracer, getpid());
	} else {
		printf("traced: left out, ptrace is not allowed here\n");
	}
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, __WALL), pid);
	ck_assert_int_eq(process_condition(process, &tracer), PROCESS_RUNNING);
	process_unref(process);
	tear_down();
}
END_TEST

/* A process with much memory and a busy second thread that crashes, once it has read a byte, where its core goes to a file in memory. */
static pid_t start_crash(const char *dir, int go_fd)
{
	pid_t pid = fork();
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
	pthread_t thread;
	char byte;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		signal(SIGABRT, SIG_DFL);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_DUMPABLE, 1);
		if (chdir(dir) < 0 || setrlimit(RLIMIT_CORE, &limit) < 0 || read(go_fd, &byte, 1) != 1)
			_exit(77);
		pthread_create(&thread, NULL, second_thread, NULL);
		mmap(NULL, CRASH_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		abort();
	}
	return pid;
}

static bool cores_are_files(void)
{
	char pattern[256] = "|";
	FILE *file = fopen("/proc/sys/kernel/core_pattern", "re");

	if (file != NULL) {
		if (fgets(pattern, sizeof(pattern), file) == NULL)
			pattern[0] = '|';
		fclose(file);
	}
	return pattern[0] != '|' && pattern[0] != '/' && pattern[0] != '@';
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *walk)
{
	(void)st;
	(void)type;
	(void)walk;
	return remove(path);
}

/* While the core is written it is dumping, which is told from stopping, hanging and dying; then it is dead. */
START_TEST(dumping_core)
{
	char dir[] = "/dev/shm/shmb-unit-core-XXXXXX";
	unsigned seen = 0;
	int status = 0;
	int go[2];

	if (!cores_are_files()) {
		printf("dumping: left out, cores go to a program or a place of their own here\n");
		return;
	}
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(pipe2(go, O_CLOEXEC), 0);
	/* Again where this process got no turn while the core was written. */
	for (unsigned i = 0; i < 10 && seen == 0; i++) {
		pid_t pid = start_crash(dir, go[0]);
		struct process *process;
		int32_t tracer;

		set_up();
		ck_assert_int_eq(process_watch_peer(&table, pid, -1, &process), 0);
		ck_assert_int_eq(write(go[1], "c", 1), 1);
		while (!process_check(process)) {
			if (process_is_dumping(process)) {
				seen++;
				ck_assert_int_ne(process_condition(process, &tracer), PROCESS_STOPPED);
			}
		}
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		process_unref(process);
		tear_down();
		if (WIFEXITED(status) || !WCOREDUMP(status))
			break;
	}
	close(go[0]);
	close(go[1]);
	nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	if (WIFSIGNALED(status) && WCOREDUMP(status))
		ck_assert_uint_gt(seen, 0);
	else
		printf("dumping: left out, no core is written here\n");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("process");

	unit_add(suite, stat_lines, 5);
	unit_add(suite, stat_lines_that_are_none, 5);
	unit_add(suite, own_stat, 5);
	unit_add(suite, status_texts, 5);
	unit_add(suite, one_struct_for_a_process, 5);
	unit_add(suite, another_start_time_is_another_process, 5);
	unit_add(suite, death_is_told_by_the_loop, 10);
	unit_add(suite, death_is_found_when_asked, 10);
	unit_add(suite, a_stopped_process_lives, 10);
	unit_add(suite, without_a_pid, 10);
	unit_add(suite, a_process_without_its_first_thread_lives, 30);
	unit_add(suite, conditions, 10);
	unit_add(suite, dumping_core, 60);
	return unit_run(suite);
}
