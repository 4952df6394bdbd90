/* SPDX-License-Identifier: MIT */
/*
 * Keyed frames through the broker and the shared library: what the options may say, what the segment keeps of it, images found by the time of their
 * exposure and by the camera's count, alignment with a ring, and a writer that dies. The searching itself is tests/unit/test_frame_temporal.c.
 */
#include "tests/support/broker.h"
#include "tests/support/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

SHMB_TYPE(scan, (uint64, stamp_ns)(int64, signed_ns)(uint16, count)(uint16, spare)(float32, value)(float64, points, 8));
SHMB_TYPE(imu, (uint64, stamp_ns)(float64, gyro, 3));

#define MS UINT64_C(1000000)

static struct shmb_frame_options keyed(enum shmb_clock clock, const char *field, uint32_t given)
{
	return (struct shmb_frame_options){ .history = 16, .key_clock = clock, .key_field = field, .keys_given = given };
}

static struct shmb_key_monotonic monotonic(uint64_t value)
{
	struct shmb_rule_monotonic any = shmb_rule_range_monotonic(0, UINT64_MAX);
	struct shmb_key_monotonic key;

	ASSERT_OK(shmb_key_make(&key, value, &any));
	return key;
}

static struct shmb_key_sequence sequence(uint64_t value)
{
	struct shmb_rule_sequence any = shmb_rule_range_sequence(0, UINT64_MAX);
	struct shmb_key_sequence key;

	ASSERT_OK(shmb_key_make(&key, value, &any));
	return key;
}

static struct shmb_key_realtime realtime(uint64_t value)
{
	struct shmb_rule_realtime any = shmb_rule_range_realtime(0, UINT64_MAX);
	struct shmb_key_realtime key;

	ASSERT_OK(shmb_key_make(&key, value, &any));
	return key;
}

static struct scan *loan(struct shmb_frame_writer *writer, uint64_t key)
{
	size_t capacity;
	void *payload;

	ASSERT_OK(shmb_frame_loan(writer, &payload, &capacity));
	*(struct scan *)payload = (struct scan){ .stamp_ns = key, .signed_ns = (int64_t)key, .count = (uint16_t)key };
	return payload;
}

static void publish(struct shmb_frame_writer *writer, uint64_t key)
{
	loan(writer, key);
	ASSERT_OK(shmb_frame_commit(writer, sizeof(struct scan)));
}

static void writer_open(struct shmb_frame_writer **writer, struct shmb *client, const char *name, struct shmb_frame_options options)
{
	ASSERT_OK(shmb_frame_writer_open(writer, client, name, &scan_type, &options));
}

START_TEST(each_clock_and_field_finds_its_frames)
{
	struct shmb_frame_writer *writer = NULL;
	struct shmb_frame_reader *reader = NULL;
	struct shmb_bracket_monotonic at;
	struct shmb_found_realtime found;
	struct shmb_frame a, b;
	struct shmb *client;
	struct broker broker;

	broker_start(&broker, NULL);
	client = broker_connect(&broker);

	writer_open(&writer, client, "lidar/a", keyed(SHMB_CLOCK_MONOTONIC, "stamp_ns", 0));
	ASSERT_OK(shmb_frame_reader_open(&reader, client, "lidar/a", &scan_type, SHMB_NO_WAIT));
	ck_assert_int_eq(shmb_frame_clock(reader), SHMB_CLOCK_MONOTONIC);
	for (uint64_t key = 1000; key <= 2000; key += 10)
		publish(writer, key);
	ASSERT_OK(shmb_frame_bracket(reader, monotonic(1954), 10, &a, &b, &at));
	ck_assert_uint_eq(((const struct scan *)a.payload)->stamp_ns, 1950);
	ck_assert_uint_eq(((const struct scan *)b.payload)->stamp_ns, 1960);
	ck_assert_uint_eq(at.before.number, 95);
	ck_assert_double_eq_tol(at.alpha, 0.4, 1e-12);
	ASSERT_OK(shmb_frame_release(reader, &a));
	ASSERT_OK(shmb_frame_release(reader, &b));
	ASSERT_ERROR(shmb_frame_closest(reader, realtime(1954), 5, &a, NULL), EXDEV);
	reader = shmb_frame_reader_close(reader);
	writer = shmb_frame_writer_close(writer);

	writer_open(&writer, client, "lidar/b", keyed(SHMB_CLOCK_REALTIME, "signed_ns", 0));
	ASSERT_OK(shmb_frame_reader_open(&reader, client, "lidar/b", NULL, SHMB_NO_WAIT));
	for (uint64_t key = 1000; key <= 2000; key += 10)
		publish(writer, key);
	ASSERT_OK(shmb_frame_closest(reader, realtime(1954), 5, &a, &found));
	ck_assert_uint_eq(shmb_key_value(found.key), 1950);
	ck_assert_uint_eq(found.number, a.number);
	ASSERT_OK(shmb_frame_release(reader, &a));
	ASSERT_ERROR(shmb_frame_fresh(reader, realtime(2001), &a, NULL), ETIME);
	loan(writer, 2010)->signed_ns = -5;
	ASSERT_ERROR(shmb_frame_commit(writer, sizeof(struct scan)), ERANGE);
	ASSERT_OK(shmb_frame_abort(writer));
	reader = shmb_frame_reader_close(reader);
	writer = shmb_frame_writer_close(writer);

	writer_open(&writer, client, "lidar/c", keyed(SHMB_CLOCK_SEQUENCE, NULL, 1));
	ASSERT_OK(shmb_frame_reader_open(&reader, client, "lidar/c", NULL, SHMB_NO_WAIT));
	for (uint64_t key = 70000; key < 70010; key++) {
		loan(writer, 0);
		ASSERT_OK(shmb_frame_commit_at(writer, 3, sequence(key)));
	}
	loan(writer, 0);
	ASSERT_ERROR(shmb_frame_commit(writer, 3), ENOKEY);
	ASSERT_ERROR(shmb_frame_commit_at(writer, 3, monotonic(80000)), EXDEV);
	ASSERT_ERROR(shmb_frame_commit_at(writer, 3, sequence(70008)), EDOM);
	ASSERT_OK(shmb_frame_closest(reader, sequence(70004), 0, &a, NULL));
	ck_assert_uint_eq(a.number, 4);
	ASSERT_OK(shmb_frame_release(reader, &a));
	shmb_frame_reader_close(reader);
	shmb_frame_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&broker);
}
END_TEST

START_TEST(options_that_cannot_be_are_refused)
{
	struct shmb_frame_options wrong[] = {
		keyed(SHMB_CLOCK_MONOTONIC, NULL, 0),	       /* not stamped */
		keyed(SHMB_CLOCK_REALTIME, NULL, 0),	       /* the stamp is monotonic */
		keyed(SHMB_CLOCK_NONE, "stamp_ns", 0),	       /* of which clock? */
		keyed(SHMB_CLOCK_NONE, NULL, 1),	       /* likewise */
		keyed(SHMB_CLOCK_MONOTONIC, "stamp_ns", 1),    /* one or the other */
		keyed(SHMB_CLOCK_MONOTONIC, "value", 0),       /* no integer */
		keyed(SHMB_CLOCK_MONOTONIC, "points", 0),      /* no scalar */
		keyed(SHMB_CLOCK_MONOTONIC, "nonexistent", 0), /* not there */
		keyed((enum shmb_clock)7, "stamp_ns", 0),
	};
	struct shmb_frame_options first = keyed(SHMB_CLOCK_MONOTONIC, "stamp_ns", 0);
	struct shmb_frame_options others[] = { keyed(SHMB_CLOCK_NONE, NULL, 0), keyed(SHMB_CLOCK_REALTIME, "stamp_ns", 0),
					       keyed(SHMB_CLOCK_MONOTONIC, "signed_ns", 0), keyed(SHMB_CLOCK_MONOTONIC, NULL, 1) };
	struct shmb_frame_writer *other = NULL;
	struct shmb_frame_writer *writer = NULL;
	struct shmb *client;
	struct broker broker;

	broker_start(&broker, NULL);
	client = broker_connect(&broker);
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		ASSERT_ERROR(shmb_frame_writer_open(&writer, client, "lidar", &scan_type, &wrong[i]), EINVAL);
		ck_assert_ptr_null(writer);
	}
	ck_assert_uint_eq(segments_count(client), 0);
	/* and one that is written keeps its key */
	writer_open(&writer, client, "lidar", first);
	publish(writer, 1);
	for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		ASSERT_ERROR(shmb_frame_writer_open(&other, client, "lidar", &scan_type, &others[i]), EEXIST);
	shmb_frame_writer_close(writer);
	writer_open(&writer, client, "lidar", first);
	shmb_frame_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&broker);
}
END_TEST

/* Images: by the time of their exposure in one segment, by the camera's count in another. */
START_TEST(images_by_stamp_and_frame_number)
{
	struct shmb_frame_writer *by_stamp = NULL, *by_number = NULL;
	struct shmb_frame_reader *stamps = NULL, *numbers = NULL;
	struct shmb_image_layout layout, seen;
	struct shmb_found_sequence counted;
	struct shmb_found_realtime found;
	struct shmb_type *type = NULL;
	struct shmb_frame frame;
	struct shmb *client;
	struct broker broker;

	broker_start(&broker, NULL);
	client = broker_connect(&broker);
	ASSERT_OK(shmb_image_layout(&layout, 64, 48, 0, SHMB_IMAGE_BAYER_RGGB8));
	ASSERT_OK(shmb_image_type(&type, &layout));
	ASSERT_OK(shmb_frame_writer_open(
		&by_stamp, client, "camera/a", type,
		&(struct shmb_frame_options){ .history = 8, .stamped = 1, .key_clock = SHMB_CLOCK_REALTIME, .key_field = "stamp_ns" }));
	ASSERT_OK(shmb_frame_writer_open(
		&by_number, client, "camera/b", type,
		&(struct shmb_frame_options){ .history = 8, .key_clock = SHMB_CLOCK_SEQUENCE, .key_field = "number" }));
	ASSERT_OK(shmb_frame_reader_open(&stamps, client, "camera/a", type, SHMB_NO_WAIT));
	ASSERT_OK(shmb_frame_reader_open(&numbers, client, "camera/b", type, SHMB_NO_WAIT));
	for (uint64_t i = 0; i < 20; i++) {
		struct shmb_frame_writer *writers[2] = { by_stamp, by_number };

		for (int w = 0; w < 2; w++) {
			size_t capacity;
			void *payload;

			ASSERT_OK(shmb_frame_loan(writers[w], &payload, &capacity));
			memset(shmb_image_data(shmb_image_init(payload, &layout, 500 + 2 * i, 1000 * MS + 33 * MS * i)), (int)i,
			       layout.data_bytes);
			ASSERT_OK(shmb_frame_commit(writers[w], layout.payload_bytes));
		}
	}
	ASSERT_OK(shmb_frame_closest(stamps, realtime(1000 * MS + 33 * MS * 15 + 4 * MS), 10 * MS, &frame, &found));
	ck_assert_uint_eq(frame.number, 15);
	ck_assert(found.stamp_ns != 0 && found.stamp_ns != shmb_key_value(found.key)); /* the commit's and the exposure's */
	ASSERT_OK(shmb_image_check(frame.payload, frame.length, &seen));
	ck_assert_uint_eq(shmb_image_pixels(frame.payload)[0], 15);
	ASSERT_OK(shmb_frame_release(stamps, &frame));
	ASSERT_OK(shmb_frame_closest(numbers, sequence(530), 0, &frame, &counted));
	ck_assert_uint_eq(frame.number, 15);
	ck_assert_uint_eq(((const struct shmb_image *)frame.payload)->number, 530);
	ASSERT_OK(shmb_frame_release(numbers, &frame));
	ASSERT_ERROR(shmb_frame_closest(numbers, sequence(531), 0, &frame, NULL), ERANGE); /* the camera skipped it */
	/* a reader without a cell finds and loads */
	shmb_frame_reader_close(numbers);
	ASSERT_OK(shmb_frame_observe(&numbers, client, "camera/b"));
	ASSERT_ERROR(shmb_frame_closest(numbers, sequence(530), 0, &frame, NULL), EUSERS);
	ASSERT_OK(shmb_frame_closest(numbers, sequence(530), 0, NULL, &counted));
	{
		void *copy = malloc(layout.payload_bytes);

		ASSERT_OK(shmb_frame_load_number(numbers, counted.number, copy, layout.payload_bytes, &frame));
		ck_assert_uint_eq(((struct shmb_image *)copy)->number, 530);
		free(copy);
	}
	shmb_frame_reader_close(numbers);
	shmb_frame_reader_close(stamps);
	shmb_frame_writer_close(by_number);
	shmb_frame_writer_close(by_stamp);
	shmb_type_free(type);
	shmb_disconnect(client);
	broker_finish(&broker);
}
END_TEST

/* A camera at 20 Hz and an IMU at 200 Hz: for each image the two samples around it, in one call. */
START_TEST(join_of_a_frame_and_a_ring)
{
	struct shmb_frame_writer *camera = NULL;
	struct shmb_frame_reader *frames = NULL;
	struct shmb_ring_writer *imu = NULL;
	struct shmb_ring_reader *samples = NULL;
	struct shmb_frame_options options = keyed(SHMB_CLOCK_MONOTONIC, "stamp_ns", 0);
	struct shmb_options ring = { .capacity = 64, .key_clock = SHMB_CLOCK_MONOTONIC, .key_field = "stamp_ns" };
	struct imu before, after;
	struct shmb_frame frame;
	struct shmb_join_part_monotonic parts[2];
	struct shmb *client;
	struct broker broker;
	size_t failed;

	broker_start(&broker, NULL);
	client = broker_connect(&broker);
	ASSERT_OK(shmb_frame_writer_open(&camera, client, "camera", &scan_type, &options));
	ASSERT_OK(shmb_ring_writer_open(&imu, client, "imu", &imu_type, &ring));
	ASSERT_OK(shmb_frame_reader_open(&frames, client, "camera", NULL, SHMB_NO_WAIT));
	ASSERT_OK(shmb_ring_reader_open(&samples, client, "imu", NULL, SHMB_NO_WAIT));
	for (uint64_t t = 1000; t <= 1300; t += 5) {
		struct imu sample = { .stamp_ns = t * MS + 2 * MS };

		ASSERT_OK(shmb_ring_insert(imu, &sample));
		if (t % 50 == 0)
			publish(camera, t * MS);
	}
	for (uint64_t t = 1050; t <= 1300; t += 50) {
		parts[0] = (struct shmb_join_part_monotonic){ .frames = frames, .max_distance = 0, .frame = &frame };
		parts[1] = (struct shmb_join_part_monotonic){
			.reader = samples, .how = SHMB_JOIN_BRACKET, .max_distance = 5 * MS, .payload = &before, .payload_after = &after
		};
		ASSERT_OK(shmb_join(parts, 2, monotonic(t * MS), &failed));
		ck_assert_uint_eq(((const struct scan *)frame.payload)->stamp_ns, t * MS);
		ck_assert_uint_eq(before.stamp_ns, (t - 3) * MS);
		ck_assert_uint_eq(after.stamp_ns, (t + 2) * MS);
		ck_assert_double_eq_tol(parts[1].found.alpha, 0.6, 1e-9);
		ASSERT_OK(shmb_frame_release(frames, &frame));
	}
	/* no sample that near: the frame that was found before is not held */
	parts[1].max_distance = 1 * MS;
	for (int i = 0; i < 2 * SHMB_FRAME_PINS; i++) {
		ASSERT_ERROR(shmb_join(parts, 2, monotonic(1300 * MS), &failed), ERANGE);
		ck_assert_uint_eq(failed, 1);
	}
	shmb_frame_reader_close(frames);
	shmb_ring_reader_close(samples);
	shmb_frame_writer_close(camera);
	shmb_ring_writer_close(imu);
	shmb_disconnect(client);
	broker_finish(&broker);
}
END_TEST

/* The dead writer's frames can be pinned by number, and no query of the next writer's keys finds them. */
START_TEST(a_dead_writers_keys_are_not_mixed_with_its_successors)
{
	struct shmb_frame_options options = keyed(SHMB_CLOCK_MONOTONIC, "stamp_ns", 0);
	struct shmb_frame_writer *writer = NULL;
	struct shmb_frame_reader *reader = NULL;
	struct shmb_found_monotonic found;
	struct shmb_frame frame;
	struct shmb *client;
	struct broker broker;
	pid_t child;

	broker_start(&broker, NULL);
	client = broker_connect(&broker);
	child = fork();
	if (child == 0) {
		struct shmb *own = broker_connect(&broker);

		writer_open(&writer, own, "lidar", options);
		for (uint64_t key = 5000; key < 5005; key++)
			publish(writer, key);
		loan(writer, 5005);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	wait_writer(client, "lidar", SHMB_WRITER_IS_DEAD);
	ASSERT_OK(shmb_frame_reader_open(&reader, client, "lidar", NULL, SHMB_NO_WAIT));
	ASSERT_OK(shmb_frame_closest(reader, monotonic(5002), 0, &frame, NULL));
	ASSERT_OK(shmb_frame_release(reader, &frame));
	writer_open(&writer, client, "lidar", options);
	ASSERT_ERROR(shmb_frame_closest(reader, monotonic(5002), 0, &frame, NULL), ENODATA);
	publish(writer, 100); /* its clock is another: it need not go on */
	ASSERT_OK(shmb_frame_closest(reader, monotonic(5002), SHMB_ANY_DISTANCE, &frame, &found));
	ck_assert_uint_eq(found.number, 5);
	ck_assert_uint_eq(shmb_key_value(found.key), 100);
	ASSERT_OK(shmb_frame_release(reader, &frame));
	ASSERT_OK(shmb_frame_pin_number(reader, 2, &frame));
	ck_assert_uint_eq(((const struct scan *)frame.payload)->stamp_ns, 5002);
	ASSERT_OK(shmb_frame_release(reader, &frame));
	shmb_frame_reader_close(reader);
	shmb_frame_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&broker);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("frame_keys");

	suite_add(suite, each_clock_and_field_finds_its_frames, 60);
	suite_add(suite, options_that_cannot_be_are_refused, 60);
	suite_add(suite, images_by_stamp_and_frame_number, 60);
	suite_add(suite, join_of_a_frame_and_a_ring, 60);
	suite_add(suite, a_dead_writers_keys_are_not_mixed_with_its_successors, 60);
	return suite_run(suite);
}
