/* SPDX-License-Identifier: MIT */
/* The public face of rings: the newest N - 1 elements, by number or in order. */
#include <errno.h>

#include "keyed.h"
#include "wait.h"

struct shmb_ring_writer {
	struct writer writer;
};

struct shmb_ring_reader {
	struct reader reader;
};

int shmb_ring_writer_open(struct shmb_ring_writer **out, struct shmb *broker, const char *name, const struct shmb_type *type,
			  const struct shmb_options *options)
{
	struct shmb_request wanted = segment_request(SHMB_KIND_RING, options);
	struct key_wish wish = { 0 };

	*out = NULL;
	if (options != NULL)
		wish = (struct key_wish){ options->key_clock, options->key_field, false, options->capacity == SHMB_AS_IT_IS };
	return keyed_writer_open((struct writer **)out, broker, name, type, &wanted, &wish,
				 options != NULL ? options->deadline_ns : SHMB_NO_WAIT);
}

struct shmb_ring_writer *shmb_ring_writer_close(struct shmb_ring_writer *writer)
{
	if (writer != NULL)
		writer_close(&writer->writer);
	return NULL;
}

__attribute__((hot)) int shmb_ring_insert(struct shmb_ring_writer *writer, const void *payload)
{
	return slots_publish(&writer->writer.slots, payload);
}

int shmb_ring_heartbeat(struct shmb_ring_writer *writer)
{
	return slots_heartbeat(&writer->writer.slots);
}

uint64_t shmb_ring_next_number(const struct shmb_ring_writer *writer)
{
	return writer->writer.slots.next;
}

int shmb_ring_reader_open(struct shmb_ring_reader **out, struct shmb *broker, const char *name, const struct shmb_type *type,
			  uint64_t deadline_ns)
{
	return reader_open((struct reader **)out, broker, SHMB_KIND_RING, SHMB_ROLE_READER, name, type, deadline_ns);
}

int shmb_ring_observe(struct shmb_ring_reader **out, struct shmb *broker, const char *name)
{
	return reader_open((struct reader **)out, broker, SHMB_KIND_RING, SHMB_ROLE_OBSERVER, name, NULL, SHMB_NO_WAIT);
}

struct shmb_ring_reader *shmb_ring_reader_close(struct shmb_ring_reader *reader)
{
	if (reader != NULL)
		reader_close(&reader->reader);
	return NULL;
}

__attribute__((hot)) int shmb_ring_latest(struct shmb_ring_reader *reader, void *payload, struct shmb_sample *sample)
{
	return slots_latest(&reader->reader.slots, payload, sample);
}

__attribute__((hot)) int shmb_ring_read(struct shmb_ring_reader *reader, uint64_t number, void *payload, struct shmb_sample *sample)
{
	return slots_read(&reader->reader.slots, number, payload, sample);
}

__attribute__((hot)) int shmb_ring_read_next(struct shmb_ring_reader *reader, void *payload, struct shmb_sample *sample)
{
	return slots_read_next(&reader->reader.slots, payload, sample);
}

int shmb_ring_seek(struct shmb_ring_reader *reader, uint64_t number)
{
	return slots_seek(&reader->reader.slots, number);
}

int shmb_ring_bounds(struct shmb_ring_reader *reader, uint64_t *oldest, uint64_t *next)
{
	return slots_bounds(&reader->reader.slots, oldest, next);
}

int shmb_ring_wait(struct shmb_ring_reader *reader, uint64_t deadline_ns)
{
	if (reader == NULL)
		return wait_closed();
	return slots_wait(&reader->reader.slots, reader->reader.handle.broker, deadline_ns);
}

struct shmb_waitable *shmb_ring_waitable(struct shmb_ring_reader *reader)
{
	return reader != NULL ? &reader->reader.slots.waitable : NULL;
}

int shmb_ring_status(struct shmb_ring_reader *reader, struct shmb_segment_status *out)
{
	return reader_status(&reader->reader, out);
}

const struct shmb_type *shmb_ring_type(const struct shmb_ring_reader *reader)
{
	return reader->reader.type;
}
