/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_LAMP_H
#define EXAMPLES_LAMP_H

/* Where the lamp of camera.c hangs in picture `number`: what the camera draws and the filter must find. */

#include "shmb.h"

static inline uint32_t lamp_radius(const struct shmb_image_layout *layout)
{
	return (layout->width < layout->height ? layout->width : layout->height) / 12;
}

/* Back and forth over `span` places. */
static inline uint32_t lamp_swing(uint64_t number, uint32_t span)
{
	uint32_t at = (uint32_t)(number % (2 * (uint64_t)span));

	return at < span ? at : 2 * span - 1 - at;
}

static inline void lamp_place(const struct shmb_image_layout *layout, uint64_t number, uint32_t *x, uint32_t *y)
{
	uint32_t radius = lamp_radius(layout);

	*x = radius + lamp_swing(number * 7, layout->width - 2 * radius);
	*y = radius + lamp_swing(number * 3, layout->height - 2 * radius);
}

#endif
