/* SPDX-License-Identifier: MIT */
/*
 * Proves that reading and writing make no system call and allocate nothing while nobody waits: `quiet KIND BYTES MODE` (KIND value, ring,
 * frame, queue, stamped: a stamped ring; and those of quiet_more.h) opens writer and reader of one segment, warms up, and then
 *
 *   seccomp   enters a filter that kills the process at any system call but write and exit_group, stores and loads 100,000 times (10,000 at 64 KiB),
 *             says "ok"
 *   clock     counts the calls of clock_gettime() likewise
 *   malloc    counts the calls of malloc and its relatives around 100,000 stores and loads, and says how many there were
 *   stray     as seccomp, with one getppid() in between: must be killed, or the filter proves nothing
 *
 * Exit status 77: the kernel (or an emulator) knows no seccomp filter, or a sanitizer is built in.
 */
#include "quiet_more.h"

#include "../support/pattern.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 100000, ROUNDS_LARGE = 10000, LARGE = 65536, CANNOT = 77 };

/* Of the thread that is looked at. */
static _Thread_local unsigned long allocations;
static _Thread_local unsigned long clock_calls;

/* Comes before the library's own for every caller in the process. */
__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *out)
{
	clock_calls++;
	return (int)syscall(__NR_clock_gettime, clock, out);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OWN_MALLOC 0
#elif defined(__has_feature)
#define OWN_MALLOC (!(__has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)))
#else
#define OWN_MALLOC 1
#endif

#if OWN_MALLOC
/* glibc's own entry points: these definitions come before the library's for every caller in the process. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void __libc_free(void *memory);

__attribute__((visibility("default"))) void *malloc(size_t size)
{
	allocations++;
	return __libc_malloc(size);
}

__attribute__((visibility("default"))) void *calloc(size_t count, size_t size)
{
	allocations++;
	return __libc_calloc(count, size);
}

__attribute__((visibility("default"))) void *realloc(void *old, size_t size)
{
	allocations++;
	return __libc_realloc(old, size);
}

__attribute__((visibility("default"))) void free(void *memory)
{
	allocations++;
	__libc_free(memory);
}
#endif

static int filter_install(void)
{
	struct sock_filter rules[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_write, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_exit_group, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof(rules) / sizeof(rules[0]), .filter = rules };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -errno;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 ? 0 : -errno;
}

struct pair {
	struct shmb_ring_writer *ring_writer;
	struct shmb_ring_reader *ring_reader;
	struct shmb_value_writer *value_writer;
	struct shmb_value_reader *value_reader;
	struct shmb_frame_writer *frame_writer;
	struct shmb_frame_reader *frame_reader;
	struct shmb_queue_producer *producer;
	struct shmb_queue_consumer *consumer;
	struct more *more;
	char *out;
	char *in;
	size_t bytes;
};

/* Loan, commit, pin, release. */
static int frame_trip(struct pair *pair, struct shmb_sample *sample)
{
	struct shmb_frame frame;
	void *payload;
	size_t capacity;
	int r = shmb_frame_loan(pair->frame_writer, &payload, &capacity);

	if (r != 0)
		return r;
	memcpy(payload, pair->out, pair->bytes);
	r = shmb_frame_commit(pair->frame_writer, pair->bytes);
	if (r == 0)
		r = shmb_frame_pin_next(pair->frame_reader, &frame);
	if (r != 0)
		return r;
	memcpy(pair->in, frame.payload, pair->bytes);
	sample->number = frame.number;
	return shmb_frame_release(pair->frame_reader, &frame);
}

/* One store and one load; both orders of the ring's reads in turn. */
static int round_trip(struct pair *pair, uint64_t number)
{
	struct shmb_sample sample = { 0 };
	unsigned salt;
	int r;

	if (pair->more != NULL)
		return more_trip(pair->more, number);
	pattern_fill(pair->out, pair->bytes, number, 1);
	if (pair->ring_writer != NULL) {
		r = shmb_ring_insert(pair->ring_writer, pair->out);
		if (r == 0 && number % 2 == 0)
			r = shmb_ring_read_next(pair->ring_reader, pair->in, &sample);
		else if (r == 0)
			r = shmb_ring_latest(pair->ring_reader, pair->in, &sample);
		if (r == 0)
			r = shmb_ring_read(pair->ring_reader, number, pair->in, NULL);
	} else if (pair->frame_writer != NULL) {
		r = frame_trip(pair, &sample);
	} else if (pair->producer != NULL) {
		r = shmb_queue_push(pair->producer, pair->out);
		if (r == 0)
			r = shmb_queue_pop(pair->consumer, pair->in, &sample);
	} else {
		r = shmb_value_store(pair->value_writer, pair->out);
		if (r == 0)
			r = shmb_value_load(pair->value_reader, pair->in, &sample);
	}
	if (r == 0 && (sample.number != number || !pattern_check(pair->in, pair->bytes, number, &salt)))
		r = -EBADMSG;
	return r;
}

static int pair_open(struct pair *pair, struct shmb *broker, const char *kind)
{
	struct shmb_type *type = NULL;
	char name[64];
	int r = shmb_type_opaque(&type, pair->bytes);

	if (r != 0)
		return r;
	snprintf(name, sizeof(name), "quiet/%s/%zu", kind, pair->bytes);
	if (strcmp(kind, "ring") == 0 || strcmp(kind, "stamped") == 0) {
		r = shmb_ring_writer_open(&pair->ring_writer, broker, name, type,
					  &(struct shmb_options){ .stamped = strcmp(kind, "stamped") == 0 });
		if (r == 0)
			r = shmb_ring_reader_open(&pair->ring_reader, broker, name, type, SHMB_NO_WAIT);
	} else if (strcmp(kind, "frame") == 0) {
		r = shmb_frame_writer_open(&pair->frame_writer, broker, name, type, NULL);
		if (r == 0)
			r = shmb_frame_reader_open(&pair->frame_reader, broker, name, type, SHMB_NO_WAIT);
	} else if (strcmp(kind, "queue") == 0) {
		r = shmb_queue_producer_open(&pair->producer, broker, name, type, NULL);
		if (r == 0)
			r = shmb_queue_consumer_open(&pair->consumer, broker, name, type, SHMB_NO_WAIT);
	} else if (strcmp(kind, "value") != 0) {
		pair->more = more_open(broker, kind, pair->bytes);
		r = pair->more != NULL ? 0 : -EINVAL;
	} else {
		r = shmb_value_writer_open(&pair->value_writer, broker, name, type, NULL);
		if (r == 0)
			r = shmb_value_reader_open(&pair->value_reader, broker, name, type, SHMB_NO_WAIT);
	}
	shmb_type_free(type);
	return r;
}

int main(int argc, char **argv)
{
	struct pair pair = { 0 };
	struct shmb *broker = NULL;
	const char *mode = argc == 4 ? argv[3] : "";
	unsigned long before;
	uint64_t number = 0;
	uint64_t first, end;
	int r;

	if (argc != 4)
		return 2;
	if (!OWN_MALLOC) /* a sanitizer has its own malloc, and makes system calls of its own */
		return CANNOT;
	pair.bytes = strtoul(argv[2], NULL, 10);
	pair.out = calloc(1, pair.bytes);
	pair.in = calloc(1, pair.bytes);
	r = shmb_connect(&broker, NULL);
	if (r == 0)
		r = pair_open(&pair, broker, argv[1]);
	if (r == 0 && pair.ring_writer != NULL) {
		number = shmb_ring_next_number(pair.ring_writer);
		r = shmb_ring_seek(pair.ring_reader, number);
	} else if (r == 0 && pair.frame_writer != NULL) {
		number = shmb_frame_next_number(pair.frame_writer);
		r = shmb_frame_seek(pair.frame_reader, number);
	} else if (r == 0 && pair.producer != NULL) {
		number = shmb_queue_next_number(pair.producer);
	} else if (r == 0 && pair.value_writer != NULL) {
		number = shmb_value_next(pair.value_writer);
	}
	first = number;
	end = first + 100 + (pair.bytes >= LARGE ? ROUNDS_LARGE : ROUNDS);
	while (r == 0 && number < first + 100)
		r = round_trip(&pair, number++);
	if (r != 0) {
		fprintf(stderr, "quiet: %s: %s\n", shmb_strerror(r), shmb_text());
		return 1;
	}
	if (strcmp(mode, "clock") == 0) {
		before = clock_calls;
		while (r == 0 && number < end)
			r = round_trip(&pair, number++);
		printf("%lu\n", clock_calls - before);
		if (pair.more != NULL)
			more_end(pair.more);
		return r == 0 && before > 0 ? 0 : 1;
	}
	if (strcmp(mode, "malloc") != 0) {
		if (filter_install() != 0)
			return CANNOT;
		while (r == 0 && number < end) {
			r = round_trip(&pair, number++);
			if (number == first + 1000 && strcmp(mode, "stray") == 0)
				syscall(__NR_getppid);
		}
		if (r == 0 && write(STDOUT_FILENO, "ok\n", 3) != 3)
			r = -EIO;
		_exit(r == 0 ? 0 : 1);
	}
	before = allocations;
	while (r == 0 && number < end)
		r = round_trip(&pair, number++);
	before = allocations - before;
	printf("%lu\n", before);
	if (pair.more != NULL)
		more_end(pair.more);
	shmb_ring_reader_close(pair.ring_reader);
	shmb_ring_writer_close(pair.ring_writer);
	shmb_value_reader_close(pair.value_reader);
	shmb_value_writer_close(pair.value_writer);
	shmb_frame_reader_close(pair.frame_reader);
	shmb_frame_writer_close(pair.frame_writer);
	shmb_queue_consumer_close(pair.consumer);
	shmb_queue_producer_close(pair.producer);
	shmb_disconnect(broker);
	free(pair.in);
	free(pair.out);
	return r == 0 && allocations > before ? 0 : 1;
}
