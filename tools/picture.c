/* SPDX-License-Identifier: MIT */
/* Pixels of each format as RGB or gray, row by row. */

#include "picture.h"

#include <string.h>

struct picture_row picture_row(const struct shmb_image_layout *layout)
{
	struct picture_row row = { .channels = 3, .bits = 8 };

	if (layout->format == SHMB_IMAGE_RGBA8)
		row.channels = 4;
	else if (layout->format == SHMB_IMAGE_MONO8 || layout->format == SHMB_IMAGE_MONO16)
		row.channels = 1;
	if (layout->format == SHMB_IMAGE_MONO16)
		row.bits = 16;
	row.bytes = (size_t)layout->width * row.channels * row.bits / 8;
	return row;
}

static uint8_t picture_clamp(int value)
{
	return value < 0 ? 0 : value > 255 ? 255 : (uint8_t)value;
}

/* ITU-R BT.601, in 8 bits of fraction. */
static void picture_yuv(int y, int u, int v, uint8_t *out)
{
	int c = 298 * (y - 16);
	int d = u - 128;
	int e = v - 128;

	out[0] = picture_clamp((c + 409 * e + 128) >> 8);
	out[1] = picture_clamp((c - 100 * d - 208 * e + 128) >> 8);
	out[2] = picture_clamp((c + 516 * d + 128) >> 8);
}

/* Where red lies in the 2x2 square: bit 0 the column, bit 1 the row. Blue lies opposite. */
static unsigned picture_red(enum shmb_image_format format)
{
	switch (format) {
	case SHMB_IMAGE_BAYER_GRBG8:
		return 1;
	case SHMB_IMAGE_BAYER_GBRG8:
		return 2;
	case SHMB_IMAGE_BAYER_BGGR8:
		return 3;
	default:
		return 0;
	}
}

static void picture_bayer(const struct shmb_image_layout *layout, const uint8_t *pixels, uint32_t y, uint8_t *out)
{
	const uint8_t *top = pixels + (size_t)(y & ~1u) * layout->stride;
	unsigned red = picture_red(layout->format);

	for (uint32_t x = 0; x < layout->width; x++, out += 3) {
		const uint8_t square[4] = { top[x & ~1u], top[(x & ~1u) + 1], top[layout->stride + (x & ~1u)],
					    top[layout->stride + (x & ~1u) + 1] };

		out[0] = square[red];
		out[1] = (uint8_t)((square[red ^ 1] + square[red ^ 2] + 1) / 2);
		out[2] = square[red ^ 3];
	}
}

void picture_convert(const struct shmb_image_layout *layout, const uint8_t *pixels, uint32_t y, uint8_t *out)
{
	const uint8_t *row = pixels + (size_t)y * layout->stride;
	const uint8_t *chroma;
	uint32_t width = layout->width;

	switch (layout->format) {
	case SHMB_IMAGE_RGB8:
		memcpy(out, row, (size_t)width * 3);
		break;
	case SHMB_IMAGE_RGBA8:
		memcpy(out, row, (size_t)width * 4);
		break;
	case SHMB_IMAGE_MONO8:
		memcpy(out, row, width);
		break;
	case SHMB_IMAGE_MONO16:
		for (size_t x = 0; x < width; x++) {
			out[2 * x] = row[2 * x + 1];
			out[2 * x + 1] = row[2 * x];
		}
		break;
	case SHMB_IMAGE_BGR8:
		for (size_t x = 0; x < width; x++) {
			out[3 * x] = row[3 * x + 2];
			out[3 * x + 1] = row[3 * x + 1];
			out[3 * x + 2] = row[3 * x];
		}
		break;
	case SHMB_IMAGE_NV12:
		chroma = pixels + (size_t)layout->height * layout->stride + (size_t)(y / 2) * layout->stride;
		for (uint32_t x = 0; x < width; x++)
			picture_yuv(row[x], chroma[x & ~1u], chroma[(x & ~1u) + 1], out + 3 * (size_t)x);
		break;
	case SHMB_IMAGE_YUYV:
		for (uint32_t x = 0; x < width; x++) {
			const uint8_t *pair = row + 4 * (size_t)(x / 2);

			picture_yuv(pair[x % 2 ? 2 : 0], pair[1], pair[3], out + 3 * (size_t)x);
		}
		break;
	default:
		picture_bayer(layout, pixels, y, out);
		break;
	}
}
