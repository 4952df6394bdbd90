/* SPDX-License-Identifier: MIT */
/* Generations of a name (lineage.h). */
#include "lineage.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "attachment.h"
#include "event.h"
#include "liveness.h"
#include "log.h"
#include "policy.h"
#include "stale.h"

static bool hangs(const struct segment *segment)
{
	return segment->state == SHMB_STATE_HELD && (segment->writer == SHMB_WRITER_HUNG || segment->writer == SHMB_WRITER_STOPPED);
}

/* Does this very client hold the lease, through a connection that was lost? It has it again then. */
static bool is_its_own(const struct segment *segment, const struct peer *peer)
{
	const struct attachment *writer = attachment_writer(segment);

	return writer != NULL && writer->peer == NULL && holder_is_same(&writer->holder, &peer->holder);
}

const char *lineage_why_replace(struct broker *broker, struct segment *segment, const struct peer *peer, bool differs)
{
	liveness_lease_holder(broker, segment, peer->process); /* the dead are seen to */
	if (segment->geometry.kind == SHMB_KIND_BLOCK)
		return differs && liveness_sharer(broker, segment, peer->process) == NULL ? "other type" : NULL;
	if (segment->state == SHMB_STATE_GIVEN_UP && (differs || !is_its_own(segment, peer)))
		return "writer let go";
	if (hangs(segment) && segment->policy->on_hang == POLICY_REPLACE && !is_its_own(segment, peer))
		return segment->writer == SHMB_WRITER_HUNG ? "writer hangs" : "writer is stopped";
	if (segment->state != SHMB_STATE_FREE)
		return NULL;
	if (differs)
		return "other type";
	if (peer->holder.uid != segment->writer_uid)
		return "other user";
	if (segment->areas_lost)
		return "reader areas lost";
	/* A generation that nobody has published in is as good as new: whoever asks again, because the answer was lost, gets it again. */
	if (segment->policy->on_exit == POLICY_REPLACE && segment->writer != SHMB_WRITER_NONE &&
	    !segment_is_unused(&broker->store, segment))
		return "policy";
	return NULL;
}

struct segment *lineage_replace(struct broker *broker, struct segment *old, const struct segment_spec *spec, const char *reason,
				const struct peer *peer, int *error, const char **why)
{
	struct segment *segment;

	*error = segment_replace(&broker->store, old, spec, &segment, why);
	if (*error < 0)
		return NULL;
	segment->policy = old->policy;
	reaper_forget(old);
	stale_end(old);
	registry_replace(&broker->registry, old, segment);
	account_charge(broker, segment);
	event_tell(broker,
		   &(struct event){ .kind = EVENT_REPLACED,
				    .segment = segment->name,
				    .pid = peer->holder.pid,
				    .uid = peer->holder.uid,
				    .reason = reason },
		   "%s: generation %" PRIu64 " takes the place of %" PRIu64
		   " (%s): process %d (%s) of uid %u writes it; numbers go on at %" PRIu64,
		   segment->name, segment->geometry.generation, old->geometry.generation, reason, peer->holder.pid, peer->process->comm,
		   peer->holder.uid, segment->geometry.base);
	/* Readers follow, the writer before is stopped even where it sleeps. */
	liveness_tell_readers(old);
	return segment;
}

struct segment *lineage_oldest(struct segment *newest)
{
	while (newest->older != NULL)
		newest = newest->older;
	return newest;
}

void lineage_look(struct broker *broker, struct segment *newest)
{
	struct segment *oldest = lineage_oldest(newest);

	if (broker->is_adopting)
		return; /* older ones may still be found */
	while (oldest != newest && LIST_EMPTY(&oldest->attachments) && segment_is_drained(&broker->store, oldest)) {
		struct segment *next = oldest->newer;
		uint64_t generation = oldest->geometry.generation;
		int r;

		registry_drop(&broker->registry, oldest);
		r = segment_remove(&broker->store, oldest);
		if (r < 0)
			log_error("%s: not all files of generation %" PRIu64 " could be removed: %s", newest->name, generation,
				  strerror(-r));
		else
			log_info("%s: generation %" PRIu64 " is removed: nobody has it open any more", newest->name, generation);
		oldest = next;
	}
}

struct segment *lineage_find(struct segment *newest, uint64_t generation)
{
	while (newest != NULL && newest->geometry.generation != generation)
		newest = newest->older;
	return newest;
}

bool lineage_is_read(const struct segment *newest)
{
	while (newest != NULL && !attachment_is_read(newest))
		newest = newest->older;
	return newest != NULL;
}

uint32_t lineage_readers(const struct segment *newest)
{
	uint32_t count = 0;

	for (; newest != NULL; newest = newest->older)
		count += attachment_readers(newest);
	return count;
}

uint32_t lineage_draining(const struct segment *newest)
{
	uint32_t count = 0;

	while ((newest = newest->older) != NULL)
		count++;
	return count;
}

uint64_t lineage_bytes(const struct segment *newest)
{
	uint64_t bytes = 0;

	for (; newest != NULL; newest = newest->older)
		bytes += newest->bytes;
	return bytes;
}
