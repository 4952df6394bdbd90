/* SPDX-License-Identifier: MIT */
/* The data path of frames on plain memory: what a pin protects, what a loan finds, and bytes that no writer or reader wrote. */
#include "frame_fixture.h"

#include <pthread.h>

START_TEST(from_loan_to_release)
{
	struct shmb_frame frame = { 0 };
	struct bench bench;
	size_t capacity;
	void *payload;
	void *second;

	bench_setup(&bench, 4, 8, SHMB_SEGMENT_STAMPED);
	ck_assert_int_eq(shmb_frame_pin_newest(reader_of(&bench, 0), &frame), -ENODATA);
	ck_assert_int_eq(shmb_frame_pin_next(reader_of(&bench, 0), &frame), -ENODATA);
	ck_assert_int_eq(shmb_frame_commit(writer_of(&bench), 1), -EINVAL);
	ck_assert_int_eq(shmb_frame_abort(writer_of(&bench)), -EINVAL);

	ck_assert_int_eq(shmb_frame_loan(writer_of(&bench), &payload, &capacity), 0);
	ck_assert_uint_eq((uintptr_t)payload % SHMB_PAGE, 0);
	ck_assert_int_eq(shmb_frame_loan(writer_of(&bench), &second, &capacity), -EBUSY);
	ck_assert_int_eq(shmb_frame_commit(writer_of(&bench), BYTES + 1), -EMSGSIZE);
	ck_assert_int_eq(shmb_frame_pin_newest(reader_of(&bench, 0), &frame), -ENODATA);
	pattern_fill(payload, length_of(0), 0, 1);
	ck_assert_int_eq(shmb_frame_commit(writer_of(&bench), length_of(0)), 0);
	ck_assert_int_eq(shmb_frame_commit(writer_of(&bench), 1), -EINVAL);

	frame = newest_is(&bench, 0, 0);
	ck_assert_ptr_eq(frame.payload, payload);
	ck_assert_uint_ne(frame.stamp_ns, 0);
	ck_assert_uint_eq(frame.missed, 0);
	ck_assert_uint_eq(bench.areas[0]->cells[0].pins[0],
			  ((uintptr_t)payload - (uintptr_t)bench.data - bench.geometry.pool_offset) / BYTES + 1);
	ck_assert_int_eq(shmb_frame_release(reader_of(&bench, 0), &frame), 0);
	ck_assert_uint_eq(bench.areas[0]->cells[0].pins[0], 0);
	ck_assert_ptr_null(frame.payload);
	ck_assert_int_eq(shmb_frame_release(reader_of(&bench, 0), &frame), -EINVAL);

	/* An abort: nothing was published, the number is used by the next. */
	ck_assert_int_eq(shmb_frame_loan(writer_of(&bench), &payload, &capacity), 0);
	ck_assert_int_eq(shmb_frame_abort(writer_of(&bench)), 0);
	publish(&bench, 1);
	frame = newest_is(&bench, 0, 1);
	ck_assert_int_eq(shmb_frame_release(reader_of(&bench, 0), &frame), 0);
	bench_teardown(&bench);
}
END_TEST

START_TEST(numbers_and_losses)
{
	struct shmb_frame frame;
	struct bench bench;

	bench_setup(&bench, 4, 8, 0);
	publish(&bench, 3);
	for (uint64_t number = 0; number < 3; number++) {
		ck_assert_int_eq(shmb_frame_pin_next(reader_of(&bench, 0), &frame), 0);
		check(&frame, number);
		ck_assert_uint_eq(frame.missed, 0);
		ck_assert_uint_eq(frame.stamp_ns, 0);
		ck_assert_int_eq(shmb_frame_release(reader_of(&bench, 0), &frame), 0);
	}
	ck_assert_int_eq(shmb_frame_pin_next(reader_of(&bench, 0), &frame), -ENODATA);
	publish(&bench, 10);
	ck_assert_int_eq(pin_result(&bench, 8), -ESTALE);
	ck_assert_int_eq(pin_result(&bench, 9), 0);
	ck_assert_int_eq(pin_result(&bench, 12), 0);
	ck_assert_int_eq(pin_result(&bench, 13), -ENODATA);
	ck_assert_int_eq(pin_result(&bench, UINT64_MAX), -ENODATA);
	ck_assert_int_eq(shmb_frame_pin_next(reader_of(&bench, 0), &frame), 0);
	check(&frame, 9);
	ck_assert_uint_eq(frame.missed, 6);
	ck_assert_int_eq(shmb_frame_release(reader_of(&bench, 0), &frame), 0);
	ck_assert_int_eq(shmb_frame_pin_newest(reader_of(&bench, 0), &frame), 0);
	check(&frame, 12);
	ck_assert_uint_eq(frame.missed, 2);
	ck_assert_int_eq(shmb_frame_release(reader_of(&bench, 0), &frame), 0);
	bench_teardown(&bench);
}
END_TEST

START_TEST(defect_I3_held_frame_is_not_overwritten)
{
	struct shmb_frame held[SHMB_FRAME_PINS];
	struct bench bench;

	bench_setup(&bench, 2, SHMB_FRAME_PINS, 0);
	for (uint64_t i = 0; i < SHMB_FRAME_PINS; i++) {
		publish(&bench, 7);
		held[i] = newest_is(&bench, 0, 7 * i + 6);
	}
	publish(&bench, 10000);
	for (unsigned i = 0; i < SHMB_FRAME_PINS; i++) {
		check(&held[i], 7 * i + 6);
		ck_assert_int_eq(shmb_frame_release(reader_of(&bench, 0), &held[i]), 0);
	}
	bench_teardown(&bench);
}
END_TEST

/* While the next frame is under way, wherever its writer stands, the newest is the one before, and can be had again and again. */
START_TEST(defect_I4_I5_load_while_the_next_is_written)
{
	struct shmb_frame first;
	struct shmb_frame second;
	struct bench bench;
	size_t capacity;
	void *payload;

	bench_setup(&bench, 1, 2, 0);
	publish(&bench, 5);
	ck_assert_int_eq(shmb_frame_loan(writer_of(&bench), &payload, &capacity), 0);
	memset(payload, 0xee, capacity);
	for (int state = 0; state < 3; state++) {
		if (state == 1)
			entry_at(&bench, 5)->id = shmb_id_writing(5);
		if (state == 2)
			entry_at(&bench, 5)->slot = UINT64_MAX;
		first = newest_is(&bench, 0, 4);
		second = newest_is(&bench, 0, 4);
		ck_assert_ptr_eq(first.payload, second.payload);
		ck_assert_int_eq(shmb_frame_release(reader_of(&bench, 0), &first), 0);
		check(&second, 4);
		ck_assert_int_eq(shmb_frame_release(reader_of(&bench, 0), &second), 0);
	}
	pattern_fill(payload, length_of(5), 5, 1);
	ck_assert_int_eq(shmb_frame_commit(writer_of(&bench), length_of(5)), 0);
	first = newest_is(&bench, 0, 5);
	bench_teardown(&bench);
}
END_TEST

/* Committed by its id, the counter one behind: readers see it, and pin it. */
START_TEST(counter_lags)
{
	struct shmb_frame frame;
	struct bench bench;

	bench_setup(&bench, 1, 2, 0);
	publish(&bench, 5);
	frame = newest_is(&bench, 0, 4);
	ck_assert_int_eq(shmb_frame_release(reader_of(&bench, 0), &frame), 0);
	publish(&bench, 1);
	bench.data->counter = 5;
	frame = newest_is(&bench, 0, 5);
	ck_assert_int_eq(shmb_frame_release(reader_of(&bench, 0), &frame), 0);
	bench_teardown(&bench);
}
END_TEST

START_TEST(loan_fails_and_names_who_holds)
{
	struct shmb_frame held[3];
	struct bench bench;

	bench_setup(&bench, 2, 2, 0);
	reader_open(&bench);
	for (unsigned i = 0; i < 3; i++) {
		publish(&bench, 1);
		held[i] = newest_is(&bench, i % 2, i);
	}
	publish(&bench, 2);
	ck_assert_int_eq(publish_one(&bench), -ENOBUFS);
	ck_assert_ptr_nonnull(strstr(shmb_text(), "camera/front"));
	ck_assert_msg(strstr(shmb_text(), "pid 1000 holds 0, 2") != NULL, "%s", shmb_text());
	ck_assert_msg(strstr(shmb_text(), "pid 1001 holds 1") != NULL, "%s", shmb_text());
	ck_assert_int_eq(publish_one(&bench), -ENOBUFS);
	/* What failed changed nothing. */
	ck_assert_uint_eq(bench.writer.entries.next, 5);
	check(&held[0], 0);
	ck_assert_int_eq(shmb_frame_release(reader_of(&bench, 0), &held[0]), 0);
	publish(&bench, 1);
	ck_assert_int_eq(publish_one(&bench), 0);
	check(&held[1], 1);
	check(&held[2], 2);
	/* The second reader dies: the broker clears one bit. */
	bench.card->area_cells[0] &= ~2u;
	publish(&bench, 100);
	check(&held[2], 2);
	ck_assert_int_eq(shmb_frame_release(reader_of(&bench, 0), &held[2]), 0);
	bench_teardown(&bench);
}
END_TEST

START_TEST(quota_and_cells)
{
	struct shmb_frame frames[SHMB_FRAME_PINS + 1];
	unsigned char buffer[BYTES];
	struct bench bench;

	bench_setup(&bench, 4, 16, 0);
	publish(&bench, 4);
	for (unsigned i = 0; i < SHMB_FRAME_PINS; i++)
		frames[i] = newest_is(&bench, 0, 3);
	ck_assert_int_eq(shmb_frame_pin_newest(reader_of(&bench, 0), &frames[8]), -EMFILE);
	ck_assert_int_eq(shmb_frame_load_newest(reader_of(&bench, 0), buffer, sizeof(buffer), &frames[8]), 0);
	check(&frames[8], 3);
	ck_assert_ptr_eq(frames[8].payload, buffer);
	ck_assert_int_eq(shmb_frame_release(reader_of(&bench, 0), &frames[3]), 0);
	frames[3] = newest_is(&bench, 0, 3);
	/* What this handle does not hold. */
	frames[8] = frames[3];
	frames[8].number++;
	ck_assert_int_eq(shmb_frame_release(reader_of(&bench, 0), &frames[8]), -EINVAL);
	frames[8].number--;
	frames[8].pin = SHMB_FRAME_PINS;
	ck_assert_int_eq(shmb_frame_release(reader_of(&bench, 0), &frames[8]), -EINVAL);
	frames[8].pin = UINT32_MAX;
	ck_assert_int_eq(shmb_frame_release(reader_of(&bench, 0), &frames[8]), -EINVAL);
	for (unsigned i = 0; i < SHMB_FRAME_PINS; i++)
		ck_assert_int_eq(shmb_frame_release(reader_of(&bench, 0), &frames[i]), 0);

	/* The broker has given the cell to somebody else: what was held is worth nothing, the cell is left alone, copies go on. */
	frames[0] = newest_is(&bench, 0, 3);
	frame_reader_drop_cell(&bench.readers[0]);
	bench.areas[0]->cells[0].pins[0] = 77;
	ck_assert_int_eq(shmb_frame_release(reader_of(&bench, 0), &frames[0]), -ESTALE);
	ck_assert_uint_eq(bench.areas[0]->cells[0].pins[0], 77);
	ck_assert_int_eq(shmb_frame_pin_newest(reader_of(&bench, 0), &frames[0]), -EUSERS);
	ck_assert_int_eq(shmb_frame_load_newest(reader_of(&bench, 0), buffer, sizeof(buffer), &frames[0]), 0);
	check(&frames[0], 3);
	ck_assert_int_eq(shmb_frame_load_next(reader_of(&bench, 0), buffer, sizeof(buffer), &frames[0]), -ENODATA);
	publish(&bench, 1);
	ck_assert_int_eq(shmb_frame_load_next(reader_of(&bench, 0), buffer, 8, &frames[0]), -EMSGSIZE);
	ck_assert_uint_eq(frames[0].length, length_of(4));
	ck_assert_int_eq(shmb_frame_load_next(reader_of(&bench, 0), buffer, sizeof(buffer), &frames[0]), 0);
	check(&frames[0], 4);
	bench_teardown(&bench);
}
END_TEST

/* A writer that pays no heed to pins: the reader is told. */
START_TEST(overwritten_while_held)
{
	struct shmb_frame frame;
	struct bench bench;
	uint64_t slot;

	bench_setup(&bench, 2, 2, 0);
	publish(&bench, 1);
	frame = newest_is(&bench, 0, 0);
	slot = entry_at(&bench, 0)->slot;
	header_at(&bench, slot)->id = shmb_id_writing(9);
	ck_assert_int_eq(shmb_frame_release(reader_of(&bench, 0), &frame), -ESTALE);
	ck_assert_uint_eq(bench.areas[0]->cells[0].pins[0], 0);
	ck_assert_int_eq(shmb_frame_release(reader_of(&bench, 0), &frame), -EINVAL);
	bench_teardown(&bench);
}
END_TEST

START_TEST(lease_and_fork)
{
	unsigned char buffer[BYTES];
	struct shmb_frame frame;
	struct bench bench;
	size_t capacity;
	void *payload;

	bench_setup(&bench, 2, 2, 0);
	publish(&bench, 1);
	ck_assert_int_eq(shmb_frame_loan(writer_of(&bench), &payload, &capacity), 0);
	bench.card->state = 4 << 8 | SHMB_STATE_HELD;
	ck_assert_int_eq(shmb_frame_commit(writer_of(&bench), 8), -ESTALE);
	ck_assert_int_eq(shmb_frame_loan(writer_of(&bench), &payload, &capacity), -ESTALE);
	ck_assert_uint_eq(bench.data->counter, 1);
	bench.card->state = granted;
	publish(&bench, 1);
	frame = newest_is(&bench, 0, 1);
	guard = 0;
	ck_assert_int_eq(shmb_frame_loan(writer_of(&bench), &payload, &capacity), -EOWNERDEAD);
	ck_assert_int_eq(shmb_frame_commit(writer_of(&bench), 8), -EOWNERDEAD);
	ck_assert_int_eq(shmb_frame_abort(writer_of(&bench)), -EOWNERDEAD);
	ck_assert_int_eq(shmb_frame_pin_newest(reader_of(&bench, 0), &frame), -EOWNERDEAD);
	ck_assert_int_eq(shmb_frame_pin_next(reader_of(&bench, 0), &frame), -EOWNERDEAD);
	ck_assert_int_eq(shmb_frame_pin_number(reader_of(&bench, 0), 1, &frame), -EOWNERDEAD);
	ck_assert_int_eq(shmb_frame_load_newest(reader_of(&bench, 0), buffer, BYTES, &frame), -EOWNERDEAD);
	ck_assert_int_eq(shmb_frame_release(reader_of(&bench, 0), &frame), -EOWNERDEAD);
	guard = 1;
	bench_teardown(&bench);
}
END_TEST

/* A successor goes on with the numbers and leaves the newest H, and what is pinned, where they are. */
START_TEST(next_writer)
{
	struct shmb_frame held;
	struct bench bench;
	size_t capacity;
	void *payload;

	for (unsigned lap = 0; lap < 40; lap++) {
		bench_setup(&bench, 4, 3, 0);
		publish(&bench, 1 + lap);
		held = newest_is(&bench, 0, lap);
		publish(&bench, lap % 7);
		if (lap % 2 == 0) /* dies with a frame on loan */
			ck_assert_int_eq(shmb_frame_loan(writer_of(&bench), &payload, &capacity), 0);
		frame_writer_deinit(&bench.writer);
		ck_assert_int_eq(frame_writer_init(&bench.writer, &bench.memory, granted), 0);
		ck_assert_uint_eq(bench.writer.entries.next, 1 + lap + lap % 7);
		for (uint64_t number = bench.writer.entries.next > 4 ? bench.writer.entries.next - 4 : 0;
		     number < bench.writer.entries.next; number++)
			ck_assert_int_eq(pin_result(&bench, number), 0);
		for (unsigned i = 0; i < 30; i++) {
			publish(&bench, 1);
			check(&held, lap);
			for (uint64_t back = 1; back <= 4 && back <= bench.writer.entries.next; back++)
				ck_assert_int_eq(pin_result(&bench, bench.writer.entries.next - back), 0);
		}
		ck_assert_int_eq(shmb_frame_release(reader_of(&bench, 0), &held), 0);
		bench_teardown(&bench);
	}
}
END_TEST

/* Entries, headers and counter of a hostile writer: an error or a place inside the pool. */
START_TEST(hostile_writer)
{
	unsigned char buffer[BYTES];
	struct shmb_frame frame;
	uint64_t random = 7;
	struct bench bench;

	bench_setup(&bench, 4, 8, 0);
	publish(&bench, 9);
	entry_at(&bench, 8)->slot = bench.geometry.pool_count;
	ck_assert_int_eq(shmb_frame_pin_newest(reader_of(&bench, 0), &frame), -EBADMSG);
	ck_assert_int_eq(shmb_frame_load_newest(reader_of(&bench, 0), buffer, BYTES, &frame), -EBADMSG);
	entry_at(&bench, 8)->slot = 0;
	entry_at(&bench, 8)->length = BYTES + 1;
	ck_assert_int_eq(shmb_frame_pin_newest(reader_of(&bench, 0), &frame), -EBADMSG);
	ck_assert_int_eq(shmb_frame_load_newest(reader_of(&bench, 0), buffer, SIZE_MAX, &frame), -EBADMSG);
	ck_assert_uint_eq(bench.areas[0]->cells[0].pins[0], 0);
	bench.data->counter = SHMB_NUMBER_MAX;
	ck_assert_int_eq(shmb_frame_pin_newest(reader_of(&bench, 0), &frame), -EBADMSG);
	for (int i = 0; i < 300000; i++) {
		uint64_t *words = (uint64_t *)((char *)bench.data + sizeof(*bench.data));
		uint64_t count = (bench.geometry.pool_offset - sizeof(*bench.data)) / 8;
		uint64_t value = unit_random(&random);
		const char *begin = (const char *)bench.data + bench.geometry.pool_offset;
		int r;

		words[unit_random(&random) % count] = value % 3 == 0 ? value : value % 64;
		bench.data->counter = unit_random(&random) % 32;
		bench.readers[0].entries.seen = 0;
		bench.readers[0].entries.position = unit_random(&random) % 32;
		r = i % 2 == 0 ? shmb_frame_pin_newest(reader_of(&bench, 0), &frame) : shmb_frame_pin_next(reader_of(&bench, 0), &frame);
		if (r == 0) {
			ck_assert_uint_le(frame.length, BYTES);
			ck_assert((const char *)frame.payload >= begin &&
				  (const char *)frame.payload + BYTES <= (const char *)bench.data + bench.geometry.data_bytes);
			r = shmb_frame_release(reader_of(&bench, 0), &frame);
			ck_assert(r == 0 || r == -ESTALE);
		}
		r = shmb_frame_load_newest(reader_of(&bench, 0), buffer, BYTES, &frame);
		ck_assert(r == 0 || r == -EBADMSG || r == -EAGAIN || r == -ENODATA);
		/* And a successor that finds it. */
		if (i % 64 == 0) {
			frame_writer_deinit(&bench.writer);
			ck_assert_int_eq(frame_writer_init(&bench.writer, &bench.memory, granted), 0);
			for (unsigned n = 0; n < 20; n++)
				ck_assert_int_eq(publish_one(&bench), 0);
			frame = newest_is(&bench, 0, bench.writer.entries.next - 1);
			ck_assert_int_eq(shmb_frame_release(reader_of(&bench, 0), &frame), 0);
		}
	}
	bench_teardown(&bench);
}
END_TEST

/* Of two pins for each reader: a reader gets no third one, and who takes one all the same holds nothing by it. */
START_TEST(pins_beyond_the_operators_number)
{
	struct shmb_frame_reader *reader;
	struct shmb_frame held[2], frame;
	struct bench bench;

	bench_setup(&bench, 1, 2, 0);
	frame_writer_deinit(&bench.writer);
	bench.geometry.pins = 2;
	ck_assert_int_eq(frame_writer_init(&bench.writer, &bench.memory, granted), 0);
	reader = reader_open(&bench);
	for (int i = 0; i < 2; i++) {
		publish(&bench, 1);
		ck_assert_int_eq(shmb_frame_pin_newest(reader, &held[i]), 0);
	}
	ck_assert_int_eq(shmb_frame_pin_newest(reader, &frame), -EMFILE);
	ck_assert_int_eq(shmb_frame_release(reader, &held[0]), 0);
	ck_assert_int_eq(shmb_frame_release(reader, &held[1]), 0);
	/* All four slots of the pool, each named by a pin that does not count, then by one that does. */
	for (uint64_t slot = 0; slot < 4; slot++)
		bench.areas[0]->cells[0].pins[2 + slot] = slot + 1;
	publish(&bench, 20);
	for (uint64_t slot = 0; slot < 4; slot++)
		bench.areas[0]->cells[slot / 2].pins[slot % 2] = slot + 1;
	for (int i = 0; i < 4; i++)
		(void)publish_one(&bench);
	ck_assert_int_eq(publish_one(&bench), -ENOBUFS);
	bench_teardown(&bench);
}
END_TEST

/* Pins of hostile readers, in cells that are theirs and in cells that nobody has: a loan, or -ENOBUFS, and never a pinned slot. */
START_TEST(hostile_readers)
{
	struct shmb_frame held;
	uint64_t random = 11;
	struct bench bench;
	unsigned full = 0;

	bench_setup(&bench, 4, 8, 0);
	reader_open(&bench);
	publish(&bench, 3);
	held = newest_is(&bench, 0, 2);
	for (int i = 0; i < 100000; i++) {
		struct shmb_shm_cell *cell = &bench.areas[0]->cells[1 + unit_random(&random) % (SHMB_CELLS_PER_AREA - 1)];
		uint64_t value = unit_random(&random);
		int r;

		cell->pins[unit_random(&random) % SHMB_PINS_PER_CELL] = value % 4 == 0 ? value : value % 16;
		bench.card->area_cells[0] = 1u | (uint32_t)unit_random(&random) << (i % 32);
		r = publish_one(&bench);
		ck_assert(r == 0 || r == -ENOBUFS);
		full += r == -ENOBUFS;
	}
	ck_assert_uint_gt(full, 0);
	check(&held, 2);
	ck_assert_int_eq(shmb_frame_release(reader_of(&bench, 0), &held), 0);
	bench_teardown(&bench);
}
END_TEST

/* ---- a writer at full speed, readers that hold what they pin ---- */

struct race {
	struct bench *bench;
	unsigned reader;
	_Atomic bool *stop;
	uint64_t pinned, torn, stale, again;
};

static void *race_read(void *arg)
{
	struct race *race = arg;
	struct shmb_frame held[SHMB_FRAME_PINS];
	uint64_t random = race->reader + 1;
	unsigned count = 0;
	uint64_t last = 0;

	while (!atomic_load(race->stop) || count > 0) {
		struct shmb_frame *frame = &held[count];
		unsigned victim;
		unsigned salt;

		if (!atomic_load(race->stop) && count < SHMB_FRAME_PINS) {
			int r = unit_random(&random) % 2 == 0 ? shmb_frame_pin_newest(reader_of(race->bench, race->reader), frame)
							      : shmb_frame_pin_next(reader_of(race->bench, race->reader), frame);

			if (r == 0) {
				race->pinned++;
				race->torn += frame->number < last;
				last = frame->number;
				count++;
			} else {
				race->again += r == -EAGAIN;
			}
		}
		if (count == 0 || (unit_random(&random) % 2 == 0 && count < SHMB_FRAME_PINS && !atomic_load(race->stop)))
			continue;
		victim = (unsigned)(unit_random(&random) % count);
		race->torn += held[victim].length != length_of(held[victim].number) ||
			      !pattern_check(held[victim].payload, held[victim].length, held[victim].number, &salt);
		race->stale += shmb_frame_release(reader_of(race->bench, race->reader), &held[victim]) != 0;
		held[victim] = held[--count];
	}
	return NULL;
}

START_TEST(race)
{
	struct race races[2] = { 0 };
	_Atomic bool stop = false;
	pthread_t threads[2];
	struct bench bench;
	uint64_t refused = 0;

	bench_setup(&bench, 1, 12, 0);
	reader_open(&bench);
	for (unsigned i = 0; i < 2; i++) {
		races[i] = (struct race){ .bench = &bench, .reader = i, .stop = &stop };
		ck_assert_int_eq(pthread_create(&threads[i], NULL, race_read, &races[i]), 0);
	}
	for (int i = 0; i < 400000; i++) {
		int r = publish_one(&bench);

		ck_assert(r == 0 || r == -ENOBUFS);
		refused += r == -ENOBUFS;
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		printf("reader %u: %llu pinned, %llu torn, %llu stale, %llu overtaken; %llu loans refused\n", i,
		       (unsigned long long)races[i].pinned, (unsigned long long)races[i].torn, (unsigned long long)races[i].stale,
		       (unsigned long long)races[i].again, (unsigned long long)refused);
		ck_assert_uint_gt(races[i].pinned, 0);
		ck_assert_uint_eq(races[i].torn, 0);
		ck_assert_uint_eq(races[i].stale, 0);
	}
	bench_teardown(&bench);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("frame");

	unit_add(suite, from_loan_to_release, 10);
	unit_add(suite, numbers_and_losses, 10);
	unit_add(suite, defect_I3_held_frame_is_not_overwritten, 10);
	unit_add(suite, defect_I4_I5_load_while_the_next_is_written, 10);
	unit_add(suite, counter_lags, 10);
	unit_add(suite, loan_fails_and_names_who_holds, 10);
	unit_add(suite, quota_and_cells, 10);
	unit_add(suite, overwritten_while_held, 10);
	unit_add(suite, lease_and_fork, 10);
	unit_add(suite, next_writer, 10);
	unit_add(suite, hostile_writer, 30);
	unit_add(suite, pins_beyond_the_operators_number, 10);
	unit_add(suite, hostile_readers, 30);
	unit_add(suite, race, 60);
	return unit_run(suite);
}
