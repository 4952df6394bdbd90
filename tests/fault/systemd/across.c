/* SPDX-License-Identifier: MIT */
/*
 * One segment, written and read without a pause while the daemon is killed, stopped and restarted around it.
 *
 *   across write NAME RATE    writes numbered, checksummed elements, RATE a second, until SIGTERM; closes; prints how many
 *                             with `once` behind it, one element and no waiting
 *   across read NAME          reads each of them once, in order, from number 0 on, until the writer has closed; prints what it found
 *
 * The reader says "ready" when it has the segment open. Its status is 0 when nothing was lost and nothing torn.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shmb.h"

enum { CAPACITY = 4096 };

SHMB_TYPE(across, (uint64, number)(uint64, noise, 30)(uint64, sum));

static volatile sig_atomic_t ended;

static void on_term(int signal_number)
{
	(void)signal_number;
	ended = 1;
}

static int fail(const char *what, int error)
{
	fprintf(stderr, "across: %s: %s: %s\n", what, shmb_strerror(error), shmb_text());
	return 2;
}

static uint64_t checksum(const struct across *element)
{
	uint64_t sum = element->number;

	for (size_t i = 0; i < sizeof(element->noise) / sizeof(element->noise[0]); i++)
		sum = (sum ^ element->noise[i]) * UINT64_C(0x100000001b3);
	return sum;
}

static void element_fill(struct across *element, uint64_t number)
{
	element->number = number;
	for (size_t i = 0; i < sizeof(element->noise) / sizeof(element->noise[0]); i++)
		element->noise[i] = (number + i) * UINT64_C(0x9e3779b97f4a7c15);
	element->sum = checksum(element);
}

static int write_all(struct shmb *broker, const char *name, long rate, bool once)
{
	struct shmb_ring_writer *ring;
	struct timespec next;
	struct across element;
	int r = shmb_ring_writer_open(&ring, broker, name, &across_type, &(struct shmb_options){ .capacity = CAPACITY });

	if (r < 0)
		return fail("open", r);
	printf("ready\n");
	fflush(stdout);
	clock_gettime(CLOCK_MONOTONIC, &next);
	while (!ended) {
		element_fill(&element, shmb_ring_next_number(ring));
		r = shmb_ring_insert(ring, &element);
		if (r < 0)
			return fail("insert", r);
		if (once)
			break;
		next.tv_nsec += 1000000000 / rate;
		if (next.tv_nsec >= 1000000000) {
			next.tv_nsec -= 1000000000;
			next.tv_sec++;
		}
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
	printf("written %" PRIu64 "\n", shmb_ring_next_number(ring));
	shmb_ring_writer_close(ring);
	return 0;
}

static int read_all(struct shmb *broker, const char *name)
{
	struct shmb_ring_reader *ring;
	struct across element;
	struct shmb_sample sample;
	uint64_t read = 0;
	uint64_t lost = 0;
	uint64_t torn = 0;
	int r = shmb_ring_reader_open(&ring, broker, name, &across_type, shmb_now_ns() + UINT64_C(60000000000));

	if (r < 0)
		return fail("open", r);
	r = shmb_ring_seek(ring, 0);
	if (r < 0)
		return fail("seek", r);
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		r = shmb_ring_read_next(ring, &element, &sample);
		if (r == 0) {
			lost += sample.missed;
			torn += element.number != sample.number || element.number != read + lost || element.sum != checksum(&element);
			read++;
			continue;
		}
		if (r != -ENODATA)
			return fail("read", r);
		r = shmb_ring_wait(ring, shmb_now_ns() + UINT64_C(60000000000));
		if (r == -EPIPE)
			break;
		if (r < 0)
			return fail("wait", r);
	}
	printf("read %" PRIu64 " lost %" PRIu64 " torn %" PRIu64 "\n", read, lost, torn);
	shmb_ring_reader_close(ring);
	return lost == 0 && torn == 0 && read > 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	struct shmb *broker;
	int r;

	if (argc < 3 || (strcmp(argv[1], "write") == 0) != (argc >= 4)) {
		fprintf(stderr, "usage: across write NAME RATE [once] | across read NAME\n");
		return 2;
	}
	signal(SIGTERM, on_term);
	r = shmb_connect(&broker, NULL);
	if (r < 0)
		return fail("connect", r);
	r = argc >= 4 ? write_all(broker, argv[2], atol(argv[3]), argc > 4) : read_all(broker, argv[2]);
	shmb_disconnect(broker);
	return r;
}
