/* SPDX-License-Identifier: MIT */
/* Cards, of good ones with bytes overwritten, and event pages. What is accepted keeps every promise of validate.h. */
#include "fuzz.h"
#include "memory.h"
#include "places.h"

#include "proto/name.h"
#include "proto/validate.h"

static void card_check(struct fuzz *fuzz)
{
	static struct shmb_geometry plans[SHAPES];
	unsigned shape = fuzz_u8(fuzz) % SHAPES;
	struct shmb_shm_card card;
	struct shmb_geometry geometry;
	uint64_t data_size;
	const char *why = NULL;
	bool patched = fuzz->left > 0;

	if (plans[shape].data_bytes == 0)
		FUZZ_HOLDS(shmb_geometry_plan(&shapes[shape], SHAPE_AREAS, &plans[shape], &why) == 0);
	shape_card(&plans[shape], &card);
	for (unsigned i = 0; fuzz->left > 0 && i < 16; i++)
		fuzz_patch(fuzz, &card, sizeof(card));
	data_size = card.data_bytes;
	if (shmb_card_check(&card, 2 * SHMB_PAGE, data_size, &geometry, &why) < 0) {
		FUZZ_HOLDS(patched && why != NULL);
		return;
	}
	places_check(&geometry);
	FUZZ_HOLDS(geometry.data_bytes <= data_size);
	FUZZ_HOLDS(shmb_name_check_field(card.name, sizeof(card.name), &why) == 0 && memchr(card.type, '\0', sizeof(card.type)) != NULL);
	FUZZ_HOLDS(card.schema_offset <= 2 * SHMB_PAGE && card.schema_length <= 2 * SHMB_PAGE - card.schema_offset);
}

static void event_check(struct fuzz *fuzz)
{
	struct shmb_shm_event event = { .magic = SHMB_EVENT_MAGIC,
					.version = SHMB_LAYOUT_VERSION,
					.oldest_reader = SHMB_LAYOUT_OLDEST,
					.pid = 1,
					.start_time = 1,
					.cookie = { 1 } };
	const char *why = NULL;

	for (unsigned i = 0; fuzz->left > 0 && i < 16; i++)
		fuzz_patch(fuzz, &event, 128);
	if (shmb_event_check(&event, SHMB_PAGE, &why) < 0)
		FUZZ_HOLDS(why != NULL);
	else
		FUZZ_HOLDS(event.magic == SHMB_EVENT_MAGIC && event.pid >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct fuzz fuzz = { bytes, length };

	if (length < 1)
		return 0;
	if (fuzz_u8(&fuzz) & 1)
		event_check(&fuzz);
	else
		card_check(&fuzz);
	return 0;
}
