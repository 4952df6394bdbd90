/* SPDX-License-Identifier: MIT */
/*
 * A reader goes on in the next generation of its segment.
 *
 * The broker is asked for the generation after the one that a handle of ours is open on, so that none is skipped where the name was given new
 * memory more than once; what it sends is mapped and checked as at an open. Then the handle changes over, under the connection's lock: a
 * reconnection by another thread resumes either the old one or the new one. Where the handle is not known to the broker any more, the name
 * itself is opened, and what came between is missed.
 *
 * The old generation is let go at once, but for frames that are held: they stay where they lie, with the cell that holds them, in a
 * struct reader_old, until the last of them is released and the reader waits, follows or closes.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "map.h"
#include "segment.h"
#include "text.h"
#include "type.h"
#include "wait.h"

struct following {
	struct reader *reader;
	struct shmb_msg_open_reader request;
	struct shmb_msg_open_answer open;
	struct answer answer;
	struct mappings mappings;
	struct reader_old *old; /* for what is held */
};

static struct reader *reader_of(const struct shmb_waitable *waitable)
{
	_Static_assert(offsetof(struct reader, slots) == 0, "a reader begins with its slots");
	return (struct reader *)((char *)(uintptr_t)waitable - offsetof(struct slots_reader, waitable));
}

/* ---- what is left of earlier generations ---- */

static struct reader_old *old_of(struct handle *handle)
{
	return (struct reader_old *)((char *)handle - offsetof(struct reader_old, handle));
}

static void old_lost(struct handle *handle)
{
	atomic_store_explicit(&old_of(handle)->kept.pins, NULL, memory_order_relaxed);
}

/* Off the connection's list; its reader frees it. */
static void old_end(struct handle *handle)
{
	old_of(handle)->listed = false;
}

static void old_free(struct reader *reader, struct reader_old **link)
{
	struct reader_old *old = *link;
	struct frame_kept **kept = &reader->frame.kept;

	while (*kept != &old->kept)
		kept = &(*kept)->next;
	*kept = old->kept.next;
	*link = old->next;
	if (connection_is_ours(reader->handle.broker))
		segment_unmap(&old->mappings);
	free(old);
}

/* Under the lock, where there is one. */
static void old_unlist(struct reader_old *old, bool tell)
{
	if (!old->listed)
		return;
	if (tell)
		control_close(old->handle.broker, old->handle.number);
	LIST_REMOVE(&old->handle, link);
	old->listed = false;
}

void reader_old_close(struct reader *reader, bool tell)
{
	struct shmb *broker = reader->handle.broker;
	bool ours = connection_is_ours(broker);

	if (reader->old == NULL)
		return;
	if (ours)
		pthread_mutex_lock(&broker->lock);
	for (struct reader_old *old = reader->old; old != NULL; old = old->next)
		old_unlist(old, tell && ours);
	if (ours)
		pthread_mutex_unlock(&broker->lock);
	while (reader->old != NULL)
		old_free(reader, &reader->old);
}

/* Lets those go in which nothing is held. Under the lock. */
static void tidy(struct reader *reader)
{
	struct reader_old **link = &reader->old;

	while (*link != NULL) {
		if ((*link)->kept.held_mask != 0) {
			link = &(*link)->next;
		} else {
			old_unlist(*link, true);
			old_free(reader, link);
		}
	}
	if (reader->old == NULL)
		reader->slots.waitable.tidy = NULL;
}

void reader_tidy(struct shmb_waitable *waitable)
{
	struct reader *reader = reader_of(waitable);

	/* Not now is as good as later. */
	if (!connection_is_ours(reader->handle.broker) || pthread_mutex_trylock(&reader->handle.broker->lock) != 0)
		return;
	tidy(reader);
	pthread_mutex_unlock(&reader->handle.broker->lock);
}

/* ---- the next one ---- */

static bool is_consumer(const struct reader *reader)
{
	return reader->handle.role == SHMB_ROLE_CONSUMER;
}

static bool is_drained(const struct reader *reader)
{
	return is_consumer(reader) ? queue_is_drained(&reader->queue) : slots_is_drained(&reader->slots);
}

static void show_schemas(const struct following *following)
{
	const struct answer *answer = &following->answer;

	text_fail(0, "%s\nits schema:\n%.*s\nschema of %s, which this reader reads:\n%s", answer->error.text, (int)answer->tail_bytes,
		  answer->tail, following->reader->type->name, following->reader->type->schema);
}

static int ask(struct following *following, uint64_t deadline_ns)
{
	struct shmb *broker = following->reader->handle.broker;
	int r = control_request_until(broker, &following->request.head, NULL, 0, &following->open, &following->answer, deadline_ns);

	if (r < 0 && !following->answer.answered && broker->stage == CONNECTION_READY) {
		/* It may be open over there: it shall be closed. Answers to this are dropped. */
		struct shmb_msg_close never = { .head.opcode = SHMB_OP_CLOSE, .handle = following->request.handle };

		control_send(broker, &never.head, NULL, 0, 0);
	}
	return r;
}

static int ask_next(struct following *following, uint64_t deadline_ns)
{
	struct reader *reader = following->reader;
	int r;

	following->request = (struct shmb_msg_open_reader){
		.head.opcode = SHMB_OP_OPEN_READER,
		.handle = handle_number(reader->handle.broker),
		.role = reader->handle.role,
		.kind = (uint8_t)reader->mappings.geometry.kind,
		.follows = reader->handle.number,
		.schema_hash = shmb_type_hash(reader->type),
	};
	memcpy(following->request.name, reader->handle.name, sizeof(following->request.name));
	r = ask(following, deadline_ns);
	if (r == -ESTALE && following->answer.answered) {
		following->request.follows = 0;
		r = ask(following, deadline_ns);
		if (r == 0 && following->open.generation <= reader->handle.generation) {
			answer_close_fds(&following->answer);
			control_close(reader->handle.broker, following->request.handle);
			r = -EAGAIN;
		}
	}
	if (!following->answer.answered || r == 0)
		return r;
	if (r == -EPROTOTYPE)
		show_schemas(following);
	if (r == -ENOENT)
		return text_fail(-ESTALE, "the segment was removed: close this reader and open the name again");
	return r == -ENODATA ? -EAGAIN : r;
}

static int map_next(struct following *following)
{
	struct reader *reader = following->reader;
	struct expected expected = {
		.name = reader->handle.name,
		.kind = reader->mappings.geometry.kind,
		.role = reader->handle.role,
		.type = reader->type,
		.schema_hash = following->request.schema_hash,
	};
	int r = segment_map(&following->mappings, &expected, &following->open, &following->answer, NULL);

	if (r == 0)
		r = segment_settle(&following->mappings, &expected, mapping_flags(&reader->handle));
	if (r < 0) {
		segment_unmap(&following->mappings);
		control_close(reader->handle.broker, following->request.handle);
	}
	return r;
}

static void handle_change(struct handle *handle, const struct following *following)
{
	handle->number = following->request.handle;
	handle->segment_id = following->open.segment_id;
	handle->generation = following->open.generation;
	handle->cell = following->open.cell;
	handle->incarnation = following->open.incarnation;
	handle->resumed = true;
}

/* Keeps what is held, lets the rest go. */
static void old_leave(struct following *following, struct mappings *mappings, uint32_t number)
{
	struct reader *reader = following->reader;
	struct reader_old *old = following->old;

	if (old == NULL) {
		control_close(reader->handle.broker, number);
		segment_unmap(mappings);
		return;
	}
	old->mappings = *mappings;
	old->next = reader->old;
	reader->old = old;
	reader->slots.waitable.tidy = reader_tidy;
}

static void handle_keep(struct reader_old *old, const struct handle *handle)
{
	old->handle = *handle;
	old->handle.lost = old_lost;
	old->handle.end = old_end;
	old->listed = true;
	LIST_INSERT_HEAD(&handle->broker->handles, &old->handle, link);
}

static int change_over(struct following *following)
{
	struct reader *reader = following->reader;
	struct mappings mappings = reader->mappings;
	uint32_t number = reader->handle.number;
	struct slots_memory memory;
	int r = 0;

	waitsets_disarm(&reader->slots.waitable);
	if (following->old != NULL)
		handle_keep(following->old, &reader->handle);
	handle_change(&reader->handle, following);
	reader->mappings = following->mappings;
	memory = slots_memory(&reader->mappings, reader->handle.broker);
	if (reader->mappings.geometry.kind == SHMB_KIND_FRAME)
		frame_reader_follow(&reader->frame, &memory, reader_cell(reader), following->old != NULL ? &following->old->kept : NULL);
	else if (is_consumer(reader))
		r = queue_consumer_follow(&reader->queue, &memory, reader->handle.cell, reader->handle.incarnation);
	else
		slots_reader_follow(&reader->slots, &memory, reader_cell(reader));
	old_leave(following, &mappings, number);
	return r;
}

static int follow_locked(struct reader *reader, uint64_t deadline_ns)
{
	struct following following = { .reader = reader };
	int r;

	tidy(reader);
	if (reader->mappings.geometry.kind == SHMB_KIND_FRAME && reader->frame.held_mask != 0) {
		following.old = calloc(1, sizeof(*following.old));
		if (following.old == NULL)
			return text_fail(-ENOMEM, "no memory to keep the frames that are held");
	}
	r = ask_next(&following, deadline_ns);
	if (r == 0)
		r = map_next(&following);
	if (r < 0) {
		free(following.old);
		return r;
	}
	return change_over(&following);
}

int reader_follow(struct shmb_waitable *waitable, bool drained_only, uint64_t deadline_ns)
{
	struct reader *reader = reader_of(waitable);
	struct shmb *broker = reader->handle.broker;
	int r;

	if (atomic_load_explicit(&reader->mappings.card->next, memory_order_acquire) == 0)
		return 0;
	if ((drained_only || is_consumer(reader)) && !is_drained(reader))
		return text_fail(-EAGAIN, "there is something left in this generation: read that first");
	if (drained_only) {
		if (pthread_mutex_trylock(&broker->lock) != 0)
			return -EBUSY;
	} else {
		pthread_mutex_lock(&broker->lock);
	}
	r = follow_locked(reader, deadline_ns);
	pthread_mutex_unlock(&broker->lock);
	return r;
}
