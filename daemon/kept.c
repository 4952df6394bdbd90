/* SPDX-License-Identifier: MIT */
/*
 * Mappings that stay (kept.h).
 *
 * The list is short and searched from the segment used last on. A borrowed mapping is good until the next call that could throw its
 * segment out: a request touches one segment, at most a few, and KEPT_MAX are kept.
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

static struct kept *entry_free(struct kept_list *kept, struct kept *entry)
{
	TAILQ_REMOVE(&kept->list, entry, link);
	kept->count--;
	foreign_unmap(&entry->card.map);
	foreign_unmap(&entry->record.map);
	for (unsigned i = 0; i < SHMB_AREAS_MAX; i++)
		foreign_unmap(&entry->areas[i].map);
	free(entry);
	return NULL;
}

static struct kept *entry_find(struct kept_list *kept, const char *name, uint64_t generation)
{
	struct kept *entry;

	TAILQ_FOREACH (entry, &kept->list, link) {
		if (entry->generation == generation && strcmp(entry->name, name) == 0)
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
	struct kept *entry = entry_find(kept, segment->name, segment->geometry.generation);

	if (entry != NULL && entry->segment_id != segment->segment_id) /* of a namesake before */
		entry = entry_free(kept, entry);
	if (entry == NULL)
		return entry_new(kept, segment);
	if (entry != TAILQ_FIRST(&kept->list)) {
		TAILQ_REMOVE(&kept->list, entry, link);
		TAILQ_INSERT_HEAD(&kept->list, entry, link);
	}
	return entry;
}

/* Is it still the file of that name, and whole? */
static bool kept_is_there(struct store *store, const struct segment *segment, enum part part, uint32_t area, const struct kept_part *kept)
{
	char file[STORE_FILE_MAX];
	struct stat st;

	if (part_is_sealed(segment, part)) /* nobody can change it, and the entry is this segment's */
		return true;
	part_file(file, segment->name, segment->geometry.generation, part, area);
	return fstatat(store->dir_fd, file, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == kept->device && st.st_ino == kept->inode &&
	       st.st_size >= 0 && (uint64_t)st.st_size >= kept->map.bytes;
}

static int part_keep(struct store *store, const struct segment *segment, enum part part, uint32_t area, struct kept_part *kept)
{
	auto_close int fd = part_open(store, segment, part, area, O_RDWR);
	size_t bytes = part == PART_RECORD ? RECORD_BYTES : SHMB_PAGE;
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size < 0 || (uint64_t)st.st_size < bytes)
		return -EBADMSG;
	kept->device = st.st_dev;
	kept->inode = st.st_ino;
	return foreign_map(&kept->map, fd, 0, bytes, true);
}

int kept_map(struct store *store, const struct segment *segment, enum part part, uint32_t area, struct foreign *map)
{
	struct kept *entry = entry_get(store->kept, segment);
	struct kept_part *kept;
	int r = 0;

	if (entry == NULL)
		return -ENOMEM;
	kept = part == PART_CARD ? &entry->card : part == PART_RECORD ? &entry->record : &entry->areas[area];
	if (kept->map.at != NULL && !kept_is_there(store, segment, part, area, kept))
		foreign_unmap(&kept->map);
	if (kept->map.at == NULL)
		r = part_keep(store, segment, part, area, kept);
	if (r == 0)
		*map = (struct foreign){ .at = kept->map.at, .bytes = kept->map.bytes, .is_borrowed = true };
	return r;
}

void kept_forget(struct store *store, const char *name, uint64_t generation)
{
	struct kept *entry = entry_find(store->kept, name, generation);

	if (entry != NULL)
		entry_free(store->kept, entry);
}

struct kept_list *kept_new(void)
{
	struct kept_list *kept = calloc(1, sizeof(*kept));

	if (kept != NULL)
		TAILQ_INIT(&kept->list);
	return kept;
}

struct kept_list *kept_free(struct kept_list *kept)
{
	while (kept != NULL && !TAILQ_EMPTY(&kept->list))
		entry_free(kept, TAILQ_FIRST(&kept->list));
	free(kept);
	return NULL;
}
