/* SPDX-License-Identifier: MIT */
/*
 * Locking a block (block.h).
 *
 * The word is 0, or the mark of its holder (cell + 1 and incarnation), with two flags: WAITERS, set by who is about to sleep on it, and OWNER_DIED, set by the broker
 * when it takes the word from a holder that ended. OWNER_DIED without a cell is free. Whoever locks takes it away and is told; unlocking
 * without block_recovered() puts it back, so that it is told until somebody has mended what the lock protects.
 *
 *   lock     no cell in the word: exchange it for ours, WAITERS kept, and set if we have slept: others may sleep still
 *            another cell: set WAITERS, sleep while the word stays so
 *   unlock   exchange ours for 0 (or OWNER_DIED); WAITERS was set: wake all
 *
 * All, not one: the one could be killed when it is woken, before it has locked and woken the next. A process that dies between unlocking
 * and waking leaves sleepers with a free lock: the broker wakes the word of a block whenever it frees a cell of it, and adds to the event
 * page of those it adopts, on which sleepers sleep as well.
 *
 * The word is in memory that every sharer can write. A word that names a cell nobody has, or ours without our doing, is a lock that
 * somebody else holds: it is waited for until the deadline and not understood.
 */
#include "block.h"

#include <errno.h>
#include <string.h>

#include "clock.h"
#include "connection.h"
#include "futex.h"
#include "proto/step.h"
#include "publish.h"
#include "text.h"
#include "wait.h"

int block_init(struct block *block, const struct slots_memory *memory, uint32_t cell, uint32_t incarnation)
{
	memset(block, 0, sizeof(*block));
	if (cell >= SHMB_CELLS_MAX)
		return text_fail(-EUSERS, "this block has as many sharers as it can have");
	block->slots.guard = memory->guard;
	block->slots.card = memory->card;
	block->slots.data = memory->data;
	block->payload = (unsigned char *)memory->data + memory->geometry->pool_offset;
	block->owner = &memory->card->cells[cell];
	block->incarnation = incarnation;
	block->mark = shmb_lock_mark(cell, incarnation);
	return 0;
}

/* At each call. 0, -ESTALE, -EOWNERDEAD in a forked child. */
static int sharer_check(const struct block *block)
{
	uint64_t state;

	if (!is_ours(block->slots.guard))
		return text_forked();
	/* ORDER state.word (acquire). Partners: lease_state_store(), card_mark_removed().
	 * Orders:  what came before a removal -> state word.
	 * Without: nothing: a lock that was taken in a block that is being removed is a lock that nobody else will ask for.
	 * Model:   none: one word */
	state = atomic_load_explicit(&block->slots.card->state, memory_order_acquire) & 0xff;
	if (state == SHMB_STATE_REMOVED || state == SHMB_STATE_SUPERSEDED)
		return text_fail(-ESTALE, "the block was removed or replaced: close it and open the name again");
	if (atomic_load_explicit(&block->owner->incarnation, memory_order_relaxed) != block->incarnation ||
	    atomic_load_explicit(&block->owner->pid, memory_order_relaxed) == 0)
		return text_fail(-ESTALE, "the broker has given up this handle: close it and open the name again");
	return 0;
}

/* The lock is ours. Whoever was given up between the check and the exchange lets go of it: the broker has freed its cell and looks no more. */
static int taken(struct block *block)
{
	int r = sharer_check(block);

	if (r == 0)
		return block->died;
	block_unlock(block);
	return r;
}

/* One try. -EBUSY, and *word is what was there. */
static int take(struct block *block, uint32_t slept, uint32_t *word)
{
	_Atomic uint32_t *lock = &block->slots.data->lock;

	*word = atomic_load_explicit(lock, memory_order_relaxed);
	while ((*word & SHMB_LOCK_CELL) == 0) {
		uint32_t ours = block->mark | (*word & SHMB_LOCK_WAITERS) | slept;

		/* ORDER block.lock (acquire). Partners: block_unlock(), lock_take_away().
		 * Orders:  payload of the holder before -> lock word.
		 * Without: we read what was there before it changed the payload.
		 * Model:   tests/model/src/block.rs */
		if (atomic_compare_exchange_weak_explicit(lock, word, ours, memory_order_acquire, memory_order_relaxed)) {
			block->held = true;
			block->died = (*word & SHMB_LOCK_OWNER_DIED) != 0;
			SHMB_STEP("block.locked");
			return taken(block);
		}
	}
	return -EBUSY;
}

int block_trylock(struct block *block)
{
	uint32_t word;
	int r = sharer_check(block);

	if (r < 0)
		return r;
	return block->held ? -EDEADLK : take(block, 0, &word);
}

/* We are about to sleep: whoever unlocks shall know. False: the word has changed meanwhile. */
static bool mark_waiter(struct block *block, uint32_t word)
{
	if (word & SHMB_LOCK_WAITERS)
		return true;
	return atomic_compare_exchange_strong_explicit(&block->slots.data->lock, &word, word | SHMB_LOCK_WAITERS, memory_order_relaxed,
						       memory_order_relaxed);
}

int block_lock(struct block *block, struct shmb *broker, uint64_t deadline_ns)
{
	uint32_t slept = 0;

	for (;;) {
		uint32_t event = broker != NULL ? connection_event(broker) : 0;
		uint64_t until = deadline_ns;
		uint32_t word = 0;
		int r = sharer_check(block);

		if (r == 0)
			r = block->held ? -EDEADLK : take(block, slept, &word);
		if (r != -EBUSY)
			return r;
		if (deadline_ns == SHMB_NO_WAIT || (deadline_ns != SHMB_FOREVER && clock_now_ns() >= deadline_ns))
			return -ETIMEDOUT;
		if (broker != NULL && wait_broker(broker, event, &until))
			continue;
		SHMB_STEP("block.busy");
		if (!mark_waiter(block, word))
			continue;
		SHMB_STEP("block.sleeping");
		slept = SHMB_LOCK_WAITERS;
		if (broker != NULL)
			futex_sleep_two(&block->slots.data->lock, word | SHMB_LOCK_WAITERS, connection_event_word(broker), event, until);
		else
			futex_sleep(&block->slots.data->lock, word | SHMB_LOCK_WAITERS, until);
	}
}

int block_recovered(struct block *block)
{
	int r = sharer_check(block);

	if (r < 0)
		return r;
	if (!block->held)
		return -EPERM;
	block->died = false;
	return 0;
}

static __attribute__((noinline, cold)) void wake_sharers(const _Atomic uint32_t *lock)
{
	futex_wake_all(lock);
}

int block_unlock(struct block *block)
{
	_Atomic uint32_t *lock = &block->slots.data->lock;
	uint32_t word;
	bool done;

	if (!is_ours(block->slots.guard))
		return text_forked();
	if (!block->held)
		return -EPERM;
	block->held = false;
	word = atomic_load_explicit(lock, memory_order_relaxed);
	SHMB_STEP("block.unlocking");
	do {
		/* The broker may have given up this handle and given its cell to somebody, whose incarnation is another. */
		if ((word & (SHMB_LOCK_CELL | SHMB_LOCK_INCARNATION)) != block->mark)
			return text_fail(-ESTALE, "the lock was taken from this handle while it was held");
		/* ORDER block.lock (release). Partners: take(), lock_take_away().
		 * Orders:  our changes of the payload -> lock word.
		 * Without: the next holder reads what was there before.
		 * Model:   tests/model/src/block.rs */
		done = atomic_compare_exchange_weak_explicit(lock, &word, block->died ? SHMB_LOCK_OWNER_DIED : 0, memory_order_release,
							     memory_order_relaxed);
	} while (!done);
	SHMB_STEP("block.unlocked");
	if (word & SHMB_LOCK_WAITERS)
		wake_sharers(lock);
	return 0;
}

int32_t block_holder(const struct block *block)
{
	uint32_t word, cell;

	if (!is_ours(block->slots.guard))
		return 0;
	word = atomic_load_explicit(&block->slots.data->lock, memory_order_relaxed);
	cell = word & SHMB_LOCK_CELL;
	if (cell == 0 || cell > SHMB_CELLS_MAX)
		return 0;
	return atomic_load_explicit(&block->slots.card->cells[cell - 1].pid, memory_order_relaxed);
}
