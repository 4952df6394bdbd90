/* SPDX-License-Identifier: MIT */
/* What systemd handed over (inherited.h). Kept parts are told by their names, which are ours; everything else counts as a socket. */
#include "inherited.h"

#include "log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

static void names_free(char **names)
{
	for (char **name = names; name != NULL && *name != NULL; name++)
		free(*name);
	free(names);
}

int inherited_take(struct inherited *out, char why[INHERITED_WHY_MAX])
{
	char **names = NULL;
	int count = sd_listen_fds_with_names(1, &names);
	int r = 0;

	*out = (struct inherited){ .socket_fd = -1 };
	if (count < 0) {
		snprintf(why, INHERITED_WHY_MAX, "systemd passed descriptors in a form that cannot be understood: %s", strerror(-count));
		return count;
	}
	if (count > 0)
		r = vault_new(&out->vault);
	for (int i = 0; r == 0 && i < count; i++) {
		int fd = SD_LISTEN_FDS_START + i;
		uint64_t segment_id;
		enum part part;
		uint32_t area;

		if (sealed_name_parse(names[i], &segment_id, &part, &area) == 0) {
			r = vault_add(out->vault, names[i], fd);
			continue;
		}
		if (out->socket_count++ == 0)
			out->socket_fd = fd;
		else
			close(fd); /* too many: the listener says so */
	}
	names_free(names);
	if (r < 0)
		snprintf(why, INHERITED_WHY_MAX, "cannot take over %d descriptors: %s", count, strerror(-r));
	return r;
}
