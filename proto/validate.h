/* SPDX-License-Identifier: MIT */
#ifndef SHMB_PROTO_VALIDATE_H
#define SHMB_PROTO_VALIDATE_H

/*
 * "Is this memory what its card says?" - the one answer, used by broker (adoption) and client (mapping), on bytes that may be anything.
 */

#include "geometry.h"

/*
 * Checks a private copy of a card (copied once, before the call: the original may change meanwhile) against the sizes of the files.
 *
 * card        a copy of the card's first page
 * card_size   size of the card's file, from fstat
 * data_size   size of the data part's file, from fstat
 *
 * Returns 0 with *out filled, or a negative errno with *why set (a static sentence):
 *   -ENODATA           all zero where the magic should be: never completed
 *   -EBADMSG           not a card, or it contradicts itself or the files' sizes
 *   -EPROTONOSUPPORT   another layout version that this build cannot read
 *   -EOPNOTSUPP        a kind or backing this build does not know
 * On success every offset is aligned, every array lies inside data_size without overlapping another, every name and type is a
 * NUL-terminated valid string, and the schema lies inside card_size. The arithmetic cannot wrap.
 */
int shmb_card_check(const struct shmb_shm_card *card, uint64_t card_size, uint64_t data_size, struct shmb_geometry *out, const char **why);

/* Checks a copy of an event page. 0, -ENODATA, -EBADMSG, -EPROTONOSUPPORT as above. */
int shmb_event_check(const struct shmb_shm_event *event, uint64_t size, const char **why);

#endif
