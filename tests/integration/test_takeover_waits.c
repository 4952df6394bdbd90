/* SPDX-License-Identifier: MIT */
/*
 * What each way of waiting and asking makes of a change of generation: loaders, wait sets, waits for several, queries by time. The change is another
 * layout, asked for after the writer closed.
 */
#include "takeover.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>

enum { BYTES = 64 };

/* ---- ways of waiting ---- */

static void ring_anew(struct shmb *client, struct shmb_ring_writer **writer, const char *name, uint32_t capacity, unsigned salt)
{
	shmb_ring_writer_close(*writer);
	*writer = ring_writer(client, name, BYTES, capacity);
	ring_write(*writer, BYTES, 1, salt);
}

START_TEST(a_loader_goes_on)
{
	struct shmb_ring_writer *writer;
	struct shmb_ring_reader *reader;
	struct shmb_loader *loader = NULL;
	struct shmb_sample sample;
	const void *payload;
	struct shmb *client;
	struct broker b;
	unsigned salt;
	int r = 0;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "ring", BYTES, 8);
	ring_write(writer, BYTES, 1, 1);
	reader = ring_reader(client, "ring");
	ASSERT_OK(shmb_loader_open_ring(&loader, reader));
	for (unsigned g = 0; g < 6; g++) {
		do
			ASSERT_OK(shmb_loader_snapshot(loader, &payload, &sample));
		while (sample.number != g && suite_pause(deadline_in(SUITE_PATIENCE_MS)));
		ck_assert(pattern_check(payload, BYTES, g, &salt) && salt == g + 1);
		WAIT_UNTIL(draining(client, "ring") == 0);
		ring_anew(client, &writer, "ring", g % 2 == 0 ? 16 : 8, g + 2);
		ck_assert(pattern_check(payload, BYTES, g, &salt) && salt == g + 1);
	}
	shmb_ring_writer_close(writer);
	/* Another type: the last snapshot stays, the wait says why nothing comes. */
	writer = ring_writer(client, "ring", 2 * BYTES, 8);
	for (unsigned i = 0; i < 20 && r != -EPROTOTYPE; i++) {
		r = shmb_loader_wait(loader, deadline_in(SUITE_PATIENCE_MS));
		if (r == 0)
			ASSERT_OK(shmb_loader_snapshot(loader, &payload, &sample));
	}
	ck_assert_int_eq(r, -EPROTOTYPE);
	ASSERT_OK(shmb_loader_snapshot(loader, &payload, &sample));
	ck_assert_uint_eq(sample.number, 6);
	shmb_loader_close(loader);
	shmb_ring_reader_close(reader);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

static bool is_readable(struct shmb_waitset *set)
{
	struct pollfd ready = { .fd = shmb_waitset_fd(set), .events = POLLIN };

	return poll(&ready, 1, SUITE_PATIENCE_MS) == 1;
}

/* A set tells it as often as it is asked, until it was followed; then of the new memory. */
START_TEST(wait_sets_tell_and_go_on)
{
	struct shmb_ring_writer *writers[2];
	struct shmb_ring_reader *readers[2];
	struct shmb_waitset *set = NULL;
	unsigned changes[2] = { 0 }, items[2] = { 0 };
	uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	ASSERT_OK(shmb_waitset_new(&set, client));
	for (unsigned i = 0; i < 2; i++) {
		char name[16];

		snprintf(name, sizeof(name), "ring/%u", i);
		writers[i] = ring_writer(client, name, BYTES, 8);
		readers[i] = ring_reader(client, name);
		ASSERT_OK(shmb_waitset_add(set, shmb_ring_waitable(readers[i]), &readers[i]));
		ring_write(writers[i], BYTES, 2, 1);
		ring_anew(client, &writers[i], name, 16, 2);
		ring_anew(client, &writers[i], name, 8, 3);
	}
	while (items[0] + items[1] < 8) {
		void *user = NULL;
		unsigned which;
		int r;

		ck_assert_msg(shmb_now_ns() < deadline, "items %u and %u, changes %u and %u", items[0], items[1], changes[0], changes[1]);
		ck_assert(is_readable(set));
		while ((r = shmb_waitset_next(set, &user)) != -ENODATA) {
			which = user == &readers[1];
			if (r == -EREMCHG) {
				changes[which]++;
				ASSERT_OK(shmb_follow(shmb_ring_waitable(readers[which])));
			} else if (r == 0) {
				ring_next(readers[which], items[which], 0);
				items[which]++;
			} else {
				ck_assert_int_eq(r, -EPIPE);
			}
		}
	}
	ck_assert(items[0] == 4 && items[1] == 4);
	ck_assert_msg(changes[0] == 2 && changes[1] == 2, "%u and %u", changes[0], changes[1]);
	ring_write(writers[1], BYTES, 1, 4);
	ck_assert(is_readable(set));
	shmb_waitset_free(set);
	for (unsigned i = 0; i < 2; i++) {
		shmb_ring_reader_close(readers[i]);
		shmb_ring_writer_close(writers[i]);
	}
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* A wait for several follows that one of them whose name was given new memory, and no other. */
START_TEST(wait_any_follows)
{
	struct shmb_ring_writer *writers[3];
	struct shmb_ring_reader *readers[3];
	struct shmb_waitable *list[3];
	struct shmb_segment_status status;
	struct shmb *client;
	struct broker b;
	size_t which;
	int r;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	for (unsigned i = 0; i < 3; i++) {
		char name[16];

		snprintf(name, sizeof(name), "ring/%u", i);
		writers[i] = ring_writer(client, name, BYTES, 8);
		readers[i] = ring_reader(client, name);
		list[i] = shmb_ring_waitable(readers[i]);
	}
	ring_write(writers[1], BYTES, 1, 1);
	ring_anew(client, &writers[1], "ring/1", 16, 2);
	ASSERT_OK(shmb_wait_any(list, 3, deadline_in(SUITE_PATIENCE_MS), &which));
	ck_assert_uint_eq(which, 1);
	ring_next(readers[1], 0, 0);
	do
		r = shmb_wait_any(list, 3, deadline_in(SUITE_PATIENCE_MS), &which);
	while (r == -EPIPE);
	ck_assert_int_eq(r, -EREMCHG);
	ck_assert_uint_eq(which, 1);
	ASSERT_OK(shmb_wait_any(list, 3, deadline_in(SUITE_PATIENCE_MS), &which));
	ck_assert_uint_eq(which, 1);
	ring_next(readers[1], 1, 0);
	for (unsigned i = 0; i < 3; i++) {
		ASSERT_OK(shmb_ring_status(readers[i], &status));
		ck_assert_uint_eq(status.generation, i == 1 ? 2 : 1);
	}
	ASSERT_ERROR(shmb_wait_any(list, 3, shmb_now_ns() + 50000000, &which), ETIMEDOUT);
	ring_write(writers[1], BYTES, 1, 3);
	ASSERT_OK(shmb_wait_any(list, 3, deadline_in(SUITE_PATIENCE_MS), &which));
	ck_assert_uint_eq(which, 1);
	for (unsigned i = 0; i < 3; i++) {
		shmb_ring_reader_close(readers[i]);
		shmb_ring_writer_close(writers[i]);
	}
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- queries by time ---- */

SHMB_TYPE(timed, (uint64, stamp_ns)(float64, value));

static struct shmb_key_monotonic at(uint64_t value)
{
	struct shmb_rule_monotonic any = shmb_rule_range_monotonic(0, UINT64_MAX);
	struct shmb_key_monotonic key;

	ASSERT_OK(shmb_key_make(&key, value, &any));
	return key;
}

static void insert_timed(struct shmb_ring_writer *writer, uint64_t from, uint64_t to)
{
	for (uint64_t key = from; key <= to; key += 10) {
		struct timed timed = { .stamp_ns = key, .value = (double)key };

		ASSERT_OK(shmb_ring_insert(writer, &timed));
	}
}

/* Queries answer from the memory that the handle is on: the old one until it follows, the new one afterwards; none crosses. */
START_TEST(queries_by_time_stay_on_their_side)
{
	struct shmb_options options = { .capacity = 64, .key_clock = SHMB_CLOCK_MONOTONIC, .key_field = "stamp_ns" };
	struct shmb_ring_writer *writer = NULL;
	struct shmb_ring_reader *reader = NULL;
	struct shmb_found_monotonic found;
	struct shmb_bracket_monotonic around;
	struct shmb_range range;
	struct timed a, c;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	ASSERT_OK(shmb_ring_writer_open(&writer, client, "timed", &timed_type, &options));
	ASSERT_OK(shmb_ring_reader_open(&reader, client, "timed", &timed_type, SHMB_NO_WAIT));
	insert_timed(writer, 1000, 1100); /* 0 to 10 */
	shmb_ring_writer_close(writer);
	options.capacity = 128;
	writer = NULL;
	ASSERT_OK(shmb_ring_writer_open(&writer, client, "timed", &timed_type, &options));
	ASSERT_OK(shmb_ring_closest(reader, at(1100), SHMB_ANY_DISTANCE, &a, &found));
	ck_assert(found.number == 10 && a.stamp_ns == 1100);
	insert_timed(writer, 500, 600); /* 11 to 21; a new lease may begin anew */
	ASSERT_OK(shmb_ring_closest(reader, at(550), SHMB_ANY_DISTANCE, &a, &found));
	ck_assert(found.number == 0 && a.stamp_ns == 1000);
	ASSERT_ERROR(shmb_ring_bracket(reader, at(1105), SHMB_ANY_DISTANCE, &a, &c, &around), ETIME);
	ASSERT_OK(shmb_ring_range(reader, at(500), at(1050), &range));
	ck_assert(range.first == 0 && range.count == 6);

	ASSERT_OK(shmb_follow(shmb_ring_waitable(reader)));
	ASSERT_OK(shmb_ring_closest(reader, at(1100), SHMB_ANY_DISTANCE, &a, &found));
	ck_assert(found.number == 21 && a.stamp_ns == 600);
	ASSERT_OK(shmb_ring_bracket(reader, at(555), SHMB_ANY_DISTANCE, &a, &c, &around));
	ck_assert(around.before.number == 16 && around.after.number == 17 && a.stamp_ns == 550 && c.stamp_ns == 560);
	ASSERT_OK(shmb_ring_range(reader, at(0), at(2000), &range));
	ck_assert(range.first == 11 && range.count == 11);
	{
		struct shmb_key_monotonic key;

		ASSERT_ERROR(shmb_ring_key(reader, 10, &key), ESTALE);
		ASSERT_OK(shmb_ring_key(reader, 11, &key));
		ck_assert_uint_eq(shmb_key_value(key), 500);
	}
	shmb_ring_reader_close(reader);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("takeover and waits");

	suite_add(suite, a_loader_goes_on, 60);
	suite_add(suite, wait_sets_tell_and_go_on, 60);
	suite_add(suite, wait_any_follows, 60);
	suite_add(suite, queries_by_time_stay_on_their_side, 60);
	return suite_run(suite);
}
