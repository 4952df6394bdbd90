/* SPDX-License-Identifier: MIT */
#ifndef SHMB_REALTIME_H
#define SHMB_REALTIME_H

/*
 * For loops that must not be late, and for finding out what a loop did. Included by shmb.h.
 *
 * Publishing and reading, of every kind, allocate nothing, take no lock and make no system call, except to wake those who sleep;
 * publishing reads no clock unless the segment is stamped. What is left are page faults at the first touch, and pages that were given to
 * others: both are taken away here. The handles themselves lie in ordinary memory, and so does the program's stack: for those there is
 * mlockall(2).
 */

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum shmb_mapping {
	SHMB_PREFAULT = 1, /* an open touches every page, so that the first publish and the first read find them */
	SHMB_LOCK = 2,	   /* an open locks them in memory (mlock(2)), which makes them present too */
};

/*
 * How segments are mapped that are opened through this connection from now on; 0, the default, as pages are touched. An open that cannot
 * lock fails: -EPERM the process may lock nothing, -ENOMEM not that much; shmb_text() names RLIMIT_MEMLOCK and how much was wanted.
 * -EINVAL other flags, -EOWNERDEAD after fork.
 */
SHMB_PUBLIC int shmb_set_mapping(struct shmb *broker, unsigned flags);

/* What a handle has done since it was opened. */
struct shmb_counters {
	uint64_t published; /* writers: elements */
	uint64_t read;	    /* readers: elements copied, pinned or consumed */
	uint64_t retried;   /* copies that the writer overtook and that were made again */
	uint64_t lapped;    /* elements passed over between two reads: the sum of what was `missed` */
	uint64_t waited;    /* sleeps */
	uint64_t woken;	    /* of these, ended by news and not by a deadline or slice */
};

/* By the thread that uses the handle. -ENOTSUP the library was built without counters (meson option `counters`), -EOWNERDEAD after fork. */
SHMB_PUBLIC int shmb_value_writer_counters(struct shmb_value_writer *writer, struct shmb_counters *out);
SHMB_PUBLIC int shmb_value_counters(struct shmb_value_reader *reader, struct shmb_counters *out);
SHMB_PUBLIC int shmb_ring_writer_counters(struct shmb_ring_writer *writer, struct shmb_counters *out);
SHMB_PUBLIC int shmb_ring_counters(struct shmb_ring_reader *reader, struct shmb_counters *out);
SHMB_PUBLIC int shmb_frame_writer_counters(struct shmb_frame_writer *writer, struct shmb_counters *out);
SHMB_PUBLIC int shmb_frame_counters(struct shmb_frame_reader *reader, struct shmb_counters *out);
SHMB_PUBLIC int shmb_queue_producer_counters(struct shmb_queue_producer *producer, struct shmb_counters *out);
SHMB_PUBLIC int shmb_queue_counters(struct shmb_queue_consumer *consumer, struct shmb_counters *out);

#ifdef __cplusplus
}
#endif

#endif
