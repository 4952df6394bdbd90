/* SPDX-License-Identifier: MIT */
#ifndef SHMB_FIGURES_H
#define SHMB_FIGURES_H

/*
 * What changes all the time, for tools that show it live. Included by shmb.h.
 *
 * Rates are differences: keep `next` (and `read`, `lost`) with `looked_ns` of the visit before, and compare them while segment_id and
 * generation are the same. What writers and readers say of themselves is shown as they say it.
 */

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct shmb_figures {
	const char *name;
	const char *type;
	const char *kind;    /* as in struct shmb_segment_info */
	uint64_t looked_ns;  /* CLOCK_MONOTONIC of the look */
	uint64_t segment_id; /* another one after the name was removed and made anew */
	uint64_t generation;
	uint64_t bytes; /* of all its memory */
	uint64_t payload_bytes;
	uint64_t next;	       /* number of the next write: so many were written; UINT64_MAX unknown, or a block */
	uint64_t heartbeat_ns; /* CLOCK_MONOTONIC of the writer's last sign of life, 0 never */
	uint64_t read;	       /* elements read by all readers that have it open now */
	uint64_t lost;	       /* elements overwritten before they were read, likewise */
	uint64_t lag;	       /* elements that the reader furthest behind has not read; UINT64_MAX unknown, or no reader */
	int32_t lag_pid;       /* that reader; 0 none */
	uint32_t readers;
	uint32_t capacity;
	uint32_t owner_uid;
	int32_t writer_pid; /* 0 none */
	uint32_t writer_uid;
	const char *writer_comm;
	enum shmb_writer_condition writer;
};

/*
 * Calls `visit` for each segment whose name matches `pattern` (* matches any bytes, ? one, '/' too; NULL: all), in the order
 * of their making, until it returns other than 0, and returns that. One request for at most 170 segments. Pointers are valid during the
 * call. No lock is held meanwhile: the visitor may use the connection. -EINVAL for a pattern over 200 bytes or of other than printable ASCII;
 * else as shmb_list().
 */
SHMB_PUBLIC int shmb_figures(struct shmb *broker, const char *pattern, int (*visit)(const struct shmb_figures *figures, void *user),
			     void *user);

#ifdef __cplusplus
}
#endif

#endif
