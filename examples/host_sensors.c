/* SPDX-License-Identifier: MIT */
/*
 * host_sensors: publishes what this host measures of itself (cores, memory, network, temperatures) as typed rings, at a steady rate.
 *
 * The shape of every producer with the library: connect, open a writer for each ring, then fill a payload and insert it, over and over.
 * Ticks lie at absolute times, so the rate does not drift, whatever a reading takes; a tick that comes late by less than a tenth of a
 * second is made up for at once, a longer gap (a suspended machine) is skipped and counted.
 *
 * On stdout it says what it publishes ("publishing NAME ..."), "ready", and at the end how much it wrote ("written NAME ..."): the demo
 * reads these lines.
 */

#include "checksum.h"
#include "host_source.h"
#include "program.h"
#include "shmb.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	RING_CAPACITY = 1024, /* 5 s at 200 Hz: a reader may be held up that long and loses nothing */
	RINGS_MAX = 4,
	RING_NAME_MAX = 256,
};
#define CATCH_UP_NS UINT64_C(100000000)

static const char *const source_names[RINGS_MAX] = { "cpu", "memory", "network", "temperature" };

struct options {
	const char *socket;
	const char *prefix;
	const char *only; /* comma-separated, NULL all */
	const char *root;
	double rate;
	double seconds; /* 0: until a signal */
	uint64_t corrupt;
};

struct ring {
	char name[RING_NAME_MAX];
	struct host_source *source;
	struct shmb_ring_writer *writer;
	void *payload;
	uint64_t period_ns;
	uint64_t due_ns;
	uint64_t first; /* number of our first write */
	uint64_t written;
};

static bool is_wanted(const struct options *options, const char *name)
{
	size_t length = strlen(name);

	for (const char *at = options->only; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, name, length) == 0 && (at[length] == 0 || at[length] == ','))
			return true;
	}
	return !options->only;
}

/* Each word of --only must be a source. */
static bool are_known(const char *only)
{
	while (only) {
		size_t length = strcspn(only, ",");
		bool known = false;

		for (int i = 0; i < RINGS_MAX; i++)
			known |= strlen(source_names[i]) == length && strncmp(source_names[i], only, length) == 0;
		if (!known)
			return false;
		only = only[length] ? only + length + 1 : NULL;
	}
	return true;
}

static int ring_open(struct ring *ring, struct shmb *broker, const struct options *options, const char *name)
{
	struct shmb_options how = { .capacity = RING_CAPACITY, .stamped = 1 };
	const struct shmb_type *type;
	double rate = options->rate;
	int r = host_source_open(&ring->source, name, options->root);

	if (r == -ENODEV) {
		fprintf(stderr, "host_sensors: this machine has no %s sensors (usual in a virtual machine); going on without\n", name);
		return r;
	}
	if (r < 0) {
		fprintf(stderr, "host_sensors: cannot measure %s: %s\n", name, shmb_strerror(r));
		return r;
	}
	type = host_source_type(ring->source);
	if (host_source_rate_max(ring->source) > 0)
		rate = fmin(rate, host_source_rate_max(ring->source));
	ring->period_ns = (uint64_t)(1e9 / rate);
	ring->payload = calloc(1, type->size);
	if (!ring->payload)
		return -ENOMEM;
	snprintf(ring->name, sizeof(ring->name), "%s/%s", options->prefix, name);
	r = shmb_ring_writer_open(&ring->writer, broker, ring->name, type, &how);
	if (r < 0) {
		fprintf(stderr, "host_sensors: cannot publish %s: %s\n", ring->name, shmb_text());
		return r;
	}
	ring->first = shmb_ring_next_number(ring->writer);
	printf("publishing %s at %g Hz, %zu bytes a sample, from number %" PRIu64 "\n", ring->name, rate, type->size, ring->first);
	return 0;
}

static void ring_close(struct ring *ring)
{
	shmb_ring_writer_close(ring->writer);
	host_source_close(ring->source);
	free(ring->payload);
}

static int ring_publish(struct ring *ring, const struct options *options)
{
	size_t size = host_source_type(ring->source)->size;
	int r = host_source_read(ring->source, ring->payload);

	if (r < 0) {
		fprintf(stderr, "host_sensors: reading for %s failed: %s\n", ring->name, shmb_strerror(r));
		return r;
	}
	checksum_set(ring->payload, size);
	if (options->corrupt && ring->written + 1 == options->corrupt)
		((unsigned char *)ring->payload)[size - 1] ^= 0x40;
	r = shmb_ring_insert(ring->writer, ring->payload);
	if (r < 0) {
		fprintf(stderr, "host_sensors: cannot write %s: %s\n", ring->name, shmb_strerror(r));
		return r;
	}
	ring->written++;
	return 0;
}

static void sleep_until(uint64_t at_ns)
{
	struct timespec at = { .tv_sec = (time_t)(at_ns / 1000000000), .tv_nsec = (long)(at_ns % 1000000000) };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL); /* a signal ends it; the loop looks */
}

/* Publishes whatever ring is due next, until told to stop. `skipped` counts ticks that were given up. */
static int publish_all(struct ring *rings, int count, const struct options *options, uint64_t *skipped)
{
	uint64_t start = shmb_now_ns();
	uint64_t end = options->seconds > 0 ? start + (uint64_t)(options->seconds * 1e9) : UINT64_MAX;
	int r = 0;

	for (int i = 0; i < count; i++)
		rings[i].due_ns = start;
	while (r == 0 && !program_is_stopped) {
		struct ring *next = &rings[0];
		uint64_t now;

		for (int i = 1; i < count; i++)
			if (rings[i].due_ns < next->due_ns)
				next = &rings[i];
		if (next->due_ns >= end)
			break;
		now = shmb_now_ns();
		if (now < next->due_ns) {
			sleep_until(next->due_ns);
			continue;
		}
		if (now - next->due_ns > CATCH_UP_NS) {
			uint64_t ticks = (now - next->due_ns) / next->period_ns;

			next->due_ns += ticks * next->period_ns;
			*skipped += ticks;
		}
		r = ring_publish(next, options);
		next->due_ns += next->period_ns;
	}
	return r;
}

static int run(const struct options *options)
{
	struct ring rings[RINGS_MAX] = { 0 };
	struct shmb *broker = NULL;
	uint64_t skipped = 0;
	int count = 0;
	int r = shmb_connect(&broker, options->socket);

	if (r < 0)
		fprintf(stderr, "host_sensors: %s\n", shmb_text());
	for (int i = 0; i < RINGS_MAX && r == 0; i++) {
		if (!is_wanted(options, source_names[i]))
			continue;
		r = ring_open(&rings[count], broker, options, source_names[i]);
		if (r == 0) {
			count++;
		} else {
			ring_close(&rings[count]);
			rings[count] = (struct ring){ 0 };
			if (r == -ENODEV)
				r = 0;
		}
	}
	if (r == 0 && count == 0) {
		fprintf(stderr, "host_sensors: nothing to publish\n");
		r = -ENODEV;
	}
	if (r == 0) {
		printf("ready\n");
		r = publish_all(rings, count, options, &skipped);
	}
	for (int i = 0; i < count; i++) {
		printf("written %s %" PRIu64 " samples from number %" PRIu64 "\n", rings[i].name, rings[i].written, rings[i].first);
		ring_close(&rings[i]);
	}
	if (skipped)
		printf("skipped %" PRIu64 " ticks, for the machine was held up\n", skipped);
	shmb_disconnect(broker);
	return r;
}

static void help(void)
{
	puts("usage: host_sensors [options]\n"
	     "\n"
	     "Publishes what this host measures of itself as rings of shared memory, until Ctrl-C:\n"
	     "host/cpu, host/memory, host/network, and host/temperature where there are sensors.\n"
	     "\n"
	     "  --rate HZ      samples a second, default 100; sensors at most 10\n"
	     "  --seconds S    end after so long\n"
	     "  --only LIST    of cpu, memory, network, temperature, separated by commas\n"
	     "  --prefix NAME  of the segments, default host\n"
	     "  --root DIR     where the host's /proc and /sys are mounted, in a container that has its own\n"
	     "  --corrupt N    give the N-th sample of each ring a wrong checksum: shows that readers notice\n"
	     "  --socket PATH  of the daemon\n"
	     "  --help, --version");
}

static int usage(const char *what)
{
	fprintf(stderr, "host_sensors: %s; try --help\n", what);
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "rate", required_argument, NULL, 'r' },   { "seconds", required_argument, NULL, 's' },
		{ "only", required_argument, NULL, 'o' },   { "prefix", required_argument, NULL, 'p' },
		{ "root", required_argument, NULL, 'R' },   { "corrupt", required_argument, NULL, 'c' },
		{ "socket", required_argument, NULL, 'S' }, { "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },	    { NULL, 0, NULL, 0 },
	};
	struct options options = { .prefix = "host", .root = "", .rate = 100 };
	double value;
	int option;

	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		switch (option) {
		case 'r':
			options.rate = program_number(optarg, 0.001, 1e5);
			if (options.rate < 0)
				return usage("--rate takes a number of samples a second, at most 100000");
			break;
		case 's':
			options.seconds = program_number(optarg, 1e-3, 1e9);
			if (options.seconds < 0)
				return usage("--seconds takes a positive number");
			break;
		case 'o':
			if (!are_known(optarg))
				return usage("--only takes names out of cpu,memory,network,temperature");
			options.only = optarg;
			break;
		case 'p':
			options.prefix = optarg;
			break;
		case 'R':
			options.root = optarg;
			break;
		case 'c':
			value = program_number(optarg, 1, 1e15);
			if (value < 0)
				return usage("--corrupt takes the count of a sample, from 1");
			options.corrupt = (uint64_t)value;
			break;
		case 'S':
			options.socket = optarg;
			break;
		case 'h':
			help();
			return 0;
		case 'V':
			printf("host_sensors %s\n", shmb_version());
			return 0;
		default:
			return 2;
		}
	}
	if (optind != argc)
		return usage("takes no arguments");
	setvbuf(stdout, NULL, _IOLBF, 0);
	program_stop_at_signals();
	signal(SIGPIPE, SIG_IGN);
	return run(&options) == 0 ? 0 : 1;
}
