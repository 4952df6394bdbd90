/* SPDX-License-Identifier: MIT */
/*
 * Waiting, for one handle or for many at once.
 *
 * A sleeper sleeps on the wake word of each handle, which writer and broker increment; on the word of each connection's event page, which
 * the broker increments after changes - among them once by a daemon that has just adopted what another one left; and on the connection's
 * word of cancels, in its own memory. So a sleeper hears of a new daemon, looks at its socket and comes back to the broker before it sleeps
 * again. All of them fit in one futex_waitv(2).
 *
 * Everything is looked at in the order word, verdict, data: what is reported about the writer is older than the look at the data, so the
 * data before a verdict is always read before it. A verdict is remembered whole, epoch and condition: a writer that let go and then
 * died has changed twice.
 */
#include "wait.h"

#include <errno.h>
#include <stddef.h>

#include "clock.h"
#include "connection.h"
#include "futex.h"
#include "proto/step.h"
#include "slots.h"
#include "text.h"

/* Without an area nobody knows that we wait: how late we may see new data then. */
#define UNSEEN_SLICE_NS UINT64_C(10000000)
/* While another thread talks to the broker, or no broker answers: when to look at the socket again. */
#define SOCKET_SLICE_NS UINT64_C(100000000)
/* How long a wait with nothing to read may be kept busy by a reconnection. */
#define RECONNECT_NS UINT64_C(250000000)

/* Turns of a spin between two looks at the clock and at everything else. */
enum { SPIN_TURNS = 16 };

_Static_assert(SHMB_WAIT_MAX + 2 == FUTEX_WORDS_MAX, "handles of one connection, its event page and its word of cancels");

/* ---- what a reader waits for ---- */

static struct slots_reader *reader_of(const struct shmb_waitable *waitable)
{
	return (struct slots_reader *)((char *)(uintptr_t)waitable - offsetof(struct slots_reader, waitable));
}

static int verdict_result(uint64_t verdict)
{
	switch (verdict & 0xff) {
	case SHMB_WRITER_DEAD:
		return text_fail(-EOWNERDEAD, "the writer's process ended without closing; the next writer goes on with the numbers");
	case SHMB_WRITER_CLOSED:
		return text_fail(-EPIPE, "the writer closed; the next writer goes on with the numbers");
	case SHMB_WRITER_GONE:
		return text_fail(-EPIPE,
				 "the writer let go of the broker, but lives; the next writer goes on with the numbers, in new memory");
	case SHMB_WRITER_STOPPED:
		return text_fail(-EHOSTDOWN, "the writer's process has been stopped by a signal; it goes on with SIGCONT");
	case SHMB_WRITER_TRACED:
		return text_fail(-EHOSTDOWN, "the writer's process is in a debugger and has stopped writing");
	case SHMB_WRITER_HUNG:
		return text_fail(-EHOSTDOWN, "the writer's process runs, but it has stopped writing");
	case SHMB_WRITER_DUMPING:
		return text_fail(-EHOSTDOWN, "the writer's process has crashed and is dumping core");
	default:
		return -EAGAIN;
	}
}

/* The segment has another generation, and nothing is left in this one. */
static int look_behind(const struct shmb_waitable *waitable)
{
	if (waitable->follow == NULL)
		return text_fail(-ESTALE, "the segment was replaced: close this reader and open the name again");
	if (waitable->follow_after_ns != 0 && clock_now_ns() < waitable->follow_after_ns)
		return -EAGAIN;
	return text_fail(-EREMCHG, "the segment has a new generation, and nothing is left to read in this one: shmb_follow()");
}

static int look(struct shmb_waitable *waitable, bool peek)
{
	struct slots_reader *reader = reader_of(waitable);
	/* ORDER writer.verdict (acquire). Partner: lease_verdict_store().
	 * Orders:  last committed data, counter -> verdict.
	 * Without: a reader is told that the writer is dead before it has seen all its data.
	 * Model:   tests/model/src/verdict.rs */
	uint64_t verdict = atomic_load_explicit(&reader->card->writer, memory_order_acquire);
	uint64_t state = atomic_load_explicit(&reader->card->state, memory_order_acquire);
	int news = slots_has_news(reader);

	if (news != 0)
		return news < 0 ? news : 0;
	if ((state & 0xff) == SHMB_STATE_REMOVED)
		return text_fail(-ESTALE, "the segment was removed: close this reader and open the name again");
	if (verdict != reader->reported) {
		int r = verdict_result(verdict);

		/* One that writes again is remembered too: what becomes of it next is news, even where it has been said before. */
		if (!peek)
			reader->reported = verdict;
		if (r != -EAGAIN)
			return r;
	}
	return slots_is_drained(reader) ? look_behind(waitable) : -EAGAIN;
}

static bool reader_raise(struct shmb_waitable *waitable)
{
	struct slots_reader *reader = reader_of(waitable);
	struct shmb_shm_area *area = reader->area;

	slots_counters_show(reader);
	if (area == NULL)
		return false;
	atomic_store_explicit(&area->waiters, 1, memory_order_relaxed);
	return true;
}

/* The slot that the number at the position will land in. */
static const _Atomic uint64_t *reader_watch(const struct shmb_waitable *waitable)
{
	const struct slots_reader *reader = reader_of(waitable);

	return &((const struct shmb_shm_slot *)(reader->slots + (reader->position & reader->mask) * reader->slot_stride))->id;
}

static const struct waitable_kind reader_kind = { .look = look, .raise = reader_raise, .watch = reader_watch };

void waitable_init(struct shmb_waitable *waitable, struct slots_reader *reader)
{
	waitable->kind = &reader_kind;
	waitable->guard = reader->guard;
	waitable->wake = &reader->data->wake;
}

/* ---- looking ---- */

int waitable_look(struct shmb_waitable *waitable, bool peek)
{
	/* ORDER wait.cancel (acquire). Partner: shmb_cancel().
	 * Orders:  what the canceller did before -> cancelled.
	 * Without: a thread that was told to stop does not see the reason.
	 * Model:   none: one word and what was stored before it, release and acquire as in the language's own example */
	if (atomic_load_explicit(&waitable->cancelled, memory_order_acquire) != 0 &&
	    (peek || atomic_exchange_explicit(&waitable->cancelled, 0, memory_order_acquire) != 0))
		return peek ? -ECANCELED : text_fail(-ECANCELED, "shmb_cancel() ended the wait");
	return waitable->kind->look(waitable, peek);
}

static int look_all(struct shmb_waitable *const *list, unsigned count, unsigned *which)
{
	for (unsigned i = 0; i < count; i++) {
		int r = waitable_look(list[i], false);

		if (r != -EAGAIN) {
			*which = i;
			return r;
		}
	}
	return -EAGAIN;
}

/*
 * What a wait does about a generation that has come to its end: goes on in the next one and tells so. -EAGAIN: it cannot now, and the others of
 * the list go on meanwhile.
 */
static int follow(struct shmb_waitable *waitable, uint64_t deadline_ns)
{
	int r = waitable->follow(waitable, true, clock_within(RECONNECT_NS, deadline_ns));

	switch (r) {
	case 0:
		waitable->follow_after_ns = 0;
		return text_fail(-EREMCHG, "the segment has a new generation; this handle has followed");
	case -ETIMEDOUT:
		/* Its own time is up: the next wait tries at once, or waits that are shorter than the pause below would never follow. */
		if (clock_now_ns() >= deadline_ns)
			return -ETIMEDOUT;
		/* fallthrough */
	case -EAGAIN:
	case -EBUSY:
	case -ECONNREFUSED:
	case -ECONNRESET:
	case -EMFILE:
	case -ENFILE:
	case -ENOMEM:
		waitable->follow_after_ns = clock_now_ns() + SOCKET_SLICE_NS;
		return -EAGAIN;
	default:
		return r;
	}
}

/* Until when to sleep where one of the list wants to try again. */
static uint64_t retry_until(struct shmb_waitable *const *list, unsigned count, uint64_t until)
{
	for (unsigned i = 0; i < count; i++) {
		if (list[i]->follow_after_ns != 0 && list[i]->follow_after_ns < until)
			until = list[i]->follow_after_ns;
	}
	return until;
}

/* Looks for a stated time without sleeping. The caller has looked once. */
static int spin(struct shmb_waitable *const *list, unsigned count, uint64_t deadline_ns, unsigned *which)
{
	uint64_t seen[SHMB_WAIT_MAX];
	uint64_t span = 0;
	uint64_t end;

	for (unsigned i = 0; i < count; i++) {
		if (list[i]->spin_ns > span)
			span = list[i]->spin_ns;
	}
	if (span == 0)
		return -EAGAIN;
	end = clock_within(span, deadline_ns);
	do {
		bool changed = false;
		int r;

		for (unsigned i = 0; i < count; i++)
			seen[i] = atomic_load_explicit(list[i]->kind->watch(list[i]), memory_order_relaxed);
		r = look_all(list, count, which);
		if (r != -EAGAIN)
			return r;
		for (unsigned turn = 0; turn < SPIN_TURNS && !changed; turn++) {
			for (unsigned i = 0; i < count && !changed; i++)
				changed = atomic_load_explicit(list[i]->kind->watch(list[i]), memory_order_relaxed) != seen[i];
			if (!changed)
				shmb_cpu_relax();
		}
	} while (clock_now_ns() < end);
	return -EAGAIN;
}

/* ---- sleeping ---- */

/* The different connections of a list. */
struct brokers {
	struct shmb *of[FUTEX_WORDS_MAX / 2];
	unsigned count;
};

/* -EINVAL where their words do not fit beside the handles'; -EOWNERDEAD in a forked child. */
static int brokers_find(struct brokers *brokers, struct shmb_waitable *const *list, unsigned count)
{
	brokers->count = 0;
	for (unsigned i = 0; i < count; i++) {
		struct shmb *broker = list[i]->broker;
		unsigned at = 0;

		if (atomic_load_explicit(list[i]->guard, memory_order_relaxed) == 0)
			return text_forked();
		if (broker == NULL)
			continue;
		while (at < brokers->count && brokers->of[at] != broker)
			at++;
		if (at < brokers->count)
			continue;
		if (count + 2 * (brokers->count + 1) > FUTEX_WORDS_MAX)
			return text_fail(-EINVAL, "%u handles of %u connections and more are too many for one wait", count, at + 1);
		brokers->of[brokers->count++] = broker;
	}
	return 0;
}

bool wait_broker(struct shmb *broker, uint32_t event, uint64_t *until)
{
	if (!connection_event_is_new(broker, event))
		return false;
	if (connection_look(broker, event, clock_within(RECONNECT_NS, *until)) == 0)
		return true;
	*until = clock_within(SOCKET_SLICE_NS, *until);
	return false;
}

static bool brokers_look(const struct brokers *brokers, const struct futex_word *words, uint64_t *until)
{
	for (size_t i = 0; i < brokers->count; i++) {
		if (wait_broker(brokers->of[i], words[2 * i].value, until))
			return true;
	}
	return false;
}

void wait_words(struct futex_word *words, struct shmb_waitable *const *list, unsigned count, struct shmb *const *brokers,
		unsigned broker_count)
{
	for (unsigned i = 0; i < count; i++) {
		/* ORDER wait.wake (acquire). Partners: wake_waiters(), wake_grow().
		 * Orders:  flag swapped to 0, id, counter -> wake word.
		 * Without: a reader sleeps on a value that was counted up already.
		 * Model:   tests/model/src/wait.rs */
		/* ORDER queue.wake (acquire). Partner: wake_producer().
		 * Orders:  position -> wake word.
		 * Without: the producer sleeps on a word that was counted up already for the position it did not see.
		 * Model:   tests/model/src/queue.rs */
		words[i] = (struct futex_word){ list[i]->wake, atomic_load_explicit(list[i]->wake, memory_order_acquire), false };
	}
	for (unsigned i = 0; i < broker_count; i++) {
		struct shmb *broker = brokers[i];
		/* Before the look at what was cancelled, as a wake word before the data. */
		uint32_t cancels = atomic_load_explicit(&broker->cancels, memory_order_acquire);

		words[count++] = (struct futex_word){ connection_event_word(broker), connection_event(broker), false };
		words[count++] = (struct futex_word){ &broker->cancels, cancels, true };
	}
}

static void sleep_on(const struct futex_word *words, unsigned word_count, struct shmb_waitable *const *list, unsigned count, uint64_t until)
{
	for (unsigned i = 0; i < count; i++)
		COUNT(list[i]->waited, 1);
	SHMB_STEP("wait.sleeping");
	futex_sleep_any(words, word_count, until);
	for (unsigned i = 0; i < count; i++)
		COUNT(list[i]->woken, atomic_load_explicit(words[i].word, memory_order_relaxed) != words[i].value);
}

int wait_any(struct shmb_waitable *const *list, unsigned count, uint64_t deadline_ns, unsigned *which)
{
	struct futex_word words[FUTEX_WORDS_MAX];
	struct brokers brokers;
	bool spun = false;
	int r = brokers_find(&brokers, list, count);

	*which = count;
	if (r < 0)
		return r;
	/* Whether or not there is something to read: a reader that always has data never sleeps. */
	for (unsigned i = 0; i < count && deadline_ns != SHMB_NO_WAIT; i++) {
		if (list[i]->tidy != NULL)
			list[i]->tidy(list[i]);
	}
	for (;;) {
		uint64_t until = deadline_ns;
		bool unseen = false;

		wait_words(words, list, count, brokers.of, brokers.count);
		r = look_all(list, count, which);
		if (r == -EREMCHG && deadline_ns != SHMB_NO_WAIT) {
			r = follow(list[*which], deadline_ns);
			if (r == -EAGAIN)
				continue;
		}
		if (r != -EAGAIN)
			return r;
		if (deadline_ns == SHMB_NO_WAIT || (deadline_ns != SHMB_FOREVER && clock_now_ns() >= deadline_ns))
			return -ETIMEDOUT;
		if (!spun) {
			spun = true;
			r = spin(list, count, deadline_ns, which);
			if (r == -EREMCHG)
				continue; /* the look above sees to it */
			if (r != -EAGAIN)
				return r;
		}
		if (brokers_look(&brokers, words + count, &until))
			continue;
		SHMB_STEP("wait.looked");
		until = retry_until(list, count, until);
		for (unsigned i = 0; i < count; i++) {
			if (!list[i]->kind->raise(list[i]))
				unseen = true;
		}
		if (unseen)
			until = clock_within(UNSEEN_SLICE_NS, until);
		/* ORDER wait.flag (seq_cst). Partner: publish_count().
		 * Orders:  flag -> look at the data.
		 * Without: reader and writer each miss what the other one stored, and the reader sleeps with data there.
		 * Model:   tests/model/src/wait.rs */
		/* ORDER queue.flag (seq_cst). Partner: release_to().
		 * Orders:  flag -> look at the position.
		 * Without: each side misses what the other one stored, and the producer sleeps beside free room.
		 * Model:   tests/model/src/queue.rs */
		shmb_fence_seq_cst();
		SHMB_STEP("wait.flagged");
		r = look_all(list, count, which);
		if (r == -EREMCHG)
			continue;
		if (r != -EAGAIN)
			return r;
		sleep_on(words, count + 2 * brokers.count, list, count, until);
	}
}

int slots_wait(struct slots_reader *reader, struct shmb *broker, uint64_t deadline_ns)
{
	struct shmb_waitable *waitable = &reader->waitable;
	unsigned which;

	/* Not stored again: another thread's shmb_cancel() may be reading it. */
	if (waitable->broker != broker)
		waitable->broker = broker;
	return wait_any(&waitable, 1, deadline_ns, &which);
}

/* ---- the public face ---- */

int wait_closed(void)
{
	return text_fail(-EBADF, "this handle was closed: closing returned NULL, and NULL is waited for");
}

int shmb_wait_any(struct shmb_waitable *const *list, size_t count, uint64_t deadline_ns, size_t *which)
{
	unsigned at;
	int r;

	if (count == 0 || count > SHMB_WAIT_MAX)
		return text_fail(-EINVAL, "a wait takes 1 to %d handles, not %zu", SHMB_WAIT_MAX, count);
	for (size_t i = 0; i < count; i++) {
		if (list[i] == NULL)
			return text_fail(-EBADF, "place %zu of the list is NULL: a handle that was closed", i);
	}
	r = wait_any(list, (unsigned)count, deadline_ns, &at);
	if (which != NULL)
		*which = at;
	return r;
}

int shmb_follow(struct shmb_waitable *waitable)
{
	if (waitable == NULL)
		return wait_closed();
	if (atomic_load_explicit(waitable->guard, memory_order_relaxed) == 0)
		return text_forked();
	if (waitable->follow == NULL)
		return text_fail(-EINVAL, "only a reader follows");
	if (waitable->tidy != NULL)
		waitable->tidy(waitable);
	waitable->follow_after_ns = 0;
	return waitable->follow(waitable, false, clock_now_ns() + SHMB_ANSWER_TIMEOUT_NS);
}

int shmb_cancel(struct shmb_waitable *waitable)
{
	struct shmb *broker;

	/* No sentence: this may be a signal handler. */
	if (waitable == NULL)
		return -EBADF;
	broker = waitable->broker;
	if (atomic_load_explicit(waitable->guard, memory_order_relaxed) == 0)
		return -EOWNERDEAD;
	/* ORDER wait.cancel (release). Partner: waitable_look().
	 * Orders:  what the canceller did before -> cancelled.
	 * Without: a thread that was told to stop does not see the reason.
	 * Model:   none: one word and what was stored before it, release and acquire as in the language's own example */
	atomic_store_explicit(&waitable->cancelled, 1, memory_order_release);
	atomic_fetch_add_explicit(&broker->cancels, 1, memory_order_release);
	futex_wake_private(&broker->cancels);
	return 0;
}

int shmb_set_spin(struct shmb_waitable *waitable, uint64_t spin_ns)
{
	if (waitable == NULL)
		return wait_closed();
	if (atomic_load_explicit(waitable->guard, memory_order_relaxed) == 0)
		return text_forked();
	if (spin_ns > SHMB_SPIN_MAX_NS)
		return text_fail(-EINVAL, "a spin lasts at most %llu ns", (unsigned long long)SHMB_SPIN_MAX_NS);
	waitable->spin_ns = spin_ns;
	return 0;
}
