/* SPDX-License-Identifier: MIT */
/* Children of another uid (other.h). */
#include "other.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

pid_t other_start(uid_t uid, int (*body)(struct broker *b), struct broker *b)
{
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		if (setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0)
			_exit(126);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_DUMPABLE, 1); /* or /proc/self/fd would be root's */
		_exit(body(b));
	}
	return pid;
}

void other_wait(pid_t pid)
{
	uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);
	int status;

	while (waitpid(pid, &status, WNOHANG) == 0)
		ck_assert_msg(suite_pause(deadline), "the other user's process does not end");
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the other user's process ended with %#x", (unsigned)status);
}

void other_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

void other_run(uid_t uid, int (*body)(struct broker *b), struct broker *b)
{
	other_wait(other_start(uid, body, b));
}
