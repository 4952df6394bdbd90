/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_DEMO_PLACE_H
#define EXAMPLES_DEMO_PLACE_H

/*
 * Where the demo's private daemon lives: a directory for socket and logs (in $TMPDIR or /tmp: short, for a socket's path has 107 bytes at
 * most) and one for the segments (in /dev/shm where that is writable). And what is left in them: the count of leaks.
 */

#include <stddef.h>
#include <sys/types.h>

enum { PLACE_PATH_MAX = 128, PLACE_FILES_MAX = 256 };

struct place {
	char base[PLACE_PATH_MAX];
	char runtime[PLACE_PATH_MAX]; /* BASE/run */
	char shm[PLACE_PATH_MAX];
	char socket[PLACE_PATH_MAX]; /* RUNTIME/control.sock */
	char notify[PLACE_PATH_MAX]; /* BASE/notify: the daemon says here that it is ready */
	char log[PLACE_PATH_MAX];    /* BASE/log: what all processes say on stderr */
	int notify_fd;
};

/* The files in both directories, sorted by path. */
struct place_files {
	size_t count;
	char *paths[PLACE_FILES_MAX];
};

/* 0 or a negative errno, having said on stderr what is wrong. */
int place_init(struct place *place);
/* Removes both directories with all that is in them. */
void place_deinit(struct place *place);

/* Waits for READY=1 until the deadline. 0, -ETIMEDOUT. */
int place_wait_ready(struct place *place, int timeout_ms);

int place_files_get(const struct place *place, struct place_files *out);
void place_files_deinit(struct place_files *files);
/* The daemon's lock on its directory stays when it ends: not a leak, by design. */
int place_file_is_lock(const char *path);
int place_files_have(const struct place_files *files, const char *path);

/* How many descriptors a process has open; -1 when it cannot be known. */
int place_descriptor_count(pid_t pid);

#endif
