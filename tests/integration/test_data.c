/* SPDX-License-Identifier: MIT */
/* Values and rings between processes: what is written is what is read, with its number, its stamp and the count of what was missed. */
#include "../support/client.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

SHMB_TYPE(imu, (uint64, stamp_ns)(float64, gyro, 3)(float64, accel, 3)(bool, still));

START_TEST(value_write_and_read)
{
	static const size_t sizes[] = { 8, 48, 56, 64, 65, 4096, 1 << 20 };
	struct broker b;
	struct shmb *client;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct shmb_value_writer *writer;
		struct shmb_value_reader *reader;
		char name[32];
		char buffer[8];

		snprintf(name, sizeof(name), "value/%zu", sizes[i]);
		writer = value_writer(client, name, sizes[i]);
		reader = value_reader(client, name);
		if (sizes[i] == 8)
			ASSERT_ERROR(shmb_value_load(reader, buffer, NULL), ENODATA);
		for (unsigned n = 0; n < 20; n++) {
			value_write(writer, sizes[i], 1, 7);
			ck_assert_uint_eq(value_latest(reader, n, 0), 7);
		}
		value_latest(reader, 19, 0);
		value_write(writer, sizes[i], 5, 7);
		value_latest(reader, 24, 4);
		shmb_value_reader_close(reader);
		shmb_value_writer_close(writer);
	}
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

START_TEST(ring_write_and_read)
{
	static const size_t sizes[] = { 8, 48, 56, 64, 65, 4096, 1 << 20 };
	struct broker b;
	struct shmb *client;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct shmb_ring_writer *writer;
		struct shmb_ring_reader *reader;
		char name[32];

		snprintf(name, sizeof(name), "ring/%zu", sizes[i]);
		writer = ring_writer(client, name, sizes[i], 8);
		reader = ring_reader(client, name);
		for (unsigned n = 0; n < 40; n++) {
			ring_write(writer, sizes[i], 1, 9);
			ck_assert_uint_eq(ring_next(reader, n, 0), 9);
			ck_assert_uint_eq(ring_at(reader, n), 9);
		}
		shmb_ring_reader_close(reader);
		shmb_ring_writer_close(writer);
	}
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

START_TEST(declared_type_keeps_every_field)
{
	struct imu in = { .stamp_ns = 123456789, .gyro = { 0.1, -0.2, 1e300 }, .accel = { 9.81, -0.0, 1e-300 }, .still = true };
	struct imu out;
	struct shmb_ring_writer *writer = NULL;
	struct shmb_ring_reader *reader = NULL;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	ASSERT_OK(shmb_ring_writer_open(&writer, client, "imu/main", &imu_type, NULL));
	ASSERT_OK(shmb_ring_reader_open(&reader, client, "imu/main", &imu_type, SHMB_NO_WAIT));
	ck_assert_str_eq(shmb_ring_type(reader)->schema, imu_type.schema);
	ck_assert_str_eq(shmb_ring_type(reader)->name, "imu");
	ck_assert_uint_eq(shmb_ring_type(reader)->size, sizeof(struct imu));
	ASSERT_OK(shmb_ring_insert(writer, &in));
	memset(&out, 0xff, sizeof(out));
	ASSERT_OK(shmb_ring_latest(reader, &out, NULL));
	ck_assert(memcmp(&in, &out, offsetof(struct imu, still)) == 0 && out.still == in.still);
	shmb_ring_reader_close(reader);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* The smallest and the largest payload; one byte more is refused. */
START_TEST(payloads_of_1_byte_and_256_mib)
{
	static const size_t sizes[] = { 1, (size_t)256 << 20 };
	struct broker b;
	struct shmb *client;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	for (unsigned i = 0; i < 2; i++) {
		struct shmb_ring_writer *writer;
		struct shmb_ring_reader *reader;
		struct shmb_type *type;
		struct shmb_sample sample;
		unsigned char *out = calloc(1, sizes[i]);
		unsigned char *in = calloc(1, sizes[i]);

		ck_assert(out != NULL && in != NULL);
		ASSERT_OK(shmb_type_opaque(&type, sizes[i]));
		ASSERT_OK(shmb_ring_writer_open(&writer, client, "ring", type, &(struct shmb_options){ .capacity = 2 }));
		ASSERT_OK(shmb_ring_reader_open(&reader, client, "ring", type, SHMB_NO_WAIT));
		for (unsigned char n = 1; n <= 3; n++) {
			out[0] = out[sizes[i] / 2] = out[sizes[i] - 1] = n;
			ASSERT_OK(shmb_ring_insert(writer, out));
			ASSERT_OK(shmb_ring_latest(reader, in, &sample));
			ck_assert_uint_eq(sample.number, n - 1u);
			ck_assert(memcmp(in, out, sizes[i]) == 0);
		}
		shmb_ring_reader_close(reader);
		shmb_ring_writer_close(writer);
		ASSERT_OK(shmb_remove(client, "ring"));
		shmb_type_free(type);
		free(out);
		free(in);
	}
	{
		struct shmb_type *type;

		ASSERT_ERROR(shmb_type_opaque(&type, ((size_t)256 << 20) + 1), EINVAL);
		ASSERT_ERROR(shmb_type_opaque(&type, 0), EINVAL);
	}
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* A ring of N slots serves N - 1: the one that is written next is never offered. */
START_TEST(ring_of_n_serves_n_minus_1)
{
	static const uint32_t capacities[] = { 2, 4, 16, 1024 };
	struct broker b;
	struct shmb *client;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	for (unsigned i = 0; i < 4; i++) {
		uint32_t capacity = capacities[i];
		struct shmb_ring_writer *writer;
		struct shmb_ring_reader *reader;
		uint64_t oldest = 99;
		uint64_t next = 99;
		char payload[64];
		char name[32];

		snprintf(name, sizeof(name), "capacity%u", capacity);
		writer = ring_writer(client, name, 64, capacity);
		reader = ring_reader(client, name);
		ASSERT_OK(shmb_ring_bounds(reader, &oldest, &next));
		ck_assert(oldest == 0 && next == 0);
		ring_write(writer, 64, 3 * capacity + 1, 1);
		ASSERT_OK(shmb_ring_bounds(reader, &oldest, &next));
		ck_assert_uint_eq(next, 3 * capacity + 1);
		ck_assert_uint_eq(next - oldest, capacity - 1);
		for (uint64_t n = oldest; n < next; n++)
			ring_at(reader, n);
		ASSERT_ERROR(shmb_ring_read(reader, oldest - 2, payload, NULL), ESTALE);
		ASSERT_ERROR(shmb_ring_read(reader, 0, payload, NULL), ESTALE);
		ASSERT_ERROR(shmb_ring_read(reader, next, payload, NULL), ENODATA);
		shmb_ring_reader_close(reader);
		shmb_ring_writer_close(writer);
	}
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

START_TEST(missed_counts_are_exact)
{
	struct shmb_ring_writer *writer;
	struct shmb_ring_reader *reader;
	struct shmb *client;
	struct broker b;
	char payload[64];

	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "missed", 64, 8);
	reader = ring_reader(client, "missed");
	ring_write(writer, 64, 3, 1);
	ring_next(reader, 0, 0);
	ring_next(reader, 1, 0);
	ring_write(writer, 64, 17, 1); /* 0..19 written, 13..19 left: 2..12 are lost */
	ring_next(reader, 13, 11);
	for (unsigned n = 14; n < 20; n++)
		ring_next(reader, n, 0);
	ASSERT_ERROR(shmb_ring_read_next(reader, payload, NULL), ENODATA);
	ring_write(writer, 64, 5, 1);
	ring_latest(reader, 24, 4);
	ASSERT_ERROR(shmb_ring_read_next(reader, payload, NULL), ENODATA);
	ring_write(writer, 64, 1, 1);
	ring_next(reader, 25, 0);
	ASSERT_OK(shmb_ring_seek(reader, 22));
	ring_next(reader, 22, -1);
	ring_next(reader, 23, 0);
	ASSERT_OK(shmb_ring_seek(reader, 26));
	ASSERT_ERROR(shmb_ring_seek(reader, 27), EINVAL);
	ASSERT_ERROR(shmb_ring_read_next(reader, payload, NULL), ENODATA);
	shmb_ring_reader_close(reader);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

START_TEST(late_joiner_starts_at_the_newest)
{
	struct shmb_ring_writer *writer;
	struct shmb_ring_reader *reader;
	struct shmb *client;
	struct broker b;
	char payload[64];

	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "late", 64, 16);
	ring_write(writer, 64, 100, 1);
	reader = ring_reader(client, "late");
	ring_next(reader, 99, -1);
	ASSERT_ERROR(shmb_ring_read_next(reader, payload, NULL), ENODATA);
	ring_at(reader, 85);
	ring_write(writer, 64, 1, 1);
	ring_next(reader, 100, 0);
	shmb_ring_reader_close(reader);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

START_TEST(several_readers_get_everything)
{
	enum { READERS = 4, COUNT = 500 };
	static const char *const kinds[] = { "ring", "value" };
	struct program readers[READERS];
	struct program writer;
	struct answer wrote;
	struct broker b;

	broker_start(&b, NULL);
	for (unsigned k = 0; k < 2; k++) {
		worker_start(&writer, &b, "writer", false);
		worker_must(&writer, "writer name=shared kind=%s bytes=64%s salt=3", kinds[k], k == 0 ? " capacity=65536" : "");
		for (unsigned i = 0; i < READERS; i++) {
			worker_start(&readers[i], &b, "reader", false);
			worker_must(&readers[i], "reader name=shared kind=%s bytes=64", kinds[k]);
			worker_must(&readers[i], "watch");
		}
		worker_must(&writer, "run period=500");
		for (unsigned i = 0; i < READERS; i++)
			WAIT_UNTIL(worker_must(&readers[i], "seen").v[0] > COUNT);
		wrote = worker_must(&writer, "stop");
		for (unsigned i = 0; i < READERS; i++) {
			struct answer end = worker_must(&readers[i], "stop last=%u", (unsigned)wrote.v[0] - 1);

			ck_assert_msg(end.v[2] == 0 && end.v[3] == 0 && end.v[6] == 0, "torn %d backward %d other errors %d", (int)end.v[2],
				      (int)end.v[3], (int)end.v[6]);
			if (k == 0) {
				ck_assert_uint_eq(end.v[1], 0);
				ck_assert_uint_eq(end.v[8], 0);
			}
			ck_assert_uint_eq(end.v[0] + end.v[1], end.v[7] - end.v[8] + 1);
			worker_quit(&readers[i]);
		}
		worker_must(&writer, "close-writer");
		worker_must(&writer, "remove name=shared");
		worker_quit(&writer);
	}
	broker_finish(&b);
}
END_TEST

START_TEST(stamps_are_the_time_of_the_write)
{
	struct shmb_options options = { .capacity = 8, .stamped = 1 };
	static const size_t sizes[] = { 8, 48, 56, 4096 };
	struct broker b;
	struct shmb *client;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	for (unsigned i = 0; i < 4; i++) {
		struct shmb_type *type = pattern_type(sizes[i]);
		struct shmb_ring_writer *writer = NULL;
		struct shmb_ring_reader *reader;
		struct shmb_sample sample;
		struct shmb_segment_status status;
		static char payload[4096];
		uint64_t before;
		char name[32];

		snprintf(name, sizeof(name), "stamped%zu", sizes[i]);
		ASSERT_OK(shmb_ring_writer_open(&writer, client, name, type, &options));
		shmb_type_free(type);
		reader = ring_reader(client, name);
		for (unsigned n = 0; n < 20; n++) {
			before = shmb_now_ns();
			ring_write(writer, sizes[i], 1, 1);
			ASSERT_OK(shmb_ring_latest(reader, payload, &sample));
			ck_assert_uint_ge(sample.stamp_ns, before);
			ck_assert_uint_le(sample.stamp_ns, shmb_now_ns());
		}
		ASSERT_OK(shmb_ring_status(reader, &status));
		ck_assert_uint_ge(status.heartbeat_ns, before);
		ring_at(reader, 15);
		shmb_ring_reader_close(reader);
		shmb_ring_writer_close(writer);
	}
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

START_TEST(unstamped_samples_have_no_stamp)
{
	struct shmb_ring_writer *writer;
	struct shmb_ring_reader *reader;
	struct shmb_segment_status status;
	struct shmb_sample sample;
	struct shmb *client;
	struct broker b;
	uint64_t before;
	char payload[64];

	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "plain", 64, 0);
	reader = ring_reader(client, "plain");
	ring_write(writer, 64, 1, 1);
	ASSERT_OK(shmb_ring_latest(reader, payload, &sample));
	ck_assert_uint_eq(sample.stamp_ns, 0);
	before = shmb_now_ns();
	ASSERT_OK(shmb_ring_heartbeat(writer));
	ASSERT_OK(shmb_ring_status(reader, &status));
	ck_assert_uint_ge(status.heartbeat_ns, before);
	ck_assert_int_eq(status.writer, SHMB_WRITER_IS_ALIVE);
	ck_assert_int_eq(status.writer_pid, getpid());
	ck_assert(status.oldest == 0 && status.next == 1);
	shmb_ring_reader_close(reader);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

START_TEST(numbering_goes_on_after_reopening)
{
	struct shmb_ring_writer *ring;
	struct shmb_value_writer *value;
	struct shmb_ring_reader *ring_in;
	struct shmb_value_reader *value_in;
	struct shmb *client;
	struct listed listed;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	ring = ring_writer(client, "again/ring", 64, 8);
	value = value_writer(client, "again/value", 64);
	ring_in = ring_reader(client, "again/ring");
	value_in = value_reader(client, "again/value");
	for (unsigned round = 0; round < 4; round++) {
		ck_assert_uint_eq(shmb_ring_next_number(ring), 3 * round);
		ck_assert_uint_eq(shmb_value_next(value), 3 * round);
		ring_write(ring, 64, 3, round + 1);
		value_write(value, 64, 3, round + 1);
		shmb_ring_writer_close(ring);
		shmb_value_writer_close(value);
		for (unsigned i = 0; i < 3; i++)
			ck_assert_uint_eq(ring_next(ring_in, 3 * round + i, 0), round + 1);
		ck_assert_uint_eq(value_latest(value_in, 3 * round + 2, -1), round + 1);
		ASSERT_ERROR(shmb_ring_wait(ring_in, SHMB_NO_WAIT), EPIPE);
		ASSERT_ERROR(shmb_ring_wait(ring_in, SHMB_NO_WAIT), ETIMEDOUT);
		ring = ring_writer(client, "again/ring", 64, 8);
		value = value_writer(client, "again/value", 64);
		ck_assert(segment_listed(client, "again/ring", &listed));
		ck_assert_uint_eq(listed.epoch, round + 2);
		ck_assert_uint_eq(listed.generation, 1);
	}
	shmb_ring_reader_close(ring_in);
	shmb_value_reader_close(value_in);
	shmb_ring_writer_close(ring);
	shmb_value_writer_close(value);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

START_TEST(reader_waits_for_the_name)
{
	struct program reader;
	struct program writer;
	struct shmb *client;
	struct broker b;
	uint64_t before;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	ASSERT_ERROR(ring_reader_try(client, "soon", SHMB_NO_WAIT), ENOENT);
	before = now_ns();
	ASSERT_ERROR(ring_reader_try(client, "soon", before + 50000000), ENOENT);
	ck_assert_uint_ge(now_ns() - before, 50000000);
	ck_assert_uint_lt(now_ns() - before, UINT64_C(2500000000) * suite_slow());

	worker_start(&reader, &b, "reader", false);
	program_send(&reader, "reader name=soon bytes=64 deadline=forever");
	ck_assert_msg(!program_has_line(&reader, 50), "the reader did not wait");
	worker_start(&writer, &b, "writer", false);
	worker_must(&writer, "writer name=soon bytes=64");
	ASSERT_RESULT(worker_answer(&reader), 0);
	worker_must(&writer, "write n=1");
	worker_must(&reader, "wait deadline=15000");
	ck_assert_uint_eq(worker_must(&reader, "next").v[0], 0);
	worker_quit(&reader);
	worker_quit(&writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Sleeping readers of both kinds are woken by the write, not by a time-out. */
START_TEST(blocked_readers_are_woken)
{
	static const char *const kinds[] = { "ring", "value" };
	struct program readers[3];
	struct program writer;
	struct broker b;

	broker_start(&b, NULL);
	for (unsigned k = 0; k < 2; k++) {
		worker_start(&writer, &b, "writer", false);
		worker_must(&writer, "writer name=wake/%s kind=%s bytes=64", kinds[k], kinds[k]);
		for (unsigned i = 0; i < 3; i++) {
			worker_start(&readers[i], &b, "reader", false);
			worker_must(&readers[i], "reader name=wake/%s kind=%s bytes=64", kinds[k], kinds[k]);
		}
		for (unsigned n = 0; n < 10; n++) {
			for (unsigned i = 0; i < 3; i++) {
				program_send(&readers[i], "wait deadline=forever");
				program_wait_asleep(&readers[i]);
			}
			worker_must(&writer, "write n=1");
			for (unsigned i = 0; i < 3; i++) {
				ASSERT_RESULT(worker_answer(&readers[i]), 0);
				ck_assert_uint_eq(worker_must(&readers[i], "next").v[0], n);
			}
		}
		for (unsigned i = 0; i < 3; i++)
			worker_quit(&readers[i]);
		worker_quit(&writer);
	}
	broker_finish(&b);
}
END_TEST

START_TEST(removed_segment_is_stale_for_its_reader)
{
	struct shmb_ring_writer *writer;
	struct shmb_ring_reader *reader;
	struct program sleeper;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "gone", 64, 8);
	ring_write(writer, 64, 2, 5);
	reader = ring_reader(client, "gone");
	worker_start(&sleeper, &b, "sleeper", false);
	worker_must(&sleeper, "reader name=gone bytes=64");
	worker_must(&sleeper, "latest");
	ASSERT_ERROR(shmb_remove(client, "gone"), EBUSY);
	shmb_ring_writer_close(writer);
	ASSERT_RESULT(worker_ask(&sleeper, "wait deadline=15000"), -EPIPE);
	program_send(&sleeper, "wait deadline=forever");
	program_wait_asleep(&sleeper);
	ASSERT_OK(shmb_remove(client, "gone"));
	ASSERT_RESULT(worker_answer(&sleeper), -ESTALE);
	ASSERT_RESULT(worker_ask(&sleeper, "wait deadline=forever"), -ESTALE);
	ring_at(reader, 0);
	ring_latest(reader, 1, -1);
	ASSERT_ERROR(shmb_ring_wait(reader, SHMB_FOREVER), ESTALE);
	ASSERT_ERROR(shmb_remove(client, "gone"), ENOENT);
	writer = ring_writer(client, "gone", 64, 8);
	ck_assert_uint_eq(shmb_ring_next_number(writer), 0);
	shmb_ring_writer_close(writer);
	shmb_ring_reader_close(reader);
	worker_quit(&sleeper);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Observers see the data and are not seen. */
START_TEST(observer_is_not_counted)
{
	struct shmb_ring_writer *writer;
	struct shmb_ring_reader *observer = NULL;
	struct shmb *client;
	struct listed listed;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "seen", 64, 8);
	ring_write(writer, 64, 1, 5);
	ASSERT_OK(shmb_ring_observe(&observer, client, "seen"));
	ring_latest(observer, 0, -1);
	ck_assert(segment_listed(client, "seen", &listed));
	ck_assert_uint_eq(listed.readers, 0);
	ASSERT_ERROR(shmb_ring_wait(observer, now_ns() + 30000000), ETIMEDOUT);
	ring_write(writer, 64, 1, 5);
	ASSERT_OK(shmb_ring_wait(observer, deadline_in(SUITE_PATIENCE_MS)));
	ring_next(observer, 1, 0);
	shmb_ring_reader_close(observer);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* More readers than the card has cells, let alone areas: all of them read and wait. */
START_TEST(more_readers_than_cells)
{
	enum { READERS = 200 };
	struct shmb_ring_reader *readers[READERS];
	struct shmb_ring_writer *writer;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "crowd", 64, 8);
	for (unsigned i = 0; i < READERS; i++)
		readers[i] = ring_reader(client, "crowd");
	for (unsigned n = 0; n < 3; n++) {
		ring_write(writer, 64, 1, 1);
		for (unsigned i = 0; i < READERS; i++) {
			ASSERT_OK(shmb_ring_wait(readers[i], deadline_in(SUITE_PATIENCE_MS)));
			ring_next(readers[i], n, 0);
		}
	}
	ASSERT_ERROR(shmb_ring_wait(readers[READERS - 1], now_ns() + 30000000), ETIMEDOUT);
	for (unsigned i = 0; i < READERS; i++)
		shmb_ring_reader_close(readers[i]);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Many segments: more than one packet lists. */
START_TEST(hundreds_of_segments)
{
	enum { COUNT = 250 };
	struct shmb_value_writer *writers[COUNT];
	struct shmb *client;
	struct broker b;
	char name[32];

	broker_start(&b, NULL);
	client = broker_connect(&b);
	for (unsigned i = 0; i < COUNT; i++) {
		snprintf(name, sizeof(name), "many/%u", i);
		writers[i] = value_writer(client, name, 8);
		value_write(writers[i], 8, 1, i & 255);
	}
	ck_assert_uint_eq(segments_count(client), COUNT);
	for (unsigned i = 0; i < COUNT; i++) {
		struct shmb_value_reader *reader;

		snprintf(name, sizeof(name), "many/%u", i);
		reader = value_reader(client, name);
		ck_assert_uint_eq(value_latest(reader, 0, -1), i & 255);
		shmb_value_reader_close(reader);
		shmb_value_writer_close(writers[i]);
	}
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("data");

	suite_add(suite, value_write_and_read, 30);
	suite_add(suite, ring_write_and_read, 30);
	suite_add(suite, declared_type_keeps_every_field, 30);
	suite_add(suite, payloads_of_1_byte_and_256_mib, 120);
	suite_add(suite, ring_of_n_serves_n_minus_1, 30);
	suite_add(suite, missed_counts_are_exact, 30);
	suite_add(suite, late_joiner_starts_at_the_newest, 30);
	suite_add(suite, several_readers_get_everything, 60);
	suite_add(suite, stamps_are_the_time_of_the_write, 30);
	suite_add(suite, unstamped_samples_have_no_stamp, 30);
	suite_add(suite, numbering_goes_on_after_reopening, 30);
	suite_add(suite, reader_waits_for_the_name, 60);
	suite_add(suite, blocked_readers_are_woken, 60);
	suite_add(suite, removed_segment_is_stale_for_its_reader, 60);
	suite_add(suite, observer_is_not_counted, 30);
	suite_add(suite, more_readers_than_cells, 60);
	suite_add(suite, hundreds_of_segments, 60);
	return suite_run(suite);
}
