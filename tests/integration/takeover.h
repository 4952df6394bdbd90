/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_TAKEOVER_H
#define SHMB_TESTS_TAKEOVER_H

/* A name's generations, as the broker lists them and as a reader in a worker follows them. */

#include "../support/client.h"

#include <errno.h>

static inline uint64_t generation_of(struct shmb *client, const char *name)
{
	struct listed listed = { 0 };

	ck_assert(segment_listed(client, name, &listed));
	return listed.generation;
}

static inline int note_draining(const struct shmb_segment_info *info, const char *schema, const struct shmb_reader_info *readers,
				void *user)
{
	(void)schema;
	(void)readers;
	*(uint32_t *)user = info->draining;
	return 0;
}

static inline uint32_t draining(struct shmb *client, const char *name)
{
	uint32_t count = 0;

	ASSERT_OK(shmb_info(client, name, note_draining, &count));
	return count;
}

/* Waits until there is something to read; what is told of the writer meanwhile is left aside. */
static inline unsigned followed(struct program *reader)
{
	unsigned changes = 0;

	for (;;) {
		struct answer answer = worker_ask(reader, "wait deadline=15000");

		changes += answer.result == -EREMCHG;
		if (answer.result != -EPIPE && answer.result != -EREMCHG && answer.result != -EOWNERDEAD && answer.result != -EHOSTDOWN) {
			ASSERT_RESULT(answer, 0);
			return changes;
		}
	}
}

static inline void must_read(struct program *reader, uint64_t number, uint64_t missed, unsigned salt)
{
	struct answer answer = worker_must(reader, "next");

	ck_assert_msg(answer.v[0] == number && answer.v[1] == missed && answer.v[3] == salt && answer.v[4] == 0,
		      "number %llu, %llu missed, salt %llu, torn %llu, not %llu, %llu, %u", (unsigned long long)answer.v[0],
		      (unsigned long long)answer.v[1], (unsigned long long)answer.v[3], (unsigned long long)answer.v[4],
		      (unsigned long long)number, (unsigned long long)missed, salt);
}

#endif
