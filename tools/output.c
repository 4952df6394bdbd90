/* SPDX-License-Identifier: MIT */
/*
 * Units, tables, colour and escaping. Everything goes to stdout through stdio; colour is decided once, at the start. Text that came from
 * other processes passes output_escape() before it is printed: a command name may hold terminal control sequences.
 */

#include "output.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool output_has_color;

void output_init(void)
{
	const char *no_color = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	output_has_color = isatty(STDOUT_FILENO) && (!no_color || !*no_color) && term && strcmp(term, "dumb") != 0;
}

const char *output_on(enum output_style style)
{
	static const char *const sequences[] = {
		[OUTPUT_PLAIN] = "",	    [OUTPUT_BOLD] = "\033[1m", [OUTPUT_DIM] = "\033[2m",
		[OUTPUT_GOOD] = "\033[32m", [OUTPUT_BAD] = "\033[31m", [OUTPUT_WARN] = "\033[33m",
	};

	return output_has_color ? sequences[style] : "";
}

const char *output_off(enum output_style style)
{
	return output_has_color && style != OUTPUT_PLAIN ? "\033[0m" : "";
}

char *output_escape(const char *text)
{
	size_t length = strlen(text);
	char *out = malloc(4 * length + 1);
	char *at = out;

	if (!out)
		return NULL;
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c >= 0x20 && c < 0x7f)
			*at++ = (char)c;
		else
			at += sprintf(at, "\\x%02x", c);
	}
	*at = 0;
	return out;
}

void output_text(const char *text)
{
	char *escaped = output_escape(text);

	fputs(escaped ? escaped : "?", stdout);
	free(escaped);
}

void output_lines(const char *text, const char *indent)
{
	bool at_start = true;

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (at_start)
			fputs(indent, stdout);
		at_start = c == '\n';
		if ((c >= 0x20 && c < 0x7f) || c == '\n' || c == '\t')
			putchar(c);
		else
			printf("\\x%02x", c);
	}
	if (!at_start)
		putchar('\n');
}

const char *output_bytes(char *out, uint64_t bytes)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)bytes / 1024;
	size_t unit = 0;

	if (bytes < 1024) {
		snprintf(out, OUTPUT_UNIT_SIZE, "%u B", (unsigned)bytes);
		return out;
	}
	while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		unit++;
	}
	snprintf(out, OUTPUT_UNIT_SIZE, value < 10 && value != (double)(unsigned)value ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return out;
}

const char *output_duration(char *out, uint64_t ns)
{
	uint64_t s = ns / 1000000000;
	unsigned long long days = s / 86400;
	unsigned hours = (unsigned)(s / 3600 % 24);
	unsigned minutes = (unsigned)(s / 60 % 60);
	unsigned seconds = (unsigned)(s % 60);

	if (ns < 1000)
		snprintf(out, OUTPUT_UNIT_SIZE, "%u ns", (unsigned)ns);
	else if (ns < 1000000)
		snprintf(out, OUTPUT_UNIT_SIZE, ns < 99950 ? "%.1f us" : "%.0f us", (double)ns / 1e3);
	else if (ns < 1000000000)
		snprintf(out, OUTPUT_UNIT_SIZE, ns < 99950000 ? "%.1f ms" : "%.0f ms", (double)ns / 1e6);
	else if (s < 60)
		snprintf(out, OUTPUT_UNIT_SIZE, "%.1f s", (double)ns / 1e9);
	else if (s < 3600)
		snprintf(out, OUTPUT_UNIT_SIZE, "%u min %u s", minutes, seconds);
	else if (s < 86400)
		snprintf(out, OUTPUT_UNIT_SIZE, "%u h %u min", hours, minutes);
	else
		snprintf(out, OUTPUT_UNIT_SIZE, "%llu d %u h", days, hours);
	return out;
}

int output_flush(void)
{
	static int failed; /* the first error: stdio keeps only that there was one */

	errno = 0;
	if (!failed && (fflush(stdout) != 0 || ferror(stdout)))
		failed = errno ? -errno : -EIO;
	return failed;
}

bool output_is_closed(void)
{
	struct pollfd out = { .fd = STDOUT_FILENO };

	return poll(&out, 1, 0) > 0 && (out.revents & (POLLERR | POLLNVAL));
}

struct output_cell {
	char *text;
	enum output_style style;
};

struct output_table {
	struct output_column *columns;
	struct output_cell *cells;
	size_t column_count;
	size_t cell_count;
	size_t cell_space;
	bool failed; /* out of memory */
};

struct output_table *output_table_new(const struct output_column *columns, size_t column_count)
{
	struct output_table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->columns = malloc(column_count * sizeof(*columns));
	if (!table->columns) {
		free(table);
		return NULL;
	}
	memcpy(table->columns, columns, column_count * sizeof(*columns));
	table->column_count = column_count;
	return table;
}

struct output_table *output_table_free(struct output_table *table)
{
	if (!table)
		return NULL;
	for (size_t i = 0; i < table->cell_count; i++)
		free(table->cells[i].text);
	free(table->cells);
	free(table->columns);
	free(table);
	return NULL;
}

void output_table_cell(struct output_table *table, enum output_style style, const char *format, ...)
{
	char *raw = NULL;
	char *text = NULL;
	va_list arguments;

	if (table->cell_count == table->cell_space) {
		size_t space = table->cell_space ? 2 * table->cell_space : 64;
		struct output_cell *cells = realloc(table->cells, space * sizeof(*cells));

		if (!cells) {
			table->failed = true;
			return;
		}
		table->cells = cells;
		table->cell_space = space;
	}
	va_start(arguments, format);
	if (vasprintf(&raw, format, arguments) >= 0) {
		text = output_escape(raw);
		free(raw);
	}
	va_end(arguments);
	if (!text) {
		table->failed = true;
		return;
	}
	table->cells[table->cell_count++] = (struct output_cell){ .text = text, .style = style };
}

/* Colour stands outside the padding, so that columns stay aligned; the last column of a row is not padded. */
static void output_table_put(const char *text, enum output_style style, size_t width, bool right, bool last)
{
	size_t length = strlen(text);
	int pad = (int)(width > length ? width - length : 0);

	if (right)
		printf("%*s", pad, "");
	printf("%s%s%s", output_on(style), text, output_off(style));
	if (!right && !last)
		printf("%*s", pad, "");
	fputs(last ? "\n" : "  ", stdout);
}

int output_table_print(const struct output_table *table, bool legend)
{
	size_t columns = table->column_count;
	size_t *widths;

	if (table->failed)
		return -ENOMEM;
	widths = calloc(columns, sizeof(*widths));
	if (!widths)
		return -ENOMEM;
	for (size_t c = 0; c < columns && legend; c++)
		widths[c] = strlen(table->columns[c].title);
	for (size_t i = 0; i < table->cell_count; i++) {
		size_t length = strlen(table->cells[i].text);

		if (length > widths[i % columns])
			widths[i % columns] = length;
	}
	for (size_t c = 0; c < columns && legend; c++)
		output_table_put(table->columns[c].title, OUTPUT_BOLD, widths[c], table->columns[c].right, c + 1 == columns);
	for (size_t i = 0; i < table->cell_count; i++) {
		size_t c = i % columns;

		output_table_put(table->cells[i].text, table->cells[i].style, widths[c], table->columns[c].right, c + 1 == columns);
	}
	free(widths);
	return 0;
}
