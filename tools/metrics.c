/* SPDX-License-Identifier: MIT */
/*
 * `shmbctl metrics`: the daemon's counts as OpenMetrics text, for Prometheus and what reads its formats.
 *
 * Only gauges, counters and histograms are used, because the collector of text files (node_exporter) refuses files with the types that OpenMetrics
 * added. What a reader of metrics must be able to rely on: families and labels are never renamed; a series that is not there is unknown.
 */

#include "command.h"
#include "json.h"
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct metrics_segment {
	char name[256];
	enum shmb_writer_condition writer;
	uint64_t next;
	uint64_t readers;
	uint64_t lag;
	uint64_t lost;
	uint64_t bytes;
};

enum { METRICS_USERS_MAX = 50 }; /* of whom there are series; so is their number bounded */

struct metrics_users {
	struct shmb_user_info rows[METRICS_USERS_MAX]; /* those with most memory */
	size_t count;
	uint64_t all;
};

struct metrics {
	FILE *out;
	struct metrics_users users;
	struct metrics_segment *segments;
	size_t count;
	size_t space;
};

/* ---- the text ----------------------------------------------------------------------------------------------------------------------- */

/* `unit` is the end of the name, or NULL. */
static void metrics_family(FILE *out, const char *name, const char *type, const char *unit, const char *help)
{
	fprintf(out, "# TYPE %s %s\n", name, type);
	if (unit)
		fprintf(out, "# UNIT %s %s\n", name, unit);
	fprintf(out, "# HELP %s %s\n", name, help);
}

/* One of a family without labels. */
static void metrics_gauge(FILE *out, const char *name, const char *unit, const char *help, uint64_t value)
{
	metrics_family(out, name, "gauge", unit, help);
	fprintf(out, "%s %" PRIu64 "\n", name, value);
}

static void metrics_counter(FILE *out, const char *name, const char *help, uint64_t value)
{
	metrics_family(out, name, "counter", NULL, help);
	fprintf(out, "%s_total %" PRIu64 "\n", name, value);
}

/* {key="value", escaped; the caller goes on with more labels or } */
static void metrics_label(FILE *out, const char *before, const char *key, const char *value)
{
	fprintf(out, "%s%s=\"", before, key);
	for (; *value; value++) {
		if (*value == '\n')
			fputs("\\n", out);
		else if (*value == '\\' || *value == '"')
			fprintf(out, "\\%c", *value);
		else
			fputc(*value >= 0x20 && *value < 0x7f ? *value : '?', out);
	}
	fputc('"', out);
}

static void metrics_counts(FILE *out, const char *name, const char *key, const char *help, const struct shmb_metrics_count *counts,
			   uint32_t count)
{
	metrics_family(out, name, "counter", NULL, help);
	for (uint32_t i = 0; i < count; i++) {
		fprintf(out, "%s_total", name);
		metrics_label(out, "{", key, counts[i].name);
		fprintf(out, "} %" PRIu64 "\n", counts[i].value);
	}
}

static void metrics_histogram(FILE *out, const struct shmb_metrics *metrics)
{
	static const char name[] = "shmbroker_request_seconds";
	uint64_t sum = 0;

	metrics_family(out, name, "histogram", "seconds", "Time from receiving a request on the control channel to its answer.");
	for (uint32_t i = 0; i < metrics->bucket_count; i++) {
		sum += metrics->buckets[i].count;
		if (metrics->buckets[i].upto_ns < UINT64_MAX)
			fprintf(out, "%s_bucket{le=\"%.9g\"} %" PRIu64 "\n", name, (double)metrics->buckets[i].upto_ns / 1e9, sum);
	}
	fprintf(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, sum);
	fprintf(out, "%s_count %" PRIu64 "\n%s_sum %.9f\n", name, sum, name, (double)metrics->latency_ns / 1e9);
}

static int metrics_daemon(const struct shmb_metrics *metrics, void *user)
{
	FILE *out = ((struct metrics *)user)->out;

	metrics_family(out, "shmbroker_version", "gauge", NULL, "1, with the daemon's version as a label.");
	fputs("shmbroker_version", out);
	metrics_label(out, "{", "version", metrics->version);
	fputs("} 1\n", out);
	metrics_family(out, "shmbroker_start_time_seconds", "gauge", "seconds", "When the daemon was started, since the epoch.");
	fprintf(out, "shmbroker_start_time_seconds %.3f\n", (double)metrics->started_ns / 1e9);
	metrics_gauge(out, "shmbroker_segments", NULL, "Segments that there are.", metrics->segments);
	metrics_gauge(out, "shmbroker_memory_bytes", "bytes", "Memory of all segments.", metrics->bytes);
	metrics_gauge(out, "shmbroker_clients", NULL, "Connections to the daemon.", metrics->clients);
	metrics_counter(out, "shmbroker_deaths", "Writers found dead.", metrics->deaths);
	metrics_counter(out, "shmbroker_repairs", "Half-done changes of dead processes that were mended.", metrics->repairs);
	metrics_counter(out, "shmbroker_reaps", "Segments and foreign files removed by policy.", metrics->reaps);
	metrics_counter(out, "shmbroker_adopted", "Segments taken over from the daemon before.", metrics->adopted);
	metrics_counts(out, "shmbroker_refusals", "reason", "Requests answered with an error, by the error.", metrics->refusals,
		       metrics->refusal_count);
	metrics_counts(out, "shmbroker_events", "kind", "What happened, by the kinds of shmbctl monitor.", metrics->events,
		       metrics->event_count);
	metrics_histogram(out, metrics);
	if (metrics->resident_bytes)
		metrics_gauge(out, "shmbroker_process_resident_memory_bytes", "bytes", "Resident memory of the daemon.",
			      metrics->resident_bytes);
	metrics_family(out, "shmbroker_process_cpu_seconds", "counter", "seconds", "Processor time used by the daemon.");
	fprintf(out, "shmbroker_process_cpu_seconds_total %.6f\n", (double)metrics->cpu_ns / 1e9);
	if (metrics->descriptors != UINT32_MAX)
		metrics_gauge(out, "shmbroker_process_open_fds", NULL, "File descriptors that the daemon has open.", metrics->descriptors);
	if (metrics->descriptors_max != UINT32_MAX)
		metrics_gauge(out, "shmbroker_process_max_fds", NULL, "File descriptors that the daemon may have open.",
			      metrics->descriptors_max);
	return 0;
}

/* ---- users -------------------------------------------------------------------------------------------------------------------------- */

static int metrics_keep_user(const struct shmb_user_info *info, void *user)
{
	struct metrics_users *users = &((struct metrics *)user)->users;
	size_t least = 0;

	if (info->is_total)
		return 0;
	users->all++;
	if (users->count < METRICS_USERS_MAX) {
		users->rows[users->count++] = *info;
		return 0;
	}
	for (size_t i = 1; i < users->count; i++) {
		if (users->rows[i].bytes < users->rows[least].bytes)
			least = i;
	}
	if (info->bytes > users->rows[least].bytes)
		users->rows[least] = *info;
	return 0;
}

/* A family of them; `member` is a number of `size` bytes in struct shmb_user_info, where UINT64_MAX is left out. */
static void metrics_user_column(const struct metrics *metrics, const char *name, const char *suffix, const char *unit, const char *help,
				size_t member, size_t size)
{
	metrics_family(metrics->out, name, *suffix ? "counter" : "gauge", unit, help);
	for (size_t i = 0; i < metrics->users.count; i++) {
		uint64_t value = 0; /* little-endian, as all that this runs on */

		memcpy(&value, (const char *)&metrics->users.rows[i] + member, size);
		if (value != UINT64_MAX)
			fprintf(metrics->out, "%s%s{uid=\"%u\"} %" PRIu64 "\n", name, suffix, metrics->users.rows[i].uid, value);
	}
}

#define USER_COLUMN(name, suffix, unit, help, field)                                                                                       \
	metrics_user_column(metrics, name, suffix, unit, help, offsetof(struct shmb_user_info, field),                                     \
			    sizeof(((struct shmb_user_info *)NULL)->field))

static void metrics_user_families(const struct metrics *metrics)
{
	metrics_gauge(metrics->out, "shmbroker_users", NULL, "Users that have anything; of the 50 with most memory there are series.",
		      metrics->users.all);
	USER_COLUMN("shmbroker_user_memory_bytes", "", "bytes", "Memory charged to the user.", bytes);
	USER_COLUMN("shmbroker_user_memory_max_bytes", "", "bytes", "Its quota of memory.", bytes_max);
	USER_COLUMN("shmbroker_user_segments", "", NULL, "Segments charged to the user.", segments);
	USER_COLUMN("shmbroker_user_clients", "", NULL, "Connections of the user.", clients);
	USER_COLUMN("shmbroker_user_requests", "_total", NULL, "Requests of the user that were answered.", requests);
	USER_COLUMN("shmbroker_user_refusals", "_total", NULL, "Requests of the user answered with an error.", refusals);
	USER_COLUMN("shmbroker_user_over_quota", "_total", NULL, "Requests and connections of the user over a quota.", over_quota);
}

/* ---- segments ----------------------------------------------------------------------------------------------------------------------- */

static int metrics_keep(const struct shmb_figures *figures, void *user)
{
	struct metrics *metrics = user;
	struct metrics_segment *segment;

	if (metrics->count == metrics->space) {
		size_t space = metrics->space ? 2 * metrics->space : 64;
		struct metrics_segment *segments = realloc(metrics->segments, space * sizeof(*segments));

		if (!segments)
			return -ENOMEM;
		metrics->segments = segments;
		metrics->space = space;
	}
	segment = &metrics->segments[metrics->count++];
	*segment = (struct metrics_segment){ .writer = figures->writer,
					     .next = figures->next,
					     .readers = figures->readers,
					     .lag = figures->lag,
					     .lost = figures->lost,
					     .bytes = figures->bytes };
	snprintf(segment->name, sizeof(segment->name), "%s", figures->name);
	return 0;
}

/* A family of all segments; `member` is its uint64_t in struct metrics_segment, UINT64_MAX where it is unknown. */
static void metrics_column(const struct metrics *metrics, const char *name, const char *suffix, const char *unit, const char *help,
			   size_t member)
{
	metrics_family(metrics->out, name, *suffix ? "counter" : "gauge", unit, help);
	for (size_t i = 0; i < metrics->count; i++) {
		uint64_t value;

		memcpy(&value, (const char *)&metrics->segments[i] + member, sizeof(value));
		if (value == UINT64_MAX)
			continue;
		fprintf(metrics->out, "%s%s", name, suffix);
		metrics_label(metrics->out, "{", "segment", metrics->segments[i].name);
		fprintf(metrics->out, "} %" PRIu64 "\n", value);
	}
}

static void metrics_segments(const struct metrics *metrics)
{
	metrics_family(metrics->out, "shmbroker_segment_writer", "gauge", NULL, "1, with the state of the segment's writer as a label.");
	for (size_t i = 0; i < metrics->count; i++) {
		fputs("shmbroker_segment_writer", metrics->out);
		metrics_label(metrics->out, "{", "segment", metrics->segments[i].name);
		metrics_label(metrics->out, ",", "state", command_writer_word(metrics->segments[i].writer));
		fputs("} 1\n", metrics->out);
	}
	metrics_column(metrics, "shmbroker_segment_published", "_total", NULL, "Elements published, by the writer's account.",
		       offsetof(struct metrics_segment, next));
	metrics_column(metrics, "shmbroker_segment_readers", "", NULL, "Handles that read, consume or share the segment.",
		       offsetof(struct metrics_segment, readers));
	metrics_column(metrics, "shmbroker_segment_lag", "", NULL, "Elements that the reader furthest behind has not read.",
		       offsetof(struct metrics_segment, lag));
	metrics_column(metrics, "shmbroker_segment_lost", "", NULL, "Elements overwritten unread, of the readers there are now.",
		       offsetof(struct metrics_segment, lost));
	metrics_column(metrics, "shmbroker_segment_memory_bytes", "", "bytes", "Memory of the segment.",
		       offsetof(struct metrics_segment, bytes));
}

/* All of it. `error`: why there is no daemon to ask, 0 there is. */
static int metrics_write(struct metrics *metrics, struct shmb *broker, const char *pattern, int error)
{
	int r;

	metrics_gauge(metrics->out, "shmbroker_up", NULL, "Whether the daemon answers.", error == 0);
	r = error == 0 ? shmb_metrics(broker, metrics_daemon, metrics) : 0;
	if (r == 0 && error == 0)
		r = shmb_users(broker, metrics_keep_user, metrics);
	if (r == 0 && error == 0)
		r = shmb_figures(broker, pattern, metrics_keep, metrics);
	if (r == 0 && error == 0) {
		metrics_user_families(metrics);
		metrics_segments(metrics);
	}
	fputs("# EOF\n", metrics->out);
	return r;
}

/* ---- into a file -------------------------------------------------------------------------------------------------------------------- */

static int metrics_fail(const char *path, int error)
{
	char *text = output_escape(path);

	fprintf(stderr, "shmbctl: %s cannot be written: %s\n", text ? text : "?", strerror(-error));
	free(text);
	return COMMAND_FAILED;
}

/* Whoever reads the file meanwhile finds the old or the new one, whole: it is written beside it and renamed. */
static int metrics_file(struct metrics *metrics, struct shmb *broker, const char *pattern, const struct command_options *options)
{
	char *path = NULL;
	int fd, r, status;

	if (asprintf(&path, "%s.new", options->output) < 0)
		return metrics_fail(options->output, -ENOMEM);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	metrics->out = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (!metrics->out) {
		status = metrics_fail(path, -errno);
		if (fd >= 0)
			close(fd);
		free(path);
		return status;
	}
	r = metrics_write(metrics, broker, pattern, options->error);
	status = r < 0 ? command_fail(NULL, r) : options->error ? command_fail(NULL, options->error) : COMMAND_OK;
	if (fflush(metrics->out) != 0 || ferror(metrics->out) || (r == 0 && rename(path, options->output) < 0)) {
		status = metrics_fail(options->output, errno ? -errno : -EIO);
		r = -EIO;
	}
	fclose(metrics->out);
	if (r < 0)
		unlink(path);
	free(path);
	return status;
}

/* ---- JSON --------------------------------------------------------------------------------------------------------------------------- */

static json_t *metrics_json_counts(const struct shmb_metrics_count *counts, uint32_t count)
{
	json_t *object = json_object();

	for (uint32_t i = 0; i < count; i++)
		json_object_set_new(object, counts[i].name, json_u64(counts[i].value));
	return object;
}

static int metrics_json(const struct shmb_metrics *metrics, void *user)
{
	json_t *buckets = json_array();

	(void)user;
	for (uint32_t i = 0; i < metrics->bucket_count; i++)
		json_array_append_new(buckets, json_pack("{s:o, s:o}", "upto_ns", json_u64(metrics->buckets[i].upto_ns), "count",
							 json_u64(metrics->buckets[i].count)));
	return json_line(json_pack(
		"{s:o, s:o, s:I, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "version",
		json_text(metrics->version), "started_ns", json_u64(metrics->started_ns), "segments", (json_int_t)metrics->segments,
		"bytes", json_u64(metrics->bytes), "clients", (json_int_t)metrics->clients, "deaths", json_u64(metrics->deaths), "repairs",
		json_u64(metrics->repairs), "reaps", json_u64(metrics->reaps), "adopted", json_u64(metrics->adopted), "refusals",
		metrics_json_counts(metrics->refusals, metrics->refusal_count), "events",
		metrics_json_counts(metrics->events, metrics->event_count), "request_ns", json_u64(metrics->latency_ns), "request_buckets",
		buckets, "resident_bytes", metrics->resident_bytes ? json_u64(metrics->resident_bytes) : json_null(), "cpu_ns",
		json_u64(metrics->cpu_ns), "descriptors",
		metrics->descriptors != UINT32_MAX ? json_integer(metrics->descriptors) : json_null(), "descriptors_max",
		metrics->descriptors_max != UINT32_MAX ? json_integer(metrics->descriptors_max) : json_null()));
}

int command_metrics(struct shmb *broker, const struct command_options *options)
{
	const char *pattern = options->name_count > 0 ? options->names[0] : NULL;
	struct metrics metrics = { .out = stdout };
	char *text = NULL;
	size_t length = 0;
	int r;

	if (options->output && options->json) {
		fputs("shmbctl: --output takes the text, not --json: leave one of them out\n", stderr);
		return COMMAND_USAGE;
	}
	if (options->output) {
		r = metrics_file(&metrics, broker, pattern, options);
		free(metrics.segments);
		return r;
	}
	if (options->error < 0)
		return command_fail(NULL, options->error);
	if (options->json) {
		r = shmb_metrics(broker, metrics_json, NULL);
		return r < 0 ? command_fail(NULL, r) : COMMAND_OK;
	}
	/* All or nothing: what is cut off in the middle would be taken for the whole. */
	metrics.out = open_memstream(&text, &length);
	if (!metrics.out)
		return command_fail(NULL, -ENOMEM);
	r = metrics_write(&metrics, broker, pattern, 0);
	if (fclose(metrics.out) != 0 && r == 0)
		r = -ENOMEM;
	if (r == 0)
		fwrite(text, 1, length, stdout);
	free(text);
	free(metrics.segments);
	return r < 0 ? command_fail(NULL, r) : COMMAND_OK;
}
