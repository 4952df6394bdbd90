/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_ACTS_H
#define SHMB_TESTS_ACTS_H

/* What is done in the scenes. A call that fails ends its act: `r` keeps the first error, and what is open is closed. */

#include "scenes.h"

#include <errno.h>
#include <stdio.h>

/* The first error is kept. */
#define THEN(call)                                                                                                                         \
	do {                                                                                                                               \
		if (r == 0)                                                                                                                \
			r = (call);                                                                                                        \
	} while (0)
/* It must end with this; another error is kept, and 0 is told as -ENOTRECOVERABLE, which nothing returns. */
#define THEN_ERROR(error, call)                                                                                                            \
	do {                                                                                                                               \
		if (r == 0)                                                                                                                \
			r = expected(call, error);                                                                                         \
	} while (0)
#define THEN_TRUE(condition)                                                                                                               \
	do {                                                                                                                               \
		if (r == 0 && !(condition))                                                                                                \
			r = -ENOTRECOVERABLE;                                                                                              \
	} while (0)

enum { BYTES = 64, BIG = 4 << 20 };

extern char payload[BIG];
extern char got[BIG];

static inline int expected(int result, int error)
{
	if (result == -error)
		return 0;
	return result == 0 ? -ENOTRECOVERABLE : result;
}

static inline uint64_t soon(unsigned ms)
{
	return shmb_now_ns() + ms * UINT64_C(1000000);
}

static inline int type_of(struct shmb_type **out, size_t bytes)
{
	char schema[64];

	snprintf(schema, sizeof(schema), "uint64[%zu] words\n", bytes / 8);
	return shmb_type_parse(out, "pattern", schema);
}

static inline int count_visit(void *user)
{
	++*(unsigned *)user;
	return 0;
}

static inline int visit_status(const struct shmb_broker_status *status, void *user)
{
	(void)status;
	return count_visit(user);
}

int act_nothing(struct stage *stage, struct shmb *client);
int act_ring(struct stage *stage, struct shmb *client);
int act_sealed(struct stage *stage, struct shmb *client);
int act_big(struct stage *stage, struct shmb *client);
int act_large(struct stage *stage, struct shmb *client);
int act_large_sealed(struct stage *stage, struct shmb *client);
int act_value(struct stage *stage, struct shmb *client);
int act_frame(struct stage *stage, struct shmb *client);
int act_frame_sealed(struct stage *stage, struct shmb *client);
int act_queue(struct stage *stage, struct shmb *client);
int act_block(struct stage *stage, struct shmb *client);
int act_look(struct stage *stage, struct shmb *client);
int act_policy(struct stage *stage, struct shmb *client);
int act_hangup(struct stage *stage, struct shmb *client);
int act_gc(struct stage *stage, struct shmb *client);
int act_strays(struct stage *stage, struct shmb *client);
int act_found(struct stage *stage, struct shmb *client);
int act_wait(struct stage *stage, struct shmb *client);
int act_waitset(struct stage *stage, struct shmb *client);
int act_loader(struct stage *stage, struct shmb *client);
int act_watch(struct stage *stage, struct shmb *client);
int act_generation(struct stage *stage, struct shmb *client);
int act_unused(struct stage *stage, struct shmb *client);
int act_line(struct stage *stage, struct shmb *client);
int act_pinned(struct stage *stage, struct shmb *client);
int act_never(struct stage *stage, struct shmb *client);
int act_swapped(struct stage *stage, struct shmb *client);
int act_unseen(struct stage *stage, struct shmb *client);
int act_turns(struct stage *stage, struct shmb *client);
int act_death(struct stage *stage, struct shmb *client);
int act_linger(struct stage *stage, struct shmb *client);
int act_silent(struct stage *stage, struct shmb *client);
int act_refused(struct stage *stage, struct shmb *client);
int act_users(struct stage *stage, struct shmb *client);
int act_sent(struct stage *stage, struct shmb *client);
int act_restart(struct stage *stage, struct shmb *client);
void prepare_segments(struct stage *stage);
void prepare_drop_in(struct stage *stage);

#endif
