/* SPDX-License-Identifier: MIT */
/*
 * align FAST REFERENCE: for each element of one ring, the state of a faster one at that very time, interpolated between its two neighbours
 * there: an IMU at the times of a position tracker, wheel odometry at the times of images.
 *
 *     csv_player --name imu imu0.csv & csv_player --name leica leica0.csv & align imu leica
 *
 * Both rings are found in time by their keys, of the realtime clock. The join asks both at the time of the reference's element; where the
 * fast ring has nothing that new yet (-ETIME), it waits for more. On stdout: one line of headings, then a line for each element of the
 * reference: its time, the fast ring's two numbers and alpha, its interpolated fields, and the reference's own. What has no neighbours on
 * both sides, near enough, is counted on stderr.
 */

#include "program.h"
#include "shmb.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIELDS_MAX = 512, FAST = 0, REFERENCE = 1 };
#define SLICE_NS UINT64_C(200000000)

struct options {
	const char *socket;
	const char *names[2];
	uint64_t max_gap_ns;
	uint64_t patience_ns; /* for the rings to be there */
};

struct side {
	struct shmb_ring_reader *ring;
	size_t fields[FIELDS_MAX]; /* offsets of its float64 scalars */
	unsigned field_count;
	void *before;
	void *after;
	bool has_ended;
};

struct counts {
	uint64_t aligned;
	uint64_t too_early; /* before the fast ring's oldest */
	uint64_t too_late;  /* after its last */
	uint64_t gaps;
	uint64_t lost; /* of the reference: overwritten before it was read */
};

static int add_field(const struct shmb_type_field *field, void *user)
{
	struct side *side = user;

	if (strcmp(field->primitive, "float64") == 0 && !field->is_array && side->field_count < FIELDS_MAX) {
		printf(",%s", field->name);
		side->fields[side->field_count++] = field->offset;
	}
	return 0;
}

static double value_at(const void *payload, size_t offset)
{
	double value;

	memcpy(&value, (const char *)payload + offset, sizeof(value));
	return value;
}

static int side_open(struct side *side, struct shmb *broker, const char *name, uint64_t patience_ns)
{
	int r = shmb_ring_reader_open(&side->ring, broker, name, NULL, shmb_now_ns() + patience_ns);
	size_t size;

	if (r == 0 && shmb_ring_clock(side->ring) != SHMB_CLOCK_REALTIME)
		r = -EXDEV;
	if (r < 0) {
		fprintf(stderr, "align: %s: %s: %s\n", name, shmb_strerror(r), shmb_text());
		return r;
	}
	size = shmb_ring_type(side->ring)->size;
	side->before = calloc(1, size);
	side->after = calloc(1, size);
	return side->before != NULL && side->after != NULL ? 0 : -ENOMEM;
}

static void side_close(struct side *side)
{
	shmb_ring_reader_close(side->ring);
	free(side->before);
	free(side->after);
}

/* Waits for more, behind what is there now. 0; -ENODATA its writer has ended: no more will come. */
static int side_wait(struct side *side)
{
	int r = shmb_ring_wait(side->ring, shmb_now_ns() + SLICE_NS);

	if (r == -ETIMEDOUT || r == -EREMCHG)
		return 0;
	if (r == -EPIPE || r == -EOWNERDEAD || r == -ESTALE)
		side->has_ended = true;
	return r == 0 || side->has_ended ? 0 : r;
}

static void print_line(const struct side *sides, const struct shmb_join_part_realtime *parts, struct shmb_key_realtime key)
{
	const struct shmb_bracket_realtime *at = &parts[FAST].found;

	printf("%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%.17g", shmb_key_value(key), at->before.number, at->after.number, at->alpha);
	for (unsigned i = 0; i < sides[FAST].field_count; i++) {
		double before = value_at(sides[FAST].before, sides[FAST].fields[i]);
		double after = value_at(sides[FAST].after, sides[FAST].fields[i]);

		printf(",%.17g", before + at->alpha * (after - before));
	}
	for (unsigned i = 0; i < sides[REFERENCE].field_count; i++)
		printf(",%.17g", value_at(sides[REFERENCE].before, sides[REFERENCE].fields[i]));
	putchar('\n');
}

/* One element of the reference. 0, or what makes going on impossible. */
static int align_one(struct side *sides, const struct options *options, struct shmb_key_realtime key, struct counts *counts)
{
	struct shmb_join_part_realtime parts[2] = {
		[FAST] = { .reader = sides[FAST].ring,
			   .how = SHMB_JOIN_BRACKET,
			   .max_distance = options->max_gap_ns,
			   .payload = sides[FAST].before,
			   .payload_after = sides[FAST].after },
		[REFERENCE] = { .reader = sides[REFERENCE].ring,
				.how = SHMB_JOIN_CLOSEST,
				.max_distance = 0,
				.payload = sides[REFERENCE].before },
	};

	while (!program_is_stopped) {
		bool had_ended = sides[FAST].has_ended;
		size_t failed = REFERENCE;
		int r;

		/* What is there now needs no waiting for: only what comes after it. */
		r = shmb_ring_latest(sides[FAST].ring, sides[FAST].before, NULL);
		if (r < 0 && r != -ENODATA && r != -EAGAIN)
			return r;
		r = shmb_join(parts, 2, key, &failed);
		if (r == 0) {
			print_line(sides, parts, key);
			counts->aligned++;
			return 0;
		}
		if (failed == REFERENCE && (r == -ERANGE || r == -ENODATA)) {
			counts->lost++;
			return 0;
		}
		if (r == -ESTALE || r == -ERANGE) {
			*(r == -ESTALE ? &counts->too_early : &counts->gaps) += 1;
			return 0;
		}
		if (r != -ETIME && r != -ENODATA && r != -EAGAIN)
			return r;
		if (had_ended) {
			counts->too_late++;
			return 0;
		}
		r = side_wait(&sides[FAST]);
		if (r < 0)
			return r;
	}
	return 0;
}

static int align_all(struct side *sides, const struct options *options, struct counts *counts)
{
	struct shmb_ring_reader *reference = sides[REFERENCE].ring;
	int r = shmb_ring_seek_oldest(reference);

	while (r == 0 && !program_is_stopped) {
		bool had_ended = sides[REFERENCE].has_ended;
		struct shmb_key_realtime key;
		struct shmb_sample sample;

		r = shmb_ring_read_next(reference, sides[REFERENCE].before, &sample);
		if (r == -ENODATA) {
			if (had_ended)
				return 0;
			fflush(stdout);
			r = side_wait(&sides[REFERENCE]);
			continue;
		}
		if (r < 0)
			break;
		counts->lost += sample.missed;
		r = shmb_ring_key(reference, sample.number, &key);
		if (r == 0)
			r = align_one(sides, options, key, counts);
		else if (r == -ESTALE) {
			counts->lost++;
			r = 0;
		}
	}
	return r;
}

static int run(const struct options *options)
{
	struct side sides[2] = { 0 };
	struct counts counts = { 0 };
	struct shmb *broker = NULL;
	int r = shmb_connect(&broker, options->socket);

	if (r < 0)
		fprintf(stderr, "align: no connection: %s: %s\n", shmb_strerror(r), shmb_text());
	for (int i = 0; i < 2 && r == 0; i++)
		r = side_open(&sides[i], broker, options->names[i], options->patience_ns);
	if (r == 0) {
		fputs("time,before,after,alpha", stdout);
		for (int i = 0; i < 2 && r == 0; i++)
			r = shmb_type_fields(shmb_ring_type(sides[i].ring), add_field, &sides[i]);
		putchar('\n');
		fflush(stdout);
		r = align_all(sides, options, &counts);
		fflush(stdout);
		if (r < 0)
			fprintf(stderr, "align: %s: %s\n", shmb_strerror(r), shmb_text());
		fprintf(stderr,
			"aligned %" PRIu64 ", without neighbours: %" PRIu64 " too early, %" PRIu64 " in gaps, %" PRIu64
			" too late; lost %" PRIu64 "\n",
			counts.aligned, counts.too_early, counts.gaps, counts.too_late, counts.lost);
	}
	side_close(&sides[0]);
	side_close(&sides[1]);
	shmb_disconnect(broker);
	return r;
}

static void help(void)
{
	puts("usage: align [options] FAST REFERENCE\n"
	     "\n"
	     "For each element of the ring REFERENCE, the fields of the ring FAST at the same time, interpolated between its two "
	     "neighbours.\n"
	     "Both have keys on the realtime clock, as csv_player makes them. Ends when the writers have ended.\n"
	     "\n"
	     "  --max-gap MS     how far the neighbours may be, default 100\n"
	     "  --wait S         for the rings to be there, default 10\n"
	     "  --socket PATH    of the daemon\n"
	     "  --help, --version");
}

static int usage(const char *text)
{
	fprintf(stderr, "align: %s\ntry align --help\n", text);
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "max-gap", required_argument, NULL, 'g' }, { "wait", required_argument, NULL, 'w' },
		{ "socket", required_argument, NULL, 'S' },  { "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },	     { NULL, 0, NULL, 0 },
	};
	struct options options = { .max_gap_ns = UINT64_C(100000000), .patience_ns = UINT64_C(10000000000) };
	double value;
	int option;

	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		switch (option) {
		case 'g':
			value = program_number(optarg, 0, 1e9);
			if (value < 0)
				return usage("--max-gap takes milliseconds");
			options.max_gap_ns = (uint64_t)(value * 1e6);
			break;
		case 'w':
			value = program_number(optarg, 0, 1e9);
			if (value < 0)
				return usage("--wait takes seconds");
			options.patience_ns = (uint64_t)(value * 1e9);
			break;
		case 'S':
			options.socket = optarg;
			break;
		case 'h':
			help();
			return 0;
		case 'V':
			printf("align %s\n", shmb_version());
			return 0;
		default:
			return 2;
		}
	}
	if (optind + 2 != argc)
		return usage("takes two rings");
	options.names[FAST] = argv[optind];
	options.names[REFERENCE] = argv[optind + 1];
	program_stop_at_signals();
	return run(&options) == 0 ? 0 : 1;
}
