/* SPDX-License-Identifier: MIT */
/* Reads recorded logs (csv.h) line by line: nothing is kept but the line that is read. */
#include "csv.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS_MAX = 512, NAME_MAX_LENGTH = 60 };

struct csv {
	FILE *file;
	char *path;
	char *line;
	size_t line_size;
	unsigned long line_number;
	unsigned columns;
	unsigned time_column;
	uint64_t time_scale; /* nanoseconds per unit; 0: seconds where there is a decimal point, else nanoseconds */
	char (*names)[CSV_NAME_SIZE];
	struct shmb_type *type;
};

static char text[512];

__attribute__((format(printf, 2, 3))) static int fail(const struct csv *csv, const char *format, ...)
{
	va_list arguments;
	int used = snprintf(text, sizeof(text), "%.200s:%lu: ", csv->path, csv->line_number);

	va_start(arguments, format);
	vsnprintf(text + used, sizeof(text) - (size_t)used, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

const char *csv_text(void)
{
	return text;
}

/* ---- headings ---- */

void csv_name(char *out, const char *heading)
{
	size_t length = 0;
	int depth = 0;

	for (const char *at = heading; *at != '\0'; at++) {
		char c = (char)tolower((unsigned char)*at);

		if (c == '[' || (c == ']' && depth > 0)) {
			depth += c == '[' ? 1 : -1;
			continue;
		}
		if (depth > 0)
			continue;
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')))
			c = '_';
		if (length == 0 && c >= '0' && c <= '9') {
			out[length++] = 'f';
			out[length++] = '_';
		}
		if (c == '_' && (length == 0 || out[length - 1] == '_'))
			continue;
		if (length == NAME_MAX_LENGTH)
			break;
		out[length++] = c;
	}
	while (length > 0 && out[length - 1] == '_')
		length--;
	out[length] = '\0';
}

static bool is_taken(const struct csv *csv, unsigned columns, const char *name)
{
	for (unsigned i = 0; i < columns; i++) {
		if (strcmp(csv->names[i], name) == 0)
			return true;
	}
	return false;
}

static void name_column(struct csv *csv, unsigned column, const char *heading)
{
	char *name = csv->names[column];
	char base[CSV_NAME_SIZE];

	csv_name(base, heading);
	if (base[0] == '\0')
		snprintf(base, sizeof(base), "column_%u", column + 1);
	strcpy(name, base);
	for (unsigned i = 2; is_taken(csv, column, name); i++)
		snprintf(name, CSV_NAME_SIZE, "%.56s_%u", base, i);
}

/* How well a name fits the time: 0 not at all, 3 best. */
static unsigned time_rank(const char *name)
{
	static const char *const words[] = { "timestamp", "stamp", "time" };
	size_t length = strlen(name);
	unsigned rank = 0;

	if (strcmp(name, "timestamp") == 0)
		return 3;
	if (strcmp(name, "time") == 0 || strcmp(name, "stamp") == 0 || strcmp(name, "t") == 0)
		return 2;
	for (unsigned i = 0; i < 3; i++) {
		size_t word = strlen(words[i]);

		if (length > word && (strncmp(name, words[i], word) == 0 || strcmp(name + length - word, words[i]) == 0))
			rank = 1;
	}
	return rank;
}

static uint64_t unit_scale(const char *heading)
{
	static const struct {
		const char *unit;
		uint64_t scale;
	} units[] = { { "[ns]", 1 }, { "[us]", 1000 }, { "[ms]", 1000000 }, { "[s]", 1000000000 } };

	for (unsigned i = 0; i < 4; i++) {
		if (strstr(heading, units[i].unit) != NULL)
			return units[i].scale;
	}
	return 0;
}

static int make_type(struct csv *csv)
{
	size_t size = csv->columns * (CSV_NAME_SIZE + 10) + 1;
	char *schema = malloc(size);
	size_t used = 0;
	int r;

	if (schema == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < csv->columns; i++)
		used += (size_t)snprintf(schema + used, size - used, "%s %s\n", i == csv->time_column ? "uint64" : "float64",
					 csv->names[i]);
	r = shmb_type_parse(&csv->type, "csv_row", schema);
	free(schema);
	return r == -EINVAL ? fail(csv, "%s", shmb_text()) : r;
}

static int read_line(struct csv *csv)
{
	ssize_t length;

	do {
		csv->line_number++;
		errno = 0;
		length = getline(&csv->line, &csv->line_size, csv->file);
		if (length < 0)
			return ferror(csv->file) && errno != 0 ? -errno : -ENODATA;
		while (length > 0 && (csv->line[length - 1] == '\n' || csv->line[length - 1] == '\r'))
			csv->line[--length] = '\0';
	} while (length == 0);
	return 0;
}

static int read_headings(struct csv *csv)
{
	unsigned best = 0;
	char *rest, *heading;
	int r = read_line(csv);

	if (r < 0)
		return r == -ENODATA ? fail(csv, "the file has no line of headings") : r;
	rest = csv->line;
	while ((heading = strsep(&rest, ",")) != NULL) {
		unsigned column = csv->columns++;
		unsigned rank;

		if (column == COLUMNS_MAX)
			return fail(csv, "more than %d columns", COLUMNS_MAX);
		name_column(csv, column, heading);
		rank = time_rank(csv->names[column]);
		if (rank > best) {
			best = rank;
			csv->time_column = column;
			csv->time_scale = unit_scale(heading);
		}
	}
	return best > 0 ? make_type(csv) : fail(csv, "no column is named like a time");
}

/* ---- rows ---- */

/* A decimal number, exactly, in nanoseconds. */
static int parse_time(const struct csv *csv, const char *cell, uint64_t *time_ns)
{
	uint64_t scale = csv->time_scale != 0 ? csv->time_scale : strchr(cell, '.') != NULL ? 1000000000 : 1;
	uint64_t value = 0;
	const char *at = cell;

	while (*at == ' ')
		at++;
	if (!isdigit((unsigned char)*at))
		return fail(csv, "'%.40s' is no time", cell);
	for (; isdigit((unsigned char)*at); at++) {
		if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value))
			return fail(csv, "'%.40s' is too large", cell);
	}
	if (__builtin_mul_overflow(value, scale, &value))
		return fail(csv, "'%.40s' is too large", cell);
	if (*at == '.') {
		for (at++; isdigit((unsigned char)*at); at++) {
			scale /= 10;
			if (__builtin_add_overflow(value, scale * (uint64_t)(*at - '0'), &value))
				return fail(csv, "'%.40s' is too large", cell);
		}
	}
	while (*at == ' ')
		at++;
	*time_ns = value;
	return *at == '\0' ? 0 : fail(csv, "'%.40s' is no time", cell);
}

static int parse_number(const struct csv *csv, const char *cell, double *out)
{
	char *end;

	*out = strtod(cell, &end);
	if (end == cell)
		*out = NAN;
	while (*end == ' ')
		end++;
	return *end == '\0' ? 0 : fail(csv, "'%.40s' is no number", cell);
}

int csv_read(struct csv *csv, void *payload, uint64_t *time_ns)
{
	unsigned char *to = payload;
	unsigned column = 0;
	char *rest, *cell;
	int r = read_line(csv);

	if (r < 0)
		return r;
	rest = csv->line;
	while ((cell = strsep(&rest, ",")) != NULL) {
		if (column == csv->columns)
			return fail(csv, "more cells than headings");
		if (column == csv->time_column) {
			r = parse_time(csv, cell, time_ns);
			memcpy(to, time_ns, sizeof(*time_ns));
		} else {
			double number;

			r = parse_number(csv, cell, &number);
			memcpy(to, &number, sizeof(number));
		}
		if (r < 0)
			return r;
		to += 8;
		column++;
	}
	return column == csv->columns ? 0 : fail(csv, "%u cells, but %u headings", column, csv->columns);
}

int csv_rewind(struct csv *csv)
{
	if (fseek(csv->file, 0, SEEK_SET) != 0)
		return -errno;
	csv->line_number = 0;
	return read_line(csv);
}

/* ---- */

int csv_open(struct csv **out, const char *path)
{
	struct csv *csv = calloc(1, sizeof(*csv));
	int r;

	*out = NULL;
	if (csv == NULL)
		return -ENOMEM;
	csv->file = fopen(path, "re");
	r = csv->file != NULL ? 0 : -errno;
	csv->path = strdup(path);
	csv->names = calloc(COLUMNS_MAX, sizeof(*csv->names));
	if (r == 0 && (csv->path == NULL || csv->names == NULL))
		r = -ENOMEM;
	if (r == 0)
		r = read_headings(csv);
	if (r < 0) {
		csv_close(csv);
		return r;
	}
	*out = csv;
	return 0;
}

struct csv *csv_close(struct csv *csv)
{
	if (csv == NULL)
		return NULL;
	if (csv->file != NULL)
		fclose(csv->file);
	shmb_type_free(csv->type);
	free(csv->path);
	free(csv->line);
	free(csv->names);
	free(csv);
	return NULL;
}

const struct shmb_type *csv_type(const struct csv *csv)
{
	return csv->type;
}

const char *csv_key_field(const struct csv *csv)
{
	return csv->names[csv->time_column];
}
