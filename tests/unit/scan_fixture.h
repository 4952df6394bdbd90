/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_SCAN_FIXTURE_H
#define SHMB_TESTS_SCAN_FIXTURE_H

/* Scans of a private directory, what they reported, and its files as bytes. */

#include "store_fixture.h"

#include "daemon/event_page.h"

/* What a scan reported. */
struct seen {
	struct store *store;
	struct segment *segments[8];
	struct segment_cell cells[SHMB_CELLS_MAX]; /* of the last one */
	unsigned count;
	unsigned cell_count;
	unsigned pages;
	struct holder page_who;
};

static inline void on_found(struct segment *segment, const struct segment_cell *cells, unsigned cell_count, void *user)
{
	struct seen *seen = user;

	ck_assert_uint_lt(seen->count, 8);
	ck_assert_uint_eq(seen->pages, 0); /* segments come first */
	ck_assert_uint_eq(segment->cells_used, cell_count);
	seen->segments[seen->count++] = segment;
	seen->cell_count = cell_count;
	for (unsigned i = 0; i < cell_count; i++)
		seen->cells[i] = cells[i];
}

static inline void on_page(struct event_page *page, const struct holder *who, void *user)
{
	struct seen *seen = user;

	seen->pages++;
	seen->page_who = *who;
	event_page_bump(page);
	event_page_free(seen->store, page, false);
}

/* Scans; the segments found belong to *seen until the next scan. */
static inline void scan(struct fixture *fixture, struct seen *seen)
{
	struct store_scan with = { .found = on_found, .page = on_page, .user = seen };

	for (unsigned i = 0; i < seen->count; i++)
		segment_free(seen->segments[i]);
	*seen = (struct seen){ .store = &fixture->store };
	ck_assert_int_eq(store_scan(&fixture->store, &with), 0);
}

static inline void seen_free(struct seen *seen)
{
	for (unsigned i = 0; i < seen->count; i++)
		segment_free(seen->segments[i]);
	seen->count = 0;
}

static inline void *map_file(struct fixture *fixture, const char *file, size_t bytes)
{
	int fd = openat(fixture->store.dir_fd, file, O_RDWR | O_CLOEXEC);
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	ck_assert_ptr_ne(at, MAP_FAILED);
	close(fd);
	return at;
}

static inline struct shmb_shm_card *map_card(struct fixture *fixture)
{
	return map_file(fixture, "x,1", SHMB_PAGE);
}

static inline bool has(struct fixture *fixture, const char *file)
{
	return faccessat(fixture->store.dir_fd, file, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static inline void copy_file(struct fixture *fixture, const char *from, const char *to)
{
	int in = openat(fixture->store.dir_fd, from, O_RDONLY | O_CLOEXEC);
	int out = openat(fixture->store.dir_fd, to, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	char bytes[SHMB_PAGE];
	ssize_t got;

	while ((got = read(in, bytes, sizeof(bytes))) > 0)
		ck_assert_int_eq(write(out, bytes, (size_t)got), got);
	close(in);
	close(out);
}

#endif
