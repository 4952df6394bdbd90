/* SPDX-License-Identifier: MIT */
/*
 * The broker killed between any two steps of a change, and killed again at any step of taking over what it left.
 *
 * The daemon's sources are built into this test with step hooks, which count here and kill at the chosen one. Each change is made by a
 * child, which dies at its first step, then at its second, ...; after each death another child scans the directory, which dies at its first
 * step, ...; until one comes through. What is there then must be the state before the change or the state after it, whole.
 */
#include "store_fixture.h"

#include "daemon/event_page.h"
#include "daemon/log.h"
#include "proto/step.h"
#include "proto/validate.h"

#include <signal.h>
#include <sys/wait.h>

static unsigned kill_at; /* 0: never */
static unsigned passed;
static char *last_step; /* shared with the children, for messages */

void shmb_step(const char *name)
{
	if (kill_at == 0)
		return;
	snprintf(last_step, 64, "%s", name);
	if (++passed == kill_at)
		kill(getpid(), SIGKILL);
}

static struct holder writer, successor, reader, newcomer;
static bool boot_changed;

/* ---- scanning ---- */

struct found {
	struct segment *segment;
	struct segment_cell cells[SHMB_CELLS_MAX];
	unsigned cell_count;
	unsigned count;
	unsigned pages;
};

static void on_found(struct segment *segment, const struct segment_cell *cells, unsigned cell_count, void *user)
{
	struct found *found = user;

	found->segment = segment;
	memcpy(found->cells, cells, cell_count * sizeof(*cells));
	found->cell_count = cell_count;
	found->count++;
}

static void on_page(struct event_page *page, const struct holder *who, void *user)
{
	struct found *found = user;

	(void)who;
	found->pages++;
	event_page_free(NULL, page, false);
}

static void open_store(struct store *store, const char *path)
{
	char why[256];

	if (store_open(store, path, 4, why) < 0) {
		fprintf(stderr, "%s\n", why);
		_exit(99);
	}
	if (boot_changed)
		store->boot_id[0] ^= 0xff;
}

static int scan(struct store *store, struct found *found)
{
	struct store_scan with = { .found = on_found, .page = on_page, .user = found };

	memset(found, 0, sizeof(*found));
	return store_scan(store, &with);
}

/* Runs `change` in a child that dies at step `at`. False when it came to its end before. */
static bool dies_at(const char *path, unsigned at, void (*change)(struct store *store, struct segment *segment))
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		struct store store;
		struct found found = { 0 };

		open_store(&store, path);
		if (change != NULL && scan(&store, &found) < 0)
			_exit(98);
		passed = 0;
		kill_at = at;
		if (change == NULL)
			_exit(scan(&store, &found) == 0 ? 0 : 97);
		change(&store, found.segment);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	if (WIFSIGNALED(status)) {
		ck_assert_int_eq(WTERMSIG(status), SIGKILL);
		return true;
	}
	ck_assert_msg(WEXITSTATUS(status) == 0, "exit %d, last step %s", WEXITSTATUS(status), last_step);
	return false;
}

/* ---- what must hold whatever happened ---- */

static bool same(const struct holder *a, const struct holder *b)
{
	return a->pid == b->pid && a->uid == b->uid && a->start_time == b->start_time &&
	       memcmp(a->cookie, b->cookie, SHMB_COOKIE_BYTES) == 0;
}

static void check_lease(struct fixture *fixture, const struct segment *segment, const struct shmb_shm_card *card)
{
	uint64_t state = atomic_load(&card->state), verdict = atomic_load(&card->writer);
	size_t bytes;
	struct shmb_shm_data *data = fixture_map(fixture, segment, PART_DATA, 0, &bytes);
	uint64_t counter = atomic_load(&data->counter);
	uint64_t id = segment->geometry.kind == SHMB_KIND_BLOCK	  ? 0
		      : segment->geometry.kind == SHMB_KIND_FRAME ? atomic_load(&fixture_entry(data, segment, counter)->id)
								  : atomic_load(&fixture_slot(data, segment, counter)->id);

	ck_assert_int_eq(atomic_load(&card->lease_pid), segment->lease.pid);
	ck_assert_uint_eq(atomic_load(&card->lease_epoch), segment->epoch);
	ck_assert_int_eq((int)(state & 0xff), segment->state);
	ck_assert_int_eq((int)(verdict & 0xff), segment->writer);
	if (segment->lease.pid == 0) {
		ck_assert_int_eq(segment->state, SHMB_STATE_FREE);
		ck_assert(segment->writer == SHMB_WRITER_NONE || segment->writer == SHMB_WRITER_CLOSED ||
			  segment->writer == SHMB_WRITER_DEAD);
		ck_assert_uint_ne(id, shmb_id_writing(counter));
		ck_assert_uint_ne(id, shmb_id_done(counter));
	} else {
		ck_assert(same(&segment->lease, &writer) || same(&segment->lease, &successor));
		ck_assert_uint_eq(verdict >> 8, segment->epoch);
		ck_assert_uint_eq(state >> 8, segment->epoch);
		ck_assert(segment->state == SHMB_STATE_HELD ? segment->writer == SHMB_WRITER_ALIVE
							    : segment->state == SHMB_STATE_GIVEN_UP && segment->writer == SHMB_WRITER_GONE);
	}
	munmap(data, bytes);
}

static void check_cells(const struct found *found, const struct shmb_shm_card *card)
{
	for (unsigned i = 0; i < found->cell_count; i++) {
		const struct segment_cell *cell = &found->cells[i];
		uint32_t area = cell->cell / SHMB_CELLS_PER_AREA;

		ck_assert(same(&cell->holder, &reader) || same(&cell->holder, &newcomer));
		ck_assert_uint_gt(cell->incarnation, 0);
		ck_assert_uint_lt(area, 4);
		ck_assert_uint_eq(atomic_load(&card->bound_areas) >> area & 1, 1);
		ck_assert_uint_eq(atomic_load(&card->area_uid[area]), cell->holder.uid);
	}
	/* The bits are those of the cells with a pid, whatever was cut in two. */
	for (uint32_t i = 0; i < SHMB_CELLS_MAX; i++) {
		uint32_t bits = atomic_load(&card->area_cells[i / SHMB_CELLS_PER_AREA]);

		ck_assert_int_eq(bits >> i % SHMB_CELLS_PER_AREA & 1, atomic_load(&card->cells[i].pid) != 0);
	}
}

/* Scans once more, in this process: nothing is left to settle, and all that is there fits together. The caller frees the segment. */
static void check_all(struct fixture *fixture, struct found *found)
{
	char before[SHMB_PAGE];
	struct shmb_shm_card *card;
	struct segment *segment;
	size_t bytes;

	open_store(&fixture->store, fixture->path);
	ck_assert_int_eq(scan(&fixture->store, found), 0);
	ck_assert_uint_le(found->count, 1);
	ck_assert_uint_eq(fixture_files(fixture), 7 * found->count);
	segment = found->segment;
	if (segment != NULL) {
		card = fixture_map(fixture, segment, PART_CARD, 0, &bytes);
		ck_assert_mem_eq(card->boot_id, fixture->store.boot_id, SHMB_BOOT_ID_BYTES);
		check_lease(fixture, segment, card);
		check_cells(found, card);
		memcpy(before, card, SHMB_PAGE);
		segment_free(segment);
		ck_assert_int_eq(scan(&fixture->store, found), 0);
		ck_assert_mem_eq(before, card, SHMB_PAGE);
		munmap(card, bytes);
	}
}

struct scenario {
	void (*before)(struct store *store, struct segment *segment); /* from a fresh segment; NULL: from none at all */
	void (*change)(struct store *store, struct segment *segment);
	void (*check)(struct store *store, const struct found *found, bool complete);
	const struct shmb_request *request; /* NULL: the ring of fixture_spec() */
	bool other_boot;
	unsigned steps_at_least; /* so that no hook is lost unnoticed */
};

static void run(const struct scenario *scenario)
{
	struct fixture fixture;
	bool died = true;
	unsigned scans = 0;
	unsigned at;

	log_init(LOG_LEVEL_ERROR);
	writer = fixture_holder(101, 1000);
	successor = fixture_holder(102, 1000);
	reader = fixture_holder(103, 2000);
	newcomer = fixture_holder(104, 2000);
	last_step = mmap(NULL, SHMB_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (at = 1; died; at++) {
		bool again = true;

		/* For each step of the change all steps of the scan after it. */
		for (unsigned scan_at = 1; again; scan_at++) {
			struct found found;

			boot_changed = false;
			fixture_open(&fixture);
			if (scenario->before != NULL) {
				struct segment *segment = scenario->request == NULL ? fixture_segment(&fixture, "x")
										    : fixture_segment_of(&fixture, "x", scenario->request);

				scenario->before(&fixture.store, segment);
				segment_free(segment);
			}
			store_close(&fixture.store);
			died = dies_at(fixture.path, at, scenario->change);
			boot_changed = scenario->other_boot;
			again = dies_at(fixture.path, scan_at, NULL);
			scans++;
			if (again)
				ck_assert(!dies_at(fixture.path, 0, NULL));
			check_all(&fixture, &found);
			scenario->check(&fixture.store, &found, !died);
			if (found.segment != NULL)
				ck_assert_int_eq(segment_remove(&fixture.store, found.segment), 0);
			ck_assert_uint_eq(fixture_files(&fixture), 0);
			fixture_close(&fixture);
			ck_assert_uint_lt(scan_at, 1000);
		}
	}
	ck_assert_msg(at - 2 >= scenario->steps_at_least, "only %u steps", at - 2);
	printf("  %u steps, %u scans\n", at - 2, scans);
	munmap(last_step, SHMB_PAGE);
}

/* ---- the changes ---- */

static struct fixture *of_store(struct store *store)
{
	return (struct fixture *)((char *)store - offsetof(struct fixture, store));
}

static void nothing(struct store *store, struct segment *segment)
{
	(void)store;
	(void)segment;
}

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

static void grant(struct store *store, struct segment *segment)
{
	if (segment_grant(store, segment, segment->epoch == 0 ? &writer : &successor) < 0)
		_exit(1);
}

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

static void release_as(struct store *store, struct segment *segment, enum shmb_writer_state verdict)
{
	if (segment_release(store, segment, verdict, NULL) < 0)
		_exit(1);
}

static void declare_dead(struct store *store, struct segment *segment)
{
	release_as(store, segment, SHMB_WRITER_DEAD);
}

static void close_in_order(struct store *store, struct segment *segment)
{
	release_as(store, segment, SHMB_WRITER_CLOSED);
}

static void give_up(struct store *store, struct segment *segment)
{
	release_as(store, segment, SHMB_WRITER_GONE);
}

/* Held as before, or free with the verdict; and a dead one that is still held can be declared dead again. */
static void released(struct store *store, const struct found *found, enum shmb_writer_state verdict, bool complete)
{
	struct segment *segment = found->segment;

	ck_assert_uint_eq(found->count, 1);
	ck_assert_uint_eq(segment->epoch, 1);
	if (segment->lease.pid != 0) {
		ck_assert(!complete);
		ck_assert(same(&segment->lease, &writer));
		ck_assert_int_eq(segment_release(store, segment, verdict, NULL), 0);
	}
	ck_assert_int_eq(segment->state, SHMB_STATE_FREE);
	ck_assert_int_eq(segment->writer, verdict);
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

static void take_cell(struct store *store, struct segment *segment)
{
	uint32_t cell, incarnation, area;

	if (segment_cell_take(store, segment, &reader, SHMB_ROLE_READER, &cell, &incarnation, &area) < 0)
		_exit(1);
}

static void one_cell(struct store *store, const struct found *found, bool complete)
{
	(void)store;
	ck_assert_uint_eq(found->count, 1);
	ck_assert_uint_le(found->cell_count, 1);
	ck_assert(!complete || found->cell_count == 1);
	ck_assert(found->cell_count == 0 || same(&found->cells[0].holder, &reader));
}

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

static void free_cell(struct store *store, struct segment *segment)
{
	if (segment_cell_free(store, segment, 0, NULL) < 0)
		_exit(1);
}

static void cell_gone(struct store *store, const struct found *found, bool complete)
{
	(void)store;
	ck_assert_uint_eq(found->count, 1);
	ck_assert(found->cell_count == 0 || (found->cell_count == 1 && !complete));
}

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

/* ---- frames, queues, blocks ---- */

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
	unit_add(suite, killed_in_repair_of_a_frame, 60);
	unit_add(suite, killed_in_freeing_a_cell_with_pins, 60);
	unit_add(suite, killed_in_the_next_consumer, 60);
	unit_add(suite, killed_in_freeing_the_holder_of_a_lock, 60);
	unit_add(suite, killed_in_taking_over_a_block_from_another_boot, 60);
	return fixture_end(unit_run(suite));
}
