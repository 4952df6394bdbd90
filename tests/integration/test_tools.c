/* SPDX-License-Identifier: MIT */
/*
 * The verbs of the command that publish and measure, and those that make pictures: published values come back, rates and delays are what was published,
 * pictures have the pixels that were written. Screens: test_screens.c.
 */
#include "tools.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <png.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POINT_SCHEMA "uint64 stamp_ns;float64[3] p;char[8] who;int16 k;bool on"

/* One line of JSON from the command. */
static json_t *ask(struct broker *b, const char *const argv[])
{
	struct program_result result;
	json_t *json;

	program_run(&result, plain(b), argv);
	ck_assert_msg(result.status == 0, "%s: exit status %d: %s", argv[1], result.status, result.err);
	json = object(result.out);
	program_result_deinit(&result);
	return json;
}

#define ASK(b, ...) ask(b, ARGV(path_shmbctl(), __VA_ARGS__))

/* ---- pub -------------------------------------------------------------------------------------------------------------------------------- */

START_TEST(arguments_are_published)
{
	struct shmb_value_reader *reader = NULL;
	struct point point;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	EXPECT(&b, 4, "--schema", "pub", "new", "k=1");
	EXPECT(&b, 2, "block", "pub", "new", "--schema", POINT_SCHEMA, "--kind", "block", "k=1");
	{
		struct program_result result;
		struct shmb_block *block;

		ASSERT_OK(shmb_block_open(&block, client, "block", &point_type));
		program_run(&result, plain(&b), ARGV(path_shmbctl(), "info", "block"));
		ck_assert_int_eq(result.status, 0);
		ck_assert_msg(strstr(result.out, "only those of values, rings and frames are read\n") != NULL, "%s", result.out);
		program_result_deinit(&result);
		EXPECT(&b, 2, "published to a block", "pub", "block", "k=1");
		shmb_block_close(block);
		ASSERT_OK(shmb_remove(client, "block"));
	}
	EXPECT(&b, 2, "line 1", "pub", "new", "--schema", "float65 x", "x=1");
	EXPECT(&b, 2, "--capacity", "pub", "new", "--schema", "float64 x", "--kind", "frame", "--capacity", "8", "x=1");
	EXPECT(&b, 0, NULL, "pub", "new", "--schema", POINT_SCHEMA, "--type", "point", "stamp_ns=now", "p=[1, 2.5, -3e3]", "who=robot",
	       "k=-0x10", "on=true");
	ASSERT_OK(shmb_value_reader_open(&reader, client, "new", &point_type, SHMB_NO_WAIT));
	ASSERT_OK(shmb_value_load(reader, &point, NULL));
	ck_assert_uint_le(point.stamp_ns, shmb_now_ns());
	ck_assert_uint_gt(point.stamp_ns + UINT64_C(60000000000), shmb_now_ns());
	ck_assert(point.p[0] == 1 && point.p[1] == 2.5 && point.p[2] == -3000);
	ck_assert_str_eq((const char *)point.who, "robot");
	ck_assert_int_eq(point.k, -16);
	ck_assert(point.on);

	/* What is there already needs no schema; what does not fit is refused and nothing is written. */
	EXPECT(&b, 0, NULL, "pub", "new", "p[1]=7", "k=32767", "--no-legend");
	ASSERT_OK(shmb_value_load(reader, &point, NULL));
	ck_assert(point.p[0] == 0 && point.p[1] == 7 && point.k == 32767 && !point.on);
	EXPECT(&b, 2, "does not fit", "pub", "new", "k=32768");
	EXPECT(&b, 2, "does not fit", "pub", "new", "stamp_ns=-1");
	EXPECT(&b, 2, "does not fit", "pub", "new", "on=2");
	EXPECT(&b, 2, "whole number", "pub", "new", "k=1.5");
	EXPECT(&b, 2, "no number", "pub", "new", "p[0]=x");
	EXPECT(&b, 2, "more elements", "pub", "new", "p=[1,2,3,4]");
	EXPECT(&b, 2, "no list", "pub", "new", "p=1");
	EXPECT(&b, 2, "`list` does not take --count", "list", "--no-legend", "--count", "3");
	EXPECT(&b, 2, "`hz` does not take --kind", "hz", "new", "--kind", "ring", "--capacity", "8");
	EXPECT(&b, 2, "no element", "pub", "new", "p[3]=1");
	EXPECT(&b, 2, "no array", "pub", "new", "k[0]=1");
	EXPECT(&b, 2, "more characters", "pub", "new", "who=ninechars");
	EXPECT(&b, 2, "no field", "pub", "new", "zz=1");
	EXPECT(&b, 2, "FIELD=VALUE", "pub", "new", "k");
	ASSERT_OK(shmb_value_load(reader, &point, NULL));
	ck_assert_int_eq(point.k, 32767);
	shmb_value_reader_close(reader);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* Feeds standard input to `pub`; its exit status. */
static int feed(struct broker *b, const char *name, const char *kind, const char *input)
{
	struct program pub;

	program_start(&pub, plain(b),
		      ARGV(path_shmbctl(), "pub", name, "--kind", kind, "--schema", POINT_SCHEMA, "--type", "point", "--no-legend"));
	program_send(&pub, "%s", input);
	close(pub.in);
	pub.in = -1;
	return program_wait(&pub);
}

START_TEST(lines_are_published)
{
	struct shmb_queue_consumer *queue = NULL;
	struct shmb_ring_reader *ring = NULL;
	struct point points[4];
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	ck_assert_int_eq(
		feed(&b, "json", "ring", "{\"k\": 1, \"p\": [0.5, 1], \"who\": \"a\"}\n\n{\"k\": 2, \"on\": true}\n{\"k\": null}\n"), 0);
	ASSERT_OK(shmb_ring_reader_open(&ring, client, "json", &point_type, SHMB_NO_WAIT));
	ASSERT_OK(shmb_ring_seek_oldest(ring));
	for (int i = 0; i < 3; i++)
		ASSERT_OK(shmb_ring_read_next(ring, &points[i], NULL));
	ASSERT_ERROR(shmb_ring_read_next(ring, &points[3], NULL), ENODATA);
	ck_assert(points[0].k == 1 && points[0].p[0] == 0.5 && points[0].p[1] == 1 && !points[0].on);
	/* What a line does not name stays. */
	ck_assert(points[1].k == 2 && points[1].p[0] == 0.5 && points[1].on && points[2].k == 2 && strcmp((char *)points[2].who, "a") == 0);
	shmb_ring_reader_close(ring);

	ck_assert_int_eq(feed(&b, "csv", "queue", "k, p[2],who\r\n1,0.25,\"a,\"\"b\"\n2,,c\n"), 0);
	ASSERT_OK(shmb_queue_consumer_open(&queue, client, "csv", &point_type, SHMB_NO_WAIT));
	ASSERT_OK(shmb_queue_pop(queue, &points[0], NULL));
	ASSERT_OK(shmb_queue_pop(queue, &points[1], NULL));
	ASSERT_ERROR(shmb_queue_pop(queue, &points[2], NULL), ENODATA);
	ck_assert(points[0].k == 1 && points[0].p[2] == 0.25 && strcmp((char *)points[0].who, "a,\"b") == 0);
	ck_assert(points[1].k == 2 && points[1].p[2] == 0.25 && strcmp((char *)points[1].who, "c") == 0);
	shmb_queue_consumer_close(queue);

	ck_assert_int_eq(feed(&b, "bad", "value", "{\"k\": \"x\"}\n"), 2);
	ck_assert_int_eq(feed(&b, "bad", "value", "{\"k\": 1\n"), 2);
	ck_assert_int_eq(feed(&b, "bad", "value", "k,zz\n1,2\n"), 2);
	ck_assert_int_eq(feed(&b, "bad", "value", "k\n1,2\n"), 2);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* `now` is the time at which its element is published, not the one at which the element before was. */
START_TEST(now_is_now)
{
	struct shmb_ring_reader *ring = NULL;
	struct shmb_sample sample;
	struct point point;
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	EXPECT(&b, 0, NULL, "pub", "timed", "--kind", "ring", "--stamped", "--schema", POINT_SCHEMA, "--type", "point", "--rate", "0.5",
	       "--count", "2", "stamp_ns=now");
	ASSERT_OK(shmb_ring_reader_open(&ring, client, "timed", &point_type, SHMB_NO_WAIT));
	ASSERT_OK(shmb_ring_seek_oldest(ring));
	for (int i = 0; i < 2; i++) {
		ASSERT_OK(shmb_ring_read_next(ring, &point, &sample));
		ck_assert_uint_le(point.stamp_ns, sample.stamp_ns);
		/* far less than the 2 s between them, also where the machine is slow */
		ck_assert_uint_lt(sample.stamp_ns - point.stamp_ns, 1500000000);
	}
	shmb_ring_reader_close(ring);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- hz, bw, delay, tree ------------------------------------------------------------------------------------------------------------------- */

START_TEST(rates_and_delays_are_those_of_the_writer)
{
	struct shmb_segment_status before, after;
	struct shmb_ring_reader *reader = NULL;
	struct program pub;
	struct shmb *client;
	struct broker b;
	uint64_t begin, deadline, end;
	json_t *json = NULL;
	double hz, bytes;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	program_start(&pub, plain(&b),
		      ARGV(path_shmbctl(), "pub", "r", "--kind", "ring", "--schema", POINT_SCHEMA, "--stamped", "--capacity", "64",
			   "--rate", "100", "stamp_ns=now"));
	ASSERT_OK(shmb_ring_reader_open(&reader, client, "r", NULL, deadline_in(SUITE_PATIENCE_MS)));
	deadline = deadline_in(SUITE_PATIENCE_MS);
	/* Each again where `pub` got no turn meanwhile. */
	do {
		json_decref(json);
		ASSERT_OK(shmb_ring_status(reader, &before));
		begin = shmb_now_ns();
		json = ASK(&b, "hz", "r", "--count", "1", "--interval", "500ms", "--json");
		end = shmb_now_ns();
		ASSERT_OK(shmb_ring_status(reader, &after));
	} while (number_of(json, "seen") < 2 && suite_pause(deadline));
	hz = number_of(json, "hz");
	/* It saw no more than we did around it, and counted them in its own time. */
	ck_assert(number_of(json, "writes") <= (double)(after.next - before.next) && hz > 0);
	ck_assert_msg(hz <= (double)(after.next - before.next) / 0.5, "%f Hz", hz);
	ck_assert((double)(end - begin) >= 5e8);
	ck_assert(number_of(json, "interval_min_ns") <= number_of(json, "interval_max_ns"));

	do {
		json_decref(json);
		begin = shmb_now_ns();
		json = ASK(&b, "bw", "r", "--count", "1", "--interval", "300ms", "--json");
		end = shmb_now_ns();
	} while (number_of(json, "seen") < 2 && suite_pause(deadline));
	ck_assert(number_of(json, "bytes_mean") == sizeof(struct point) && number_of(json, "bytes_min") == sizeof(struct point));
	/* In its own time, which is at least what was asked for and at most what we saw it take. */
	bytes = sizeof(struct point) * number_of(json, "writes");
	ck_assert_msg(number_of(json, "bytes_per_s") <= bytes / 0.3 + 1, "%f B/s", number_of(json, "bytes_per_s"));
	ck_assert_msg(number_of(json, "bytes_per_s") >= bytes / ((double)(end - begin) / 1e9) - 1, "%f B/s",
		      number_of(json, "bytes_per_s"));

	do {
		json_decref(json);
		json = ASK(&b, "delay", "r", "--count", "1", "--interval", "500ms", "--json");
	} while (number_of(json, "samples") == 0 && suite_pause(deadline));
	ck_assert(number_of(json, "samples") > 0 && number_of(json, "p50_ns") > 0);
	ck_assert(number_of(json, "p50_ns") <= number_of(json, "p99_ns") && number_of(json, "p999_ns") <= number_of(json, "max_ns"));
	do {
		json_decref(json);
		json = ASK(&b, "delay", "r", "--count", "1", "--interval", "500ms", "--field", "stamp_ns", "--json");
	} while (number_of(json, "samples") == 0 && suite_pause(deadline));
	ck_assert(number_of(json, "p50_ns") > 0);
	json_decref(json);
	EXPECT(&b, 2, "no field of 64 bits", "delay", "r", "--field", "k");
	EXPECT(&b, 2, "interval", "hz", "r", "--interval", "5");

	json = ASK(&b, "tree", "--json");
	ck_assert_uint_eq(json_array_size(json_object_get(json, "segments")), 1);
	json_decref(json);
	shmb_ring_reader_close(reader);
	program_signal(&pub, SIGINT);
	ck_assert_int_eq(program_wait(&pub), 0);
	EXPECT(&b, 0, NULL, "pub", "a/b/c", "--schema", "uint8 x", "x=1");
	EXPECT(&b, 0, NULL, "pub", "a/b", "--schema", "uint8 x", "x=1");
	EXPECT(&b, 0, NULL, "pub", "a-c", "--schema", "uint8 x", "x=1");
	{
		struct program_result result;

		SHMBCTL(&result, &b, "tree");
		ck_assert_msg(strncmp(result.out, "|-- a\n|   `-- b  value", 22) == 0 &&
				      strstr(result.out, "\n|       `-- c  value") != NULL &&
				      strstr(result.out, "\n|-- a-c  value") != NULL && strstr(result.out, "\n`-- r  ring") != NULL,
			      "%s", result.out);
		program_result_deinit(&result);
	}
	EXPECT(&b, 2, "no field of 64 bits", "delay", "a/b", "--field", "x");
	EXPECT(&b, 1, "not stamped", "delay", "a/b");
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- snap ---------------------------------------------------------------------------------------------------------------------------------- */

struct shot {
	enum shmb_image_format format;
	uint8_t pixel[4]; /* bytes of one pixel, pair or square, repeated */
	uint8_t rgba[4];  /* what it must look like */
};

/* Known colours: BT.601's own for red, by its table of coefficients. */
static const struct shot shots[] = {
	{ SHMB_IMAGE_RGB8, { 200, 100, 50 }, { 200, 100, 50, 255 } },
	{ SHMB_IMAGE_BGR8, { 50, 100, 200 }, { 200, 100, 50, 255 } },
	{ SHMB_IMAGE_RGBA8, { 200, 100, 50, 128 }, { 200, 100, 50, 128 } },
	{ SHMB_IMAGE_MONO8, { 77 }, { 77, 77, 77, 255 } },
	{ SHMB_IMAGE_NV12, { 81, 90, 240 }, { 255, 0, 0, 255 } },
	{ SHMB_IMAGE_YUYV, { 81, 90, 81, 240 }, { 255, 0, 0, 255 } },
	{ SHMB_IMAGE_BAYER_RGGB8, { 200, 100, 100, 50 }, { 200, 100, 50, 255 } },
	{ SHMB_IMAGE_BAYER_BGGR8, { 50, 100, 100, 200 }, { 200, 100, 50, 255 } },
	{ SHMB_IMAGE_BAYER_GRBG8, { 100, 200, 50, 100 }, { 200, 100, 50, 255 } },
	{ SHMB_IMAGE_BAYER_GBRG8, { 100, 50, 200, 100 }, { 200, 100, 50, 255 } },
};

enum { SHOT_WIDTH = 6, SHOT_HEIGHT = 4 };

static void shot_fill(const struct shot *shot, const struct shmb_image_layout *layout, uint8_t *data)
{
	for (uint32_t y = 0; y < layout->height; y++) {
		uint8_t *row = data + (size_t)y * layout->stride;

		for (uint32_t x = 0; x < layout->width; x++) {
			switch (shot->format) {
			case SHMB_IMAGE_RGB8:
			case SHMB_IMAGE_BGR8:
				memcpy(row + 3 * (size_t)x, shot->pixel, 3);
				break;
			case SHMB_IMAGE_RGBA8:
				memcpy(row + 4 * (size_t)x, shot->pixel, 4);
				break;
			case SHMB_IMAGE_MONO8:
			case SHMB_IMAGE_NV12:
				row[x] = shot->pixel[0];
				break;
			case SHMB_IMAGE_YUYV:
				memcpy(row + 2 * (size_t)x, shot->pixel + 2 * (x % 2), 2);
				break;
			default:
				row[x] = shot->pixel[2 * (y % 2) + x % 2];
				break;
			}
		}
	}
	if (shot->format == SHMB_IMAGE_NV12)
		for (size_t i = (size_t)layout->stride * layout->height; i < layout->data_bytes; i++)
			data[i] = shot->pixel[1 + i % 2];
}

/* Decodes by libpng's own simple interface. */
static void shot_check(const char *path, const struct shot *shot)
{
	uint8_t pixels[SHOT_WIDTH * SHOT_HEIGHT * 4];
	png_image image = { .version = PNG_IMAGE_VERSION };

	ck_assert_msg(png_image_begin_read_from_file(&image, path) != 0, "%s", image.message);
	image.format = PNG_FORMAT_RGBA;
	ck_assert_uint_eq(image.width, SHOT_WIDTH);
	ck_assert_uint_eq(image.height, SHOT_HEIGHT);
	ck_assert_msg(png_image_finish_read(&image, NULL, pixels, 0, NULL) != 0, "%s", image.message);
	for (int i = 0; i < SHOT_WIDTH * SHOT_HEIGHT; i++)
		for (int c = 0; c < 4; c++) /* the conversion of YUV rounds */
			ck_assert_msg(abs(pixels[4 * i + c] - shot->rgba[c]) <= (shot->rgba[c] == 255 || shot->rgba[c] == 0 ? 2 : 0),
				      "format %d, pixel %d, channel %d: %d, not %d", shot->format, i, c, pixels[4 * i + c], shot->rgba[c]);
}

START_TEST(pictures_have_the_pixels_that_were_written)
{
	char path[256];
	char part[300];
	struct shmb *client;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	snprintf(path, sizeof(path), "%s/shot.png", b.dir);
	for (size_t i = 0; i < sizeof(shots) / sizeof(shots[0]); i++) {
		struct shmb_frame_writer *writer = NULL;
		struct shmb_image_layout layout;
		struct shmb_type *type = NULL;
		struct shmb_image *image;
		char name[32];
		void *payload;
		size_t capacity;

		snprintf(name, sizeof(name), "camera%zu", i);
		/* rows with padding, for all but the first */
		ASSERT_OK(shmb_image_layout(&layout, SHOT_WIDTH, SHOT_HEIGHT, i == 0 ? 0 : 32, shots[i].format));
		ASSERT_OK(shmb_image_type(&type, &layout));
		ASSERT_OK(shmb_frame_writer_open(&writer, client, name, type, NULL));
		EXPECT(&b, 1, "nothing has been written", "snap", name, path);
		ASSERT_OK(shmb_frame_loan(writer, &payload, &capacity));
		image = shmb_image_init(payload, &layout, 9, 7);
		shot_fill(&shots[i], &layout, shmb_image_data(image));
		ASSERT_OK(shmb_frame_commit(writer, layout.payload_bytes));
		EXPECT(&b, 0, NULL, "snap", name, path);
		shot_check(path, &shots[i]);
		shmb_frame_writer_close(writer);
		shmb_type_free(type);
	}
	snprintf(part, sizeof(part), "%s.part", path);
	ck_assert_int_eq(access(part, F_OK), -1);
	EXPECT(&b, 1, "cannot be written", "snap", "camera0", "/nonexistent/x.png");
	EXPECT(&b, 0, NULL, "pub", "other", "--schema", "uint64 x", "x=1");
	EXPECT(&b, 1, "no image", "snap", "other", path);
	EXPECT(&b, 4, "nowhere", "snap", "nowhere", path);
	EXPECT(&b, 2, "name of a segment is missing", "snap");
	EXPECT(&b, 2, "an argument is missing: shmbctl snap NAME FILE.png", "snap", "other");
	unlink(path);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

START_TEST(sixteen_bits_of_gray_stay)
{
	struct shmb_frame_writer *writer = NULL;
	struct shmb_image_layout layout;
	struct shmb_type *type = NULL;
	struct shmb_image *image;
	uint16_t pixels[SHOT_WIDTH * SHOT_HEIGHT];
	png_image png = { .version = PNG_IMAGE_VERSION };
	struct program_result result;
	struct shmb *client;
	struct broker b;
	char path[256];
	void *payload;
	size_t capacity;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	ASSERT_OK(shmb_image_layout(&layout, SHOT_WIDTH, SHOT_HEIGHT, 0, SHMB_IMAGE_MONO16));
	ASSERT_OK(shmb_image_type(&type, &layout));
	ASSERT_OK(shmb_frame_writer_open(&writer, client, "depth", type, NULL));
	ASSERT_OK(shmb_frame_loan(writer, &payload, &capacity));
	image = shmb_image_init(payload, &layout, 9, 7);
	for (unsigned i = 0; i < SHOT_WIDTH * SHOT_HEIGHT; i++) {
		pixels[i] = (uint16_t)(i * 2621 + 258);
		memcpy(shmb_image_data(image) + 2 * (size_t)i, &pixels[i], 2);
	}
	ASSERT_OK(shmb_frame_commit(writer, layout.payload_bytes));
	snprintf(path, sizeof(path), "%s/depth.png", b.dir);
	SHMBCTL(&result, &b, "snap", "depth", path, "--json");
	ck_assert_msg(result.status == 0 && strstr(result.out, "\"format\":\"mono16\"") != NULL, "%s%s", result.out, result.err);
	program_result_deinit(&result);
	ck_assert(png_image_begin_read_from_file(&png, path) != 0);
	/* Bytes as they lie in the file, for the simple interface would change the scale: a row is 2 * width, big-endian. */
	ck_assert_uint_eq(png.format & PNG_FORMAT_FLAG_LINEAR, PNG_FORMAT_FLAG_LINEAR);
	png_image_free(&png);
	{
		FILE *file = fopen(path, "re");
		png_structp reader = png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
		png_infop info = png_create_info_struct(reader);
		uint8_t row[2 * SHOT_WIDTH];

		png_init_io(reader, file);
		png_read_info(reader, info);
		ck_assert_int_eq(png_get_bit_depth(reader, info), 16);
		for (unsigned y = 0; y < SHOT_HEIGHT; y++) {
			png_read_row(reader, row, NULL);
			for (unsigned x = 0; x < SHOT_WIDTH; x++)
				ck_assert_uint_eq((unsigned)row[2 * x] << 8 | row[2 * x + 1], pixels[y * SHOT_WIDTH + x]);
		}
		png_destroy_read_struct(&reader, &info, NULL);
		fclose(file);
	}
	unlink(path);
	shmb_frame_writer_close(writer);
	shmb_type_free(type);
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

/* ---- doctor ----------------------------------------------------------------------------------------------------------------------------------- */

/* The state of a check, by its name; "" where it was not made. */
static void checked(const char *out, const char *check, char state[8])
{
	state[0] = '\0';
	for (const char *line = out; *line != '\0'; line = strchr(line, '\n') + 1) {
		json_t *json = object(line);

		if (strcmp(json_string_value(json_object_get(json, "check")), check) == 0)
			snprintf(state, 8, "%s", json_string_value(json_object_get(json, "state")));
		json_decref(json);
		if (strchr(line, '\n') == NULL)
			break;
	}
}

START_TEST(the_doctor_finds_what_is_wrong)
{
	struct program_result result;
	struct program writer;
	char missing[256];
	char stale[64];
	const char *at;
	char state[8];
	/* safe-shm's header, of a writer whose pid cannot be: above the kernel's largest */
	const uint32_t header[8] = { 0x53484d48, 1, 1, 0, 0x7ffffff0, 0, 0, 0 };
	struct broker b;

	broker_start(&b, NULL);
	SHMBCTL(&result, &b, "doctor", "--json");
	ck_assert_msg(result.status == 0, "%s%s", result.out, result.err);
	checked(result.out, "daemon", state);
	ck_assert_str_eq(state, "ok");
	checked(result.out, "versions", state);
	ck_assert_str_eq(state, "ok");
	checked(result.out, "segments", state);
	ck_assert_str_eq(state, "ok");
	checked(result.out, "space", state);
	ck_assert(strcmp(state, "ok") == 0 || strcmp(state, "warn") == 0);
	/* However many descriptors it may have, it serves no more clients than these. */
	at = strstr(result.out, " clients at a time");
	ck_assert_msg(at != NULL, "%s", result.out);
	while (at > result.out && at[-1] >= '0' && at[-1] <= '9')
		at--;
	ck_assert_int_ge(atoi(at), 1);
	ck_assert_int_le(atoi(at), 1024);
	program_result_deinit(&result);

	worker_start(&writer, &b, "writer", false);
	worker_must(&writer, "writer name=abandoned bytes=8");
	program_kill(&writer);
	broker_wait_log(&b, "abandoned: writer");
	snprintf(stale, sizeof(stale), "/dev/shm/shmb-test-stale-%d", (int)getpid());
	file_write(stale, header, sizeof(header));
	SHMBCTL(&result, &b, "doctor", "--json");
	unlink(stale);
	ck_assert_int_eq(result.status, 0);
	checked(result.out, "segments", state);
	ck_assert_str_eq(state, "warn");
	checked(result.out, "leftovers", state);
	ck_assert_str_eq(state, "warn");
	program_result_deinit(&result);

	snprintf(missing, sizeof(missing), "%s/nowhere.sock", b.dir);
	SHMBCTL(&result, &b, "doctor", "--socket", missing);
	ck_assert_int_eq(result.status, 1);
	ck_assert_msg(strncmp(result.out, "fail  daemon", 12) == 0 && strstr(result.out, "-> start it") != NULL, "%s", result.out);
	program_result_deinit(&result);
	broker_finish(&b);
}
END_TEST

/* What another program laid out keeps its layout, its keys and what is in it; what is said otherwise is refused. */
START_TEST(pub_takes_a_segment_as_it_is)
{
	struct shmb_frame_options frame_options = { .history = 2, .pins = 3 };
	struct shmb_options ring_options = { .capacity = 8, .key_clock = SHMB_CLOCK_MONOTONIC, .key_field = "t" };
	struct shmb_frame_writer *frame;
	struct shmb_ring_writer *ring;
	struct shmb_type *type;
	struct shmb *client;
	struct listed listed;
	uint64_t payload[2] = { 1, 1 };
	size_t capacity;
	void *place;
	struct broker b;

	broker_start(&b, NULL);
	client = broker_connect(&b);
	ASSERT_OK(shmb_type_parse(&type, "timed", "uint64 t\nuint64 x\n"));
	ASSERT_OK(shmb_frame_writer_open(&frame, client, "f", type, &frame_options));
	ASSERT_OK(shmb_frame_loan(frame, &place, &capacity));
	memcpy(place, payload, sizeof(payload));
	ASSERT_OK(shmb_frame_commit(frame, sizeof(payload)));
	shmb_frame_writer_close(frame);
	ASSERT_OK(shmb_ring_writer_open(&ring, client, "r", type, &ring_options));
	ASSERT_OK(shmb_ring_insert(ring, payload));
	shmb_ring_writer_close(ring);
	shmb_type_free(type);

	for (unsigned i = 0; i < 2; i++) {
		const char *name = i == 0 ? "f" : "r";

		EXPECT(&b, 2, "no field", "pub", name, "y=1");
		EXPECT(&b, 2, "--schema", "pub", name, "x=1", "--schema", "float64 x");
		EXPECT(&b, 2, "--schema", "pub", name, "x=1", "--schema", "float99 x");
		EXPECT(&b, 2, "--kind", "pub", name, "x=1", "--kind", "queue");
		EXPECT(&b, 2, "--capacity", "pub", name, "x=1", "--capacity", "64");
		EXPECT(&b, 0, NULL, "pub", name, "t=2", "x=1", "--schema", "uint64 t;uint64 x");
		ck_assert(segment_listed(client, name, &listed));
		ck_assert_uint_eq(listed.generation, 1);
	}
	shmb_disconnect(client);
	broker_finish(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tools");

	suite_add(suite, pub_takes_a_segment_as_it_is, 60);
	suite_add(suite, arguments_are_published, 60);
	suite_add(suite, lines_are_published, 60);
	suite_add(suite, now_is_now, 60);
	suite_add(suite, rates_and_delays_are_those_of_the_writer, 60);
	suite_add(suite, pictures_have_the_pixels_that_were_written, 60);
	suite_add(suite, sixteen_bits_of_gray_stay, 60);
	suite_add(suite, the_doctor_finds_what_is_wrong, 60);
	return suite_run(suite);
}
