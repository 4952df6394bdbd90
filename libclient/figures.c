/* SPDX-License-Identifier: MIT */
/* Live figures of many segments (shmb_figures.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "query.h"
#include "segment.h"
#include "text.h"

static struct shmb_figures figures_of(const struct shmb_msg_figure *figure, uint64_t now_ns)
{
	return (struct shmb_figures){
		.name = figure->name,
		.type = figure->type,
		.kind = segment_kind_name(figure->kind),
		.looked_ns = now_ns,
		.segment_id = figure->segment_id,
		.generation = figure->generation,
		.bytes = figure->bytes,
		.payload_bytes = figure->payload_bytes,
		.next = figure->next,
		.heartbeat_ns = figure->heartbeat_ns,
		.read = figure->read,
		.lost = figure->lost,
		.lag = figure->lag,
		.lag_pid = figure->lag_pid,
		.readers = figure->readers,
		.capacity = figure->capacity,
		.owner_uid = figure->owner_uid,
		.writer_pid = figure->writer_pid,
		.writer_uid = figure->writer_uid,
		.writer_comm = figure->writer_comm,
		.writer = segment_writer_condition(figure->writer),
	};
}

int query_pattern_set(char field[SHMB_NAME_MAX + 8], const char *pattern)
{
	size_t length = pattern != NULL ? strnlen(pattern, SHMB_NAME_MAX + 1) : 0;

	if (length > SHMB_NAME_MAX)
		return text_fail(-EINVAL, "the pattern is longer than %d bytes, and so than any name", SHMB_NAME_MAX);
	for (size_t i = 0; i < length; i++) {
		if (pattern[i] < 0x20 || pattern[i] > 0x7e)
			return text_fail(-EINVAL, "the pattern holds other bytes than printable ASCII, as no name does");
	}
	memset(field, 0, SHMB_NAME_MAX + 8);
	if (length > 0)
		memcpy(field, pattern, length);
	return 0;
}

int shmb_figures(struct shmb *broker, const char *pattern, int (*visit)(const struct shmb_figures *figures, void *user), void *user)
{
	struct shmb_msg_figures request = { .head.opcode = SHMB_OP_FIGURES };
	int r = query_pattern_set(request.pattern, pattern);

	while (r == 0) {
		struct shmb_msg_figures_answer answer;
		uint64_t before = request.after;
		char *tail = NULL;

		r = query_ask(broker, &request.head, &answer, &tail);
		if (r < 0)
			return r;
		for (uint32_t i = 0; i < answer.count && r == 0; i++) {
			struct shmb_msg_figure figure;
			struct shmb_figures public;

			memcpy(&figure, tail + i * sizeof(figure), sizeof(figure));
			public = figures_of(&figure, answer.now_ns);
			request.after = figure.order;
			r = visit(&public, user);
		}
		free(tail);
		/* The order grows from record to record: one that does not would make this loop endless. */
		if (answer.count == 0 || request.after <= before)
			break;
	}
	return r;
}
