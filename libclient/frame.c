/* SPDX-License-Identifier: MIT */
/* The public face of frames: payloads that are filled and read where they lie (frame.h). */
#include <string.h>

#include "segment.h"
#include "text.h"
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
	struct shmb_request wanted = { .kind = SHMB_KIND_FRAME, .key_field = SHMB_KEY_IS_STAMP };

	if (options == NULL)
		options = &defaults;
	wanted.flags = options->stamped != 0 ? SHMB_SEGMENT_STAMPED : 0;
	wanted.history = options->history != 0 ? options->history : HISTORY_DEFAULT;
	wanted.pins = options->pins != 0 ? options->pins : PINS_DEFAULT;
	return writer_open((struct writer **)out, broker, name, type, &wanted, options->deadline_ns);
}

struct shmb_frame_writer *shmb_frame_writer_close(struct shmb_frame_writer *writer)
{
	if (writer != NULL) {
		frame_abort(&writer->writer.frame);
		writer_close(&writer->writer);
	}
	return NULL;
}

__attribute__((hot)) int shmb_frame_loan(struct shmb_frame_writer *writer, void **payload, size_t *capacity)
{
	return frame_loan(&writer->writer.frame, payload, capacity);
}

__attribute__((hot)) int shmb_frame_commit(struct shmb_frame_writer *writer, size_t length)
{
	return frame_commit(&writer->writer.frame, length);
}

int shmb_frame_abort(struct shmb_frame_writer *writer)
{
	return frame_abort(&writer->writer.frame);
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

__attribute__((hot)) int shmb_frame_pin_newest(struct shmb_frame_reader *reader, struct shmb_frame *frame)
{
	return frame_pin_newest(&reader->reader.frame, frame);
}

__attribute__((hot)) int shmb_frame_pin_next(struct shmb_frame_reader *reader, struct shmb_frame *frame)
{
	return frame_pin_next(&reader->reader.frame, frame);
}

int shmb_frame_pin_number(struct shmb_frame_reader *reader, uint64_t number, struct shmb_frame *frame)
{
	return frame_pin(&reader->reader.frame, number, frame);
}

__attribute__((hot)) int shmb_frame_release(struct shmb_frame_reader *reader, struct shmb_frame *frame)
{
	return frame_release(&reader->reader.frame, frame);
}

int shmb_frame_load_newest(struct shmb_frame_reader *reader, void *buffer, size_t size, struct shmb_frame *frame)
{
	return frame_copy_newest(&reader->reader.frame, buffer, size, frame);
}

int shmb_frame_load_next(struct shmb_frame_reader *reader, void *buffer, size_t size, struct shmb_frame *frame)
{
	return frame_copy_next(&reader->reader.frame, buffer, size, frame);
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
	return &reader->reader.slots.waitable;
}

int shmb_frame_wait(struct shmb_frame_reader *reader, uint64_t deadline_ns)
{
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
