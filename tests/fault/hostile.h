/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_HOSTILE_H
#define SHMB_TESTS_HOSTILE_H

/* That others are served, soon, and that nobody spins, whatever a hostile client or segment does. */

#include "../support/client.h"

#include <stdio.h>
#include <stdlib.h>

/* Others are served within 10 ms. Asserted with 50 times that, once in a test with 500 times: a machine that stands still spoils one. */
enum { SERVED_WITHIN_NS = 50 * 10 * 1000000 };

static inline void serves_others(struct broker *b)
{
	struct shmb *client;
	static unsigned late;
	uint64_t begin, took;

	ck_assert_msg(!program_has_ended(&b->daemon), "the daemon has ended");
	client = broker_connect(b);
	for (unsigned i = 0; i < 10; i++) {
		begin = now_ns();
		ASSERT_OK(ring_writer_try(client, "others", 64, 8));
		took = now_ns() - begin;
		ck_assert_uint_lt(took, (uint64_t)10 * SERVED_WITHIN_NS * suite_slow());
		late += took >= (uint64_t)SERVED_WITHIN_NS * suite_slow();
		ASSERT_OK(shmb_remove(client, "others"));
	}
	ck_assert_msg(late <= 1, "%u were served late", late);
	shmb_disconnect(client);
}

/* How long a process ran or wanted to run so far: one that spins does all the time, however busy the machine is. */
static inline uint64_t busy_ns(pid_t pid)
{
	unsigned long long ran = 0;
	unsigned long long waited = 0;
	char *text = proc_read(pid, "schedstat");

	ck_assert_ptr_nonnull(text);
	ck_assert_int_eq(sscanf(text, "%llu %llu", &ran, &waited), 2);
	free(text);
	return ran + waited;
}

#endif
