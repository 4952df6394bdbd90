/* SPDX-License-Identifier: MIT */
/* Writing, whatever the kind. */

#include "publisher.h"

#include "output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is there under the name. */
struct found {
	char kind[16];
	char type[64];
	char *schema;
	uint32_t capacity;
	uint32_t stamped;
	bool is_there;
};

static int publisher_look(const struct shmb_segment_info *info, const char *schema, const struct shmb_reader_info *readers, void *user)
{
	struct found *found = user;

	(void)readers;
	snprintf(found->kind, sizeof(found->kind), "%s", info->kind);
	snprintf(found->type, sizeof(found->type), "%s", info->type);
	found->capacity = info->capacity;
	found->stamped = info->stamped;
	found->is_there = true;
	found->schema = strdup(schema);
	return found->schema ? 0 : -ENOMEM;
}

/*
 * The text after @ is a file's name; elsewhere a semicolon ends a line as a newline does. Each line ends with one, the last too: that is how types
 * declared in C are written, and types are the same when their texts are.
 */
static char *publisher_schema_text(const char *given)
{
	char *text = NULL;
	size_t length = strlen(given);
	FILE *file;

	if (given[0] != '@') {
		bool is_ended = length > 0 && (given[length - 1] == ';' || given[length - 1] == '\n');

		if (asprintf(&text, "%s%s", given, is_ended ? "" : "\n") < 0)
			return NULL;
		for (char *at = text; *at; at++)
			if (*at == ';')
				*at = '\n';
		return text;
	}
	length = 0;
	file = fopen(given + 1, "re");
	if (!file)
		return NULL;
	if (getdelim(&text, &length, '\0', file) < 0) {
		free(text);
		text = strdup("");
	}
	fclose(file);
	return text;
}

/* Type and kind of a segment that is to be made. 0 or an exit status. */
static int publisher_describe(struct publisher *publisher, const struct command_options *options, struct found *found)
{
	char *text;
	int r;

	if (!options->schema) {
		fprintf(stderr,
			"shmbctl: there is no segment %s yet: say what it holds with --schema 'float64 x;float64 y' or --schema @FILE\n",
			options->names[0]);
		return COMMAND_NO_SEGMENT;
	}
	if (options->capacity && options->kind && strcmp(options->kind, "frame") == 0) {
		fputs("shmbctl: a frame has no capacity: leave --capacity out\n", stderr);
		return COMMAND_USAGE;
	}
	text = publisher_schema_text(options->schema);
	if (!text) {
		fprintf(stderr, "shmbctl: the schema cannot be read from %s: %s\n", options->schema + 1, strerror(errno));
		return COMMAND_USAGE;
	}
	r = shmb_type_parse(&publisher->type, options->type ? options->type : "shmbctl", text);
	free(text);
	if (r < 0) {
		command_fail(options->names[0], r);
		return COMMAND_USAGE;
	}
	snprintf(found->kind, sizeof(found->kind), "%s", options->kind ? options->kind : "value");
	found->capacity = (uint32_t)options->capacity;
	found->stamped = options->stamped;
	return 0;
}

/* What is asked of a new segment must not be otherwise where there is one. 0 or an exit status. */
static int publisher_compare(const struct command_options *options, const struct found *found)
{
	char *text = options->schema ? publisher_schema_text(options->schema) : NULL;
	const char *what = NULL;

	if (options->schema && !text) {
		fprintf(stderr, "shmbctl: the schema cannot be read from %s: %s\n", options->schema + 1, strerror(errno));
		return COMMAND_USAGE;
	}
	if (text && strcmp(text, found->schema) != 0)
		what = "--schema";
	else if (options->kind && strcmp(options->kind, found->kind) != 0)
		what = "--kind";
	else if (options->capacity && options->capacity != found->capacity)
		what = "--capacity";
	free(text);
	if (!what)
		return 0;
	fprintf(stderr,
		"shmbctl: %s: it is there, and another one than %s says (see `shmbctl info %s`): leave that out, or remove it first\n",
		options->names[0], what, options->names[0]);
	return COMMAND_USAGE;
}

static int publisher_open_as(struct publisher *publisher, struct shmb *broker, const char *name, const struct found *found)
{
	struct shmb_options common = { .capacity = found->capacity, .stamped = found->stamped };
	struct shmb_frame_options frame = { .stamped = found->stamped };

	/* What others laid out stays as they did. */
	if (found->is_there) {
		frame.history = SHMB_AS_IT_IS;
		if (strcmp(found->kind, "ring") == 0)
			common.capacity = SHMB_AS_IT_IS;
	}

	if (strcmp(found->kind, "value") == 0)
		return shmb_value_writer_open(&publisher->value, broker, name, publisher->type, &common);
	if (strcmp(found->kind, "ring") == 0)
		return shmb_ring_writer_open(&publisher->ring, broker, name, publisher->type, &common);
	if (strcmp(found->kind, "queue") == 0)
		return shmb_queue_producer_open(&publisher->queue, broker, name, publisher->type, &common);
	return shmb_frame_writer_open(&publisher->frame, broker, name, publisher->type, &frame);
}

int publisher_open(struct publisher *publisher, struct shmb *broker, const struct command_options *options)
{
	const char *name = options->names[0];
	struct found found = { .schema = NULL };
	int r = shmb_info(broker, name, publisher_look, &found);

	*publisher = (struct publisher){ 0 };
	if (r == -ENOENT) {
		r = publisher_describe(publisher, options, &found);
		if (r != 0)
			return r;
	} else if (r == 0) {
		r = publisher_compare(options, &found);
		if (r != 0) {
			free(found.schema);
			return r;
		}
		r = shmb_type_parse(&publisher->type, found.type, found.schema);
	}
	free(found.schema);
	if (r < 0)
		return command_fail(name, r);
	if (strcmp(found.kind, "value") != 0 && strcmp(found.kind, "ring") != 0 && strcmp(found.kind, "queue") != 0 &&
	    strcmp(found.kind, "frame") != 0) {
		char *kind = output_escape(found.kind);

		fprintf(stderr, "shmbctl: nothing is published to a %s: a value, ring, queue or frame is\n", kind ? kind : "?");
		free(kind);
		return COMMAND_USAGE;
	}
	r = publisher_open_as(publisher, broker, name, &found);
	return r < 0 ? command_fail(name, r) : 0;
}

void publisher_close(struct publisher *publisher)
{
	shmb_value_writer_close(publisher->value);
	shmb_ring_writer_close(publisher->ring);
	shmb_frame_writer_close(publisher->frame);
	shmb_queue_producer_close(publisher->queue);
	shmb_type_free(publisher->type);
}

int publisher_put(struct publisher *publisher, const void *payload, uint64_t deadline_ns)
{
	size_t capacity;
	void *place;
	int r;

	if (publisher->value)
		return shmb_value_store(publisher->value, payload);
	if (publisher->ring)
		return shmb_ring_insert(publisher->ring, payload);
	if (publisher->queue)
		return shmb_queue_push_until(publisher->queue, payload, deadline_ns);
	r = shmb_frame_loan(publisher->frame, &place, &capacity);
	if (r < 0)
		return r;
	memcpy(place, payload, publisher->type->size);
	return shmb_frame_commit(publisher->frame, publisher->type->size);
}
