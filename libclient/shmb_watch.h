/* SPDX-License-Identifier: MIT */
#ifndef SHMB_WATCH_H
#define SHMB_WATCH_H

/*
 * What happens to segments, as the broker sees it: made, written by whom, hung, dead, repaired, read, removed and why. Included by shmb.h.
 *
 *   r = shmb_watch_open(&watch, NULL, "camera*");
 *   while ((r = shmb_watch_next(watch, &event, SHMB_FOREVER)) == 0)
 *           printf("%s %s\n", event.kind, event.text);
 *
 * A watch has a connection of its own. When the daemon goes away it waits for the next one, and says "reconnected" then. Whoever reads too
 * slowly loses events, and is told how many; the daemon waits for nobody.
 *
 * By one thread at a time. In a forked child every call is -EOWNERDEAD.
 */

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct shmb_watch;

struct shmb_event {
	uint64_t time_ns; /* CLOCK_REALTIME */
	/*
	 * created, adopted, writer-up, writer-closed, writer-gone (let go of the broker, but lives), writer-dead, writer-hung, writer-stopped,
	 * writer-traced, writer-dumping, writer-alive (writes again), replaced, reader-joined, reader-left, repaired, removed, reaped, ignored
	 * (a file that is no segment), policy, quota, refused; and of the watch itself: reconnected, lost. More may come.
	 */
	const char *kind;
	const char *segment; /* "" where it concerns none */
	int32_t pid;	     /* of the client concerned, 0 none */
	uint32_t uid;
	const char *comm;   /* what its program calls itself; "" unknown */
	const char *reason; /* a word or a few for programs; may be "" */
	const char *text;   /* a sentence for people */
	uint32_t level;	    /* as of syslog: 3 error, 4 warning, 5 notice, 6 info, 7 debug */
	uint64_t lost;	    /* of kind "lost": how many events before this one */
};

/*
 * Begins. `socket_path` as in shmb_connect(); `pattern` of names: * matches any bytes, ? one, '/' too; NULL: everything, also
 * what concerns no segment. Errors as shmb_connect(), and -EUSERS as many watch already as the daemon serves, -EINVAL the pattern.
 */
SHMB_PUBLIC int shmb_watch_open(struct shmb_watch **out, const char *socket_path, const char *pattern);
/* Takes NULL, returns NULL. */
SHMB_PUBLIC struct shmb_watch *shmb_watch_close(struct shmb_watch *watch);
/*
 * The next event, waiting for it until `deadline_ns`. Strings in *out are valid until the next call. -ETIMEDOUT none came; -ENOMEM, -EMFILE: it could
 * not come back to the daemon, ask again; -EOWNERDEAD after fork. With SHMB_NO_WAIT it may take as long as a request while it comes back to a
 * daemon that has been away.
 */
SHMB_PUBLIC int shmb_watch_next(struct shmb_watch *watch, struct shmb_event *out, uint64_t deadline_ns);
/*
 * A descriptor for event loops: readable while there may be an event; then call shmb_watch_next(..., SHMB_NO_WAIT) until -ETIMEDOUT. It stays
 * the same for the watch's life. Only poll it.
 */
SHMB_PUBLIC int shmb_watch_fd(const struct shmb_watch *watch);

#ifdef __cplusplus
}
#endif

#endif
