/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_CRASH_FIXTURE_H
#define SHMB_TESTS_CRASH_FIXTURE_H

/*
 * The broker killed between any two steps of a change, and killed again at any step of taking over what it left.
 *
 * The daemon's sources are built into this test with step hooks, which count here and kill at the chosen one. Each change is made by a
 * child, which dies at its first step, then at its second, ...; after each death another child scans the directory, which dies at its first
 * step, ...; until one comes through. What is there then must be the state before the change or the state after it, whole.
 */

#include "crash_step.h"
#include "store_fixture.h"

#include "daemon/event_page.h"
#include "daemon/log.h"
#include "proto/validate.h"

#include <sys/wait.h>

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

static inline void on_found(struct segment *segment, const struct segment_cell *cells, unsigned cell_count, void *user)
{
	struct found *found = user;

	found->segment = segment;
	memcpy(found->cells, cells, cell_count * sizeof(*cells));
	found->cell_count = cell_count;
	found->count++;
}

static inline void on_page(struct event_page *page, const struct holder *who, void *user)
{
	struct found *found = user;

	(void)who;
	found->pages++;
	event_page_free(NULL, page, false);
}

static inline void open_store(struct store *store, const char *path)
{
	char why[256];

	if (store_open(store, path, 4, why) < 0) {
		fprintf(stderr, "%s\n", why);
		_exit(99);
	}
	if (boot_changed)
		store->boot_id[0] ^= 0xff;
}

static inline int scan(struct store *store, struct found *found)
{
	struct store_scan with = { .found = on_found, .page = on_page, .user = found };

	memset(found, 0, sizeof(*found));
	return store_scan(store, &with);
}

/* Runs `change` in a child that dies at step `at`. False when it came to its end before. */
static inline bool dies_at(const char *path, unsigned at, void (*change)(struct store *store, struct segment *segment))
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

static inline bool same(const struct holder *a, const struct holder *b)
{
	return a->pid == b->pid && a->uid == b->uid && a->start_time == b->start_time &&
	       memcmp(a->cookie, b->cookie, SHMB_COOKIE_BYTES) == 0;
}

static inline void check_lease(struct fixture *fixture, const struct segment *segment, const struct shmb_shm_card *card)
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

static inline void check_cells(const struct found *found, const struct shmb_shm_card *card)
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
static inline void check_all(struct fixture *fixture, struct found *found)
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

static inline void run(const struct scenario *scenario)
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

static inline struct fixture *of_store(struct store *store)
{
	return (struct fixture *)((char *)store - offsetof(struct fixture, store));
}

static inline void nothing(struct store *store, struct segment *segment)
{
	(void)store;
	(void)segment;
}

static inline void grant(struct store *store, struct segment *segment)
{
	if (segment_grant(store, segment, segment->epoch == 0 ? &writer : &successor) < 0)
		_exit(1);
}

static inline void release_as(struct store *store, struct segment *segment, enum shmb_writer_state verdict)
{
	if (segment_release(store, segment, verdict, NULL) < 0)
		_exit(1);
}

static inline void declare_dead(struct store *store, struct segment *segment)
{
	release_as(store, segment, SHMB_WRITER_DEAD);
}

/* Held as before, or free with the verdict; and a dead one that is still held can be declared dead again. */
static inline void released(struct store *store, const struct found *found, enum shmb_writer_state verdict, bool complete)
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

static inline void take_cell(struct store *store, struct segment *segment)
{
	uint32_t cell, incarnation, area;

	if (segment_cell_take(store, segment, &reader, SHMB_ROLE_READER, &cell, &incarnation, &area) < 0)
		_exit(1);
}

static inline void one_cell(struct store *store, const struct found *found, bool complete)
{
	(void)store;
	ck_assert_uint_eq(found->count, 1);
	ck_assert_uint_le(found->cell_count, 1);
	ck_assert(!complete || found->cell_count == 1);
	ck_assert(found->cell_count == 0 || same(&found->cells[0].holder, &reader));
}

static inline void free_cell(struct store *store, struct segment *segment)
{
	if (segment_cell_free(store, segment, 0, NULL) < 0)
		_exit(1);
}

static inline void cell_gone(struct store *store, const struct found *found, bool complete)
{
	(void)store;
	ck_assert_uint_eq(found->count, 1);
	ck_assert(found->cell_count == 0 || (found->cell_count == 1 && !complete));
}

#endif
