/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_UNITS_H
#define EXAMPLES_UNITS_H

/* Durations for people: "850 ns", "12.3 us", "4.5 ms", "1.2 s". */

#include <stdint.h>
#include <stdio.h>

enum { UNITS_SIZE = 32 };

static inline const char *units_duration(char *out, uint64_t ns)
{
	if (ns < 1000)
		snprintf(out, UNITS_SIZE, "%u ns", (unsigned)ns);
	else if (ns < 1000000)
		snprintf(out, UNITS_SIZE, "%.1f us", (double)ns / 1e3);
	else if (ns < 1000000000)
		snprintf(out, UNITS_SIZE, "%.1f ms", (double)ns / 1e6);
	else
		snprintf(out, UNITS_SIZE, "%.1f s", (double)ns / 1e9);
	return out;
}

#endif
