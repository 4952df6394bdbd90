/* SPDX-License-Identifier: MIT */
#ifndef SHMBCTL_SEGMENT_H
#define SHMBCTL_SEGMENT_H

/* What `list` and `info` have in common about a segment. */

#include "json.h"
#include "output.h"
#include "shmb.h"

/* The keys that describe a segment, in an object of their own; NULL without memory. */
json_t *segment_json(const struct shmb_segment_info *info);
/* Colour of a writer's condition. */
enum output_style segment_writer_style(enum shmb_writer_condition condition);
/* Age from a CLOCK_REALTIME time, 0 if that lies ahead. */
uint64_t segment_age_ns(uint64_t realtime_ns);

#endif
