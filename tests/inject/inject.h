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

enum { INJECT_SITES = 2048, INJECT_TRACE = 16384, INJECT_ERRORS = 16 };

enum inject_mode { INJECT_OFF, INJECT_COUNT, INJECT_FAIL, INJECT_KILL };

/* A place in the code under test from which a call is made. */
struct inject_site {
	atomic_uint key;   /* 0 none; where it returns to, from the beginning of the object */
	uint32_t call;	   /* a row of calls.h */
	atomic_uint count; /* calls */
};

struct inject_page {
	_Atomic(enum inject_mode) mode;
	enum inject_mode armed; /* the mode before it was switched off */
	/* Which call fails: of those from this place the one of this number, from 0; and with which of its errors. */
	uint32_t call;
	uint32_t key;
	uint32_t number;
	uint32_t which;
	atomic_uint seen;
	bool old_kernel; /* what came after Linux 6.1 is not there */
	atomic_uint calls;
	/* What came of it. */
	atomic_bool fired;
	int32_t error; /* 0: its errors are fewer */
	/* Kept while off as well. */
	atomic_int memory; /* blocks of memory held */
	struct inject_site sites[INJECT_SITES];
	uint16_t trace[INJECT_TRACE]; /* of INJECT_COUNT: site + 1 of each call */
	uint8_t errors[INJECT_TRACE]; /* how many errors it has */
};

/* Hooks the object whose file name contains this ("": the program itself). Returns how many entries of its tables lead here. */
unsigned inject_hook(struct inject_page *page, const char *object);
const char *inject_call_name(uint32_t call);
bool inject_is_memory(uint32_t call);

#endif
