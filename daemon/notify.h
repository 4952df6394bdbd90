/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_NOTIFY_H
#define SHMB_DAEMON_NOTIFY_H

/*
 * Tells systemd how we are, and gives it descriptors to keep, where it asked for it ($NOTIFY_SOCKET); nothing elsewhere. Nothing here blocks:
 * what cannot be sent now is sent when there is room, in order; a status that meets a full queue is dropped.
 */

struct loop;

/* Connects, and starts the watchdog's beat where systemd has one ($WATCHDOG_USEC): no timer without it. Errors are logged: the daemon does without. */
void notify_init(struct loop *loop);
void notify_deinit(void);

void notify_ready(unsigned segments);
/* Before a reload; notify_ready() after it. */
void notify_reloading(void);
void notify_stopping(void);

enum { NOTIFY_NAME_MAX = 64 };

/*
 * Gives a descriptor to the descriptor store under a name of its own (letters, digits, '-'; under NOTIFY_NAME_MAX bytes). `fd` is borrowed
 * until notify_unstore(). A daemon killed before the message is out has not stored it.
 */
void notify_store(int fd, const char *name);
/* Takes it back out of the store. */
void notify_unstore(const char *name);

#endif
