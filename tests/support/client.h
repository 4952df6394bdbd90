/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_CLIENT_H
#define SHMB_TESTS_CLIENT_H

/* Handles of the test process itself, with pattern.h's payloads: each function fails the test when its call fails. */

#include "broker.h"
#include "pattern.h"

enum { CLIENT_BYTES_MAX = 1 << 20 };

/* The type that worker.c uses for payloads of this size. The caller frees it. */
struct shmb_type *pattern_type(size_t bytes);

struct shmb_ring_writer *ring_writer(struct shmb *client, const char *name, size_t bytes, uint32_t capacity);
struct shmb_ring_reader *ring_reader(struct shmb *client, const char *name);
struct shmb_value_writer *value_writer(struct shmb *client, const char *name, size_t bytes);
struct shmb_value_reader *value_reader(struct shmb *client, const char *name);

/* Opens that are refused: the error code. */
int ring_writer_try(struct shmb *client, const char *name, size_t bytes, uint32_t capacity);
int value_writer_try(struct shmb *client, const char *name, size_t bytes);
int ring_reader_try(struct shmb *client, const char *name, uint64_t deadline);

void ring_write(struct shmb_ring_writer *writer, size_t bytes, unsigned count, unsigned salt);
void value_write(struct shmb_value_writer *writer, size_t bytes, unsigned count, unsigned salt);

/* Each reads and checks the payload, the number and what was missed (-1: any), and returns the salt. */
unsigned ring_next(struct shmb_ring_reader *reader, uint64_t number, int64_t missed);
unsigned ring_latest(struct shmb_ring_reader *reader, uint64_t number, int64_t missed);
unsigned ring_at(struct shmb_ring_reader *reader, uint64_t number);
unsigned value_latest(struct shmb_value_reader *reader, uint64_t number, int64_t missed);

/* One segment by name, as the broker lists it. false: there is none. */
struct listed {
	uint64_t epoch, generation, bytes, payload_bytes;
	uint32_t capacity, readers, owner_uid;
	int32_t writer_pid;
	enum shmb_writer_condition writer;
	char kind[16], type[48];
};
bool segment_listed(struct shmb *client, const char *name, struct listed *out);
unsigned segments_count(struct shmb *client);
/* Connections that the broker has, this one among them. */
unsigned clients_count(struct shmb *client);
/* Waits until the broker says this of the segment's writer. */
void wait_writer(struct shmb *client, const char *name, enum shmb_writer_condition condition);

#endif
