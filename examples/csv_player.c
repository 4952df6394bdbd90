/* SPDX-License-Identifier: MIT */
/*
 * csv_player FILE: publishes a recorded log as a ring, row by row, at the speed it was recorded: a sensor that says the same thing each
 * time.
 *
 * The columns are the fields (csv.h has the rule that turns headings into their names), and the column of times is the ring's key, on the
 * realtime clock. So programs find rows in time, and align several logs that are played at once; --start and --origin keep several players
 * in step.
 *
 * On stdout it says what it publishes ("publishing NAME ..."), "ready", and at the end how much it wrote ("written NAME ...").
 */

#include "csv.h"
#include "program.h"
#include "shmb.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct options {
	const char *file;
	const char *socket;
	const char *name;
	double speed; /* 0: as fast as can be */
	bool loop;
	bool hold;
	uint32_t capacity;
	uint64_t start_ns;  /* CLOCK_MONOTONIC of the row at the origin; 0: now */
	uint64_t origin_ns; /* 0: time of the first row */
};

static void sleep_until(uint64_t time_ns)
{
	struct timespec time = { .tv_sec = (time_t)(time_ns / UINT64_C(1000000000)), .tv_nsec = (long)(time_ns % UINT64_C(1000000000)) };

	while (!program_is_stopped && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) == EINTR)
		;
}

/* The file's name without folder and ending, as a segment may be called. */
static void default_name(char *out, const char *file)
{
	const char *slash = strrchr(file, '/');
	const char *base = slash != NULL ? slash + 1 : file;
	size_t length = strcspn(base, ".");

	snprintf(out, CSV_NAME_SIZE, "%.*s", (int)(length < 50 ? length : 50), base);
	for (char *at = out; *at != '\0'; at++) {
		if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-", *at) == NULL)
			*at = '_';
	}
	if (out[0] == '\0')
		strcpy(out, "csv");
}

/* Plays the file once. */
static int play(struct csv *csv, struct shmb_ring_writer *ring, const struct options *options, void *payload, uint64_t *written)
{
	uint64_t begin_ns = options->start_ns != 0 ? options->start_ns : shmb_now_ns();
	uint64_t origin_ns = options->origin_ns;
	uint64_t time_ns;
	int r = 0;

	while (!program_is_stopped && (r = csv_read(csv, payload, &time_ns)) == 0) {
		if (origin_ns == 0)
			origin_ns = time_ns;
		if (options->speed > 0 && time_ns > origin_ns)
			sleep_until(begin_ns + (uint64_t)((double)(time_ns - origin_ns) / options->speed));
		if (program_is_stopped)
			return 0;
		r = shmb_ring_insert(ring, payload);
		if (r == -EDOM) {
			fprintf(stderr, "csv_player: %s: after %" PRIu64 " rows the time goes back; that row is left out\n", options->file,
				*written);
			continue;
		}
		if (r < 0) {
			fprintf(stderr, "csv_player: %s: %s\n", options->name, shmb_strerror(r));
			return r;
		}
		(*written)++;
	}
	if (program_is_stopped || r == -ENODATA)
		return 0;
	fprintf(stderr, "csv_player: %s\n", r == -EINVAL ? csv_text() : strerror(-r));
	return r;
}

static int play_all(struct csv *csv, struct shmb_ring_writer *ring, const struct options *options)
{
	void *payload = calloc(1, csv_type(csv)->size);
	uint64_t written = 0;
	int r = payload != NULL ? 0 : -ENOMEM;

	while (r == 0 && !program_is_stopped) {
		uint64_t before = written;

		r = play(csv, ring, options, payload, &written);
		if (r < 0 || !options->loop || program_is_stopped || written == before)
			break;
		/* From the first row again: its time is lower, so a new run of keys begins. */
		r = csv_rewind(csv);
		if (r == 0)
			r = shmb_ring_restart_keys(ring);
	}
	printf("written %s %" PRIu64 "\n", options->name, written);
	fflush(stdout);
	while (r == 0 && options->hold && !program_is_stopped)
		sleep_until(shmb_now_ns() + UINT64_C(1000000000));
	free(payload);
	return r;
}

static int run(const struct options *options)
{
	struct shmb_ring_writer *ring = NULL;
	struct shmb *broker = NULL;
	struct csv *csv = NULL;
	int r = csv_open(&csv, options->file);

	if (r < 0) {
		if (r == -EINVAL)
			fprintf(stderr, "csv_player: %s\n", csv_text());
		else
			fprintf(stderr, "csv_player: %s: %s\n", options->file, strerror(-r));
		return r;
	}
	r = shmb_connect(&broker, options->socket);
	if (r == 0) {
		struct shmb_options how = {
			.capacity = options->capacity,
			.key_clock = SHMB_CLOCK_REALTIME,
			.key_field = csv_key_field(csv),
		};

		r = shmb_ring_writer_open(&ring, broker, options->name, csv_type(csv), &how);
	}
	if (r < 0) {
		fprintf(stderr, "csv_player: %s: %s: %s\n", options->name, shmb_strerror(r), shmb_text());
	} else {
		printf("publishing %s key %s, %zu bytes a row\nready\n", options->name, csv_key_field(csv), csv_type(csv)->size);
		r = play_all(csv, ring, options);
	}
	shmb_ring_writer_close(ring);
	shmb_disconnect(broker);
	csv_close(csv);
	return r;
}

static void help(void)
{
	puts("usage: csv_player [options] FILE\n"
	     "\n"
	     "Publishes a recorded log as a ring of shared memory, at the speed it was recorded. The first line has the headings, which "
	     "become the\n"
	     "fields' names; a column named like a time (timestamp, time, stamp) is needed, and is the key.\n"
	     "\n"
	     "  --name NAME      of the ring; default the file's\n"
	     "  --speed X        X times as fast; 0: as fast as can be\n"
	     "  --loop           again and again, until Ctrl-C\n"
	     "  --hold           after the last row keep the ring open, until Ctrl-C\n"
	     "  --capacity N     rows the ring holds, a power of two, default 4096\n"
	     "  --start NS       CLOCK_MONOTONIC at which the row of the origin is due; default now\n"
	     "  --origin NS      time in the log that is played at the start; default that of the first row\n"
	     "  --socket PATH    of the daemon\n"
	     "  --help, --version");
}

static int usage(const char *text)
{
	fprintf(stderr, "csv_player: %s\ntry csv_player --help\n", text);
	return 2;
}

static bool parse_count(const char *text, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 10);
	return end != text && *end == '\0' && errno == 0 && *text != '-';
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "name", required_argument, NULL, 'n' },
		{ "speed", required_argument, NULL, 's' },
		{ "loop", no_argument, NULL, 'l' },
		{ "hold", no_argument, NULL, 'H' },
		{ "capacity", required_argument, NULL, 'c' },
		{ "start", required_argument, NULL, 'b' },
		{ "origin", required_argument, NULL, 'o' },
		{ "socket", required_argument, NULL, 'S' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	struct options options = { .speed = 1, .capacity = 4096 };
	char name[CSV_NAME_SIZE];
	uint64_t count;
	int option;

	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		switch (option) {
		case 'n':
			options.name = optarg;
			break;
		case 's':
			options.speed = program_number(optarg, 0, 1e9);
			if (options.speed < 0)
				return usage("--speed takes a number from 0 to 1e9");
			break;
		case 'l':
			options.loop = true;
			break;
		case 'H':
			options.hold = true;
			break;
		case 'c':
			if (!parse_count(optarg, &count) || count > UINT32_MAX)
				return usage("--capacity takes a power of two");
			options.capacity = (uint32_t)count;
			break;
		case 'b':
			if (!parse_count(optarg, &options.start_ns))
				return usage("--start takes nanoseconds");
			break;
		case 'o':
			if (!parse_count(optarg, &options.origin_ns))
				return usage("--origin takes nanoseconds");
			break;
		case 'S':
			options.socket = optarg;
			break;
		case 'h':
			help();
			return 0;
		case 'V':
			printf("csv_player %s\n", shmb_version());
			return 0;
		default:
			return 2;
		}
	}
	if (optind + 1 != argc)
		return usage("takes one file");
	options.file = argv[optind];
	if (options.name == NULL) {
		default_name(name, options.file);
		options.name = name;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	program_stop_at_signals();
	signal(SIGPIPE, SIG_IGN);
	return run(&options) == 0 ? 0 : 1;
}
