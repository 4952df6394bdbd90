/* SPDX-License-Identifier: MIT */
/*
 * Taking over a directory at the start (store_scan(), segment.h).
 *
 * One pass over the directory collects the names; sorted, the files of a segment stand together and its newest generation first. Each set
 * is then read into private copies and judged as a whole:
 *
 *   card, and all that it names, sound    adopted; what a killed broker left half-changed is settled first
 *     and a newer generation is sound     adopted beside it: somebody may have it open still
 *     and says SUPERSEDED, but by nothing reopened: its next generation was not complete
 *     and its next generation is gone     removed: the removal of its name came that far
 *   card that says REMOVED, and a record  removed to the end, whatever else of it is missing or damaged
 *   no card, but a record                 begun or removed half-way by us: removed
 *   sealed data that nobody kept          removed: nothing is left of it to go on with
 *   anything else                         left alone, with a line in the log that says what and why
 *
 * Sealed parts are asked for in the vault (vault.h). Reader areas that nobody kept cost no more than themselves: the segment stays readable.
 *
 * Nothing is ever removed that one of our own changes, killed somewhere, cannot have left behind. Every step can be killed and done again.
 */
#include "segment.h"

#include "cells.h"
#include "cleanup.h"
#include "event.h"
#include "event_page.h"
#include "generation.h"
#include "lease.h"
#include "log.h"
#include "proto/name.h"
#include "proto/step.h"
#include "proto/validate.h"
#include "repair.h"
#include "scan_files.h"
#include "sealed.h"
#include "vault.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

/* Sets and event pages of a directory. */
struct scan_work {
	struct store *store;
	const struct store_scan *scan;
	struct scan_files parts;
	struct scan_files pages;
	unsigned left_alone; /* sets: what they say belongs to them may be in the vault */
};

/* What the system said, where it was the system that said no. */
static const char *detail(int error)
{
	switch (error) {
	case -ENOENT:
		return " (no such file)";
	case -EACCES:
	case -EPERM:
		return " (no permission)";
	case -EMFILE:
	case -ENFILE:
		return " (out of descriptors)";
	case -ENOMEM:
		return " (out of memory)";
	case -EIO:
		return " (input or output error)";
	default:
		return "";
	}
}

/* ---- judging one set ---- */

/* What the files of a set say; private copies. */
struct set {
	char name[SHMB_NAME_MAX + 1];
	uint64_t generation;
	struct shmb_shm_card card;
	struct shmb_shm_record record;
	bool data_lost; /* sealed, and not in the vault */
};

static int refuse(int error, const char **why, const char *text)
{
	*why = text;
	return error;
}

/* Opens and copies the first `bytes` of a part. */
static int copy_read(struct store *store, const struct set *set, enum part part, void *out, size_t bytes, uint64_t *size)
{
	char file[STORE_FILE_MAX];
	auto_close int fd = -1;
	struct stat st;
	ssize_t got;

	part_file(file, set->name, set->generation, part, 0);
	fd = store_open_file(store, file, O_RDONLY);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	got = pread(fd, out, bytes, 0);
	if (got < 0)
		return -errno;
	*size = (uint64_t)st.st_size;
	return (size_t)got == bytes ? 0 : -ENODATA;
}

/* Size of a regular file of ours. */
static int size_read(struct store *store, const struct set *set, enum part part, uint32_t area, uint64_t *size)
{
	char file[STORE_FILE_MAX];
	struct stat st;

	part_file(file, set->name, set->generation, part, area);
	if (fstatat(store->dir_fd, file, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
		return -EPERM;
	*size = (uint64_t)st.st_size;
	return 0;
}

static int card_read(struct store *store, struct set *set, struct shmb_geometry *geometry, const char **why)
{
	struct shmb_shm_card *card = &set->card;
	uint64_t card_size = 0;
	uint64_t data_size = 0;
	int r;

	r = copy_read(store, set, PART_CARD, card, sizeof(*card), &card_size);
	if (r == -ENODATA)
		return refuse(-EBADMSG, why, "the file is smaller than a card");
	if (r < 0)
		return refuse(r, why, "its card cannot be read");
	r = size_read(store, set, PART_DATA, 0, &data_size);
	if (card->backing == SHMB_BACKING_SEALED) {
		if (r != -ENOENT)
			return refuse(-EBADMSG, why, "its card is that of a sealed segment, but its data part is a file");
		data_size = card->data_bytes; /* of what the vault has, if it has it */
	} else if (r < 0) {
		return refuse(r, why, "its data part is missing or not ours");
	}
	r = shmb_card_check(card, card_size, data_size, geometry, why);
	if (r < 0)
		return r;
	if (strcmp(card->name, set->name) != 0 || card->generation != set->generation)
		return refuse(-EBADMSG, why, "its card is that of another segment");
	*why = lease_check(card);
	if (*why != NULL)
		return -EBADMSG;
	for (uint32_t i = 0; i < SHMB_CELLS_MAX; i++) {
		if (atomic_load_explicit(&card->cells[i].pid, memory_order_relaxed) < 0)
			return refuse(-EBADMSG, why, "a reader's process cannot be");
	}
	return 0;
}

/* A record, of whatever segment. */
static int record_copy(struct store *store, struct set *set, const char **why)
{
	struct shmb_shm_record *record = &set->record;
	uint64_t size = 0;
	int r = copy_read(store, set, PART_RECORD, record, sizeof(*record), &size);

	if (r == -ENODATA)
		return refuse(-EBADMSG, why, "its record is too short");
	if (r < 0)
		return refuse(r, why, "its record is missing or cannot be read");
	if (atomic_load_explicit(&record->magic, memory_order_relaxed) != SHMB_RECORD_MAGIC)
		return refuse(-EBADMSG, why, "its record is none");
	if (record->version < RECORD_OLDEST || record->oldest_reader > RECORD_VERSION)
		return refuse(-EPROTONOSUPPORT, why, "its record is of another version");
	return 0;
}

static int record_read(struct store *store, struct set *set, const char **why)
{
	const struct shmb_shm_record *record = &set->record;
	int r = record_copy(store, set, why);

	if (r < 0)
		return r;
	if (record->segment_id != set->card.segment_id || record->generation != set->generation)
		return refuse(-EBADMSG, why, "its record is that of another segment");
	if (record->area_backing > SHMB_BACKING_SEALED)
		return refuse(-EBADMSG, why, "its record names a backing that there is not");
	return 0;
}

/* Takes a sealed part out of the vault. -ENOENT where it is lost. */
static int sealed_read(struct store *store, struct segment *segment, enum part part, uint32_t area)
{
	int fd = vault_take(store->vault, segment->segment_id, part, area, part == PART_DATA ? segment->geometry.data_bytes : SHMB_PAGE);

	if (fd == -EBADMSG)
		log_error("%s: what was kept of it is not what it should be, and is not used", segment->name);
	/* What cannot be told now is no loss: the set is left alone, and what was kept stays kept. */
	if (fd < 0)
		return fd == -EBADMSG ? -ENOENT : fd;
	return sealed_put(store, segment, part, area, fd, false);
}

static int areas_read(struct store *store, const struct set *set, struct segment *segment, const char **why)
{
	for (uint32_t i = 0; i < segment->geometry.area_count; i++) {
		uint64_t size = 0;
		int r;

		if (part_is_sealed(segment, PART_AREA)) {
			r = sealed_read(store, segment, PART_AREA, i);
			if (r < 0 && r != -ENOENT)
				return refuse(r, why, "what was kept of it cannot be looked at");
			segment->areas_lost |= r < 0;
			continue;
		}
		r = size_read(store, set, PART_AREA, i, &size);
		if (r == -ENOENT)
			segment->areas_lost = true;
		else if (r < 0 || size != SHMB_PAGE)
			return refuse(-EBADMSG, why, "a reader area is not ours or has another size");
	}
	return 0;
}

/*
 * A card of ours that says REMOVED, beside the record of the same segment: its removal goes on, whatever else is missing or cut short by now. (Who
 * could write a data part can truncate it, also while a broker dies in the middle of removing it.)
 */
static bool set_is_removed(struct store *store, struct set *set, struct segment *segment)
{
	const struct shmb_shm_card *card = &set->card;
	const char *why;
	uint64_t size;

	if (copy_read(store, set, PART_CARD, &set->card, sizeof(set->card), &size) < 0 ||
	    atomic_load_explicit(&card->magic, memory_order_relaxed) != SHMB_CARD_MAGIC || card->version < SHMB_LAYOUT_OLDEST ||
	    card->oldest_reader > SHMB_LAYOUT_VERSION || strncmp(card->name, set->name, sizeof(card->name)) != 0 ||
	    card->generation != set->generation ||
	    (atomic_load_explicit(&card->state, memory_order_relaxed) & 0xff) != SHMB_STATE_REMOVED || record_read(store, set, &why) < 0)
		return false;
	strcpy(segment->name, set->name);
	segment->segment_id = card->segment_id;
	segment->geometry.generation = set->generation;
	return true;
}

static int set_read(struct store *store, struct set *set, struct segment *segment, const char **why)
{
	int r = card_read(store, set, &segment->geometry, why);

	if (r == 0)
		r = record_read(store, set, why);
	if (r < 0)
		return r;
	strcpy(segment->name, set->name);
	strcpy(segment->type, set->card.type);
	segment->segment_id = set->card.segment_id;
	segment->schema_hash = set->card.schema_hash;
	segment->schema_length = set->card.schema_length;
	segment->created_ns = set->card.created_ns;
	segment->owner_uid = set->record.owner_uid;
	segment->owner_gid = set->record.owner_gid;
	segment->writer_uid = set->record.has_writer_uid == 1 ? set->record.writer_uid : set->record.owner_uid;
	segment->committed = set->record.committed;
	segment->bytes = parts_bytes(&segment->geometry, segment->schema_length);
	segment->backing = (enum shmb_backing)set->card.backing;
	segment->area_backing = (enum shmb_backing)set->record.area_backing;
	LIST_INIT(&segment->attachments);
	r = areas_read(store, set, segment, why);
	if (r < 0 || !part_is_sealed(segment, PART_DATA))
		return r;
	r = sealed_read(store, segment, PART_DATA, 0);
	set->data_lost = r == -ENOENT;
	return r == 0 || set->data_lost ? 0 : refuse(r, why, "what was kept of it cannot be looked at");
}

/* ---- settling and handing over ---- */

struct boot_work {
	struct parts parts;
	const struct segment *segment;
	const struct store *store;
};

/* The boot id goes last: as long as it is the old one, the cells are looked through again. */
static int boot_write(void *arg)
{
	struct boot_work *work = arg;
	struct shmb_shm_card *card = work->parts.card;
	int r = parts_check(&work->parts, work->segment);

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < SHMB_AREAS_MAX; i++)
		atomic_store_explicit(&card->area_cells[i], 0, memory_order_release);
	for (uint32_t i = 0; i < SHMB_CELLS_MAX; i++) {
		atomic_store_explicit(&card->cells[i].pid, 0, memory_order_release);
		SHMB_STEP("adopt.cell");
	}
	memcpy(card->boot_id, work->store->boot_id, SHMB_BOOT_ID_BYTES);
	SHMB_STEP("adopt.boot");
	return 0;
}

static int boot_settle(struct store *store, const struct segment *segment)
{
	struct boot_work work = { .segment = segment, .store = store };
	auto_close int data_fd = -1;
	unsigned mended;
	int r;

	if (segment->geometry.kind == SHMB_KIND_BLOCK) {
		data_fd = part_open(store, segment, PART_DATA, 0, O_RDWR);
		r = data_fd < 0 ? data_fd : repair_lock(data_fd, UINT32_MAX, &mended);
		if (r < 0)
			return r;
	}
	r = parts_map(store, segment, true, &work.parts);
	if (r < 0)
		return r;
	r = foreign_call(boot_write, &work);
	parts_unmap(&work.parts);
	return r;
}

static enum shmb_role cell_role(uint32_t role)
{
	return role_has_cell(role) ? (enum shmb_role)role : SHMB_ROLE_READER;
}

static unsigned cells_read(const struct set *set, struct segment_cell cells[SHMB_CELLS_MAX])
{
	unsigned count = 0;

	for (uint32_t i = 0; i < SHMB_CELLS_MAX; i++) {
		const struct shmb_shm_cell_owner *owner = &set->card.cells[i];
		struct segment_cell *cell = &cells[count];
		int32_t pid = atomic_load_explicit(&owner->pid, memory_order_relaxed);

		if (pid == 0)
			continue;
		*cell = (struct segment_cell){
			.cell = i,
			.incarnation = atomic_load_explicit(&owner->incarnation, memory_order_relaxed),
			.role = cell_role(set->record.cells[i].role),
			.holder = {
				.pid = pid,
				.uid = set->record.cells[i].uid,
				.start_time = atomic_load_explicit(&owner->start_time, memory_order_relaxed),
			},
		};
		memcpy(cell->holder.cookie, set->record.cells[i].cookie, SHMB_COOKIE_BYTES);
		count++;
	}
	return count;
}

/* How a set's name goes on. */
struct follower {
	bool is_there;	 /* some newer generation has a card */
	bool is_adopted; /* and is served; then: */
	uint64_t generation;
	uint64_t base;
};

static int segment_settle(struct scan_work *work, const struct set *set, struct segment *segment, const struct follower *follower,
			  bool other_boot)
{
	uint64_t state = atomic_load_explicit(&set->card.state, memory_order_relaxed);
	int r = 0;

	if (follower->is_adopted)
		r = generation_close(work->store, segment, &set->card, set->record.lease_cookie, follower->generation, follower->base,
				     other_boot);
	else if ((state & 0xff) == SHMB_STATE_SUPERSEDED)
		r = generation_uncut(work->store, segment);
	if (r == 0 && !follower->is_adopted)
		r = lease_settle(work->store, segment, &set->card, set->record.lease_cookie, other_boot);
	if (r == 0)
		r = other_boot ? boot_settle(work->store, segment) : cells_settle(work->store, segment, &set->card);
	return r;
}

/* A name that is removed: what of it is left of a removal that was cut off. */
static bool is_being_removed(const struct set *set, const struct follower *follower)
{
	uint64_t state = atomic_load_explicit(&set->card.state, memory_order_relaxed) & 0xff;

	if (state == SHMB_STATE_REMOVED)
		return true;
	/* The newest goes first. */
	return state == SHMB_STATE_SUPERSEDED && atomic_load_explicit(&set->card.next, memory_order_relaxed) != 0 && !follower->is_there;
}

/* Takes the segment, whatever comes of it. True when it is served from here on. */
static bool set_adopt(struct scan_work *work, const struct set *set, struct segment *segment, const struct follower *follower)
{
	struct segment_cell cells[SHMB_CELLS_MAX];
	bool other_boot = memcmp(set->card.boot_id, work->store->boot_id, SHMB_BOOT_ID_BYTES) != 0;
	unsigned count = 0;
	int r;

	SHMB_STEP("adopt.begin");
	if (set->data_lost) {
		event_tell(work->scan->broker, &(struct event){ .kind = EVENT_REAPED, .segment = segment->name, .reason = "memory lost" },
			   "%s: removed: its memory was sealed, and no descriptor store kept it when the daemon before ended",
			   segment->name);
		segment->epoch = atomic_load_explicit(&set->card.lease_epoch, memory_order_relaxed);
		r = segment_remove(work->store, segment);
		if (r < 0)
			log_error("%s: cannot be removed: %s", set->name, strerror(-r));
		return false;
	}
	if (segment->areas_lost)
		log_warning(
			"%s: its reader areas were not kept when the daemon before ended: new readers sleep in slices, and nothing new is "
			"pinned or consumed, until its writer is replaced",
			segment->name);
	if (is_being_removed(set, follower)) {
		event_tell(work->scan->broker, &(struct event){ .kind = EVENT_REMOVED, .segment = segment->name, .reason = "completed" },
			   "%s: its removal is completed", segment->name);
		segment->epoch = atomic_load_explicit(&set->card.lease_epoch, memory_order_relaxed);
		r = segment_remove(work->store, segment);
		if (r < 0)
			log_error("%s: cannot be removed: %s", set->name, strerror(-r));
		return false;
	}
	r = segment_settle(work, set, segment, follower, other_boot);
	if (r < 0) {
		event_tell(work->scan->broker, &(struct event){ .kind = EVENT_IGNORED, .segment = segment->name, .reason = "unsettled" },
			   "%s: left alone: what a daemon before left of it cannot be settled: %s", segment->name, strerror(-r));
		work->left_alone++;
		segment_free(segment);
		return false;
	}
	if (!other_boot)
		count = cells_read(set, cells);
	segment->cells_used = count;
	SHMB_STEP("adopt.settled");
	work->scan->found(segment, cells, count, work->scan->user);
	return true;
}

/* A set with a record and no card: NULL when it is one that we began or left, else why it is not ours to remove. */
static const char *set_is_cardless(struct store *store, struct set *set)
{
	char file[STORE_FILE_MAX];
	const char *why = NULL;
	struct stat st;

	part_file(file, set->name, set->generation, PART_CARD, 0);
	if (fstatat(store->dir_fd, file, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
		return "something else lies where its card should be";
	/* Named as a whole and never handed out: what we left is a record. Of which segment, only the card would say. */
	return record_copy(store, set, &why) == 0 && set->record.generation == set->generation
		       ? NULL
		       : "it has no card, and its record is none of ours";
}

/* Superseded by something that is there and cannot be served: to go on with this one would use its numbers twice. */
static bool is_orphan(const struct set *set, const struct follower *follower)
{
	uint64_t state = atomic_load_explicit(&set->card.state, memory_order_relaxed) & 0xff;

	return follower->is_there && !follower->is_adopted && state == SHMB_STATE_SUPERSEDED;
}

/* `follower`: what became of the newer generations of this name; of this one from here on. */
static int set_judge(struct scan_work *work, const struct scan_file *files, size_t count, struct follower *follower)
{
	struct segment *segment;
	const char *why = NULL;
	bool has[PART_AREA + 1] = { false };
	struct set set;
	int r;

	if (shmb_name_decode(files[0].file, files[0].part.name_length, set.name) < 0)
		return 0; /* entry_sort() has seen to it */
	set.generation = files[0].part.generation;
	set.data_lost = false;
	for (size_t i = 0; i < count; i++)
		has[files[i].part.part] = true;
	if (!has[PART_CARD] && has[PART_RECORD]) {
		why = set_is_cardless(work->store, &set);
		if (why != NULL) {
			event_tell(work->scan->broker, &(struct event){ .kind = EVENT_IGNORED, .segment = set.name, .reason = "damaged" },
				   "%s: generation %" PRIu64 " left alone: %s", set.name, set.generation, why);
			work->left_alone++;
			return 0;
		}
		event_tell(work->scan->broker, &(struct event){ .kind = EVENT_REMOVED, .segment = set.name, .reason = "half-made" },
			   "%s: generation %" PRIu64 " was half made or half removed: its files are removed", set.name, set.generation);
		r = parts_unlink_rest(work->store, set.name, set.generation);
		if (r < 0)
			log_error("%s: cannot be removed: %s", set.name, strerror(-r));
		return 0;
	}
	if (!has[PART_CARD]) {
		for (size_t i = 0; i < count; i++)
			event_tell(work->scan->broker, &(struct event){ .kind = EVENT_IGNORED, .reason = "foreign-file" },
				   "%s: foreign file %s left alone: neither card nor record belongs to it", work->store->path,
				   files[i].file);
		return 0;
	}
	segment = calloc(1, sizeof(*segment));
	if (segment == NULL)
		return -ENOMEM;
	r = set_is_removed(work->store, &set, segment) ? 0 : set_read(work->store, &set, segment, &why);
	if (r == 0 && is_orphan(&set, follower))
		r = refuse(-EOPNOTSUPP, &why, "a newer generation has followed it, which cannot be served");
	if (r < 0) {
		event_tell(work->scan->broker, &(struct event){ .kind = EVENT_IGNORED, .segment = set.name, .reason = "damaged" },
			   "%s: generation %" PRIu64 " left alone: %s%s", set.name, set.generation, why, detail(r));
		work->left_alone++;
		segment_free(segment);
		follower->is_there = true;
		return 0;
	}
	if (set_adopt(work, &set, segment, follower))
		*follower = (struct follower){ .is_there = true, .is_adopted = true, .generation = set.generation, .base = set.card.base };
	return 0;
}

static int sets_judge(struct scan_work *work)
{
	const struct scan_file *files = work->parts.files;
	struct follower follower = { 0 };
	size_t begin = 0;
	int r = 0;

	while (r == 0 && begin < work->parts.count) {
		size_t end = begin + 1;

		while (end < work->parts.count && scan_set_compare(&files[begin], &files[end]) == 0)
			end++;
		if (begin > 0 && scan_name_compare(&files[begin - 1], &files[begin]) != 0)
			follower = (struct follower){ 0 };
		r = set_judge(work, &files[begin], end - begin, &follower);
		begin = end;
	}
	return r;
}

static void page_judge(struct scan_work *work, const char *file)
{
	struct event_page *page;
	struct holder who;
	const char *why;
	int r = event_page_adopt(work->store, file, &page, &who, &why);

	if (r == 0) {
		work->scan->page(page, &who, work->scan->user);
	} else if (r == -ESTALE) {
		r = store_unlink(work->store, file);
		if (r < 0)
			log_error("%s: cannot be removed: %s", file, strerror(-r));
	} else {
		event_tell(work->scan->broker, &(struct event){ .kind = EVENT_IGNORED, .reason = "foreign-file" },
			   "%s: foreign file %s left alone: %s%s", work->store->path, file, why, detail(r));
	}
}

int store_scan(struct store *store, const struct store_scan *scan)
{
	struct scan_work work = { .store = store, .scan = scan };
	int r = scan_files_read(store, scan->broker, &work.parts, &work.pages);

	if (r == 0)
		r = sets_judge(&work);
	/* After the segments: who wakes through its page finds them settled. */
	for (size_t i = 0; r == 0 && i < work.pages.count; i++)
		page_judge(&work, work.pages.files[i].file);
	scan_files_deinit(&work.parts);
	scan_files_deinit(&work.pages);
	/* What belongs to no card may belong to one that was left alone, for another version of this daemon. */
	store->vault = vault_free(store->vault, store, r == 0 && work.left_alone == 0);
	return r;
}
