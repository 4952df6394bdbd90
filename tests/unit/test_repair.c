/* SPDX-License-Identifier: MIT */
/* Repair of a data part, and the guard under which foreign memory is touched. */
#include "store_fixture.h"

#include "daemon/repair.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { SLOTS = 8 };

/* A data part of its own, of SLOTS slots. `at` is our mapping of it, `fd` what the broker would open. */
struct data_part {
	struct shmb_geometry geometry;
	struct shmb_shm_data *at;
	int fd;
};

static void data_make(struct data_part *part, uint64_t payload_bytes)
{
	struct shmb_request request = { .kind = SHMB_KIND_RING,
					.capacity = SLOTS,
					.payload_align = 8,
					.payload_bytes = payload_bytes,
					.key_field = SHMB_KEY_IS_STAMP };
	const char *why;

	ck_assert_int_eq(shmb_geometry_plan(&request, 0, &part->geometry, &why), 0);
	part->fd = memfd_create("data", MFD_CLOEXEC);
	ck_assert_int_ge(part->fd, 0);
	ck_assert_int_eq(ftruncate(part->fd, (off_t)part->geometry.data_bytes), 0);
	part->at = mmap(NULL, part->geometry.data_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, part->fd, 0);
	ck_assert_ptr_ne(part->at, MAP_FAILED);
}

static _Atomic uint64_t *data_id(const struct data_part *part, uint64_t number)
{
	return (_Atomic uint64_t *)((char *)part->at + part->geometry.slot_offset + ((number % SLOTS) << part->geometry.slot_shift));
}

/* As it is after `count` writes in order. */
static void data_set(const struct data_part *part, uint64_t count)
{
	for (uint64_t i = 0; i < SLOTS; i++)
		atomic_store(data_id(part, i), 0);
	for (uint64_t n = count > SLOTS ? count - SLOTS : 0; n < count; n++)
		atomic_store(data_id(part, n), shmb_id_done(n));
	atomic_store(&part->at->counter, count);
}

START_TEST(every_place_of_death)
{
	static const uint64_t counts[] = { 0, 1, 7, 8, 9, 1000, SHMB_NUMBER_MAX - 2 };
	struct data_part part;
	struct repair repair;

	data_make(&part, 16);
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		uint64_t n = counts[i];
		uint64_t old;

		/* Before the claim, or after the counter. */
		data_set(&part, n);
		old = atomic_load(data_id(&part, n));
		ck_assert_int_eq(repair_data(part.fd, &part.geometry, &repair), 0);
		ck_assert_uint_eq(repair.mended, 0);
		ck_assert_uint_eq(repair.next, n);
		ck_assert_uint_eq(atomic_load(data_id(&part, n)), old);

		/* While it filled the slot. */
		atomic_store(data_id(&part, n), shmb_id_writing(n));
		for (unsigned round = 0; round < 3; round++) {
			ck_assert_int_eq(repair_data(part.fd, &part.geometry, &repair), 0);
			ck_assert_uint_eq(repair.mended, round == 0);
			ck_assert_uint_eq(repair.next, n);
			ck_assert_uint_eq(atomic_load(&part.at->counter), n);
			ck_assert_uint_eq(atomic_load(data_id(&part, n)), 0);
		}

		/* Between id and counter. */
		atomic_store(data_id(&part, n), shmb_id_done(n));
		for (unsigned round = 0; round < 3; round++) {
			ck_assert_int_eq(repair_data(part.fd, &part.geometry, &repair), 0);
			ck_assert_uint_eq(repair.mended, round == 0);
			ck_assert_uint_eq(repair.next, n + 1);
			ck_assert_uint_eq(atomic_load(&part.at->counter), n + 1);
			ck_assert_uint_eq(atomic_load(data_id(&part, n)), shmb_id_done(n));
		}
		for (uint64_t k = 1; k < SLOTS && k <= n; k++)
			ck_assert_uint_eq(atomic_load(data_id(&part, n - k)), shmb_id_done(n - k));
	}
	munmap(part.at, part.geometry.data_bytes);
	close(part.fd);
}
END_TEST

START_TEST(counters_that_cannot_be)
{
	static const uint64_t counters[] = { SHMB_NUMBER_MAX, SHMB_NUMBER_MAX + 1, UINT64_MAX / 2, UINT64_MAX - 1, UINT64_MAX };
	struct data_part part;
	struct repair repair;

	data_make(&part, 16);
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
		atomic_store(&part.at->counter, counters[i]);
		atomic_store(data_id(&part, counters[i]), shmb_id_writing(counters[i]));
		ck_assert_int_eq(repair_data(part.fd, &part.geometry, &repair), 0);
		ck_assert_uint_eq(repair.mended, 0);
		ck_assert_uint_ge(repair.next, SHMB_NUMBER_MAX);
		ck_assert_uint_eq(atomic_load(data_id(&part, counters[i])), shmb_id_writing(counters[i]));
	}
	munmap(part.at, part.geometry.data_bytes);
	close(part.fd);
}
END_TEST

/* Several published before the counter was stored: all of them count, and the one that follows is mended. */
START_TEST(published_in_a_row)
{
	struct data_part part;
	struct repair repair;

	data_make(&part, 16);
	for (uint64_t n = 0; n < 20; n++) {
		for (unsigned k = 0; k <= SLOTS; k++) {
			bool is_half = k % 2 != 0 && k < SLOTS;

			data_set(&part, n);
			for (unsigned i = 0; i < k; i++)
				atomic_store(data_id(&part, n + i), shmb_id_done(n + i));
			if (is_half)
				atomic_store(data_id(&part, n + k), shmb_id_writing(n + k));
			ck_assert_int_eq(repair_data(part.fd, &part.geometry, &repair), 0);
			ck_assert_uint_eq(repair.next, n + k);
			ck_assert_uint_eq(repair.mended, k + is_half);
			ck_assert_uint_eq(atomic_load(&part.at->counter), n + k);
			if (is_half)
				ck_assert_uint_eq(atomic_load(data_id(&part, n + k)), 0);
			for (unsigned i = 0; i < k; i++)
				ck_assert_uint_eq(atomic_load(data_id(&part, n + i)), shmb_id_done(n + i));
		}
	}
	munmap(part.at, part.geometry.data_bytes);
	close(part.fd);
}
END_TEST

/* ---- frames ---- */

static void frame_make(struct data_part *part, uint32_t history, uint32_t pins)
{
	struct shmb_request request = { .kind = SHMB_KIND_FRAME,
					.history = history,
					.pins = pins,
					.payload_align = 8,
					.payload_bytes = 100,
					.key_field = SHMB_KEY_IS_STAMP };

	ck_assert_int_eq(shmb_geometry_plan(&request, 0, &part->geometry, NULL), 0);
	part->fd = memfd_create("data", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(part->fd, (off_t)part->geometry.data_bytes), 0);
	part->at = mmap(NULL, part->geometry.data_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, part->fd, 0);
	ck_assert_ptr_ne(part->at, MAP_FAILED);
}

static _Atomic uint64_t *frame_slot(const struct data_part *part, uint64_t index)
{
	return (_Atomic uint64_t *)((char *)part->at + part->geometry.slot_offset + (index << part->geometry.slot_shift));
}

static _Atomic uint64_t *frame_entry(const struct data_part *part, uint64_t number)
{
	return (_Atomic uint64_t *)((char *)part->at + part->geometry.entry_offset +
				    ((number & (part->geometry.entry_count - 1)) << part->geometry.entry_shift));
}

/* Where a writer of number c can die: what is there, and what it becomes. The loan of c is slot 2, another loan lies in slot 5. */
START_TEST(frames)
{
	static const struct {
		uint64_t slot; /* its id less 2c */
		uint64_t entry;
		bool is_rolled;
		unsigned mended;
	} rows[] = {
		{ 0, 0, false, 1 }, /* before the claim; the other loan only */
		{ 1, 0, false, 2 }, /* filling it */
		{ 2, 0, false, 1 }, /* complete, but no entry names it: nobody's */
		{ 2, 1, false, 2 }, { 2, 2, true, 2 },
	};
	static const uint64_t counters[] = { 8, 9, 15, 16, 1000, SHMB_NUMBER_MAX - 1 };
	struct data_part part;

	frame_make(&part, 4, 3);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t k = 0; k < sizeof(counters) / sizeof(counters[0]); k++) {
			uint64_t c = counters[k];

			for (uint64_t n = c - 8; n < c; n++) {
				atomic_store(frame_slot(&part, n % 8), shmb_id_done(n));
				atomic_store(frame_entry(&part, n), shmb_id_done(n));
			}
			atomic_store(&part.at->counter, c);
			atomic_store(frame_entry(&part, c), rows[i].entry != 0 ? 2 * c + rows[i].entry : 0);
			if (rows[i].slot != 0)
				atomic_store(frame_slot(&part, 2), 2 * c + rows[i].slot);
			atomic_store(frame_slot(&part, 5), shmb_id_writing(c + 1));
			for (unsigned round = 0; round < 3; round++) {
				struct repair repair;

				ck_assert_int_eq(repair_data(part.fd, &part.geometry, &repair), 0);
				ck_assert_uint_eq(repair.next, c + rows[i].is_rolled);
				ck_assert_uint_eq(repair.mended, round == 0 ? rows[i].mended : 0);
				ck_assert_uint_eq(atomic_load(&part.at->counter), c + rows[i].is_rolled);
				ck_assert_uint_eq(atomic_load(frame_slot(&part, 5)), 0);
				ck_assert_uint_eq(atomic_load(frame_slot(&part, 2)) & 1, 0);
				ck_assert_uint_eq(atomic_load(frame_entry(&part, c)), rows[i].is_rolled ? shmb_id_done(c) : 0);
			}
			for (uint64_t n = c - 8; n < c; n++)
				ck_assert_uint_eq(atomic_load(frame_entry(&part, n)), shmb_id_done(n));
			if (rows[i].slot == 2)
				ck_assert_uint_eq(atomic_load(frame_slot(&part, 2)), shmb_id_done(c));
		}
	}
	munmap(part.at, part.geometry.data_bytes);
	close(part.fd);
}
END_TEST

/* As many slots as there can be, every second one on loan; entries and slots side by side on one page at the seam. */
START_TEST(many_loans)
{
	struct data_part part;
	struct repair repair;

	frame_make(&part, 4096, 1024);
	for (uint32_t i = 0; i < part.geometry.slot_count; i++)
		atomic_store(frame_slot(&part, i), 1000 + i);
	atomic_store(&part.at->counter, 600);
	for (uint32_t n = 0; n < part.geometry.entry_count; n++)
		atomic_store(frame_entry(&part, n), 7); /* odd, but none of ours to touch */
	ck_assert_int_eq(repair_data(part.fd, &part.geometry, &repair), 0);
	ck_assert_uint_eq(repair.mended, part.geometry.slot_count / 2);
	for (uint32_t i = 0; i < part.geometry.slot_count; i++)
		ck_assert_uint_eq(atomic_load(frame_slot(&part, i)), i % 2 != 0 ? 0 : 1000 + i);
	for (uint32_t n = 0; n < part.geometry.entry_count; n++)
		ck_assert_uint_eq(atomic_load(frame_entry(&part, n)), 7);

	/* A counter that cannot be: the loans end all the same. */
	atomic_store(&part.at->counter, UINT64_MAX);
	atomic_store(frame_slot(&part, 0), 1);
	ck_assert_int_eq(repair_data(part.fd, &part.geometry, &repair), 0);
	ck_assert_uint_ge(repair.next, SHMB_NUMBER_MAX);
	ck_assert_uint_eq(repair.mended, 1);
	ck_assert_int_eq(ftruncate(part.fd, (off_t)part.geometry.data_bytes - SHMB_PAGE), 0);
	ck_assert_int_eq(repair_data(part.fd, &part.geometry, &repair), -EBADMSG);
	munmap(part.at, part.geometry.data_bytes);
	close(part.fd);
}
END_TEST

/* Rubbish all over: it may be mended to anything, but at most two words change, and a second repair agrees. */
START_TEST(random_bytes)
{
	struct data_part part;
	uint64_t random = 42;

	data_make(&part, 16);
	for (int round = 0; round < 2000; round++) {
		struct repair first, second;
		uint64_t n;

		unit_random_fill(&random, part.at, part.geometry.data_bytes);
		if (round % 2 != 0)
			atomic_store(&part.at->counter, unit_random(&random) % 100);
		n = atomic_load(&part.at->counter);
		if (round % 4 == 3)
			atomic_store(data_id(&part, n), 2 * n + unit_random(&random) % 4);
		ck_assert_int_eq(repair_data(part.fd, &part.geometry, &first), 0);
		ck_assert_int_eq(repair_data(part.fd, &part.geometry, &second), 0);
		ck_assert_uint_eq(second.mended, 0);
		ck_assert_uint_eq(second.next, first.next);
		ck_assert_int_eq(repair_wake(part.fd, true), 0);
	}
	munmap(part.at, part.geometry.data_bytes);
	close(part.fd);
}
END_TEST

/* Slots over many pages: the one of the counter is found wherever it lies. */
START_TEST(far_slots)
{
	struct shmb_request request = {
		.kind = SHMB_KIND_RING, .capacity = 4096, .payload_align = 8, .payload_bytes = 1000, .key_field = SHMB_KEY_IS_STAMP
	};
	struct data_part part;
	struct repair repair;
	const char *why;

	ck_assert_int_eq(shmb_geometry_plan(&request, 0, &part.geometry, &why), 0);
	part.fd = memfd_create("data", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(part.fd, (off_t)part.geometry.data_bytes), 0);
	part.at = mmap(NULL, part.geometry.data_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, part.fd, 0);
	for (uint64_t n = 0; n < 3 * 4096; n += 61) {
		_Atomic uint64_t *id =
			(_Atomic uint64_t *)((char *)part.at + part.geometry.slot_offset + ((n % 4096) << part.geometry.slot_shift));

		atomic_store(&part.at->counter, n);
		atomic_store(id, shmb_id_writing(n));
		ck_assert_int_eq(repair_data(part.fd, &part.geometry, &repair), 0);
		ck_assert_uint_eq(repair.mended, 1);
		ck_assert_uint_eq(atomic_load(id), 0);
	}
	munmap(part.at, part.geometry.data_bytes);
	close(part.fd);
}
END_TEST

START_TEST(file_too_short)
{
	struct data_part part;
	struct repair repair;

	data_make(&part, 4096);
	atomic_store(&part.at->counter, 5);
	for (off_t size = (off_t)part.geometry.data_bytes - 1; size >= 0; size -= 1111) {
		ck_assert_int_eq(ftruncate(part.fd, size), 0);
		ck_assert_int_eq(repair_data(part.fd, &part.geometry, &repair), -EBADMSG);
		ck_assert_int_eq(repair_wake(part.fd, true), size >= SHMB_PAGE ? 0 : -EBADMSG);
	}
	munmap(part.at, part.geometry.data_bytes);
	close(part.fd);
}
END_TEST

static _Atomic bool truncating;

static void *truncate_all_the_time(void *arg)
{
	const struct data_part *part = arg;

	while (atomic_load(&truncating)) {
		if (ftruncate(part->fd, 0) < 0 || ftruncate(part->fd, (off_t)part->geometry.data_bytes) < 0)
			break;
	}
	return NULL;
}

/* The writer takes the memory away at any moment of the repair. */
START_TEST(truncated_meanwhile)
{
	struct data_part part;
	pthread_t thread;
	unsigned failed = 0;

	data_make(&part, 16);
	atomic_store(&truncating, true);
	ck_assert_int_eq(pthread_create(&thread, NULL, truncate_all_the_time, &part), 0);
	for (int round = 0; round < 20000; round++) {
		struct repair repair;
		int r = repair_data(part.fd, &part.geometry, &repair);

		ck_assert_msg(r == 0 || r == -EBADMSG, "%d", r);
		failed += r != 0;
		r = repair_wake(part.fd, true);
		ck_assert_msg(r == 0 || r == -EBADMSG, "%d", r);
	}
	atomic_store(&truncating, false);
	pthread_join(thread, NULL);
	ck_assert_uint_gt(failed, 0);
	ck_assert_uint_eq(fixture_mappings(), 0);
	munmap(part.at, part.geometry.data_bytes);
	close(part.fd);
}
END_TEST

/* ---- locks ---- */

static _Atomic bool changing;

static void *change_all_the_time(void *arg)
{
	const struct data_part *part = arg;

	while (atomic_load(&changing))
		atomic_fetch_xor(&part->at->lock, SHMB_LOCK_WAITERS);
	return NULL;
}

/* Whose lock is taken is in test_kinds.c; here somebody changes the word all the time, which must not hold the broker up. */
START_TEST(locks)
{
	struct data_part part;
	pthread_t thread;
	unsigned mended;

	data_make(&part, 16);
	atomic_store(&changing, true);
	ck_assert_int_eq(pthread_create(&thread, NULL, change_all_the_time, &part), 0);
	for (unsigned round = 0; round < 20000; round++) {
		int r;

		atomic_store(&part.at->lock, 6);
		r = repair_lock(part.fd, 5, &mended);
		ck_assert_msg((r == 0 && mended == 1) || r == -EAGAIN, "%d", r);
		if (r == 0)
			ck_assert_uint_eq(atomic_load(&part.at->lock) & ~SHMB_LOCK_WAITERS, SHMB_LOCK_OWNER_DIED);
	}
	atomic_store(&changing, false);
	pthread_join(thread, NULL);
	atomic_store(&part.at->lock, 6);
	ck_assert_int_eq(repair_lock(part.fd, 4, &mended), 0);
	ck_assert_uint_eq(mended, 0);
	ck_assert_int_eq(repair_lock(part.fd, UINT32_MAX, &mended), 0);
	ck_assert_uint_eq(mended, 1);
	ck_assert_int_eq(ftruncate(part.fd, 100), 0);
	ck_assert_int_eq(repair_lock(part.fd, 5, &mended), -EBADMSG);
	munmap(part.at, part.geometry.data_bytes);
	close(part.fd);
}
END_TEST

/* ---- the guard ---- */

static int touch(void *arg)
{
	return *(volatile char *)arg;
}

static int memory_of(size_t bytes)
{
	int fd = memfd_create("memory", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)bytes), 0);
	return fd;
}

START_TEST(guard)
{
	struct foreign one = { 0 }, two = { 0 };
	int fd = memory_of(2 * SHMB_PAGE);
	int other = memory_of(SHMB_PAGE);

	ck_assert_int_eq(foreign_map(&one, fd, 0, 2 * SHMB_PAGE, true), 0);
	ck_assert_int_eq(foreign_map(&two, other, 0, SHMB_PAGE, false), 0);
	((char *)one.at)[SHMB_PAGE] = 42;
	ck_assert_int_eq(foreign_call(touch, (char *)one.at + SHMB_PAGE), 42);
	ck_assert_int_eq(ftruncate(fd, SHMB_PAGE), 0);
	for (int i = 0; i < 1000; i++) { /* the handler does not wear out, the mask does not fill */
		ck_assert_int_eq(foreign_call(touch, (char *)one.at + SHMB_PAGE), -EFAULT);
		ck_assert_int_eq(foreign_call(touch, one.at), 0);
	}
	foreign_unmap(&one);
	foreign_unmap(&one);
	ck_assert_ptr_null(one.at);
	ck_assert_int_eq(foreign_call(touch, two.at), 0);
	ck_assert_int_eq(ftruncate(other, 0), 0);
	ck_assert_int_eq(foreign_call(touch, two.at), -EFAULT);
	foreign_unmap(&two);
	close(fd);
	close(other);
}
END_TEST

/* What a child that does this dies of. */
static int death_of(void (*act)(void))
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		signal(SIGBUS, SIG_DFL);
		act();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void touch_what_is_not_foreign(void)
{
	int fd = memfd_create("memory", MFD_CLOEXEC);
	char *at;

	if (ftruncate(fd, SHMB_PAGE) < 0)
		return;
	at = mmap(NULL, SHMB_PAGE, PROT_READ, MAP_SHARED, fd, 0);
	if (ftruncate(fd, 0) < 0)
		return;
	foreign_call(touch, at);
}

static void touch_without_the_guard(void)
{
	struct foreign map = { 0 };
	int fd = memfd_create("memory", MFD_CLOEXEC);

	if (ftruncate(fd, SHMB_PAGE) < 0 || foreign_map(&map, fd, 0, SHMB_PAGE, false) < 0)
		return;
	foreign_call(touch, map.at);
	if (ftruncate(fd, 0) < 0)
		return;
	touch(map.at);
}

static int raise_sigbus(void *arg)
{
	(void)arg;
	raise(SIGBUS);
	return 0;
}

static void sent_by_somebody(void)
{
	foreign_call(raise_sigbus, NULL);
}

/* No descriptor was left when the writer died: nothing is done, and nothing is forgotten. */
START_TEST(release_for_want_of_a_descriptor)
{
	struct fixture fixture;
	struct segment *segment;
	struct holder one = fixture_holder(101, 1000), two = fixture_holder(102, 1000);
	struct rlimit limit, none;
	unsigned mended = 0;

	fixture_open(&fixture);
	segment = fixture_segment(&fixture, "x");
	ck_assert_int_eq(segment_grant(&fixture.store, segment, &one), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = (struct rlimit){ .rlim_cur = 0, .rlim_max = limit.rlim_max };
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	ck_assert_int_eq(segment_release(&fixture.store, segment, SHMB_WRITER_DEAD, &mended), -EMFILE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_int_eq(segment->state, SHMB_STATE_HELD);
	ck_assert_int_eq(segment->lease.pid, 101);
	ck_assert_int_eq(segment_grant(&fixture.store, segment, &two), -EBUSY);
	ck_assert_int_eq(segment_release(&fixture.store, segment, SHMB_WRITER_DEAD, &mended), 0);
	ck_assert_int_eq(segment_grant(&fixture.store, segment, &two), 0);
	ck_assert_uint_eq(segment->epoch, 2);
	ck_assert_int_eq(segment->lease.pid, 102);
	ck_assert_int_eq(segment_release(&fixture.store, segment, SHMB_WRITER_CLOSED, &mended), 0);
	ck_assert_int_eq(segment_remove(&fixture.store, segment), 0);
	fixture_close(&fixture);
}
END_TEST

START_TEST(other_faults_are_deadly)
{
	ck_assert_int_eq(death_of(touch_what_is_not_foreign), SIGBUS);
	ck_assert_int_eq(death_of(touch_without_the_guard), SIGBUS);
	ck_assert_int_eq(death_of(sent_by_somebody), SIGBUS);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("repair");

	fixture_begin();
	unit_add(suite, every_place_of_death, 5);
	unit_add(suite, counters_that_cannot_be, 5);
	unit_add(suite, published_in_a_row, 5);
	unit_add(suite, frames, 5);
	unit_add(suite, many_loans, 5);
	unit_add(suite, locks, 5);
	unit_add(suite, random_bytes, 10);
	unit_add(suite, far_slots, 10);
	unit_add(suite, file_too_short, 5);
	unit_add(suite, truncated_meanwhile, 20);
	unit_add(suite, guard, 5);
	unit_add(suite, release_for_want_of_a_descriptor, 5);
	unit_add(suite, other_faults_are_deadly, 10);
	return fixture_end(unit_run(suite));
}
