/* SPDX-License-Identifier: MIT */
/*
 * Descriptors as a broker sends them, with any bytes and sizes: the client maps what is good and refuses the rest, leaves nothing behind, and what
 * it mapped can be worked with.
 */
#include "fuzz.h"
#include "memory.h"
#include "places.h"
#include "reading.h"

#include "libclient/map.h"

#include <sys/mman.h>
#include <unistd.h>

enum { STEPS = 24 };

static _Atomic uint32_t guard = 1;

static int file_make(const void *bytes, size_t length, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	FUZZ_HOLDS(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
	if (size < length)
		length = size;
	FUZZ_HOLDS(pwrite(fd, bytes, length, 0) == (ssize_t)length);
	return fd;
}

static void work(struct fuzz *fuzz, struct mappings *mappings, bool writes)
{
	struct slots_memory memory = { .geometry = &mappings->geometry,
				       .card = mappings->card,
				       .data = mappings->data,
				       .area_count = mappings->area_count,
				       .guard = &guard };
	struct reading reading;

	for (unsigned i = 0; i < mappings->area_count; i++)
		memory.areas[i] = mappings->areas[i];
	if (reading_begin(&reading, &mappings->geometry, &memory, mappings->area_count > 0 ? &mappings->areas[0]->cells[0] : NULL)) {
		for (unsigned i = 0; fuzz->left > 0 && i < STEPS; i++) {
			uint8_t op = fuzz_u8(fuzz);

			if ((op & 3) == 0 && writes)
				fuzz_patch(fuzz, mappings->data, mappings->geometry.data_bytes);
			else
				reading_step(&reading, op >> 2, fuzz_u8(fuzz));
		}
	}
	reading_end(&reading);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	static struct shape_memory memories[SHAPES];
	struct fuzz fuzz = { bytes, length };
	unsigned shape = fuzz_u8(&fuzz) % SHAPES;
	struct shape_memory *parts = &memories[shape];
	uint8_t how = fuzz_u8(&fuzz);
	bool writes = (how & 1) != 0;
	struct expected expected = { .name = shape_name, .kind = shapes[shape].kind, .role = writes ? SHMB_ROLE_WRITER : SHMB_ROLE_READER };
	struct shmb_msg_open_answer open = { .segment_id = 77, .generation = 1, .epoch = 3, .cell = 0, .area = 0 };
	struct answer answer = { 0 };
	struct mappings mappings;
	struct shmb_type *type = NULL;
	size_t card_bytes = 2 * SHMB_PAGE;
	size_t data_bytes;
	unsigned areas = writes ? SHAPE_AREAS : 1;

	shape_make(parts, shape);
	if (writes)
		open.cell = open.area = UINT32_MAX;
	data_bytes = parts->geometry.data_bytes;
	open.fd_count = 2 + areas;
	if ((how & 2) != 0)
		card_bytes = fuzz_u16(&fuzz);
	if ((how & 4) != 0)
		data_bytes = fuzz_u16(&fuzz);
	if ((how & 8) != 0)
		fuzz_patch(&fuzz, &open, sizeof(open));
	for (unsigned i = how >> 4 & 7; i > 0 && fuzz.left > 0; i--) {
		uint8_t where = fuzz_u8(&fuzz);

		if ((where & 3) == 0)
			fuzz_patch(&fuzz, parts->data, parts->geometry.data_bytes);
		else if ((where & 3) == 1)
			fuzz_patch(&fuzz, (char *)parts->card + SHMB_PAGE, 64); /* the schema */
		else
			fuzz_patch(&fuzz, parts->card, 576);
	}
	answer.fds[answer.fd_count++] = file_make(parts->card, 2 * SHMB_PAGE, card_bytes);
	answer.fds[answer.fd_count++] = file_make(parts->data, parts->geometry.data_bytes, data_bytes);
	for (unsigned i = 0; i < areas; i++)
		answer.fds[answer.fd_count++] = file_make(parts->areas[i], SHMB_PAGE, (how & 128) != 0 ? 100 : SHMB_PAGE);
	if (segment_map(&mappings, &expected, &open, &answer, writes ? NULL : &type) == 0) {
		places_check(&mappings.geometry);
		FUZZ_HOLDS(mappings.geometry.data_bytes <= data_bytes && mappings.geometry.kind == expected.kind);
		FUZZ_HOLDS(mappings.area_count == areas && answer.fd_count == 0);
		if (type != NULL)
			FUZZ_HOLDS(type->size == mappings.geometry.payload_bytes);
		work(&fuzz, &mappings, writes);
		segment_unmap(&mappings);
	} else {
		FUZZ_HOLDS(mappings.card == NULL && mappings.data == NULL && mappings.area_count == 0 && answer.fd_count == 0);
	}
	shmb_type_free(type);
	return 0;
}
