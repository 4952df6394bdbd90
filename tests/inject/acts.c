/* SPDX-License-Identifier: MIT */
/* A segment of each kind, and waits (acts.h). */
#include "acts.h"

#include <poll.h>
#include <string.h>

char payload[BIG];
char got[BIG];

/* ---- a segment of each kind, from the making to the removal ---- */

static int ring_play(struct shmb *client, const char *name, size_t bytes, uint32_t capacity)
{
	struct shmb_ring_writer *writer = NULL;
	struct shmb_ring_reader *reader = NULL;
	struct shmb_type *type = NULL;
	struct shmb_segment_status status;
	int r = type_of(&type, bytes);

	THEN(shmb_ring_writer_open(&writer, client, name, type, &(struct shmb_options){ .capacity = capacity, .deadline_ns = soon(500) }));
	payload[0]++;
	THEN(shmb_ring_insert(writer, payload));
	THEN(shmb_ring_reader_open(&reader, client, name, type, SHMB_NO_WAIT));
	THEN(shmb_ring_latest(reader, got, NULL));
	THEN_TRUE(memcmp(got, payload, bytes) == 0);
	THEN(shmb_ring_status(reader, &status));
	shmb_ring_reader_close(reader);
	shmb_ring_writer_close(writer);
	shmb_type_free(type);
	THEN(shmb_remove(client, name));
	return r;
}

int act_nothing(struct stage *stage, struct shmb *client)
{
	(void)stage;
	(void)client;
	return 0;
}

int act_ring(struct stage *stage, struct shmb *client)
{
	(void)stage;
	return ring_play(client, "ring", BYTES, 8);
}

int act_sealed(struct stage *stage, struct shmb *client)
{
	(void)stage;
	return ring_play(client, "sealed/ring", BYTES, 8);
}

int act_big(struct stage *stage, struct shmb *client)
{
	(void)stage;
	return ring_play(client, "big", BIG / 2, 2);
}

int act_large(struct stage *stage, struct shmb *client)
{
	(void)stage;
	return ring_play(client, "large", BIG, 4);
}

int act_large_sealed(struct stage *stage, struct shmb *client)
{
	(void)stage;
	return ring_play(client, "sealed/large", BIG, 4);
}

int act_value(struct stage *stage, struct shmb *client)
{
	struct shmb_value_writer *writer = NULL;
	struct shmb_value_reader *reader = NULL;
	struct shmb_value_reader *observer = NULL;
	struct shmb_type *type = NULL;
	int r = shmb_type_opaque(&type, BYTES);

	(void)stage;
	THEN(shmb_set_mapping(client, SHMB_PREFAULT | SHMB_LOCK));
	THEN(shmb_value_writer_open(&writer, client, "value", type, &(struct shmb_options){ .stamped = 1 }));
	THEN(shmb_value_store(writer, payload));
	THEN(shmb_value_reader_open(&reader, client, "value", NULL, SHMB_NO_WAIT));
	THEN(shmb_value_load(reader, got, NULL));
	THEN(shmb_value_observe(&observer, client, "value"));
	THEN(shmb_value_load(observer, got, NULL));
	shmb_value_reader_close(observer);
	shmb_value_reader_close(reader);
	shmb_value_writer_close(writer);
	shmb_type_free(type);
	THEN(shmb_remove(client, "value"));
	return r;
}

static int frame_play(struct shmb *client, const char *name)
{
	struct shmb_frame_writer *writer = NULL;
	struct shmb_frame_reader *reader = NULL;
	struct shmb_type *type = NULL;
	struct shmb_image_layout layout;
	struct shmb_frame frame;
	size_t capacity;
	void *loan;
	int r = shmb_image_layout(&layout, 32, 16, 0, SHMB_IMAGE_RGB8);

	THEN(shmb_image_type(&type, &layout));
	THEN(shmb_frame_writer_open(&writer, client, name, type, &(struct shmb_frame_options){ .deadline_ns = soon(500) }));
	THEN(shmb_frame_loan(writer, &loan, &capacity));
	if (r == 0)
		shmb_image_init(loan, &layout, 1, 1);
	THEN(shmb_frame_commit(writer, layout.payload_bytes));
	THEN(shmb_frame_reader_open(&reader, client, name, type, SHMB_NO_WAIT));
	THEN(shmb_frame_pin_newest(reader, &frame));
	THEN(shmb_image_check(frame.payload, frame.length, &layout));
	THEN(shmb_frame_release(reader, &frame));
	shmb_frame_reader_close(reader);
	shmb_frame_writer_close(writer);
	shmb_type_free(type);
	THEN(shmb_remove(client, name));
	return r;
}

int act_frame(struct stage *stage, struct shmb *client)
{
	(void)stage;
	return frame_play(client, "frame");
}

int act_frame_sealed(struct stage *stage, struct shmb *client)
{
	(void)stage;
	return frame_play(client, "sealed/frame");
}

int act_queue(struct stage *stage, struct shmb *client)
{
	struct shmb_queue_producer *producer = NULL;
	struct shmb_queue_consumer *consumer = NULL;
	struct shmb_type *type = NULL;
	int r = type_of(&type, BYTES);

	(void)stage;
	THEN(shmb_queue_producer_open(&producer, client, "queue", type, &(struct shmb_options){ .capacity = 2, .deadline_ns = soon(500) }));
	THEN(shmb_queue_push(producer, payload));
	THEN(shmb_queue_consumer_open(&consumer, client, "queue", type, SHMB_NO_WAIT));
	THEN(shmb_queue_pop(consumer, got, NULL));
	THEN_ERROR(ETIMEDOUT, shmb_queue_pop_until(consumer, got, NULL, soon(1)));
	for (int i = 0; i < 2; i++)
		THEN(shmb_queue_push_until(producer, payload, soon(100)));
	THEN_ERROR(ETIMEDOUT, shmb_queue_push_until(producer, payload, soon(1)));
	for (int i = 0; i < 2; i++)
		THEN(shmb_queue_pop(consumer, got, NULL));
	shmb_queue_consumer_close(consumer);
	shmb_queue_producer_close(producer);
	shmb_type_free(type);
	THEN(shmb_remove(client, "queue"));
	return r;
}

int act_block(struct stage *stage, struct shmb *client)
{
	struct shmb_block *block = NULL;
	struct shmb_type *type = NULL;
	int r = type_of(&type, BYTES);

	(void)stage;
	THEN(shmb_block_open(&block, client, "block", type));
	THEN(shmb_block_lock(block, soon(100)));
	THEN(shmb_block_unlock(block));
	shmb_block_close(block);
	shmb_type_free(type);
	THEN(shmb_remove(client, "block"));
	return r;
}

/* ---- waits ---- */

int act_wait(struct stage *stage, struct shmb *client)
{
	struct shmb_ring_writer *writer = NULL;
	struct shmb_ring_reader *reader = NULL;
	struct shmb_value_reader *nobody = NULL;
	struct shmb_type *type = NULL;
	int r = type_of(&type, BYTES);

	(void)stage;
	THEN_ERROR(ENOENT, shmb_value_reader_open(&nobody, client, "missing", NULL, soon(1)));
	THEN(shmb_ring_writer_open(&writer, client, "wait", type, &(struct shmb_options){ .deadline_ns = soon(500) }));
	THEN(shmb_ring_reader_open(&reader, client, "wait", type, soon(100)));
	THEN_ERROR(ETIMEDOUT, shmb_ring_wait(reader, soon(1)));
	THEN(shmb_ring_insert(writer, payload));
	THEN(shmb_ring_wait(reader, soon(100)));
	THEN(shmb_ring_latest(reader, got, NULL));
	if (r == 0) {
		struct shmb_waitable *list[] = { shmb_ring_waitable(reader) };
		size_t which;

		THEN(shmb_cancel(list[0]));
		THEN_ERROR(ECANCELED, shmb_wait_any(list, 1, SHMB_FOREVER, &which));
		THEN_ERROR(ETIMEDOUT, shmb_wait_any(list, 1, soon(1), &which));
	}
	shmb_ring_writer_close(writer);
	THEN_ERROR(EPIPE, shmb_ring_wait(reader, soon(1000)));
	shmb_ring_reader_close(reader);
	shmb_type_free(type);
	THEN(shmb_remove(client, "wait"));
	return r;
}

int act_waitset(struct stage *stage, struct shmb *client)
{
	struct shmb_ring_writer *writer = NULL;
	struct shmb_ring_reader *reader = NULL;
	struct shmb_waitset *set = NULL;
	struct shmb_type *type = NULL;
	bool is_in = false;
	int r = type_of(&type, BYTES);

	(void)stage;
	THEN(shmb_ring_writer_open(&writer, client, "set", type, &(struct shmb_options){ .deadline_ns = soon(500) }));
	THEN(shmb_ring_reader_open(&reader, client, "set", type, SHMB_NO_WAIT));
	THEN(shmb_waitset_new(&set, client));
	if (r == 0) {
		r = shmb_waitset_add(set, shmb_ring_waitable(reader), NULL);
		is_in = r == 0;
	}
	THEN(shmb_ring_insert(writer, payload));
	if (r == 0) {
		struct pollfd ready = { .fd = shmb_waitset_fd(set), .events = POLLIN };
		uint64_t deadline = deadline_in(2000);
		void *user;
		int next = -ENODATA;

		while (next == -ENODATA && now_ns() < deadline) {
			poll(&ready, 1, 1000);
			next = shmb_waitset_next(set, &user);
		}
		THEN(next);
		THEN(shmb_ring_latest(reader, got, NULL));
		while ((next = shmb_waitset_next(set, &user)) == 0)
			;
		THEN_ERROR(ENODATA, next);
	}
	if (is_in)
		shmb_waitset_remove(set, shmb_ring_waitable(reader));
	shmb_waitset_free(set);
	shmb_ring_reader_close(reader);
	shmb_ring_writer_close(writer);
	shmb_type_free(type);
	THEN(shmb_remove(client, "set"));
	return r;
}

int act_loader(struct stage *stage, struct shmb *client)
{
	struct shmb_value_writer *writer = NULL;
	struct shmb_value_reader *reader = NULL;
	struct shmb_loader *loader = NULL;
	struct shmb_type *type = NULL;
	const void *snapshot;
	int r = type_of(&type, BYTES);

	(void)stage;
	THEN(shmb_value_writer_open(&writer, client, "loader", type, &(struct shmb_options){ .deadline_ns = soon(500) }));
	THEN(shmb_value_reader_open(&reader, client, "loader", type, SHMB_NO_WAIT));
	THEN(shmb_value_store(writer, payload));
	THEN(shmb_loader_open_value(&loader, reader));
	THEN(shmb_loader_snapshot(loader, &snapshot, NULL));
	THEN(shmb_value_store(writer, payload));
	THEN(shmb_loader_wait(loader, soon(2000)));
	THEN(shmb_loader_snapshot(loader, &snapshot, NULL));
	shmb_loader_close(loader);
	shmb_value_reader_close(reader);
	shmb_value_writer_close(writer);
	shmb_type_free(type);
	THEN(shmb_remove(client, "loader"));
	return r;
}

int act_watch(struct stage *stage, struct shmb *client)
{
	struct shmb_watch *watch = NULL;
	struct shmb_value_writer *writer = NULL;
	struct shmb_type *type = NULL;
	struct shmb_event event = { .kind = "" };
	int r = type_of(&type, BYTES);

	THEN(shmb_watch_open(&watch, stage->b.socket, "seen*"));
	THEN(shmb_value_writer_open(&writer, client, "seen", type, &(struct shmb_options){ .deadline_ns = soon(500) }));
	while (r == 0 && strcmp(event.kind, "writer-up") != 0 && strcmp(event.kind, "lost") != 0 && strcmp(event.kind, "reconnected") != 0)
		r = shmb_watch_next(watch, &event, soon(2000));
	shmb_value_writer_close(writer);
	shmb_watch_close(watch);
	shmb_type_free(type);
	THEN(shmb_remove(client, "seen"));
	return r;
}

int act_generation(struct stage *stage, struct shmb *client)
{
	struct shmb_ring_writer *writer = NULL;
	struct shmb_ring_reader *reader = NULL;
	struct shmb_type *type = NULL;
	int r = type_of(&type, BYTES);

	(void)stage;
	THEN(shmb_ring_writer_open(&writer, client, "anew", type, &(struct shmb_options){ .capacity = 8, .deadline_ns = soon(500) }));
	THEN(shmb_ring_insert(writer, payload));
	THEN(shmb_ring_reader_open(&reader, client, "anew", type, SHMB_NO_WAIT));
	THEN(shmb_ring_latest(reader, got, NULL));
	shmb_ring_writer_close(writer);
	writer = NULL;
	THEN(shmb_ring_writer_open(&writer, client, "anew", type, &(struct shmb_options){ .capacity = 16, .deadline_ns = soon(500) }));
	THEN(shmb_ring_insert(writer, payload));
	/* A generation that was made and could not be handed out is passed as well. */
	for (int i = 0, next = -ENODATA; r == 0 && i < 3 && next == -ENODATA; i++) {
		THEN(shmb_follow(shmb_ring_waitable(reader)));
		next = shmb_ring_latest(reader, got, NULL);
		if (i == 2 || next != -ENODATA)
			THEN(next);
	}
	shmb_ring_writer_close(writer);
	writer = NULL;
	THEN(shmb_ring_writer_open(&writer, client, "anew", type, &(struct shmb_options){ .capacity = 8, .deadline_ns = soon(500) }));
	/* The wait goes on by itself; what it tells before is the closing of the writer. */
	for (int told = -EPIPE; r == 0 && told == -EPIPE;) {
		told = shmb_ring_wait(reader, soon(1000));
		if (told != -EPIPE)
			r = expected(told, EREMCHG);
	}
	shmb_ring_reader_close(reader);
	shmb_ring_writer_close(writer);
	shmb_type_free(type);
	THEN(shmb_remove(client, "anew"));
	return r;
}

/* What nobody has published in is as good as new. */
int act_unused(struct stage *stage, struct shmb *client)
{
	struct shmb_ring_writer *writer = NULL;
	struct shmb_type *type = NULL;
	int r = type_of(&type, BYTES);

	(void)stage;
	for (unsigned i = 0; i < 3; i++) {
		THEN(shmb_ring_writer_open(&writer, client, "new/ring", type,
					   &(struct shmb_options){ .capacity = 8, .deadline_ns = soon(500) }));
		if (i == 1)
			THEN(shmb_ring_insert(writer, payload));
		writer = shmb_ring_writer_close(writer);
	}
	shmb_type_free(type);
	THEN(shmb_remove(client, "new/ring"));
	return r;
}

/* A queue's generation is consumed to its end before the next one. */
int act_line(struct stage *stage, struct shmb *client)
{
	struct shmb_queue_producer *producer = NULL;
	struct shmb_queue_consumer *consumer = NULL;
	struct shmb_type *type = NULL;
	int r = type_of(&type, BYTES);

	(void)stage;
	for (unsigned capacity = 2; capacity <= 4; capacity *= 2) {
		THEN(shmb_queue_producer_open(&producer, client, "line", type,
					      &(struct shmb_options){ .capacity = capacity, .deadline_ns = soon(500) }));
		THEN(shmb_queue_push(producer, payload));
		producer = shmb_queue_producer_close(producer);
	}
	THEN(shmb_queue_consumer_open(&consumer, client, "line", type, SHMB_NO_WAIT));
	THEN(shmb_queue_pop(consumer, got, NULL));
	for (int i = 0, next = -EREMCHG; r == 0 && i < 3 && (next == -EREMCHG || next == -ENODATA); i++) {
		THEN(shmb_follow(shmb_queue_waitable(consumer)));
		next = shmb_queue_pop(consumer, got, NULL);
		if (i == 2)
			THEN(next);
	}
	shmb_queue_consumer_close(consumer);
	shmb_type_free(type);
	THEN(shmb_remove(client, "line"));
	return r;
}

/* A frame of the generation before stays in hand. */
int act_pinned(struct stage *stage, struct shmb *client)
{
	struct shmb_frame_writer *writer = NULL;
	struct shmb_frame_reader *reader = NULL;
	struct shmb_type *type = NULL;
	struct shmb_frame frame;
	size_t capacity;
	void *loan;
	bool is_pinned;
	int r = type_of(&type, BYTES);

	(void)stage;
	THEN(shmb_frame_writer_open(&writer, client, "pinned", type, &(struct shmb_frame_options){ .deadline_ns = soon(500) }));
	THEN(shmb_frame_loan(writer, &loan, &capacity));
	THEN(shmb_frame_commit(writer, BYTES));
	THEN(shmb_frame_reader_open(&reader, client, "pinned", type, SHMB_NO_WAIT));
	THEN(shmb_frame_pin_newest(reader, &frame));
	is_pinned = r == 0;
	writer = shmb_frame_writer_close(writer);
	THEN(shmb_frame_writer_open(&writer, client, "pinned", type,
				    &(struct shmb_frame_options){ .history = 2, .deadline_ns = soon(500) }));
	THEN(shmb_follow(shmb_frame_waitable(reader)));
	if (is_pinned)
		THEN(shmb_frame_release(reader, &frame));
	/* What was left of the generation before goes now. */
	if (r == 0)
		r = expected(shmb_frame_wait(reader, soon(1)), ETIMEDOUT);
	shmb_frame_reader_close(reader);
	shmb_frame_writer_close(writer);
	shmb_type_free(type);
	THEN(shmb_remove(client, "pinned"));
	return r;
}
