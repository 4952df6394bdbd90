/* SPDX-License-Identifier: MIT */
/* The three-way links between segments, processes and connections. */
#include "attachment.h"

#include <stdlib.h>
#include <string.h>

#include "peer.h"
#include "process.h"

struct attachment *attachment_new(struct segment *segment, struct process *process, const struct holder *holder, enum shmb_role role)
{
	struct attachment *attachment = calloc(1, sizeof(*attachment));

	if (attachment == NULL)
		return NULL;
	attachment->segment = segment;
	attachment->process = process_ref(process);
	attachment->holder = *holder;
	attachment->role = role;
	attachment->cell = UINT32_MAX;
	attachment->area = UINT32_MAX;
	LIST_INSERT_HEAD(&segment->attachments, attachment, segment_link);
	segment->reader_count += role_has_cell(role);
	LIST_INSERT_HEAD(&process->attachments, attachment, process_link);
	return attachment;
}

struct attachment *attachment_free(struct attachment *attachment)
{
	if (attachment == NULL)
		return NULL;
	attachment_orphan(attachment);
	attachment_stay(attachment);
	LIST_REMOVE(attachment, segment_link);
	attachment->segment->reader_count -= role_has_cell(attachment->role);
	LIST_REMOVE(attachment, process_link);
	process_unref(attachment->process);
	free(attachment);
	return NULL;
}

void attachment_set_peer(struct attachment *attachment, struct peer *peer, uint32_t handle)
{
	attachment_orphan(attachment);
	attachment_stay(attachment);
	attachment->peer = peer;
	attachment->handle = handle;
	if (handle > peer->handle_highest)
		peer->handle_highest = handle;
	LIST_INSERT_HEAD(&peer->attachments, attachment, peer_link);
	peer->attachment_count++;
}

void attachment_orphan(struct attachment *attachment)
{
	if (attachment->peer == NULL)
		return;
	LIST_REMOVE(attachment, peer_link);
	attachment->peer->attachment_count--;
	attachment->peer = NULL;
	attachment->handle = 0;
}

void attachment_leave(struct attachment *attachment, struct attachment_list *leaving, bool closes)
{
	if (attachment->leaving != NULL)
		return;
	attachment->leaving = leaving;
	attachment->closes = closes;
	TAILQ_INSERT_TAIL(leaving, attachment, leaving_link);
}

void attachment_stay(struct attachment *attachment)
{
	if (attachment->leaving == NULL)
		return;
	TAILQ_REMOVE(attachment->leaving, attachment, leaving_link);
	attachment->leaving = NULL;
}

static struct attachment *attachment_by_role(const struct segment *segment, enum shmb_role role)
{
	struct attachment *attachment;

	LIST_FOREACH (attachment, &segment->attachments, segment_link) {
		if (attachment->role == role)
			return attachment;
	}
	return NULL;
}

struct attachment *attachment_writer(const struct segment *segment)
{
	return attachment_by_role(segment, SHMB_ROLE_WRITER);
}

struct attachment *attachment_consumer(const struct segment *segment)
{
	return segment->geometry.kind == SHMB_KIND_QUEUE ? attachment_by_role(segment, SHMB_ROLE_CONSUMER) : NULL;
}

struct attachment *attachment_sharer(const struct segment *segment)
{
	return segment->geometry.kind == SHMB_KIND_BLOCK ? attachment_by_role(segment, SHMB_ROLE_SHARER) : NULL;
}

bool attachment_is_read(const struct segment *segment)
{
	return segment->reader_count > 0;
}

uint32_t attachment_readers(const struct segment *segment)
{
	return segment->reader_count;
}

struct attachment *attachment_by_handle(const struct peer *peer, uint32_t handle)
{
	struct attachment *attachment;

	if (handle > peer->handle_highest)
		return NULL;
	LIST_FOREACH (attachment, &peer->attachments, peer_link) {
		if (attachment->handle == handle)
			return attachment;
	}
	return NULL;
}

struct event attachment_event(const struct attachment *attachment, enum event_kind kind, const char *reason)
{
	return (struct event){
		.kind = kind,
		.segment = attachment->segment->name,
		.pid = attachment->holder.pid,
		.uid = attachment->holder.uid,
		.comm = attachment->process->comm,
		.reason = reason,
	};
}

bool holder_is_same(const struct holder *left, const struct holder *right)
{
	return left->pid == right->pid && left->start_time == right->start_time &&
	       memcmp(left->cookie, right->cookie, sizeof(left->cookie)) == 0;
}
