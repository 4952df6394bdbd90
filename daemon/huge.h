/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_HUGE_H
#define SHMB_DAEMON_HUGE_H

/* Huge pages, which clients map (SHMB_WISH_HUGE): says once in the log where this kernel cannot do what `huge-pages = yes` asks for. */
void huge_check(const char *name);

#endif
