/* SPDX-License-Identifier: MIT */
#ifndef SHMB_CLIENT_TYPE_H
#define SHMB_CLIENT_TYPE_H

/* Types inside the library: checks at open, and the type that a card describes. */

#include <stdbool.h>

#include "proto/layout.h"
#include "shmb.h"

/* Checks a caller's type: name, schema, and that size and alignment are what the schema makes. *hash is the schema's. -EINVAL with text. */
int type_check(const struct shmb_type *type, uint64_t *hash);

/* The scalar integer field of this name. -EINVAL with text: there is none. */
struct type_integer {
	uint32_t offset;
	uint8_t bytes;
	bool is_signed;
};
int type_integer_field(const struct shmb_type *type, const char *name, struct type_integer *out);
/* Likewise, the one that lies there in the payload. */
int type_integer_at(const struct shmb_type *type, uint32_t offset, struct type_integer *out);

/* `schema` is the text behind a checked copy of its card. -EBADMSG when it is no schema of `payload_bytes`, or not the one hashed. */
int type_from_card(struct shmb_type **out, const struct shmb_shm_card *card, const char *schema, uint64_t payload_bytes);

#endif
