/* SPDX-License-Identifier: MIT */
/* Answers and events as they come to a client. The first byte is the opcode that was asked; the packet gets it and the serial. */
#include "fuzz.h"

#include "proto/message.h"

enum { SERIAL = 7 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct shmb_msg_head head;
	struct shmb_msg_answer error;
	const char *tail = NULL;
	size_t tail_bytes = 0;
	uint8_t *packet;
	uint8_t *out;
	size_t fixed;
	int r;

	if (length < 2 || shmb_answer_size(bytes[0]) == 0)
		return 0;
	fixed = shmb_answer_size(bytes[0]);
	length -= 2;
	packet = malloc(length + 1);
	memcpy(packet, bytes + 2, length);
	/* The second byte: is the head made to fit? */
	if (length >= sizeof(head) && (bytes[1] & 1) == 0) {
		memcpy(&head, packet, sizeof(head));
		head.opcode = bytes[0];
		head.reserved = 0;
		head.serial = SERIAL;
		head.result = (bytes[1] & 2) == 0 ? 0 : head.result;
		head.tail_bytes = length > fixed ? (uint32_t)(length - fixed) : 0;
		memcpy(packet, &head, sizeof(head));
	}
	out = malloc(fixed);
	r = shmb_answer_decode(packet, length, bytes[0], SERIAL, out, &error, &tail, &tail_bytes);
	FUZZ_HOLDS(r <= 0);
	if (tail != NULL && tail_bytes > 0) {
		FUZZ_HOLDS((const uint8_t *)tail >= packet && tail_bytes <= length);
		FUZZ_HOLDS((const uint8_t *)tail + tail_bytes <= packet + length);
	}
	if (r < 0 && tail != NULL)
		FUZZ_HOLDS(memchr(error.text, '\0', sizeof(error.text)) != NULL);
	free(out);
	free(packet);
	return 0;
}
