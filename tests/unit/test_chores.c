/* SPDX-License-Identifier: MIT */
/* Work in pieces: who gets the next piece, and what is left when it ends. */
#include "daemon/chores.h"
#include "daemon/loop.h"
#include "tests/support/unit.h"

#include <string.h>

enum { OWN_PIECES = 20, ASKED = 50 };

static struct chores chores;
static struct loop *loop;
static unsigned own_pieces, asked_pieces;

static void setup(void)
{
	ck_assert_int_eq(loop_new(&loop), 0);
	ck_assert_int_eq(chores_init(&chores, loop), 0);
}

static void teardown(void)
{
	chores_deinit(&chores);
	loop_free(loop);
}

static void take(uint64_t ns)
{
	uint64_t begun_ns = loop_now_ns();

	while (loop_now_ns() - begun_ns < ns)
		;
}

static enum chore_state own(void *user)
{
	(void)user;
	take(CHORES_TURN_NS / 2 + CHORES_TURN_NS / 10);
	if (++own_pieces < OWN_PIECES)
		return CHORE_MORE;
	loop_stop(loop);
	return CHORE_DONE;
}

static enum chore_state asked(void *user)
{
	(void)user;
	take(CHORES_TURN_NS);
	asked_pieces++;
	return CHORE_MORE;
}

/* Pieces of half a turn and of a whole one: neither waits for more than one of the other, however many requests there are. */
START_TEST(requests_delay_nothing_else)
{
	static struct chore requests[ASKED];
	struct chore chore = { 0 };

	setup();
	for (unsigned i = 0; i < ASKED; i++)
		chores_add_request(&chores, &requests[i], asked, NULL);
	chores_add(&chores, &chore, own, NULL);
	loop_run(loop);
	ck_assert_uint_le(asked_pieces, OWN_PIECES);
	ck_assert_uint_ge(asked_pieces, OWN_PIECES - 1);
	teardown();
}
END_TEST

static enum chore_state once(void *user)
{
	++*(unsigned *)user;
	loop_stop(loop);
	return CHORE_DONE;
}

static enum chore_state rests_once(void *user)
{
	return ++*(unsigned *)user == 1 ? CHORE_RESTS : once(user);
}

START_TEST(rest)
{
	struct chore chore = { 0 };
	unsigned count = 0;

	setup();
	chores_add(&chores, &chore, rests_once, &count);
	loop_run(loop);
	ck_assert_uint_eq(count, 3);
	ck_assert_ptr_null(chore.list);
	teardown();
}
END_TEST

START_TEST(added_twice_and_dropped)
{
	struct chore chore = { 0 }, other = { 0 };
	unsigned count = 0;

	setup();
	chores_add(&chores, &chore, once, &count);
	chores_add(&chores, &chore, once, &count);
	chores_add(&chores, &other, once, &count);
	chores_drop(&other);
	chores_drop(&other);
	loop_run(loop);
	ck_assert_uint_eq(count, 1);
	teardown();
}
END_TEST

/* Those that wait at the end belong to what is freed then, one after the other: none is looked at by another. */
START_TEST(what_waits_at_the_end)
{
	struct chore first = { 0 }, second = { 0 }, request = { 0 }, resting = { 0 };
	unsigned count = 0;

	setup();
	chores_add(&chores, &first, once, &count);
	chores_add(&chores, &second, once, &count);
	chores_add_request(&chores, &request, once, &count);
	chores_add(&chores, &resting, rests_once, &count);
	teardown();
	ck_assert_ptr_null(first.list);
	ck_assert_ptr_null(second.list);
	ck_assert_ptr_null(request.list);
	ck_assert_ptr_null(resting.list);
	/* As its owner does when it goes. */
	memset(&first, 0xa5, sizeof(first));
	chores_drop(&second);
	ck_assert_uint_eq(count, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("chores");

	unit_add(suite, requests_delay_nothing_else, 30);
	unit_add(suite, rest, 30);
	unit_add(suite, added_twice_and_dropped, 30);
	unit_add(suite, what_waits_at_the_end, 30);
	return unit_run(suite);
}
