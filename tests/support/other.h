/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_OTHER_H
#define SHMB_TESTS_OTHER_H

/*
 * Things done as another user. The children only fork and change their uid, so that no other user needs to be able to read the build directory. Needs root:
 * OTHER_SKIP().
 */

#include "broker.h"

#include <stdio.h>
#include <unistd.h>

enum { OTHER_UID = 65534 };

#define OTHER_SKIP()                                                                                                                       \
	do {                                                                                                                               \
		if (geteuid() != 0)                                                                                                        \
			TEST_SKIP("needs root to become another user");                                                                    \
	} while (0)

/* Runs `body` in a child of another uid; its result must be 0. */
void other_run(uid_t uid, int (*body)(struct broker *b), struct broker *b);
/* The same, but it is not waited for. It ends with the test; other_wait() fails the test unless its result is 0. */
pid_t other_start(uid_t uid, int (*body)(struct broker *b), struct broker *b);
void other_wait(pid_t pid);
void other_kill(pid_t pid);

/* In such a child: fails it. */
#define CHILD_CHECK(condition)                                                                                                             \
	do {                                                                                                                               \
		if (!(condition)) {                                                                                                        \
			fprintf(stderr, "as uid %d: %s:%d: not so: %s (errno %d, text: %s)\n", (int)getuid(), __FILE__, __LINE__,          \
				#condition, errno, shmb_text());                                                                           \
			return 1;                                                                                                          \
		}                                                                                                                          \
	} while (0)

#endif
