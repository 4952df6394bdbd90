/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_CAPACITY_H
#define SHMB_DAEMON_CAPACITY_H

/* Is there as much memory as the configuration promises? Looked at when it is loaded; what is wrong is a warning in the log, naming both. */

#include <stdint.h>

#include "quota.h"
#include "store.h"

void capacity_check(const struct store *store, const struct limits *total);

/*
 * The lowest memory limit of a process' cgroup and those above it: `cgroups` is the text of /proc/PID/cgroup, `mount` where they are mounted. UINT64_MAX
 * none; `file` gets the name of the file that says it.
 */
uint64_t capacity_cgroup(const char *cgroups, const char *mount, char *file, size_t size);

#endif
