/* SPDX-License-Identifier: MIT */
/*
 * Decoding of answers, which a client does not trust either: what is well formed comes out as it went in; every other length, counts that do not
 * fit their tail, indices that cannot be and unterminated strings are refused, without a byte read outside the packet.
 */
#include "proto/message.h"
#include "tests/support/unit.h"

#include <errno.h>
#include <string.h>

static const char schema[] = "uint64 stamp_ns\n";
enum { SCHEMA = sizeof(schema) - 1 };

enum { SERIAL = 77 };

static union {
	struct shmb_msg_head head;
	struct shmb_msg_answer answer;
	struct shmb_msg_hello_answer hello;
	struct shmb_msg_open_answer open;
	struct shmb_msg_list_answer list;
	struct shmb_msg_info_answer info;
	struct shmb_msg_policy_answer policy;
	struct shmb_msg_gc_answer gc;
	struct shmb_msg_status_answer status;
	struct shmb_msg_figures_answer figures;
	struct shmb_msg_events events;
	struct shmb_msg_metrics_answer metrics;
	struct shmb_msg_clients_answer clients;
	char bytes[SHMB_MESSAGE_MAX + 64];
} sent, got;
static struct shmb_msg_answer error;
static size_t sent_bytes;

static void answer_make(uint16_t opcode, uint32_t tail_bytes)
{
	memset(&sent, 0, sizeof(sent));
	sent.head.opcode = opcode;
	sent.head.serial = SERIAL;
	sent.head.tail_bytes = tail_bytes;
	sent_bytes = shmb_answer_size(opcode) + tail_bytes;
	if (opcode == SHMB_OP_HELLO)
		sent.hello.version = SHMB_PROTOCOL_VERSION;
}

static int answer_decode_as(uint16_t opcode, uint32_t serial)
{
	const char *tail;
	size_t tail_bytes;
	char *exact = malloc(sent_bytes > 0 ? sent_bytes : 1);
	int r;

	ck_assert_ptr_nonnull(exact);
	memcpy(exact, &sent, sent_bytes);
	memset(&got, 0x77, sizeof(got));
	memset(&error, 0x77, sizeof(error));
	r = shmb_answer_decode(exact, sent_bytes, opcode, serial, &got, &error, &tail, &tail_bytes);
	if (tail != NULL) {
		ck_assert_uint_eq(tail_bytes, sent.head.tail_bytes);
		ck_assert_ptr_eq(tail + tail_bytes, exact + sent_bytes);
	} else {
		ck_assert_int_eq(r, -EBADMSG);
		ck_assert_uint_eq(tail_bytes, 0);
	}
	free(exact);
	return r;
}

static int answer_decode(void)
{
	return answer_decode_as(sent.head.opcode, SERIAL);
}

START_TEST(answers_come_out_as_they_went_in)
{
	for (uint16_t opcode = 1; opcode < SHMB_OP_COUNT; opcode++) {
		if (shmb_answer_size(opcode) == 0)
			continue;
		answer_make(opcode, 0);
		ck_assert_int_eq(answer_decode(), 0);
		ck_assert_int_eq(memcmp(&got, &sent, sent_bytes), 0);
		ck_assert_int_eq(got.bytes[sent_bytes], 0x77);
	}
}
END_TEST

START_TEST(every_length_of_answers)
{
	for (uint16_t opcode = 1; opcode < SHMB_OP_COUNT; opcode++) {
		if (shmb_answer_size(opcode) == 0)
			continue;
		answer_make(opcode, 0);
		for (size_t whole = sent_bytes; sent_bytes > 0;) {
			sent_bytes--;
			ck_assert_int_eq(answer_decode(), -EBADMSG);
			ck_assert_uint_lt(sent_bytes, whole);
		}
		answer_make(opcode, 0);
		sent_bytes++;
		ck_assert_int_eq(answer_decode(), -EBADMSG);
		sent.head.tail_bytes = 1; /* it says so: a tail that fits no record, or may not be */
		ck_assert_int_eq(answer_decode(), -EBADMSG);
		sent.head.tail_bytes = UINT32_MAX;
		ck_assert_int_eq(answer_decode(), -EBADMSG);
		sent_bytes = SHMB_MESSAGE_MAX + 1;
		sent.head.tail_bytes = (uint32_t)(sent_bytes - shmb_answer_size(opcode));
		ck_assert_int_eq(answer_decode(), -EBADMSG);
	}
}
END_TEST

START_TEST(errors)
{
	for (uint16_t opcode = 1; opcode < SHMB_OP_COUNT; opcode++) {
		if (shmb_answer_size(opcode) == 0)
			continue;
		answer_make(opcode, 0);
		sent.answer.head.result = -EPROTOTYPE;
		sent.answer.holder_pid = 42;
		shmb_text_set(sent.answer.text, sizeof(sent.answer.text), "another type");
		memcpy(sent.bytes + sizeof(sent.answer), schema, SCHEMA);
		sent.head.tail_bytes = SCHEMA;
		sent_bytes = sizeof(sent.answer) + SCHEMA;
		ck_assert_int_eq(answer_decode(), -EPROTOTYPE);
		ck_assert_int_eq(memcmp(&error, &sent, sizeof(error)), 0);
		ck_assert_int_eq(got.bytes[0], 0x77); /* untouched */
		sent_bytes--;
		ck_assert_int_eq(answer_decode(), -EBADMSG);
		sent_bytes += 2;
		ck_assert_int_eq(answer_decode(), -EBADMSG);
		sent_bytes = SHMB_MESSAGE_MAX;
		sent.head.tail_bytes = (uint32_t)(sent_bytes - sizeof(sent.answer));
		ck_assert_int_eq(answer_decode(), -EPROTOTYPE);
		sent_bytes++;
		sent.head.tail_bytes++;
		ck_assert_int_eq(answer_decode(), -EBADMSG);
		sent.head.tail_bytes = 0;
		for (sent_bytes = 0; sent_bytes < sizeof(sent.answer); sent_bytes++)
			ck_assert_int_eq(answer_decode(), -EBADMSG);
		memset(sent.answer.text, 'x', sizeof(sent.answer.text));
		memset(sent.answer.holder_comm, 'x', sizeof(sent.answer.holder_comm));
		ck_assert_int_eq(answer_decode(), -EPROTOTYPE);
		ck_assert_uint_eq(strlen(error.text), sizeof(error.text) - 1);
		ck_assert_uint_eq(strlen(error.holder_comm), sizeof(error.holder_comm) - 1);
	}
}
END_TEST

START_TEST(heads_of_answers)
{
	answer_make(SHMB_OP_STATUS, 0);
	ck_assert_int_eq(answer_decode_as(SHMB_OP_STATUS, SERIAL + 1), -EBADMSG);
	ck_assert_int_eq(answer_decode_as(SHMB_OP_LIST, SERIAL), -EBADMSG);
	sent.head.reserved = 1;
	ck_assert_int_eq(answer_decode(), -EBADMSG);
	sent.head.reserved = 0;
	sent.head.result = 1;
	ck_assert_int_eq(answer_decode(), -EBADMSG);
	sent.head.result = -4095;
	ck_assert_int_eq(answer_decode(), -EBADMSG); /* the length of a STATUS answer, not of an error */
	sent_bytes = sizeof(struct shmb_msg_answer);
	ck_assert_int_eq(answer_decode(), -4095);
	sent.head.result = -4096;
	ck_assert_int_eq(answer_decode(), -EBADMSG);
	sent.head.result = INT32_MIN;
	ck_assert_int_eq(answer_decode(), -EBADMSG);
	sent.head.result = 0;
	sent.head.opcode = SHMB_OP_COUNT;
	ck_assert_int_eq(answer_decode(), -EBADMSG);
}
END_TEST

START_TEST(fields_of_answers)
{
	answer_make(SHMB_OP_HELLO, 0);
	sent.hello.version = 0;
	ck_assert_int_eq(answer_decode(), -EBADMSG);
	sent.hello.version = SHMB_PROTOCOL_VERSION + 1;
	ck_assert_int_eq(answer_decode(), -EBADMSG);

	for (uint16_t opcode = SHMB_OP_OPEN_WRITER; opcode <= SHMB_OP_OPEN_READER; opcode++) {
		answer_make(opcode, 0);
		sent.open.cell = sent.open.area = UINT32_MAX;
		sent.open.fd_count = SHMB_FDS_MAX;
		ck_assert_int_eq(answer_decode(), 0);
		sent.open.fd_count++;
		ck_assert_int_eq(answer_decode(), -EBADMSG);
		sent.open.fd_count = 2;
		sent.open.cell = SHMB_CELLS_MAX;
		ck_assert_int_eq(answer_decode(), -EBADMSG);
		sent.open.cell = SHMB_CELLS_MAX - 1;
		sent.open.area = SHMB_AREAS_MAX - 1;
		ck_assert_int_eq(answer_decode(), 0);
		sent.open.area = SHMB_AREAS_MAX;
		ck_assert_int_eq(answer_decode(), -EBADMSG);
	}

	answer_make(SHMB_OP_STATUS, 0);
	memset(sent.status.version, 'x', sizeof(sent.status.version));
	memset(sent.status.shm_dir, 'x', sizeof(sent.status.shm_dir));
	ck_assert_int_eq(answer_decode(), 0);
	ck_assert_uint_eq(strlen(got.status.version), sizeof(got.status.version) - 1);
	ck_assert_uint_eq(strlen(got.status.shm_dir), sizeof(got.status.shm_dir) - 1);
}
END_TEST

START_TEST(lists)
{
	struct shmb_msg_segment segment = { .order = 3, .writer_comm = "w", .type = "t", .name = "n" };
	char *records = sent.bytes + sizeof(sent.list);

	answer_make(SHMB_OP_LIST, 3 * sizeof(segment));
	sent.list.count = 3;
	for (int i = 0; i < 3; i++)
		memcpy(records + i * sizeof(segment), &segment, sizeof(segment));
	ck_assert_int_eq(answer_decode(), 0);
	sent.list.count = 2;
	ck_assert_int_eq(answer_decode(), -EBADMSG);
	sent.list.count = 4;
	ck_assert_int_eq(answer_decode(), -EBADMSG);
	sent.list.count = UINT32_MAX;
	ck_assert_int_eq(answer_decode(), -EBADMSG);
	sent.list.count = 3 + (UINT32_C(1) << 28); /* whose product with the size of a record wraps to the same in 32 bits */
	ck_assert_int_eq(answer_decode(), -EBADMSG);
	sent.list.count = 3;

	/* An unterminated string in any record. */
	for (int i = 0; i < 3; i++) {
		struct shmb_msg_segment bad = segment;

		memset(bad.name, 'x', sizeof(bad.name));
		memcpy(records + i * sizeof(segment), &bad, sizeof(bad));
		ck_assert_int_eq(answer_decode(), -EBADMSG);
		bad = segment;
		memset(bad.type, 'x', sizeof(bad.type));
		memcpy(records + i * sizeof(segment), &bad, sizeof(bad));
		ck_assert_int_eq(answer_decode(), -EBADMSG);
		bad = segment;
		memset(bad.writer_comm, 'x', sizeof(bad.writer_comm));
		memcpy(records + i * sizeof(segment), &bad, sizeof(bad));
		ck_assert_int_eq(answer_decode(), -EBADMSG);
		memcpy(records + i * sizeof(segment), &segment, sizeof(segment));
		ck_assert_int_eq(answer_decode(), 0);
	}
}
END_TEST

START_TEST(infos)
{
	struct shmb_msg_reader reader = { .pid = 5, .comm = "reader" };
	char *records = sent.bytes + sizeof(sent.info);

	answer_make(SHMB_OP_INFO, 2 * sizeof(reader) + SCHEMA);
	sent.info.reader_count = 2;
	sent.info.schema_bytes = SCHEMA;
	memcpy(records, &reader, sizeof(reader));
	memcpy(records + sizeof(reader), &reader, sizeof(reader));
	memcpy(records + 2 * sizeof(reader), schema, SCHEMA);
	memset(sent.info.segment.name, 'x', sizeof(sent.info.segment.name));
	memset(sent.info.segment.type, 'x', sizeof(sent.info.segment.type));
	memset(sent.info.segment.writer_comm, 'x', sizeof(sent.info.segment.writer_comm));
	ck_assert_int_eq(answer_decode(), 0);
	ck_assert_uint_eq(strlen(got.info.segment.name), sizeof(got.info.segment.name) - 1);
	ck_assert_uint_eq(strlen(got.info.segment.type), sizeof(got.info.segment.type) - 1);
	ck_assert_uint_eq(strlen(got.info.segment.writer_comm), sizeof(got.info.segment.writer_comm) - 1);
	sent.info.schema_bytes--;
	ck_assert_int_eq(answer_decode(), -EBADMSG);
	sent.info.schema_bytes = SCHEMA;
	sent.info.reader_count = 3;
	ck_assert_int_eq(answer_decode(), -EBADMSG);
	sent.info.reader_count = 3; /* the sum is right modulo 2^32 */
	sent.info.schema_bytes = (uint32_t)SCHEMA - (uint32_t)sizeof(reader);
	ck_assert_int_eq(answer_decode(), -EBADMSG);
	sent.info.reader_count = 2;
	sent.info.schema_bytes = SCHEMA;
	memset(records + sizeof(reader) + offsetof(struct shmb_msg_reader, comm), 'x', SHMB_COMM_MAX);
	ck_assert_int_eq(answer_decode(), -EBADMSG);
}
END_TEST

START_TEST(figures_in_answers)
{
	char *records = sent.bytes + sizeof(struct shmb_msg_figures_answer);
	struct shmb_msg_figure figure = { .next = 7 };

	answer_make(SHMB_OP_FIGURES, 2 * sizeof(figure));
	memset(figure.name, 'n', sizeof(figure.name) - 1);
	memcpy(records + sizeof(figure), &figure, sizeof(figure));
	sent.figures.count = 2;
	ck_assert_int_eq(answer_decode(), 0);
	sent.figures.count = 1;
	ck_assert_int_eq(answer_decode(), -EBADMSG);
	sent.figures.count = 2 + (UINT32_C(1) << 28);
	ck_assert_int_eq(answer_decode(), -EBADMSG);
	sent.figures.count = 2;
	memset(records + sizeof(figure) + offsetof(struct shmb_msg_figure, name), 'x', sizeof(figure.name));
	ck_assert_int_eq(answer_decode(), -EBADMSG);
	answer_make(SHMB_OP_FIGURES, 2 * sizeof(figure));
	sent.figures.count = 2;
	memset(records + offsetof(struct shmb_msg_figure, type), 'x', sizeof(figure.type));
	ck_assert_int_eq(answer_decode(), -EBADMSG);
	answer_make(SHMB_OP_FIGURES, 2 * sizeof(figure));
	sent.figures.count = 2;
	memset(records + offsetof(struct shmb_msg_figure, writer_comm), 'x', sizeof(figure.writer_comm));
	ck_assert_int_eq(answer_decode(), -EBADMSG);
}
END_TEST

START_TEST(events_in_answers)
{
	static const size_t strings[] = { offsetof(struct shmb_msg_event, comm),   offsetof(struct shmb_msg_event, kind),
					  offsetof(struct shmb_msg_event, reason), offsetof(struct shmb_msg_event, segment),
					  offsetof(struct shmb_msg_event, text),   sizeof(struct shmb_msg_event) };
	char *records = sent.bytes + sizeof(struct shmb_msg_events);

	answer_make(SHMB_OP_EVENT, 2 * sizeof(struct shmb_msg_event));
	sent.events.count = 2;
	sent.events.lost = 7;
	ck_assert_int_eq(answer_decode(), 0);
	ck_assert_uint_eq(got.events.lost, 7);
	sent.events.count = 3;
	ck_assert_int_eq(answer_decode(), -EBADMSG);
	for (unsigned i = 0; i < 5; i++) {
		answer_make(SHMB_OP_EVENT, 2 * sizeof(struct shmb_msg_event));
		sent.events.count = 2;
		memset(records + sizeof(struct shmb_msg_event) + strings[i], 'x', strings[i + 1] - strings[i] - 1);
		ck_assert_int_eq(answer_decode(), 0);
		records[sizeof(struct shmb_msg_event) + strings[i + 1] - 1] = 'x';
		ck_assert_int_eq(answer_decode(), -EBADMSG);
	}
}
END_TEST

START_TEST(metrics_in_answers)
{
	enum { BUCKETS = 2 * sizeof(struct shmb_msg_bucket), ONE = sizeof(struct shmb_msg_count) };
	char *counts = sent.bytes + sizeof(sent.metrics) + BUCKETS;

	for (unsigned bad = 0; bad < 6; bad++) {
		answer_make(SHMB_OP_METRICS, BUCKETS + 3 * ONE);
		sent.metrics.bucket_count = 2;
		sent.metrics.refusal_count = 1;
		sent.metrics.event_count = 2;
		memset(sent.metrics.version, 'x', sizeof(sent.metrics.version));
		memset(counts + 2 * ONE + offsetof(struct shmb_msg_count, name), 'x', 23);
		ck_assert_int_eq(answer_decode(), 0);
		ck_assert_uint_eq(strlen(got.metrics.version), sizeof(got.metrics.version) - 1);
		sent.metrics.bucket_count += bad == 0 ? 1 : bad == 1 ? UINT32_C(1) << 28 : 0;
		sent.metrics.refusal_count += bad == 2 ? UINT32_MAX : 0; /* one less */
		sent.metrics.event_count += bad == 3 ? UINT32_C(1) << 27 : 0;
		if (bad == 4)
			counts[3 * ONE - 1] = 'x';
		if (bad == 5)
			memset(counts + offsetof(struct shmb_msg_count, name), 'x', 24);
		ck_assert_int_eq(answer_decode(), -EBADMSG);
	}
}
END_TEST

START_TEST(clients_in_answers)
{
	enum { CLIENT = sizeof(struct shmb_msg_client), HANDLE = sizeof(struct shmb_msg_client_handle) };
	struct shmb_msg_client client = { .comm = "a" };
	char *at = sent.bytes + sizeof(sent.clients);

	for (unsigned bad = 0; bad < 8; bad++) {
		answer_make(SHMB_OP_CLIENTS, 2 * CLIENT + 3 * HANDLE);
		sent.clients.count = 2;
		client.handle_count = 1;
		memcpy(at, &client, CLIENT);
		client.handle_count = 2;
		memcpy(at + CLIENT + HANDLE, &client, CLIENT);
		ck_assert_int_eq(answer_decode(), 0);
		sent.clients.count = bad == 0 ? 1 : bad == 1 ? 3 : bad == 2 ? UINT32_MAX : 2;
		client.handle_count = bad == 3 ? 3 : bad == 4 ? UINT32_MAX : bad == 5 ? 1 : 2;
		memcpy(at + CLIENT + HANDLE, &client, CLIENT);
		if (bad == 6)
			memset(at + offsetof(struct shmb_msg_client, comm), 'x', sizeof(client.comm));
		if (bad == 7)
			memset(at + 2 * CLIENT + 2 * HANDLE + offsetof(struct shmb_msg_client_handle, name), 'x', HANDLE - 8);
		ck_assert_int_eq(answer_decode(), -EBADMSG);
	}
}
END_TEST

/* A policy's patterns and settings, and what a clean-up took: every string ends inside its field. */
START_TEST(policies_in_answers)
{
	enum { PATTERN = sizeof(struct shmb_msg_policy_pattern), SETTING = sizeof(struct shmb_msg_policy_setting) };
	static const struct {
		size_t at, size;
	} strings[] = {
		{ PATTERN + offsetof(struct shmb_msg_policy_pattern, pattern), sizeof(((struct shmb_msg_policy_pattern *)0)->pattern) },
		{ PATTERN + offsetof(struct shmb_msg_policy_pattern, source), SHMB_SOURCE_MAX },
		{ 2 * PATTERN + SETTING + offsetof(struct shmb_msg_policy_setting, name),
		  sizeof(((struct shmb_msg_policy_setting *)0)->name) },
		{ 2 * PATTERN + SETTING + offsetof(struct shmb_msg_policy_setting, value), SHMB_VALUE_MAX },
		{ 2 * PATTERN + SETTING + offsetof(struct shmb_msg_policy_setting, source), SHMB_SOURCE_MAX },
	};
	char *tail = sent.bytes + sizeof(sent.policy);

	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
		answer_make(SHMB_OP_POLICY, 2 * PATTERN + 2 * SETTING);
		sent.policy.pattern_count = sent.policy.setting_count = 2;
		memset(sent.policy.read_why, 'x', sizeof(sent.policy.read_why));
		memset(tail + strings[i].at, 'x', strings[i].size - 1);
		ck_assert_int_eq(answer_decode(), 0);
		ck_assert_uint_eq(strlen(got.policy.read_why), sizeof(got.policy.read_why) - 1);
		tail[strings[i].at + strings[i].size - 1] = 'x';
		ck_assert_int_eq(answer_decode(), -EBADMSG);
	}
	answer_make(SHMB_OP_POLICY, 2 * PATTERN + 2 * SETTING);
	sent.policy.pattern_count = 2;
	ck_assert_int_eq(answer_decode(), -EBADMSG);
	sent.policy.setting_count = UINT32_MAX;
	ck_assert_int_eq(answer_decode(), -EBADMSG);
}
END_TEST

START_TEST(clean_ups_in_answers)
{
	enum { ITEM = sizeof(struct shmb_msg_gc_item) };
	static const size_t ends[] = { offsetof(struct shmb_msg_gc_item, name) + sizeof(((struct shmb_msg_gc_item *)0)->name),
				       offsetof(struct shmb_msg_gc_item, reason) + sizeof(((struct shmb_msg_gc_item *)0)->reason) };
	static const size_t begins[] = { offsetof(struct shmb_msg_gc_item, name), offsetof(struct shmb_msg_gc_item, reason) };
	char *tail = sent.bytes + sizeof(sent.gc);

	for (int i = 0; i < 2; i++) {
		answer_make(SHMB_OP_GC, 2 * ITEM);
		sent.gc.count = 2;
		memset(tail + ITEM + begins[i], 'x', ends[i] - begins[i] - 1);
		ck_assert_int_eq(answer_decode(), 0);
		tail[ITEM + ends[i] - 1] = 'x';
		ck_assert_int_eq(answer_decode(), -EBADMSG);
	}
	answer_make(SHMB_OP_GC, 2 * ITEM);
	sent.gc.count = 1;
	ck_assert_int_eq(answer_decode(), -EBADMSG);
}
END_TEST

START_TEST(random_answers)
{
	uint64_t random = 9;

	for (int round = 0; round < 30000; round++) {
		uint16_t opcode = 1 + unit_random(&random) % (SHMB_OP_COUNT - 1);
		uint32_t extra = unit_random(&random) % 800;

		if (shmb_answer_size(opcode) == 0)
			continue;
		answer_make(opcode, extra);
		unit_random_fill(&random, sent.bytes + 16, shmb_answer_size(opcode) - 16 + extra);
		if (opcode == SHMB_OP_LIST)
			sent.list.count = extra / sizeof(struct shmb_msg_segment);
		if (opcode == SHMB_OP_FIGURES)
			sent.figures.count = extra / sizeof(struct shmb_msg_figure);
		if (opcode == SHMB_OP_GC)
			sent.gc.count = extra / sizeof(struct shmb_msg_gc_item);
		if (opcode == SHMB_OP_POLICY) {
			sent.policy.pattern_count = extra == 496;
			sent.policy.setting_count = extra == 696;
		}
		if (opcode == SHMB_OP_METRICS) {
			sent.metrics.bucket_count = extra / 64 % 4;
			sent.metrics.refusal_count %= 4;
			sent.metrics.event_count = (extra - sent.metrics.bucket_count * 16) / 32 - sent.metrics.refusal_count;
		}
		if (opcode == SHMB_OP_CLIENTS)
			sent.clients.count %= 4;
		if (opcode == SHMB_OP_EVENT)
			sent.events.count = extra / sizeof(struct shmb_msg_event);
		if (opcode == SHMB_OP_INFO) {
			sent.info.reader_count %= 8;
			sent.info.schema_bytes = extra - sent.info.reader_count * (uint32_t)sizeof(struct shmb_msg_reader);
		}
		answer_decode();
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("answer");

	unit_add(suite, answers_come_out_as_they_went_in, 5);
	unit_add(suite, every_length_of_answers, 10);
	unit_add(suite, errors, 10);
	unit_add(suite, heads_of_answers, 5);
	unit_add(suite, fields_of_answers, 5);
	unit_add(suite, lists, 5);
	unit_add(suite, infos, 5);
	unit_add(suite, figures_in_answers, 5);
	unit_add(suite, events_in_answers, 5);
	unit_add(suite, metrics_in_answers, 5);
	unit_add(suite, clients_in_answers, 5);
	unit_add(suite, policies_in_answers, 5);
	unit_add(suite, clean_ups_in_answers, 5);
	unit_add(suite, random_answers, 20);
	return unit_run(suite);
}
