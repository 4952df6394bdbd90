/* SPDX-License-Identifier: MIT */
/* Starting and ending the demo's processes. The demo has one thread, so what is done between fork and exec is free to allocate. */

#include "demo_child.h"

#include "shmb.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CHILD_LOOK_NS = 2000000 };

void child_init(struct child *child, const char *label)
{
	*child = (struct child){ .in_fd = -1, .out_fd = -1 };
	snprintf(child->label, sizeof(child->label), "%s", label);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void child_become(const char *const argv[], const struct child_options *options, pid_t demo, int in_fd, int out_fd)
{
	int log_fd = open(options->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	sigset_t none;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != demo) /* it died before that was said */
		_exit(127);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (dup2(in_fd, STDIN_FILENO) < 0 || dup2(out_fd, STDOUT_FILENO) < 0 || (log_fd >= 0 && dup2(log_fd, STDERR_FILENO) < 0))
		_exit(127);
	if (options->notify)
		setenv("NOTIFY_SOCKET", options->notify, 1);
	else
		unsetenv("NOTIFY_SOCKET");
	execvp(argv[0], (char *const *)argv); /* it only reads them */
	fprintf(stderr, "cannot run %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

int child_start(struct child *child, const char *const argv[], const struct child_options *options)
{
	int in[2] = { -1, -1 };
	int out[2] = { -1, -1 };
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	pid_t demo = getpid();
	int r = 0;

	if (null_fd < 0 || (options->has_in && pipe2(in, O_CLOEXEC) < 0) || (options->has_out && pipe2(out, O_CLOEXEC) < 0)) {
		r = -errno;
	} else {
		child->pid = fork();
		if (child->pid == 0)
			child_become(argv, options, demo, options->has_in ? in[0] : null_fd, options->has_out ? out[1] : null_fd);
		if (child->pid < 0) {
			r = -errno;
			child->pid = 0;
		}
	}
	close_fd(&null_fd);
	close_fd(&in[0]);
	close_fd(&out[1]);
	if (r < 0) {
		close_fd(&in[1]);
		close_fd(&out[0]);
		return r;
	}
	if (out[0] >= 0)
		fcntl(out[0], F_SETFL, O_NONBLOCK);
	child->in_fd = in[1];
	child->out_fd = out[0];
	return 0;
}

void child_receive(struct child *child)
{
	ssize_t n;

	if (child->out_fd < 0)
		return;
	if (child->length == sizeof(child->buffer)) /* nobody takes it: nothing of ours writes lines that long */
		child->length = 0;
	n = read(child->out_fd, child->buffer + child->length, sizeof(child->buffer) - child->length);
	if (n > 0)
		child->length += (size_t)n;
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		close_fd(&child->out_fd);
}

void child_take(struct child *child, size_t length)
{
	child->length -= length;
	memmove(child->buffer, child->buffer + length, child->length);
}

bool child_has_ended(struct child *child)
{
	if (child->pid && waitpid(child->pid, &child->status, WNOHANG) == child->pid)
		child->pid = 0;
	return child->pid == 0;
}

bool child_end(struct child *child, uint64_t deadline_ns)
{
	const struct timespec pause = { .tv_nsec = CHILD_LOOK_NS };

	while (!child_has_ended(child)) {
		if (shmb_now_ns() >= deadline_ns) {
			kill(child->pid, SIGKILL);
			waitpid(child->pid, &child->status, 0);
			child->pid = 0;
			return false;
		}
		nanosleep(&pause, NULL);
	}
	return true;
}

const char *child_end_text(const struct child *child, char *out, size_t size)
{
	if (WIFSIGNALED(child->status))
		snprintf(out, size, "signal %d (%s)", WTERMSIG(child->status), strsignal(WTERMSIG(child->status)));
	else
		snprintf(out, size, "exit status %d", WEXITSTATUS(child->status));
	return out;
}

void child_deinit(struct child *child)
{
	child_end(child, 0);
	close_fd(&child->in_fd);
	close_fd(&child->out_fd);
}
