/* SPDX-License-Identifier: MIT */
/*
 * `shmbctl hz NAME` and `shmbctl bw NAME`: how often and how much is written. Both observe. Rates come from the numbers of the writes, which
 * count every one of them, and the monotonic clock; intervals between writes from the stamps, so they are told where the segment is stamped only:
 * the time at which an observer happens to look says nothing about the writer.
 */

#include "command.h"
#include "json.h"
#include "output.h"
#include "source.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#define RATE_INTERVAL_NS UINT64_C(1000000000)

/* What happened since the report before. */
struct rate {
	uint64_t begin_ns;
	uint64_t first_number; /* next number then */
	uint64_t read;	       /* elements looked at */
	uint64_t bytes;	       /* of these */
	uint64_t bytes_min, bytes_max;
	uint64_t gaps; /* intervals between stamps of neighbours */
	double gap_sum, gap_square;
	double gap_min, gap_max;
	uint64_t last_number; /* the element looked at last, in any report */
	uint64_t last_stamp;  /* 0 none */
};

static void rate_begin(struct rate *rate, uint64_t now, uint64_t next)
{
	rate->begin_ns = now;
	rate->first_number = next;
	rate->read = 0;
	rate->bytes = 0;
	rate->gaps = 0;
	rate->gap_sum = 0;
	rate->gap_square = 0;
}

static void rate_add(struct rate *rate, const struct shmb_sample *sample, size_t length)
{
	if (!rate->read || length < rate->bytes_min)
		rate->bytes_min = length;
	if (!rate->read || length > rate->bytes_max)
		rate->bytes_max = length;
	rate->read++;
	rate->bytes += length;
	if (sample->stamp_ns && rate->last_stamp && sample->number == rate->last_number + 1 && sample->stamp_ns >= rate->last_stamp) {
		double gap = (double)(sample->stamp_ns - rate->last_stamp);

		if (!rate->gaps || gap < rate->gap_min)
			rate->gap_min = gap;
		if (!rate->gaps || gap > rate->gap_max)
			rate->gap_max = gap;
		rate->gaps++;
		rate->gap_sum += gap;
		rate->gap_square += gap * gap;
	}
	rate->last_number = sample->number;
	rate->last_stamp = sample->stamp_ns;
}

/* Reads until then whatever comes. */
static int rate_collect(struct rate *rate, struct source *source, uint64_t until)
{
	struct shmb_sample sample;
	int r = 0;

	while (!source_is_interrupted() && !output_is_closed() && shmb_now_ns() < until) {
		uint64_t slice = shmb_now_ns() + SOURCE_SLICE_NS;

		r = source_wait(source, slice < until ? slice : until);
		if (r == -ESTALE || r == -EBADMSG)
			return r;
		while ((r = source_next(source, &sample)) == 0 && shmb_now_ns() < until)
			rate_add(rate, &sample, source->length);
		if (r < 0 && r != -ENODATA && r != -EAGAIN)
			return r;
	}
	return output_is_closed() ? -EPIPE : 0;
}

static json_t *rate_gap_json(const struct rate *rate, double value)
{
	return rate->gaps ? json_integer((json_int_t)value) : json_null();
}

static double rate_deviation(const struct rate *rate)
{
	double mean = rate->gap_sum / (double)rate->gaps;
	double variance = rate->gap_square / (double)rate->gaps - mean * mean;

	return variance > 0 ? sqrt(variance) : 0;
}

static int rate_hz_report(const struct rate *rate, const char *name, uint64_t writes, double seconds, bool json)
{
	char least[OUTPUT_UNIT_SIZE], most[OUTPUT_UNIT_SIZE], deviation[OUTPUT_UNIT_SIZE];
	double hz = (double)writes / seconds;

	if (json)
		return json_line(json_pack("{s:o, s:f, s:o, s:o, s:o, s:o, s:o}", "name", json_text(name), "hz", hz, "writes",
					   json_u64(writes), "interval_min_ns", rate_gap_json(rate, rate->gap_min), "interval_max_ns",
					   rate_gap_json(rate, rate->gap_max), "interval_deviation_ns",
					   rate_gap_json(rate, rate->gaps ? rate_deviation(rate) : 0), "seen", json_u64(rate->read)));
	printf("%10.2f Hz", hz);
	if (rate->gaps)
		printf("   interval %s to %s, deviation %s", output_duration(least, (uint64_t)rate->gap_min),
		       output_duration(most, (uint64_t)rate->gap_max), output_duration(deviation, (uint64_t)rate_deviation(rate)));
	putchar('\n');
	return output_flush();
}

static int rate_bw_report(const struct rate *rate, const char *name, uint64_t writes, double seconds, bool json)
{
	/* Of what was overwritten before it could be looked at, the mean of the others is taken. */
	double mean = rate->read ? (double)rate->bytes / (double)rate->read : 0;
	double per_s = mean * (double)writes / seconds;
	char speed[OUTPUT_UNIT_SIZE], least[OUTPUT_UNIT_SIZE], most[OUTPUT_UNIT_SIZE];

	if (json)
		return json_line(json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name", json_text(name), "bytes_per_s",
					   json_u64((uint64_t)per_s), "writes", json_u64(writes), "bytes_mean", json_u64((uint64_t)mean),
					   "bytes_min", rate->read ? json_u64(rate->bytes_min) : json_null(), "bytes_max",
					   rate->read ? json_u64(rate->bytes_max) : json_null(), "seen", json_u64(rate->read)));
	printf("%10s/s", output_bytes(speed, (uint64_t)per_s));
	if (rate->read && rate->bytes_min == rate->bytes_max)
		printf("   %" PRIu64 " times %s", writes, output_bytes(least, rate->bytes_min));
	else if (rate->read)
		printf("   %" PRIu64 " times %s to %s", writes, output_bytes(least, rate->bytes_min), output_bytes(most, rate->bytes_max));
	putchar('\n');
	return output_flush();
}

typedef int rate_report_fn(const struct rate *rate, const char *name, uint64_t writes, double seconds, bool json);

static int rate_run(struct source *source, const struct command_options *options, rate_report_fn *report)
{
	uint64_t interval = options->interval_ns ? options->interval_ns : RATE_INTERVAL_NS;
	struct shmb_segment_status status;
	struct rate rate = { 0 };
	int r = source_status(source, &status);

	rate_begin(&rate, shmb_now_ns(), status.next);
	for (uint64_t i = 0; r == 0 && !source_is_interrupted() && (!options->count || i < options->count); i++) {
		uint64_t now;

		r = rate_collect(&rate, source, rate.begin_ns + interval);
		if (r == 0)
			r = source_status(source, &status);
		now = shmb_now_ns();
		if (r == 0 && !source_is_interrupted())
			r = report(&rate, options->names[0], status.next - rate.first_number, (double)(now - rate.begin_ns) / 1e9,
				   options->json);
		rate_begin(&rate, now, status.next);
	}
	return r;
}

static int rate_command(struct shmb *broker, const struct command_options *options, rate_report_fn *report)
{
	const char *name = options->names[0];
	struct source source;
	int r;

	source_catch_signals();
	r = source_open(&source, broker, name, SOURCE_OBSERVER);
	if (r == -EMEDIUMTYPE) {
		r = COMMAND_FAILED;
	} else if (r < 0) {
		r = command_fail(name, r);
	} else {
		r = rate_run(&source, options, report);
		r = r < 0 ? command_ended(name, r) : COMMAND_OK;
	}
	source_close(&source);
	return r;
}

int command_hz(struct shmb *broker, const struct command_options *options)
{
	return rate_command(broker, options, rate_hz_report);
}

int command_bw(struct shmb *broker, const struct command_options *options)
{
	return rate_command(broker, options, rate_bw_report);
}
