/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_CONFIG_H
#define SHMB_DAEMON_CONFIG_H

/*
 * The configuration: text becomes a set of policies and the settings of the daemon itself. Pure; config_files.h finds and reads the files.
 *
 * INI, read by libinih. `[broker]` has the daemon's own settings, `[user NAME]` quotas (quota.h), `[segment PATTERN]` those of the segments whose names match (policy.h,
 * setting.h). Sections of the same pattern are one: what a later file says replaces what an earlier one said, setting by setting. A line that
 * begins with a blank continues the list above it. Comments begin with '#' or ';', behind a value with " ;".
 *
 * Nothing is guessed and nothing is passed over: an unknown section or setting, a value that is none, a setting said twice in one section is an
 * error, and then all of it is refused.
 */

#include "quota.h"
#include "policy.h"
#include "setting.h"

enum {
	CONFIG_WHY_MAX = 768, /* "FILE:LINE: what" */
	CONFIG_PATH_MAX = 240,
};

/* What is done with files of other programs that have safe-shm's header. */
enum config_foreign {
	CONFIG_FOREIGN_IGNORE,
	CONFIG_FOREIGN_LIST,
	CONFIG_FOREIGN_REAP,
};

struct config {
	struct policy_set *policies;
	enum config_foreign foreign;
	char foreign_dir[CONFIG_PATH_MAX + 1];
	uint64_t foreign_interval_ns; /* UINT64_MAX: only when asked */
	uint64_t hello_ns;	      /* how long a connection may say nothing; UINT64_MAX for ever */
	struct limits total;
	struct user_limits *users;
	size_t user_count;
	bool linger_fixed; /* the command line has said it */
};

/* Everything as built in. `linger_ns` is what holds where nothing is said; `linger_fixed`: the command line's, which [broker] does not change. */
int config_new(struct config **out, uint64_t linger_ns, bool linger_fixed);
/* Returns NULL. */
struct config *config_free(struct config *config);

/*
 * Reads one file's text into it; `file` is its name. -EINVAL (or -ENOMEM) with `why`; the config is then good for nothing but config_free().
 */
int config_add(struct config *config, const char *file, const char *text, size_t length, const struct setting_names *names,
	       char why[CONFIG_WHY_MAX]);
/* After the last file. */
void config_finish(struct config *config);

#endif
