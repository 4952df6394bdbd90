/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_PROGRAM_H
#define EXAMPLES_PROGRAM_H

/* What the examples share as programs: an orderly end at SIGINT and SIGTERM, numbers among their options. */

#include <signal.h>
#include <stdlib.h>

static volatile sig_atomic_t program_is_stopped;

static inline void program_stop(int signal)
{
	(void)signal;
	program_is_stopped = 1;
}

/* From here on these signals set program_is_stopped, and interrupt a call that waits. */
static inline void program_stop_at_signals(void)
{
	struct sigaction action = { .sa_handler = program_stop };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

/* A number between these; -1: it is none. */
static inline double program_number(const char *text, double low, double high)
{
	char *end;
	double value = strtod(text, &end);

	return end == text || *end || !(value >= low && value <= high) ? -1 : value;
}

#endif
