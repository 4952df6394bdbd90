/* SPDX-License-Identifier: MIT */
/* The public face of values: slots of which only the newest is asked for. */
#include <errno.h>

#include "segment.h"
#include "text.h"
#include "wait.h"

struct shmb_value_writer {
	struct writer writer;
};

struct shmb_value_reader {
	struct reader reader;
};

int shmb_value_writer_open(struct shmb_value_writer **out, struct shmb *broker, const char *name, const struct shmb_type *type,
			   const struct shmb_options *options)
{
	struct shmb_request wanted = segment_request(SHMB_KIND_VALUE, options);

	*out = NULL;
	if (options != NULL && (options->key_clock != SHMB_CLOCK_NONE || options->key_field != NULL))
		return text_fail(-EINVAL, "options: a value has no keys");
	return writer_open((struct writer **)out, broker, name, type, &wanted, options != NULL ? options->deadline_ns : SHMB_NO_WAIT);
}

struct shmb_value_writer *shmb_value_writer_close(struct shmb_value_writer *writer)
{
	if (writer != NULL)
		writer_close(&writer->writer);
	return NULL;
}

__attribute__((hot)) int shmb_value_store(struct shmb_value_writer *writer, const void *payload)
{
	return slots_publish(&writer->writer.slots, payload);
}

int shmb_value_heartbeat(struct shmb_value_writer *writer)
{
	return slots_heartbeat(&writer->writer.slots);
}

uint64_t shmb_value_next(const struct shmb_value_writer *writer)
{
	return writer->writer.slots.next;
}

int shmb_value_reader_open(struct shmb_value_reader **out, struct shmb *broker, const char *name, const struct shmb_type *type,
			   uint64_t deadline_ns)
{
	return reader_open((struct reader **)out, broker, SHMB_KIND_VALUE, SHMB_ROLE_READER, name, type, deadline_ns);
}

int shmb_value_observe(struct shmb_value_reader **out, struct shmb *broker, const char *name)
{
	return reader_open((struct reader **)out, broker, SHMB_KIND_VALUE, SHMB_ROLE_OBSERVER, name, NULL, SHMB_NO_WAIT);
}

struct shmb_value_reader *shmb_value_reader_close(struct shmb_value_reader *reader)
{
	if (reader != NULL)
		reader_close(&reader->reader);
	return NULL;
}

__attribute__((hot)) int shmb_value_load(struct shmb_value_reader *reader, void *payload, struct shmb_sample *sample)
{
	return slots_latest(&reader->reader.slots, payload, sample);
}

int shmb_value_wait(struct shmb_value_reader *reader, uint64_t deadline_ns)
{
	if (reader == NULL)
		return wait_closed();
	return slots_wait(&reader->reader.slots, reader->reader.handle.broker, deadline_ns);
}

struct shmb_waitable *shmb_value_waitable(struct shmb_value_reader *reader)
{
	return reader != NULL ? &reader->reader.slots.waitable : NULL;
}

int shmb_value_status(struct shmb_value_reader *reader, struct shmb_segment_status *out)
{
	return reader_status(&reader->reader, out);
}

const struct shmb_type *shmb_value_type(const struct shmb_value_reader *reader)
{
	return reader->reader.type;
}
