/* SPDX-License-Identifier: MIT */
#ifndef SHMB_CLIENT_QUERY_H
#define SHMB_CLIENT_QUERY_H

/* What the files that ask on behalf of tools share. */

#include "control.h"

/* Asks with the lock held; on success the tail (and a NUL) is copied to *out_tail, which the caller frees. NULL: the tail is not wanted. */
int query_ask(struct shmb *broker, struct shmb_msg_head *request, void *out, char **out_tail);

/* Copies a pattern of names into a request; NULL is the empty one. -EINVAL with a text. */
int query_pattern_set(char field[SHMB_NAME_MAX + 8], const char *pattern);

#endif
