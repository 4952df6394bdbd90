/* SPDX-License-Identifier: MIT */
/*
 * Wait sets: a descriptor for event loops.
 *
 * A helper thread sleeps on the words of all members, as a wait does (wait.c), and makes an eventfd readable when one of them changes. It
 * looks at words only and never at a handle, so that the loop's thread may read meanwhile:
 *
 *   loop's thread                                          helper
 *   IDLE: looks at members, loads words, raises flags,     sleeps on the state
 *         fence, looks once more: nothing there? ARMED  -> sleeps on the words
 *                                                       <- a word has changed: IDLE, writes the eventfd
 *   DISARM, to change the members: wakes the helper     -> IDLE
 *
 * The eventfd is emptied before the state is looked at: a helper that fires later writes it again. A wake-up for nothing is possible and
 * finds nothing.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include "clock.h"
#include "connection.h"
#include "futex.h"
#include "text.h"
#include "wait.h"

/* How late a member whose writer does not know of us is looked at. */
#define UNSEEN_SLICE_NS UINT64_C(10000000)

enum { HELPER_STACK_BYTES = 256 * 1024 };

enum waitset_state {
	WAITSET_IDLE,
	WAITSET_ARMED,
	WAITSET_DISARM,
	WAITSET_STOP,
};

struct shmb_waitset {
	LIST_ENTRY(shmb_waitset) link; /* the connection's; under its lock, as are changes of members */
	struct shmb *broker;
	_Atomic uint32_t state;
	int fd;
	pthread_t helper;
	bool has_helper;
	unsigned count;
	unsigned next; /* of the pass under way */
	struct shmb_waitable *members[SHMB_WAIT_MAX];
	void *users[SHMB_WAIT_MAX];
	/* Written while the helper does not look: IDLE. */
	struct futex_word words[FUTEX_WORDS_MAX];
	const _Atomic uint64_t *watch[SHMB_WAIT_MAX]; /* of members that nobody wakes, else NULL */
	uint64_t watched[SHMB_WAIT_MAX];
};

/* ---- the helper ---- */

static void fd_raise(const struct shmb_waitset *set)
{
	const uint64_t one = 1;
	ssize_t n;

	do {
		n = write(set->fd, &one, sizeof(one));
	} while (n < 0 && errno == EINTR);
}

static void fd_empty(const struct shmb_waitset *set)
{
	uint64_t count;
	ssize_t n;

	do {
		n = read(set->fd, &count, sizeof(count));
	} while (n < 0 && errno == EINTR);
}

/* Has a word of a member changed, or one that says so? The broker's event word is the helper's own business. */
static bool has_changed(const struct shmb_waitset *set)
{
	const struct futex_word *cancels = &set->words[set->count + 1];

	for (unsigned i = 0; i < set->count; i++) {
		if (atomic_load_explicit(set->words[i].word, memory_order_relaxed) != set->words[i].value)
			return true;
		if (set->watch[i] != NULL && atomic_load_explicit(set->watch[i], memory_order_relaxed) != set->watched[i])
			return true;
	}
	return atomic_load_explicit(cancels->word, memory_order_relaxed) != cancels->value;
}

static void watch(struct shmb_waitset *set)
{
	struct futex_word *event = &set->words[set->count];
	bool unseen = false;

	for (unsigned i = 0; i < set->count; i++)
		unseen = unseen || set->watch[i] != NULL;
	while (!has_changed(set)) {
		uint64_t until = SHMB_FOREVER;

		event->value = connection_event(set->broker);
		if (wait_broker(set->broker, event->value, &until))
			continue;
		if (unseen)
			until = clock_within(UNSEEN_SLICE_NS, until);
		futex_sleep_any(set->words, set->count + 2, until);
	}
}

static void *help(void *arg)
{
	struct shmb_waitset *set = arg;

	for (;;) {
		uint32_t state = atomic_load_explicit(&set->state, memory_order_acquire);

		if (state == WAITSET_STOP)
			return NULL;
		if (state == WAITSET_ARMED) {
			watch(set);
			if (atomic_compare_exchange_strong_explicit(&set->state, &state, WAITSET_IDLE, memory_order_acq_rel,
								    memory_order_acquire)) {
				fd_raise(set);
				continue;
			}
		}
		if (state == WAITSET_DISARM) {
			atomic_store_explicit(&set->state, WAITSET_IDLE, memory_order_release);
			futex_wake_all(&set->state);
		}
		futex_sleep(&set->state, WAITSET_IDLE, SHMB_FOREVER);
	}
}

/* ---- the loop's thread ---- */

static void set_state(struct shmb_waitset *set, enum waitset_state state)
{
	atomic_store_explicit(&set->state, state, memory_order_release);
	futex_wake_all(&set->state);
}

/* From here on the helper does not touch the words. */
static void disarm(struct shmb_waitset *set)
{
	uint32_t state = WAITSET_ARMED;

	if (!atomic_compare_exchange_strong_explicit(&set->state, &state, WAITSET_DISARM, memory_order_acq_rel, memory_order_acquire))
		return;
	atomic_fetch_add_explicit(&set->broker->cancels, 1, memory_order_release);
	futex_wake_private(&set->broker->cancels);
	while (atomic_load_explicit(&set->state, memory_order_acquire) == WAITSET_DISARM)
		futex_sleep(&set->state, WAITSET_DISARM, SHMB_FOREVER);
}

static unsigned place_of(const struct shmb_waitset *set, const struct shmb_waitable *member)
{
	unsigned at = 0;

	while (at < set->count && set->members[at] != member)
		at++;
	return at;
}

void waitsets_disarm(const struct shmb_waitable *waitable)
{
	struct shmb_waitset *set;

	/* A set with this member is used by the thread that uses the member: ours. */
	LIST_FOREACH (set, &waitable->broker->waitsets, link) {
		if (place_of(set, waitable) == set->count)
			continue;
		disarm(set);
		fd_raise(set);
	}
}

/* Nothing was found: leaves the words to the helper, unless something has come meanwhile. */
static void arm(struct shmb_waitset *set)
{
	fd_empty(set);
	if (atomic_load_explicit(&set->state, memory_order_acquire) == WAITSET_ARMED)
		return;
	wait_words(set->words, set->members, set->count, &set->broker, 1);
	for (unsigned i = 0; i < set->count; i++) {
		struct shmb_waitable *member = set->members[i];

		set->watch[i] = NULL;
		if (!member->kind->raise(member)) {
			set->watch[i] = member->kind->watch(member);
			set->watched[i] = atomic_load_explicit(set->watch[i], memory_order_relaxed);
		}
	}
	/* ORDER wait.flag (seq_cst). Partner: publish_count().
	 * Orders:  flags -> look at the data.
	 * Without: reader and writer each miss what the other one stored, and the loop sleeps with data there.
	 * Model:   tests/model/src/wait.rs */
	shmb_fence_seq_cst();
	for (unsigned i = 0; i < set->count; i++) {
		if (waitable_look(set->members[i], true) != -EAGAIN) {
			fd_raise(set);
			return;
		}
	}
	set_state(set, WAITSET_ARMED);
}

static int helper_start(struct shmb_waitset *set)
{
	pthread_attr_t attributes;
	sigset_t all;
	int r;

	sigfillset(&all);
	r = pthread_attr_init(&attributes);
	if (r == 0) {
		pthread_attr_setstacksize(&attributes, HELPER_STACK_BYTES); /* else it is larger */
		/* Handlers run in the threads of the program. */
		r = pthread_attr_setsigmask_np(&attributes, &all);
		if (r == 0)
			r = pthread_create(&set->helper, &attributes, help, set);
		pthread_attr_destroy(&attributes);
	}
	set->has_helper = r == 0;
	return r == 0 ? 0 : text_fail(-r, "starting the wait set's thread: %s", strerrordesc_np(r));
}

int shmb_waitset_new(struct shmb_waitset **out, struct shmb *broker)
{
	struct shmb_waitset *set;
	int r = 0;

	*out = NULL;
	if (!connection_is_ours(broker))
		return text_forked();
	set = calloc(1, sizeof(*set));
	if (set == NULL)
		return text_fail(-ENOMEM, "no memory for a wait set");
	set->broker = broker;
	set->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (set->fd < 0)
		r = text_fail(text_system(-errno), "eventfd(2): %s", strerrordesc_np(errno));
	if (r == 0)
		r = helper_start(set);
	if (r < 0) {
		shmb_waitset_free(set);
		return r;
	}
	pthread_mutex_lock(&broker->lock);
	LIST_INSERT_HEAD(&broker->waitsets, set, link);
	pthread_mutex_unlock(&broker->lock);
	*out = set;
	return 0;
}

struct shmb_waitset *shmb_waitset_free(struct shmb_waitset *set)
{
	if (set == NULL)
		return NULL;
	/* A forked child has no helper. */
	if (set->has_helper && connection_is_ours(set->broker)) {
		pthread_mutex_lock(&set->broker->lock);
		LIST_REMOVE(set, link);
		pthread_mutex_unlock(&set->broker->lock);
		disarm(set);
		set_state(set, WAITSET_STOP);
		pthread_join(set->helper, NULL);
	}
	if (set->fd >= 0)
		close(set->fd);
	free(set);
	return NULL;
}

int shmb_waitset_fd(const struct shmb_waitset *set)
{
	return set->fd;
}

int shmb_waitset_add(struct shmb_waitset *set, struct shmb_waitable *member, void *user)
{
	if (!connection_is_ours(set->broker))
		return text_forked();
	if (member == NULL)
		return wait_closed();
	if (member->broker != set->broker)
		return text_fail(-EINVAL, "a wait set takes handles of its own connection");
	if (place_of(set, member) < set->count)
		return text_fail(-EEXIST, "the wait set has this handle already");
	if (set->count == SHMB_WAIT_MAX)
		return text_fail(-ENOSPC, "a wait set takes %d handles", SHMB_WAIT_MAX);
	disarm(set);
	pthread_mutex_lock(&set->broker->lock);
	set->members[set->count] = member;
	set->users[set->count++] = user;
	pthread_mutex_unlock(&set->broker->lock);
	fd_raise(set);
	return 0;
}

int shmb_waitset_remove(struct shmb_waitset *set, struct shmb_waitable *member)
{
	unsigned at = place_of(set, member);

	if (!connection_is_ours(set->broker))
		return text_forked();
	if (at == set->count)
		return text_fail(-ENOENT, "the wait set has no such handle");
	disarm(set);
	pthread_mutex_lock(&set->broker->lock);
	set->count--;
	/* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers */
	memmove(&set->members[at], &set->members[at + 1], (set->count - at) * sizeof(set->members[0]));
	memmove(&set->users[at], &set->users[at + 1], (set->count - at) * sizeof(set->users[0]));
	pthread_mutex_unlock(&set->broker->lock);
	if (set->next > at)
		set->next--;
	fd_raise(set);
	return 0;
}

int shmb_waitset_next(struct shmb_waitset *set, void **user)
{
	if (!connection_is_ours(set->broker))
		return text_forked();
	while (set->next < set->count) {
		unsigned at = set->next++;
		int r = waitable_look(set->members[at], false);

		if (r != -EAGAIN) {
			*user = set->users[at];
			return r;
		}
	}
	set->next = 0;
	arm(set);
	return -ENODATA;
}
