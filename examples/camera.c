/* SPDX-License-Identifier: MIT */
/*
 * camera: publishes pictures of a lamp that swings before a wall, as a camera's driver would: each is drawn straight into the shared memory from which
 * its readers take it. `filter` reads them.
 *
 *   camera [--name camera/front] [--size 1280x720] [--rate 30] [--count N]
 *
 * The lamp's place is known from the picture's number, so that whoever looks at a picture can tell whether it is whole.
 */

#include "lamp.h"
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

static volatile sig_atomic_t is_stopped;

static void stop(int signal)
{
	(void)signal;
	is_stopped = 1;
}

static void draw(uint8_t *pixels, const struct shmb_image_layout *layout, uint64_t number)
{
	uint32_t x0, y0, radius = lamp_radius(layout);

	lamp_place(layout, number, &x0, &y0);
	for (uint32_t y = 0; y < layout->height; y++) {
		uint8_t *row = pixels + (size_t)y * layout->stride;

		for (uint32_t x = 0; x < layout->width; x++, row += 3) {
			int64_t dx = (int64_t)x - x0;
			int64_t dy = (int64_t)y - y0;
			int is_lamp = dx * dx + dy * dy <= (int64_t)radius * radius;

			row[0] = is_lamp ? 255 : 40;
			row[1] = is_lamp ? 240 : 48;
			row[2] = is_lamp ? 200 : 64;
		}
	}
}

/* One picture. */
static int take(struct shmb_frame_writer *writer, const struct shmb_image_layout *layout)
{
	uint64_t number = shmb_frame_next_number(writer);
	struct shmb_image *image;
	size_t capacity;
	void *payload;
	int r = shmb_frame_loan(writer, &payload, &capacity);

	if (r < 0)
		return r;
	image = shmb_image_init(payload, layout, number, shmb_now_ns());
	draw(shmb_image_data(image), layout, number);
	return shmb_frame_commit(writer, layout->payload_bytes);
}

static void run(struct shmb_frame_writer *writer, const struct shmb_image_layout *layout, double rate, uint64_t count)
{
	uint64_t due = shmb_now_ns();
	uint64_t skipped = 0;
	int r = 0;

	for (uint64_t i = 0; !is_stopped && r == 0 && (count == 0 || i < count); i++) {
		struct timespec at;

		r = take(writer, layout);
		if (r == -ENOBUFS) {
			/* A camera does not wait: this picture is not taken. The text names who holds the others. */
			if (skipped++ == 0)
				fprintf(stderr, "camera: %s\n", shmb_text());
			r = 0;
		}
		due += (uint64_t)(1e9 / rate);
		at = (struct timespec){ .tv_sec = (time_t)(due / 1000000000), .tv_nsec = (long)(due % 1000000000) };
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
	}
	if (r < 0)
		fprintf(stderr, "camera: %s\n", shmb_strerror(r));
	printf("camera: %" PRIu64 " pictures, %" PRIu64 " not taken\n", shmb_frame_next_number(writer), skipped);
}

static int fail(const char *what, int r)
{
	fprintf(stderr, "camera: %s: %s: %s\n", what, shmb_strerror(r), shmb_text());
	return EXIT_FAILURE;
}

/* WIDTHxHEIGHT. What is too large or 0 shmb_image_layout() refuses. */
static bool size_read(const char *text, uint32_t *width, uint32_t *height)
{
	char *end;

	*width = (uint32_t)strtoul(text, &end, 10);
	if (*end != 'x')
		return false;
	*height = (uint32_t)strtoul(end + 1, &end, 10);
	return *end == '\0';
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "name", required_argument, NULL, 'n' }, { "size", required_argument, NULL, 's' },
						 { "rate", required_argument, NULL, 'r' }, { "count", required_argument, NULL, 'c' },
						 { "help", no_argument, NULL, 'h' },	   { NULL, 0, NULL, 0 } };
	unsigned width = 1280;
	unsigned height = 720;
	const char *name = "camera/front";
	struct shmb_frame_writer *writer;
	struct shmb_image_layout layout;
	struct shmb_type *type = NULL;
	struct shmb *broker;
	uint64_t count = 0;
	double rate = 30;
	int option;
	int r;

	while ((option = getopt_long(argc, argv, "n:s:r:c:h", options, NULL)) != -1) {
		if (option == 'n')
			name = optarg;
		else if (option == 'r' && strtod(optarg, NULL) > 0)
			rate = strtod(optarg, NULL);
		else if (option == 'c')
			count = strtoull(optarg, NULL, 10);
		else if (option != 's' || !size_read(optarg, &width, &height)) {
			fprintf(stderr, "usage: camera [--name NAME] [--size WIDTHxHEIGHT] [--rate HZ] [--count N]\n");
			return option == 'h' ? EXIT_SUCCESS : 2;
		}
	}
	signal(SIGINT, stop);
	signal(SIGTERM, stop);
	setvbuf(stdout, NULL, _IOLBF, 0);

	r = shmb_connect(&broker, NULL);
	if (r < 0)
		return fail("connecting", r);
	r = shmb_image_layout(&layout, width, height, 0, SHMB_IMAGE_RGB8);
	if (r == 0)
		r = shmb_image_type(&type, &layout);
	if (r == 0)
		r = shmb_frame_writer_open(&writer, broker, name, type, &(struct shmb_frame_options){ .stamped = 1 });
	if (r == 0) {
		printf("camera: %s, %ux%u %s, %" PRIu64 " bytes each, %g a second\n", name, width, height,
		       shmb_image_format_name(layout.format), layout.payload_bytes, rate);
		run(writer, &layout, rate, count);
		shmb_frame_writer_close(writer);
	} else {
		fail(name, r);
	}
	shmb_type_free(type);
	shmb_disconnect(broker);
	return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
