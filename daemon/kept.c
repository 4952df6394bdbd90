/* SPDX-License-Identifier: MIT */
/*
 * Mappings and descriptors that stay (kept.h).
 *
 * The list is short and searched from the segment used last on. A borrowed mapping is good until the next call that could throw its
 * segment out: a request touches one segment, at most a few, and KEPT_MAX are kept.
 *
 * The directory's ctime is the time of the kernel's last tick before something in it was named, renamed or removed. A change in the same tick
 * as the one before leaves it as it was; so it is believed only once it has been the same for SETTLE_NS, longer than any tick, and only on a tmpfs,
 * whose times are not rounded. Until then each file is looked at each time. A clock that is set makes no two changes look the same: times are
 * compared for being equal, not for being earlier.
 */
#include "kept.h"

#include "cleanup.h"
#include "parts.h"
#include "sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SETTLE_NS UINT64_C(20000000) /* two ticks of a kernel with the longest there are, 100 Hz */

/* ---- the directory ---- */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void directory_look(struct store *store)
{
	struct kept_list *kept = store->kept;
	bool is_known;
	struct stat st;

	if (kept->in_request && kept->looked)
		return;
	kept->looked = true;
	is_known = store->is_tmpfs && fstat(store->dir_fd, &st) == 0;
	if (is_known && st.st_ctim.tv_sec == kept->ctime.tv_sec && st.st_ctim.tv_nsec == kept->ctime.tv_nsec)
		return;
	kept->state++;
	kept->since_ns = now_ns();
	kept->ctime = is_known ? st.st_ctim : (struct timespec){ 0 };
}

/* What a file that was looked at just now is marked with. */
static uint64_t directory_mark(const struct store *store)
{
	return now_ns() - store->kept->since_ns >= SETTLE_NS ? store->kept->state : 0;
}

void kept_request(struct kept_list *kept, bool begins)
{
	kept->in_request = begins;
	kept->looked = false;
}

/* ---- parts ---- */

static void part_close(struct kept_list *kept, struct kept_part *part)
{
	if (part->fd < 0)
		return;
	close(part->fd);
	part->fd = -1;
	kept->fd_count--;
}

static void part_drop(struct kept_list *kept, struct kept_part *part)
{
	foreign_unmap(&part->map);
	part_close(kept, part);
}

/* Calls for each part of the entry. */
static void parts_each(struct kept_list *kept, struct kept *entry, void (*call)(struct kept_list *kept, struct kept_part *part))
{
	call(kept, &entry->card);
	call(kept, &entry->record);
	call(kept, &entry->data);
	for (unsigned i = 0; i < SHMB_AREAS_MAX; i++)
		call(kept, &entry->areas[i]);
}

static void part_init(struct kept_list *kept, struct kept_part *part)
{
	(void)kept;
	part->fd = -1;
}

static struct kept_part *part_at(struct kept *entry, enum part part, uint32_t area)
{
	switch (part) {
	case PART_CARD:
		return &entry->card;
	case PART_RECORD:
		return &entry->record;
	case PART_DATA:
		return &entry->data;
	default:
		return &entry->areas[area];
	}
}

/* ---- entries ---- */

static struct kept *entry_free(struct kept_list *kept, struct kept *entry)
{
	TAILQ_REMOVE(&kept->list, entry, link);
	kept->count--;
	parts_each(kept, entry, part_drop);
	free(entry);
	return NULL;
}

static struct kept *entry_find(struct kept_list *kept, const struct segment *segment)
{
	struct kept *entry;

	TAILQ_FOREACH (entry, &kept->list, link) {
		if (entry->segment_id == segment->segment_id && entry->generation == segment->geometry.generation)
			return entry;
	}
	return NULL;
}

static struct kept *entry_new(struct kept_list *kept, const struct segment *segment)
{
	struct kept *entry = calloc(1, sizeof(*entry));

	if (entry == NULL)
		return NULL;
	if (kept->count == KEPT_MAX)
		entry_free(kept, TAILQ_LAST(&kept->list, kept_head));
	parts_each(kept, entry, part_init);
	strcpy(entry->name, segment->name);
	entry->segment_id = segment->segment_id;
	entry->generation = segment->geometry.generation;
	TAILQ_INSERT_HEAD(&kept->list, entry, link);
	kept->count++;
	return entry;
}

/* The segment's entry, first in the list. */
static struct kept *entry_get(struct kept_list *kept, const struct segment *segment)
{
	struct kept *entry = entry_find(kept, segment);

	if (entry == NULL)
		return entry_new(kept, segment);
	if (entry != TAILQ_FIRST(&kept->list)) {
		TAILQ_REMOVE(&kept->list, entry, link);
		TAILQ_INSERT_HEAD(&kept->list, entry, link);
	}
	return entry;
}

/* ---- is it the file of that name? ---- */

static bool file_is_there(struct store *store, const struct segment *segment, enum part part, uint32_t area, struct kept_part *kept)
{
	char file[STORE_FILE_MAX];
	struct stat st;

	if (kept->seen == store->kept->state)
		return true;
	part_file(file, segment->name, segment->geometry.generation, part, area);
	if (fstatat(store->dir_fd, file, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != kept->device || st.st_ino != kept->inode ||
	    st.st_size < 0 || (uint64_t)st.st_size < kept->map.bytes)
		return false;
	kept->seen = directory_mark(store);
	return true;
}

/* The part's place; what is in it can be used. Where it is opened after this, the directory was looked at before. NULL: no memory. */
static struct kept_part *part_get(struct store *store, const struct segment *segment, enum part part, uint32_t area)
{
	struct kept *entry = entry_get(store->kept, segment);
	struct kept_part *kept = entry != NULL ? part_at(entry, part, area) : NULL;

	if (kept == NULL || part_is_sealed(segment, part)) /* nobody can change it, and the entry is this segment's */
		return kept;
	directory_look(store);
	if ((kept->map.at != NULL || kept->fd >= 0) && !file_is_there(store, segment, part, area, kept))
		part_drop(store->kept, kept);
	return kept;
}

/* It was opened as `fd`: what is kept of another file goes. */
static int part_identify(struct store *store, struct kept_part *kept, int fd, uint64_t bytes)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size < 0 || (uint64_t)st.st_size < bytes)
		return -EBADMSG;
	if (st.st_dev != kept->device || st.st_ino != kept->inode)
		part_drop(store->kept, kept);
	kept->device = st.st_dev;
	kept->inode = st.st_ino;
	kept->seen = directory_mark(store);
	return 0;
}

int kept_map(struct store *store, const struct segment *segment, enum part part, uint32_t area, struct foreign *map)
{
	struct kept_part *kept = part_get(store, segment, part, area);
	size_t bytes = part == PART_RECORD ? RECORD_BYTES : SHMB_PAGE;
	int r = 0;

	if (kept == NULL)
		return -ENOMEM;
	if (kept->map.at == NULL) {
		auto_close int fd = part_open(store, segment, part, area, O_RDWR);

		r = fd < 0 ? fd : part_identify(store, kept, fd, bytes);
		if (r == 0)
			r = foreign_map(&kept->map, fd, 0, bytes, true);
	}
	if (r == 0)
		*map = (struct foreign){ .at = kept->map.at, .bytes = kept->map.bytes, .is_borrowed = true };
	return r;
}

/* Makes room for one more: the segment used longest ago gives up its descriptors, never the one used last. */
static void fds_make_room(struct kept_list *kept)
{
	struct kept *entry = TAILQ_LAST(&kept->list, kept_head);

	while (kept->fd_count >= kept->fd_max && entry != TAILQ_FIRST(&kept->list)) {
		parts_each(kept, entry, part_close);
		entry = TAILQ_PREV(entry, kept_head, link);
	}
}
_Static_assert((int)KEPT_FDS_MAX > (int)SHMB_FDS_MAX, "the segment used last keeps what one answer carries");

int kept_open(struct store *store, const struct segment *segment, enum part part, uint32_t area)
{
	struct kept_part *kept = part_get(store, segment, part, area);
	int fd, r;

	if (kept == NULL)
		return -ENOMEM;
	if (kept->fd >= 0)
		return kept->fd;
	fds_make_room(store->kept);
	fd = part_open(store, segment, part, area, part == PART_AREA ? O_RDWR : O_RDONLY);
	if (fd < 0)
		return fd;
	r = part_identify(store, kept, fd, 0);
	if (r < 0) {
		close(fd);
		return r;
	}
	kept->fd = fd;
	store->kept->fd_count++;
	return fd;
}

void kept_close(struct store *store, const struct segment *segment)
{
	struct kept *entry = store->kept->fd_count > 0 ? entry_find(store->kept, segment) : NULL;

	if (entry != NULL)
		parts_each(store->kept, entry, part_close);
}

void kept_forget(struct store *store, const char *name, uint64_t generation)
{
	struct kept *entry = TAILQ_FIRST(&store->kept->list);

	while (entry != NULL) {
		struct kept *next = TAILQ_NEXT(entry, link);

		if (entry->generation == generation && strcmp(entry->name, name) == 0)
			entry_free(store->kept, entry);
		entry = next;
	}
}

struct kept_list *kept_new(void)
{
	struct kept_list *kept = calloc(1, sizeof(*kept));

	if (kept == NULL)
		return NULL;
	TAILQ_INIT(&kept->list);
	kept->state = 1;
	kept->fd_max = KEPT_FDS_MAX;
	return kept;
}

struct kept_list *kept_free(struct kept_list *kept)
{
	while (kept != NULL && !TAILQ_EMPTY(&kept->list))
		entry_free(kept, TAILQ_FIRST(&kept->list));
	free(kept);
	return NULL;
}
