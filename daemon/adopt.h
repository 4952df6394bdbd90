/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_ADOPT_H
#define SHMB_DAEMON_ADOPT_H

/*
 * Taking over what the broker before left in the directory: segments, and who held what in them. The living are watched whether or not
 * they connect again; the dead are seen to at once. (When we listen, old_pages_bump() wakes everybody who sleeps, to look for us.)
 */

struct broker;

/* 0, or the error of reading the directory. */
int adopt_all(struct broker *broker);

#endif
