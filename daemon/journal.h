/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_JOURNAL_H
#define SHMB_DAEMON_JOURNAL_H

/* Entries with fields for the journal, sent without waiting. */

#include <stddef.h>

struct journal_field {
	const char *name;  /* [A-Z0-9_]+ */
	const char *value; /* printable: no newline */
};

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

/* Where entries go: JOURNAL_SOCKET, or a test's own. The string is kept. */
void journal_init(const char *path);
/* One entry. 0; -EAGAIN: the journal does not take it now, the entry is lost; another error: there is no journal at the moment. */
int journal_send(const struct journal_field *fields, size_t count);

#endif
