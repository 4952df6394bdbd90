/* SPDX-License-Identifier: MIT */
/*
 * Frames, queues, blocks, temporal queries and loaders under ThreadSanitizer: `kinds [CASE]`, all cases without one. Threads on one mapping
 * (mapping.h), the library's own sources.
 *
 * What an ordering carries is plain memory here, written and read without atomics by the test itself: the payload in place (a frame on loan and
 * pinned, an item claimed and peeked at, what a lock protects, a loader's snapshot), and beside the segment a word for each number, written before
 * its publish and read after it was found. Each case fails with a report when one of its orderings is taken away, which tests/tsan/run does.
 *
 * What is copied while it may be overwritten is copied as relaxed atomics in such builds; fences TSan does not see (proto/atomics.h): what rests on
 * them is the models' alone.
 */
#include "mapping.h"

#include "libclient/block.h"
#include "libclient/clock.h"
#include "libclient/queue.h"
#include "libclient/segment.h"
#include "proto/copy.h"

enum { NUMBERS = 6000, BYTES = 256, WORDS = BYTES / 8, PAUSE_EVERY = 16 };

static struct mapping mapping;
static uint64_t beside[NUMBERS]; /* plain: ordered by nothing but the data path */
static _Atomic uint32_t ended;	 /* writers that have ended */
static _Atomic int failures;

static void fail(const char *what, uint64_t number)
{
	fprintf(stderr, "tsan kinds: %s, number %" PRIu64 "\n", what, number);
	atomic_fetch_add_explicit(&failures, 1, memory_order_relaxed);
}

static void make(struct shmb_request request)
{
	int r;

	memset(&mapping, 0, sizeof(mapping));
	memset(beside, 0, sizeof(beside));
	atomic_store_explicit(&ended, 0, memory_order_relaxed);
	r = mapping_make(&mapping, &request);
	if (r < 0) {
		fprintf(stderr, "tsan kinds: no segment: %s\n", strerror(-r));
		exit(1);
	}
}

static void thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg)
{
	if (pthread_create(thread, NULL, run, arg) != 0)
		exit(1);
}

/* Runs these at once, until all have ended. */
static void run_all(void *(*const *runs)(void *arg), int count)
{
	pthread_t threads[8];

	for (int i = 0; i < count; i++)
		thread_start(&threads[i], runs[i], (void *)(intptr_t)i);
	for (int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	free(mapping.data);
}

static bool is_over(void)
{
	return atomic_load_explicit(&ended, memory_order_relaxed) != 0;
}

static void over(void)
{
	atomic_fetch_add_explicit(&ended, 1, memory_order_relaxed);
}

/* ---- frames ---- */

static void *frame_write(void *arg)
{
	struct frame_writer writer;
	uint64_t number = 0;

	(void)arg;
	if (frame_writer_init(&writer, &mapping.memory, shmb_state_word(1, SHMB_STATE_HELD)) != 0)
		fail("no frame writer", 0);
	while (number < NUMBERS) {
		uint64_t fresh[WORDS];
		size_t capacity;
		void *payload;
		int r = shmb_frame_loan((struct shmb_frame_writer *)&writer, &payload, &capacity);

		if (r == -ENOBUFS) {
			pause_us(50);
			continue;
		}
		if (r != 0)
			fail("loan", number);
		for (size_t i = 0; i < WORDS; i++)
			fresh[i] = word_of(number, i);
		/* Atomic words, because loading readers may be copying: pinning ones read them plainly all the same. */
		shmb_copy(payload, fresh, BYTES);
		beside[number] = word_of(number, 0);
		if (shmb_frame_commit((struct shmb_frame_writer *)&writer, BYTES) != 0)
			fail("commit", number);
		if (++number % PAUSE_EVERY == 0)
			pause_us(20);
	}
	frame_writer_deinit(&writer);
	over();
	return NULL;
}

static void frame_check(const struct shmb_frame *frame)
{
	const uint64_t *words = frame->payload;

	for (size_t i = 0; i < WORDS; i++) {
		if (words[i] != word_of(frame->number, i))
			fail("another frame's bytes", frame->number);
	}
	if (beside[frame->number] != word_of(frame->number, 0))
		fail("not ordered", frame->number);
}

/* Even readers pin each in order, odd ones the newest; the last one loads copies. */
static void *frame_read(void *arg)
{
	int which = (int)(intptr_t)arg;
	struct frame_reader reader;
	struct shmb_frame_reader *handle = (struct shmb_frame_reader *)&reader;
	uint64_t copy[WORDS];
	uint64_t count = 0;

	frame_reader_init(&reader, &mapping.memory, &mapping.area.cells[which]);
	while (!is_over()) {
		struct shmb_frame frame;
		int r = which == 3	 ? shmb_frame_load_next(handle, copy, sizeof(copy), &frame)
			: which % 2 == 0 ? shmb_frame_pin_next(handle, &frame)
					 : shmb_frame_pin_newest(handle, &frame);

		if (r == -ENODATA || r == -EAGAIN)
			continue;
		if (r != 0) {
			fail("pin", 0);
			break;
		}
		frame_check(&frame);
		count++;
		if (which != 3 && shmb_frame_release(handle, &frame) != 0)
			fail("overwritten while held", frame.number);
	}
	printf("frame: reader %d: %" PRIu64 "\n", which, count);
	return NULL;
}

static void case_frame(void)
{
	static void *(*const runs[])(void *) = { frame_write, frame_read, frame_read, frame_read };

	make((struct shmb_request){ .kind = SHMB_KIND_FRAME,
				    .history = 2,
				    .pins = 2,
				    .payload_align = 8,
				    .payload_bytes = BYTES,
				    .key_field = SHMB_KEY_IS_STAMP });
	run_all(runs, 4);
}

/* ---- queues ---- */

static void *queue_produce(void *arg)
{
	static struct queue_producer producer;

	(void)arg;
	if (queue_producer_init(&producer, &mapping.memory, shmb_state_word(1, SHMB_STATE_HELD)) != 0)
		fail("no producer", 0);
	for (uint64_t number = 0; number < NUMBERS; number++) {
		uint64_t *words;
		void *payload;
		int r = queue_claim(&producer, &payload);

		while (r == -EAGAIN) {
			r = queue_wait_room(&producer, SHMB_FOREVER);
			if (r == 0)
				r = queue_claim(&producer, &payload);
		}
		if (r != 0)
			fail("claim", number);
		words = payload;
		for (size_t i = 0; i < WORDS; i++)
			words[i] = word_of(number, i);
		beside[number] = word_of(number, 0);
		if (queue_commit(&producer) != 0)
			fail("commit", number);
		if (number % 64 == 0)
			pause_us(20);
	}
	return NULL;
}

static void *queue_consume(void *arg)
{
	static struct queue_consumer consumer;

	(void)arg;
	if (queue_consumer_init(&consumer, &mapping.memory, 0, 1) != 0)
		fail("no consumer", 0);
	for (uint64_t number = 0; number < NUMBERS; number++) {
		struct shmb_sample sample;
		const uint64_t *words;
		const void *payload;
		int r = queue_peek(&consumer, 0, &payload, &sample);

		while (r == -ENODATA) {
			if (number % 3 == 0)
				queue_wait(&consumer, SHMB_FOREVER);
			r = queue_peek(&consumer, 0, &payload, &sample);
		}
		if (r != 0 || sample.number != number) {
			fail("peek", number);
			break;
		}
		words = payload;
		for (size_t i = 0; i < WORDS; i++) {
			if (words[i] != word_of(number, i))
				fail("another item's bytes", number);
		}
		if (beside[number] != word_of(number, 0))
			fail("not ordered", number);
		queue_release(&consumer, 1);
	}
	printf("queue: %d items\n", NUMBERS);
	return NULL;
}

static void case_queue(void)
{
	static void *(*const runs[])(void *) = { queue_produce, queue_consume };

	make((struct shmb_request){
		.kind = SHMB_KIND_QUEUE, .capacity = 8, .payload_align = 8, .payload_bytes = BYTES, .key_field = SHMB_KEY_IS_STAMP });
	run_all(runs, 2);
}

/* ---- blocks ---- */

static void *block_share(void *arg)
{
	static struct block blocks[3];
	struct block *block = &blocks[(intptr_t)arg];
	uint64_t *sum;

	if (block_init(block, &mapping.memory, (uint32_t)(intptr_t)arg, 1) != 0)
		fail("no block", 0);
	sum = (uint64_t *)block->payload;
	for (int i = 0; i < NUMBERS; i++) {
		if (block_lock(block, NULL, SHMB_FOREVER) != 0)
			fail("lock", (uint64_t)i);
		sum[0]++;
		sum[1] += sum[0];
		if (block_unlock(block) != 0)
			fail("unlock", (uint64_t)i);
	}
	return NULL;
}

static void case_block(void)
{
	static void *(*const runs[])(void *) = { block_share, block_share, block_share };

	make((struct shmb_request){ .kind = SHMB_KIND_BLOCK, .payload_align = 8, .payload_bytes = BYTES, .key_field = SHMB_KEY_IS_STAMP });
	run_all(runs, 3);
	printf("block: %d locks\n", 3 * NUMBERS);
}

/* ---- temporal queries ---- */

static void *keyed_write(void *arg)
{
	static struct slots_writer writer;
	uint64_t payload[WORDS];

	(void)arg;
	if (slots_writer_init(&writer, &mapping.memory, shmb_state_word(1, SHMB_STATE_HELD)) != 0)
		fail("no writer", 0);
	writer.key_bytes = 8;
	for (uint64_t number = 0; number < NUMBERS; number++) {
		for (size_t i = 1; i < WORDS; i++)
			payload[i] = word_of(number, i);
		payload[0] = number * 10;
		beside[number] = word_of(number, 0);
		if (slots_publish(&writer, payload) != 0)
			fail("publish", number);
		if (number % PAUSE_EVERY == 0)
			pause_us(20);
	}
	over();
	return NULL;
}

static void sample_check(const uint64_t *payload, uint64_t number)
{
	if (payload[0] != number * 10)
		fail("another key", number);
	for (size_t i = 1; i < WORDS; i++) {
		if (payload[i] != word_of(number, i))
			fail("another element's bytes", number);
	}
	if (beside[number] != word_of(number, 0))
		fail("not ordered", number);
}

static void *keyed_query(void *arg)
{
	static struct reader readers[4];
	struct reader *reader = &readers[(intptr_t)arg];
	struct shmb_ring_reader *ring = (struct shmb_ring_reader *)reader;
	uint64_t before[WORDS], after[WORDS];
	uint64_t count = 0;

	slots_reader_init(&reader->slots, &mapping.memory, &mapping.area.cells[(intptr_t)arg]);
	while (!is_over()) {
		struct shmb_bracket_monotonic at;
		struct shmb_key_monotonic key;
		uint64_t oldest, next;

		if (shmb_ring_bounds(ring, &oldest, &next) != 0 || next - oldest < 4)
			continue;
		/* The counter alone says that these are committed: nobody has looked at their ids. */
		if (beside[next - 3] != word_of(next - 3, 0))
			fail("not ordered by the counter", next - 3);
		key.private_ns = (next - 2 - count % 4) * 10 + 3;
		if (shmb_ring_bracket_monotonic(ring, key, 50, before, after, &at) == 0) {
			sample_check(before, at.before.number);
			sample_check(after, at.after.number);
			count++;
		}
	}
	printf("temporal: %" PRIu64 " brackets\n", count);
	return NULL;
}

/* As ring.c has it, which knows how to open. */
int shmb_ring_bounds(struct shmb_ring_reader *reader, uint64_t *oldest, uint64_t *next)
{
	return slots_bounds(&((struct reader *)reader)->slots, oldest, next);
}

static void case_temporal(void)
{
	static void *(*const runs[])(void *) = { keyed_write, keyed_query, keyed_query };

	make((struct shmb_request){
		.kind = SHMB_KIND_RING, .capacity = 16, .payload_align = 8, .payload_bytes = BYTES, .key_type = SHMB_KEY_MONOTONIC_NS });
	run_all(runs, 3);
}

/* ---- loaders ---- */

static void *loader_write(void *arg)
{
	static struct slots_writer writer;
	uint64_t payload[WORDS];

	(void)arg;
	if (slots_writer_init(&writer, &mapping.memory, shmb_state_word(1, SHMB_STATE_HELD)) != 0)
		fail("no writer", 0);
	for (uint64_t number = 0; number < NUMBERS; number++) {
		for (size_t i = 0; i < WORDS; i++)
			payload[i] = word_of(number, i);
		if (slots_publish(&writer, payload) != 0)
			fail("publish", number);
		if (number % 4 == 0)
			pause_us(10);
	}
	over();
	return NULL;
}

static void *loader_use(void *arg)
{
	static struct shmb_shm_event event;
	static struct reader reader;
	static struct shmb broker;
	struct shmb_loader *loader;
	uint64_t count = 0;
	int r;

	(void)arg;
	broker.guard = &guard;
	broker.event = &event;
	reader.handle.broker = &broker;
	reader.mappings.geometry = mapping.geometry;
	slots_reader_init(&reader.slots, &mapping.memory, &mapping.area.cells[0]);
	reader.slots.waitable.broker = &broker;
	r = shmb_loader_open_value(&loader, (struct shmb_value_reader *)&reader);
	if (r != 0) {
		fail("no loader", (uint64_t)-r);
		return NULL;
	}
	while (!is_over()) {
		struct shmb_sample sample;
		const uint64_t *words;
		const void *payload;

		if (count % 2 == 0)
			shmb_loader_wait(loader, clock_now_ns() + 1000000);
		if (shmb_loader_snapshot(loader, &payload, &sample) != 0)
			continue;
		words = payload;
		for (size_t i = 0; i < WORDS; i++) {
			if (words[i] != word_of(sample.number, i))
				fail("another snapshot's bytes", sample.number);
		}
		count++;
	}
	shmb_loader_close(loader);
	printf("loader: %" PRIu64 " snapshots\n", count);
	return NULL;
}

static void case_loader(void)
{
	static void *(*const runs[])(void *) = { loader_write, loader_use };

	make((struct shmb_request){
		.kind = SHMB_KIND_VALUE, .capacity = 4, .payload_align = 8, .payload_bytes = BYTES, .key_field = SHMB_KEY_IS_STAMP });
	run_all(runs, 2);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} cases[] = {
		{ "frame", case_frame },       { "queue", case_queue },	  { "block", case_block },
		{ "temporal", case_temporal }, { "loader", case_loader },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (argc < 2 || strcmp(argv[1], cases[i].name) == 0)
			cases[i].run();
	}
	printf("%s\n", failures == 0 ? "every payload whole" : "FAILED");
	return failures == 0 ? 0 : 1;
}
