/* SPDX-License-Identifier: MIT */
#ifndef SHMB_CLIENT_EXTRAS_H
#define SHMB_CLIENT_EXTRAS_H

/*
 * What an element has beside its id and payload: a stamp, a key. For value, ring and frame; memory only.
 *
 * Both are taken before the claim, because a key may be refused, and put between claim and publish. The slow way of a publish: who has
 * neither never comes here.
 */

#include "slots.h"

struct extras {
	uint64_t stamp_ns;
	uint64_t key;
};

/*
 * Before the claim. The key is the payload's field, the stamp, or extras->key as it is (SHMB_KEY_IS_GIVEN). -ERANGE it is negative, -EDOM lower than the one before.
 * Never inlined: nothing else of a publish reads a clock, which a test looks for in the code.
 */
int extras_take(const struct slots_writer *writer, const void *payload, struct extras *extras);
/* Begins a new run of keys with the next number. */
void keys_begin(struct slots_writer *writer);

/* Between claim and publish. `stamp_ns` is the element's. */
static inline void extras_put(struct slots_writer *writer, _Atomic uint64_t *stamp_ns, uint64_t index, const struct extras *extras)
{
	if (writer->extras & SLOTS_STAMPED) {
		atomic_store_explicit(stamp_ns, extras->stamp_ns, memory_order_relaxed);
		atomic_store_explicit(&writer->data->heartbeat_ns, extras->stamp_ns, memory_order_relaxed);
	}
	if (writer->extras & SLOTS_KEYED) {
		/* Bytes of the slot as the payload is, in an array of their own: ordered by slot.claim before and key.publish after. */
		atomic_store_explicit(&writer->keys[index], extras->key, memory_order_relaxed);
		writer->last_key = extras->key;
	}
}

#endif
