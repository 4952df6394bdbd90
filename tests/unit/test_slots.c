/* SPDX-License-Identifier: MIT */
/* The data path of value and ring on plain memory: numbers, losses, what a writer leaves behind, and bytes that no writer wrote. */
#include "libclient/wait.h"
#include "slots_fixture.h"

#include <errno.h>
#include <pthread.h>

static int read_result(struct bench *bench, uint64_t number)
{
	unsigned char payload[8192];
	struct shmb_sample sample;
	int r = slots_read(&bench->reader, number, payload, &sample);

	if (r == 0)
		check_sample(bench, payload, &sample, number, 0);
	return r;
}

static int latest_result(struct bench *bench)
{
	unsigned char payload[8192];

	return slots_latest(&bench->reader, payload, NULL);
}

/* Small payloads in the line of their id, larger ones in the pool; with a stamp and without. */
static const struct {
	uint64_t bytes;
	uint32_t flags;
} shapes[] = {
	{ 1, 0 }, { 56, 0 }, { 57, 0 }, { 64, 0 }, { 4096, 0 }, { 5000, 0 }, { 48, SHMB_SEGMENT_STAMPED }, { 49, SHMB_SEGMENT_STAMPED },
};

static void load_shape(size_t shape)
{
	struct bench bench;

	bench_setup(&bench, 4, shapes[shape].bytes, shapes[shape].flags);
	/* The quick way is taken by both sides, and in the next generation too. */
	ck_assert_int_eq(bench.writer.is_short, shapes[shape].bytes <= 64 && shapes[shape].flags == 0);
	ck_assert_int_eq(bench.reader.is_short, bench.writer.is_short);
	slots_reader_follow(&bench.reader, &bench.memory, NULL);
	ck_assert_int_eq(bench.reader.is_short, bench.writer.is_short);
	ck_assert_int_eq(latest_result(&bench), -ENODATA);
	for (uint64_t n = 0; n < 300; n++) {
		publish(&bench, 1);
		latest_is(&bench, n, 0);
	}
	latest_is(&bench, 299, 0);
	publish(&bench, 7);
	latest_is(&bench, 306, 6);
	bench_teardown(&bench);
}

START_TEST(store_and_load)
{
	for (size_t shape = 0; shape < sizeof(shapes) / sizeof(shapes[0]); shape++)
		load_shape(shape);
}
END_TEST

static void read_shape(size_t shape)
{
	struct bench bench;
	uint64_t got = 0, missed = 0;
	unsigned char payload[8192];
	struct shmb_sample sample;

	bench_setup(&bench, 8, shapes[shape].bytes, shapes[shape].flags);
	ck_assert_int_eq(next_result(&bench), -ENODATA);
	/* Bursts that fit, that just fit and that do not. */
	for (unsigned burst = 0; burst < 40; burst++) {
		publish(&bench, burst);
		while (slots_read_next(&bench.reader, payload, &sample) == 0) {
			check_sample(&bench, payload, &sample, got + missed + sample.missed, sample.missed);
			got++;
			missed += sample.missed;
		}
	}
	ck_assert_uint_eq(got + missed, bench.writer.next);
	ck_assert_uint_gt(missed, 0);
	ck_assert_uint_eq(bench.areas[0]->cells[0].position, bench.writer.next);
	bench_teardown(&bench);
}

START_TEST(read_in_order)
{
	for (size_t shape = 0; shape < sizeof(shapes) / sizeof(shapes[0]); shape++)
		read_shape(shape);
}
END_TEST

START_TEST(opened_on_full_ring)
{
	struct bench bench;

	bench_setup(&bench, 8, 8, 0);
	publish(&bench, 20);
	bench_reader(&bench, &bench.reader);
	publish(&bench, 2);
	next_is(&bench, 19, 0);
	next_is(&bench, 20, 0);
	/* Ten more: of eight slots seven are served. */
	publish(&bench, 10);
	next_is(&bench, 25, 4);
	latest_is(&bench, 31, 5);
	ck_assert_int_eq(next_result(&bench), -ENODATA);
	bench_teardown(&bench);
}
END_TEST

START_TEST(read_by_number)
{
	struct bench bench;
	uint64_t oldest, next;

	bench_setup_at(&bench, 4, 100, 0, 1000);
	ck_assert_int_eq(read_result(&bench, 999), -ESTALE);
	ck_assert_int_eq(read_result(&bench, 1000), -ENODATA);
	ck_assert_int_eq(slots_bounds(&bench.reader, &oldest, &next), 0);
	ck_assert_uint_eq(oldest, 1000);
	ck_assert_uint_eq(next, 1000);
	publish(&bench, 10);
	ck_assert_int_eq(slots_bounds(&bench.reader, &oldest, &next), 0);
	ck_assert_uint_eq(oldest, 1007);
	ck_assert_uint_eq(next, 1010);
	for (uint64_t n = oldest; n < next; n++)
		ck_assert_int_eq(read_result(&bench, n), 0);
	ck_assert_int_eq(read_result(&bench, 1005), -ESTALE);
	ck_assert_int_eq(read_result(&bench, 0), -ESTALE);
	ck_assert_int_eq(read_result(&bench, 1010), -ENODATA);
	ck_assert_int_eq(read_result(&bench, UINT64_MAX), -ENODATA);
	/* It did not move the position. */
	next_is(&bench, 1007, 7);
	bench_teardown(&bench);
}
END_TEST

START_TEST(seeking)
{
	struct bench bench;

	bench_setup(&bench, 8, 8, 0);
	publish(&bench, 10);
	ck_assert_int_eq(slots_seek(&bench.reader, 11), -EINVAL);
	ck_assert_int_eq(slots_seek(&bench.reader, 5), 0);
	next_is(&bench, 5, 0);
	ck_assert_int_eq(slots_seek(&bench.reader, 0), 0);
	next_is(&bench, 3, 3);
	ck_assert_int_eq(slots_seek(&bench.reader, 10), 0);
	ck_assert_int_eq(next_result(&bench), -ENODATA);
	latest_is(&bench, 9, 0);
	bench_teardown(&bench);
}
END_TEST

/* A write is there as soon as its id says so, even if the writer never came to count it. */
START_TEST(counter_lags)
{
	struct bench bench;
	uint64_t oldest, next;

	bench_setup(&bench, 4, 8, 0);
	publish(&bench, 6);
	bench.data->counter = 5;
	latest_is(&bench, 4, 4); /* news enough; it is looked for what is newer where the counter tells none */
	latest_is(&bench, 5, 0);
	latest_is(&bench, 5, 0);
	ck_assert_int_eq(slots_bounds(&bench.reader, &oldest, &next), 0);
	ck_assert_uint_eq(next, 6);
	bench_reader(&bench, &bench.reader);
	next_is(&bench, 5, 0);
	ck_assert_int_eq(next_result(&bench), -ENODATA);
	ck_assert_int_eq(read_result(&bench, 5), 0);
	ck_assert_int_eq(read_result(&bench, 6), -ENODATA);
	/* The very first. */
	bench_teardown(&bench);
	bench_setup(&bench, 4, 8, 0);
	publish(&bench, 1);
	bench.data->counter = 0;
	latest_is(&bench, 0, 0);
	bench_teardown(&bench);
}
END_TEST

/* A writer that died in mid-write: the one before stays readable, before repair and after it, and the number is used by the next. */
START_TEST(half_written)
{
	struct bench bench;

	bench_setup(&bench, 4, 8, 0);
	publish(&bench, 5);
	*id_of(&bench, 5) = shmb_id_writing(5);
	latest_is(&bench, 4, 4);
	ck_assert_int_eq(next_result(&bench), -ENODATA);
	ck_assert_int_eq(read_result(&bench, 5), -ENODATA);
	ck_assert_int_eq(read_result(&bench, 1), -ESTALE);
	*id_of(&bench, 5) = 0;
	latest_is(&bench, 4, 0);
	ck_assert_int_eq(slots_writer_init(&bench.writer, &bench.memory, granted), 0);
	publish(&bench, 1);
	next_is(&bench, 5, 0);
	bench_teardown(&bench);
}
END_TEST

START_TEST(never_goes_back)
{
	struct bench bench;

	bench_setup(&bench, 4, 8, 0);
	publish(&bench, 6);
	latest_is(&bench, 5, 5);
	/* A hostile writer turns its counter back, and then its slot. */
	bench.data->counter = 2;
	latest_is(&bench, 5, 0);
	*id_of(&bench, 5) = shmb_id_done(1);
	ck_assert_int_eq(latest_result(&bench), -EAGAIN);
	/* Read by number counts as well. */
	bench_teardown(&bench);
	bench_setup(&bench, 4, 8, 0);
	publish(&bench, 6);
	bench.data->counter = 5;
	ck_assert_int_eq(read_result(&bench, 5), 0);
	*id_of(&bench, 5) = 0;
	ck_assert_int_eq(latest_result(&bench), -EAGAIN);
	bench_teardown(&bench);
}
END_TEST

START_TEST(rubbish_in_the_data)
{
	static const uint64_t words[] = {
		0, 1, 2, 3, 7, SHMB_NUMBER_MAX - 1, SHMB_NUMBER_MAX, SHMB_NUMBER_MAX + 1, UINT64_MAX / 2, UINT64_MAX - 1, UINT64_MAX,
	};
	enum { COUNT = sizeof(words) / sizeof(words[0]) };
	struct bench bench;
	unsigned char payload[64];
	uint64_t oldest, next;

	bench_setup(&bench, 4, 64, 0);
	for (unsigned counter = 0; counter < COUNT; counter++) {
		for (unsigned id = 0; id < COUNT; id++) {
			bench.data->counter = words[counter];
			for (uint64_t n = 0; n < 4; n++)
				*id_of(&bench, n) = words[id];
			bench_reader(&bench, &bench.reader);
			for (int i = 0; i < 3; i++) {
				slots_latest(&bench.reader, payload, NULL);
				slots_read_next(&bench.reader, payload, NULL);
				slots_read(&bench.reader, words[id], payload, NULL);
				slots_seek(&bench.reader, words[counter]);
				slots_has_news(&bench.reader);
				if (slots_bounds(&bench.reader, &oldest, &next) == 0)
					ck_assert(oldest <= next && next <= SHMB_NUMBER_MAX);
				ck_assert_uint_le(bench.reader.position, SHMB_NUMBER_MAX);
				ck_assert_uint_le(bench.reader.seen, SHMB_NUMBER_MAX);
			}
		}
	}
	bench.data->counter = SHMB_NUMBER_MAX;
	bench_reader(&bench, &bench.reader);
	ck_assert_int_eq(latest_result(&bench), -EBADMSG);
	ck_assert_int_eq(next_result(&bench), -EBADMSG);
	ck_assert_int_eq(slots_wait(&bench.reader, NULL, SHMB_NO_WAIT), -EBADMSG);
	ck_assert_int_eq(slots_writer_init(&bench.writer, &bench.memory, granted), -EOVERFLOW);
	bench_teardown(&bench);
}
END_TEST

START_TEST(lease_taken_away)
{
	struct bench bench;
	unsigned char payload[8] = { 0 };

	bench_setup(&bench, 4, 8, 0);
	publish(&bench, 1);
	bench.card->state = shmb_state_word(4, SHMB_STATE_HELD);
	ck_assert_int_eq(slots_publish(&bench.writer, payload), -ESTALE);
	ck_assert_int_eq(slots_heartbeat(&bench.writer), -ESTALE);
	bench.card->state = shmb_state_word(3, SHMB_STATE_GIVEN_UP);
	ck_assert_int_eq(slots_publish(&bench.writer, payload), -ESTALE);
	ck_assert_uint_eq(bench.data->counter, 1);
	ck_assert_uint_eq(*id_of(&bench, 1), 0);
	bench.card->state = granted;
	publish(&bench, 1);
	latest_is(&bench, 1, 1);
	bench_teardown(&bench);
}
END_TEST

START_TEST(forked)
{
	struct bench bench;
	unsigned char payload[8] = { 0 };
	uint64_t oldest, next;

	bench_setup(&bench, 4, 8, 0);
	publish(&bench, 2);
	guard = 0;
	ck_assert_int_eq(slots_publish(&bench.writer, payload), -EOWNERDEAD);
	ck_assert_int_eq(slots_heartbeat(&bench.writer), -EOWNERDEAD);
	ck_assert_int_eq(slots_latest(&bench.reader, payload, NULL), -EOWNERDEAD);
	ck_assert_int_eq(slots_read_next(&bench.reader, payload, NULL), -EOWNERDEAD);
	ck_assert_int_eq(slots_read(&bench.reader, 1, payload, NULL), -EOWNERDEAD);
	ck_assert_int_eq(slots_seek(&bench.reader, 1), -EOWNERDEAD);
	ck_assert_int_eq(slots_bounds(&bench.reader, &oldest, &next), -EOWNERDEAD);
	ck_assert_int_eq(slots_wait(&bench.reader, NULL, SHMB_FOREVER), -EOWNERDEAD);
	ck_assert_ptr_nonnull(strstr(shmb_text(), "forked"));
	guard = 1;
	ck_assert_uint_eq(bench.data->counter, 2);
	bench_teardown(&bench);
}
END_TEST

START_TEST(stamps)
{
	struct bench bench;
	unsigned char payload[8] = { 0 };
	struct shmb_sample sample;
	uint64_t before;

	bench_setup(&bench, 4, 8, SHMB_SEGMENT_STAMPED);
	before = shmb_now_ns();
	publish(&bench, 1);
	ck_assert_int_eq(slots_latest(&bench.reader, payload, &sample), 0);
	ck_assert(sample.stamp_ns >= before && sample.stamp_ns <= shmb_now_ns());
	ck_assert_uint_eq(bench.data->heartbeat_ns, sample.stamp_ns);
	ck_assert_int_eq(slots_heartbeat(&bench.writer), 0);
	ck_assert_uint_ge(bench.data->heartbeat_ns, sample.stamp_ns);
	bench_teardown(&bench);
	bench_setup(&bench, 4, 8, 0);
	publish(&bench, 1);
	ck_assert_int_eq(slots_latest(&bench.reader, payload, &sample), 0);
	ck_assert_uint_eq(sample.stamp_ns, 0);
	ck_assert_uint_eq(bench.data->heartbeat_ns, 0);
	bench_teardown(&bench);
}
END_TEST

struct race {
	struct bench *bench;
	_Atomic bool over;
};

static void *publish_without_end(void *arg)
{
	struct race *race = arg;
	unsigned char payload[4096];

	while (!race->over) {
		memset(payload, (int)(race->bench->writer.next & 0xff), sizeof(payload));
		if (slots_publish(&race->bench->writer, payload) != 0)
			abort();
	}
	return NULL;
}

/* A writer that never pauses laps its readers in the middle of their copies: they say so, or have every byte of one write. */
START_TEST(never_torn)
{
	uint64_t end = shmb_now_ns() + 300000000, deadline = end + UINT64_C(15000000000);
	uint64_t got = 0, missed = 0, first = UINT64_MAX;
	unsigned char payload[4096];
	struct shmb_sample sample;
	struct race race = { 0 };
	struct bench bench;
	pthread_t thread;

	bench_setup(&bench, 4, sizeof(payload), 0);
	race.bench = &bench;
	ck_assert_int_eq(pthread_create(&thread, NULL, publish_without_end, &race), 0);
	for (unsigned turn = 0; shmb_now_ns() < (got == 0 ? deadline : end); turn++) {
		int r = turn % 2 == 0 ? slots_latest(&bench.reader, payload, &sample) : slots_read_next(&bench.reader, payload, &sample);

		if (r == -ENODATA || r == -EAGAIN)
			continue;
		ck_assert_int_eq(r, 0);
		check_payload(payload, sizeof(payload), sample.number);
		if (first == UINT64_MAX)
			first = sample.number - sample.missed;
		got += sample.number >= first + got + missed; /* the newest may come twice */
		missed += sample.missed;
		ck_assert_uint_eq(first + got + missed, sample.number + 1);
	}
	race.over = true;
	pthread_join(thread, NULL);
	ck_assert_uint_gt(got, 0);
	bench_teardown(&bench);
}
END_TEST

START_TEST(lost_cell)
{
	struct bench bench;

	bench_setup(&bench, 8, 8, 0);
	publish(&bench, 3);
	next_is(&bench, 0, 0);
	ck_assert_uint_eq(bench.areas[0]->cells[0].position, 1);
	slots_reader_drop_cell(&bench.reader);
	next_is(&bench, 1, 0);
	latest_is(&bench, 2, 0);
	ck_assert_uint_eq(bench.areas[0]->cells[0].position, 1);
	bench_teardown(&bench);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("slots");

	unit_add(suite, store_and_load, 20);
	unit_add(suite, read_in_order, 20);
	unit_add(suite, opened_on_full_ring, 20);
	unit_add(suite, read_by_number, 20);
	unit_add(suite, seeking, 20);
	unit_add(suite, counter_lags, 20);
	unit_add(suite, half_written, 20);
	unit_add(suite, never_goes_back, 20);
	unit_add(suite, rubbish_in_the_data, 20);
	unit_add(suite, lease_taken_away, 20);
	unit_add(suite, forked, 20);
	unit_add(suite, stamps, 20);
	unit_add(suite, never_torn, 20);
	unit_add(suite, lost_cell, 20);
	return unit_run(suite);
}
