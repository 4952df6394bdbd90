/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_SLICE_H
#define SHMB_DAEMON_SLICE_H

/*
 * Short turns. The loop works for some ten microseconds at a time and sleeps; on a host whose processors are all busy it is woken at once and
 * then waits for one, some milliseconds, while a dead writer's element is half-written. A thread that asks for a short time slice gets its turn at
 * once: the scheduler (EEVDF, Linux 6.12) owes it the same share of a processor, but sooner and in smaller pieces. Before 6.12 nothing changes.
 */

/* For the calling thread, from here on; where an operator gave it another scheduling policy, that stays. */
void slice_short(void);
/* For a thread started by one with short turns, whose own work takes long. */
void slice_ordinary(void);

#endif
