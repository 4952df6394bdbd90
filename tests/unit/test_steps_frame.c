/* SPDX-License-Identifier: MIT */
/*
 * Frames: what a writer does between two steps of a pin or a copy, what is left of a generation that has come to its end, and whom a loan that cannot
 * be met names.
 */
#include "frame_fixture.h"
#include "at_step.h"

/* Linked in the place of calloc(). */
static bool no_memory;
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_calloc(size_t count, size_t size)
{
	return no_memory ? NULL : __real_calloc(count, size);
}

static unsigned char buffer[BYTES];
static struct shmb_frame frame;

/* Every slot and entry gets another number. */
static void overwrite(void *bench)
{
	publish(bench, 20);
}

static struct shmb_frame_reader *first(struct bench *bench)
{
	return reader_of(bench, 0);
}

static void loaded_is(int r, uint64_t number)
{
	ck_assert_msg(r == 0, "%d", r);
	check(&frame, number);
	ck_assert_ptr_eq(frame.payload, buffer);
}

static void pinned_is(struct bench *bench, int r, uint64_t number)
{
	ck_assert_msg(r == 0, "%d", r);
	check(&frame, number);
	ck_assert_int_eq(shmb_frame_release(first(bench), &frame), 0);
	ck_assert_uint_eq(bench->areas[0]->cells[0].pins[0], 0);
	ck_assert_uint_eq(bench->readers[0].held_mask, 0);
}

START_TEST(overwritten_while_it_is_copied)
{
	static const char *const steps[] = { "read.found", "read.checked", "read.copied" };

	for (unsigned i = 0; i < 3; i++) {
		struct bench bench;

		bench_setup(&bench, 2, 2, SHMB_SEGMENT_STAMPED);
		publish(&bench, 3);
		at_step(steps[i], 1, overwrite, &bench);
		loaded_is(shmb_frame_load_newest(first(&bench), buffer, BYTES, &frame), 22);
		ck_assert_uint_eq(frame.missed, 22);
		publish(&bench, 2); /* 23, 24 */
		at_step(steps[i], 1, overwrite, &bench);
		loaded_is(shmb_frame_load_next(first(&bench), buffer, BYTES, &frame), 43);
		ck_assert_uint_eq(frame.missed, 20);
		at_step(steps[i], 1, overwrite, &bench);
		ck_assert_int_eq(shmb_frame_load_number(first(&bench), 44, buffer, BYTES, &frame), -ESTALE);
		at_step(steps[i], ALWAYS, overwrite, &bench);
		ck_assert_int_eq(shmb_frame_load_newest(first(&bench), buffer, BYTES, &frame), -EAGAIN);
		ck_assert_int_le(steps_acted, SHMB_READ_TRIES);
		at_step(steps[i], ALWAYS, overwrite, &bench);
		ck_assert_int_eq(shmb_frame_load_next(first(&bench), buffer, BYTES, &frame), -EAGAIN);
		ck_assert_int_le(steps_acted, SHMB_READ_TRIES);
		at_step("", 0, NULL, NULL);
		bench_teardown(&bench);
	}
}
END_TEST

/* Before the pin can be seen, or before it is looked at whether it came in time: it is taken back. */
START_TEST(overwritten_while_it_is_pinned)
{
	static const char *const steps[] = { "read.found", "pin.stored" };

	for (unsigned i = 0; i < 2; i++) {
		struct bench bench;

		bench_setup(&bench, 2, 2, SHMB_SEGMENT_STAMPED);
		publish(&bench, 3);
		at_step(steps[i], 1, overwrite, &bench);
		pinned_is(&bench, shmb_frame_pin_newest(first(&bench), &frame), 22);
		publish(&bench, 2);
		at_step(steps[i], 1, overwrite, &bench);
		pinned_is(&bench, shmb_frame_pin_next(first(&bench), &frame), 43);
		at_step(steps[i], 1, overwrite, &bench);
		ck_assert_int_eq(shmb_frame_pin_number(first(&bench), 44, &frame), -ESTALE);
		at_step(steps[i], ALWAYS, overwrite, &bench);
		ck_assert_int_eq(shmb_frame_pin_newest(first(&bench), &frame), -EAGAIN);
		ck_assert_int_le(steps_acted, SHMB_READ_TRIES);
		at_step("", 0, NULL, NULL);
		ck_assert_uint_eq(bench.areas[0]->cells[0].pins[0], 0);
		ck_assert_int_eq(frame_pin_try(&bench.readers[0], 0, &frame), -EAGAIN);
		bench_teardown(&bench);
	}
}
END_TEST

/* What a frame says of itself is what its entry said while it held the frame's number, however many are published before the pin is used. */
START_TEST(entry_written_anew_behind_a_pin)
{
	struct bench bench;
	uint64_t stamp_ns;

	bench_setup(&bench, 2, 2, SHMB_SEGMENT_STAMPED);
	publish(&bench, 3);
	stamp_ns = entry_at(&bench, 2)->stamp_ns;
	at_step("pin.checked", 1, overwrite, &bench);
	ck_assert_int_eq(shmb_frame_pin_newest(first(&bench), &frame), 0);
	check(&frame, 2);
	ck_assert_uint_ne(entry_at(&bench, 2)->stamp_ns, stamp_ns);
	ck_assert_uint_eq(frame.stamp_ns, stamp_ns);
	ck_assert_int_eq(shmb_frame_release(first(&bench), &frame), 0);
	bench_teardown(&bench);
}
END_TEST

static void next_stamp(void *user)
{
	entry_at(user, 2)->stamp_ns++;
}

/* Its stamp is taken in front of the pin's fence, as slot and length are: behind it nothing orders it and the last look at the entry's id. */
START_TEST(stamp_taken_before_the_fence)
{
	struct bench bench;
	uint64_t stamp_ns;

	bench_setup(&bench, 2, 2, SHMB_SEGMENT_STAMPED);
	publish(&bench, 3);
	stamp_ns = entry_at(&bench, 2)->stamp_ns;
	at_step("pin.stored", 1, next_stamp, &bench);
	ck_assert_int_eq(shmb_frame_pin_newest(first(&bench), &frame), 0);
	ck_assert_uint_eq(entry_at(&bench, 2)->stamp_ns, stamp_ns + 1);
	ck_assert_uint_eq(frame.stamp_ns, stamp_ns);
	ck_assert_int_eq(shmb_frame_release(first(&bench), &frame), 0);
	bench_teardown(&bench);
}
END_TEST

/* The entry is written anew although the counter does not show it: a writer that does not keep to the rules, or a repair. */
static void take_entry(void *user)
{
	struct bench *bench = user;

	entry_at(bench, 2)->id = 0;
}

static void spoil_entry(void *user)
{
	struct bench *bench = user;

	entry_at(bench, 2)->id = shmb_id_writing(2);
	entry_at(bench, 2)->slot = UINT64_MAX;
}

START_TEST(entry_taken_while_it_is_pinned)
{
	struct bench bench;

	bench_setup(&bench, 2, 2, 0);
	publish(&bench, 3);
	at_step("pin.stored", 1, take_entry, &bench);
	ck_assert_int_eq(shmb_frame_pin_newest(first(&bench), &frame), -EAGAIN);
	ck_assert_uint_eq(bench.areas[0]->cells[0].pins[0], 0);
	ck_assert_int_eq(shmb_frame_pin_number(first(&bench), 2, &frame), -EAGAIN);
	bench_teardown(&bench);

	/* Slot and length are those of a frame that is being written: not the rubbish of a liar, but nothing to go by either. */
	for (unsigned copied = 0; copied < 2; copied++) {
		bench_setup(&bench, 2, 2, 0);
		publish(&bench, 3);
		ck_assert_int_eq(shmb_frame_seek(first(&bench), 2), 0);
		at_step("read.found", 1, spoil_entry, &bench);
		ck_assert_int_eq(copied ? shmb_frame_load_next(first(&bench), buffer, BYTES, &frame)
					: shmb_frame_pin_next(first(&bench), &frame),
				 -EAGAIN);
		ck_assert_uint_eq(bench.areas[0]->cells[0].pins[0], 0);
		bench_teardown(&bench);
	}
}
END_TEST

START_TEST(by_number)
{
	struct bench bench;

	bench_setup(&bench, 2, 2, 0);
	frame_writer_deinit(&bench.writer);
	bench.geometry.base = 100;
	bench.data->counter = 100;
	ck_assert_int_eq(frame_writer_init(&bench.writer, &bench.memory, granted), 0);
	bench.reader_count = 0;
	reader_open(&bench);
	publish(&bench, 3);
	ck_assert_int_eq(shmb_frame_pin_number(first(&bench), 99, &frame), -ESTALE);
	pinned_is(&bench, shmb_frame_pin_number(first(&bench), 102, &frame), 102);
	bench.data->counter = SHMB_NUMBER_MAX;
	ck_assert_int_eq(shmb_frame_pin_number(first(&bench), 103, &frame), -EBADMSG);
	ck_assert_int_eq(shmb_frame_seek(first(&bench), 101), -EBADMSG);
	bench.readers[0].entries.position = 103;
	ck_assert_int_eq(shmb_frame_pin_next(first(&bench), &frame), -EBADMSG);
	ck_assert_int_eq(shmb_frame_load_next(first(&bench), NULL, 0, &frame), -EINVAL);
	ck_assert_int_eq(shmb_frame_load_newest(first(&bench), NULL, 0, &frame), -EINVAL);
	ck_assert_int_eq(shmb_frame_load_number(first(&bench), 102, NULL, 0, &frame), -EINVAL);
	frame_writer_deinit(&bench.writer);
	ck_assert_int_eq(frame_writer_init(&bench.writer, &bench.memory, granted), -EOVERFLOW);
	ck_assert_ptr_null(bench.writer.pinned);
	bench.data->counter = 103;
	no_memory = true;
	ck_assert_int_eq(frame_writer_init(&bench.writer, &bench.memory, granted), -ENOMEM);
	frame_writer_deinit(&bench.writer);
	no_memory = false;
	ck_assert_int_eq(frame_writer_init(&bench.writer, &bench.memory, granted), 0);
	publish(&bench, 1);
	bench_teardown(&bench);
}
END_TEST

/* ---- generations ---- */

static void supersede(struct bench *bench, uint64_t cut)
{
	bench->card->cut = cut;
	bench->card->next = 2;
}

/* Published: 0 to 3; the reader stands at 0. */
static void left_setup(struct bench *bench)
{
	bench_setup(bench, 4, 2, 0);
	publish(bench, 4);
}

START_TEST(the_last_of_a_generation)
{
	struct bench bench;

	left_setup(&bench);
	supersede(&bench, 4);
	pinned_is(&bench, shmb_frame_pin_newest(first(&bench), &frame), 3);
	ck_assert_uint_eq(frame.missed, 3);
	ck_assert_int_eq(shmb_frame_pin_next(first(&bench), &frame), -EREMCHG);
	bench_teardown(&bench);

	/* The last one is being written still. */
	left_setup(&bench);
	entry_at(&bench, 3)->id = shmb_id_writing(3);
	supersede(&bench, 4);
	pinned_is(&bench, shmb_frame_pin_newest(first(&bench), &frame), 2);
	bench_teardown(&bench);

	/* The counter lags, and the one it names is spoilt. */
	left_setup(&bench);
	bench.data->counter = 3;
	entry_at(&bench, 2)->id = 0;
	supersede(&bench, 4);
	pinned_is(&bench, shmb_frame_pin_newest(first(&bench), &frame), 3);
	bench_teardown(&bench);

	/* A counter that cannot be: no pin, whose time is told by the counter; but copies. */
	left_setup(&bench);
	bench.data->counter = SHMB_NUMBER_MAX;
	ck_assert_int_eq(shmb_frame_load_newest(first(&bench), buffer, BYTES, &frame), -EBADMSG);
	supersede(&bench, 4);
	loaded_is(shmb_frame_load_newest(first(&bench), buffer, BYTES, &frame), 3);
	ck_assert_int_eq(shmb_frame_pin_newest(first(&bench), &frame), -ENODATA);
	bench_teardown(&bench);

	/* An entry that cannot be is told, as ever. */
	left_setup(&bench);
	entry_at(&bench, 3)->slot = UINT64_MAX;
	supersede(&bench, 4);
	ck_assert_int_eq(shmb_frame_pin_newest(first(&bench), &frame), -EBADMSG);
	bench_teardown(&bench);

	/* Numbers beyond the cut are void. */
	left_setup(&bench);
	bench.card->cut = 2;
	ck_assert_int_eq(shmb_frame_pin_newest(first(&bench), &frame), -EAGAIN);
	supersede(&bench, 2);
	pinned_is(&bench, shmb_frame_pin_newest(first(&bench), &frame), 1);
	ck_assert_int_eq(shmb_frame_pin_next(first(&bench), &frame), -EREMCHG);
	bench_teardown(&bench);

	/* Nothing at all; and a handle does not go back. */
	left_setup(&bench);
	pinned_is(&bench, shmb_frame_pin_newest(first(&bench), &frame), 3);
	entry_at(&bench, 3)->id = 0;
	supersede(&bench, 4);
	ck_assert_int_eq(shmb_frame_pin_newest(first(&bench), &frame), -ENODATA);
	bench_teardown(&bench);
}
END_TEST

START_TEST(what_is_left_is_pinned_in_order)
{
	struct bench bench;

	left_setup(&bench);
	entry_at(&bench, 0)->id = 0;
	entry_at(&bench, 2)->id = shmb_id_writing(2);
	supersede(&bench, 4);
	pinned_is(&bench, shmb_frame_pin_next(first(&bench), &frame), 1);
	ck_assert_uint_eq(frame.missed, 1);
	pinned_is(&bench, shmb_frame_pin_next(first(&bench), &frame), 3);
	ck_assert_int_eq(shmb_frame_pin_next(first(&bench), &frame), -EREMCHG);
	ck_assert_int_eq(shmb_frame_pin_number(first(&bench), 2, &frame), -ESTALE);
	ck_assert_int_eq(shmb_frame_pin_number(first(&bench), 4, &frame), -ENODATA);
	bench_teardown(&bench);

	left_setup(&bench);
	ck_assert_int_eq(shmb_frame_seek(first(&bench), 3), 0);
	supersede(&bench, 3);
	ck_assert_int_eq(shmb_frame_pin_number(first(&bench), 3, &frame), -ENODATA);
	ck_assert_int_eq(shmb_frame_pin_next(first(&bench), &frame), -EREMCHG);
	bench_teardown(&bench);
}
END_TEST

/* Frames held of a generation that was left are let go of one by one, each once. */
START_TEST(held_across_generations)
{
	struct frame_kept kept;
	struct bench old, new;
	struct shmb_frame held[4], other;

	for (unsigned lost = 0; lost < 2; lost++) {
		struct frame_reader *reader = &old.readers[0];

		left_setup(&old);
		left_setup(&new);
		publish(&new, 4);
		memset(&kept, 0, sizeof(kept));
		for (unsigned i = 0; i < 3; i++)
			ck_assert_int_eq(shmb_frame_pin_number(first(&old), i, &held[i]), 0);
		new.memory.area_count = 1;
		frame_reader_follow(reader, &new.memory, &new.areas[0]->cells[0], &kept);
		ck_assert_int_eq(shmb_frame_pin_number(first(&old), 7, &held[3]), 0);
		ck_assert_uint_ne(new.areas[0]->cells[0].pins[0], 0);

		other = held[1];
		other.payload = held[2].payload;
		ck_assert_int_eq(shmb_frame_release(first(&old), &other), -EINVAL);
		other.pin = SHMB_PINS_PER_CELL;
		ck_assert_int_eq(shmb_frame_release(first(&old), &other), -EINVAL);
		if (lost == 1) /* the broker has given the cell to another */
			atomic_store(&kept.pins, NULL);
		ck_assert_int_eq(shmb_frame_release(first(&old), &held[0]), lost == 1 ? -ESTALE : 0);
		ck_assert_int_eq(shmb_frame_release(first(&old), &held[0]), -EINVAL);
		header_at(&old, entry_at(&old, 1)->slot)->id = shmb_id_writing(9); /* by a writer that paid no heed to the pin */
		ck_assert_int_eq(shmb_frame_release(first(&old), &held[1]), -ESTALE);
		ck_assert_int_eq(shmb_frame_release(first(&old), &held[2]), lost == 1 ? -ESTALE : 0);
		ck_assert_uint_eq(old.areas[0]->cells[0].pins[2] != 0, lost == 1);
		ck_assert_uint_eq(kept.held_mask, 0);
		ck_assert_int_eq(shmb_frame_release(first(&old), &held[3]), 0);
		ck_assert_uint_eq(new.areas[0]->cells[0].pins[0], 0);
		bench_teardown(&new);
		bench_teardown(&old);
	}
}
END_TEST

/* Nothing is held: the reader goes over without. */
START_TEST(nothing_held_across_generations)
{
	struct bench old, new;

	left_setup(&old);
	left_setup(&new);
	pinned_is(&old, shmb_frame_pin_newest(first(&old), &frame), 3);
	new.memory.area_count = 1;
	frame_reader_follow(&old.readers[0], &new.memory, NULL, NULL);
	ck_assert_int_eq(shmb_frame_pin_newest(first(&old), &frame), -EUSERS);
	loaded_is(shmb_frame_load_newest(first(&old), buffer, BYTES, &frame), 3);
	bench_teardown(&new);
	bench_teardown(&old);
}
END_TEST

/* ---- the writer ---- */

/* Many readers hold everything: the sentence ends in time, and names nobody for a slot that holds nothing. */
START_TEST(a_long_list_of_who_holds)
{
	struct bench bench;
	size_t capacity;
	void *payload;

	bench_setup(&bench, 1, 8, 0);
	publish(&bench, 3);
	for (uint32_t cell = 0; cell < 31; cell++) {
		bench.card->cells[cell].pid = 1000000000 + (int32_t)cell;
		bench.card->area_cells[0] |= 1u << cell;
		for (unsigned pin = 0; pin < SHMB_PINS_PER_CELL; pin++)
			bench.areas[0]->cells[cell].pins[pin] = pin + cell % 2 * (bench.geometry.pool_count - SHMB_PINS_PER_CELL) + 1;
	}
	/* What was free before is lent without a look. */
	while (bench.writer.free > 0)
		ck_assert_int_eq(publish_one(&bench), 0);
	ck_assert_int_eq(shmb_frame_loan(writer_of(&bench), &payload, &capacity), -ENOBUFS);
	ck_assert_ptr_nonnull(strstr(shmb_text(), "pid 1000000000 holds"));
	ck_assert_uint_lt(strlen(shmb_text()), 1024 + 256);
	for (uint64_t slot = 0; slot < bench.geometry.pool_count; slot++)
		header_at(&bench, slot)->id = 0;
	ck_assert_int_eq(shmb_frame_loan(writer_of(&bench), &payload, &capacity), -ENOBUFS);
	ck_assert_ptr_null(strstr(shmb_text(), "pid"));
	bench_teardown(&bench);
}
END_TEST

static struct shmb_key_realtime key_of(uint64_t value)
{
	struct shmb_rule_realtime any = shmb_rule_range_realtime(0, UINT64_MAX);
	struct shmb_key_realtime key;

	ck_assert_int_eq(shmb_key_make(&key, value, &any), 0);
	return key;
}

/* Keys given with each commit, of the clock that the segment has and of another. */
START_TEST(keys_of_the_realtime_clock)
{
	struct shmb_request request = { .kind = SHMB_KIND_FRAME,
					.payload_align = 8,
					.payload_bytes = BYTES,
					.history = 4,
					.pins = 2,
					.key_type = SHMB_KEY_REALTIME_NS,
					.key_field = SHMB_KEY_IS_GIVEN };
	struct shmb_found_realtime found;
	struct shmb_key_sequence sequence;
	struct shmb_rule_sequence any = shmb_rule_range_sequence(0, UINT64_MAX);
	struct bench bench;
	size_t capacity;
	void *payload;

	bench_setup(&bench, 4, 2, 0);
	frame_writer_deinit(&bench.writer);
	free(bench.data);
	ck_assert_int_eq(shmb_geometry_plan(&request, AREAS, &bench.geometry, NULL), 0);
	bench.data = bench.memory.data = pages(bench.geometry.data_bytes);
	ck_assert_int_eq(frame_writer_init(&bench.writer, &bench.memory, granted), 0);
	bench.reader_count = 0;
	reader_open(&bench);
	ck_assert_int_eq(shmb_key_make(&sequence, 7, &any), 0);
	for (uint64_t n = 0; n < 4; n++) {
		ck_assert_int_eq(shmb_frame_loan(writer_of(&bench), &payload, &capacity), 0);
		pattern_fill(payload, length_of(n), n, 1);
		ck_assert_int_eq(shmb_frame_commit_at_sequence(writer_of(&bench), length_of(n), sequence), -EXDEV);
		ck_assert_int_eq(shmb_frame_commit_at_realtime(writer_of(&bench), BYTES + 1, key_of(1)), -EMSGSIZE);
		ck_assert_int_eq(shmb_frame_commit_at_realtime(writer_of(&bench), length_of(n), key_of(1000 + 10 * n)), 0);
	}
	ck_assert_int_eq(shmb_frame_closest_realtime(first(&bench), key_of(1018), 5, &frame, &found), 0);
	ck_assert_uint_eq(found.number, 2);
	ck_assert_uint_eq(shmb_key_value(found.key), 1020);
	pinned_is(&bench, 0, 2);
	bench_teardown(&bench);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("steps: frame");

	unit_add(suite, overwritten_while_it_is_copied, 10);
	unit_add(suite, overwritten_while_it_is_pinned, 10);
	unit_add(suite, stamp_taken_before_the_fence, 10);
	unit_add(suite, entry_written_anew_behind_a_pin, 10);
	unit_add(suite, entry_taken_while_it_is_pinned, 10);
	unit_add(suite, by_number, 10);
	unit_add(suite, the_last_of_a_generation, 10);
	unit_add(suite, what_is_left_is_pinned_in_order, 10);
	unit_add(suite, held_across_generations, 10);
	unit_add(suite, nothing_held_across_generations, 10);
	unit_add(suite, a_long_list_of_who_holds, 10);
	unit_add(suite, keys_of_the_realtime_clock, 10);
	return unit_run(suite);
}
