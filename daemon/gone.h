/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_GONE_H
#define SHMB_DAEMON_GONE_H

/*
 * Memory of segments that were removed, until it is really gone.
 *
 * A removed segment's memory lives on with whoever has it open or mapped. The broker keeps a descriptor of it and asks the kernel whether anybody
 * else has it: a write lease (fcntl(2), F_SETLEASE) is only given on a file that nobody else has open, mappings included. When nobody has, the
 * memory is emptied by the worker (what is large) and closed; only then is it no longer charged to its owner. Looked at when somebody's handle, connection
 * or process ends, and meanwhile at growing intervals up to ten seconds: with nothing removed that is still held, nobody wakes up.
 *
 * At most store.gone_max descriptors are kept for this; what goes beyond is closed at once and charged to nobody. So is what a broker that ends knew of.
 */

#include <stdint.h>
#include <sys/queue.h>

struct broker;
struct gone;
struct loop_timer;
struct segment;

struct gone_list {
	TAILQ_HEAD(, gone) list; /* held by somebody else still */
	unsigned count;		 /* of descriptors: those being emptied as well */
	unsigned max;
	uint64_t bytes; /* of those */
	uint64_t wait_ns;
	struct loop_timer *timer;
};

int gone_init(struct broker *broker);
/* After the worker has ended. */
void gone_deinit(struct broker *broker);
/* The callback of store.h: `user` is the broker. */
void gone_take(void *user, struct segment *segment, int fd_consume);
/* Likewise: a file could not be removed (debris.h), which is tried again by the same timer. */
void gone_left(void *user);
/* Something has ended: perhaps it was the last that held one. */
void gone_look(struct broker *broker);
/* Memory that was never anybody's. */
void gone_free(struct broker *broker, int fd_consume, uint64_t bytes);

#endif
