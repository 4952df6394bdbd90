/* SPDX-License-Identifier: MIT */
/* What handles of each kind do beside publishing and reading: states, heartbeats, waits in one call, options that cannot be. */
#include "../support/client.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BYTES = 64, CAPACITY = 4 };

static struct shmb_type *type;

/* The other thread of a wait that comes to a good end. */
static struct shmb_queue_producer *producer;
static struct shmb_queue_consumer *consumer;

static void *pop_later(void *arg)
{
	uint64_t payload[BYTES / 8];

	(void)arg;
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	return (void *)(intptr_t)shmb_queue_pop(consumer, payload, NULL);
}

static void *push_later(void *arg)
{
	uint64_t payload[BYTES / 8];

	(void)arg;
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	pattern_fill(payload, BYTES, shmb_queue_next_number(producer), 1);
	return (void *)(intptr_t)shmb_queue_push(producer, payload);
}

static void join(pthread_t thread)
{
	void *result;

	ck_assert_int_eq(pthread_join(thread, &result), 0);
	ck_assert_int_eq((int)(intptr_t)result, 0);
}

START_TEST(queues)
{
	uint64_t payload[BYTES / 8];
	struct shmb_segment_status status;
	struct shmb_sample sample;
	struct shmb *client;
	struct broker b;
	pthread_t thread;
	unsigned salt;
	void *place;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	type = pattern_type(BYTES);
	ck_assert_int_eq(shmb_queue_producer_open(&producer, client, "q", type, &(struct shmb_options){ .key_clock = SHMB_CLOCK_SEQUENCE }),
			 -EINVAL);
	ck_assert_int_eq(shmb_queue_producer_open(&producer, client, "q", type, &(struct shmb_options){ .key_field = "words" }), -EINVAL);
	ck_assert_ptr_null(producer);
	ASSERT_OK(shmb_queue_producer_open(&producer, client, "q", type, &(struct shmb_options){ .capacity = CAPACITY }));
	ASSERT_OK(shmb_queue_consumer_open(&consumer, client, "q", type, SHMB_NO_WAIT));

	/* What is taken back was never there. */
	ASSERT_OK(shmb_queue_claim(producer, &place));
	memset(place, 0xee, BYTES);
	ASSERT_OK(shmb_queue_abort(producer));
	ck_assert_int_eq(shmb_queue_abort(producer), -EPERM);
	ck_assert_int_eq(shmb_queue_pop(consumer, payload, NULL), -ENODATA);
	ck_assert_uint_eq(shmb_queue_next_number(producer), 0);

	ASSERT_OK(shmb_queue_status(consumer, &status));
	ck_assert_uint_eq(status.heartbeat_ns, 0);
	ASSERT_OK(shmb_queue_heartbeat(producer));
	for (uint64_t n = 0; n < CAPACITY; n++) {
		pattern_fill(payload, BYTES, n, 1);
		ASSERT_OK(shmb_queue_push_until(producer, payload, SHMB_FOREVER));
	}
	ASSERT_OK(shmb_queue_pop_until(consumer, payload, &sample, SHMB_FOREVER));
	ASSERT_OK(shmb_queue_status(consumer, &status));
	ck_assert_uint_eq(status.oldest, 1);
	ck_assert_uint_eq(status.next, CAPACITY);
	ck_assert_uint_ne(status.heartbeat_ns, 0);
	ck_assert_int_eq(status.writer_pid, getpid());

	/* Room, and an item, that come while they are waited for; and that do not. */
	pattern_fill(payload, BYTES, CAPACITY, 1);
	ASSERT_OK(shmb_queue_push(producer, payload));
	pattern_fill(payload, BYTES, CAPACITY + 1, 1);
	ck_assert_int_eq(shmb_queue_push_until(producer, payload, shmb_now_ns() + 1000000), -ETIMEDOUT);
	ck_assert_int_eq(pthread_create(&thread, NULL, pop_later, NULL), 0);
	ASSERT_OK(shmb_queue_push_until(producer, payload, SHMB_FOREVER));
	join(thread);
	for (uint64_t n = 2; n < CAPACITY + 2; n++) {
		ASSERT_OK(shmb_queue_pop_until(consumer, payload, &sample, SHMB_NO_WAIT));
		ck_assert_uint_eq(sample.number, n);
		ck_assert(pattern_check(payload, BYTES, n, &salt));
	}
	ck_assert_int_eq(shmb_queue_pop_until(consumer, payload, &sample, shmb_now_ns() + 1000000), -ETIMEDOUT);
	ck_assert_int_eq(pthread_create(&thread, NULL, push_later, NULL), 0);
	ASSERT_OK(shmb_queue_pop_until(consumer, payload, &sample, SHMB_FOREVER));
	join(thread);
	ck_assert_uint_eq(sample.number, CAPACITY + 2);

	ck_assert_ptr_null(shmb_queue_producer_close(producer));
	ck_assert_ptr_null(shmb_queue_consumer_close(consumer));
	shmb_type_free(type);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

START_TEST(frames)
{
	struct shmb_frame_writer *writer;
	struct shmb_frame_reader *reader;
	struct shmb_segment_status status;
	struct shmb_frame frame;
	struct shmb *client;
	struct broker b;
	size_t capacity;
	void *payload;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	type = pattern_type(BYTES);
	ASSERT_OK(shmb_frame_writer_open(&writer, client, "f", type, &(struct shmb_frame_options){ .history = 2 }));
	ASSERT_OK(shmb_frame_observe(&reader, client, "f"));
	ASSERT_OK(shmb_frame_status(reader, &status));
	ck_assert_uint_eq(status.oldest, status.next);
	for (unsigned n = 0; n < 3; n++) {
		ASSERT_OK(shmb_frame_loan(writer, &payload, &capacity));
		pattern_fill(payload, BYTES, n, 1);
		ASSERT_OK(shmb_frame_commit(writer, BYTES));
	}
	ASSERT_OK(shmb_frame_heartbeat(writer));
	ASSERT_OK(shmb_frame_status(reader, &status));
	ck_assert_uint_eq(status.oldest, 1);
	ck_assert_uint_eq(status.next, 3);
	ck_assert_uint_ne(status.heartbeat_ns, 0);
	ck_assert_int_eq(status.writer_pid, getpid());
	/* An observer has no cell to pin with. */
	ck_assert_int_eq(shmb_frame_pin_newest(reader, &frame), -EUSERS);
	shmb_frame_reader_close(reader);
	shmb_frame_writer_close(writer);
	shmb_type_free(type);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Keys: the stamp as one, none without a type, none of a value; and a layout taken from what is not there. */
START_TEST(options_of_keys)
{
	struct shmb_ring_writer *ring;
	struct shmb_value_writer *value;
	struct shmb_ring_reader *reader;
	struct shmb_key_monotonic key, later;
	struct shmb_rule_monotonic any = shmb_rule_range_monotonic(0, UINT64_MAX);
	uint64_t payload[BYTES / 8] = { 0 };
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	type = pattern_type(BYTES);
	ck_assert_int_eq(shmb_value_writer_open(&value, client, "v", type, &(struct shmb_options){ .key_clock = SHMB_CLOCK_SEQUENCE }),
			 -EINVAL);
	ck_assert_int_eq(shmb_value_writer_open(&value, client, "v", type, &(struct shmb_options){ .key_field = "words" }), -EINVAL);
	ck_assert_int_eq(shmb_ring_writer_open(&ring, client, "r", NULL,
					       &(struct shmb_options){ .key_clock = SHMB_CLOCK_SEQUENCE, .key_field = "words" }),
			 -EINVAL);
	ck_assert_int_eq(shmb_ring_writer_open(&ring, client, "r", type, &(struct shmb_options){ .key_clock = SHMB_CLOCK_MONOTONIC }),
			 -EINVAL);
	ck_assert_int_eq(
		shmb_ring_writer_open(&ring, client, "r", type, &(struct shmb_options){ .key_clock = SHMB_CLOCK_SEQUENCE, .stamped = 1 }),
		-EINVAL);
	ck_assert_int_eq(shmb_ring_writer_open(&ring, client, "r", type, &(struct shmb_options){ .capacity = SHMB_AS_IT_IS }), -ENOENT);
	ck_assert_uint_eq(segments_count(client), 0);

	ASSERT_OK(shmb_ring_writer_open(&ring, client, "r", type,
					&(struct shmb_options){ .key_clock = SHMB_CLOCK_MONOTONIC, .stamped = 1, .capacity = 8 }));
	reader = ring_reader(client, "r");
	for (unsigned i = 0; i < 3; i++)
		ASSERT_OK(shmb_ring_insert(ring, payload));
	ck_assert_int_eq(shmb_ring_clock(reader), SHMB_CLOCK_MONOTONIC);
	ASSERT_OK(shmb_ring_key_monotonic(reader, 1, &key));
	ck_assert_uint_ne(shmb_key_value(key), 0);
	ASSERT_OK(shmb_key_make(&later, shmb_key_value(key), &any));
	ASSERT_OK(shmb_ring_closest(reader, later, 0, payload, NULL));
	shmb_ring_writer_close(ring);
	/* The next one takes it as it is. */
	ASSERT_OK(shmb_ring_writer_open(&ring, client, "r", type, &(struct shmb_options){ .capacity = SHMB_AS_IT_IS }));
	ASSERT_OK(shmb_ring_insert(ring, payload));
	ASSERT_OK(shmb_ring_key_monotonic(reader, 3, &later));
	ck_assert_uint_ge(shmb_key_value(later), shmb_key_value(key));
	shmb_ring_reader_close(reader);
	shmb_ring_writer_close(ring);
	shmb_type_free(type);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* What each handle has done is counted, each kind's with its own function. */
START_TEST(counters)
{
	struct shmb_queue_producer *pushes;
	struct shmb_queue_consumer *pops;
	struct shmb_frame_writer *frame_writer;
	struct shmb_frame_reader *frame_reader;
	struct shmb_value_writer *stores;
	struct shmb_value_reader *loads;
	struct shmb_counters counted;
	struct shmb_frame frame;
	uint64_t payload[BYTES / 8];
	struct shmb *client;
	struct broker b;
	size_t capacity;
	void *place;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	type = pattern_type(BYTES);

	stores = value_writer(client, "v", BYTES);
	loads = value_reader(client, "v");
	value_write(stores, BYTES, 5, 1);
	value_latest(loads, 4, 4);
	ASSERT_OK(shmb_value_writer_counters(stores, &counted));
	ck_assert_uint_eq(counted.published, 5);
	ASSERT_OK(shmb_value_counters(loads, &counted));
	ck_assert_uint_eq(counted.read, 1);
	ck_assert_uint_eq(counted.lapped, 4);
	shmb_value_reader_close(loads);
	shmb_value_writer_close(stores);

	ASSERT_OK(shmb_frame_writer_open(&frame_writer, client, "f", type, &(struct shmb_frame_options){ .history = 2 }));
	ASSERT_OK(shmb_frame_reader_open(&frame_reader, client, "f", NULL, SHMB_NO_WAIT));
	for (unsigned n = 0; n < 3; n++) {
		ASSERT_OK(shmb_frame_loan(frame_writer, &place, &capacity));
		pattern_fill(place, BYTES, n, 1);
		ASSERT_OK(shmb_frame_commit(frame_writer, BYTES));
	}
	ASSERT_OK(shmb_frame_pin_newest(frame_reader, &frame));
	ASSERT_OK(shmb_frame_release(frame_reader, &frame));
	ASSERT_OK(shmb_frame_writer_counters(frame_writer, &counted));
	ck_assert_uint_eq(counted.published, 3);
	ASSERT_OK(shmb_frame_counters(frame_reader, &counted));
	ck_assert_uint_eq(counted.read, 1);
	shmb_frame_reader_close(frame_reader);
	shmb_frame_writer_close(frame_writer);

	ASSERT_OK(shmb_queue_producer_open(&pushes, client, "q", type, &(struct shmb_options){ .capacity = 2 }));
	ASSERT_OK(shmb_queue_consumer_open(&pops, client, "q", NULL, SHMB_NO_WAIT));
	for (uint64_t n = 0; n < 2; n++) {
		pattern_fill(payload, BYTES, n, 1);
		ASSERT_OK(shmb_queue_push(pushes, payload));
	}
	ck_assert_int_eq(shmb_queue_wait_room(pushes, deadline_in(200)), -ETIMEDOUT);
	ASSERT_OK(shmb_queue_producer_counters(pushes, &counted));
	ck_assert_uint_eq(counted.published, 2);
	ck_assert_uint_ge(counted.waited, 1);
	ASSERT_OK(shmb_queue_pop(pops, payload, NULL));
	ASSERT_OK(shmb_queue_counters(pops, &counted));
	ck_assert_uint_eq(counted.read, 1);
	shmb_queue_consumer_close(pops);
	shmb_queue_producer_close(pushes);

	ck_assert_int_eq(shmb_gc(client, ~0u, NULL, NULL), -EINVAL);
	shmb_type_free(type);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Every code with a meaning of its own has a sentence of its own; the others have the system's. */
START_TEST(codes)
{
	static const int own[] = { EAGAIN,  EBADF,	EBUSY, EDOM,	   ECANCELED, EEXIST, EREMCHG,	 EHOSTDOWN, EMEDIUMTYPE,
				   ENODATA, EOWNERDEAD, EPIPE, EPROTOTYPE, ESTALE,    ETIME,  ETIMEDOUT, ENOKEY,    EXDEV };
	enum { COUNT = sizeof(own) / sizeof(own[0]) };

	ck_assert_str_eq(shmb_strerror(0), "ok");
	for (unsigned i = 0; i < COUNT; i++) {
		ck_assert_str_ne(shmb_strerror(-own[i]), strerrordesc_np(own[i]));
		ck_assert_str_eq(shmb_strerror(-own[i]), shmb_strerror(own[i]));
		for (unsigned j = 0; j < i; j++)
			ck_assert_str_ne(shmb_strerror(-own[i]), shmb_strerror(-own[j]));
	}
	ck_assert_str_eq(shmb_strerror(-ENOENT), strerrordesc_np(ENOENT));
	ck_assert_str_eq(shmb_strerror(-99999), "unknown error");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("interface");

	suite_add(suite, queues, 60);
	suite_add(suite, frames, 30);
	suite_add(suite, options_of_keys, 30);
	suite_add(suite, counters, 30);
	suite_add(suite, codes, 10);
	return suite_run(suite);
}
