/* SPDX-License-Identifier: MIT */
/* The worker's commands for queues and blocks (worker_queue.h). */
#include "worker_queue.h"

#include "../support/pattern.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 4, BYTES_MAX = 4096 };

/* What lies in a block: equal numbers when it is whole. */
struct pair {
	uint64_t first, second;
};

static struct shmb_queue_producer *producer;
static struct shmb_queue_consumer *consumer;
static struct shmb_block *block;
static size_t out_bytes;
static size_t in_bytes;
static unsigned salt;
static const char *command;

static void answer(int result, uint64_t a, uint64_t b)
{
	printf("%d %llu %llu |", result, (unsigned long long)a, (unsigned long long)b);
	for (const char *text = result < 0 ? shmb_text() : ""; *text != '\0'; text++)
		putchar(*text == '\n' ? ';' : *text);
	putchar('\n');
	fflush(stdout);
}

/* Value of ` key=`, "" where it is not there. Valid for the next few calls. */
static const char *argument(const char *key)
{
	static char values[4][128];
	static unsigned turn;
	char *value = values[turn++ % 4];
	char wanted[32];
	const char *at;

	snprintf(wanted, sizeof(wanted), " %s=", key);
	at = strstr(command, wanted);
	snprintf(value, sizeof(values[0]), "%s", at != NULL ? at + strlen(wanted) : "");
	value[strcspn(value, " ")] = '\0';
	return value;
}

static uint64_t number(const char *key, uint64_t otherwise)
{
	const char *value = argument(key);

	return *value != '\0' ? strtoull(value, NULL, 10) : otherwise;
}

static uint64_t deadline(void)
{
	const char *value = argument("deadline");

	if (strcmp(value, "forever") == 0)
		return SHMB_FOREVER;
	return *value != '\0' ? shmb_now_ns() + strtoull(value, NULL, 10) * 1000000 : SHMB_NO_WAIT;
}

/* ---- queues ---- */

static int open_producer(struct shmb *broker)
{
	struct shmb_options options = { .capacity = (uint32_t)number("capacity", 0), .deadline_ns = deadline() };
	struct shmb_type *type;
	char schema[64];
	int r;

	out_bytes = number("bytes", 64);
	salt = (unsigned)number("salt", 0);
	snprintf(schema, sizeof(schema), "uint64[%zu] words\n", out_bytes / 8);
	r = shmb_type_parse(&type, "pattern", schema);
	if (r == 0)
		r = shmb_queue_producer_open(&producer, broker, argument("name"), type, &options);
	shmb_type_free(type);
	return r;
}

/* Pushes at most `left`; *pushed says how many. */
static int push_some(size_t left, const char *how, size_t *pushed)
{
	static unsigned char payloads[BATCH * BYTES_MAX];
	uint64_t next = shmb_queue_next_number(producer);
	void *place;
	int r;

	*pushed = 1;
	if (strcmp(how, "batch") == 0) {
		size_t count = left < BATCH ? left : BATCH;

		for (size_t i = 0; i < count; i++)
			pattern_fill(payloads + i * out_bytes, out_bytes, next + i, salt);
		return shmb_queue_push_batch(producer, payloads, count, pushed);
	}
	if (strcmp(how, "claim") == 0) {
		r = shmb_queue_claim(producer, &place);
		if (r < 0)
			return r;
		pattern_fill(place, out_bytes, next, salt);
		return shmb_queue_commit(producer);
	}
	pattern_fill(payloads, out_bytes, next, salt);
	return shmb_queue_push(producer, payloads);
}

static int push(void)
{
	uint64_t until = deadline();
	size_t left = number("n", 1);
	const char *how = argument("how");
	int r = 0;

	while (r == 0 && left > 0) {
		size_t pushed = 0;

		r = push_some(left, how, &pushed);
		if (r == 0)
			left -= pushed;
		else if (r == -EAGAIN && until != SHMB_NO_WAIT)
			r = shmb_queue_wait_room(producer, until);
	}
	return r;
}

static void used(const void *payload, const struct shmb_sample *sample)
{
	unsigned got = 0;
	bool whole = pattern_check(payload, in_bytes, sample->number, &got);

	printf("item %llu %u %d\n", (unsigned long long)sample->number, got, !whole);
	fflush(stdout);
}

static int consume_some(size_t left, const char *how, size_t *done)
{
	static unsigned char payloads[BATCH * BYTES_MAX];
	struct shmb_sample samples[BATCH];
	const void *place;
	int r;

	*done = 1;
	if (strcmp(how, "batch") == 0) {
		r = shmb_queue_pop_batch(consumer, payloads, samples, left < BATCH ? left : BATCH, done);
		for (size_t i = 0; r == 0 && i < *done; i++)
			used(payloads + i * in_bytes, &samples[i]);
		return r;
	}
	if (strcmp(how, "peek") == 0) {
		r = shmb_queue_peek(consumer, 0, &place, samples);
		if (r < 0)
			return r;
		used(place, samples);
		return shmb_queue_release(consumer, 1);
	}
	r = shmb_queue_pop(consumer, payloads, samples);
	if (r == 0)
		used(payloads, samples);
	return r;
}

static int consume(void)
{
	uint64_t until = deadline();
	size_t left = number("n", 1);
	const char *how = argument("how");
	int r = 0;

	while (r == 0 && left > 0) {
		size_t done = 0;

		r = consume_some(left, how, &done);
		if (r == 0)
			left -= done;
		else if ((r == -ENODATA || r == -EREMCHG) && until != SHMB_NO_WAIT)
			r = shmb_queue_wait(consumer, until);
		if ((r == -EREMCHG || r == -EHOSTDOWN) && until != SHMB_NO_WAIT)
			r = 0; /* followed, or there may be another producer */
	}
	return r;
}

/* ---- blocks ---- */

static int open_block(struct shmb *broker)
{
	struct shmb_type *type;
	int r = shmb_type_parse(&type, "pair", "uint64 first\nuint64 second\n");

	if (r == 0)
		r = shmb_block_open(&block, broker, argument("name"), type);
	shmb_type_free(type);
	return r;
}

static int add(struct pair *pair)
{
	int r = 0;

	for (uint64_t left = number("n", 1); r == 0 && left > 0; left--) {
		r = shmb_block_lock(block, SHMB_FOREVER);
		if (r < 0)
			return r;
		pair->first++;
		pair->second++;
		r = shmb_block_unlock(block);
	}
	return r;
}

static bool act_block(struct shmb *broker, const char *what)
{
	struct pair *pair = block != NULL ? shmb_block_payload(block) : NULL;

	if (strcmp(what, "block") == 0) {
		int r = open_block(broker);

		answer(r, 0, 0);
	} else if (pair == NULL) {
		return false;
	} else if (strcmp(what, "lock") == 0) {
		int r = shmb_block_lock(block, deadline());

		answer(r, pair->first, pair->second);
	} else if (strcmp(what, "half") == 0) {
		pair->first = number("value", 0);
		answer(0, 0, 0);
	} else if (strcmp(what, "set") == 0) {
		pair->first = number("value", 0);
		pair->second = pair->first;
		answer(0, 0, 0);
	} else if (strcmp(what, "recovered") == 0) {
		answer(shmb_block_recovered(block), 0, 0);
	} else if (strcmp(what, "unlock") == 0) {
		answer(shmb_block_unlock(block), 0, 0);
	} else if (strcmp(what, "add") == 0) {
		int r = add(pair);

		answer(r, pair->first, pair->second);
	} else if (strcmp(what, "close-block") == 0) {
		block = shmb_block_close(block);
		answer(0, 0, 0);
	} else {
		return false;
	}
	return true;
}

bool worker_queue_act(struct shmb **broker, const char *line)
{
	char what[32];
	int r;

	command = line;
	snprintf(what, sizeof(what), "%.*s", (int)strcspn(line, " "), line);
	if (*broker == NULL && (strcmp(what, "producer") == 0 || strcmp(what, "consumer") == 0 || strcmp(what, "block") == 0)) {
		r = shmb_connect(broker, NULL);
		if (r < 0) {
			answer(r, 0, 0);
			return true;
		}
	}
	if (strcmp(what, "producer") == 0) {
		r = open_producer(*broker);
		answer(r, r == 0 ? shmb_queue_next_number(producer) : 0, 0);
	} else if (strcmp(what, "push") == 0 && producer != NULL) {
		r = push();
		answer(r, shmb_queue_next_number(producer), 0);
	} else if (strcmp(what, "close-producer") == 0) {
		producer = shmb_queue_producer_close(producer);
		answer(0, 0, 0);
	} else if (strcmp(what, "consumer") == 0) {
		r = shmb_queue_consumer_open(&consumer, *broker, argument("name"), NULL, deadline());
		in_bytes = r == 0 ? shmb_queue_type(consumer)->size : 0;
		answer(r, r == 0 ? shmb_queue_position(consumer) : 0, 0);
	} else if (strcmp(what, "consume") == 0 && consumer != NULL) {
		r = consume();
		answer(r, shmb_queue_position(consumer), 0);
	} else if (strcmp(what, "close-consumer") == 0) {
		consumer = shmb_queue_consumer_close(consumer);
		answer(0, 0, 0);
	} else {
		return act_block(*broker, what);
	}
	return true;
}

void worker_queue_end(void)
{
	producer = shmb_queue_producer_close(producer);
	consumer = shmb_queue_consumer_close(consumer);
	block = shmb_block_close(block);
}
