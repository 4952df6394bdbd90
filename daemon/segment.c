/* SPDX-License-Identifier: MIT */
/*
 * Making and removing a segment, and handing out its descriptors (segment.h). lease.c and cells.c change who holds it, scan.c finds it again.
 *
 * Killed anywhere, nothing half-made is ever seen: the card's name is the segment.
 *
 *   create   record, data, areas get their names before the card. Killed before the card's linkat: a set without a card, which the scan
 *            removes. After it: a whole segment that nobody has been told of; the client asks again and finds it.
 *   remove   the card says REMOVED, sleepers are woken, the card's name goes, then areas, data and record. Killed before the name went: the
 *            scan finds a card that says REMOVED and removes it again from the beginning. After it: a set without a card, as above.
 *
 * Who has the parts mapped keeps them: the memory goes with its last mapping.
 */
#include "segment.h"

#include "cleanup.h"
#include "debris.h"
#include "generation.h"
#include "huge.h"
#include "kept.h"
#include "log.h"
#include "parts.h"
#include "policy.h"
#include "proto/name.h"
#include "proto/step.h"
#include "repair.h"
#include "sealed.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static int fail(int error, const char **why, const char *text)
{
	*why = text;
	return error;
}

static uint64_t realtime_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

struct segment *segment_free(struct segment *segment)
{
	if (segment != NULL)
		sealed_free(segment);
	free(segment);
	return NULL;
}

/* ---- create ---- */

/* Fills a part that has no name yet; nobody else can reach it, so no guard is needed. */
static int record_fill(int fd, const struct segment *segment)
{
	auto_foreign struct foreign map = { 0 };
	struct shmb_shm_record *record;
	int r = foreign_map(&map, fd, 0, RECORD_BYTES, true);

	if (r < 0)
		return r;
	record = map.at;
	record->version = RECORD_VERSION;
	record->oldest_reader = RECORD_OLDEST;
	record->segment_id = segment->segment_id;
	record->generation = segment->geometry.generation;
	record->owner_uid = segment->owner_uid;
	record->owner_gid = segment->owner_gid;
	record->area_backing = segment->area_backing;
	record->writer_uid = segment->writer_uid;
	record->has_writer_uid = 1;
	atomic_store_explicit(&record->magic, SHMB_RECORD_MAGIC, memory_order_release);
	return 0;
}

static int data_fill(int fd, const struct segment *segment)
{
	auto_foreign struct foreign map = { 0 };
	struct shmb_shm_data *data;
	int r = foreign_map(&map, fd, 0, SHMB_PAGE, true);

	if (r < 0)
		return r;
	data = map.at;
	data->version = SHMB_DATA_VERSION;
	atomic_store_explicit(&data->counter, segment->geometry.base, memory_order_relaxed);
	atomic_store_explicit(&data->key_base, segment->geometry.base, memory_order_relaxed);
	atomic_store_explicit(&data->magic, SHMB_DATA_MAGIC, memory_order_release);
	return 0;
}

static uint32_t wishes_of(const struct segment *segment)
{
	const struct policy *policy = segment->policy;

	if (policy == NULL)
		return 0;
	if (policy->huge_pages)
		huge_check(segment->name);
	return (policy->prefault ? (uint32_t)SHMB_WISH_PREFAULT : 0) | (policy->lock ? (uint32_t)SHMB_WISH_LOCK : 0) |
	       (policy->huge_pages ? (uint32_t)SHMB_WISH_HUGE : 0);
}

static int card_fill(int fd, const struct segment *segment, const struct store *store, const char *schema)
{
	const struct shmb_geometry *geometry = &segment->geometry;
	uint64_t card_bytes = SHMB_PAGE + part_pages(segment->schema_length);
	auto_foreign struct foreign map = { 0 };
	struct shmb_shm_card *card;
	int r = foreign_map(&map, fd, 0, card_bytes, true);

	if (r < 0)
		return r;
	card = map.at;
	card->version = SHMB_LAYOUT_VERSION;
	card->oldest_reader = SHMB_LAYOUT_OLDEST;
	card->card_bytes = (uint32_t)card_bytes;
	card->schema_offset = SHMB_PAGE;
	card->schema_length = segment->schema_length;
	card->kind = (uint8_t)geometry->kind;
	card->backing = (uint8_t)segment->backing;
	card->key_type = geometry->key_type;
	card->schema_hash = segment->schema_hash;
	card->segment_id = segment->segment_id;
	card->generation = geometry->generation;
	card->base = geometry->base;
	card->created_ns = segment->created_ns;
	card->data_bytes = geometry->data_bytes;
	card->payload_bytes = geometry->payload_bytes;
	card->slot_offset = geometry->slot_offset;
	card->pool_offset = geometry->pool_offset;
	card->key_offset = geometry->key_offset;
	card->entry_offset = geometry->entry_offset;
	card->flags = geometry->flags;
	card->slot_count = geometry->slot_count;
	card->pool_count = geometry->pool_count;
	card->entry_count = geometry->entry_count;
	card->slot_shift = geometry->slot_shift;
	card->pool_shift = geometry->pool_shift;
	card->key_shift = geometry->key_shift;
	card->entry_shift = geometry->entry_shift;
	card->history = geometry->history;
	card->key_field = geometry->key_field;
	card->area_count = geometry->area_count;
	card->payload_align = geometry->payload_align;
	card->wishes = wishes_of(segment);
	card->pins = geometry->pins;
	strcpy(card->name, segment->name);
	strcpy(card->type, segment->type);
	memcpy(card->boot_id, store->boot_id, SHMB_BOOT_ID_BYTES);
	atomic_store_explicit(&card->cut, UINT64_MAX, memory_order_relaxed);
	atomic_store_explicit(&card->lease_epoch, segment->epoch, memory_order_relaxed);
	atomic_store_explicit(&card->state, shmb_state_word(segment->epoch, SHMB_STATE_FREE), memory_order_relaxed);
	atomic_store_explicit(&card->writer, shmb_writer_word(segment->epoch, SHMB_WRITER_NONE), memory_order_relaxed);
	memcpy((char *)card + card->schema_offset, schema, segment->schema_length);
	/* ORDER card.magic (release). Partner: card_map().
	 * Orders:  every field of the card -> magic.
	 * Without: a card with its magic and half of its fields is believed.
	 * Model:   none: the card has no name yet, and linkat orders it as well; this holds for a card handed out without one too */
	atomic_store_explicit(&card->magic, SHMB_CARD_MAGIC, memory_order_release);
	return 0;
}

/* Makes a part without a name. The descriptor, or an error. */
static int part_new(struct store *store, const struct segment *segment, enum part part, const struct segment_spec *spec)
{
	static const uint64_t fixed[] = { [PART_RECORD] = RECORD_BYTES, [PART_AREA] = SHMB_PAGE };
	uint64_t bytes;

	if (part == PART_CARD)
		bytes = SHMB_PAGE + part_pages(segment->schema_length);
	else
		bytes = part == PART_DATA ? segment->geometry.data_bytes : fixed[part];
	if (part == PART_DATA && spec->memory != NULL && spec->memory->fd >= 0 && spec->memory->bytes == bytes &&
	    spec->memory->is_sealed == part_is_sealed(segment, part))
		return cleanup_steal(&spec->memory->fd);
	return part_is_sealed(segment, part) ? sealed_make(store, bytes) : store_make(store, bytes);
}

/* Fills it and gives it its name, or puts it where sealed ones are kept. */
static int part_finish(struct store *store, struct segment *segment, enum part part, uint32_t area, const char *schema, int *fd)
{
	char file[STORE_FILE_MAX];
	int r = 0;

	if (part == PART_RECORD)
		r = record_fill(*fd, segment);
	else if (part == PART_DATA)
		r = data_fill(*fd, segment);
	else if (part == PART_CARD)
		r = card_fill(*fd, segment, store, schema); /* an area is all zero: nobody waits, no cell counts */
	if (r < 0)
		return r;
	if (part_is_sealed(segment, part)) {
		SHMB_STEP("create.sealed");
		return sealed_put(store, segment, part, area, cleanup_steal(fd), true);
	}
	part_file(file, segment->name, segment->geometry.generation, part, area);
	return store_link(store, *fd, file);
}

/* What part_make() did. -ENOBUFS: the others must stay as well (debris.h). */
static int part_unmake(struct store *store, struct segment *segment, enum part part, uint32_t area)
{
	char file[STORE_FILE_MAX];
	int r;

	if (part_is_sealed(segment, part)) {
		sealed_drop(store, segment, part, area);
		return 0;
	}
	part_file(file, segment->name, segment->geometry.generation, part, area);
	r = debris_unlink(store, file);
	if (r < 0)
		log_error("%s: cannot take it back: %s", file, strerror(-r));
	return r;
}

/*
 * One part. Before the card of a generation that follows another one, that is cut: by then all memory has been had, and what can still fail is
 * taken back.
 */
static int part_make(struct store *store, struct segment *segment, struct segment *old, enum part part, uint32_t area,
		     const struct segment_spec *spec)
{
	auto_close int fd = part_new(store, segment, part, spec);
	auto_close int data_fd = -1;
	int r = 0;

	if (fd < 0)
		return fd;
	if (part == PART_CARD && old != NULL) {
		data_fd = part_open(store, segment, PART_DATA, 0, O_RDWR);
		r = data_fd < 0 ? data_fd : generation_cut(store, old, &segment->geometry.base);
		if (r == 0)
			r = data_fill(data_fd, segment); /* once more, with the first number */
	}
	return r < 0 ? r : part_finish(store, segment, part, area, spec->schema, &fd);
}

/* The files in the order of their making. */
static enum part part_at(uint32_t index, uint32_t area_count, uint32_t *area)
{
	*area = 0;
	if (index == 0)
		return PART_RECORD;
	if (index == 1)
		return PART_DATA;
	if (index < 2 + area_count) {
		*area = index - 2;
		return PART_AREA;
	}
	return PART_CARD;
}

static int parts_make(struct store *store, struct segment *segment, struct segment *old, const struct segment_spec *spec)
{
	uint32_t area_count = segment->geometry.area_count;
	uint32_t made = 0;
	uint32_t area;
	int r = 0;

	SHMB_STEP("create.begin");
	while (made < area_count + 3) {
		enum part part = part_at(made, area_count, &area);

		r = part_make(store, segment, old, part, area, spec);
		if (r < 0)
			break;
		made++;
		/* NOLINTBEGIN(bugprone-branch-clone): alike where steps are nothing */
		if (part == PART_RECORD)
			SHMB_STEP("create.record");
		else if (part == PART_DATA)
			SHMB_STEP("create.data");
		else if (part == PART_AREA)
			SHMB_STEP("create.area");
		else
			SHMB_STEP("create.card");
		/* NOLINTEND(bugprone-branch-clone) */
	}
	if (r < 0 && old != NULL)
		generation_reopen(store, old);
	/* Only what was made here is taken back, the record last: a file that was there before (-EEXIST) is not ours. */
	while (r < 0 && made > 0) {
		enum part part = part_at(--made, area_count, &area);

		if (part_unmake(store, segment, part, area) == -ENOBUFS)
			break;
	}
	return r;
}

const char *segment_create_why(int error)
{
	switch (error) {
	case -ENOSPC:
		return "the shared memory's file system is full (df on the daemon's directory tells)";
	case -EMFILE:
	case -ENFILE:
		return "the daemon is out of descriptors, of which each sealed part needs one: raise LimitNOFILE=, or give the segments "
		       "fewer "
		       "areas or the named backing";
	case -ENOMEM:
		return "the host or the daemon's cgroup is out of memory";
	case -EEXIST:
		return "a file of this name lies in the daemon's directory and is not a segment it can read (its log says why): remove it "
		       "by hand";
	default:
		return "the daemon could not make its files";
	}
}

int segment_spec_plan(const struct store *store, const struct segment_spec *spec, struct shmb_geometry *out, const char **why)
{
	uint32_t area_count = store->area_count;

	if (spec->policy != NULL && spec->policy->areas < area_count)
		area_count = spec->policy->areas;
	return shmb_geometry_plan(&spec->request, area_count, out, why);
}

/* The struct of a segment to be made, checked and planned. */
static int segment_plan(struct store *store, const struct segment_spec *spec, struct segment **out, const char **why)
{
	auto_segment struct segment *segment = calloc(1, sizeof(*segment));
	int r;

	*why = NULL;
	if (segment == NULL)
		return fail(-ENOMEM, why, segment_create_why(-ENOMEM));
	r = shmb_name_check(spec->name, strlen(spec->name), why);
	if (r < 0)
		return r;
	if (spec->type[0] == '\0' || strlen(spec->type) > SHMB_TYPE_NAME_MAX)
		return fail(-EINVAL, why, "the type's name is empty or too long");
	if (spec->schema_length == 0 || spec->schema_length > SHMB_SCHEMA_MAX)
		return fail(-EINVAL, why, "the schema is empty or longer than 60 KiB");
	r = segment_spec_plan(store, spec, &segment->geometry, why);
	if (r < 0)
		return r;
	if (segment->geometry.pins > 0 && spec->policy != NULL)
		segment->geometry.pins = spec->policy->pins;
	while (segment->segment_id == 0) {
		if (getrandom(&segment->segment_id, sizeof(segment->segment_id), 0) != sizeof(segment->segment_id) && errno != EINTR)
			return fail(-EIO, why, "no random numbers");
	}
	strcpy(segment->name, spec->name);
	strcpy(segment->type, spec->type);
	segment->schema_hash = spec->schema_hash;
	segment->schema_length = spec->schema_length;
	segment->owner_uid = spec->owner_uid;
	segment->owner_gid = spec->owner_gid;
	segment->policy = spec->policy;
	segment->writer_uid = spec->writer_uid;
	segment->created_ns = realtime_ns();
	segment->backing = spec->policy != NULL ? spec->policy->backing : SHMB_BACKING_NAMED;
	segment->area_backing = store->seals_areas ? SHMB_BACKING_SEALED : segment->backing;
	segment->state = SHMB_STATE_FREE;
	segment->writer = SHMB_WRITER_NONE;
	segment->bytes = parts_bytes(&segment->geometry, segment->schema_length);
	LIST_INIT(&segment->attachments);
	*out = segment;
	segment = NULL;
	return 0;
}

int segment_create(struct store *store, const struct segment_spec *spec, struct segment **out, const char **why)
{
	auto_segment struct segment *segment = NULL;
	int r = segment_plan(store, spec, &segment, why);

	if (r < 0)
		return r;
	r = parts_make(store, segment, NULL, spec);
	if (r < 0)
		return fail(store_error(r), why, segment_create_why(r));
	*out = segment;
	segment = NULL;
	return 0;
}

int segment_replace(struct store *store, struct segment *old, const struct segment_spec *spec, struct segment **out, const char **why)
{
	auto_segment struct segment *segment = NULL;
	int r = segment_plan(store, spec, &segment, why);

	if (r < 0)
		return r;
	segment->owner_uid = old->owner_uid;
	segment->owner_gid = old->owner_gid;
	segment->geometry.generation = old->geometry.generation + 1;
	segment->epoch = old->epoch; /* goes on, so that a verdict on one writer is never taken for that on another */
	r = parts_make(store, segment, old, spec);
	if (r < 0)
		return fail(store_error(r), why, segment_create_why(r));
	r = generation_link(store, old, segment->geometry.generation);
	/* The next start would do it from the card that is there: nothing is lost but the readers' wake-up. */
	if (r < 0)
		log_error("%s: generation %" PRIu64 " cannot be closed: %s", old->name, old->geometry.generation, strerror(-r));
	*out = segment;
	segment = NULL;
	return 0;
}

/* ---- use ---- */

/* Those of a role that writes: one process at a time, seldom. */
static int fds_open(struct store *store, const struct segment *segment, uint32_t first, uint32_t end, int out_fds[SHMB_FDS_MAX],
		    uint32_t *count)
{
	int fd = part_open(store, segment, PART_CARD, 0, O_RDONLY);

	if (fd >= 0) {
		out_fds[(*count)++] = fd;
		fd = part_open(store, segment, PART_DATA, 0, O_RDWR);
	}
	if (fd >= 0)
		out_fds[(*count)++] = fd;
	for (uint32_t i = first; fd >= 0 && i < end; i++) {
		fd = part_open(store, segment, PART_AREA, i, O_RDWR);
		if (fd >= 0)
			out_fds[(*count)++] = fd;
	}
	if (fd >= 0)
		return 0;
	while (*count > 0)
		close(out_fds[--*count]);
	return fd;
}

/* Those of a role that reads. */
static int fds_lend(struct store *store, const struct segment *segment, uint32_t area, int out_fds[SHMB_FDS_MAX], uint32_t *count)
{
	const enum part parts[] = { PART_CARD, PART_DATA, PART_AREA };
	uint32_t wanted = area == UINT32_MAX ? 2 : 3;

	for (uint32_t i = 0; i < wanted; i++) {
		out_fds[i] = kept_open(store, segment, parts[i], parts[i] == PART_AREA ? area : 0);
		if (out_fds[i] < 0)
			return out_fds[i];
	}
	*count = wanted;
	return 0;
}

int segment_open_fds(struct store *store, struct segment *segment, enum shmb_role role, uint32_t area, int out_fds[SHMB_FDS_MAX],
		     uint32_t *count, bool *are_lent)
{
	bool is_writer = role == SHMB_ROLE_WRITER; /* it wakes readers in every area */

	assert(is_writer || area == UINT32_MAX || area < segment->geometry.area_count);
	*count = 0;
	*are_lent = !is_writer && role != SHMB_ROLE_SHARER;
	if (*are_lent)
		return fds_lend(store, segment, area, out_fds, count);
	if (is_writer)
		return fds_open(store, segment, 0, segment->geometry.area_count, out_fds, count);
	return fds_open(store, segment, area, area == UINT32_MAX ? area : area + 1, out_fds, count);
}

int segment_read_schema(struct store *store, struct segment *segment, char *out)
{
	auto_close int fd = part_open(store, segment, PART_CARD, 0, O_RDONLY);
	uint32_t done = 0;

	if (fd < 0)
		return fd;
	while (done < segment->schema_length) {
		ssize_t got = pread(fd, out + done, segment->schema_length - done, SHMB_PAGE + done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return -EBADMSG;
		done += (uint32_t)got;
	}
	return 0;
}

/* ---- remove ---- */

struct remove_work {
	struct shmb_shm_card *card;
	const struct segment *segment;
};

static int card_mark_removed(void *arg)
{
	struct remove_work *work = arg;

	if (work->card->segment_id != work->segment->segment_id)
		return -ESTALE;
	/* ORDER state.word (release). Partner: writer_check().
	 * Orders:  the removal -> its wake-up.
	 * Without: a writer goes on writing what nobody can open any more.
	 * Model:   none: one word, compared whole; who was in mid-claim finishes that one write, which repair expects */
	atomic_store_explicit(&work->card->state, shmb_state_word(work->segment->epoch, SHMB_STATE_REMOVED), memory_order_release);
	return 0;
}

/* The data part, whose memory may take long to free, or be held by readers for long. */
static void let_go(struct store *store, struct segment *segment, int fd_consume)
{
	kept_forget(store, segment->name, segment->geometry.generation);
	if (store->gone != NULL)
		store->gone(store->gone_user, segment, fd_consume);
	else if (fd_consume >= 0)
		close(fd_consume);
}

int segment_tell_removed(struct store *store, struct segment *segment)
{
	auto_foreign struct foreign map = { 0 };
	struct remove_work work = { .segment = segment };
	auto_close int data_fd = -1;
	int woken;
	int r;

	SHMB_STEP("remove.begin");
	r = part_map(store, segment, PART_CARD, 0, 0, sizeof(struct shmb_shm_card), true, &map);
	if (r == 0) {
		work.card = map.at;
		r = foreign_call(card_mark_removed, &work);
	}
	segment->is_told = r == 0;
	SHMB_STEP("remove.state");
	/* The wake comes before the names go: once they have, a broker started later knows of nobody to wake. */
	data_fd = part_open(store, segment, PART_DATA, 0, O_RDWR);
	woken = data_fd < 0 ? data_fd : repair_wake(data_fd, false);
	if (data_fd >= 0 && woken < 0 && !store_is_short(woken))
		log_warning("%s: its readers cannot be woken: %s", segment->name, strerror(-woken));
	SHMB_STEP("remove.woken");
	return r == 0 && woken < 0 ? 1 : r;
}

int segment_remove(struct store *store, struct segment *segment)
{
	auto_segment struct segment *owned = segment;
	auto_close int data_fd = -1;
	char file[STORE_FILE_MAX];
	int first = owned->is_told ? 0 : segment_tell_removed(store, owned);
	int r;

	if (first == -ESTALE) { /* somebody put other files in their place: not ours to remove */
		let_go(store, owned, -1);
		return first;
	}
	data_fd = part_open(store, owned, PART_DATA, 0, O_RDWR);
	part_file(file, owned->name, owned->geometry.generation, PART_CARD, 0);
	r = debris_unlink(store, file);
	SHMB_STEP("remove.card");
	sealed_drop_all(store, owned);
	/* Where the card is left the rest is left behind it: the next start, if it comes first, completes the removal. */
	if (r != -ENOBUFS)
		r = parts_unlink_rest(store, owned->name, owned->geometry.generation);
	let_go(store, owned, cleanup_steal(&data_fd));
	SHMB_STEP("remove.rest");
	return first < 0 ? first : r;
}
