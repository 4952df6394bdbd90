/* SPDX-License-Identifier: MIT */
/* `shmbctl users`: what each user has, and what its quotas are. */

#include "command.h"
#include "json.h"
#include "output.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

static const struct output_column users_columns[] = {
	{ "UID", true },      { "CLIENTS", true }, { "SEGMENTS", true },   { "MEMORY", true },
	{ "REQUESTS", true }, { "REFUSED", true }, { "OVER QUOTA", true }, { "QUOTAS", false },
};

json_t *command_user_json(const struct shmb_user_info *info)
{
	return json_pack("{s:o, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "uid",
			 info->is_total ? json_null() : json_integer(info->uid), "clients", (json_int_t)info->clients, "segments",
			 (json_int_t)info->segments, "bytes", json_u64(info->bytes), "requests", json_u64(info->requests), "refusals",
			 json_u64(info->refusals), "over_quota", json_u64(info->over_quota), "bytes_max", json_u64(info->bytes_max),
			 "segments_max", json_u64(info->segments_max), "clients_max", json_u64(info->clients_max), "request_rate",
			 json_u64(info->request_rate));
}

/* "64 MiB, 10 segments, 5 clients, 1000 requests/s", or "-" */
static void users_quotas(const struct shmb_user_info *info, char *out, size_t size)
{
	char bytes[OUTPUT_UNIT_SIZE];
	const struct {
		uint64_t max;
		const char *what;
	} quotas[] = { { info->segments_max, "segments" }, { info->clients_max, "clients" }, { info->request_rate, "requests/s" } };
	size_t at = 0;

	if (info->bytes_max != UINT64_MAX)
		at = (size_t)snprintf(out, size, "%s", output_bytes(bytes, info->bytes_max));
	for (size_t i = 0; i < sizeof(quotas) / sizeof(quotas[0]); i++) {
		if (quotas[i].max != UINT64_MAX)
			at += (size_t)snprintf(out + at, size - at, "%s%" PRIu64 " %s", at ? ", " : "", quotas[i].max, quotas[i].what);
	}
	if (at == 0)
		snprintf(out, size, "-");
}

static int users_visit(const struct shmb_user_info *info, void *user)
{
	struct output_table *table = user;
	char text[OUTPUT_UNIT_SIZE];
	char quotas[160];

	if (!table)
		return json_line(command_user_json(info));
	users_quotas(info, quotas, sizeof(quotas));
	if (info->is_total)
		output_table_cell(table, OUTPUT_DIM, "all");
	else
		output_table_cell(table, OUTPUT_PLAIN, "%u", info->uid);
	output_table_cell(table, OUTPUT_PLAIN, "%u", info->clients);
	output_table_cell(table, OUTPUT_PLAIN, "%u", info->segments);
	output_table_cell(table, OUTPUT_PLAIN, "%s", output_bytes(text, info->bytes));
	output_table_cell(table, OUTPUT_PLAIN, "%" PRIu64, info->requests);
	output_table_cell(table, OUTPUT_PLAIN, "%" PRIu64, info->refusals);
	output_table_cell(table, info->over_quota ? OUTPUT_WARN : OUTPUT_PLAIN, "%" PRIu64, info->over_quota);
	output_table_cell(table, OUTPUT_PLAIN, "%s", quotas);
	return 0;
}

int command_users(struct shmb *broker, const struct command_options *options)
{
	struct output_table *table = NULL;
	int r;

	if (!options->json) {
		table = output_table_new(users_columns, sizeof(users_columns) / sizeof(users_columns[0]));
		if (!table)
			return command_fail(NULL, -ENOMEM);
	}
	r = shmb_users(broker, users_visit, table);
	if (r == 0 && table)
		r = output_table_print(table, !options->no_legend);
	output_table_free(table);
	return r < 0 ? command_fail(NULL, r) : COMMAND_OK;
}
