/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_DEMO_REPORT_H
#define EXAMPLES_DEMO_REPORT_H

/*
 * What a reader process of the demo tells it, through its standard output: fixed structs, each written whole (they are far below PIPE_BUF,
 * so those of several threads do not mix). Through its standard input it is told: DEMO_MARK answers at once with the counts
 * of this moment, DEMO_QUIT (or the end of the pipe) ends it with its last counts.
 */

#include <stdint.h>

enum demo_report_kind {
	DEMO_OPENED = 1, /* the segment is open */
	DEMO_TICK,	 /* counts, ten times a second */
	DEMO_MARKED,	 /* counts, as asked */
	DEMO_DEAD,	 /* woken: writer dead. `is_right`: the last value was still there, byte for byte */
	DEMO_RESUMED,	 /* the first sample of the next writer. `is_right`: its number follows the last */
	DEMO_CLOSED,	 /* the writer closed in order; all it wrote was read */
	DEMO_ENDED,	 /* cannot go on: `error` */
	DEMO_FINAL,	 /* counts at the end; percentiles are of the whole run */
};

#define DEMO_ALL UINT32_MAX /* as `segment`: all of them together */

enum { DEMO_MARK = 'm', DEMO_QUIT = 'q' };

struct demo_report {
	uint32_t kind;
	uint32_t segment; /* index in the reader's arguments */
	uint64_t at_ns;	  /* CLOCK_MONOTONIC */
	uint64_t samples;
	uint64_t lost; /* as the library counted */
	uint64_t torn; /* with a checksum that is wrong */
	uint64_t first;
	uint64_t last;
	uint64_t p50_ns;
	uint64_t p99_ns;
	uint64_t max_ns;
	uint64_t rate_mhz; /* thousandths of a sample a second */
	int32_t error;
	uint32_t is_right;
	uint32_t has_rate; /* rate and percentiles are known: a second is over */
	uint32_t reserved;
};
_Static_assert(sizeof(struct demo_report) == 104, "no hidden padding");

#endif
