/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_STORE_FIXTURE_H
#define SHMB_TESTS_STORE_FIXTURE_H

/*
 * A private directory of segments for the tests of the daemon's memory side.
 *
 * main() makes one directory below /dev/shm before the tests run and removes it with all that is in it afterwards, also when a test died:
 * each test is a process of its own and works in a directory below it. At its end a test says that it leaked neither descriptors nor
 * mappings.
 */

#include "daemon/parts.h"
#include "daemon/segment.h"
#include "daemon/store.h"
#include "tests/support/unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static char fixture_base[64];

static int fixture_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void fixture_begin(void)
{
	strcpy(fixture_base, "/dev/shm/shmb-unit-XXXXXX");
	if (mkdtemp(fixture_base) == NULL) {
		perror(fixture_base);
		exit(EXIT_FAILURE);
	}
}

static inline int fixture_end(int result)
{
	if (nftw(fixture_base, fixture_remove_one, 8, FTW_DEPTH | FTW_PHYS) != 0) {
		perror(fixture_base);
		return EXIT_FAILURE;
	}
	return result;
}

/* Entries of a directory under /proc/self, or lines of a file there. */
static inline unsigned fixture_count(const char *path)
{
	unsigned count = 0;
	DIR *dir = opendir(path);

	if (dir != NULL) {
		while (readdir(dir) != NULL)
			count++;
		closedir(dir);
	} else {
		FILE *file = fopen(path, "re");
		int c;

		ck_assert_ptr_nonnull(file);
		while ((c = getc(file)) != EOF)
			count += c == '\n';
		fclose(file);
	}
	return count;
}

/* Lines of our maps that are files of a private directory. */
static inline unsigned fixture_mappings(void)
{
	FILE *file = fopen("/proc/self/maps", "re");
	char line[512];
	unsigned count = 0;

	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file) != NULL)
		count += strstr(line, "/dev/shm/") != NULL;
	fclose(file);
	return count;
}

struct fixture {
	struct store store;
	char path[128];
	unsigned descriptors; /* before the store was opened */
};

static inline void fixture_open(struct fixture *fixture)
{
	char why[256];

	fixture->descriptors = fixture_count("/proc/self/fd");
	snprintf(fixture->path, sizeof(fixture->path), "%s/%d", fixture_base, getpid());
	ck_assert_msg(store_open(&fixture->store, fixture->path, 4, why) == 0, "%s", why);
}

static inline void fixture_close(struct fixture *fixture)
{
	store_close(&fixture->store);
	ck_assert_uint_eq(fixture_mappings(), 0);
	ck_assert_uint_eq(fixture_count("/proc/self/fd"), fixture->descriptors);
}

/* Files in it besides the lock. */
static inline unsigned fixture_files(const struct fixture *fixture)
{
	return fixture_count(fixture->path) - 3; /* ".", "..", the lock */
}

static const char fixture_schema[] = "uint64 a\nuint64 b\n";

static inline struct segment_spec fixture_spec(const char *name)
{
	return (struct segment_spec){
		.name = name,
		.type = "Pair",
		.schema = fixture_schema,
		.schema_length = sizeof(fixture_schema) - 1,
		.schema_hash = 0x1122334455667788,
		.request = { .kind = SHMB_KIND_RING,
			     .capacity = 8,
			     .payload_align = 8,
			     .payload_bytes = 16,
			     .key_field = SHMB_KEY_IS_STAMP },
		.owner_uid = getuid(),
		.owner_gid = getgid(),
	};
}

static inline struct segment *fixture_segment(struct fixture *fixture, const char *name)
{
	struct segment_spec spec = fixture_spec(name);
	struct segment *segment = NULL;
	const char *why = NULL;
	int r = segment_create(&fixture->store, &spec, &segment, &why);

	ck_assert_msg(r == 0, "%s: %s: %s", name, strerror(-r), why);
	return segment;
}

static inline struct segment *fixture_segment_of(struct fixture *fixture, const char *name, const struct shmb_request *request)
{
	struct segment_spec spec = fixture_spec(name);
	struct segment *segment = NULL;
	const char *why = NULL;
	int r;

	spec.request = *request;
	r = segment_create(&fixture->store, &spec, &segment, &why);
	ck_assert_msg(r == 0, "%s: %s: %s", name, strerror(-r), why);
	return segment;
}

/* Requests for one of each new kind, with the payload of fixture_spec(). */
__attribute__((unused)) static const struct shmb_request fixture_frame = {
	.kind = SHMB_KIND_FRAME, .history = 2, .pins = 3, .payload_align = 8, .payload_bytes = 16, .key_field = SHMB_KEY_IS_STAMP
};
__attribute__((unused)) static const struct shmb_request fixture_queue = {
	.kind = SHMB_KIND_QUEUE, .capacity = 8, .payload_align = 8, .payload_bytes = 16, .key_field = SHMB_KEY_IS_STAMP
};
__attribute__((unused)) static const struct shmb_request fixture_block = {
	.kind = SHMB_KIND_BLOCK, .payload_align = 8, .payload_bytes = 16, .key_field = SHMB_KEY_IS_STAMP
};

static inline struct shmb_shm_entry *fixture_entry(struct shmb_shm_data *data, const struct segment *segment, uint64_t number)
{
	const struct shmb_geometry *geometry = &segment->geometry;

	return (struct shmb_shm_entry *)((char *)data + geometry->entry_offset +
					 ((number & (geometry->entry_count - 1)) << geometry->entry_shift));
}

/* Field by field: the structs have padding. */
static inline void fixture_same_geometry(const struct shmb_geometry *a, const struct shmb_geometry *b)
{
	ck_assert_int_eq(a->kind, b->kind);
	ck_assert_uint_eq(a->flags, b->flags);
	ck_assert_uint_eq(a->data_bytes, b->data_bytes);
	ck_assert_uint_eq(a->payload_bytes, b->payload_bytes);
	ck_assert_uint_eq(a->slot_offset, b->slot_offset);
	ck_assert_uint_eq(a->pool_offset, b->pool_offset);
	ck_assert_uint_eq(a->slot_count, b->slot_count);
	ck_assert_uint_eq(a->pool_count, b->pool_count);
	ck_assert_uint_eq(a->area_count, b->area_count);
	ck_assert_uint_eq(a->payload_align, b->payload_align);
	ck_assert_uint_eq(a->slot_shift, b->slot_shift);
	ck_assert_uint_eq(a->pool_shift, b->pool_shift);
	ck_assert_uint_eq(a->key_offset, b->key_offset);
	ck_assert_uint_eq(a->key_shift, b->key_shift);
	ck_assert_uint_eq(a->key_type, b->key_type);
	ck_assert_uint_eq(a->key_field, b->key_field);
	ck_assert_uint_eq(a->entry_offset, b->entry_offset);
	ck_assert_uint_eq(a->entry_count, b->entry_count);
	ck_assert_uint_eq(a->entry_shift, b->entry_shift);
	ck_assert_uint_eq(a->history, b->history);
	ck_assert_uint_eq(a->base, b->base);
	ck_assert_uint_eq(a->generation, b->generation);
}

static inline struct holder fixture_holder(int32_t pid, uint32_t uid)
{
	struct holder who = { .pid = pid, .uid = uid, .start_time = (uint64_t)pid * 1000 + 7 };

	memset(who.cookie, pid & 0xff, sizeof(who.cookie));
	who.cookie[0] = 1;
	return who;
}

/* Maps a part read-write, as a hostile or dead process, or one's predecessor, would have had it. Unmapped with fixture_unmap(). */
static inline void *fixture_map(struct fixture *fixture, const struct segment *segment, enum part part, uint32_t area, size_t *bytes)
{
	int fd = part_open(&fixture->store, segment, part, area, O_RDWR);
	struct stat st;
	void *at;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	*bytes = (size_t)st.st_size;
	at = mmap(NULL, *bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(at, MAP_FAILED);
	close(fd);
	return at;
}

static inline struct shmb_shm_slot *fixture_slot(struct shmb_shm_data *data, const struct segment *segment, uint64_t number)
{
	const struct shmb_geometry *geometry = &segment->geometry;

	return (struct shmb_shm_slot *)((char *)data + geometry->slot_offset +
					((number & (geometry->slot_count - 1)) << geometry->slot_shift));
}

/* Does what a writer does for one number, up to a point. */
enum fixture_writer { WRITER_CLAIMED, WRITER_PUBLISHED, WRITER_COUNTED };

static inline void fixture_write(struct fixture *fixture, const struct segment *segment, uint64_t number, enum fixture_writer upto)
{
	size_t bytes;
	struct shmb_shm_data *data = fixture_map(fixture, segment, PART_DATA, 0, &bytes);
	struct shmb_shm_slot *slot = fixture_slot(data, segment, number);

	atomic_store(&slot->id, upto >= WRITER_PUBLISHED ? shmb_id_done(number) : shmb_id_writing(number));
	if (upto >= WRITER_COUNTED)
		atomic_store(&data->counter, number + 1);
	munmap(data, bytes);
}

#endif
