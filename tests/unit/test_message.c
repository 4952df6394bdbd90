/* SPDX-License-Identifier: MIT */
/*
 * Decoding of requests: what is well formed comes out as it went in; every other length, every bad value of every field and random
 * bytes are refused without a byte read outside the packet (packets are copied to memory of their exact size, where sanitizers watch).
 */
#include "proto/message.h"
#include "tests/support/unit.h"

#include <errno.h>
#include <string.h>

static const char schema[] = "uint64 stamp_ns\n";
enum { SCHEMA = sizeof(schema) - 1 };

struct packet {
	union shmb_msg_request fixed;
	size_t size; /* of the fixed part */
	const char *tail;
	size_t tail_bytes;
};

static struct packet request_of(uint16_t opcode)
{
	struct packet p = { .size = shmb_request_size(opcode) };

	p.fixed.head.opcode = opcode;
	p.fixed.head.serial = 0xfeedface;
	switch (opcode) {
	case SHMB_OP_HELLO:
		p.fixed.hello.magic = SHMB_MESSAGE_MAGIC;
		p.fixed.hello.version = SHMB_PROTOCOL_VERSION;
		p.fixed.hello.oldest = SHMB_PROTOCOL_OLDEST;
		memset(p.fixed.hello.cookie, 0xc0, sizeof(p.fixed.hello.cookie));
		shmb_text_set(p.fixed.hello.comm, sizeof(p.fixed.hello.comm), "planner");
		break;
	case SHMB_OP_RESUME:
		p.fixed.resume.handle = 7;
		p.fixed.resume.role = SHMB_ROLE_READER;
		p.fixed.resume.segment_id = 0x1122334455667788;
		p.fixed.resume.generation = 3;
		p.fixed.resume.epoch = 9;
		p.fixed.resume.cell = 17;
		p.fixed.resume.incarnation = 2;
		shmb_text_set(p.fixed.resume.name, sizeof(p.fixed.resume.name), "imu/main");
		break;
	case SHMB_OP_OPEN_WRITER:
		p.fixed.open_writer.handle = 8;
		p.fixed.open_writer.open_flags = SHMB_OPEN_NOTIFY;
		p.fixed.open_writer.segment_flags = SHMB_SEGMENT_STAMPED;
		p.fixed.open_writer.kind = SHMB_KIND_RING;
		p.fixed.open_writer.role = SHMB_ROLE_WRITER;
		p.fixed.open_writer.key_type = SHMB_KEY_SEQUENCE;
		p.fixed.open_writer.history = 3;
		p.fixed.open_writer.pins = 4;
		p.fixed.open_writer.key_field = 5;
		p.fixed.open_writer.capacity = 64;
		p.fixed.open_writer.payload_align = 8;
		p.fixed.open_writer.payload_bytes = 8;
		p.fixed.open_writer.schema_hash = 0x99;
		shmb_text_set(p.fixed.open_writer.name, sizeof(p.fixed.open_writer.name), "imu/main");
		shmb_text_set(p.fixed.open_writer.type, sizeof(p.fixed.open_writer.type), "imu");
		p.tail = schema;
		p.tail_bytes = SCHEMA;
		break;
	case SHMB_OP_OPEN_READER:
		p.fixed.open_reader.handle = 9;
		p.fixed.open_reader.role = SHMB_ROLE_OBSERVER;
		p.fixed.open_reader.kind = SHMB_KIND_VALUE;
		p.fixed.open_reader.schema_hash = 0x99;
		shmb_text_set(p.fixed.open_reader.name, sizeof(p.fixed.open_reader.name), "imu/main");
		break;
	case SHMB_OP_CLOSE:
		p.fixed.close.handle = 9;
		break;
	case SHMB_OP_LIST:
		p.fixed.list.after = 5;
		break;
	case SHMB_OP_WATCH:
		shmb_text_set(p.fixed.watch.pattern, sizeof(p.fixed.watch.pattern), "imu/*");
		break;
	case SHMB_OP_FIGURES:
		p.fixed.figures.after = 5;
		shmb_text_set(p.fixed.figures.pattern, sizeof(p.fixed.figures.pattern), "imu/*");
		break;
	case SHMB_OP_INFO:
	case SHMB_OP_REMOVE:
		shmb_text_set(p.fixed.name.name, sizeof(p.fixed.name.name), "imu/main");
		break;
	case SHMB_OP_POLICY:
		p.fixed.policy.uid = 1000;
		p.fixed.policy.gid_count = 2;
		p.fixed.policy.gids[0] = 1000;
		p.fixed.policy.gids[1] = 44;
		shmb_text_set(p.fixed.policy.name, sizeof(p.fixed.policy.name), "imu/main");
		break;
	case SHMB_OP_CLIENTS:
		p.fixed.clients.before = 5;
		break;
	case SHMB_OP_USERS:
		p.fixed.users.from = 5;
		break;
	case SHMB_OP_GC:
		p.fixed.gc.flags = SHMB_GC_DRY_RUN | SHMB_GC_FOREIGN;
		p.fixed.gc.after = 5;
		break;
	default:
		break;
	}
	p.fixed.head.tail_bytes = (uint32_t)p.tail_bytes;
	return p;
}

/* The packet as it travels, in memory of its size, at an odd address. */
static char *packet_bytes(const struct packet *p, char **base, size_t *length)
{
	*length = p->size + p->tail_bytes;
	*base = malloc(*length + 1);
	ck_assert_ptr_nonnull(*base);
	memcpy(*base + 1, &p->fixed, p->size);
	if (p->tail_bytes > 0)
		memcpy(*base + 1 + p->size, p->tail, p->tail_bytes);
	return *base + 1;
}

static int decode(const struct packet *p, union shmb_msg_request *out)
{
	const char *tail, *why = NULL;
	char *base;
	size_t length;
	char *bytes = packet_bytes(p, &base, &length);
	int r = shmb_request_decode(bytes, length, out, &tail, &why);

	ck_assert((r == 0) == (why == NULL));
	if (r == 0) {
		ck_assert_ptr_eq(tail, bytes + p->size);
		ck_assert_uint_eq(out->head.tail_bytes, p->tail_bytes);
	}
	free(base);
	return r;
}

START_TEST(requests_come_out_as_they_went_in)
{
	for (uint16_t opcode = 1; opcode < SHMB_OP_COUNT; opcode++) {
		if (shmb_request_size(opcode) == 0)
			continue;
		struct packet p = request_of(opcode);
		union shmb_msg_request out;

		ck_assert_uint_gt(p.size, 0);
		memset(&out, 0x55, sizeof(out));
		ck_assert_msg(decode(&p, &out) == 0, "opcode %d", opcode);
		ck_assert_int_eq(memcmp(&out, &p.fixed, sizeof(out)), 0); /* what is behind the fixed part is 0 */
	}
}
END_TEST

START_TEST(every_length)
{
	for (uint16_t opcode = 1; opcode < SHMB_OP_COUNT; opcode++) {
		if (shmb_request_size(opcode) == 0)
			continue;
		struct packet p = request_of(opcode);
		union shmb_msg_request out;
		const char *tail, *why;
		char *base;
		size_t length;
		char *bytes = packet_bytes(&p, &base, &length);

		for (size_t cut = 0; cut < length; cut++) {
			char *exact = malloc(cut > 0 ? cut : 1);

			ck_assert_ptr_nonnull(exact);
			memcpy(exact, bytes, cut);
			ck_assert_int_eq(shmb_request_decode(exact, cut, &out, &tail, &why), -EBADMSG);
			ck_assert_ptr_null(tail);
			free(exact);
		}
		free(base);
		for (size_t more = 1; more < 100; more++) {
			static const char zero[100];
			struct packet longer = request_of(opcode);

			if (longer.tail_bytes > 0)
				continue;
			longer.tail = zero;
			longer.tail_bytes = more;
			ck_assert_int_eq(decode(&longer, &out), -EBADMSG); /* more than it says */
			longer.fixed.head.tail_bytes = (uint32_t)more;
			ck_assert_int_eq(decode(&longer, &out), -EINVAL); /* it says so, but may not have it */
			ck_assert_uint_eq(out.head.serial, 0xfeedface);
		}
	}
}
END_TEST

START_TEST(tails)
{
	static char large[SHMB_MESSAGE_MAX + 1];
	static char packet[2 * SHMB_MESSAGE_MAX];
	struct packet p = request_of(SHMB_OP_OPEN_WRITER);
	union shmb_msg_request out;
	const char *tail, *why;

	p.tail = large;
	for (uint32_t said = 0; said < 40; said++) {
		p.tail_bytes = SCHEMA;
		p.fixed.head.tail_bytes = said;
		ck_assert_int_eq(decode(&p, &out), said == SCHEMA ? 0 : -EBADMSG);
	}
	p.fixed.head.tail_bytes = UINT32_MAX;
	ck_assert_int_eq(decode(&p, &out), -EBADMSG);
	p.fixed.head.tail_bytes = UINT32_MAX - (uint32_t)p.size + 1; /* whose sum with the size wraps in 32 bits */
	ck_assert_int_eq(decode(&p, &out), -EBADMSG);
	p.fixed.head.tail_bytes = (uint32_t)(p.tail_bytes = SHMB_SCHEMA_MAX);
	ck_assert_int_eq(decode(&p, &out), 0);
	p.fixed.head.tail_bytes = (uint32_t)(p.tail_bytes = SHMB_SCHEMA_MAX + 1);
	ck_assert_int_eq(decode(&p, &out), -EINVAL);
	p.fixed.head.tail_bytes = (uint32_t)(p.tail_bytes = SHMB_MESSAGE_MAX - p.size);
	ck_assert_int_eq(decode(&p, &out), -EINVAL);
	p.fixed.head.tail_bytes = (uint32_t)(p.tail_bytes = SHMB_MESSAGE_MAX - p.size + 1);
	ck_assert_int_eq(decode(&p, &out), -EBADMSG);
	p.fixed.head.opcode = SHMB_OP_LIST;
	memcpy(packet, &p.fixed, p.size);
	ck_assert_int_eq(shmb_request_decode(packet, sizeof(packet), &out, &tail, &why), -EBADMSG);
}
END_TEST

START_TEST(unknown_opcodes)
{
	for (unsigned opcode = 0; opcode <= UINT16_MAX; opcode++) {
		struct shmb_msg_head head = { .opcode = (uint16_t)opcode, .serial = 4, .tail_bytes = 99, .reserved = 1 };
		union shmb_msg_request out;
		const char *tail, *why = NULL;

		if (shmb_request_size((uint16_t)opcode) != 0)
			continue;
		UNIT_CHECK(shmb_request_decode(&head, sizeof(head), &out, &tail, &why) == -ENOSYS);
		UNIT_CHECK(why != NULL);
		UNIT_CHECK(out.head.serial == 4);
		UNIT_CHECK(out.head.opcode == opcode);
		UNIT_CHECK(shmb_request_size((uint16_t)opcode) == 0);
		UNIT_CHECK(shmb_answer_size((uint16_t)opcode) == 0 || opcode == SHMB_OP_EVENT);
	}
}
END_TEST

#define REFUSED(op, field, value, error)                                                                                                   \
	do {                                                                                                                               \
		struct packet bad = request_of(op);                                                                                        \
		union shmb_msg_request out;                                                                                                \
		bad.fixed.field = value;                                                                                                   \
		ck_assert_msg(decode(&bad, &out) == (error), "%s", #op ": " #field " = " #value);                                          \
		ck_assert_uint_eq(out.head.serial, 0xfeedface);                                                                            \
	} while (0)
#define TAKEN(op, field, value)                                                                                                            \
	do {                                                                                                                               \
		struct packet good = request_of(op);                                                                                       \
		union shmb_msg_request out;                                                                                                \
		good.fixed.field = value;                                                                                                  \
		ck_assert_msg(decode(&good, &out) == 0, "%s", #op ": " #field " = " #value);                                               \
	} while (0)

START_TEST(heads)
{
	for (uint16_t opcode = 1; opcode < SHMB_OP_COUNT; opcode++) {
		if (shmb_request_size(opcode) == 0)
			continue;
		REFUSED(opcode, head.reserved, 1, -EINVAL);
		REFUSED(opcode, head.result, 1, -EINVAL);
		REFUSED(opcode, head.result, -1, -EINVAL);
	}
}
END_TEST

START_TEST(operators_requests)
{
	REFUSED(SHMB_OP_POLICY, policy.gid_count, SHMB_GROUPS_MAX + 1, -EINVAL);
	REFUSED(SHMB_OP_POLICY, policy.gid_count, 1, -EINVAL);
	REFUSED(SHMB_OP_POLICY, policy.gid_count, UINT32_MAX, -EINVAL);
	TAKEN(SHMB_OP_POLICY, policy.gid_count, SHMB_GROUPS_MAX);
	REFUSED(SHMB_OP_POLICY, policy.name[0], '/', -EINVAL);
	REFUSED(SHMB_OP_POLICY, policy.name[0], '*', -EINVAL);
	REFUSED(SHMB_OP_GC, gc.flags, 4, -EINVAL);
	REFUSED(SHMB_OP_GC, gc.reserved, 1, -EINVAL);
	TAKEN(SHMB_OP_GC, gc.flags, 0);
}
END_TEST

START_TEST(hellos)
{
	REFUSED(SHMB_OP_HELLO, hello.magic, 0, -EPROTO);
	REFUSED(SHMB_OP_HELLO, hello.magic, SHMB_CARD_MAGIC, -EPROTO);
	REFUSED(SHMB_OP_HELLO, hello.version, 0, -EINVAL);
	REFUSED(SHMB_OP_HELLO, hello.oldest, 0, -EINVAL);
	REFUSED(SHMB_OP_HELLO, hello.oldest, 2, -EINVAL);
	TAKEN(SHMB_OP_HELLO, hello.version, 2);
	TAKEN(SHMB_OP_HELLO, hello.version, UINT16_MAX);
	REFUSED(SHMB_OP_HELLO, hello.comm[3], '\n', -EINVAL);
	REFUSED(SHMB_OP_HELLO, hello.comm[3], '\0', -EINVAL);
	REFUSED(SHMB_OP_HELLO, hello.comm[15], 'x', -EINVAL);
	{
		struct packet bad = request_of(SHMB_OP_HELLO);
		union shmb_msg_request out;

		memset(bad.fixed.hello.comm, 'x', SHMB_COMM_MAX);
		ck_assert_int_eq(decode(&bad, &out), -EINVAL);
		memset(bad.fixed.hello.comm, 0, SHMB_COMM_MAX);
		ck_assert_int_eq(decode(&bad, &out), 0);
		memset(bad.fixed.hello.cookie, 0, SHMB_COOKIE_BYTES);
		ck_assert_int_eq(decode(&bad, &out), -EINVAL);
	}
}
END_TEST

/* A client of a later version is told so, whatever its HELLO looks like behind the versions. */
START_TEST(hellos_of_other_versions)
{
	static const char more[64];
	struct packet p = request_of(SHMB_OP_HELLO);
	union shmb_msg_request out;

	p.fixed.hello.version = p.fixed.hello.oldest = SHMB_PROTOCOL_VERSION + 1;
	ck_assert_int_eq(decode(&p, &out), -EPROTONOSUPPORT);
	p.tail = more;
	p.tail_bytes = sizeof(more);
	ck_assert_int_eq(decode(&p, &out), -EPROTONOSUPPORT);
	p.tail_bytes = 0;
	p.size = offsetof(struct shmb_msg_hello, cookie);
	ck_assert_int_eq(decode(&p, &out), -EPROTONOSUPPORT);
	p.size--;
	ck_assert_int_eq(decode(&p, &out), -EBADMSG);
	ck_assert_uint_eq(out.head.serial, 0xfeedface);
}
END_TEST

START_TEST(resumes)
{
	REFUSED(SHMB_OP_RESUME, resume.handle, 0, -EINVAL);
	REFUSED(SHMB_OP_RESUME, resume.role, 0, -EINVAL);
	REFUSED(SHMB_OP_RESUME, resume.role, SHMB_ROLE_SHARER + 1, -EINVAL);
	TAKEN(SHMB_OP_RESUME, resume.role, SHMB_ROLE_CONSUMER);
	TAKEN(SHMB_OP_RESUME, resume.role, SHMB_ROLE_SHARER);
	TAKEN(SHMB_OP_RESUME, resume.role, SHMB_ROLE_WRITER);
	TAKEN(SHMB_OP_RESUME, resume.role, SHMB_ROLE_OBSERVER);
	REFUSED(SHMB_OP_RESUME, resume.reserved[0], 1, -EINVAL);
	REFUSED(SHMB_OP_RESUME, resume.reserved[2], 1, -EINVAL);
	REFUSED(SHMB_OP_RESUME, resume.generation, 0, -EINVAL);
	REFUSED(SHMB_OP_RESUME, resume.cell, SHMB_CELLS_MAX, -EINVAL);
	REFUSED(SHMB_OP_RESUME, resume.cell, UINT32_MAX - 1, -EINVAL);
	TAKEN(SHMB_OP_RESUME, resume.cell, SHMB_CELLS_MAX - 1);
	TAKEN(SHMB_OP_RESUME, resume.cell, UINT32_MAX);
	REFUSED(SHMB_OP_RESUME, resume.name[0], '.', -EINVAL);
	REFUSED(SHMB_OP_RESUME, resume.name[0], '\0', -EINVAL);
	REFUSED(SHMB_OP_RESUME, resume.name[SHMB_NAME_MAX + 7], 'x', -EINVAL);
}
END_TEST

START_TEST(open_writers)
{
	REFUSED(SHMB_OP_OPEN_WRITER, open_writer.handle, 0, -EINVAL);
	for (unsigned bit = 1; bit < 32; bit++) {
		REFUSED(SHMB_OP_OPEN_WRITER, open_writer.open_flags, UINT32_C(1) << bit, -EINVAL);
		REFUSED(SHMB_OP_OPEN_WRITER, open_writer.segment_flags, UINT32_C(1) << bit, -EINVAL);
	}
	REFUSED(SHMB_OP_OPEN_WRITER, open_writer.kind, 0, -EINVAL);
	REFUSED(SHMB_OP_OPEN_WRITER, open_writer.kind, SHMB_KIND_BLOCK + 1, -EINVAL);
	REFUSED(SHMB_OP_OPEN_WRITER, open_writer.kind, 255, -EINVAL);
	/* A block has sharers, everything else a writer, and neither the other's. */
	for (unsigned kind = SHMB_KIND_VALUE; kind <= SHMB_KIND_BLOCK; kind++) {
		for (unsigned role = 0; role < 256; role++) {
			struct packet p = request_of(SHMB_OP_OPEN_WRITER);
			union shmb_msg_request out;

			p.fixed.open_writer.kind = (uint8_t)kind;
			p.fixed.open_writer.role = (uint8_t)role;
			ck_assert_int_eq(decode(&p, &out),
					 role == (kind == SHMB_KIND_BLOCK ? SHMB_ROLE_SHARER : SHMB_ROLE_WRITER) ? 0 : -EINVAL);
		}
	}
	for (uint8_t type = SHMB_KEY_NONE; type <= SHMB_KEY_SEQUENCE; type++)
		TAKEN(SHMB_OP_OPEN_WRITER, open_writer.key_type, type);
	REFUSED(SHMB_OP_OPEN_WRITER, open_writer.key_type, SHMB_KEY_SEQUENCE + 1, -EINVAL);
	REFUSED(SHMB_OP_OPEN_WRITER, open_writer.key_type, 255, -EINVAL);
	REFUSED(SHMB_OP_OPEN_WRITER, open_writer.reserved, 1, -EINVAL);
	REFUSED(SHMB_OP_OPEN_WRITER, open_writer.reserved1, 1, -EINVAL);
	REFUSED(SHMB_OP_OPEN_WRITER, open_writer.name[3], '%', -EINVAL);
	REFUSED(SHMB_OP_OPEN_WRITER, open_writer.name[8], '/', -EINVAL);
	REFUSED(SHMB_OP_OPEN_WRITER, open_writer.name[9], 'x', -EINVAL);
	TAKEN(SHMB_OP_OPEN_WRITER, open_writer.type[1], ' ');
	TAKEN(SHMB_OP_OPEN_WRITER, open_writer.type[1], '~');
	REFUSED(SHMB_OP_OPEN_WRITER, open_writer.type[0], '\0', -EINVAL);
	REFUSED(SHMB_OP_OPEN_WRITER, open_writer.type[1], '\x1b', -EINVAL);
	REFUSED(SHMB_OP_OPEN_WRITER, open_writer.type[1], '\xff', -EINVAL);
	REFUSED(SHMB_OP_OPEN_WRITER, open_writer.type[SHMB_TYPE_NAME_MAX], 'x', -EINVAL);
	{
		struct packet bad = request_of(SHMB_OP_OPEN_WRITER);
		union shmb_msg_request out;

		memset(bad.fixed.open_writer.type, 0, sizeof(bad.fixed.open_writer.type));
		ck_assert_int_eq(decode(&bad, &out), -EINVAL);
		memset(bad.fixed.open_writer.type, 'x', sizeof(bad.fixed.open_writer.type));
		ck_assert_int_eq(decode(&bad, &out), -EINVAL);
		bad.fixed.open_writer.type[SHMB_TYPE_NAME_MAX] = '\0';
		ck_assert_int_eq(decode(&bad, &out), 0);
		memset(bad.fixed.open_writer.name, 'x', sizeof(bad.fixed.open_writer.name));
		ck_assert_int_eq(decode(&bad, &out), -EINVAL);
		memset(bad.fixed.open_writer.name + SHMB_NAME_MAX + 1, 0, 7);
		ck_assert_int_eq(decode(&bad, &out), -EINVAL);
		bad.fixed.open_writer.name[SHMB_NAME_MAX] = '\0';
		ck_assert_int_eq(decode(&bad, &out), 0);
	}
}
END_TEST

START_TEST(open_readers)
{
	REFUSED(SHMB_OP_OPEN_READER, open_reader.handle, 0, -EINVAL);
	REFUSED(SHMB_OP_OPEN_READER, open_reader.open_flags, 2, -EINVAL);
	REFUSED(SHMB_OP_OPEN_READER, open_reader.open_flags, UINT32_C(1) << 31, -EINVAL);
	REFUSED(SHMB_OP_OPEN_READER, open_reader.role, 0, -EINVAL);
	REFUSED(SHMB_OP_OPEN_READER, open_reader.role, SHMB_ROLE_WRITER, -EINVAL);
	REFUSED(SHMB_OP_OPEN_READER, open_reader.role, SHMB_ROLE_SHARER, -EINVAL);
	REFUSED(SHMB_OP_OPEN_READER, open_reader.role, SHMB_ROLE_SHARER + 1, -EINVAL);
	REFUSED(SHMB_OP_OPEN_READER, open_reader.role, SHMB_ROLE_CONSUMER, -EINVAL); /* of a value */
	{
		struct packet p = request_of(SHMB_OP_OPEN_READER);
		union shmb_msg_request out;

		p.fixed.open_reader.role = SHMB_ROLE_CONSUMER;
		for (unsigned kind = 0; kind < 256; kind++) {
			p.fixed.open_reader.kind = (uint8_t)kind;
			ck_assert_int_eq(decode(&p, &out), kind == SHMB_KIND_QUEUE ? 0 : -EINVAL);
		}
	}
	TAKEN(SHMB_OP_OPEN_READER, open_reader.role, SHMB_ROLE_READER);
	TAKEN(SHMB_OP_OPEN_READER, open_reader.kind, 0);
	TAKEN(SHMB_OP_OPEN_READER, open_reader.kind, SHMB_KIND_BLOCK);
	TAKEN(SHMB_OP_OPEN_READER, open_reader.schema_hash, 0);
	REFUSED(SHMB_OP_OPEN_READER, open_reader.kind, SHMB_KIND_BLOCK + 1, -EINVAL);
	REFUSED(SHMB_OP_OPEN_READER, open_reader.reserved[1], 1, -EINVAL);
	TAKEN(SHMB_OP_OPEN_READER, open_reader.follows, 7);
	REFUSED(SHMB_OP_OPEN_READER, open_reader.name[0], ' ', -EINVAL);
}
END_TEST

START_TEST(other_requests)
{
	REFUSED(SHMB_OP_CLOSE, close.handle, 0, -EINVAL);
	REFUSED(SHMB_OP_CLOSE, close.reserved, 1, -EINVAL);
	TAKEN(SHMB_OP_LIST, list.after, UINT64_MAX);
	REFUSED(SHMB_OP_INFO, name.name[0], '\0', -EINVAL);
	REFUSED(SHMB_OP_REMOVE, name.name[0], '/', -EINVAL);
	REFUSED(SHMB_OP_REMOVE, name.name[SHMB_NAME_MAX + 7], 'x', -EINVAL);
}
END_TEST

static int all_printable(const char *text, size_t size)
{
	size_t length = strnlen(text, size);

	for (size_t i = 0; i < length; i++) {
		if (text[i] < 0x20 || text[i] > 0x7e)
			return 0;
	}
	return length < size;
}

START_TEST(fields_of_figures)
{
	TAKEN(SHMB_OP_FIGURES, figures.pattern[0], '[');
	TAKEN(SHMB_OP_FIGURES, figures.after, UINT64_MAX);
	REFUSED(SHMB_OP_FIGURES, figures.pattern[2], '\n', -EINVAL);
	REFUSED(SHMB_OP_FIGURES, figures.pattern[2], '\0', -EINVAL);
	REFUSED(SHMB_OP_FIGURES, figures.pattern[SHMB_NAME_MAX + 7], 'x', -EINVAL);
	TAKEN(SHMB_OP_WATCH, watch.pattern[0], '*');
	REFUSED(SHMB_OP_WATCH, watch.pattern[2], '\n', -EINVAL);
	REFUSED(SHMB_OP_WATCH, watch.pattern[SHMB_NAME_MAX + 7], 'x', -EINVAL);
}
END_TEST

START_TEST(random_requests)
{
	uint64_t random = 8;
	unsigned accepted = 0;

	for (int round = 0; round < 100000; round++) {
		uint16_t opcode = 1 + unit_random(&random) % (SHMB_OP_COUNT - 1);
		struct packet p = request_of(opcode);
		union shmb_msg_request out;
		int r;

		if (shmb_request_size(opcode) == 0)
			continue;
		if (round % 8 == 0)
			unit_random_fill(&random, (char *)&p.fixed + 16, p.size - 16);
		for (uint64_t n = unit_random(&random) % 4; n > 0; n--)
			((uint8_t *)&p.fixed)[unit_random(&random) % p.size] = (uint8_t)(unit_random(&random) >> unit_random(&random) % 60);
		if (shmb_request_size(p.fixed.head.opcode) > p.size + p.tail_bytes || p.fixed.head.opcode != opcode)
			continue; /* another test */
		r = decode(&p, &out);
		ck_assert(r == 0 || r == -EINVAL || r == -EBADMSG || r == -EPROTO || r == -EPROTONOSUPPORT);
		if (r != 0)
			continue;
		accepted++;
		if (opcode == SHMB_OP_HELLO)
			ck_assert(all_printable(out.hello.comm, sizeof(out.hello.comm)));
		if (opcode == SHMB_OP_OPEN_WRITER)
			ck_assert(all_printable(out.open_writer.type, sizeof(out.open_writer.type)));
		if (opcode == SHMB_OP_OPEN_WRITER)
			ck_assert(all_printable(out.open_writer.name, sizeof(out.open_writer.name)));
	}
	ck_assert_uint_gt(accepted, 10000);
	for (int round = 0; round < 20000; round++) {
		size_t length = unit_random(&random) % 400;
		char *bytes = malloc(length > 0 ? length : 1);
		union shmb_msg_request out;
		const char *tail, *why;

		ck_assert_ptr_nonnull(bytes);
		unit_random_fill(&random, bytes, length);
		if (length >= 2 && round % 2) {
			bytes[0] = (char)(round % 12);
			bytes[1] = 0;
		}
		ck_assert_int_lt(shmb_request_decode(bytes, length, &out, &tail, &why), 0);
		free(bytes);
	}
}
END_TEST

START_TEST(text_set)
{
	char field[8];

	memset(field, 'z', sizeof(field));
	shmb_text_set(field, sizeof(field), "abc");
	ck_assert_int_eq(memcmp(field, "abc\0\0\0\0", 8), 0);
	shmb_text_set(field, sizeof(field), "0123456789");
	ck_assert_int_eq(memcmp(field, "0123456", 8), 0);
	shmb_text_set(field, sizeof(field), "a\nb\x1b\x7f\xe4~");
	ck_assert_int_eq(memcmp(field, "a?b???~", 8), 0);
	shmb_text_set(field, sizeof(field), "");
	ck_assert_int_eq(memcmp(field, "\0\0\0\0\0\0\0", 8), 0);
	shmb_text_set(field, sizeof(field), " a b ");
	ck_assert_int_eq(memcmp(field, " a b \0\0", 8), 0);
	shmb_text_set(field, 1, "abc");
	ck_assert_int_eq(field[0], '\0');
	shmb_text_set(field, sizeof(field), NULL);
	ck_assert_int_eq(memcmp(field, "\0\0\0\0\0\0\0", 8), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("message");

	unit_add(suite, requests_come_out_as_they_went_in, 5);
	unit_add(suite, every_length, 5);
	unit_add(suite, tails, 5);
	unit_add(suite, unknown_opcodes, 5);
	unit_add(suite, heads, 5);
	unit_add(suite, operators_requests, 5);
	unit_add(suite, hellos, 5);
	unit_add(suite, hellos_of_other_versions, 5);
	unit_add(suite, resumes, 5);
	unit_add(suite, open_writers, 5);
	unit_add(suite, open_readers, 5);
	unit_add(suite, other_requests, 5);
	unit_add(suite, fields_of_figures, 5);
	unit_add(suite, random_requests, 20);
	unit_add(suite, text_set, 5);
	return unit_run(suite);
}
