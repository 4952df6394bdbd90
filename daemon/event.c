/* SPDX-License-Identifier: MIT */
/* Events become log lines. */
#include "event.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "log.h"

static const struct {
	const char *name;
	enum log_level level;
} kinds[EVENT_KINDS] = {
	[EVENT_CREATED] = { "created", LOG_LEVEL_INFO },
	[EVENT_ADOPTED] = { "adopted", LOG_LEVEL_INFO },
	[EVENT_WRITER_UP] = { "writer-up", LOG_LEVEL_INFO },
	[EVENT_WRITER_CLOSED] = { "writer-closed", LOG_LEVEL_INFO },
	[EVENT_WRITER_GONE] = { "writer-gone", LOG_LEVEL_NOTICE },
	[EVENT_WRITER_DEAD] = { "writer-dead", LOG_LEVEL_NOTICE },
	[EVENT_WRITER_HUNG] = { "writer-hung", LOG_LEVEL_WARNING },
	[EVENT_WRITER_STOPPED] = { "writer-stopped", LOG_LEVEL_NOTICE },
	[EVENT_WRITER_TRACED] = { "writer-traced", LOG_LEVEL_NOTICE },
	[EVENT_WRITER_DUMPING] = { "writer-dumping", LOG_LEVEL_NOTICE },
	[EVENT_WRITER_ALIVE] = { "writer-alive", LOG_LEVEL_NOTICE },
	[EVENT_REPLACED] = { "replaced", LOG_LEVEL_NOTICE },
	[EVENT_READER_JOINED] = { "reader-joined", LOG_LEVEL_DEBUG },
	[EVENT_READER_LEFT] = { "reader-left", LOG_LEVEL_DEBUG },
	[EVENT_REPAIRED] = { "repaired", LOG_LEVEL_NOTICE },
	[EVENT_REMOVED] = { "removed", LOG_LEVEL_NOTICE },
	[EVENT_REAPED] = { "reaped", LOG_LEVEL_NOTICE },
	[EVENT_IGNORED] = { "ignored", LOG_LEVEL_WARNING },
	[EVENT_POLICY] = { "policy", LOG_LEVEL_NOTICE },
	[EVENT_QUOTA] = { "quota", LOG_LEVEL_WARNING },
	[EVENT_REFUSED] = { "refused", LOG_LEVEL_NOTICE },
};

void event_tell(struct broker *broker, const struct event *event, const char *format, ...)
{
	char text[512];
	int error = errno;
	va_list args;

	(void)broker;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_line(kinds[event->kind].level, "%s", text);
	errno = error;
}

const char *event_name(enum event_kind kind)
{
	return kind > 0 && kind < EVENT_KINDS ? kinds[kind].name : "unknown";
}
