/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_EVENT_H
#define SHMB_DAEMON_EVENT_H

/*
 * What happens to segments, told once and to everybody who keeps account of it: the log, where each event is a line of its kind's level
 * with fields for programs; clients that watch (watch.h); the counts of the metrics. In the journal the fields
 * are MESSAGE_ID (one for each kind, explained in systemd/shmbroker.catalog), SHMB_EVENT, SHMB_SEGMENT, SHMB_PID, SHMB_UID, SHMB_REASON. Of one
 * cause (kind and segment, or kind and user for refusals) at most 20 in 10 s are logged; how many were not is said later, with SHMB_SUPPRESSED.
 */

#include <stdint.h>

struct broker;

enum event_kind {
	EVENT_CREATED = 1,
	EVENT_ADOPTED,	      /* taken over from the daemon before */
	EVENT_WRITER_UP,      /* a lease granted */
	EVENT_WRITER_CLOSED,  /* closed in order */
	EVENT_WRITER_GONE,    /* let go of it but lives */
	EVENT_WRITER_DEAD,    /* its process ended; repaired */
	EVENT_WRITER_HUNG,    /* nothing published for the stale time */
	EVENT_WRITER_STOPPED, /* the same, and the kernel says stopped */
	EVENT_WRITER_TRACED,  /* the same, in a debugger */
	EVENT_WRITER_DUMPING, /* in the middle of a core dump */
	EVENT_WRITER_ALIVE,   /* publishes again */
	EVENT_REPLACED,	      /* a new generation */
	EVENT_READER_JOINED,
	EVENT_READER_LEFT,
	EVENT_REPAIRED, /* something a crash left half-done was mended */
	EVENT_REMOVED,	/* by request */
	EVENT_REAPED,	/* by policy */
	EVENT_IGNORED,	/* a file that is not what it should be; left alone */
	EVENT_POLICY,	/* configuration loaded or refused */
	EVENT_QUOTA,	/* a request over a quota */
	EVENT_REFUSED,	/* a request refused for other reasons */
	EVENT_KINDS,
};

struct event {
	enum event_kind kind;
	const char *segment; /* its name; NULL none */
	int32_t pid;	     /* of the client concerned, 0 none */
	uint32_t uid;
	const char *comm;   /* what its program calls itself; NULL unknown */
	const char *reason; /* one word or a few, for programs; NULL none */
};

/* `format` makes the sentence for people. `broker` may be NULL where there is none yet (files looked at by a scan). Keeps errno. */
void event_tell(struct broker *broker, const struct event *event, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Says what was suppressed and not yet said so: at the end. */
void event_flush(void);

/* "created", "writer-dead", ...: stable, for programs. */
const char *event_name(enum event_kind kind);

#endif
