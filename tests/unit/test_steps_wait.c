/* SPDX-License-Identifier: MIT */
/*
 * Waiting: what happens between a waiter's looks and its sleep, what it does about a generation that has come to its end, and how it sleeps
 * where the kernel has no futex_waitv(2).
 */
#include "libclient/connection.h"
#include "libclient/futex.h"
#include "libclient/wait.h"
#include "slots_fixture.h"
#include "at_step.h"

#include <linux/futex.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Linked in the place of syscall(): counts sleeps, and knows no futex_waitv where a test says so. */
static int waitv_errno;
static unsigned sleeps;
long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

long __wrap_syscall(long number, ...)
{
	long args[6];
	va_list list;

	va_start(list, number);
	for (int i = 0; i < 6; i++)
		args[i] = va_arg(list, long);
	va_end(list);
	if (number == SYS_futex_waitv && waitv_errno != 0) {
		errno = waitv_errno;
		return -1;
	}
	sleeps += number == SYS_futex_waitv || (number == SYS_futex && (args[1] & 0x7f) != FUTEX_WAKE);
	return __real_syscall(number, args[0], args[1], args[2], args[3], args[4], args[5]);
}

static struct bench bench;

static void supersede(void *user)
{
	(void)user;
	bench.card->cut = bench.writer.next;
	bench.card->next = 2;
}

static void publish_one(void *user)
{
	(void)user;
	publish(&bench, 1);
}

static void remove_it(void *user)
{
	(void)user;
	bench.card->state = shmb_state_word(3, SHMB_STATE_REMOVED);
}

/* ---- following ---- */

static int follow_result;
static unsigned follows;

static int follow(struct shmb_waitable *waitable, bool drained_only, uint64_t deadline_ns)
{
	(void)waitable;
	(void)drained_only;
	(void)deadline_ns;
	follows++;
	if (follow_result == 0) { /* as the real one: the next generation is empty and open */
		bench.card->next = 0;
		bench.card->cut = UINT64_MAX;
	}
	return follow_result;
}

static uint64_t in_ms(unsigned ms)
{
	return shmb_now_ns() + UINT64_C(1000000) * ms;
}

START_TEST(the_end_of_a_generation)
{
	static const int later[] = { -EAGAIN, -EBUSY, -ECONNREFUSED, -ECONNRESET, -EMFILE, -ENFILE, -ENOMEM };
	uint64_t begin_ns;

	bench_setup(&bench, 4, 8, 0);
	/* Nowhere to go. */
	supersede(NULL);
	ck_assert_int_eq(slots_wait(&bench.reader, NULL, SHMB_FOREVER), -ESTALE);
	bench.reader.waitable.follow = follow;
	/* Told to who does not wait; it is for shmb_follow() to go on. */
	ck_assert_int_eq(slots_wait(&bench.reader, NULL, SHMB_NO_WAIT), -EREMCHG);
	ck_assert_uint_eq(follows, 0);
	ck_assert_int_eq(slots_wait(&bench.reader, NULL, SHMB_FOREVER), -EREMCHG);
	ck_assert_uint_eq(follows, 1);
	ck_assert_ptr_nonnull(strstr(shmb_text(), "followed"));
	ck_assert_int_eq(slots_wait(&bench.reader, NULL, SHMB_NO_WAIT), -ETIMEDOUT);
	/* It never will. */
	supersede(NULL);
	follow_result = -EPROTOTYPE;
	ck_assert_int_eq(slots_wait(&bench.reader, NULL, SHMB_FOREVER), -EPROTOTYPE);
	/* Not now: tried again after a while, and no more often. */
	for (unsigned i = 0; i < sizeof(later) / sizeof(later[0]); i++) {
		follow_result = later[i];
		follows = 0;
		bench.reader.waitable.follow_after_ns = 0;
		begin_ns = shmb_now_ns();
		ck_assert_int_eq(slots_wait(&bench.reader, NULL, in_ms(2)), -ETIMEDOUT);
		/* A machine that stands still for longer than that while has it tried again. */
		ck_assert(follows >= 1 && follows <= 1 + (shmb_now_ns() - begin_ns) / (100 * UINT64_C(1000000)));
		ck_assert_uint_ne(bench.reader.waitable.follow_after_ns, 0);
	}
	/* No answer: the wait's own time is up, or it is not. */
	follow_result = -ETIMEDOUT;
	bench.reader.waitable.follow_after_ns = 0;
	ck_assert_int_eq(slots_wait(&bench.reader, NULL, shmb_now_ns()), -ETIMEDOUT);
	ck_assert_uint_eq(bench.reader.waitable.follow_after_ns, 0);
	ck_assert_int_eq(slots_wait(&bench.reader, NULL, in_ms(20)), -ETIMEDOUT);
	/* Asked for. */
	follow_result = 0;
	ck_assert_int_eq(shmb_follow(&bench.reader.waitable), 0);
	bench_teardown(&bench);
}
END_TEST

/* At each place between two looks: the wait says what has come, and does not sleep. */
START_TEST(news_between_two_looks)
{
	static const char *const steps[] = { "wait.looked", "wait.flagged" };

	for (unsigned i = 0; i < 2; i++) {
		bench_setup(&bench, 4, 8, 0);
		bench.reader.waitable.follow = follow;
		follow_result = 0;
		sleeps = 0;
		at_step(steps[i], 1, publish_one, NULL);
		ck_assert_int_eq(slots_wait(&bench.reader, NULL, SHMB_FOREVER), 0);
		next_is(&bench, 0, 0);
		at_step(steps[i], 1, supersede, NULL);
		ck_assert_int_eq(slots_wait(&bench.reader, NULL, SHMB_FOREVER), -EREMCHG);
		at_step(steps[i], 1, remove_it, NULL);
		ck_assert_int_eq(slots_wait(&bench.reader, NULL, SHMB_FOREVER), -ESTALE);
		ck_assert_uint_eq(sleeps, 0);
		bench_teardown(&bench);
	}
}
END_TEST

static const struct waitable_kind *real_kind;
static void (*while_spinning)(void *user);

static const _Atomic uint64_t *watch(const struct shmb_waitable *waitable)
{
	if (while_spinning != NULL)
		while_spinning(NULL);
	while_spinning = NULL;
	return real_kind->watch(waitable);
}

START_TEST(news_during_a_spin)
{
	struct waitable_kind kind;

	bench_setup(&bench, 4, 8, 0);
	real_kind = bench.reader.waitable.kind;
	kind = *real_kind;
	kind.watch = watch;
	bench.reader.waitable.kind = &kind;
	bench.reader.waitable.follow = follow;
	ck_assert_int_eq(shmb_set_spin(&bench.reader.waitable, SHMB_SPIN_MAX_NS), 0);
	while_spinning = publish_one;
	ck_assert_int_eq(slots_wait(&bench.reader, NULL, SHMB_FOREVER), 0);
	next_is(&bench, 0, 0);
	while_spinning = supersede;
	ck_assert_int_eq(slots_wait(&bench.reader, NULL, SHMB_FOREVER), -EREMCHG);
	while_spinning = remove_it;
	ck_assert_int_eq(slots_wait(&bench.reader, NULL, SHMB_FOREVER), -ESTALE);
	ck_assert_uint_eq(sleeps, 0);
	bench_teardown(&bench);
}
END_TEST

/* Each condition of a writer has its code and its sentence. */
START_TEST(conditions)
{
	static const struct {
		uint8_t condition;
		int result;
		const char *word;
	} all[] = { { SHMB_WRITER_STOPPED, -EHOSTDOWN, "stopped by a signal" },
		    { SHMB_WRITER_TRACED, -EHOSTDOWN, "debugger" },
		    { SHMB_WRITER_HUNG, -EHOSTDOWN, "runs" },
		    { SHMB_WRITER_DUMPING, -EHOSTDOWN, "core" },
		    { SHMB_WRITER_DEAD, -EOWNERDEAD, "ended" },
		    { SHMB_WRITER_CLOSED, -EPIPE, "closed" } };

	bench_setup(&bench, 4, 8, 0);
	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		bench.card->writer = shmb_writer_word(3, all[i].condition);
		ck_assert_int_eq(slots_wait(&bench.reader, NULL, SHMB_FOREVER), all[i].result);
		ck_assert_ptr_nonnull(strstr(shmb_text(), all[i].word));
	}
	bench_teardown(&bench);
}
END_TEST

START_TEST(what_is_refused)
{
	struct shmb_waitable *waitable = &bench.reader.waitable;
	static struct shmb broker;

	bench_setup(&bench, 4, 8, 0);
	ck_assert_int_eq(shmb_follow(NULL), -EBADF);
	ck_assert_int_eq(shmb_follow(waitable), -EINVAL);
	ck_assert_int_eq(shmb_set_spin(NULL, 0), -EBADF);
	ck_assert_int_eq(shmb_set_spin(waitable, SHMB_SPIN_MAX_NS + 1), -EINVAL);
	ck_assert_int_eq(shmb_cancel(NULL), -EBADF);
	/* Cancelled: who peeks leaves it to who waits. */
	waitable->broker = &broker;
	ck_assert_int_eq(shmb_cancel(waitable), 0);
	ck_assert_int_eq(waitable_look(waitable, true), -ECANCELED);
	ck_assert_int_eq(slots_wait(&bench.reader, NULL, SHMB_FOREVER), -ECANCELED);
	ck_assert_ptr_null(waitable->broker);
	ck_assert_int_eq(slots_wait(&bench.reader, NULL, SHMB_NO_WAIT), -ETIMEDOUT);
	/* In a forked child. */
	guard = 0;
	ck_assert_int_eq(shmb_follow(waitable), -EOWNERDEAD);
	ck_assert_int_eq(shmb_set_spin(waitable, 0), -EOWNERDEAD);
	ck_assert_int_eq(shmb_cancel(waitable), -EOWNERDEAD);
	bench_teardown(&bench);
}
END_TEST

START_TEST(without_futex_waitv)
{
	static const int errors[] = { ENOSYS, EPERM };
	_Atomic uint32_t words[2] = { 1, 2 };
	struct futex_word list[2] = { { &words[0], 1, true }, { &words[1], 2, true } };

	for (unsigned i = 0; i < 2; i++) {
		uint64_t begin = shmb_now_ns();

		waitv_errno = errors[i];
		/* In slices, which end before the deadline: only one word can be slept on. */
		sleeps = 0;
		futex_sleep_any(list, 2, SHMB_FOREVER);
		ck_assert_uint_eq(sleeps, 1);
		/* The other has changed: no sleep at all. */
		sleeps = 0;
		words[1] = 3;
		futex_sleep_any(list, 2, SHMB_FOREVER);
		ck_assert_uint_eq(sleeps, 0);
		words[1] = 2;
		/* One word needs no slices. */
		futex_sleep_any(list, 1, begin + 20000000);
		ck_assert_uint_ge(shmb_now_ns(), begin + 20000000);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("steps: wait");

	unit_add(suite, the_end_of_a_generation, 10);
	unit_add(suite, news_between_two_looks, 10);
	unit_add(suite, news_during_a_spin, 10);
	unit_add(suite, conditions, 10);
	unit_add(suite, what_is_refused, 10);
	unit_add(suite, without_futex_waitv, 10);
	return unit_run(suite);
}
