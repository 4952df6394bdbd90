/* SPDX-License-Identifier: MIT */
/*
 * `shmbctl info NAME`: everything about one segment. What the broker knows comes from its answer; the numbers (oldest, next) and the
 * time of the last write are read from the segment itself, as an observer that takes no cell. A segment that cannot be observed is
 * still described.
 */

#include "command.h"
#include "json.h"
#include "output.h"
#include "segment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct info {
	const struct command_options *options;
	struct shmb_segment_status status; /* when observed == 0 */
	int observed;
};

static int info_observe(struct shmb *broker, const char *name, struct shmb_segment_status *out)
{
	struct shmb_ring_reader *ring = NULL;
	struct shmb_value_reader *value = NULL;
	struct shmb_frame_reader *frame = NULL;
	int r = shmb_ring_observe(&ring, broker, name);

	if (r == -EMEDIUMTYPE)
		r = shmb_value_observe(&value, broker, name);
	if (r == -EMEDIUMTYPE)
		r = shmb_frame_observe(&frame, broker, name);
	if (r == 0)
		r = ring ? shmb_ring_status(ring, out) : value ? shmb_value_status(value, out) : shmb_frame_status(frame, out);
	shmb_ring_reader_close(ring);
	shmb_value_reader_close(value);
	shmb_frame_reader_close(frame);
	return r;
}

static int info_json(const struct info *info, const struct shmb_segment_info *segment, const char *schema,
		     const struct shmb_reader_info *readers)
{
	json_t *object = segment_json(segment);
	json_t *list = json_array();
	int bad = !object || !list;

	for (uint32_t i = 0; !bad && i < segment->readers; i++)
		bad = json_array_append_new(
			list,
			json_pack("{s:i, s:I, s:o, s:s, s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "pid", (int)readers[i].pid, "uid",
				  (json_int_t)readers[i].uid, "comm", json_text(readers[i].comm), "role",
				  command_role_word((enum shmb_handle_role)readers[i].role), "behind",
				  readers[i].behind != UINT64_MAX ? json_integer((json_int_t)readers[i].behind) : json_null(), "generation",
				  (json_int_t)(segment->generation - readers[i].older), "published", json_u64(readers[i].published), "read",
				  json_u64(readers[i].read), "retried", json_u64(readers[i].retried), "lapped", json_u64(readers[i].lapped),
				  "waited", json_u64(readers[i].waited), "woken", json_u64(readers[i].woken)));
	if (!bad) {
		bool seen = info->observed == 0;
		uint64_t heartbeat = seen ? info->status.heartbeat_ns : 0;

		bad |= json_object_set_new(object, "reader_list", json_incref(list));
		bad |= json_object_set_new(object, "oldest", seen ? json_u64(info->status.oldest) : json_null());
		bad |= json_object_set_new(object, "next", seen ? json_u64(info->status.next) : json_null());
		bad |= json_object_set_new(object, "heartbeat_ns", heartbeat ? json_u64(heartbeat) : json_null());
		bad |= json_object_set_new(object, "schema", json_text(schema));
	}
	json_decref(list);
	if (bad) {
		json_decref(object);
		return -ENOMEM;
	}
	return json_line(object);
}

static void info_key(const char *key)
{
	printf("  %s%-12s%s", output_on(OUTPUT_DIM), key, output_off(OUTPUT_DIM));
}

static void info_numbers(const struct info *info)
{
	const struct shmb_segment_status *status = &info->status;
	char age[OUTPUT_UNIT_SIZE];
	uint64_t now = shmb_now_ns();

	info_key("numbers");
	if (info->observed == -EMEDIUMTYPE) {
		puts("only those of values, rings and frames are read");
		return;
	}
	if (info->observed < 0) {
		printf("cannot be read: %s\n", shmb_strerror(info->observed));
		return;
	}
	if (status->oldest == status->next)
		printf("nothing to read, next %" PRIu64 "\n", status->next);
	else
		printf("%" PRIu64 " to %" PRIu64 " readable, next %" PRIu64 "\n", status->oldest, status->next - 1, status->next);
	if (status->heartbeat_ns) {
		info_key("heartbeat");
		printf("%s ago\n", output_duration(age, now > status->heartbeat_ns ? now - status->heartbeat_ns : 0));
	}
}

/* What it did: the counters that say something. All 0: it has not shown any yet, or its library keeps none. */
static void info_counters(const struct shmb_reader_info *reader)
{
	const struct {
		const char *what;
		uint64_t count;
	} counters[] = { { "published", reader->published }, { "read", reader->read },	   { "retried", reader->retried },
			 { "lapped", reader->lapped },	     { "waited", reader->waited }, { "woken", reader->woken } };

	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
		if (counters[i].count != 0 && counters[i].count != UINT64_MAX)
			printf(", %" PRIu64 " %s", counters[i].count, counters[i].what);
	}
}

static int info_visit(const struct shmb_segment_info *segment, const char *schema, const struct shmb_reader_info *readers, void *user)
{
	const struct info *info = user;
	enum output_style style = segment_writer_style(segment->writer);
	char text[OUTPUT_UNIT_SIZE];

	if (info->options->json)
		return info_json(info, segment, schema, readers);
	fputs(output_on(OUTPUT_BOLD), stdout);
	output_text(segment->name);
	puts(output_off(OUTPUT_BOLD));
	info_key("kind");
	output_text(segment->kind);
	/* one slot is always the writer's next */
	if (strcmp(segment->kind, "ring") == 0)
		printf(" of %u slots, the newest %u readable", segment->capacity, segment->capacity - 1);
	printf("%s\n", segment->stamped ? ", stamped" : "");
	info_key("type");
	output_text(segment->type);
	printf(", %s, schema %016" PRIx64 "\n", output_bytes(text, segment->payload_bytes), segment->schema_hash);
	info_key("memory");
	printf("%s, made %s ago", output_bytes(text, segment->bytes),
	       output_duration((char[OUTPUT_UNIT_SIZE]){ 0 }, segment_age_ns(segment->created_ns)));
	printf(" for uid %u, gid %u\n", segment->owner_uid, segment->owner_gid);
	info_key("generation");
	printf("%" PRIu64 ", epoch %" PRIu64, segment->generation, segment->epoch);
	if (segment->draining > 0)
		printf("; %u before it draining", segment->draining);
	putchar('\n');
	info_numbers(info);
	info_key("writer");
	printf("%s%s%s", output_on(style), command_writer_word(segment->writer), output_off(style));
	if (segment->writer_pid) {
		printf(", pid %d (", (int)segment->writer_pid);
		output_text(segment->writer_comm);
		printf("), uid %u", segment->writer_uid);
	}
	putchar('\n');
	info_key("readers");
	printf("%u\n", segment->readers);
	for (uint32_t i = 0; i < segment->readers; i++) {
		printf("              pid %d (", (int)readers[i].pid);
		output_text(readers[i].comm);
		printf("), uid %u", readers[i].uid);
		if (readers[i].behind != UINT64_MAX)
			printf(", %" PRIu64 " behind", readers[i].behind);
		if (readers[i].older > 0)
			printf(", in generation %" PRIu64, segment->generation - readers[i].older);
		info_counters(&readers[i]);
		putchar('\n');
	}
	puts("  schema");
	output_lines(schema, "    ");
	return 0;
}

int command_info(struct shmb *broker, const struct command_options *options)
{
	struct info info = { .options = options };
	int r;

	info.observed = info_observe(broker, options->names[0], &info.status);
	r = shmb_info(broker, options->names[0], info_visit, &info);
	return r < 0 ? command_fail(options->names[0], r) : COMMAND_OK;
}
