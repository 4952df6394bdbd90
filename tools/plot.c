/* SPDX-License-Identifier: MIT */
/*
 * `shmbctl plot NAME FIELD`: a number of each element over time, as a chart in the terminal. It observes. Time is the element's stamp where the
 * segment is stamped, else the moment at which it was seen.
 *
 * An hour is kept in bins of a few milliseconds; each has the least and the greatest value that fell into it, so that a peak is seen however
 * many elements share a column. A column of the chart is a whole number of bins and lies at a multiple of it, so that the picture moves left
 * without flickering. With --json nothing is drawn: each element is a line.
 */

#include "command.h"
#include "json.h"
#include "output.h"
#include "payload.h"
#include "screen.h"
#include "source.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <ncurses.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLOT_SPAN_NS UINT64_C(10000000000)
#define PLOT_SPAN_MIN_NS UINT64_C(1000000000)
#define PLOT_SPAN_MAX_NS UINT64_C(3600000000000)

#define PLOT_BIN_NS UINT64_C(5000000)

enum {
	PLOT_BINS = 3600 * 200 + 4096, /* the longest span, and what rounding columns up to whole bins adds */
	PLOT_LABEL = 12,	       /* columns left of the chart */
	PLOT_FRAME_MS = 50,
};

struct bin {
	int64_t at; /* time / PLOT_BIN_NS: which one this is */
	double least;
	double greatest;
};

struct plot {
	const struct command_options *options;
	struct source source;
	struct payload *payload;
	struct payload_place place;
	struct bin *bins; /* PLOT_BINS of them */
	uint64_t span_ns;
	bool is_paused;
	double newest;
	uint64_t number;
	uint64_t seen;
	const char *writer; /* what became of it */
};

static void plot_add(struct plot *plot, uint64_t time_ns, double value)
{
	int64_t at = (int64_t)(time_ns / PLOT_BIN_NS);
	struct bin *bin = &plot->bins[at % PLOT_BINS];

	plot->newest = value;
	plot->seen++;
	if (!isfinite(value) || at < bin->at)
		return;
	if (bin->at != at)
		*bin = (struct bin){ .at = at, .least = value, .greatest = value };
	if (value < bin->least)
		bin->least = value;
	if (value > bin->greatest)
		bin->greatest = value;
}

/* One dot of the chart: columns and rows of dots, from the top left. */
static void plot_dot(unsigned char *cells, int width, int column, int row)
{
	/* The bits of a braille cell, by column and row of its dots. */
	static const unsigned char bits[2][4] = { { 0x01, 0x02, 0x04, 0x40 }, { 0x08, 0x10, 0x20, 0x80 } };

	if (screen_has_braille())
		cells[row / 4 * width + column / 2] |= bits[column % 2][row % 4];
	else
		cells[row * width + column] = 1;
}

static void plot_put(const unsigned char *cells, int width, int height)
{
	char text[8];

	attrset(screen_attributes(OUTPUT_GOOD));
	for (int y = 0; y < height; y++) {
		for (int x = 0; x < width; x++) {
			unsigned char cell = cells[y * width + x];

			if (!cell)
				continue;
			if (screen_has_braille()) /* U+2800 + cell in UTF-8 */
				snprintf(text, sizeof(text), "\xe2%c%c", 0xa0 | cell >> 6, 0x80 | (cell & 0x3f));
			else
				strcpy(text, "*");
			mvaddstr(y + 1, x + PLOT_LABEL, text);
		}
	}
	attrset(A_NORMAL);
}

/* What lies in `count` bins from `first` on. False: nothing. */
static bool plot_gather(const struct plot *plot, int64_t first, int64_t count, double *least, double *greatest)
{
	bool some = false;

	for (int64_t at = first < 0 ? 0 : first; at < first + count; at++) {
		const struct bin *bin = &plot->bins[at % PLOT_BINS];

		if (bin->at != at)
			continue;
		if (!some || bin->least < *least)
			*least = bin->least;
		if (!some || bin->greatest > *greatest)
			*greatest = bin->greatest;
		some = true;
	}
	return some;
}

/* The range of what is shown; false: nothing is. */
static bool plot_range(const struct plot *plot, int64_t first, int64_t count, double *least, double *greatest)
{
	bool some = plot_gather(plot, first, count, least, greatest);

	if (some && *least == *greatest) { /* a straight line lies in the middle */
		double room = *least == 0 ? 1 : fabs(*least) / 10;

		*least -= room;
		*greatest += room;
	}
	return some;
}

static void plot_chart(const struct plot *plot, int64_t last, int width, int height)
{
	bool fine = screen_has_braille(); /* two by four dots a character */
	int columns = width * (fine ? 2 : 1);
	int dots = height * (fine ? 4 : 1);
	int64_t bins = (int64_t)(plot->span_ns / PLOT_BIN_NS);
	int64_t each = (bins + columns - 1) / columns; /* bins a column */
	int64_t first = (last / each - columns + 1) * each;
	unsigned char *cells = calloc((size_t)width * (size_t)height, 1);
	double least = 0;
	double greatest = 0;
	double low = 0;
	double high = 0;

	if (!cells || !plot_range(plot, first, each * columns, &least, &greatest)) {
		screen_print(height / 2, PLOT_LABEL + 2, OUTPUT_DIM, "nothing yet");
		free(cells);
		return;
	}
	for (int column = 0; column < columns; column++) {
		if (!plot_gather(plot, first + column * each, each, &low, &high))
			continue;
		for (int row = (int)lround((greatest - high) / (greatest - least) * (dots - 1));
		     row <= (int)lround((greatest - low) / (greatest - least) * (dots - 1)); row++)
			plot_dot(cells, width, column, row);
	}
	plot_put(cells, width, height);
	free(cells);
	screen_print(1, 0, OUTPUT_DIM, "%*.5g", PLOT_LABEL - 2, greatest);
	screen_print(1 + (height - 1) / 2, 0, OUTPUT_DIM, "%*.5g", PLOT_LABEL - 2, (least + greatest) / 2);
	screen_print(height, 0, OUTPUT_DIM, "%*.5g", PLOT_LABEL - 2, least);
}

static void plot_draw(struct plot *plot, int64_t last)
{
	int width = COLS - PLOT_LABEL;
	int height = LINES - 3;
	char span[OUTPUT_UNIT_SIZE];

	erase();
	screen_print(0, 0, OUTPUT_BOLD, "%s  %s", plot->options->names[0], plot->options->names[1]);
	if (width > 0 && height > 0)
		plot_chart(plot, last, width, height);
	if (plot->seen)
		screen_print(LINES - 2, 0, OUTPUT_PLAIN, "#%" PRIu64 "  %.6g", plot->number, plot->newest);
	if (plot->writer)
		screen_print(LINES - 2, 40, OUTPUT_WARN, "%s", plot->writer);
	screen_print(LINES - 1, 0, OUTPUT_DIM, "last %s%s   + - span   space pause   q quit", output_duration(span, plot->span_ns),
		     plot->is_paused ? ", paused" : "");
	refresh();
}

/* Takes in all that is new. */
static int plot_read(struct plot *plot)
{
	struct shmb_sample sample;
	int r;

	while ((r = source_next(&plot->source, &sample)) == 0) {
		plot->number = sample.number;
		plot->writer = NULL;
		plot_add(plot, sample.stamp_ns ? sample.stamp_ns : shmb_now_ns(), payload_number(&plot->place, plot->source.bytes));
	}
	return r == -ENODATA || r == -EAGAIN ? 0 : r;
}

/* True: the end. */
static bool plot_key(struct plot *plot, int key)
{
	switch (key) {
	case 'q':
	case 27: /* Escape */
		return true;
	case ' ':
		plot->is_paused = !plot->is_paused;
		break;
	case '+':
	case '=':
		plot->span_ns = plot->span_ns / 2 < PLOT_SPAN_MIN_NS ? PLOT_SPAN_MIN_NS : plot->span_ns / 2;
		break;
	case '-':
		plot->span_ns = plot->span_ns * 2 > PLOT_SPAN_MAX_NS ? PLOT_SPAN_MAX_NS : plot->span_ns * 2;
		break;
	default:
		break;
	}
	return false;
}

static int plot_show(struct plot *plot)
{
	int64_t last = 0;
	int r = 0;

	plot->span_ns = plot->options->interval_ns ? plot->options->interval_ns : PLOT_SPAN_NS;
	while (r == 0 && !source_is_interrupted()) {
		r = source_wait(&plot->source, SHMB_NO_WAIT);
		if (r == -EOWNERDEAD || r == -EPIPE)
			plot->writer = r == -EPIPE ? "the writer closed" : "the writer died";
		if (r == -ESTALE || r == -EBADMSG)
			return r;
		r = plot_read(plot);
		if (!plot->is_paused)
			last = (int64_t)(shmb_now_ns() / PLOT_BIN_NS);
		plot_draw(plot, last);
		if (r == 0 && plot_key(plot, screen_key(PLOT_FRAME_MS)))
			return 0;
	}
	return r;
}

static int plot_lines(struct plot *plot)
{
	struct shmb_sample sample;
	uint64_t printed = 0;
	int r = 0;

	while (r == 0 && !source_is_interrupted()) {
		r = source_wait(&plot->source, shmb_now_ns() + SOURCE_SLICE_NS);
		if (r == -ESTALE || r == -EBADMSG)
			return r;
		while ((r = source_next(&plot->source, &sample)) == 0) {
			double value = payload_number(&plot->place, plot->source.bytes);

			r = json_line(json_pack("{s:o, s:o, s:o, s:o}", "name", json_text(plot->options->names[0]), "number",
						json_u64(sample.number), "stamp_ns",
						sample.stamp_ns ? json_u64(sample.stamp_ns) : json_null(), "value",
						isfinite(value) ? json_real(value) : json_null()));
			if (r < 0 || ++printed == plot->options->count)
				return r;
		}
		if (r == -ENODATA || r == -EAGAIN)
			r = output_is_closed() ? -EPIPE : 0;
	}
	return r;
}

/* 0 or an exit status, the reason said. */
static int plot_find(struct plot *plot)
{
	const char *name = plot->options->names[0];
	int r = payload_new(&plot->payload, plot->source.type);
	const char *found;
	char *field;

	if (r < 0)
		return command_fail(name, r);
	r = payload_find(plot->payload, plot->options->names[1], &plot->place);
	if (r == 0)
		return 0;
	field = output_escape(plot->options->names[1]);
	found = r == -ENOENT			       ? "no field of this segment"
		: strchr(plot->options->names[1], '[') ? "no element: the field is no array, or a shorter one"
						       : "an array: choose one element, FIELD[INDEX]";
	fprintf(stderr, "shmbctl: %s is %s; `shmbctl info %s` shows the fields\n", field ? field : "?", found, name);
	free(field);
	return COMMAND_USAGE;
}

int command_plot(struct shmb *broker, const struct command_options *options)
{
	const char *name = options->names[0];
	struct plot plot = { .options = options };
	int r;

	if (options->interval_ns && (options->interval_ns < PLOT_SPAN_MIN_NS || options->interval_ns > PLOT_SPAN_MAX_NS)) {
		fputs("shmbctl: --interval is the span shown, from 1s to 1h\n", stderr);
		return COMMAND_USAGE;
	}
	source_catch_signals();
	r = source_open(&plot.source, broker, name, SOURCE_OBSERVER);
	if (r < 0) {
		r = r == -EMEDIUMTYPE ? COMMAND_FAILED : command_fail(name, r);
	} else {
		r = plot_find(&plot);
		if (r == 0 && options->json) {
			r = plot_lines(&plot);
			r = r < 0 ? command_ended(name, r) : 0;
		} else if (r == 0) {
			plot.bins = calloc(PLOT_BINS, sizeof(*plot.bins));
			r = plot.bins ? command_screen() : command_fail(name, -ENOMEM);
			if (r == 0) {
				r = plot_show(&plot);
				screen_end();
				r = r < 0 ? command_ended(name, r) : 0;
			}
		}
	}
	source_close(&plot.source);
	payload_free(plot.payload);
	free(plot.bins);
	return r;
}
