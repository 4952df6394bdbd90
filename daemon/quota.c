/* SPDX-License-Identifier: MIT */
/* What the configuration says of quotas (quota.h). */
#include "quota.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[LIMIT_COUNT] = {
	[LIMIT_BYTES] = "bytes-max",
	[LIMIT_SEGMENTS] = "segments-max",
	[LIMIT_CONNECTIONS] = "connections-max",
	[LIMIT_REQUEST_RATE] = "request-rate",
};

void limits_init(struct limits *limits)
{
	*limits = (struct limits){ 0 };
	for (unsigned i = 0; i < LIMIT_COUNT; i++)
		limits->max[i] = UINT64_MAX;
}

int limits_find(const char *name)
{
	for (int i = 0; i < LIMIT_COUNT; i++) {
		if (strcmp(names[i], name) == 0)
			return i;
	}
	return -ENOENT;
}

const char *limits_name(enum limit limit)
{
	return names[limit];
}

int limits_parse(enum limit limit, const char *text, uint64_t *out, char why[SETTING_WHY_MAX])
{
	uint64_t least = limit == LIMIT_REQUEST_RATE ? 1 : 0;
	char *end;

	if (limit == LIMIT_BYTES) {
		if (setting_parse_bytes(text, out) == 0)
			return 0;
		snprintf(why, SETTING_WHY_MAX, "'%.60s' is no size: write it like 4096, 512K, 64M, 2G or infinity", text);
		return -EINVAL;
	}
	if (strcmp(text, "infinity") == 0) {
		*out = UINT64_MAX;
		return 0;
	}
	errno = 0;
	*out = strtoull(text, &end, 10);
	if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *out >= least && *out <= UINT32_MAX)
		return 0;
	snprintf(why, SETTING_WHY_MAX, "'%.60s' is no whole number from %" PRIu64 " on, and not infinity", text, least);
	return -EINVAL;
}

static void limits_apply(struct limits *to, const struct limits *from)
{
	for (unsigned i = 0; i < LIMIT_COUNT; i++) {
		if ((from->is_set >> i & 1) == 0)
			continue;
		to->max[i] = from->max[i];
		to->at[i] = from->at[i];
		to->is_set |= 1u << i;
	}
}

void limits_of(const struct user_limits *users, size_t count, uint32_t uid, bool is_free, struct limits *out)
{
	limits_init(out);
	if (!is_free)
		out->max[LIMIT_SEGMENTS] = LIMITS_SEGMENTS_DEFAULT;
	for (size_t i = 0; i < count && !is_free; i++) {
		if (users[i].is_everybody)
			limits_apply(out, &users[i].limits);
	}
	for (size_t i = 0; i < count; i++) {
		if (!users[i].is_everybody && users[i].uid == uid)
			limits_apply(out, &users[i].limits);
	}
}
