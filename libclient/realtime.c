/* SPDX-License-Identifier: MIT */
/* The public face of counters and of how segments are mapped. Every handle begins with its struct reader or writer (segment.h). */
#include <errno.h>

#include "segment.h"
#include "text.h"

int shmb_set_mapping(struct shmb *broker, unsigned flags)
{
	if (!connection_is_ours(broker))
		return text_forked();
	if ((flags & ~(unsigned)(SHMB_PREFAULT | SHMB_LOCK)) != 0)
		return text_fail(-EINVAL, "SHMB_PREFAULT and SHMB_LOCK are all there is, not %#x", flags);
	atomic_store_explicit(&broker->mapping_flags, flags, memory_order_relaxed);
	return 0;
}

static int available(const struct shmb *broker)
{
	if (!connection_is_ours(broker))
		return text_forked();
	return SHMB_WITH_COUNTERS ? 0 : text_fail(-ENOTSUP, "this libshmbroker was built without counters");
}

static int writer_counters(const struct writer *writer, struct shmb_counters *out)
{
	int r = available(writer->handle.broker);

	*out = (struct shmb_counters){ 0 };
	if (r == 0)
		out->published = writer->slots.next - writer->slots.first;
	return r;
}

static int reader_counters(struct reader *reader, struct shmb_counters *out)
{
	int r = available(reader->handle.broker);

	*out = (struct shmb_counters){ 0 };
	if (r < 0)
		return r;
	out->read = reader->slots.reads;
	out->retried = reader->slots.retries;
	out->lapped = reader->slots.lost;
	out->waited = reader->slots.waitable.waited;
	out->woken = reader->slots.waitable.woken;
	slots_counters_show(&reader->slots);
	return 0;
}

int shmb_value_writer_counters(struct shmb_value_writer *writer, struct shmb_counters *out)
{
	return writer_counters((const struct writer *)writer, out);
}

int shmb_value_counters(struct shmb_value_reader *reader, struct shmb_counters *out)
{
	return reader_counters((struct reader *)reader, out);
}

int shmb_ring_writer_counters(struct shmb_ring_writer *writer, struct shmb_counters *out)
{
	return writer_counters((const struct writer *)writer, out);
}

int shmb_ring_counters(struct shmb_ring_reader *reader, struct shmb_counters *out)
{
	return reader_counters((struct reader *)reader, out);
}

int shmb_frame_writer_counters(struct shmb_frame_writer *writer, struct shmb_counters *out)
{
	return writer_counters((const struct writer *)writer, out);
}

int shmb_frame_counters(struct shmb_frame_reader *reader, struct shmb_counters *out)
{
	return reader_counters((struct reader *)reader, out);
}

int shmb_queue_producer_counters(struct shmb_queue_producer *producer, struct shmb_counters *out)
{
	int r = writer_counters((const struct writer *)producer, out);

	out->waited = ((const struct writer *)producer)->queue.waitable.waited;
	out->woken = ((const struct writer *)producer)->queue.waitable.woken;
	return r;
}

int shmb_queue_counters(struct shmb_queue_consumer *consumer, struct shmb_counters *out)
{
	return reader_counters((struct reader *)consumer, out);
}
