/* SPDX-License-Identifier: MIT */
/* Watchers and the ring of events (watch.h). */
#include "watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "access.h"
#include "broker.h"
#include "pattern.h"
#include "peer.h"
#include "policy.h"

struct watch_ring {
	uint64_t next; /* sequence number of the next event; its place is the number modulo WATCH_RING_MAX */
	struct shmb_msg_event events[WATCH_RING_MAX];
	uint32_t owners[WATCH_RING_MAX]; /* uid that owned the segment then; the client's where it is gone */
};

struct watch {
	LIST_ENTRY(watch) link;
	struct peer *peer;
	uint32_t serial; /* of the WATCH that began it, and of its EVENTs */
	uint64_t next;	 /* the first event in the ring that it was not sent */
	uint64_t lost;	 /* that met its pattern and were overwritten before they could be sent */
	char pattern[SHMB_NAME_MAX + 8];
};

static struct shmb_msg_event *event_at(struct watch_ring *ring, uint64_t sequence)
{
	return &ring->events[sequence % WATCH_RING_MAX];
}

/* An event that is compared with watchers: what is the same for all of them is found out once. */
struct look {
	const struct shmb_msg_event *event;
	uint32_t owner;
	struct pattern_name name;
	const struct policy *policy; /* of its segment, which may be gone by now: by its name */
};

static void look_at(struct broker *broker, uint64_t sequence, struct look *look)
{
	struct watch_ring *ring = broker->watches.ring;

	look->event = event_at(ring, sequence);
	look->owner = ring->owners[sequence % WATCH_RING_MAX];
	look->policy = NULL;
	if (look->event->segment[0] != '\0')
		pattern_name_init(&look->name, look->event->segment);
}

/* Who may read a segment hears what happens to it. */
static bool may_see(struct peer *peer, struct look *look)
{
	struct access_who who;

	if (look->policy == NULL)
		look->policy = policy_find(peer->broker->policies, look->event->segment);
	access_who_of(peer, &who);
	return access_judge(look->policy, ACCESS_READ, look->owner, &who, NULL);
}

/* Is this event for this watcher? */
static bool meets(const struct watch *watch, struct look *look)
{
	const struct shmb_msg_event *event = look->event;

	if (event->segment[0] == '\0' && watch->pattern[0] != '\0')
		return false;
	if (event->segment[0] == '\0')
		return event->pid == 0 || access_is_operator(watch->peer) || watch->peer->holder.uid == event->uid;
	if (watch->pattern[0] != '\0' && !pattern_meets(watch->pattern, &look->name))
		return false;
	return may_see(watch->peer, look);
}

/* ---- watchers ---- */

static uint32_t watches_of(const struct broker *broker, uint32_t uid)
{
	const struct watch *watch;
	uint32_t count = 0;

	LIST_FOREACH (watch, &broker->watches.watches, link)
		count += watch->peer->holder.uid == uid;
	return count;
}

static int watch_new(struct peer *peer)
{
	struct watch_list *list = &peer->broker->watches;
	struct watch *watch;

	if (list->count >= WATCH_MAX || (peer->holder.uid != geteuid() && watches_of(peer->broker, peer->holder.uid) >= WATCH_USER_MAX))
		return -EUSERS;
	if (list->ring == NULL)
		list->ring = calloc(1, sizeof(*list->ring));
	watch = calloc(1, sizeof(*watch));
	if (list->ring == NULL || watch == NULL) {
		free(watch);
		if (list->count == 0) {
			free(list->ring);
			list->ring = NULL;
		}
		return -ENOMEM;
	}
	watch->peer = peer;
	watch->next = list->ring->next;
	LIST_INSERT_HEAD(&list->watches, watch, link);
	list->count++;
	peer->watch_events = watch;
	return 0;
}

void watch_end(struct peer *peer)
{
	struct watch_list *list = &peer->broker->watches;

	if (peer->watch_events == NULL)
		return;
	LIST_REMOVE(peer->watch_events, link);
	free(peer->watch_events);
	peer->watch_events = NULL;
	if (--list->count > 0)
		return;
	free(list->ring);
	list->ring = NULL;
}

void watch_start(struct peer *peer, const union shmb_msg_request *request, const char *tail, struct reply *reply)
{
	const struct shmb_msg_watch *asked = &request->watch;
	int r = peer->watch_events == NULL ? watch_new(peer) : 0;

	(void)tail;
	if (r < 0) {
		reply_error(reply, &asked->head, r,
			    r == -EUSERS ? "as many connections watch as the broker will serve: close some"
					 : "the broker is out of memory");
		return;
	}
	peer->watch_events->serial = asked->head.serial;
	memcpy(peer->watch_events->pattern, asked->pattern, sizeof(asked->pattern));
	reply_done(reply, &asked->head);
}

/* ---- events ---- */

/* The ring is full: whoever has not been sent its oldest event loses it. */
static void overwrite_oldest(struct broker *broker)
{
	struct watch_list *list = &broker->watches;
	uint64_t oldest = list->ring->next - WATCH_RING_MAX;
	struct watch *watch;
	struct look look;

	look_at(broker, oldest, &look);
	LIST_FOREACH (watch, &list->watches, link) {
		if (watch->next > oldest)
			continue;
		watch->lost += meets(watch, &look);
		watch->next = oldest + 1;
	}
}

/*
 * Whose the segment is, or was: of one that is gone, its owner's who let it be removed. Who is refused something that is not there does not own it, and
 * must not see by that event that it is not there.
 */
static uint32_t owner_of(const struct segment *segment, const struct event *event)
{
	if (segment != NULL)
		return segment->owner_uid;
	return event->kind == EVENT_REFUSED || event->kind == EVENT_QUOTA ? ACCESS_NO_OWNER : event->uid;
}

/* What was said to somebody of segments that not everybody may see ends here. */
static void cut_text(char *text, size_t size)
{
	char *largest = strstr(text, ACCOUNT_LARGEST);

	if (largest != NULL)
		memset(largest, 0, size - (size_t)(largest - text));
}

void watch_event(struct broker *broker, const struct event *event, unsigned level, const char *text)
{
	struct watch_list *list = &broker->watches;
	const struct segment *segment =
		list->ring != NULL && event->segment != NULL ? registry_find(&broker->registry, event->segment) : NULL;
	struct shmb_msg_event *kept;
	struct watch *watch;
	struct look look;
	uint64_t sequence;

	if (list->ring == NULL)
		return;
	sequence = list->ring->next;
	if (sequence >= WATCH_RING_MAX)
		overwrite_oldest(broker);
	list->ring->next++;
	list->ring->owners[sequence % WATCH_RING_MAX] = owner_of(segment, event);
	kept = event_at(list->ring, sequence);
	*kept = (struct shmb_msg_event){
		.time_ns = loop_realtime_ns(),
		.pid = event->pid,
		.uid = event->uid,
		.level = (uint8_t)level,
	};
	shmb_text_set(kept->kind, sizeof(kept->kind), event_name(event->kind));
	shmb_text_set(kept->comm, sizeof(kept->comm), event->comm);
	shmb_text_set(kept->reason, sizeof(kept->reason), event->reason);
	shmb_text_set(kept->segment, sizeof(kept->segment), event->segment);
	shmb_text_set(kept->text, sizeof(kept->text), text);
	cut_text(kept->text, sizeof(kept->text));
	look_at(broker, sequence, &look);
	LIST_FOREACH (watch, &list->watches, link) {
		if (meets(watch, &look))
			peer_tell(watch->peer);
	}
}

/* Passes over what does not concern it. */
static const struct shmb_msg_event *next_event(struct watch *watch)
{
	struct broker *broker = watch->peer->broker;
	struct look look;

	for (; watch->next < broker->watches.ring->next; watch->next++) {
		look_at(broker, watch->next, &look);
		if (meets(watch, &look))
			return look.event;
	}
	return NULL;
}

bool watch_has_news(const struct peer *peer)
{
	struct watch *watch = peer->watch_events;

	return watch != NULL && (watch->lost > 0 || next_event(watch) != NULL);
}

void watch_fill(struct peer *peer, struct reply *reply)
{
	struct watch *watch = peer->watch_events;
	struct shmb_msg_head head = { .opcode = SHMB_OP_EVENT, .serial = watch->serial };
	struct shmb_msg_events *events = reply_begin(reply, &head, sizeof(*events));
	const struct shmb_msg_event *event;

	events->lost = watch->lost;
	watch->lost = 0;
	while ((event = next_event(watch)) != NULL) {
		struct shmb_msg_event *record = reply_tail(reply, sizeof(*record));

		if (record == NULL)
			break;
		*record = *event;
		events->count++;
		watch->next++;
	}
}
