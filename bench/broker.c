/* SPDX-License-Identifier: MIT */
/*
 * A private shmbrokerd: its own directories, removed afterwards; it ends with this process, however that ends.
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "peer.h"
#include "shmb.h"

enum { START_TRIES = 500, TRY_MS = 10 };

static struct {
	char daemon[PATH_MAX];
	char runtime[sizeof("/tmp/shmbroker-bench-XXXXXX")];
	char shm[sizeof("/dev/shm/shmbroker-bench-XXXXXX")];
	char log[sizeof("/tmp/shmbroker-bench-XXXXXX/log")];
	char socket[sizeof("/tmp/shmbroker-bench-XXXXXX/control.sock")];
	pid_t pid;
} private;

/* BUILD/bench/bench -> BUILD/daemon/shmbrokerd */
static int find_daemon(void)
{
	ssize_t length = readlink("/proc/self/exe", private.daemon, sizeof(private.daemon) - 1);
	char *slash;

	if (length < 0)
		return -errno;
	private.daemon[length] = '\0';
	for (int i = 0; i < 2; i++) {
		slash = strrchr(private.daemon, '/');
		if (slash == NULL)
			return -ENOENT;
		*slash = '\0';
	}
	if (strlen(private.daemon) + sizeof("/daemon/shmbrokerd") > sizeof(private.daemon))
		return -ENAMETOOLONG;
	strcat(private.daemon, "/daemon/shmbrokerd");
	return access(private.daemon, X_OK) == 0 ? 0 : -errno;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	remove(path);
	return 0;
}

static void remove_all(void)
{
	if (private.runtime[0] != '\0')
		nftw(private.runtime, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	if (private.shm[0] != '\0')
		nftw(private.shm, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static int make_directories(void)
{
	strcpy(private.runtime, "/tmp/shmbroker-bench-XXXXXX");
	if (mkdtemp(private.runtime) == NULL) {
		private.runtime[0] = '\0';
		return -errno;
	}
	strcpy(private.shm, "/dev/shm/shmbroker-bench-XXXXXX");
	if (mkdtemp(private.shm) == NULL) {
		private.shm[0] = '\0';
		return -errno;
	}
	snprintf(private.log, sizeof(private.log), "%s/log", private.runtime);
	snprintf(private.socket, sizeof(private.socket), "%s/control.sock", private.runtime);
	return 0;
}

static _Noreturn void exec_daemon(pid_t parent, const char *runtime, const char *shm, const char *log_path)
{
	int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0600);

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (log < 0 || dup2(log, STDERR_FILENO) < 0 || getppid() != parent)
		_exit(127);
	close(log);
	execl(private.daemon, private.daemon, "--runtime-dir", runtime, "--shm-dir", shm, "--linger", "infinity", (char *)NULL);
	_exit(127);
}

pid_t bench_daemon_fork(const char *runtime, const char *shm, const char *log)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	if (pid == 0) {
		peer_unpin(0);
		exec_daemon(parent, runtime, shm, log);
	}
	return pid < 0 ? -errno : pid;
}

static int fork_daemon(void)
{
	private.pid = bench_daemon_fork(private.runtime, private.shm, private.log);
	return private.pid < 0 ? private.pid : 0;
}

static int connect_soon(struct shmb **out)
{
	int r = -ETIMEDOUT;

	for (int i = 0; i < START_TRIES; i++) {
		r = shmb_connect(out, private.socket);
		if (r != -ENOENT && r != -ECONNREFUSED)
			return r;
		if (waitpid(private.pid, NULL, WNOHANG) == private.pid) {
			private.pid = 0;
			return r;
		}
		nanosleep(&(struct timespec){ .tv_nsec = TRY_MS * 1000000 }, NULL);
	}
	return r;
}

static void print_log(void)
{
	FILE *log = fopen(private.log, "re");
	char line[1024];

	if (log == NULL)
		return;
	while (fgets(line, sizeof(line), log) != NULL)
		fprintf(stderr, "  %s", line);
	fclose(log);
}

int bench_broker_start(struct shmb **out)
{
	int r = find_daemon();

	if (r < 0) {
		fprintf(stderr, "bench: no daemon at %s: %s; build it first\n", private.daemon, strerror(-r));
		return r;
	}
	r = make_directories();
	if (r == 0)
		r = fork_daemon();
	if (r == 0)
		r = connect_soon(out);
	if (r < 0) {
		fprintf(stderr, "bench: no private broker: %s; its log says\n", strerror(-r));
		print_log();
		bench_broker_stop(NULL);
	}
	return r;
}

void bench_broker_stop(struct shmb *broker)
{
	shmb_disconnect(broker);
	if (private.pid > 0) {
		kill(private.pid, SIGTERM);
		waitpid(private.pid, NULL, 0);
		private.pid = 0;
	}
	remove_all();
}

const char *bench_directory(void)
{
	return private.runtime;
}

const char *bench_broker_socket(void)
{
	return private.socket;
}

void bench_broker_pin(bool here)
{
	if (here)
		peer_pin(private.pid, true);
	else
		peer_unpin(private.pid);
}
