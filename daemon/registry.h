/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_REGISTRY_H
#define SHMB_DAEMON_REGISTRY_H

/*
 * All segments: by name (a tree, tsearch(3)) and in the order of their making (a list, and an array to find a place in it). Pure memory. Adding,
 * removing and finding cost no more than the logarithm of their number, so paging through all costs what they are, however small the pages.
 */

#include "segment.h"

struct registry_place {
	uint64_t order;
	struct segment *segment; /* NULL: it is gone */
};

struct registry {
	void *by_name;
	TAILQ_HEAD(, segment) in_order;
	struct registry_place *places; /* by order */
	size_t place_count;
	size_t place_space;
	size_t holes; /* of these places are gone */
	uint64_t next_order;
	uint64_t bytes; /* of all, superseded ones as well */
	uint32_t count;
};

void registry_init(struct registry *registry);
/* The registry owns the segment from here on. -EEXIST, -ENOMEM (then it does not). Sets segment->order. */
int registry_add(struct registry *registry, struct segment *segment);
struct segment *registry_find(const struct registry *registry, const char *name);
/* First segment with an order over `after`, NULL none. */
struct segment *registry_after(const struct registry *registry, uint64_t after);
/* Puts `segment` in the place of `old`, the newest of its name so far, which becomes its `older` one. */
void registry_replace(struct registry *registry, struct segment *old, struct segment *segment);
/* Adds a superseded one at the end of its name's line. -ENOENT: there is no newer one. */
int registry_add_older(struct registry *registry, struct segment *segment);
/* Takes a superseded one out of its line; the caller owns it again. */
void registry_drop(struct registry *registry, struct segment *segment);
/* Takes the newest one out, which is the only one left of its name; the caller owns it again. */
void registry_remove(struct registry *registry, struct segment *segment);
/* Frees every segment's struct, no file. */
void registry_deinit(struct registry *registry);

#endif
