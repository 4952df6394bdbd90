/* SPDX-License-Identifier: MIT */
/* Image types: sizes in integers, what is refused, headers that lie. */
#include "shmb.h"
#include "tests/support/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct shmb_image_layout layout_of(uint32_t width, uint32_t height, uint32_t stride, enum shmb_image_format format)
{
	struct shmb_image_layout layout;
	int r = shmb_image_layout(&layout, width, height, stride, format);

	ck_assert_msg(r == 0, "%ux%u stride %u format %d: %d, %s", width, height, stride, format, r, shmb_text());
	ck_assert_uint_eq(layout.payload_bytes, layout.data_bytes + SHMB_IMAGE_HEADER);
	return layout;
}

static int refused(uint32_t width, uint32_t height, uint32_t stride, enum shmb_image_format format)
{
	struct shmb_image_layout layout;

	return shmb_image_layout(&layout, width, height, stride, format);
}

/* A type holds its image to the byte: width * height in floating point loses three of these. */
START_TEST(defect_M1_size_in_integers)
{
	struct shmb_image_layout layout = layout_of(5001, 4001, 0, SHMB_IMAGE_RGB8);
	struct shmb_type *type;

	ck_assert_uint_eq(layout.data_bytes, UINT64_C(5001) * 4001 * 3);
	ck_assert_uint_eq(layout.data_bytes, 60027003);
	ck_assert_uint_ne(layout.data_bytes, (uint64_t)((float)5001 * 4001 * 3));
	ck_assert_int_eq(shmb_image_type(&type, &layout), 0);
	ck_assert_uint_eq(type->size, (64 + UINT64_C(60027003) + 7) / 8 * 8);
	shmb_type_free(type);
	/* Every size around it. */
	for (uint32_t width = 4990; width < 5010; width++) {
		for (uint32_t height = 3990; height < 4010; height++)
			ck_assert_uint_eq(layout_of(width, height, 0, SHMB_IMAGE_RGB8).data_bytes, (uint64_t)width * height * 3);
	}
}
END_TEST

START_TEST(formats)
{
	static const struct {
		enum shmb_image_format format;
		const char *name;
		uint64_t bytes; /* of 640 x 480 */
		uint32_t stride;
	} rows[] = {
		{ SHMB_IMAGE_RGB8, "rgb8", 921600, 1920 },
		{ SHMB_IMAGE_BGR8, "bgr8", 921600, 1920 },
		{ SHMB_IMAGE_RGBA8, "rgba8", 1228800, 2560 },
		{ SHMB_IMAGE_MONO8, "mono8", 307200, 640 },
		{ SHMB_IMAGE_MONO16, "mono16", 614400, 1280 },
		{ SHMB_IMAGE_NV12, "nv12", 460800, 640 },
		{ SHMB_IMAGE_YUYV, "yuv422_yuy2", 614400, 1280 },
		{ SHMB_IMAGE_BAYER_RGGB8, "bayer_rggb8", 307200, 640 },
		{ SHMB_IMAGE_BAYER_BGGR8, "bayer_bggr8", 307200, 640 },
		{ SHMB_IMAGE_BAYER_GBRG8, "bayer_gbrg8", 307200, 640 },
		{ SHMB_IMAGE_BAYER_GRBG8, "bayer_grbg8", 307200, 640 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct shmb_image_layout layout = layout_of(640, 480, 0, rows[i].format);

		ck_assert_uint_eq(layout.data_bytes, rows[i].bytes);
		ck_assert_uint_eq(layout.stride, rows[i].stride);
		ck_assert_str_eq(shmb_image_format_name(rows[i].format), rows[i].name);
	}
	ck_assert_ptr_null(shmb_image_format_name(0));
	ck_assert_ptr_null(shmb_image_format_name(12));
	/* Padded rows, in every plane. */
	ck_assert_uint_eq(layout_of(640, 480, 1024, SHMB_IMAGE_NV12).data_bytes, 1024 * 720);
	ck_assert_uint_eq(layout_of(333, 2, 1024, SHMB_IMAGE_RGB8).data_bytes, 2048);
}
END_TEST

START_TEST(refusals)
{
	ck_assert_int_eq(refused(0, 480, 0, SHMB_IMAGE_RGB8), -EINVAL);
	ck_assert_int_eq(refused(640, 0, 0, SHMB_IMAGE_RGB8), -EINVAL);
	ck_assert_int_eq(refused(640, 480, 0, 0), -EINVAL);
	ck_assert_int_eq(refused(640, 480, 0, 12), -EINVAL);
	ck_assert_int_eq(refused(640, 480, 1919, SHMB_IMAGE_RGB8), -EINVAL);
	ck_assert_int_eq(refused(640, 480, 1281, SHMB_IMAGE_MONO16), -EINVAL);
	ck_assert_int_eq(refused(641, 480, 0, SHMB_IMAGE_NV12), -EINVAL);
	ck_assert_int_eq(refused(640, 481, 0, SHMB_IMAGE_NV12), -EINVAL);
	ck_assert_int_eq(refused(641, 480, 0, SHMB_IMAGE_YUYV), -EINVAL);
	ck_assert_int_eq(refused(641, 480, 0, SHMB_IMAGE_BAYER_RGGB8), -EINVAL);
	ck_assert_str_ne(shmb_text(), "");
	/* Products that would wrap 32 and 64 bits. */
	ck_assert_int_eq(refused(65536, 65536, 0, SHMB_IMAGE_MONO8), -EFBIG);
	ck_assert_int_eq(refused(UINT32_MAX, UINT32_MAX, 0, SHMB_IMAGE_RGBA8), -EFBIG);
	ck_assert_int_eq(refused(UINT32_MAX - 1, UINT32_MAX - 1, UINT32_MAX, SHMB_IMAGE_NV12), -EFBIG);
	ck_assert_int_eq(refused(1, UINT32_MAX, UINT32_MAX, SHMB_IMAGE_MONO8), -EFBIG);
	/* To the byte: 256 MiB less the header. */
	ck_assert_int_eq(refused(1, (256 << 20) - 64, 0, SHMB_IMAGE_MONO8), 0);
	ck_assert_int_eq(refused(1, (256 << 20) - 63, 0, SHMB_IMAGE_MONO8), -EFBIG);
}
END_TEST

START_TEST(headers_are_checked)
{
	struct shmb_image_layout layout = layout_of(64, 48, 0, SHMB_IMAGE_RGB8);
	struct shmb_image_layout found;
	struct shmb_image *image;
	void *payload = aligned_alloc(64, 16384);
	uint64_t random = 1;

	image = shmb_image_init(payload, &layout, 17, 123456);
	ck_assert(image->number == 17 && image->stamp_ns == 123456);
	ck_assert_str_eq((const char *)image->encoding, "rgb8");
	ck_assert_int_eq(shmb_image_check(payload, layout.payload_bytes, &found), 0);
	ck_assert(found.width == 64 && found.height == 48 && found.stride == 192 && found.format == SHMB_IMAGE_RGB8);
	ck_assert(found.data_bytes == layout.data_bytes && found.payload_bytes == layout.payload_bytes);
	ck_assert_int_eq(shmb_image_check(payload, layout.payload_bytes - 1, &found), -EBADMSG);
	ck_assert_int_eq(shmb_image_check(payload, 63, &found), -EBADMSG);
	ck_assert_int_eq(shmb_image_check(payload, 0, &found), -EBADMSG);
	image->data_bytes--;
	ck_assert_int_eq(shmb_image_check(payload, layout.payload_bytes, &found), -EBADMSG);
	image->data_bytes++;
	image->height = UINT32_MAX;
	ck_assert_int_eq(shmb_image_check(payload, layout.payload_bytes, &found), -EBADMSG);
	/* Whatever passes lies in the payload. */
	for (int i = 0; i < 200000; i++) {
		image = shmb_image_init(payload, &layout, 0, 0);
		for (int n = 0; n < 1 + i % 3; n++)
			((uint8_t *)payload)[16 + unit_random(&random) % 24] = (uint8_t)unit_random(&random);
		if (shmb_image_check(payload, layout.payload_bytes, &found) == 0) {
			ck_assert_uint_le(found.payload_bytes, layout.payload_bytes);
			ck_assert_uint_le((uint64_t)found.stride * found.height + SHMB_IMAGE_HEADER, layout.payload_bytes);
		}
	}
	free(payload);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("image");

	unit_add(suite, defect_M1_size_in_integers, 10);
	unit_add(suite, formats, 10);
	unit_add(suite, refusals, 10);
	unit_add(suite, headers_are_checked, 20);
	return unit_run(suite);
}
