/* SPDX-License-Identifier: MIT */
/* Work in pieces (chores.h). A timer that is due at once brings the next turn, behind the requests of that round. */
#include "chores.h"

#include <stddef.h>

#include "loop.h"
#include "proto/step.h"

static uint64_t turn_ns(void)
{
	return SHMB_STEP_NUMBER("turn", CHORES_TURN_NS);
}

bool chores_turn_is_over(uint64_t begun_ns)
{
	return loop_now_ns() - begun_ns >= turn_ns();
}

static void append(struct chore_list *list, struct chore *chore)
{
	if (chore->list != NULL)
		return; /* its own function has added it */
	chore->list = list;
	TAILQ_INSERT_TAIL(list, chore, link);
}

static void take_out(struct chore *chore)
{
	TAILQ_REMOVE(chore->list, chore, link);
	chore->list = NULL;
}

/*
 * Where the next piece is taken from: in the second half of a turn from the requests, if there are any. Where a long piece left nothing of a turn to
 * them, the next one begins with them.
 */
static struct chore_list *next_list(struct chores *chores, uint64_t begun_ns, bool is_first)
{
	bool asked = is_first ? chores->owes_request : loop_now_ns() - begun_ns >= turn_ns() / 2;

	if (TAILQ_EMPTY(&chores->list))
		return &chores->requests;
	return asked && !TAILQ_EMPTY(&chores->requests) ? &chores->requests : &chores->list;
}

static void on_turn(void *user)
{
	struct chores *chores = user;
	uint64_t begun_ns = loop_now_ns();
	bool asked = false;
	bool is_first = true; /* there is a piece in each turn, however slow the machine */
	struct chore_list *list;
	struct chore *chore;

	for (; (list = next_list(chores, begun_ns, is_first), chore = TAILQ_FIRST(list)) != NULL; is_first = false) {
		if (!is_first && chores_turn_is_over(begun_ns))
			break;
		take_out(chore);
		asked |= list == &chores->requests;
		SHMB_STEP("chore.piece");
		switch (chore->fn(chore->user)) {
		case CHORE_MORE:
			append(list, chore);
			break;
		case CHORE_RESTS:
			if (TAILQ_EMPTY(&chores->resting))
				loop_timer_set(chores->rest, CHORES_REST_NS);
			append(&chores->resting, chore);
			break;
		case CHORE_DONE:
			break;
		}
	}
	chores->owes_request = !asked && !TAILQ_EMPTY(&chores->requests);
	if (chore != NULL)
		loop_timer_set(chores->timer, 0);
}

static void on_rested(void *user)
{
	struct chores *chores = user;
	struct chore *chore;

	while ((chore = TAILQ_FIRST(&chores->resting)) != NULL) {
		take_out(chore);
		chores_add(chores, chore, chore->fn, chore->user);
	}
}

int chores_init(struct chores *chores, struct loop *loop)
{
	int r = loop_timer_new(loop, on_turn, chores, &chores->timer);

	TAILQ_INIT(&chores->list);
	TAILQ_INIT(&chores->requests);
	TAILQ_INIT(&chores->resting);
	if (r < 0)
		return r;
	loop_timer_last(chores->timer);
	return loop_timer_new(loop, on_rested, chores, &chores->rest);
}

static void forget(struct chore_list *list)
{
	while (!TAILQ_EMPTY(list))
		take_out(TAILQ_FIRST(list));
}

void chores_deinit(struct chores *chores)
{
	forget(&chores->list);
	forget(&chores->requests);
	forget(&chores->resting);
	chores->timer = loop_timer_free(chores->timer);
	chores->rest = loop_timer_free(chores->rest);
}

static void add(struct chores *chores, struct chore_list *list, struct chore *chore, chore_fn *fn, void *user)
{
	if (chore->list != NULL)
		return;
	chore->fn = fn;
	chore->user = user;
	if (TAILQ_EMPTY(&chores->list) && TAILQ_EMPTY(&chores->requests))
		loop_timer_set(chores->timer, 0);
	append(list, chore);
}

void chores_add(struct chores *chores, struct chore *chore, chore_fn *fn, void *user)
{
	add(chores, &chores->list, chore, fn, user);
}

void chores_add_request(struct chores *chores, struct chore *chore, chore_fn *fn, void *user)
{
	add(chores, &chores->requests, chore, fn, user);
}

void chores_drop(struct chore *chore)
{
	if (chore->list != NULL)
		take_out(chore);
}
