/* SPDX-License-Identifier: MIT */
/*
 * Reaping of what no one needs (reaper.h).
 *
 * Between the timer and the removal nothing can come: requests and ends of processes are handled by the same loop, each of them looks at the
 * segment again, and the timer looks once more. A name that was made again is another segment with files of its own; the removal
 * looks at the identity in the card before it takes a file away (segment.h).
 */
#include "reaper.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attachment.h"
#include "broker.h"
#include "cleanup.h"
#include "event.h"
#include "lineage.h"
#include "liveness.h"
#include "log.h"
#include "parts.h"
#include "setting.h"
#include "stale.h"

struct reap {
	struct reaper *reaper;
	struct segment *segment;
	struct loop_timer *timer;
	struct chore chore; /* many may be due at once */
};

/* ---- what becomes of it ---- */

static void fate_say(struct reaper_fate *fate, bool goes, const char *reason, enum policy_setting setting)
{
	*fate = (struct reaper_fate){ .goes = goes, .reason = reason, .setting = setting, .is_said = true };
}

/* By the writer's own account; once it has, it has. A segment whose files are damaged was in use. */
static bool was_published(struct broker *broker, struct segment *segment)
{
	auto_close int fd = -1;
	uint64_t counter;

	if (segment->was_published || segment->geometry.kind == SHMB_KIND_BLOCK)
		return true;
	fd = part_open(&broker->store, segment, PART_DATA, 0, O_RDONLY);
	if (fd < 0 || pread(fd, &counter, sizeof(counter), offsetof(struct shmb_shm_data, counter)) != sizeof(counter))
		return true;
	segment->was_published = counter != segment->geometry.base;
	return segment->was_published;
}

void reaper_judge(struct reaper *reaper, struct segment *segment, struct reaper_fate *fate)
{
	const struct policy *policy = segment->policy;
	bool is_held = segment->state == SHMB_STATE_HELD || segment->state == SHMB_STATE_GIVEN_UP;
	/* Hung alone: what is stopped, debugged or being dumped is so because somebody wants it, and is silent for as long. */
	bool hangs = segment->state == SHMB_STATE_HELD && segment->writer == SHMB_WRITER_HUNG && policy->on_hang == POLICY_REAP;

	*fate = (struct reaper_fate){ .reason = "written" };
	if (is_held && !hangs)
		return;
	if (segment->geometry.kind == SHMB_KIND_BLOCK && attachment_sharer(segment) != NULL) {
		fate->reason = "shared";
		return;
	}
	if (policy->keep_while_read && lineage_is_read(segment)) {
		fate_say(fate, false, "read", SETTING_KEEP_WHILE_READ);
		return;
	}
	if (hangs)
		fate_say(fate, true, "writer-hung", SETTING_ON_HANG);
	else if (policy->on_never != policy->on_exit && !was_published(reaper->broker, segment))
		fate_say(fate, policy->on_never == POLICY_REAP, "never-published", SETTING_ON_NEVER);
	else
		fate_say(fate, policy->on_exit == POLICY_REAP, "unused", SETTING_ON_EXIT);
}

/* ---- when ---- */

void reaper_forget(struct segment *segment)
{
	if (segment->reap != NULL) {
		chores_drop(&segment->reap->chore);
		loop_timer_free(segment->reap->timer);
	}
	free(segment->reap);
	segment->reap = NULL;
	segment->idle_since_ns = 0;
}

uint64_t reaper_due_in(const struct segment *segment)
{
	uint64_t linger = segment->policy->linger_ns;
	uint64_t now = loop_now_ns();

	if (linger == UINT64_MAX)
		return UINT64_MAX;
	return segment->idle_since_ns + linger > now ? segment->idle_since_ns + linger - now : 0;
}

static enum chore_state reap_due(void *user)
{
	struct reap *reap = user;
	struct reaper *reaper = reap->reaper;
	struct segment *segment = reap->segment;
	struct reaper_fate fate;

	/* Looked at before: what removing it ends with does not say whether it is still there. A file of it may be busy. */
	reaper_judge(reaper, segment, &fate);
	if (!fate.goes || reaper_due_in(segment) > 0) {
		reaper_look(reaper, segment);
		return CHORE_DONE;
	}
	if (reaper_tell(reaper->broker, segment) < 0)
		return CHORE_RESTS;
	reaper_reap(reaper, segment);
	return CHORE_DONE;
}

static void on_timer(void *user)
{
	struct reap *reap = user;

	chores_add(&reap->reaper->broker->chores, &reap->chore, reap_due, reap);
}

static int reap_new(struct reaper *reaper, struct segment *segment)
{
	struct reap *reap = calloc(1, sizeof(*reap));
	int r;

	if (reap == NULL)
		return -ENOMEM;
	reap->reaper = reaper;
	reap->segment = segment;
	r = loop_timer_new(reaper->broker->loop, on_timer, reap, &reap->timer);
	if (r < 0)
		free(reap);
	else
		segment->reap = reap;
	return r;
}

void reaper_look(struct reaper *reaper, struct segment *segment)
{
	struct reaper_fate fate;

	/* A superseded one may be no more after this. */
	while (segment->newer != NULL)
		segment = segment->newer;
	lineage_look(reaper->broker, segment);
	reaper_judge(reaper, segment, &fate);
	if (!fate.goes) {
		reaper_forget(segment);
		return;
	}
	if (segment->idle_since_ns == 0)
		segment->idle_since_ns = loop_now_ns();
	if (segment->reap == NULL && reap_new(reaper, segment) < 0) {
		log_error("%s: no memory to watch over its linger time: it stays until the next change", segment->name);
		return;
	}
	if (segment->policy->linger_ns == UINT64_MAX)
		loop_timer_stop(segment->reap->timer);
	else
		loop_timer_set(segment->reap->timer, reaper_due_in(segment));
}

/* ---- removing ---- */

int reaper_reap(struct reaper *reaper, struct segment *segment)
{
	struct broker *broker = reaper->broker;
	const struct policy *policy = segment->policy;
	char name[sizeof(segment->name)];
	char rule[SETTING_VALUE_MAX];
	char linger[SETTING_VALUE_MAX];
	char source[POLICY_SOURCE_MAX];
	struct reaper_fate fate;
	int32_t pid = segment->lease.pid;
	uint32_t uid = segment->owner_uid;
	int r;

	reaper_judge(reaper, segment, &fate);
	if (!fate.goes)
		return -EBUSY;
	memcpy(name, segment->name, sizeof(name));
	setting_format(fate.setting, policy, rule);
	setting_format_time(policy->linger_ns, linger);
	policy_origin_text(&policy->at[fate.setting], source);
	r = reaper_remove(broker, segment);
	if (r == 0) {
		broker->reaps++;
		event_tell(broker, &(struct event){ .kind = EVENT_REAPED, .segment = name, .pid = pid, .uid = uid, .reason = fate.reason },
			   "%s: removed: %s; linger = %s, %s = %s (%s)", name,
			   fate.setting == SETTING_ON_HANG    ? "its writer hangs"
			   : fate.setting == SETTING_ON_NEVER ? "nothing was ever published"
							      : "nobody has written or read it",
			   linger, setting_name(fate.setting), rule, source);
	}
	return r;
}

/* The files and the struct, which is in no list any more. */
static int remove_one(struct broker *broker, struct segment *segment)
{
	while (!LIST_EMPTY(&segment->attachments))
		attachment_free(LIST_FIRST(&segment->attachments));
	return segment_remove(&broker->store, segment);
}

int reaper_tell(struct broker *broker, struct segment *segment)
{
	for (struct segment *at = segment; at != NULL; at = at->older) {
		auto_foreign struct foreign card = { 0 };
		/* It stays mapped (kept.h). */
		int r = part_map(&broker->store, at, PART_CARD, 0, 0, sizeof(struct shmb_shm_card), true, &card);

		if (store_is_short(r))
			return r;
	}
	for (struct segment *at = segment; at != NULL; at = at->older) {
		if (segment_tell_removed(&broker->store, at) <= 0)
			continue;
		liveness_tell_readers(at);
		old_pages_bump(broker);
	}
	return 0;
}

int reaper_remove(struct broker *broker, struct segment *segment)
{
	char name[sizeof(segment->name)];
	struct segment *older = NULL;
	int r;

	memcpy(name, segment->name, sizeof(name));
	while (segment->older != NULL) {
		struct segment *next = segment->older;

		registry_drop(&broker->registry, next);
		next->older = older;
		older = next;
	}
	registry_remove(&broker->registry, segment);
	stale_end(segment);
	reaper_forget(segment);
	/* The newest first: what the scan finds of the others after a kill, superseded by nothing that is there, it removes. */
	r = remove_one(broker, segment);
	while (older != NULL) {
		struct segment *next = older->older;
		int also = remove_one(broker, older);

		r = r < 0 ? r : also;
		older = next;
	}
	if (r < 0)
		log_error("%s: forgotten, but not all of its files could be removed: %s", name, strerror(-r));
	/* Who waits for the lease can make it anew. */
	interest_tell(&broker->interests, name);
	return r;
}
