/* SPDX-License-Identifier: MIT */
/*
 * Files as a daemon may find them: a directory with segments of one name whose card, record, data and areas have any bytes and sizes in places.
 * What the scan takes over is sound, can be read, granted, ended and removed; what it leaves alone stays.
 */
#include "fuzz.h"
#include "places.h"

#include "daemon/event_page.h"
#include "daemon/log.h"
#include "daemon/parts.h"
#include "daemon/segment.h"
#include "memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES = 12, FOUND_MAX = 8 };

struct file {
	char name[STORE_FILE_MAX];
	size_t bytes;
	unsigned char *content;
};

static char directory[64];
static struct store store;
static struct file files[SHAPES][FILES];
static unsigned file_counts[SHAPES];

static struct segment *found[FOUND_MAX];
static unsigned found_count;

static void clear(void)
{
	DIR *dir = opendir(directory);
	const struct dirent *entry;

	FUZZ_HOLDS(dir != NULL);
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] != '.' && strcmp(entry->d_name, STORE_LOCK_FILE) != 0)
			FUZZ_HOLDS(unlinkat(store.dir_fd, entry->d_name, 0) == 0);
	}
	closedir(dir);
}

static void at_exit(void)
{
	clear();
	unlinkat(store.dir_fd, STORE_LOCK_FILE, 0);
	store_close(&store);
	rmdir(directory);
}

static void keep(unsigned shape)
{
	DIR *dir = opendir(directory);
	const struct dirent *entry;

	FUZZ_HOLDS(dir != NULL);
	while ((entry = readdir(dir)) != NULL) {
		struct file *file = &files[shape][file_counts[shape]];
		struct stat st;
		int fd;

		if (entry->d_name[0] == '.' || strcmp(entry->d_name, STORE_LOCK_FILE) == 0)
			continue;
		FUZZ_HOLDS(file_counts[shape]++ < FILES);
		snprintf(file->name, sizeof(file->name), "%s", entry->d_name);
		fd = openat(store.dir_fd, entry->d_name, O_RDONLY | O_CLOEXEC);
		FUZZ_HOLDS(fd >= 0 && fstat(fd, &st) == 0);
		file->bytes = (size_t)st.st_size;
		file->content = malloc(file->bytes);
		FUZZ_HOLDS(pread(fd, file->content, file->bytes, 0) == (ssize_t)file->bytes);
		close(fd);
	}
	closedir(dir);
}

/* One segment of each shape, with a writer and a reader, as files to begin with. Every other one is followed by a generation. */
static void begin(void)
{
	struct holder writer = { .pid = 100, .start_time = 100, .cookie = { 1 } };
	struct holder reader = { .pid = 200, .start_time = 200, .cookie = { 2 } };
	char why[256];

	log_init((enum log_level)0);
	fuzz_directory(directory);
	FUZZ_HOLDS(store_open(&store, directory, SHAPE_AREAS, why) == 0);
	atexit(at_exit);
	for (unsigned shape = 0; shape < SHAPES; shape++) {
		struct segment_spec spec = { .name = shape_name,
					     .type = "pair",
					     .schema = shape_schema,
					     .schema_length = sizeof(shape_schema) - 1,
					     .schema_hash = shmb_schema_hash(shape_schema, sizeof(shape_schema) - 1),
					     .request = shapes[shape] };
		struct segment *segment;
		struct segment *next = NULL;
		uint32_t cell, incarnation, area;
		const char *reason;

		FUZZ_HOLDS(segment_create(&store, &spec, &segment, &reason) == 0);
		if (shapes[shape].kind != SHMB_KIND_BLOCK)
			FUZZ_HOLDS(segment_grant(&store, segment, &writer) == 0);
		segment_cell_take(&store, segment, &reader, shapes[shape].kind == SHMB_KIND_QUEUE ? SHMB_ROLE_CONSUMER : SHMB_ROLE_READER,
				  &cell, &incarnation, &area);
		if (shape % 2 == 1)
			FUZZ_HOLDS(segment_replace(&store, segment, &spec, &next, &reason) == 0);
		segment_free(next);
		segment_free(segment);
		keep(shape);
		clear();
	}
}

static void write_files(struct fuzz *fuzz, unsigned shape)
{
	static unsigned char content[16 * SHMB_PAGE];
	unsigned changes = fuzz_u8(fuzz) & 15;
	uint8_t targets[16];

	/* Which file each change is for comes first, so that the bytes behind stay in step. */
	fuzz_take(fuzz, targets, changes);
	for (unsigned i = 0; i < file_counts[shape]; i++) {
		const struct file *file = &files[shape][i];
		size_t bytes = file->bytes;
		int fd;

		FUZZ_HOLDS(bytes <= sizeof(content));
		memcpy(content, file->content, bytes);
		for (unsigned k = 0; k < changes; k++) {
			if (targets[k] % file_counts[shape] != i)
				continue;
			if ((targets[k] & 0x80) != 0)
				bytes = fuzz_u16(fuzz) % sizeof(content);
			else if ((targets[k] & 0x40) != 0)
				bytes = SIZE_MAX; /* not there */
			else
				fuzz_patch(fuzz, content, (targets[k] & 0x20) != 0 && file->bytes > 640 ? 640 : file->bytes);
			if (bytes == SIZE_MAX)
				break;
		}
		if (bytes == SIZE_MAX)
			continue;
		fd = openat(store.dir_fd, file->name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
		FUZZ_HOLDS(fd >= 0 && pwrite(fd, content, bytes, 0) == (ssize_t)bytes);
		close(fd);
	}
}

static void on_found(struct segment *segment, const struct segment_cell *cells, unsigned cell_count, void *user)
{
	(void)user;
	places_check(&segment->geometry);
	FUZZ_HOLDS(strcmp(segment->name, shape_name) == 0 && segment->cells_used == cell_count && cell_count <= SHMB_CELLS_MAX);
	FUZZ_HOLDS(segment->schema_length <= SHMB_SCHEMA_MAX && segment->bytes >= segment->geometry.data_bytes);
	FUZZ_HOLDS(segment->state != SHMB_STATE_NONE && segment->state <= SHMB_STATE_SUPERSEDED);
	for (unsigned i = 0; i < cell_count; i++)
		FUZZ_HOLDS(cells[i].cell < SHMB_CELLS_MAX && cells[i].holder.pid > 0);
	FUZZ_HOLDS(found_count < FOUND_MAX);
	found[found_count++] = segment;
}

static void on_page(struct event_page *page, const struct holder *who, void *user)
{
	(void)who;
	(void)user;
	event_page_bump(page);
	event_page_free(&store, page, true);
}

/* What the broker does with a segment that it has. Whatever it says, it comes back. */
static void use(struct segment *segment)
{
	static char schema[SHMB_SCHEMA_MAX];
	struct holder who = { .pid = 300, .start_time = 300, .cookie = { 3 } };
	struct segment_pulse pulse = { 0 };
	uint32_t cell, incarnation, area;
	unsigned mended;

	segment_read_schema(&store, segment, schema);
	segment_pulse(&store, segment, 1, &pulse);
	segment_is_unused(&store, segment);
	if (segment->lease.pid != 0)
		segment_release(&store, segment, SHMB_WRITER_DEAD, &mended);
	if (segment->state == SHMB_STATE_FREE && segment->geometry.kind != SHMB_KIND_BLOCK && segment_grant(&store, segment, &who) == 0) {
		segment_judge(&store, segment, SHMB_WRITER_HUNG);
		segment_release(&store, segment, SHMB_WRITER_GONE, &mended);
	}
	if (segment->state == SHMB_STATE_SUPERSEDED && segment->geometry.kind == SHMB_KIND_QUEUE)
		segment_is_drained(&store, segment);
	if (segment->geometry.kind != SHMB_KIND_QUEUE &&
	    segment_cell_take(&store, segment, &who, SHMB_ROLE_READER, &cell, &incarnation, &area) == 0)
		segment_cell_free(&store, segment, cell, &mended);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	static bool begun;
	const struct store_scan scan = { .found = on_found, .page = on_page };
	struct fuzz fuzz = { bytes, length };
	unsigned shape;
	unsigned before;

	if (!begun) {
		begin();
		begun = true;
	}
	shape = fuzz_u8(&fuzz) % SHAPES;
	write_files(&fuzz, shape);
	FUZZ_HOLDS(store_scan(&store, &scan) == 0);
	/* Once more, as after a daemon that was killed: the same. */
	before = found_count;
	for (unsigned i = 0; i < found_count; i++)
		segment_free(found[i]);
	found_count = 0;
	FUZZ_HOLDS(store_scan(&store, &scan) == 0 && found_count == before);
	for (unsigned i = 0; i < found_count; i++)
		use(found[i]);
	while (found_count > 0)
		segment_remove(&store, found[--found_count]);
	clear();
	return 0;
}
