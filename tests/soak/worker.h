/* SPDX-License-Identifier: MIT */
#ifndef SHMB_SOAK_WORKER_H
#define SHMB_SOAK_WORKER_H

/* What all the soak's workers have in common. */

#include "payload.h"

struct worker {
	struct soak_page *page;
	struct soak_slot *slot;
	struct soak_segment *segment;
	const struct soak_segment_plan *plan;
	unsigned slot_index;
	uint32_t segment_index;
	uint64_t random;
	struct shmb *broker;
	struct shmb_type *type;
};

/* Plays the part; the exit status. */
int worker_run(struct soak_page *page, unsigned slot, const char *socket);

/* Connects; goes on trying while there is no daemon. */
int worker_connect(struct worker *worker, const char *socket);
/* Is this result of an open a reason to try again? Sleeps a moment then. */
bool worker_again(int result, uint64_t deadline_ns);
/* The handle is open. */
void worker_is_up(struct worker *worker);
uint64_t worker_random(struct worker *worker);
bool worker_must_quit(const struct worker *worker);
void worker_pause(uint64_t ns);

/* Books what went wrong, and the first of it in words. */
__attribute__((format(printf, 3, 4))) void worker_wrong(struct worker *worker, _Atomic uint64_t *count, const char *format, ...);
/* A result that has no place here: books it, and -1. */
int worker_fail(struct worker *worker, const char *what, int result);

/* A writer has opened and is told its next number: compares it with the books and begins a life in them. The life. */
uint32_t worker_life_begin(struct worker *worker, uint64_t next);
static inline void worker_begin(struct worker *worker, uint64_t next)
{
	atomic_store_explicit(&worker->segment->begun, next, memory_order_release);
}
static inline void worker_done(struct worker *worker, uint64_t next)
{
	atomic_store_explicit(&worker->segment->done, next, memory_order_release);
}

/* Verifies a payload under its number: books it as torn where it is not right. */
bool worker_check(struct worker *worker, const void *payload, size_t bytes, uint64_t number);
/* What a wait said about the writer: 0 to go on, -1 it has no place here. Books how long a death was unnoticed. */
int worker_waited(struct worker *worker, int result);
/* Small ones hold back until enough large ones were read. */
bool worker_is_ahead(const struct worker *worker);
/* The lowest position of the segment's readers that run. */
uint64_t worker_slowest(const struct worker *worker, uint64_t next);

/* The parts: each opens, works until it must quit, closes. 0, or -1 after something went wrong. */
int ring_write_all(struct worker *worker);
int ring_read_all(struct worker *worker);
int value_write_all(struct worker *worker);
int value_read_all(struct worker *worker);
int frame_write_all(struct worker *worker);
int frame_hold_all(struct worker *worker);
int queue_produce_all(struct worker *worker);
int queue_consume_all(struct worker *worker);
int block_lock_all(struct worker *worker);

#endif
