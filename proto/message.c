/* SPDX-License-Identifier: MIT */
/*
 * The codec of control messages (message.h). Structs travel as they lie in memory: both architectures are little-endian, every field is
 * of fixed width and there is no padding. Decoding copies out of the packet, which may be unaligned, and checks every field; after it
 * the rest of the program works on values that can be, if not on ones that make sense together.
 */
#include "message.h"
#include "name.h"

#include <errno.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "structs travel as they lie");
_Static_assert(sizeof(struct shmb_msg_open_writer) + SHMB_SCHEMA_MAX <= SHMB_MESSAGE_MAX, "a schema fits a request");
_Static_assert(sizeof(struct shmb_msg_answer) + SHMB_SCHEMA_MAX <= SHMB_MESSAGE_MAX, "a schema fits an answer");

enum { ERRNO_MAX = 4095 }; /* what the kernel takes for an error */

static const struct {
	size_t request;
	size_t answer;
} sizes[SHMB_OP_COUNT] = {
	[SHMB_OP_HELLO] = { sizeof(struct shmb_msg_hello), sizeof(struct shmb_msg_hello_answer) },
	[SHMB_OP_RESUME] = { sizeof(struct shmb_msg_resume), sizeof(struct shmb_msg_answer) },
	[SHMB_OP_READY] = { sizeof(struct shmb_msg_ready), sizeof(struct shmb_msg_answer) },
	[SHMB_OP_OPEN_WRITER] = { sizeof(struct shmb_msg_open_writer), sizeof(struct shmb_msg_open_answer) },
	[SHMB_OP_OPEN_READER] = { sizeof(struct shmb_msg_open_reader), sizeof(struct shmb_msg_open_answer) },
	[SHMB_OP_CLOSE] = { sizeof(struct shmb_msg_close), sizeof(struct shmb_msg_answer) },
	[SHMB_OP_LIST] = { sizeof(struct shmb_msg_list), sizeof(struct shmb_msg_list_answer) },
	[SHMB_OP_INFO] = { sizeof(struct shmb_msg_name), sizeof(struct shmb_msg_info_answer) },
	[SHMB_OP_STATUS] = { sizeof(struct shmb_msg_status), sizeof(struct shmb_msg_status_answer) },
	[SHMB_OP_REMOVE] = { sizeof(struct shmb_msg_name), sizeof(struct shmb_msg_answer) },
	[SHMB_OP_WATCH] = { sizeof(struct shmb_msg_watch), sizeof(struct shmb_msg_answer) },
	[SHMB_OP_EVENT] = { 0, sizeof(struct shmb_msg_events) },
	[SHMB_OP_FIGURES] = { sizeof(struct shmb_msg_figures), sizeof(struct shmb_msg_figures_answer) },
	[SHMB_OP_METRICS] = { sizeof(struct shmb_msg_metrics), sizeof(struct shmb_msg_metrics_answer) },
	[SHMB_OP_CLIENTS] = { sizeof(struct shmb_msg_clients), sizeof(struct shmb_msg_clients_answer) },
	[SHMB_OP_USERS] = { sizeof(struct shmb_msg_users), sizeof(struct shmb_msg_users_answer) },
	[SHMB_OP_RELOAD] = { sizeof(struct shmb_msg_reload), sizeof(struct shmb_msg_reload_answer) },
	[SHMB_OP_POLICY] = { sizeof(struct shmb_msg_policy), sizeof(struct shmb_msg_policy_answer) },
	[SHMB_OP_GC] = { sizeof(struct shmb_msg_gc), sizeof(struct shmb_msg_gc_answer) },
};

size_t shmb_request_size(uint16_t opcode)
{
	return opcode < SHMB_OP_COUNT ? sizes[opcode].request : 0;
}

size_t shmb_answer_size(uint16_t opcode)
{
	return opcode < SHMB_OP_COUNT ? sizes[opcode].answer : 0;
}

static int fail(int error, const char **why, const char *text)
{
	if (why != NULL)
		*why = text;
	return error;
}

static int is_zero(const void *bytes, size_t size)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < size; i++) {
		if (p[i] != 0)
			return 0;
	}
	return 1;
}

/* Printable ASCII, terminated, and nothing behind the end. May be empty. */
static int text_check(const char *field, size_t size, const char **why)
{
	size_t length = strnlen(field, size);

	if (length == size)
		return fail(-EINVAL, why, "a string is not terminated");
	if (!is_zero(field + length, size - length))
		return fail(-EINVAL, why, "there are bytes behind the end of a string");
	for (size_t i = 0; i < length; i++) {
		if (field[i] < 0x20 || field[i] > 0x7e)
			return fail(-EINVAL, why, "a string is not printable ASCII");
	}
	return 0;
}

/* -EINVAL for a name that is too long as well: in a message it then lacks its end. */
static int name_check(const char *field, size_t size, const char **why)
{
	return shmb_name_check_field(field, size, why) < 0 ? -EINVAL : 0;
}

/* ---- requests ---- */

/* Before the lengths: a HELLO of another version may be longer or shorter, and its sender shall learn why it is refused. */
static int hello_version_check(const void *packet, size_t length, const char **why)
{
	struct shmb_msg_hello hello = { 0 };
	size_t prefix = offsetof(struct shmb_msg_hello, cookie);

	if (length < prefix)
		return fail(-EBADMSG, why, "the message is shorter than its kind");
	memcpy(&hello, packet, prefix);
	if (hello.magic != SHMB_MESSAGE_MAGIC)
		return fail(-EPROTO, why, "this is not the protocol of shm-broker");
	if (hello.oldest == 0 || hello.oldest > hello.version)
		return fail(-EINVAL, why, "the protocol versions contradict each other");
	if (hello.oldest > SHMB_PROTOCOL_VERSION)
		return fail(-EPROTONOSUPPORT, why, "the client speaks only newer protocols than this broker");
	if (hello.version < SHMB_PROTOCOL_OLDEST)
		return fail(-EPROTONOSUPPORT, why, "the client speaks only older protocols than this broker");
	return 0;
}

static int hello_check(const struct shmb_msg_hello *hello, const char **why)
{
	if (is_zero(hello->cookie, sizeof(hello->cookie)))
		return fail(-EINVAL, why, "the cookie is zero");
	return text_check(hello->comm, sizeof(hello->comm), why);
}

static int resume_check(const struct shmb_msg_resume *resume, const char **why)
{
	if (resume->handle == 0)
		return fail(-EINVAL, why, "the handle is 0");
	if (resume->role < SHMB_ROLE_WRITER || resume->role > SHMB_ROLE_SHARER)
		return fail(-EINVAL, why, "unknown role");
	if (!is_zero(resume->reserved, sizeof(resume->reserved)))
		return fail(-EINVAL, why, "reserved bytes are not zero");
	if (resume->generation == 0)
		return fail(-EINVAL, why, "the generation is 0");
	if (resume->cell >= SHMB_CELLS_MAX && resume->cell != UINT32_MAX)
		return fail(-EINVAL, why, "there is no such cell");
	return name_check(resume->name, sizeof(resume->name), why);
}

/* Whether the numbers make a segment is for shmb_geometry_plan() to say, whether the schema is one for shmb_schema_parse(). */
static int open_writer_check(const struct shmb_msg_open_writer *open, const char **why)
{
	int r;

	if (open->handle == 0)
		return fail(-EINVAL, why, "the handle is 0");
	if ((open->open_flags & ~(uint32_t)SHMB_OPEN_FLAGS_KNOWN) != 0)
		return fail(-EINVAL, why, "unknown flags");
	if ((open->segment_flags & ~(uint32_t)SHMB_SEGMENT_FLAGS_KNOWN) != 0)
		return fail(-EINVAL, why, "unknown segment flags");
	if (open->kind == SHMB_KIND_NONE || open->kind > SHMB_KIND_BLOCK)
		return fail(-EINVAL, why, "unknown kind of segment");
	if (open->role != (open->kind == SHMB_KIND_BLOCK ? SHMB_ROLE_SHARER : SHMB_ROLE_WRITER))
		return fail(-EINVAL, why, "a block is opened as a sharer, everything else as a writer");
	if (open->key_type > SHMB_KEY_SEQUENCE)
		return fail(-EINVAL, why, "unknown type of key");
	if (open->reserved != 0 || open->reserved1 != 0)
		return fail(-EINVAL, why, "reserved bytes are not zero");
	r = name_check(open->name, sizeof(open->name), why);
	if (r < 0)
		return r;
	if (open->type[0] == '\0')
		return fail(-EINVAL, why, "the type has no name");
	return text_check(open->type, sizeof(open->type), why);
}

static int open_reader_check(const struct shmb_msg_open_reader *open, const char **why)
{
	if (open->handle == 0)
		return fail(-EINVAL, why, "the handle is 0");
	if ((open->open_flags & ~(uint32_t)SHMB_OPEN_FLAGS_KNOWN) != 0)
		return fail(-EINVAL, why, "unknown flags");
	if (open->role != SHMB_ROLE_READER && open->role != SHMB_ROLE_OBSERVER && open->role != SHMB_ROLE_CONSUMER)
		return fail(-EINVAL, why, "unknown role");
	if (open->kind > SHMB_KIND_BLOCK)
		return fail(-EINVAL, why, "unknown kind of segment");
	if (open->role == SHMB_ROLE_CONSUMER && open->kind != SHMB_KIND_QUEUE)
		return fail(-EINVAL, why, "only a queue has a consumer");
	if (!is_zero(open->reserved, sizeof(open->reserved)))
		return fail(-EINVAL, why, "reserved bytes are not zero");
	return name_check(open->name, sizeof(open->name), why);
}

static int close_check(const struct shmb_msg_close *close, const char **why)
{
	if (close->handle == 0)
		return fail(-EINVAL, why, "the handle is 0");
	if (close->reserved != 0)
		return fail(-EINVAL, why, "reserved bytes are not zero");
	return 0;
}

static int policy_check(const struct shmb_msg_policy *policy, const char **why)
{
	if (policy->gid_count > SHMB_GROUPS_MAX)
		return fail(-EINVAL, why, "more groups than a request can have");
	if (!is_zero(&policy->gids[policy->gid_count], (SHMB_GROUPS_MAX - policy->gid_count) * sizeof(policy->gids[0])))
		return fail(-EINVAL, why, "there are groups behind the last one");
	return name_check(policy->name, sizeof(policy->name), why);
}

static int gc_check(const struct shmb_msg_gc *gc, const char **why)
{
	if ((gc->flags & ~(uint32_t)SHMB_GC_FLAGS_KNOWN) != 0)
		return fail(-EINVAL, why, "unknown flags");
	if (gc->reserved != 0)
		return fail(-EINVAL, why, "reserved bytes are not zero");
	return 0;
}

static int request_check(const union shmb_msg_request *request, const char **why)
{
	if (request->head.reserved != 0)
		return fail(-EINVAL, why, "reserved bytes are not zero");
	if (request->head.result != 0)
		return fail(-EINVAL, why, "a request has no result");
	if (request->head.tail_bytes > (request->head.opcode == SHMB_OP_OPEN_WRITER ? SHMB_SCHEMA_MAX : 0u))
		return fail(-EINVAL, why, "more follows the message than its kind may have");
	switch ((enum shmb_opcode)request->head.opcode) {
	case SHMB_OP_HELLO:
		return hello_check(&request->hello, why);
	case SHMB_OP_RESUME:
		return resume_check(&request->resume, why);
	case SHMB_OP_OPEN_WRITER:
		return open_writer_check(&request->open_writer, why);
	case SHMB_OP_OPEN_READER:
		return open_reader_check(&request->open_reader, why);
	case SHMB_OP_CLOSE:
		return close_check(&request->close, why);
	case SHMB_OP_INFO:
	case SHMB_OP_REMOVE:
		return name_check(request->name.name, sizeof(request->name.name), why);
	case SHMB_OP_FIGURES:
		return text_check(request->figures.pattern, sizeof(request->figures.pattern), why);
	case SHMB_OP_WATCH:
		return text_check(request->watch.pattern, sizeof(request->watch.pattern), why);
	case SHMB_OP_POLICY:
		return policy_check(&request->policy, why);
	case SHMB_OP_GC:
		return gc_check(&request->gc, why);
	case SHMB_OP_READY:
	case SHMB_OP_LIST:
	case SHMB_OP_STATUS:
	case SHMB_OP_RELOAD:
	case SHMB_OP_METRICS:
	case SHMB_OP_CLIENTS:
	case SHMB_OP_USERS:
	case SHMB_OP_EVENT:
	case SHMB_OP_COUNT:
		break;
	}
	return 0;
}

int shmb_request_decode(const void *packet, size_t length, union shmb_msg_request *out, const char **tail, const char **why)
{
	size_t size;

	memset(out, 0, sizeof(*out));
	*tail = NULL;
	if (length < sizeof(out->head) || length > SHMB_MESSAGE_MAX)
		return fail(-EBADMSG, why, "the message has a length that none has");
	memcpy(&out->head, packet, sizeof(out->head));
	size = shmb_request_size(out->head.opcode);
	if (size == 0)
		return fail(-ENOSYS, why, "this broker does not know the request");
	if (out->head.opcode == SHMB_OP_HELLO) {
		int r = hello_version_check(packet, length, why);

		if (r < 0)
			return r;
	}
	if (length < size || length - size != out->head.tail_bytes)
		return fail(-EBADMSG, why, "the message is longer or shorter than it says");
	memcpy(out, packet, size);
	*tail = (const char *)packet + size;
	return request_check(out, why);
}

/* ---- answers ---- */

static void terminate(char *field, size_t size)
{
	field[size - 1] = '\0';
}

static int is_terminated(const char *field, size_t size)
{
	return memchr(field, '\0', size) != NULL;
}

static int segment_is_sound(const char *record)
{
	struct shmb_msg_segment segment;

	memcpy(&segment, record, sizeof(segment));
	return is_terminated(segment.writer_comm, sizeof(segment.writer_comm)) && is_terminated(segment.type, sizeof(segment.type)) &&
	       is_terminated(segment.name, sizeof(segment.name));
}

static int list_tail_is_sound(const struct shmb_msg_list_answer *list, const char *tail)
{
	if (list->head.tail_bytes != (uint64_t)list->count * sizeof(struct shmb_msg_segment))
		return 0;
	for (uint32_t i = 0; i < list->count; i++) {
		if (!segment_is_sound(tail + i * sizeof(struct shmb_msg_segment)))
			return 0;
	}
	return 1;
}

static int figures_tail_is_sound(const struct shmb_msg_figures_answer *figures, const char *tail)
{
	if (figures->head.tail_bytes != (uint64_t)figures->count * sizeof(struct shmb_msg_figure))
		return 0;
	for (uint32_t i = 0; i < figures->count; i++) {
		struct shmb_msg_figure figure;

		memcpy(&figure, tail + i * sizeof(figure), sizeof(figure));
		if (!is_terminated(figure.writer_comm, sizeof(figure.writer_comm)) || !is_terminated(figure.type, sizeof(figure.type)) ||
		    !is_terminated(figure.name, sizeof(figure.name)))
			return 0;
	}
	return 1;
}

static int events_tail_is_sound(const struct shmb_msg_events *events, const char *tail)
{
	if (events->head.tail_bytes != (uint64_t)events->count * sizeof(struct shmb_msg_event))
		return 0;
	for (uint32_t i = 0; i < events->count; i++) {
		struct shmb_msg_event event;

		memcpy(&event, tail + i * sizeof(event), sizeof(event));
		if (!is_terminated(event.comm, sizeof(event.comm)) || !is_terminated(event.kind, sizeof(event.kind)) ||
		    !is_terminated(event.reason, sizeof(event.reason)) || !is_terminated(event.segment, sizeof(event.segment)) ||
		    !is_terminated(event.text, sizeof(event.text)))
			return 0;
	}
	return 1;
}

static int info_tail_is_sound(const struct shmb_msg_info_answer *info, const char *tail)
{
	if (info->head.tail_bytes != (uint64_t)info->reader_count * sizeof(struct shmb_msg_reader) + info->schema_bytes)
		return 0;
	for (uint32_t i = 0; i < info->reader_count; i++) {
		struct shmb_msg_reader reader;

		memcpy(&reader, tail + i * sizeof(reader), sizeof(reader));
		if (!is_terminated(reader.comm, sizeof(reader.comm)))
			return 0;
	}
	return 1;
}

static int open_answer_is_sound(const struct shmb_msg_open_answer *open)
{
	return open->fd_count <= SHMB_FDS_MAX && (open->cell < SHMB_CELLS_MAX || open->cell == UINT32_MAX) &&
	       (open->area < SHMB_AREAS_MAX || open->area == UINT32_MAX) && open->head.tail_bytes == 0;
}

static int hello_answer_is_sound(const struct shmb_msg_hello_answer *hello)
{
	return hello->version >= SHMB_PROTOCOL_OLDEST && hello->version <= SHMB_PROTOCOL_VERSION && hello->head.tail_bytes == 0;
}

/* Whole lines. */
static int text_tail_is_sound(const struct shmb_msg_head *head, const char *tail)
{
	return head->tail_bytes == 0 || (memchr(tail, '\0', head->tail_bytes) == NULL && tail[head->tail_bytes - 1] == '\n');
}

static int policy_tail_is_sound(const struct shmb_msg_policy_answer *policy, const char *tail)
{
	uint64_t patterns = (uint64_t)policy->pattern_count * sizeof(struct shmb_msg_policy_pattern);

	if (policy->head.tail_bytes != patterns + (uint64_t)policy->setting_count * sizeof(struct shmb_msg_policy_setting))
		return 0;
	for (uint32_t i = 0; i < policy->pattern_count; i++) {
		struct shmb_msg_policy_pattern pattern;

		memcpy(&pattern, tail + i * sizeof(pattern), sizeof(pattern));
		if (!is_terminated(pattern.pattern, sizeof(pattern.pattern)) || !is_terminated(pattern.source, sizeof(pattern.source)))
			return 0;
	}
	for (uint32_t i = 0; i < policy->setting_count; i++) {
		struct shmb_msg_policy_setting setting;

		memcpy(&setting, tail + patterns + i * sizeof(setting), sizeof(setting));
		if (!is_terminated(setting.name, sizeof(setting.name)) || !is_terminated(setting.value, sizeof(setting.value)) ||
		    !is_terminated(setting.source, sizeof(setting.source)))
			return 0;
	}
	return 1;
}

static int gc_tail_is_sound(const struct shmb_msg_gc_answer *gc, const char *tail)
{
	if (gc->head.tail_bytes != (uint64_t)gc->count * sizeof(struct shmb_msg_gc_item))
		return 0;
	for (uint32_t i = 0; i < gc->count; i++) {
		struct shmb_msg_gc_item item;

		memcpy(&item, tail + i * sizeof(item), sizeof(item));
		if (!is_terminated(item.name, sizeof(item.name)) || !is_terminated(item.reason, sizeof(item.reason)))
			return 0;
	}
	return 1;
}

static int metrics_tail_is_sound(const struct shmb_msg_metrics_answer *metrics, const char *tail)
{
	uint64_t buckets = (uint64_t)metrics->bucket_count * sizeof(struct shmb_msg_bucket);
	uint64_t counts = (uint64_t)metrics->refusal_count + metrics->event_count;

	if (metrics->head.tail_bytes != buckets + counts * sizeof(struct shmb_msg_count))
		return 0;
	for (uint64_t i = 0; i < counts; i++) {
		struct shmb_msg_count count;

		memcpy(&count, tail + buckets + i * sizeof(count), sizeof(count));
		if (!is_terminated(count.name, sizeof(count.name)))
			return 0;
	}
	return 1;
}

static int clients_tail_is_sound(const struct shmb_msg_clients_answer *clients, const char *tail)
{
	uint64_t room = clients->head.tail_bytes;

	for (uint32_t i = 0; i < clients->count; i++) {
		struct shmb_msg_client client;

		if (room < sizeof(client))
			return 0;
		memcpy(&client, tail, sizeof(client));
		tail += sizeof(client);
		room -= sizeof(client);
		if (!is_terminated(client.comm, sizeof(client.comm)) ||
		    room < (uint64_t)client.handle_count * sizeof(struct shmb_msg_client_handle))
			return 0;
		for (uint32_t j = 0; j < client.handle_count; j++) {
			struct shmb_msg_client_handle handle;

			memcpy(&handle, tail, sizeof(handle));
			if (!is_terminated(handle.name, sizeof(handle.name)))
				return 0;
			tail += sizeof(handle);
			room -= sizeof(handle);
		}
	}
	return room == 0;
}

static void answer_terminate(struct shmb_msg_answer *answer)
{
	terminate(answer->holder_comm, sizeof(answer->holder_comm));
	terminate(answer->text, sizeof(answer->text));
}

/* `out` is the struct of its opcode: looks at what a client would trip over, and ends its strings. */
static int answer_check(uint16_t opcode, void *out, const char *tail)
{
	switch ((enum shmb_opcode)opcode) {
	case SHMB_OP_HELLO:
		return hello_answer_is_sound(out);
	case SHMB_OP_OPEN_WRITER:
	case SHMB_OP_OPEN_READER:
		return open_answer_is_sound(out);
	case SHMB_OP_LIST:
		return list_tail_is_sound(out, tail);
	case SHMB_OP_EVENT:
		return events_tail_is_sound(out, tail);
	case SHMB_OP_FIGURES:
		return figures_tail_is_sound(out, tail);
	case SHMB_OP_INFO: {
		struct shmb_msg_info_answer *info = out;

		terminate(info->segment.writer_comm, sizeof(info->segment.writer_comm));
		terminate(info->segment.type, sizeof(info->segment.type));
		terminate(info->segment.name, sizeof(info->segment.name));
		return info_tail_is_sound(info, tail);
	}
	case SHMB_OP_STATUS: {
		struct shmb_msg_status_answer *status = out;

		terminate(status->version, sizeof(status->version));
		terminate(status->shm_dir, sizeof(status->shm_dir));
		return text_tail_is_sound(&status->head, tail);
	}
	case SHMB_OP_RELOAD:
		return text_tail_is_sound(out, tail);
	case SHMB_OP_POLICY: {
		struct shmb_msg_policy_answer *policy = out;

		terminate(policy->read_why, sizeof(policy->read_why));
		terminate(policy->write_why, sizeof(policy->write_why));
		return policy_tail_is_sound(policy, tail);
	}
	case SHMB_OP_GC:
		return gc_tail_is_sound(out, tail);
	case SHMB_OP_METRICS: {
		struct shmb_msg_metrics_answer *metrics = out;

		terminate(metrics->version, sizeof(metrics->version));
		return metrics_tail_is_sound(metrics, tail);
	}
	case SHMB_OP_CLIENTS:
		return clients_tail_is_sound(out, tail);
	case SHMB_OP_USERS: {
		const struct shmb_msg_users_answer *users = out;

		return users->head.tail_bytes == (uint64_t)users->count * sizeof(struct shmb_msg_user);
	}
	case SHMB_OP_RESUME:
	case SHMB_OP_READY:
	case SHMB_OP_CLOSE:
	case SHMB_OP_REMOVE:
	case SHMB_OP_WATCH:
	case SHMB_OP_COUNT: /* not here: it has no size */
		break;
	}
	answer_terminate(out);
	return ((struct shmb_msg_answer *)out)->head.tail_bytes == 0;
}

int shmb_answer_decode(const void *packet, size_t length, uint16_t opcode, uint32_t serial, void *out, struct shmb_msg_answer *error,
		       const char **tail, size_t *tail_bytes)
{
	struct shmb_msg_head head;
	size_t size;

	*tail = NULL;
	*tail_bytes = 0;
	if (length < sizeof(head) || length > SHMB_MESSAGE_MAX)
		return -EBADMSG;
	memcpy(&head, packet, sizeof(head));
	if (head.opcode != opcode || head.serial != serial || head.reserved != 0 || head.result > 0 || head.result < -ERRNO_MAX)
		return -EBADMSG;
	size = head.result == 0 ? shmb_answer_size(opcode) : sizeof(*error);
	if (size == 0 || length < size || length - size != head.tail_bytes)
		return -EBADMSG;
	if (head.result != 0) {
		memcpy(error, packet, size);
		answer_terminate(error);
	} else {
		memcpy(out, packet, size);
		if (!answer_check(opcode, out, (const char *)packet + size))
			return -EBADMSG;
	}
	*tail = (const char *)packet + size;
	*tail_bytes = head.tail_bytes;
	return head.result;
}

void shmb_text_set(char *field, size_t size, const char *text)
{
	size_t length = text != NULL ? strnlen(text, size - 1) : 0;

	for (size_t i = 0; i < length; i++)
		field[i] = (char)(text[i] >= 0x20 && text[i] <= 0x7e ? text[i] : '?');
	memset(field + length, 0, size - length);
}
