/* SPDX-License-Identifier: MIT */
/*
 * Sealed parts (sealed.h).
 *
 * The descriptor we keep is read-write; what is handed out is opened anew through /proc/self/fd, with a mode of its own (readers share it: kept.h). The
 * memfd's mode is 0600 (it is made with 0777): otherwise anybody could open a read-only descriptor again as a writable one.
 */
#include "sealed.h"

#include "cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U /* linux/memfd.h of Linux 6.3 */
#endif

enum { ALLOCATE_TRIES = 16 };

/* ---- names ---- */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void sealed_name(char out[SEALED_NAME_BYTES + 1], uint64_t segment_id, enum part part, uint32_t area)
{
	for (int i = 0; i < SEALED_NAME_BYTES - 1; i++) {
		out[i] = digits[segment_id & 63];
		segment_id >>= 6;
	}
	out[SEALED_NAME_BYTES - 1] = (char)(part == PART_DATA ? 'd' : '0' + area);
	out[SEALED_NAME_BYTES] = '\0';
}

int sealed_name_parse(const char *name, uint64_t *segment_id, enum part *part, uint32_t *area)
{
	char again[SEALED_NAME_BYTES + 1];
	char last;

	if (strlen(name) != SEALED_NAME_BYTES)
		return -EINVAL;
	*segment_id = 0;
	for (int i = SEALED_NAME_BYTES - 2; i >= 0; i--) {
		const char *digit = strchr(digits, name[i]);

		if (digit == NULL)
			return -EINVAL;
		*segment_id = *segment_id << 6 | (uint64_t)(digit - digits);
	}
	last = name[SEALED_NAME_BYTES - 1];
	if (last != 'd' && (last < '0' || last >= '0' + SHMB_AREAS_MAX))
		return -EINVAL;
	*part = last == 'd' ? PART_DATA : PART_AREA;
	*area = last == 'd' ? 0 : (uint32_t)(last - '0');
	sealed_name(again, *segment_id, *part, *area); /* 66 bits are written, 64 are there */
	return strcmp(again, name) == 0 ? 0 : -EINVAL;
}

/* ---- memory ---- */

bool part_is_sealed(const struct segment *segment, enum part part)
{
	return (part == PART_DATA && segment->backing == SHMB_BACKING_SEALED) ||
	       (part == PART_AREA && segment->area_backing == SHMB_BACKING_SEALED);
}

int sealed_new(const struct store *store)
{
	auto_close int fd = -1;

	if (store->sealed_count >= store->sealed_max)
		return -EMFILE;
	fd = memfd_create("shmbroker", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		fd = memfd_create("shmbroker", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (fchmod(fd, 0600) < 0)
		return -errno;
	return cleanup_steal(&fd);
}

int sealed_make(const struct store *store, uint64_t bytes)
{
	auto_close int fd = sealed_new(store);
	int r = EINTR;

	if (fd < 0)
		return fd;
	for (unsigned i = 0; r == EINTR && i < ALLOCATE_TRIES; i++)
		r = posix_fallocate(fd, 0, (off_t)bytes);
	if (r != 0)
		return -r;
	if (fcntl(fd, F_ADD_SEALS, SEALED_SEALS) < 0)
		return -errno;
	return cleanup_steal(&fd);
}

int sealed_check(int fd, uint64_t bytes)
{
	struct stat st;
	int flags = fcntl(fd, F_GETFL);
	int seals = fcntl(fd, F_GET_SEALS);

	/* EINVAL: it has no seals. What else goes wrong says nothing about it. */
	if (seals < 0 && errno == EINVAL)
		return -EBADMSG;
	if (seals < 0 || flags < 0 || fstat(fd, &st) < 0)
		return -errno;
	if ((seals & SEALED_SEALS) != SEALED_SEALS || (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) != 0)
		return -EBADMSG;
	if (!S_ISREG(st.st_mode) || (st.st_mode & 07777) != 0600 || st.st_uid != geteuid())
		return -EBADMSG;
	if ((flags & O_ACCMODE) != O_RDWR || st.st_size < 0 || (uint64_t)st.st_size != bytes)
		return -EBADMSG;
	return 0;
}

/* ---- of a segment ---- */

static int *sealed_at(const struct segment *segment, enum part part, uint32_t area)
{
	return &segment->sealed->fds[part == PART_DATA ? 0 : 1 + area];
}

int sealed_put(struct store *store, struct segment *segment, enum part part, uint32_t area, int fd_consume, bool tell_keeper)
{
	char name[SEALED_NAME_BYTES + 1];

	if (segment->sealed == NULL) {
		segment->sealed = malloc(sizeof(*segment->sealed));
		if (segment->sealed == NULL) {
			close(fd_consume);
			return -ENOMEM;
		}
		for (size_t i = 0; i < sizeof(segment->sealed->fds) / sizeof(segment->sealed->fds[0]); i++)
			segment->sealed->fds[i] = -1;
	}
	*sealed_at(segment, part, area) = fd_consume;
	store->sealed_count++;
	sealed_name(name, segment->segment_id, part, area);
	if (tell_keeper && store->keeper != NULL)
		store->keeper->keep(fd_consume, name);
	return 0;
}

int sealed_open(const struct segment *segment, enum part part, uint32_t area, int flags)
{
	char self[40];
	int fd;

	if (segment->sealed == NULL || *sealed_at(segment, part, area) < 0)
		return -ENOENT;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", *sealed_at(segment, part, area));
	fd = open(self, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

void sealed_drop(struct store *store, struct segment *segment, enum part part, uint32_t area)
{
	char name[SEALED_NAME_BYTES + 1];

	if (segment->sealed == NULL || *sealed_at(segment, part, area) < 0)
		return;
	sealed_name(name, segment->segment_id, part, area);
	if (store->keeper != NULL)
		store->keeper->drop(name);
	close(*sealed_at(segment, part, area));
	*sealed_at(segment, part, area) = -1;
	store->sealed_count--;
}

void sealed_drop_all(struct store *store, struct segment *segment)
{
	sealed_drop(store, segment, PART_DATA, 0);
	for (uint32_t i = 0; i < SHMB_AREAS_MAX; i++)
		sealed_drop(store, segment, PART_AREA, i);
}

void sealed_free(struct segment *segment)
{
	for (size_t i = 0; segment->sealed != NULL && i < sizeof(segment->sealed->fds) / sizeof(segment->sealed->fds[0]); i++) {
		if (segment->sealed->fds[i] >= 0)
			close(segment->sealed->fds[i]);
	}
	free(segment->sealed);
	segment->sealed = NULL;
}
