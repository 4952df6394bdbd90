/* SPDX-License-Identifier: MIT */
/* Users, their rates, their rows on the screen. */

#include "topusers.h"

#include "output.h"
#include "screen.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct look {
	const struct top_users *before;
	struct top_user *rows;
	size_t count;
	size_t space;
	uint64_t now_ns;
};

static int top_by_memory(const void *a, const void *b)
{
	const struct shmb_user_info *x = &((const struct top_user *)a)->info;
	const struct shmb_user_info *y = &((const struct top_user *)b)->info;

	if (x->is_total != y->is_total)
		return x->is_total ? -1 : 1;
	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

static void top_user_rate(const struct look *look, struct top_user *row)
{
	for (size_t i = 0; i < look->before->count; i++) {
		const struct top_user *before = &look->before->rows[i];

		if (before->info.uid != row->info.uid || before->info.is_total != row->info.is_total ||
		    row->looked_ns <= before->looked_ns || row->info.requests < before->info.requests)
			continue;
		row->has_rate = true;
		row->per_s = (double)(row->info.requests - before->info.requests) * 1e9 / (double)(row->looked_ns - before->looked_ns);
	}
}

static int top_user_visit(const struct shmb_user_info *info, void *user)
{
	struct look *look = user;

	if (look->count == look->space) {
		size_t space = look->space ? 2 * look->space : 16;
		struct top_user *rows = realloc(look->rows, space * sizeof(*rows));

		if (!rows)
			return -ENOMEM;
		look->rows = rows;
		look->space = space;
	}
	look->rows[look->count] = (struct top_user){ .info = *info, .looked_ns = look->now_ns };
	top_user_rate(look, &look->rows[look->count++]);
	return 0;
}

int top_users_look(struct top_users *users, struct shmb *broker)
{
	struct look look = { .before = users, .now_ns = shmb_now_ns() };
	int r = shmb_users(broker, top_user_visit, &look);

	if (r < 0) {
		free(look.rows);
		return r;
	}
	if (look.count)
		qsort(look.rows, look.count, sizeof(*look.rows), top_by_memory);
	free(users->rows);
	users->rows = look.rows;
	users->count = look.count;
	return 0;
}

void top_users_deinit(struct top_users *users)
{
	free(users->rows);
}

void top_users_draw(const struct top_users *users, int y, size_t room, size_t first)
{
	screen_print(y, 0, OUTPUT_DIM, "%10s %8s %9s %10s %10s %10s %10s %8s %10s", "UID", "CLIENTS", "SEGMENTS", "MEMORY", "OF",
		     "REQUESTS/s", "REQUESTS", "REFUSED", "OVER QUOTA");
	for (size_t i = 0; i < room && first + i < users->count; i++) {
		const struct top_user *row = &users->rows[first + i];
		char memory[OUTPUT_UNIT_SIZE];
		char most[OUTPUT_UNIT_SIZE] = "-";
		char rate[OUTPUT_UNIT_SIZE] = "-";
		char uid[16] = "all";

		if (!row->info.is_total)
			snprintf(uid, sizeof(uid), "%u", row->info.uid);
		if (row->info.bytes_max != UINT64_MAX)
			output_bytes(most, row->info.bytes_max);
		if (row->has_rate)
			snprintf(rate, sizeof(rate), "%.1f", row->per_s);
		screen_print(y + 1 + (int)i, 0, row->info.over_quota ? OUTPUT_WARN : OUTPUT_PLAIN,
			     "%10s %8u %9u %10s %10s %10s %10" PRIu64 " %8" PRIu64 " %10" PRIu64, uid, row->info.clients,
			     row->info.segments, output_bytes(memory, row->info.bytes), most, rate, row->info.requests, row->info.refusals,
			     row->info.over_quota);
	}
}
