/* SPDX-License-Identifier: MIT */
/*
 * A card of any bytes: the validator reads nothing outside it, and what it accepts is safe for every number. What field.c proves of names stands here
 * for shmb_name_check_field(): any verdict may come, with a reason where it is a bad one.
 */
#include "prove.h"
#include "safe.h"
#include "verdict.h"

#include "proto/validate.h"

#ifndef __CPROVER
/* A card as it should be, with a few fields moved. */
static void draw_card(struct shmb_shm_card *card)
{
	static const size_t at[] = {
		offsetof(struct shmb_shm_card, slot_offset), offsetof(struct shmb_shm_card, pool_offset),
		offsetof(struct shmb_shm_card, key_offset),  offsetof(struct shmb_shm_card, entry_offset),
		offsetof(struct shmb_shm_card, data_bytes),  offsetof(struct shmb_shm_card, payload_bytes),
	};
	struct shmb_request request = {
		.kind = (enum shmb_kind)(1 + draw(5)), .payload_bytes = 1 + draw(300), .payload_align = 8, .key_field = SHMB_KEY_IS_STAMP
	};
	struct shmb_geometry g;

	if (request.kind == SHMB_KIND_FRAME)
		request.history = 1 + (uint32_t)draw(8);
	else if (request.kind != SHMB_KIND_BLOCK)
		request.capacity = 4u << draw(2);
	if (shmb_geometry_plan(&request, 3, &g, NULL) < 0)
		return;
	*card = (struct shmb_shm_card){ .magic = SHMB_CARD_MAGIC,
					.version = 1,
					.oldest_reader = 1,
					.card_bytes = 2 * SHMB_PAGE,
					.schema_offset = SHMB_PAGE,
					.schema_length = 16,
					.kind = (uint8_t)g.kind,
					.backing = 1,
					.key_type = g.key_type,
					.generation = 1,
					.name = "n",
					.type = "t",
					.data_bytes = g.data_bytes,
					.payload_bytes = g.payload_bytes,
					.slot_offset = g.slot_offset,
					.pool_offset = g.pool_offset,
					.key_offset = g.key_offset,
					.entry_offset = g.entry_offset,
					.flags = g.flags,
					.slot_count = g.slot_count,
					.pool_count = g.pool_count,
					.entry_count = g.entry_count,
					.slot_shift = g.slot_shift,
					.pool_shift = g.pool_shift,
					.key_shift = g.key_shift,
					.entry_shift = g.entry_shift,
					.history = g.history,
					.key_field = g.key_field,
					.payload_align = g.payload_align };
	for (uint64_t i = draw(3); i > 0; i--) {
		uint64_t value;
		char *field = (char *)card + at[draw(sizeof(at) / sizeof(at[0]))];

		memcpy(&value, field, sizeof(value));
		value += 8 * (draw(64) - 32);
		memcpy(field, &value, sizeof(value));
	}
}
#endif

void harness(void)
{
	struct shmb_shm_card card;
	struct shmb_geometry geometry;
	uint64_t card_size, data_size, number;
	size_t at;
	const char *why = NULL;
	int r;

	ANY(card);
	ANY(card_size);
	ANY(data_size);
	ANY(number);
	ANY(at);
	DRAW(at %= sizeof(card.type));
	DRAW(draw_card(&card));
	DRAW(card_size = card.card_bytes);
	DRAW(data_size = card.data_bytes);
	r = shmb_card_check(&card, card_size, data_size, &geometry, &why);
	PROVE(r <= 0);
	PROVE((r == 0) == (why == NULL));
	ASSUME(r == 0 && at < sizeof(card.type));
	PROVE(card.type[0] != '\0' && card.type[sizeof(card.type) - 1] == '\0');
	PROVE(card.type[at] == '\0' || (card.type[at] >= 0x20 && card.type[at] <= 0x7e));
	PROVE(geometry.data_bytes == data_size);
	PROVE((uint64_t)card.schema_offset + card.schema_length <= card_size);
	PROVE(all_lie_inside(&geometry));
	PROVE(all_lie_apart(&geometry));
	PROVE(number_stays_inside(&geometry, number));
	END();
}
