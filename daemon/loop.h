/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_LOOP_H
#define SHMB_DAEMON_LOOP_H

/*
 * The event loop: descriptors, one-shot timers, signals. One thread. It sleeps without a time limit when no timer is set.
 *
 * A callback may free any watch, its own too.
 */

#include <stdint.h>

struct loop;
struct loop_fd;
struct loop_timer;

enum loop_events { LOOP_READ = 1, LOOP_WRITE = 2 };

int loop_new(struct loop **out);
struct loop *loop_free(struct loop *loop);
/* Runs until loop_stop(). */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
/* Another number in each round: between two looks at what is ready. */
uint64_t loop_round(struct loop *loop);

/* Watches `fd` (borrowed; free the watch before closing it). `events` may be 0: nothing is watched until loop_fd_set(). */
typedef void loop_fd_fn(int events, void *user);
int loop_fd_new(struct loop *loop, int fd, int events, loop_fd_fn *fn, void *user, struct loop_fd **out);
void loop_fd_set(struct loop_fd *watch, int events);
struct loop_fd *loop_fd_free(struct loop_fd *watch);

/*
 * Calls `fn` each time the peer of a Unix socket has taken a message we sent (once more for nothing, at the beginning). The ordinary
 * "writable" does not tell: it comes while messages still lie in the queue.
 */
struct loop_drain;
typedef void loop_drain_fn(void *user);
int loop_drain_new(struct loop *loop, int fd, loop_drain_fn *fn, void *user, struct loop_drain **out);
struct loop_drain *loop_drain_free(struct loop_drain *drain);

/* A timer that is not running until set; when it fires it is over. */
typedef void loop_timer_fn(void *user);
int loop_timer_new(struct loop *loop, loop_timer_fn *fn, void *user, struct loop_timer **out);
/* From here on it fires after everything else that is ready in the same round. While it is not running. */
void loop_timer_last(struct loop_timer *timer);
void loop_timer_set(struct loop_timer *timer, uint64_t delay_ns);
void loop_timer_stop(struct loop_timer *timer);
struct loop_timer *loop_timer_free(struct loop_timer *timer);

/* Calls `fn` from the loop for each of these signals, for the rest of the loop's life. */
typedef void loop_signal_fn(int number, void *user);
int loop_signal(struct loop *loop, int number, loop_signal_fn *fn, void *user);

/* CLOCK_MONOTONIC, nanoseconds. */
uint64_t loop_now_ns(void);
/* CLOCK_REALTIME: for people. */
uint64_t loop_realtime_ns(void);

#endif
