/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_POLICY_H
#define SHMB_DAEMON_POLICY_H

/*
 * What the operator says about the segments whose names match a pattern. Pure: no files, no clock.
 *
 * A set holds the sections of the configuration, most specific first, and below them the built-in policy. What holds for a name is made of
 * all sections that match it: each setting comes from the most specific one that says it, else from the built-in policy. A policy made that
 * way is kept in the set, one for each combination of sections that ever matched, so that a segment points to its policy.
 *
 * Of two patterns the more specific is the one with more bytes before its first wildcard; then the one with fewer wildcards; then the longer
 * one; then the one that stands later. pattern.h says what they match.
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
	POLICY_PATTERN_MAX = SHMB_NAME_MAX,
	POLICY_SECTIONS_MAX = 256,
};

/* Who may do something. No list: the built-in rule (the owner and root write, who may connect reads). */
struct policy_who {
	bool is_set;
	bool anyone;
	uint32_t uids[POLICY_USERS_MAX];
	uint32_t gids[POLICY_USERS_MAX];
	unsigned uid_count;
	unsigned gid_count;
};

/* The settings of a section; setting.h has the table. */
enum policy_setting {
	SETTING_STALE_TIME,
	SETTING_LINGER,
	SETTING_KEEP_WHILE_READ,
	SETTING_ON_EXIT,
	SETTING_ON_HANG,
	SETTING_ON_NEVER,
	SETTING_BACKING,
	SETTING_READER_AREAS,
	SETTING_PREFAULT,
	SETTING_LOCK,
	SETTING_BYTES_MAX,
	SETTING_CAPACITY_MAX,
	SETTING_PINS,
	SETTING_HUGE_PAGES,
	SETTING_WRITERS,
	SETTING_READERS,
	SETTING_COUNT,
};

/* Where something is said. */
struct policy_origin {
	const char *file; /* the set's; NULL: built in */
	unsigned line;	  /* 0: the command line */
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
	bool prefault;
	bool lock;
	bool huge_pages;
	uint64_t bytes_max; /* of one segment; UINT64_MAX */
	uint32_t capacity_max;
	uint32_t pins; /* frames that one reader of a new generation may hold at once, at most SHMB_PINS_PER_CELL */

	struct policy_who writers;
	struct policy_who readers;

	struct policy_origin at[SETTING_COUNT]; /* of each setting */
};

/* A section of the configuration. */
struct policy_section {
	char pattern[POLICY_PATTERN_MAX + 1];
	struct policy_origin origin; /* of its first heading */
	uint32_t is_set;	     /* bit s: it says setting s */
	unsigned order;
	struct policy values;
};

struct policy_cache;

struct policy_set {
	struct policy builtin; /* what holds where no section says otherwise */
	struct policy_section *sections;
	size_t count;
	char **files; /* that were read, in the order of reading */
	size_t file_count;
	struct policy_cache *cache;
};

/* The built-in default: one policy for everything. -ENOMEM. */
int policy_set_new_default(struct policy_set **out, uint64_t linger_ns);
/* Returns NULL. */
struct policy_set *policy_set_free(struct policy_set *set);

/* Remembers a file's name; the pointer lives as long as the set. NULL: -ENOMEM. */
const char *policy_set_file(struct policy_set *set, const char *file);
/* The section of this pattern, made if there is none; valid until the next call. NULL: POLICY_SECTIONS_MAX are there, or no memory. */
struct policy_section *policy_set_section(struct policy_set *set, const char *pattern, struct policy_origin origin);
/* Puts the sections in order. Before the first policy_find(). */
void policy_set_finish(struct policy_set *set);

/* Never NULL. Without memory for a policy that was not wanted before: one that lets nobody in but root and keeps everything. */
const struct policy *policy_find(const struct policy_set *set, const char *name);
/* The same without keeping anything: for questions about names that are not there. `matching` (may be NULL) gets the sections, most specific
 * first; returns their number. */
size_t policy_explain(const struct policy_set *set, const char *name, struct policy *out,
		      const struct policy_section *matching[POLICY_SECTIONS_MAX]);

/* "FILE:LINE", "the command line", "built in". Returns `out`. */
const char *policy_origin_text(const struct policy_origin *origin, char out[POLICY_SOURCE_MAX]);

/* Is it one of these? `gids` are all its groups, supplementary ones too. False where there is no list. */
bool policy_who_has(const struct policy_who *who, uint32_t uid, const uint32_t *gids, size_t gid_count);

#endif
