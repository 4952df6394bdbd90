/* SPDX-License-Identifier: MIT */
/*
 * One of the demo's readers: follows the segments given as arguments, checks the checksum of every sample, and reports to the demo
 * (demo_report.h). It counts only what it has read itself.
 */

#include "checksum.h"
#include "demo_report.h"
#include "follow.h"
#include "shmb.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SEGMENTS_MAX = 8 };
#define TICK_NS UINT64_C(100000000)
#define OPEN_NS UINT64_C(10000000000)

struct segment {
	struct follow follow;
	uint32_t index;
	_Atomic uint64_t torn;
	/* the following thread's own */
	bool is_dead;	     /* between a writer's death and the next one's first sample */
	uint64_t last;	     /* number of the newest sample */
	void *last_payload;  /* its bytes */
	void *check_payload; /* the same read again */
	size_t size;
};

static void report_send(struct demo_report *report)
{
	if (!report->at_ns)
		report->at_ns = shmb_now_ns();
	/* the demo gone is the end of the pipe on standard input, too */
	if (write(STDOUT_FILENO, report, sizeof(*report)) < 0 && errno != EPIPE)
		perror("demo_reader: report");
}

/* After the writer's death the last value must be as it was. */
static bool is_kept(struct segment *segment)
{
	return segment->last_payload && follow_read(&segment->follow, segment->last, segment->check_payload) == 0 &&
	       memcmp(segment->last_payload, segment->check_payload, segment->size) == 0 &&
	       checksum_is_right(segment->check_payload, segment->size);
}

static int segment_prepare(struct segment *segment)
{
	segment->size = segment->follow.type->size;
	segment->last_payload = malloc(segment->size);
	segment->check_payload = malloc(segment->size);
	return segment->last_payload && segment->check_payload ? 0 : -ENOMEM;
}

static void segment_sample(struct segment *segment, const void *payload, const struct shmb_sample *sample, uint64_t now)
{
	if (!checksum_is_right(payload, segment->size))
		atomic_fetch_add_explicit(&segment->torn, 1, memory_order_relaxed);
	if (segment->is_dead) {
		struct demo_report report = {
			.kind = DEMO_RESUMED,
			.segment = segment->index,
			.at_ns = now,
			.first = sample->number,
			.last = segment->last,
			.is_right = sample->number == segment->last + 1,
		};

		segment->is_dead = false;
		report_send(&report);
	}
	segment->last = sample->number;
	memcpy(segment->last_payload, payload, segment->size);
}

static void notice(struct follow *follow, enum follow_event event, const void *payload, const struct shmb_sample *sample)
{
	struct segment *segment = follow->user;
	uint64_t now = shmb_now_ns();
	struct demo_report report = { .segment = segment->index, .at_ns = now };

	switch (event) {
	case FOLLOW_SAMPLE:
		segment_sample(segment, payload, sample, now);
		return;
	case FOLLOW_OPENED:
		report.kind = DEMO_OPENED;
		report.error = segment_prepare(segment);
		if (report.error < 0) {
			fprintf(stderr, "demo_reader: no memory\n");
			exit(1);
		}
		break;
	case FOLLOW_WRITER_DEAD:
		report.kind = DEMO_DEAD;
		report.last = segment->last;
		report.is_right = is_kept(segment);
		segment->is_dead = true;
		break;
	case FOLLOW_WRITER_CLOSED:
		report.kind = DEMO_CLOSED;
		report.last = segment->last;
		break;
	case FOLLOW_ENDED:
		report.kind = DEMO_ENDED;
		report.error = follow->state.error;
		fprintf(stderr, "demo_reader: %s: %s\n", follow->name, shmb_strerror(report.error));
		break;
	}
	report_send(&report);
}

/* Reports the counts of each segment, then their sum. */
static void report_counts(struct segment *segments, uint32_t count, enum demo_report_kind kind)
{
	struct demo_report all = { .kind = kind, .segment = DEMO_ALL };
	struct histogram merged = { 0 };

	for (uint32_t i = 0; i < count; i++) {
		struct demo_report report = { .kind = kind, .segment = i };
		struct histogram histogram = { 0 };
		struct follow_state state;

		follow_look(&segments[i].follow, &state, kind == DEMO_FINAL ? &histogram : NULL, kind == DEMO_FINAL ? NULL : &histogram);
		report.samples = state.samples;
		report.lost = state.lost;
		report.torn = atomic_load_explicit(&segments[i].torn, memory_order_relaxed);
		report.first = state.first;
		report.last = state.last;
		report.p50_ns = histogram_percentile(&histogram, 0.5);
		report.p99_ns = histogram_percentile(&histogram, 0.99);
		report.max_ns = histogram.max;
		report.rate_mhz = (uint64_t)(state.rate * 1000);
		report.has_rate = all.has_rate = state.has_window;
		histogram_merge(&merged, &histogram);
		all.samples += report.samples;
		all.lost += report.lost;
		all.torn += report.torn;
		all.rate_mhz += report.rate_mhz;
		report_send(&report);
	}
	all.p50_ns = histogram_percentile(&merged, 0.5);
	all.p99_ns = histogram_percentile(&merged, 0.99);
	all.max_ns = merged.max;
	report_send(&all);
}

/* Ticks and obeys until told to quit. */
static void serve(struct segment *segments, uint32_t count)
{
	uint64_t due = shmb_now_ns() + TICK_NS;
	struct pollfd commands = { .fd = STDIN_FILENO, .events = POLLIN };
	char command;

	for (;;) {
		uint64_t now = shmb_now_ns();

		if (now >= due) {
			report_counts(segments, count, DEMO_TICK);
			due = now + TICK_NS;
		}
		if (poll(&commands, 1, (int)((due - now) / 1000000) + 1) <= 0)
			continue;
		if (read(STDIN_FILENO, &command, 1) != 1 || command == DEMO_QUIT)
			return;
		if (command == DEMO_MARK)
			report_counts(segments, count, DEMO_MARKED);
	}
}

int main(int argc, char **argv)
{
	static struct segment segments[SEGMENTS_MAX]; /* large: histograms */
	uint32_t count = (uint32_t)argc - 2;
	struct shmb *broker = NULL;
	int r;

	if (argc < 3 || argc - 2 > SEGMENTS_MAX || isatty(STDOUT_FILENO)) {
		fprintf(stderr,
			"usage: demo_reader SOCKET NAME...\n\nA part of the demo: follows up to %d segments and reports in binary "
			"on stdout.\n",
			SEGMENTS_MAX);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	r = shmb_connect(&broker, argv[1]);
	if (r < 0) {
		fprintf(stderr, "demo_reader: %s\n", shmb_text());
		return 1;
	}
	for (uint32_t i = 0; i < count && r == 0; i++) {
		segments[i].index = i;
		r = follow_start(&segments[i].follow, broker, argv[i + 2], shmb_now_ns() + OPEN_NS, notice, &segments[i]);
	}
	if (r == 0)
		serve(segments, count);
	else
		fprintf(stderr, "demo_reader: %s\n", shmb_strerror(r));
	for (uint32_t i = 0; i < count; i++)
		follow_stop(&segments[i].follow);
	if (r == 0)
		report_counts(segments, count, DEMO_FINAL);
	for (uint32_t i = 0; i < count; i++) {
		follow_deinit(&segments[i].follow);
		free(segments[i].last_payload);
		free(segments[i].check_payload);
	}
	shmb_disconnect(broker);
	return r < 0;
}
