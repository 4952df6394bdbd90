/* SPDX-License-Identifier: MIT */
/* Handles of the test process (client.h): thin wrappers that assert. */
#include "client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Alignas(64) char payload[CLIENT_BYTES_MAX];

struct shmb_type *pattern_type(size_t bytes)
{
	struct shmb_type *type = NULL;
	char schema[64];

	if (bytes % 8 == 0)
		snprintf(schema, sizeof(schema), "uint64[%zu] words\n", bytes / 8);
	else
		snprintf(schema, sizeof(schema), "uint8[%zu] bytes\n", bytes);
	ASSERT_OK(shmb_type_parse(&type, "pattern", schema));
	return type;
}

/* ---- open ---- */

struct shmb_ring_writer *ring_writer(struct shmb *client, const char *name, size_t bytes, uint32_t capacity)
{
	struct shmb_type *type = pattern_type(bytes);
	struct shmb_ring_writer *writer = NULL;

	ASSERT_OK(shmb_ring_writer_open(&writer, client, name, type, &(struct shmb_options){ .capacity = capacity }));
	shmb_type_free(type);
	return writer;
}

struct shmb_ring_reader *ring_reader(struct shmb *client, const char *name)
{
	struct shmb_ring_reader *reader = NULL;

	ASSERT_OK(shmb_ring_reader_open(&reader, client, name, NULL, SHMB_NO_WAIT));
	return reader;
}

struct shmb_value_writer *value_writer(struct shmb *client, const char *name, size_t bytes)
{
	struct shmb_type *type = pattern_type(bytes);
	struct shmb_value_writer *writer = NULL;

	ASSERT_OK(shmb_value_writer_open(&writer, client, name, type, NULL));
	shmb_type_free(type);
	return writer;
}

struct shmb_value_reader *value_reader(struct shmb *client, const char *name)
{
	struct shmb_value_reader *reader = NULL;

	ASSERT_OK(shmb_value_reader_open(&reader, client, name, NULL, SHMB_NO_WAIT));
	return reader;
}

int ring_writer_try(struct shmb *client, const char *name, size_t bytes, uint32_t capacity)
{
	struct shmb_type *type = pattern_type(bytes);
	struct shmb_ring_writer *writer = NULL;
	int r = shmb_ring_writer_open(&writer, client, name, type, &(struct shmb_options){ .capacity = capacity });

	shmb_type_free(type);
	ck_assert_msg((r == 0) == (writer != NULL), "result %d and a handle do not fit", r);
	shmb_ring_writer_close(writer);
	return r;
}

int value_writer_try(struct shmb *client, const char *name, size_t bytes)
{
	struct shmb_type *type = pattern_type(bytes);
	struct shmb_value_writer *writer = NULL;
	int r = shmb_value_writer_open(&writer, client, name, type, NULL);

	shmb_type_free(type);
	ck_assert_msg((r == 0) == (writer != NULL), "result %d and a handle do not fit", r);
	shmb_value_writer_close(writer);
	return r;
}

int ring_reader_try(struct shmb *client, const char *name, uint64_t deadline)
{
	struct shmb_ring_reader *reader = NULL;
	int r = shmb_ring_reader_open(&reader, client, name, NULL, deadline);

	ck_assert_msg((r == 0) == (reader != NULL), "result %d and a handle do not fit", r);
	shmb_ring_reader_close(reader);
	return r;
}

/* ---- write and read ---- */

void ring_write(struct shmb_ring_writer *writer, size_t bytes, unsigned count, unsigned salt)
{
	while (count-- > 0) {
		pattern_fill(payload, bytes, shmb_ring_next_number(writer), salt);
		ASSERT_OK(shmb_ring_insert(writer, payload));
	}
}

void value_write(struct shmb_value_writer *writer, size_t bytes, unsigned count, unsigned salt)
{
	while (count-- > 0) {
		pattern_fill(payload, bytes, shmb_value_next(writer), salt);
		ASSERT_OK(shmb_value_store(writer, payload));
	}
}

static unsigned checked(size_t bytes, const struct shmb_sample *sample, uint64_t number, int64_t missed)
{
	unsigned salt;

	ck_assert_uint_eq(sample->number, number);
	ck_assert_msg(pattern_check(payload, bytes, number, &salt), "number %llu is torn", (unsigned long long)number);
	if (missed >= 0)
		ck_assert_int_eq((int64_t)sample->missed, missed);
	return salt;
}

unsigned ring_next(struct shmb_ring_reader *reader, uint64_t number, int64_t missed)
{
	struct shmb_sample sample = { 0 };

	ASSERT_OK(shmb_ring_read_next(reader, payload, &sample));
	return checked(shmb_ring_type(reader)->size, &sample, number, missed);
}

unsigned ring_latest(struct shmb_ring_reader *reader, uint64_t number, int64_t missed)
{
	struct shmb_sample sample = { 0 };

	ASSERT_OK(shmb_ring_latest(reader, payload, &sample));
	return checked(shmb_ring_type(reader)->size, &sample, number, missed);
}

unsigned ring_at(struct shmb_ring_reader *reader, uint64_t number)
{
	struct shmb_sample sample = { 0 };

	ASSERT_OK(shmb_ring_read(reader, number, payload, &sample));
	return checked(shmb_ring_type(reader)->size, &sample, number, -1);
}

unsigned value_latest(struct shmb_value_reader *reader, uint64_t number, int64_t missed)
{
	struct shmb_sample sample = { 0 };

	ASSERT_OK(shmb_value_load(reader, payload, &sample));
	return checked(shmb_value_type(reader)->size, &sample, number, missed);
}

/* ---- what the broker lists ---- */

struct search {
	const char *name;
	struct listed *out;
	bool found;
	unsigned count;
};

static int look(const struct shmb_segment_info *info, void *user)
{
	struct search *search = user;

	search->count++;
	if (search->name == NULL || strcmp(info->name, search->name) != 0)
		return 0;
	search->found = true;
	if (search->out != NULL) {
		*search->out = (struct listed){ .epoch = info->epoch,
						.generation = info->generation,
						.bytes = info->bytes,
						.payload_bytes = info->payload_bytes,
						.capacity = info->capacity,
						.readers = info->readers,
						.owner_uid = info->owner_uid,
						.writer_pid = info->writer_pid,
						.writer = info->writer };
		snprintf(search->out->kind, sizeof(search->out->kind), "%s", info->kind);
		snprintf(search->out->type, sizeof(search->out->type), "%s", info->type);
	}
	return 0;
}

bool segment_listed(struct shmb *client, const char *name, struct listed *out)
{
	struct search search = { .name = name, .out = out };

	ASSERT_OK(shmb_list(client, look, &search));
	return search.found;
}

unsigned segments_count(struct shmb *client)
{
	struct search search = { 0 };

	ASSERT_OK(shmb_list(client, look, &search));
	return search.count;
}

static int note_clients(const struct shmb_broker_status *status, void *user)
{
	*(unsigned *)user = status->clients;
	return 0;
}

unsigned clients_count(struct shmb *client)
{
	unsigned count = 0;

	ASSERT_OK(shmb_status(client, note_clients, &count));
	return count;
}

void wait_writer(struct shmb *client, const char *name, enum shmb_writer_condition condition)
{
	uint64_t deadline = deadline_in(SUITE_PATIENCE_MS);
	struct listed listed = { 0 };

	while (!segment_listed(client, name, &listed) || listed.writer != condition)
		ck_assert_msg(suite_pause(deadline), "the broker says %d of the writer of %s, not %d", listed.writer, name, condition);
}
