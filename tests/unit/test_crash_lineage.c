/* SPDX-License-Identifier: MIT */
/*
 * The broker killed between any two steps of giving a name its next generation, of dropping an old one, of removing a name with several; and
 * killed again at any step of taking over what it left.
 *
 * As tests/unit/crash_fixture.h, whose first page explains the method, for changes that end with more or fewer than one generation. Whatever is cut
 * off, the scan that comes through finds the state before or the state after: of the generations that are there the newest is served and each other one
 * says where it ends, which follows, and who still holds its lease; the numbers of the next begin where those of the one before end.
 */
#include "crash_step.h"
#include "store_fixture.h"

#include "daemon/event_page.h"
#include "daemon/log.h"

#include <sys/wait.h>

enum { GENERATIONS_MAX = 4, FILES = 7 };

static struct holder writer;

struct found {
	struct segment *segments[GENERATIONS_MAX]; /* newest first, as they come */
	unsigned count;
};

static void on_found(struct segment *segment, const struct segment_cell *cells, unsigned cell_count, void *user)
{
	struct found *found = user;

	(void)cells;
	(void)cell_count;
	if (found->count == GENERATIONS_MAX)
		_exit(96);
	found->segments[found->count++] = segment;
}

static void on_page(struct event_page *page, const struct holder *who, void *user)
{
	(void)who;
	(void)user;
	event_page_free(NULL, page, false);
}

static int scan(struct store *store, struct found *found)
{
	struct store_scan with = { .found = on_found, .page = on_page, .user = found };

	memset(found, 0, sizeof(*found));
	return store_scan(store, &with);
}

static void found_free(struct found *found)
{
	while (found->count > 0)
		segment_free(found->segments[--found->count]);
}

/* Runs `change` (NULL: nothing but the scan) in a child that dies at step `at`. False when it came to its end before. */
static bool dies_at(const char *path, unsigned at, void (*change)(struct store *store, struct found *found))
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		struct fixture fixture;
		struct found found = { 0 };
		char why[256];

		if (store_open(&fixture.store, path, 4, why) < 0 || (change != NULL && scan(&fixture.store, &found) < 0))
			_exit(98);
		passed = 0;
		kill_at = at;
		if (change == NULL)
			_exit(scan(&fixture.store, &found) == 0 ? 0 : 97);
		change(&fixture.store, &found);
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

/* ---- changes ---- */

/* How the writer of the first generation left it. */
enum left { LEFT_CLOSED, LEFT_GIVEN_UP, LEFT_HELD };

static struct segment *replace(struct store *store, struct segment *old)
{
	struct segment_spec spec = fixture_spec("x");
	struct segment *segment = NULL;
	const char *why = NULL;

	spec.request.capacity = 16;
	if (segment_replace(store, old, &spec, &segment, &why) < 0)
		_exit(1);
	return segment;
}

static void replace_newest(struct store *store, struct found *found)
{
	replace(store, found->segments[0]);
}

static void remove_all(struct store *store, struct found *found)
{
	for (unsigned i = 0; i < found->count; i++) { /* the newest first: reaper_remove() */
		if (segment_remove(store, found->segments[i]) < 0)
			_exit(2);
	}
}

static void remove_oldest(struct store *store, struct found *found)
{
	if (segment_remove(store, found->segments[found->count - 1]) < 0)
		_exit(3);
}

static void end_of_the_old_writer(struct store *store, struct found *found)
{
	if (segment_release(store, found->segments[found->count - 1], SHMB_WRITER_DEAD, NULL) < 0)
		_exit(4);
}

/* ---- what must hold ---- */

static void check_one(struct fixture *fixture, const struct found *found, unsigned i, enum left left, bool released)
{
	struct segment *segment = found->segments[i];
	size_t bytes;
	struct shmb_shm_card *card = fixture_map(fixture, segment, PART_CARD, 0, &bytes);
	uint64_t cut = atomic_load(&card->cut), next = atomic_load(&card->next), state = atomic_load(&card->state);
	bool first = segment->geometry.generation == 1;

	ck_assert_int_eq((int)(state & 0xff), segment->state);
	ck_assert_int_eq(atomic_load(&card->lease_pid), segment->lease.pid);
	if (i == 0) {
		ck_assert_int_ne(segment->state, SHMB_STATE_SUPERSEDED);
		ck_assert_uint_eq(cut, UINT64_MAX);
		ck_assert_uint_eq(next, 0);
	} else {
		const struct segment *newer = found->segments[i - 1];

		ck_assert_int_eq(segment->state, SHMB_STATE_SUPERSEDED);
		ck_assert_uint_eq(newer->geometry.generation, segment->geometry.generation + 1);
		ck_assert_uint_eq(next, newer->geometry.generation);
		ck_assert_uint_eq(cut, newer->geometry.base);
	}
	/* Three were published; where its writer may live there is one that nobody can tell of. */
	if (segment->geometry.generation > 1)
		ck_assert_uint_eq(segment->geometry.base, left == LEFT_CLOSED ? 3 : 4);
	if (first && left != LEFT_CLOSED && !released)
		ck_assert(segment->lease.pid == writer.pid && memcmp(segment->lease.cookie, writer.cookie, SHMB_COOKIE_BYTES) == 0);
	else if (!released || !first)
		ck_assert_int_eq(segment->lease.pid, 0);
	if (first && i == 0)
		ck_assert_int_eq(segment->state, left == LEFT_CLOSED	 ? SHMB_STATE_FREE
						 : left == LEFT_GIVEN_UP ? SHMB_STATE_GIVEN_UP
									 : SHMB_STATE_HELD);
	munmap(card, bytes);
}

struct scenario {
	void (*change)(struct store *store, struct found *found);
	unsigned generations;	/* before it */
	unsigned before, after; /* how many it may leave */
	bool releases;
	unsigned steps_at_least;
};

static void prepare(struct fixture *fixture, const struct scenario *scenario, enum left left)
{
	struct segment *segment = fixture_segment(fixture, "x");
	struct segment *last = segment;

	ck_assert_int_eq(segment_grant(&fixture->store, segment, &writer), 0);
	for (unsigned n = 0; n < 3; n++)
		fixture_write(fixture, segment, n, WRITER_COUNTED);
	if (left != LEFT_HELD)
		ck_assert_int_eq(
			segment_release(&fixture->store, segment, left == LEFT_CLOSED ? SHMB_WRITER_CLOSED : SHMB_WRITER_GONE, NULL), 0);
	for (unsigned g = 1; g < scenario->generations; g++) {
		struct segment *next = replace(&fixture->store, last);

		segment_free(last);
		last = next;
	}
	segment_free(last);
}

static void once(const struct scenario *scenario, enum left left, unsigned at, unsigned scan_at, bool *died, bool *again)
{
	struct fixture fixture;
	struct found found;
	unsigned count;

	fixture_open(&fixture);
	prepare(&fixture, scenario, left);
	store_close(&fixture.store);
	*died = dies_at(fixture.path, at, scenario->change);
	*again = dies_at(fixture.path, scan_at, NULL);
	if (*again)
		ck_assert(!dies_at(fixture.path, 0, NULL));
	{
		char why[256];

		ck_assert_int_eq(store_open(&fixture.store, fixture.path, 4, why), 0);
	}
	for (unsigned i = 0; i < 2; i++) { /* nothing is left to settle: twice the same */
		ck_assert_int_eq(scan(&fixture.store, &found), 0);
		count = found.count;
		ck_assert_msg(count == scenario->before || count == scenario->after,
			      "%u generations after a death at step %u (%s), then %u", count, at, last_step, scan_at);
		ck_assert(*died || count == scenario->after);
		ck_assert_uint_eq(fixture_files(&fixture), FILES * count);
		for (unsigned k = 0; k < count; k++)
			check_one(&fixture, &found, k, left, scenario->releases);
		if (i == 0)
			found_free(&found);
	}
	/* It can be gone on with. */
	if (count > 0 && found.segments[0]->state == SHMB_STATE_FREE)
		ck_assert_int_eq(segment_grant(&fixture.store, found.segments[0], &writer), 0);
	for (unsigned k = 0; k < count; k++)
		ck_assert_int_eq(segment_remove(&fixture.store, found.segments[k]), 0);
	ck_assert_uint_eq(fixture_files(&fixture), 0);
	fixture_close(&fixture);
}

static void run(const struct scenario *scenario)
{
	last_step = mmap(NULL, SHMB_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	log_init(LOG_LEVEL_ERROR);
	writer = fixture_holder(101, 1000);
	for (unsigned left = LEFT_CLOSED; left <= LEFT_HELD; left++) {
		unsigned scans = 0, at;
		bool died = true;

		if (scenario->releases && left == LEFT_CLOSED)
			continue;
		for (at = 1; died; at++) {
			bool again = true;

			for (unsigned scan_at = 1; again; scan_at++, scans++) {
				once(scenario, (enum left)left, at, scan_at, &died, &again);
				ck_assert_uint_lt(scan_at, 1000);
			}
		}
		ck_assert_msg(at - 2 >= scenario->steps_at_least, "only %u steps", at - 2);
		printf("  %u steps, %u scans\n", at - 2, scans);
	}
	munmap(last_step, SHMB_PAGE);
}

START_TEST(killed_in_the_next_generation)
{
	run(&(struct scenario){ .change = replace_newest, .generations = 1, .before = 1, .after = 2, .steps_at_least = 12 });
}
END_TEST

START_TEST(killed_in_the_third_generation)
{
	run(&(struct scenario){ .change = replace_newest, .generations = 2, .before = 2, .after = 3, .steps_at_least = 12 });
}
END_TEST

START_TEST(killed_in_removing_a_name_of_three)
{
	run(&(struct scenario){ .change = remove_all, .generations = 3, .before = 3, .after = 0, .steps_at_least = 6 });
}
END_TEST

START_TEST(killed_in_dropping_the_oldest)
{
	run(&(struct scenario){ .change = remove_oldest, .generations = 3, .before = 3, .after = 2, .steps_at_least = 2 });
}
END_TEST

START_TEST(killed_in_the_death_of_the_writer_before)
{
	run(&(struct scenario){
		.change = end_of_the_old_writer, .generations = 2, .before = 2, .after = 2, .releases = true, .steps_at_least = 4 });
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("crash lineage");

	fixture_begin();
	unit_add(suite, killed_in_the_next_generation, 120);
	unit_add(suite, killed_in_the_third_generation, 120);
	unit_add(suite, killed_in_removing_a_name_of_three, 120);
	unit_add(suite, killed_in_dropping_the_oldest, 120);
	unit_add(suite, killed_in_the_death_of_the_writer_before, 120);
	return fixture_end(unit_run(suite));
}
