/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_WORKER_FRAME_H
#define SHMB_TESTS_WORKER_FRAME_H

#include "shmb.h"

#include <stdbool.h>

/*
 * The worker's commands for frames, whose payloads are those of pattern.h in a length that follows from the number. false: the line is
 * none of them.
 *
 *   frame-writer name= bytes= history= pins= salt=  -> next
 *   frame-write n=                                  -> next         -ENOBUFS where all slots are held
 *   frame-loan, frame-commit                        -> next         the two halves of a write
 *   frame-follow                                                  goes on in the next generation
 *   frame-flood ms=                                 -> next refused publishes at full speed, going on where all slots are held
 *   frame-reader name=
 *   frame-pin                                       -> number salt torn, of the newest; held from then on
 *   frame-check                                     -> held torn    all that is held, looked at again
 *   frame-release                                   -> stale        all that is held
 *   frame-hold ms=                                  -> pinned torn stale backward   pins and releases at random
 *   frame-close
 */
bool worker_frame_act(struct shmb **broker, const char *line);
/* Closes everything. */
void worker_frame_end(void);

#endif
