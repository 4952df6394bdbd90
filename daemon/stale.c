/* SPDX-License-Identifier: MIT */
/*
 * Writers that publish nothing any more (stale.h).
 *
 * Stale means: neither the counter nor heartbeat_ns changed between two looks that are at least one stale time apart. Both are words of the
 * writer's memory, so it can pretend to be at work; that harms its own readers and nobody else.
 *
 * The looks lie on multiples of the stale time, so that the timers of all segments with that stale time are due together and wake the loop
 * once. A writer found silent for less than a stale time is looked at exactly when that is over, off the beat.
 */
#include "stale.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attachment.h"
#include "broker.h"
#include "event.h"
#include "liveness.h"
#include "log.h"
#include "policy.h"
#include "proto/step.h"

#define STALE_MIN_NS UINT64_C(1000000)	      /* looked at no more often than this, whatever the policy says */
#define STALE_NEVER_NS (UINT64_MAX / 4)	      /* from here on nothing can be added to a time any more */
#define STALE_LATE_NS UINT64_C(100000000)     /* what a busy host may delay a look by without losing its meaning */
#define STALE_SUSPENDED_NS UINT64_C(10000000) /* more than two clocks read one after the other can differ by */

struct stale {
	struct broker *broker;
	struct segment *segment;
	struct loop_timer *timer;
	struct chore look; /* all with the same stale time are due together */
	uint64_t epoch;
	uint64_t stale_ns;
	struct stale_state state;
	bool unreadable; /* and that was logged */
};

/* ---- the judgement ---- */

/* The beat after `now_ns`, not one that is closer than half a stale time. */
static uint64_t next_beat(uint64_t stale_ns, uint64_t now_ns)
{
	return ((now_ns + stale_ns / 2) / stale_ns + 1) * stale_ns;
}

void stale_state_init(struct stale_state *state, const struct segment_pulse *pulse, uint64_t stale_ns, uint64_t now_ns,
		      uint64_t suspended_ns)
{
	*state = (struct stale_state){
		.pulse = *pulse,
		.since_ns = now_ns,
		.due_ns = next_beat(stale_ns, now_ns),
		.suspended_ns = suspended_ns,
	};
}

enum stale_finding stale_state_look(struct stale_state *state, const struct segment_pulse *pulse, uint64_t stale_ns, uint64_t now_ns,
				    uint64_t suspended_ns)
{
	uint64_t late = stale_ns / 2 > STALE_LATE_NS ? stale_ns / 2 : STALE_LATE_NS;
	bool slept = suspended_ns > state->suspended_ns + STALE_SUSPENDED_NS || now_ns > state->due_ns + late;
	bool beats = pulse->counter != state->pulse.counter || pulse->heartbeat_ns != state->pulse.heartbeat_ns;

	state->suspended_ns = suspended_ns;
	if (beats || slept) {
		stale_state_init(state, pulse, stale_ns, now_ns, suspended_ns);
		return beats ? STALE_BEATS : STALE_SILENT;
	}
	if (now_ns - state->since_ns < stale_ns) {
		state->due_ns = state->since_ns + stale_ns;
		return STALE_SILENT;
	}
	state->due_ns = next_beat(stale_ns, now_ns);
	return STALE_OVER;
}

/* ---- looking ---- */

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t suspended_ns(uint64_t now_ns)
{
	uint64_t since_boot = clock_ns(CLOCK_BOOTTIME);

	return since_boot > now_ns ? since_boot - now_ns : 0;
}

/* The data part's words. What cannot be read any more was destroyed by its writer: silent, then. */
static void read_pulse(struct stale *stale, uint64_t now_ns, struct segment_pulse *pulse)
{
	int r = segment_pulse(&stale->broker->store, stale->segment, now_ns, pulse);

	if (r < 0 && !stale->unreadable)
		log_error("%s: whether its writer is at work cannot be seen: %s", stale->segment->name, strerror(-r));
	stale->unreadable = r < 0;
}

static void arm(struct stale *stale, uint64_t now_ns)
{
	loop_timer_set(stale->timer, stale->state.due_ns > now_ns ? stale->state.due_ns - now_ns : 0);
}

static void tell(struct stale *stale, enum shmb_writer_state verdict, const struct attachment *attachment, int32_t tracer)
{
	struct segment *segment = stale->segment;
	const char *comm = attachment != NULL ? attachment->process->comm : "?";
	struct event event = { .segment = segment->name, .pid = segment->lease.pid, .uid = segment->lease.uid };
	double seconds = (double)stale->stale_ns / 1e9;

	switch (verdict) {
	case SHMB_WRITER_STOPPED:
		event.kind = EVENT_WRITER_STOPPED;
		event.reason = "stopped";
		event_tell(stale->broker, &event, "%s: writer %d (%s) is stopped by a signal and has published nothing for %.3g s",
			   segment->name, event.pid, comm, seconds);
		break;
	case SHMB_WRITER_TRACED:
		event.kind = EVENT_WRITER_TRACED;
		event.reason = "traced";
		event_tell(stale->broker, &event, "%s: writer %d (%s) is traced by process %d and has published nothing for %.3g s",
			   segment->name, event.pid, comm, tracer, seconds);
		break;
	case SHMB_WRITER_DUMPING:
		event.kind = EVENT_WRITER_DUMPING;
		event.reason = "dumping";
		event_tell(stale->broker, &event, "%s: writer %d (%s) is dumping core", segment->name, event.pid, comm);
		break;
	case SHMB_WRITER_HUNG:
		event.kind = EVENT_WRITER_HUNG;
		event.reason = "stale";
		event_tell(stale->broker, &event, "%s: writer %d (%s) hangs: it runs, but has published nothing for %.3g s", segment->name,
			   event.pid, comm, seconds);
		break;
	default:
		event.kind = EVENT_WRITER_ALIVE;
		event.reason = "published";
		event_tell(stale->broker, &event, "%s: writer %d (%s) publishes again", segment->name, event.pid, comm);
		break;
	}
}

/* Changes the verdict and says so to everybody. The last thing to be done: what the policy then does may free the segment. */
static void judge(struct stale *stale, enum shmb_writer_state verdict, const struct attachment *attachment, int32_t tracer)
{
	struct broker *broker = stale->broker;
	struct segment *segment = stale->segment;
	int r;

	if (segment->writer == verdict)
		return;
	r = segment_judge(&broker->store, segment, verdict);
	if (r < 0)
		log_error("%s: its readers cannot be told what became of its writer: %s", segment->name, strerror(-r));
	tell(stale, verdict, attachment, tracer);
	SHMB_STEP("turn.stale");
	liveness_tell_readers(segment);
	interest_tell(&broker->interests, segment->name); /* a hung writer's lease may be taken, if the policy says so */
	reaper_look(&broker->reaper, segment);
}

static enum shmb_writer_state verdict_of(const struct process *process, int32_t *tracer)
{
	switch (process_condition(process, tracer)) {
	case PROCESS_STOPPED:
		return SHMB_WRITER_STOPPED;
	case PROCESS_TRACED:
		return SHMB_WRITER_TRACED;
	case PROCESS_DUMPING:
		return SHMB_WRITER_DUMPING;
	default:
		return SHMB_WRITER_HUNG;
	}
}

static enum chore_state look(void *user)
{
	struct stale *stale = user;
	struct attachment *attachment = attachment_writer(stale->segment);
	struct segment_pulse pulse = stale->state.pulse;
	uint64_t now = loop_now_ns();
	struct process *process;
	int32_t tracer = 0;
	enum stale_finding finding;

	read_pulse(stale, now, &pulse);
	finding = stale_state_look(&stale->state, &pulse, stale->stale_ns, now, suspended_ns(now));
	arm(stale, now);
	if (finding == STALE_BEATS)
		judge(stale, SHMB_WRITER_ALIVE, attachment, 0);
	if (finding != STALE_OVER)
		return CHORE_DONE;
	if (attachment == NULL) {
		judge(stale, SHMB_WRITER_HUNG, NULL, 0);
		return CHORE_DONE;
	}
	process = process_ref(attachment->process);
	if (!process_check(process)) { /* else it has died, and that is seen to */
		enum shmb_writer_state verdict = verdict_of(process, &tracer);

		judge(stale, verdict, attachment, tracer);
	}
	process_unref(process);
	return CHORE_DONE;
}

static void on_timer(void *user)
{
	struct stale *stale = user;

	chores_add(&stale->broker->chores, &stale->look, look, stale);
}

/* ---- which segments ---- */

static uint64_t stale_time(const struct segment *segment)
{
	if (segment->state != SHMB_STATE_HELD || segment->policy == NULL || segment->policy->stale_ns > STALE_NEVER_NS ||
	    segment->policy->on_hang == POLICY_KEEP)
		return 0;
	return segment->policy->stale_ns > STALE_MIN_NS ? segment->policy->stale_ns : STALE_MIN_NS;
}

void stale_end(struct segment *segment)
{
	if (segment->stale == NULL)
		return;
	chores_drop(&segment->stale->look);
	loop_timer_free(segment->stale->timer);
	free(segment->stale);
	segment->stale = NULL;
}

static struct stale *stale_new(struct broker *broker, struct segment *segment)
{
	struct stale *stale = calloc(1, sizeof(*stale));

	if (stale == NULL)
		return NULL;
	stale->broker = broker;
	stale->segment = segment;
	if (loop_timer_new(broker->loop, on_timer, stale, &stale->timer) == 0)
		return stale;
	free(stale);
	return NULL;
}

void stale_follow(struct broker *broker, struct segment *segment)
{
	uint64_t stale_ns = stale_time(segment);
	struct stale *stale = segment->stale;
	struct segment_pulse pulse = { 0 };
	uint64_t now;

	if (stale_ns == 0) {
		/* No stale time any more: nobody will see it come back. */
		if (stale != NULL && segment->state == SHMB_STATE_HELD && segment->writer != SHMB_WRITER_ALIVE &&
		    segment_judge(&broker->store, segment, SHMB_WRITER_ALIVE) == 0)
			liveness_tell_readers(segment);
		stale_end(segment);
		return;
	}
	if (stale != NULL && stale->stale_ns == stale_ns && stale->epoch == segment->epoch)
		return;
	if (stale == NULL)
		stale = segment->stale = stale_new(broker, segment);
	if (stale == NULL) {
		log_error("%s: no memory to look after its writer", segment->name);
		return;
	}
	stale->stale_ns = stale_ns;
	stale->epoch = segment->epoch;
	now = loop_now_ns();
	read_pulse(stale, 0, &pulse); /* only looked at: whether it has just written anything is not known */
	stale_state_init(&stale->state, &pulse, stale_ns, now, suspended_ns(now));
	arm(stale, now);
}
