/* SPDX-License-Identifier: MIT */
/* Adoption (adopt.h). Idempotent: a broker killed in the middle of it leaves what the next one can take over. */
#include "adopt.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker.h"
#include "lineage.h"
#include "liveness.h"
#include "event.h"
#include "log.h"
#include "policy.h"
#include "proto/step.h"
#include "stale.h"

static void adopt_lease(struct broker *broker, struct segment *segment)
{
	if (segment->lease.pid != 0)
		liveness_find_holder(broker, segment);
}

/* Each segment that is served from here on, once: with its writer or without. Older generations go with it. */
static void adopt_tell(struct broker *broker, const struct segment *segment)
{
	const struct attachment *writer = attachment_writer(segment);
	uint32_t readers = attachment_readers(segment);
	struct event event = { .kind = EVENT_ADOPTED, .segment = segment->name, .uid = segment->owner_uid };
	char who[64] = "no writer";

	if (writer != NULL) {
		event = attachment_event(writer, EVENT_ADOPTED, NULL);
		snprintf(who, sizeof(who), "its writer %d (%s)", event.pid, event.comm);
	}
	event_tell(broker, &event, "%s: adopted with %s and %u reader%s", segment->name, who, readers, readers == 1 ? "" : "s");
}

static void adopt_cell(struct broker *broker, struct segment *segment, const struct segment_cell *cell)
{
	struct process *process;
	struct attachment *attachment = NULL;
	unsigned mended = 0;
	int r = process_watch(&broker->processes, cell->holder.pid, cell->holder.start_time, &process);

	if (r == -ESRCH) {
		r = segment_cell_free(&broker->store, segment, cell->cell, &mended);
		broker->repairs += mended;
		if (mended != 0)
			event_tell(broker,
				   &(struct event){ .kind = EVENT_REPAIRED,
						    .segment = segment->name,
						    .pid = cell->holder.pid,
						    .uid = cell->holder.uid,
						    .reason = "lock" },
				   "%s: process %d ended in the meantime while it held the lock; who locks next is told so", segment->name,
				   cell->holder.pid);
		if (r < 0)
			log_error("%s: the cell of process %d, which is dead, cannot be freed: %s", segment->name, cell->holder.pid,
				  strerror(-r));
		return;
	}
	if (r == 0) {
		attachment = attachment_new(segment, process, &cell->holder, cell->role);
		process_unref(process);
	}
	if (attachment == NULL) {
		/* The cell stays taken, which harms nobody but a queue's next consumer, who is told. */
		log_error("%s: reader %d cannot be watched: %s", segment->name, cell->holder.pid, strerror(r < 0 ? -r : ENOMEM));
		return;
	}
	attachment->cell = cell->cell;
	attachment->incarnation = cell->incarnation;
}

static void on_segment(struct segment *segment, const struct segment_cell *cells, unsigned cell_count, void *user)
{
	struct broker *broker = user;
	bool is_newest = segment->state != SHMB_STATE_SUPERSEDED;
	int r = is_newest ? registry_add(&broker->registry, segment) : registry_add_older(&broker->registry, segment);

	if (r < 0) {
		log_error("%s: cannot be adopted: %s", segment->name, strerror(-r));
		segment_free(segment);
		return;
	}
	segment->policy = policy_find(broker->policies, segment->name);
	broker->adopted += is_newest;
	account_charge(broker, segment);
	/* Readers first: a dead writer's line in the log then says how many keep its last value. */
	for (unsigned i = 0; i < cell_count; i++)
		adopt_cell(broker, segment, &cells[i]);
	SHMB_STEP("adopt.cells");
	adopt_lease(broker, segment);
	if (is_newest)
		adopt_tell(broker, segment);
	stale_follow(broker, segment);
	SHMB_STEP("adopt.lease");
	reaper_look(&broker->reaper, segment);
}

static void on_page(struct event_page *page, const struct holder *who, void *user)
{
	struct broker *broker = user;
	struct process *process;
	int r = process_watch(&broker->processes, who->pid, who->start_time, &process);

	if (r < 0) {
		if (who->pid == 0) /* of one that cannot be seen, and may live */
			event_page_bump(page);
		event_page_free(&broker->store, page, r == -ESRCH);
		return;
	}
	r = old_page_new(broker, process, page, who->cookie);
	if (r < 0)
		event_page_free(&broker->store, page, false);
	process_unref(process);
}

int adopt_all(struct broker *broker)
{
	struct store_scan scan = { .found = on_segment, .page = on_page, .user = broker, .broker = broker };
	int r;

	broker->is_adopting = true;
	r = store_scan(&broker->store, &scan);
	broker->is_adopting = false;
	/* Now that all generations of each name are known. */
	for (struct segment *segment = registry_after(&broker->registry, 0); segment != NULL; segment = TAILQ_NEXT(segment, order_link)) {
		if (segment->older != NULL)
			reaper_look(&broker->reaper, segment);
	}
	return r;
}
