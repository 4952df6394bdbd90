/* SPDX-License-Identifier: MIT */
/* The demo's directories: made private, looked through, removed. */

#include "demo_place.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { PLACE_TMPDIR_MAX = 60 };

static int place_notify_open(struct place *place)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(place->notify) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, place->notify);
	place->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (place->notify_fd < 0 || bind(place->notify_fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return 0;
}

int place_init(struct place *place)
{
	const char *tmp = getenv("TMPDIR");
	int r;

	*place = (struct place){ .notify_fd = -1 };
	if (!tmp || *tmp != '/' || strlen(tmp) > PLACE_TMPDIR_MAX)
		tmp = "/tmp";
	snprintf(place->base, sizeof(place->base), "%s/shmb-demo-XXXXXX", tmp);
	if (!mkdtemp(place->base)) {
		r = -errno;
		fprintf(stderr, "demo: cannot make a directory in %s: %s\n", tmp, strerror(errno));
		place->base[0] = 0;
		return r;
	}
	snprintf(place->runtime, sizeof(place->runtime), "%.*s/run", PLACE_PATH_MAX - 32, place->base);
	snprintf(place->socket, sizeof(place->socket), "%.*s/run/control.sock", PLACE_PATH_MAX - 32, place->base);
	snprintf(place->notify, sizeof(place->notify), "%.*s/notify", PLACE_PATH_MAX - 32, place->base);
	snprintf(place->log, sizeof(place->log), "%.*s/log", PLACE_PATH_MAX - 32, place->base);
	/* Under the same name, so that who sees one finds the other. */
	snprintf(place->shm, sizeof(place->shm), "/dev/shm/%s", strrchr(place->base, '/') + 1);
	if (mkdir(place->shm, 0700) < 0) /* a machine without /dev/shm: ordinary files do as well, only slower */
		snprintf(place->shm, sizeof(place->shm), "%.*s/shm", PLACE_PATH_MAX - 32, place->base);
	r = mkdir(place->runtime, 0700) < 0 ? -errno : place_notify_open(place);
	if (r < 0) {
		fprintf(stderr, "demo: cannot prepare %s: %s\n", place->base, strerror(-r));
		place_deinit(place);
	}
	return r;
}

static int place_remove(const char *path, const struct stat *status, int kind, struct FTW *ftw)
{
	(void)status;
	(void)kind;
	(void)ftw;
	(void)remove(path); /* what cannot be removed stays */
	return 0;
}

void place_deinit(struct place *place)
{
	if (place->notify_fd >= 0)
		close(place->notify_fd);
	place->notify_fd = -1;
	if (place->shm[0])
		nftw(place->shm, place_remove, 8, FTW_DEPTH | FTW_PHYS);
	if (place->base[0])
		nftw(place->base, place_remove, 8, FTW_DEPTH | FTW_PHYS);
	place->shm[0] = place->base[0] = 0;
}

int place_wait_ready(struct place *place, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = place->notify_fd, .events = POLLIN };
	char message[1024];
	bool is_ready = false;

	while (!is_ready && poll(&poll_fd, 1, timeout_ms) > 0) {
		ssize_t length = recv(place->notify_fd, message, sizeof(message) - 1, 0);

		if (length <= 0)
			continue;
		message[length] = 0;
		is_ready = strncmp(message, "READY=1", 7) == 0 || strstr(message, "\nREADY=1");
	}
	return is_ready ? 0 : -ETIMEDOUT;
}

static struct place_files *place_files_out; /* for place_file_add(): nftw passes nothing on */

static int place_file_add(const char *path, const struct stat *status, int kind, struct FTW *ftw)
{
	(void)status;
	(void)ftw;
	if (kind == FTW_D || kind == FTW_DNR)
		return 0;
	if (place_files_out->count == PLACE_FILES_MAX)
		return -1;
	place_files_out->paths[place_files_out->count] = strdup(path);
	if (!place_files_out->paths[place_files_out->count])
		return -1;
	place_files_out->count++;
	return 0;
}

static int place_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int place_files_get(const struct place *place, struct place_files *out)
{
	int r;

	*out = (struct place_files){ 0 };
	place_files_out = out;
	r = nftw(place->runtime, place_file_add, 8, FTW_PHYS);
	if (r == 0 && access(place->shm, F_OK) == 0)
		r = nftw(place->shm, place_file_add, 8, FTW_PHYS);
	qsort(out->paths, out->count, sizeof(out->paths[0]), place_compare);
	return r == 0 ? 0 : -EIO;
}

void place_files_deinit(struct place_files *files)
{
	for (size_t i = 0; i < files->count; i++)
		free(files->paths[i]);
	files->count = 0;
}

int place_file_is_lock(const char *path)
{
	const char *name = strrchr(path, '/');

	return name && strcmp(name, "/,lock") == 0;
}

int place_files_have(const struct place_files *files, const char *path)
{
	return bsearch(&path, files->paths, files->count, sizeof(files->paths[0]), place_compare) != NULL;
}

int place_descriptor_count(pid_t pid)
{
	char path[64];
	struct dirent *entry;
	int count = 0;
	DIR *directory;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	directory = opendir(path);
	if (!directory)
		return -1;
	while ((entry = readdir(directory)))
		count += entry->d_name[0] != '.';
	closedir(directory);
	return count;
}
