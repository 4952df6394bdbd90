/* SPDX-License-Identifier: MIT */
/* Events go to the log, with fields and bounded by cause (rate.h), to the counts and to those who watch. */
#include "event.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "broker.h"
#include "journal.h"
#include "log.h"
#include "rate.h"

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

/* Bounded by cause: what a client or a broken disk can make happen again and again must not fill the journal. */
static struct rate rate;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool is_of_user(const struct event *event)
{
	return event->kind == EVENT_REFUSED || event->kind == EVENT_QUOTA;
}

/* Who made it happen: for a refusal its user, who can have any number of processes and make up any number of names; else the segment, the process, or what it is. */
static void cause_label(const struct event *event, char label[RATE_LABEL_MAX])
{
	if (is_of_user(event))
		snprintf(label, RATE_LABEL_MAX, "user %u", event->uid);
	else if (event->segment != NULL)
		snprintf(label, RATE_LABEL_MAX, "%s", event->segment);
	else if (event->pid != 0)
		snprintf(label, RATE_LABEL_MAX, "process %d", event->pid);
	else
		snprintf(label, RATE_LABEL_MAX, "%s", event->reason != NULL ? event->reason : "the broker");
}

static void tell_suppressed(const struct rate_cause *cause)
{
	char text[RATE_LABEL_MAX + 80];
	char count[16];
	struct journal_field fields[3];

	if (cause->suppressed == 0)
		return;
	snprintf(count, sizeof(count), "%u", cause->suppressed);
	fields[0] = (struct journal_field){ "MESSAGE_ID", kinds[cause->kind].id };
	fields[1] = (struct journal_field){ "SHMB_EVENT", kinds[cause->kind].name };
	fields[2] = (struct journal_field){ "SHMB_SUPPRESSED", count };
	snprintf(text, sizeof(text), "%s: %s more of '%s' were suppressed", cause->label, count, kinds[cause->kind].name);
	log_entry(kinds[cause->kind].level, fields, 3, text);
}

void event_flush(void)
{
	struct rate_cause cause;

	while (rate_due(&rate, 0, true, &cause))
		tell_suppressed(&cause);
}

static bool admit(const struct event *event)
{
	uint64_t now = now_ns();
	struct rate_cause cause;
	char label[RATE_LABEL_MAX];
	bool admitted;

	cause_label(event, label);
	admitted = rate_admit(&rate, (int)event->kind, label, now, &cause);
	tell_suppressed(&cause);
	while (rate_due(&rate, now, false, &cause))
		tell_suppressed(&cause);
	return admitted;
}

static void log_event(const struct event *event, const char *text)
{
	struct journal_field fields[LOG_FIELDS_MAX];
	char pid[16];
	char uid[16];
	unsigned count = 0;

	snprintf(pid, sizeof(pid), "%d", event->pid);
	snprintf(uid, sizeof(uid), "%u", event->uid);
	fields[count++] = (struct journal_field){ "MESSAGE_ID", kinds[event->kind].id };
	fields[count++] = (struct journal_field){ "SHMB_EVENT", kinds[event->kind].name };
	if (event->segment != NULL)
		fields[count++] = (struct journal_field){ "SHMB_SEGMENT", event->segment };
	if (event->pid != 0) {
		fields[count++] = (struct journal_field){ "SHMB_PID", pid };
		fields[count++] = (struct journal_field){ "SHMB_UID", uid };
	}
	if (event->reason != NULL)
		fields[count++] = (struct journal_field){ "SHMB_REASON", event->reason };
	log_entry(kinds[event->kind].level, fields, count, text);
}

/* Does anybody watch? */
static bool has_watchers(const struct broker *broker)
{
	return broker != NULL && broker->on_event != NULL && broker->watches.count > 0;
}

void event_tell(struct broker *broker, const struct event *event, const char *format, ...)
{
	bool is_wanted = log_is_wanted(kinds[event->kind].level);
	bool is_users = is_of_user(event);
	char text[512];
	int error = errno;
	bool is_admitted = (is_wanted || is_users) && admit(event);
	bool is_logged = is_wanted && is_admitted;
	/* Those who watch keep a bounded number of events, which a refused user must not use up. */
	bool is_watched = has_watchers(broker) && (is_admitted || !is_users);
	va_list args;

	if (broker != NULL)
		broker->events[event->kind]++;
	if (is_logged || is_watched) {
		va_start(args, format);
		vsnprintf(text, sizeof(text), format, args);
		va_end(args);
	}
	if (is_logged)
		log_event(event, text);
	if (is_watched)
		broker->on_event(broker, event, kinds[event->kind].level, text);
	errno = error;
}

const char *event_name(enum event_kind kind)
{
	return kind > 0 && kind < EVENT_KINDS ? kinds[kind].name : "unknown";
}
