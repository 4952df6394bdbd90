/* SPDX-License-Identifier: MIT */
/* The demo's output. The table is redrawn in place: the cursor goes up over its lines, the rest of the screen is cleared. */

#include "demo_screen.h"

#include "shmb.h"
#include "units.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { SCREEN_COLUMNS_MIN = 80, SCREEN_ROWS_MIN = 16, SCREEN_BAR = 30 };
#define SCREEN_TABLE_NS UINT64_C(200000000)
#define SCREEN_PROGRESS_NS UINT64_C(1000000000)

void screen_init(struct screen *screen, double seconds)
{
	const char *term = getenv("TERM");
	struct winsize window = { 0 };

	*screen = (struct screen){ .seconds = seconds };
	screen->is_terminal = isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0 &&
			      ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col >= SCREEN_COLUMNS_MIN &&
			      window.ws_row >= SCREEN_ROWS_MIN;
}

static void screen_erase(struct screen *screen)
{
	if (screen->lines)
		printf("\033[%uA\r\033[J", screen->lines);
	screen->lines = 0;
}

static double screen_seconds(const struct screen *screen)
{
	return screen->start_ns ? (double)(shmb_now_ns() - screen->start_ns) / 1e9 : 0;
}

/* "200 Hz", or "-" as long as nothing was measured; and latencies only where there were samples. */
static const char *screen_rate(char *out, const struct demo_report *report)
{
	if (report->has_rate)
		snprintf(out, UNITS_SIZE, "%.0f Hz", (double)report->rate_mhz / 1000);
	else
		snprintf(out, UNITS_SIZE, "-");
	return out;
}

static const char *screen_latency(char *out, const struct demo_report *report, uint64_t ns)
{
	if (report->rate_mhz)
		units_duration(out, ns);
	else
		snprintf(out, UNITS_SIZE, "-");
	return out;
}

static void screen_table(struct screen *screen)
{
	char rate[UNITS_SIZE], p50[UNITS_SIZE], p99[UNITS_SIZE];
	double now = screen_seconds(screen);
	int bar = (int)(SCREEN_BAR * now / screen->seconds);

	printf("\n\033[1m%-6s  %-18s  %8s  %8s  %9s  %9s  %5s  %5s\033[0m\n", "reader", "segment", "rate", "newest", "p50", "p99", "lost",
	       "torn");
	screen->lines = 2;
	for (int reader = 0; reader < SCREEN_READERS; reader++) {
		for (size_t i = 0; i < screen->segment_count; i++) {
			const struct demo_report *report = &screen->latest[reader][i];

			printf("%-6d  %-18.18s  %8s  %8" PRIu64 "  %9s  %9s  %5" PRIu64 "  %5" PRIu64 "\n", reader + 1, screen->segments[i],
			       screen_rate(rate, report), report->last, screen_latency(p50, report, report->p50_ns),
			       screen_latency(p99, report, report->p99_ns), report->lost, report->torn);
			screen->lines++;
		}
	}
	if (bar > SCREEN_BAR)
		bar = SCREEN_BAR;
	printf("[%.*s%*s] %.1f s   %s\n", bar, "##############################", SCREEN_BAR - bar, "", now, screen->processes);
	screen->lines++;
}

static void screen_progress(const struct screen *screen)
{
	char rate[UNITS_SIZE], p50[UNITS_SIZE], p99[UNITS_SIZE];

	printf("%6.1f s  ", screen_seconds(screen));
	for (int reader = 0; reader < SCREEN_READERS; reader++) {
		const struct demo_report *sum = &screen->sum[reader];

		printf("%sreader %d: %s, p50 %s, p99 %s, lost %" PRIu64, reader ? " | " : "", reader + 1, screen_rate(rate, sum),
		       screen_latency(p50, sum, sum->p50_ns), screen_latency(p99, sum, sum->p99_ns), sum->lost);
	}
	putchar('\n');
}

void screen_say(struct screen *screen, const char *format, ...)
{
	va_list arguments;

	if (screen->is_terminal)
		screen_erase(screen);
	if (screen->start_ns)
		printf("%6.1f s  ", screen_seconds(screen));
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
	if (screen->is_terminal && screen->has_table)
		screen_table(screen);
	fflush(stdout);
}

void screen_draw(struct screen *screen)
{
	uint64_t now = shmb_now_ns();

	if (!screen->drawn_ns)
		screen->drawn_ns = now; /* the first line comes when there is a second to tell of */
	if (!screen->has_table || now - screen->drawn_ns < (screen->is_terminal ? SCREEN_TABLE_NS : SCREEN_PROGRESS_NS))
		return;
	screen->drawn_ns = now;
	if (screen->is_terminal) {
		screen_erase(screen);
		screen_table(screen);
	} else if (screen->sum[0].has_rate && screen->sum[1].has_rate) {
		screen_progress(screen);
	}
	fflush(stdout);
}

void screen_end(struct screen *screen)
{
	/* the last table stays on the screen */
	screen->has_table = false;
	screen->lines = 0;
	if (screen->is_terminal)
		putchar('\n');
}
