/* SPDX-License-Identifier: MIT */
#ifndef SHMBCTL_TOPDATA_H
#define SHMBCTL_TOPDATA_H

/* What `top` shows: the figures of all segments, with rates against the look before, in an order. Knows no screen. */

#include "shmb.h"

#include <stdbool.h>

enum top_sort {
	TOP_BY_NAME,
	TOP_BY_RATE,
	TOP_BY_BYTES,
	TOP_BY_LAG,
	TOP_BY_LOST,
	TOP_BY_READERS,
	TOP_BY_MEMORY,
	TOP_SORTS,
};

/* "name", "rate", ...: what --sort takes. NULL behind the last. */
const char *top_sort_name(enum top_sort sort);
/* -EINVAL: no such name. */
int top_sort_find(const char *name, enum top_sort *out);

struct top_row {
	char name[208];
	char kind[16];
	char writer_comm[32];
	enum shmb_writer_condition writer;
	int32_t writer_pid;
	int32_t lag_pid;
	uint32_t readers;
	uint64_t segment_id;
	uint64_t generation;
	uint64_t looked_ns;
	uint64_t memory;
	uint64_t payload_bytes;
	uint64_t next; /* UINT64_MAX: has no numbers */
	uint64_t lost;
	uint64_t lag; /* UINT64_MAX: unknown */
	bool has_rate;
	double per_s;
	double bytes_per_s; /* full payloads are assumed */
	double lost_per_s;
};

struct top_data {
	struct top_row *rows;
	size_t count;
	uint64_t memory;
	enum top_sort sort;
	bool is_reversed;
	char filter[64]; /* shown are names that contain it */
};

/* Looks at all segments. On an error the rows stay as they were. Errors of shmb_figures(), -ENOMEM. */
int top_data_look(struct top_data *data, struct shmb *broker);
void top_data_sort(struct top_data *data);
void top_data_deinit(struct top_data *data);

#endif
