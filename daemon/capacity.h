/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_CAPACITY_H
#define SHMB_DAEMON_CAPACITY_H

/*
 * Is there as much memory as the configuration promises? Looked at when it is loaded; what is wrong is a warning in the log, naming both. A file system
 * that is full says so to who wants more. A cgroup kills: what its limit cannot hold is not given out.
 */

#include <stdbool.h>
#include <stdint.h>

#include "quota.h"
#include "store.h"

enum { CAPACITY_FILE_BYTES = 576 };

/* Lowers the quota of bytes of all together to what the daemon's cgroup can hold; `limit_file`, which must last as long, then says where that stands. */
void capacity_check(const struct store *store, struct limits *total, char limit_file[CAPACITY_FILE_BYTES]);

/*
 * Lowers it to what a cgroup with this limit (UINT64_MAX none) can hold, where that is less than `most`: the quota, or what the file system holds;
 * UINT64_MAX neither ends. Was it? Pure.
 */
bool capacity_lower(struct limits *total, uint64_t most, uint64_t limit, const char *file);

/*
 * The lowest memory limit of a process' cgroup and those above it: `cgroups` is the text of /proc/PID/cgroup, `mount` where they are mounted. UINT64_MAX
 * none; `file` gets the name of the file that says it.
 */
uint64_t capacity_cgroup(const char *cgroups, const char *mount, char *file, size_t size);

#endif
