/* SPDX-License-Identifier: MIT */
/* Requests that wait for memory (making.h). */
#include "making.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "broker.h"
#include "event.h"
#include "gone.h"
#include "log.h"
#include "parts.h"
#include "peer.h"
#include "policy.h"
#include "reply.h"
#include "sealed.h"

enum making_state {
	MAKING_WORKS, /* its memory is being had */
	MAKING_WAITS, /* for another of the same name */
	MAKING_RUNS,  /* handled anew */
};

struct making {
	TAILQ_ENTRY(making) link; /* broker's; not while it runs */
	enum making_state state;
	struct broker *broker;
	struct peer *peer; /* NULL: it is gone */
	struct worker_job job;
	struct segment_memory memory;
	struct account *account; /* to which that is charged meanwhile */
	int result;
	char name[SHMB_NAME_MAX + 8];
	size_t length;
	unsigned char packet[];
};

static struct making *making_find(struct broker *broker, const char *name, enum making_state state)
{
	struct making *making;

	TAILQ_FOREACH (making, &broker->makings, link) {
		if (making->state == state && strcmp(making->name, name) == 0)
			return making;
	}
	return NULL;
}

static void making_free(struct making *making)
{
	if (making->memory.fd >= 0)
		gone_free(making->broker, making->memory.fd, making->memory.bytes);
	free(making);
}

static void making_run(struct making *making)
{
	TAILQ_REMOVE(&making->broker->makings, making, link);
	making->state = MAKING_RUNS;
	if (making->peer != NULL)
		peer_again(making->peer, making->packet, making->length);
	making_free(making);
}

static void on_memory(struct worker_job *job, void *user)
{
	struct making *making = user;
	struct broker *broker = making->broker;
	char name[sizeof(making->name)];

	memcpy(name, making->name, sizeof(name));
	making->result = job->result;
	account_uncharge(making->account, making->memory.bytes); /* who is handled anew is asked anew */
	making->memory.fd = job->fd;
	making_run(making);
	/* Where one of them has memory made in its turn, the others go on waiting. */
	while (making_find(broker, name, MAKING_WORKS) == NULL && (making = making_find(broker, name, MAKING_WAITS)) != NULL)
		making_run(making);
}

void making_drop(struct peer *peer)
{
	struct making *making = peer->making;

	if (making == NULL)
		return;
	peer->making = NULL;
	making->peer = NULL;
	if (making->state == MAKING_WORKS) {
		atomic_store_explicit(&making->job.cancelled, true, memory_order_relaxed);
	} else if (making->state == MAKING_WAITS) {
		TAILQ_REMOVE(&making->broker->makings, making, link);
		making_free(making);
	}
}

void making_refuse(struct peer *peer, const char *name, int error, const struct shmb_msg_head *head, struct reply *reply)
{
	if (error == -ENOSPC)
		account_reply_full(peer, name, segment_create_why(error), head, reply);
	else
		reply_error(reply, head, store_error(error), "%s cannot be made: %s", name, segment_create_why(error));
}

/* Is this the request that waited, and has it what it waited for? */
static bool making_settled(const struct making *making, const struct shmb_msg_head *head, const struct segment_spec *spec, uint64_t bytes,
			   bool is_sealed, struct reply *reply)
{
	if (making->result < 0) {
		making_refuse(making->peer, spec->name, making->result, head, reply);
		return true;
	}
	return making->memory.fd >= 0 && making->memory.bytes == bytes && making->memory.is_sealed == is_sealed;
}

/* What can never be had need not be tried for, at the cost of everybody who wants memory meanwhile. */
static bool has_room(const struct store *store, uint64_t bytes)
{
	struct statvfs fs;

	return fstatvfs(store->dir_fd, &fs) < 0 || fs.f_blocks == 0 || bytes / fs.f_frsize <= fs.f_bavail;
}

static int making_begin(struct broker *broker, struct making *making)
{
	int fd;

	if (!making->memory.is_sealed && !has_room(&broker->store, making->memory.bytes))
		return -ENOSPC;
	fd = making->memory.is_sealed ? sealed_new(&broker->store) : store_new(&broker->store);

	if (fd < 0)
		return fd;
	making->job = (struct worker_job){
		.what = WORKER_ALLOCATE,
		.fd = fd,
		.bytes = making->memory.bytes,
		.seals = making->memory.is_sealed ? SEALED_SEALS : 0,
		.done = on_memory,
		.user = making,
	};
	making->account = account_reserve(broker, making->peer->holder.uid, making->memory.bytes);
	worker_submit(broker->worker, &making->job);
	return 0;
}

bool making_defer(struct peer *peer, const struct shmb_msg_head *head, struct segment_spec *spec, struct reply *reply)
{
	struct broker *broker = peer->broker;
	size_t length = sizeof(struct shmb_msg_open_writer) + head->tail_bytes;
	bool is_sealed = spec->policy->backing == SHMB_BACKING_SEALED;
	struct shmb_geometry geometry;
	struct making *making;
	const char *why;
	int r = 0;

	if (segment_spec_plan(&broker->store, spec, &geometry, &why) < 0 || geometry.data_bytes < WORKER_BYTES_MIN)
		return false;
	if (peer->making != NULL && making_settled(peer->making, head, spec, geometry.data_bytes, is_sealed, reply)) {
		spec->memory = &peer->making->memory;
		return peer->making->result < 0;
	}
	making = malloc(sizeof(*making) + length);
	if (making == NULL) {
		reply_error(reply, head, -ENOMEM, "the broker is out of memory");
		return true;
	}
	*making = (struct making){ .broker = broker, .peer = peer, .length = length, .state = MAKING_WAITS };
	making->memory = (struct segment_memory){ .fd = -1, .bytes = geometry.data_bytes, .is_sealed = is_sealed };
	strcpy(making->name, spec->name);
	memcpy(making->packet, broker->packet, length);
	if (making_find(broker, spec->name, MAKING_WORKS) == NULL) {
		making->state = MAKING_WORKS;
		r = making_begin(broker, making);
	}
	if (r < 0) {
		free(making);
		making_refuse(peer, spec->name, r, head, reply);
		return true;
	}
	TAILQ_INSERT_TAIL(&broker->makings, making, link);
	peer->making = making;
	reply->deferred = true;
	return true;
}
