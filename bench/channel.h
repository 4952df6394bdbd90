/* SPDX-License-Identifier: MIT */
#ifndef SHMB_BENCH_CHANNEL_H
#define SHMB_BENCH_CHANNEL_H

/*
 * What other means of passing payloads between processes have in common: an end that sends and an end that receives. channel.c makes of each the
 * implementations of the cases; a file each says what is particular to it: pipe.c, mqueue.c, seqpacket.c, and with --peers zeromq.c, nng.c, iceoryx.c,
 * peers/iceoryx2.
 */

#include "bench.h"

enum channel_wait {
	CHANNEL_SLEEP, /* as long as it takes */
	CHANNEL_SPIN,  /* the same without sleeping, where it can do that */
	CHANNEL_TRY,   /* -EAGAIN: nothing there */
};

/* What both ends are opened with. peers/iceoryx2/src/lib.rs has the same. */
struct channel_place {
	const char *directory; /* of this run alone */
	const char *kind;
	const char *name; /* unique together with kind and bytes */
	uint64_t bytes;	  /* of each payload */
	uint32_t slots;
	int32_t lossy; /* where there is a choice: a sender that finds it full overwrites the oldest; else it waits */
	int32_t wakes; /* the receiver may sleep */
};

struct channel_kind {
	const char *name;
	/* Before the first end in each process, and before that in the first process alone: what is there only in some places. 0, or -EOPNOTSUPP after
	 * channel_absent(). NULL: nothing. */
	int (*load)(void);
	int (*prepare)(void);
	/* 0, or a negative errno; -EOPNOTSUPP and -EMSGSIZE: not to be had here, not a fault. The receiver is opened first. */
	int (*receiver_open)(void **end, const struct channel_place *place);
	int (*sender_open)(void **end, const struct channel_place *place);
	int (*send)(void *end, const void *payload);
	int (*receive)(void *end, void *payload, enum channel_wait how);
	/* A payload from sender to receiver that nobody touches; afterwards both are done with it. NULL: it copies. */
	int (*hand_over)(void *sender, void *receiver);
	void (*close)(void *end);
};

/* Says why one is not there; the first reason is kept until it has been told. Always -EOPNOTSUPP. */
int channel_absent(const char *why, ...) __attribute__((format(printf, 1, 2)));

/* The second process of a case: `bench --second ...`, started anew because most libraries do not survive a fork. Its exit status. */
int channel_second(int argc, char **argv);

extern const struct channel_kind pipe_kind, mqueue_kind, seqpacket_kind, zeromq_kind, nng_kind, iceoryx_kind, iceoryx2_kind;

/* A file in the directory of the run. -ENAMETOOLONG. */
int channel_path(char *out, size_t bytes, const char *prefix, const struct channel_place *place);

#endif
