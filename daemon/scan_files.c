/* SPDX-License-Identifier: MIT */
/* The names in the directory (scan_files.h). */
#include "scan_files.h"

#include "cleanup.h"
#include "event.h"
#include "event_page.h"
#include "proto/name.h"
#include "store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void scan_files_deinit(struct scan_files *files)
{
	for (size_t i = 0; i < files->count; i++)
		free(files->files[i].file);
	free(files->files);
}

/* gcc's analyzer loses sight of what is stored behind `files`, which the caller's caller frees. */
#ifndef __clang__
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif
static int files_add(struct scan_files *files, const char *file, const struct part_name *part)
{
	if (files->count == files->room) {
		size_t room = files->room != 0 ? 2 * files->room : 64;
		struct scan_file *grown = reallocarray(files->files, room, sizeof(*grown));

		if (grown == NULL)
			return -ENOMEM;
		files->files = grown;
		files->room = room;
	}
	files->files[files->count] = (struct scan_file){ .file = strdup(file) };
	if (files->files[files->count].file == NULL)
		return -ENOMEM;
	if (part != NULL)
		files->files[files->count].part = *part;
	files->count++;
	return 0;
}
#ifndef __clang__
#pragma GCC diagnostic pop
#endif

int scan_name_compare(const struct scan_file *a, const struct scan_file *b)
{
	size_t common = a->part.name_length < b->part.name_length ? a->part.name_length : b->part.name_length;
	int order = memcmp(a->file, b->file, common);

	if (order != 0)
		return order;
	return (a->part.name_length > b->part.name_length) - (a->part.name_length < b->part.name_length);
}

/* By name, the newest generation first. */
int scan_set_compare(const struct scan_file *a, const struct scan_file *b)
{
	int order = scan_name_compare(a, b);

	if (order != 0)
		return order;
	return (a->part.generation < b->part.generation) - (a->part.generation > b->part.generation);
}

/* ---- reading the directory ---- */

/* NULL for a regular file. */
static const char *not_regular(struct store *store, const struct dirent *entry)
{
	unsigned char type = entry->d_type;
	struct stat st;

	if (type == DT_UNKNOWN) {
		if (fstatat(store->dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return "it cannot be looked at";
		type = (unsigned char)IFTODT(st.st_mode);
	}
	switch (type) {
	case DT_REG:
		return NULL;
	case DT_DIR:
		return "it is a directory";
	case DT_LNK:
		return "it is a symbolic link";
	case DT_FIFO:
		return "it is a fifo";
	case DT_SOCK:
		return "it is a socket";
	default:
		return "it is a device";
	}
}

/* Where the names of one directory go. */
struct reading {
	struct store *store;
	struct broker *broker;
	struct scan_files *parts;
	struct scan_files *pages;
};

static int entry_sort(const struct reading *reading, const struct dirent *entry)
{
	const char *file = entry->d_name;
	const char *why;
	char name[SHMB_NAME_MAX + 1];
	struct part_name part;

	if (strcmp(file, ".") == 0 || strcmp(file, "..") == 0 || strcmp(file, STORE_LOCK_FILE) == 0)
		return 0;
	why = not_regular(reading->store, entry);
	if (why == NULL && strncmp(file, EVENT_PAGE_PREFIX, strlen(EVENT_PAGE_PREFIX)) == 0)
		return files_add(reading->pages, file, NULL);
	if (why == NULL && (part_parse(file, &part) < 0 || shmb_name_decode(file, part.name_length, name) < 0))
		why = "its name is none that this daemon gives";
	if (why != NULL) {
		event_tell(reading->broker, &(struct event){ .kind = EVENT_IGNORED, .reason = "foreign-file" },
			   "%s: foreign file %s left alone: %s", reading->store->path, file, why);
		return 0;
	}
	return files_add(reading->parts, file, &part);
}

static int directory_read(const struct reading *reading)
{
	auto_close int fd = openat(reading->store->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir;
	int r = 0;

	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (dir == NULL)
		return -errno;
	cleanup_steal(&fd);
	while (r == 0) {
		const struct dirent *entry;

		errno = 0;
		entry = readdir(dir);
		if (entry == NULL) {
			r = -errno;
			break;
		}
		r = entry_sort(reading, entry);
	}
	closedir(dir);
	return r;
}

static int by_set(const void *left, const void *right)
{
	return scan_set_compare(left, right);
}

int scan_files_read(struct store *store, struct broker *broker, struct scan_files *parts, struct scan_files *pages)
{
	struct reading reading = { .store = store, .broker = broker, .parts = parts, .pages = pages };
	int r = directory_read(&reading);

	if (r == 0 && parts->count > 0)
		qsort(parts->files, parts->count, sizeof(*parts->files), by_set);
	return r;
}
