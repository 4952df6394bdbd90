/* SPDX-License-Identifier: MIT */
#ifndef SHMB_PROTO_COPY_H
#define SHMB_PROTO_COPY_H

#include <stddef.h>

/*
 * Copies payload bytes into or out of shared memory that another process may be writing or reading meanwhile. The result may be torn;
 * the caller finds out through the slot's id. Opaque to the compiler, which therefore can neither assume that the source is stable nor
 * move the copy across the fences around the call. As fast as memcpy; in thread-sanitizer builds it is a loop of relaxed atomics, so
 * that the race is none for the C model either. `dst` and `src` do not overlap.
 */
void shmb_copy(void *dst, const void *src, size_t bytes);

#endif
