/* SPDX-License-Identifier: MIT */
/* The public face of frames but for its data path (frame.h): opening, and what is the same as for rings. */
#include <string.h>

#include "keyed.h"
#include "wait.h"

_Static_assert((int)SHMB_FRAME_PINS == (int)SHMB_PINS_PER_CELL, "what is promised is what a cell holds");

enum { HISTORY_DEFAULT = 4, PINS_DEFAULT = 8 };

struct shmb_frame_writer {
	struct writer writer;
};

struct shmb_frame_reader {
	struct reader reader;
};

int shmb_frame_writer_open(struct shmb_frame_writer **out, struct shmb *broker, const char *name, const struct shmb_type *type,
			   const struct shmb_frame_options *options)
{
	static const struct shmb_frame_options defaults;
	struct shmb_request wanted = { .kind = SHMB_KIND_FRAME };
	struct key_wish wish;

	if (options == NULL)
		options = &defaults;
	wanted.flags = options->stamped != 0 ? SHMB_SEGMENT_STAMPED : 0;
	wanted.history = options->history != 0 ? options->history : HISTORY_DEFAULT;
	wanted.pins = options->pins != 0 ? options->pins : PINS_DEFAULT;
	wish = (struct key_wish){ options->key_clock, options->key_field, options->keys_given != 0, options->history == SHMB_AS_IT_IS };
	return keyed_writer_open((struct writer **)out, broker, name, type, &wanted, &wish, options->deadline_ns);
}

struct shmb_frame_writer *shmb_frame_writer_close(struct shmb_frame_writer *writer)
{
	if (writer != NULL) {
		shmb_frame_abort(writer);
		writer_close(&writer->writer);
	}
	return NULL;
}

int shmb_frame_heartbeat(struct shmb_frame_writer *writer)
{
	return slots_heartbeat(&writer->writer.slots);
}

uint64_t shmb_frame_next_number(const struct shmb_frame_writer *writer)
{
	return writer->writer.slots.next;
}

int shmb_frame_reader_open(struct shmb_frame_reader **out, struct shmb *broker, const char *name, const struct shmb_type *type,
			   uint64_t deadline_ns)
{
	return reader_open((struct reader **)out, broker, SHMB_KIND_FRAME, SHMB_ROLE_READER, name, type, deadline_ns);
}

int shmb_frame_observe(struct shmb_frame_reader **out, struct shmb *broker, const char *name)
{
	return reader_open((struct reader **)out, broker, SHMB_KIND_FRAME, SHMB_ROLE_OBSERVER, name, NULL, SHMB_NO_WAIT);
}

struct shmb_frame_reader *shmb_frame_reader_close(struct shmb_frame_reader *reader)
{
	if (reader != NULL)
		reader_close(&reader->reader);
	return NULL;
}

int shmb_frame_seek(struct shmb_frame_reader *reader, uint64_t number)
{
	return slots_seek(&reader->reader.slots, number);
}

int shmb_frame_bounds(struct shmb_frame_reader *reader, uint64_t *oldest, uint64_t *next)
{
	return slots_bounds(&reader->reader.slots, oldest, next);
}

struct shmb_waitable *shmb_frame_waitable(struct shmb_frame_reader *reader)
{
	return reader != NULL ? &reader->reader.slots.waitable : NULL;
}

int shmb_frame_wait(struct shmb_frame_reader *reader, uint64_t deadline_ns)
{
	if (reader == NULL)
		return wait_closed();
	return slots_wait(&reader->reader.slots, reader->reader.handle.broker, deadline_ns);
}

int shmb_frame_status(struct shmb_frame_reader *reader, struct shmb_segment_status *out)
{
	return reader_status(&reader->reader, out);
}

const struct shmb_type *shmb_frame_type(const struct shmb_frame_reader *reader)
{
	return reader->reader.type;
}
