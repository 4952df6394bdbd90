/* SPDX-License-Identifier: MIT */
/* The public face of queues: queue.c on mapped memory. */
#include <errno.h>

#include "segment.h"
#include "text.h"
#include "wait.h"

struct shmb_queue_producer {
	struct writer writer;
};

struct shmb_queue_consumer {
	struct reader reader;
};

int shmb_queue_producer_open(struct shmb_queue_producer **out, struct shmb *broker, const char *name, const struct shmb_type *type,
			     const struct shmb_options *options)
{
	struct shmb_request wanted = segment_request(SHMB_KIND_QUEUE, options);

	*out = NULL;
	if (options != NULL && (options->key_clock != SHMB_CLOCK_NONE || options->key_field != NULL))
		return text_fail(-EINVAL, "options: a queue has no keys");
	return writer_open((struct writer **)out, broker, name, type, &wanted, options != NULL ? options->deadline_ns : SHMB_NO_WAIT);
}

struct shmb_queue_producer *shmb_queue_producer_close(struct shmb_queue_producer *producer)
{
	if (producer != NULL)
		writer_close(&producer->writer);
	return NULL;
}

__attribute__((hot)) int shmb_queue_push(struct shmb_queue_producer *producer, const void *payload)
{
	return queue_push(&producer->writer.queue, payload);
}

int shmb_queue_push_until(struct shmb_queue_producer *producer, const void *payload, uint64_t deadline_ns)
{
	int r = queue_push(&producer->writer.queue, payload);

	/* Nobody else pushes: room that was there stays. */
	if (r == -EAGAIN) {
		r = shmb_queue_wait_room(producer, deadline_ns);
		if (r == 0)
			r = queue_push(&producer->writer.queue, payload);
	}
	return r;
}

int shmb_queue_push_batch(struct shmb_queue_producer *producer, const void *payloads, size_t count, size_t *pushed)
{
	return queue_push_many(&producer->writer.queue, payloads, count, pushed);
}

int shmb_queue_claim(struct shmb_queue_producer *producer, void **payload)
{
	return queue_claim(&producer->writer.queue, payload);
}

int shmb_queue_commit(struct shmb_queue_producer *producer)
{
	return queue_commit(&producer->writer.queue);
}

int shmb_queue_abort(struct shmb_queue_producer *producer)
{
	return queue_abort(&producer->writer.queue);
}

int shmb_queue_wait_room(struct shmb_queue_producer *producer, uint64_t deadline_ns)
{
	return producer != NULL ? queue_wait_room(&producer->writer.queue, deadline_ns) : wait_closed();
}

struct shmb_waitable *shmb_queue_room_waitable(struct shmb_queue_producer *producer)
{
	return producer != NULL ? &producer->writer.queue.waitable : NULL;
}

uint64_t shmb_queue_next_number(const struct shmb_queue_producer *producer)
{
	return producer->writer.queue.slots.next;
}

int shmb_queue_heartbeat(struct shmb_queue_producer *producer)
{
	return slots_heartbeat(&producer->writer.queue.slots);
}

int shmb_queue_consumer_open(struct shmb_queue_consumer **out, struct shmb *broker, const char *name, const struct shmb_type *type,
			     uint64_t deadline_ns)
{
	return reader_open((struct reader **)out, broker, SHMB_KIND_QUEUE, SHMB_ROLE_CONSUMER, name, type, deadline_ns);
}

struct shmb_queue_consumer *shmb_queue_consumer_close(struct shmb_queue_consumer *consumer)
{
	if (consumer != NULL)
		reader_close(&consumer->reader);
	return NULL;
}

__attribute__((hot)) int shmb_queue_pop(struct shmb_queue_consumer *consumer, void *payload, struct shmb_sample *sample)
{
	return queue_pop(&consumer->reader.queue, payload, sample);
}

int shmb_queue_pop_until(struct shmb_queue_consumer *consumer, void *payload, struct shmb_sample *sample, uint64_t deadline_ns)
{
	int r = queue_pop(&consumer->reader.queue, payload, sample);

	/* -EREMCHG: empty for ever; the wait goes on to the next generation. */
	if (r == -ENODATA || r == -EREMCHG) {
		r = shmb_queue_wait(consumer, deadline_ns);
		if (r == 0)
			r = queue_pop(&consumer->reader.queue, payload, sample);
	}
	return r;
}

int shmb_queue_pop_batch(struct shmb_queue_consumer *consumer, void *payloads, struct shmb_sample *samples, size_t count, size_t *popped)
{
	return queue_pop_many(&consumer->reader.queue, payloads, samples, count, popped);
}

int shmb_queue_peek(struct shmb_queue_consumer *consumer, uint32_t ahead, const void **payload, struct shmb_sample *sample)
{
	return queue_peek(&consumer->reader.queue, ahead, payload, sample);
}

int shmb_queue_release(struct shmb_queue_consumer *consumer, uint32_t count)
{
	return queue_release(&consumer->reader.queue, count);
}

int shmb_queue_wait(struct shmb_queue_consumer *consumer, uint64_t deadline_ns)
{
	return consumer != NULL ? queue_wait(&consumer->reader.queue, deadline_ns) : wait_closed();
}

struct shmb_waitable *shmb_queue_waitable(struct shmb_queue_consumer *consumer)
{
	return consumer != NULL ? &consumer->reader.queue.slots.waitable : NULL;
}

uint64_t shmb_queue_position(const struct shmb_queue_consumer *consumer)
{
	return consumer->reader.queue.slots.position;
}

int shmb_queue_status(struct shmb_queue_consumer *consumer, struct shmb_segment_status *out)
{
	int r = reader_status(&consumer->reader, out);

	if (r == 0)
		out->oldest = consumer->reader.queue.slots.position;
	return r;
}

const struct shmb_type *shmb_queue_type(const struct shmb_queue_consumer *consumer)
{
	return consumer->reader.type;
}
