/* SPDX-License-Identifier: MIT */
/* The copy routines: every size and alignment, not a byte beside the destination, nothing read beside the source. */
#include "proto/copy.h"
#include "tests/support/unit.h"

#include <string.h>
#include <sys/mman.h>

enum { GUARD = 64, LARGE = 3 * 512 * 1024 };

static uint8_t *source;
static uint8_t *target;

static void buffers_make(void)
{
	uint64_t random = 2;

	source = malloc(LARGE + 3 * GUARD);
	target = malloc(LARGE + 3 * GUARD);
	ck_assert(source != NULL && target != NULL);
	unit_random_fill(&random, source, LARGE + 3 * GUARD);
}

static void buffers_free(void)
{
	free(source);
	free(target);
}

typedef void copy_fn(void *dst, const void *src, size_t bytes);

static void copy_and_check_with(copy_fn *copy, size_t to, size_t from, size_t bytes)
{
	unsigned beside = 0;

	memset(target, 0xee, GUARD + to + bytes + GUARD);
	copy(target + GUARD + to, source + from, bytes);
	ck_assert_msg(memcmp(target + GUARD + to, source + from, bytes) == 0, "%zu bytes from %zu to %zu", bytes, from, to);
	for (size_t i = 0; i < GUARD + to; i++)
		beside += target[i] != 0xee;
	for (size_t i = 0; i < GUARD; i++)
		beside += target[GUARD + to + bytes + i] != 0xee;
	ck_assert_uint_eq(beside, 0);
}

static void short_copy(void *dst, const void *src, size_t bytes)
{
	shmb_copy_short(dst, src, bytes);
}

static void copy_and_check(size_t to, size_t from, size_t bytes)
{
	copy_and_check_with(shmb_copy, to, from, bytes);
	if (bytes <= SHMB_COPY_SHORT)
		copy_and_check_with(short_copy, to, from, bytes);
}

START_TEST(small_sizes)
{
	buffers_make();
	for (size_t bytes = 0; bytes <= 300; bytes++) {
		for (size_t to = 0; to < 9; to++) {
			for (size_t from = 0; from < 9; from++)
				copy_and_check(to, from, bytes);
		}
	}
	buffers_free();
}
END_TEST

START_TEST(large_sizes)
{
	static const size_t sizes[] = { 4095,	    4096,	    4097,	    65536,	 512 * 1024 - 1,
					512 * 1024, 512 * 1024 + 1, 512 * 1024 + 7, 1024 * 1024, 1024 * 1024 + 63,
					LARGE };

	buffers_make();
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		copy_and_check(0, 0, sizes[i]);
		copy_and_check(8, 16, sizes[i]);
		copy_and_check(3, 5, sizes[i]);
	}
	buffers_free();
}
END_TEST

/* Every place of the destination in its cache line, and every rest behind whole ones. */
START_TEST(line_sizes)
{
	static const size_t from[] = { 0, 1, 31, 63 };

	buffers_make();
	for (size_t bytes = 1022; bytes <= 1026 + 256; bytes++) {
		for (size_t to = 0; to < 64; to += bytes < 1026 ? 1 : 7) {
			for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++)
				copy_and_check(to, from[i], bytes);
		}
	}
	for (size_t bytes = 4094; bytes <= 4098; bytes++) {
		for (size_t to = 0; to < 64; to++)
			copy_and_check(to, to % 5, bytes);
	}
	buffers_free();
}
END_TEST

/* Both buffers end at, or begin behind, a page that must not be touched. */
START_TEST(page_edges)
{
	static const size_t sizes[] = {
		1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 48, 63, 64, 65, 127, 128, 129, 1024, 3000, 4096, 512 * 1024, 512 * 1024 + 5
	};
	size_t room = 1024 * 1024;
	uint8_t *map[2];

	for (int i = 0; i < 2; i++) {
		map[i] = mmap(NULL, room + 2 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		ck_assert(map[i] != MAP_FAILED);
		ck_assert_int_eq(mprotect(map[i] + 4096, room, PROT_READ | PROT_WRITE), 0);
	}
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		memset(map[1] + 4096, (int)i, room);
		shmb_copy(map[0] + 4096 + room - sizes[i], map[1] + 4096 + room - sizes[i], sizes[i]);
		shmb_copy(map[0] + 4096, map[1] + 4096, sizes[i]);
		if (sizes[i] <= SHMB_COPY_SHORT) {
			shmb_copy_short(map[0] + 4096 + room - sizes[i], map[1] + 4096 + room - sizes[i], sizes[i]);
			shmb_copy_short(map[0] + 4096, map[1] + 4096, sizes[i]);
		}
		ck_assert_int_eq(memcmp(map[0] + 4096, map[1] + 4096, sizes[i]), 0);
	}
	munmap(map[0], room + 2 * 4096);
	munmap(map[1], room + 2 * 4096);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("copy");

	unit_add(suite, small_sizes, 10);
	unit_add(suite, large_sizes, 10);
	unit_add(suite, line_sizes, 10);
	unit_add(suite, page_edges, 10);
	return unit_run(suite);
}
