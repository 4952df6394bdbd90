/* SPDX-License-Identifier: MIT */
/* Segments: making, leases, cells, descriptors, removal; and what is in the files after each. */
#include "store_fixture.h"

#include "daemon/repair.h"
#include "proto/validate.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static struct shmb_shm_card *card_of(struct fixture *fixture, const struct segment *segment)
{
	size_t bytes;

	return fixture_map(fixture, segment, PART_CARD, 0, &bytes);
}

static void card_done(struct shmb_shm_card *card)
{
	munmap(card, 2 * SHMB_PAGE);
}

START_TEST(what_is_made)
{
	struct fixture fixture;
	struct segment *segment;
	struct shmb_shm_card *card;
	struct shmb_geometry geometry;
	const char *why = "";
	char schema[SHMB_SCHEMA_MAX];
	struct stat st;

	fixture_open(&fixture);
	segment = fixture_segment(&fixture, "imu/main");
	ck_assert_uint_eq(fixture_files(&fixture), 7); /* card, record, data, 4 areas */
	ck_assert_int_eq(fstatat(fixture.store.dir_fd, "imu%main,1", &st, 0), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(st.st_size, 2 * SHMB_PAGE);
	ck_assert_int_eq(fstatat(fixture.store.dir_fd, "imu%main,1,record", &st, 0), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(fstatat(fixture.store.dir_fd, "imu%main,1,area3", &st, 0), 0);
	ck_assert_int_eq(fstatat(fixture.store.dir_fd, "imu%main,1,data", &st, 0), 0);

	card = card_of(&fixture, segment);
	ck_assert_msg(shmb_card_check(card, 2 * SHMB_PAGE, (uint64_t)st.st_size, &geometry, &why) == 0, "%s", why);
	fixture_same_geometry(&geometry, &segment->geometry);
	ck_assert_str_eq(card->name, "imu/main");
	ck_assert_str_eq(card->type, "Pair");
	ck_assert_uint_eq(card->schema_hash, 0x1122334455667788);
	ck_assert_uint_ne(card->segment_id, 0);
	ck_assert_uint_eq(card->segment_id, segment->segment_id);
	ck_assert_mem_eq(card->boot_id, fixture.store.boot_id, SHMB_BOOT_ID_BYTES);
	ck_assert_uint_eq(atomic_load(&card->cut), UINT64_MAX);
	ck_assert_uint_eq(atomic_load(&card->state), shmb_state_word(0, SHMB_STATE_FREE));
	ck_assert_uint_eq(atomic_load(&card->writer), shmb_writer_word(0, SHMB_WRITER_NONE));
	ck_assert_int_eq(atomic_load(&card->lease_pid), 0);
	card_done(card);
	ck_assert_int_eq(segment_read_schema(&fixture.store, segment, schema), 0);
	ck_assert_mem_eq(schema, fixture_schema, segment->schema_length);
	ck_assert_uint_eq(segment->bytes, 2 * SHMB_PAGE + RECORD_BYTES + segment->geometry.data_bytes + 4 * SHMB_PAGE);

	ck_assert_int_eq(segment_remove(&fixture.store, segment), 0);
	ck_assert_uint_eq(fixture_files(&fixture), 0);
	fixture_close(&fixture);
}
END_TEST

START_TEST(longest_name_and_schema)
{
	struct fixture fixture;
	struct segment_spec spec;
	struct segment *segment;
	char *schema = malloc(SHMB_SCHEMA_MAX);
	char *again = malloc(SHMB_SCHEMA_MAX);
	char name[SHMB_NAME_MAX + 1];
	const char *why;

	fixture_open(&fixture);
	memset(name, 'n', SHMB_NAME_MAX);
	name[SHMB_NAME_MAX] = '\0';
	memset(schema, '#', SHMB_SCHEMA_MAX);
	spec = fixture_spec(name);
	spec.schema = schema;
	spec.schema_length = SHMB_SCHEMA_MAX;
	ck_assert_int_eq(segment_create(&fixture.store, &spec, &segment, &why), 0);
	ck_assert_int_eq(segment_read_schema(&fixture.store, segment, again), 0);
	ck_assert_int_eq(memcmp(schema, again, SHMB_SCHEMA_MAX), 0);
	ck_assert_int_eq(segment_remove(&fixture.store, segment), 0);
	fixture_close(&fixture);
	free(schema);
	free(again);
}
END_TEST

START_TEST(what_is_refused)
{
	struct fixture fixture;
	struct segment *segment;
	struct segment_spec spec;
	const char *why;

#define REFUSED(error, change)                                                                                                             \
	do {                                                                                                                               \
		spec = fixture_spec("x");                                                                                                  \
		change;                                                                                                                    \
		why = NULL;                                                                                                                \
		ck_assert_int_eq(segment_create(&fixture.store, &spec, &segment, &why), error);                                            \
		ck_assert_ptr_nonnull(why);                                                                                                \
		ck_assert_uint_eq(fixture_files(&fixture), 0);                                                                             \
	} while (0)

	fixture_open(&fixture);
	REFUSED(-EINVAL, spec.name = "../x");
	REFUSED(-EINVAL, spec.name = "");
	REFUSED(-EINVAL, spec.name = "a,1");
	REFUSED(-EINVAL, spec.type = "");
	REFUSED(-EINVAL, spec.type = "123456789012345678901234567890123456789012345678");
	REFUSED(-EINVAL, spec.schema_length = 0);
	REFUSED(-EINVAL, spec.schema_length = SHMB_SCHEMA_MAX + 1);
	REFUSED(-EINVAL, spec.request.capacity = 7);
	REFUSED(-EINVAL, spec.request.payload_bytes = 0);
	REFUSED(-EINVAL, spec.request.kind = SHMB_KIND_FRAME); /* with a capacity */
	REFUSED(-EOPNOTSUPP, spec.request.kind = (enum shmb_kind)(SHMB_KIND_BLOCK + 1));
#undef REFUSED
	fixture_close(&fixture);
}
END_TEST

/* Whatever stands where a file of ours should go stays as it is, and nothing else is left. */
START_TEST(names_that_are_taken)
{
	static const char *const files[] = { "x,1", "x,1,record", "x,1,data", "x,1,area0", "x,1,area3" };
	struct fixture fixture;
	struct segment *segment;

	fixture_open(&fixture);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct segment_spec spec = fixture_spec("x");
		const char *why = NULL;
		struct stat st;
		int fd = openat(fixture.store.dir_fd, files[i], O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);

		ck_assert_int_eq(write(fd, "mine", 4), 4);
		close(fd);
		ck_assert_int_eq(segment_create(&fixture.store, &spec, &segment, &why), -EEXIST);
		ck_assert_ptr_nonnull(why);
		ck_assert_uint_eq(fixture_files(&fixture), 1);
		ck_assert_int_eq(fstatat(fixture.store.dir_fd, files[i], &st, 0), 0);
		ck_assert_int_eq(st.st_size, 4);
		ck_assert_int_eq(store_unlink(&fixture.store, files[i]), 0);
	}
	segment = fixture_segment(&fixture, "x");
	ck_assert_int_eq(segment_remove(&fixture.store, segment), 0);
	fixture_close(&fixture);
}
END_TEST

START_TEST(lease)
{
	struct fixture fixture;
	struct segment *segment;
	struct shmb_shm_card *card;
	struct holder one = fixture_holder(101, 1000), two = fixture_holder(102, 1000), none = { 0 };
	unsigned mended = 9;

	fixture_open(&fixture);
	segment = fixture_segment(&fixture, "x");
	card = card_of(&fixture, segment);
	ck_assert_int_eq(segment_grant(&fixture.store, segment, &none), -EOPNOTSUPP);
	ck_assert_int_eq(segment_grant(&fixture.store, segment, &one), 0);
	ck_assert_uint_eq(segment->epoch, 1);
	ck_assert_int_eq(segment->state, SHMB_STATE_HELD);
	ck_assert_int_eq(segment->writer, SHMB_WRITER_ALIVE);
	ck_assert_mem_eq(&segment->lease, &one, sizeof(one));
	ck_assert_int_eq(atomic_load(&card->lease_pid), 101);
	ck_assert_uint_eq(atomic_load(&card->lease_uid), 1000);
	ck_assert_uint_eq(atomic_load(&card->lease_start), one.start_time);
	ck_assert_uint_eq(atomic_load(&card->lease_epoch), 1);
	ck_assert_uint_eq(atomic_load(&card->state), shmb_state_word(1, SHMB_STATE_HELD));
	ck_assert_uint_eq(atomic_load(&card->writer), shmb_writer_word(1, SHMB_WRITER_ALIVE));
	ck_assert_int_eq(segment_grant(&fixture.store, segment, &two), -EBUSY);
	ck_assert_int_eq(segment_grant(&fixture.store, segment, &one), -EBUSY);

	ck_assert_int_eq(segment_release(&fixture.store, segment, SHMB_WRITER_CLOSED, &mended), 0);
	ck_assert_uint_eq(mended, 0);
	ck_assert_int_eq(segment->state, SHMB_STATE_FREE);
	ck_assert_int_eq(segment->writer, SHMB_WRITER_CLOSED);
	ck_assert_int_eq(segment->lease.pid, 0);
	ck_assert_int_eq(atomic_load(&card->lease_pid), 0);
	ck_assert_uint_eq(atomic_load(&card->state), shmb_state_word(1, SHMB_STATE_FREE));
	ck_assert_uint_eq(atomic_load(&card->writer), shmb_writer_word(1, SHMB_WRITER_CLOSED));

	ck_assert_int_eq(segment_grant(&fixture.store, segment, &two), 0);
	ck_assert_uint_eq(segment->epoch, 2);
	ck_assert_uint_eq(atomic_load(&card->state), shmb_state_word(2, SHMB_STATE_HELD));
	ck_assert_int_eq(segment_release(&fixture.store, segment, SHMB_WRITER_GONE, NULL), 0);
	ck_assert_int_eq(segment->state, SHMB_STATE_GIVEN_UP);
	ck_assert_int_eq(segment->lease.pid, 102);
	ck_assert_int_eq(atomic_load(&card->lease_pid), 102);
	ck_assert_uint_eq(atomic_load(&card->state), shmb_state_word(2, SHMB_STATE_GIVEN_UP));
	ck_assert_uint_eq(atomic_load(&card->writer), shmb_writer_word(2, SHMB_WRITER_GONE));
	ck_assert_int_eq(segment_grant(&fixture.store, segment, &one), -EBUSY);
	ck_assert_int_eq(segment_release(&fixture.store, segment, SHMB_WRITER_DEAD, NULL), 0);
	ck_assert_int_eq(segment->state, SHMB_STATE_FREE);
	ck_assert_uint_eq(atomic_load(&card->writer), shmb_writer_word(2, SHMB_WRITER_DEAD));

	card_done(card);
	ck_assert_int_eq(segment_remove(&fixture.store, segment), 0);
	fixture_close(&fixture);
}
END_TEST

START_TEST(death_in_mid_write)
{
	static const struct {
		enum fixture_writer upto;
		uint64_t counter;
		unsigned mended;
	} deaths[] = { { WRITER_CLAIMED, 3, 1 }, { WRITER_PUBLISHED, 4, 1 }, { WRITER_COUNTED, 4, 0 } };
	struct fixture fixture;
	struct holder who = fixture_holder(101, 1000);

	fixture_open(&fixture);
	for (int i = 0; i < 3; i++) {
		struct segment *segment = fixture_segment(&fixture, "x");
		struct shmb_shm_data *data;
		unsigned mended;
		size_t bytes;

		ck_assert_int_eq(segment_grant(&fixture.store, segment, &who), 0);
		for (uint64_t n = 0; n < 3; n++)
			fixture_write(&fixture, segment, n, WRITER_COUNTED);
		fixture_write(&fixture, segment, 3, deaths[i].upto);
		data = fixture_map(&fixture, segment, PART_DATA, 0, &bytes);
		atomic_store(&data->writer_pid, 101);
		ck_assert_int_eq(segment_release(&fixture.store, segment, SHMB_WRITER_DEAD, &mended), 0);
		ck_assert_uint_eq(mended, deaths[i].mended);
		ck_assert_uint_eq(atomic_load(&data->counter), deaths[i].counter);
		ck_assert_uint_eq(atomic_load(&fixture_slot(data, segment, 3)->id), deaths[i].upto == WRITER_CLAIMED ? 0 : shmb_id_done(3));
		ck_assert_uint_eq(atomic_load(&fixture_slot(data, segment, 2)->id), shmb_id_done(2));
		ck_assert_uint_eq(atomic_load(&data->wake), 1);
		ck_assert_int_eq(atomic_load(&data->writer_pid), 0);
		munmap(data, bytes);
		ck_assert_int_eq(segment_remove(&fixture.store, segment), 0);
	}
	fixture_close(&fixture);
}
END_TEST

/* A child asleep on the wake word; the change must wake it. */
static pid_t sleeper(struct shmb_shm_data *data)
{
	uint32_t seen =
		atomic_load(&data->wake); /* before the fork: a child that starts late must not take the change for what was there */
	pid_t child = fork();

	if (child == 0) {
		while (atomic_load(&data->wake) == seen)
			syscall(SYS_futex, &data->wake, FUTEX_WAIT, seen, NULL, NULL, 0);
		_exit(7);
	}
	usleep(20000); /* most likely asleep by now; if not, the loop above still ends */
	return child;
}

static void awake(pid_t child)
{
	int status;

	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(WEXITSTATUS(status), 7);
}

START_TEST(changes_wake_the_readers)
{
	struct fixture fixture;
	struct segment *segment;
	struct shmb_shm_data *data;
	struct shmb_shm_card *card;
	struct holder who = fixture_holder(101, 1000);
	size_t bytes;
	pid_t child;

	fixture_open(&fixture);
	segment = fixture_segment(&fixture, "x");
	data = fixture_map(&fixture, segment, PART_DATA, 0, &bytes);
	card = card_of(&fixture, segment);
	ck_assert_int_eq(segment_grant(&fixture.store, segment, &who), 0);
	child = sleeper(data);
	ck_assert_int_eq(segment_release(&fixture.store, segment, SHMB_WRITER_GONE, NULL), 0);
	awake(child);
	child = sleeper(data);
	ck_assert_int_eq(segment_release(&fixture.store, segment, SHMB_WRITER_DEAD, NULL), 0);
	awake(child);
	child = sleeper(data);
	ck_assert_int_eq(segment_remove(&fixture.store, segment), 0);
	awake(child);
	ck_assert_uint_eq(atomic_load(&card->state), shmb_state_word(1, SHMB_STATE_REMOVED));
	munmap(data, bytes);
	card_done(card);
	fixture_close(&fixture);
}
END_TEST

START_TEST(counter_that_is_used_up)
{
	struct fixture fixture;
	struct segment *segment;
	struct shmb_shm_data *data;
	struct holder who = fixture_holder(101, 1000);
	size_t bytes;

	fixture_open(&fixture);
	segment = fixture_segment(&fixture, "x");
	data = fixture_map(&fixture, segment, PART_DATA, 0, &bytes);
	atomic_store(&data->counter, SHMB_NUMBER_MAX);
	ck_assert_int_eq(segment_grant(&fixture.store, segment, &who), -EOVERFLOW);
	atomic_store(&data->counter, UINT64_MAX);
	ck_assert_int_eq(segment_grant(&fixture.store, segment, &who), -EOVERFLOW);
	ck_assert_uint_eq(segment->epoch, 0);
	atomic_store(&data->counter, SHMB_NUMBER_MAX - 1);
	ck_assert_int_eq(segment_grant(&fixture.store, segment, &who), 0);
	munmap(data, bytes);
	ck_assert_int_eq(segment_remove(&fixture.store, segment), 0);
	fixture_close(&fixture);
}
END_TEST

/* A writer that destroys its own memory loses its lease like any other; nobody gets one on the rest. */
START_TEST(data_cut_off_by_its_writer)
{
	struct fixture fixture;
	struct segment *segment;
	struct holder who = fixture_holder(101, 1000);
	int fd;

	fixture_open(&fixture);
	segment = fixture_segment(&fixture, "x");
	ck_assert_int_eq(segment_grant(&fixture.store, segment, &who), 0);
	fd = part_open(&fixture.store, segment, PART_DATA, 0, O_RDWR);
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	close(fd);
	ck_assert_int_eq(segment_release(&fixture.store, segment, SHMB_WRITER_DEAD, NULL), 0);
	ck_assert_int_eq(segment->state, SHMB_STATE_FREE);
	ck_assert_int_eq(segment_grant(&fixture.store, segment, &who), -EBADMSG);
	ck_assert_int_eq(segment_remove(&fixture.store, segment), 0);
	ck_assert_uint_eq(fixture_files(&fixture), 0);
	fixture_close(&fixture);
}
END_TEST

/* Files of another segment in their place, or none at all: no change goes there, and the broker's own view moves on. */
START_TEST(files_replaced_or_gone)
{
	struct fixture fixture;
	struct segment *segment, *other;
	struct holder who = fixture_holder(101, 1000);
	struct shmb_shm_card *card;
	uint32_t cell, incarnation, area;

	fixture_open(&fixture);
	segment = fixture_segment(&fixture, "x");
	other = fixture_segment(&fixture, "y");
	ck_assert_int_eq(segment_grant(&fixture.store, segment, &who), 0);
	card = card_of(&fixture, other);
	ck_assert_int_eq(renameat(fixture.store.dir_fd, "y,1", fixture.store.dir_fd, "x,1"), 0);
	ck_assert_int_eq(segment_cell_take(&fixture.store, segment, &who, SHMB_ROLE_READER, &cell, &incarnation, &area), -ESTALE);
	ck_assert_int_eq(segment_release(&fixture.store, segment, SHMB_WRITER_DEAD, NULL), -ESTALE);
	ck_assert_int_eq(segment->lease.pid, 0);
	ck_assert_int_eq(segment_grant(&fixture.store, segment, &who), -ESTALE);
	ck_assert_uint_eq(atomic_load(&card->state), shmb_state_word(0, SHMB_STATE_FREE));
	ck_assert_int_eq(segment_remove(&fixture.store, segment), -ESTALE);
	ck_assert_uint_eq(atomic_load(&card->state), shmb_state_word(0, SHMB_STATE_FREE));
	card_done(card);

	ck_assert_int_eq(segment_grant(&fixture.store, other, &who), -ENOENT);
	ck_assert_int_eq(segment_remove(&fixture.store, other), -ENOENT); /* and what was left is gone */
	ck_assert_int_eq(faccessat(fixture.store.dir_fd, "y,1,data", F_OK, 0), -1);
	fixture_close(&fixture);
}
END_TEST

START_TEST(cells)
{
	struct fixture fixture;
	struct segment *segment;
	struct shmb_shm_card *card;
	struct shmb_shm_area *memory;
	struct holder one = fixture_holder(101, 1000), two = fixture_holder(102, 2000), none = { 0 };
	uint32_t cell, incarnation, area;
	size_t bytes;

	fixture_open(&fixture);
	segment = fixture_segment(&fixture, "x");
	card = card_of(&fixture, segment);
	memory = fixture_map(&fixture, segment, PART_AREA, 0, &bytes);
	ck_assert_int_eq(segment_cell_take(&fixture.store, segment, &none, SHMB_ROLE_READER, &cell, &incarnation, &area), -EOPNOTSUPP);
	ck_assert_int_eq(segment_cell_take(&fixture.store, segment, &one, SHMB_ROLE_READER, &cell, &incarnation, &area), 0);
	ck_assert_uint_eq(cell, 0);
	ck_assert_uint_eq(area, 0);
	ck_assert_uint_eq(incarnation, 1);
	ck_assert_uint_eq(segment->cells_used, 1);
	ck_assert_uint_eq(atomic_load(&card->bound_areas), 1);
	ck_assert_uint_eq(atomic_load(&card->area_uid[0]), 1000);
	ck_assert_int_eq(atomic_load(&card->cells[0].pid), 101);
	ck_assert_uint_eq(atomic_load(&card->cells[0].start_time), one.start_time);
	ck_assert(segment_cell_is(&fixture.store, segment, 0, 1, &one));
	ck_assert(!segment_cell_is(&fixture.store, segment, 0, 2, &one));
	ck_assert(!segment_cell_is(&fixture.store, segment, 1, 1, &one));
	ck_assert(!segment_cell_is(&fixture.store, segment, 0, 1, &two));
	ck_assert(!segment_cell_is(&fixture.store, segment, SHMB_CELLS_MAX, 1, &one));
	ck_assert(!segment_cell_is(&fixture.store, segment, 5, 0, &none));
	one.cookie[3]++;
	ck_assert(!segment_cell_is(&fixture.store, segment, 0, 1, &one));
	one.cookie[3]--;

	/* Another uid gets memory of its own. */
	ck_assert_int_eq(segment_cell_take(&fixture.store, segment, &two, SHMB_ROLE_READER, &cell, &incarnation, &area), 0);
	ck_assert_uint_eq(cell, SHMB_CELLS_PER_AREA);
	ck_assert_uint_eq(area, 1);
	ck_assert_uint_eq(atomic_load(&card->bound_areas), 3);
	ck_assert_uint_eq(atomic_load(&card->area_uid[1]), 2000);

	/* A cell left by its owner is clean for the next. */
	atomic_store(&memory->cells[0].position, 5);
	atomic_store(&memory->cells[0].pins[7], 6);
	atomic_store(&memory->cells[0].counters[SHMB_COUNT_READ], 7);
	atomic_store(&memory->waiters, 1);
	ck_assert_int_eq(segment_cell_free(&fixture.store, segment, 0, NULL), 0);
	ck_assert_int_eq(segment_cell_free(&fixture.store, segment, 0, NULL), -ENOENT);
	ck_assert_int_eq(segment_cell_free(&fixture.store, segment, SHMB_CELLS_MAX, NULL), -EINVAL);
	ck_assert_uint_eq(segment->cells_used, 1);
	ck_assert_int_eq(atomic_load(&card->cells[0].pid), 0);
	ck_assert(!segment_cell_is(&fixture.store, segment, 0, 1, &one));
	ck_assert_int_eq(segment_cell_take(&fixture.store, segment, &one, SHMB_ROLE_READER, &cell, &incarnation, &area), 0);
	ck_assert_uint_eq(cell, 0);
	ck_assert_uint_eq(incarnation, 2);
	ck_assert_uint_eq(atomic_load(&memory->cells[0].position), 0);
	ck_assert_uint_eq(atomic_load(&memory->cells[0].pins[7]), 0);
	ck_assert_uint_eq(atomic_load(&memory->cells[0].counters[SHMB_COUNT_READ]), 0);
	ck_assert_uint_eq(atomic_load(&memory->waiters), 1); /* the others' */
	munmap(memory, bytes);
	card_done(card);
	ck_assert_int_eq(segment_remove(&fixture.store, segment), 0);
	fixture_close(&fixture);
}
END_TEST

/* One uid may have everything that is free, areas first; the others read without an area then. */
START_TEST(every_cell)
{
	struct fixture fixture;
	struct segment *segment;
	struct holder one = fixture_holder(101, 1000), two = fixture_holder(102, 2000);
	uint32_t cell, incarnation, area;

	fixture_open(&fixture);
	segment = fixture_segment(&fixture, "x");
	for (uint32_t i = 0; i < 4 * SHMB_CELLS_PER_AREA; i++) {
		ck_assert_int_eq(segment_cell_take(&fixture.store, segment, &one, SHMB_ROLE_READER, &cell, &incarnation, &area), 0);
		ck_assert_uint_eq(cell, i);
		ck_assert_uint_eq(area, i / SHMB_CELLS_PER_AREA);
	}
	for (uint32_t i = 4 * SHMB_CELLS_PER_AREA; i < SHMB_CELLS_MAX; i++) {
		ck_assert_int_eq(
			segment_cell_take(&fixture.store, segment, i % 2 ? &one : &two, SHMB_ROLE_READER, &cell, &incarnation, &area), 0);
		ck_assert_uint_eq(cell, i);
		ck_assert_uint_eq(area, UINT32_MAX);
	}
	ck_assert_int_eq(segment_cell_take(&fixture.store, segment, &two, SHMB_ROLE_READER, &cell, &incarnation, &area), -EUSERS);
	ck_assert_uint_eq(segment->cells_used, SHMB_CELLS_MAX);
	/* A bound area stays with its uid, also when nobody is left in it. */
	ck_assert_int_eq(segment_cell_free(&fixture.store, segment, 40, NULL), 0);
	ck_assert_int_eq(segment_cell_take(&fixture.store, segment, &two, SHMB_ROLE_READER, &cell, &incarnation, &area), -EUSERS);
	ck_assert_int_eq(segment_cell_take(&fixture.store, segment, &one, SHMB_ROLE_READER, &cell, &incarnation, &area), 0);
	ck_assert_uint_eq(cell, 40);
	ck_assert_int_eq(segment_remove(&fixture.store, segment), 0);
	fixture_close(&fixture);
}
END_TEST

START_TEST(no_areas)
{
	struct fixture fixture;
	struct segment *segment;
	struct holder who = fixture_holder(101, 1000);
	uint32_t cell, incarnation, area, count;
	int fds[SHMB_FDS_MAX];
	bool are_lent;

	fixture_open(&fixture);
	fixture.store.area_count = 0;
	segment = fixture_segment(&fixture, "x");
	ck_assert_uint_eq(fixture_files(&fixture), 3);
	ck_assert_int_eq(segment_cell_take(&fixture.store, segment, &who, SHMB_ROLE_READER, &cell, &incarnation, &area), 0);
	ck_assert_uint_eq(cell, 0);
	ck_assert_uint_eq(area, UINT32_MAX);
	ck_assert_int_eq(segment_open_fds(&fixture.store, segment, SHMB_ROLE_WRITER, UINT32_MAX, fds, &count, &are_lent), 0);
	ck_assert_uint_eq(count, 2);
	close(fds[0]);
	close(fds[1]);
	ck_assert_int_eq(segment_remove(&fixture.store, segment), 0);
	fixture_close(&fixture);
}
END_TEST

static bool maps_writable(int fd)
{
	void *at = mmap(NULL, SHMB_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		return false;
	munmap(at, SHMB_PAGE);
	return true;
}

START_TEST(descriptors)
{
	static const struct {
		enum shmb_role role;
		uint32_t area;
		uint32_t count;
		const char *writable;
	} rows[] = {
		{ SHMB_ROLE_WRITER, UINT32_MAX, 6, "nyyyyy" },
		{ SHMB_ROLE_READER, 2, 3, "nny" },
		{ SHMB_ROLE_READER, UINT32_MAX, 2, "nn" },
		{ SHMB_ROLE_OBSERVER, UINT32_MAX, 2, "nn" },
	};
	struct fixture fixture;
	struct segment *segment;
	int fds[SHMB_FDS_MAX];
	uint32_t count;
	bool are_lent;

	fixture_open(&fixture);
	segment = fixture_segment(&fixture, "x");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ck_assert_int_eq(segment_open_fds(&fixture.store, segment, rows[i].role, rows[i].area, fds, &count, &are_lent), 0);
		ck_assert_uint_eq(count, rows[i].count);
		ck_assert_int_eq(are_lent, rows[i].role != SHMB_ROLE_WRITER);
		for (uint32_t j = 0; j < count; j++) {
			ck_assert_int_ne(fcntl(fds[j], F_GETFD) & FD_CLOEXEC, 0);
			ck_assert_int_eq(maps_writable(fds[j]), rows[i].writable[j] == 'y');
			if (!are_lent)
				close(fds[j]);
		}
	}
	/* All or none. */
	ck_assert_int_eq(store_unlink(&fixture.store, "x,1,area3"), 0);
	ck_assert_int_eq(segment_open_fds(&fixture.store, segment, SHMB_ROLE_WRITER, UINT32_MAX, fds, &count, &are_lent), -ENOENT);
	ck_assert_uint_eq(count, 0);
	ck_assert_int_eq(segment_remove(&fixture.store, segment), 0);
	fixture_close(&fixture);
}
END_TEST

START_TEST(removal_leaves_the_memory_to_those_who_have_it)
{
	struct fixture fixture;
	struct segment *segment;
	struct holder who = fixture_holder(101, 1000);
	struct shmb_shm_data *data;
	size_t bytes;

	fixture_open(&fixture);
	segment = fixture_segment(&fixture, "x");
	ck_assert_int_eq(segment_grant(&fixture.store, segment, &who), 0);
	fixture_write(&fixture, segment, 0, WRITER_COUNTED);
	data = fixture_map(&fixture, segment, PART_DATA, 0, &bytes);
	ck_assert_int_eq(segment_remove(&fixture.store, segment), 0);
	ck_assert_uint_eq(fixture_files(&fixture), 0);
	ck_assert_uint_eq(atomic_load(&data->counter), 1);
	munmap(data, bytes);
	segment = fixture_segment(&fixture, "x"); /* the name is free at once */
	ck_assert_int_eq(segment_remove(&fixture.store, segment), 0);
	fixture_close(&fixture);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("segment");

	fixture_begin();
	unit_add(suite, what_is_made, 5);
	unit_add(suite, longest_name_and_schema, 5);
	unit_add(suite, what_is_refused, 5);
	unit_add(suite, names_that_are_taken, 5);
	unit_add(suite, lease, 5);
	unit_add(suite, death_in_mid_write, 5);
	unit_add(suite, changes_wake_the_readers, 10);
	unit_add(suite, counter_that_is_used_up, 5);
	unit_add(suite, data_cut_off_by_its_writer, 5);
	unit_add(suite, files_replaced_or_gone, 5);
	unit_add(suite, cells, 5);
	unit_add(suite, every_cell, 10);
	unit_add(suite, no_areas, 5);
	unit_add(suite, descriptors, 5);
	unit_add(suite, removal_leaves_the_memory_to_those_who_have_it, 5);
	return fixture_end(unit_run(suite));
}
