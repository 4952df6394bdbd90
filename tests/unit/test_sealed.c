/* SPDX-License-Identifier: MIT */
/* Sealed parts: what they are, who may do what with them, how they come back at the next start, and what happens where they do not. */
#include "daemon/policy.h"
#include "daemon/sealed.h"
#include "daemon/vault.h"
#include "store_fixture.h"

#include <sys/mman.h>

/* A keeper like systemd's descriptor store: it has descriptors of its own, and gives them back. */
static struct {
	char name[64][SEALED_NAME_BYTES + 1];
	int fd[64];
	unsigned count;
} kept;

static void keep(int fd, const char *name)
{
	ck_assert_uint_lt(kept.count, 64);
	strcpy(kept.name[kept.count], name);
	kept.fd[kept.count++] = dup(fd);
}

static void drop(const char *name)
{
	for (unsigned i = 0; i < kept.count; i++) {
		if (strcmp(kept.name[i], name) != 0)
			continue;
		close(kept.fd[i]);
		kept.count--;
		memmove(kept.name[i], kept.name[kept.count], sizeof(kept.name[i])); /* the last one may be this */
		kept.fd[i] = kept.fd[kept.count];
		return;
	}
	ck_abort_msg("%s is not kept", name);
}

static const struct store_keeper keeper = { keep, drop };
static const struct policy sealed_policy = { .backing = SHMB_BACKING_SEALED, .areas = 2 };

static void open_sealing(struct fixture *fixture)
{
	fixture_open(fixture);
	fixture->store.seals_areas = true;
	fixture->store.keeper = &keeper;
}

static struct segment *make(struct fixture *fixture, const char *name, const struct policy *policy)
{
	struct segment_spec spec = fixture_spec(name);
	struct segment *segment = NULL;
	const char *why = NULL;

	spec.policy = policy;
	ck_assert_msg(segment_create(&fixture->store, &spec, &segment, &why) == 0, "%s", why);
	return segment;
}

/* ---- the next start ---- */

static struct segment *found;
static unsigned found_count;

static void on_found(struct segment *segment, const struct segment_cell *cells, unsigned cell_count, void *user)
{
	(void)cells;
	(void)cell_count;
	(void)user;
	found = segment;
	found_count++;
}

static void on_page(struct event_page *page, const struct holder *who, void *user)
{
	(void)page;
	(void)who;
	(void)user;
}

static void scan(struct fixture *fixture, bool with_vault)
{
	const struct store_scan scan = { .found = on_found, .page = on_page };

	found_count = 0;
	found = NULL;
	ck_assert_int_eq(vault_new(&fixture->store.vault), 0);
	for (unsigned i = 0; with_vault && i < kept.count; i++)
		ck_assert_int_eq(vault_add(fixture->store.vault, kept.name[i], dup(kept.fd[i])), 0);
	fixture->store.sealed_count = 0;
	ck_assert_int_eq(store_scan(&fixture->store, &scan), 0);
	ck_assert_ptr_null(fixture->store.vault);
}

static void end(struct fixture *fixture)
{
	while (kept.count > 0)
		drop(kept.name[0]);
	fixture_close(fixture);
}

/* ---- tests ---- */

START_TEST(names)
{
	static const uint64_t ids[] = { 0, 1, 63, 64, UINT64_MAX, UINT64_C(0x0123456789abcdef) };
	static const char *const bad[] = {
		"", "control", "AAAAAAAAAAA", "AAAAAAAAAAA6", "AAAAAAAAAAAx", "AAAAAAAAAA:d", "AAAAAAAAAAAdd", "__________Qd"
	};
	char name[SEALED_NAME_BYTES + 1];
	uint64_t id;
	enum part part;
	uint32_t area;

	for (unsigned i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		for (uint32_t j = 0; j <= SHMB_AREAS_MAX; j++) {
			sealed_name(name, ids[i], j == SHMB_AREAS_MAX ? PART_DATA : PART_AREA, j % SHMB_AREAS_MAX);
			ck_assert_uint_eq(strlen(name), SEALED_NAME_BYTES);
			ck_assert_int_eq(sealed_name_parse(name, &id, &part, &area), 0);
			ck_assert(id == ids[i] && area == j % SHMB_AREAS_MAX && part == (j == SHMB_AREAS_MAX ? PART_DATA : PART_AREA));
		}
	}
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(sealed_name_parse(bad[i], &id, &part, &area) == -EINVAL, "%s", bad[i]);
}
END_TEST

START_TEST(memory)
{
	struct fixture fixture;
	int fd;

	fixture_open(&fixture);
	fd = sealed_make(&fixture.store, 3 * SHMB_PAGE);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(sealed_check(fd, 3 * SHMB_PAGE), 0);
	ck_assert_int_eq(sealed_check(fd, 2 * SHMB_PAGE), -EBADMSG);
	ck_assert(ftruncate(fd, 0) < 0 && errno == EPERM);
	ck_assert(ftruncate(fd, 4 * SHMB_PAGE) < 0 && errno == EPERM);
	ck_assert(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) < 0 && errno == EPERM);
	ck_assert_int_eq(fchmod(fd, 0640), 0);
	ck_assert_int_eq(sealed_check(fd, 3 * SHMB_PAGE), -EBADMSG);
	close(fd);
	fd = memfd_create("not sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ck_assert_int_eq(fchmod(fd, 0600), 0);
	ck_assert_int_eq(ftruncate(fd, SHMB_PAGE), 0);
	ck_assert_int_eq(sealed_check(fd, SHMB_PAGE), -EBADMSG);
	close(fd);
	fixture.store.sealed_max = 0;
	ck_assert_int_eq(sealed_make(&fixture.store, SHMB_PAGE), -EMFILE);
	fixture_close(&fixture);
}
END_TEST

/* Areas alone: made, found again, handed out, removed. */
START_TEST(areas)
{
	struct fixture fixture;
	struct segment *segment;
	int fds[SHMB_FDS_MAX];
	uint32_t count;
	bool are_lent;

	open_sealing(&fixture);
	segment = make(&fixture, "a", NULL);
	ck_assert_uint_eq(fixture_files(&fixture), 3); /* card, record, data */
	ck_assert_uint_eq(kept.count, 4);
	ck_assert_uint_eq(fixture.store.sealed_count, 4);
	segment_free(segment);
	scan(&fixture, true);
	ck_assert_uint_eq(found_count, 1);
	ck_assert(!found->areas_lost && found->area_backing == SHMB_BACKING_SEALED && found->backing == SHMB_BACKING_NAMED);
	ck_assert_uint_eq(kept.count, 4);
	ck_assert_int_eq(segment_open_fds(&fixture.store, found, SHMB_ROLE_READER, 2, fds, &count, &are_lent), 0);
	ck_assert_uint_eq(count, 3);
	ck_assert((fcntl(fds[1], F_GETFL) & O_ACCMODE) == O_RDONLY && (fcntl(fds[2], F_GETFL) & O_ACCMODE) == O_RDWR);
	ck_assert(are_lent);
	ck_assert_int_eq(segment_remove(&fixture.store, found), 0);
	ck_assert_uint_eq(kept.count, 0);
	ck_assert_uint_eq(fixture.store.sealed_count, 0);
	ck_assert_uint_eq(fixture_files(&fixture), 0);
	end(&fixture);
}
END_TEST

START_TEST(data)
{
	struct fixture fixture;
	struct segment *segment;
	int fds[SHMB_FDS_MAX];
	uint32_t count;
	bool are_lent;

	open_sealing(&fixture);
	segment = make(&fixture, "d", &sealed_policy);
	ck_assert_uint_eq(fixture_files(&fixture), 2); /* card and record */
	ck_assert_uint_eq(kept.count, 3);
	fixture_write(&fixture, segment, 0, WRITER_COUNTED);
	segment_free(segment);
	scan(&fixture, true);
	ck_assert_uint_eq(found_count, 1);
	ck_assert_int_eq(found->backing, SHMB_BACKING_SEALED);
	ck_assert_int_eq(segment_open_fds(&fixture.store, found, SHMB_ROLE_READER, UINT32_MAX, fds, &count, &are_lent), 0);
	ck_assert_uint_eq(count, 2);
	ck_assert_int_eq(fcntl(fds[1], F_GETFL) & O_ACCMODE, O_RDONLY);
	ck_assert_ptr_eq(mmap(NULL, SHMB_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fds[1], 0), MAP_FAILED);
	{
		struct shmb_shm_data head;

		ck_assert_int_eq(pread(fds[1], &head, sizeof(head), 0), sizeof(head));
		ck_assert_uint_eq(head.counter, 1);
	}
	ck_assert(are_lent);
	ck_assert_int_eq(segment_remove(&fixture.store, found), 0);
	ck_assert_uint_eq(kept.count, 0);
	end(&fixture);
}
END_TEST

/* Nobody kept them. */
START_TEST(lost)
{
	struct fixture fixture;
	struct holder who = fixture_holder(getpid(), 7);
	uint32_t cell, incarnation, area;

	open_sealing(&fixture);
	segment_free(make(&fixture, "areas", NULL));
	scan(&fixture, false);
	ck_assert_uint_eq(found_count, 1);
	ck_assert(found->areas_lost);
	/* read, but without an area; not consumed */
	ck_assert_int_eq(segment_cell_take(&fixture.store, found, &who, SHMB_ROLE_READER, &cell, &incarnation, &area), 0);
	ck_assert_uint_eq(area, UINT32_MAX);
	ck_assert_uint_ge(cell, 4 * SHMB_CELLS_PER_AREA);
	ck_assert_int_eq(segment_cell_take(&fixture.store, found, &who, SHMB_ROLE_CONSUMER, &cell, &incarnation, &area), -EUSERS);
	ck_assert_int_eq(segment_remove(&fixture.store, found), 0);

	segment_free(make(&fixture, "data", &sealed_policy));
	scan(&fixture, false);
	ck_assert_uint_eq(found_count, 0);
	ck_assert_uint_eq(fixture_files(&fixture), 0);
	end(&fixture);
}
END_TEST

/* What comes back and is not what it should be is as if lost. */
START_TEST(not_what_it_was)
{
	struct fixture fixture;
	struct segment *segment;

	open_sealing(&fixture);
	segment = make(&fixture, "x", &sealed_policy);
	segment_free(segment);
	for (unsigned i = 0; i < kept.count; i++) {
		if (kept.name[i][SEALED_NAME_BYTES - 1] != 'd')
			continue;
		close(kept.fd[i]);
		kept.fd[i] = sealed_make(&fixture.store, 64 * SHMB_PAGE); /* not what its card says */
	}
	scan(&fixture, true);
	ck_assert_uint_eq(found_count, 0);
	ck_assert_uint_eq(fixture_files(&fixture), 0);
	end(&fixture);
}
END_TEST

/* Of no card: given up. But not while a card was left alone, whose they may be. */
START_TEST(unmatched)
{
	struct fixture fixture;
	struct segment *segment;
	size_t bytes;
	struct shmb_shm_card *card;

	open_sealing(&fixture);
	segment = make(&fixture, "x", NULL);
	card = fixture_map(&fixture, segment, PART_CARD, 0, &bytes);
	card->oldest_reader = UINT16_MAX; /* of a version to come */
	segment_free(segment);
	scan(&fixture, true);
	ck_assert_uint_eq(found_count, 0);
	ck_assert_uint_eq(kept.count, 4);
	card->oldest_reader = SHMB_LAYOUT_OLDEST; /* and back again */
	munmap(card, bytes);
	scan(&fixture, true);
	ck_assert_uint_eq(found_count, 1);
	ck_assert(!found->areas_lost);
	segment_free(found);
	ck_assert_int_eq(store_unlink(&fixture.store, "x,1"), 0);
	scan(&fixture, true);
	ck_assert_uint_eq(found_count, 0);
	ck_assert_uint_eq(kept.count, 0);
	end(&fixture);
}
END_TEST

/* As many are kept as may be: refused with a sentence, and nothing is left. */
START_TEST(too_many)
{
	struct fixture fixture;
	struct segment_spec spec = fixture_spec("second");
	struct segment *first;
	struct segment *second = NULL;
	const char *why = NULL;

	open_sealing(&fixture);
	fixture.store.sealed_max = 6;
	first = make(&fixture, "first", NULL);
	ck_assert_int_eq(segment_create(&fixture.store, &spec, &second, &why), -EMFILE);
	ck_assert_ptr_nonnull(strstr(why, "LimitNOFILE"));
	ck_assert_uint_eq(kept.count, 4);
	ck_assert_uint_eq(fixture.store.sealed_count, 4);
	ck_assert_uint_eq(fixture_files(&fixture), 3);
	ck_assert_int_eq(segment_remove(&fixture.store, first), 0);
	end(&fixture);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sealed");

	fixture_begin();
	unit_add(suite, names, 5);
	unit_add(suite, memory, 10);
	unit_add(suite, areas, 10);
	unit_add(suite, data, 10);
	unit_add(suite, lost, 10);
	unit_add(suite, not_what_it_was, 10);
	unit_add(suite, unmatched, 10);
	unit_add(suite, too_many, 10);
	return fixture_end(unit_run(suite));
}
