/* SPDX-License-Identifier: MIT */
/*
 * `shmbctl delay NAME`: how long it takes from the publishing of an element until a reader that was woken for it has it. It is a reader like any
 * other (with a cell, counted while it runs), for an observer would measure its own slices. The beginning is the element's stamp, or a field of
 * the payload that the program filled with CLOCK_MONOTONIC nanoseconds itself (--field): then what the program did before publishing counts too.
 *
 * Percentiles are exact: the delays of one report are kept and sorted, as many as DELAY_KEPT; beyond that of every second one, and so on.
 */

#include "command.h"
#include "json.h"
#include "output.h"
#include "payload.h"
#include "source.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define DELAY_INTERVAL_NS UINT64_C(1000000000)

enum { DELAY_KEPT = 1 << 20 };

struct delay {
	struct source source;
	struct payload *payload;
	struct payload_place place; /* of the field, where one was given */
	bool has_field;
	uint64_t *kept; /* DELAY_KEPT of them */
	size_t count;
	uint64_t seen;	/* of the report */
	uint64_t every; /* one of so many is kept */
	uint64_t missed;
	uint64_t max;
};

static void delay_add(struct delay *delay, uint64_t ns)
{
	if (ns > delay->max)
		delay->max = ns;
	if (delay->seen++ % delay->every)
		return;
	if (delay->count == DELAY_KEPT) { /* every second one goes */
		for (size_t i = 0; i < DELAY_KEPT / 2; i++)
			delay->kept[i] = delay->kept[2 * i];
		delay->count = DELAY_KEPT / 2;
		delay->every *= 2;
	}
	delay->kept[delay->count++] = ns;
}

static int delay_compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The value that this share of all does not exceed. */
static uint64_t delay_percentile(const struct delay *delay, double share)
{
	size_t at = (size_t)(share * (double)delay->count);

	return delay->kept[at < delay->count ? at : delay->count - 1];
}

static int delay_report(struct delay *delay, const struct command_options *options)
{
	uint64_t p50, p99, p999;
	char a[OUTPUT_UNIT_SIZE], b[OUTPUT_UNIT_SIZE], c[OUTPUT_UNIT_SIZE], d[OUTPUT_UNIT_SIZE];
	bool none = delay->count == 0;

	qsort(delay->kept, delay->count, sizeof(*delay->kept), delay_compare);
	p50 = none ? 0 : delay_percentile(delay, 0.5);
	p99 = none ? 0 : delay_percentile(delay, 0.99);
	p999 = none ? 0 : delay_percentile(delay, 0.999);
	if (options->json)
		return json_line(json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name", json_text(options->names[0]), "samples",
					   json_u64(delay->seen), "missed", json_u64(delay->missed), "p50_ns",
					   none ? json_null() : json_u64(p50), "p99_ns", none ? json_null() : json_u64(p99), "p999_ns",
					   none ? json_null() : json_u64(p999), "max_ns", none ? json_null() : json_u64(delay->max)));
	if (none)
		puts("nothing was published");
	else
		printf("p50 %9s   p99 %9s   p99.9 %9s   max %9s   %" PRIu64 " samples, %" PRIu64 " missed\n", output_duration(a, p50),
		       output_duration(b, p99), output_duration(c, p999), output_duration(d, delay->max), delay->seen, delay->missed);
	return output_flush();
}

static int delay_read(struct delay *delay)
{
	struct shmb_sample sample;
	int r;

	while ((r = source_next(&delay->source, &sample)) == 0) {
		uint64_t now = shmb_now_ns();
		uint64_t then = sample.stamp_ns;

		if (delay->has_field)
			then = (uint64_t)payload_number(&delay->place, delay->source.bytes);
		delay->missed += sample.missed;
		if (then && then <= now)
			delay_add(delay, now - then);
	}
	return r == -ENODATA || r == -EAGAIN ? 0 : r;
}

static int delay_run(struct delay *delay, const struct command_options *options)
{
	uint64_t interval = options->interval_ns ? options->interval_ns : DELAY_INTERVAL_NS;
	struct shmb_sample sample;
	int r = source_newest(&delay->source, &sample); /* what lies there since long is passed over */

	if (r == -ENODATA)
		r = 0;
	for (uint64_t i = 0; r == 0 && !source_is_interrupted() && (!options->count || i < options->count); i++) {
		uint64_t until = shmb_now_ns() + interval;

		delay->count = 0;
		delay->seen = 0;
		delay->every = 1;
		delay->missed = 0;
		delay->max = 0;
		while (r == 0 && !source_is_interrupted() && shmb_now_ns() < until) {
			uint64_t slice = shmb_now_ns() + SOURCE_SLICE_NS;

			r = source_wait(&delay->source, slice < until ? slice : until);
			if (r == 0)
				r = delay_read(delay);
			else if (r != -ESTALE && r != -EBADMSG)
				r = output_is_closed() ? -EPIPE : 0;
		}
		if (r == 0 && !source_is_interrupted())
			r = delay_report(delay, options);
	}
	return r;
}

/* Finds out what is measured from. 0, or an exit status with the reason said. */
static int delay_prepare(struct delay *delay, const struct command_options *options, bool is_stamped)
{
	int r;

	if (!options->field) {
		if (is_stamped)
			return 0;
		fprintf(stderr, "shmbctl: %s is not stamped: name the field that holds the time (CLOCK_MONOTONIC, ns) with --field\n",
			options->names[0]);
		return COMMAND_FAILED;
	}
	r = payload_new(&delay->payload, delay->source.type);
	if (r < 0)
		return command_fail(options->names[0], r);
	r = payload_find(delay->payload, options->field, &delay->place);
	if (r < 0 || delay->place.size != 8) {
		char *field = output_escape(options->field);

		fprintf(stderr, "shmbctl: %s is no field of 64 bits in %s; `shmbctl info %s` shows them\n", field ? field : "?",
			options->names[0], options->names[0]);
		free(field);
		return COMMAND_USAGE;
	}
	delay->has_field = true;
	return 0;
}

static int delay_look(const struct shmb_segment_info *info, const char *schema, const struct shmb_reader_info *readers, void *user)
{
	(void)schema;
	(void)readers;
	*(bool *)user = info->stamped;
	return 0;
}

int command_delay(struct shmb *broker, const struct command_options *options)
{
	const char *name = options->names[0];
	struct delay delay = { 0 };
	bool is_stamped = false;
	int r;

	source_catch_signals();
	r = shmb_info(broker, name, delay_look, &is_stamped);
	if (r < 0)
		return command_fail(name, r);
	r = source_open(&delay.source, broker, name, SOURCE_READER);
	delay.kept = malloc(DELAY_KEPT * sizeof(*delay.kept));
	if (r == -EMEDIUMTYPE) {
		r = COMMAND_FAILED;
	} else if (r < 0 || !delay.kept) {
		r = command_fail(name, r < 0 ? r : -ENOMEM);
	} else {
		r = delay_prepare(&delay, options, is_stamped);
		if (r == 0) {
			r = delay_run(&delay, options);
			r = r < 0 ? command_ended(name, r) : COMMAND_OK;
		}
	}
	source_close(&delay.source);
	payload_free(delay.payload);
	free(delay.kept);
	return r;
}
