/* SPDX-License-Identifier: MIT */
/* Processes under watch: who is meant, when it has ended, what /proc says. */
#include "daemon/process.h"
#include "tests/support/unit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

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

int main(void)
{
	Suite *suite = suite_create("process");

	unit_add(suite, stat_lines, 5);
	unit_add(suite, stat_lines_that_are_none, 5);
	unit_add(suite, own_stat, 5);
	unit_add(suite, one_struct_for_a_process, 5);
	unit_add(suite, another_start_time_is_another_process, 5);
	unit_add(suite, death_is_told_by_the_loop, 10);
	unit_add(suite, death_is_found_when_asked, 10);
	unit_add(suite, a_stopped_process_lives, 10);
	return unit_run(suite);
}
