/* SPDX-License-Identifier: MIT */
/*
 * Frames between processes: a writer killed at each step, readers killed and stopped while they hold frames, a daemon that goes away, and a race of
 * all against all.
 */
#include "../support/client.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* `committed`: a reader may see the frame; from there on it must survive its writer. */
static const struct {
	const char *name;
	bool committed;
} steps[] = {
	{ "frame.loaned", false }, { "frame.claimed", false },	{ "frame.filled", false }, { "frame.slot", false },
	{ "frame.entry", false },  { "frame.published", true }, { "frame.counted", true },
};
enum { STEPS = sizeof(steps) / sizeof(steps[0]) };

static struct shmb_frame_reader *frame_reader(struct shmb *client, const char *name)
{
	struct shmb_frame_reader *reader;

	ASSERT_OK(shmb_frame_reader_open(&reader, client, name, NULL, SHMB_NO_WAIT));
	return reader;
}

/* The frame holds the pattern of its number, whole; returns the salt of its writer. */
static unsigned check(const struct shmb_frame *frame, uint64_t number)
{
	unsigned salt = 0;

	ck_assert_uint_eq(frame->number, number);
	ck_assert_msg(pattern_check(frame->payload, frame->length, number, &salt), "frame %llu is torn", (unsigned long long)number);
	return salt;
}

static struct shmb_frame pin_newest(struct shmb_frame_reader *reader, uint64_t number, unsigned salt)
{
	struct shmb_frame frame;

	ASSERT_OK(shmb_frame_pin_newest(reader, &frame));
	ck_assert_uint_eq(check(&frame, number), salt);
	return frame;
}

static void look_at_newest(struct shmb_frame_reader *reader, uint64_t number, unsigned salt)
{
	struct shmb_frame frame = pin_newest(reader, number, salt);

	ASSERT_OK(shmb_frame_release(reader, &frame));
}

static void killed_at(struct broker *b, struct shmb *client, unsigned step, size_t bytes)
{
	uint64_t next = steps[step].committed ? 4 : 3;
	struct shmb_frame_reader *reader;
	struct shmb_frame held;
	struct program first;
	struct program second;
	char name[64];

	snprintf(name, sizeof(name), "%s/%zu", steps[step].name, bytes);
	worker_start(&first, b, "first", true);
	worker_must(&first, "frame-writer name=%s bytes=%zu history=3 pins=2 salt=1", name, bytes);
	worker_must(&first, "frame-write n=3");
	reader = frame_reader(client, name);
	held = pin_newest(reader, 2, 1);
	worker_must(&first, "step at=%s do=kill", steps[step].name);
	program_send(&first, "frame-write n=1");
	ck_assert_msg(program_wait(&first) == -SIGKILL, "the writer never came to %s", steps[step].name);

	if (next == 4)
		ASSERT_OK(shmb_frame_wait(reader, deadline_in(SUITE_PATIENCE_MS)));
	look_at_newest(reader, next - 1, 1);
	ASSERT_ERROR(shmb_frame_wait(reader, deadline_in(SUITE_PATIENCE_MS)), EOWNERDEAD);
	look_at_newest(reader, next - 1, 1);

	/* The next one goes on with the number after, and leaves what is held alone. */
	worker_start(&second, b, "second", false);
	ck_assert_uint_eq(worker_must(&second, "frame-writer name=%s bytes=%zu history=3 pins=2 salt=2", name, bytes).v[0], next);
	look_at_newest(reader, next - 1, 1);
	for (uint64_t n = next; n < next + 40; n++) {
		worker_must(&second, "frame-write n=1");
		ASSERT_OK(shmb_frame_wait(reader, deadline_in(SUITE_PATIENCE_MS)));
		look_at_newest(reader, n, 2);
		ck_assert_uint_eq(check(&held, 2), 1);
	}
	ASSERT_OK(shmb_frame_release(reader, &held));
	shmb_frame_reader_close(reader);
	worker_quit(&second);
}

START_TEST(writer_killed_at_each_step)
{
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	for (unsigned step = 0; step < STEPS; step++) {
		killed_at(&b, client, step, 64);
		killed_at(&b, client, step, 10000);
	}
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* The list above is the list in the sources: a new hook must be tested here. */
START_TEST(every_step_is_known)
{
	char path[1024];
	unsigned found = 0;
	char *text;

	snprintf(path, sizeof(path), "%s/libclient/frame_write.c", path_source());
	text = file_read(path, NULL);
	for (const char *at = text; (at = strstr(at, "SHMB_STEP(\"")) != NULL; at++) {
		unsigned known = 0;

		for (unsigned step = 0; step < STEPS; step++)
			known += strncmp(at + 11, steps[step].name, strlen(steps[step].name)) == 0;
		ck_assert_msg(known == 1, "an unknown step: %.30s", at);
		found++;
	}
	ck_assert_uint_eq(found, STEPS);
	free(text);
}
END_TEST

/* A reader dies with all spare slots in its hands: its pins are free again, once, and those of others stay. */
START_TEST(pins_of_a_dead_reader)
{
	struct shmb_frame_reader *reader;
	struct shmb_frame held;
	struct program writer;
	struct program holder;
	struct shmb *client;
	struct answer refused;
	char text[64];
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	worker_start(&writer, &b, "writer", false);
	worker_must(&writer, "frame-writer name=camera bytes=8192 history=2 pins=4 salt=1");
	worker_must(&writer, "frame-write n=1");
	for (unsigned life = 0; life < 5; life++) {
		uint64_t next = worker_must(&writer, "frame-write n=1").v[0];

		reader = frame_reader(client, "camera");
		held = pin_newest(reader, next - 1, 1);
		worker_start(&holder, &b, "holder", false);
		worker_must(&holder, "frame-reader name=camera");
		for (unsigned i = 0; i < 4; i++) {
			worker_must(&writer, "frame-write n=1");
			ck_assert_uint_eq(worker_must(&holder, "frame-pin").v[0], next + i);
		}
		worker_must(&writer, "frame-write n=2");
		refused = worker_ask(&writer, "frame-write n=1");
		ASSERT_RESULT(refused, -ENOBUFS);
		snprintf(text, sizeof(text), "pid %d holds %llu", holder.pid, (unsigned long long)next);
		ck_assert_msg(strstr(refused.text, text) != NULL, "'%s' lacks '%s'", refused.text, text);
		snprintf(text, sizeof(text), "pid %d holds %llu", getpid(), (unsigned long long)next - 1);
		ck_assert_msg(strstr(refused.text, text) != NULL, "'%s' lacks '%s'", refused.text, text);
		ck_assert_uint_eq(worker_must(&holder, "frame-check").v[1], 0);
		program_kill(&holder);
		WAIT_UNTIL(worker_ask(&writer, "frame-write n=1").result == 0);
		worker_must(&writer, "frame-write n=100");
		ck_assert_uint_eq(check(&held, next - 1), 1);
		ASSERT_OK(shmb_frame_release(reader, &held));
		ASSERT_ERROR(shmb_frame_release(reader, &held), EINVAL);
		shmb_frame_reader_close(reader);
	}
	worker_quit(&writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Killed, or stopped for many laps, between the store of the pin and the look that makes it good. */
START_TEST(reader_at_each_step_of_a_pin)
{
	static const char *const at[] = { "pin.stored", "pin.checked" };
	struct program writer;
	struct program reader;
	struct shmb *client;
	struct answer got;
	struct broker b;
	uint64_t next;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	worker_start(&writer, &b, "writer", false);
	worker_must(&writer, "frame-writer name=camera bytes=8192 history=1 pins=1 salt=1");
	worker_must(&writer, "frame-write n=2");
	for (unsigned i = 0; i < 4; i++) {
		worker_start(&reader, &b, "reader", true);
		worker_must(&reader, "frame-reader name=camera");
		worker_must(&reader, "step at=%s do=%s", at[i % 2], i < 2 ? "kill" : "stop");
		program_send(&reader, "frame-pin");
		if (i < 2) {
			ck_assert_int_eq(program_wait(&reader), -SIGKILL);
			WAIT_UNTIL(worker_ask(&writer, "frame-write n=1").result == 0);
			next = worker_must(&writer, "frame-write n=50").v[0];
			continue;
		}
		program_wait_stopped(&reader);
		next = worker_must(&writer, "frame-write n=50").v[0];
		program_signal(&reader, SIGCONT);
		got = worker_answer(&reader);
		ASSERT_RESULT(got, 0);
		ck_assert_uint_eq(got.v[2], 0);
		/* Before the look it came too late and took the newest instead; after it, it has held on all the while. */
		ck_assert_uint_eq(got.v[0], i % 2 == 0 ? next - 1 : next - 51);
		worker_must(&writer, "frame-write n=50");
		ck_assert_uint_eq(worker_must(&reader, "frame-check").v[1], 0);
		ck_assert_uint_eq(worker_must(&reader, "frame-release").v[0], 0);
		worker_must(&reader, "frame-close");
		worker_quit(&reader);
	}
	worker_quit(&writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* The daemon is killed, and another one comes: what is held stays held, loans and pins go on all the while. */
START_TEST(daemon_restart)
{
	struct shmb_frame_reader *reader;
	struct shmb_frame held;
	struct program writer;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	worker_start(&writer, &b, "writer", false);
	worker_must(&writer, "frame-writer name=camera bytes=8192 history=2 pins=1 salt=1");
	worker_must(&writer, "frame-write n=1");
	reader = frame_reader(client, "camera");
	held = pin_newest(reader, 0, 1);
	broker_kill(&b);
	worker_must(&writer, "frame-write n=20");
	look_at_newest(reader, 20, 1);
	broker_restart(&b);
	worker_must(&writer, "frame-write n=20");
	ck_assert_uint_eq(segments_count(client), 1);
	worker_must(&writer, "frame-write n=20");
	look_at_newest(reader, 60, 1);
	ck_assert_uint_eq(check(&held, 0), 1);
	ASSERT_OK(shmb_frame_release(reader, &held));
	shmb_frame_reader_close(reader);
	worker_quit(&writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

START_TEST(bad_input)
{
	struct shmb_type *type = pattern_type(64);
	struct shmb_frame_options options = { 0 };
	struct shmb_frame_writer *writer;
	struct shmb_frame_writer *other;
	struct shmb_frame_reader *reader;
	struct shmb_ring_reader *ring;
	struct shmb_frame frame;
	struct shmb *client;
	char buffer[64];
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	options.history = 4097;
	ASSERT_ERROR(shmb_frame_writer_open(&writer, client, "f", type, &options), EINVAL);
	options = (struct shmb_frame_options){ .pins = 1025 };
	ASSERT_ERROR(shmb_frame_writer_open(&writer, client, "f", type, &options), EINVAL);
	ASSERT_ERROR(shmb_frame_writer_open(&writer, client, "f", NULL, NULL), EINVAL);
	ASSERT_ERROR(shmb_frame_reader_open(&reader, client, "f", NULL, SHMB_NO_WAIT), ENOENT);
	ASSERT_OK(shmb_frame_writer_open(&writer, client, "f", type, NULL));
	ASSERT_ERROR(shmb_frame_writer_open(&other, client, "f", type, NULL), EBUSY);
	ASSERT_ERROR(shmb_ring_reader_open(&ring, client, "f", NULL, SHMB_NO_WAIT), EMEDIUMTYPE);
	ASSERT_OK(shmb_frame_observe(&reader, client, "f"));
	ASSERT_ERROR(shmb_frame_load_newest(reader, buffer, sizeof(buffer), &frame), ENODATA);
	ASSERT_ERROR(shmb_frame_load_newest(reader, NULL, 0, &frame), EINVAL);
	ASSERT_OK(shmb_frame_heartbeat(writer));
	{
		size_t capacity;
		void *payload;

		ASSERT_OK(shmb_frame_loan(writer, &payload, &capacity));
		ck_assert_uint_eq(capacity, 64);
		memset(payload, 7, 64);
		ASSERT_OK(shmb_frame_commit(writer, 10));
	}
	/* Unseen readers cannot pin, and can read. */
	ASSERT_ERROR(shmb_frame_pin_newest(reader, &frame), EUSERS);
	ASSERT_ERROR(shmb_frame_load_newest(reader, buffer, 9, &frame), EMSGSIZE);
	ASSERT_OK(shmb_frame_load_newest(reader, buffer, sizeof(buffer), &frame));
	ck_assert(frame.length == 10 && buffer[0] == 7 && buffer[9] == 7);
	shmb_frame_reader_close(reader);
	options = (struct shmb_frame_options){ .history = 5 };
	ASSERT_ERROR(shmb_frame_writer_open(&other, client, "f", type, &options), EEXIST);
	shmb_frame_writer_close(writer);
	shmb_type_free(type);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* The size that floating point gets wrong, through shared memory to its last byte. */
START_TEST(defect_M1_image_of_5001_x_4001)
{
	struct shmb_frame_options options = { .history = 1, .pins = 1 };
	struct shmb_image_layout layout;
	struct shmb_image_layout found;
	struct shmb_frame_writer *writer;
	struct shmb_frame_reader *reader;
	struct shmb_frame frame;
	struct shmb_type *type;
	struct shmb *client;
	struct broker b;
	size_t capacity;
	void *payload;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	ASSERT_OK(shmb_image_layout(&layout, 5001, 4001, 0, SHMB_IMAGE_RGB8));
	ASSERT_OK(shmb_image_type(&type, &layout));
	ASSERT_OK(shmb_frame_writer_open(&writer, client, "camera", type, &options));
	ASSERT_OK(shmb_frame_reader_open(&reader, client, "camera", type, SHMB_NO_WAIT));
	ASSERT_OK(shmb_frame_loan(writer, &payload, &capacity));
	ck_assert_uint_ge(capacity, SHMB_IMAGE_HEADER + UINT64_C(60027003));
	memset(shmb_image_data(shmb_image_init(payload, &layout, 1, 0)), 0x5a, layout.data_bytes);
	ASSERT_OK(shmb_frame_commit(writer, layout.payload_bytes));
	ASSERT_OK(shmb_frame_pin_newest(reader, &frame));
	ASSERT_OK(shmb_image_check(frame.payload, frame.length, &found));
	ck_assert_uint_eq(found.data_bytes, 60027003);
	ck_assert_uint_eq(shmb_image_pixels(frame.payload)[found.data_bytes - 1], 0x5a);
	ASSERT_OK(shmb_frame_release(reader, &frame));
	shmb_frame_reader_close(reader);
	shmb_frame_writer_close(writer);
	shmb_type_free(type);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* A writer at full speed, readers that hold what they pin for random times: every byte of every frame is its own. */
START_TEST(race)
{
	struct program writer;
	struct program readers[2];
	struct shmb *client;
	struct answer got;
	struct broker b;
	unsigned ms = 3000;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	worker_start(&writer, &b, "writer", false);
	worker_must(&writer, "frame-writer name=camera bytes=20000 history=2 pins=13 salt=1");
	worker_must(&writer, "frame-write n=1");
	for (unsigned i = 0; i < 2; i++) {
		worker_start(&readers[i], &b, "reader", false);
		worker_must(&readers[i], "frame-reader name=camera");
		program_send(&readers[i], "frame-hold ms=%u", ms);
	}
	program_send(&writer, "frame-flood ms=%u", ms);
	for (unsigned i = 0; i < 2; i++) {
		got = worker_answer(&readers[i]);
		ASSERT_RESULT(got, 0);
		printf("reader %u: %llu pinned, %llu torn, %llu stale, %llu backward\n", i, (unsigned long long)got.v[0],
		       (unsigned long long)got.v[1], (unsigned long long)got.v[2], (unsigned long long)got.v[3]);
		ck_assert_uint_gt(got.v[0], 0);
		ck_assert(got.v[1] == 0 && got.v[2] == 0 && got.v[3] == 0);
	}
	got = worker_answer(&writer);
	ASSERT_RESULT(got, 0);
	printf("writer: %llu frames, %llu loans refused\n", (unsigned long long)got.v[0], (unsigned long long)got.v[1]);
	for (unsigned i = 0; i < 2; i++)
		worker_quit(&readers[i]);
	worker_quit(&writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("frame");

	suite_add(suite, every_step_is_known, 30);
	suite_add(suite, writer_killed_at_each_step, 120);
	suite_add(suite, pins_of_a_dead_reader, 60);
	suite_add(suite, reader_at_each_step_of_a_pin, 60);
	suite_add(suite, daemon_restart, 60);
	suite_add(suite, bad_input, 30);
	suite_add(suite, defect_M1_image_of_5001_x_4001, 60);
	suite_add(suite, race, 60);
	return suite_run(suite);
}
