/* SPDX-License-Identifier: MIT */
/* Taking stamps and keys, and beginning keys anew (extras.h). */
#include "extras.h"

#include <errno.h>
#include <string.h>

#include "clock.h"
#include "publish.h"
#include "text.h"

/* The integer at the key's place. -ERANGE it is negative. */
static inline int key_take(const struct slots_writer *writer, const unsigned char *payload, uint64_t *key)
{
	const unsigned char *at = payload + writer->key_field;
	union {
		uint64_t u8;
		uint32_t u4;
		uint16_t u2;
		uint8_t u1;
	} word = { 0 };

	switch (writer->key_bytes) {
	case 8:
		memcpy(&word.u8, at, 8);
		*key = word.u8;
		break;
	case 4:
		memcpy(&word.u4, at, 4);
		*key = word.u4;
		break;
	case 2:
		memcpy(&word.u2, at, 2);
		*key = word.u2;
		break;
	default:
		*key = *at;
		break;
	}
	if (writer->key_is_signed && unlikely(*key >> (8 * writer->key_bytes - 1) != 0))
		return -ERANGE;
	return 0;
}

__attribute__((noinline)) int extras_take(const struct slots_writer *writer, const void *payload, struct extras *extras)
{
	int r = 0;

	if (writer->extras & SLOTS_STAMPED)
		extras->stamp_ns = clock_now_ns();
	if (!(writer->extras & SLOTS_KEYED))
		return 0;
	if (writer->key_field == SHMB_KEY_IS_STAMP)
		extras->key = extras->stamp_ns;
	else if (writer->key_field != SHMB_KEY_IS_GIVEN)
		r = key_take(writer, payload, &extras->key);
	if (unlikely(r < 0))
		return r;
	return likely(extras->key >= writer->last_key) ? 0 : -EDOM;
}

/* Keys of a new run need not go on from those before, so no query looks below its first number. */
void keys_begin(struct slots_writer *writer)
{
	/* Before the next counter, whose release makes it visible to who sees a number of the new run (counter.publish). */
	atomic_store_explicit(&writer->data->key_base, writer->next, memory_order_relaxed);
	writer->last_key = 0;
}

int slots_restart_keys(struct slots_writer *writer)
{
	int r = writer_check(writer);

	if (r < 0)
		return r;
	if (writer->keys == NULL)
		return text_fail(-EINVAL, "this segment has no keys");
	keys_begin(writer);
	return 0;
}
