/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_LOOK_H
#define SHMB_TESTS_LOOK_H

/* What lies in a broker's directory, past the library: for tests that say what must be in memory, and for those that spoil it. */

#include "../support/broker.h"

#include "proto/layout.h"

/* The whole part ("" the card, ",data", ",record", ",area0") of generation 1, mapped writable. NULL: there is none. */
void *look_map(struct broker *broker, const char *name, const char *part, size_t *size);
void look_unmap(void *at, size_t size);
/* The file's path; valid until the next call. */
const char *look_path(struct broker *broker, const char *name, const char *part);

/* A copy of the card. Fails the test when there is none. */
void look_card(struct broker *broker, const char *name, struct shmb_shm_card *out);
/* Ids that say "being written", of slots and entries; slots on loan among them. */
unsigned look_half_written(struct broker *broker, const char *name);
uint64_t look_counter(struct broker *broker, const char *name);
/* Cells that have an owner, and bits of area_cells. */
unsigned look_cells(struct broker *broker, const char *name);
unsigned look_bits(struct broker *broker, const char *name);
/* Pins in all areas, and those that count: of cells whose bit is set. */
unsigned look_pins(struct broker *broker, const char *name, bool counted);
/* How many lines of the daemon's log contain both texts. */
unsigned look_log(struct broker *broker, const char *first, const char *second);

#endif
