/* SPDX-License-Identifier: MIT */
#ifndef SHMB_DAEMON_MATCH_H
#define SHMB_DAEMON_MATCH_H

/* What an OPEN_WRITER describes, and whether it is what is there. Pure. */

#include <stdbool.h>

#include "segment.h"

struct shmb_request match_request(const struct shmb_msg_open_writer *open);

/* The name of a kind, for people; "unknown" for a number that is none. */
const char *match_kind_name(unsigned kind);

/*
 * Would this request make a segment laid out like this one, byte for byte? 0, or with a sentence without a full stop in `text`:
 *   -EINVAL, -EOPNOTSUPP, -EFBIG   it would make none (as shmb_geometry_plan())
 *   -EEXIST                        it would make another
 */
int match_geometry(const struct shmb_geometry *geometry, const struct shmb_request *request, char text[SHMB_TEXT_MAX]);

#endif
