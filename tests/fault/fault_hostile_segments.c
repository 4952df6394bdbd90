/* SPDX-License-Identifier: MIT */
/*
 * Hostile segments (lines 30 to 35 of the catalogue): whatever lies in the directory or is written into shared memory, the daemon stays, others are served,
 * and who reads it gets an error or a value, soon. Each test forces its line and then asks for a segment as somebody else.
 */
#include "../support/other.h"
#include "../support/raw.h"
#include "hostile.h"
#include "look.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* ---- 30 ---- */

START_TEST(fault_30_fifo_device_and_directory_under_a_name)
{
	static const char *const names[] = { "fifo", "directory", "device" };
	unsigned count = geteuid() == 0 ? 3 : 2;
	struct shmb *client;
	struct stat before[3];
	struct stat after;
	unsigned late = 0;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	segments_count(client);
	ck_assert_int_eq(mkfifo(look_path(&b, "fifo", ""), 0600), 0);
	ck_assert_int_eq(mkdir(look_path(&b, "directory", ""), 0700), 0);
	if (count == 3 && mknod(look_path(&b, "device", ""), S_IFCHR | 0600, makedev(1, 5)) != 0)
		count = 2;
	for (unsigned i = 0; i < count; i++)
		ck_assert_int_eq(lstat(look_path(&b, names[i], ""), &before[i]), 0);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < count; i++) {
			uint64_t begin = now_ns(), took;
			int r = ring_writer_try(client, names[i], 64, 8);

			took = now_ns() - begin;
			ck_assert_msg(r == -EEXIST || r == -EBADMSG, "%s: %d %s", names[i], r, shmb_text());
			ck_assert_uint_lt(took, (uint64_t)10 * SERVED_WITHIN_NS * suite_slow());
			late += took >= (uint64_t)SERVED_WITHIN_NS * suite_slow();
			ASSERT_ERROR(ring_reader_try(client, names[i], SHMB_NO_WAIT), ENOENT);
			ASSERT_ERROR(shmb_remove(client, names[i]), ENOENT);
			ck_assert_int_eq(lstat(look_path(&b, names[i], ""), &after), 0);
			ck_assert(after.st_ino == before[i].st_ino && after.st_mode == before[i].st_mode);
		}
		if (round == 0) {
			broker_kill(&b);
			broker_restart(&b);
		}
	}
	ck_assert_msg(late <= 1, "%u were answered late", late);
	for (unsigned i = 0; i < count; i++)
		ck_assert_int_eq(remove(look_path(&b, names[i], "")), 0);
	serves_others(&b);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- 31 ---- */

static int reopens(struct broker *b)
{
	static struct raw_answer answer;
	struct shmb_msg_open_reader request;
	struct raw raw = { 0 };
	char path[64];

	CHILD_CHECK(raw_start(&raw, b->socket) == 0);
	raw_open_reader(&request, "read");
	CHILD_CHECK(raw_ask(&raw, SHMB_OP_OPEN_READER, &request, sizeof(request), NULL, 0, &answer) == 0);
	CHILD_CHECK(answer.fd_count >= 2);
	for (unsigned i = 0; i < 2; i++) { /* card and data; the area is its user's own */
		snprintf(path, sizeof(path), "/proc/self/fd/%d", answer.fds[i]);
		CHILD_CHECK(open(path, O_RDWR | O_CLOEXEC) < 0);
		CHILD_CHECK(open(path, O_WRONLY | O_TRUNC | O_CLOEXEC) < 0);
		CHILD_CHECK(mmap(NULL, SHMB_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, answer.fds[i], 0) == MAP_FAILED);
		CHILD_CHECK(ftruncate(answer.fds[i], 0) < 0);
		CHILD_CHECK(fchmod(answer.fds[i], 0666) < 0);
		CHILD_CHECK(write(answer.fds[i], "x", 1) < 0);
	}
	raw_answer_deinit(&answer);
	raw_end(&raw);
	return 0;
}

START_TEST(fault_31_reader_reopens_read_write)
{
	struct broker_options options = { .runtime_mode = 0755 };
	struct shmb_ring_writer *writer;
	struct shmb_ring_reader *reader;
	struct shmb *client;
	struct broker b;

	OTHER_SKIP();
	broker_start(&b, &options);
	client = broker_connect(&b);
	writer = ring_writer(client, "read", 64, 8);
	ring_write(writer, 64, 3, 1);
	other_run(OTHER_UID, reopens, &b);
	reader = ring_reader(client, "read");
	ck_assert_uint_eq(ring_latest(reader, 2, -1), 1);
	shmb_ring_reader_close(reader);
	shmb_ring_writer_close(writer);
	serves_others(&b);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- 32 ---- */

START_TEST(fault_32_random_header)
{
	struct shmb *client;
	struct broker b;

	srandom(32);
	for (unsigned round = 0; round < 4; round++) {
		size_t size;
		char *card;

		broker_start(&b, NULL);
		client = broker_connect(&b);
		ASSERT_OK(ring_writer_try(client, "victim", 64, 8));
		broker_kill(&b);
		card = look_map(&b, "victim", "", &size);
		for (size_t i = 0; i < size; i++)
			card[i] = (char)random();
		look_unmap(card, size);
		broker_restart(&b);
		ck_assert_uint_eq(segments_count(client), 0);
		ASSERT_ERROR(ring_reader_try(client, "victim", SHMB_NO_WAIT), ENOENT);
		ck_assert_int_lt(ring_writer_try(client, "victim", 64, 8), 0);
		ck_assert_uint_ge(look_log(&b, "victim", "left alone"), 1);
		serves_others(&b);
		shmb_disconnect(client);
		broker_kill(&b);
		broker_drop(&b);
	}
}
END_TEST

/* ---- 33 ---- */

START_TEST(fault_33_header_changed_after_validation)
{
	struct shmb_ring_writer *writer;
	struct shmb_ring_reader *reader;
	struct shmb_shm_card *card;
	struct shmb_shm_card good;
	struct shmb *client;
	struct broker b;
	size_t size;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	writer = ring_writer(client, "changed", 64, 8);
	reader = ring_reader(client, "changed");
	ring_write(writer, 64, 1, 1);
	ring_next(reader, 0, 0);
	card = look_map(&b, "changed", "", &size);
	memcpy(&good, card, sizeof(good));
	for (unsigned i = 1; i <= 20; i++) {
		card->slot_count = i % 2 == 0 ? UINT32_MAX : 0;
		card->slot_shift = (uint8_t)(i * 13);
		card->slot_offset = UINT32_MAX - i;
		card->data_bytes = UINT64_MAX / i;
		card->kind = (uint8_t)i;
		ring_write(writer, 64, 1, 1);
		ck_assert_uint_eq(ring_next(reader, i, 0), 1);
		ck_assert_uint_eq(segments_count(client), 1);
	}
	serves_others(&b);
	card->slot_count = good.slot_count;
	card->slot_shift = good.slot_shift;
	card->slot_offset = good.slot_offset;
	card->data_bytes = good.data_bytes;
	card->kind = good.kind;
	look_unmap(card, size);
	shmb_ring_reader_close(reader);
	shmb_ring_writer_close(writer);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- 34 and 35 ---- */

static struct shmb_shm_slot *slot_at(const struct shmb_shm_card *card, struct shmb_shm_data *data, uint64_t number)
{
	return (struct shmb_shm_slot *)(void *)((char *)data + card->slot_offset + ((number & (card->slot_count - 1)) << card->slot_shift));
}

/* Entries that are there, and name what is not: refused, and nothing is followed. */
static void entries_name_nothing(struct broker *b, struct program *frame)
{
	struct shmb_shm_card card;
	struct shmb_shm_data *data;
	size_t size;

	look_card(b, "pins", &card);
	data = look_map(b, "pins", ",data", &size);
	for (uint64_t i = 0; i < card.entry_count; i++) {
		struct shmb_shm_entry *entry =
			(struct shmb_shm_entry *)(void *)((char *)data + card.entry_offset + (i << card.entry_shift));

		atomic_store(&entry->slot, UINT64_C(1) << 40);
	}
	look_unmap(data, size);
	worker_must(frame, "frame-release");
	ASSERT_RESULT(worker_ask(frame, "frame-pin"), -EBADMSG);
}

START_TEST(fault_34_numbers_and_pins_corrupted_live)
{
	static const char *const commands[] = { "latest", "next", "wait deadline=2", "bounds", "read n=1" };
	static const int known[] = { 0, ENODATA, EAGAIN, ESTALE, EBADMSG, ETIMEDOUT, EOVERFLOW };
	static const char *const parts[] = { ",data", ",area0" };
	struct program writer;
	struct program reader;
	struct program frame;
	struct broker b;

	broker_start(&b, NULL);
	srandom(34);
	worker_start(&writer, &b, "writer", false);
	worker_start(&reader, &b, "reader", false);
	worker_start(&frame, &b, "frame", false);
	worker_must(&writer, "writer name=live bytes=64 salt=1");
	worker_must(&writer, "write n=3");
	worker_must(&reader, "reader name=live bytes=64");
	worker_must(&writer, "frame-writer name=pins bytes=64 history=2 pins=2 salt=1");
	worker_must(&writer, "frame-write n=2");
	worker_must(&frame, "frame-reader name=pins");
	worker_must(&frame, "frame-pin");
	entries_name_nothing(&b, &frame);
	for (unsigned i = 0; i < 60; i++) {
		size_t size;
		uint64_t *words = look_map(&b, i % 2 == 0 ? "live" : "pins", parts[i / 2 % 2], &size);
		uint64_t begin = now_ns();
		struct answer answer;
		bool fits = false;

		if (words != NULL) {
			for (size_t at = 0; at < size / 8; at++)
				words[at] = i % 3 == 0 ? UINT64_MAX : (uint64_t)random() << (random() % 34);
			look_unmap(words, size);
		}
		answer = worker_ask(&reader, "%s", commands[i % 5]);
		for (unsigned k = 0; k < sizeof(known) / sizeof(known[0]); k++)
			fits |= answer.result == -known[k];
		ck_assert_msg(fits, "%s: %d (%s)", commands[i % 5], answer.result, shmb_strerror(answer.result));
		worker_ask(&frame, "frame-release");
		worker_ask(&frame, "frame-pin");
		ck_assert_uint_lt(now_ns() - begin, (uint64_t)10 * SERVED_WITHIN_NS * suite_slow());
		ck_assert(!program_has_ended(&reader) && !program_has_ended(&frame));
	}
	serves_others(&b);
	program_kill(&writer);
	program_kill(&reader);
	program_kill(&frame);
	serves_others(&b);
	broker_kill(&b);
	broker_restart(&b);
	serves_others(&b);
	broker_kill(&b);
	broker_drop(&b);
}
END_TEST

START_TEST(fault_35_sequence_stuck_odd)
{
	struct program writer;
	struct program reader;
	struct shmb_shm_card card;
	struct shmb_shm_data *data;
	struct answer answer;
	struct broker b;
	uint64_t before;
	uint64_t begin, took;
	size_t size;

	broker_start(&b, NULL);
	worker_start(&writer, &b, "writer", false);
	worker_start(&reader, &b, "reader", false);
	worker_must(&writer, "writer name=odd bytes=64 salt=1");
	worker_must(&writer, "write n=3");
	worker_must(&reader, "reader name=odd bytes=64");
	worker_must(&reader, "latest");
	look_card(&b, "odd", &card);
	data = look_map(&b, "odd", ",data", &size);
	for (uint64_t number = 0; number < card.slot_count; number++)
		atomic_store(&slot_at(&card, data, number)->id, shmb_id_writing(number));
	look_unmap(data, size);
	before = busy_ns(reader.pid);
	begin = now_ns();
	answer = worker_ask(&reader, "latest");
	ck_assert_msg(answer.result < 0, "a half-written element was read");
	ASSERT_RESULT(worker_ask(&reader, "wait deadline=400"), -ETIMEDOUT);
	took = now_ns() - begin;
	ck_assert_uint_lt(took, (uint64_t)10 * SERVED_WITHIN_NS * suite_slow());
	ck_assert_uint_lt(busy_ns(reader.pid) - before, took / 2); /* it sleeps */
	/* The writer goes on as if nothing had been, and so does who reads. */
	worker_must(&writer, "write n=20");
	ck_assert_uint_eq(worker_must(&reader, "latest").v[0], 22);
	worker_quit(&writer);
	worker_quit(&reader);
	serves_others(&b);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fault: hostile segments");

	suite_add(suite, fault_30_fifo_device_and_directory_under_a_name, 30);
	suite_add(suite, fault_31_reader_reopens_read_write, 30);
	suite_add(suite, fault_32_random_header, 30);
	suite_add(suite, fault_33_header_changed_after_validation, 30);
	suite_add(suite, fault_34_numbers_and_pins_corrupted_live, 60);
	suite_add(suite, fault_35_sequence_stuck_odd, 30);
	return suite_run(suite);
}
