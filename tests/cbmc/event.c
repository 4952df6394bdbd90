/* SPDX-License-Identifier: MIT */
/*
 * An event page of any bytes, of a file of any size: nothing outside the copy is read, and what is accepted is as large as a page, complete, of a version
 * that can be read, and says of whom it is.
 */
#include "prove.h"

#include "proto/validate.h"

#include <errno.h>

#ifndef __CPROVER
/* A page as it should be, with a byte or two moved. */
static void draw_page(struct shmb_shm_event *page)
{
	memset(page, 0, sizeof(*page));
	atomic_store_explicit(&page->magic, SHMB_EVENT_MAGIC, memory_order_relaxed);
	page->version = page->oldest_reader = SHMB_LAYOUT_VERSION;
	page->pid = 1;
	page->cookie[draw(SHMB_COOKIE_BYTES)] = (uint8_t)draw(3);
	((uint8_t *)page)[draw(SHMB_CACHE_LINE)] ^= (uint8_t)draw(4);
}
#endif

void harness(void)
{
	struct shmb_shm_event page;
	uint64_t size;
	const char *why = NULL;
	uint8_t said = 0;
	int r;

	ANY(page);
	ANY(size);
	DRAW(draw_page(&page));
	DRAW(size = draw(8) ? sizeof(page) : size);
	r = shmb_event_check(&page, size, &why);
	PROVE(r == 0 || r == -ENODATA || r == -EBADMSG || r == -EPROTONOSUPPORT);
	PROVE((r == 0) == (why == NULL));
	ASSUME(r == 0);
	for (size_t i = 0; i < sizeof(page.cookie); i++)
		said |= page.cookie[i];
	PROVE(size == SHMB_PAGE && sizeof(page) == SHMB_PAGE);
	PROVE(atomic_load_explicit(&page.magic, memory_order_relaxed) == SHMB_EVENT_MAGIC);
	PROVE(page.oldest_reader <= SHMB_LAYOUT_VERSION && page.version >= SHMB_LAYOUT_OLDEST && page.oldest_reader <= page.version);
	PROVE(page.pid >= 0);
	PROVE(said != 0);
	END();
}
