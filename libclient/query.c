/* SPDX-License-Identifier: MIT */
/*
 * What is there: list, info, status, remove. Answers are copied out of the connection before the visitor is called, so that no lock is held
 * meanwhile.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "query.h"
#include "segment.h"
#include "text.h"

int query_ask(struct shmb *broker, struct shmb_msg_head *request, void *out, char **out_tail)
{
	struct answer answer;
	int r;

	if (!connection_is_ours(broker))
		return text_forked();
	pthread_mutex_lock(&broker->lock);
	r = control_request(broker, request, NULL, 0, out, &answer);
	answer_close_fds(&answer);
	if (r == 0 && out_tail != NULL) {
		*out_tail = calloc(1, answer.tail_bytes + 1);
		if (*out_tail == NULL) {
			r = -ENOMEM;
			text_fail(r, "no memory for an answer");
		} else {
			memcpy(*out_tail, answer.tail, answer.tail_bytes);
		}
	}
	pthread_mutex_unlock(&broker->lock);
	return r;
}

static struct shmb_segment_info segment_info(const struct shmb_msg_segment *segment)
{
	return (struct shmb_segment_info){
		.name = segment->name,
		.type = segment->type,
		.kind = segment_kind_name(segment->kind),
		.schema_hash = segment->schema_hash,
		.generation = segment->generation,
		.epoch = segment->epoch,
		.created_ns = segment->created_ns,
		.bytes = segment->bytes,
		.payload_bytes = segment->payload_bytes,
		.capacity = segment->capacity,
		.stamped = (segment->flags & SHMB_SEGMENT_STAMPED) != 0,
		.owner_uid = segment->owner_uid,
		.owner_gid = segment->owner_gid,
		.writer_pid = segment->writer_pid,
		.writer_uid = segment->writer_uid,
		.writer_comm = segment->writer_comm,
		.writer = segment_writer_condition(segment->writer),
		.readers = segment->readers,
		.draining = segment->draining,
	};
}

int shmb_list(struct shmb *broker, int (*visit)(const struct shmb_segment_info *info, void *user), void *user)
{
	struct shmb_msg_list request = { .head.opcode = SHMB_OP_LIST };

	for (;;) {
		struct shmb_msg_list_answer list;
		char *tail = NULL;
		uint64_t before = request.after;
		int r = query_ask(broker, &request.head, &list, &tail);

		if (r < 0)
			return r;
		for (uint32_t i = 0; i < list.count && r == 0; i++) {
			struct shmb_msg_segment segment;
			struct shmb_segment_info info;

			memcpy(&segment, tail + i * sizeof(segment), sizeof(segment));
			info = segment_info(&segment);
			request.after = segment.order;
			r = visit(&info, user);
		}
		free(tail);
		/* The order grows from record to record: one that does not would make this loop endless. */
		if (r != 0 || list.count == 0 || request.after <= before)
			return r;
	}
}

int shmb_info(struct shmb *broker, const char *name,
	      int (*visit)(const struct shmb_segment_info *info, const char *schema, const struct shmb_reader_info *readers, void *user),
	      void *user)
{
	struct shmb_msg_name request = { .head.opcode = SHMB_OP_INFO };
	struct shmb_msg_info_answer info;
	struct shmb_segment_info public;
	struct shmb_msg_reader *records;
	struct shmb_reader_info *readers;
	char *tail = NULL;
	int r = segment_name_set(request.name, name);

	if (r == 0)
		r = query_ask(broker, &request.head, &info, &tail);
	if (r != 0)
		return r;
	/* malloc'ed memory is aligned for the records, which come first; the codec has checked the lengths. */
	records = (struct shmb_msg_reader *)(void *)tail;
	readers = calloc(info.reader_count + 1, sizeof(*readers));
	if (readers == NULL) {
		free(tail);
		return text_fail(-ENOMEM, "no memory for %u readers", info.reader_count);
	}
	for (uint32_t i = 0; i < info.reader_count; i++)
		readers[i] = (struct shmb_reader_info){ .pid = records[i].pid,
							.uid = records[i].uid,
							.comm = records[i].comm,
							.behind = records[i].behind,
							.older = records[i].older,
							.role = records[i].role,
							.published = records[i].counters[SHMB_COUNT_PUBLISHED],
							.read = records[i].counters[SHMB_COUNT_READ],
							.retried = records[i].counters[SHMB_COUNT_RETRIED],
							.lapped = records[i].counters[SHMB_COUNT_LAPPED],
							.waited = records[i].counters[SHMB_COUNT_WAITED],
							.woken = records[i].counters[SHMB_COUNT_WOKEN] };
	public = segment_info(&info.segment);
	public.readers = info.reader_count;
	r = visit(&public, tail + info.reader_count * sizeof(*records), readers, user);
	free(readers);
	free(tail);
	return r;
}

int shmb_status(struct shmb *broker, int (*visit)(const struct shmb_broker_status *status, void *user), void *user)
{
	struct shmb_msg_status request = { .head.opcode = SHMB_OP_STATUS };
	struct shmb_msg_status_answer status;
	struct shmb_broker_status public;
	char *tail = NULL;
	char *line;
	int r = query_ask(broker, &request.head, &status, &tail);

	if (r != 0)
		return r;
	/* The first line is the refusal; a broker without configuration says nothing at all. */
	line = strchr(tail, '\n');
	if (line != NULL)
		*line++ = '\0';
	public = (struct shmb_broker_status){
		.version = status.version,
		.shm_dir = status.shm_dir,
		.pid = status.pid,
		.segments = status.segments,
		.clients = status.clients,
		.protocol_version = status.protocol_version,
		.layout_version = status.layout_version,
		.started_ns = status.started_ns,
		.linger_ns = status.linger_ns,
		.bytes = status.bytes,
		.deaths = status.deaths,
		.repairs = status.repairs,
		.reaps = status.reaps,
		.adopted = status.adopted,
		.config_error = tail,
		.config_files = line != NULL ? line : "",
	};
	r = visit(&public, user);
	free(tail);
	return r;
}

int shmb_remove(struct shmb *broker, const char *name)
{
	struct shmb_msg_name request = { .head.opcode = SHMB_OP_REMOVE };
	struct shmb_msg_answer done;
	int r = segment_name_set(request.name, name);

	if (r < 0)
		return r;
	return query_ask(broker, &request.head, &done, NULL);
}
