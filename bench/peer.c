/* SPDX-License-Identifier: MIT */
/* The second process (peer.h). */
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, NAP_NS = 50000, PATIENCE_NAPS = 100000, LEAVE_NAPS = 20000, ARGUMENTS_MAX = 15 };

static cpu_set_t all; /* as this program was given them */
static bool all_known;

static bool look_at_cpus(void)
{
	all_known = all_known || sched_getaffinity(0, sizeof(all), &all) == 0;
	return all_known;
}

void peer_unpin(pid_t pid)
{
	if (look_at_cpus())
		sched_setaffinity(pid, sizeof(all), &all);
}

bool peer_pin(pid_t pid, bool last)
{
	cpu_set_t one;
	int chosen = -1;

	if (!look_at_cpus())
		return false;
	for (int i = 0; i < CPU_SETSIZE; i++) {
		if (CPU_ISSET(i, &all) && (last || chosen < 0))
			chosen = i;
	}
	CPU_ZERO(&one);
	CPU_SET(chosen, &one);
	return sched_setaffinity(pid, sizeof(one), &one) == 0 && CPU_COUNT(&all) > 1;
}

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = NAP_NS }, NULL);
}

static int map_page(struct peer *peer)
{
	peer->page = mmap(NULL, peer->page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, peer->fd, 0);
	if (peer->page != MAP_FAILED)
		return 0;
	peer->page = NULL;
	return -errno;
}

int peer_map(struct peer *peer, size_t bytes)
{
	peer->page_bytes = PAGE + bytes;
	peer->fd = memfd_create("peer", MFD_CLOEXEC);
	if (peer->fd < 0 || ftruncate(peer->fd, (off_t)peer->page_bytes) < 0)
		return -errno;
	return map_page(peer);
}

void *peer_memory(const struct peer *peer)
{
	return (unsigned char *)peer->page + PAGE;
}

static int work_on(struct peer *peer, const struct peer_work *work, void *state)
{
	struct peer_page *page = peer->page;
	int r = work->init != NULL ? work->init(state) : 0;

	atomic_store(&page->error, r);
	atomic_store(&page->ready, 1);
	while (r == 0) {
		while (atomic_load(&page->go) == 0 && atomic_load(&page->leave) == 0)
			nap();
		if (atomic_load(&page->leave) != 0)
			break;
		atomic_store(&page->working, 1);
		r = work->run(peer, state);
		atomic_store(&page->error, r);
		atomic_store(&page->working, 0);
		while (atomic_load(&page->go) != 0)
			nap();
	}
	return r;
}

static int wait_for(struct peer *peer, const _Atomic uint32_t *word, uint32_t value)
{
	for (int i = 0; i < PATIENCE_NAPS; i++) {
		if (atomic_load(word) == value)
			return atomic_load(&peer->page->error);
		if (atomic_load(&peer->page->error) < 0)
			return atomic_load(&peer->page->error);
		if (waitpid(peer->pid, NULL, WNOHANG) == peer->pid) {
			peer->pid = 0;
			return -ECHILD;
		}
		nap();
	}
	return -ETIMEDOUT;
}

int peer_start(struct peer *peer, const struct peer_work *work, void *state)
{
	pid_t parent = getpid();

	peer->pid = fork();
	if (peer->pid < 0) {
		peer->pid = 0;
		return -errno;
	}
	if (peer->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() == parent) {
			peer_pin(0, false);
			work_on(peer, work, state);
		}
		_exit(0);
	}
	return wait_for(peer, &peer->page->ready, 1);
}

int peer_exec(struct peer *peer, const char *const *arguments)
{
	char *argv[ARGUMENTS_MAX + 2] = { (char *)"bench" };
	pid_t parent = getpid();

	for (int i = 0; i < ARGUMENTS_MAX && arguments[i] != NULL; i++)
		argv[i + 1] = (char *)arguments[i];
	peer->pid = fork();
	if (peer->pid < 0) {
		peer->pid = 0;
		return -errno;
	}
	if (peer->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		peer_unpin(0); /* for it to see all CPUs */
		if (getppid() == parent && fcntl(peer->fd, F_SETFD, 0) == 0)
			execv("/proc/self/exe", argv);
		_exit(127);
	}
	peer->leaves = true;
	return wait_for(peer, &peer->page->ready, 1);
}

int peer_attach(int fd, const struct peer_work *work, void *state)
{
	struct peer peer = { .fd = fd };
	struct stat st;
	int r;

	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fstat(fd, &st) < 0)
		return -errno;
	peer.page_bytes = (size_t)st.st_size;
	r = map_page(&peer);
	if (r < 0)
		return r;
	peer_pin(0, false);
	return work_on(&peer, work, state);
}

int peer_begin(struct peer *peer)
{
	atomic_store(&peer->page->go, 1);
	return wait_for(peer, &peer->page->working, 1);
}

void peer_tell(struct peer *peer)
{
	atomic_store(&peer->page->go, 0);
}

void peer_end(struct peer *peer)
{
	peer_tell(peer);
	wait_for(peer, &peer->page->working, 0);
}

/* What one that was started anew uses is to be cleared away by the libraries that made it. */
static bool has_left(struct peer *peer)
{
	atomic_store(&peer->page->leave, 1);
	for (int i = 0; i < LEAVE_NAPS; i++) {
		if (waitpid(peer->pid, NULL, WNOHANG) == peer->pid)
			return true;
		nap();
	}
	return false;
}

void peer_stop(struct peer *peer)
{
	if (peer->pid > 0 && (!peer->leaves || !has_left(peer))) {
		kill(peer->pid, SIGKILL);
		waitpid(peer->pid, NULL, 0);
	}
	if (peer->page == NULL)
		return;
	munmap(peer->page, peer->page_bytes);
	close(peer->fd);
}
