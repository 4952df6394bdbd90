/* SPDX-License-Identifier: MIT */
/*
 * Starts and ends programs under test (program.h). Each child asks the kernel to be killed when the test process goes, after it changed
 * its uid (which clears that wish), so that nothing outlives a failing test.
 */
#include "program.h"

#include "suite.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WRAPPER_WORDS = 32, ARGS_MAX = 64 };

static const char *path_of(const char *variable, const char *built)
{
	const char *given = getenv(variable);

	return given != NULL ? given : built;
}

const char *path_daemon(void)
{
	return path_of("SHMB_TEST_DAEMON", SHMB_BUILT_DAEMON);
}

const char *path_daemon_steps(void)
{
	return path_of("SHMB_TEST_DAEMON_STEPS", SHMB_BUILT_DAEMON_STEPS);
}

const char *path_worker(void)
{
	return path_of("SHMB_TEST_WORKER", SHMB_BUILT_WORKER);
}

const char *path_worker_steps(void)
{
	return path_of("SHMB_TEST_WORKER_STEPS", SHMB_BUILT_WORKER_STEPS);
}

const char *path_quiet(void)
{
	return path_of("SHMB_TEST_QUIET", SHMB_BUILT_QUIET);
}

const char *path_shmbctl(void)
{
#ifdef SHMB_BUILT_SHMBCTL
	return path_of("SHMB_TEST_SHMBCTL", SHMB_BUILT_SHMBCTL);
#else
	return getenv("SHMB_TEST_SHMBCTL");
#endif
}

const char *path_source(void)
{
	return path_of("SHMB_TEST_SOURCE", SHMB_SOURCE);
}

/* ---- start ---- */

/* In the child. The environment of sd_listen_fds(3), and of sd_watchdog_enabled(3), which asks for the pid too. */
static void child_take(const struct program_handed *handed)
{
	static char names[sizeof(handed->names)];
	int moved[PROGRAM_HANDED_MAX];
	size_t used = 0;
	char text[16];

	/* Out of the way first. */
	for (unsigned i = 0; i < handed->count; i++)
		moved[i] = fcntl(handed->fds[i], F_DUPFD_CLOEXEC, 3 + (int)handed->count);
	for (unsigned i = 0; i < handed->count; i++) {
		if (moved[i] < 0 || dup2(moved[i], 3 + (int)i) < 0)
			_exit(126);
		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", i > 0 ? ":" : "", handed->names[i]);
	}
	/* Nothing else: each start has as many. */
	for (int fd = 3 + (int)handed->count; fd < 3 + 2 * PROGRAM_HANDED_MAX; fd++)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	snprintf(text, sizeof(text), "%d", (int)getpid());
	setenv("LISTEN_PID", text, 1);
	setenv("WATCHDOG_PID", text, 1);
	snprintf(text, sizeof(text), "%u", handed->count);
	if (handed->count > 0) /* of none nothing is said */
		setenv("LISTEN_FDS", text, 1);
	setenv("LISTEN_FDNAMES", names, 1);
}

static void child_exec(const struct program_options *options, const char *const argv[], const int pipes[4], pid_t parent)
{
	const char *args[ARGS_MAX];
	const char *wrapper = options->without_wrapper ? NULL : getenv("SHMB_TEST_WRAPPER");
	char words[1024] = "";
	char *rest = words;
	char *word;
	int count = 0;
	int null;

	if (wrapper != NULL)
		snprintf(words, sizeof(words), "%s", wrapper);
	while ((word = strsep(&rest, " ")) != NULL && count < WRAPPER_WORDS)
		if (*word != '\0')
			args[count++] = word;
	for (int i = 0; argv[i] != NULL && count < ARGS_MAX - 1; i++)
		args[count++] = argv[i];
	args[count] = NULL;

	if (options->no_pipes) {
		null = open("/dev/null", O_RDONLY);
		dup2(null, STDIN_FILENO);
		close(null);
	} else {
		dup2(pipes[0], STDIN_FILENO);
		dup2(pipes[3], STDOUT_FILENO);
	}
	if (options->stderr_fd > 0)
		dup2(options->stderr_fd, STDERR_FILENO);
	if (options->handed != NULL)
		child_take(options->handed);
	for (const char *const *variable = options->environment; variable != NULL && *variable != NULL; variable++) {
		if (strchr(*variable, '=') != NULL)
			putenv((char *)(uintptr_t)*variable);
		else
			unsetenv(*variable);
	}
	if (options->umask != 0)
		umask((mode_t)options->umask);
	if (options->uid != 0 &&
	    (setresgid(options->uid, options->uid, options->uid) != 0 || setresuid(options->uid, options->uid, options->uid) != 0))
		_exit(126);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(126);
	execvp(args[0], (char *const *)(uintptr_t)args);
	fprintf(stderr, "%s: %s\n", args[0], strerror(errno));
	_exit(127);
}

void program_start(struct program *program, const struct program_options *options, const char *const argv[])
{
	static const struct program_options defaults;
	const char *base = strrchr(argv[0], '/');
	pid_t parent = getpid();
	int pipes[4] = { -1, -1, -1, -1 };

	if (options == NULL)
		options = &defaults;
	memset(program, 0, sizeof(*program));
	snprintf(program->name, sizeof(program->name), "%.31s", options->name != NULL ? options->name : base != NULL ? base + 1 : argv[0]);
	if (!options->no_pipes) {
		ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
		ck_assert_int_eq(pipe2(pipes + 2, O_CLOEXEC), 0);
	}
	fflush(NULL);
	program->pid = fork();
	ck_assert_int_ge(program->pid, 0);
	if (program->pid == 0)
		child_exec(options, argv, pipes, parent);
	if (!options->no_pipes) {
		close(pipes[0]);
		close(pipes[3]);
	}
	program->in = pipes[1];
	program->out = pipes[2];
}

/* ---- end ---- */

static void program_close(struct program *program)
{
	if (program->in >= 0)
		close(program->in);
	if (program->out >= 0)
		close(program->out);
	program->in = -1;
	program->out = -1;
}

void program_signal(struct program *program, int signal)
{
	if (!program_has_ended(program))
		kill(program->pid, signal);
}

bool program_has_ended(struct program *program)
{
	if (!program->ended && waitpid(program->pid, &program->status, WNOHANG) == program->pid)
		program->ended = true;
	return program->ended;
}

int program_wait(struct program *program)
{
	uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);

	while (!program_has_ended(program))
		ck_assert_msg(suite_pause(deadline), "%s (%d) does not end", program->name, (int)program->pid);
	program_close(program);
	return WIFEXITED(program->status) ? WEXITSTATUS(program->status) : -WTERMSIG(program->status);
}

void program_kill(struct program *program)
{
	program_signal(program, SIGKILL);
	program_wait(program);
}

/* ---- talk ---- */

void program_send(struct program *program, const char *format, ...)
{
	char line[4096];
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	ck_assert(length > 0 && length < (int)sizeof(line) - 1);
	line[length++] = '\n';
	signal(SIGPIPE, SIG_IGN);
	ck_assert_msg(write(program->in, line, (size_t)length) == length, "%s takes no command: %s", program->name, strerror(errno));
}

/* A whole line in the buffer? Its length with the newline, 0 none. */
static size_t line_length(const struct program *program)
{
	const char *end = memchr(program->buffer, '\n', program->filled);

	return end != NULL ? (size_t)(end - program->buffer) + 1 : 0;
}

/* Reads until there is a line (1), the end (0), or the deadline (-1). */
static int fill_line(struct program *program, uint64_t deadline)
{
	while (line_length(program) == 0) {
		struct pollfd ready = { .fd = program->out, .events = POLLIN };
		uint64_t now = now_ns();
		ssize_t got;

		if (poll(&ready, 1, now < deadline ? (int)((deadline - now) / 1000000) + 1 : 0) <= 0) {
			if (now_ns() < deadline)
				continue;
			return -1;
		}
		ck_assert(program->filled < sizeof(program->buffer) - 1);
		got = read(program->out, program->buffer + program->filled, sizeof(program->buffer) - 1 - program->filled);
		if (got <= 0)
			return 0;
		program->filled += (size_t)got;
	}
	return 1;
}

bool program_has_line(struct program *program, unsigned ms)
{
	return fill_line(program, deadline_in(ms)) >= 0;
}

const char *program_line(struct program *program, unsigned ms)
{
	static char line[sizeof(program->buffer)];
	size_t length;
	int r = fill_line(program, deadline_in(ms));

	ck_assert_msg(r >= 0, "%s (%d) says nothing", program->name, (int)program->pid);
	if (r == 0)
		return NULL;
	length = line_length(program);
	memcpy(line, program->buffer, length);
	line[length - 1] = '\0';
	program->filled -= length;
	memmove(program->buffer, program->buffer + length, program->filled);
	return line;
}

/* ---- look ---- */

/* The state letter of /proc/PID/stat, 0 when it is gone. */
static char process_state(pid_t pid)
{
	char *text = proc_read(pid, "stat");
	char *end = text != NULL ? strrchr(text, ')') : NULL;
	char state = 0;

	if (end != NULL && end[1] == ' ')
		state = end[2];
	free(text);
	return state;
}

static bool in_futex(pid_t pid)
{
	char *text = proc_read(pid, "syscall");
	long call;

	if (text == NULL || *text == '\0' || getenv("SHMB_TEST_WRAPPER") != NULL) {
		free(text);
		return process_state(pid) == 'S';
	}
	call = strtol(text, NULL, 10);
	free(text);
#if defined(__x86_64__)
	return call == 202 || call == 449;
#else
	return call == 98 || call == 449;
#endif
}

void program_wait_asleep(struct program *program)
{
	WAIT_UNTIL(in_futex(program->pid));
}

void program_wait_stopped(struct program *program)
{
	WAIT_UNTIL(process_state(program->pid) == 'T');
}

/* ---- run to the end ---- */

static int temporary_file(void)
{
	int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static char *temporary_text(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);
	char *text = calloc(1, (size_t)size + 1);

	ck_assert(pread(fd, text, (size_t)size, 0) == size);
	close(fd);
	return text;
}

void program_run(struct program_result *result, const struct program_options *options, const char *const argv[])
{
	struct program_options changed = options != NULL ? *options : (struct program_options){ 0 };
	struct program program;
	int out = temporary_file();
	int err = temporary_file();
	uint64_t deadline = deadline_in(4 * SUITE_PATIENCE_MS);
	char block[4096];

	changed.stderr_fd = err;
	changed.no_pipes = false;
	program_start(&program, &changed, argv);
	close(program.in);
	program.in = -1;
	for (;;) {
		struct pollfd ready = { .fd = program.out, .events = POLLIN };
		ssize_t got;

		ck_assert_msg(now_ns() < deadline, "%s does not end", program.name);
		if (poll(&ready, 1, 100) <= 0)
			continue;
		got = read(program.out, block, sizeof(block));
		if (got <= 0)
			break;
		ck_assert(write(out, block, (size_t)got) == got);
	}
	result->status = program_wait(&program);
	result->out = temporary_text(out);
	result->err = temporary_text(err);
}

void program_result_deinit(struct program_result *result)
{
	free(result->out);
	free(result->err);
}
