/* SPDX-License-Identifier: MIT */
#ifndef SHMB_CLIENT_TEXT_H
#define SHMB_CLIENT_TEXT_H

#include <errno.h>

/*
 * The sentence behind shmb_text(): one buffer a thread, the only state of the library that no handle owns.
 */

/* Sets this thread's sentence (cut where it does not fit) and returns `error`, so that a failing function ends with it. */
int text_fail(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Ends a call in a process that was forked from the one that opened the handle: -EOWNERDEAD. */
void text_set_forked(void) __attribute__((cold));
static inline int text_forked(void)
{
	text_set_forked();
	return -EOWNERDEAD;
}

#endif
