/* SPDX-License-Identifier: MIT */
/*
 * Values and rings under ThreadSanitizer: one writer and several readers as threads on one mapping (mapping.h). The sources are the library's own.
 * The other kinds: kinds.c.
 *
 * The payload is copied with relaxed atomics in such builds and the fences are hidden from TSan, so what it checks is the chain that
 * carries everything else: for each number there is a plain, non-atomic word beside the segment, written before the publish of that number and
 * read after it was read. Release and acquire of the id (and of counter and wake word) are all that orders the two. tests/tsan/run builds this
 * again with that order taken away, and then there must be a report.
 */
#include "mapping.h"

#include "libclient/wait.h"

enum { NUMBERS = 10000, READERS_PER_KIND = 2, WORDS_MAX = 128, PAUSE_EVERY = 16 };

struct segment {
	struct mapping mapping;
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

static void *write_all(void *arg)
{
	struct segment *segment = arg;
	struct slots_writer writer;
	uint64_t payload[WORDS_MAX];
	int r = slots_writer_init(&writer, &segment->mapping.memory, shmb_state_word(1, SHMB_STATE_HELD));

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

	slots_reader_init(&reader, &segment->mapping.memory, &segment->mapping.area.cells[reading->cell]);
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

	segment->words = payload_bytes / sizeof(uint64_t);
	return mapping_make(&segment->mapping, &request);
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
	free(segment->mapping.data);
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
