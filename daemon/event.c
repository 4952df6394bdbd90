/* SPDX-License-Identifier: MIT */
/* Events go to the log, to the counts and to those who watch. */
#include "event.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "broker.h"
#include "log.h"

static const struct {
	const char *name;
	enum log_level level;
	const char *id; /* of its journal entries; systemd/shmbroker.catalog explains them */
} kinds[EVENT_KINDS] = {
	[EVENT_CREATED] = { "created", LOG_LEVEL_INFO, "10578794aba445348feb4b00d7bb3ce3" },
	[EVENT_ADOPTED] = { "adopted", LOG_LEVEL_INFO, "e34eaa35cbf440cc9947244cfdb65a5b" },
	[EVENT_WRITER_UP] = { "writer-up", LOG_LEVEL_INFO, "d2781845d7c04c54af6653c3d7673cb6" },
	[EVENT_WRITER_CLOSED] = { "writer-closed", LOG_LEVEL_INFO, "3e2341dc926a4fb68085f5bcd74797a2" },
	[EVENT_WRITER_GONE] = { "writer-gone", LOG_LEVEL_NOTICE, "6c399aaffc8241f7910a32cee38cd9b3" },
	[EVENT_WRITER_DEAD] = { "writer-dead", LOG_LEVEL_NOTICE, "476d7a0c72604238af4552db2e6cfc10" },
	[EVENT_WRITER_HUNG] = { "writer-hung", LOG_LEVEL_WARNING, "0b5aa6c050f74f2fa8dec1fccd998946" },
	[EVENT_WRITER_STOPPED] = { "writer-stopped", LOG_LEVEL_NOTICE, "1d79e7a6dcc64d0e8633a0322b28738e" },
	[EVENT_WRITER_TRACED] = { "writer-traced", LOG_LEVEL_NOTICE, "b9382258f4694e3792bbd8616bc02c9d" },
	[EVENT_WRITER_DUMPING] = { "writer-dumping", LOG_LEVEL_NOTICE, "c90e19458f924fd9b7a0d3eb6595db4a" },
	[EVENT_WRITER_ALIVE] = { "writer-alive", LOG_LEVEL_NOTICE, "c6ce8eeeba094155a4ddc3d2f20324cf" },
	[EVENT_REPLACED] = { "replaced", LOG_LEVEL_NOTICE, "d4cfc8fcbc844262835a3721c43e5648" },
	[EVENT_READER_JOINED] = { "reader-joined", LOG_LEVEL_DEBUG, "0c560ec500e24b05a1f95ef5c1c57204" },
	[EVENT_READER_LEFT] = { "reader-left", LOG_LEVEL_DEBUG, "007ae10dc648447c91d3f1ef08a42ca6" },
	[EVENT_REPAIRED] = { "repaired", LOG_LEVEL_NOTICE, "475d1094c225417397b3b0275a56bf0a" },
	[EVENT_REMOVED] = { "removed", LOG_LEVEL_NOTICE, "94f357e297f7419fad1f3c89676c4522" },
	[EVENT_REAPED] = { "reaped", LOG_LEVEL_NOTICE, "54d89a432c8244c0b0f31ac146fbddbd" },
	[EVENT_IGNORED] = { "ignored", LOG_LEVEL_WARNING, "e4cdf45f1ebf43afa6becced45683561" },
	[EVENT_POLICY] = { "policy", LOG_LEVEL_NOTICE, "2cfa154f7a944a7188b21f63d7e2989a" },
	[EVENT_QUOTA] = { "quota", LOG_LEVEL_WARNING, "75dbac2a7f9e49319b7855fec16f3779" },
	[EVENT_REFUSED] = { "refused", LOG_LEVEL_NOTICE, "555a8846226346ccba842bab12e0ef41" },
};

void event_tell(struct broker *broker, const struct event *event, const char *format, ...)
{
	char text[512];
	int error = errno;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_line(kinds[event->kind].level, "%s", text);
	if (broker != NULL) {
		broker->events[event->kind]++;
		if (broker->on_event != NULL)
			broker->on_event(broker, event, kinds[event->kind].level, text);
	}
	errno = error;
}

const char *event_name(enum event_kind kind)
{
	return kind > 0 && kind < EVENT_KINDS ? kinds[kind].name : "unknown";
}
