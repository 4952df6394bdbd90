/* SPDX-License-Identifier: MIT */
/*
 * The SIGBUS guard (foreign.h).
 *
 * The handler is installed at the first call and stays. Guard and list of mappings are thread-local: SIGBUS of a memory access is delivered to
 * the thread that made it, so the handler never sees a list that is being changed.
 */
#include "foreign.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

LIST_HEAD(foreign_list, foreign);

static _Thread_local struct foreign_list mappings = LIST_HEAD_INITIALIZER(mappings);
static _Thread_local sigjmp_buf guard_env;
static _Thread_local volatile sig_atomic_t guard_active;

static struct sigaction action_before;
static pthread_once_t installed = PTHREAD_ONCE_INIT;

static bool address_is_foreign(uintptr_t address)
{
	const struct foreign *map;

	LIST_FOREACH (map, &mappings, link) {
		if (address - (uintptr_t)map->at < map->bytes)
			return true;
	}
	return false;
}

static void on_sigbus(int signo, siginfo_t *info, void *context)
{
	(void)context;
	if (guard_active && info->si_code > 0 && address_is_foreign((uintptr_t)info->si_addr)) {
		guard_active = 0;
		siglongjmp(guard_env, 1);
	}
	/* Not ours: as before we came. A faulting access faults again on return; a signal somebody sent is sent once more. */
	sigaction(signo, &action_before, NULL);
	if (info->si_code <= 0)
		raise(signo);
}

static void install(void)
{
	/* SA_NODEFER: the handler is left by siglongjmp, which restores no mask (that would cost a system call each time). */
	struct sigaction action = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_NODEFER };

	sigemptyset(&action.sa_mask);
	if (sigaction(SIGBUS, &action, &action_before) < 0)
		abort(); /* cannot be: the arguments are constant */
}

int foreign_map(struct foreign *map, int fd, uint64_t offset, size_t bytes, bool writable)
{
	void *at = mmap(NULL, bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, (off_t)offset);

	if (at == MAP_FAILED)
		return -errno;
	map->at = at;
	map->bytes = bytes;
	LIST_INSERT_HEAD(&mappings, map, link);
	return 0;
}

void foreign_unmap(struct foreign *map)
{
	if (map->at == NULL)
		return;
	if (!map->is_borrowed) {
		LIST_REMOVE(map, link);
		munmap(map->at, map->bytes);
	}
	map->at = NULL;
	map->bytes = 0;
}

int foreign_call(int (*body)(void *arg), void *arg)
{
	int r;

	pthread_once(&installed, install);
	assert(!guard_active);
	if (sigsetjmp(guard_env, 0) != 0)
		return -EFAULT;
	guard_active = 1;
	/* The compiler must move no access of an inlined body before the guard or after its end. */
	atomic_signal_fence(memory_order_seq_cst);
	r = body(arg);
	atomic_signal_fence(memory_order_seq_cst);
	guard_active = 0;
	return r;
}
