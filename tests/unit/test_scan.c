/* SPDX-License-Identifier: MIT */
/* Taking over a directory: what is adopted, settled, completed, removed, and what is foreign and left alone. What is damaged: test_scan_damage.c. */
#include "scan_fixture.h"

static void touch(struct fixture *fixture, const char *file)
{
	int fd = openat(fixture->store.dir_fd, file, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

	ck_assert_msg(fd >= 0, "%s", file);
	close(fd);
}

START_TEST(empty_directory)
{
	struct fixture fixture;
	struct seen seen = { 0 };

	fixture_open(&fixture);
	scan(&fixture, &seen);
	ck_assert_uint_eq(seen.count, 0);
	ck_assert_uint_eq(seen.pages, 0);
	fixture_close(&fixture);
}
END_TEST

/* The segment as it was, holders and all; and scanning again changes nothing. */
START_TEST(adopts_what_it_made)
{
	struct fixture fixture;
	struct seen seen = { 0 };
	struct segment *made, *found;
	struct holder writer = fixture_holder(101, 1000), reader = fixture_holder(102, 2000);
	uint32_t cell, incarnation, area;
	char before[SHMB_PAGE];
	struct shmb_shm_card *card;

	fixture_open(&fixture);
	made = fixture_segment(&fixture, "x");
	ck_assert_int_eq(segment_grant(&fixture.store, made, &writer), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(segment_cell_take(&fixture.store, made, &reader, SHMB_ROLE_READER, &cell, &incarnation, &area), 0);
	ck_assert_int_eq(segment_cell_free(&fixture.store, made, 1, NULL), 0);
	card = map_card(&fixture);
	memcpy(before, card, SHMB_PAGE);
	for (int round = 0; round < 3; round++) {
		scan(&fixture, &seen);
		ck_assert_uint_eq(seen.count, 1);
		found = seen.segments[0];
		ck_assert_str_eq(found->name, made->name);
		ck_assert_str_eq(found->type, made->type);
		fixture_same_geometry(&found->geometry, &made->geometry);
		ck_assert_uint_eq(found->segment_id, made->segment_id);
		ck_assert_uint_eq(found->schema_hash, made->schema_hash);
		ck_assert_uint_eq(found->schema_length, made->schema_length);
		ck_assert_uint_eq(found->owner_uid, made->owner_uid);
		ck_assert_uint_eq(found->owner_gid, made->owner_gid);
		ck_assert_uint_eq(found->created_ns, made->created_ns);
		ck_assert_uint_eq(found->bytes, made->bytes);
		ck_assert_uint_eq(found->epoch, 1);
		ck_assert_int_eq(found->state, SHMB_STATE_HELD);
		ck_assert_int_eq(found->writer, SHMB_WRITER_ALIVE);
		ck_assert_mem_eq(&found->lease, &writer, sizeof(writer));
		ck_assert_uint_eq(seen.cell_count, 2);
		ck_assert_uint_eq(seen.cells[0].cell, 0);
		ck_assert_uint_eq(seen.cells[1].cell, 2);
		ck_assert_uint_eq(seen.cells[1].incarnation, 1);
		ck_assert_mem_eq(&seen.cells[0].holder, &reader, sizeof(reader));
		ck_assert_mem_eq(before, card, SHMB_PAGE);
	}
	ck_assert_int_eq(segment_release(&fixture.store, found, SHMB_WRITER_CLOSED, NULL), 0);
	ck_assert_int_eq(segment_remove(&fixture.store, found), 0);
	seen.count = 0;
	segment_free(made);
	munmap(card, SHMB_PAGE);
	ck_assert_uint_eq(fixture_files(&fixture), 0);
	fixture_close(&fixture);
}
END_TEST

START_TEST(foreign_files)
{
	static const char *const names[] = {
		"file",	  "x,",	  "x,0",  "x,01",     "x,1,",	   "x,1,Data",	  "x,1,area", "x,1,area6",   "x,1,area00",
		",other", ".x,1", "a%,1", "x,1,data", "y,2,area0", "x,1,record,", "x,-1",     ",event,junk", "x,18446744073709551616",
	};
	struct fixture fixture;
	struct seen seen = { 0 };

	fixture_open(&fixture);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		touch(&fixture, names[i]);
	ck_assert_int_eq(mkfifoat(fixture.store.dir_fd, "f,1", 0600), 0);
	ck_assert_int_eq(mkfifoat(fixture.store.dir_fd, "g,1,record", 0600), 0);
	ck_assert_int_eq(mkfifoat(fixture.store.dir_fd, ",event,1,2,3", 0600), 0);
	ck_assert_int_eq(mkdirat(fixture.store.dir_fd, "d,1", 0700), 0);
	ck_assert_int_eq(symlinkat("/etc/passwd", fixture.store.dir_fd, "l,1"), 0);
	ck_assert_int_eq(symlinkat("nowhere", fixture.store.dir_fd, "l,1,record"), 0);
	for (int round = 0; round < 2; round++) {
		scan(&fixture, &seen);
		ck_assert_uint_eq(seen.count, 0);
		ck_assert_uint_eq(seen.pages, 0);
		ck_assert_uint_eq(fixture_files(&fixture), sizeof(names) / sizeof(names[0]) + 6);
	}
	fixture_close(&fixture);
}
END_TEST

/* ---- what a killed broker left ---- */

START_TEST(incomplete_sets)
{
	struct fixture fixture;
	struct seen seen = { 0 };
	static const char *const order[] = { "x,1", "x,1,area3", "x,1,area2", "x,1,area1", "x,1,area0", "x,1,data" };

	fixture_open(&fixture);
	for (size_t gone = 1; gone <= sizeof(order) / sizeof(order[0]); gone++) {
		segment_free(fixture_segment(&fixture, "x"));
		segment_free(fixture_segment(&fixture, "x.y"));
		for (size_t i = 0; i < gone; i++)
			ck_assert_int_eq(store_unlink(&fixture.store, order[i]), 0);
		scan(&fixture, &seen);
		ck_assert_uint_eq(seen.count, 1);
		ck_assert_str_eq(seen.segments[0]->name, "x.y");
		ck_assert_uint_eq(fixture_files(&fixture), 7);
		ck_assert_int_eq(segment_remove(&fixture.store, seen.segments[0]), 0);
		seen.count = 0;
	}
	ck_assert_uint_eq(fixture_files(&fixture), 0);
	fixture_close(&fixture);
}
END_TEST

START_TEST(removal_is_completed)
{
	struct fixture fixture;
	struct seen seen = { 0 };
	struct segment *segment;
	struct holder writer = fixture_holder(101, 1000);
	struct shmb_shm_card *card;
	struct shmb_shm_data *data;

	fixture_open(&fixture);
	segment = fixture_segment(&fixture, "x");
	ck_assert_int_eq(segment_grant(&fixture.store, segment, &writer), 0);
	card = map_card(&fixture);
	data = map_file(&fixture, "x,1,data", SHMB_PAGE);
	atomic_store(&card->state, shmb_state_word(1, SHMB_STATE_REMOVED));
	scan(&fixture, &seen);
	ck_assert_uint_eq(seen.count, 0);
	ck_assert_uint_eq(fixture_files(&fixture), 0);
	ck_assert_uint_eq(atomic_load(&card->state), shmb_state_word(1, SHMB_STATE_REMOVED));
	ck_assert_uint_eq(atomic_load(&data->wake), 1);
	munmap(card, SHMB_PAGE);
	munmap(data, SHMB_PAGE);
	segment_free(segment);
	fixture_close(&fixture);
}
END_TEST

/* Every mixture of pid, state and verdict that a broker killed in a change can leave, and what becomes of it. */
START_TEST(leases_are_settled)
{
	static const struct {
		int32_t pid;
		uint64_t epoch;
		uint64_t state, writer;	  /* words found */
		uint64_t state1, writer1; /* words after */
		enum shmb_state is;
		enum shmb_writer_state was;
		int32_t pid1;
	} rows[] = {
#define ST(epoch, s) ((uint64_t)(epoch) << 8 | SHMB_STATE_##s)
#define WR(epoch, w) ((uint64_t)(epoch) << 8 | SHMB_WRITER_##w)
		/* whole */
		{ 0, 0, ST(0, FREE), WR(0, NONE), ST(0, FREE), WR(0, NONE), SHMB_STATE_FREE, SHMB_WRITER_NONE, 0 },
		{ 0, 4, ST(4, FREE), WR(4, DEAD), ST(4, FREE), WR(4, DEAD), SHMB_STATE_FREE, SHMB_WRITER_DEAD, 0 },
		{ 9, 4, ST(4, HELD), WR(4, ALIVE), ST(4, HELD), WR(4, ALIVE), SHMB_STATE_HELD, SHMB_WRITER_ALIVE, 9 },
		{ 9, 4, ST(4, GIVEN_UP), WR(4, GONE), ST(4, GIVEN_UP), WR(4, GONE), SHMB_STATE_GIVEN_UP, SHMB_WRITER_GONE, 9 },
		/* grant */
		{ 0, 5, ST(4, FREE), WR(4, CLOSED), ST(4, FREE), WR(4, CLOSED), SHMB_STATE_FREE, SHMB_WRITER_CLOSED, 0 },
		{ 9, 5, ST(4, FREE), WR(4, CLOSED), ST(5, HELD), WR(5, ALIVE), SHMB_STATE_HELD, SHMB_WRITER_ALIVE, 9 },
		{ 9, 1, ST(0, FREE), WR(0, NONE), ST(1, HELD), WR(1, ALIVE), SHMB_STATE_HELD, SHMB_WRITER_ALIVE, 9 },
		{ 9, 5, ST(4, FREE), WR(5, ALIVE), ST(5, HELD), WR(5, ALIVE), SHMB_STATE_HELD, SHMB_WRITER_ALIVE, 9 },
		/* release: before the verdict, after it */
		{ 9, 4, ST(4, FREE), WR(4, ALIVE), ST(4, HELD), WR(4, ALIVE), SHMB_STATE_HELD, SHMB_WRITER_ALIVE, 9 },
		{ 9, 4, ST(4, FREE), WR(4, CLOSED), ST(4, FREE), WR(4, CLOSED), SHMB_STATE_FREE, SHMB_WRITER_CLOSED, 0 },
		{ 9, 4, ST(4, FREE), WR(4, DEAD), ST(4, FREE), WR(4, DEAD), SHMB_STATE_FREE, SHMB_WRITER_DEAD, 0 },
		/* give up, and death after it */
		{ 9, 4, ST(4, GIVEN_UP), WR(4, ALIVE), ST(4, HELD), WR(4, ALIVE), SHMB_STATE_HELD, SHMB_WRITER_ALIVE, 9 },
		{ 9, 4, ST(4, FREE), WR(4, GONE), ST(4, GIVEN_UP), WR(4, GONE), SHMB_STATE_GIVEN_UP, SHMB_WRITER_GONE, 9 },
		/* taken back */
		{ 9, 4, ST(4, GIVEN_UP), WR(4, ALIVE), ST(4, HELD), WR(4, ALIVE), SHMB_STATE_HELD, SHMB_WRITER_ALIVE, 9 },
		/* no pid, whatever the state says */
		{ 0, 4, ST(4, HELD), WR(4, DEAD), ST(4, FREE), WR(4, DEAD), SHMB_STATE_FREE, SHMB_WRITER_DEAD, 0 },
	};
	struct fixture fixture;

	fixture_open(&fixture);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct segment *segment = fixture_segment(&fixture, "x");
		struct shmb_shm_card *card = map_card(&fixture);
		struct seen seen = { 0 };

		fixture_write(&fixture, segment, 0, WRITER_CLAIMED);
		atomic_store(&card->lease_pid, rows[i].pid);
		atomic_store(&card->lease_epoch, rows[i].epoch);
		atomic_store(&card->state, rows[i].state);
		atomic_store(&card->writer, rows[i].writer);
		for (int round = 0; round < 2; round++) {
			scan(&fixture, &seen);
			ck_assert_uint_eq(seen.count, 1);
			ck_assert_msg(atomic_load(&card->state) == rows[i].state1, "row %zu", i);
			ck_assert_msg(atomic_load(&card->writer) == rows[i].writer1, "row %zu", i);
			ck_assert_msg(atomic_load(&card->lease_pid) == rows[i].pid1, "row %zu", i);
			ck_assert_int_eq(seen.segments[0]->state, rows[i].is);
			ck_assert_int_eq(seen.segments[0]->writer, rows[i].was);
			ck_assert_int_eq(seen.segments[0]->lease.pid, rows[i].pid1);
			ck_assert_uint_eq(seen.segments[0]->epoch, rows[i].epoch);
		}
		if (rows[i].pid != 0 && rows[i].pid1 == 0) { /* a release that was finished has repaired */
			size_t bytes;
			struct shmb_shm_data *data = fixture_map(&fixture, segment, PART_DATA, 0, &bytes);

			ck_assert_uint_eq(atomic_load(&fixture_slot(data, segment, 0)->id), 0);
			munmap(data, bytes);
		}
		munmap(card, SHMB_PAGE);
		seen_free(&seen);
		ck_assert_int_eq(segment_remove(&fixture.store, segment), 0);
	}
	fixture_close(&fixture);
}
END_TEST

START_TEST(holders_of_another_boot)
{
	struct fixture fixture;
	struct seen seen = { 0 };
	struct segment *segment;
	struct holder writer = fixture_holder(101, 1000), reader = fixture_holder(102, 2000), next = fixture_holder(103, 1000);
	struct shmb_shm_card *card;
	struct shmb_shm_data *data;
	uint32_t cell, incarnation, area;
	size_t bytes;
	char before[SHMB_PAGE];

	fixture_open(&fixture);
	segment = fixture_segment(&fixture, "x");
	card = map_card(&fixture);
	data = fixture_map(&fixture, segment, PART_DATA, 0, &bytes);
	ck_assert_int_eq(segment_grant(&fixture.store, segment, &writer), 0);
	ck_assert_int_eq(segment_cell_take(&fixture.store, segment, &reader, SHMB_ROLE_READER, &cell, &incarnation, &area), 0);
	fixture_write(&fixture, segment, 0, WRITER_COUNTED);
	fixture_write(&fixture, segment, 1, WRITER_PUBLISHED);
	fixture.store.boot_id[0] ^= 0xff;
	for (int round = 0; round < 2; round++) {
		scan(&fixture, &seen);
		ck_assert_uint_eq(seen.count, 1);
		ck_assert_uint_eq(seen.cell_count, 0);
		ck_assert_int_eq(seen.segments[0]->state, SHMB_STATE_FREE);
		ck_assert_int_eq(seen.segments[0]->writer, SHMB_WRITER_DEAD);
		ck_assert_int_eq(atomic_load(&card->lease_pid), 0);
		ck_assert_int_eq(atomic_load(&card->cells[cell].pid), 0);
		ck_assert_uint_eq(atomic_load(&card->writer), shmb_writer_word(1, SHMB_WRITER_DEAD));
		ck_assert_mem_eq(card->boot_id, fixture.store.boot_id, SHMB_BOOT_ID_BYTES);
		ck_assert_uint_eq(atomic_load(&data->counter), 2); /* rolled forward */
		if (round == 0)
			memcpy(before, card, SHMB_PAGE);
		ck_assert_mem_eq(before, card, SHMB_PAGE);
	}
	ck_assert_int_eq(segment_grant(&fixture.store, seen.segments[0], &next), 0);
	scan(&fixture, &seen);
	ck_assert_int_eq(seen.segments[0]->lease.pid, 103);
	munmap(data, bytes);
	munmap(card, SHMB_PAGE);
	seen_free(&seen);
	segment_free(segment);
	fixture_close(&fixture);
}
END_TEST

/* Two generations of a name: what is newest and sound is served, the older one beside it, closed; who has it open is for others to find out. */
START_TEST(generations)
{
	static const char *const suffix[] = { "", ",record", ",data", ",area0", ",area1", ",area2", ",area3" };
	struct fixture fixture;
	struct seen seen = { 0 };
	char from[64], to[64];
	struct shmb_shm_card *card, *first;
	struct shmb_shm_record *record;

	fixture_open(&fixture);
	segment_free(fixture_segment(&fixture, "x"));
	for (size_t i = 0; i < sizeof(suffix) / sizeof(suffix[0]); i++) {
		snprintf(from, sizeof(from), "x,1%s", suffix[i]);
		snprintf(to, sizeof(to), "x,10%s", suffix[i]);
		copy_file(&fixture, from, to);
	}
	card = map_file(&fixture, "x,10", SHMB_PAGE);
	record = map_file(&fixture, "x,10,record", RECORD_BYTES);
	card->generation = 10;
	record->generation = 10;
	scan(&fixture, &seen);
	ck_assert_uint_eq(seen.count, 2);
	ck_assert_uint_eq(seen.segments[0]->geometry.generation, 10);
	ck_assert_uint_eq(seen.segments[1]->geometry.generation, 1);
	ck_assert_int_eq(seen.segments[1]->state, SHMB_STATE_SUPERSEDED);
	first = map_card(&fixture);
	ck_assert_uint_eq(atomic_load(&first->state), shmb_state_word(0, SHMB_STATE_SUPERSEDED));
	ck_assert_uint_eq(atomic_load(&first->next), 10);
	ck_assert_uint_eq(atomic_load(&first->cut), card->base);
	ck_assert_uint_eq(fixture_files(&fixture), 14);
	/* What has followed it cannot be read: its numbers are not given out again. */
	card->kind = 77;
	scan(&fixture, &seen);
	ck_assert_uint_eq(seen.count, 0);
	ck_assert_uint_eq(fixture_files(&fixture), 14);
	/* Nothing has followed it after all. */
	atomic_store(&first->next, 0);
	ck_assert_int_eq(store_unlink(&fixture.store, "x,10"), 0); /* half made, half removed */
	scan(&fixture, &seen);
	ck_assert_uint_eq(seen.count, 1);
	ck_assert_uint_eq(seen.segments[0]->geometry.generation, 1);
	ck_assert_int_eq(seen.segments[0]->state, SHMB_STATE_FREE);
	ck_assert_uint_eq(atomic_load(&first->cut), UINT64_MAX);
	ck_assert_uint_eq(fixture_files(&fixture), 7);
	/* Superseded by what is gone: the end of a removal. */
	atomic_store(&first->state, shmb_state_word(0, SHMB_STATE_SUPERSEDED));
	atomic_store(&first->next, 10);
	scan(&fixture, &seen);
	ck_assert_uint_eq(seen.count, 0);
	ck_assert_uint_eq(fixture_files(&fixture), 0);
	munmap(first, SHMB_PAGE);
	munmap(card, SHMB_PAGE);
	munmap(record, RECORD_BYTES);
	seen_free(&seen);
	fixture_close(&fixture);
}
END_TEST

START_TEST(event_pages)
{
	struct fixture fixture;
	struct seen seen = { 0 };
	struct holder who = fixture_holder(101, 1000);
	struct event_page *page;
	const struct shmb_shm_event *event;
	int fd;

	fixture_open(&fixture);
	segment_free(fixture_segment(&fixture, "x"));
	ck_assert_int_eq(event_page_new(&fixture.store, &who, &page, &fd), 0);
	event_page_free(&fixture.store, page, false);
	event = mmap(NULL, SHMB_PAGE, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	scan(&fixture, &seen);
	ck_assert_uint_eq(seen.count, 1);
	ck_assert_uint_eq(seen.pages, 1);
	ck_assert_mem_eq(&seen.page_who, &who, sizeof(who));
	ck_assert_uint_eq(atomic_load(&event->word), 1);
	ck_assert_uint_eq(fixture_files(&fixture), 8);
	fixture.store.boot_id[5] ^= 1;
	scan(&fixture, &seen);
	ck_assert_uint_eq(seen.count, 1);
	ck_assert_uint_eq(seen.pages, 0);
	ck_assert_uint_eq(fixture_files(&fixture), 7);
	munmap((void *)(uintptr_t)event, SHMB_PAGE);
	seen_free(&seen);
	fixture_close(&fixture);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("scan");

	fixture_begin();
	unit_add(suite, empty_directory, 5);
	unit_add(suite, adopts_what_it_made, 5);
	unit_add(suite, foreign_files, 5);
	unit_add(suite, incomplete_sets, 5);
	unit_add(suite, removal_is_completed, 5);
	unit_add(suite, leases_are_settled, 10);
	unit_add(suite, holders_of_another_boot, 5);
	unit_add(suite, generations, 5);
	unit_add(suite, event_pages, 5);
	return fixture_end(unit_run(suite));
}
