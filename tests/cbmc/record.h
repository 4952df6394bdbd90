/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_CBMC_RECORD_H
#define SHMB_TESTS_CBMC_RECORD_H

/*
 * proto/message.c, for tails of thousands of records, each of which is copied out of the tail once and then looked at. What holds for each of them is proven
 * for one, any: the one at `watched`. For CBMC what comes out of the copy has any value, so the tail's own bytes are never read there, and memchr() is
 * what the C standard says of it: where it finds the byte it is there, and where it finds none it is not at `watched`.
 */
#include "prove.h"

#include "proto/message.h"

#include <stdbool.h>
#include <stdlib.h>

static size_t watched; /* offset in the tail */
static const char *watched_at;

/* A record of this type begins at `watched`, where such records begin at `first`. */
#define RECORD_AT(first, type) ((watched - (first)) % sizeof(struct type) == 0)
/* And the string `field` of it ends inside. */
#define RECORD_ENDS(type, field) ends_in_record(offsetof(struct type, field), sizeof(((struct type *)0)->field))
#define ENDS(field) ((field)[sizeof(field) - 1] == '\0')

#ifdef __CPROVER

enum { STEP = 16, FIELDS = 704 / STEP }; /* no two strings of a record begin within one step */

static bool is_watched;	       /* the record copied last */
static uint16_t ended[FIELDS]; /* its strings in which a NUL was found, by their offset: how wide they are */

static inline bool ends_in_record(size_t offset, size_t size)
{
	return ended[offset / STEP] == size;
}

static void *record_copy(void *to, const void *from, size_t size)
{
	PROVE(__CPROVER_r_ok(from, size));
	PROVE(__CPROVER_w_ok(to, size));
	is_watched = from == watched_at;
	return to;
}

static void *byte_find(const void *bytes, int byte, size_t size)
{
	const char *at = bytes;
	bool found;

	PROVE(byte == '\0');
	PROVE(__CPROVER_r_ok(bytes, size));
	if (!found && __CPROVER_same_object(bytes, watched_at))
		ASSUME(watched >= size || at[watched] != '\0');
	if (found && is_watched)
		ended[__CPROVER_POINTER_OFFSET(bytes) / STEP] = (uint16_t)size;
	return found ? (void *)bytes : NULL;
}

#define memcpy record_copy
#define memchr byte_find
#include "proto/message.c"
#undef memcpy
#undef memchr

#else

#include "proto/message.c"

static inline bool ends_in_record(size_t offset, size_t size)
{
	return strnlen(watched_at + offset, size) < size;
}

#endif

#endif
