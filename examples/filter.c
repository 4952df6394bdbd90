/* SPDX-License-Identifier: MIT */
/*
 * filter: takes the pictures of `camera`, finds the edges in them and publishes those as pictures of its own. Nothing is copied: it reads each picture
 * where the camera drew it, and writes the edges where its own readers will look.
 *
 *   filter [--from camera/front] [--to NAME/edges] [--count N]
 *
 * Once a second it says how many pictures came, how many were missed, how old the edges were when they were published, and where it saw the lamp:
 * wrong places are counted, and there are none. It waits for the camera, goes on when a new one comes after the old one died, and
 * lives through the death of shmbrokerd.
 */

#include "lamp.h"
#include "shmb.h"
#include "units.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static volatile sig_atomic_t is_stopped;

struct filter {
	struct shmb *broker;
	const char *from;
	char to[256];
	struct shmb_frame_reader *reader;
	struct shmb_frame_writer *writer; /* opened with the first picture, which tells the size */
	struct shmb_image_layout layout;  /* of the edges */
	uint64_t count, missed, wrong, dropped;
	uint64_t oldest_ns; /* largest age of edges in this second */
	uint32_t x, y;
};

static void stop(int signal)
{
	(void)signal;
	is_stopped = 1;
}

static inline int green(const uint8_t *row, uint32_t x)
{
	return row[3 * x + 1];
}

/* Differences of neighbours, and the middle of what is bright. */
static void find_edges(struct filter *filter, const uint8_t *in, const struct shmb_image_layout *layout, uint8_t *out)
{
	uint64_t sum_x = 0, sum_y = 0, bright = 0;

	memset(out, 0, filter->layout.data_bytes);
	for (uint32_t y = 0; y + 1 < layout->height; y++) {
		const uint8_t *row = in + (size_t)y * layout->stride;
		const uint8_t *below = row + layout->stride;
		uint8_t *edge = out + (size_t)y * filter->layout.stride;

		for (uint32_t x = 0; x + 1 < layout->width; x++) {
			int here = green(row, x);
			int change = abs(here - green(row, x + 1)) + abs(here - green(below, x));

			edge[x] = (uint8_t)(change < 255 ? change : 255);
			if (here > 128) {
				sum_x += x;
				sum_y += y;
				bright++;
			}
		}
	}
	filter->x = bright > 0 ? (uint32_t)(sum_x / bright) : 0;
	filter->y = bright > 0 ? (uint32_t)(sum_y / bright) : 0;
}

static int open_writer(struct filter *filter, const struct shmb_image_layout *in)
{
	struct shmb_type *type = NULL;
	int r = shmb_image_layout(&filter->layout, in->width, in->height, 0, SHMB_IMAGE_MONO8);

	if (r == 0)
		r = shmb_image_type(&type, &filter->layout);
	if (r == 0)
		r = shmb_frame_writer_open(&filter->writer, filter->broker, filter->to, type, &(struct shmb_frame_options){ .stamped = 1 });
	shmb_type_free(type);
	return r;
}

/* From one picture to its edges. */
static int process(struct filter *filter, const struct shmb_frame *frame)
{
	struct shmb_image_layout in;
	struct shmb_image *edges;
	uint64_t number, stamp_ns;
	size_t capacity;
	void *payload;
	int r = shmb_image_check(frame->payload, frame->length, &in);

	if (r == 0 && in.format != SHMB_IMAGE_RGB8)
		r = -EBADMSG;
	if (r == 0 && filter->writer == NULL)
		r = open_writer(filter, &in);
	if (r == 0 && (in.width != filter->layout.width || in.height != filter->layout.height))
		r = -EBADMSG;
	if (r == 0)
		r = shmb_frame_loan(filter->writer, &payload, &capacity);
	if (r != 0)
		return r;
	number = ((const struct shmb_image *)frame->payload)->number;
	stamp_ns = ((const struct shmb_image *)frame->payload)->stamp_ns;
	edges = shmb_image_init(payload, &filter->layout, number, stamp_ns);
	find_edges(filter, shmb_image_pixels(frame->payload), &in, shmb_image_data(edges));
	return 0;
}

/* Is the lamp where the camera drew it? To a pixel: its edge is cut to whole ones. */
static int is_right(const struct filter *filter, uint64_t number)
{
	uint32_t x, y;

	lamp_place(&filter->layout, number, &x, &y);
	return abs((int)x - (int)filter->x) <= 1 && abs((int)y - (int)filter->y) <= 1;
}

static int take(struct filter *filter)
{
	struct shmb_frame frame;
	uint64_t age_ns;
	int r = shmb_frame_pin_newest(filter->reader, &frame);

	if (r < 0)
		return r;
	r = process(filter, &frame);
	age_ns = shmb_now_ns() - frame.stamp_ns;
	if (shmb_frame_release(filter->reader, &frame) == -ESTALE && r == 0)
		r = -ESTALE; /* the picture changed under our eyes: a broken camera */
	if (r == -ESTALE) {
		filter->dropped++;
		return shmb_frame_abort(filter->writer);
	}
	if (r == 0)
		r = shmb_frame_commit(filter->writer, filter->layout.payload_bytes);
	if (r < 0)
		return r;
	filter->count++;
	filter->missed += frame.missed;
	filter->wrong += !is_right(filter, frame.number);
	if (age_ns > filter->oldest_ns)
		filter->oldest_ns = age_ns;
	return 0;
}

static void report(struct filter *filter)
{
	char age[UNITS_SIZE];

	printf("filter: %" PRIu64 " pictures, %" PRIu64 " missed, %" PRIu64 " wrong; edges at most %s after the picture; lamp at %u, %u\n",
	       filter->count, filter->missed, filter->wrong + filter->dropped, units_duration(age, filter->oldest_ns), filter->x,
	       filter->y);
	filter->oldest_ns = 0;
}

/* Until the camera's segment is gone, or enough. */
static int run(struct filter *filter, uint64_t count)
{
	uint64_t due = shmb_now_ns() + 1000000000;
	int r = 0;

	while (!is_stopped && (count == 0 || filter->count < count)) {
		r = shmb_frame_wait(filter->reader, shmb_now_ns() + 100000000);
		if (r == 0)
			r = take(filter);
		if (r == -EOWNERDEAD || r == -EPIPE)
			printf("filter: the camera is gone (%s); waiting for the next\n", shmb_strerror(r));
		else if (r != 0 && r != -ETIMEDOUT && r != -EAGAIN && r != -ENODATA && r != -EREMCHG)
			return r;
		if (shmb_now_ns() >= due) {
			report(filter);
			due += 1000000000;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "from", required_argument, NULL, 'f' },
						 { "to", required_argument, NULL, 't' },
						 { "count", required_argument, NULL, 'c' },
						 { "help", no_argument, NULL, 'h' },
						 { NULL, 0, NULL, 0 } };
	struct filter filter = { .from = "camera/front" };
	const char *to = NULL;
	uint64_t count = 0;
	int option;
	int r;

	while ((option = getopt_long(argc, argv, "f:t:c:h", options, NULL)) != -1) {
		if (option == 'f') {
			filter.from = optarg;
		} else if (option == 't') {
			to = optarg;
		} else if (option == 'c') {
			count = strtoull(optarg, NULL, 10);
		} else {
			fprintf(stderr, "usage: filter [--from NAME] [--to NAME] [--count N]\n");
			return option == 'h' ? EXIT_SUCCESS : 2;
		}
	}
	snprintf(filter.to, sizeof(filter.to), to != NULL ? "%s" : "%s/edges", to != NULL ? to : filter.from);
	signal(SIGINT, stop);
	signal(SIGTERM, stop);
	setvbuf(stdout, NULL, _IOLBF, 0);

	r = shmb_connect(&filter.broker, NULL);
	if (r == 0) {
		do {
			r = shmb_frame_reader_open(&filter.reader, filter.broker, filter.from, NULL, shmb_now_ns() + 100000000);
		} while (r == -ENOENT && !is_stopped);
	}
	if (r == 0) {
		r = run(&filter, count);
		report(&filter);
	}
	if (r < 0)
		fprintf(stderr, "filter: %s: %s\n", shmb_strerror(r), shmb_text());
	shmb_frame_writer_close(filter.writer);
	shmb_frame_reader_close(filter.reader);
	shmb_disconnect(filter.broker);
	return r == 0 && filter.wrong == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
