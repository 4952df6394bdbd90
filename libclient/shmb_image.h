/* SPDX-License-Identifier: MIT */
#ifndef SHMB_IMAGE_H
#define SHMB_IMAGE_H

/*
 * Images: what the payload of a frame (or of any other kind) looks like when it is one. Included by shmb.h, whose rules hold here too.
 *
 *   struct shmb_image_layout layout;                                   void *payload;
 *   struct shmb_type *type;                                            struct shmb_image *image;
 *   shmb_image_layout(&layout, 1920, 1080, 0, SHMB_IMAGE_RGB8);        shmb_frame_loan(writer, &payload, &capacity);
 *   shmb_image_type(&type, &layout);                                   image = shmb_image_init(payload, &layout, number, stamp_ns);
 *   shmb_frame_writer_open(&writer, broker, "camera/front", type, 0);  ... shmb_image_data(image) ...
 *                                                                      shmb_frame_commit(writer, layout.payload_bytes);
 *
 * By the time of exposure, or by the camera's count, images are found where the writer says so: .key_clock = SHMB_CLOCK_MONOTONIC (or
 * SHMB_CLOCK_REALTIME), .key_field = "stamp_ns"; or SHMB_CLOCK_SEQUENCE and "number" (shmb_frame_closest() in shmb_temporal.h).
 *
 * An image is a header of 64 bytes and its pixels. Sizes are integers throughout, every product and sum is checked, and what is too large is an
 * error instead of a wrapped number. A segment's type says how many bytes of pixels fit; the header of each image says what is in it, so images of
 * several sizes may pass through one segment.
 */

#ifdef __cplusplus
extern "C" {
#endif

enum shmb_image_format {
	SHMB_IMAGE_RGB8 = 1,  /* 3 bytes a pixel: R G B */
	SHMB_IMAGE_BGR8 = 2,  /* B G R, OpenCV's order */
	SHMB_IMAGE_RGBA8 = 3, /* 4 bytes a pixel */
	SHMB_IMAGE_MONO8 = 4,
	SHMB_IMAGE_MONO16 = 5,	     /* 2 bytes a pixel, little-endian: depth in mm, infrared */
	SHMB_IMAGE_NV12 = 6,	     /* a plane of Y, then one of U V pairs of half the height; width and height are even */
	SHMB_IMAGE_YUYV = 7,	     /* Y U Y V: 2 bytes a pixel; the width is even */
	SHMB_IMAGE_BAYER_RGGB8 = 8,  /* one byte a pixel, as the sensor has it: first row R G R G, second G B G B */
	SHMB_IMAGE_BAYER_BGGR8 = 9,  /* B G, G R */
	SHMB_IMAGE_BAYER_GBRG8 = 10, /* G B, R G */
	SHMB_IMAGE_BAYER_GRBG8 = 11, /* G R, B G; width and height of bayer images are even */
};

/* What an image of this size and format takes. Made by shmb_image_layout(). */
struct shmb_image_layout {
	uint32_t width;	 /* pixels */
	uint32_t height; /* rows */
	uint32_t stride; /* bytes from one row to the next, of every plane */
	enum shmb_image_format format;
	uint64_t data_bytes;	/* of all planes */
	uint64_t payload_bytes; /* with the header: what is committed */
};

/*
 * The payload, byte for byte; its schema is
 *
 *   uint64 stamp_ns  uint64 number  uint32 width  uint32 height  uint32 stride  uint32 format  uint64 data_bytes
 *   uint8[16] encoding  uint8[8] reserved  uint8[N] data
 */
struct shmb_image {
	uint64_t stamp_ns; /* of the exposure, in the clock that the writer states; 0 unknown */
	uint64_t number;   /* the camera's own count of frames */
	uint32_t width;
	uint32_t height;
	uint32_t stride;
	uint32_t format; /* enum shmb_image_format */
	uint64_t data_bytes;
	uint8_t encoding[16]; /* name of the format as ROS knows it ("rgb8", "bayer_rggb8"), NUL-filled */
	uint8_t reserved[8];  /* 0; behind it the pixels begin: shmb_image_data() */
};

/*
 * Computes a layout. `stride` 0: rows without padding. -EINVAL no pixels, unknown format, odd where it must be even, or a stride that is
 * shorter than a row (or, for mono16, odd); -EFBIG more than a payload of 256 MiB holds.
 */
SHMB_PUBLIC int shmb_image_layout(struct shmb_image_layout *out, uint32_t width, uint32_t height, uint32_t stride,
				  enum shmb_image_format format);
/* The type of a payload that holds images of this layout, and smaller ones. *out is ended with shmb_type_free(). -EINVAL, -ENOMEM. */
SHMB_PUBLIC int shmb_image_type(struct shmb_type **out, const struct shmb_image_layout *layout);
/* Writes the header into a payload on loan (layout->payload_bytes of it must be there) and returns it; the pixels are the caller's to fill. */
SHMB_PUBLIC struct shmb_image *shmb_image_init(void *payload, const struct shmb_image_layout *layout, uint64_t number, uint64_t stamp_ns);
/*
 * Is this payload of `length` bytes an image whose pixels all lie in it? The header is read once into *layout, from which on everything is
 * computed: a writer that changes it afterwards leads nobody out of the payload. Pixels are at shmb_image_pixels(payload).
 * -EBADMSG it is none; *layout is of no meaning then.
 */
SHMB_PUBLIC int shmb_image_check(const void *payload, size_t length, struct shmb_image_layout *layout);
/* "rgb8", ...; NULL for an unknown format. Static storage. */
SHMB_PUBLIC const char *shmb_image_format_name(enum shmb_image_format format);

enum { SHMB_IMAGE_HEADER = 64 };

/* The pixels of an image on loan, and of one that was pinned or copied. Row r of the first plane begins at r * stride. */
static inline uint8_t *shmb_image_data(struct shmb_image *image)
{
	return (uint8_t *)image + SHMB_IMAGE_HEADER;
}

static inline const uint8_t *shmb_image_pixels(const void *payload)
{
	return (const uint8_t *)payload + SHMB_IMAGE_HEADER;
}

#ifdef __cplusplus
}
#endif

#endif
