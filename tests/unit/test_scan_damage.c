/* SPDX-License-Identifier: MIT */
/* Taking over a directory with damaged segments: they are left alone, to the byte, and the good ones are adopted all the same. */
#include "scan_fixture.h"

#include "daemon/log.h"

static void card_byte(struct fixture *fixture, size_t at, uint8_t value)
{
	uint8_t *card = map_file(fixture, "x,1", SHMB_PAGE);

	card[at] = value;
	munmap(card, SHMB_PAGE);
}

static void resize(struct fixture *fixture, const char *file, off_t bytes)
{
	int fd = openat(fixture->store.dir_fd, file, O_RDWR | O_CLOEXEC);

	ck_assert_int_eq(ftruncate(fd, bytes), 0);
	close(fd);
}

static void rename_file(struct fixture *fixture, const char *from, const char *to)
{
	ck_assert_int_eq(renameat(fixture->store.dir_fd, from, fixture->store.dir_fd, to), 0);
}

static void damage(struct fixture *fixture, int way)
{
	struct shmb_shm_card *card = map_card(fixture);
	uint8_t *record = map_file(fixture, "x,1,record", RECORD_BYTES);

	switch (way) {
	case 0:
		resize(fixture, "x,1", 0);
		break;
	case 1:
		resize(fixture, "x,1", 100);
		break;
	case 2:
		resize(fixture, "x,1", SHMB_PAGE);
		break;
	case 3:
		resize(fixture, "x,1,data", 0);
		break;
	case 4:
		resize(fixture, "x,1,data", 1 << 20);
		break;
	case 5:
		resize(fixture, "x,1,record", SHMB_PAGE);
		break;
	case 6:
		resize(fixture, "x,1,area2", 100);
		break;
	case 7:
		atomic_store(&card->magic, 0);
		break;
	case 8:
		atomic_store(&card->magic, 0x12345678);
		break;
	case 9:
		card->name[0] = 'y';
		break;
	case 10:
		card->generation = 2;
		break;
	case 11:
		card->version = 9;
		card->oldest_reader = 9;
		break;
	case 12:
		card->segment_id++;
		break;
	case 13:
		atomic_store(&card->lease_pid, -1);
		break;
	case 14:
		atomic_store(&card->state, 0);
		break;
	case 15:
		atomic_store(&card->state, 99);
		break;
	case 16:
		atomic_store(&card->state, shmb_state_word(7, SHMB_STATE_FREE));
		break;
	case 17:
		atomic_store(&card->writer, shmb_writer_word(0, (enum shmb_writer_state)99));
		break;
	case 18:
		atomic_store(&card->lease_epoch, UINT64_MAX);
		break;
	case 19:
		atomic_store(&card->cells[100].pid, -5);
		break;
	case 20:
		resize(fixture, "x,1,area0", 2 * SHMB_PAGE);
		break;
	case 21:
		card->backing = SHMB_BACKING_SEALED;
		break;
	case 22:
		record[0] ^= 1; /* magic */
		break;
	case 23:
		record[6] = 9; /* oldest reader */
		break;
	case 24:
		record[8] ^= 1; /* segment */
		break;
	case 25:
		record[16] ^= 1; /* generation */
		break;
	case 26:
		rename_file(fixture, "x,1,data", "x,1,area5");
		break;
	case 27:
		rename_file(fixture, "x,1,record", "x,1,area5");
		break;
	}
	munmap(card, SHMB_PAGE);
	munmap(record, RECORD_BYTES);
}

START_TEST(damaged_segments)
{
	static const char *const files[] = { "x,1", "x,1,record", "x,1,data", "x,1,area0", "x,1,area1", "x,1,area2", "x,1,area3" };
	struct fixture fixture;
	struct seen seen = { 0 };

	fixture_open(&fixture);
	for (int way = 0; way <= 27; way++) {
		char before[SHMB_PAGE], after[SHMB_PAGE];
		ssize_t bytes;
		int fd;

		segment_free(fixture_segment(&fixture, "x"));
		damage(&fixture, way);
		fd = openat(fixture.store.dir_fd, "x,1", O_RDONLY | O_CLOEXEC);
		bytes = pread(fd, before, SHMB_PAGE, 0);
		scan(&fixture, &seen);
		ck_assert_msg(seen.count == 0, "way %d", way);
		ck_assert_msg(fixture_files(&fixture) == 7, "way %d", way);
		ck_assert_int_eq(pread(fd, after, SHMB_PAGE, 0), bytes);
		ck_assert_mem_eq(before, after, (size_t)bytes);
		close(fd);
		for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
			store_unlink(&fixture.store, files[i]);
		store_unlink(&fixture.store, "x,1,area5");
		ck_assert_uint_eq(fixture_files(&fixture), 0);
	}
	fixture_close(&fixture);
}
END_TEST

/* A card that a later version wrote for readers such as us. */
START_TEST(newer_but_readable)
{
	struct fixture fixture;
	struct seen seen = { 0 };

	fixture_open(&fixture);
	segment_free(fixture_segment(&fixture, "x"));
	card_byte(&fixture, offsetof(struct shmb_shm_card, version), 2);
	scan(&fixture, &seen);
	ck_assert_uint_eq(seen.count, 1);
	seen_free(&seen);
	fixture_close(&fixture);
}
END_TEST

START_TEST(one_bad_among_good)
{
	struct fixture fixture;
	struct seen seen = { 0 };

	fixture_open(&fixture);
	segment_free(fixture_segment(&fixture, "a"));
	segment_free(fixture_segment(&fixture, "x"));
	segment_free(fixture_segment(&fixture, "x-long"));
	segment_free(fixture_segment(&fixture, "x/y"));
	resize(&fixture, "x,1", 10);
	scan(&fixture, &seen);
	ck_assert_uint_eq(seen.count, 3);
	ck_assert_uint_eq(fixture_files(&fixture), 28);
	seen_free(&seen);
	fixture_close(&fixture);
}
END_TEST

/* Any byte of card and record anything: nothing crashes, nothing goes but a segment that says it is to be removed. */
START_TEST(random_damage)
{
	struct fixture fixture;
	struct segment *segment;
	struct holder writer = fixture_holder(101, 1000);
	struct seen seen = { 0 };
	uint64_t random = 7;
	unsigned adopted = 0;

	log_init(LOG_LEVEL_ERROR);
	fixture_open(&fixture);
	segment = fixture_segment(&fixture, "x");
	ck_assert_int_eq(segment_grant(&fixture.store, segment, &writer), 0);
	copy_file(&fixture, "x,1", "kept");
	copy_file(&fixture, "x,1,record", "kept-record");
	for (int round = 0; round < 3000; round++) {
		uint8_t *card = map_file(&fixture, "x,1", SHMB_PAGE);
		uint8_t *record = map_file(&fixture, "x,1,record", RECORD_BYTES);

		for (unsigned i = unit_random(&random) % 4; i > 0; i--)
			card[unit_random(&random) % (round % 2 ? 600 : SHMB_PAGE)] = (uint8_t)unit_random(&random);
		if (round % 8 == 0)
			record[unit_random(&random) % 64] = (uint8_t)unit_random(&random);
		scan(&fixture, &seen);
		adopted += seen.count;
		if (!has(&fixture, "x,1")) {
			ck_assert_uint_eq(card[offsetof(struct shmb_shm_card, state)], SHMB_STATE_REMOVED);
			segment_free(segment);
			segment = fixture_segment(&fixture, "x");
			ck_assert_int_eq(segment_grant(&fixture.store, segment, &writer), 0);
			copy_file(&fixture, "x,1", "kept");
			copy_file(&fixture, "x,1,record", "kept-record");
		}
		munmap(card, SHMB_PAGE);
		munmap(record, RECORD_BYTES);
		ck_assert_uint_eq(fixture_files(&fixture), 9);
		copy_file(&fixture, "kept", "x,1");
		copy_file(&fixture, "kept-record", "x,1,record");
	}
	ck_assert_uint_gt(adopted, 100);
	seen_free(&seen);
	segment_free(segment);
	fixture_close(&fixture);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("scan_damage");

	fixture_begin();
	unit_add(suite, damaged_segments, 10);
	unit_add(suite, newer_but_readable, 5);
	unit_add(suite, one_bad_among_good, 5);
	unit_add(suite, random_damage, 30);
	return fixture_end(unit_run(suite));
}
