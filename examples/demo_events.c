/* SPDX-License-Identifier: MIT */
/* What the demo's processes tell: lines of the producers, reports of the readers, unexpected ends; and signals to the demo itself. */

#include "demo.h"

#include "shmb.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { DEMO_SLICE_MS = 50 };

void demo_fail(struct demo *demo, const char *format, ...)
{
	char text[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	demo->is_failed = true;
	screen_say(&demo->screen, "FAILED: %s", text);
}

static struct demo_segment *demo_segment_find(struct demo *demo, const char *name)
{
	for (size_t i = 0; i < demo->segment_count; i++)
		if (strcmp(demo->segments[i].name, name) == 0)
			return &demo->segments[i];
	return NULL;
}

static void demo_producer_line(struct demo *demo, int index, const char *line)
{
	struct demo_segment *segment;
	char name[DEMO_NAME_MAX];
	uint64_t count, first;

	if (strcmp(line, "ready") == 0) {
		demo->producers[index].is_ready = true;
		/* NOLINTNEXTLINE(cert-err34-c): our own program wrote the line */
	} else if (sscanf(line, "publishing %63s at %*s Hz, %*u bytes a sample, from number %" SCNu64, name, &first) == 2) {
		segment = demo_segment_find(demo, name);
		if (!segment && demo->segment_count < DEMO_SEGMENTS) {
			segment = &demo->segments[demo->segment_count];
			strcpy(segment->name, name);
			segment->producer = index;
			demo->screen.segments[demo->segment_count++] = segment->name;
			demo->screen.segment_count = demo->segment_count;
		}
		if (segment)
			segment->first = first;
		/* NOLINTNEXTLINE(cert-err34-c): likewise */
	} else if (sscanf(line, "written %63s %" SCNu64 " samples from number %" SCNu64, name, &count, &first) == 3) {
		segment = demo_segment_find(demo, name);
		if (segment) {
			segment->next = first + count;
			segment->is_finished = true;
		}
	}
}

static void demo_producer_receive(struct demo *demo, int index)
{
	struct child *child = &demo->producers[index].child;
	char *end;

	child_receive(child);
	while ((end = memchr(child->buffer, '\n', child->length))) {
		*end = 0;
		demo_producer_line(demo, index, child->buffer);
		child_take(child, (size_t)(end + 1 - child->buffer));
	}
}

/* The sum comes after the segments, so it completes what it belongs to. */
static void demo_reader_sum(struct demo *demo, int index, const struct demo_report *report)
{
	struct demo_reader *reader = &demo->readers[index];

	switch (report->kind) {
	case DEMO_TICK:
		demo->screen.sum[index] = *report;
		demo->screen.has_table = demo->screen.start_ns != 0;
		break;
	case DEMO_MARKED:
		if (reader->marks < 2)
			reader->mark_sum[reader->marks++] = *report;
		break;
	case DEMO_FINAL:
		reader->final_sum = *report;
		break;
	default:
		break;
	}
}

static void demo_reader_report(struct demo *demo, int index, const struct demo_report *report)
{
	struct demo_reader *reader = &demo->readers[index];
	uint32_t segment = report->segment;

	if (segment == DEMO_ALL) {
		demo_reader_sum(demo, index, report);
		return;
	}
	if (segment >= demo->segment_count)
		return;
	switch (report->kind) {
	case DEMO_OPENED:
		reader->is_opened[segment] = true;
		break;
	case DEMO_TICK:
		demo->screen.latest[index][segment] = *report;
		break;
	case DEMO_MARKED:
		if (reader->marks < 2)
			reader->mark[reader->marks][segment] = *report;
		break;
	case DEMO_DEAD:
		reader->dead[segment] = *report;
		break;
	case DEMO_RESUMED:
		reader->resumed[segment] = *report;
		break;
	case DEMO_CLOSED:
		reader->is_closed[segment] = true;
		break;
	case DEMO_ENDED:
		demo_fail(demo, "%s cannot go on with %s: %s", reader->child.label, demo->segments[segment].name,
			  shmb_strerror(report->error));
		break;
	case DEMO_FINAL:
		reader->final[segment] = *report;
		break;
	}
}

static void demo_reader_receive(struct demo *demo, int index)
{
	struct child *child = &demo->readers[index].child;
	struct demo_report report;

	child_receive(child);
	while (child->length >= sizeof(report)) {
		memcpy(&report, child->buffer, sizeof(report));
		child_take(child, sizeof(report));
		demo_reader_report(demo, index, &report);
	}
}

static void demo_look_for_end(struct demo *demo, struct child *child)
{
	char text[64];

	if (!child->pid || child->may_end || !child_has_ended(child))
		return;
	demo_fail(demo, "%s ended by itself: %s", child->label, child_end_text(child, text, sizeof(text)));
}

static void demo_signal(struct demo *demo)
{
	struct signalfd_siginfo info;

	if (read(demo->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		demo->is_interrupted = true;
}

/* One round: waits a short time for news and takes it in. */
static bool demo_round(struct demo *demo, uint64_t until_ns)
{
	struct pollfd fds[1 + DEMO_READERS + DEMO_PRODUCERS];
	uint64_t now = shmb_now_ns();
	uint64_t left_ms = until_ns > now ? (until_ns - now) / 1000000 : 0;

	fds[0] = (struct pollfd){ .fd = demo->signal_fd, .events = POLLIN };
	for (int i = 0; i < DEMO_READERS; i++)
		fds[1 + i] = (struct pollfd){ .fd = demo->readers[i].child.out_fd, .events = POLLIN };
	for (int i = 0; i < DEMO_PRODUCERS; i++)
		fds[1 + DEMO_READERS + i] = (struct pollfd){ .fd = demo->producers[i].child.out_fd, .events = POLLIN };
	if (poll(fds, sizeof(fds) / sizeof(fds[0]), left_ms < DEMO_SLICE_MS ? (int)left_ms + 1 : DEMO_SLICE_MS) > 0) {
		if (fds[0].revents)
			demo_signal(demo);
		for (int i = 0; i < DEMO_READERS; i++)
			if (fds[1 + i].revents)
				demo_reader_receive(demo, i);
		for (int i = 0; i < DEMO_PRODUCERS; i++)
			if (fds[1 + DEMO_READERS + i].revents)
				demo_producer_receive(demo, i);
	}
	demo_look_for_end(demo, &demo->daemon);
	for (int i = 0; i < DEMO_READERS; i++)
		demo_look_for_end(demo, &demo->readers[i].child);
	for (int i = 0; i < DEMO_PRODUCERS; i++)
		demo_look_for_end(demo, &demo->producers[i].child);
	screen_draw(&demo->screen);
	return !demo->is_failed && !demo->is_interrupted;
}

bool demo_run_until(struct demo *demo, uint64_t until_ns)
{
	while (shmb_now_ns() < until_ns)
		if (!demo_round(demo, until_ns))
			return false;
	return true;
}

bool demo_run_for(struct demo *demo, bool (*is_done)(const struct demo *demo), double seconds, const char *what)
{
	uint64_t deadline = shmb_now_ns() + (uint64_t)(seconds * 1e9);

	while (!is_done(demo)) {
		if (shmb_now_ns() >= deadline) {
			demo_fail(demo, "%s did not happen within %g s", what, seconds);
			return false;
		}
		if (!demo_round(demo, deadline))
			return false;
	}
	return true;
}
