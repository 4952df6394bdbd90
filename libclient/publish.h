/* SPDX-License-Identifier: MIT */
#ifndef SHMB_CLIENT_PUBLISH_H
#define SHMB_CLIENT_PUBLISH_H

/*
 * What every publish begins and ends with, whatever the kind: is the lease still ours, and does anybody sleep on what we have published?
 * Inline, because this is most of what a small publish does.
 */

#include <errno.h>

#include "slots.h"
#include "text.h"

#define likely(condition) __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)

static inline bool is_ours(const _Atomic uint32_t *guard)
{
	/* The page is wiped in a forked child. */
	return likely(atomic_load_explicit(guard, memory_order_relaxed) != 0);
}

/* At each claim. 0, -ESTALE, -EOWNERDEAD in a forked child. */
static inline int writer_check(const struct slots_writer *writer)
{
	if (!is_ours(writer->guard))
		return text_forked();
	/* ORDER state.word (acquire). Partners: lease_state_store(), card_mark_removed().
	 * Orders:  card of our grant -> our writes.
	 * Without: a write under a lease that somebody else holds.
	 * Model:   none: one word, compared whole; one write that was claimed before may still end, which repair expects */
	if (unlikely(atomic_load_explicit(&writer->card->state, memory_order_acquire) != writer->granted))
		return -ESTALE;
	return 0;
}

/* Somebody may sleep: wakes all who do. `bound` is the areas to look at. Returns 0, so that a publish can end with it. */
int wake_waiters(struct slots_writer *writer, uint32_t bound) __attribute__((cold));

/*
 * Stores the counter: numbers below `next` are committed, as their ids have told already. What comes after it, comes after a seq_cst fence. (An
 * exchange, which on x86-64 is both, makes a reader on the same core wait for it: 3 ns more for a store and a load.)
 */
static inline __attribute__((always_inline)) void publish_count(struct slots_writer *writer, uint64_t next)
{
	/* ORDER counter.publish (release). Partner: next_number().
	 * Orders:  slot or entry id -> counter.
	 * Without: a reader sees the counter and finds the slot of the number below it not done.
	 * Model:   tests/model/src/counter.rs */
	/* ORDER key.publish (release). Partner: next_number().
	 * Orders:  keys, key_base -> counter.
	 * Without: a search finds its way by the keys of numbers that were overwritten long ago, or crosses a restart of the keys.
	 * Model:   tests/model/src/key.rs */
	/* ORDER queue.counter (release). Partner: queue_wait().
	 * Orders:  slot id -> counter.
	 * Without: a consumer that sees the counter and not the item takes its producer for a liar.
	 * Model:   tests/model/src/queue.rs */
	/* ORDER wait.flag (seq_cst). Partners: wait_any(), arm().
	 * Orders:  id, counter -> look at the flags.
	 * Without: reader and writer each miss what the other one stored, and the reader sleeps with data there.
	 * Model:   tests/model/src/wait.rs */
	/* ORDER frame.pin (seq_cst). Partner: pin_take().
	 * Orders:  counter of a frame -> look at the pins, at the next loan.
	 * Without: the writer does not see the pin and the reader does not see that it came too late: the frame is overwritten while held.
	 * Model:   tests/model/src/frame.rs */
	/* ORDER cut.fence (seq_cst). Partners: counter_load(), consumer_is_drained().
	 * Orders:  id, counter -> look at the state, at the next claim or after a push.
	 * Without: a writer that is being replaced claims the number after the one the broker sees as its last.
	 * Model:   tests/model/src/cut.rs */
	atomic_store_explicit(&writer->data->counter, next, memory_order_release);
	writer->next = next;
	shmb_fence_seq_cst();
}

/* After that fence: wakes who sleeps. No system call when nobody does. Returns 0. */
static inline __attribute__((always_inline)) int publish_look(struct slots_writer *writer)
{
	uint32_t bound;

	/* ORDER area.bind (acquire). Partner: cell_write().
	 * Orders:  area bound -> look at its flag.
	 * Without: the flag of an area bound before its reader went to sleep is not looked at.
	 * Model:   tests/model/src/bind.rs */
	bound = (uint32_t)atomic_load_explicit(&writer->card->bound_areas, memory_order_acquire) & writer->area_mask;
	for (uint32_t left = bound; left != 0; left &= left - 1) {
		if (unlikely(atomic_load_explicit(&writer->areas[__builtin_ctz(left)]->waiters, memory_order_relaxed) != 0))
			return wake_waiters(writer, bound);
	}
	return 0;
}

#endif
