/* SPDX-License-Identifier: MIT */
/*
 * PROTOCOL.md against the headers: every row of its byte tables is compared with offsetof and sizeof, and every constant with its value, so
 * that who writes a client in another language can rely on the page.
 *
 * A field that is in a header but not in the list here is found too: the rows of a struct must tile it, but for padding to a cache line in
 * shared memory.
 */
#include "proto/message.h"
#include "tests/support/unit.h"

#include <ctype.h>
#include <string.h>

struct known_field {
	const char *owner;
	const char *name; /* NULL: the struct itself */
	uint64_t offset;
	uint64_t size;
	unsigned rows; /* found on the page */
};

struct known_constant {
	const char *name;
	uint64_t value;
	unsigned rows;
};

/* clang-format off */
#define STRUCT(type) { #type, NULL, 0, sizeof(struct type), 0 }
#define FIELD(type, field) { #type, #field, offsetof(struct type, field), sizeof(((struct type *)0)->field), 0 }
#define CONSTANT(name) { #name, (uint64_t)(name), 0 }

static struct known_field fields[] = {
#define OF(field) FIELD(shmb_shm_cell_owner, field)
	STRUCT(shmb_shm_cell_owner),
	OF(start_time), OF(pid), OF(incarnation),
#undef OF
#define OF(field) FIELD(shmb_shm_card, field)
	STRUCT(shmb_shm_card),
	OF(magic), OF(version), OF(oldest_reader), OF(card_bytes), OF(schema_offset), OF(schema_length), OF(kind),
	OF(backing), OF(key_type), OF(reserved0), OF(schema_hash), OF(segment_id), OF(generation), OF(base), OF(created_ns),
	OF(data_bytes), OF(payload_bytes), OF(slot_offset), OF(pool_offset), OF(key_offset), OF(entry_offset), OF(flags),
	OF(slot_count), OF(pool_count), OF(entry_count), OF(slot_shift), OF(pool_shift), OF(key_shift), OF(entry_shift),
	OF(history), OF(key_field), OF(area_count), OF(payload_align), OF(wishes), OF(pins), OF(reserved1), OF(name), OF(type), OF(lease_epoch),
	OF(lease_pid), OF(lease_uid), OF(lease_start), OF(boot_id), OF(reserved2), OF(state), OF(cut), OF(next),
	OF(bound_areas), OF(writer), OF(area_cells), OF(area_uid), OF(reserved4), OF(cells), OF(reserved5),
#undef OF
#define OF(field) FIELD(shmb_shm_data, field)
	STRUCT(shmb_shm_data),
	OF(magic), OF(version), OF(heartbeat_ns), OF(writer_pid), OF(reserved), OF(counter), OF(wake), OF(key_base),
	OF(queue_flag), OF(lock), OF(reserved1),
#undef OF
#define OF(field) FIELD(shmb_shm_slot, field)
	STRUCT(shmb_shm_slot),
	OF(id), OF(stamp_ns),
#undef OF
#define OF(field) FIELD(shmb_shm_entry, field)
	STRUCT(shmb_shm_entry),
	OF(id), OF(slot), OF(length), OF(stamp_ns),
#undef OF
#define OF(field) FIELD(shmb_shm_cell, field)
	STRUCT(shmb_shm_cell),
	OF(position), OF(wake), OF(reserved), OF(pins), OF(counters),
#undef OF
#define OF(field) FIELD(shmb_shm_area, field)
	STRUCT(shmb_shm_area),
	OF(waiters), OF(reserved), OF(cells),
#undef OF
#define OF(field) FIELD(shmb_shm_event, field)
	STRUCT(shmb_shm_event),
	OF(magic), OF(version), OF(oldest_reader), OF(pid), OF(uid), OF(start_time), OF(boot_id), OF(cookie), OF(word),
	OF(reserved),
#undef OF
#define OF(field) FIELD(shmb_msg_head, field)
	STRUCT(shmb_msg_head),
	OF(opcode), OF(reserved), OF(serial), OF(tail_bytes), OF(result),
#undef OF
#define OF(field) FIELD(shmb_msg_hello, field)
	STRUCT(shmb_msg_hello),
	OF(head), OF(magic), OF(version), OF(oldest), OF(cookie), OF(comm),
#undef OF
#define OF(field) FIELD(shmb_msg_resume, field)
	STRUCT(shmb_msg_resume),
	OF(head), OF(handle), OF(role), OF(reserved), OF(segment_id), OF(generation), OF(epoch), OF(cell), OF(incarnation),
	OF(name),
#undef OF
#define OF(field) FIELD(shmb_msg_ready, field)
	STRUCT(shmb_msg_ready),
	OF(head),
#undef OF
#define OF(field) FIELD(shmb_msg_open_writer, field)
	STRUCT(shmb_msg_open_writer),
	OF(head), OF(handle), OF(open_flags), OF(segment_flags), OF(kind), OF(role), OF(key_type), OF(reserved), OF(capacity),
	OF(payload_align), OF(payload_bytes), OF(schema_hash), OF(history), OF(pins), OF(key_field), OF(reserved1), OF(name),
	OF(type),
#undef OF
#define OF(field) FIELD(shmb_msg_open_reader, field)
	STRUCT(shmb_msg_open_reader),
	OF(head), OF(handle), OF(open_flags), OF(role), OF(kind), OF(reserved), OF(follows), OF(schema_hash), OF(name),
#undef OF
#define OF(field) FIELD(shmb_msg_close, field)
	STRUCT(shmb_msg_close),
	OF(head), OF(handle), OF(reserved),
#undef OF
#define OF(field) FIELD(shmb_msg_list, field)
	STRUCT(shmb_msg_list),
	OF(head), OF(after),
#undef OF
#define OF(field) FIELD(shmb_msg_watch, field)
	STRUCT(shmb_msg_watch),
	OF(head), OF(pattern),
#undef OF
#define OF(field) FIELD(shmb_msg_events, field)
	STRUCT(shmb_msg_events),
	OF(head), OF(lost), OF(count), OF(reserved),
#undef OF
#define OF(field) FIELD(shmb_msg_event, field)
	STRUCT(shmb_msg_event),
	OF(time_ns), OF(pid), OF(uid), OF(level), OF(reserved), OF(comm), OF(kind), OF(reason), OF(segment), OF(text),
#undef OF
#define OF(field) FIELD(shmb_msg_figures, field)
	STRUCT(shmb_msg_figures),
	OF(head), OF(after), OF(pattern),
#undef OF
#define OF(field) FIELD(shmb_msg_figures_answer, field)
	STRUCT(shmb_msg_figures_answer),
	OF(head), OF(now_ns), OF(count), OF(reserved),
#undef OF
#define OF(field) FIELD(shmb_msg_figure, field)
	STRUCT(shmb_msg_figure),
	OF(order), OF(segment_id), OF(generation), OF(bytes), OF(payload_bytes), OF(next), OF(heartbeat_ns), OF(read), OF(lost),
	OF(lag), OF(capacity), OF(owner_uid), OF(writer_pid), OF(writer_uid), OF(readers), OF(lag_pid), OF(kind), OF(state),
	OF(writer), OF(reserved), OF(writer_comm), OF(type), OF(name),
#undef OF
#define OF(field) FIELD(shmb_msg_name, field)
	STRUCT(shmb_msg_name),
	OF(head), OF(name),
#undef OF
#define OF(field) FIELD(shmb_msg_status, field)
	STRUCT(shmb_msg_status),
	OF(head),
#undef OF
#define OF(field) FIELD(shmb_msg_answer, field)
	STRUCT(shmb_msg_answer),
	OF(head), OF(holder_pid), OF(holder_uid), OF(holder_comm), OF(text),
#undef OF
#define OF(field) FIELD(shmb_msg_hello_answer, field)
	STRUCT(shmb_msg_hello_answer),
	OF(head), OF(version), OF(reserved), OF(pid), OF(broker_id),
#undef OF
#define OF(field) FIELD(shmb_msg_open_answer, field)
	STRUCT(shmb_msg_open_answer),
	OF(head), OF(segment_id), OF(generation), OF(epoch), OF(state), OF(cell), OF(incarnation), OF(fd_count), OF(area),
#undef OF
#define OF(field) FIELD(shmb_msg_segment, field)
	STRUCT(shmb_msg_segment),
	OF(order), OF(segment_id), OF(generation), OF(created_ns), OF(bytes), OF(payload_bytes), OF(schema_hash), OF(epoch),
	OF(capacity), OF(flags), OF(owner_uid), OF(owner_gid), OF(writer_pid), OF(writer_uid), OF(readers), OF(kind),
	OF(state), OF(writer), OF(draining), OF(writer_comm), OF(type), OF(name),
#undef OF
#define OF(field) FIELD(shmb_msg_list_answer, field)
	STRUCT(shmb_msg_list_answer),
	OF(head), OF(count), OF(reserved),
#undef OF
#define OF(field) FIELD(shmb_msg_reader, field)
	STRUCT(shmb_msg_reader),
	OF(pid), OF(uid), OF(cell), OF(role), OF(older), OF(reserved), OF(behind), OF(comm), OF(counters),
#undef OF
#define OF(field) FIELD(shmb_msg_info_answer, field)
	STRUCT(shmb_msg_info_answer),
	OF(head), OF(reader_count), OF(schema_bytes), OF(segment),
#undef OF
#define OF(field) FIELD(shmb_msg_reload, field)
	STRUCT(shmb_msg_reload),
	OF(head),
#undef OF
#define OF(field) FIELD(shmb_msg_reload_answer, field)
	STRUCT(shmb_msg_reload_answer),
	OF(head), OF(segments), OF(not_applied), OF(files), OF(patterns),
#undef OF
#define OF(field) FIELD(shmb_msg_policy, field)
	STRUCT(shmb_msg_policy),
	OF(head), OF(uid), OF(gid_count), OF(gids), OF(name),
#undef OF
#define OF(field) FIELD(shmb_msg_policy_answer, field)
	STRUCT(shmb_msg_policy_answer),
	OF(head), OF(pattern_count), OF(setting_count), OF(uid), OF(may_read), OF(may_write), OF(is_there), OF(reserved),
	OF(read_why), OF(write_why),
#undef OF
#define OF(field) FIELD(shmb_msg_policy_pattern, field)
	STRUCT(shmb_msg_policy_pattern),
	OF(pattern), OF(source),
#undef OF
#define OF(field) FIELD(shmb_msg_policy_setting, field)
	STRUCT(shmb_msg_policy_setting),
	OF(name), OF(value), OF(source),
#undef OF
#define OF(field) FIELD(shmb_msg_gc, field)
	STRUCT(shmb_msg_gc),
	OF(head), OF(flags), OF(reserved), OF(after),
#undef OF
#define OF(field) FIELD(shmb_msg_gc_answer, field)
	STRUCT(shmb_msg_gc_answer),
	OF(head), OF(count), OF(reserved), OF(next),
#undef OF
#define OF(field) FIELD(shmb_msg_gc_item, field)
	STRUCT(shmb_msg_gc_item),
	OF(bytes), OF(due_ns), OF(uid), OF(pid), OF(verdict), OF(is_foreign), OF(reserved), OF(name), OF(reason),
#undef OF
#define OF(field) FIELD(shmb_msg_metrics, field)
	STRUCT(shmb_msg_metrics),
	OF(head),
#undef OF
#define OF(field) FIELD(shmb_msg_metrics_answer, field)
	STRUCT(shmb_msg_metrics_answer),
	OF(head), OF(started_ns), OF(bytes), OF(deaths), OF(repairs), OF(reaps), OF(adopted), OF(latency_ns), OF(cpu_ns), OF(resident_bytes), OF(segments), OF(clients), OF(descriptors), OF(descriptors_max), OF(bucket_count), OF(refusal_count), OF(event_count), OF(reserved), OF(version),
#undef OF
#define OF(field) FIELD(shmb_msg_bucket, field)
	STRUCT(shmb_msg_bucket),
	OF(upto_ns), OF(count),
#undef OF
#define OF(field) FIELD(shmb_msg_count, field)
	STRUCT(shmb_msg_count),
	OF(value), OF(name),
#undef OF
#define OF(field) FIELD(shmb_msg_clients, field)
	STRUCT(shmb_msg_clients),
	OF(head), OF(before),
#undef OF
#define OF(field) FIELD(shmb_msg_clients_answer, field)
	STRUCT(shmb_msg_clients_answer),
	OF(head), OF(count), OF(reserved),
#undef OF
#define OF(field) FIELD(shmb_msg_client, field)
	STRUCT(shmb_msg_client),
	OF(order), OF(connected_ns), OF(requests), OF(refusals), OF(bytes), OF(pid), OF(uid), OF(gid), OF(handle_count), OF(is_ready), OF(watches), OF(reserved), OF(comm),
#undef OF
#define OF(field) FIELD(shmb_msg_client_handle, field)
	STRUCT(shmb_msg_client_handle),
	OF(handle), OF(role), OF(reserved), OF(name),
#undef OF
#define OF(field) FIELD(shmb_msg_users, field)
	STRUCT(shmb_msg_users),
	OF(head), OF(from),
#undef OF
#define OF(field) FIELD(shmb_msg_users_answer, field)
	STRUCT(shmb_msg_users_answer),
	OF(head), OF(count), OF(reserved), OF(next), OF(total),
#undef OF
#define OF(field) FIELD(shmb_msg_user, field)
	STRUCT(shmb_msg_user),
	OF(bytes), OF(requests), OF(refusals), OF(over), OF(bytes_max), OF(segments_max), OF(connections_max), OF(request_rate), OF(uid), OF(segments), OF(connections), OF(reserved),
#undef OF
#define OF(field) FIELD(shmb_msg_status_answer, field)
	STRUCT(shmb_msg_status_answer),
	OF(head), OF(broker_id), OF(started_ns), OF(bytes), OF(deaths), OF(repairs), OF(reaps), OF(adopted), OF(pid),
	OF(segments), OF(clients), OF(protocol_version), OF(layout_version), OF(linger_ns), OF(version), OF(shm_dir),
#undef OF
};

static struct known_constant constants[] = {
	CONSTANT(SHMB_PAGE), CONSTANT(SHMB_CACHE_LINE), CONSTANT(SHMB_NAME_MAX), CONSTANT(SHMB_TYPE_NAME_MAX),
	CONSTANT(SHMB_SCHEMA_MAX), CONSTANT(SHMB_BOOT_ID_BYTES), CONSTANT(SHMB_COOKIE_BYTES), CONSTANT(SHMB_AREAS_MAX),
	CONSTANT(SHMB_CELLS_PER_AREA), CONSTANT(SHMB_CELLS_MAX), CONSTANT(SHMB_CAPACITY_MIN), CONSTANT(SHMB_CAPACITY_MAX),
	CONSTANT(SHMB_PINS_PER_CELL), CONSTANT(SHMB_LINE_SHIFT), CONSTANT(SHMB_KEY_SHIFT), CONSTANT(SHMB_PAYLOAD_SHIFT_MAX), CONSTANT(SHMB_PAYLOAD_MAX), CONSTANT(SHMB_DATA_MAX), CONSTANT(SHMB_NUMBER_MAX),
	CONSTANT(SHMB_CARD_MAGIC), CONSTANT(SHMB_DATA_MAGIC), CONSTANT(SHMB_EVENT_MAGIC), CONSTANT(SHMB_LAYOUT_VERSION),
	CONSTANT(SHMB_LAYOUT_OLDEST), CONSTANT(SHMB_DATA_VERSION), CONSTANT(SHMB_KIND_NONE), CONSTANT(SHMB_KIND_VALUE),
	CONSTANT(SHMB_KIND_RING), CONSTANT(SHMB_KIND_FRAME), CONSTANT(SHMB_KIND_QUEUE), CONSTANT(SHMB_KIND_BLOCK),
	CONSTANT(SHMB_BACKING_NAMED), CONSTANT(SHMB_BACKING_SEALED), CONSTANT(SHMB_SEGMENT_STAMPED),
	CONSTANT(SHMB_SEGMENT_FLAGS_KNOWN), CONSTANT(SHMB_KEY_NONE), CONSTANT(SHMB_KEY_MONOTONIC_NS),
	CONSTANT(SHMB_KEY_REALTIME_NS), CONSTANT(SHMB_KEY_SEQUENCE), CONSTANT(SHMB_KEY_IS_STAMP), CONSTANT(SHMB_KEY_IS_GIVEN), CONSTANT(SHMB_LOCK_WAITERS),
	CONSTANT(SHMB_LOCK_OWNER_DIED), CONSTANT(SHMB_LOCK_INCARNATION), CONSTANT(SHMB_LOCK_CELL), CONSTANT(SHMB_QUEUE_CELL), CONSTANT(SHMB_STATE_NONE), CONSTANT(SHMB_STATE_FREE), CONSTANT(SHMB_STATE_HELD),
	CONSTANT(SHMB_STATE_GIVEN_UP), CONSTANT(SHMB_STATE_SUPERSEDED), CONSTANT(SHMB_STATE_REMOVED),
	CONSTANT(SHMB_WRITER_NONE), CONSTANT(SHMB_WRITER_ALIVE), CONSTANT(SHMB_WRITER_CLOSED), CONSTANT(SHMB_WRITER_DEAD),
	CONSTANT(SHMB_WRITER_GONE), CONSTANT(SHMB_WRITER_STOPPED), CONSTANT(SHMB_WRITER_TRACED), CONSTANT(SHMB_WRITER_HUNG),
	CONSTANT(SHMB_WRITER_DUMPING), CONSTANT(SHMB_COUNT_PUBLISHED), CONSTANT(SHMB_COUNT_READ),
	CONSTANT(SHMB_COUNT_RETRIED), CONSTANT(SHMB_COUNT_LAPPED), CONSTANT(SHMB_COUNT_WAITED), CONSTANT(SHMB_COUNT_WOKEN),
	CONSTANT(SHMB_COUNTERS), CONSTANT(SHMB_MESSAGE_MAGIC), CONSTANT(SHMB_PROTOCOL_VERSION),
	CONSTANT(SHMB_PROTOCOL_OLDEST), CONSTANT(SHMB_MESSAGE_MAX), CONSTANT(SHMB_TEXT_MAX), CONSTANT(SHMB_FDS_MAX),
	CONSTANT(SHMB_COMM_MAX), CONSTANT(SHMB_OP_HELLO), CONSTANT(SHMB_OP_RESUME), CONSTANT(SHMB_OP_READY),
	CONSTANT(SHMB_OP_OPEN_WRITER), CONSTANT(SHMB_OP_OPEN_READER), CONSTANT(SHMB_OP_CLOSE), CONSTANT(SHMB_OP_LIST),
	CONSTANT(SHMB_OP_INFO), CONSTANT(SHMB_OP_STATUS), CONSTANT(SHMB_OP_REMOVE), CONSTANT(SHMB_OP_WATCH), CONSTANT(SHMB_OP_EVENT), CONSTANT(SHMB_OP_FIGURES), CONSTANT(SHMB_OP_COUNT),
	CONSTANT(SHMB_ROLE_WRITER), CONSTANT(SHMB_ROLE_READER), CONSTANT(SHMB_ROLE_OBSERVER),
	CONSTANT(SHMB_ROLE_CONSUMER), CONSTANT(SHMB_ROLE_SHARER), CONSTANT(SHMB_OPEN_NOTIFY),
	CONSTANT(SHMB_OPEN_FLAGS_KNOWN), CONSTANT(SHMB_SOURCE_MAX), CONSTANT(SHMB_VALUE_MAX), CONSTANT(SHMB_GROUPS_MAX),
	CONSTANT(SHMB_WISH_PREFAULT), CONSTANT(SHMB_WISH_LOCK), CONSTANT(SHMB_WISH_HUGE), CONSTANT(SHMB_OP_RELOAD), CONSTANT(SHMB_OP_POLICY), CONSTANT(SHMB_OP_METRICS), CONSTANT(SHMB_OP_CLIENTS), CONSTANT(SHMB_OP_USERS), CONSTANT(SHMB_OP_GC), CONSTANT(SHMB_GC_DRY_RUN),
	CONSTANT(SHMB_GC_FOREIGN), CONSTANT(SHMB_GC_FLAGS_KNOWN), CONSTANT(SHMB_GC_STAYS), CONSTANT(SHMB_GC_GOES),
	CONSTANT(SHMB_GC_REMOVED), CONSTANT(SHMB_GC_FAILED),
};
/* clang-format on */

enum { FIELDS = sizeof(fields) / sizeof(fields[0]), CONSTANTS = sizeof(constants) / sizeof(constants[0]) };

static char *file_lines(const char *path)
{
	FILE *in = fopen(path, "r");
	size_t size;
	char *text;

	ck_assert_msg(in != NULL, "%s cannot be read", path);
	ck_assert_int_eq(fseek(in, 0, SEEK_END), 0);
	size = (size_t)ftell(in);
	rewind(in);
	text = malloc(size + 1);
	ck_assert_ptr_nonnull(text);
	ck_assert_uint_eq(fread(text, 1, size, in), size);
	text[size] = '\0';
	fclose(in);
	return text;
}

static struct known_field *field_find(const char *owner, const char *name)
{
	for (int i = 0; i < FIELDS; i++) {
		int same = name == NULL ? fields[i].name == NULL : fields[i].name != NULL && strcmp(fields[i].name, name) == 0;

		if (same && strcmp(fields[i].owner, owner) == 0)
			return &fields[i];
	}
	return NULL;
}

static struct known_constant *constant_find(const char *name)
{
	for (int i = 0; i < CONSTANTS; i++) {
		if (strcmp(constants[i].name, name) == 0)
			return &constants[i];
	}
	return NULL;
}

/* Where the rows of the struct have come to. */
struct tiling {
	char owner[64]; /* "" outside of any */
	uint64_t size;
	uint64_t end;
};

static uint64_t next_line(uint64_t offset)
{
	return (offset + SHMB_CACHE_LINE - 1) & ~(uint64_t)(SHMB_CACHE_LINE - 1);
}

static int is_next(const struct tiling *tiling, uint64_t offset)
{
	return offset == tiling->end || (strncmp(tiling->owner, "shmb_shm_", 9) == 0 && offset == next_line(tiling->end));
}

static void tiling_finish(struct tiling *tiling)
{
	if (tiling->owner[0] != '\0')
		ck_assert_msg(is_next(tiling, tiling->size), "%s: its rows end at %lu of %lu", tiling->owner, tiling->end, tiling->size);
	tiling->owner[0] = '\0';
}

static void heading_check(const char *line, struct tiling *tiling)
{
	struct known_field *known;

	tiling_finish(tiling);
	if (sscanf(line, "### `struct %63[a-z_]`, %lu bytes", tiling->owner, &tiling->size) != 2) {
		tiling->owner[0] = '\0';
		return;
	}
	tiling->end = 0;
	known = field_find(tiling->owner, NULL);
	ck_assert_msg(known != NULL, "%s is on the page, but not in the headers", tiling->owner);
	ck_assert_msg(known->size == tiling->size, "%s has %lu bytes, the page says %lu", tiling->owner, known->size, tiling->size);
	known->rows++;
}

static void row_check(const char *line, struct tiling *tiling)
{
	uint64_t offset, size;
	char name[64];
	struct known_field *known;

	if (tiling->owner[0] == '\0' || sscanf(line, "| %lu | %lu | `%63[a-z0-9_]` |", &offset, &size, name) != 3)
		return;
	known = field_find(tiling->owner, name);
	ck_assert_msg(known != NULL, "%s.%s is on the page, but not in the headers", tiling->owner, name);
	ck_assert_msg(known->offset == offset && known->size == size, "%s.%s is %lu bytes at %lu, the page says %lu at %lu", tiling->owner,
		      name, known->size, known->offset, size, offset);
	ck_assert_msg(is_next(tiling, offset), "%s.%s begins at %lu, the field before ends at %lu", tiling->owner, name, offset,
		      tiling->end);
	tiling->end = offset + size;
	known->rows++;
}

static void constant_check(const char *line)
{
	struct known_constant *known;
	char name[64], value[32];
	char *end;

	if (sscanf(line, "| `%63[A-Z_]` | %31[0-9a-fx] |", name, value) != 2)
		return;
	known = constant_find(name);
	ck_assert_msg(known != NULL, "%s is on the page, but not in the headers", name);
	ck_assert_msg(strtoull(value, &end, 0) == known->value && *end == '\0', "%s is %lu, the page says %s", name, known->value, value);
	known->rows++;
}

static void page_read(void)
{
	char *text = file_lines(PROTO_DIR "/PROTOCOL.md");
	struct tiling tiling = { 0 };
	char *rest = text;
	char *line;

	while ((line = strsep(&rest, "\n")) != NULL) {
		if (line[0] == '#')
			heading_check(line, &tiling);
		row_check(line, &tiling);
		constant_check(line);
	}
	tiling_finish(&tiling);
	free(text);
}

START_TEST(structs_are_on_the_page)
{
	page_read();
	for (int i = 0; i < FIELDS; i++)
		ck_assert_msg(fields[i].rows == 1, "%s.%s has %u rows on the page", fields[i].owner,
			      fields[i].name != NULL ? fields[i].name : "", fields[i].rows);
}
END_TEST

START_TEST(constants_are_on_the_page)
{
	page_read();
	for (int i = 0; i < CONSTANTS; i++)
		ck_assert_msg(constants[i].rows == 1, "%s has %u rows on the page", constants[i].name, constants[i].rows);
}
END_TEST

/* "struct NAME {", "SHMB_NAME = " and "#define SHMB_NAME value" of a header are in the lists above. */
static void header_check(const char *path)
{
	char *text = file_lines(path);
	char *rest = text;
	char *line;

	while ((line = strsep(&rest, "\n")) != NULL) {
		char name[64];
		char more;

		if (sscanf(line, "struct %63[a-z_] %c", name, &more) == 2 && more == '{')
			ck_assert_msg(field_find(name, NULL) != NULL, "%s is not in this test", name);
		if (sscanf(line, " SHMB_%63[A-Z_] = %c", name, &more) == 2 ||
		    (sscanf(line, "#define SHMB_%63[A-Z_]%c", name, &more) == 2 && more == ' ')) {
			char whole[80];

			snprintf(whole, sizeof(whole), "SHMB_%s", name);
			ck_assert_msg(constant_find(whole) != NULL, "%s is not in this test", whole);
		}
	}
	free(text);
}

START_TEST(headers_are_in_this_test)
{
	header_check(PROTO_DIR "/layout.h");
	header_check(PROTO_DIR "/message.h");
}
END_TEST

/* What is written by different processes lies on different cache lines. */
START_TEST(writers_have_their_own_lines)
{
	static const size_t lines[] = { offsetof(struct shmb_shm_data, heartbeat_ns), offsetof(struct shmb_shm_data, counter),
					offsetof(struct shmb_shm_data, wake),	      offsetof(struct shmb_shm_data, key_base),
					offsetof(struct shmb_shm_data, queue_flag),   offsetof(struct shmb_shm_data, lock) };

	for (size_t i = 1; i < sizeof(lines) / sizeof(lines[0]); i++)
		ck_assert_uint_gt(lines[i] / SHMB_CACHE_LINE, lines[i - 1] / SHMB_CACHE_LINE);
	ck_assert_uint_eq(offsetof(struct shmb_shm_card, state) % SHMB_CACHE_LINE, 0);
	ck_assert_uint_lt(offsetof(struct shmb_shm_card, writer) + 8, 512 + SHMB_CACHE_LINE);
	ck_assert_uint_eq(offsetof(struct shmb_shm_area, cells) % SHMB_CACHE_LINE, 0);
	ck_assert_uint_eq(sizeof(struct shmb_shm_cell) % SHMB_CACHE_LINE, 0);
	ck_assert_uint_eq(offsetof(struct shmb_shm_event, word) % SHMB_CACHE_LINE, 0);
}
END_TEST

START_TEST(ids_and_words)
{
	ck_assert_uint_eq(shmb_id_writing(0), 1);
	ck_assert_uint_eq(shmb_id_done(0), 2);
	ck_assert_uint_eq(shmb_id_writing(SHMB_NUMBER_MAX), (UINT64_C(1) << 63) + 1);
	ck_assert_uint_eq(shmb_id_done(SHMB_NUMBER_MAX), (UINT64_C(1) << 63) + 2);
	ck_assert_uint_eq(shmb_state_word(5, SHMB_STATE_HELD), 5 * 256 + 2);
	ck_assert_uint_eq(shmb_writer_word(5, SHMB_WRITER_DEAD), 5 * 256 + 3);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("layout");

	unit_add(suite, structs_are_on_the_page, 5);
	unit_add(suite, constants_are_on_the_page, 5);
	unit_add(suite, headers_are_in_this_test, 5);
	unit_add(suite, writers_have_their_own_lines, 5);
	unit_add(suite, ids_and_words, 5);
	return unit_run(suite);
}
