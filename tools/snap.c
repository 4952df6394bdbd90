/* SPDX-License-Identifier: MIT */
/*
 * `shmbctl snap NAME FILE.png`: the newest image of a frame (or of a value or ring that holds images) as a picture. It copies the payload, so
 * that the writer can go on, checks that it is an image, and writes the PNG under a temporary name that becomes FILE when it is whole.
 */

#include "command.h"
#include "json.h"
#include "output.h"
#include "picture.h"
#include "source.h"

#include <errno.h>
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* libpng's own words; it returns by longjmp. */
static void snap_png_error(png_structp png, png_const_charp text)
{
	fprintf(stderr, "shmbctl: the picture cannot be written: %s\n", text);
	png_longjmp(png, 1);
}

static void snap_png_warning(png_structp png, png_const_charp text)
{
	(void)png;
	(void)text;
}

/* 0, or -EIO after saying why. */
static int snap_encode(FILE *out, const struct shmb_image_layout *layout, const uint8_t *pixels)
{
	struct picture_row row = picture_row(layout);
	png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, snap_png_error, snap_png_warning);
	png_infop info = png ? png_create_info_struct(png) : NULL;
	uint8_t *line = malloc(row.bytes);
	int color = row.channels == 1 ? PNG_COLOR_TYPE_GRAY : row.channels == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_RGBA;

	if (!png || !info || !line) {
		fprintf(stderr, "shmbctl: out of memory\n");
		png_destroy_write_struct(&png, &info);
		free(line);
		return -ENOMEM;
	}
	if (setjmp(png_jmpbuf(png))) {
		png_destroy_write_struct(&png, &info);
		free(line);
		return -EIO;
	}
	png_init_io(png, out);
	png_set_IHDR(png, info, layout->width, layout->height, (int)row.bits, color, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
		     PNG_FILTER_TYPE_DEFAULT);
	png_write_info(png, info);
	for (uint32_t y = 0; y < layout->height; y++) {
		picture_convert(layout, pixels, y, line);
		png_write_row(png, line);
	}
	png_write_end(png, NULL);
	png_destroy_write_struct(&png, &info);
	free(line);
	return 0;
}

/* 0 or an exit status, the reason said. */
static int snap_write(const char *path, const struct shmb_image_layout *layout, const uint8_t *pixels)
{
	char *temporary = NULL;
	FILE *out;
	int r;

	if (strcmp(path, "-") == 0)
		return snap_encode(stdout, layout, pixels) < 0 || output_flush() < 0 ? COMMAND_FAILED : 0;
	if (asprintf(&temporary, "%s.part", path) < 0)
		return command_fail(NULL, -ENOMEM);
	out = fopen(temporary, "we");
	if (!out) {
		fprintf(stderr, "shmbctl: %s cannot be written: %s\n", path, strerror(errno));
		free(temporary);
		return COMMAND_FAILED;
	}
	r = snap_encode(out, layout, pixels);
	if ((fclose(out) != 0 || (r == 0 && rename(temporary, path) < 0)) && r == 0) {
		fprintf(stderr, "shmbctl: %s cannot be written: %s\n", path, strerror(errno));
		r = -EIO;
	}
	if (r < 0)
		unlink(temporary);
	free(temporary);
	return r < 0 ? COMMAND_FAILED : 0;
}

static int snap_report(const struct command_options *options, const struct shmb_image_layout *layout, const struct shmb_sample *sample)
{
	const char *format = shmb_image_format_name(layout->format);
	char *path;
	int r = 0;

	if (options->json) {
		r = json_line(json_pack("{s:o, s:o, s:I, s:I, s:s, s:o, s:o}", "name", json_text(options->names[0]), "file",
					json_text(options->names[1]), "width", (json_int_t)layout->width, "height",
					(json_int_t)layout->height, "format", format, "number", json_u64(sample->number), "stamp_ns",
					sample->stamp_ns ? json_u64(sample->stamp_ns) : json_null()));
	} else if (!options->no_legend) {
		path = output_escape(options->names[1]);
		printf("%s: %u x %u, %s, frame %llu\n", path ? path : "?", layout->width, layout->height, format,
		       (unsigned long long)sample->number);
		free(path);
	}
	return r < 0 ? command_fail(NULL, r) : 0;
}

int command_snap(struct shmb *broker, const struct command_options *options)
{
	const char *name = options->names[0];
	struct shmb_image_layout layout;
	struct shmb_sample sample = { 0 };
	struct source source;
	int r = source_open(&source, broker, name, SOURCE_OBSERVER);

	if (r == 0)
		r = source_newest(&source, &sample);
	if (r == -EMEDIUMTYPE) {
		r = COMMAND_FAILED;
	} else if (r == -ENODATA) {
		fprintf(stderr, "shmbctl: nothing has been written to %s yet\n", name);
		r = COMMAND_FAILED;
	} else if (r < 0) {
		r = command_fail(name, r);
	} else if (shmb_image_check(source.bytes, source.length, &layout) < 0) {
		fprintf(stderr, "shmbctl: what is in %s is no image; `shmbctl info %s` shows its fields\n", name, name);
		r = COMMAND_FAILED;
	} else {
		r = snap_write(options->names[1], &layout, shmb_image_pixels(source.bytes));
		if (r == 0 && strcmp(options->names[1], "-") != 0)
			r = snap_report(options, &layout, &sample);
	}
	source_close(&source);
	return r;
}
