/* SPDX-License-Identifier: MIT */
/* Work in pieces (chores.h). A timer that is due at once brings the next turn, behind the requests of that round. */
#include "chores.h"

#include <stddef.h>

#include "loop.h"
#include "proto/step.h"

bool chores_turn_is_over(uint64_t begun_ns)
{
	return loop_now_ns() - begun_ns >= CHORES_TURN_NS;
}

static void append(struct chores *chores, struct chore *chore)
{
	if (chore->is_waiting)
		return; /* its own function has added it */
	chore->is_waiting = true;
	TAILQ_INSERT_TAIL(&chores->list, chore, link);
}

static void on_turn(void *user)
{
	struct chores *chores = user;
	uint64_t begun_ns = loop_now_ns();
	struct chore *chore;

	while ((chore = TAILQ_FIRST(&chores->list)) != NULL && !chores_turn_is_over(begun_ns)) {
		TAILQ_REMOVE(&chores->list, chore, link);
		chore->is_waiting = false;
		SHMB_STEP("chore.piece");
		if (chore->fn(chore->user))
			append(chores, chore);
	}
	if (chore != NULL)
		loop_timer_set(chores->timer, 0);
}

int chores_init(struct chores *chores, struct loop *loop)
{
	int r = loop_timer_new(loop, on_turn, chores, &chores->timer);

	TAILQ_INIT(&chores->list);
	if (r == 0)
		loop_timer_last(chores->timer);
	return r;
}

void chores_deinit(struct chores *chores)
{
	chores->timer = loop_timer_free(chores->timer);
}

void chores_add(struct chores *chores, struct chore *chore, chore_fn *fn, void *user)
{
	if (chore->is_waiting)
		return;
	chore->fn = fn;
	chore->user = user;
	if (TAILQ_EMPTY(&chores->list))
		loop_timer_set(chores->timer, 0);
	append(chores, chore);
}

void chores_drop(struct chores *chores, struct chore *chore)
{
	if (!chore->is_waiting)
		return;
	chore->is_waiting = false;
	TAILQ_REMOVE(&chores->list, chore, link);
}
