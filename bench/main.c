/* SPDX-License-Identifier: MIT */
/*
 * bench: measures the library against memcpy and against what users have today, in one interleaved run, and compares with the goals.
 * Starts a broker of its own. See README.md for what was measured and goals.c for the goals.
 */
#include "bench.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "channel.h"
#include "peer.h"

static volatile bool stopped;

static void on_signal(int number)
{
	(void)number;
	stopped = true;
}

struct settings {
	bool check;
	bool peers;
	unsigned rounds;
	const char *json_path;
	const char *only;
};

static void print_help(FILE *to)
{
	fprintf(to,
		"Usage: bench [--check] [--peers] [--rounds N] [--json FILE] [--only CASE]\n"
		"Measures the data path against memcpy and others, side by side, with a private broker.\n"
		"\n"
		"  --check        compare with the goals; exit status 1 if one is missed\n"
		"  --peers        measure other libraries too; ./run bench --peers installs them\n"
		"  --rounds N     interleaved rounds (default 21); with --check at least %d\n"
		"  --json FILE    write one object a line for each case and implementation\n"
		"  --only CASE    cases whose names begin so\n"
		"  --help         this text\n"
		"\n"
		"Times are nanoseconds for each operation, timed in blocks of some or many: min is the\n"
		"fastest block, median that of the rounds, p99 that of the blocks. ratio is to the first\n"
		"implementation of the case: the median of the rounds' ratios. seen is the part of the writes that was read.\n",
		BENCH_ROUNDS_LEAST);
}

/* 0 go on, 1 done, -EINVAL. */
static int parse(int argc, char **argv, struct settings *settings)
{
	enum { CHECK = 256, PEERS, ROUNDS, JSON, ONLY, HELP };
	static const struct option known[] = {
		{ "check", no_argument, NULL, CHECK },
		{ "rounds", required_argument, NULL, ROUNDS },
		{ "peers", no_argument, NULL, PEERS },
		{ "json", required_argument, NULL, JSON },
		{ "only", required_argument, NULL, ONLY },
		{ "help", no_argument, NULL, HELP },
		{ NULL, 0, NULL, 0 },
	};
	int option;
	char *end;
	long rounds;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (option) {
		case CHECK:
			settings->check = true;
			break;
		case PEERS:
			settings->peers = true;
			break;
		case ROUNDS:
			rounds = strtol(optarg, &end, 10);
			if (*end != '\0' || rounds < 1 || rounds > 10000) {
				fprintf(stderr, "bench: --rounds takes a number from 1 to 10000, not '%s'\n", optarg);
				return -EINVAL;
			}
			settings->rounds = (unsigned)rounds;
			break;
		case JSON:
			settings->json_path = optarg;
			break;
		case ONLY:
			settings->only = optarg;
			break;
		case HELP:
			print_help(stdout);
			return 1;
		default:
			return -EINVAL;
		}
	}
	if (settings->check && settings->rounds < BENCH_ROUNDS_LEAST) {
		fprintf(stderr, "bench: --check needs at least %d rounds\n", BENCH_ROUNDS_LEAST);
		return -EINVAL;
	}
	if (optind < argc) {
		fprintf(stderr, "bench: unexpected '%s'\n", argv[optind]);
		return -EINVAL;
	}
	return 0;
}

static void show_progress(const struct bench_case *which, unsigned round, unsigned rounds)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K%s, %zu bytes: round %u of %u", which->name, which->bytes, round + 1, rounds);
}

static void end_progress(void)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K");
}

/* Who else was at work matters to who reads the figures. */
static void print_load(const char *when)
{
	double load;

	if (getloadavg(&load, 1) == 1)
		printf("load average %s: %.1f on %ld CPUs\n", when, load, sysconf(_SC_NPROCESSORS_ONLN));
}

static void print_heading(void)
{
	printf("%-20s %5s %8s %5s  %-20s %11s %11s %11s %12s %8s %6s\n", "case", "procs", "bytes", "slots", "impl", "min ns", "median ns",
	       "p99 ns", "per s", "ratio", "seen");
}

static void print_table(const struct bench_case *which, const struct bench_result *results)
{
	for (unsigned i = 0; i < BENCH_IMPLS_MAX && which->impls[i] != NULL; i++) {
		if (!results[i].measured) {
			if (results[i].skipped[0] != '\0')
				printf("%-20s %5u %8zu %5u  %-20s skipped: %s\n", which->name, which->procs, which->bytes, which->slots,
				       which->impls[i]->name, results[i].skipped);
			continue;
		}
		printf("%-20s %5u %8zu %5u  %-20s %11.1f %11.1f %11.1f %12.0f %8.2f", which->name, which->procs, which->bytes, which->slots,
		       which->impls[i]->name, results[i].min_ns, results[i].median_ns, results[i].p99_ns, 1e9 / results[i].median_ns,
		       results[i].ratios[0]);
		if (results[i].seen >= 0)
			printf(" %6.3f", results[i].seen);
		printf("\n");
	}
}

static void write_json(FILE *to, const struct bench_case *which, const struct bench_result *results)
{
	for (unsigned i = 0; i < BENCH_IMPLS_MAX && which->impls[i] != NULL; i++) {
		if (!results[i].measured)
			continue;
		fprintf(to,
			"{\"case\":\"%s\",\"impl\":\"%s\",\"procs\":%u,\"bytes\":%zu,\"slots\":%u,\"min_ns\":%.2f,\"median_ns\":%.2f,"
			"\"p99_ns\":%.2f,\"per_s\":%.0f,",
			which->name, which->impls[i]->name, which->procs, which->bytes, which->slots, results[i].min_ns,
			results[i].median_ns, results[i].p99_ns, 1e9 / results[i].median_ns);
		if (results[i].seen >= 0)
			fprintf(to, "\"seen_ratio\":%.4f}\n", results[i].seen);
		else
			fprintf(to, "\"seen_ratio\":null}\n");
	}
}

static int measure_all(const struct settings *settings, struct shmb *broker, FILE *json, bool two,
		       struct bench_result (*results)[BENCH_IMPLS_MAX])
{
	print_load("before");
	print_heading();
	for (size_t i = 0; i < bench_case_count; i++) {
		const struct bench_case *which = &bench_cases[i];
		int r;

		if (settings->only != NULL && strncmp(which->name, settings->only, strlen(settings->only)) != 0)
			continue;
		if (which->procs > 1 && !two) {
			printf("%-20s %5u %8zu  needs two CPUs\n", which->name, which->procs, which->bytes);
			continue;
		}
		r = bench_measure(which, broker, settings->rounds, settings->peers, &stopped, show_progress, results[i]);
		end_progress();
		if (r < 0)
			return r;
		print_table(which, results[i]);
		if (json != NULL)
			write_json(json, which, results[i]);
	}
	print_load("after");
	return 0;
}

int main(int argc, char **argv)
{
	struct settings settings = { .rounds = 21 };
	struct bench_result(*results)[BENCH_IMPLS_MAX];
	struct shmb *broker;
	FILE *json = NULL;
	unsigned missed = 0;
	int r;

	if (argc > 1 && strcmp(argv[1], "--second") == 0)
		return channel_second(argc, argv);
	r = parse(argc, argv, &settings);
	if (r != 0) {
		if (r < 0)
			fprintf(stderr, "Try 'bench --help'.\n");
		return r < 0 ? 2 : 0;
	}
	if (settings.json_path != NULL) {
		json = fopen(settings.json_path, "we");
		if (json == NULL) {
			fprintf(stderr, "bench: %s: %s\n", settings.json_path, strerror(errno));
			return 2;
		}
	}
	results = calloc(bench_case_count, sizeof(*results));
	if (results == NULL) {
		fprintf(stderr, "bench: %s\n", strerror(ENOMEM));
		if (json != NULL)
			fclose(json);
		return 2;
	}
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	setvbuf(stdout, NULL, _IOLBF, 0);
	r = bench_broker_start(&broker);
	if (r == 0) {
		/* Migrations would add to the figures. The last CPU has the fewest interrupts, usually. */
		r = measure_all(&settings, broker, json, peer_pin(0, true), results);
		if (r == 0 && settings.check) {
			printf("\n");
			missed = bench_check_goals(results);
		}
		bench_broker_stop(broker);
	}
	if (json != NULL && fclose(json) != 0) {
		fprintf(stderr, "bench: %s: %s\n", settings.json_path, strerror(errno));
		r = -EIO;
	}
	free(results);
	if (r == -EINTR)
		fprintf(stderr, "bench: interrupted\n");
	if (r < 0)
		return 1;
	if (missed > 0)
		printf("%u goal%s missed\n", missed, missed == 1 ? "" : "s");
	return missed > 0 ? 1 : 0;
}
