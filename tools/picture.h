/* SPDX-License-Identifier: MIT */
#ifndef SHMBCTL_PICTURE_H
#define SHMBCTL_PICTURE_H

/*
 * An image of any format of shmb_image.h as rows that a PNG can hold. Pure.
 *
 *   RGB8, BGR8, NV12, YUYV, bayer  8-bit RGB      RGBA8  8-bit RGBA      MONO8  8-bit gray      MONO16  16-bit gray
 *
 * NV12 and YUYV are converted as BT.601 with the range of television (Y 16 to 235), which is what cameras deliver; each pixel has the chroma of its
 * pair or square. Bayer: each pixel takes red and blue, and the mean of both greens, from the 2x2 square it lies in: sharp enough to look at,
 * and exact for areas of one colour.
 */

#include "shmb.h"

struct picture_row {
	unsigned channels; /* 1 gray, 3 RGB, 4 RGBA */
	unsigned bits;	   /* of a channel: 8, or 16 (big-endian, as PNG has it) */
	size_t bytes;	   /* of a row */
};

struct picture_row picture_row(const struct shmb_image_layout *layout);
/* Fills row `y` (below layout->height) from the pixels of a checked image. */
void picture_convert(const struct shmb_image_layout *layout, const uint8_t *pixels, uint32_t y, uint8_t *out);

#endif
