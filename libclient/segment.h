/* SPDX-License-Identifier: MIT */
#ifndef SHMB_CLIENT_SEGMENT_H
#define SHMB_CLIENT_SEGMENT_H

/*
 * Opening and closing: asking the broker, waiting for a name or a lease, mapping what it sends, believing nothing of it unchecked.
 * All kinds use these; value.c, ring.c, ... put their names on them.
 */

#include "block.h"
#include "connection.h"
#include "frame.h"
#include "queue.h"
#include "slots.h"

/* What is mapped for one handle. */
struct mappings {
	const struct shmb_shm_card *card;
	struct shmb_shm_data *data;
	struct shmb_shm_area *areas[SHMB_AREAS_MAX];
	uint32_t area_count;
	uint64_t card_bytes;
	uint32_t wishes; /* enum shmb_wishes */
	struct shmb_geometry geometry;
};

/*
 * The data path's part comes first: it is on a cache line of its own, and a public handle is a pointer to it. Each kind's part begins with
 * slots, so that what needs only numbers (waiting, bounds, status) is the same for all.
 */
struct writer {
	union {
		struct slots_writer slots;
		struct frame_writer frame;
		struct queue_producer queue;
		struct block block; /* a sharer, not the one writer */
	};
	struct handle handle;
	struct mappings mappings;
};

/* An earlier generation in which a frame's reader holds something. */
struct reader_old {
	struct reader_old *next;
	struct handle handle; /* of the broker's: its cell keeps what is held */
	struct mappings mappings;
	struct frame_kept kept;
	bool listed; /* the handle is on the connection's list */
};

struct reader {
	union {
		struct slots_reader slots;
		struct frame_reader frame;
		struct queue_consumer queue;
	};
	struct handle handle;
	struct mappings mappings;
	struct shmb_type *type;
	struct reader_old *old; /* NULL none */
};

/* What options (NULL: the defaults) ask for, for value and ring. */
struct shmb_request segment_request(enum shmb_kind kind, const struct shmb_options *options);
/* `wanted` says what the segment shall be; its payload's size and alignment are taken from the type. */
int writer_open(struct writer **out, struct shmb *broker, const char *name, const struct shmb_type *type, const struct shmb_request *wanted,
		uint64_t deadline_ns);
void writer_close(struct writer *writer);
int reader_open(struct reader **out, struct shmb *broker, enum shmb_kind kind, enum shmb_role role, const char *name,
		const struct shmb_type *type, uint64_t deadline_ns);
void reader_close(struct reader *reader);
/* waitable.follow and waitable.tidy of a reader (follow.c). */
int reader_follow(struct shmb_waitable *waitable, bool drained_only, uint64_t deadline_ns);
void reader_tidy(struct shmb_waitable *waitable);
/* Lets go of all earlier generations: without the broker at an end of the connection. */
void reader_old_close(struct reader *reader, bool tell);
struct shmb_shm_cell *reader_cell(struct reader *reader);
struct slots_memory slots_memory(const struct mappings *mappings, const struct shmb *broker);
uint32_t mapping_flags(const struct handle *handle);
/* The next number of the connection. Under its lock. */
uint32_t handle_number(struct shmb *broker);
int reader_status(struct reader *reader, struct shmb_segment_status *out);

/* Checks a name and copies it into a message's field of SHMB_NAME_MAX + 8 zero bytes. -EINVAL, -ENAMETOOLONG with text. */
int segment_name_set(char *field, const char *name);
const char *segment_kind_name(enum shmb_kind kind);
/* Condition of a writer as the public interface knows it, from the broker's word for it. */
enum shmb_writer_condition segment_writer_condition(uint64_t writer);

#endif
