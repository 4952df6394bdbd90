/* SPDX-License-Identifier: MIT */
/*
 * `shmbctl echo NAME`: prints what is written to a segment, decoded by its schema, until --count, Ctrl-C, a closed pipe or the removal of
 * the segment. Of a frame it prints the fields that were committed, of a picture its header. It observes: takes no cell, wakes nobody, keeps nothing alive. When the writer closes, dies or hangs
 * that is said, and it, or the next one, is waited for. With --rate it sleeps until the next line is due and then takes the newest, so that `missed` counts what lies between.
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
#include <string.h>

struct echo {
	const struct command_options *options;
	const char *name;
	struct source source;
	struct payload *payload;
	uint64_t printed;
};

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
	payload_print_json(echo->payload, echo->source.bytes, echo->source.length, echo->options->full);
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
		payload_print_text(echo->payload, echo->source.bytes, echo->source.length, echo->options->full);
	}
	echo->printed++;
	return output_flush();
}

/* What became of the writer: a line on stderr for people, an object in the stream for programs. */
static int echo_report(struct echo *echo, const char *event, const char *sentence)
{
	struct shmb_segment_status status = { 0 };
	int r = source_status(&echo->source, &status);

	if (r < 0)
		return r;
	if (echo->options->json)
		return json_line(json_pack("{s:o, s:s, s:o, s:o}", "name", json_text(echo->name), "event", event, "epoch",
					   json_u64(status.epoch), "next", json_u64(status.next)));
	fprintf(stderr, "shmbctl: %s (epoch %" PRIu64 ", next number %" PRIu64 ")\n", sentence, status.epoch, status.next);
	return 0;
}

/* A writer that is there but does not write: which of the conditions of `list` that is, and the sentence of the wait that told it. */
static int echo_report_hang(struct echo *echo)
{
	struct shmb_segment_status status = { 0 };
	char *sentence = strdup(shmb_text());
	char event[32];
	int r = source_status(&echo->source, &status);

	if (r == 0) {
		/* It may have changed since it was told. */
		bool hangs = status.writer >= SHMB_WRITER_IS_STOPPED && status.writer <= SHMB_WRITER_IS_DUMPING;

		snprintf(event, sizeof(event), "writer_%s", command_writer_word(hangs ? status.writer : SHMB_WRITER_IS_HUNG));
		r = sentence ? echo_report(echo, event, sentence) : -ENOMEM;
	}
	free(sentence);
	return r;
}

/* Prints all that can be read now. */
static int echo_drain(struct echo *echo)
{
	/* a value has no other */
	bool latest = echo->source.value || echo->options->rate > 0;
	struct shmb_sample sample;
	int r = 0;

	while (r == 0 && !source_is_interrupted()) {
		r = latest ? source_newest(&echo->source, &sample) : source_next(&echo->source, &sample);
		if (r == -ENODATA || r == -EAGAIN)
			return 0;
		if (r == 0)
			r = echo_print(echo, &sample);
		if (echo->options->count && echo->printed == echo->options->count)
			return r;
		if (latest) /* gives the same again */
			return r;
	}
	return r;
}

static int echo_run(struct echo *echo)
{
	const struct command_options *options = echo->options;
	uint64_t period = options->rate > 0 ? (uint64_t)(1e9 / options->rate) : 0;
	uint64_t due = shmb_now_ns();
	int r = 0;

	while (r == 0 && !source_is_interrupted() && !(options->count && echo->printed == options->count)) {
		uint64_t before = echo->printed;

		r = source_wait(&echo->source, shmb_now_ns() + SOURCE_SLICE_NS);
		if (r == 0) {
			r = echo_drain(echo);
			if (r == 0 && period && echo->printed != before) {
				/* after a pause in the data the rhythm starts anew instead of catching up */
				due = due + period > shmb_now_ns() ? due + period : shmb_now_ns() + period;
				if (!options->count || echo->printed < options->count)
					source_sleep_until(due);
			}
		} else if (r == -EOWNERDEAD) {
			r = echo_report(echo, "writer_dead", "the writer died; waiting for the next");
		} else if (r == -EPIPE) {
			r = echo_report(echo, "writer_closed", "the writer closed; waiting for the next");
		} else if (r == -EHOSTDOWN) {
			r = echo_report_hang(echo);
		} else if (r == -EREMCHG) {
			r = echo_report(echo, "new_generation", "the segment has a new generation; following");
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
	struct echo echo = { .options = options, .name = options->names[0] };
	int r;

	source_catch_signals();
	r = source_open(&echo.source, broker, echo.name, SOURCE_OBSERVER);
	if (r == 0)
		r = payload_new(&echo.payload, echo.source.type);
	if (r == -EMEDIUMTYPE) {
		r = COMMAND_FAILED;
	} else if (r < 0) {
		r = command_fail(echo.name, r);
	} else {
		r = echo_run(&echo);
		if (r < 0)
			r = command_ended(echo.name, r);
	}
	source_close(&echo.source);
	payload_free(echo.payload);
	return r;
}
