/* SPDX-License-Identifier: MIT */
#ifndef SHMB_TESTS_FUZZ_H
#define SHMB_TESTS_FUZZ_H

/*
 * What the fuzz targets share. Each tests/fuzz/fuzz_NAME.c has LLVMFuzzerTestOneInput(), which gets any bytes and either returns or aborts: by a
 * sanitizer, or because something that must hold for every input did not (FUZZ_HOLDS). Built two ways: with libFuzzer, which looks for such
 * bytes (./run fuzz), and with replay.c, which only goes through tests/fuzz/corpus/NAME and so keeps what was found from coming back.
 *
 * A target takes its input from the front, piece by piece; where it ends, zeros follow.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

#define FUZZ_HOLDS(what)                                                                                                                   \
	do {                                                                                                                               \
		if (!(what)) {                                                                                                             \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #what);                                          \
			abort();                                                                                                           \
		}                                                                                                                          \
	} while (0)

struct fuzz {
	const uint8_t *at;
	size_t left;
};

/* Copies up to `bytes` of the input, the rest is 0. Returns how many were there. */
static inline size_t fuzz_take(struct fuzz *fuzz, void *out, size_t bytes)
{
	size_t there = bytes < fuzz->left ? bytes : fuzz->left;

	memset(out, 0, bytes);
	if (there > 0)
		memcpy(out, fuzz->at, there);
	fuzz->at += there;
	fuzz->left -= there;
	return there;
}

static inline uint8_t fuzz_u8(struct fuzz *fuzz)
{
	uint8_t value;

	fuzz_take(fuzz, &value, sizeof(value));
	return value;
}

static inline uint16_t fuzz_u16(struct fuzz *fuzz)
{
	uint16_t value;

	fuzz_take(fuzz, &value, sizeof(value));
	return value;
}

static inline uint32_t fuzz_u32(struct fuzz *fuzz)
{
	uint32_t value;

	fuzz_take(fuzz, &value, sizeof(value));
	return value;
}

static inline uint64_t fuzz_u64(struct fuzz *fuzz)
{
	uint64_t value;

	fuzz_take(fuzz, &value, sizeof(value));
	return value;
}

/* Makes a directory of the target's own, in $SHMB_FUZZ_DIR where somebody clears up after a crash. */
static inline void fuzz_directory(char out[64])
{
	const char *where = getenv("SHMB_FUZZ_DIR");

	snprintf(out, 64, "%.40s/shmb-fuzz-XXXXXX", where != NULL ? where : "/dev/shm");
	FUZZ_HOLDS(mkdtemp(out) != NULL);
}

/* Overwrites up to 31 bytes somewhere in `memory`, which holds `size`. */
static inline void fuzz_patch(struct fuzz *fuzz, void *memory, size_t size)
{
	uint32_t at = fuzz_u16(fuzz);
	size_t length = fuzz_u8(fuzz) & 31;
	uint8_t bytes[32];

	fuzz_take(fuzz, bytes, length);
	at %= (uint32_t)size;
	memcpy((char *)memory + at, bytes, length < size - at ? length : size - at);
}

#endif
