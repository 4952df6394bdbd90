/* SPDX-License-Identifier: MIT */
/*
 * Known defects of temporal queries and rings, each shown not to be here: a writer that never stops, one that is stopped in the middle of a
 * write, laps, edges.
 */
#include "temporal_fixture.h"

#include <pthread.h>
#include <time.h>

/* T1: the limit holds also where the first guesses miss and halving finds the answer. */
START_TEST(defect_T1_distance_limit_on_every_path)
{
	struct bench *bench = bench_keyed(1024, 0);
	uint64_t key = 1;

	/* Growing steps: interpolation is wrong nearly everywhere. */
	for (unsigned i = 0; i < 900; i++)
		must_insert(bench, key += i * i);
	for (unsigned n = 1; n < 900; n += 7) {
		uint64_t low = bench->keys[n], gap = bench->keys[n + 1 < 900 ? n + 1 : n] - low;

		check_closest(bench, low + gap / 3, gap / 3);
		if (gap >= 9)
			check_closest(bench, low + gap / 3, gap / 3 - 1);
		check_bracket(bench, low + gap / 3, gap / 3);
	}
	bench_free(bench);
}
END_TEST

struct runner {
	struct bench *bench;
	_Atomic bool stop;
	uint64_t period;
};

static void *write_all_the_time(void *user)
{
	struct runner *runner = user;
	uint64_t random = 3;
	uint64_t key = 1000000;

	while (!atomic_load(&runner->stop)) {
		struct element element = { .key = key, .number = runner->bench->writer.next };

		slots_publish(&runner->bench->writer, &element);
		key += runner->period - 10 + unit_random(&random) % 21;
	}
	return NULL;
}

/* Queries while the writer comes round all the time. */
static void race(uint32_t capacity, double seconds)
{
	struct bench *bench = bench_keyed(capacity, 0);
	struct runner runner = { .bench = bench, .period = 1000 };
	uint64_t random = 5;
	unsigned long answers = 0;
	double passed;
	struct timespec begin, now;
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, write_all_the_time, &runner), 0);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		struct shmb_bracket_monotonic at;
		struct shmb_found_monotonic found;
		struct element newest, a, b;
		uint64_t t;
		int r;

		clock_gettime(CLOCK_MONOTONIC, &now);
		passed = (double)(now.tv_sec - begin.tv_sec) + (double)(now.tv_nsec - begin.tv_nsec) * 1e-9;
		if (slots_latest(&bench->reader->slots, &newest, NULL) != 0)
			continue;
		t = newest.key - unit_random(&random) % (capacity * 900);
		r = shmb_ring_closest(bench->ring, key_of(t), SHMB_ANY_DISTANCE, &a, &found);
		ck_assert_msg(r == 0 || r == -EAGAIN, "closest: %d", r);
		if (r == 0) {
			answers++;
			ck_assert_uint_eq(a.number, found.number);
			ck_assert_uint_eq(a.key, shmb_key_value(found.key));
		}
		r = shmb_ring_bracket(bench->ring, key_of(t), 2000, &a, &b, &at);
		ck_assert_msg(r == 0 || r == -EAGAIN || r == -ESTALE, "bracket: %d", r);
		if (r == 0) {
			answers++;
			ck_assert_uint_eq(a.number, at.before.number);
			ck_assert_uint_eq(b.number, at.after.number);
			ck_assert(b.number == a.number + 1 || (b.number == a.number && a.key == t));
			ck_assert_uint_eq(a.key, shmb_key_value(at.before.key));
			ck_assert(a.key <= t && (t < b.key || a.key == t));
			ck_assert(at.alpha >= 0 && at.alpha <= 1);
		}
		/* Where the two threads take turns, as under valgrind, many a look is overtaken. */
	} while (passed < seconds || (answers <= 100 && passed < 50 * seconds));
	atomic_store(&runner.stop, true);
	pthread_join(thread, NULL);
	ck_assert_msg(answers > 100, "only %lu answers", answers);
	bench_free(bench);
}

/* T2, T3: absolute numbers and one look at the counter: nothing drifts while the writer goes on, and no difference underflows. */
START_TEST(defect_T2_no_drift_while_writing)
{
	race(64, 0.4);
	race(1024, 0.4);
}
END_TEST

START_TEST(defect_T3_alpha_stays_within_0_and_1)
{
	race(4, 0.4);
	race(16, 0.4);
}
END_TEST

static void claim_next(struct bench *bench)
{
	struct shmb_shm_slot *slot = (struct shmb_shm_slot *)((char *)bench->data + bench->geometry.slot_offset +
							      ((bench->writer.next & bench->writer.mask) << bench->geometry.slot_shift));

	slot->id = shmb_id_writing(bench->writer.next);
	bench->writer.keys[bench->writer.next & bench->writer.mask] = UINT64_C(0xdeadbeefdeadbeef);
}

/* T4, T5: a slot that is being written (by a writer that may be stopped for ever) is none of those that are searched. */
START_TEST(defect_T4_answers_while_the_oldest_is_overwritten)
{
	struct bench *bench = bench_keyed(16, 0);

	for (uint64_t i = 1; i <= 40; i++) {
		must_insert(bench, i * 1000);
		claim_next(bench);
		for (uint64_t t = 0; t < 42000; t += 250)
			check_all(bench, t, 700);
	}
	bench_free(bench);
}
END_TEST

START_TEST(defect_T5_half_written_never_hides_the_closest)
{
	struct bench *bench = bench_keyed(16, 0);
	struct shmb_found_monotonic found;
	struct element a;

	for (uint64_t i = 1; i <= 15; i++)
		must_insert(bench, i * 1000);
	claim_next(bench);
	for (uint64_t n = 0; n < 15; n++) {
		ck_assert_int_eq(shmb_ring_closest(bench->ring, key_of((n + 1) * 1000 + 499), 499, &a, &found), 0);
		ck_assert_uint_eq(found.number, n);
	}
	/* One that was searched was overwritten meanwhile: not skipped, but looked for anew, a bounded number of times. */
	*(_Atomic uint64_t *)((char *)bench->data + bench->geometry.slot_offset + (7 << bench->geometry.slot_shift)) = 1;
	ck_assert_int_eq(shmb_ring_closest(bench->ring, key_of(8000), 499, &a, &found), -EAGAIN);
	bench_free(bench);
}
END_TEST

/* The least that arm64 takes. */
enum { SMALL_STACK = 128 << 10 };

static void *query_on_a_small_stack(void *user)
{
	struct bench *bench = user;
	unsigned char *a = malloc(8 << 20), *b = malloc(8 << 20);
	struct shmb_bracket_monotonic at;
	uintptr_t r;

	r = (uintptr_t)(shmb_ring_bracket(bench->ring, key_of(150), 1000, a, b, &at) != 0 || at.alpha != 0.5 || a[100] != 7 || b[100] != 7);
	free(a);
	free(b);
	return (void *)r;
}

/* T6: nothing of the size of an element on the stack; keys out of order are an error at the publish, and nothing is published. */
START_TEST(defect_T6_large_elements_and_order)
{
	struct shmb_request request = { .kind = SHMB_KIND_RING,
					.capacity = 4,
					.payload_align = 8,
					.payload_bytes = 8 << 20,
					.key_type = SHMB_KEY_MONOTONIC_NS,
					.key_field = 0 };
	struct bench *bench = bench_new(&request, 0);
	unsigned char *payload = calloc(1, 8 << 20);
	struct shmb_sample sample;
	pthread_attr_t attr;
	pthread_t thread;
	void *result;

	memset(payload, 7, 8 << 20);
	for (uint64_t key = 100; key <= 200; key += 100) {
		memcpy(payload, &key, sizeof(key));
		ck_assert_int_eq(slots_publish(&bench->writer, payload), 0);
	}
	memcpy(payload, &(uint64_t){ 199 }, sizeof(uint64_t));
	ck_assert_int_eq(slots_publish(&bench->writer, payload), -EDOM);
	ck_assert_uint_eq(bench->data->counter, 2);
	ck_assert_int_eq(slots_latest(&bench->reader->slots, payload, &sample), 0);
	ck_assert_uint_eq(sample.number, 1);
	memcpy(payload, &(uint64_t){ 200 }, sizeof(uint64_t));
	ck_assert_int_eq(slots_publish(&bench->writer, payload), 0);
	ck_assert_int_eq(slots_writer_init(&bench->writer, &bench->memory, granted), 0);
	bench->data->key_base = 0;
	bench->data->counter = 2;
	pthread_attr_init(&attr);
	ck_assert_int_eq(pthread_attr_setstacksize(&attr, SMALL_STACK), 0);
	ck_assert_int_eq(pthread_create(&thread, &attr, query_on_a_small_stack, bench), 0);
	pthread_join(thread, &result);
	ck_assert_ptr_null(result);
	pthread_attr_destroy(&attr);
	free(payload);
	bench_free(bench);
}
END_TEST

/* C2: "the oldest" is told apart from what was written a lap later. */
START_TEST(defect_C2_a_lap_is_noticed)
{
	struct bench *bench = bench_keyed(8, 0);
	struct element a;

	for (uint64_t i = 0; i < 7; i++)
		must_insert(bench, i);
	ck_assert_int_eq(slots_read(&bench->reader->slots, 0, &a, NULL), 0);
	for (uint64_t i = 7; i < 15; i++)
		must_insert(bench, i);
	/* Number 0's slot holds number 8 now. */
	ck_assert_int_eq(slots_read(&bench->reader->slots, 0, &a, NULL), -ESTALE);
	ck_assert_int_eq(slots_read(&bench->reader->slots, 8, &a, NULL), 0);
	ck_assert_uint_eq(a.number, 8);
	bench_free(bench);
}
END_TEST

/* C3: whatever the payload's size, ids, stamps and keys lie aligned, each slot on lines of its own. */
START_TEST(defect_C3_strides_keep_the_alignment)
{
	for (uint64_t bytes = 1; bytes < 300; bytes++) {
		struct shmb_request request = { .kind = SHMB_KIND_RING,
						.flags = SHMB_SEGMENT_STAMPED,
						.capacity = 8,
						.payload_align = 1,
						.payload_bytes = bytes,
						.key_type = SHMB_KEY_MONOTONIC_NS,
						.key_field = SHMB_KEY_IS_STAMP };
		struct shmb_geometry geometry;

		ck_assert_int_eq(shmb_geometry_plan(&request, 1, &geometry, NULL), 0);
		ck_assert_uint_eq(geometry.slot_offset % 64, 0);
		ck_assert_uint_ge(geometry.slot_shift, 6);
		ck_assert_uint_eq(geometry.key_offset % 8, 0);
		ck_assert_uint_eq(geometry.key_shift, 3);
	}
}
END_TEST

/* C4: the slot that is written next is not among those that are offered. */
START_TEST(defect_C4_bounds_leave_out_the_one_being_written)
{
	struct bench *bench = bench_keyed(8, 0);
	uint64_t oldest, next;
	struct element a;

	for (uint64_t i = 0; i < 20; i++)
		must_insert(bench, i);
	claim_next(bench);
	ck_assert_int_eq(slots_bounds(&bench->reader->slots, &oldest, &next), 0);
	ck_assert_uint_eq(next - oldest, 7);
	for (uint64_t n = oldest; n < next; n++)
		ck_assert_int_eq(slots_read(&bench->reader->slots, n, &a, NULL), 0);
	bench_free(bench);
}
END_TEST

/* C5: an empty ring and a number that is not there are errors, and the payload is not touched. */
START_TEST(defect_C5_empty_and_out_of_range_are_errors)
{
	struct bench *bench = bench_keyed(8, 0);
	struct element a = { .key = 77, .number = 77 };

	ck_assert_int_eq(slots_latest(&bench->reader->slots, &a, NULL), -ENODATA);
	ck_assert_int_eq(slots_read_next(&bench->reader->slots, &a, NULL), -ENODATA);
	ck_assert_int_eq(slots_read(&bench->reader->slots, 0, &a, NULL), -ENODATA);
	ck_assert_int_eq(slots_read(&bench->reader->slots, UINT64_MAX, &a, NULL), -ENODATA);
	must_insert(bench, 1);
	ck_assert_int_eq(slots_read(&bench->reader->slots, 1, &a, NULL), -ENODATA);
	ck_assert_uint_eq(a.key, 77);
	bench_free(bench);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("temporal_defects");

	unit_add(suite, defect_T1_distance_limit_on_every_path, 10);
	unit_add(suite, defect_T2_no_drift_while_writing, 20);
	unit_add(suite, defect_T3_alpha_stays_within_0_and_1, 20);
	unit_add(suite, defect_T4_answers_while_the_oldest_is_overwritten, 10);
	unit_add(suite, defect_T5_half_written_never_hides_the_closest, 10);
	unit_add(suite, defect_T6_large_elements_and_order, 20);
	unit_add(suite, defect_C2_a_lap_is_noticed, 5);
	unit_add(suite, defect_C3_strides_keep_the_alignment, 5);
	unit_add(suite, defect_C4_bounds_leave_out_the_one_being_written, 5);
	unit_add(suite, defect_C5_empty_and_out_of_range_are_errors, 5);
	return unit_run(suite);
}
