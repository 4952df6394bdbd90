/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_TSAN_MAPPING_H
#define SHMB_TESTS_TSAN_MAPPING_H

/*
 * A segment in plain memory, laid out as one, for threads on one mapping: that is what TSan can see (it sees nothing across two mappings of the
 * same memory). There is no broker.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libclient/connection.h"
#include "libclient/slots.h"

struct mapping {
	struct shmb_geometry geometry;
	struct shmb_shm_card card;
	struct shmb_shm_area area;
	struct shmb_shm_data *data;
	struct slots_memory memory;
};

static _Atomic uint32_t guard = 1;

/* There is no broker to look at. */
int connection_look(struct shmb *broker, uint32_t event, uint64_t deadline_ns)
{
	(void)broker;
	(void)event;
	(void)deadline_ns;
	abort();
}

static inline int mapping_make(struct mapping *mapping, const struct shmb_request *request)
{
	const char *why;
	int r = shmb_geometry_plan(request, 1, &mapping->geometry, &why);

	if (r < 0)
		return r;
	mapping->data = aligned_alloc(SHMB_PAGE, mapping->geometry.data_bytes);
	if (mapping->data == NULL)
		return -ENOMEM;
	memset(mapping->data, 0, mapping->geometry.data_bytes);
	atomic_store_explicit(&mapping->card.state, shmb_state_word(1, SHMB_STATE_HELD), memory_order_relaxed);
	atomic_store_explicit(&mapping->card.cut, UINT64_MAX, memory_order_relaxed);
	atomic_store_explicit(&mapping->card.writer, shmb_writer_word(1, SHMB_WRITER_ALIVE), memory_order_relaxed);
	atomic_store_explicit(&mapping->card.bound_areas, 1, memory_order_relaxed);
	atomic_store_explicit(&mapping->card.area_cells[0], (UINT32_C(1) << SHMB_CELLS_PER_AREA) - 1, memory_order_relaxed);
	for (int i = 0; i < SHMB_CELLS_PER_AREA; i++) {
		atomic_store_explicit(&mapping->card.cells[i].pid, 1000 + i, memory_order_relaxed);
		atomic_store_explicit(&mapping->card.cells[i].incarnation, 1, memory_order_relaxed);
	}
	mapping->memory = (struct slots_memory){
		.geometry = &mapping->geometry,
		.card = &mapping->card,
		.data = mapping->data,
		.areas = { &mapping->area },
		.area_count = 1,
		.guard = &guard,
	};
	return 0;
}

static inline void pause_us(long us)
{
	nanosleep(&(struct timespec){ .tv_nsec = us * 1000 }, NULL);
}

static inline uint64_t word_of(uint64_t number, size_t index)
{
	return (number + 1) * UINT64_C(0x9e3779b97f4a7c15) + index;
}

#endif
