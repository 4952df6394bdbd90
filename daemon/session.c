/* SPDX-License-Identifier: MIT */
/*
 * HELLO, RESUME, READY.
 *
 * The cookie tells whether a connection continues an earlier one of the same process: over a restart of the broker, or because the client
 * gave the earlier one up before we noticed. In the second case the earlier connection is ended here, and what it held waits to be
 * resumed like after a restart.
 */
#include "session.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "broker.h"
#include "lineage.h"
#include "liveness.h"
#include "log.h"
#include "peer.h"
#include "stale.h"

/* Ends earlier connections of the same client; what they held is orphaned, not given up. */
static void supersede(struct peer *peer)
{
	struct peer *other = LIST_FIRST(&peer->process->peers);

	while (other != NULL) {
		struct peer *next = LIST_NEXT(other, process_link);

		if (other != peer && other->page != NULL && holder_is_same(&other->holder, &peer->holder)) {
			while (!LIST_EMPTY(&other->attachments))
				attachment_orphan(LIST_FIRST(&other->attachments));
			peer_free(other);
		}
		other = next;
	}
}

void session_hello(struct peer *peer, const union shmb_msg_request *request, const char *tail, struct reply *reply)
{
	struct broker *broker = peer->broker;
	const struct shmb_msg_hello *hello = &request->hello;
	struct shmb_msg_hello_answer *answer;
	int fd;
	int r;

	(void)tail;
	if (peer->refusal != 0) {
		reply_error(reply, &hello->head, peer->refusal, "%s", peer->refusal_text);
		reply->last = true;
		return;
	}
	memcpy(peer->holder.cookie, hello->cookie, sizeof(peer->holder.cookie));
	r = event_page_new(&broker->store, &peer->holder, &peer->page, &fd);
	if (r < 0) {
		reply_error(reply, &hello->head, r == -EEXIST ? -EIO : store_error(r),
			    "the broker has no room for another client: %s; make room in %s", strerror(-r), broker->store.path);
		return;
	}
	if (hello->comm[0] != '\0')
		shmb_text_set(peer->process->comm, sizeof(peer->process->comm), hello->comm);
	supersede(peer);
	answer = reply_begin(reply, &hello->head, sizeof(*answer));
	answer->version = SHMB_PROTOCOL_VERSION;
	answer->pid = getpid();
	answer->broker_id = broker->broker_id;
	reply->fds[reply->fd_count++] = fd;
	peer->state = PEER_RESUMING;
}

/* The orphaned attachment that the request speaks of, NULL none. */
static struct attachment *find_orphan(const struct peer *peer, const struct segment *segment, const struct shmb_msg_resume *resume)
{
	struct attachment *attachment;

	LIST_FOREACH (attachment, &segment->attachments, segment_link) {
		if (attachment->peer != NULL || attachment->role != resume->role || !holder_is_same(&attachment->holder, &peer->holder))
			continue;
		if (resume->role == SHMB_ROLE_WRITER && segment->epoch == resume->epoch)
			return attachment;
		if (role_has_cell(resume->role) && attachment->cell == resume->cell && attachment->incarnation == resume->incarnation)
			return attachment;
	}
	return NULL;
}

static void resume_writer(struct peer *peer, struct attachment *attachment, const struct shmb_msg_resume *resume, struct reply *reply)
{
	struct segment *segment = attachment->segment;
	struct event event;
	int r;

	if (attachment->given_up) {
		r = segment_resume(&peer->broker->store, segment);
		if (r < 0) {
			reply_error(reply, &resume->head, store_error(r), "%s could not be taken back: %s; open it again", segment->name,
				    strerror(-r));
			return;
		}
		attachment->given_up = false;
		event = attachment_event(attachment, EVENT_WRITER_UP, "back");
		event_tell(peer->broker, &event, "%s: writer %d (%s) is back", event.segment, event.pid, event.comm);
		stale_follow(peer->broker, segment);
		liveness_tell_readers(segment);
	}
	attachment_set_peer(attachment, peer, resume->handle);
	reply_done(reply, &resume->head);
}

/* Whoever may have had the segment open without a lease or a cell. */
static bool leaves_no_trace(unsigned role, enum shmb_kind kind)
{
	return (role == SHMB_ROLE_READER || role == SHMB_ROLE_OBSERVER) && role_fits(role, kind);
}

void session_resume(struct peer *peer, const union shmb_msg_request *request, const char *tail, struct reply *reply)
{
	const struct shmb_msg_resume *resume = &request->resume;
	struct broker *broker = peer->broker;
	struct segment *newest = registry_find(&broker->registry, resume->name);
	struct segment *segment = lineage_find(newest, resume->generation);
	struct attachment *attachment = attachment_by_handle(peer, resume->handle);

	(void)tail;
	if (attachment != NULL) {
		/* The same again, after an answer that was lost, is answered the same. */
		if (attachment->segment == segment && attachment->role == resume->role && segment->segment_id == resume->segment_id)
			reply_done(reply, &resume->head);
		else
			reply_in_use(reply, &resume->head, resume->handle);
		return;
	}
	if (peer->attachment_count >= PEER_ATTACHMENTS_MAX) {
		reply_error(reply, &resume->head, -EUSERS, "a connection can have %d handles: use a second one", PEER_ATTACHMENTS_MAX);
		return;
	}
	if (segment == NULL || segment->segment_id != resume->segment_id) {
		reply_error(reply, &resume->head, -ESTALE, "%s has been removed or made anew since: open it again", resume->name);
		return;
	}
	if (segment->newer != NULL && resume->role == SHMB_ROLE_WRITER) {
		reply_error(reply, &resume->head, -ESTALE, "%s has a new writer in a new generation: open it again", resume->name);
		return;
	}
	attachment = find_orphan(peer, segment, resume);
	if (attachment != NULL && resume->role == SHMB_ROLE_WRITER) {
		resume_writer(peer, attachment, resume, reply);
		return;
	}
	if (attachment == NULL && resume->role == SHMB_ROLE_WRITER) {
		reply_error(reply, &resume->head, -ESTALE, "the lease of %s is no longer this client's: open it again", segment->name);
		return;
	}
	if (attachment == NULL && (resume->cell != UINT32_MAX || !leaves_no_trace(resume->role, segment->geometry.kind))) {
		reply_error(reply, &resume->head, -ESTALE, "the cell in %s is no longer this client's: open it again", segment->name);
		return;
	}
	/* A reader without a cell, or an observer, left no trace anywhere: it needs none. */
	if (attachment == NULL)
		attachment = attachment_new(segment, peer->process, &peer->holder, (enum shmb_role)resume->role);
	if (attachment == NULL) {
		reply_error(reply, &resume->head, -ENOMEM, "the broker is out of memory");
		return;
	}
	attachment_set_peer(attachment, peer, resume->handle);
	reaper_look(&broker->reaper, segment);
	reply_done(reply, &resume->head);
}

void session_ready(struct peer *peer, const union shmb_msg_request *request, const char *tail, struct reply *reply)
{
	struct broker *broker = peer->broker;
	struct attachment *attachment = LIST_FIRST(&peer->process->attachments);

	(void)tail;
	while (attachment != NULL) {
		struct attachment *next = LIST_NEXT(attachment, process_link);

		/*
		 * By its own word the client no longer has it: it closed it while no broker heard. That is an orderly close that comes late, so the
		 * name is free for others; nothing of it is mapped in the client.
		 */
		if (attachment->peer == NULL && holder_is_same(&attachment->holder, &peer->holder))
			liveness_close_later(broker, attachment);
		attachment = next;
	}
	old_pages_drop(broker, peer->process, peer->holder.cookie, true);
	peer->state = PEER_ACTIVE;
	hello_end(peer);
	reply_done(reply, &request->ready.head);
}
