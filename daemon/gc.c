/* SPDX-License-Identifier: MIT */
/* What would go, or goes (gc.h). */
#include "gc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "access.h"
#include "broker.h"
#include "chores.h"
#include "peer.h"
#include "policy.h"
#include "proto/step.h"
#include "reaper.h"
#include "setting.h"
#include "strays.h"

static void fill_segment(const struct segment *segment, const struct reaper_fate *fate, struct shmb_msg_gc_item *item)
{
	const struct policy *policy = segment->policy;
	char value[SETTING_VALUE_MAX];
	char source[POLICY_SOURCE_MAX];
	char reason[SHMB_TEXT_MAX];

	item->bytes = segment->bytes;
	item->due_ns = reaper_due_in(segment);
	item->uid = segment->owner_uid;
	item->verdict = SHMB_GC_GOES;
	shmb_text_set(item->name, sizeof(item->name), segment->name);
	snprintf(reason, sizeof(reason), "%s: %s = %s (%.150s)", fate->reason, setting_name(fate->setting),
		 setting_format(fate->setting, policy, value), policy_origin_text(&policy->at[fate->setting], source));
	shmb_text_set(item->reason, sizeof(item->reason), reason);
}

static void remove_one(struct broker *broker, struct segment *segment, struct shmb_msg_gc_item *item)
{
	char reason[SHMB_TEXT_MAX];
	const char *what = "its readers cannot be told now";
	int r = reaper_tell(broker, segment);

	if (r == 0) {
		what = "not all of its files could be removed";
		r = reaper_reap(&broker->reaper, segment);
	}
	item->verdict = r == 0 ? SHMB_GC_REMOVED : SHMB_GC_FAILED;
	if (r == 0)
		return;
	snprintf(reason, sizeof(reason), "%s: %s", what, strerror(-r));
	shmb_text_set(item->reason, sizeof(item->reason), reason);
}

static void gc_segments(struct peer *peer, const struct shmb_msg_gc *gc, struct reply *reply, struct shmb_msg_gc_answer *answer)
{
	struct broker *broker = peer->broker;
	struct segment *segment = registry_after(&broker->registry, gc->after);
	uint64_t begun_ns = loop_now_ns();
	uint64_t last = gc->after;

	while (segment != NULL) {
		struct segment *next = TAILQ_NEXT(segment, order_link);
		struct shmb_msg_gc_item *item;
		struct reaper_fate fate;
		uint64_t order = segment->order;

		SHMB_STEP("turn.gc");
		/* One is judged in each turn, however slow the machine: to go on where it began would be the end, or no progress. */
		if (last != gc->after && chores_turn_is_over(begun_ns)) {
			answer->next = last;
			return;
		}
		reaper_judge(&broker->reaper, segment, &fate);
		if (fate.goes && access_sees(peer, segment)) {
			item = reply_tail(reply, sizeof(*item));
			if (item == NULL) {
				answer->next = last;
				return;
			}
			fill_segment(segment, &fate, item);
			answer->count++;
			if ((gc->flags & SHMB_GC_DRY_RUN) == 0)
				remove_one(broker, segment, item);
		}
		last = order;
		segment = next;
	}
}

void gc_request(struct peer *peer, const union shmb_msg_request *request, const char *tail, struct reply *reply)
{
	const struct shmb_msg_gc *gc = &request->gc;
	struct shmb_msg_gc_answer *answer;

	(void)tail;
	if ((gc->flags & SHMB_GC_DRY_RUN) == 0 && !access_is_operator(peer)) {
		reply_error(reply, &gc->head, -EPERM,
			    "only root and the daemon's own user remove what policy lets go, not uid %u: look with --dry-run",
			    peer->holder.uid);
		return;
	}
	answer = reply_begin(reply, &gc->head, sizeof(*answer));
	if ((gc->flags & SHMB_GC_FOREIGN) != 0)
		strays_answer(peer->broker, gc, reply, answer);
	else
		gc_segments(peer, gc, reply, answer);
}
