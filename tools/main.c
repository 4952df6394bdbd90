/* SPDX-License-Identifier: MIT */
/*
 * shmbctl: looks at what the broker holds. One table of verbs says which options each takes, how many names, and its help; the verbs
 * themselves lie in files of their own. Errors go to stderr as one line; the exit status tells the kinds apart (command.h).
 */

#include "command.h"
#include "output.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum option_bits {
	OPTION_COUNT = 1u << 0,
	OPTION_RATE = 1u << 1,
	OPTION_FULL = 1u << 2,
	OPTION_LEGEND = 1u << 3,
};

struct verb {
	const char *name;
	int names_min;
	int names_max;
	unsigned options; /* beside --socket, --json, --help, --version */
	int (*run)(struct shmb *broker, const struct command_options *options);
	const char *usage;
	const char *summary;
	const char *help;
};

static const struct verb verbs[] = {
	{ "list", 0, 0, OPTION_LEGEND, command_list, "list", "all segments",
	  "Prints a table of all segments in the order of their making.\n"
	  "\n"
	  "  --json       one object a line: name, kind, type, schema_hash, generation, epoch, created_ns (CLOCK_REALTIME),\n"
	  "               bytes, payload_bytes, capacity, stamped, owner_uid, owner_gid, writer {condition, pid, uid, comm},\n"
	  "               readers. condition is none, alive, closed, dead, gone (let go of the broker, but lives), or,\n"
	  "               where it has published nothing for its stale time: stopped, traced, hung or dumping\n"
	  "  --no-legend  neither head nor foot\n"
	  "\n"
	  "examples:\n"
	  "  shmbctl list\n"
	  "  shmbctl list --json | jq -r 'select(.writer.condition == \"dead\").name'\n" },
	{ "info", 1, 1, 0, command_info, "info NAME", "one segment: writer, readers, numbers, schema",
	  "Prints everything about one segment.\n"
	  "\n"
	  "  --json       one object: the keys of `list`, and reader_list [{pid, uid, comm}], oldest, next (numbers; null where\n"
	  "               they cannot be read), heartbeat_ns (CLOCK_MONOTONIC; null: never), schema\n"
	  "\n"
	  "examples:\n"
	  "  shmbctl info host/cpu\n"
	  "  shmbctl info --json host/cpu | jq -r .schema\n" },
	{ "echo", 1, 1, OPTION_COUNT | OPTION_RATE | OPTION_FULL | OPTION_LEGEND, command_echo, "echo NAME",
	  "what is written, decoded, as it comes",
	  "Prints the newest element and then each one as it is written, decoded by the segment's schema, until Ctrl-C. Observes only:\n"
	  "does not count as a reader and keeps nothing alive. Says when the writer closes or dies, and waits for the next.\n"
	  "\n"
	  "  --count N    end after N elements\n"
	  "  --rate HZ    at most so many a second, always the newest; `missed` then counts what was passed over as well\n"
	  "  --full       all elements of long arrays\n"
	  "  --no-legend  only the fields, without number and time\n"
	  "  --json       one object a line: name, number, stamp_ns (CLOCK_MONOTONIC) and age_ns (null unless the segment is stamped),\n"
	  "               missed, data {field: value}; NaN and infinities are null. The writer's end is a line too: name, event\n"
	  "               (writer_dead, writer_closed), epoch, next\n"
	  "\n"
	  "examples:\n"
	  "  shmbctl echo host/cpu --rate 2\n"
	  "  shmbctl echo host/memory --json --count 100 | jq .data.available_bytes\n" },
	{ "status", 0, 0, 0, command_status, "status", "the daemon",
	  "Prints what the daemon says of itself.\n"
	  "\n"
	  "  --json       one object: version, pid, started_ns (CLOCK_REALTIME), segments, clients, bytes, protocol_version,\n"
	  "               layout_version, shm_dir, linger_ns (null: infinite), deaths, repairs, reaps, adopted (since its start)\n"
	  "\n"
	  "examples:\n"
	  "  shmbctl status\n"
	  "  shmbctl status --json | jq .segments\n" },
	{ "remove", 1, 1024, OPTION_LEGEND, command_remove, "remove NAME...", "removes segments that nobody writes",
	  "Removes segments. Refused while a writer lives. Readers keep what they have open and are told at their next wait.\n"
	  "\n"
	  "  --json       one object a line for each that was removed: name, removed\n"
	  "  --no-legend  silent when all went well\n"
	  "\n"
	  "examples:\n"
	  "  shmbctl remove host/cpu host/memory\n" },
};

enum { VERB_COUNT = sizeof(verbs) / sizeof(verbs[0]) };

static const char common_help[] =
	"  --socket PATH  the daemon's socket; default $SHMBROKER_SOCKET, $XDG_RUNTIME_DIR/shmbroker/control.sock,\n"
	"                 /run/shmbroker/control.sock\n"
	"  --json         output for programs: objects with stable keys, one a line, times in integer nanoseconds\n"
	"  --help         this, or help for a verb\n"
	"  --version\n"
	"\n"
	"exit status: 0 ok, 1 failed, 2 wrong usage, 3 no daemon, 4 no such segment\n";

static void main_help(const struct verb *verb)
{
	if (verb) {
		printf("usage: shmbctl %s [options]\n\n%s\noptions of all verbs:\n%s", verb->usage, verb->help, common_help);
		return;
	}
	puts("usage: shmbctl VERB [NAME] [options]\n\nShows the shared-memory segments of shmbrokerd.\n\nverbs:");
	for (int i = 0; i < VERB_COUNT; i++)
		printf("  %-15s  %s\n", verbs[i].usage, verbs[i].summary);
	printf("\noptions:\n%s\n`shmbctl VERB --help` tells more, with examples.\n", common_help);
}

static int main_usage(const char *format, const char *what)
{
	char *text = output_escape(what);

	fputs("shmbctl: ", stderr);
	fprintf(stderr, format, text ? text : "?");
	fputs("; try `shmbctl --help`\n", stderr);
	free(text);
	return COMMAND_USAGE;
}

static const struct verb *main_verb(const char *name)
{
	for (int i = 0; i < VERB_COUNT; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

/* A whole positive number. */
static int main_count(const char *text, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 10);
	return errno || *end || *text < '0' || *text > '9' || *out == 0 ? -EINVAL : 0;
}

/* From one in an hour to more than there will ever be. */
static int main_rate(const char *text, double *out)
{
	char *end;

	*out = strtod(text, &end);
	return end == text || *end || !isfinite(*out) || *out < 1.0 / 3600 || *out > 1e6 ? -EINVAL : 0;
}

/* Ends the output; whoever closed the pipe has seen enough and is no error. */
static int main_finish(int status)
{
	int r = output_flush();

	if (r == 0 || r == -EPIPE)
		return status;
	fprintf(stderr, "shmbctl: cannot write the output: %s\n", strerror(-r));
	return status == COMMAND_OK ? COMMAND_FAILED : status;
}

static const struct option long_options[] = {
	{ "socket", required_argument, NULL, 's' }, { "json", no_argument, NULL, 'j' },	      { "no-legend", no_argument, NULL, 'l' },
	{ "count", required_argument, NULL, 'c' },  { "rate", required_argument, NULL, 'r' }, { "full", no_argument, NULL, 'f' },
	{ "help", no_argument, NULL, 'h' },	    { "version", no_argument, NULL, 'V' },    { NULL, 0, NULL, 0 },
};

int main(int argc, char **argv)
{
	struct command_options options = { 0 };
	const struct verb *verb;
	unsigned used = 0;
	bool help = false;
	struct shmb *broker = NULL;
	int option, r;

	output_init();
	signal(SIGPIPE, SIG_IGN);
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":h", long_options, NULL)) != -1) {
		switch (option) {
		case 's':
			options.socket = optarg;
			break;
		case 'j':
			options.json = true;
			break;
		case 'l':
			options.no_legend = true;
			used |= OPTION_LEGEND;
			break;
		case 'c':
			if (main_count(optarg, &options.count) < 0)
				return main_usage("--count takes a number from 1 on, not '%s'", optarg);
			used |= OPTION_COUNT;
			break;
		case 'r':
			if (main_rate(optarg, &options.rate) < 0)
				return main_usage("--rate takes a number of lines a second, at most 1000000, not '%s'", optarg);
			used |= OPTION_RATE;
			break;
		case 'f':
			options.full = true;
			used |= OPTION_FULL;
			break;
		case 'h':
			help = true;
			break;
		case 'V':
			printf("shmbctl %s\n", shmb_version());
			return main_finish(COMMAND_OK);
		case ':':
			return main_usage("%s needs a value", argv[optind - 1]);
		default:
			return main_usage("unknown or incomplete option '%s'", argv[optind - 1]);
		}
	}
	if (optind == argc) {
		if (!help)
			return main_usage("%s", "a verb is missing");
		main_help(NULL);
		return main_finish(COMMAND_OK);
	}
	verb = main_verb(argv[optind]);
	if (!verb)
		return main_usage("there is no verb '%s'", argv[optind]);
	if (help) {
		main_help(verb);
		return main_finish(COMMAND_OK);
	}
	if (used & ~verb->options)
		return main_usage("`%s` does not take one of these options", verb->name);
	options.names = argv + optind + 1;
	options.name_count = argc - optind - 1;
	if (options.name_count < verb->names_min || options.name_count > verb->names_max)
		return main_usage(options.name_count < verb->names_min ? "the name of a segment is missing: shmbctl %s"
								       : "too many arguments: shmbctl %s",
				  verb->usage);
	r = shmb_connect(&broker, options.socket);
	if (r < 0)
		return command_fail(NULL, r);
	r = verb->run(broker, &options);
	shmb_disconnect(broker);
	return main_finish(r);
}
