/* SPDX-License-Identifier: MIT */
#ifndef SHMBCTL_OUTPUT_H
#define SHMBCTL_OUTPUT_H

/*
 * Output for people: units, aligned tables, colour where it is wanted, and the one way in which foreign text (names, commands, schemas)
 * reaches the terminal: escaped.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { OUTPUT_UNIT_SIZE = 40 }; /* bytes that hold any of the strings below */

/* Decides on colour: stdout is a terminal, NO_COLOR is unset or empty, TERM is not "dumb". */
void output_init(void);

enum output_style {
	OUTPUT_PLAIN = 0,
	OUTPUT_BOLD,
	OUTPUT_DIM,
	OUTPUT_GOOD,
	OUTPUT_BAD,
	OUTPUT_WARN,
};

/* Escape sequences that switch a style on and off; empty strings without colour. */
const char *output_on(enum output_style style);
const char *output_off(enum output_style style);

/* What is not printable ASCII becomes \xNN; a backslash stays one. The caller frees. NULL without memory. */
char *output_escape(const char *text);
/* The same, printed to stdout; `keep_lines` lets newlines and tabs through and puts `indent` before each line. */
void output_text(const char *text);
void output_lines(const char *text, const char *indent);

/* "400 B", "36 KiB", "1.5 MiB" */
const char *output_bytes(char *out, uint64_t bytes);
/* "85 ns", "1.2 ms", "3.4 s", "2 min 5 s", "3 h 12 min", "4 d 2 h" */
const char *output_duration(char *out, uint64_t ns);

/* Writes out what stdio holds. 0; -EPIPE when nobody reads any more; another negative errno. */
int output_flush(void);
/* True when the reader of our standard output has gone (a closed pipe), even while there is nothing to write. */
bool output_is_closed(void);

/*
 * A table: columns are declared, cells added row by row, then all is printed aligned, two spaces apart. Cells are copied and escaped.
 */
struct output_column {
	const char *title;
	bool right;
};
struct output_table;
struct output_table *output_table_new(const struct output_column *columns, size_t column_count);
struct output_table *output_table_free(struct output_table *table);
/* Adds the next cell of the row. */
void output_table_cell(struct output_table *table, enum output_style style, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* 0, or -ENOMEM when one of the cells could not be kept. */
int output_table_print(const struct output_table *table, bool legend);

#endif
