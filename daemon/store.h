/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_STORE_H
#define SHMB_DAEMON_STORE_H

/*
 * The daemon's own directory of segments: the only code that makes, opens, names and removes files in it.
 *
 * The directory is ours alone (0700), so that nobody can squat, swap or unlink a name. Every file is built unnamed (O_TMPFILE), allocated
 * with posix_fallocate, filled, and only then linked; mode 0600.
 *
 *   NAME,G            card of generation G ('/' in the name is '%')    linked last, removed first
 *   NAME,G,record     what only the broker knows (record.h)
 *   NAME,G,data       NAME,G,area0 ...
 *   ,lock             held (OFD lock) by the daemon that serves this directory
 *   ,event,PID,START,RANDOM   event page of a connection
 *
 * Sealed parts (sealed.h) are memfds and have no file here.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/layout.h"

struct debris;
struct kept_list;
struct segment;
struct store_keeper; /* sealed.h */
struct vault;	     /* vault.h */

struct store {
	int dir_fd;
	int lock_fd;
	uint32_t area_count; /* reader areas given to a new segment */
	uid_t uid;	     /* whose files these are: ours */
	bool is_tmpfs;	     /* its directory lies on one */
	bool seals_areas;    /* as memfds: where other uids can connect, who could make a named file shorter */
	uint32_t sealed_max; /* descriptors of sealed parts (sealed.h) that we may keep */
	uint32_t sealed_count;
	struct vault *vault;		   /* those of the daemon before, during the scan; NULL none */
	const struct store_keeper *keeper; /* NULL: nobody keeps them for the daemon after this one */
	uint8_t boot_id[SHMB_BOOT_ID_BYTES];
	char path[256];
	struct kept_list *kept;	     /* mappings and descriptors (kept.h) */
	struct debris *debris;	     /* files to be removed (debris.h) */
	struct debris *debris_spare; /* memory for more of them */
	unsigned debris_spare_count;
	unsigned debris_count;
	bool debris_is_full; /* and that was logged */

	/* Takes the data part of a removed segment, -1 where there is none: it may take long to free, or be held by others. NULL: it is closed. */
	void (*gone)(void *user, struct segment *segment, int fd_consume);
	/* A file could not be removed: debris_sweep() shall be called soon. NULL: nobody does. */
	void (*left)(void *user);
	void *gone_user; /* of both */
};

/*
 * Opens (makes, 0700) the directory and takes its lock. -EWOULDBLOCK another daemon serves it, -EPERM not ours or open to others,
 * -EOPNOTSUPP file system without O_TMPFILE, or the errno of the failing call; `why` (256 bytes) then says what and what to do.
 */
int store_open(struct store *store, const char *path, uint32_t area_count, char why[256]);
void store_close(struct store *store);

#define STORE_LOCK_FILE ",lock"

enum { STORE_FILE_MAX = 256 };

/* Makes an unnamed file that has no memory yet. Returns the descriptor, or an errno. */
int store_new(struct store *store);
/* Makes an unnamed file of `bytes` (rounded to pages by the caller), allocated for good. Returns the descriptor, or -ENOSPC, ... */
int store_make(struct store *store, uint64_t bytes);
/* Gives it its name. -EEXIST. */
int store_link(struct store *store, int fd, const char *file);
/* Opens an existing regular file of ours with O_NOFOLLOW | O_CLOEXEC. flags O_RDONLY or O_RDWR. */
int store_open_file(struct store *store, const char *file, int flags);
int store_unlink(struct store *store, const char *file);

/*
 * What a client is told of an error of the daemon's own files and descriptors: what it is out of; else -EIO, because the errno itself may mean something
 * to the client (-ENOENT: there is no such segment) that it does not here. The text says what it was.
 */
int store_error(int error);
/* Our own want of descriptors or memory: it says nothing about the file, which is to be looked at again later. */
static inline bool store_is_short(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOMEM;
}

#endif
