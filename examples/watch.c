/* SPDX-License-Identifier: MIT */
/*
 * watch: follows several segments at once and shows what arrives: rate, latency from write to arrival (of stamped segments), lost, the
 * writer's condition, the newest values by their schema. On a terminal one table that is drawn anew a few times a second; elsewhere a line
 * for each segment and second. Without names it follows every segment there is, and those that come.
 *
 * It reads what any reader reads: it knows the schema of each segment and nothing else, so it verifies nothing.
 */

#include "follow.h"
#include "program.h"
#include "shmb.h"
#include "units.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum {
	SEGMENTS_MAX = 64,
	VALUES_MAX = 512, /* bytes of text for the newest values */
};

struct watch {
	struct shmb *broker;
	struct follow follows[SEGMENTS_MAX];
	bool is_listed[SEGMENTS_MAX]; /* found by the last shmb_list() */
	size_t count;
	bool is_terminal;
	bool is_overfull; /* more segments than SEGMENTS_MAX: said once */
	unsigned lines;	  /* of the table on the screen */
};

static struct follow *watch_find(struct watch *watch, const char *name)
{
	for (size_t i = 0; i < watch->count; i++)
		if (strcmp(watch->follows[i].name, name) == 0)
			return &watch->follows[i];
	return NULL;
}

static int watch_add(struct watch *watch, const char *name, uint64_t deadline_ns)
{
	int r;

	if (watch->count == SEGMENTS_MAX) {
		if (!watch->is_overfull)
			fprintf(stderr, "watch: more than %d segments; the others are left out\n", SEGMENTS_MAX);
		watch->is_overfull = true;
		return 0;
	}
	r = follow_start(&watch->follows[watch->count], watch->broker, name, deadline_ns, NULL, NULL);
	if (r == 0)
		watch->count++;
	return r;
}

/* Begins anew with a segment whose memory was removed: another may come, or be there, under its name. */
static int watch_again(struct watch *watch, struct follow *follow, uint64_t deadline_ns)
{
	struct follow_state state;
	char name[FOLLOW_NAME_MAX];

	follow_look(follow, &state, NULL, NULL);
	if (state.error != -ESTALE && state.error != -ENOENT)
		return 0;
	strcpy(name, follow->name);
	follow_deinit(follow);
	return follow_start(follow, watch->broker, name, deadline_ns, NULL, NULL);
}

static int watch_found(const struct shmb_segment_info *info, void *user)
{
	struct watch *watch = user;
	struct follow *follow = watch_find(watch, info->name);

	/* closing asks the broker, which the visitor of a list must not: what has ended is only marked here */
	if (!follow)
		return watch_add(watch, info->name, SHMB_NO_WAIT);
	watch->is_listed[follow - watch->follows] = true;
	return 0;
}

/* A line of the newest values: "busy 12.5  cores 2 ..." as far as there is room. */
struct values {
	const char *payload;
	char *text;
	size_t length;
};

static void value_text(char *out, size_t size, const struct shmb_type_field *field, const char *at)
{
	float f32;
	double f64;
	uint64_t bits = 0;
	unsigned unused = 64 - 8 * (unsigned)field->size;

	if (strcmp(field->primitive, "float32") == 0) {
		memcpy(&f32, at, sizeof(f32));
		snprintf(out, size, "%.4g", (double)f32);
	} else if (strcmp(field->primitive, "float64") == 0) {
		memcpy(&f64, at, sizeof(f64));
		snprintf(out, size, "%.6g", f64);
	} else {
		memcpy(&bits, at, field->size); /* little-endian, as all our machines */
		if (strncmp(field->primitive, "int", 3) == 0)
			snprintf(out, size, "%" PRId64, (int64_t)(bits << unused) >> unused);
		else
			snprintf(out, size, "%" PRIu64, bits);
	}
}

static int values_add(const struct shmb_type_field *field, void *user)
{
	struct values *values = user;
	const char *at = values->payload + field->offset;
	char value[48];
	char more[16] = "";
	size_t room = VALUES_MAX - values->length;
	int length;

	/* these say nothing to a person, and the stamp is in the latency */
	if (strcmp(field->name, "stamp_ns") == 0 || strcmp(field->name, "checksum") == 0 || strcmp(field->name, "reserved") == 0)
		return 0;
	value_text(value, sizeof(value), field, at);
	if (field->is_array)
		snprintf(more, sizeof(more), " [%zu]", field->count);
	length = snprintf(values->text + values->length, room, "%s%s %s%s", values->length ? "  " : "", field->name, value, more);
	if (length < 0 || (size_t)length >= room) {
		values->text[values->length] = 0;
		return 1; /* full */
	}
	values->length += (size_t)length;
	return 0;
}

static const char *writer_word(enum shmb_writer_condition condition)
{
	static const char *const words[] = { "none", "alive", "closed", "dead", "gone" };

	return (unsigned)condition < sizeof(words) / sizeof(words[0]) ? words[condition] : "?";
}

/* One row, cut to `width` columns. */
static void watch_row(struct follow *follow, int name_width, int width)
{
	char values_text[VALUES_MAX] = "";
	char line[VALUES_MAX + FOLLOW_NAME_MAX + 128];
	char rate[UNITS_SIZE] = "-", p50[UNITS_SIZE] = "-", p99[UNITS_SIZE] = "-";
	char writer[40];
	struct values values = { .text = values_text };
	struct follow_state state;

	pthread_mutex_lock(&follow->lock);
	state = follow->state;
	if (state.samples) {
		values.payload = follow->newest;
		shmb_type_fields(follow->type, values_add, &values);
	}
	pthread_mutex_unlock(&follow->lock);
	snprintf(writer, sizeof(writer), state.status.writer_pid ? "%s %d" : "%s", writer_word(state.status.writer),
		 (int)state.status.writer_pid);
	if (state.has_window)
		snprintf(rate, sizeof(rate), "%.1f", state.rate);
	if (state.has_window && state.is_stamped) {
		units_duration(p50, state.p50_ns);
		units_duration(p99, state.p99_ns);
	}
	if (state.error)
		snprintf(line, sizeof(line), "%-*s  %s", name_width, follow->name,
			 state.error == -ESTALE ? "the segment was removed" : shmb_strerror(state.error));
	else if (!state.is_open)
		snprintf(line, sizeof(line), "%-*s  waiting for the segment", name_width, follow->name);
	else if (!state.samples)
		snprintf(line, sizeof(line), "%-*s  nothing written yet  writer %s", name_width, follow->name, writer);
	else
		snprintf(line, sizeof(line), "%-*s  %8s  %10" PRIu64 "  %9s  %9s  %6" PRIu64 "  %-14s  %s", name_width, follow->name, rate,
			 state.last, p50, p99, state.lost, writer, values_text);
	printf("%.*s\n", width, line);
}

static void watch_draw(struct watch *watch)
{
	struct winsize window = { 0 };
	int width = VALUES_MAX + FOLLOW_NAME_MAX;
	int name_width = 7;
	size_t shown = watch->count;

	for (size_t i = 0; i < watch->count; i++)
		if ((int)strlen(watch->follows[i].name) > name_width)
			name_width = (int)strlen(watch->follows[i].name);
	if (watch->is_terminal) {
		if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0) {
			width = window.ws_col - 1;
			if (window.ws_row > 3 && shown > (size_t)window.ws_row - 3)
				shown = (size_t)window.ws_row - 3; /* what scrolls away cannot be redrawn */
		}
		if (watch->lines)
			printf("\033[%uA", watch->lines);
		printf("\r\033[J");
	}
	if (watch->is_terminal || !watch->lines) {
		char head[FOLLOW_NAME_MAX + 128];

		snprintf(head, sizeof(head), "%-*s  %8s  %10s  %9s  %9s  %6s  %-14s  %s", name_width, "SEGMENT", "HZ", "NUMBER", "P50",
			 "P99", "LOST", "WRITER", "NEWEST");
		printf("%.*s\n", width, head);
	}
	for (size_t i = 0; i < shown; i++)
		watch_row(&watch->follows[i], name_width, width);
	watch->lines = 1 + (unsigned)shown;
	if (watch->is_terminal && shown < watch->count) {
		printf("and %zu more\n", watch->count - shown);
		watch->lines++;
	}
}

/* Looks for new segments; begins anew with those that ended. A daemon that is away now is asked again the next time. */
static int watch_refresh(struct watch *watch, bool is_all)
{
	int r = 0;

	memset(watch->is_listed, 0, sizeof(watch->is_listed));
	if (is_all)
		shmb_list(watch->broker, watch_found, watch);
	for (size_t i = 0; i < watch->count && r == 0; i++)
		if (!is_all || watch->is_listed[i])
			r = watch_again(watch, &watch->follows[i], is_all ? SHMB_NO_WAIT : SHMB_FOREVER);
	return r;
}

static int watch_run(struct watch *watch, double seconds, bool is_all)
{
	struct timespec period = { .tv_sec = watch->is_terminal ? 0 : 1, .tv_nsec = watch->is_terminal ? 250000000 : 0 };
	uint64_t end = seconds > 0 ? shmb_now_ns() + (uint64_t)(seconds * 1e9) : UINT64_MAX;
	unsigned turn = 0;

	while (!program_is_stopped && shmb_now_ns() < end) {
		nanosleep(&period, NULL);
		if (turn++ % (watch->is_terminal ? 4 : 1) == 0) {
			int r = watch_refresh(watch, is_all);

			if (r < 0)
				return r;
		}
		watch_draw(watch);
		if (fflush(stdout) != 0)
			return errno == EPIPE ? 0 : -errno;
	}
	return 0;
}

static void help(void)
{
	puts("usage: watch [options] [NAME...]\n"
	     "\n"
	     "Shows live what is written to the segments named, or to all of them: rate, newest number, latency from write to arrival\n"
	     "(p50 and p99 of the last second; of stamped segments), lost since the start, writer, newest values.\n"
	     "\n"
	     "  --seconds S    end after so long\n"
	     "  --lines        a line for each segment and second, as when the output is no terminal\n"
	     "  --socket PATH  of the daemon\n"
	     "  --help, --version");
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "seconds", required_argument, NULL, 's' }, { "socket", required_argument, NULL, 'S' },
		{ "lines", no_argument, NULL, 'l' },	     { "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },	     { NULL, 0, NULL, 0 },
	};
	static struct watch watch; /* large: histograms */
	const char *socket = NULL;
	const char *term = getenv("TERM");
	double seconds = 0;
	int option, r;

	watch.is_terminal = isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0;
	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		switch (option) {
		case 's':
			seconds = program_number(optarg, 1e-9, 1e9);
			if (seconds < 0) {
				fprintf(stderr, "watch: --seconds takes a positive number; try --help\n");
				return 2;
			}
			break;
		case 'S':
			socket = optarg;
			break;
		case 'l':
			watch.is_terminal = false;
			break;
		case 'h':
			help();
			return 0;
		case 'V':
			printf("watch %s\n", shmb_version());
			return 0;
		default:
			return 2;
		}
	}
	program_stop_at_signals();
	signal(SIGPIPE, SIG_IGN);
	r = shmb_connect(&watch.broker, socket);
	if (r < 0) {
		fprintf(stderr, "watch: %s\n", shmb_text());
		return 1;
	}
	for (int i = optind; i < argc && r == 0; i++)
		if (!watch_find(&watch, argv[i]))
			r = watch_add(&watch, argv[i], SHMB_FOREVER);
	if (r == 0 && optind == argc)
		r = shmb_list(watch.broker, watch_found, &watch);
	if (r == 0)
		r = watch_run(&watch, seconds, optind == argc);
	if (r < 0)
		fprintf(stderr, "watch: %s\n", shmb_strerror(r));
	for (size_t i = 0; i < watch.count; i++)
		follow_deinit(&watch.follows[i]);
	shmb_disconnect(watch.broker);
	return r < 0;
}
