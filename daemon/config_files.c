/* SPDX-License-Identifier: MIT */
/* Finding and reading the files of the configuration (config_files.h). */
#include "config_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "cleanup.h"

enum {
	FILE_BYTES_MAX = 1 << 20,
	DROPINS_MAX = 256,
	PATH_BYTES = CONFIG_PATH_MAX + 320, /* a directory and a name in it */
};

/* The directories of the system's drop-ins, the strongest first. */
static const char *const system_dirs[] = {
	OPTIONS_SYSTEM_CONFIG ".d",
	"/run/shmbroker/shmbrokerd.conf.d",
	"/usr/lib/shmbroker/shmbrokerd.conf.d",
};

__attribute__((format(printf, 3, 4))) static int fail(int error, char *why, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, CONFIG_WHY_MAX, format, args);
	va_end(args);
	return error;
}

/* ---- names ---- */

static int find_user(const char *name, uint32_t *uid)
{
	const struct passwd *entry;

	errno = 0;
	entry = getpwnam(name);
	if (entry == NULL)
		return errno == 0 || errno == ENOENT || errno == ESRCH ? -ENOENT : -errno;
	*uid = entry->pw_uid;
	return 0;
}

static int find_group(const char *name, uint32_t *gid)
{
	const struct group *entry;

	errno = 0;
	entry = getgrnam(name);
	if (entry == NULL)
		return errno == 0 || errno == ENOENT || errno == ESRCH ? -ENOENT : -errno;
	*gid = entry->gr_gid;
	return 0;
}

const struct setting_names config_host_names = { .user = find_user, .group = find_group };

/* ---- one file ---- */

/* Who could have written this? */
static int check_owner(const char *path, const struct stat *st, char *why)
{
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return fail(-EPERM, why, "%s: belongs to uid %u, neither to root nor to the daemon's uid %u: chown it", path, st->st_uid,
			    geteuid());
	if ((st->st_mode & S_IWOTH) != 0)
		return fail(-EPERM, why, "%s: anybody can write it (mode %04o): chmod o-w", path, st->st_mode & 07777);
	if ((st->st_mode & S_IWGRP) != 0 && st->st_gid != 0 && st->st_gid != getegid())
		return fail(-EPERM, why, "%s: the group %u can write it (mode %04o): chmod g-w", path, st->st_gid, st->st_mode & 07777);
	return 0;
}

/* The text of a file. An empty one for /dev/null. */
static int file_read(const char *path, char **out, size_t *length, char *why)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	auto_free char *text = NULL;
	struct stat st;
	size_t done = 0;
	int r;

	if (fd < 0)
		return fail(-errno, why, "%s: %s", path, strerror(errno));
	if (fstat(fd, &st) < 0)
		return fail(-errno, why, "%s: %s", path, strerror(errno));
	if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3)) {
		st.st_size = 0;
	} else {
		if (!S_ISREG(st.st_mode))
			return fail(-EINVAL, why, "%s: no ordinary file", path);
		r = check_owner(path, &st, why);
		if (r < 0)
			return r;
	}
	if (st.st_size > FILE_BYTES_MAX)
		return fail(-EFBIG, why, "%s: longer than %d bytes", path, FILE_BYTES_MAX);
	text = malloc((size_t)st.st_size + 1);
	if (text == NULL)
		return fail(-ENOMEM, why, "%s: no memory", path);
	while (done < (size_t)st.st_size) {
		ssize_t got = read(fd, text + done, (size_t)st.st_size - done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail(-errno, why, "%s: %s", path, strerror(errno));
		if (got == 0) /* half a configuration is none */
			return fail(-EAGAIN, why, "%s: became shorter while it was read: it is being written; try again", path);
		done += (size_t)got;
	}
	*length = done;
	*out = text;
	text = NULL;
	return 0;
}

static int file_add(struct config *config, const char *path, char *why)
{
	auto_free char *text = NULL;
	size_t length = 0;
	int r = file_read(path, &text, &length, why);

	return r < 0 ? r : config_add(config, path, text, length, &config_host_names, why);
}

/* ---- drop-ins ---- */

struct dropin {
	char name[256];
	const char *dir;
};

struct dropins {
	struct dropin list[DROPINS_MAX];
	size_t count;
};

static bool is_hidden(const struct dropins *dropins, const char *name)
{
	for (size_t i = 0; i < dropins->count; i++) {
		if (strcmp(dropins->list[i].name, name) == 0)
			return true;
	}
	return false;
}

static int dir_entries(DIR *dir, const char *path, struct dropins *dropins, char *why)
{
	const struct dirent *entry;

	while (errno = 0, (entry = readdir(dir)) != NULL) {
		size_t length = strlen(entry->d_name);

		if (entry->d_name[0] == '.' || length < 6 || strcmp(entry->d_name + length - 5, ".conf") != 0)
			continue;
		if (is_hidden(dropins, entry->d_name))
			continue;
		if (dropins->count == DROPINS_MAX)
			return fail(-E2BIG, why, "%s: more than %d drop-ins", path, DROPINS_MAX);
		strcpy(dropins->list[dropins->count].name, entry->d_name);
		dropins->list[dropins->count++].dir = path;
	}
	return errno == 0 ? 0 : fail(-errno, why, "%s: %s", path, strerror(errno));
}

static int dir_add(const char *path, struct dropins *dropins, char *why)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	DIR *dir;
	int r;

	if (fd < 0)
		return errno == ENOENT ? 0 : fail(-errno, why, "%s: %s", path, strerror(errno));
	dir = fdopendir(fd);
	if (dir == NULL) {
		close(fd);
		return fail(-ENOMEM, why, "%s: no memory", path);
	}
	r = fstat(fd, &st) < 0 ? fail(-errno, why, "%s: %s", path, strerror(errno)) : check_owner(path, &st, why);
	if (r == 0)
		r = dir_entries(dir, path, dropins, why);
	closedir(dir);
	return r;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct dropin *)a)->name, ((const struct dropin *)b)->name);
}

static int dropins_add(struct config *config, const char *file, char *why)
{
	auto_free struct dropins *dropins = calloc(1, sizeof(*dropins));
	bool is_system = strcmp(file, OPTIONS_SYSTEM_CONFIG) == 0;
	char own[PATH_BYTES];
	char path[PATH_BYTES];
	int r = 0;

	if (dropins == NULL)
		return fail(-ENOMEM, why, "%s: no memory", file);
	snprintf(own, sizeof(own), "%s.d", file);
	if (!is_system)
		r = dir_add(own, dropins, why);
	for (size_t i = 0; is_system && r == 0 && i < sizeof(system_dirs) / sizeof(system_dirs[0]); i++)
		r = dir_add(system_dirs[i], dropins, why);
	if (r < 0)
		return r;
	qsort(dropins->list, dropins->count, sizeof(dropins->list[0]), by_name);
	for (size_t i = 0; r == 0 && i < dropins->count; i++) {
		snprintf(path, sizeof(path), "%s/%s", dropins->list[i].dir, dropins->list[i].name);
		r = file_add(config, path, why);
	}
	return r;
}

int config_load(struct config **out, const struct config_place *place, char why[CONFIG_WHY_MAX])
{
	struct config *config;
	int r = config_new(&config, place->linger_ns, place->linger_fixed);

	if (r < 0)
		return fail(r, why, "no memory for the configuration");
	if (place->file[0] != '\0') {
		r = file_add(config, place->file, why);
		if (r == -ENOENT && !place->must_exist)
			r = 0;
		if (r == 0)
			r = dropins_add(config, place->file, why);
	}
	if (r < 0) {
		config_free(config);
		return r;
	}
	config_finish(config);
	*out = config;
	return 0;
}
