/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_SEALED_H
#define SHMB_DAEMON_SEALED_H

/*
 * Sealed parts: memfds that nobody can make shorter or longer, whoever holds a writable descriptor of them. They have no name anywhere, so the
 * broker keeps a descriptor of each for the generation's life, and a keeper outside (systemd's descriptor store) has another, from whom they come
 * back after a restart (vault.h).
 *
 * Which parts of a segment are sealed, its card and record say: the data where card.backing is SHMB_BACKING_SEALED, the reader areas where
 * record.area_backing is.
 */

#include <fcntl.h>

#include "parts.h"

enum {
	/*
	 * Descriptors kept at most. systemd hands all of them over with one environment variable, LISTEN_FDNAMES, which has at most 128 KiB
	 * (MAX_ARG_STRLEN): with more, the daemon could never be started again. A name has 12 bytes and a colon.
	 */
	SEALED_MAX = 10000,
	SEALED_NAME_BYTES = 12,
};
_Static_assert(SEALED_MAX *(SEALED_NAME_BYTES + 1) + 256 <= 128 * 1024, "names of all kept descriptors in one environment variable");

/* Whoever keeps the descriptors for the daemon after this one. `fd` stays ours, and open until drop(). */
struct store_keeper {
	void (*keep)(int fd, const char *name);
	void (*drop)(const char *name);
};

/* The descriptors of one segment. */
struct sealed {
	int fds[1 + SHMB_AREAS_MAX]; /* data, areas; -1 none */
};

/* Under which a part is kept: 11 characters of the segment's id (each generation has its own), one of the part. */
void sealed_name(char out[SEALED_NAME_BYTES + 1], uint64_t segment_id, enum part part, uint32_t area);
/* -EINVAL for what sealed_name() would not make. */
int sealed_name_parse(const char *name, uint64_t *segment_id, enum part *part, uint32_t *area);

bool part_is_sealed(const struct segment *segment, enum part part);

#define SEALED_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* Makes a memfd that has no memory yet; SEALED_SEALS are for who allocates it. -EMFILE as below. */
int sealed_new(const struct store *store);
/* Makes a memfd of `bytes` (whole pages), allocated for good. -EMFILE: as many are kept as may be, or as we have descriptors. */
int sealed_make(const struct store *store, uint64_t bytes);
/* Is this one of ours, of so many bytes? 0 or -EBADMSG; another errno: it cannot be told now. */
int sealed_check(int fd, uint64_t bytes);

/* The segment has this part from here on, and the keeper is told. -ENOMEM (fd closed). */
int sealed_put(struct store *store, struct segment *segment, enum part part, uint32_t area, int fd_consume, bool tell_keeper);
/* Opens it anew, with `flags` of its own: a reader's descriptor cannot be mapped writable. -ENOENT: lost. */
int sealed_open(const struct segment *segment, enum part part, uint32_t area, int flags);
/* The part is given up: keeper told, descriptor closed. */
void sealed_drop(struct store *store, struct segment *segment, enum part part, uint32_t area);
void sealed_drop_all(struct store *store, struct segment *segment);
/* Closes ours; what the keeper has, it keeps. */
void sealed_free(struct segment *segment);

#endif
