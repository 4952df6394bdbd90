/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_QUOTA_H
#define SHMB_DAEMON_QUOTA_H

/*
 * How much may be used: by all together ([broker]), by each user ([user *]), by one ([user NAME]). Pure.
 *
 * What [user NAME] does not say, [user *] says; what neither says, is not limited, but for what is built in below. Root and the daemon's own user are
 * limited only by sections of their own name, and by the totals.
 */

#include <stdbool.h>
#include <stdint.h>

#include "policy.h"
#include "setting.h"

enum limit {
	LIMIT_BYTES,	    /* of memory charged: "bytes-max" */
	LIMIT_SEGMENTS,	    /* generations of segments: "segments-max" */
	LIMIT_CONNECTIONS,  /* "connections-max" */
	LIMIT_REQUEST_RATE, /* a second; who asks more often is read later: "request-rate" */
	LIMIT_COUNT,
};

enum { LIMITS_SEGMENTS_DEFAULT = 4096 }; /* of each user: a few kilobytes of the daemon's memory each */

struct limits {
	uint64_t max[LIMIT_COUNT]; /* UINT64_MAX: none */
	struct policy_origin at[LIMIT_COUNT];
	unsigned is_set; /* bit l: something says it */
};

struct user_limits {
	bool is_everybody; /* [user *] */
	uint32_t uid;
	struct limits limits;
};

/* No limits. */
void limits_init(struct limits *limits);
/* "bytes-max", ... -ENOENT. */
int limits_find(const char *name);
const char *limits_name(enum limit limit);
/* Reads a value. -EINVAL with `why`. */
int limits_parse(enum limit limit, const char *text, uint64_t *out, char why[SETTING_WHY_MAX]);
/* What holds for a user. `free`: it is root or the daemon's. */
void limits_of(const struct user_limits *users, size_t count, uint32_t uid, bool is_free, struct limits *out);

#endif
