/* SPDX-License-Identifier: MIT */
/*
 * `shmbctl pub NAME`: publishes what is given as arguments (FIELD=VALUE), or line by line on standard input: JSON objects, or CSV whose first
 * line names the fields. It holds the lease while it runs. Each element begins as zeros; a field that a line does not name stays as the line
 * before had it.
 */

#include "command.h"
#include "json.h"
#include "output.h"
#include "payload.h"
#include "publisher.h"
#include "source.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How long a full queue is waited for. */
#define PUB_PATIENCE_NS UINT64_C(10000000000)

enum { PUB_COLUMNS_MAX = 1024 };

struct pub {
	const struct command_options *options;
	struct publisher publisher;
	struct payload *payload;
	void *bytes;
	uint64_t line;		      /* of the input, 0: arguments */
	char *heads[PUB_COLUMNS_MAX]; /* of a CSV */
	size_t head_count;
	uint64_t published;
	uint64_t due_ns; /* of the next one, where there is a rate */
};

/* What was wrong with a value: one line on stderr. */
static int pub_refuse(const struct pub *pub, const char *field, const char *text, const char *why)
{
	char *name = output_escape(field);
	char *value = output_escape(text);

	fflush(stdout);
	fputs("shmbctl: ", stderr);
	if (pub->line)
		fprintf(stderr, "line %" PRIu64 ": ", pub->line);
	if (value && *value)
		fprintf(stderr, "%s = %s: %s", name ? name : "?", value, why);
	else
		fprintf(stderr, "%s %s", name ? name : "?", why);
	fprintf(stderr, "; `shmbctl info %s` shows the fields\n", pub->options->names[0]);
	free(name);
	free(value);
	return COMMAND_USAGE;
}

static int pub_set(struct pub *pub, const char *field, const char *text)
{
	const char *why;
	int r = payload_set(pub->payload, pub->bytes, field, text, &why);

	if (r == -ENOMEM)
		return command_fail(NULL, r);
	return r < 0 ? pub_refuse(pub, field, r == -ENOENT ? "" : text, why) : 0;
}

/* Sleeps until the next element's time has come, where there is a rate: before it is made, for what is `now` in it is the time at which it is published. */
static void pub_await(struct pub *pub)
{
	uint64_t now = shmb_now_ns();

	if (pub->options->rate <= 0)
		return;
	if (pub->due_ns < now) /* the first, or one that came late: the rhythm goes on from here */
		pub->due_ns = now;
	source_sleep_until(pub->due_ns);
	pub->due_ns += (uint64_t)(1e9 / pub->options->rate);
}

/* Publishes the element. */
static int pub_put(struct pub *pub)
{
	const char *name = pub->options->names[0];
	int r;

	if (pub->options->rate > 0 && source_is_interrupted())
		return 0;
	r = publisher_put(&pub->publisher, pub->bytes, shmb_now_ns() + PUB_PATIENCE_NS);
	if (r == -ETIMEDOUT) {
		fprintf(stderr, "shmbctl: %s has been full for 10 s: nobody takes its items\n", name);
		return COMMAND_FAILED;
	}
	if (r == -EDOM || r == -ERANGE) {
		fprintf(stderr, "shmbctl: %s: the key is %s\n", name, r == -EDOM ? "lower than that of the element before" : "negative");
		return COMMAND_FAILED;
	}
	if (r < 0)
		return command_ended(name, r);
	pub->published++;
	return 0;
}

static bool pub_is_done(const struct pub *pub)
{
	return source_is_interrupted() || (pub->options->count && pub->published == pub->options->count);
}

/* ---- from arguments ----------------------------------------------------------------------------------------------------------------- */

static int pub_arguments(struct pub *pub)
{
	const struct command_options *options = pub->options;
	bool endless = options->rate > 0 && !options->count;
	int r = 0;

	do {
		pub_await(pub);
		for (int i = 1; r == 0 && i < options->name_count; i++) {
			char *field = strdup(options->names[i]);
			char *equal = field ? strchr(field, '=') : NULL;

			if (!field) {
				r = command_fail(NULL, -ENOMEM);
			} else if (!equal) {
				r = pub_refuse(pub, field, "", "is not FIELD=VALUE");
			} else {
				*equal = '\0';
				r = pub_set(pub, field, equal + 1);
			}
			free(field);
		}
		if (r == 0)
			r = pub_put(pub);
	} while (r == 0 && !pub_is_done(pub) && (endless || pub->published < options->count));
	return r;
}

/* ---- from JSON ---------------------------------------------------------------------------------------------------------------------- */

/* A number, word or list as the text that payload_set() reads. The caller frees; NULL: something else. */
/* NOLINTNEXTLINE(misc-no-recursion): jansson parses to a bounded depth */
static char *pub_json_text(const json_t *value)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out;

	if (json_is_string(value))
		return strdup(json_string_value(value));
	if (json_is_array(value)) {
		size_t i;
		json_t *one;

		out = open_memstream(&text, &size);
		if (!out)
			return NULL;
		fputc('[', out);
		json_array_foreach(value, i, one)
		{
			char *word = json_is_array(one) ? NULL : pub_json_text(one);

			fprintf(out, "%s%s", i ? "," : "", word ? word : "?");
			free(word);
		}
		fputc(']', out);
		return fclose(out) == 0 ? text : NULL;
	}
	if (json_is_integer(value))
		return asprintf(&text, "%" JSON_INTEGER_FORMAT, json_integer_value(value)) < 0 ? NULL : text;
	if (json_is_real(value))
		return asprintf(&text, "%.17g", json_real_value(value)) < 0 ? NULL : text;
	if (json_is_boolean(value))
		return strdup(json_is_true(value) ? "true" : "false");
	return NULL;
}

static int pub_json_line(struct pub *pub, const char *line)
{
	json_error_t error;
	json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, &error);
	const char *field;
	json_t *value;
	int r = 0;

	if (!json_is_object(object)) {
		json_decref(object);
		return pub_refuse(pub, "this", "", object ? "is no object" : error.text);
	}
	pub_await(pub);
	json_object_foreach(object, field, value)
	{
		char *text = json_is_null(value) ? NULL : pub_json_text(value);

		if (r == 0 && text)
			r = pub_set(pub, field, text);
		else if (r == 0 && !json_is_null(value))
			r = pub_refuse(pub, field, "", "is neither number, word nor list");
		free(text);
	}
	json_decref(object);
	return r ? r : pub_put(pub);
}

/* ---- from CSV ----------------------------------------------------------------------------------------------------------------------- */

/* Cuts the next cell off: up to a comma, or quoted with "" for a quote. *rest is NULL behind the last. */
static char *pub_csv_cell(char **rest)
{
	char *cell = *rest + strspn(*rest, " \t");
	char *end;

	if (*cell == '"') {
		char *to = ++cell;
		char *at = cell;

		while (*at && (*at != '"' || at[1] == '"')) {
			at += *at == '"';
			*to++ = *at++;
		}
		end = *at ? at + 1 : at;
		end += strcspn(end, ",");
		*rest = *end ? end + 1 : NULL;
		*to = '\0';
		return cell;
	}
	end = cell + strcspn(cell, ",");
	*rest = *end ? end + 1 : NULL;
	*end = '\0';
	while (end > cell && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = '\0';
	return cell;
}

static int pub_csv_head(struct pub *pub, char *line)
{
	char *rest = line;

	while (rest) {
		struct payload_place place;
		char *cell = pub_csv_cell(&rest);
		int r = payload_find(pub->payload, cell, &place);

		if (r == -ENOENT || pub->head_count == PUB_COLUMNS_MAX)
			return pub_refuse(pub, cell, "", r < 0 ? "is no field of this segment" : "is one column too many");
		pub->heads[pub->head_count] = strdup(cell);
		if (!pub->heads[pub->head_count])
			return command_fail(NULL, -ENOMEM);
		pub->head_count++;
	}
	return 0;
}

static int pub_csv_line(struct pub *pub, char *line)
{
	char *rest = line;
	size_t column = 0;
	int r = 0;

	pub_await(pub);
	while (r == 0 && rest) {
		char *cell = pub_csv_cell(&rest);

		if (column == pub->head_count)
			return pub_refuse(pub, "the line", "", "has more cells than the first line");
		if (*cell)
			r = pub_set(pub, pub->heads[column], cell);
		column++;
	}
	return r ? r : pub_put(pub);
}

static int pub_input(struct pub *pub)
{
	bool is_json = false;
	char *line = NULL;
	size_t size = 0;
	int r = 0;

	while (r == 0 && !pub_is_done(pub) && getline(&line, &size, stdin) >= 0) {
		size_t length = strcspn(line, "\r\n");

		pub->line++;
		line[length] = '\0';
		if (line[strspn(line, " \t")] == '\0')
			continue;
		if (pub->published == 0 && pub->head_count == 0)
			is_json = line[strspn(line, " \t")] == '{';
		if (is_json)
			r = pub_json_line(pub, line);
		else
			r = pub->head_count == 0 ? pub_csv_head(pub, line) : pub_csv_line(pub, line);
	}
	free(line);
	return r;
}

static int pub_report(const struct pub *pub)
{
	const struct command_options *options = pub->options;
	int r = 0;

	if (options->json)
		r = json_line(json_pack("{s:o, s:o}", "name", json_text(options->names[0]), "published", json_u64(pub->published)));
	else if (!options->no_legend)
		printf("published %" PRIu64 " element%s\n", pub->published, pub->published == 1 ? "" : "s");
	return r < 0 ? command_fail(NULL, r) : 0;
}

int command_pub(struct shmb *broker, const struct command_options *options)
{
	struct pub pub = { .options = options };
	int r;

	source_catch_signals();
	r = publisher_open(&pub.publisher, broker, options);
	if (r == 0) {
		pub.bytes = calloc(1, pub.publisher.type->size);
		r = pub.bytes ? payload_new(&pub.payload, pub.publisher.type) : -ENOMEM;
		if (r < 0)
			r = command_fail(options->names[0], r);
	}
	if (r == 0)
		r = options->name_count > 1 ? pub_arguments(&pub) : pub_input(&pub);
	if (r == 0)
		r = pub_report(&pub);
	if (r == 0 && options->hold) {
		output_flush();
		while (!source_is_interrupted() && !output_is_closed())
			source_sleep_until(UINT64_MAX);
	}
	publisher_close(&pub.publisher);
	payload_free(pub.payload);
	free(pub.bytes);
	for (size_t i = 0; i < pub.head_count; i++)
		free(pub.heads[i]);
	return r;
}
