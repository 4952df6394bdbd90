/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_DEMO_H
#define EXAMPLES_DEMO_H

/*
 * The demo's state. demo.c has options, beginning and end; demo_events.c takes in what the processes report; demo_story.c is what happens
 * in which order.
 */

#include "demo_child.h"
#include "demo_place.h"
#include "demo_report.h"
#include "demo_screen.h"

#include <stdbool.h>
#include <stdint.h>

enum { DEMO_READERS = SCREEN_READERS, DEMO_PRODUCERS = 2, DEMO_SEGMENTS = SCREEN_SEGMENTS, DEMO_NAME_MAX = 64 };
enum { DEMO_RATE = 200 }; /* samples a second of each ring */

/* A ring as its producers told: "publishing", "written". */
struct demo_segment {
	char name[DEMO_NAME_MAX];
	int producer;	/* index */
	uint64_t first; /* number that its present producer began with */
	uint64_t next;	/* one past the last ever written; valid when is_finished */
	bool is_finished;
};

struct demo_producer {
	struct child child;
	bool is_ready;
};

struct demo_reader {
	struct child child;
	bool is_opened[DEMO_SEGMENTS];
	bool is_closed[DEMO_SEGMENTS];
	struct demo_report dead[DEMO_SEGMENTS]; /* kind 0: not yet */
	struct demo_report resumed[DEMO_SEGMENTS];
	struct demo_report final[DEMO_SEGMENTS];
	struct demo_report final_sum;
	unsigned marks; /* complete ones */
	struct demo_report mark[2][DEMO_SEGMENTS];
	struct demo_report mark_sum[2];
};

struct demo {
	double seconds;
	bool is_corrupting;
	char daemon_path[4096];
	char sensors_path[4096];
	char reader_path[4096];

	struct place place;
	struct screen screen;
	int signal_fd;
	bool is_interrupted;
	bool is_failed;

	struct child daemon;
	struct demo_producer producers[DEMO_PRODUCERS];
	struct demo_reader readers[DEMO_READERS];
	struct demo_segment segments[DEMO_SEGMENTS];
	size_t segment_count;
	int successors; /* producers started after the first ones */

	struct place_files files_before; /* before the first client */
	struct place_files files_after;	 /* after the last one */
	int descriptors_before;

	uint64_t samples;
	uint64_t lost;
	uint64_t torn;
	uint64_t leaked;
};

/* Says why the demo cannot succeed any more. */
void demo_fail(struct demo *demo, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Takes in reports, notices ended processes and signals, draws, until that time. False when the demo has failed or was interrupted. */
bool demo_run_until(struct demo *demo, uint64_t until_ns);
/* The same until `is_done`; fails with "WHAT did not happen" after so many seconds. */
bool demo_run_for(struct demo *demo, bool (*is_done)(const struct demo *demo), double seconds, const char *what);

/* The whole story, from the first process to the last. False when something in it went wrong. */
bool demo_tell(struct demo *demo);

#endif
