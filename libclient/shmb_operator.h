/* SPDX-License-Identifier: MIT */
#ifndef SHMB_OPERATOR_H
#define SHMB_OPERATOR_H

/*
 * What an operator asks of the broker: to read its configuration again, to explain what holds for a name, to clean up. For tools; included by
 * shmb.h. Pointers given to visitors are valid during the call. A visitor that returns other than 0 ends the call, which returns that.
 */

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct shmb_reload_result {
	uint32_t files;	      /* read */
	uint32_t patterns;    /* in them */
	uint32_t segments;    /* looked at */
	uint32_t not_applied; /* changes that do not reach a segment that is there, or what somebody has open */
	const char *notes;    /* a line for each of these, as many as fit a message */
};

/*
 * Has the broker read its configuration again. -EINVAL: it has a mistake (shmb_text() says file, line and what), the one before stays. -EPERM: not root,
 * nor the broker's own user. Other errors as shmb_status() (shmb.h), of all functions here.
 */
SHMB_PUBLIC int shmb_reload(struct shmb *broker, int (*visit)(const struct shmb_reload_result *result, void *user), void *user);

/* One setting that holds for a name, and a pattern that matches it; `source` is "FILE:LINE", "the command line" or "built in". */
struct shmb_policy_setting {
	const char *name;
	const char *value;
	const char *source;
};

struct shmb_policy_pattern {
	const char *pattern;
	const char *source;
};

struct shmb_policy_info {
	uint32_t uid; /* the user explained, and what it may do */
	int may_read;
	int may_write;
	const char *read_why;
	const char *write_why;
	int is_there;		/* there is a segment of this name that the caller may read */
	uint32_t pattern_count; /* most specific first */
	uint32_t setting_count;
	const struct shmb_policy_pattern *patterns;
	const struct shmb_policy_setting *settings;
};

/* A user as the broker shall see it; gids are all its groups (at most 64). */
struct shmb_user {
	uint32_t uid;
	const uint32_t *gids;
	uint32_t gid_count;
};

/* What holds for a name, there or not, and what this user (NULL: the caller) may do with it. -EPERM: about another user, and the caller is neither root
 * nor the broker's own user. -EINVAL, -ENAMETOOLONG the name; -EINVAL more than 64 groups. */
SHMB_PUBLIC int shmb_policy(struct shmb *broker, const char *name, const struct shmb_user *user_asked,
			    int (*visit)(const struct shmb_policy_info *info, void *user), void *user);

enum shmb_gc_what {
	SHMB_GC_TELL = 1,	   /* only tell what would be removed */
	SHMB_GC_FOREIGN_FILES = 2, /* not segments, but files of other programs that begin with safe-shm's header */
};

enum shmb_gc_outcome {
	SHMB_GC_IT_STAYS = 0,
	SHMB_GC_WOULD_GO = 1,
	SHMB_GC_IS_REMOVED = 2,
	SHMB_GC_NOT_REMOVED = 3, /* it could not be: reason says why */
};

struct shmb_gc_info {
	const char *name;
	const char *reason;
	enum shmb_gc_outcome outcome;
	int is_foreign;
	uint64_t bytes;
	uint64_t due_ns; /* nanoseconds until it goes by itself, UINT64_MAX never */
	uint32_t uid;	 /* its owner's */
	int32_t pid;	 /* foreign: of its writer, as it says */
};

/*
 * Removes what policy lets go, without waiting for the rest of its linger time; with SHMB_GC_TELL changes nothing. `visit` is called for each. -EPERM:
 * removing, by one who is neither root nor the broker's own user. -EINVAL other flags than these.
 */
SHMB_PUBLIC int shmb_gc(struct shmb *broker, unsigned what, int (*visit)(const struct shmb_gc_info *info, void *user), void *user);

#ifdef __cplusplus
}
#endif

#endif
