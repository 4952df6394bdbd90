/* SPDX-License-Identifier: MIT */
/* Files that cannot be removed at once: a directory lies in the place of each that shall not be. */
#include "daemon/debris.h"

#include "store_fixture.h"

static void path_of(char path[512], const struct fixture *fixture, const char *file)
{
	snprintf(path, 512, "%s/%s", fixture->path, file);
}

static void block(const struct fixture *fixture, const char *file)
{
	char path[512];

	path_of(path, fixture, file);
	unlink(path);
	ck_assert_msg(mkdir(path, 0700) == 0, "%s: %s", path, strerror(errno));
}

static void unblock(const struct fixture *fixture, const char *file)
{
	char path[512];

	path_of(path, fixture, file);
	ck_assert_msg(rmdir(path) == 0, "%s: %s", path, strerror(errno));
}

static void put(const struct fixture *fixture, const char *file)
{
	char path[512];

	path_of(path, fixture, file);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

static bool is_there(const struct fixture *fixture, const char *file)
{
	char path[512];

	path_of(path, fixture, file);
	return access(path, F_OK) == 0;
}

static unsigned told;

static void on_left(void *user)
{
	(void)user;
	told++;
}

/* A segment's files go in their order, when the one before can go. Those of others do not wait for it. */
START_TEST(holds_up_its_own_set)
{
	struct fixture fixture;
	struct store *store = &fixture.store;

	fixture_open(&fixture);
	store->left = on_left;
	block(&fixture, "a,1,data");
	put(&fixture, "a,1,record");
	put(&fixture, "a,12,record");
	put(&fixture, "ab,1,record");
	put(&fixture, ",event,1,2,3");
	ck_assert_int_eq(debris_unlink(store, "a,1,data"), -EISDIR);
	ck_assert_uint_eq(told, 1);
	ck_assert_int_eq(debris_unlink(store, "a,1,record"), -EISDIR);
	ck_assert(is_there(&fixture, "a,1,record"));
	ck_assert_int_eq(debris_unlink(store, "a,12,record"), 0);
	ck_assert(!is_there(&fixture, "a,12,record"));
	ck_assert_int_eq(debris_unlink(store, "ab,1,record"), 0);
	ck_assert_int_eq(debris_unlink(store, ",event,1,2,3"), 0);
	block(&fixture, ",event,1,2,3");
	ck_assert_int_eq(debris_unlink(store, ",event,1,2,3"), -EISDIR);
	put(&fixture, ",event,4,5,6");
	ck_assert_int_eq(debris_unlink(store, ",event,4,5,6"), 0);
	ck_assert_int_eq(debris_sweep(store), -EISDIR);
	ck_assert(is_there(&fixture, "a,1,record"));
	ck_assert_uint_eq(store->debris_count, 3);
	unblock(&fixture, "a,1,data"); /* the first of the list goes, and in the same sweep what waited behind it */
	ck_assert_int_eq(debris_sweep(store), -EISDIR);
	ck_assert(!is_there(&fixture, "a,1,record"));
	ck_assert_uint_eq(store->debris_count, 1);
	unblock(&fixture, ",event,1,2,3");
	ck_assert_int_eq(debris_sweep(store), 0);
	ck_assert_uint_eq(store->debris_count, 0);
	ck_assert_uint_eq(told, 3);
	fixture_close(&fixture);
}
END_TEST

/* A name that is used again is no longer to be removed; what waited behind it has its turn. */
START_TEST(forgets_what_is_made_again)
{
	struct fixture fixture;
	struct store *store = &fixture.store;

	fixture_open(&fixture);
	block(&fixture, "a,1,area0");
	put(&fixture, "a,1,data");
	ck_assert_int_lt(debris_unlink(store, "a,1,area0"), 0);
	ck_assert_int_lt(debris_unlink(store, "a,1,data"), 0);
	debris_forget(store, "a,1,area0");
	ck_assert(is_there(&fixture, "a,1,data"));
	ck_assert_int_eq(debris_sweep(store), 0);
	ck_assert(!is_there(&fixture, "a,1,data"));
	unblock(&fixture, "a,1,area0");
	fixture_close(&fixture);
}
END_TEST

static unsigned lines_with(const char *path, const char *text)
{
	char line[1024];
	unsigned count = 0;
	FILE *file = fopen(path, "re");

	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file) != NULL)
		count += strstr(line, text) != NULL;
	fclose(file);
	return count;
}

static void found_none(struct segment *segment, const struct segment_cell *cells, unsigned cell_count, void *user)
{
	(void)cells;
	(void)cell_count;
	(void)user;
	ck_abort_msg("%s is served again", segment->name);
}

/*
 * As many as there can be: said once, nothing is remembered beyond them, and of a segment whose first file cannot be remembered all is left, so that
 * the next start completes its removal.
 */
START_TEST(bounded)
{
	static const struct store_scan scan_all = { .found = found_none };
	struct fixture fixture;
	struct store *store = &fixture.store;
	struct segment *segment;
	char log[160];
	char file[32];
	char why[256];
	int out;

	fixture_open(&fixture);
	snprintf(log, sizeof(log), "%s.log", fixture.path);
	out = open(log, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
	ck_assert_int_ge(dup2(out, STDERR_FILENO), 0);
	close(out);
	for (unsigned i = 0; i < DEBRIS_MAX; i++) {
		snprintf(file, sizeof(file), "x%u,1,data", i);
		block(&fixture, file);
		ck_assert_int_eq(debris_unlink(store, file), -EISDIR);
	}
	ck_assert_uint_eq(lines_with(log, "until the next start"), 0);
	segment = fixture_segment(&fixture, "full");
	block(&fixture, "full,1");
	ck_assert_int_lt(segment_remove(store, segment), 0);
	ck_assert_uint_eq(store->debris_count, DEBRIS_MAX);
	ck_assert(is_there(&fixture, "full,1,record"));
	ck_assert(is_there(&fixture, "full,1,data"));
	segment = fixture_segment(&fixture, "full-too");
	block(&fixture, "full-too,1,area0");
	ck_assert_int_lt(segment_remove(store, segment), 0);
	ck_assert_uint_eq(store->debris_count, DEBRIS_MAX);
	ck_assert(!is_there(&fixture, "full-too,1"));
	ck_assert(is_there(&fixture, "full-too,1,record"));
	ck_assert_uint_eq(lines_with(log, "until the next start"), 1);
	/* What can be removed is. */
	segment = fixture_segment(&fixture, "free");
	ck_assert_int_eq(segment_remove(store, segment), 0);
	for (unsigned i = 0; i < DEBRIS_MAX; i++) {
		snprintf(file, sizeof(file), "x%u,1,data", i);
		unblock(&fixture, file);
	}
	ck_assert_int_eq(debris_sweep(store), 0);
	unblock(&fixture, "full,1");
	unblock(&fixture, "full-too,1,area0");
	fixture_close(&fixture);
	ck_assert_int_eq(store_open(store, fixture.path, 4, why), 0);
	ck_assert_int_eq(store_scan(store, &scan_all), 0);
	ck_assert_uint_eq(fixture_files(&fixture), 0);
	fixture_close(&fixture);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("debris");

	fixture_begin();
	unit_add(suite, holds_up_its_own_set, 5);
	unit_add(suite, forgets_what_is_made_again, 5);
	unit_add(suite, bounded, 20);
	return fixture_end(unit_run(suite));
}
