/* SPDX-License-Identifier: MIT */
/*
 * Sizes and counts of messages: every opcode there can be, every length of a packet, every count that could be taken for another where it is
 * multiplied. Packets end where the next page cannot be read: who looks behind one falls.
 */
#include "proto/message.h"
#include "tests/support/unit.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

enum { ROOM = SHMB_MESSAGE_MAX + SHMB_PAGE, SERIAL = 7 };

static unsigned char *room_end;
static unsigned long tried, accepted;

static void room_new(void)
{
	unsigned char *room = mmap(NULL, ROOM + SHMB_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(room, MAP_FAILED);
	ck_assert_int_eq(mprotect(room + ROOM, SHMB_PAGE, PROT_NONE), 0);
	room_end = room + ROOM;
}

static void count_print(const char *what)
{
	printf("%s: %lu packets, %lu of them of a size that may be\n", what, tried, accepted);
	fflush(stdout);
	ck_assert_uint_gt(accepted, 0);
	ck_assert_uint_gt(tried, accepted);
}

static unsigned char *packet_of(size_t length, const struct shmb_msg_head *head)
{
	unsigned char *packet = room_end - length;

	memcpy(packet, head, length < sizeof(*head) ? length : sizeof(*head));
	return packet;
}

/* What may follow a request: a schema, and only where a writer opens. Of sizes that may be, what else is wrong is said otherwise than -EBADMSG. */
static void try_request(uint16_t opcode, size_t length, uint32_t tail_bytes)
{
	struct shmb_msg_head head = { .opcode = opcode, .serial = SERIAL, .tail_bytes = tail_bytes };
	union shmb_msg_request request;
	const char *tail = NULL, *why = NULL;
	size_t size = shmb_request_size(opcode);
	bool may_be = length >= sizeof(head) && length <= SHMB_MESSAGE_MAX && size > 0 && length == size + tail_bytes;
	int r = shmb_request_decode(packet_of(length, &head), length, &request, &tail, &why);

	tried++;
	accepted += may_be;
	/* All zeros: a HELLO of that kind is refused before its length is looked at. */
	if (opcode == SHMB_OP_HELLO ? r == 0 : (r != -EBADMSG && r != -ENOSYS) != may_be)
		ck_abort_msg("request %u of %zu bytes, %u of them behind: %d (%s)", opcode, length, tail_bytes, r, why != NULL ? why : "");
	if (r == 0 && tail_bytes > 0)
		ck_abort_msg("request %u: %u bytes behind it are not refused", opcode, tail_bytes);
}

START_TEST(requests)
{
	room_new();
	for (unsigned opcode = 0; opcode <= UINT16_MAX; opcode++) {
		uint32_t size = (uint32_t)shmb_request_size((uint16_t)opcode);

		if (size == 0) {
			for (uint32_t length = 0; length < 64; length++)
				try_request((uint16_t)opcode, length, 0);
			continue;
		}
		for (uint32_t length = 0; length <= SHMB_MESSAGE_MAX + 2; length++) {
			try_request((uint16_t)opcode, length, length - size);
			try_request((uint16_t)opcode, length, length - size + 1);
			try_request((uint16_t)opcode, length, length - size - 1);
			try_request((uint16_t)opcode, length, 0);
			try_request((uint16_t)opcode, length, UINT32_MAX);
		}
	}
	count_print("requests");
}
END_TEST

/* Answers that say how many records follow, and where. */
static const struct counted {
	uint16_t opcode;
	size_t count_at;
	size_t record;
} counted[] = {
	{ SHMB_OP_LIST, offsetof(struct shmb_msg_list_answer, count), sizeof(struct shmb_msg_segment) },
	{ SHMB_OP_FIGURES, offsetof(struct shmb_msg_figures_answer, count), sizeof(struct shmb_msg_figure) },
	{ SHMB_OP_EVENT, offsetof(struct shmb_msg_events, count), sizeof(struct shmb_msg_event) },
	{ SHMB_OP_INFO, offsetof(struct shmb_msg_info_answer, reader_count), sizeof(struct shmb_msg_reader) },
	{ SHMB_OP_POLICY, offsetof(struct shmb_msg_policy_answer, pattern_count), sizeof(struct shmb_msg_policy_pattern) },
	{ SHMB_OP_POLICY, offsetof(struct shmb_msg_policy_answer, setting_count), sizeof(struct shmb_msg_policy_setting) },
	{ SHMB_OP_METRICS, offsetof(struct shmb_msg_metrics_answer, bucket_count), sizeof(struct shmb_msg_bucket) },
	{ SHMB_OP_METRICS, offsetof(struct shmb_msg_metrics_answer, refusal_count), sizeof(struct shmb_msg_count) },
	{ SHMB_OP_METRICS, offsetof(struct shmb_msg_metrics_answer, event_count), sizeof(struct shmb_msg_count) },
	{ SHMB_OP_GC, offsetof(struct shmb_msg_gc_answer, count), sizeof(struct shmb_msg_gc_item) },
	{ SHMB_OP_CLIENTS, offsetof(struct shmb_msg_clients_answer, count), sizeof(struct shmb_msg_client) },
};

/* `there` bytes of zeros follow, in which every string ends; or of ones, in which none does. */
static int try_answer(const struct counted *of, uint32_t count, size_t there, int fill)
{
	static unsigned char out[SHMB_MESSAGE_MAX];
	struct shmb_msg_head head = { .opcode = of->opcode, .serial = SERIAL, .tail_bytes = (uint32_t)there };
	struct shmb_msg_answer error;
	size_t size = shmb_answer_size(of->opcode), length = size + there, tail_bytes;
	unsigned char *packet = room_end - length;
	const char *tail;

	memset(packet, 0, size);
	memset(packet + size, fill, there);
	packet_of(length, &head);
	memcpy(packet + of->count_at, &count, sizeof(count));
	tried++;
	return shmb_answer_decode(packet, length, of->opcode, SERIAL, out, &error, &tail, &tail_bytes);
}

START_TEST(counts_in_answers)
{
	room_new();
	for (unsigned i = 0; i < sizeof(counted) / sizeof(counted[0]); i++) {
		const struct counted *of = &counted[i];

		for (uint32_t there = 0; there <= 3 * of->record + 1; there++) {
			for (uint32_t count = 0; count < 6; count++) {
				bool may_be = there == count * of->record;
				bool text_follows = of->opcode == SHMB_OP_INFO;
				int r = try_answer(of, count, there, 0);

				accepted += r == 0;
				/* What of a schema follows the readers is stated beside: none. */
				if ((r == 0) != may_be)
					ck_abort_msg("answer %u, %u records, %u bytes: %d%s", of->opcode, count, there, r,
						     text_follows ? " (no schema)" : "");
				if (count > 0 && of->record != sizeof(struct shmb_msg_bucket) && try_answer(of, count, there, 0xff) == 0)
					ck_abort_msg("answer %u: strings without an end", of->opcode);
			}
			/* All counts whose product has these low 32 bits, and those around the turns. */
			for (uint64_t wraps = 1; wraps <= of->record; wraps++) {
				uint64_t count = ((wraps << 32) + there) / of->record;

				if (count <= UINT32_MAX && try_answer(of, (uint32_t)count, there, 0) == 0)
					ck_abort_msg("answer %u: %lu records in %u bytes", of->opcode, (unsigned long)count, there);
			}
		}
	}
	count_print("answers");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("exhaustive_message");

	unit_add(suite, requests, 300);
	unit_add(suite, counts_in_answers, 300);
	return unit_run(suite);
}
