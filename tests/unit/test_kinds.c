/* SPDX-License-Identifier: MIT */
/* What the daemon's memory side does differently for frames, queues and blocks: requests compared, cells, pins, locks, adoption. */
#include "store_fixture.h"

#include "daemon/match.h"
#include "daemon/repair.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>

/* ---- requests ---- */

static struct shmb_geometry plan_of(const struct shmb_request *request, uint32_t area_count)
{
	struct shmb_geometry geometry;

	ck_assert_int_eq(shmb_geometry_plan(request, area_count, &geometry, NULL), 0);
	return geometry;
}

static void differs(const struct shmb_geometry *there, const struct shmb_request *asked, int error, const char *says)
{
	char text[SHMB_TEXT_MAX] = "";
	int r = match_geometry(there, asked, text);

	ck_assert_msg(r == error, "%d, not %d: %s", r, error, text);
	ck_assert_msg(strstr(text, says) != NULL, "'%s' is not in: %s", says, text);
}

START_TEST(requests_are_compared)
{
	static const struct shmb_request ring = { .kind = SHMB_KIND_RING,
						  .flags = SHMB_SEGMENT_STAMPED,
						  .capacity = 16,
						  .payload_align = 8,
						  .payload_bytes = 200,
						  .key_type = SHMB_KEY_REALTIME_NS,
						  .key_field = 8 };
	const struct shmb_request *const all[] = { &ring, &fixture_frame, &fixture_queue, &fixture_block };
	struct shmb_geometry there;
	struct shmb_request other;
	char text[SHMB_TEXT_MAX];

	for (size_t i = 0; i < 4; i++) {
		for (uint32_t areas = 0; areas <= SHMB_AREAS_MAX; areas++) {
			there = plan_of(all[i], areas); /* however many there were then */
			there.base = 77;
			there.generation = 9;
			ck_assert_int_eq(match_geometry(&there, all[i], text), 0);
		}
	}
#define DIFFERS(request, error, says, ...)                                                                                                 \
	do {                                                                                                                               \
		there = plan_of(&(request), 4);                                                                                            \
		other = (request);                                                                                                         \
		__VA_ARGS__;                                                                                                               \
		differs(&there, &other, error, says);                                                                                      \
	} while (0)
	DIFFERS(ring, -EEXIST, "capacity 16, not 32", other.capacity = 32);
	DIFFERS(ring, -EEXIST, "with stamps", other.flags = 0);
	DIFFERS(ring, -EEXIST, "200 bytes, not 201", other.payload_bytes = 201);
	DIFFERS(ring, -EEXIST, "aligned to 8 bytes, not 16", other.payload_align = 16);
	DIFFERS(ring, -EEXIST, "a realtime key, not a sequence key", other.key_type = SHMB_KEY_SEQUENCE);
	DIFFERS(ring, -EEXIST, "a realtime key, not no key", other.key_type = SHMB_KEY_NONE; other.key_field = SHMB_KEY_IS_STAMP);
	DIFFERS(ring, -EEXIST, "another field", other.key_field = 16);
	DIFFERS(fixture_frame, -EEXIST, "history is 2, not 3", other.history = 3; other.pins = 2); /* the same pool */
	DIFFERS(fixture_frame, -EEXIST, "3 pins, not 4", other.pins = 4);
	DIFFERS(fixture_queue, -EEXIST, "it is a queue, not a ring", other.kind = SHMB_KIND_RING);
	DIFFERS(fixture_queue, -EEXIST, "it is a queue, not a block", other = fixture_block);
	DIFFERS(fixture_block, -EEXIST, "a block, not a queue", other = fixture_queue);
	DIFFERS(ring, -EINVAL, "power of two", other.capacity = 7);
	DIFFERS(fixture_frame, -EINVAL, "history", other.history = 0);
	DIFFERS(fixture_queue, -EOPNOTSUPP, "kind", other.kind = (enum shmb_kind)9);
#undef DIFFERS
	/* What another build laid out with the same numbers. */
	there = plan_of(&fixture_frame, 4);
	there.entry_offset += 64;
	differs(&there, &fixture_frame, -EEXIST, "another version");
}
END_TEST

/* ---- cells ---- */

static uint32_t take(struct fixture *fixture, struct segment *segment, const struct holder *who, enum shmb_role role)
{
	uint32_t cell, incarnation, area;

	ck_assert_int_eq(segment_cell_take(&fixture->store, segment, who, role, &cell, &incarnation, &area), 0);
	return cell;
}

static int try_take(struct fixture *fixture, struct segment *segment, const struct holder *who, enum shmb_role role)
{
	uint32_t cell, incarnation, area;

	return segment_cell_take(&fixture->store, segment, who, role, &cell, &incarnation, &area);
}

START_TEST(bits_of_cells)
{
	struct fixture fixture;
	struct segment *segment;
	struct shmb_shm_card *card;
	struct holder one = fixture_holder(101, 1000), two = fixture_holder(102, 2000);
	size_t bytes;

	fixture_open(&fixture);
	segment = fixture_segment_of(&fixture, "x", &fixture_frame);
	card = fixture_map(&fixture, segment, PART_CARD, 0, &bytes);
	ck_assert_uint_eq(take(&fixture, segment, &one, SHMB_ROLE_READER), 0);
	ck_assert_uint_eq(take(&fixture, segment, &one, SHMB_ROLE_READER), 1);
	ck_assert_uint_eq(take(&fixture, segment, &two, SHMB_ROLE_READER), SHMB_CELLS_PER_AREA);
	ck_assert_uint_eq(atomic_load(&card->area_cells[0]), 3);
	ck_assert_uint_eq(atomic_load(&card->area_cells[1]), 1);
	ck_assert_int_eq(segment_cell_free(&fixture.store, segment, 0, NULL), 0);
	ck_assert_uint_eq(atomic_load(&card->area_cells[0]), 2);
	for (uint32_t cell = 0; cell < SHMB_CELLS_MAX; cell++) {
		if (atomic_load(&card->cells[cell].pid) == 0)
			take(&fixture, segment, &one, SHMB_ROLE_READER);
		if (try_take(&fixture, segment, &one, SHMB_ROLE_READER) == -EUSERS)
			break;
	}
	/* Every cell of a real area, and none beyond. */
	ck_assert_uint_eq(atomic_load(&card->area_cells[0]), (UINT32_C(1) << SHMB_CELLS_PER_AREA) - 1);
	ck_assert_uint_eq(atomic_load(&card->area_cells[1]), 1);
	ck_assert_uint_eq(atomic_load(&card->area_cells[3]), (UINT32_C(1) << SHMB_CELLS_PER_AREA) - 1);
	ck_assert_uint_eq(atomic_load(&card->area_cells[4]) | atomic_load(&card->area_cells[5]), 0);
	for (uint32_t cell = 0; cell < SHMB_CELLS_MAX; cell++)
		segment_cell_free(&fixture.store, segment, cell, NULL);
	for (uint32_t i = 0; i < SHMB_AREAS_MAX; i++)
		ck_assert_uint_eq(atomic_load(&card->area_cells[i]), 0);
	ck_assert_uint_eq(segment->cells_used, 0);
	munmap(card, bytes);
	ck_assert_int_eq(segment_remove(&fixture.store, segment), 0);
	fixture_close(&fixture);
}
END_TEST

/* A dead reader's pins go, other cells' stay. */
START_TEST(pins_go_with_their_reader)
{
	struct fixture fixture;
	struct segment *segment;
	struct shmb_shm_area *area;
	struct holder one = fixture_holder(101, 1000);
	size_t bytes;

	fixture_open(&fixture);
	segment = fixture_segment_of(&fixture, "x", &fixture_frame);
	area = fixture_map(&fixture, segment, PART_AREA, 0, &bytes);
	take(&fixture, segment, &one, SHMB_ROLE_READER);
	take(&fixture, segment, &one, SHMB_ROLE_READER);
	for (unsigned i = 0; i < SHMB_PINS_PER_CELL; i++) {
		atomic_store(&area->cells[0].pins[i], i + 1);
		atomic_store(&area->cells[1].pins[i], i + 1);
	}
	ck_assert_int_eq(segment_cell_free(&fixture.store, segment, 0, NULL), 0);
	for (unsigned i = 0; i < SHMB_PINS_PER_CELL; i++) {
		ck_assert_uint_eq(atomic_load(&area->cells[0].pins[i]), 0);
		ck_assert_uint_eq(atomic_load(&area->cells[1].pins[i]), i + 1);
	}
	munmap(area, bytes);

	/* Whose area was cut short by its own uid is freed all the same. */
	{
		int fd = part_open(&fixture.store, segment, PART_AREA, 0, O_RDWR);

		ck_assert_int_eq(ftruncate(fd, 0), 0);
		close(fd);
	}
	ck_assert_int_eq(segment_cell_free(&fixture.store, segment, 1, NULL), 0);
	ck_assert_uint_eq(segment->cells_used, 0);
	ck_assert_int_eq(segment_remove(&fixture.store, segment), 0);
	fixture_close(&fixture);
}
END_TEST

START_TEST(consumers)
{
	struct fixture fixture;
	struct segment *segment;
	struct shmb_shm_area *area;
	struct shmb_shm_card *card;
	struct holder one = fixture_holder(101, 1000), other = fixture_holder(102, 2000), root = fixture_holder(103, 0), none = { 0 };
	size_t bytes, card_bytes;

	fixture_open(&fixture);
	segment = fixture_segment_of(&fixture, "x", &fixture_queue);
	area = fixture_map(&fixture, segment, PART_AREA, 0, &bytes);
	card = fixture_map(&fixture, segment, PART_CARD, 0, &card_bytes);
	ck_assert_int_eq(try_take(&fixture, segment, &none, SHMB_ROLE_CONSUMER), -EOPNOTSUPP);
	ck_assert_uint_eq(take(&fixture, segment, &one, SHMB_ROLE_CONSUMER), SHMB_QUEUE_CELL);
	ck_assert_uint_eq(atomic_load(&card->area_uid[0]), 1000);
	ck_assert_uint_eq(atomic_load(&card->area_cells[0]), 1);
	ck_assert_int_eq(try_take(&fixture, segment, &one, SHMB_ROLE_CONSUMER), -EBUSY);
	/* It goes on where the one before stopped; the producer may be asleep on the wake word. */
	atomic_store(&area->cells[0].position, 42);
	atomic_store(&area->cells[0].wake, 7);
	atomic_store(&area->cells[0].counters[SHMB_COUNT_READ], 9);
	ck_assert_int_eq(segment_cell_free(&fixture.store, segment, SHMB_QUEUE_CELL, NULL), 0);
	ck_assert_uint_eq(atomic_load(&area->cells[0].position), 42);
	ck_assert_uint_eq(atomic_load(&area->cells[0].wake), 8); /* it may have died before it could wake */
	/* Nobody else gets the cell meanwhile. */
	ck_assert_uint_eq(take(&fixture, segment, &one, SHMB_ROLE_READER), 1);
	ck_assert_int_eq(try_take(&fixture, segment, &other, SHMB_ROLE_CONSUMER), -EPERM);
	ck_assert_uint_eq(take(&fixture, segment, &one, SHMB_ROLE_CONSUMER), SHMB_QUEUE_CELL);
	ck_assert_uint_eq(atomic_load(&area->cells[0].position), 42);
	ck_assert_uint_eq(atomic_load(&area->cells[0].wake), 8);
	ck_assert_uint_eq(atomic_load(&area->cells[0].counters[SHMB_COUNT_READ]), 0);
	ck_assert_uint_eq(atomic_load(&card->cells[0].incarnation), 2);
	ck_assert_int_eq(segment_cell_free(&fixture.store, segment, SHMB_QUEUE_CELL, NULL), 0);
	ck_assert_uint_eq(take(&fixture, segment, &root, SHMB_ROLE_CONSUMER), SHMB_QUEUE_CELL);
	ck_assert_uint_eq(atomic_load(&card->area_uid[0]), 1000);
	munmap(area, bytes);
	munmap(card, card_bytes);
	ck_assert_int_eq(segment_remove(&fixture.store, segment), 0);

	fixture.store.area_count = 0;
	segment = fixture_segment_of(&fixture, "x", &fixture_queue);
	ck_assert_int_eq(try_take(&fixture, segment, &one, SHMB_ROLE_CONSUMER), -EUSERS);
	ck_assert_uint_eq(take(&fixture, segment, &one, SHMB_ROLE_READER), 1);
	ck_assert_int_eq(segment_remove(&fixture.store, segment), 0);
	fixture_close(&fixture);
}
END_TEST

/* ---- blocks ---- */

struct sleeper {
	_Atomic uint32_t *word;
	uint32_t expected;
};

static void *sleep_on(void *arg)
{
	struct sleeper *sleeper = arg;

	return (void *)syscall(SYS_futex, sleeper->word, FUTEX_WAIT, sleeper->expected, NULL, NULL, 0);
}

START_TEST(locks_are_taken_from_the_dead)
{
	static const struct {
		uint32_t before;
		uint32_t after;
		unsigned mended;
	} rows[] = {
		{ 0, 0, 0 },
		{ 1, SHMB_LOCK_OWNER_DIED, 1 },
		{ 1 | SHMB_LOCK_WAITERS, SHMB_LOCK_OWNER_DIED, 1 },
		{ 1 | SHMB_LOCK_OWNER_DIED | SHMB_LOCK_WAITERS, SHMB_LOCK_OWNER_DIED, 1 },
		{ 2, 2, 0 },
		{ 2 | SHMB_LOCK_WAITERS, 2 | SHMB_LOCK_WAITERS, 0 },
		{ SHMB_LOCK_OWNER_DIED, SHMB_LOCK_OWNER_DIED, 0 },
		{ SHMB_LOCK_OWNER_DIED | SHMB_LOCK_WAITERS, SHMB_LOCK_OWNER_DIED | SHMB_LOCK_WAITERS, 0 },
		{ 0xffff, 0xffff, 0 },
	};
	struct fixture fixture;
	struct segment *segment;
	struct shmb_shm_data *data;
	struct holder who = fixture_holder(101, 1000);
	size_t bytes;

	fixture_open(&fixture);
	segment = fixture_segment_of(&fixture, "x", &fixture_block);
	data = fixture_map(&fixture, segment, PART_DATA, 0, &bytes);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned mended = 99;

		ck_assert_uint_eq(take(&fixture, segment, &who, SHMB_ROLE_SHARER), 0);
		atomic_store(&data->lock, rows[i].before);
		ck_assert_int_eq(segment_cell_free(&fixture.store, segment, 0, &mended), 0);
		ck_assert_msg(atomic_load(&data->lock) == rows[i].after, "row %zu: %x", i, atomic_load(&data->lock));
		ck_assert_uint_eq(mended, rows[i].mended);
	}
	/* One that sleeps on a lock nobody holds is woken too: who was to take it may have died with the wake-up. */
	for (uint32_t word = 0; word <= 1; word++) {
		struct sleeper sleeper = { .word = &data->lock, .expected = word };
		pthread_t thread;

		unsigned tries = 0;

		atomic_store(&data->lock, word);
		ck_assert_int_eq(pthread_create(&thread, NULL, sleep_on, &sleeper), 0);
		do { /* it may not be asleep yet the first times */
			ck_assert_uint_lt(tries++, 1000);
			ck_assert_uint_eq(take(&fixture, segment, &who, SHMB_ROLE_SHARER), 0);
			ck_assert_int_eq(segment_cell_free(&fixture.store, segment, 0, NULL), 0);
			usleep(5000);
		} while (pthread_tryjoin_np(thread, NULL) != 0);
	}
	/* A data part that its sharers destroyed keeps no cell. */
	take(&fixture, segment, &who, SHMB_ROLE_SHARER);
	{
		int fd = part_open(&fixture.store, segment, PART_DATA, 0, O_RDWR);

		ck_assert_int_eq(ftruncate(fd, 0), 0);
		close(fd);
	}
	ck_assert_int_eq(segment_cell_free(&fixture.store, segment, 0, NULL), 0);
	ck_assert_uint_eq(segment->cells_used, 0);
	munmap(data, bytes);
	ck_assert_int_eq(segment_remove(&fixture.store, segment), 0);
	fixture_close(&fixture);
}
END_TEST

START_TEST(descriptors_of_sharers)
{
	struct fixture fixture;
	struct segment *segment;
	uint32_t count;
	int fds[SHMB_FDS_MAX];
	bool are_lent;

	fixture_open(&fixture);
	segment = fixture_segment_of(&fixture, "x", &fixture_block);
	ck_assert_int_eq(segment_open_fds(&fixture.store, segment, SHMB_ROLE_SHARER, 2, fds, &count, &are_lent), 0);
	ck_assert_uint_eq(count, 3);
	ck_assert_int_eq(fcntl(fds[0], F_GETFL) & O_ACCMODE, O_RDONLY);
	ck_assert_int_eq(fcntl(fds[1], F_GETFL) & O_ACCMODE, O_RDWR);
	ck_assert_int_eq(fcntl(fds[2], F_GETFL) & O_ACCMODE, O_RDWR);
	for (uint32_t i = 0; i < count; i++)
		close(fds[i]);
	ck_assert_int_eq(segment_open_fds(&fixture.store, segment, SHMB_ROLE_CONSUMER, 0, fds, &count, &are_lent), 0);
	ck_assert_uint_eq(count, 3);
	ck_assert_int_eq(fcntl(fds[1], F_GETFL) & O_ACCMODE, O_RDONLY);
	ck_assert(are_lent);
	ck_assert_int_eq(segment_remove(&fixture.store, segment), 0);
	fixture_close(&fixture);
}
END_TEST

/* ---- adoption ---- */

struct adopted {
	struct segment *segment;
	struct segment_cell cells[SHMB_CELLS_MAX];
	unsigned cell_count;
};

static void on_found(struct segment *segment, const struct segment_cell *cells, unsigned cell_count, void *user)
{
	struct adopted *adopted = user;

	ck_assert_ptr_null(adopted->segment);
	adopted->segment = segment;
	adopted->cell_count = cell_count;
	memcpy(adopted->cells, cells, cell_count * sizeof(*cells));
}

static void on_page(struct event_page *page, const struct holder *who, void *user)
{
	(void)page;
	(void)who;
	(void)user;
}

static struct adopted adopt(struct fixture *fixture, struct segment *segment)
{
	struct adopted adopted = { 0 };
	struct store_scan scan = { .found = on_found, .page = on_page, .user = &adopted };

	segment_free(segment);
	ck_assert_int_eq(store_scan(&fixture->store, &scan), 0);
	ck_assert_ptr_nonnull(adopted.segment);
	return adopted;
}

START_TEST(kinds_are_adopted)
{
	const struct shmb_request *const all[] = { &fixture_frame, &fixture_queue, &fixture_block };
	static const enum shmb_role roles[] = { SHMB_ROLE_READER, SHMB_ROLE_CONSUMER, SHMB_ROLE_SHARER };
	struct holder who = fixture_holder(101, 1000);

	for (size_t i = 0; i < 3; i++) {
		struct fixture fixture;
		struct segment *segment;
		struct shmb_geometry geometry;
		struct adopted adopted;
		struct shmb_shm_card *card;
		size_t bytes;

		fixture_open(&fixture);
		segment = fixture_segment_of(&fixture, "x", all[i]);
		geometry = segment->geometry;
		take(&fixture, segment, &who, roles[i]);
		card = fixture_map(&fixture, segment, PART_CARD, 0, &bytes);
		/* Killed between the pid and the bit, or the bit and the pid: the table of cells is right. */
		for (uint32_t bits = 0; bits < 4; bits++) {
			atomic_store(&card->area_cells[0], bits);
			atomic_store(&card->area_cells[5], bits);
			adopted = adopt(&fixture, segment);
			segment = adopted.segment;
			fixture_same_geometry(&segment->geometry, &geometry);
			ck_assert_uint_eq(adopted.cell_count, 1);
			ck_assert_int_eq(adopted.cells[0].role, roles[i]);
			ck_assert_uint_eq(atomic_load(&card->area_cells[0]), 1);
			ck_assert_uint_eq(atomic_load(&card->area_cells[5]), 0);
		}
		munmap(card, bytes);
		ck_assert_int_eq(segment_remove(&fixture.store, segment), 0);
		fixture_close(&fixture);
	}
}
END_TEST

START_TEST(another_boot_holds_no_lock)
{
	struct fixture fixture;
	struct segment *segment;
	struct adopted adopted;
	struct shmb_shm_data *data;
	struct shmb_shm_card *card;
	struct holder who = fixture_holder(101, 1000);
	size_t bytes, card_bytes;

	fixture_open(&fixture);
	segment = fixture_segment_of(&fixture, "x", &fixture_block);
	take(&fixture, segment, &who, SHMB_ROLE_SHARER);
	take(&fixture, segment, &who, SHMB_ROLE_SHARER);
	data = fixture_map(&fixture, segment, PART_DATA, 0, &bytes);
	card = fixture_map(&fixture, segment, PART_CARD, 0, &card_bytes);
	atomic_store(&data->lock, 2 | SHMB_LOCK_WAITERS);
	fixture.store.boot_id[0] ^= 0xff;
	adopted = adopt(&fixture, segment);
	ck_assert_uint_eq(adopted.cell_count, 0);
	ck_assert_uint_eq(atomic_load(&data->lock), SHMB_LOCK_OWNER_DIED);
	ck_assert_uint_eq(atomic_load(&card->area_cells[0]), 0);
	ck_assert_int_eq(atomic_load(&card->cells[1].pid), 0);
	munmap(data, bytes);
	munmap(card, card_bytes);
	ck_assert_int_eq(segment_remove(&fixture.store, adopted.segment), 0);
	fixture_close(&fixture);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("kinds");

	fixture_begin();
	unit_add(suite, requests_are_compared, 5);
	unit_add(suite, bits_of_cells, 10);
	unit_add(suite, pins_go_with_their_reader, 5);
	unit_add(suite, consumers, 5);
	unit_add(suite, locks_are_taken_from_the_dead, 10);
	unit_add(suite, descriptors_of_sharers, 5);
	unit_add(suite, kinds_are_adopted, 5);
	unit_add(suite, another_boot_holds_no_lock, 5);
	return fixture_end(unit_run(suite));
}
