/* SPDX-License-Identifier: MIT */
/*
 * From descriptors to checked memory (map.h).
 *
 * The card's page is copied once and checked as a copy; what it says about places and sizes is kept in struct shmb_geometry and not read
 * from shared memory again. Where huge pages are wished for, the data part lies at a multiple of their size. Descriptors are closed as soon as they are mapped. Mappings are not inherited by forked children and not part
 * of core dumps.
 *
 * The kernel puts one mapping beside the other where it can, and what lies side by side is advised of and unmapped with one call (struct run).
 */
#include "map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "proto/copy.h"
#include "proto/validate.h"
#include "text.h"
#include "type.h"

enum {
	HUGE_PAGE = 2 << 20, /* x86-64, and arm64 with pages of 4 KiB */
	AT_ONCE_MAX =
		64
		<< 10, /* what the kernel maps at the first touch (fault_around_bytes): for so little mmap may as well do it, without a fault */
};

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* linux/mman.h of Linux 6.1 */
#endif

/* As mmap(2), at a multiple of `align`: what is reserved besides is given back. */
static void *map_at_multiple(int fd, uint64_t bytes, int protection, uint64_t align)
{
	char *reserved = mmap(NULL, bytes + align, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint64_t before, after;
	void *memory;
	int error;

	if (reserved == MAP_FAILED)
		return MAP_FAILED;
	before = -(uintptr_t)reserved & (align - 1);
	after = align - before;
	memory = mmap(reserved + before, bytes, protection, MAP_SHARED | MAP_FIXED, fd, 0);
	error = errno;
	if (memory == MAP_FAILED) {
		munmap(reserved, bytes + align);
	} else {
		if (before > 0)
			munmap(reserved, before);
		munmap(reserved + before + bytes, after);
	}
	errno = error;
	return memory;
}

/* `align`: 0 as it comes. */
static int map_part(int fd, uint64_t bytes, int protection, uint64_t align, void **out, const char *what)
{
	int flags = MAP_SHARED | (bytes <= AT_ONCE_MAX ? MAP_POPULATE : 0);
	void *memory = align > 0 ? map_at_multiple(fd, bytes, protection, align) : mmap(NULL, bytes, protection, flags, fd, 0);
	int r;

	if (memory == MAP_FAILED) {
		r = -errno;
		return text_fail(text_mapping(r), "mapping the %s (%llu bytes): %s", what, (unsigned long long)bytes, strerrordesc_np(-r));
	}
	*out = memory;
	return 0;
}

/* ---- what lies side by side ---- */

struct run {
	int (*call)(void *memory, uint64_t bytes); /* 0 or a negative errno, with which the run ends */
	char *begin;
	uint64_t bytes;
};

static int run_end(struct run *run)
{
	int r = run->bytes > 0 ? run->call(run->begin, run->bytes) : 0;

	run->bytes = 0;
	return r;
}

static int run_add(struct run *run, const void *part, uint64_t bytes)
{
	char *begin = (char *)(uintptr_t)part;
	int r = 0;

	if (part == NULL)
		return 0;
	if (run->bytes > 0 && begin + bytes == run->begin) {
		run->begin = begin;
	} else if (run->bytes == 0 || run->begin + run->bytes != begin) {
		r = run_end(run);
		run->begin = begin;
	}
	run->bytes += bytes;
	return r;
}

/* Calls for all that is mapped. */
static int mappings_each(const struct mappings *mappings, int (*call)(void *memory, uint64_t bytes))
{
	struct run run = { .call = call };
	int r = run_add(&run, mappings->card, mappings->card_bytes);

	if (r == 0)
		r = run_add(&run, mappings->data, mappings->geometry.data_bytes);
	for (uint32_t i = 0; r == 0 && i < mappings->area_count; i++)
		r = run_add(&run, mappings->areas[i], SHMB_PAGE);
	return r < 0 ? r : run_end(&run);
}

static int memory_keep_private(void *memory, uint64_t bytes)
{
	if (madvise(memory, bytes, MADV_DONTFORK) < 0)
		return text_fail(text_system(-errno), "madvise(MADV_DONTFORK): %s", strerrordesc_np(errno));
	madvise(memory, bytes, MADV_DONTDUMP);
	return 0;
}

static int memory_unmap(void *memory, uint64_t bytes)
{
	munmap(memory, bytes);
	return 0;
}

void segment_unmap(struct mappings *mappings)
{
	mappings_each(mappings, memory_unmap);
	memset(mappings, 0, sizeof(*mappings));
}

static int file_size(int fd, uint64_t *out)
{
	struct stat status;

	if (fstat(fd, &status) < 0)
		return text_fail(text_system(-errno), "fstat(2): %s", strerrordesc_np(errno));
	*out = (uint64_t)status.st_size;
	return 0;
}

static int fail_contradiction(const struct expected *expected, const char *why)
{
	return text_fail(-EBADMSG, "segment %s as shmbrokerd sent it cannot be used: %s", expected->name, why);
}

/* Is it the segment that was asked for? */
static int card_is_expected(const struct shmb_shm_card *card, const struct shmb_geometry *geometry, const struct expected *expected,
			    const struct shmb_msg_open_answer *open)
{
	uint32_t areas = expected->role == SHMB_ROLE_WRITER ? geometry->area_count : open->area != UINT32_MAX;

	if (strcmp(card->name, expected->name) != 0)
		return fail_contradiction(expected, "its card has another name");
	if (card->segment_id != open->segment_id || geometry->generation != open->generation)
		return fail_contradiction(expected, "its card belongs to another segment");
	if (geometry->kind != expected->kind)
		return fail_contradiction(expected, "its card states another kind");
	if (expected->type != NULL && (card->schema_hash != expected->schema_hash || geometry->payload_bytes != expected->type->size))
		return fail_contradiction(expected, "its card states another type");
	if (open->fd_count != 2 + areas)
		return fail_contradiction(expected, "the number of reader areas is wrong");
	if (open->cell != UINT32_MAX && open->area != UINT32_MAX && open->cell / SHMB_CELLS_PER_AREA != open->area)
		return fail_contradiction(expected, "the reader's cell lies in another area");
	return 0;
}

static int areas_map(struct mappings *out, const struct expected *expected, const struct answer *answer)
{
	for (unsigned i = 2; i < answer->fd_count; i++) {
		uint64_t bytes = 0;
		void *memory = NULL;
		int r = file_size(answer->fds[i], &bytes);

		if (r == 0 && bytes != SHMB_PAGE)
			r = fail_contradiction(expected, "a reader area has the wrong size");
		if (r == 0)
			r = map_part(answer->fds[i], SHMB_PAGE, PROT_READ | PROT_WRITE, 0, &memory, "reader area");
		if (r < 0)
			return r;
		out->areas[out->area_count++] = memory;
	}
	return 0;
}

static int card_map(struct mappings *out, const struct expected *expected, const struct shmb_msg_open_answer *open,
		    const struct answer *answer, struct shmb_type **type)
{
	struct shmb_shm_card card;
	uint64_t data_bytes = 0;
	const char *why = NULL;
	void *memory = NULL;
	int r;

	r = file_size(answer->fds[0], &out->card_bytes);
	if (r == 0)
		r = file_size(answer->fds[1], &data_bytes);
	if (r < 0)
		return r;
	if (out->card_bytes < sizeof(card) || out->card_bytes > sizeof(card) + SHMB_SCHEMA_MAX + SHMB_PAGE)
		return fail_contradiction(expected, "its card has a size that no card has");
	r = map_part(answer->fds[0], out->card_bytes, PROT_READ, 0, &memory, "card");
	if (r < 0)
		return r;
	out->card = memory;
	/* ORDER card.magic (acquire). Partner: card_fill().
	 * Orders:  card -> magic.
	 * Without: a card that is complete by its magic and not yet by its fields.
	 * Model:   none: the descriptor comes over a socket after the magic was stored; the order is there for who scans files. */
	atomic_load_explicit(&out->card->magic, memory_order_acquire);
	shmb_copy(&card, memory, sizeof(card));
	out->wishes = card.wishes;
	r = shmb_card_check(&card, out->card_bytes, data_bytes, &out->geometry, &why);
	if (r < 0)
		return text_fail(r == -ENODATA ? -EBADMSG : r, "segment %s as shmbrokerd sent it cannot be used: %s", expected->name, why);
	r = card_is_expected(&card, &out->geometry, expected, open);
	if (r < 0 || type == NULL)
		return r;
	return type_from_card(type, &card, (const char *)memory + card.schema_offset, out->geometry.payload_bytes);
}

int segment_map(struct mappings *out, const struct expected *expected, const struct shmb_msg_open_answer *open, struct answer *answer,
		struct shmb_type **type)
{
	bool writes = expected->role == SHMB_ROLE_WRITER || expected->role == SHMB_ROLE_SHARER;
	int data_protection = writes ? PROT_READ | PROT_WRITE : PROT_READ;
	uint64_t align = 0;
	void *memory = NULL;
	int r;

	memset(out, 0, sizeof(*out));
	if (answer->fd_count < 2 || answer->fd_count != open->fd_count)
		r = fail_contradiction(expected, "descriptors are missing");
	else
		r = card_map(out, expected, open, answer, type);
	if (r == 0 && (out->wishes & SHMB_WISH_HUGE) != 0 && out->geometry.data_bytes >= HUGE_PAGE)
		align = HUGE_PAGE;
	if (r == 0)
		r = map_part(answer->fds[1], out->geometry.data_bytes, data_protection, align, &memory, "data");
	if (r == 0) {
		out->data = memory;
		r = areas_map(out, expected, answer);
	}
	if (r == 0)
		r = mappings_each(out, memory_keep_private);
	answer_close_fds(answer);
	if (r < 0)
		segment_unmap(out);
	return r;
}

/* ---- present and locked ---- */

/* For kernels before 5.14. A write that changes nothing, where it is ours to write. */
static void touch(void *memory, uint64_t bytes, bool writable)
{
	for (uint64_t at = 0; at < bytes; at += SHMB_PAGE) {
		_Atomic uint32_t *word = (_Atomic uint32_t *)((char *)memory + at);

		if (writable)
			atomic_fetch_or_explicit(word, 0, memory_order_relaxed);
		else
			atomic_load_explicit((const _Atomic uint32_t *)word, memory_order_relaxed);
	}
}

static int part_settle(const void *part, uint64_t bytes, bool writable, const struct expected *expected, uint32_t flags)
{
	void *memory = (void *)(uintptr_t)part;
	struct rlimit limit = { 0 };
	int r = 0;

	if (flags & SHMB_PREFAULT) {
		if (madvise(memory, bytes, writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ) < 0)
			r = -errno;
		if (r == -EINVAL) {
			touch(memory, bytes, writable);
			r = 0;
		}
		/* EFAULT: its file is shorter by now. */
		if (r < 0)
			return text_fail(r == -EFAULT ? -EBADMSG : text_system(r), "segment %s: making its pages present: %s",
					 expected->name, strerrordesc_np(-r));
	}
	if ((flags & SHMB_LOCK) && mlock(memory, bytes) < 0) {
		/* EAGAIN: some could not be locked, which is want of memory too. */
		r = errno == EPERM ? -EPERM : -ENOMEM;
		getrlimit(RLIMIT_MEMLOCK, &limit);
		return text_fail(r,
				 "segment %s: locking %llu bytes in memory: %s. RLIMIT_MEMLOCK is %llu bytes: raise it (ulimit -l, "
				 "LimitMEMLOCK=) or give the process CAP_IPC_LOCK",
				 expected->name, (unsigned long long)bytes, strerrordesc_np(-r), (unsigned long long)limit.rlim_cur);
	}
	return 0;
}

/* What the operator asks for goes as far as it goes: an open does not fail of it. */
static void part_wish(const void *part, uint64_t bytes, bool writable, uint32_t wishes)
{
	void *memory = (void *)(uintptr_t)part;

	if ((wishes & SHMB_WISH_PREFAULT) != 0 && madvise(memory, bytes, writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ) < 0 &&
	    errno == EINVAL)
		touch(memory, bytes, writable);
	if ((wishes & SHMB_WISH_LOCK) != 0)
		(void)mlock(memory, bytes);
}

/*
 * The file's pages are there since the broker allocated them, small unless its tmpfs is mounted with huge=: who writes puts them together here and
 * now (Linux 6.1), and everybody who maps them at a multiple of their size finds them so. As far as it goes.
 */
static void data_make_huge(void *data, uint64_t bytes, bool writable)
{
	if (madvise(data, bytes, MADV_HUGEPAGE) == 0 && writable && bytes >= HUGE_PAGE)
		(void)madvise(data, bytes, MADV_COLLAPSE);
}

int segment_settle(const struct mappings *mappings, const struct expected *expected, uint32_t flags)
{
	bool writable = expected->role == SHMB_ROLE_WRITER || expected->role == SHMB_ROLE_SHARER;
	int r = 0;

	if (expected->role != SHMB_ROLE_OBSERVER && mappings->wishes != 0) {
		if ((mappings->wishes & SHMB_WISH_HUGE) != 0)
			data_make_huge(mappings->data, mappings->geometry.data_bytes, writable);
		part_wish(mappings->data, mappings->geometry.data_bytes, writable, mappings->wishes);
		part_wish(mappings->card, SHMB_PAGE, false, mappings->wishes);
		for (uint32_t i = 0; i < mappings->area_count; i++)
			part_wish(mappings->areas[i], SHMB_PAGE, true, mappings->wishes);
	}
	if (flags == 0)
		return 0;
	r = part_settle(mappings->data, mappings->geometry.data_bytes, writable, expected, flags);
	if (r == 0)
		r = part_settle(mappings->card, SHMB_PAGE, false, expected, flags);
	for (uint32_t i = 0; r == 0 && i < mappings->area_count; i++)
		r = part_settle(mappings->areas[i], SHMB_PAGE, true, expected, flags);
	return r;
}
