/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_NOTIFY_H
#define SHMB_DAEMON_NOTIFY_H

/* Tells systemd how we are, where it asked for it ($NOTIFY_SOCKET); nothing elsewhere. */
void notify_ready(unsigned segments);
void notify_stopping(void);

#endif
