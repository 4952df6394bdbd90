/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_TURNS_H
#define SHMB_TESTS_TURNS_H

/*
 * Much work for one leaves others their turn. The daemon is held up in the middle of such work, which makes its turn a long one; meanwhile somebody asks
 * for something. When it goes on he has to be answered before the work is done.
 */

#include "../support/gate.h"
#include "../support/raw.h"

#include <stdio.h>
#include <string.h>

enum { MANY = 20 };

static const char turns_schema[] = "uint64[8] words\n";

struct turns {
	struct broker b;
	struct gate gate;
	struct raw raw;	 /* who asks meanwhile */
	struct raw many; /* who has many segments; not connected at first */
};

/* Makes the segments many/0, many/1, ... with the handles 1, 2, ... */
static inline int make_some(struct raw *raw, unsigned count)
{
	static struct raw_answer answer;
	struct shmb_msg_open_writer open;
	char name[32];
	int r = 0;

	for (unsigned i = 0; r == 0 && i < count; i++) {
		snprintf(name, sizeof(name), "many/%u", i);
		raw_open_writer(&open, name, turns_schema, 64);
		open.handle = i + 1;
		r = raw_ask(raw, SHMB_OP_OPEN_WRITER, &open, sizeof(open), turns_schema, strlen(turns_schema), &answer);
		raw_answer_deinit(&answer);
	}
	return r;
}

static inline int make_many(struct raw *raw)
{
	return make_some(raw, MANY);
}

/* A daemon that stops at the `time`th pass of a step, and a connection to it. */
static inline void turns_start(struct turns *t, const char *step, unsigned time, const struct broker_options *more)
{
	*t = (struct turns){ .many = { .fd = -1 } };
	gate_start(&t->gate, &t->b, step, time, more);
	ck_assert_int_eq(raw_start(&t->raw, t->b.socket), 0);
}

/* Likewise, and another connection, with MANY segments. */
static inline void turns_start_many(struct turns *t, const char *step, unsigned time, const struct broker_options *more)
{
	turns_start(t, step, time, more);
	ck_assert_int_eq(raw_start(&t->many, t->b.socket), 0);
	ck_assert_int_eq(make_many(&t->many), 0);
}

/* The daemon, which is held up, goes on after a time that is longer than any turn. */
static inline void turns_go_on(const struct turns *t)
{
	sleep_ms(20);
	gate_open(&t->gate);
}

/* Ends the connections, unless the test has closed them, and the daemon. */
static inline void turns_end(struct turns *t)
{
	raw_end(&t->many);
	raw_end(&t->raw);
	broker_finish(&t->b);
	gate_end(&t->gate);
}

/* What METRICS says: of one kind of event, and how many requests were answered. */
struct counts {
	const char *kind;
	uint64_t events, requests;
};

static inline void read_counts(struct raw_answer *answer, struct counts *out)
{
	const struct shmb_msg_metrics_answer *metrics = (const struct shmb_msg_metrics_answer *)answer->bytes;
	const struct shmb_msg_bucket *bucket = (const struct shmb_msg_bucket *)(metrics + 1);
	const struct shmb_msg_count *count = (const struct shmb_msg_count *)(bucket + metrics->bucket_count) + metrics->refusal_count;

	ck_assert_int_eq(answer->head.result, 0);
	out->requests = 0;
	for (uint32_t i = 0; i < metrics->bucket_count; i++)
		out->requests += bucket[i].count;
	for (uint32_t i = 0; i < metrics->event_count; i++) {
		if (out->kind != NULL && strcmp(count[i].name, out->kind) == 0)
			out->events = count[i].value;
	}
}

static inline void ask_counts(struct raw *raw, struct counts *out)
{
	static struct raw_answer answer;
	struct shmb_msg_metrics metrics = { 0 };

	ck_assert_int_eq(raw_ask(raw, SHMB_OP_METRICS, &metrics, sizeof(metrics), NULL, 0, &answer), 0);
	read_counts(&answer, out);
	raw_answer_deinit(&answer);
}

#endif
