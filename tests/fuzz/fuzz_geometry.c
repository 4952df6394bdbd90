/* SPDX-License-Identifier: MIT */
/* Plans of segments: whatever is asked for, what is planned lies inside the data part and nothing overlaps. */
#include "fuzz.h"
#include "places.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct fuzz fuzz = { bytes, length };
	struct shmb_request request = {
		.kind = (enum shmb_kind)(fuzz_u8(&fuzz) % 7),
		.flags = fuzz_u8(&fuzz) & 3,
		.capacity = fuzz_u32(&fuzz),
		.payload_align = fuzz_u8(&fuzz),
		.payload_bytes = fuzz_u64(&fuzz),
		.history = fuzz_u32(&fuzz),
		.pins = fuzz_u32(&fuzz),
		.key_type = (enum shmb_key_type)(fuzz_u8(&fuzz) % 6),
		.key_field = fuzz_u32(&fuzz),
	};
	uint8_t shape = fuzz_u8(&fuzz);
	uint32_t areas = fuzz_u8(&fuzz) % (SHMB_AREAS_MAX + 2);
	struct shmb_geometry geometry;
	const char *why = NULL;

	/* Bits of the last byte but one ask for numbers that are not hopeless. */
	if (shape & 1)
		request.capacity = 1u << (request.capacity % 22);
	if (shape & 2)
		request.payload_align = 1u << (request.payload_align % 8);
	if (shape & 4)
		request.payload_bytes %= 100000;
	if (shape & 8) {
		request.history %= 4100;
		request.pins %= 1030;
	}
	if (shape & 16)
		request.key_field = SHMB_KEY_IS_STAMP;
	if (shape & 32)
		request.capacity = 0;
	if (shape & 64)
		request.history = request.pins = 0;
	if (shmb_geometry_plan(&request, areas, &geometry, &why) == 0) {
		FUZZ_HOLDS(geometry.kind == request.kind && geometry.payload_bytes == request.payload_bytes);
		places_check(&geometry);
	}
	return 0;
}
