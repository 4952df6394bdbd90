/* SPDX-License-Identifier: MIT */
/*
 * The broker killed at any step (crash_fixture.h) of creating, granting, repairing, closing, giving up and taking back, of taking and freeing a cell, and
 * of removing; and of taking over from another boot.
 */
#include "crash_fixture.h"

static void create(struct store *store, struct segment *segment)
{
	struct segment_spec spec = fixture_spec("x");
	const char *why;

	if (segment_create(store, &spec, &segment, &why) < 0)
		_exit(1);
}

static void created(struct store *store, const struct found *found, bool complete)
{
	(void)store;
	ck_assert(!complete || found->count == 1);
	ck_assert(found->count == 0 || found->segment->epoch == 0);
}

START_TEST(killed_in_create)
{
	run(&(struct scenario){ .change = create, .check = created, .steps_at_least = 8 });
}
END_TEST

static void granted(struct store *store, const struct found *found, bool complete)
{
	(void)store;
	ck_assert_uint_eq(found->count, 1);
	ck_assert(!complete || same(&found->segment->lease, &writer));
	ck_assert(found->segment->lease.pid == 0 || found->segment->epoch == 1);
	ck_assert_uint_le(found->segment->epoch, 1);
}

START_TEST(killed_in_grant)
{
	run(&(struct scenario){ .before = nothing, .change = grant, .check = granted, .steps_at_least = 6 });
}
END_TEST

/* A writer that died in mid-write, at one of two places. */
static void half_written(struct store *store, struct segment *segment)
{
	grant(store, segment);
	fixture_write(of_store(store), segment, 0, WRITER_COUNTED);
	fixture_write(of_store(store), segment, 1, WRITER_CLAIMED);
}

static void uncounted(struct store *store, struct segment *segment)
{
	grant(store, segment);
	fixture_write(of_store(store), segment, 0, WRITER_COUNTED);
	fixture_write(of_store(store), segment, 1, WRITER_PUBLISHED);
}

static void close_in_order(struct store *store, struct segment *segment)
{
	release_as(store, segment, SHMB_WRITER_CLOSED);
}

static void give_up(struct store *store, struct segment *segment)
{
	release_as(store, segment, SHMB_WRITER_GONE);
}

static void check_number(struct store *store, const struct found *found, uint64_t counter, uint64_t id)
{
	size_t bytes;
	struct shmb_shm_data *data = fixture_map(of_store(store), found->segment, PART_DATA, 0, &bytes);

	ck_assert_uint_eq(atomic_load(&data->counter), counter);
	ck_assert_uint_eq(atomic_load(&fixture_slot(data, found->segment, 1)->id), id);
	ck_assert_uint_eq(atomic_load(&fixture_slot(data, found->segment, 0)->id), shmb_id_done(0));
	munmap(data, bytes);
}

static void dead_and_cleared(struct store *store, const struct found *found, bool complete)
{
	released(store, found, SHMB_WRITER_DEAD, complete);
	check_number(store, found, 1, 0);
}

static void dead_and_rolled(struct store *store, const struct found *found, bool complete)
{
	released(store, found, SHMB_WRITER_DEAD, complete);
	check_number(store, found, 2, shmb_id_done(1));
}

static void closed_and_cleared(struct store *store, const struct found *found, bool complete)
{
	released(store, found, SHMB_WRITER_CLOSED, complete);
	check_number(store, found, 1, 0);
}

START_TEST(killed_in_repair)
{
	run(&(struct scenario){ .before = half_written, .change = declare_dead, .check = dead_and_cleared, .steps_at_least = 8 });
	run(&(struct scenario){ .before = uncounted, .change = declare_dead, .check = dead_and_rolled, .steps_at_least = 8 });
}
END_TEST

START_TEST(killed_in_close)
{
	run(&(struct scenario){ .before = half_written, .change = close_in_order, .check = closed_and_cleared, .steps_at_least = 8 });
}
END_TEST

static void let_go(struct store *store, const struct found *found, bool complete)
{
	(void)store;
	ck_assert_uint_eq(found->count, 1);
	ck_assert(same(&found->segment->lease, &writer));
	ck_assert(!complete || found->segment->state == SHMB_STATE_GIVEN_UP);
}

START_TEST(killed_in_giving_up)
{
	run(&(struct scenario){ .before = half_written, .change = give_up, .check = let_go, .steps_at_least = 4 });
}
END_TEST

static void given_up(struct store *store, struct segment *segment)
{
	half_written(store, segment);
	give_up(store, segment);
}

START_TEST(killed_in_the_death_of_one_that_gave_up)
{
	run(&(struct scenario){ .before = given_up, .change = declare_dead, .check = dead_and_cleared, .steps_at_least = 8 });
}
END_TEST

static void take_back(struct store *store, struct segment *segment)
{
	if (segment_resume(store, segment) < 0)
		_exit(1);
}

static void taken_back(struct store *store, const struct found *found, bool complete)
{
	(void)store;
	ck_assert_uint_eq(found->count, 1);
	ck_assert(same(&found->segment->lease, &writer));
	ck_assert(!complete || found->segment->state == SHMB_STATE_HELD);
}

START_TEST(killed_in_taking_back)
{
	run(&(struct scenario){ .before = given_up, .change = take_back, .check = taken_back, .steps_at_least = 2 });
}
END_TEST

/* After another writer: its fields lie where those of the next one go. */
static void once_written(struct store *store, struct segment *segment)
{
	half_written(store, segment);
	declare_dead(store, segment);
}

static void granted_again(struct store *store, const struct found *found, bool complete)
{
	(void)store;
	ck_assert_uint_eq(found->count, 1);
	if (found->segment->lease.pid != 0) {
		ck_assert(same(&found->segment->lease, &successor));
		ck_assert_uint_eq(found->segment->epoch, 2);
	} else {
		ck_assert(!complete);
		ck_assert_int_eq(found->segment->writer, SHMB_WRITER_DEAD); /* late readers still hear of it */
	}
}

START_TEST(killed_in_the_next_grant)
{
	run(&(struct scenario){ .before = once_written, .change = grant, .check = granted_again, .steps_at_least = 6 });
}
END_TEST

START_TEST(killed_in_taking_a_cell)
{
	run(&(struct scenario){ .before = nothing, .change = take_cell, .check = one_cell, .steps_at_least = 6 });
}
END_TEST

/* A cell that another reader has left: its start time, cookie and memory lie there. */
static void cell_left(struct store *store, struct segment *segment)
{
	uint32_t cell, incarnation, area;

	if (segment_cell_take(store, segment, &newcomer, SHMB_ROLE_READER, &cell, &incarnation, &area) < 0 ||
	    segment_cell_free(store, segment, cell, NULL) < 0)
		_exit(1);
}

START_TEST(killed_in_taking_a_used_cell)
{
	run(&(struct scenario){ .before = cell_left, .change = take_cell, .check = one_cell, .steps_at_least = 4 });
}
END_TEST

START_TEST(killed_in_freeing_a_cell)
{
	run(&(struct scenario){ .before = take_cell, .change = free_cell, .check = cell_gone, .steps_at_least = 1 });
}
END_TEST

static void in_use(struct store *store, struct segment *segment)
{
	half_written(store, segment);
	take_cell(store, segment);
}

static void remove_it(struct store *store, struct segment *segment)
{
	if (segment_remove(store, segment) < 0)
		_exit(1);
}

static void removed(struct store *store, const struct found *found, bool complete)
{
	(void)store;
	if (found->count == 1) { /* not begun: as it was */
		ck_assert(!complete);
		ck_assert(same(&found->segment->lease, &writer));
		ck_assert_uint_eq(found->cell_count, 1);
	}
}

START_TEST(killed_in_remove)
{
	run(&(struct scenario){ .before = in_use, .change = remove_it, .check = removed, .steps_at_least = 6 });
}
END_TEST

static void boot_passed(struct store *store, const struct found *found, bool complete)
{
	(void)complete;
	ck_assert_uint_eq(found->count, 1);
	ck_assert_uint_eq(found->cell_count, 0);
	ck_assert_int_eq(found->segment->state, SHMB_STATE_FREE);
	ck_assert_int_eq(found->segment->writer, SHMB_WRITER_DEAD);
	check_number(store, found, 1, 0);
}

START_TEST(killed_in_taking_over_from_another_boot)
{
	run(&(struct scenario){ .before = in_use, .change = nothing, .check = boot_passed, .other_boot = true });
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("crash");

	fixture_begin();
	unit_add(suite, killed_in_create, 60);
	unit_add(suite, killed_in_grant, 60);
	unit_add(suite, killed_in_repair, 60);
	unit_add(suite, killed_in_close, 60);
	unit_add(suite, killed_in_giving_up, 60);
	unit_add(suite, killed_in_the_death_of_one_that_gave_up, 60);
	unit_add(suite, killed_in_taking_back, 60);
	unit_add(suite, killed_in_the_next_grant, 60);
	unit_add(suite, killed_in_taking_a_cell, 60);
	unit_add(suite, killed_in_taking_a_used_cell, 60);
	unit_add(suite, killed_in_freeing_a_cell, 60);
	unit_add(suite, killed_in_remove, 60);
	unit_add(suite, killed_in_taking_over_from_another_boot, 60);
	return fixture_end(unit_run(suite));
}
