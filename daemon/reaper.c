/* SPDX-License-Identifier: MIT */
/* Reaping of what no one needs. */
#include "reaper.h"

#include <string.h>

#include "attachment.h"
#include "broker.h"
#include "log.h"
#include "stale.h"

static bool is_needed(const struct segment *segment)
{
	return segment->state == SHMB_STATE_HELD || segment->state == SHMB_STATE_GIVEN_UP || attachment_readers(segment) > 0;
}

static void arm(struct reaper *reaper)
{
	const struct segment *oldest = TAILQ_FIRST(&reaper->idle);
	uint64_t now = loop_now_ns();
	uint64_t due;

	if (oldest == NULL) {
		loop_timer_stop(reaper->timer);
		reaper->armed = false;
		return;
	}
	if (reaper->armed || reaper->linger_ns == UINT64_MAX)
		return; /* it may fire for a segment that is in use again: it then looks and sets itself anew */
	due = oldest->idle_since_ns + reaper->linger_ns;
	loop_timer_set(reaper->timer, due > now ? due - now : 0);
	reaper->armed = true;
}

static void on_timer(void *user)
{
	struct reaper *reaper = user;
	struct segment *segment = TAILQ_FIRST(&reaper->idle);

	reaper->armed = false;
	while (segment != NULL && segment->idle_since_ns + reaper->linger_ns <= loop_now_ns()) {
		struct segment *next = TAILQ_NEXT(segment, idle_link);
		char name[sizeof(segment->name)];
		int r;

		memcpy(name, segment->name, sizeof(name));
		r = reaper_remove(reaper->broker, segment);
		if (r == 0) {
			reaper->broker->reaps++;
			log_notice("%s: removed: nobody has written or read it for %.3g s", name, (double)reaper->linger_ns / 1e9);
		}
		segment = next;
	}
	arm(reaper);
}

int reaper_init(struct reaper *reaper, struct broker *broker, uint64_t linger_ns)
{
	*reaper = (struct reaper){ .broker = broker, .linger_ns = linger_ns };
	TAILQ_INIT(&reaper->idle);
	return loop_timer_new(broker->loop, on_timer, reaper, &reaper->timer);
}

void reaper_deinit(struct reaper *reaper)
{
	reaper->timer = loop_timer_free(reaper->timer);
}

static void set_busy(struct reaper *reaper, struct segment *segment)
{
	if (segment->idle_since_ns == 0)
		return;
	segment->idle_since_ns = 0;
	TAILQ_REMOVE(&reaper->idle, segment, idle_link);
}

void reaper_look(struct reaper *reaper, struct segment *segment)
{
	if (is_needed(segment)) {
		set_busy(reaper, segment);
	} else if (segment->idle_since_ns == 0) {
		segment->idle_since_ns = loop_now_ns();
		TAILQ_INSERT_TAIL(&reaper->idle, segment, idle_link);
	}
	arm(reaper);
}

int reaper_remove(struct broker *broker, struct segment *segment)
{
	char name[sizeof(segment->name)];
	int r;

	memcpy(name, segment->name, sizeof(name));
	registry_remove(&broker->registry, segment);
	set_busy(&broker->reaper, segment);
	stale_end(segment);
	while (!LIST_EMPTY(&segment->attachments))
		attachment_free(LIST_FIRST(&segment->attachments));
	r = segment_remove(&broker->store, segment);
	if (r < 0)
		log_error("%s: forgotten, but not all of its files could be removed: %s", name, strerror(-r));
	/* Who waits for the lease can make it anew. */
	interest_tell(&broker->interests, name);
	arm(&broker->reaper);
	return r;
}
