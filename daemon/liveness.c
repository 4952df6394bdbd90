/* SPDX-License-Identifier: MIT */
/*
 * Ends of handles, connections and processes.
 *
 * A process that is killed closes its sockets a moment before its pidfd tells so. A connection that closes is therefore looked at: when
 * its process is on its way out, what it held is kept as orphaned until the pidfd speaks, and readers hear "dead" at once instead of "let
 * go" first.
 */
#include "liveness.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "event.h"
#include "kept.h"
#include "log.h"
#include "stale.h"

void liveness_tell_readers(const struct segment *segment)
{
	const struct attachment *attachment;
	const struct peer *last = NULL; /* its handles lie together: once is enough */

	LIST_FOREACH (attachment, &segment->attachments, segment_link) {
		if (attachment->peer != NULL && attachment->peer != last && attachment->peer->page != NULL)
			event_page_bump(attachment->peer->page);
		last = attachment->peer;
	}
}

/* After the lease became free. */
static void lease_is_free(struct broker *broker, struct segment *segment)
{
	stale_end(segment);
	liveness_tell_readers(segment);
	interest_tell(&broker->interests, segment->name);
	reaper_look(&broker->reaper, segment);
}

static void tell_repair(struct broker *broker, struct event event, unsigned repaired)
{
	if (repaired == 0)
		return;
	event.kind = EVENT_REPAIRED;
	event.reason = "half-written";
	event_tell(broker, &event, "%s: %u half-written element%s of process %d repaired", event.segment, repaired,
		   repaired == 1 ? "" : "s", event.pid);
}

static void tell_death(struct broker *broker, const struct attachment *attachment, unsigned repaired)
{
	struct event event = attachment_event(attachment, EVENT_WRITER_DEAD, "died");
	uint32_t readers = attachment_readers(attachment->segment);

	event_tell(broker, &event, "%s: writer %d (%s) died; %u half-written element%s repaired; %u reader%s keep%s the last value",
		   event.segment, event.pid, event.comm, repaired, repaired == 1 ? "" : "s", readers, readers == 1 ? "" : "s",
		   readers == 1 ? "s" : "");
	tell_repair(broker, event, repaired);
}

/* Frees it. A segment that nobody has open costs no descriptor. */
static void attachment_end(struct broker *broker, struct attachment *attachment)
{
	struct segment *segment = attachment->segment;

	attachment_free(attachment);
	if (LIST_EMPTY(&segment->attachments))
		kept_close(&broker->store, segment);
}

/* Ends a lease as `verdict` says and frees its attachment. */
static int lease_end(struct broker *broker, struct attachment *attachment, enum shmb_writer_state verdict)
{
	struct segment *segment = attachment->segment;
	unsigned repaired = 0;
	int r = segment_release(&broker->store, segment, verdict, &repaired);

	if (r < 0 && store_is_short(r))
		return r;
	broker->repairs += repaired;
	/* After an error (the files were destroyed; segment.h has logged it) the lease is over all the same. */
	if (verdict == SHMB_WRITER_DEAD) {
		broker->deaths++;
		tell_death(broker, attachment, repaired);
	} else {
		struct event event = attachment_event(attachment, EVENT_WRITER_CLOSED, "closed");

		event_tell(broker, &event, "%s: writer %d (%s) closed it", event.segment, event.pid, event.comm);
	}
	attachment_end(broker, attachment);
	lease_is_free(broker, segment);
	return r;
}

static const char *role_name(enum shmb_role role)
{
	return role == SHMB_ROLE_WRITER	    ? "writer"
	       : role == SHMB_ROLE_CONSUMER ? "consumer"
	       : role == SHMB_ROLE_SHARER   ? "sharer"
					    : "reader";
}

/* `why` is the reason of the event. */
static int cell_end(struct broker *broker, struct attachment *attachment, const char *why)
{
	struct segment *segment = attachment->segment;
	struct event event;
	bool was_consumer = attachment->role == SHMB_ROLE_CONSUMER;
	unsigned mended = 0;
	int r = 0;

	if (attachment->cell != UINT32_MAX)
		r = segment_cell_free(&broker->store, segment, attachment->cell, &mended);
	if (r < 0 && store_is_short(r))
		return r;
	if (r < 0)
		log_error("%s: the cell of process %d could not be freed: %s", segment->name, attachment->holder.pid, strerror(-r));
	if (mended != 0) {
		event = attachment_event(attachment, EVENT_REPAIRED, "lock");
		event_tell(broker, &event, "%s: process %d (%s) ended while it held the lock; who locks next is told so", event.segment,
			   event.pid, event.comm);
	}
	broker->repairs += mended;
	if (role_has_cell(attachment->role)) {
		event = attachment_event(attachment, EVENT_READER_LEFT, why);
		event_tell(broker, &event, "%s: %s %d (%s) %s", event.segment, role_name(attachment->role), event.pid, event.comm, why);
	}
	attachment_end(broker, attachment);
	if (was_consumer)
		interest_tell(&broker->interests, segment->name);
	reaper_look(&broker->reaper, segment);
	return r;
}

int liveness_close(struct broker *broker, struct attachment *attachment)
{
	return attachment->role == SHMB_ROLE_WRITER ? lease_end(broker, attachment, SHMB_WRITER_CLOSED)
						    : cell_end(broker, attachment, "closed");
}

int liveness_ended(struct broker *broker, struct attachment *attachment)
{
	return attachment->role == SHMB_ROLE_WRITER ? lease_end(broker, attachment, SHMB_WRITER_DEAD)
						    : cell_end(broker, attachment, "died");
}

enum left { LEFT_FREED, LEFT_STAYS, LEFT_AGAIN }; /* AGAIN: for want of descriptors or memory nothing is done yet */

/* The client lives but let go of it: a lease is GIVEN_UP, a cell stays taken; both end with the process. What is neither is freed. */
static enum left give_up(struct broker *broker, struct attachment *attachment)
{
	struct segment *segment = attachment->segment;
	struct event event;
	int r;

	if (attachment->role != SHMB_ROLE_WRITER && attachment->cell == UINT32_MAX) {
		cell_end(broker, attachment, "let go");
		return LEFT_FREED;
	}
	/*
	 * A cell stays its process's: that lives, has the memory mapped and does not know yet, and would store its pins, its position and its lock
	 * into the cell of the next owner. It ends with the process, or when the client comes back and does not list it.
	 */
	if (attachment->role != SHMB_ROLE_WRITER || attachment->given_up)
		return LEFT_STAYS;
	r = segment_release(&broker->store, segment, SHMB_WRITER_GONE, NULL); /* which logs what else can go wrong */
	if (r < 0 && store_is_short(r))
		return LEFT_AGAIN;
	attachment->given_up = true;
	stale_end(segment);
	event = attachment_event(attachment, EVENT_WRITER_GONE, "let go");
	event_tell(broker, &event, "%s: writer %d (%s) let go of it but lives; the next writer gets a new generation", event.segment,
		   event.pid, event.comm);
	liveness_tell_readers(segment);
	interest_tell(&broker->interests, segment->name); /* who waits for the lease can have that */
	return LEFT_STAYS;
}

static bool has_ended(const struct attachment *attachment)
{
	return attachment->leaving != NULL || attachment->process->dead;
}

static enum left freed_unless_short(int r)
{
	return r < 0 && store_is_short(r) ? LEFT_AGAIN : LEFT_FREED;
}

/*
 * Sees to one that has ended. Freed with it is perhaps its segment, where that was superseded. The files of the segment are opened for it; where there
 * is no descriptor or memory for that, its end waits: what is let go of undone (a lock, pins, a cell) would stay so until the next start.
 */
static enum left leave(struct broker *broker, struct attachment *attachment)
{
	bool was_leaving = attachment->leaving != NULL;
	bool closes = attachment->closes;
	enum left left;

	attachment_stay(attachment);
	if (attachment->process->dead)
		left = freed_unless_short(liveness_ended(broker, attachment));
	else if (closes)
		left = freed_unless_short(liveness_close(broker, attachment));
	else
		left = give_up(broker, attachment);
	if (left == LEFT_AGAIN && was_leaving)
		attachment_leave(attachment, &broker->leaving, closes);
	return left;
}

static enum chore_state leave_next(void *user)
{
	struct broker *broker = user;

	if (!TAILQ_EMPTY(&broker->leaving) && leave(broker, TAILQ_FIRST(&broker->leaving)) == LEFT_AGAIN)
		return CHORE_RESTS;
	if (!TAILQ_EMPTY(&broker->leaving))
		return CHORE_MORE;
	gone_look(broker);
	return CHORE_DONE;
}

void liveness_close_later(struct broker *broker, struct attachment *attachment)
{
	attachment_stay(attachment);
	attachment_leave(attachment, &broker->leaving, true);
	chores_add(&broker->chores, &broker->leave, leave_next, broker);
}

int liveness_close_asked(struct broker *broker, struct attachment *attachment)
{
	int r = liveness_close(broker, attachment);

	if (r == 0 || !store_is_short(r))
		return r;
	attachment_orphan(attachment);
	liveness_close_later(broker, attachment);
	return 0;
}

/* In the card: a lease or a cell. What has none its client opens anew by its RESUME, whether we know of it or not. */
static bool has_trace(const struct attachment *attachment)
{
	return attachment->role == SHMB_ROLE_WRITER || attachment->cell != UINT32_MAX;
}

/* What the client had through earlier connections and did not come to resume: kept is what has a trace, as after a restart. */
static void forget_traceless(struct broker *broker, const struct peer *peer)
{
	struct attachment *attachment;

	LIST_FOREACH (attachment, &peer->process->attachments, process_link) {
		if (attachment->peer == NULL && !has_trace(attachment) && holder_is_same(&attachment->holder, &peer->holder))
			attachment_leave(attachment, &broker->leaving, false);
	}
}

void liveness_peer_closed(struct broker *broker, struct peer *peer)
{
	bool exiting = !LIST_EMPTY(&peer->attachments) && process_is_exiting(peer->process);
	/* It was coming back, and was still to say READY: it has not let go of what it has resumed, and may try again. */
	bool resuming = peer->state == PEER_RESUMING;

	while (!LIST_EMPTY(&peer->attachments)) {
		struct attachment *attachment = LIST_FIRST(&peer->attachments);

		attachment_orphan(attachment);
		if ((!exiting || attachment->role == SHMB_ROLE_OBSERVER) && !(resuming && has_trace(attachment)))
			attachment_leave(attachment, &broker->leaving, false);
	}
	if (resuming)
		forget_traceless(broker, peer);
	if (!TAILQ_EMPTY(&broker->leaving))
		chores_add(&broker->chores, &broker->leave, leave_next, broker);
}

/* What it read first: then "so many readers keep the last value" is right where it both read and wrote. */
static void readers_first(struct process *process)
{
	struct attachment *attachment = LIST_FIRST(&process->attachments);

	while (attachment != NULL) {
		struct attachment *next = LIST_NEXT(attachment, process_link);

		if (attachment->role != SHMB_ROLE_WRITER) {
			LIST_REMOVE(attachment, process_link);
			LIST_INSERT_HEAD(&process->attachments, attachment, process_link);
		}
		attachment = next;
	}
}

/* A piece of what a dead process leaves. */
static enum chore_state end_next(void *user)
{
	struct process *process = user;
	struct broker *broker = process->table->user;

	if (!LIST_EMPTY(&process->peers)) {
		peer_close(LIST_FIRST(&process->peers));
	} else if (!LIST_EMPTY(&process->attachments)) {
		if (freed_unless_short(liveness_ended(broker, LIST_FIRST(&process->attachments))) == LEFT_AGAIN)
			return CHORE_RESTS;
	} else {
		old_pages_drop(broker, process, NULL, true);
		process_unref(process);
		broker->ending--;
		gone_look(broker);
		return CHORE_DONE;
	}
	return CHORE_MORE;
}

void liveness_process_died(struct process *process, void *user)
{
	struct broker *broker = user;

	readers_first(process);
	process_ref(process);
	broker->ending++;
	chores_add(&broker->chores, &process->ending, end_next, process);
}

bool liveness_is_ending(const struct segment *segment)
{
	const struct attachment *writer = attachment_writer(segment);

	return writer != NULL && has_ended(writer);
}

bool liveness_settle(struct broker *broker, struct segment *segment)
{
	struct attachment *attachment = LIST_FIRST(&segment->attachments);
	bool settled = false;

	if (TAILQ_EMPTY(&broker->leaving) && broker->ending == 0)
		return false;
	while (attachment != NULL) {
		struct attachment *next = LIST_NEXT(attachment, segment_link);

		if ((attachment->role == SHMB_ROLE_WRITER || attachment->cell != UINT32_MAX) && has_ended(attachment) &&
		    leave(broker, attachment) != LEFT_AGAIN)
			settled = true;
		attachment = next;
	}
	return settled;
}

struct attachment *liveness_find_holder(struct broker *broker, struct segment *segment)
{
	struct process *process;
	struct attachment *attachment;
	int32_t pid = segment->lease.pid;
	unsigned repaired = 0;
	int r = process_watch(&broker->processes, pid, segment->lease.start_time, &process);

	if (r == -ESRCH) {
		struct event event = {
			.kind = EVENT_WRITER_DEAD, .segment = segment->name, .pid = pid, .uid = segment->lease.uid, .reason = "died"
		};

		r = segment_release(&broker->store, segment, SHMB_WRITER_DEAD, &repaired);
		if (r < 0 && store_is_short(r)) {
			log_error("%s: its writer %d has died, which cannot be seen to until it is asked for: %s", segment->name, pid,
				  strerror(-r));
			return NULL;
		}
		broker->deaths++;
		broker->repairs += repaired;
		event_tell(broker, &event, "%s: writer %d has died in the meantime; %u half-written element%s repaired", segment->name, pid,
			   repaired, repaired == 1 ? "" : "s");
		tell_repair(broker, event, repaired);
		lease_is_free(broker, segment);
		return NULL;
	}
	if (r < 0) {
		log_error("%s: cannot tell whether writer %d lives: %s", segment->name, pid, strerror(-r));
		return NULL;
	}
	attachment = attachment_new(segment, process, &segment->lease, SHMB_ROLE_WRITER);
	if (attachment != NULL)
		attachment->given_up = segment->state == SHMB_STATE_GIVEN_UP;
	process_unref(process);
	return attachment;
}

/* Does the one who is in the way still live? The attachment, or NULL: it is gone, and seen to. */
static struct attachment *holder_check(struct broker *broker, struct attachment *attachment, const struct process *except)
{
	struct process *process;

	if (attachment->process == except)
		return attachment;
	process = process_ref(attachment->process);
	if (process_check(process)) {
		if (freed_unless_short(liveness_ended(broker, attachment)) == LEFT_FREED)
			attachment = NULL;
	} else if (process_is_dumping(process)) {
		struct event event = attachment_event(attachment, EVENT_WRITER_DUMPING, "dumping");

		if (attachment->role == SHMB_ROLE_WRITER)
			event_tell(broker, &event, "%s: writer %d (%s) is dumping core and counts as dead", event.segment, event.pid,
				   event.comm);
		else
			log_notice("%s: %s %d (%s) is dumping core and counts as dead", event.segment, role_name(attachment->role),
				   event.pid, event.comm);
		if (freed_unless_short(liveness_ended(broker, attachment)) == LEFT_FREED)
			attachment = NULL;
	}
	process_unref(process);
	return attachment;
}

struct attachment *liveness_lease_holder(struct broker *broker, struct segment *segment, const struct process *except)
{
	struct attachment *attachment;

	liveness_settle(broker, segment);
	attachment = attachment_writer(segment);
	if (segment->state != SHMB_STATE_HELD && segment->state != SHMB_STATE_GIVEN_UP)
		return NULL;
	return attachment == NULL ? liveness_find_holder(broker, segment) : holder_check(broker, attachment, except);
}

struct attachment *liveness_consumer(struct broker *broker, struct segment *segment, const struct process *except)
{
	struct attachment *attachment = attachment_consumer(segment);

	if (attachment != NULL && has_ended(attachment) && leave(broker, attachment) == LEFT_FREED)
		return NULL;
	return attachment == NULL ? NULL : holder_check(broker, attachment, except);
}

struct attachment *liveness_sharer(struct broker *broker, struct segment *segment, const struct process *except)
{
	struct attachment *attachment = NULL;

	liveness_settle(broker, segment);
	while (attachment == NULL) { /* each time round the dead one has gone from the list */
		attachment = attachment_sharer(segment);
		if (attachment == NULL)
			return NULL;
		attachment = holder_check(broker, attachment, except);
	}
	return attachment;
}

/* ---- event pages of connections to the broker before ---- */

int old_page_new(struct broker *broker, struct process *process, struct event_page *page, const uint8_t cookie[SHMB_COOKIE_BYTES])
{
	struct old_page *old = calloc(1, sizeof(*old));

	if (old == NULL)
		return -ENOMEM;
	old->page = page;
	old->process = process_ref(process);
	memcpy(old->cookie, cookie, sizeof(old->cookie));
	LIST_INSERT_HEAD(&process->old_pages, old, link);
	LIST_INSERT_HEAD(&broker->old_pages, old, all_link);
	return 0;
}

void old_pages_drop(struct broker *broker, struct process *process, const uint8_t *cookie, bool unlink)
{
	struct old_page *old = LIST_FIRST(&process->old_pages);

	process_ref(process);
	while (old != NULL) {
		struct old_page *next = LIST_NEXT(old, link);

		if (cookie == NULL || memcmp(old->cookie, cookie, sizeof(old->cookie)) == 0) {
			event_page_bump(old->page);
			event_page_free(&broker->store, old->page, unlink);
			LIST_REMOVE(old, link);
			LIST_REMOVE(old, all_link);
			process_unref(process);
			free(old);
		}
		old = next;
	}
	process_unref(process);
}

void old_pages_bump(struct broker *broker)
{
	struct old_page *old;

	LIST_FOREACH (old, &broker->old_pages, all_link)
		event_page_bump(old->page);
}
