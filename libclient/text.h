/* SPDX-License-Identifier: MIT */
#ifndef SHMB_CLIENT_TEXT_H
#define SHMB_CLIENT_TEXT_H

#include <errno.h>

/*
 * The sentence behind shmb_text(): one buffer a thread, the only state of the library that no handle owns.
 */

/* Sets this thread's sentence (cut where it does not fit) and returns `error`, so that a failing function ends with it. */
int text_fail(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * An error of a system call, negative, as the headers name it: what there is too little of; else -EIO, because the errno itself may mean something else
 * in a function of ours (-ENOENT: there is no such segment). The text says what it was.
 */
int text_system(int error);
/* Likewise of mapping what the broker sent: a descriptor that cannot be mapped, or not so, is not what was asked for. */
int text_mapping(int error);
/* Ends a call in a process that was forked from the one that opened the handle: -EOWNERDEAD. */
void text_set_forked(void) __attribute__((cold));
static inline int text_forked(void)
{
	text_set_forked();
	return -EOWNERDEAD;
}

#endif
