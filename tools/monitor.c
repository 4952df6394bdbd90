/* SPDX-License-Identifier: MIT */
/* `shmbctl monitor`: what happens, as it happens. */

#include "command.h"
#include "json.h"
#include "output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *monitor_or_null(const char *text)
{
	return *text ? text : NULL;
}

static int monitor_json(const struct shmb_event *event)
{
	bool someone = event->pid != 0;

	return json_line(json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:o}", "time_ns", json_u64(event->time_ns), "kind",
				   event->kind, "segment", json_text(monitor_or_null(event->segment)), "pid",
				   someone ? json_integer(event->pid) : json_null(), "uid",
				   someone ? json_integer(event->uid) : json_null(), "comm", json_text(monitor_or_null(event->comm)),
				   "reason", json_text(monitor_or_null(event->reason)), "level", (json_int_t)event->level, "lost",
				   json_u64(event->lost), "text", json_text(event->text)));
}

static enum output_style monitor_style(const struct shmb_event *event)
{
	if (strcmp(event->kind, "writer-dead") == 0 || event->level <= 3)
		return OUTPUT_BAD;
	if (event->level <= 4)
		return OUTPUT_WARN;
	return event->level <= 5 ? OUTPUT_BOLD : OUTPUT_PLAIN;
}

static void monitor_line(const struct shmb_event *event)
{
	enum output_style style = monitor_style(event);
	time_t seconds = (time_t)(event->time_ns / 1000000000);
	struct tm local;
	char clock[32] = "?";

	if (localtime_r(&seconds, &local))
		strftime(clock, sizeof(clock), "%H:%M:%S", &local);
	printf("%s%s.%03u%s  %s%-14s%s  ", output_on(OUTPUT_DIM), clock, (unsigned)(event->time_ns / 1000000 % 1000),
	       output_off(OUTPUT_DIM), output_on(style), event->kind, output_off(style));
	output_text(event->text);
	putchar('\n');
}

int command_monitor(struct shmb *broker, const struct command_options *options)
{
	const char *pattern = options->name_count > 0 ? options->names[0] : NULL;
	struct shmb_watch *watch;
	uint64_t printed = 0;
	int r;

	(void)broker;
	r = shmb_watch_open(&watch, options->socket, pattern);
	while (r == 0 && (options->count == 0 || printed < options->count)) {
		struct shmb_event event;

		r = shmb_watch_next(watch, &event, SHMB_FOREVER);
		if (r < 0)
			break;
		if (options->json)
			r = monitor_json(&event);
		else
			monitor_line(&event);
		if (r == 0)
			r = output_flush();
		printed++;
	}
	shmb_watch_close(watch);
	return r < 0 ? command_fail(NULL, r) : COMMAND_OK;
}
