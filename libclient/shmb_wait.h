/* SPDX-License-Identifier: MIT */
#ifndef SHMB_WAIT_H
#define SHMB_WAIT_H

/*
 * Waiting, for any mix of handles. Included by shmb.h.
 *
 * What a wait returns, of whatever handle:
 *
 *   0             there is something to read (a queue's producer: room to write)
 *   -ETIMEDOUT    the deadline has passed
 *   -ECANCELED    shmb_cancel() was called for this handle; once for one or more calls before the wait, or during it
 *   -EOWNERDEAD   the writer's process ended without closing; or this is a forked child (shmb_text() tells which)
 *   -EPIPE        the writer closed, or let go of the broker
 *   -EHOSTDOWN    the writer has written nothing for longer than the operator's policy allows (its stale time; none by default), though its
 *                 process is there: stopped by a signal, in a debugger, dumping core, or running and hung. shmb_text() tells which, and
 *                 the status of the handle (enum shmb_writer_condition). When it writes again there is data: 0
 *   -EREMCHG      the segment has a new generation (below): the handle has gone on to it, and what comes next comes from there; once
 *   -ESTALE       the segment was removed: close the handle and open the name again; each time
 *   -EPROTOTYPE, -EMEDIUMTYPE   the segment has a new generation, of another type (shmb_text() shows both schemas) or kind, to which this handle
 *                 cannot go on: close it and open the name anew; each time
 *   -EACCES       it has a new generation that is not for this user any more by the operator's policy; each time, until that says otherwise
 *   -EPERM, -EUSERS, -EIO, -EPROTONOSUPPORT, ...   something else keeps this handle from the new generation, as when opening; shmb_text() says what; each time
 *   -EBADMSG, -EPROTO   the segment's data contradicts itself; each time
 *
 * What became of the writer is said once for each change (a writer that is stopped, then hangs, then dies has changed three times), after
 * the data before it was read. Waiting again waits for the writer to go on, or for the next one. Waits go on after signals whose handlers
 * return.
 *
 * A handle must not be closed while anybody waits for it or cancels it: a freed handle cannot be recognised. Cancel, join, then close.
 * Closing returns NULL, and the waits of NULL, those of its waitable, which is NULL as well, following, cancelling, spinning and adding it to a wait
 * set are -EBADF.
 */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How many handles of one connection one wait takes. Each further connection among them takes the place of two. */
#define SHMB_WAIT_MAX 126
#define SHMB_SPIN_MAX_NS UINT64_C(1000000000)

/* What a wait needs of a handle. Belongs to the handle and ends with it. */
struct shmb_waitable;
struct shmb;
struct shmb_value_reader;
struct shmb_ring_reader;
struct shmb_frame_reader;

SHMB_PUBLIC struct shmb_waitable *shmb_value_waitable(struct shmb_value_reader *reader);
SHMB_PUBLIC struct shmb_waitable *shmb_ring_waitable(struct shmb_ring_reader *reader);
SHMB_PUBLIC struct shmb_waitable *shmb_frame_waitable(struct shmb_frame_reader *reader);

/*
 * Generations. A name is given new memory, under a new generation, when another user's process becomes its writer, when a writer is replaced that may
 * still be alive (it hangs, or it let go of the broker), and when type or layout change. The writer before gets -ESTALE at its next write. A
 * reader reads on to the end of the old memory: nothing that was published is lost, and numbers go on (the one that the writer was just
 * writing may be missing, and counts as missed). There it is told -EREMCHG, after what there was to tell about the old writer:
 *
 *   by a wait with a deadline, which goes on to the new memory by itself and tells it once
 *   by calls that do not wait - shmb_ring_read_next(), shmb_frame_pin_next(), shmb_queue_pop(), ..., shmb_waitset_next(), waits until SHMB_NO_WAIT -
 *   each time, until shmb_follow()
 *
 * Who only looks at the newest (shmb_value_load(), ...) or asks for times keeps the last of the old memory until it waits or follows;
 * next_generation of its status is not 0 then. Frames that are held stay where they are until they are released;
 * the old memory goes at the next wait with a deadline, or shmb_follow().
 */

/*
 * Goes on to the next generation now, whether or not all of this one was read; what was not counts as missed. 0, also where there is no other one;
 * -EAGAIN the next one is not there yet, or of a queue: items are left, which must be consumed first; -ESTALE, -EPROTOTYPE, -EMEDIUMTYPE, -EACCES and the
 * others as above; -ECONNREFUSED, -ETIMEDOUT no broker; -ENOMEM, -EMFILE; -EUSERS, -EBUSY, -EPERM a queue's next consumer cannot be this one, -EPROTO the
 * positions in it cannot be; -EINVAL it is no reader's; -EOWNERDEAD after fork. Asks the broker: not for loops that must not wait.
 */
SHMB_PUBLIC int shmb_follow(struct shmb_waitable *reader);

/*
 * Waits for the first of `count` handles (1 to SHMB_WAIT_MAX) that has something to say, with one system call where Linux has futex_waitv
 * (5.16), else looking every 5 ms. *which (may be NULL) is its place in the list, or `count` at the deadline. When several have, it is the
 * first of them in the list: read them all, or a busy one hides those behind it. Must not be called while another thread uses one of the
 * handles. -EINVAL the list is empty or too long; -EBADF it holds NULL; else as above.
 */
SHMB_PUBLIC int shmb_wait_any(struct shmb_waitable *const *list, size_t count, uint64_t deadline_ns, size_t *which);

/*
 * Ends the wait for this handle that is under way in another thread, or else the next one, with -ECANCELED. From any thread, and from
 * signal handlers: two atomic operations and a wake-up. 0; -EOWNERDEAD in a forked child (without a sentence).
 */
SHMB_PUBLIC int shmb_cancel(struct shmb_waitable *waitable);

/*
 * How long each wait for this handle looks without sleeping, before it sleeps: it polls the place where the next element will land, and
 * hears of it sooner than any wake-up comes, for a core that does nothing else meanwhile. 0, the default: sleeps at once. A wait for
 * several handles spins for the longest of their times. It always ends by sleeping, so that a real-time reader on its writer's core lets
 * it run.
 * -EINVAL more than SHMB_SPIN_MAX_NS, -EOWNERDEAD after fork.
 */
SHMB_PUBLIC int shmb_set_spin(struct shmb_waitable *waitable, uint64_t spin_ns);

/*
 * Wait sets: a descriptor for event loops (epoll, poll, libev, glib, asyncio), readable while any member has something to say.
 *
 *   r = shmb_waitset_new(&set, broker);
 *   r = shmb_waitset_add(set, shmb_ring_waitable(imu), imu);
 *   ... when shmb_waitset_fd(set) is readable:
 *   while ((r = shmb_waitset_next(set, &user)) != -ENODATA)
 *           ...   // r: 0 read it; -EOWNERDEAD, -EPIPE, ... as a wait says; -ECANCELED
 *
 * The descriptor is level-triggered: it stays readable until shmb_waitset_next() has been called until -ENODATA and every member's data
 * has been read; what is left unread makes it readable again at once. It may be readable for nothing. Only poll it: do not read or write
 * it. Members that are -ESTALE say so each time until they are removed.
 *
 * A set has a thread of its own from shmb_waitset_new() to shmb_waitset_free(); it sleeps, blocks all signals and never touches the
 * handles. It costs each event a wake-up of that thread more than shmb_wait_any() does. A set may be used by one thread at a
 * time, which is also the one that may use its members' handles.
 */
struct shmb_waitset;

/* -ENOMEM, -EMFILE, -EAGAIN no thread, -EOWNERDEAD after fork. */
SHMB_PUBLIC int shmb_waitset_new(struct shmb_waitset **out, struct shmb *broker);
/* Before the connection is closed. The members go on without it. Takes NULL, returns NULL. In a forked child frees memory and descriptor
 * only. */
SHMB_PUBLIC struct shmb_waitset *shmb_waitset_free(struct shmb_waitset *set);
/* The descriptor: belongs to the set, close-on-exec. */
SHMB_PUBLIC int shmb_waitset_fd(const struct shmb_waitset *set);
/* Adds a handle of the same connection; `user` is what shmb_waitset_next() gives for it. -EINVAL another connection's, -EEXIST it is in
 * already, -ENOSPC SHMB_WAIT_MAX are in, -EOWNERDEAD after fork. */
SHMB_PUBLIC int shmb_waitset_add(struct shmb_waitset *set, struct shmb_waitable *member, void *user);
/* Takes it out, as must be done before it is closed. -ENOENT it is not in, -EOWNERDEAD after fork. */
SHMB_PUBLIC int shmb_waitset_remove(struct shmb_waitset *set, struct shmb_waitable *member);
/* The next member of this pass that has something to say: returns what a wait for it until SHMB_NO_WAIT would, and its `user`. -ENODATA the pass is over.
 * In a forked child -EOWNERDEAD each time, and *user stays as it is. Never sleeps. */
SHMB_PUBLIC int shmb_waitset_next(struct shmb_waitset *set, void **user);

#ifdef __cplusplus
}
#endif

#endif
