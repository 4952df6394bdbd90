/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_CONFIG_FILES_H
#define SHMB_DAEMON_CONFIG_FILES_H

/*
 * Where the configuration lies. FILE first, then its drop-ins, "*.conf" in
 *
 *   FILE.d/
 *   and for /etc/shmbroker/shmbrokerd.conf also /run/shmbroker/shmbrokerd.conf.d/ and /usr/lib/shmbroker/shmbrokerd.conf.d/
 *
 * sorted by name over all directories. A drop-in in /etc hides one of the same name in /run, and that one in /usr/lib; a link to /dev/null or
 * an empty file hides as well.
 *
 * A file counts only when it belongs to root or to the daemon's own user and nobody else can write it; the directories likewise.
 */

#include "config.h"
#include "options.h"

struct config_place {
	const char *file;
	bool must_exist; /* it was named on the command line */
	uint64_t linger_ns;
	bool linger_fixed;
};

/* Reads everything. *out is the caller's. A negative errno with `why`: "FILE:LINE: what" or "FILE: what". */
int config_load(struct config **out, const struct config_place *place, char why[CONFIG_WHY_MAX]);

/* Names by the host's databases (nsswitch.conf). */
extern const struct setting_names config_host_names;

#endif
