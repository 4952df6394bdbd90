/* SPDX-License-Identifier: MIT */
/*
 * The data path under ThreadSanitizer: one writer and several readers as threads on one mapping, which is what TSan can see (it sees
 * nothing across two mappings of the same memory). The sources are the library's own; there is no broker, the segment is plain memory
 * laid out as one.
 *
 * The payload is copied with relaxed atomics in such builds and the fences are hidden from TSan, so what it checks is the chain that
 * carries everything else: for each number there is a plain, non-atomic word beside the segment, written before the publish of that number and
 * read after it was read. Release and acquire of the id (and of counter and wake word) are all that orders the two. tests/tsan/run builds this
 * again with that order taken away, and then there must be a report.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libclient/connection.h"
#include "libclient/slots.h"
#include "libclient/wait.h"

enum { NUMBERS = 10000, READERS_PER_KIND = 2, WORDS_MAX = 128, PAUSE_EVERY = 16 };

struct segment {
	struct shmb_geometry geometry;
	struct shmb_shm_card card;
	struct shmb_shm_area area;
	struct shmb_shm_data *data;
	struct slots_memory memory;
	size_t words;
	uint64_t beside[NUMBERS]; /* plain memory: ordered by nothing but the data path */
};

struct reading {
	struct segment *segment;
	int (*read)(struct slots_reader *reader, uint64_t *payload, struct shmb_sample *sample);
	int cell;
	pthread_t thread;
	uint64_t read_count;
	int error;
};

static const _Atomic uint32_t guard = 1;

/* There is no broker to look at. */
int connection_look(struct shmb *broker, uint32_t event, uint64_t deadline_ns)
{
	(void)broker;
	(void)event;
	(void)deadline_ns;
	abort();
}

static uint64_t word_of(uint64_t number, size_t index)
{
	return (number + 1) * UINT64_C(0x9e3779b97f4a7c15) + index;
}

static void *write_all(void *arg)
{
	struct segment *segment = arg;
	struct slots_writer writer;
	uint64_t payload[WORDS_MAX];
	int r = slots_writer_init(&writer, &segment->memory, shmb_state_word(1, SHMB_STATE_HELD));

	for (uint64_t number = 0; r == 0 && number < NUMBERS; number++) {
		for (size_t i = 0; i < segment->words; i++)
			payload[i] = word_of(number, i);
		segment->beside[number] = word_of(number, 0);
		r = slots_publish(&writer, payload);
		if (number % PAUSE_EVERY == 0) /* readers catch up and go to sleep */
			nanosleep(&(struct timespec){ .tv_nsec = 20000 }, NULL);
	}
	return (void *)(intptr_t)r;
}

static int read_polling(struct slots_reader *reader, uint64_t *payload, struct shmb_sample *sample)
{
	return slots_read_next(reader, payload, sample);
}

static int read_newest(struct slots_reader *reader, uint64_t *payload, struct shmb_sample *sample)
{
	return slots_latest(reader, payload, sample);
}

static int read_waiting(struct slots_reader *reader, uint64_t *payload, struct shmb_sample *sample)
{
	int r = slots_wait(reader, NULL, SHMB_FOREVER);

	return r == 0 ? slots_read_next(reader, payload, sample) : r;
}

static void *read_all(void *arg)
{
	struct reading *reading = arg;
	struct segment *segment = reading->segment;
	struct slots_reader reader;
	struct shmb_sample sample = { 0 };
	uint64_t payload[WORDS_MAX];

	slots_reader_init(&reader, &segment->memory, &segment->area.cells[reading->cell]);
	while (sample.number < NUMBERS - 1) {
		int r = reading->read(&reader, payload, &sample);

		if (r == -ENODATA || r == -EAGAIN)
			continue;
		if (r < 0) {
			reading->error = r;
			break;
		}
		reading->read_count++;
		for (size_t i = 0; i < segment->words; i++) {
			if (payload[i] != word_of(sample.number, i))
				reading->error = -EBADMSG;
		}
		if (segment->beside[sample.number] != word_of(sample.number, 0))
			reading->error = -EILSEQ;
	}
	return NULL;
}

static int segment_make(struct segment *segment, uint32_t payload_bytes, uint32_t capacity)
{
	struct shmb_request request = {
		.kind = SHMB_KIND_RING,
		.capacity = capacity,
		.payload_align = 8,
		.payload_bytes = payload_bytes,
		.key_field = SHMB_KEY_IS_STAMP,
	};
	const char *why;
	int r = shmb_geometry_plan(&request, 1, &segment->geometry, &why);

	if (r < 0)
		return r;
	segment->data = aligned_alloc(SHMB_PAGE, segment->geometry.data_bytes);
	if (segment->data == NULL)
		return -ENOMEM;
	memset(segment->data, 0, segment->geometry.data_bytes);
	atomic_store_explicit(&segment->card.state, shmb_state_word(1, SHMB_STATE_HELD), memory_order_relaxed);
	atomic_store_explicit(&segment->card.writer, shmb_writer_word(1, SHMB_WRITER_ALIVE), memory_order_relaxed);
	atomic_store_explicit(&segment->card.bound_areas, 1, memory_order_relaxed);
	segment->words = payload_bytes / sizeof(uint64_t);
	segment->memory = (struct slots_memory){
		.geometry = &segment->geometry,
		.card = &segment->card,
		.data = segment->data,
		.areas = { &segment->area },
		.area_count = 1,
		.guard = &guard,
	};
	return 0;
}

/* One writer against two readers of each kind. */
static bool run(uint32_t payload_bytes, uint32_t capacity)
{
	static const struct {
		const char *name;
		int (*read)(struct slots_reader *reader, uint64_t *payload, struct shmb_sample *sample);
	} kinds[] = { { "polling", read_polling }, { "newest", read_newest }, { "waiting", read_waiting } };
	enum { KINDS = sizeof(kinds) / sizeof(kinds[0]), READERS = KINDS * READERS_PER_KIND };
	struct reading readings[READERS] = { 0 };
	struct segment *segment = calloc(1, sizeof(*segment));
	void *written = NULL;
	pthread_t writer;
	bool good = true;
	int r;

	if (segment == NULL)
		return false;
	r = segment_make(segment, payload_bytes, capacity);
	if (r < 0) {
		fprintf(stderr, "tsan threads: no segment: %s\n", strerror(-r));
		free(segment);
		return false;
	}
	for (int i = 0; i < READERS; i++) {
		readings[i].segment = segment;
		readings[i].cell = i;
		readings[i].read = kinds[i % KINDS].read;
		good = pthread_create(&readings[i].thread, NULL, read_all, &readings[i]) == 0 && good;
	}
	good = pthread_create(&writer, NULL, write_all, segment) == 0 && good;
	if (!good) {
		fprintf(stderr, "tsan threads: no threads\n");
		exit(1);
	}
	pthread_join(writer, &written);
	good = written == NULL;
	for (int i = 0; i < READERS; i++) {
		pthread_join(readings[i].thread, NULL);
		if (readings[i].error != 0)
			good = false;
		printf("%5u bytes, capacity %2u, %-7s reader: %5" PRIu64 " read%s%s\n", payload_bytes, capacity, kinds[i % KINDS].name,
		       readings[i].read_count, readings[i].error != 0 ? ", " : "",
		       readings[i].error != 0 ? strerror(-readings[i].error) : "");
	}
	free(segment->data);
	free(segment);
	return good;
}

int main(void)
{
	bool good = run(48, 4);

	good = run(1024, 8) && good;
	printf("%s\n", good ? "every payload whole" : "FAILED");
	return good ? 0 : 1;
}
