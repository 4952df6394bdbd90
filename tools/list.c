/* SPDX-License-Identifier: MIT */
/* `shmbctl list`: all segments as a table, or one JSON object a line. */

#include "command.h"
#include "json.h"
#include "output.h"
#include "segment.h"

#include <errno.h>
#include <stdio.h>

struct list {
	struct output_table *table; /* NULL: JSON */
	uint64_t segments;
	uint64_t bytes;
};

static const struct output_column list_columns[] = {
	{ "NAME", false },  { "KIND", false }, { "TYPE", false },   { "PAYLOAD", true }, { "CAPACITY", true },
	{ "MEMORY", true }, { "AGE", true },   { "READERS", true }, { "WRITER", false },
};

static int list_visit(const struct shmb_segment_info *info, void *user)
{
	struct list *list = user;
	char payload[OUTPUT_UNIT_SIZE];
	char memory[OUTPUT_UNIT_SIZE];
	char age[OUTPUT_UNIT_SIZE];

	list->segments++;
	list->bytes += info->bytes;
	if (!list->table)
		return json_line(segment_json(info));
	output_table_cell(list->table, OUTPUT_PLAIN, "%s", info->name);
	output_table_cell(list->table, OUTPUT_PLAIN, "%s", info->kind);
	output_table_cell(list->table, OUTPUT_PLAIN, "%s", info->type);
	output_table_cell(list->table, OUTPUT_PLAIN, "%s", output_bytes(payload, info->payload_bytes));
	output_table_cell(list->table, OUTPUT_PLAIN, "%u", info->capacity);
	output_table_cell(list->table, OUTPUT_PLAIN, "%s", output_bytes(memory, info->bytes));
	output_table_cell(list->table, OUTPUT_PLAIN, "%s", output_duration(age, segment_age_ns(info->created_ns)));
	output_table_cell(list->table, OUTPUT_PLAIN, "%u", info->readers);
	if (info->writer_pid)
		output_table_cell(list->table, segment_writer_style(info->writer), "%s %d %s", command_writer_word(info->writer),
				  (int)info->writer_pid, info->writer_comm);
	else
		output_table_cell(list->table, segment_writer_style(info->writer), "%s", command_writer_word(info->writer));
	return 0;
}

int command_list(struct shmb *broker, const struct command_options *options)
{
	struct list list = { 0 };
	char memory[OUTPUT_UNIT_SIZE];
	int r;

	if (!options->json) {
		list.table = output_table_new(list_columns, sizeof(list_columns) / sizeof(list_columns[0]));
		if (!list.table)
			return command_fail(NULL, -ENOMEM);
	}
	r = shmb_list(broker, list_visit, &list);
	if (r == 0 && list.table && list.segments)
		r = output_table_print(list.table, !options->no_legend);
	output_table_free(list.table);
	if (r < 0)
		return command_fail(NULL, r);
	if (!options->json && !options->no_legend) {
		if (list.segments)
			printf("\n%llu segment%s, %s\n", (unsigned long long)list.segments, list.segments == 1 ? "" : "s",
			       output_bytes(memory, list.bytes));
		else
			puts("no segments");
	}
	return COMMAND_OK;
}
