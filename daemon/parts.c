/* SPDX-License-Identifier: MIT */
/*
 * Names and mappings of a segment's files (parts.h).
 */
#include "parts.h"

#include "cleanup.h"
#include "debris.h"
#include "kept.h"
#include "sealed.h"
#include "proto/name.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static const char *const part_suffix[] = { "", ",record", ",data", ",area" };

void part_file(char out[STORE_FILE_MAX], const char *name, uint64_t generation, enum part part, uint32_t area)
{
	char digits[24];
	char *at = digits + sizeof(digits) - 1;

	/* By hand: each request makes several of them. */
	*at = '\0';
	do {
		*--at = (char)('0' + generation % 10);
		generation /= 10;
	} while (generation > 0);
	*--at = ',';
	shmb_name_encode(name, out);
	out = stpcpy(stpcpy(out + strlen(out), at), part_suffix[part]);
	if (part == PART_AREA) {
		*out++ = (char)('0' + area);
		*out = '\0';
	}
}

int part_parse(const char *file, struct part_name *out)
{
	const char *at = strchr(file, ',');
	uint64_t generation = 0;

	if (at == NULL || at == file || at - file > SHMB_NAME_MAX)
		return -EINVAL;
	out->name_length = (size_t)(at - file);
	at++;
	if (*at < '1' || *at > '9') /* from 1, and without zeros before it: one way to write each */
		return -EINVAL;
	for (; *at >= '0' && *at <= '9'; at++) {
		if (__builtin_mul_overflow(generation, 10, &generation) ||
		    __builtin_add_overflow(generation, (uint64_t)(*at - '0'), &generation))
			return -EINVAL;
	}
	out->generation = generation;
	out->area = 0;
	for (enum part part = PART_CARD; part <= PART_DATA; part++) {
		if (strcmp(at, part_suffix[part]) == 0) {
			out->part = part;
			return 0;
		}
	}
	if (strncmp(at, part_suffix[PART_AREA], strlen(part_suffix[PART_AREA])) != 0)
		return -EINVAL;
	at += strlen(part_suffix[PART_AREA]);
	if (at[0] < '0' || at[0] >= '0' + SHMB_AREAS_MAX || at[1] != '\0')
		return -EINVAL;
	out->part = PART_AREA;
	out->area = (uint32_t)(at[0] - '0');
	return 0;
}
_Static_assert(SHMB_AREAS_MAX <= 10, "an area's index is one digit");

int part_open(struct store *store, const struct segment *segment, enum part part, uint32_t area, int flags)
{
	char file[STORE_FILE_MAX];

	if (part_is_sealed(segment, part))
		return sealed_open(segment, part, area, flags);
	part_file(file, segment->name, segment->geometry.generation, part, area);
	return store_open_file(store, file, flags);
}

int part_map(struct store *store, const struct segment *segment, enum part part, uint32_t area, uint64_t offset, size_t bytes,
	     bool writable, struct foreign *map)
{
	auto_close int fd = -1;
	struct stat st;

	if (part != PART_DATA && offset == 0)
		return kept_map(store, segment, part, area, map);
	fd = part_open(store, segment, part, area, writable ? O_RDWR : O_RDONLY);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size < 0 || (uint64_t)st.st_size < offset || (uint64_t)st.st_size - offset < bytes)
		return -EBADMSG;
	return foreign_map(map, fd, offset, bytes, writable);
}

int parts_map(struct store *store, const struct segment *segment, bool writable, struct parts *parts)
{
	int r;

	*parts = (struct parts){ 0 };
	r = part_map(store, segment, PART_CARD, 0, 0, sizeof(struct shmb_shm_card), writable, &parts->card_map);
	if (r < 0)
		return r;
	r = part_map(store, segment, PART_RECORD, 0, 0, sizeof(struct shmb_shm_record), writable, &parts->record_map);
	if (r < 0) {
		foreign_unmap(&parts->card_map);
		return r;
	}
	parts->card = parts->card_map.at;
	parts->record = parts->record_map.at;
	return 0;
}

void parts_unmap(struct parts *parts)
{
	foreign_unmap(&parts->record_map);
	foreign_unmap(&parts->card_map);
}

int parts_check(const struct parts *parts, const struct segment *segment)
{
	const struct shmb_shm_card *card = parts->card;
	const struct shmb_shm_record *record = parts->record;

	if (atomic_load_explicit(&card->magic, memory_order_acquire) != SHMB_CARD_MAGIC || card->segment_id != segment->segment_id)
		return -ESTALE;
	if (atomic_load_explicit(&record->magic, memory_order_acquire) != SHMB_RECORD_MAGIC || record->segment_id != segment->segment_id)
		return -ESTALE;
	return 0;
}

uint64_t parts_bytes(const struct shmb_geometry *geometry, uint32_t schema_length)
{
	return SHMB_PAGE + part_pages(schema_length) + RECORD_BYTES + geometry->data_bytes + (uint64_t)geometry->area_count * SHMB_PAGE;
}

int parts_unlink_rest(struct store *store, const char *name, uint64_t generation)
{
	int r = 0;

	kept_forget(store, name, generation);
	/* The record goes last: a set without a card and with a record is one we began or left, and the next scan removes what remains. */
	for (uint32_t i = 0; i < SHMB_AREAS_MAX + 2; i++) {
		char file[STORE_FILE_MAX];

		if (i < SHMB_AREAS_MAX)
			part_file(file, name, generation, PART_AREA, i);
		else
			part_file(file, name, generation, i == SHMB_AREAS_MAX ? PART_DATA : PART_RECORD, 0);
		r = debris_unlink(store, file);
		if (r == -ENOBUFS)
			break;
	}
	return r;
}
