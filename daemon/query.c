/* SPDX-License-Identifier: MIT */
/* LIST, INFO, STATUS, REMOVE. */
#include "query.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "access.h"
#include "broker.h"
#include "figures.h"
#include "lineage.h"
#include "liveness.h"
#include "peer.h"
#include "policy.h"

static uint8_t at_most_255(uint32_t count)
{
	return (uint8_t)(count < 255 ? count : 255);
}

static void fill_segment(const struct segment *segment, struct shmb_msg_segment *out)
{
	const struct attachment *writer = attachment_writer(segment);

	out->order = segment->order;
	out->segment_id = segment->segment_id;
	out->generation = segment->geometry.generation;
	out->created_ns = segment->created_ns;
	out->bytes = lineage_bytes(segment);
	out->payload_bytes = segment->geometry.payload_bytes;
	out->schema_hash = segment->schema_hash;
	out->epoch = segment->epoch;
	out->capacity = segment->geometry.slot_count;
	out->flags = segment->geometry.flags;
	out->owner_uid = segment->owner_uid;
	out->owner_gid = segment->owner_gid;
	out->writer_pid = segment->lease.pid;
	out->writer_uid = segment->lease.uid;
	out->readers = lineage_readers(segment);
	out->draining = at_most_255(lineage_draining(segment));
	out->kind = (uint8_t)segment->geometry.kind;
	out->state = (uint8_t)segment->state;
	out->writer = (uint8_t)segment->writer;
	if (writer != NULL)
		shmb_text_set(out->writer_comm, sizeof(out->writer_comm), writer->process->comm);
	shmb_text_set(out->type, sizeof(out->type), segment->type);
	shmb_text_set(out->name, sizeof(out->name), segment->name);
}

void query_list(struct peer *peer, const union shmb_msg_request *request, const char *tail, struct reply *reply)
{
	struct shmb_msg_list_answer *answer = reply_begin(reply, &request->list.head, sizeof(*answer));
	struct segment *segment = registry_after(&peer->broker->registry, request->list.after);
	struct shmb_msg_segment *record;

	(void)tail;
	while (segment != NULL) {
		if (!access_sees(peer, segment)) {
			segment = TAILQ_NEXT(segment, order_link);
			continue;
		}
		record = reply_tail(reply, sizeof(*record));
		if (record == NULL)
			break;
		fill_segment(segment, record);
		answer->count++;
		segment = TAILQ_NEXT(segment, order_link);
	}
}

/* `older`: how many generations before the newest. `room`: bytes to leave for what follows. */
static void add_readers(struct store *store, const struct segment *segment, uint32_t older, size_t room, struct reply *reply,
			struct shmb_msg_info_answer *answer)
{
	const struct attachment *attachment;
	struct figures_writer writer;

	figures_writer(store, segment, &writer);
	LIST_FOREACH (attachment, &segment->attachments, segment_link) {
		struct shmb_msg_reader *reader;
		struct figures_reader figures;

		if (!role_has_cell(attachment->role))
			continue;
		/* The schema comes last and always fits; answer->segment.readers says how many there really are. */
		if (reply_room(reply) < sizeof(*reader) + room)
			return;
		reader = reply_tail(reply, sizeof(*reader));
		reader->pid = attachment->holder.pid;
		reader->uid = attachment->holder.uid;
		reader->cell = attachment->cell;
		reader->role = (uint8_t)attachment->role;
		reader->older = at_most_255(older);
		figures_reader(store, segment, attachment, writer.next, &figures);
		reader->behind = figures.behind;
		memcpy(reader->counters, figures.counters, sizeof(reader->counters));
		shmb_text_set(reader->comm, sizeof(reader->comm), attachment->process->comm);
		answer->reader_count++;
	}
}

static void reply_missing(const struct shmb_msg_name *name, struct reply *reply)
{
	reply_error(reply, &name->head, -ENOENT, "there is no segment %s: see shmbctl list", name->name);
}

void query_info(struct peer *peer, const union shmb_msg_request *request, const char *tail, struct reply *reply)
{
	struct segment *segment = registry_find(&peer->broker->registry, request->name.name);
	struct shmb_msg_info_answer *answer;
	uint32_t older = 0;
	char *schema;
	int r;

	(void)tail;
	if (!access_check(peer, ACCESS_READ, request->name.name, segment, &request->name.head, reply))
		return;
	if (segment == NULL) {
		reply_missing(&request->name, reply);
		return;
	}
	answer = reply_begin(reply, &request->name.head, sizeof(*answer));
	fill_segment(segment, &answer->segment);
	for (const struct segment *one = segment; one != NULL; one = one->older)
		add_readers(&peer->broker->store, one, older++, segment->schema_length, reply, answer);
	schema = reply_tail(reply, segment->schema_length);
	r = schema == NULL ? -EMSGSIZE : segment_read_schema(&peer->broker->store, segment, schema);
	if (r < 0)
		reply_error(reply, &request->name.head, r == -EMSGSIZE ? r : store_error(r), "the schema of %s cannot be read: %s",
			    segment->name, strerror(-r));
	else
		answer->schema_bytes = segment->schema_length;
}

uint32_t query_count_clients(const struct broker *broker)
{
	const struct peer *peer;
	uint32_t count = 0;

	LIST_FOREACH (peer, &broker->peers, link)
		count += peer->state == PEER_ACTIVE;
	return count;
}

void query_status(struct peer *peer, const union shmb_msg_request *request, const char *tail, struct reply *reply)
{
	const struct broker *broker = peer->broker;
	struct shmb_msg_status_answer *answer = reply_begin(reply, &request->status.head, sizeof(*answer));

	(void)tail;
	answer->broker_id = broker->broker_id;
	answer->started_ns = broker->started_ns;
	answer->bytes = broker->registry.bytes;
	answer->deaths = broker->deaths;
	answer->repairs = broker->repairs;
	answer->reaps = broker->reaps;
	answer->adopted = broker->adopted;
	answer->pid = getpid();
	answer->segments = broker->registry.count;
	answer->clients = query_count_clients(broker);
	answer->protocol_version = SHMB_PROTOCOL_VERSION;
	answer->layout_version = SHMB_LAYOUT_VERSION;
	answer->linger_ns = broker->policies->builtin.linger_ns;
	shmb_text_set(answer->version, sizeof(answer->version), SHMBROKERD_VERSION);
	shmb_text_set(answer->shm_dir, sizeof(answer->shm_dir), broker->store.path);
	reload_status(broker, reply);
}

void query_remove(struct peer *peer, const union shmb_msg_request *request, const char *tail, struct reply *reply)
{
	struct broker *broker = peer->broker;
	const struct shmb_msg_head *head = &request->name.head;
	struct segment *segment = registry_find(&broker->registry, request->name.name);
	const struct attachment *writer;
	const struct attachment *sharer;
	struct event event = { .kind = EVENT_REMOVED,
			       .segment = request->name.name,
			       .pid = peer->holder.pid,
			       .uid = peer->holder.uid,
			       .comm = peer->process->comm,
			       .reason = "asked" };
	int r;

	(void)tail;
	if (!access_check(peer, ACCESS_READ, request->name.name, segment, head, reply))
		return;
	if (segment == NULL) {
		reply_missing(&request->name, reply);
		return;
	}
	if (peer->holder.uid != segment->owner_uid && !access_is_operator(peer)) {
		reply_error(reply, head, -EPERM, "%s belongs to uid %u, this process has uid %u: only its owner and root remove it",
			    segment->name, segment->owner_uid, peer->holder.uid);
		return;
	}
	/* A lease that was given up does not keep it: removing is the way out there. Its writer is stopped by the state word. */
	writer = liveness_lease_holder(broker, segment, peer->process);
	if (segment->state == SHMB_STATE_HELD) {
		const char *comm = writer != NULL ? writer->process->comm : "?";

		reply_error(reply, head, -EBUSY, "%s is written by process %d (%s): end that first", segment->name, segment->lease.pid,
			    comm);
		reply_holder(reply, &segment->lease, comm);
		return;
	}
	sharer = liveness_sharer(broker, segment, peer->process);
	if (sharer != NULL) {
		reply_error(reply, head, -EBUSY, "%s is shared by process %d (%s): end that first", segment->name, sharer->holder.pid,
			    sharer->process->comm);
		reply_holder(reply, &sharer->holder, sharer->process->comm);
		return;
	}
	r = reaper_tell(broker, segment);
	if (r < 0) {
		reply_error(reply, head, store_error(r), "%s is not removed, for its readers cannot be told now: %s", request->name.name,
			    strerror(-r));
		return;
	}
	r = reaper_remove(broker, segment);
	if (r < 0) {
		/* Want of memory or descriptors would say that it is there still (above). */
		reply_error(reply, head, store_is_short(store_error(r)) ? -EIO : store_error(r),
			    "%s: not all of its files could be removed: %s", request->name.name, strerror(-r));
		return;
	}
	event_tell(broker, &event, "%s: removed: process %d (%s) of uid %u asked for it", event.segment, event.pid, event.comm, event.uid);
	reply_done(reply, head);
}
