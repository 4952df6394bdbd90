/* SPDX-License-Identifier: MIT */
/*
 * Opening and closing segments (segment.h).
 *
 * Opening: check what the caller gave, ask the broker, and where the answer is "not there" or "held" and the deadline allows it, sleep on
 * the event page until the broker has news, then ask again. The handle is on the connection's list from the moment the broker has answered,
 * under the same lock, so that a reconnection by another thread resumes it.
 */
#include "segment.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "control.h"
#include "futex.h"
#include "map.h"
#include "proto/name.h"
#include "text.h"
#include "type.h"

/* While waiting: how often to look whether the broker is still there, and to look for one that is not. */
#define LOOK_NS UINT64_C(1000000000)
#define RETRY_NS UINT64_C(20000000)

const char *segment_kind_name(enum shmb_kind kind)
{
	switch (kind) {
	case SHMB_KIND_VALUE:
		return "value";
	case SHMB_KIND_RING:
		return "ring";
	case SHMB_KIND_FRAME:
		return "frame";
	case SHMB_KIND_QUEUE:
		return "queue";
	case SHMB_KIND_BLOCK:
		return "block";
	default:
		return "unknown";
	}
}

enum shmb_writer_condition segment_writer_condition(uint64_t writer)
{
	switch (writer & 0xff) {
	case SHMB_WRITER_NONE:
		return SHMB_WRITER_IS_NONE;
	case SHMB_WRITER_CLOSED:
		return SHMB_WRITER_IS_CLOSED;
	case SHMB_WRITER_DEAD:
		return SHMB_WRITER_IS_DEAD;
	case SHMB_WRITER_GONE:
		return SHMB_WRITER_IS_GONE;
	case SHMB_WRITER_STOPPED:
		return SHMB_WRITER_IS_STOPPED;
	case SHMB_WRITER_TRACED:
		return SHMB_WRITER_IS_TRACED;
	case SHMB_WRITER_HUNG:
		return SHMB_WRITER_IS_HUNG;
	case SHMB_WRITER_DUMPING:
		return SHMB_WRITER_IS_DUMPING;
	default:
		return SHMB_WRITER_IS_ALIVE;
	}
}

int segment_name_set(char *field, const char *name)
{
	const char *why = "";
	int r;

	if (name == NULL)
		return text_fail(-EINVAL, "a segment has a name");
	r = shmb_name_check(name, strlen(name), &why);
	if (r < 0)
		return text_fail(r, "segment name '%.220s': %s", name, why);
	strcpy(field, name);
	return 0;
}

/* ---- asking ---- */

struct opening {
	struct shmb *broker;
	struct handle *handle;
	const struct shmb_type *type; /* reader: NULL any */
	uint64_t deadline_ns;
	int wait_for[2]; /* errors that may go away: -ENOENT, -EBUSY; 0 none */
	struct shmb_msg_open_answer open;
	struct answer answer;
};

/* Both schemas beside the broker's sentence: what differs is what a person wants to see. */
static void show_schemas(const struct opening *opening)
{
	const struct answer *answer = &opening->answer;

	text_fail(0, "%s\nits schema:\n%.*s\nschema of %s, which was asked for:\n%s", answer->error.text, (int)answer->tail_bytes,
		  answer->tail, opening->type->name, opening->type->schema);
}

/* Asks once. On success the handle is on the connection's list. */
static int ask(struct opening *opening, struct shmb_msg_head *request, const void *tail, size_t tail_bytes)
{
	struct shmb *broker = opening->broker;
	struct handle *handle = opening->handle;
	int r;

	pthread_mutex_lock(&broker->lock);
	r = control_request(broker, request, tail, tail_bytes, &opening->open, &opening->answer);
	if (r == 0) {
		handle->segment_id = opening->open.segment_id;
		handle->generation = opening->open.generation;
		handle->epoch = opening->open.epoch;
		handle->cell = opening->open.cell;
		handle->incarnation = opening->open.incarnation;
		handle->resumed = true;
		LIST_INSERT_HEAD(&broker->handles, handle, link);
	} else if (r == -EPROTOTYPE && opening->answer.answered && opening->type != NULL) {
		show_schemas(opening);
	} else if (!opening->answer.answered && broker->stage == CONNECTION_READY && r != -ETIMEDOUT) {
		/* An answer that cannot be used, or be taken: it may be open over there, and what is unread here would end the connection before a close came. */
		control_close(broker, handle->number);
	} else if (!opening->answer.answered && broker->stage == CONNECTION_READY) {
		/* No answer in time, and it may be open over there: it shall be closed. Answers to this are dropped. */
		struct shmb_msg_close never = { .head.opcode = SHMB_OP_CLOSE, .handle = handle->number };

		control_send(broker, &never.head, NULL, 0, 0);
	}
	pthread_mutex_unlock(&broker->lock);
	return r;
}

/* Sleeps until the broker has news, is gone, or the deadline. */
static void wait_for_news(const struct opening *opening)
{
	struct shmb *broker = opening->broker;
	uint32_t event = opening->answer.event;

	while (connection_event(broker) == event && clock_now_ns() < opening->deadline_ns) {
		bool dead = false;

		futex_sleep(connection_event_word(broker), event, clock_within(LOOK_NS, opening->deadline_ns));
		if (pthread_mutex_trylock(&broker->lock) == 0) {
			dead = connection_is_dead(broker);
			pthread_mutex_unlock(&broker->lock);
		}
		if (dead)
			return;
	}
}

static void sleep_until(uint64_t deadline_ns)
{
	struct timespec spec = { .tv_sec = (time_t)(deadline_ns / UINT64_C(1000000000)),
				 .tv_nsec = (long)(deadline_ns % UINT64_C(1000000000)) };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &spec, NULL);
}

static int ask_until(struct opening *opening, struct shmb_msg_head *request, const void *tail, size_t tail_bytes)
{
	for (;;) {
		int r = ask(opening, request, tail, tail_bytes);
		bool away = !opening->answer.answered && r == -ECONNREFUSED;

		if (r == 0)
			return 0;
		if (!away && !(opening->answer.answered && (r == opening->wait_for[0] || r == opening->wait_for[1])))
			return r;
		if (opening->deadline_ns == SHMB_NO_WAIT || clock_now_ns() >= opening->deadline_ns)
			return r;
		if (away)
			sleep_until(clock_within(RETRY_NS, opening->deadline_ns));
		else
			wait_for_news(opening);
	}
}

/* ---- handles ---- */

uint32_t handle_number(struct shmb *broker)
{
	/* 2^32 opens of one connection: then numbers come again, long after their first owners have gone. */
	broker->last_handle = broker->last_handle == UINT32_MAX ? 1 : broker->last_handle + 1;
	return broker->last_handle;
}

static int handle_init(struct handle *handle, enum shmb_role role, const char *name)
{
	struct shmb *broker = handle->broker;
	int r = segment_name_set(handle->name, name);

	if (r < 0)
		return r;
	pthread_mutex_lock(&broker->lock);
	handle->number = handle_number(broker);
	pthread_mutex_unlock(&broker->lock);
	handle->role = (uint8_t)role;
	return 0;
}

/* Tells the broker and takes the handle off the list. Nothing in a forked child, whose connection is not its own. */
static void handle_close(struct handle *handle)
{
	struct shmb *broker = handle->broker;

	if (!connection_is_ours(broker)) {
		LIST_REMOVE(handle, link);
		return;
	}
	pthread_mutex_lock(&broker->lock);
	/* Still on the list meanwhile: should the broker be a new one, the handle is resumed and then closed in order. */
	control_close(broker, handle->number);
	LIST_REMOVE(handle, link);
	pthread_mutex_unlock(&broker->lock);
}

static void *handle_memory(size_t bytes)
{
	size_t rounded = (bytes + SHMB_CACHE_LINE - 1) & ~(size_t)(SHMB_CACHE_LINE - 1);
	void *memory = aligned_alloc(SHMB_CACHE_LINE, rounded);

	if (memory != NULL)
		memset(memory, 0, rounded);
	return memory;
}

struct slots_memory slots_memory(const struct mappings *mappings, const struct shmb *broker)
{
	struct slots_memory memory = {
		.geometry = &mappings->geometry,
		.card = mappings->card,
		.data = mappings->data,
		.area_count = mappings->area_count,
		.guard = broker->guard,
	};

	memcpy(memory.areas, mappings->areas, sizeof(memory.areas));
	return memory;
}

uint32_t mapping_flags(const struct handle *handle)
{
	return atomic_load_explicit(&handle->broker->mapping_flags, memory_order_relaxed);
}

/* ---- writer ---- */

static struct writer *writer_of(struct handle *handle)
{
	return (struct writer *)((char *)handle - offsetof(struct writer, handle));
}

static void writer_end(struct handle *handle)
{
	struct writer *writer = writer_of(handle);

	if (writer->mappings.geometry.kind == SHMB_KIND_FRAME)
		frame_writer_deinit(&writer->frame);
	if (connection_is_ours(handle->broker))
		segment_unmap(&writer->mappings);
	free(writer);
}

static void writer_lost(struct handle *handle)
{
	(void)handle; /* the card's state word stops it at the next claim */
}

struct shmb_request segment_request(enum shmb_kind kind, const struct shmb_options *options)
{
	static const struct shmb_options defaults;
	struct shmb_request wanted = { .kind = kind, .key_field = SHMB_KEY_IS_STAMP };

	if (options == NULL)
		options = &defaults;
	wanted.flags = options->stamped != 0 ? SHMB_SEGMENT_STAMPED : 0;
	wanted.capacity = options->capacity;
	if (wanted.capacity == 0)
		wanted.capacity = kind == SHMB_KIND_VALUE ? 4 : 16;
	return wanted;
}

static int writer_request(struct shmb_msg_open_writer *request, const struct handle *handle, const struct shmb_type *type,
			  const struct shmb_request *wanted, uint64_t deadline_ns)
{
	uint64_t hash;
	int r = type_check(type, &hash);

	if (r < 0)
		return r;
	*request = (struct shmb_msg_open_writer){
		.head.opcode = SHMB_OP_OPEN_WRITER,
		.handle = handle->number,
		.open_flags = deadline_ns != SHMB_NO_WAIT ? SHMB_OPEN_NOTIFY : 0,
		.segment_flags = wanted->flags,
		.kind = (uint8_t)wanted->kind,
		.role = handle->role,
		.key_type = (uint8_t)wanted->key_type,
		.key_field = wanted->key_field,
		.capacity = wanted->capacity,
		.history = wanted->history,
		.pins = wanted->pins,
		.payload_align = (uint32_t)type->align,
		.payload_bytes = type->size,
		.schema_hash = hash,
	};
	memcpy(request->name, handle->name, sizeof(request->name));
	shmb_text_set(request->type, sizeof(request->type), type->name);
	return 0;
}

/* Hands the mapped memory to the kind's data path. */
static int writer_init(struct writer *writer, uint64_t granted)
{
	struct slots_memory memory = slots_memory(&writer->mappings, writer->handle.broker);
	int r;

	switch (writer->mappings.geometry.kind) {
	case SHMB_KIND_FRAME:
		r = frame_writer_init(&writer->frame, &memory, granted);
		break;
	case SHMB_KIND_QUEUE:
		r = queue_producer_init(&writer->queue, &memory, granted);
		writer->queue.waitable.broker = writer->handle.broker;
		break;
	case SHMB_KIND_BLOCK:
		r = block_init(&writer->block, &memory, writer->handle.cell, writer->handle.incarnation);
		break;
	default:
		r = slots_writer_init(&writer->slots, &memory, granted);
		break;
	}
	return r == -EOVERFLOW ? text_fail(r, "segment %s: its numbers are used up", writer->handle.name) : r;
}

static int writer_start(struct writer *writer, const struct shmb_type *type, const struct shmb_request *wanted, uint64_t deadline_ns)
{
	struct opening opening = {
		.broker = writer->handle.broker,
		.handle = &writer->handle,
		.type = type,
		.deadline_ns = deadline_ns,
		.wait_for = { -EBUSY },
	};
	struct shmb_msg_open_writer request;
	struct expected expected = { .name = writer->handle.name, .kind = wanted->kind, .role = writer->handle.role, .type = type };
	int r = writer_request(&request, &writer->handle, type, wanted, deadline_ns);

	if (r < 0)
		return r;
	expected.schema_hash = request.schema_hash;
	r = ask_until(&opening, &request.head, type->schema, strlen(type->schema));
	if (r < 0)
		return r;
	r = segment_map(&writer->mappings, &expected, &opening.open, &opening.answer, NULL);
	if (r == 0)
		r = segment_settle(&writer->mappings, &expected, mapping_flags(&writer->handle));
	if (r == 0)
		r = writer_init(writer, opening.open.state);
	if (r < 0)
		handle_close(&writer->handle);
	return r;
}

int writer_open(struct writer **out, struct shmb *broker, const char *name, const struct shmb_type *type, const struct shmb_request *wanted,
		uint64_t deadline_ns)
{
	struct writer *writer;
	int r;

	*out = NULL;
	if (!connection_is_ours(broker))
		return text_forked();
	if (type == NULL)
		return text_fail(-EINVAL, "segment %s: a writer states its type", name);
	writer = handle_memory(sizeof(*writer));
	if (writer == NULL)
		return text_fail(-ENOMEM, "no memory for a handle");
	writer->handle.broker = broker;
	writer->handle.lost = writer_lost;
	writer->handle.end = writer_end;
	r = handle_init(&writer->handle, wanted->kind == SHMB_KIND_BLOCK ? SHMB_ROLE_SHARER : SHMB_ROLE_WRITER, name);
	if (r == 0)
		r = writer_start(writer, type, wanted, deadline_ns);
	if (r < 0) {
		writer_end(&writer->handle);
		return r;
	}
	*out = writer;
	return 0;
}

void writer_close(struct writer *writer)
{
	handle_close(&writer->handle);
	writer_end(&writer->handle);
}

/* ---- reader ---- */

static struct reader *reader_of(struct handle *handle)
{
	return (struct reader *)((char *)handle - offsetof(struct reader, handle));
}

static void reader_end(struct handle *handle)
{
	struct reader *reader = reader_of(handle);

	reader_old_close(reader, false);
	if (connection_is_ours(handle->broker))
		segment_unmap(&reader->mappings);
	shmb_type_free(reader->type);
	free(reader);
}

static void reader_lost(struct handle *handle)
{
	struct reader *reader = reader_of(handle);

	slots_reader_drop_cell(&reader->slots);
	if (reader->mappings.geometry.kind == SHMB_KIND_FRAME)
		frame_reader_drop_cell(&reader->frame);
}

struct shmb_shm_cell *reader_cell(struct reader *reader)
{
	uint32_t cell = reader->handle.cell;

	if (cell == UINT32_MAX || reader->mappings.area_count == 0)
		return NULL;
	return &reader->mappings.areas[0]->cells[cell % SHMB_CELLS_PER_AREA];
}

/* Hands the mapped memory to the kind's data path. */
static int reader_init(struct reader *reader)
{
	struct slots_memory memory = slots_memory(&reader->mappings, reader->handle.broker);

	switch (reader->mappings.geometry.kind) {
	case SHMB_KIND_FRAME:
		frame_reader_init(&reader->frame, &memory, reader_cell(reader));
		return 0;
	case SHMB_KIND_QUEUE:
		if (reader->handle.role == SHMB_ROLE_CONSUMER)
			return queue_consumer_init(&reader->queue, &memory, reader->handle.cell, reader->handle.incarnation);
		/* fall through */
	default:
		slots_reader_init(&reader->slots, &memory, reader_cell(reader));
		return 0;
	}
}

static int reader_start(struct reader *reader, enum shmb_kind kind, const struct shmb_type *type, uint64_t deadline_ns)
{
	struct opening opening = {
		.broker = reader->handle.broker,
		.handle = &reader->handle,
		.type = type,
		.deadline_ns = deadline_ns,
		.wait_for = { -ENOENT, reader->handle.role == SHMB_ROLE_CONSUMER ? -EBUSY : 0 },
	};
	struct shmb_msg_open_reader request = {
		.head.opcode = SHMB_OP_OPEN_READER,
		.handle = reader->handle.number,
		.open_flags = deadline_ns != SHMB_NO_WAIT ? SHMB_OPEN_NOTIFY : 0,
		.role = reader->handle.role,
		.kind = (uint8_t)kind,
	};
	struct expected expected = { .name = reader->handle.name, .kind = kind, .role = reader->handle.role, .type = type };
	int r = type != NULL ? type_check(type, &request.schema_hash) : 0;

	if (r < 0)
		return r;
	expected.schema_hash = request.schema_hash;
	memcpy(request.name, reader->handle.name, sizeof(request.name));
	r = ask_until(&opening, &request.head, NULL, 0);
	if (r < 0)
		return r;
	r = segment_map(&reader->mappings, &expected, &opening.open, &opening.answer, &reader->type);
	if (r == 0)
		r = segment_settle(&reader->mappings, &expected, mapping_flags(&reader->handle));
	if (r == 0)
		r = reader_init(reader);
	reader->slots.waitable.broker = reader->handle.broker;
	reader->slots.waitable.follow = reader_follow;
	if (r < 0)
		handle_close(&reader->handle);
	return r;
}

int reader_open(struct reader **out, struct shmb *broker, enum shmb_kind kind, enum shmb_role role, const char *name,
		const struct shmb_type *type, uint64_t deadline_ns)
{
	struct reader *reader;
	int r;

	*out = NULL;
	if (!connection_is_ours(broker))
		return text_forked();
	reader = handle_memory(sizeof(*reader));
	if (reader == NULL)
		return text_fail(-ENOMEM, "no memory for a handle");
	reader->handle.broker = broker;
	reader->handle.lost = reader_lost;
	reader->handle.end = reader_end;
	r = handle_init(&reader->handle, role, name);
	if (r == 0)
		r = reader_start(reader, kind, type, deadline_ns);
	if (r < 0) {
		reader_end(&reader->handle);
		return r;
	}
	*out = reader;
	return 0;
}

void reader_close(struct reader *reader)
{
	reader_old_close(reader, true);
	handle_close(&reader->handle);
	reader_end(&reader->handle);
}

int reader_status(struct reader *reader, struct shmb_segment_status *out)
{
	const struct shmb_shm_card *card = reader->mappings.card;
	uint64_t oldest, next, writer;
	int r = slots_bounds(&reader->slots, &oldest, &next);

	if (r < 0)
		return r;
	writer = atomic_load_explicit(&card->writer, memory_order_acquire);
	*out = (struct shmb_segment_status){
		.writer = segment_writer_condition(writer),
		.writer_pid = atomic_load_explicit(&card->lease_pid, memory_order_relaxed),
		.epoch = writer >> 8,
		.generation = reader->mappings.geometry.generation,
		.oldest = oldest,
		.next = next,
		.heartbeat_ns = atomic_load_explicit(&reader->mappings.data->heartbeat_ns, memory_order_relaxed),
		.next_generation = atomic_load_explicit(&card->next, memory_order_relaxed),
	};
	return 0;
}
