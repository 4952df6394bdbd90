/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_WORKER_QUEUE_H
#define SHMB_TESTS_WORKER_QUEUE_H

#include "shmb.h"

#include <stdbool.h>

/*
 * The worker's commands for queues and blocks. false: the line is none of them.
 *
 *   producer name= bytes= capacity= deadline= salt=      -> next
 *   push n= how=push|batch|claim deadline=MS|forever     -> next            n patterns; waits for room until the deadline
 *   close-producer
 *   consumer name= deadline=                             -> position
 *   consume n= how=pop|batch|peek deadline=MS|forever    -> position        n items, each "item NUMBER SALT TORN" on a line of its own
 *                                                                          when it was used; peek: before it is released
 *   close-consumer
 *   block name=                                          -> value           the payload is two numbers, equal when it is whole
 *   lock deadline=MS|forever                             -> result of the lock, first number, second number
 *   half value=                                          ->                 sets the first of the two
 *   set value=                                           ->                 sets both
 *   recovered, unlock, close-block
 *   add n=                                               -> n               n times: lock, add 1 to both, unlock
 */
bool worker_queue_act(struct shmb **broker, const char *line);
/* Closes everything. */
void worker_queue_end(void);

#endif
