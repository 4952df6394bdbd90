/* SPDX-License-Identifier: MIT */
/* `shmbctl clients`: who is connected to the daemon, and what each has open. */

#include "command.h"
#include "json.h"
#include "output.h"
#include "segment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct clients {
	struct output_table *table; /* NULL: JSON */
	uint64_t clients;
};

static const struct output_column clients_columns[] = {
	{ "PID", true },      { "UID", true },	   { "PROGRAM", false }, { "CONNECTED", true },
	{ "REQUESTS", true }, { "REFUSED", true }, { "MEMORY", true },	 { "HOLDS", false },
};

const char *command_role_word(enum shmb_handle_role role)
{
	switch (role) {
	case SHMB_HANDLE_WRITES:
		return "writes";
	case SHMB_HANDLE_READS:
		return "reads";
	case SHMB_HANDLE_OBSERVES:
		return "observes";
	case SHMB_HANDLE_CONSUMES:
		return "consumes";
	case SHMB_HANDLE_SHARES:
		return "shares";
	}
	return "has";
}

static int clients_json(const struct shmb_client_info *client)
{
	json_t *handles = json_array();

	for (uint32_t i = 0; i < client->handle_count; i++)
		json_array_append_new(handles, json_pack("{s:s, s:o}", "role", command_role_word(client->handles[i].role), "segment",
							 json_text(client->handles[i].segment)));
	return json_line(json_pack("{s:o, s:i, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:b, s:o}", "id", json_u64(client->id), "pid",
				   (int)client->pid, "uid", (json_int_t)client->uid, "gid", (json_int_t)client->gid, "comm",
				   json_text(client->comm), "connected_ns", json_u64(client->connected_ns), "requests",
				   json_u64(client->requests), "refusals", json_u64(client->refusals), "bytes", json_u64(client->bytes),
				   "watches", client->watches, "handles", handles));
}

/* "writes a, b; reads c" */
static char *clients_handles(const struct shmb_client_info *client)
{
	static const enum shmb_handle_role roles[] = { SHMB_HANDLE_WRITES, SHMB_HANDLE_SHARES, SHMB_HANDLE_CONSUMES, SHMB_HANDLE_READS,
						       SHMB_HANDLE_OBSERVES };
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);
	const char *between = "";

	if (!out)
		return NULL;
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		bool is_first = true;

		for (uint32_t j = 0; j < client->handle_count; j++) {
			if (client->handles[j].role != roles[i])
				continue;
			if (is_first)
				fprintf(out, "%s%s %s", between, command_role_word(roles[i]), client->handles[j].segment);
			else
				fprintf(out, ", %s", client->handles[j].segment);
			is_first = false;
			between = "; ";
		}
	}
	if (client->watches)
		fprintf(out, "%swatches", between);
	return fclose(out) == 0 ? text : NULL;
}

static int clients_visit(const struct shmb_client_info *client, void *user)
{
	struct clients *clients = user;
	char text[OUTPUT_UNIT_SIZE];
	char *handles;

	clients->clients++;
	if (!clients->table)
		return clients_json(client);
	handles = clients_handles(client);
	output_table_cell(clients->table, OUTPUT_PLAIN, "%d", (int)client->pid);
	output_table_cell(clients->table, OUTPUT_PLAIN, "%u", client->uid);
	output_table_cell(clients->table, OUTPUT_PLAIN, "%s", client->comm);
	output_table_cell(clients->table, OUTPUT_PLAIN, "%s", output_duration(text, segment_age_ns(client->connected_ns)));
	output_table_cell(clients->table, OUTPUT_PLAIN, "%" PRIu64, client->requests);
	output_table_cell(clients->table, client->refusals ? OUTPUT_WARN : OUTPUT_PLAIN, "%" PRIu64, client->refusals);
	output_table_cell(clients->table, OUTPUT_PLAIN, "%s", output_bytes(text, client->bytes));
	output_table_cell(clients->table, OUTPUT_PLAIN, "%s", handles == NULL ? "?" : *handles == '\0' ? "-" : handles);
	free(handles);
	return 0;
}

int command_clients(struct shmb *broker, const struct command_options *options)
{
	struct clients clients = { 0 };
	int r;

	if (!options->json) {
		clients.table = output_table_new(clients_columns, sizeof(clients_columns) / sizeof(clients_columns[0]));
		if (!clients.table)
			return command_fail(NULL, -ENOMEM);
	}
	r = shmb_clients(broker, clients_visit, &clients);
	if (r == 0 && clients.table)
		r = output_table_print(clients.table, !options->no_legend);
	output_table_free(clients.table);
	if (r < 0)
		return command_fail(NULL, r);
	if (!options->json && !options->no_legend)
		printf("\n%" PRIu64 " client%s, this command among them\n", clients.clients, clients.clients == 1 ? "" : "s");
	return COMMAND_OK;
}
