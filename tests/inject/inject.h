/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_INJECT_H
#define SHMB_TESTS_INJECT_H

/*
 * Failures of system calls, libc and memory, put into the program or library under test: calls that go through its table of foreign functions come here
 * first (hook.c), are counted, and one of them fails, or the process is killed at it. Nothing is built into what is shipped, and what other
 * objects call (libc itself, libev, the test) is not touched.
 *
 * The page that says what is to happen is shared: the daemon finds it through $SHMB_INJECT (a path), in which case the object is loaded with
 * LD_PRELOAD; the library is hooked in the test's own process.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { INJECT_SITES = 2048, INJECT_TRACE = 16384, INJECT_ERRORS = 16, INJECT_FAULTS = 3 };

enum inject_mode { INJECT_OFF, INJECT_COUNT, INJECT_FAIL, INJECT_KILL };

/* Among errors, and none. */
enum { INJECT_END = 4001, INJECT_SHORT = 4002 };

/* A place in the code under test from which a call is made. */
struct inject_site {
	atomic_uint key;   /* 0 none; where it returns to, from the beginning of the object */
	uint32_t call;	   /* a row of calls.h */
	atomic_uint count; /* calls */
};

/* Which call fails: of those from this place, since the fault before, the one of this number, from 0; and with which of its errors. */
struct inject_fault {
	uint32_t call;
	uint32_t key;
	uint32_t number;
	uint32_t which;
	int32_t error; /* with which it failed; 0: not, its errors are fewer */
};

/* What the program is told of the machine it runs on. */
struct inject_host {
	bool old_kernel; /* what came after Linux 6.1 is not there */
	bool unseen;	 /* its peers are in a container with pids of its own */
	bool slow;	 /* each look at the clock takes longer than one turn of the daemon may */
	bool untyped;	 /* directories do not tell what kind of file an entry is */
};

struct inject_page {
	_Atomic(enum inject_mode) mode;
	enum inject_mode armed; /* the mode before it was switched off */
	/* One after the other; INJECT_KILL is for the last. */
	struct inject_fault faults[INJECT_FAULTS];
	uint32_t fault_count;
	atomic_uint fired; /* how many of them have come */
	atomic_uint seen;
	struct inject_host host;
	atomic_uint calls;
	/* Kept while off as well. */
	atomic_int memory; /* blocks of memory held */
	struct inject_site sites[INJECT_SITES];
	/* The calls that were counted; of faults, those after the last. */
	uint16_t trace[INJECT_TRACE];	 /* site + 1 of each call */
	uint32_t contexts[INJECT_TRACE]; /* who called the functions that call there */
	uint8_t errors[INJECT_TRACE];	 /* how many errors it has */
};

/* Have all its faults come? */
static inline bool inject_is_done(const struct inject_page *page)
{
	return atomic_load(&page->fired) == page->fault_count;
}

/* Its last fault. */
static inline const struct inject_fault *inject_last(const struct inject_page *page)
{
	return &page->faults[page->fault_count - 1];
}

/* Hooks the object whose file name contains this ("": the program itself). Returns how many entries of its tables lead here. */
unsigned inject_hook(struct inject_page *page, const char *object);
const char *inject_call_name(uint32_t call);
const char *inject_error_name(int error);
bool inject_is_memory(uint32_t call);

#endif
