/* SPDX-License-Identifier: MIT */
/*
 * Images (shmb_image.h): sizes in integers, types made at run time, headers that are checked before they are believed.
 *
 * Width, height and stride have 32 bits, so that the product of two and the half of it again fit 64: nothing here can wrap.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "proto/copy.h"
#include "proto/layout.h"
#include "shmb.h"
#include "text.h"

_Static_assert(sizeof(struct shmb_image) == SHMB_IMAGE_HEADER, "the pixels begin behind a cache line");

struct format {
	const char *name;
	uint8_t pixel_bytes; /* of the first plane */
	bool even_width;
	bool even_height;
	bool half_plane; /* a second plane of half the rows */
};

static const struct format formats[] = {
	[SHMB_IMAGE_RGB8] = { "rgb8", 3, false, false, false },
	[SHMB_IMAGE_BGR8] = { "bgr8", 3, false, false, false },
	[SHMB_IMAGE_RGBA8] = { "rgba8", 4, false, false, false },
	[SHMB_IMAGE_MONO8] = { "mono8", 1, false, false, false },
	[SHMB_IMAGE_MONO16] = { "mono16", 2, false, false, false },
	[SHMB_IMAGE_NV12] = { "nv12", 1, true, true, true },
	[SHMB_IMAGE_YUYV] = { "yuv422_yuy2", 2, true, false, false },
	[SHMB_IMAGE_BAYER_RGGB8] = { "bayer_rggb8", 1, true, true, false },
	[SHMB_IMAGE_BAYER_BGGR8] = { "bayer_bggr8", 1, true, true, false },
	[SHMB_IMAGE_BAYER_GBRG8] = { "bayer_gbrg8", 1, true, true, false },
	[SHMB_IMAGE_BAYER_GRBG8] = { "bayer_grbg8", 1, true, true, false },
};

static const struct format *format_of(uint32_t format)
{
	return format < sizeof(formats) / sizeof(formats[0]) && formats[format].name != NULL ? &formats[format] : NULL;
}

const char *shmb_image_format_name(enum shmb_image_format format)
{
	const struct format *known = format_of((uint32_t)format);

	return known != NULL ? known->name : NULL;
}

/* The layout, or why there is none. */
static int layout_make(struct shmb_image_layout *out, uint32_t width, uint32_t height, uint32_t stride, uint32_t format, const char **why)
{
	const struct format *known = format_of(format);
	uint64_t row, bytes;

	*why = "unknown format";
	if (known == NULL)
		return -EINVAL;
	*why = "it has no pixels";
	if (width == 0 || height == 0)
		return -EINVAL;
	*why = "this format has pairs of pixels or rows: width or height is odd";
	if ((known->even_width && width % 2 != 0) || (known->even_height && height % 2 != 0))
		return -EINVAL;
	row = (uint64_t)width * known->pixel_bytes;
	*why = "the stride is shorter than a row, or leaves its pixels unaligned";
	if (stride != 0 && (stride < row || (format == SHMB_IMAGE_MONO16 && stride % 2 != 0)))
		return -EINVAL;
	if (stride != 0)
		row = stride;
	*why = "a payload has 256 MiB at the most";
	if (row > SHMB_PAYLOAD_MAX)
		return -EFBIG;
	bytes = row * height;
	if (known->half_plane)
		bytes += row * (height / 2);
	if (bytes > SHMB_PAYLOAD_MAX - SHMB_IMAGE_HEADER)
		return -EFBIG;
	*out = (struct shmb_image_layout){
		.width = width,
		.height = height,
		.stride = (uint32_t)row,
		.format = (enum shmb_image_format)format,
		.data_bytes = bytes,
		.payload_bytes = bytes + SHMB_IMAGE_HEADER,
	};
	return 0;
}

int shmb_image_layout(struct shmb_image_layout *out, uint32_t width, uint32_t height, uint32_t stride, enum shmb_image_format format)
{
	const char *why;
	int r = layout_make(out, width, height, stride, (uint32_t)format, &why);

	return r < 0 ? text_fail(r, "an image of %u x %u pixels, stride %u: %s", width, height, stride, why) : 0;
}

int shmb_image_type(struct shmb_type **out, const struct shmb_image_layout *layout)
{
	char schema[256];

	*out = NULL;
	if (layout->data_bytes == 0 || layout->data_bytes > SHMB_PAYLOAD_MAX - SHMB_IMAGE_HEADER)
		return text_fail(-EINVAL, "no image has %llu bytes of pixels", (unsigned long long)layout->data_bytes);
	snprintf(schema, sizeof(schema),
		 "uint64 stamp_ns\nuint64 number\nuint32 width\nuint32 height\nuint32 stride\nuint32 format\nuint64 data_bytes\n"
		 "uint8[16] encoding\nuint8[8] reserved\nuint8[%llu] data\n",
		 (unsigned long long)layout->data_bytes);
	return shmb_type_parse(out, "image", schema);
}

struct shmb_image *shmb_image_init(void *payload, const struct shmb_image_layout *layout, uint64_t number, uint64_t stamp_ns)
{
	const struct format *known = format_of((uint32_t)layout->format);
	struct shmb_image *image = payload;

	memset(image, 0, SHMB_IMAGE_HEADER);
	image->stamp_ns = stamp_ns;
	image->number = number;
	image->width = layout->width;
	image->height = layout->height;
	image->stride = layout->stride;
	image->format = (uint32_t)layout->format;
	image->data_bytes = layout->data_bytes;
	if (known != NULL)
		memcpy(image->encoding, known->name, strlen(known->name));
	return image;
}

int shmb_image_check(const void *payload, size_t length, struct shmb_image_layout *layout)
{
	struct shmb_image header;
	const char *why = "it is shorter than a header";
	int r = -EBADMSG;

	if (length >= SHMB_IMAGE_HEADER) {
		/* Once: what the writer does to it afterwards is not seen. */
		shmb_copy(&header, payload, SHMB_IMAGE_HEADER);
		r = layout_make(layout, header.width, header.height, header.stride, header.format, &why);
		if (r == 0 && (header.data_bytes != layout->data_bytes || layout->payload_bytes > length)) {
			why = "its pixels do not lie in the payload";
			r = -EBADMSG;
		}
	}
	return r < 0 ? text_fail(-EBADMSG, "the payload is no image: %s", why) : 0;
}
