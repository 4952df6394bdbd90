/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_DEMO_SCREEN_H
#define EXAMPLES_DEMO_SCREEN_H

/*
 * What the demo shows. Events are lines that stay; below them, on a terminal, a table is drawn anew several times a second.
 * Where the output is no terminal (or one too small) a line of progress a second takes the table's place.
 */

#include "demo_report.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SCREEN_READERS = 2, SCREEN_SEGMENTS = 8 };

struct screen {
	bool is_terminal;
	bool has_table;	   /* there is something to show */
	unsigned lines;	   /* of the table that are on the screen now */
	uint64_t start_ns; /* events show the time since then; 0 before */
	uint64_t drawn_ns;
	double seconds; /* planned */
	size_t segment_count;
	const char *segments[SCREEN_SEGMENTS];
	struct demo_report latest[SCREEN_READERS][SCREEN_SEGMENTS];
	struct demo_report sum[SCREEN_READERS];
	char processes[128]; /* which run now */
};

void screen_init(struct screen *screen, double seconds);
/* A line that stays. */
void screen_say(struct screen *screen, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Draws the table, or the line of progress, when it is time for it. */
void screen_draw(struct screen *screen);
/* Takes the table away. */
void screen_end(struct screen *screen);

#endif
