/* SPDX-License-Identifier: MIT */
/* Adoption (adopt.h). Idempotent: a broker killed in the middle of it leaves what the next one can take over. */
#include "adopt.h"

#include <errno.h>
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
	const struct attachment *attachment;

	if (segment->lease.pid == 0)
		return;
	attachment = liveness_find_holder(broker, segment);
	if (attachment != NULL && segment->newer == NULL)
		event_tell(broker,
			   &(struct event){ .kind = EVENT_ADOPTED,
					    .segment = segment->name,
					    .pid = attachment->holder.pid,
					    .uid = attachment->holder.uid,
					    .comm = attachment->process->comm },
			   "%s: adopted with its writer %d (%s)", segment->name, attachment->holder.pid, attachment->process->comm);
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
	/* Readers first: a dead writer's line in the log then says how many keep its last value. */
	for (unsigned i = 0; i < cell_count; i++)
		adopt_cell(broker, segment, &cells[i]);
	SHMB_STEP("adopt.cells");
	adopt_lease(broker, segment);
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
	struct store_scan scan = { .found = on_segment, .page = on_page, .user = broker };

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
