/* SPDX-License-Identifier: MIT */
/* Requests as they come to the broker. The first byte says which opcode the packet gets, where that is one: so that all are found at once. */
#include "fuzz.h"

#include "proto/message.h"
#include "proto/name.h"

static void check_name(const char *field)
{
	const char *why;

	FUZZ_HOLDS(shmb_name_check_field(field, SHMB_NAME_MAX + 8, &why) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	union shmb_msg_request request;
	struct shmb_msg_head head;
	const char *tail = NULL;
	const char *why = NULL;
	uint8_t *packet;
	int r;

	if (length < 1)
		return 0;
	length--;
	packet = malloc(length + 1);
	memcpy(packet, bytes + 1, length);
	if (length >= sizeof(head) && shmb_request_size(bytes[0]) != 0) {
		size_t fixed = shmb_request_size(bytes[0]);

		memcpy(&head, packet, sizeof(head));
		head.opcode = bytes[0];
		head.reserved = 0;
		head.result = 0;
		head.tail_bytes = length > fixed ? (uint32_t)(length - fixed) : head.tail_bytes;
		memcpy(packet, &head, sizeof(head));
	}
	r = shmb_request_decode(packet, length, &request, &tail, &why);
	FUZZ_HOLDS(r <= 0 && (r == 0 || why != NULL));
	if (r == 0) {
		FUZZ_HOLDS(length == shmb_request_size(request.head.opcode) + request.head.tail_bytes);
		FUZZ_HOLDS(request.head.tail_bytes == 0 || tail == (const char *)packet + shmb_request_size(request.head.opcode));
		switch (request.head.opcode) {
		case SHMB_OP_RESUME:
			check_name(request.resume.name);
			break;
		case SHMB_OP_OPEN_WRITER:
			check_name(request.open_writer.name);
			FUZZ_HOLDS(memchr(request.open_writer.type, '\0', sizeof(request.open_writer.type)) != NULL);
			FUZZ_HOLDS(request.head.tail_bytes <= SHMB_SCHEMA_MAX);
			break;
		case SHMB_OP_OPEN_READER:
			check_name(request.open_reader.name);
			break;
		case SHMB_OP_INFO:
		case SHMB_OP_REMOVE:
			check_name(request.name.name);
			break;
		default:
			break;
		}
	}
	free(packet);
	return 0;
}
