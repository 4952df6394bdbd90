/* SPDX-License-Identifier: MIT */
/* Connections, their rates, their rows on the screen. */

#include "topclients.h"

#include "output.h"
#include "screen.h"
#include "segment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct look {
	const struct top_clients *before;
	struct top_client *rows;
	size_t count;
	size_t space;
	uint64_t now_ns;
};

static int top_by_request_rate(const void *a, const void *b)
{
	const struct top_client *x = a;
	const struct top_client *y = b;

	if (x->per_s != y->per_s)
		return x->per_s > y->per_s ? -1 : 1;
	return x->id > y->id ? -1 : x->id < y->id;
}

/* Some hundreds at most: no index is worth it. */
static void top_client_rate(const struct look *look, struct top_client *row)
{
	for (size_t i = 0; i < look->before->count; i++) {
		const struct top_client *before = &look->before->rows[i];

		if (before->id != row->id || row->looked_ns <= before->looked_ns || row->requests < before->requests)
			continue;
		row->has_rate = true;
		row->per_s = (double)(row->requests - before->requests) * 1e9 / (double)(row->looked_ns - before->looked_ns);
	}
}

static int top_client_visit(const struct shmb_client_info *client, void *user)
{
	struct look *look = user;
	struct top_client *row;

	if (look->count == look->space) {
		size_t space = look->space ? 2 * look->space : 64;
		struct top_client *rows = realloc(look->rows, space * sizeof(*rows));

		if (!rows)
			return -ENOMEM;
		look->rows = rows;
		look->space = space;
	}
	row = &look->rows[look->count++];
	*row = (struct top_client){ .id = client->id,
				    .looked_ns = look->now_ns,
				    .connected_ns = client->connected_ns,
				    .requests = client->requests,
				    .refusals = client->refusals,
				    .bytes = client->bytes,
				    .pid = client->pid,
				    .uid = client->uid };
	snprintf(row->comm, sizeof(row->comm), "%s", client->comm);
	for (uint32_t i = 0; i < client->handle_count; i++) {
		bool writes = client->handles[i].role == SHMB_HANDLE_WRITES || client->handles[i].role == SHMB_HANDLE_SHARES;

		row->writes += writes;
		row->reads += !writes;
	}
	top_client_rate(look, row);
	return 0;
}

int top_clients_look(struct top_clients *clients, struct shmb *broker)
{
	struct look look = { .before = clients, .now_ns = shmb_now_ns() };
	int r = shmb_clients(broker, top_client_visit, &look);

	if (r < 0) {
		free(look.rows);
		return r;
	}
	if (look.count)
		qsort(look.rows, look.count, sizeof(*look.rows), top_by_request_rate);
	free(clients->rows);
	clients->rows = look.rows;
	clients->count = look.count;
	return 0;
}

void top_clients_deinit(struct top_clients *clients)
{
	free(clients->rows);
}

void top_clients_draw(const struct top_clients *clients, int y, size_t room, size_t first)
{
	screen_print(y, 0, OUTPUT_DIM, "%8s %8s  %-16s %12s %10s %10s %8s %7s %7s %10s", "PID", "UID", "PROGRAM", "CONNECTED", "REQUESTS/s",
		     "REQUESTS", "REFUSED", "WRITES", "READS", "MEMORY");
	for (size_t i = 0; i < room && first + i < clients->count; i++) {
		const struct top_client *row = &clients->rows[first + i];
		char age[OUTPUT_UNIT_SIZE];
		char memory[OUTPUT_UNIT_SIZE];
		char rate[OUTPUT_UNIT_SIZE] = "-";

		if (row->has_rate)
			snprintf(rate, sizeof(rate), "%.1f", row->per_s);
		screen_print(y + 1 + (int)i, 0, OUTPUT_PLAIN, "%8d %8u  %-16s %12s %10s %10" PRIu64 " %8" PRIu64 " %7u %7u %10s",
			     (int)row->pid, row->uid, row->comm, output_duration(age, segment_age_ns(row->connected_ns)), rate,
			     row->requests, row->refusals, row->writes, row->reads, output_bytes(memory, row->bytes));
	}
}
