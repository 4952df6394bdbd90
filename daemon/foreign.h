/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_FOREIGN_H
#define SHMB_DAEMON_FOREIGN_H

/*
 * Mappings of files that others can truncate, and a way to touch them that survives it.
 *
 * Whoever holds a writable descriptor of a named part can make it shorter at any time; touching the lost pages is SIGBUS then. So every
 * access of the daemon to shared memory happens in a function run by foreign_call(): a SIGBUS at an address of one of this thread's
 * foreign mappings ends that function, and the call returns -EFAULT. Any other SIGBUS is a fault of the daemon itself and kills it as if
 * this file did not exist.
 *
 * The function is left by siglongjmp: it may touch memory and nothing that needs undoing (no allocation, no descriptor, no lock).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct foreign {
	void *at; /* NULL: not mapped */
	size_t bytes;
	bool is_borrowed;	  /* somebody else's, who unmaps it; not in the list */
	LIST_ENTRY(foreign) link; /* this thread's mappings; so the struct must stay where it is */
};

/* Maps part of a file. `fd` borrowed, `offset` in pages. */
int foreign_map(struct foreign *map, int fd, uint64_t offset, size_t bytes, bool writable);
/* Nothing when it is not mapped. By the thread that mapped it. */
void foreign_unmap(struct foreign *map);

/* Returns what `body` returns, or -EFAULT when memory of a foreign mapping was gone. Calls do not nest. */
int foreign_call(int (*body)(void *arg), void *arg);

#define auto_foreign __attribute__((cleanup(foreign_unmap)))

#endif
