/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_HOST_SOURCE_IMPL_H
#define EXAMPLES_HOST_SOURCE_IMPL_H

/* What every source begins with; for the files that make sources. */

#include "host_source.h"

struct host_source {
	const struct shmb_type *type;
	double rate_max;
	int (*read)(struct host_source *source, void *payload);
	void (*close)(struct host_source *source);
};

/* Temperatures and what else the kernel's hwmon and thermal classes measure. As host_source_open(). */
int host_temperature_open(struct host_source **out, const char *root);

#endif
