/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_SCAN_FILES_H
#define SHMB_DAEMON_SCAN_FILES_H

/* What lies in the directory at the start: names, told apart and sorted. Only names and kinds of files are looked at here. */

#include <stddef.h>

#include "parts.h"

struct broker;

struct scan_file {
	char *file;
	struct part_name part;
};

struct scan_files {
	struct scan_file *files;
	size_t count;
	size_t room;
};

/*
 * Reads the directory: parts of segments, the files of one set together, its newest generation first, and event pages. Whatever else lies there is left
 * alone, with an event that says why. The caller ends both with scan_files_deinit(), in any case. `broker` may be NULL (event.h).
 */
int scan_files_read(struct store *store, struct broker *broker, struct scan_files *parts, struct scan_files *pages);
void scan_files_deinit(struct scan_files *files);

/* Of parts: 0 where both are of the same name; of the same set. */
int scan_name_compare(const struct scan_file *a, const struct scan_file *b);
int scan_set_compare(const struct scan_file *a, const struct scan_file *b);

#endif
