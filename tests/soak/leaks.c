/* SPDX-License-Identifier: MIT */
/*
 * Is anything left? Looked at with the daemon of the last seconds still up, after all clients have gone: in its answers, in the cards and
 * reader areas as they lie in its directory, among its descriptors, in both directories after the segments were removed, and among
 * processes.
 */
#include "control.h"

#include "proto/layout.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static int fds_count(pid_t pid)
{
	char path[64];
	int count = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (dir == NULL)
		return -1;
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count - 2;
}

static void files_add(char *files[SOAK_FILES_MAX], unsigned *count, const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	char *file;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.' || *count == SOAK_FILES_MAX)
			continue;
		if (asprintf(&file, "%s/%s", path, entry->d_name) > 0)
			files[(*count)++] = file;
	}
	if (dir != NULL)
		closedir(dir);
}

int soak_leaks_before(struct soak *soak)
{
	uint64_t deadline = shmb_now_ns() + SOAK_PATIENCE_MS * MS;
	struct shmb *client = NULL;
	int same = 0;

	/* A client that comes and goes: the daemon serves, and has opened what it opens once. */
	while (shmb_connect(&client, soak->socket) < 0) {
		if (shmb_now_ns() > deadline)
			return -1;
		soak_turn(soak, false, false, shmb_now_ns() + MS);
	}
	shmb_disconnect(client);
	for (soak->daemon_fds = 0; same < 20; same++) {
		int now = fds_count(soak->daemon.pid);

		if (now != soak->daemon_fds)
			same = 0;
		soak->daemon_fds = now;
		soak_turn(soak, false, false, shmb_now_ns() + MS);
	}
	files_add(soak->files, &soak->file_count, soak->runtime);
	files_add(soak->files, &soak->file_count, soak->shm);
	return 0;
}

__attribute__((format(printf, 2, 3))) static void leaked(struct soak *soak, const char *format, ...)
{
	va_list args;

	soak->counts.leaked++;
	printf("leaked: ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

/* ---- cells and pins, where they lie ---- */

static void look_at_card(struct soak *soak, int fd, const char *name)
{
	struct shmb_shm_card card;

	if (pread(fd, &card, sizeof(card), 0) != (ssize_t)sizeof(card)) {
		soak_failed(soak, "%s cannot be read", name);
		return;
	}
	for (unsigned i = 0; i < SHMB_CELLS_MAX; i++) {
		if (card.cells[i].pid != 0)
			leaked(soak, "cell %u of %s belongs to process %d", i, name, card.cells[i].pid);
	}
	for (unsigned i = 0; i < SHMB_AREAS_MAX; i++) {
		if (card.area_cells[i] != 0)
			leaked(soak, "area %u of %s has cells %#x", i, name, card.area_cells[i]);
	}
}

static void look_at_area(struct soak *soak, int fd, const char *name)
{
	struct shmb_shm_area area;

	if (pread(fd, &area, sizeof(area), 0) != (ssize_t)sizeof(area)) {
		soak_failed(soak, "%s cannot be read", name);
		return;
	}
	for (unsigned i = 0; i < SHMB_CELLS_PER_AREA; i++) {
		for (unsigned p = 0; p < SHMB_PINS_PER_CELL; p++) {
			if (area.cells[i].pins[p] != 0)
				leaked(soak, "pin %u of cell %u in %s", p, i, name);
		}
	}
}

/* "NAME,G" is a card, "NAME,G,area0" an area. */
static void look_at_files(struct soak *soak)
{
	char *files[SOAK_FILES_MAX];
	unsigned count = 0;

	files_add(files, &count, soak->shm);
	for (unsigned i = 0; i < count; i++) {
		const char *name = strrchr(files[i], '/') + 1;
		const char *comma = strchr(name, ',');
		const char *second = comma != NULL ? strchr(comma + 1, ',') : NULL;
		int fd = open(files[i], O_RDONLY | O_CLOEXEC);

		if (fd >= 0 && comma != NULL && comma != name && second == NULL)
			look_at_card(soak, fd, name);
		else if (fd >= 0 && second != NULL && strncmp(second, ",area", 5) == 0)
			look_at_area(soak, fd, name);
		if (fd >= 0)
			close(fd);
		free(files[i]);
	}
}

/* ---- what the daemon says ---- */

static int look_at_segment(const struct shmb_segment_info *info, void *user)
{
	struct soak *soak = user;

	if (info->readers != 0)
		leaked(soak, "%s has %u readers", info->name, info->readers);
	if (info->writer_pid != 0)
		leaked(soak, "%s has writer %d", info->name, info->writer_pid);
	return 0;
}

static int note_clients(const struct shmb_broker_status *status, void *user)
{
	*(unsigned *)user = status->clients;
	return 0;
}

static void look_at_answers(struct soak *soak, struct shmb *client)
{
	uint64_t deadline = shmb_now_ns() + SOAK_PATIENCE_MS * MS;
	unsigned clients = 0;

	while (shmb_status(client, note_clients, &clients) == 0 && clients != 1 && shmb_now_ns() < deadline)
		soak_turn(soak, false, false, shmb_now_ns() + MS);
	if (clients != 1)
		leaked(soak, "the daemon has %u connections, and should have this one", clients);
	if (shmb_list(client, look_at_segment, soak) < 0)
		soak_failed(soak, "the segments cannot be listed: %s", shmb_text());
}

/* ---- at the end ---- */

static void look_at_directories(struct soak *soak)
{
	char *files[SOAK_FILES_MAX];
	unsigned count = 0;

	files_add(files, &count, soak->runtime);
	files_add(files, &count, soak->shm);
	for (unsigned i = 0; i < count; i++) {
		bool was_there = false;

		for (unsigned j = 0; j < soak->file_count; j++)
			was_there = was_there || strcmp(files[i], soak->files[j]) == 0;
		if (!was_there)
			leaked(soak, "file %s", files[i]);
		free(files[i]);
	}
}

static void look_at_descriptors(struct soak *soak)
{
	uint64_t deadline = shmb_now_ns() + SOAK_PATIENCE_MS * MS;
	int fds = fds_count(soak->daemon.pid);

	while (fds != soak->daemon_fds && shmb_now_ns() < deadline) {
		soak_turn(soak, false, false, shmb_now_ns() + MS);
		fds = fds_count(soak->daemon.pid);
	}
	if (fds != soak->daemon_fds)
		leaked(soak, "the daemon has %d descriptors, and had %d before the first client", fds, soak->daemon_fds);
}

void soak_leaks_after(struct soak *soak)
{
	struct shmb *client = NULL;
	uint64_t deadline = shmb_now_ns() + SOAK_PATIENCE_MS * MS;
	pid_t pid;
	int r = shmb_connect(&client, soak->socket);

	if (r < 0) {
		soak_failed(soak, "no connection at the end: %s", shmb_text());
		return;
	}
	look_at_answers(soak, client);
	look_at_files(soak);
	for (unsigned i = 0; i < soak_segment_count; i++) {
		r = shmb_remove(client, soak_segments[i].name);
		if (r < 0)
			soak_failed(soak, "%s cannot be removed: %s", soak_segments[i].name, shmb_text());
	}
	shmb_disconnect(client);
	look_at_descriptors(soak);
	look_at_directories(soak);
	/* Ours are reaped, whoever they left would be ours now. */
	soak->daemon.is_ended = true;
	pid = soak->daemon.pid;
	kill(pid, SIGTERM);
	while (soak->daemon.pid != 0 && shmb_now_ns() < deadline)
		soak_turn(soak, false, false, shmb_now_ns() + MS);
	if (soak->daemon.pid != 0)
		soak_failed(soak, "the daemon does not end");
	while ((pid = waitpid(-1, NULL, WNOHANG)) >= 0) {
		leaked(soak, "a process");
		if (pid == 0)
			break;
	}
	for (unsigned i = 0; i < soak->file_count; i++)
		free(soak->files[i]);
}
