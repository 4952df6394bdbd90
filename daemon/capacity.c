/* SPDX-License-Identifier: MIT */
/* What the host has, against what the operator says (capacity.h). */
#include "capacity.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cleanup.h"
#include "log.h"

/*
 * What of a cgroup's limit is no segment's: the daemon itself, and what the kernel needs besides the pages (576 bytes for 64 of them in the files' trees, page
 * tables, sockets).
 */
enum { PATH_BYTES = 512, OWN_BYTES = 8 << 20, OWN_PART = 64 };

/* cgroup v1 says "no limit" with LONG_MAX in whole pages. */
#define NO_LIMIT (UINT64_C(1) << 62)

static ssize_t file_text(const char *path, char *out, size_t size)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, out, size - 1);

	out[length > 0 ? length : 0] = '\0';
	return length;
}

/* The lowest of `file` in `path` below `top` and in the directories above it. */
static void lowest_of(const char *top, const char *path, const char *file, uint64_t *lowest, char *out, size_t size)
{
	char directory[PATH_BYTES];
	char name[PATH_BYTES + 64];
	char text[32];
	uint64_t limit;
	char *end;

	snprintf(directory, sizeof(directory), "%s%s", top, path);
	for (;;) {
		snprintf(name, sizeof(name), "%s/%s", directory, file);
		limit = file_text(name, text, sizeof(text)) > 0 && text[0] >= '0' && text[0] <= '9' ? strtoull(text, NULL, 10) : UINT64_MAX;
		if (limit < NO_LIMIT && limit < *lowest) {
			*lowest = limit;
			snprintf(out, size, "%s", name);
		}
		end = strrchr(directory, '/');
		if (end == NULL || (size_t)(end - directory) < strlen(top))
			return;
		*end = '\0';
	}
}

uint64_t capacity_cgroup(const char *cgroups, const char *mount, char *file, size_t size)
{
	uint64_t lowest = UINT64_MAX;
	char line[PATH_BYTES];
	char top[PATH_BYTES];

	file[0] = '\0';
	for (const char *at = cgroups; *at != '\0';) {
		size_t length = strcspn(at, "\n");
		char *path;

		snprintf(line, sizeof(line), "%.*s", (int)length, at);
		at += length + (at[length] == '\n');
		path = strchr(line, '/');
		if (path == NULL)
			continue;
		if (strncmp(line, "0::", 3) == 0) {
			snprintf(top, sizeof(top), "%.400s", mount);
			lowest_of(top, path, "memory.max", &lowest, file, size);
			snprintf(top, sizeof(top), "%.400s/unified", mount);
			lowest_of(top, path, "memory.max", &lowest, file, size);
		} else if (strstr(line, ":memory:") != NULL) {
			snprintf(top, sizeof(top), "%.400s/memory", mount);
			lowest_of(top, path, "memory.limit_in_bytes", &lowest, file, size);
		}
	}
	return lowest;
}

bool capacity_lower(struct limits *total, uint64_t most, uint64_t limit, const char *file)
{
	uint64_t own = OWN_BYTES + limit / OWN_PART;
	uint64_t room = limit > own ? limit - own : 0;

	if (limit == UINT64_MAX || room >= most)
		return false;
	total->max[LIMIT_BYTES] = room;
	total->at[LIMIT_BYTES] = (struct policy_origin){ .file = file };
	return true;
}

void capacity_check(const struct store *store, struct limits *total, char limit_file[CAPACITY_FILE_BYTES])
{
	uint64_t most = total->max[LIMIT_BYTES];
	char source[POLICY_SOURCE_MAX];
	char cgroups[4096];
	struct statvfs fs;
	uint64_t limit;

	policy_origin_text(&total->at[LIMIT_BYTES], source);
	if (store->dir_fd >= 0 && fstatvfs(store->dir_fd, &fs) == 0 && fs.f_blocks != 0) {
		uint64_t bytes = (uint64_t)fs.f_blocks * fs.f_frsize;

		if (most != UINT64_MAX && most > bytes)
			log_warning("segments may have %" PRIu64 " bytes (%s), but the file system of %s has only %" PRIu64
				    ": make it larger, or lower bytes-max",
				    most, source, store->path, bytes);
		if (most > bytes)
			most = bytes;
	}
	if (file_text("/proc/self/cgroup", cgroups, sizeof(cgroups)) <= 0)
		return;
	limit = capacity_cgroup(cgroups, "/sys/fs/cgroup", limit_file, CAPACITY_FILE_BYTES);
	if (!capacity_lower(total, most, limit, limit_file))
		return;
	log_warning("segments may have %" PRIu64 " bytes, but the daemon's own cgroup, to which they are charged, may have only %" PRIu64
		    " (%s), and it would be killed with more: they get %" PRIu64
		    "; raise that (MemoryMax=), or set bytes-max in [broker] below it",
		    most, limit, limit_file, total->max[LIMIT_BYTES]);
}
