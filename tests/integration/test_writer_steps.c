/* SPDX-License-Identifier: MIT */
/*
 * A writer killed at each step of a write, for every kind and size of payload, with and without a sleeping reader: readers go on with the last
 * value, hear of the death, and the next writer continues with the number after it.
 */
#include "../support/client.h"

#include "proto/layout.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* `committed`: a reader may see the write; from there on it must survive its writer. */
static const struct {
	const char *name;
	bool committed;
	bool needs_sleeper;
} steps[] = {
	{ "slot.before", false, false },   { "slot.claimed", false, false }, { "slot.filled", false, false },
	{ "slot.published", true, false }, { "slot.counted", true, false },  { "slot.waking", true, true },
	{ "slot.woken", true, true },
};
enum { STEPS = sizeof(steps) / sizeof(steps[0]) };

struct scene {
	struct broker *b;
	struct shmb *client;
	bool ring;
	size_t bytes;
	bool sleeper;
	char name[64];
	struct shmb_ring_reader *ring_reader;
	struct shmb_value_reader *value_reader;
};

static unsigned latest(struct scene *scene, uint64_t number)
{
	return scene->ring ? ring_latest(scene->ring_reader, number, -1) : value_latest(scene->value_reader, number, -1);
}

static int wait_reader(struct scene *scene)
{
	uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);

	return scene->ring ? shmb_ring_wait(scene->ring_reader, deadline) : shmb_value_wait(scene->value_reader, deadline);
}

/* The writer is dead; numbers below `next` are there, the newest has been read. */
static void check_reader(struct scene *scene, unsigned salt, uint64_t next)
{
	ASSERT_ERROR(wait_reader(scene), EOWNERDEAD);
	ck_assert_uint_eq(latest(scene, next - 1), salt);
	for (uint64_t n = 0; scene->ring && n < next; n++)
		ck_assert_uint_eq(ring_at(scene->ring_reader, n), salt);
}

/* The id of the slot that belongs to this number, as it lies in memory. */
static uint64_t slot_id(struct scene *scene, uint64_t number)
{
	struct shmb_shm_card card;
	char path[512];
	uint64_t id;
	size_t size;
	char *bytes;
	char file[128];

	snprintf(file, sizeof(file), "%s", scene->name);
	for (char *c = file; *c != '\0'; c++)
		*c = *c == '/' ? '%' : *c;
	snprintf(path, sizeof(path), "%s/%s,1", scene->b->shm, file);
	bytes = file_read(path, &size);
	ck_assert(bytes != NULL && size >= sizeof(card));
	memcpy(&card, bytes, sizeof(card));
	free(bytes);
	snprintf(path, sizeof(path), "%s/%s,1,data", scene->b->shm, file);
	bytes = file_read(path, &size);
	ck_assert(bytes != NULL && size == card.data_bytes);
	memcpy(&id, bytes + card.slot_offset + ((number & (card.slot_count - 1)) << card.slot_shift), sizeof(id));
	free(bytes);
	return id;
}

static void killed_at(struct scene *scene, unsigned step)
{
	const char *kind = scene->ring ? "ring" : "value";
	struct program first;
	struct program second;
	struct program sleeper;
	struct answer opened;
	uint64_t next;

	worker_start(&first, scene->b, "first", true);
	worker_must(&first, "writer name=%s kind=%s bytes=%zu salt=1", scene->name, kind, scene->bytes);
	worker_must(&first, "write n=3");
	if (scene->ring)
		scene->ring_reader = ring_reader(scene->client, scene->name);
	else
		scene->value_reader = value_reader(scene->client, scene->name);
	ck_assert_uint_eq(latest(scene, 2), 1);
	if (scene->sleeper) {
		worker_start(&sleeper, scene->b, "sleeper", false);
		worker_must(&sleeper, "reader name=%s kind=%s bytes=%zu", scene->name, kind, scene->bytes);
		worker_must(&sleeper, "latest");
		program_send(&sleeper, "wait deadline=forever");
		program_wait_asleep(&sleeper);
	}

	worker_must(&first, "step at=%s do=kill", steps[step].name);
	program_send(&first, "write n=1");
	ck_assert_msg(program_wait(&first) == -SIGKILL, "the writer never came to %s", steps[step].name);
	next = steps[step].committed ? 4 : 3;
	ck_assert_uint_eq(latest(scene, next - 1), 1);
	check_reader(scene, 1, next);
	ck_assert_uint_eq(slot_id(scene, 3), next == 4 ? shmb_id_done(3) : 0); /* mended: done, or nothing */
	if (scene->sleeper) {
		if (next == 4) {
			ASSERT_RESULT(worker_answer(&sleeper), 0);
			ck_assert_uint_eq(worker_must(&sleeper, "latest").v[0], 3);
			ASSERT_RESULT(worker_ask(&sleeper, "wait deadline=forever"), -EOWNERDEAD);
		} else {
			ASSERT_RESULT(worker_answer(&sleeper), -EOWNERDEAD);
		}
		program_send(&sleeper, "wait deadline=forever");
	}

	worker_start(&second, scene->b, "second", false);
	opened = worker_must(&second, "writer name=%s kind=%s bytes=%zu salt=2", scene->name, kind, scene->bytes);
	ck_assert_uint_eq(opened.v[0], next);
	ck_assert_uint_eq(latest(scene, next - 1), 1);
	worker_must(&second, "write n=2");
	ASSERT_OK(wait_reader(scene));
	ck_assert_uint_eq(latest(scene, next + 1), 2);
	for (uint64_t n = 0; scene->ring && n < next + 2; n++)
		ck_assert_uint_eq(ring_at(scene->ring_reader, n), n < next ? 1 : 2);
	if (scene->sleeper) {
		ASSERT_RESULT(worker_answer(&sleeper), 0);
		worker_quit(&sleeper);
	}
	worker_quit(&second);
	scene->ring_reader = shmb_ring_reader_close(scene->ring_reader);
	scene->value_reader = shmb_value_reader_close(scene->value_reader);
}

static void killed_at_each(bool ring)
{
	static const size_t sizes[] = { 8, 56, 64, 4096 };
	unsigned forced = 0;
	struct broker b;
	struct scene scene = { .b = &b, .ring = ring };

	broker_start(&b, NULL);
	scene.client = broker_connect(&b);
	for (unsigned step = 0; step < STEPS; step++) {
		for (unsigned size = 0; size < 4; size++) {
			for (unsigned sleeper = 0; sleeper < 2; sleeper++) {
				if (steps[step].needs_sleeper && !sleeper)
					continue;
				scene.bytes = sizes[size];
				scene.sleeper = sleeper;
				snprintf(scene.name, sizeof(scene.name), "%s/%zu/%u", steps[step].name, sizes[size], sleeper);
				killed_at(&scene, step);
				forced++;
			}
		}
	}
	printf("%s: a writer was killed %u times at %u steps\n", ring ? "ring" : "value", forced, (unsigned)STEPS);
	shmb_disconnect(scene.client);
	broker_finish(&b);
}

START_TEST(ring_writer_killed_at_each_step)
{
	killed_at_each(true);
}
END_TEST

START_TEST(value_writer_killed_at_each_step)
{
	killed_at_each(false);
}
END_TEST

/* The list above is the list in the sources: a new hook must be tested here. */
START_TEST(every_step_of_a_write_is_known)
{
	static const char *const files[] = { "slots.c", "slots.h", "ring.c", "value.c", "wait.c", "writer.c" };
	unsigned found = 0;

	for (unsigned i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char path[1024];
		char *text;

		snprintf(path, sizeof(path), "%s/libclient/%s", path_source(), files[i]);
		text = file_read(path, NULL);
		for (const char *at = text; at != NULL && (at = strstr(at, "SHMB_STEP(\"slot.")) != NULL; at++) {
			const char *name = at + strlen("SHMB_STEP(\"");
			unsigned known = 0;

			for (unsigned step = 0; step < STEPS; step++)
				known += strncmp(name, steps[step].name, strlen(steps[step].name)) == 0;
			ck_assert_msg(known == 1, "%s: an unknown step: %.20s", files[i], name);
			found++;
		}
		free(text);
	}
	ck_assert_uint_ge(found, STEPS);
}
END_TEST

/* A writer stopped in mid-write, in a full ring and in a value: readers go on with the last values, at once. */
START_TEST(readers_do_not_wait_for_a_stopped_writer)
{
	struct shmb_value_reader *value;
	struct shmb_ring_reader *ring;
	struct program writer;
	struct shmb *client;
	struct broker b;
	uint64_t oldest;
	uint64_t before;
	uint64_t next;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	for (unsigned step = 1; step < 3; step++) {
		worker_start(&writer, &b, "writer", true);
		worker_must(&writer, "writer name=ring%u bytes=4096 capacity=4 salt=1", step);
		worker_must(&writer, "write n=10");
		ring = ring_reader(client, step == 1 ? "ring1" : "ring2");
		worker_must(&writer, "step at=%s do=stop", steps[step].name);
		program_send(&writer, "write n=1");
		program_wait_stopped(&writer);
		before = now_ns();
		ASSERT_OK(shmb_ring_bounds(ring, &oldest, &next));
		ck_assert(oldest == 7 && next == 10);
		for (uint64_t n = oldest; n < next; n++)
			ring_at(ring, n);
		ring_latest(ring, 9, -1);
		ck_assert_uint_lt(now_ns() - before, UINT64_C(50000000) * suite_slow());
		program_signal(&writer, SIGCONT);
		ASSERT_RESULT(worker_answer(&writer), 0);
		ring_latest(ring, 10, 0);
		shmb_ring_reader_close(ring);
		worker_must(&writer, "close-writer");
		worker_quit(&writer);

		worker_start(&writer, &b, "writer", true);
		worker_must(&writer, "writer name=value%u kind=value bytes=4096 salt=1", step);
		worker_must(&writer, "write n=10");
		value = value_reader(client, step == 1 ? "value1" : "value2");
		worker_must(&writer, "step at=%s do=stop", steps[step].name);
		program_send(&writer, "write n=1");
		program_wait_stopped(&writer);
		before = now_ns();
		value_latest(value, 9, -1);
		value_latest(value, 9, 0);
		ck_assert_uint_lt(now_ns() - before, UINT64_C(50000000) * suite_slow());
		program_kill(&writer);
		ASSERT_ERROR(shmb_value_wait(value, deadline_in(SUITE_PATIENCE_MS)), EOWNERDEAD);
		value_latest(value, 9, 0);
		shmb_value_reader_close(value);
	}
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("writer steps");

	suite_add(suite, every_step_of_a_write_is_known, 30);
	suite_add(suite, ring_writer_killed_at_each_step, 120);
	suite_add(suite, value_writer_killed_at_each_step, 120);
	suite_add(suite, readers_do_not_wait_for_a_stopped_writer, 60);
	return suite_run(suite);
}
