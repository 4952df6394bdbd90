/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_EVENT_PAGE_H
#define SHMB_DAEMON_EVENT_PAGE_H

/*
 * The page through which a sleeping client hears of changes (layout.h, struct shmb_shm_event): a named file of ours, mapped read-only by
 * its client, so that a restarted broker finds it and wakes clients of the broker before.
 */

#include "segment.h"

struct event_page;

#define EVENT_PAGE_PREFIX ",event," /* of its file: PREFIX PID,START,RANDOM */

/* Makes a page; *out_fd is a read-only descriptor for the client (given). */
int event_page_new(struct store *store, const struct holder *who, struct event_page **out, int *out_fd);
/* Increments the word and wakes the client. */
void event_page_bump(struct event_page *page);
/* Unmaps, and removes the file when `unlink`. Returns NULL. */
struct event_page *event_page_free(struct store *store, struct event_page *page, bool unlink);
/*
 * Takes over the page of a broker before. -ESTALE: of another boot, or nobody has it open: nobody sleeps on it; -EBADMSG, -ENODATA, -EPROTONOSUPPORT: no page of
 * ours. *why is a static sentence.
 */
int event_page_adopt(struct store *store, const char *file, struct event_page **out, struct holder *who, const char **why);

#endif
