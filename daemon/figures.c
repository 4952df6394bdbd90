/* SPDX-License-Identifier: MIT */
/* FIGURES (figures.h). Of a segment that is asked for it costs one open and read of its data part, and one of each reader's cell. */
#include "figures.h"

#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "access.h"
#include "attachment.h"
#include "broker.h"
#include "chores.h"
#include "cleanup.h"
#include "later.h"
#include "lineage.h"
#include "parts.h"
#include "pattern.h"
#include "peer.h"
#include "proto/step.h"

/* Part of a part. False where it cannot be had: the file is gone, or its writer made it shorter. */
static bool read_part(struct store *store, const struct segment *segment, enum part part, uint32_t area, size_t offset, void *out,
		      size_t size)
{
	auto_close int fd = part_open(store, segment, part, area, O_RDONLY);

	return fd >= 0 && pread(fd, out, size, (off_t)offset) == (ssize_t)size;
}

void figures_writer(struct store *store, const struct segment *segment, struct figures_writer *out)
{
	unsigned char head[offsetof(struct shmb_shm_data, counter) + sizeof(uint64_t)];

	*out = (struct figures_writer){ .next = UINT64_MAX };
	if (segment->geometry.kind == SHMB_KIND_BLOCK || !read_part(store, segment, PART_DATA, 0, 0, head, sizeof(head)))
		return;
	memcpy(&out->next, head + offsetof(struct shmb_shm_data, counter), sizeof(out->next));
	memcpy(&out->heartbeat_ns, head + offsetof(struct shmb_shm_data, heartbeat_ns), sizeof(out->heartbeat_ns));
}

void figures_reader(struct store *store, const struct segment *segment, const struct attachment *attachment, uint64_t next,
		    struct figures_reader *out)
{
	size_t size = sizeof(struct shmb_shm_cell);
	unsigned char cell[sizeof(struct shmb_shm_cell)];
	uint64_t position;

	memset(out, 0xff, sizeof(*out));
	if (attachment->cell == UINT32_MAX || attachment->cell / SHMB_CELLS_PER_AREA >= segment->geometry.area_count)
		return;
	if (!read_part(store, segment, PART_AREA, attachment->cell / SHMB_CELLS_PER_AREA,
		       offsetof(struct shmb_shm_area, cells) + attachment->cell % SHMB_CELLS_PER_AREA * size, cell, size))
		return;
	memcpy(out->counters, cell + offsetof(struct shmb_shm_cell, counters), sizeof(out->counters));
	if (segment->geometry.kind == SHMB_KIND_BLOCK || next == UINT64_MAX)
		return;
	memcpy(&position, cell + offsetof(struct shmb_shm_cell, position), sizeof(position));
	out->behind = next > position ? next - position : 0;
}

static void add_readers(struct store *store, const struct segment *segment, struct shmb_msg_figure *out)
{
	const struct attachment *attachment;
	struct figures_reader reader;

	LIST_FOREACH (attachment, &segment->attachments, segment_link) {
		if (!role_has_cell(attachment->role))
			continue;
		out->readers++;
		figures_reader(store, segment, attachment, out->next, &reader);
		if (reader.counters[SHMB_COUNT_READ] == UINT64_MAX)
			continue;
		out->read += reader.counters[SHMB_COUNT_READ];
		out->lost += reader.counters[SHMB_COUNT_LAPPED];
		if (reader.behind == UINT64_MAX || (out->lag != UINT64_MAX && out->lag >= reader.behind))
			continue;
		out->lag = reader.behind;
		out->lag_pid = attachment->holder.pid;
	}
}

static void fill(struct store *store, const struct segment *segment, struct shmb_msg_figure *out)
{
	const struct attachment *writer = attachment_writer(segment);
	struct figures_writer figures;

	figures_writer(store, segment, &figures);
	out->order = segment->order;
	out->segment_id = segment->segment_id;
	out->generation = segment->geometry.generation;
	out->bytes = lineage_bytes(segment);
	out->payload_bytes = segment->geometry.payload_bytes;
	out->next = figures.next;
	out->heartbeat_ns = figures.heartbeat_ns;
	out->lag = UINT64_MAX;
	out->capacity = segment->geometry.slot_count;
	out->owner_uid = segment->owner_uid;
	out->writer_pid = segment->lease.pid;
	out->writer_uid = segment->lease.uid;
	out->kind = (uint8_t)segment->geometry.kind;
	out->state = (uint8_t)segment->state;
	out->writer = (uint8_t)segment->writer;
	if (writer != NULL)
		shmb_text_set(out->writer_comm, sizeof(out->writer_comm), writer->process->comm);
	shmb_text_set(out->type, sizeof(out->type), segment->type);
	shmb_text_set(out->name, sizeof(out->name), segment->name);
	/* Those of earlier generations too: numbers go on, so they are behind by what lies between. */
	for (const struct segment *one = segment; one != NULL; one = one->older)
		add_readers(store, one, out);
}

static bool meets(const char *pattern, const char *text)
{
	struct pattern_name name;

	if (pattern[0] == '\0')
		return true;
	pattern_name_init(&name, text);
	return pattern_meets(pattern, &name);
}

void figures_list(struct peer *peer, const union shmb_msg_request *request, const char *tail, struct reply *reply)
{
	struct broker *broker = peer->broker;
	const struct shmb_msg_figures *figures = &request->figures;
	struct shmb_msg_figures_answer *answer = reply_begin(reply, &figures->head, sizeof(*answer));
	struct segment *segment = registry_after(&broker->registry, figures->after);
	struct shmb_msg_figures rest = *figures;

	(void)tail;
	answer->now_ns = loop_now_ns();
	for (; segment != NULL; segment = TAILQ_NEXT(segment, order_link)) {
		struct shmb_msg_figure *record;

		SHMB_STEP("turn.figures");
		/* One is looked at in each turn, however slow the machine. */
		if (rest.after != figures->after && chores_turn_is_over(answer->now_ns)) {
			/* What there is is an answer; nothing would be the end. */
			if (answer->count == 0)
				later_defer(peer, &rest, sizeof(rest), reply);
			break;
		}
		rest.after = segment->order;
		if (!meets(figures->pattern, segment->name))
			continue;
		if (!access_sees(peer, segment))
			continue;
		record = reply_tail(reply, sizeof(*record));
		if (record == NULL)
			break;
		fill(&broker->store, segment, record);
		answer->count++;
	}
}
