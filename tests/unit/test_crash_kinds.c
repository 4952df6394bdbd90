/* SPDX-License-Identifier: MIT */
/* The broker killed at any step (crash_fixture.h) of what frames, queues and blocks have of their own: slots on loan, pins, positions, locks. */
#include "crash_fixture.h"

static _Atomic uint64_t *frame_slot(struct shmb_shm_data *data, const struct segment *segment, uint64_t index)
{
	return (_Atomic uint64_t *)((char *)data + segment->geometry.slot_offset + (index << segment->geometry.slot_shift));
}

/* A writer of a frame that died with its second entry half-written and two slots on loan. */
static void frame_half_written(struct store *store, struct segment *segment)
{
	size_t bytes;
	struct shmb_shm_data *data;

	grant(store, segment);
	data = fixture_map(of_store(store), segment, PART_DATA, 0, &bytes);
	atomic_store(&fixture_entry(data, segment, 0)->id, shmb_id_done(0));
	atomic_store(frame_slot(data, segment, 0), shmb_id_done(0));
	atomic_store(&data->counter, 1);
	atomic_store(&fixture_entry(data, segment, 1)->id, shmb_id_writing(1));
	atomic_store(frame_slot(data, segment, 2), shmb_id_writing(1));
	atomic_store(frame_slot(data, segment, 3), shmb_id_writing(2));
	munmap(data, bytes);
}

static void frame_mended(struct store *store, const struct found *found, bool complete)
{
	size_t bytes;
	struct shmb_shm_data *data;

	released(store, found, SHMB_WRITER_DEAD, complete);
	data = fixture_map(of_store(store), found->segment, PART_DATA, 0, &bytes);
	ck_assert_uint_eq(atomic_load(&data->counter), 1);
	ck_assert_uint_eq(atomic_load(&fixture_entry(data, found->segment, 0)->id), shmb_id_done(0));
	ck_assert_uint_eq(atomic_load(&fixture_entry(data, found->segment, 1)->id), 0);
	ck_assert_uint_eq(atomic_load(frame_slot(data, found->segment, 0)), shmb_id_done(0));
	ck_assert_uint_eq(atomic_load(frame_slot(data, found->segment, 2)), 0);
	ck_assert_uint_eq(atomic_load(frame_slot(data, found->segment, 3)), 0);
	munmap(data, bytes);
}

START_TEST(killed_in_repair_of_a_frame)
{
	run(&(struct scenario){ .before = frame_half_written,
				.change = declare_dead,
				.check = frame_mended,
				.request = &fixture_frame,
				.steps_at_least = 10 });
}
END_TEST

static void pinned(struct store *store, struct segment *segment)
{
	size_t bytes;
	struct shmb_shm_area *area;

	take_cell(store, segment);
	area = fixture_map(of_store(store), segment, PART_AREA, 0, &bytes);
	atomic_store(&area->cells[0].pins[3], 2);
	munmap(area, bytes);
}

static void pins_gone(struct store *store, const struct found *found, bool complete)
{
	size_t bytes;
	struct shmb_shm_area *area;

	cell_gone(store, found, complete);
	if (found->cell_count == 1) /* dead still: freed once more */
		ck_assert_int_eq(segment_cell_free(store, found->segment, 0, NULL), 0);
	area = fixture_map(of_store(store), found->segment, PART_AREA, 0, &bytes);
	ck_assert_uint_eq(atomic_load(&area->cells[0].pins[3]), 0);
	munmap(area, bytes);
}

START_TEST(killed_in_freeing_a_cell_with_pins)
{
	run(&(struct scenario){
		.before = pinned, .change = free_cell, .check = pins_gone, .request = &fixture_frame, .steps_at_least = 3 });
}
END_TEST

static void consume(struct store *store, struct segment *segment)
{
	uint32_t cell, incarnation, area;

	if (segment_cell_take(store, segment, &reader, SHMB_ROLE_CONSUMER, &cell, &incarnation, &area) < 0)
		_exit(1);
}

/* A consumer that has come to number 5 and gone. */
static void consumed(struct store *store, struct segment *segment)
{
	size_t bytes;
	struct shmb_shm_area *area;

	consume(store, segment);
	area = fixture_map(of_store(store), segment, PART_AREA, 0, &bytes);
	atomic_store(&area->cells[SHMB_QUEUE_CELL].position, 5);
	munmap(area, bytes);
	if (segment_cell_free(store, segment, SHMB_QUEUE_CELL, NULL) < 0)
		_exit(1);
}

static void position_kept(struct store *store, const struct found *found, bool complete)
{
	size_t bytes;
	struct shmb_shm_area *area = fixture_map(of_store(store), found->segment, PART_AREA, 0, &bytes);

	one_cell(store, found, complete);
	ck_assert(found->cell_count == 0 || found->cells[0].role == SHMB_ROLE_CONSUMER);
	ck_assert_uint_eq(atomic_load(&area->cells[SHMB_QUEUE_CELL].position), 5);
	munmap(area, bytes);
}

START_TEST(killed_in_the_next_consumer)
{
	run(&(struct scenario){
		.before = consumed, .change = consume, .check = position_kept, .request = &fixture_queue, .steps_at_least = 5 });
}
END_TEST

static void share(struct store *store, struct segment *segment)
{
	uint32_t cell, incarnation, area;
	size_t bytes;
	struct shmb_shm_data *data;

	if (segment_cell_take(store, segment, &reader, SHMB_ROLE_SHARER, &cell, &incarnation, &area) < 0)
		_exit(1);
	data = fixture_map(of_store(store), segment, PART_DATA, 0, &bytes);
	atomic_store(&data->lock, (cell + 1) | SHMB_LOCK_WAITERS);
	munmap(data, bytes);
}

/* Whoever the daemon finds: the dead holder that is freed again, or nobody and the lock with word of the death. */
static void lock_broken(struct store *store, const struct found *found, bool complete)
{
	size_t bytes;
	struct shmb_shm_data *data = fixture_map(of_store(store), found->segment, PART_DATA, 0, &bytes);

	cell_gone(store, found, complete);
	if (found->cell_count == 1) {
		ck_assert_int_eq(found->cells[0].role, SHMB_ROLE_SHARER);
		ck_assert_int_eq(segment_cell_free(store, found->segment, 0, NULL), 0);
	}
	ck_assert_uint_eq(atomic_load(&data->lock), SHMB_LOCK_OWNER_DIED);
	munmap(data, bytes);
}

START_TEST(killed_in_freeing_the_holder_of_a_lock)
{
	run(&(struct scenario){
		.before = share, .change = free_cell, .check = lock_broken, .request = &fixture_block, .steps_at_least = 5 });
}
END_TEST

static void boot_passed_block(struct store *store, const struct found *found, bool complete)
{
	size_t bytes;
	struct shmb_shm_data *data = fixture_map(of_store(store), found->segment, PART_DATA, 0, &bytes);

	(void)complete;
	ck_assert_uint_eq(found->cell_count, 0);
	ck_assert_uint_eq(atomic_load(&data->lock), SHMB_LOCK_OWNER_DIED);
	munmap(data, bytes);
}

START_TEST(killed_in_taking_over_a_block_from_another_boot)
{
	run(&(struct scenario){
		.before = share, .change = nothing, .check = boot_passed_block, .request = &fixture_block, .other_boot = true });
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("crash_kinds");

	fixture_begin();
	unit_add(suite, killed_in_repair_of_a_frame, 60);
	unit_add(suite, killed_in_freeing_a_cell_with_pins, 60);
	unit_add(suite, killed_in_the_next_consumer, 60);
	unit_add(suite, killed_in_freeing_the_holder_of_a_lock, 60);
	unit_add(suite, killed_in_taking_over_a_block_from_another_boot, 60);
	return fixture_end(unit_run(suite));
}
