/* SPDX-License-Identifier: MIT */
/*
 * `shmbctl echo NAME`: prints what is written to a segment, decoded by its schema, until --count, Ctrl-C, a closed pipe or the removal of
 * the segment. It observes: takes no cell, wakes nobody, keeps nothing alive. When the writer closes or dies that is said and the next
 * writer is waited for. With --rate it sleeps until the next line is due and then takes the newest, so that `missed` counts what lies between.
 */

#include "command.h"
#include "json.h"
#include "output.h"
#include "payload.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* How long one wait lasts before the signal and the pipe are looked at again: short for a person, rare for a processor. */
#define ECHO_SLICE_NS UINT64_C(100000000)

static volatile sig_atomic_t echo_is_interrupted;

static void echo_interrupt(int signal)
{
	(void)signal;
	echo_is_interrupted = 1;
}

/* A ring or a value; exactly one of them is open. */
struct echo {
	const struct command_options *options;
	const char *name;
	struct shmb_ring_reader *ring;
	struct shmb_value_reader *value;
	const struct shmb_type *type;
	struct payload *payload;
	void *bytes;
	uint64_t printed;
};

static int echo_open(struct echo *echo, struct shmb *broker)
{
	int r = shmb_ring_observe(&echo->ring, broker, echo->name);

	if (r == -EMEDIUMTYPE)
		r = shmb_value_observe(&echo->value, broker, echo->name);
	if (r < 0)
		return r;
	echo->type = echo->ring ? shmb_ring_type(echo->ring) : shmb_value_type(echo->value);
	echo->bytes = malloc(echo->type->size);
	if (!echo->bytes)
		return -ENOMEM;
	return payload_new(&echo->payload, echo->type);
}

static void echo_close(struct echo *echo)
{
	shmb_ring_reader_close(echo->ring);
	shmb_value_reader_close(echo->value);
	payload_free(echo->payload);
	free(echo->bytes);
}

static int echo_wait(struct echo *echo)
{
	uint64_t deadline = shmb_now_ns() + ECHO_SLICE_NS;

	return echo->ring ? shmb_ring_wait(echo->ring, deadline) : shmb_value_wait(echo->value, deadline);
}

static int echo_read(struct echo *echo, struct shmb_sample *sample)
{
	if (!echo->ring)
		return shmb_value_load(echo->value, echo->bytes, sample);
	if (echo->options->rate > 0)
		return shmb_ring_latest(echo->ring, echo->bytes, sample);
	return shmb_ring_read_next(echo->ring, echo->bytes, sample);
}

static int echo_status(struct echo *echo, struct shmb_segment_status *status)
{
	return echo->ring ? shmb_ring_status(echo->ring, status) : shmb_value_status(echo->value, status);
}

static int echo_print_json(const struct echo *echo, const struct shmb_sample *sample, uint64_t age)
{
	json_t *head = json_pack("{s:o, s:o, s:o, s:o, s:o}", "name", json_text(echo->name), "number", json_u64(sample->number), "stamp_ns",
				 sample->stamp_ns ? json_u64(sample->stamp_ns) : json_null(), "age_ns",
				 sample->stamp_ns ? json_u64(age) : json_null(), "missed", json_u64(sample->missed));
	/* the inside of the object, for the payload to follow in the same one */
	char *inside = head ? json_dumps(head, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_EMBED) : NULL;

	json_decref(head);
	if (!inside)
		return -ENOMEM;
	printf("{%s,\"data\":", inside);
	free(inside);
	payload_print_json(echo->payload, echo->bytes);
	puts("}");
	return 0;
}

static int echo_print(struct echo *echo, const struct shmb_sample *sample)
{
	uint64_t now = shmb_now_ns();
	uint64_t age = sample->stamp_ns && now > sample->stamp_ns ? now - sample->stamp_ns : 0;
	char text[OUTPUT_UNIT_SIZE];
	int r;

	if (echo->options->json) {
		r = echo_print_json(echo, sample, age);
		if (r < 0)
			return r;
	} else {
		if (!echo->options->no_legend) {
			printf("%s#%" PRIu64 "%s", output_on(OUTPUT_BOLD), sample->number, output_off(OUTPUT_BOLD));
			if (sample->stamp_ns)
				printf("  at %" PRIu64 ".%09" PRIu64 " s, %s old", sample->stamp_ns / 1000000000,
				       sample->stamp_ns % 1000000000, output_duration(text, age));
			if (sample->missed)
				printf("  %s%" PRIu64 " missed%s", output_on(OUTPUT_WARN), sample->missed, output_off(OUTPUT_WARN));
			putchar('\n');
		}
		payload_print_text(echo->payload, echo->bytes, echo->options->full);
	}
	echo->printed++;
	return output_flush();
}

/* What became of the writer: a line on stderr for people, an object in the stream for programs. */
static int echo_report(struct echo *echo, const char *event, const char *sentence)
{
	struct shmb_segment_status status = { 0 };
	int r = echo_status(echo, &status);

	if (r < 0)
		return r;
	if (echo->options->json)
		return json_line(json_pack("{s:o, s:s, s:o, s:o}", "name", json_text(echo->name), "event", event, "epoch",
					   json_u64(status.epoch), "next", json_u64(status.next)));
	fprintf(stderr, "shmbctl: %s (epoch %" PRIu64 ", next number %" PRIu64 ")\n", sentence, status.epoch, status.next);
	return 0;
}

/* Prints all that can be read now. */
static int echo_drain(struct echo *echo)
{
	struct shmb_sample sample;
	int r = 0;

	while (r == 0 && !echo_is_interrupted) {
		r = echo_read(echo, &sample);
		if (r == -ENODATA || r == -EAGAIN)
			return 0;
		if (r == 0)
			r = echo_print(echo, &sample);
		if (echo->options->count && echo->printed == echo->options->count)
			return r;
		if (!echo->ring || echo->options->rate > 0) /* load and latest give the same again */
			return r;
	}
	return r;
}

/* Sleeps until the next line is due, in slices, for the sake of Ctrl-C and the pipe. */
static void echo_pace(uint64_t due)
{
	while (!echo_is_interrupted && !output_is_closed()) {
		uint64_t now = shmb_now_ns();
		uint64_t until = due < now + ECHO_SLICE_NS ? due : now + ECHO_SLICE_NS;
		struct timespec at = { .tv_sec = (time_t)(until / 1000000000), .tv_nsec = (long)(until % 1000000000) };

		if (now >= due)
			return;
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
	}
}

static int echo_run(struct echo *echo)
{
	const struct command_options *options = echo->options;
	uint64_t period = options->rate > 0 ? (uint64_t)(1e9 / options->rate) : 0;
	uint64_t due = shmb_now_ns();
	int r = 0;

	while (r == 0 && !echo_is_interrupted && !(options->count && echo->printed == options->count)) {
		uint64_t before = echo->printed;

		r = echo_wait(echo);
		if (r == 0) {
			r = echo_drain(echo);
			if (r == 0 && period && echo->printed != before) {
				/* after a pause in the data the rhythm starts anew instead of catching up */
				due = due + period > shmb_now_ns() ? due + period : shmb_now_ns() + period;
				if (!options->count || echo->printed < options->count)
					echo_pace(due);
			}
		} else if (r == -EOWNERDEAD) {
			r = echo_report(echo, "writer_dead", "the writer died; waiting for the next");
		} else if (r == -EPIPE) {
			r = echo_report(echo, "writer_closed", "the writer closed; waiting for the next");
		} else if (r == -ETIMEDOUT) {
			r = 0;
		}
		if (r == 0 && output_is_closed())
			return -EPIPE;
	}
	return r;
}

int command_echo(struct shmb *broker, const struct command_options *options)
{
	struct sigaction action = { .sa_handler = echo_interrupt };
	struct echo echo = { .options = options, .name = options->names[0] };
	int r;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	r = echo_open(&echo, broker);
	if (r < 0) {
		r = command_fail(echo.name, r);
	} else {
		r = echo_run(&echo);
		if (r == -ESTALE) {
			fflush(stdout);
			fprintf(stderr, "shmbctl: the segment was removed\n");
			r = COMMAND_NO_SEGMENT;
		} else if (r < 0) {
			r = command_fail(echo.name, r);
		}
	}
	echo_close(&echo);
	return r;
}
