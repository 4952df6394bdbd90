/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_POLICY_H
#define SHMB_DAEMON_POLICY_H

/*
 * What the operator says about the segments whose names match a pattern. Pure: no files, no clock.
 *
 * A segment's policy is looked up when it is made or adopted and again after a reload; it is a pointer into the set of the broker, which
 * lives until the next set has been put in its place.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/layout.h"

/* What follows when a writer has ended, hangs, or never came. */
enum policy_action {
	POLICY_KEEP,	/* nothing: the last value stays readable; who may, writes on */
	POLICY_MARK,	/* as keep, and readers are told (they are always told of an end) */
	POLICY_REAP,	/* the segment is removed, after its linger time */
	POLICY_REPLACE, /* the next writer gets a new generation; a hung writer's lease may be taken */
};

enum {
	POLICY_USERS_MAX = 16, /* users and groups one list names */
	POLICY_SOURCE_MAX = 288,
};

/* Who may do something. No list: the built-in rule (the owner and root write, who may connect reads). */
struct policy_who {
	bool is_set;
	uint32_t uids[POLICY_USERS_MAX];
	uint32_t gids[POLICY_USERS_MAX];
	unsigned uid_count;
	unsigned gid_count;
};

struct policy {
	char pattern[SHMB_NAME_MAX + 8];
	char source[POLICY_SOURCE_MAX]; /* "FILE:LINE" of its section, "built in" */

	uint64_t stale_ns;  /* UINT64_MAX: a writer is never called hung */
	uint64_t linger_ns; /* UINT64_MAX: for ever */
	bool keep_while_read;
	enum policy_action on_exit;
	enum policy_action on_hang;
	enum policy_action on_never; /* made, but nothing was ever published */

	enum shmb_backing backing;
	uint32_t areas; /* of a new generation, at most SHMB_AREAS_MAX */
	uint32_t pins;	/* of one reader at a time, at most SHMB_PINS_PER_CELL */
	bool prefault;
	bool lock;
	bool huge_pages;
	uint64_t bytes_max; /* of one segment; UINT64_MAX */

	struct policy_who writers;
	struct policy_who readers;
};

struct policy_set {
	struct policy *policies; /* most specific first; the last one, "*", matches everything */
	size_t count;
};

/* The built-in default: one policy for everything. -ENOMEM. */
int policy_set_new_default(struct policy_set **out, uint64_t linger_ns);
/* Returns NULL. */
struct policy_set *policy_set_free(struct policy_set *set);
/* Never NULL. */
const struct policy *policy_find(const struct policy_set *set, const char *name);

#endif
