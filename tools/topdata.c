/* SPDX-License-Identifier: MIT */
/* Figures, rates, order. */

#include "topdata.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const sort_names[TOP_SORTS] = {
	[TOP_BY_NAME] = "name", [TOP_BY_RATE] = "rate",	      [TOP_BY_BYTES] = "bytes",	  [TOP_BY_LAG] = "lag",
	[TOP_BY_LOST] = "lost", [TOP_BY_READERS] = "readers", [TOP_BY_MEMORY] = "memory",
};

const char *top_sort_name(enum top_sort sort)
{
	return sort < TOP_SORTS ? sort_names[sort] : NULL;
}

int top_sort_find(const char *name, enum top_sort *out)
{
	for (int i = 0; i < TOP_SORTS; i++) {
		if (strcmp(sort_names[i], name) == 0) {
			*out = (enum top_sort)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* One look: rows as they come. */
struct look {
	const struct top_data *data;
	struct top_row *rows;
	size_t count;
	size_t space;
	uint64_t memory;
};

static int top_by_id(const void *a, const void *b)
{
	const struct top_row *x = a;
	const struct top_row *y = b;

	if (x->segment_id != y->segment_id)
		return x->segment_id < y->segment_id ? -1 : 1;
	return x->generation < y->generation ? -1 : x->generation > y->generation;
}

static int top_visit(const struct shmb_figures *figures, void *user)
{
	struct look *look = user;
	struct top_row *row;

	if (look->count == look->space) {
		size_t space = look->space ? 2 * look->space : 64;
		struct top_row *rows = realloc(look->rows, space * sizeof(*rows));

		if (!rows)
			return -ENOMEM;
		look->rows = rows;
		look->space = space;
	}
	look->memory += figures->bytes;
	if (!strstr(figures->name, look->data->filter))
		return 0;
	row = &look->rows[look->count++];
	*row = (struct top_row){
		.writer = figures->writer,
		.writer_pid = figures->writer_pid,
		.lag_pid = figures->lag_pid,
		.readers = figures->readers,
		.segment_id = figures->segment_id,
		.generation = figures->generation,
		.looked_ns = figures->looked_ns,
		.memory = figures->bytes,
		.payload_bytes = figures->payload_bytes,
		.next = figures->next,
		.lost = figures->lost,
		.lag = figures->lag,
	};
	snprintf(row->name, sizeof(row->name), "%s", figures->name);
	snprintf(row->kind, sizeof(row->kind), "%s", figures->kind);
	snprintf(row->writer_comm, sizeof(row->writer_comm), "%s", figures->writer_comm);
	return 0;
}

/* Rates against the rows of the look before, which are in the order of their ids. */
static void top_rates(struct look *look)
{
	for (size_t i = 0; i < look->count; i++) {
		struct top_row *row = &look->rows[i];
		const struct top_row *before =
			look->data->count ? bsearch(row, look->data->rows, look->data->count, sizeof(*row), top_by_id) : NULL;
		double seconds;

		if (!before || row->looked_ns <= before->looked_ns || row->next == UINT64_MAX || row->next < before->next)
			continue;
		seconds = (double)(row->looked_ns - before->looked_ns) / 1e9;
		row->has_rate = true;
		row->per_s = (double)(row->next - before->next) / seconds;
		row->bytes_per_s = row->per_s * (double)row->payload_bytes;
		/* a reader that has left takes its losses with it */
		row->lost_per_s = row->lost > before->lost ? (double)(row->lost - before->lost) / seconds : 0;
	}
}

int top_data_look(struct top_data *data, struct shmb *broker)
{
	struct look look = { .data = data };
	int r = shmb_figures(broker, NULL, top_visit, &look);

	if (r < 0) {
		free(look.rows);
		return r;
	}
	if (data->count)
		qsort(data->rows, data->count, sizeof(*data->rows), top_by_id);
	top_rates(&look);
	free(data->rows);
	data->rows = look.rows;
	data->count = look.count;
	data->memory = look.memory;
	top_data_sort(data);
	return 0;
}

static int top_by_number(double a, double b)
{
	return a > b ? -1 : a < b;
}

static int top_compare(const void *a, const void *b, void *user)
{
	const struct top_data *data = user;
	const struct top_row *x = a;
	const struct top_row *y = b;
	int order = 0;

	switch (data->sort) {
	case TOP_BY_RATE:
		order = top_by_number(x->per_s, y->per_s);
		break;
	case TOP_BY_BYTES:
		order = top_by_number(x->bytes_per_s, y->bytes_per_s);
		break;
	case TOP_BY_LAG:
		order = top_by_number(x->lag == UINT64_MAX ? -1 : (double)x->lag, y->lag == UINT64_MAX ? -1 : (double)y->lag);
		break;
	case TOP_BY_LOST:
		order = top_by_number(x->lost_per_s, y->lost_per_s);
		if (order == 0)
			order = top_by_number((double)x->lost, (double)y->lost);
		break;
	case TOP_BY_READERS:
		order = top_by_number(x->readers, y->readers);
		break;
	case TOP_BY_MEMORY:
		order = top_by_number((double)x->memory, (double)y->memory);
		break;
	default:
		break;
	}
	if (order == 0)
		order = strcmp(x->name, y->name);
	return data->is_reversed ? -order : order;
}

void top_data_sort(struct top_data *data)
{
	if (data->count)
		qsort_r(data->rows, data->count, sizeof(*data->rows), top_compare, data);
}

void top_data_deinit(struct top_data *data)
{
	free(data->rows);
}
