/* SPDX-License-Identifier: MIT */
/*
 * Repair of data parts that a writer has filled with anything: it ends, keeps to the file, comes to the same a second time, and does not mind
 * a file that is shorter than it was.
 */
#include "fuzz.h"
#include "memory.h"

#include "daemon/repair.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PATCHES = 24 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	static struct shape_memory memories[SHAPES];
	static int fd = -1;
	struct fuzz fuzz = { bytes, length };
	unsigned shape = fuzz_u8(&fuzz) % SHAPES;
	struct shape_memory *memory = &memories[shape];
	uint8_t how = fuzz_u8(&fuzz);
	struct repair first;
	struct repair second;
	unsigned mended;
	size_t file_bytes;
	int r;

	if (fd < 0) {
		fd = memfd_create("fuzz", MFD_CLOEXEC);
		FUZZ_HOLDS(fd >= 0);
	}
	shape_make(memory, shape);
	memory->data->counter = (how & 1) != 0 ? fuzz_u64(&fuzz) : fuzz_u8(&fuzz);
	for (unsigned i = 0; fuzz.left > 0 && i < PATCHES; i++)
		fuzz_patch(&fuzz, memory->data, memory->geometry.data_bytes);
	file_bytes = memory->geometry.data_bytes;
	if ((how & 2) != 0)
		file_bytes = fuzz_u16(&fuzz) % file_bytes;
	FUZZ_HOLDS(ftruncate(fd, (off_t)file_bytes) == 0 && pwrite(fd, memory->data, file_bytes, 0) == (ssize_t)file_bytes);
	r = repair_lock(fd, (how & 4) != 0 ? UINT32_MAX : how >> 4, &mended);
	FUZZ_HOLDS(r == 0 || r == -EBADMSG);
	r = repair_data(fd, &memory->geometry, &first);
	if ((how & 2) != 0) {
		FUZZ_HOLDS(r == -EBADMSG);
		return 0;
	}
	FUZZ_HOLDS(r == 0 && repair_data(fd, &memory->geometry, &second) == 0);
	FUZZ_HOLDS(first.next == second.next && second.mended == 0);
	FUZZ_HOLDS(repair_wake(fd, (how & 8) != 0) == 0);
	return 0;
}
