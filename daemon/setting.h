/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_SETTING_H
#define SHMB_DAEMON_SETTING_H

/*
 * The settings of a section `[segment PATTERN]`: their names, what values they take, and where those lie in struct policy. One table, from
 * which values are read, printed and copied. Pure.
 */

#include <stddef.h>
#include <stdint.h>

#include "policy.h"

enum {
	SETTING_WHY_MAX = 320,
	SETTING_VALUE_MAX = 512, /* a value as text */
};

/* Names to ids, for lists of users: 0, or -ENOENT, or an errno of looking it up. */
struct setting_names {
	int (*user)(const char *name, uint32_t *uid);
	int (*group)(const char *name, uint32_t *gid);
};

/* "stale-time", ...; the index is enum policy_setting. -ENOENT. */
int setting_find(const char *name);
const char *setting_name(enum policy_setting setting);
/* Names a list of users, which may be continued. */
bool setting_is_list(enum policy_setting setting);
/* Does a change reach only segments that are made after it? */
bool setting_is_for_new(enum policy_setting setting);

/* Reads `text` into its field of `policy`; a list is added to what is there. -EINVAL with `why`: what it is not, what would be right. */
int setting_parse(enum policy_setting setting, const char *text, const struct setting_names *names, struct policy *policy,
		  char why[SETTING_WHY_MAX]);
/* The value as it would be written in the file; in parentheses what holds where none does: "(none)", "(owner)", "(everybody)". Returns `out`. */
const char *setting_format(enum policy_setting setting, const struct policy *policy, char out[SETTING_VALUE_MAX]);
/* Takes value and origin over. */
void setting_copy(enum policy_setting setting, struct policy *to, const struct policy *from);
bool setting_is_same(enum policy_setting setting, const struct policy *left, const struct policy *right);

/* "64M", "1G", "4096", "infinity"; K, M, G and T are powers of 1024. -EINVAL. */
int setting_parse_bytes(const char *text, uint64_t *out);
/* "500ms", "infinity". Returns `out`. */
const char *setting_format_time(uint64_t ns, char out[SETTING_VALUE_MAX]);
/* yes, no, true, false, on, off, 1, 0. -EINVAL. */
int setting_parse_yes(const char *text, bool *out);

#endif
