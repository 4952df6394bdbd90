/* SPDX-License-Identifier: MIT */
/*
 * shmbctl: looks at what the broker holds, and publishes. One table of verbs says which options each takes, how many names, and its help; the verbs
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
	OPTION_INTERVAL = 1u << 4,
	OPTION_PUB = 1u << 5, /* --kind, --schema, --type, --capacity, --stamped, --hold */
	OPTION_FIELD = 1u << 6,
	OPTION_SORT = 1u << 7,
	VERB_ALONE = 1u << 31, /* no option: runs without a daemon too */
	OPTION_DRY_RUN = 1u << 12,
	OPTION_USER = 1u << 13,
	OPTION_OUTPUT = 1u << 14,
};

struct verb {
	const char *name;
	int names_min;
	int names_max;
	unsigned options;							/* beside --socket, --json, --help, --version */
	int (*run)(struct shmb *broker, const struct command_options *options); /* NULL: `help` */
	const char *usage;
	const char *summary;
	const char *help;
};

static const struct verb verbs[] = {
	{ "list", 0, 0, OPTION_LEGEND, command_list, "list", "all segments",
	  "Prints a table of all segments in the order of their making.\n"
	  "\n"
	  "  --json       one object a line: name, kind, type, schema_hash, generation, epoch, created_ns (CLOCK_REALTIME), bytes,\n"
	  "               payload_bytes, capacity, stamped, owner_uid, owner_gid, writer {condition, pid, uid, comm}, readers.\n"
	  "               condition is none, alive, closed, dead, gone (let go of the broker, but lives), or, where it has\n"
	  "               published nothing for its stale time: stopped, traced, hung or dumping\n"
	  "  --no-legend  neither head nor foot\n"
	  "\n"
	  "examples:\n"
	  "  shmbctl list\n"
	  "  shmbctl list --json | jq -r 'select(.writer.condition == \"dead\").name'\n" },
	{ "tree", 0, 0, OPTION_LEGEND, command_tree, "tree", "all segments, by the parts of their names",
	  "Prints the segments as a tree: what stands before a / in their names are the branches.\n"
	  "\n"
	  "  --json       one object: segments [{name (the part), segment (null, or the keys of `list`), children [...]}]\n"
	  "  --no-legend  silent when there is none\n"
	  "\n"
	  "examples:\n"
	  "  shmbctl tree\n" },
	{ "info", 1, 1, 0, command_info, "info NAME", "one segment: writer, readers, numbers, schema",
	  "Prints everything about one segment.\n"
	  "\n"
	  "  --json       one object: the keys of `list`, and reader_list [{pid, uid, comm, role (reads, consumes, shares), behind,\n"
	  "               generation, published, read, retried, lapped, waited, woken (by its own account; null: not known)}],\n"
	  "               oldest, next (numbers; null where they cannot be read), heartbeat_ns (CLOCK_MONOTONIC; null: never),\n"
	  "               schema\n"
	  "\n"
	  "examples:\n"
	  "  shmbctl info host/cpu\n"
	  "  shmbctl info --json host/cpu | jq -r .schema\n" },
	{ "echo", 1, 1, OPTION_COUNT | OPTION_RATE | OPTION_FULL | OPTION_LEGEND, command_echo, "echo NAME",
	  "what is written, decoded, as it comes",
	  "Prints the newest element and then each one as it is written, decoded by the segment's schema, until Ctrl-C. Observes\n"
	  "only: does not count as a reader and keeps nothing alive. Says when the writer closes, dies or hangs, and waits on.\n"
	  "\n"
	  "  --count N    end after N elements\n"
	  "  --rate HZ    at most so many a second, always the newest; `missed` then counts what was passed over as well\n"
	  "  --full       all elements of long arrays; without it JSON has null for those of more than 4096\n"
	  "  --no-legend  only the fields, without number and time\n"
	  "  --json       one object a line: name, number, stamp_ns (CLOCK_MONOTONIC) and age_ns (null unless the segment is\n"
	  "               stamped), missed, data {field: value}; NaN and infinities are null. What becomes of writer and segment is\n"
	  "               a line too: name, event (writer_dead, writer_closed, writer_stopped, writer_traced, writer_hung,\n"
	  "               writer_dumping, new_generation), epoch, next\n"
	  "\n"
	  "examples:\n"
	  "  shmbctl echo host/cpu --rate 2\n"
	  "  shmbctl echo host/memory --json --count 100 | jq .data.available_bytes\n" },
	{ "hz", 1, 1, OPTION_COUNT | OPTION_INTERVAL, command_hz, "hz NAME", "how often it is written",
	  "Prints the rate of writes each second until Ctrl-C. Where the segment is stamped, also the shortest and longest interval\n"
	  "between two writes and the standard deviation. Observes only.\n"
	  "\n"
	  "  --interval TIME  between two reports: 500ms, 10s, 1min; default 1s\n"
	  "  --count N        end after N reports\n"
	  "  --json           one object a line: name, hz, writes, interval_min_ns, interval_max_ns, interval_deviation_ns (null\n"
	  "                   unless stamped), seen (elements looked at)\n"
	  "\n"
	  "examples:\n"
	  "  shmbctl hz imu/main\n"
	  "  shmbctl hz imu/main --interval 10s --count 1 --json | jq .hz\n" },
	{ "bw", 1, 1, OPTION_COUNT | OPTION_INTERVAL, command_bw, "bw NAME", "how many bytes are written",
	  "Prints the bytes written a second until Ctrl-C, and the size of the elements. Observes only.\n"
	  "\n"
	  "  --interval TIME  between two reports: 500ms, 10s, 1min; default 1s\n"
	  "  --count N        end after N reports\n"
	  "  --json           one object a line: name, bytes_per_s, writes, bytes_mean, bytes_min, bytes_max (of the elements\n"
	  "                   looked at; null: none), seen\n"
	  "\n"
	  "examples:\n"
	  "  shmbctl bw camera/front\n" },
	{ "delay", 1, 1, OPTION_COUNT | OPTION_INTERVAL | OPTION_FIELD, command_delay, "delay NAME", "how long from publishing to reading",
	  "Prints, each second until Ctrl-C, how long elements took from their stamp until a woken reader had them. Counts as a\n"
	  "reader.\n"
	  "\n"
	  "  --field FIELD    the payload's field that holds the time (CLOCK_MONOTONIC, ns), instead of the segment's stamp\n"
	  "  --interval TIME  between two reports: 500ms, 10s, 1min; default 1s\n"
	  "  --count N        end after N reports\n"
	  "  --json           one object a line: name, samples, missed, p50_ns, p99_ns, p999_ns, max_ns (null: nothing was\n"
	  "                   published)\n"
	  "\n"
	  "examples:\n"
	  "  shmbctl delay imu/main\n"
	  "  shmbctl delay imu/main --field stamp_ns --interval 10s\n" },
	{ "pub", 1, 1024, OPTION_COUNT | OPTION_RATE | OPTION_LEGEND | OPTION_PUB, command_pub, "pub NAME [FIELD=VALUE...]", "publishes",
	  "Publishes an element made of the arguments, or, without any, one for each line of standard input: JSON objects, or CSV\n"
	  "whose first line names the fields. Fields that are not named are 0 in the first element and stay as they were in the\n"
	  "next ones. Values: 1.5, -3, 0xff, true, now (CLOCK_MONOTONIC ns, for 64 bits), [1, 2, 3] for arrays, text for arrays of\n"
	  "char; FIELD[2]=VALUE sets one element. It is the segment's writer while it runs; where there is no such segment it makes\n"
	  "one.\n"
	  "\n"
	  "  --schema TEXT    what a new segment holds: ROS 2 fields, separated by ; or new lines; @FILE reads them from a file\n"
	  "  --type NAME      name of that type; default shmbctl\n"
	  "  --kind KIND      value (default), ring, queue or frame\n"
	  "  --capacity N     slots of a new value (4 or 8), ring or queue (a power of two, default 16)\n"
	  "  --stamped        each element carries the time of its write\n"
	  "  --rate HZ        so many a second; with arguments and without --count until Ctrl-C\n"
	  "  --count N        end after N elements\n"
	  "  --hold           stay the writer after the last one, until Ctrl-C\n"
	  "  --no-legend      silent when all went well\n"
	  "  --json           one object at the end: name, published\n"
	  "\n"
	  "examples:\n"
	  "  shmbctl pub motor/target speed=1.5 enabled=true\n"
	  "  shmbctl pub test/point --schema 'uint64 stamp_ns;float64[3] p' --kind ring stamp_ns=now 'p=[1, 2, 3]' --rate 10\n"
	  "  shmbctl echo imu/main --json --count 100 | jq -c .data | shmbctl pub imu/copy --schema @imu.msg --kind ring\n" },
#ifdef SHMBCTL_WITH_PNG
	{ "snap", 2, 2, OPTION_LEGEND, command_snap, "snap NAME FILE.png", "the newest image as a picture",
	  "Writes the newest image of a frame, value or ring as a PNG: RGB8, BGR8, RGBA8, MONO8, MONO16, NV12, YUYV, bayer. FILE -\n"
	  "is standard output. Observes only.\n"
	  "\n"
	  "  --no-legend  silent when all went well\n"
	  "  --json       one object: name, file, width, height, format, number, stamp_ns\n"
	  "\n"
	  "examples:\n"
	  "  shmbctl snap camera/front front.png\n" },
#endif
#ifdef SHMBCTL_WITH_NCURSES
	{ "plot", 2, 2, OPTION_COUNT | OPTION_INTERVAL, command_plot, "plot NAME FIELD", "a number over time, as a chart",
	  "Draws a number of each element over time in the terminal. FIELD is a field, or FIELD[INDEX] an element of an array.\n"
	  "Observes only. Keys: + and - the span shown, space pause, q quit.\n"
	  "\n"
	  "  --interval TIME  the span shown: 1s to 1h; default 10s\n"
	  "  --json           no chart but one object a line: name, number, stamp_ns, value (null: not finite)\n"
	  "  --count N        with --json: end after N\n"
	  "\n"
	  "examples:\n"
	  "  shmbctl plot imu/main 'gyro[2]'\n" },
#endif
#ifdef SHMBCTL_WITH_NCURSES
	{ "top", 0, 0, OPTION_COUNT | OPTION_INTERVAL | OPTION_SORT, command_top, "top", "what flows, live",
	  "Shows all segments with their rates, readers, lag and losses on a screen that is renewed each second, or (key c) who is\n"
	  "connected, what each asks and has open, or (key u) what each user has; h there lists the keys. Goes on through a restart\n"
	  "of the daemon.\n"
	  "\n"
	  "  --sort COLUMN    name (default), rate, bytes, lag, lost, readers or memory\n"
	  "  --interval TIME  between two looks: 500ms, 10s, 1min; default 1s\n"
	  "  --json           no screen but one object a line for each look: time_ns (CLOCK_MONOTONIC), clients, daemon_pid,\n"
	  "                   segments [{name, kind, per_s, bytes_per_s, next, readers, lag, lost, lost_per_s, bytes, condition,\n"
	  "                   writer_pid}], users [as in shmbctl users]; null: not known\n"
	  "  --count N        with --json: end after N looks\n"
	  "\n"
	  "examples:\n"
	  "  shmbctl top --sort bytes\n"
	  "  shmbctl top --json --count 1 | jq '.segments[] | select(.lost_per_s > 0)'\n" },
#endif
	{ "status", 0, 0, 0, command_status, "status", "the daemon",
	  "Prints what the daemon says of itself.\n"
	  "\n"
	  "  --json       one object: version, pid, started_ns (CLOCK_REALTIME), segments, clients, bytes, protocol_version,\n"
	  "               layout_version, shm_dir, linger_ns (null: infinite), deaths, repairs, reaps, adopted (since its start),\n"
	  "               config_files [path, ...], config_error (why the last change was refused; null: it was not)\n"
	  "\n"
	  "examples:\n"
	  "  shmbctl status\n"
	  "  shmbctl status --json | jq .segments\n" },
	{ "doctor", 0, 0, VERB_ALONE, command_doctor, "doctor", "what is wrong on this host, and what to do",
	  "Checks the daemon, versions, segments, space, logind's RemoveIPC, leftovers, limits and the kernel. Changes nothing. The\n"
	  "exit status is 1 where something fails, as where no daemon answers.\n"
	  "\n"
	  "  --json       one object a line: check, state (ok, warn, fail), found, advice (null: nothing to do)\n"
	  "\n"
	  "examples:\n"
	  "  shmbctl doctor\n"
	  "  shmbctl doctor --json | jq -r 'select(.state != \"ok\").advice'\n" },
	{ "monitor", 0, 1, OPTION_COUNT, command_monitor, "monitor [PATTERN]", "what happens to segments, as it happens",
	  "Prints what the daemon sees happen to the segments whose names match PATTERN (* and ? match / too), or to all: made,\n"
	  "written, read, closed, dead, hung, repaired, removed, and why. Until Ctrl-C. Waits for a daemon that goes away, and says\n"
	  "when it is back.\n"
	  "\n"
	  "  --count N    end after N events\n"
	  "  --json       one object a line: time_ns (CLOCK_REALTIME), kind, segment, pid, uid, comm, reason (null where there is\n"
	  "               none), level (3 error to 7 debug), lost, text. kind is created, adopted, writer-up, writer-closed,\n"
	  "               writer-gone, writer-dead, writer-hung, writer-stopped, writer-traced, writer-dumping, writer-alive,\n"
	  "               replaced, reader-joined, reader-left, repaired, removed, reaped, ignored, policy, quota, refused;\n"
	  "               reconnected, lost (so many events)\n"
	  "\n"
	  "examples:\n"
	  "  shmbctl monitor 'camera/*'\n"
	  "  shmbctl monitor --json | jq -r 'select(.kind == \"writer-dead\").segment'\n" },
	{ "clients", 0, 0, OPTION_LEGEND, command_clients, "clients", "who is connected, and what each has open",
	  "Prints the connections to the daemon, the newest first: what each writes, shares, consumes, reads and observes, how much\n"
	  "it asked and how much of that was refused, and the memory of the segments that it writes. Root and the daemon's own user\n"
	  "see all, others their own.\n"
	  "\n"
	  "  --json       one object a line: id, pid, uid, gid, comm, connected_ns (CLOCK_REALTIME), requests, refusals, bytes,\n"
	  "               watches, handles [{role, segment}]. role is writes, shares, consumes, reads or observes\n"
	  "  --no-legend  neither head nor foot\n"
	  "\n"
	  "examples:\n"
	  "  shmbctl clients\n"
	  "  shmbctl clients --json | jq -r 'select(.handles[].segment == \"camera/front\").pid'\n" },
	{ "users", 0, 0, OPTION_LEGEND, command_users, "users", "what each user has, and its quotas",
	  "Prints what all users have together and each that has anything: connections, segments and memory charged to it, what it\n"
	  "asked, how much of that was refused, how often it was over a quota, and its quotas. Root and the daemon's own user see\n"
	  "all, others themselves.\n"
	  "\n"
	  "  --json       one object a line: uid (null: all together), clients, segments, bytes, requests, refusals, over_quota,\n"
	  "               bytes_max, segments_max, clients_max, request_rate (null: no quota)\n"
	  "  --no-legend  no head\n"
	  "\n"
	  "examples:\n"
	  "  shmbctl users\n"
	  "  shmbctl users --json | jq -r 'select(.over_quota > 0).uid'\n" },
	{ "metrics", 0, 1, OPTION_OUTPUT | VERB_ALONE, command_metrics, "metrics [PATTERN]", "counts for monitoring, as OpenMetrics text",
	  "Prints what the daemon counts and measures as OpenMetrics text: segments, memory, clients, deaths, repairs, refusals by\n"
	  "reason, events by kind, how long requests take; of the 50 users with most memory what each has; and of each segment\n"
	  "whose name matches PATTERN (* and ? match / too), or of all: the state of its writer, elements published, readers, lag,\n"
	  "losses and memory. Only what you may see.\n"
	  "\n"
	  "  --output FILE  replace FILE instead of printing; where there is no daemon it is told that (shmbroker_up 0), and the\n"
	  "                 exit status is 3\n"
	  "  --json         one object, without segments: version, started_ns (CLOCK_REALTIME), segments, bytes, clients, deaths,\n"
	  "                 repairs, reaps, adopted, refusals {REASON: count}, events {KIND: count}, request_ns (all together),\n"
	  "                 request_buckets [{upto_ns (null: any), count}], resident_bytes, cpu_ns, descriptors, descriptors_max\n"
	  "\n"
	  "examples:\n"
	  "  shmbctl metrics\n"
	  "  shmbctl metrics 'camera/*' --output /var/lib/prometheus/node-exporter/shmbroker.prom\n"
	  "  shmbctl metrics --json | jq .refusals\n" },
	{ "remove", 1, 1024, OPTION_LEGEND, command_remove, "remove NAME...", "removes segments that nobody writes",
	  "Removes segments. Refused while a writer lives. Readers keep what they have open and are told at their next wait.\n"
	  "\n"
	  "  --json       one object a line for each that was removed: name, removed\n"
	  "  --no-legend  silent when all went well\n"
	  "\n"
	  "examples:\n"
	  "  shmbctl remove host/cpu host/memory\n" },
	{ "reload", 0, 0, OPTION_LEGEND, command_reload, "reload", "has the daemon read its configuration again",
	  "Has the daemon read its configuration again. Where a file has a mistake, it is named with its line, and everything stays\n"
	  "as it was. Prints what does not reach segments that are there already. For root and the daemon's own user.\n"
	  "\n"
	  "  --json       one object: files, patterns, segments (looked at), not_applied, notes (a line for each of these)\n"
	  "  --no-legend  only the notes\n"
	  "\n"
	  "examples:\n"
	  "  shmbrokerd --check-config && shmbctl reload\n" },
	{ "policy", 1, 1, OPTION_LEGEND | OPTION_USER, command_policy, "policy NAME", "which rule applies to a name, and why",
	  "Prints the sections of the configuration that match a name, the most specific first, each setting with the place it\n"
	  "comes from, and whether you may read and write it. The segment need not be there.\n"
	  "\n"
	  "  --explain-user USER  a user's name or number instead of you; for root and the daemon's own user\n"
	  "  --json               one object: name, exists, uid, may_read, read_why, may_write, write_why, patterns [{pattern,\n"
	  "                       source}], settings {NAME: {value, source}}\n"
	  "  --no-legend          without the table's head\n"
	  "\n"
	  "examples:\n"
	  "  shmbctl policy camera/front\n"
	  "  shmbctl policy camera/front --explain-user planner --json | jq .may_write\n" },
	{ "gc", 0, 0, OPTION_LEGEND | OPTION_DRY_RUN, command_gc, "gc", "removes now what policy lets go",
	  "Removes the segments that nobody needs and the policy lets go, without waiting for the rest of their linger time; and,\n"
	  "with `foreign = reap`, files of safe-shm programs that have ended. Removing is for root and the daemon's own user.\n"
	  "\n"
	  "  --dry-run    only tells what would go and why, and lists foreign files\n"
	  "  --json       one object a line: name, foreign, outcome (would go, removed, stays, failed), reason, bytes, due_ns\n"
	  "               (until it goes by itself; null: never), uid, pid (foreign: of its writer)\n"
	  "  --no-legend  without the sum\n"
	  "\n"
	  "examples:\n"
	  "  shmbctl gc --dry-run\n"
	  "  shmbctl gc --json | jq -r .name\n" },
	{ "help", 0, 1, 0, NULL, "help [VERB]", "this, or what a verb does and takes",
	  "Prints what there is, or what a verb does and takes, as --help does.\n"
	  "\n"
	  "examples:\n"
	  "  shmbctl help\n"
	  "  shmbctl help echo\n" },
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

static void main_print_help(const struct verb *verb)
{
	if (verb) {
		printf("usage: shmbctl %s [options]\n\n%s\noptions of all verbs:\n%s", verb->usage, verb->help, common_help);
		return;
	}
	puts("usage: shmbctl VERB [NAME] [options]\n\nShows the shared-memory segments of shmbrokerd.\n\nverbs:");
	for (int i = 0; i < VERB_COUNT; i++)
		printf("  %-26s  %s\n", verbs[i].usage, verbs[i].summary);
	printf("\noptions:\n%s\n`shmbctl help VERB` tells more, with examples.\n", common_help);
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

/* Of a verb, NULL: of all. An exit status. */
static int main_help(const char *name)
{
	const struct verb *verb = name ? main_verb(name) : NULL;

	if (name && !verb)
		return main_usage("there is no verb '%s'", name);
	main_print_help(verb);
	return COMMAND_OK;
}

static bool main_is_kind(const char *name)
{
	return strcmp(name, "value") == 0 || strcmp(name, "ring") == 0 || strcmp(name, "queue") == 0 || strcmp(name, "frame") == 0;
}

/* A whole positive number. */
static int main_count(const char *text, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 10);
	return errno || *end || *text < '0' || *text > '9' || *out == 0 ? -EINVAL : 0;
}

/* "500ms", "10s", "1min": from 10 ms to a day. */
static int main_time(const char *text, uint64_t *out_ns)
{
	static const struct {
		const char *name;
		double ns;
	} units[] = { { "ms", 1e6 }, { "s", 1e9 }, { "min", 60e9 }, { "h", 3600e9 } };
	char *end;
	double value = strtod(text, &end);

	if (end == text || *text < '0' || *text > '9')
		return -EINVAL;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(end, units[i].name) == 0 && value * units[i].ns >= 1e7 && value * units[i].ns <= 86400e9) {
			*out_ns = (uint64_t)(value * units[i].ns);
			return 0;
		}
	}
	return -EINVAL;
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
	{ "socket", required_argument, NULL, 's' },
	{ "json", no_argument, NULL, 'j' },
	{ "no-legend", no_argument, NULL, 'l' },
	{ "count", required_argument, NULL, 'c' },
	{ "rate", required_argument, NULL, 'r' },
	{ "full", no_argument, NULL, 'f' },
	{ "interval", required_argument, NULL, 'i' },
	{ "field", required_argument, NULL, 'F' },
	{ "sort", required_argument, NULL, 'o' },
	{ "kind", required_argument, NULL, 'k' },
	{ "schema", required_argument, NULL, 'S' },
	{ "type", required_argument, NULL, 't' },
	{ "capacity", required_argument, NULL, 'C' },
	{ "stamped", no_argument, NULL, 'm' },
	{ "hold", no_argument, NULL, 'H' },
	{ "dry-run", no_argument, NULL, 'd' },
	{ "explain-user", required_argument, NULL, 'u' },
	{ "output", required_argument, NULL, 'O' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

int main(int argc, char **argv)
{
	struct command_options options = { 0 };
	const struct verb *verb;
	unsigned used = 0;
	bool help = false;
	struct shmb *broker = NULL;
	const char *names[32] = { NULL }; /* of the first option of each bit in `used` */
	char what[64];
	int option, place, r;

	output_init();
	signal(SIGPIPE, SIG_IGN);
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":h", long_options, &place)) != -1) {
		unsigned before = used;

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
		case 'i':
			if (main_time(optarg, &options.interval_ns) < 0)
				return main_usage("--interval takes a time from 10ms to 24h such as 500ms, 10s or 1min, not '%s'", optarg);
			used |= OPTION_INTERVAL;
			break;
		case 'F':
			options.field = optarg;
			used |= OPTION_FIELD;
			break;
		case 'o':
			options.sort = optarg;
			used |= OPTION_SORT;
			break;
		case 'k':
			if (!main_is_kind(optarg))
				return main_usage("--kind takes value, ring, queue or frame, not '%s'", optarg);
			options.kind = optarg;
			used |= OPTION_PUB;
			break;
		case 'S':
			options.schema = optarg;
			used |= OPTION_PUB;
			break;
		case 't':
			options.type = optarg;
			used |= OPTION_PUB;
			break;
		case 'C':
			if (main_count(optarg, &options.capacity) < 0 || options.capacity > UINT32_MAX)
				return main_usage("--capacity takes a number from 2 to 1048576, not '%s'", optarg);
			used |= OPTION_PUB;
			break;
		case 'm':
			options.stamped = true;
			used |= OPTION_PUB;
			break;
		case 'H':
			options.hold = true;
			used |= OPTION_PUB;
			break;
		case 'd':
			options.dry_run = true;
			used |= OPTION_DRY_RUN;
			break;
		case 'u':
			options.user = optarg;
			used |= OPTION_USER;
			break;
		case 'O':
			options.output = optarg;
			used |= OPTION_OUTPUT;
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
		if (used != before)
			names[__builtin_ctz(used ^ before)] = long_options[place].name;
	}
	if (optind == argc)
		return help ? main_finish(main_help(NULL)) : main_usage("%s", "a verb is missing");
	verb = main_verb(argv[optind]);
	if (!verb)
		return main_usage("there is no verb '%s'", argv[optind]);
	if (help)
		return main_finish(main_help(verb->name));
	if (used & ~verb->options) {
		snprintf(what, sizeof(what), "`%s` does not take --%s", verb->name, names[__builtin_ctz(used & ~verb->options)]);
		return main_usage("%s", what);
	}
	options.names = argv + optind + 1;
	options.name_count = argc - optind - 1;
	if (options.name_count < verb->names_min || options.name_count > verb->names_max)
		return main_usage(options.name_count == 0		 ? "the name of a segment is missing: shmbctl %s"
				  : options.name_count < verb->names_min ? "an argument is missing: shmbctl %s"
									 : "too many arguments: shmbctl %s",
				  verb->usage);
	if (!verb->run)
		return main_finish(main_help(options.names[0]));
	r = shmb_connect(&broker, options.socket);
	if (r < 0 && (verb->options & VERB_ALONE) == 0)
		return command_fail(NULL, r);
	options.error = r;
	r = verb->run(broker, &options);
	shmb_disconnect(broker);
	return main_finish(r);
}
