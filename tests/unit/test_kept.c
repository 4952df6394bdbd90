/* SPDX-License-Identifier: MIT */
/* Descriptors that are lent, and mappings that stay: only ever of the file that lies under the name, a bounded number, none of what nobody has open. */
#include "store_fixture.h"

#include <time.h>

#include "daemon/kept.h"
#include "daemon/sealed.h"

/* Longer than the directory's time has to stay the same to be believed. */
static void settle(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 60000000 }, NULL);
}

static int open_reader(struct fixture *fixture, struct segment *segment, int fds[SHMB_FDS_MAX])
{
	uint32_t count;
	bool are_lent;
	int r = segment_open_fds(&fixture->store, segment, SHMB_ROLE_READER, 1, fds, &count, &are_lent);

	if (r == 0)
		ck_assert(are_lent && count == 3);
	return r;
}

static ino_t inode_of(int fd)
{
	struct stat st;

	ck_assert_int_eq(fstat(fd, &st), 0);
	return st.st_ino;
}

static ino_t inode_at(const struct fixture *fixture, const char *file)
{
	struct stat st;

	ck_assert_int_eq(fstatat(fixture->store.dir_fd, file, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st.st_ino;
}

/* Puts another file of the same size in its place. */
static void replace(struct fixture *fixture, const char *file, uint64_t bytes)
{
	int fd = store_make(&fixture->store, bytes);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(store_link(&fixture->store, fd, ",new"), 0);
	ck_assert_int_eq(renameat(fixture->store.dir_fd, ",new", fixture->store.dir_fd, file), 0);
	close(fd);
}

START_TEST(lent_again)
{
	struct fixture fixture;
	struct segment *segment;
	int first[SHMB_FDS_MAX], again[SHMB_FDS_MAX];
	unsigned before;

	fixture_open(&fixture);
	segment = fixture_segment(&fixture, "x");
	before = fixture_count("/proc/self/fd");
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(open_reader(&fixture, segment, i == 0 ? first : again), 0);
		for (int j = 0; i > 0 && j < 3; j++)
			ck_assert_int_eq(again[j], first[j]);
		settle(); /* looked at one by one, then not at all */
	}
	ck_assert_uint_eq(fixture.store.kept->fd_count, 3);
	ck_assert_uint_eq(fixture_count("/proc/self/fd"), before + 3);
	kept_close(&fixture.store, segment);
	ck_assert_uint_eq(fixture.store.kept->fd_count, 0);
	ck_assert_uint_eq(fixture_count("/proc/self/fd"), before);
	ck_assert_int_eq(segment_remove(&fixture.store, segment), 0);
	fixture_close(&fixture);
}
END_TEST

/* 16 segments' mappings, 64 descriptors, whatever is opened; the segment opened last has all of its own. */
START_TEST(bounded)
{
	struct fixture fixture;
	struct segment *segments[3 * KEPT_MAX];
	int fds[SHMB_FDS_MAX];
	uint32_t count;
	bool are_lent;
	char name[16];

	fixture_open(&fixture);
	for (int i = 0; i < 3 * KEPT_MAX; i++) {
		snprintf(name, sizeof(name), "x%d", i);
		segments[i] = fixture_segment(&fixture, name);
		for (uint32_t area = 0; area < 4; area++) {
			ck_assert_int_eq(segment_open_fds(&fixture.store, segments[i], SHMB_ROLE_READER, area, fds, &count, &are_lent), 0);
			for (uint32_t j = 0; j < count; j++)
				inode_of(fds[j]);
		}
		ck_assert_uint_le(fixture.store.kept->fd_count, KEPT_FDS_MAX);
		ck_assert_uint_le(fixture.store.kept->count, KEPT_MAX);
	}
	ck_assert_uint_gt(fixture.store.kept->fd_count, KEPT_FDS_MAX - SHMB_FDS_MAX);
	for (int i = 0; i < 3 * KEPT_MAX; i++)
		ck_assert_int_eq(segment_remove(&fixture.store, segments[i]), 0);
	ck_assert_uint_eq(fixture.store.kept->fd_count, 0);
	fixture_close(&fixture);
}
END_TEST

/* Where few descriptors are allowed fewer are kept, but all of the segment opened last. */
START_TEST(few_descriptors)
{
	struct fixture fixture;
	struct segment *segments[4];
	int fds[SHMB_FDS_MAX];
	char name[16];

	fixture_open(&fixture);
	fixture.store.kept->fd_max = 4;
	for (int i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "x%d", i);
		segments[i] = fixture_segment(&fixture, name);
		ck_assert_int_eq(open_reader(&fixture, segments[i], fds), 0);
		for (int j = 0; j < 3; j++)
			inode_of(fds[j]);
		ck_assert_uint_le(fixture.store.kept->fd_count, 4);
	}
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(segment_remove(&fixture.store, segments[i]), 0);
	fixture_close(&fixture);
}
END_TEST

/* Whether the directory is believed or each file is looked at: what lies under the name is what is handed out. */
START_TEST(replaced)
{
	static const char *const files[] = { "x,1", "x,1,data", "x,1,area1" };
	struct fixture fixture;
	struct segment *segment;
	int fds[SHMB_FDS_MAX];
	uint64_t bytes[3];

	fixture_open(&fixture);
	segment = fixture_segment(&fixture, "x");
	bytes[0] = SHMB_PAGE + part_pages(segment->schema_length);
	bytes[1] = segment->geometry.data_bytes;
	bytes[2] = SHMB_PAGE;
	ck_assert_int_eq(open_reader(&fixture, segment, fds), 0);
	for (int i = 0; i < 60; i++) {
		if (i % 3 == 0) {
			settle();
			ck_assert_int_eq(open_reader(&fixture, segment, fds), 0);
		}
		replace(&fixture, files[i % 3], bytes[i % 3]);
		ck_assert_int_eq(open_reader(&fixture, segment, fds), 0);
		for (int j = 0; j < 3; j++)
			ck_assert_uint_eq(inode_of(fds[j]), inode_at(&fixture, files[j]));
		ck_assert_uint_eq(fixture.store.kept->fd_count, 3);
	}
	segment_free(segment);
	fixture_close(&fixture);
}
END_TEST

/* Changes that follow one another within a tick of the clock that files have their times of. */
START_TEST(replaced_at_once)
{
	struct fixture fixture;
	struct segment *segment;
	int fds[SHMB_FDS_MAX];

	fixture_open(&fixture);
	segment = fixture_segment(&fixture, "x");
	for (int i = 0; i < 2000; i++) {
		ck_assert_int_eq(open_reader(&fixture, segment, fds), 0);
		ck_assert_uint_eq(inode_of(fds[1]), inode_at(&fixture, "x,1,data"));
		replace(&fixture, "x,1,data", segment->geometry.data_bytes);
	}
	segment_free(segment);
	fixture_close(&fixture);
}
END_TEST

START_TEST(removed)
{
	struct fixture fixture;
	struct segment *segment;
	int fds[SHMB_FDS_MAX];

	fixture_open(&fixture);
	segment = fixture_segment(&fixture, "x");
	for (int i = 0; i < 2; i++) {
		settle();
		ck_assert_int_eq(open_reader(&fixture, segment, fds), 0);
	}
	ck_assert_int_eq(store_unlink(&fixture.store, "x,1,data"), 0);
	ck_assert_int_eq(open_reader(&fixture, segment, fds), -ENOENT);
	ck_assert_int_eq(symlinkat("x,1,record", fixture.store.dir_fd, "x,1,data"), 0);
	ck_assert_int_eq(open_reader(&fixture, segment, fds), -ELOOP);
	segment_free(segment);
	fixture_close(&fixture);
}
END_TEST

/* One look serves a request, not the next one. */
START_TEST(looked_at_in_each_request)
{
	struct fixture fixture;
	struct segment *segment;
	int fds[SHMB_FDS_MAX];

	fixture_open(&fixture);
	segment = fixture_segment(&fixture, "x");
	for (int i = 0; i < 2; i++) {
		settle();
		kept_request(fixture.store.kept, true);
		ck_assert_int_eq(open_reader(&fixture, segment, fds), 0);
		kept_request(fixture.store.kept, false);
	}
	replace(&fixture, "x,1,data", segment->geometry.data_bytes);
	kept_request(fixture.store.kept, true);
	ck_assert_int_eq(open_reader(&fixture, segment, fds), 0);
	kept_request(fixture.store.kept, false);
	ck_assert_uint_eq(inode_of(fds[1]), inode_at(&fixture, "x,1,data"));
	segment_free(segment);
	fixture_close(&fixture);
}
END_TEST

/* Nobody but who has it mapped holds the memory of a segment that is gone: the daemon's lease on it is to be had (gone.c). */
static int gone_fd;

static void on_gone(void *user, struct segment *segment, int fd_consume)
{
	(void)user;
	(void)segment;
	gone_fd = fd_consume;
}

START_TEST(forgotten_with_the_segment)
{
	struct fixture fixture;
	struct segment *segment;
	int fds[SHMB_FDS_MAX];

	fixture_open(&fixture);
	fixture.store.gone = on_gone;
	segment = fixture_segment(&fixture, "x");
	ck_assert_int_eq(open_reader(&fixture, segment, fds), 0);
	ck_assert_int_eq(segment_remove(&fixture.store, segment), 0);
	ck_assert_uint_eq(fixture.store.kept->fd_count, 0);
	ck_assert_int_ge(gone_fd, 0);
	ck_assert_int_eq(fcntl(gone_fd, F_SETLEASE, F_WRLCK), 0);
	close(gone_fd);
	fixture_close(&fixture);
}
END_TEST

START_TEST(sealed)
{
	struct fixture fixture;
	struct segment *segment;
	int first[SHMB_FDS_MAX], again[SHMB_FDS_MAX];

	fixture_open(&fixture);
	fixture.store.seals_areas = true;
	segment = fixture_segment(&fixture, "x");
	ck_assert_int_eq(open_reader(&fixture, segment, first), 0);
	ck_assert_int_eq(open_reader(&fixture, segment, again), 0);
	ck_assert_int_eq(first[2], again[2]);
	ck_assert_int_eq(sealed_check(first[2], SHMB_PAGE), 0);
	ck_assert_int_eq(segment_remove(&fixture.store, segment), 0);
	ck_assert_uint_eq(fixture.store.kept->fd_count, 0);
	fixture_close(&fixture);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("kept");

	unit_add(suite, lent_again, 20);
	unit_add(suite, few_descriptors, 10);
	unit_add(suite, bounded, 20);
	unit_add(suite, replaced, 20);
	unit_add(suite, replaced_at_once, 20);
	unit_add(suite, removed, 20);
	unit_add(suite, looked_at_in_each_request, 20);
	unit_add(suite, forgotten_with_the_segment, 20);
	unit_add(suite, sealed, 20);
	fixture_begin();
	return fixture_end(unit_run(suite));
}
