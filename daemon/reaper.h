/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_REAPER_H
#define SHMB_DAEMON_REAPER_H

/*
 * Removes segments that their policy lets go.
 *
 *   in use    somebody writes or shares it, or (keep-while-read) reads it. A writer that hangs does not count where on-hang = reap;
 *             one that is stopped, traced or dumping does
 *   kept      nobody uses it, but what has become of its writer says keep: on-exit; on-never where nothing was ever published
 *   goes      nobody uses it and nothing keeps it: removed after its linger time
 *
 * Each segment that goes has a timer of its own; those that stay have none. libev keeps timers in a heap, so an event costs as much with ten
 * thousand of them as with ten (its logarithm apart).
 */

#include <stdbool.h>
#include <stdint.h>

#include "policy.h"

struct broker;
struct segment;

struct reaper {
	struct broker *broker;
};

/* What becomes of a segment. */
struct reaper_fate {
	bool goes;
	const char *reason;	     /* a word, for programs: "writer-hung", "read", ... */
	enum policy_setting setting; /* that decided, where `is_said` */
	bool is_said;
};

void reaper_judge(struct reaper *reaper, struct segment *segment, struct reaper_fate *fate);

/*
 * After any change of who holds the segment, of what is known of its writer, or of its policy. A superseded one, and what it is older than, may be gone
 * after it.
 */
void reaper_look(struct reaper *reaper, struct segment *segment);
/* Ends its timer: it goes, is superseded, or the daemon ends. */
void reaper_forget(struct segment *segment);
/* How long until it goes; UINT64_MAX: never by itself. Of one that goes. */
uint64_t reaper_due_in(const struct segment *segment);
/* Removes it as policy, now, where its fate says so. 0; -EBUSY: it does not; or what removing it ended with, which can be the same. After reaper_tell(). */
int reaper_reap(struct reaper *reaper, struct segment *segment);

/*
 * Tells those who have it open that it goes, before it does. 0, or our own want of memory or descriptors to do so: nothing has changed then, and it is to be
 * removed later, or they would wait for ever.
 */
int reaper_tell(struct broker *broker, struct segment *segment);
/*
 * Removes a segment, all its generations: attachments, registry, files; its readers are woken. It is gone from here in any case; an errno when files stay
 * behind.
 */
int reaper_remove(struct broker *broker, struct segment *segment);

#endif
