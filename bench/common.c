/* SPDX-License-Identifier: MIT */
/* What several implementations are made of (common.h). */
#include "common.h"

#include <stdlib.h>
#include <sys/mman.h>

enum { CHECKED_BYTES = 4096 };

int ends_init(struct ends *ends, size_t bytes)
{
	size_t room = (bytes + SHMB_CACHE_LINE - 1) / SHMB_CACHE_LINE * SHMB_CACHE_LINE;

	ends->bytes = bytes;
	ends->source = aligned_alloc(SHMB_CACHE_LINE, room);
	ends->destination = aligned_alloc(SHMB_CACHE_LINE, room);
	if (ends->source == NULL || ends->destination == NULL)
		return -ENOMEM;
	memset(ends->source, 0x5a, room);
	memset(ends->destination, 0, room);
	return 0;
}

void ends_deinit(struct ends *ends)
{
	free(ends->source);
	free(ends->destination);
}

int ends_check(const struct ends *ends)
{
	size_t bytes = ends->bytes < CHECKED_BYTES ? ends->bytes : CHECKED_BYTES;
	size_t last = ends->bytes - bytes;

	if (memcmp(ends->source, ends->destination, bytes) != 0 || memcmp(ends->source + last, ends->destination + last, bytes) != 0)
		return -EBADMSG;
	return 0;
}

void ends_change(struct ends *ends)
{
	ends->source[0]++;
	ends->source[ends->bytes - 1]++;
}

void *memory_map(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	return memory != MAP_FAILED ? memory : NULL;
}

int buffers_init(struct buffers *buffers, uint32_t kind, uint32_t slots, uint32_t bytes)
{
	const struct shmb_request request = {
		.kind = kind,
		.capacity = slots,
		.payload_align = 1,
		.payload_bytes = bytes,
		.key_field = SHMB_KEY_IS_STAMP,
	};
	struct shmb_geometry geometry;
	const char *why;
	int r = shmb_geometry_plan(&request, 1, &geometry, &why);

	if (r < 0)
		return r;
	buffers->memory = memory_map(geometry.data_bytes);
	if (buffers->memory == NULL)
		return -ENOMEM;
	buffers->memory_bytes = geometry.data_bytes;
	buffers->first = buffers->memory + geometry.pool_offset;
	buffers->mask = geometry.slot_count - 1;
	buffers->shift = geometry.pool_shift;
	return 0;
}

void buffers_deinit(struct buffers *buffers)
{
	if (buffers->memory != NULL)
		munmap(buffers->memory, buffers->memory_bytes);
}
