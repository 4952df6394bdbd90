/* SPDX-License-Identifier: MIT */
/* Loaders: snapshots that stay, are whole and go forward; ends that come at once, whatever the loader waits for. */
#include "../support/client.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BYTES = 4096 };

static struct shmb_loader *loader_open(struct shmb_value_reader *reader)
{
	struct shmb_loader *loader;

	ASSERT_OK(shmb_loader_open_value(&loader, reader));
	return loader;
}

/* Waits for a snapshot of at least this number and checks it. */
static const void *snapshot_from(struct shmb_loader *loader, uint64_t number, struct shmb_sample *sample)
{
	const void *payload;
	unsigned salt;

	for (;;) {
		ASSERT_OK(shmb_loader_wait(loader, deadline_in(SUITE_PATIENCE_MS)));
		ASSERT_OK(shmb_loader_snapshot(loader, &payload, sample));
		ck_assert(pattern_check(payload, BYTES, sample->number, &salt));
		if (sample->number >= number)
			return payload;
	}
}

static unsigned threads_named(const char *name)
{
	char path[64], line[32];
	unsigned count = 0;
	char *names = dir_names("/proc/self/task");

	for (char *at = strtok(names, "\n"); at != NULL; at = strtok(NULL, "\n")) {
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%.20s/comm", at);
		file = fopen(path, "r");
		if (file == NULL)
			continue;
		count += fgets(line, sizeof(line), file) != NULL && strncmp(line, name, strlen(name)) == 0;
		fclose(file);
	}
	free(names);
	return count;
}

START_TEST(newest_of_a_value_and_of_a_ring)
{
	struct shmb_value_writer *value;
	struct shmb_value_reader *value_in;
	struct shmb_ring_writer *ring;
	struct shmb_ring_reader *ring_in;
	struct shmb_loader *loader, *second;
	struct shmb_sample sample;
	const void *payload;
	struct shmb *client;
	struct broker b;
	unsigned salt;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	value = value_writer(client, "value", BYTES);
	value_in = value_reader(client, "value");
	loader = loader_open(value_in);
	ck_assert_uint_eq(threads_named("shmb-loader"), 1);
	ASSERT_ERROR(shmb_loader_snapshot(loader, &payload, &sample), ENODATA);
	ck_assert_ptr_null(payload);
	ASSERT_ERROR(shmb_loader_wait(loader, SHMB_NO_WAIT), ETIMEDOUT);
	ASSERT_ERROR(shmb_loader_wait(loader, deadline_in(5)), ETIMEDOUT);
	for (uint64_t n = 0; n < 50; n++) {
		value_write(value, BYTES, 1, 1);
		snapshot_from(loader, n, &sample);
		ck_assert_uint_eq(sample.number, n);
		ck_assert_uint_eq(sample.missed, 0);
	}
	/* The same again, as long as there is nothing new. */
	ASSERT_OK(shmb_loader_snapshot(loader, &payload, NULL));
	ASSERT_OK(shmb_loader_snapshot(loader, &payload, &sample));
	ck_assert_uint_eq(sample.number, 49);
	shmb_loader_close(loader);
	WAIT_UNTIL(threads_named("shmb-loader") == 0); /* joined, it is listed for a moment */
	/* The reader is its owner's again, and its waits are whole. */
	ASSERT_ERROR(shmb_value_wait(value_in, deadline_in(5)), ETIMEDOUT);
	value_latest(value_in, 49, 0);

	ring = ring_writer(client, "ring", BYTES, 8);
	ring_write(ring, BYTES, 5, 1);
	ring_in = ring_reader(client, "ring");
	ASSERT_OK(shmb_loader_open_ring(&second, ring_in));
	ASSERT_OK(shmb_loader_snapshot(second, &payload, &sample)); /* at once */
	ck_assert_uint_eq(sample.number, 4);
	ck_assert(pattern_check(payload, BYTES, 4, &salt));
	ring_write(ring, BYTES, 100, 1);
	snapshot_from(second, 104, &sample);
	shmb_loader_close(second);
	shmb_ring_reader_close(ring_in);
	shmb_ring_writer_close(ring);
	shmb_value_reader_close(value_in);
	shmb_value_writer_close(value);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* I3: however many elements come meanwhile, what is held stays. */
START_TEST(defect_I3_a_held_snapshot_stays)
{
	struct shmb_value_reader *reader;
	struct shmb_loader *loader;
	struct shmb_sample sample, last = { 0 };
	struct program worker;
	const void *payload;
	struct shmb *client;
	struct broker b;
	unsigned salt;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	worker_start(&worker, &b, "writer", false);
	worker_must(&worker, "writer name=v kind=value bytes=%d salt=1", BYTES);
	worker_must(&worker, "write n=1");
	reader = value_reader(client, "v");
	loader = loader_open(reader);
	worker_must(&worker, "run period=20");
	for (unsigned round = 0; round < 100; round++) {
		payload = snapshot_from(loader, last.number + (round > 0), &sample);
		ck_assert_uint_eq(sample.missed, round > 0 ? sample.number - last.number - 1 : 0);
		last = sample;
		for (unsigned look = 0; look < 40; look++) {
			ck_assert(pattern_check(payload, BYTES, last.number, &salt));
			if (look % 10 == 0)
				sleep_ms(1);
		}
	}
	ck_assert_uint_gt(last.number, 100);
	worker_must(&worker, "stop");
	worker_quit(&worker);
	shmb_loader_close(loader);
	shmb_value_reader_close(reader);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* I4, I5: as many snapshots as can be taken while the thread exchanges buffers: never none, never an older one, never a mixture. */
START_TEST(defect_I4_snapshots_during_exchanges)
{
	struct shmb_value_reader *reader;
	struct shmb_loader *loader;
	uint64_t end, patience, last = 0, changes = 0;
	struct program worker;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	worker_start(&worker, &b, "writer", false);
	worker_must(&worker, "writer name=v kind=value bytes=%d salt=1", BYTES);
	worker_must(&worker, "write n=1");
	reader = value_reader(client, "v");
	loader = loader_open(reader);
	worker_must(&worker, "run period=0");
	end = deadline_in(1000);
	patience = deadline_in(SUITE_PATIENCE_MS);
	while (now_ns() < end || (changes <= 10 && now_ns() < patience)) {
		struct shmb_sample sample;
		const void *payload;
		unsigned salt;

		ASSERT_OK(shmb_loader_snapshot(loader, &payload, &sample));
		ck_assert_uint_ge(sample.number, last);
		changes += sample.number > last;
		last = sample.number;
		ck_assert(pattern_check(payload, BYTES, sample.number, &salt));
	}
	ck_assert_uint_gt(changes, 10);
	worker_must(&worker, "stop");
	worker_quit(&worker);
	shmb_loader_close(loader);
	shmb_value_reader_close(reader);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* How long closing takes with the writer as the scene has it. */
static uint64_t close_in_scene(struct broker *b, struct shmb *client, unsigned scene, unsigned attempt)
{
	struct shmb_value_reader *reader;
	struct shmb_loader *loader;
	struct program worker;
	const void *payload;
	uint64_t before, took;
	char name[16];

	snprintf(name, sizeof(name), "v%u-%u", scene, attempt);
	worker_start(&worker, b, "writer", true);
	worker_must(&worker, "writer name=%s kind=value bytes=%d salt=1", name, BYTES);
	worker_must(&worker, "write n=1");
	reader = value_reader(client, name);
	loader = loader_open(reader);
	if (scene == 1) {
		worker_must(&worker, "step at=slot.claimed do=stop");
		program_send(&worker, "write n=1");
		program_wait_stopped(&worker);
	} else if (scene == 2) {
		program_kill(&worker);
		ASSERT_OK(shmb_loader_wait(loader, deadline_in(SUITE_PATIENCE_MS)));
		ASSERT_OK(shmb_loader_snapshot(loader, &payload, NULL));
		ASSERT_ERROR(shmb_loader_wait(loader, deadline_in(SUITE_PATIENCE_MS)), EOWNERDEAD);
		ASSERT_ERROR(shmb_loader_wait(loader, deadline_in(5)), ETIMEDOUT);
	} else if (scene == 3) {
		worker_must(&worker, "close-writer");
		ASSERT_OK(shmb_remove(client, name));
		ASSERT_OK(shmb_loader_wait(loader, deadline_in(SUITE_PATIENCE_MS)));
		ASSERT_OK(shmb_loader_snapshot(loader, &payload, NULL));
		WAIT_UNTIL(shmb_loader_wait(loader, deadline_in(SUITE_PATIENCE_MS)) == -ESTALE);
		ASSERT_ERROR(shmb_loader_wait(loader, SHMB_FOREVER), ESTALE);
	} else if (scene == 4) {
		broker_kill(b);
	}
	sleep_ms(10);
	before = now_ns();
	shmb_loader_close(loader);
	took = now_ns() - before;
	if (scene != 2)
		program_kill(&worker);
	if (scene == 4)
		broker_restart(b);
	shmb_value_reader_close(reader);
	return took;
}

/* I6, I7: a loader ends at once with its writer stopped in mid-write, dead, its segment gone, or no daemon there. */
START_TEST(defect_I6_closing_never_hangs)
{
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	for (unsigned scene = 0; scene < 5; scene++) {
		uint64_t took = UINT64_MAX;

		/* Again where the machine was held up. */
		for (unsigned attempt = 0; attempt < 3 && took >= UINT64_C(400000000) * suite_slow(); attempt++)
			took = close_in_scene(&b, client, scene, attempt);
		ck_assert_uint_lt(took, UINT64_C(400000000) * suite_slow());
	}
	ck_assert_ptr_null(shmb_loader_close(NULL));
	WAIT_UNTIL(threads_named("shmb-loader") == 0);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Whatever ends before the loader, its last snapshot stays what it was: it lies in the loader's memory, not in the segment. */
START_TEST(defect_I7_a_snapshot_outlives_everything_but_its_loader)
{
	struct shmb_value_reader *reader;
	struct shmb_sample sample, again;
	struct shmb_loader *loader;
	struct program worker;
	const void *payload, *same;
	struct shmb *client;
	struct broker b;
	unsigned salt;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	worker_start(&worker, &b, "writer", false);
	worker_must(&worker, "writer name=v kind=value bytes=%d salt=1", BYTES);
	worker_must(&worker, "write n=3");
	reader = value_reader(client, "v");
	loader = loader_open(reader);
	payload = snapshot_from(loader, 2, &sample);
	program_kill(&worker);
	wait_writer(client, "v", SHMB_WRITER_IS_DEAD);
	ck_assert(pattern_check(payload, BYTES, sample.number, &salt));
	ASSERT_OK(shmb_remove(client, "v"));
	broker_kill(&b);
	ck_assert(pattern_check(payload, BYTES, sample.number, &salt));
	ASSERT_OK(shmb_loader_snapshot(loader, &same, &again));
	ck_assert_ptr_eq(same, payload);
	ck_assert_uint_eq(again.number, sample.number);
	broker_restart(&b);
	ck_assert(pattern_check(payload, BYTES, sample.number, &salt));
	shmb_loader_close(loader);
	shmb_value_reader_close(reader);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

START_TEST(a_forked_child_has_the_last_snapshot)
{
	struct shmb_value_writer *writer;
	struct shmb_value_reader *reader;
	struct shmb_loader *loader;
	struct shmb_sample sample;
	const void *payload;
	struct shmb *client;
	struct broker b;
	int status;
	pid_t pid;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = value_writer(client, "v", BYTES);
	value_write(writer, BYTES, 1, 1);
	reader = value_reader(client, "v");
	loader = loader_open(reader);
	ASSERT_OK(shmb_loader_snapshot(loader, &payload, &sample));
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		const void *again;
		unsigned salt;
		bool right = shmb_loader_snapshot(loader, &again, NULL) == -EOWNERDEAD && again == payload &&
			     pattern_check(again, BYTES, 0, &salt) && shmb_loader_wait(loader, SHMB_FOREVER) == -EOWNERDEAD &&
			     shmb_loader_open_value(&loader, reader) == -EOWNERDEAD && loader == NULL;

		_exit(right ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	pid = fork();
	if (pid == 0) {
		shmb_loader_close(loader);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	value_write(writer, BYTES, 1, 1);
	snapshot_from(loader, 1, &sample);
	shmb_loader_close(loader);
	shmb_value_reader_close(reader);
	shmb_value_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* A frame's snapshot has the length that was committed, and pins nothing: a writer with no slot to spare goes on. */
START_TEST(newest_of_a_frame)
{
	struct shmb_type *type = pattern_type(BYTES);
	struct shmb_frame_writer *writer;
	struct shmb_frame_reader *reader;
	struct shmb_loader *loader;
	struct shmb_sample sample;
	const void *payload;
	struct shmb *client;
	struct broker b;
	unsigned salt;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	ASSERT_OK(shmb_frame_writer_open(&writer, client, "frame", type, &(struct shmb_frame_options){ .history = 1, .pins = 1 }));
	ASSERT_OK(shmb_frame_reader_open(&reader, client, "frame", type, SHMB_NO_WAIT));
	ASSERT_OK(shmb_loader_open_frame(&loader, reader));
	ASSERT_ERROR(shmb_loader_snapshot(loader, &payload, &sample), ENODATA);
	ck_assert_uint_eq(shmb_loader_length(loader), 0);
	for (uint64_t n = 0; n < 200; n++) {
		size_t length = 100 + n * 19, capacity;
		void *fill;

		ASSERT_OK(shmb_frame_loan(writer, &fill, &capacity));
		pattern_fill(fill, length, n, 1);
		ASSERT_OK(shmb_frame_commit(writer, length));
		if (n % 10 != 9)
			continue;
		do {
			ASSERT_OK(shmb_loader_wait(loader, deadline_in(SUITE_PATIENCE_MS)));
			ASSERT_OK(shmb_loader_snapshot(loader, &payload, &sample));
			ck_assert_uint_eq(shmb_loader_length(loader), 100 + sample.number * 19);
			ck_assert(pattern_check(payload, shmb_loader_length(loader), sample.number, &salt));
		} while (sample.number < n);
	}
	shmb_frame_writer_close(writer);
	ASSERT_ERROR(shmb_loader_wait(loader, deadline_in(SUITE_PATIENCE_MS)), EPIPE);
	shmb_loader_close(loader);
	shmb_frame_reader_close(reader);
	shmb_type_free(type);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("loader");

	suite_add(suite, newest_of_a_value_and_of_a_ring, 60);
	suite_add(suite, newest_of_a_frame, 60);
	suite_add(suite, defect_I3_a_held_snapshot_stays, 60);
	suite_add(suite, defect_I4_snapshots_during_exchanges, 60);
	suite_add(suite, defect_I6_closing_never_hangs, 60);
	suite_add(suite, defect_I7_a_snapshot_outlives_everything_but_its_loader, 60);
	suite_add(suite, a_forked_child_has_the_last_snapshot, 60);
	return suite_run(suite);
}
