/* SPDX-License-Identifier: MIT */
/* How a segment is described: the same keys, colours and ages wherever it is shown. */

#include "segment.h"

#include "command.h"

#include <time.h>

json_t *segment_json(const struct shmb_segment_info *info)
{
	json_t *writer = json_pack("{s:s, s:o, s:o, s:o}", "condition", command_writer_word(info->writer), "pid",
				   info->writer_pid ? json_integer(info->writer_pid) : json_null(), "uid",
				   info->writer_pid ? json_integer(info->writer_uid) : json_null(), "comm",
				   json_text(info->writer_pid ? info->writer_comm : NULL));

	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:b, s:I, s:I, s:o, s:I}", "name", json_text(info->name),
			 "kind", json_text(info->kind), "type", json_text(info->type), "schema_hash", json_hash(info->schema_hash),
			 "generation", json_u64(info->generation), "epoch", json_u64(info->epoch), "created_ns", json_u64(info->created_ns),
			 "bytes", json_u64(info->bytes), "payload_bytes", json_u64(info->payload_bytes), "capacity",
			 (json_int_t)info->capacity, "stamped", (int)info->stamped, "owner_uid", (json_int_t)info->owner_uid, "owner_gid",
			 (json_int_t)info->owner_gid, "writer", writer, "readers", (json_int_t)info->readers);
}

enum output_style segment_writer_style(enum shmb_writer_condition condition)
{
	switch (condition) {
	case SHMB_WRITER_IS_ALIVE:
		return OUTPUT_GOOD;
	case SHMB_WRITER_IS_DEAD:
	case SHMB_WRITER_IS_HUNG:
	case SHMB_WRITER_IS_DUMPING:
		return OUTPUT_BAD;
	case SHMB_WRITER_IS_GONE:
	case SHMB_WRITER_IS_STOPPED:
	case SHMB_WRITER_IS_TRACED:
		return OUTPUT_WARN;
	default:
		return OUTPUT_DIM;
	}
}

uint64_t segment_age_ns(uint64_t realtime_ns)
{
	struct timespec now;
	uint64_t now_ns;

	clock_gettime(CLOCK_REALTIME, &now);
	now_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	return now_ns > realtime_ns ? now_ns - realtime_ns : 0;
}
