/* SPDX-License-Identifier: MIT */
/*
 * Each scenario in which the shared memory that was used before failed, by the number it has in the list of its defects: none of them may happen
 * here. Where another file tests the same thing, the test there carries the name: S5 (resources), S6 (fork), S7 (bad_input), Q1
 * and Q2 (reader_steps), Q7 (quiet), L1 to L7 (lifecycle), L8 (reap).
 */
#include "../support/client.h"
#include "../support/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

/* ---- segments ---- */

START_TEST(defect_S1_reader_leaving_keeps_name)
{
	struct program writer;
	struct program reader;
	struct broker b;

	broker_start(&b, NULL);
	worker_start(&writer, &b, "writer", false);
	worker_must(&writer, "writer name=kept bytes=64");
	for (unsigned i = 0; i < 6; i++) {
		worker_must(&writer, "write n=1");
		worker_start(&reader, &b, "reader", false);
		worker_must(&reader, "reader name=kept bytes=64");
		ck_assert_uint_eq(worker_must(&reader, "latest").v[0], i);
		if (i % 3 == 0)
			worker_must(&reader, "close-reader");
		if (i % 3 == 1)
			program_kill(&reader);
		else
			worker_quit(&reader);
	}
	worker_quit(&writer);
	broker_finish(&b);
}
END_TEST

static off_t data_size(struct broker *b, const char *name)
{
	struct stat status;
	char path[512];

	snprintf(path, sizeof(path), "%s/%s,1,data", b->shm, name);
	ck_assert_int_eq(stat(path, &status), 0);
	return status.st_size;
}

START_TEST(defect_S2_smaller_type_truncates_nothing)
{
	struct shmb_value_writer *writer;
	struct shmb_value_reader *reader = NULL;
	struct shmb_value_reader *big;
	struct shmb_type *small;
	struct shmb *client;
	struct broker b;
	off_t before;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = value_writer(client, "sized", 65536);
	value_write(writer, 65536, 1, 1);
	before = data_size(&b, "sized");
	small = pattern_type(8);
	ASSERT_ERROR(shmb_value_reader_open(&reader, client, "sized", small, SHMB_NO_WAIT), EPROTOTYPE);
	ck_assert_int_lt(value_writer_try(client, "sized", 8), 0);
	ck_assert_int_eq(data_size(&b, "sized"), before);
	value_write(writer, 65536, 10, 1);
	big = value_reader(client, "sized");
	shmb_value_writer_close(writer);
	/* When nobody writes it, another type is another memory: what readers have mapped stays as it is. */
	ASSERT_OK(value_writer_try(client, "sized", 8));
	ck_assert_int_eq(data_size(&b, "sized"), before);
	value_latest(big, 10, -1);
	shmb_value_reader_close(big);
	shmb_type_free(small);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

START_TEST(defect_S3_readers_make_nothing)
{
	struct shmb_value_reader *reader = NULL;
	struct shmb_ring_reader *observer = NULL;
	struct shmb_type *type;
	struct shmb *client;
	struct broker b;
	char *before;
	char *after;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	before = dir_names(b.shm);
	type = pattern_type(64);
	ASSERT_ERROR(shmb_value_reader_open(&reader, client, "typo", type, SHMB_NO_WAIT), ENOENT);
	ck_assert_msg(strstr(shmb_text(), "typo") != NULL, "the name is not in: %s", shmb_text());
	ASSERT_ERROR(shmb_value_reader_open(&reader, client, "typo", type, shmb_now_ns() + 20000000), ENOENT);
	ASSERT_ERROR(ring_reader_try(client, "typo", SHMB_NO_WAIT), ENOENT);
	ASSERT_ERROR(shmb_ring_observe(&observer, client, "typo"), ENOENT);
	after = dir_names(b.shm);
	ck_assert_str_eq(before, after);
	free(before);
	free(after);
	ck_assert_uint_eq(segments_count(client), 0);
	shmb_type_free(type);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Where the reader's mapping lies, and whether any mapping of the segment may be written. */
START_TEST(defect_S4_readers_map_read_only)
{
	struct program writer;
	struct program reader;
	struct broker b;
	char *maps;
	char *rest;
	char *line;
	unsigned seen = 0;

	broker_start(&b, NULL);
	worker_start(&writer, &b, "writer", false);
	worker_must(&writer, "writer name=guarded bytes=64");
	worker_start(&reader, &b, "reader", false);
	worker_must(&reader, "reader name=guarded bytes=64");
	maps = proc_read(reader.pid, "maps");
	rest = maps;
	while ((line = strsep(&rest, "\n")) != NULL) {
		if (strstr(line, "guarded,1") == NULL || strstr(line, ",area") != NULL)
			continue;
		seen++;
		ck_assert_msg(strstr(line, " r--s ") != NULL, "card or data is mapped like this: %s", line);
	}
	free(maps);
	ck_assert_uint_eq(seen, 2);
	worker_quit(&reader);
	worker_quit(&writer);
	broker_finish(&b);
}
END_TEST

/* ---- latest value and ring ---- */

/* A writer killed or stopped in mid-store leaves the value before it readable, at once. (Each step: writer_steps.) */
START_TEST(defect_Q3_dead_writer_blocks_no_reader)
{
	static const char *const kinds[] = { "ring", "value" };

	for (unsigned k = 0; k < 2; k++) {
		struct program writer;
		struct program reader;
		uint64_t before, fastest = UINT64_MAX;
		struct answer answer;
		struct broker b;

		broker_start(&b, NULL);
		worker_start(&writer, &b, "writer", true);
		worker_start(&reader, &b, "reader", false);
		worker_must(&writer, "writer name=mid kind=%s bytes=4096", kinds[k]);
		worker_must(&writer, "write n=20");
		worker_must(&reader, "reader name=mid kind=%s bytes=4096", kinds[k]);
		worker_must(&writer, "step at=slot.claimed do=stop");
		program_send(&writer, "write n=1");
		program_wait_stopped(&writer);
		for (unsigned i = 0; i < 10; i++) {
			before = now_ns();
			answer = worker_must(&reader, "latest");
			time_least(&fastest, before);
			ck_assert(answer.v[0] == 19 && answer.v[4] == 0);
		}
		ck_assert_uint_lt(fastest, UINT64_C(50000000) * suite_slow());
		program_kill(&writer);
		ASSERT_RESULT(worker_ask(&reader, "wait deadline=15000"), -EOWNERDEAD);
		answer = worker_must(&reader, "latest");
		ck_assert(answer.v[0] == 19 && answer.v[4] == 0);
		worker_quit(&reader);
		broker_finish(&b);
	}
}
END_TEST

/* Writers die in mid-store again and again: whoever comes next goes on as if nothing had been, and nothing torn is ever accepted. */
START_TEST(defect_Q4_restarted_writer_after_a_half_store)
{
	static const char *const kinds[] = { "ring", "value" };

	for (unsigned k = 0; k < 2; k++) {
		struct program reader;
		struct answer end;
		struct broker b;

		broker_start(&b, NULL);
		worker_start(&reader, &b, "reader", false);
		for (unsigned round = 0; round < 8; round++) {
			struct program writer;

			worker_start(&writer, &b, "writer", true);
			ck_assert_uint_eq(worker_must(&writer, "writer name=half kind=%s bytes=4096 salt=%u", kinds[k], round).v[0],
					  7 * round);
			if (round == 0) {
				worker_must(&reader, "reader name=half kind=%s bytes=4096", kinds[k]);
				worker_must(&reader, "watch");
			}
			worker_must(&writer, "write n=7");
			worker_must(&writer, "step at=%s do=kill", round % 2 == 0 ? "slot.claimed" : "slot.filled");
			program_send(&writer, "write n=1");
			ck_assert_int_eq(program_wait(&writer), -SIGKILL);
		}
		sleep_ms(100);
		end = worker_must(&reader, "stop last=55 dead=1");
		ck_assert_msg(end.v[2] == 0 && end.v[3] == 0 && end.v[6] == 0, "torn %d backward %d other errors %d", (int)end.v[2],
			      (int)end.v[3], (int)end.v[6]);
		ck_assert_uint_eq(end.v[7], 55);
		ck_assert_uint_ge(end.v[4], 1);
		worker_quit(&reader);
		broker_finish(&b);
	}
}
END_TEST

static void on_alarm(int number)
{
	(void)number;
}

/* Signals all the time: the wait ends at its deadline, not later, and not earlier. */
START_TEST(defect_Q6_deadlines_are_absolute)
{
	struct itimerval often = { .it_interval = { .tv_usec = 2000 }, .it_value = { .tv_usec = 2000 } };
	struct itimerval never = { .it_value = { .tv_sec = 0 } };
	struct sigaction action = { .sa_handler = on_alarm };
	struct shmb_value_writer *writer;
	struct shmb_ring_reader *ring_in;
	struct shmb_value_reader *value_in;
	struct shmb_ring_writer *ring;
	struct shmb *client;
	struct broker b;
	uint64_t before, fastest = UINT64_MAX;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	ring = ring_writer(client, "ring", 64, 8);
	writer = value_writer(client, "value", 64);
	ring_in = ring_reader(client, "ring");
	value_in = value_reader(client, "value");
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	before = now_ns();
	ASSERT_ERROR(shmb_ring_wait(ring_in, before + 200000000), ETIMEDOUT);
	ck_assert_uint_ge(now_ns() - before, 200000000);
	ck_assert_uint_lt(now_ns() - before, UINT64_C(10000000000) * suite_slow());
	before = now_ns();
	ASSERT_ERROR(shmb_value_wait(value_in, before + 200000000), ETIMEDOUT);
	ck_assert_uint_ge(now_ns() - before, 200000000);
	for (unsigned i = 0; i < 10; i++) {
		before = now_ns();
		ASSERT_ERROR(shmb_value_wait(value_in, before - 1), ETIMEDOUT);
		ASSERT_ERROR(shmb_value_wait(value_in, SHMB_NO_WAIT), ETIMEDOUT);
		time_least(&fastest, before);
	}
	ck_assert_uint_lt(fastest, UINT64_C(50000000) * suite_slow());
	setitimer(ITIMER_REAL, &never, NULL);
	shmb_ring_reader_close(ring_in);
	shmb_value_reader_close(value_in);
	shmb_ring_writer_close(ring);
	shmb_value_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Many try at once: one gets it. */
START_TEST(defect_Q8_two_writers_are_noticed)
{
	enum { RIVALS = 8 };
	static const char *const kinds[] = { "ring", "value" };
	struct program rivals[RIVALS];
	struct broker b;

	broker_start(&b, NULL);
	for (unsigned k = 0; k < 2; k++) {
		unsigned winners = 0;

		for (unsigned i = 0; i < RIVALS; i++) {
			worker_start(&rivals[i], &b, "rival", false);
			worker_must(&rivals[i], "ping");
		}
		for (unsigned i = 0; i < RIVALS; i++)
			program_send(&rivals[i], "writer name=one/%s kind=%s bytes=64", kinds[k], kinds[k]);
		for (unsigned i = 0; i < RIVALS; i++) {
			struct answer answer = worker_answer(&rivals[i]);

			ck_assert_msg(answer.result == 0 || answer.result == -EBUSY, "%d %s", answer.result, answer.text);
			winners += answer.result == 0;
		}
		ck_assert_uint_eq(winners, 1);
		for (unsigned i = 0; i < RIVALS; i++)
			worker_quit(&rivals[i]);
	}
	broker_finish(&b);
}
END_TEST

/* After a lap: the old number is refused, never answered with what lies there now. */
START_TEST(defect_C2_overwritten_is_an_error)
{
	struct shmb_ring_writer *writer;
	struct shmb_ring_reader *reader;
	struct shmb *client;
	struct broker b;
	char payload[64];

	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "lap", 64, 8);
	reader = ring_reader(client, "lap");
	for (uint64_t next = 1; next <= 64; next++) {
		ring_write(writer, 64, 1, 1);
		for (uint64_t n = 0; n < next; n++) {
			struct shmb_sample sample = { 0 };
			int r = shmb_ring_read(reader, n, payload, &sample);
			unsigned salt;

			if (r == 0)
				ck_assert(sample.number == n && pattern_check(payload, 64, n, &salt));
			else
				ck_assert_int_eq(r, -ESTALE);
			if (n + 7 >= next)
				ck_assert_int_eq(r, 0);
			if (n + 8 < next)
				ck_assert_int_eq(r, -ESTALE);
		}
	}
	shmb_ring_reader_close(reader);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Every id on a cache line of its own, aligned; small payloads beside it, large ones elsewhere. */
START_TEST(defect_C3_C6_slots_are_aligned_and_share_no_line)
{
	static const struct {
		const char *schema;
		uint64_t bytes;
		uint32_t flags;
	} shapes[] = {
		{ "uint8 a\n", 1, 0 },
		{ "uint8[3] a\n", 3, SHMB_SEGMENT_STAMPED },
		{ "uint8[48] a\n", 48, SHMB_SEGMENT_STAMPED },
		{ "uint8[56] a\n", 56, 0 },
		{ "uint8[57] a\n", 57, 0 },
		{ "uint8[49] a\n", 49, SHMB_SEGMENT_STAMPED },
		{ "uint64[8] a\n", 64, 0 },
		{ "uint8[65] a\n", 65, 0 },
		{ "uint8[4097] a\n", 4097, 0 },
		{ "uint64[125000] a\n", 1000000, 0 },
	};
	struct raw raw = { 0 };
	struct broker b;

	broker_start(&b, NULL);
	ASSERT_OK(raw_start(&raw, b.socket));
	for (unsigned i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		static struct raw_answer answer;
		struct shmb_msg_open_writer open;
		const struct shmb_shm_card *card;
		bool is_inline = shapes[i].bytes <= (shapes[i].flags != 0 ? 48 : 56);
		char name[32];

		snprintf(name, sizeof(name), "shape%u", i);
		raw_open_writer(&open, name, shapes[i].schema, shapes[i].bytes);
		open.segment_flags = shapes[i].flags;
		open.handle = i + 1;
		ASSERT_OK(raw_ask(&raw, SHMB_OP_OPEN_WRITER, &open, sizeof(open), shapes[i].schema, strlen(shapes[i].schema), &answer));
		card = mmap(NULL, SHMB_PAGE, PROT_READ, MAP_SHARED, answer.fds[0], 0);
		ck_assert(card != MAP_FAILED);
		ck_assert_uint_eq(card->slot_offset % 64, 0);
		ck_assert_uint_ge(card->slot_offset, sizeof(struct shmb_shm_data));
		ck_assert_uint_eq(card->slot_shift, 6);
		if (is_inline) {
			ck_assert_uint_eq(card->pool_offset, card->slot_offset + (shapes[i].flags != 0 ? 16 : 8));
			ck_assert_uint_eq(card->pool_shift, card->slot_shift);
		} else {
			ck_assert_uint_eq(card->pool_offset % 64, 0);
			ck_assert_uint_ge(card->pool_offset, card->slot_offset + (8 << 6));
			ck_assert_uint_ge(UINT64_C(1) << card->pool_shift, shapes[i].bytes);
			if (card->pool_shift >= 12)
				ck_assert_uint_eq(card->pool_offset % 4096, 0);
		}
		munmap((void *)(uintptr_t)card, SHMB_PAGE);
		raw_answer_deinit(&answer);
	}
	for (unsigned i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		struct shmb_msg_close end = { .handle = i + 1 };
		static struct raw_answer answer;

		ASSERT_OK(raw_ask(&raw, SHMB_OP_CLOSE, &end, sizeof(end), NULL, 0, &answer));
	}
	raw_close(&raw);
	broker_finish(&b);
}
END_TEST

/* What is said to be there can be read, also while the writer is in the middle of the next one. */
START_TEST(defect_C4_bounds_leave_out_the_slot_being_written)
{
	struct shmb_ring_reader *reader;
	struct program writer;
	struct shmb *client;
	struct broker b;
	uint64_t oldest;
	uint64_t next;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	worker_start(&writer, &b, "writer", true);
	worker_must(&writer, "writer name=bounds bytes=64 capacity=8");
	worker_must(&writer, "write n=30");
	reader = ring_reader(client, "bounds");
	worker_must(&writer, "step at=slot.claimed do=stop");
	program_send(&writer, "write n=1");
	program_wait_stopped(&writer);
	ASSERT_OK(shmb_ring_bounds(reader, &oldest, &next));
	ck_assert(oldest == 23 && next == 30);
	for (uint64_t n = oldest; n < next; n++)
		ring_at(reader, n);
	program_kill(&writer);
	shmb_ring_reader_close(reader);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

START_TEST(defect_C5_empty_and_out_of_range_are_errors)
{
	struct shmb_ring_writer *writer;
	struct shmb_value_writer *value;
	struct shmb_ring_reader *reader;
	struct shmb_value_reader *value_in;
	struct shmb_sample sample;
	struct shmb *client;
	struct broker b;
	char payload[64];
	uint64_t oldest = 9;
	uint64_t next = 9;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "ring", 64, 8);
	value = value_writer(client, "value", 64);
	reader = ring_reader(client, "ring");
	value_in = value_reader(client, "value");
	memset(payload, 0x55, sizeof(payload));
	ASSERT_ERROR(shmb_ring_latest(reader, payload, &sample), ENODATA);
	ASSERT_ERROR(shmb_ring_read_next(reader, payload, &sample), ENODATA);
	ASSERT_ERROR(shmb_ring_read(reader, 0, payload, &sample), ENODATA);
	ASSERT_ERROR(shmb_value_load(value_in, payload, &sample), ENODATA);
	for (unsigned i = 0; i < sizeof(payload); i++)
		ck_assert_int_eq(payload[i], 0x55);
	ASSERT_OK(shmb_ring_bounds(reader, &oldest, &next));
	ck_assert(oldest == 0 && next == 0);
	ring_write(writer, 64, 1, 1);
	ASSERT_ERROR(shmb_ring_read(reader, 1, payload, &sample), ENODATA);
	ASSERT_ERROR(shmb_ring_read(reader, UINT64_C(1) << 62, payload, &sample), ENODATA);
	ASSERT_ERROR(shmb_ring_read(reader, UINT64_MAX, payload, &sample), ENODATA);
	ASSERT_ERROR(shmb_ring_seek(reader, 2), EINVAL);
	ASSERT_ERROR(shmb_ring_seek(reader, UINT64_MAX), EINVAL);
	ring_next(reader, 0, 0);
	shmb_ring_reader_close(reader);
	shmb_value_reader_close(value_in);
	shmb_ring_writer_close(writer);
	shmb_value_writer_close(value);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("defects");

	suite_add(suite, defect_S1_reader_leaving_keeps_name, 60);
	suite_add(suite, defect_S2_smaller_type_truncates_nothing, 30);
	suite_add(suite, defect_S3_readers_make_nothing, 30);
	suite_add(suite, defect_S4_readers_map_read_only, 30);
	suite_add(suite, defect_Q3_dead_writer_blocks_no_reader, 60);
	suite_add(suite, defect_Q4_restarted_writer_after_a_half_store, 60);
	suite_add(suite, defect_Q6_deadlines_are_absolute, 30);
	suite_add(suite, defect_Q8_two_writers_are_noticed, 60);
	suite_add(suite, defect_C2_overwritten_is_an_error, 30);
	suite_add(suite, defect_C3_C6_slots_are_aligned_and_share_no_line, 30);
	suite_add(suite, defect_C4_bounds_leave_out_the_slot_being_written, 30);
	suite_add(suite, defect_C5_empty_and_out_of_range_are_errors, 30);
	return suite_run(suite);
}
