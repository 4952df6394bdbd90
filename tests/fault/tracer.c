/* SPDX-License-Identifier: MIT */
/*
 * ptrace(2) (tracer.h). The end of the child is only looked at (WNOWAIT), never taken: that is for who started it.
 */
#include "tracer.h"

#include "../support/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;

/* 1 stopped, 0 not yet, -1 ended. */
static int look(const struct tracer *tracer)
{
	siginfo_t info = { 0 };

	ck_assert_int_eq(waitid(P_PID, (id_t)tracer->pid, &info, WEXITED | WSTOPPED | WNOHANG | WNOWAIT), 0);
	if (info.si_pid == 0)
		return 0;
	return info.si_code == CLD_EXITED || info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED ? -1 : 1;
}

/* Takes a stop; its status as of waitpid. */
static int stop_take(struct tracer *tracer)
{
	int status;

	ck_assert_int_eq(waitpid(tracer->pid, &status, __WALL), tracer->pid);
	ck_assert(WIFSTOPPED(status));
	return status;
}

static void wait_stop(struct tracer *tracer)
{
	uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);

	while (look(tracer) != 1)
		ck_assert_msg(suite_pause(deadline), "the process under trace does not stop");
}

void tracer_attach(struct tracer *tracer, pid_t pid)
{
	*tracer = (struct tracer){ .pid = pid, .attached = true };
	ck_assert_msg(ptrace(PTRACE_SEIZE, pid, NULL, options) == 0, "%s", strerror(errno));
	ck_assert_int_eq(ptrace(PTRACE_INTERRUPT, pid, NULL, NULL), 0);
	wait_stop(tracer);
	stop_take(tracer);
	ck_assert_int_eq(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
}

void tracer_start(struct tracer *tracer, const char *log, const char *const argv[])
{
	*tracer = (struct tracer){ .pid = fork() };
	ck_assert_int_ge(tracer->pid, 0);
	if (tracer->pid == 0) {
		int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(null, STDIN_FILENO);
		dup2(fd, STDERR_FILENO);
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		execv(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	wait_stop(tracer);
	stop_take(tracer);
	ck_assert_msg(ptrace(PTRACE_SETOPTIONS, tracer->pid, NULL, options | PTRACE_O_TRACEEXEC) == 0, "%s", strerror(errno));
	ck_assert_int_eq(ptrace(PTRACE_CONT, tracer->pid, NULL, NULL), 0);
	wait_stop(tracer);
	ck_assert_int_eq(stop_take(tracer) >> 16, PTRACE_EVENT_EXEC);
	ck_assert_int_eq(ptrace(PTRACE_SYSCALL, tracer->pid, NULL, NULL), 0);
}

static bool is_sleep(long call)
{
	return call == SYS_epoll_pwait || call == SYS_epoll_pwait2
#ifdef SYS_epoll_wait
	       || call == SYS_epoll_wait
#endif
		;
}

/* One stop. False: it was killed. */
static bool step(struct tracer *tracer, unsigned kill_at)
{
	struct __ptrace_syscall_info info;
	int status = stop_take(tracer);
	int signal = 0;

	if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
		ck_assert(ptrace(PTRACE_GET_SYSCALL_INFO, tracer->pid, sizeof(info), &info) > 0);
		tracer->asleep = false;
		if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
			tracer->calls++;
			tracer->last = (long)info.entry.nr;
			if (tracer->calls == kill_at) {
				kill(tracer->pid, SIGKILL);
				tracer->ended = true;
				return false;
			}
			tracer->asleep = is_sleep(tracer->last);
		}
	} else if (status >> 16 == 0) {
		signal = WSTOPSIG(status);
	}
	if (ptrace(PTRACE_SYSCALL, tracer->pid, NULL, signal) != 0)
		ck_assert_int_eq(errno, ESRCH);
	return true;
}

bool tracer_run(struct tracer *tracer, unsigned kill_at, bool (*done)(void *user), void *user)
{
	uint64_t deadline = deadline_in(4 * SUITE_PATIENCE_MS);

	/* It stops twice at each of its calls, and waits for us: not 50 us longer than what is asked for below. */
	prctl(PR_SET_TIMERSLACK, 1000);
	for (;;) {
		int state = look(tracer);

		if (state > 0) {
			if (!step(tracer, kill_at))
				break;
			continue;
		}
		if (state < 0) {
			tracer->ended = true;
			break;
		}
		if (tracer->asleep && done(user) && look(tracer) == 0)
			break;
		ck_assert_msg(now_ns() < deadline, "the process under trace does not come to its end (system call %ld)", tracer->last);
		nanosleep(&(struct timespec){ .tv_nsec = 20000 }, NULL);
	}
	prctl(PR_SET_TIMERSLACK, 0); /* as before */
	if (tracer->ended)
		return true;
	if (!tracer->attached) {
		kill(tracer->pid, SIGKILL);
		return false;
	}
	ck_assert_int_eq(ptrace(PTRACE_INTERRUPT, tracer->pid, NULL, NULL), 0);
	wait_stop(tracer);
	stop_take(tracer);
	ck_assert_int_eq(ptrace(PTRACE_DETACH, tracer->pid, NULL, NULL), 0);
	return false;
}
