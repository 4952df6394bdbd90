/* SPDX-License-Identifier: MIT */
/*
 * The reader's side of waiting.
 *
 * A sleeper sleeps on two words at once: the wake word in the data, which writer and broker increment, and the word of the connection's
 * event page, which the broker increments after changes - among them once by a daemon that has just adopted what another one left. So a
 * sleeper hears of a new daemon, looks at its socket and comes back to the broker before it sleeps again.
 *
 * Everything is looked at in the order word, verdict, data: what is reported about the writer is older than the look at the data, so the
 * data before a verdict is always read before it.
 */
#include "wait.h"

#include <errno.h>

#include "clock.h"
#include "connection.h"
#include "futex.h"
#include "proto/step.h"
#include "text.h"

/* Without an area nobody knows that we wait: how late we may see new data then. */
#define UNSEEN_SLICE_NS UINT64_C(10000000)
/* While another thread talks to the broker, or no broker answers: when to look at the socket again. */
#define SOCKET_SLICE_NS UINT64_C(100000000)
/* How long a wait with nothing to read may be kept busy by a reconnection. */
#define RECONNECT_NS UINT64_C(250000000)

/* What there is to say, or -EAGAIN. */
static int look(struct slots_reader *reader)
{
	/* ORDER writer.verdict (acquire). Partner: lease_verdict_store().
	 * Orders:  last committed data, counter -> verdict.
	 * Without: a reader is told that the writer is dead before it has seen all its data.
	 * Model:   tests/model/src/verdict.rs */
	uint64_t verdict = atomic_load_explicit(&reader->card->writer, memory_order_acquire);
	uint64_t state = atomic_load_explicit(&reader->card->state, memory_order_acquire);
	int news = slots_has_news(reader);

	if (news != 0)
		return news < 0 ? news : 0;
	if ((state & 0xff) == SHMB_STATE_REMOVED || (state & 0xff) == SHMB_STATE_SUPERSEDED)
		return text_fail(-ESTALE, "the segment was removed or replaced: close this reader and open the name again");
	if (verdict >> 8 == reader->reported)
		return -EAGAIN;
	switch (verdict & 0xff) {
	case SHMB_WRITER_DEAD:
		reader->reported = verdict >> 8;
		return text_fail(-EOWNERDEAD, "the writer's process ended without closing; the next writer goes on with the numbers");
	case SHMB_WRITER_CLOSED:
	case SHMB_WRITER_GONE:
		reader->reported = verdict >> 8;
		return text_fail(-EPIPE, "the writer closed; the next writer goes on with the numbers");
	default:
		return -EAGAIN;
	}
}

/* Puts `*deadline` forward so that the next look is at most `span` away. */
static void slice(uint64_t *deadline, uint64_t span)
{
	*deadline = clock_within(span, *deadline);
}

int slots_wait(struct slots_reader *reader, struct shmb *broker, uint64_t deadline_ns)
{
	if (atomic_load_explicit(reader->guard, memory_order_relaxed) == 0)
		return text_forked();
	for (;;) {
		/* ORDER wait.wake (acquire). Partners: wake_waiters(), wake_grow().
		 * Orders:  flag swapped to 0, id, counter -> wake word.
		 * Without: a reader sleeps on a value that was counted up already.
		 * Model:   tests/model/src/wait.rs */
		uint32_t wake = atomic_load_explicit(&reader->data->wake, memory_order_acquire);
		uint32_t event = broker != NULL ? connection_event(broker) : 0;
		uint64_t until = deadline_ns;
		int r = look(reader);

		if (r != -EAGAIN)
			return r;
		if (deadline_ns == SHMB_NO_WAIT || (deadline_ns != SHMB_FOREVER && clock_now_ns() >= deadline_ns))
			return -ETIMEDOUT;

		if (broker != NULL && connection_event_is_new(broker, event)) {
			if (connection_look(broker, event, clock_within(RECONNECT_NS, deadline_ns)) == 0)
				continue;
			slice(&until, SOCKET_SLICE_NS);
		}
		SHMB_STEP("wait.looked");
		if (reader->area != NULL) {
			/* ORDER wait.flag (seq_cst). Partner: publish().
			 * Orders:  flag -> look at the data.
			 * Without: reader and writer each miss what the other one stored, and the reader sleeps with data there.
			 * Model:   tests/model/src/wait.rs */
			atomic_store_explicit(&reader->area->waiters, 1, memory_order_relaxed);
			shmb_fence_seq_cst();
			SHMB_STEP("wait.flagged");
			r = look(reader);
			if (r != -EAGAIN)
				return r;
		} else {
			slice(&until, UNSEEN_SLICE_NS);
		}
		SHMB_STEP("wait.sleeping");
		if (broker != NULL)
			futex_sleep_two(&reader->data->wake, wake, connection_event_word(broker), event, until);
		else
			futex_sleep(&reader->data->wake, wake, until);
	}
}
