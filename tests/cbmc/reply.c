/* SPDX-License-Identifier: MIT */
/*
 * An answer of any bytes and any length, to any question: nothing outside the packet is read, no more is written than the struct of the question's opcode,
 * and what is accepted is as long as it says and answers that question. For CBMC answer_check() may say what it likes (tests/cbmc/prove takes its
 * body away): answer.c proves what it reads and writes.
 */
#include "prove.h"

#include "proto/message.h"

#include <errno.h>
#include <stdlib.h>

#ifndef __CPROVER
static char room[SHMB_MESSAGE_MAX + 1];

/* Mostly zeros, to the right question, and as long as it says. */
static size_t draw_packet(char *packet, uint16_t opcode, uint32_t serial)
{
	struct shmb_msg_head head = { .opcode = opcode, .serial = serial };
	size_t size, length;

	head.result = draw(2) ? 0 : -(int32_t)draw(5000);
	head.tail_bytes = draw(2) ? 0 : (uint32_t)draw(100);
	head.opcode ^= draw(8) == 0;
	size = head.result == 0 ? shmb_answer_size(head.opcode) : sizeof(struct shmb_msg_answer);
	length = draw(8) ? size + head.tail_bytes : draw(600);
	memset(packet, 0, length);
	memcpy(packet, &head, length < sizeof(head) ? length : sizeof(head));
	return length;
}
#endif

void harness(void)
{
	struct shmb_msg_answer error;
	struct shmb_msg_head head;
	const char *tail;
	size_t length, size, tail_bytes;
	uint16_t opcode;
	uint32_t serial;
	char *packet, *out;
	int r;

	ANY(opcode);
	ANY(serial);
	ANY(length);
	DRAW(opcode = (uint16_t)draw(SHMB_OP_COUNT + 1));
	DRAW(length = draw_packet(room, opcode, serial));
	ASSUME(length <= SHMB_MESSAGE_MAX + 1);
	size = shmb_answer_size(opcode);
	packet = malloc(length);
	out = malloc(size);
	ASSUME(packet != NULL && out != NULL);
	DRAW(memcpy(packet, room, length));
	r = shmb_answer_decode(packet, length, opcode, serial, out, &error, &tail, &tail_bytes);
	PROVE(r <= 0 && r >= -4095);
	if (tail == NULL) {
		PROVE(r == -EBADMSG && tail_bytes == 0);
	} else {
		memcpy(&head, packet, sizeof(head));
		PROVE(head.result == r && head.opcode == opcode && head.serial == serial && tail_bytes == head.tail_bytes);
		PROVE(length == (r == 0 ? size : sizeof(error)) + tail_bytes);
		PROVE(r < 0 || size != 0);
		PROVE(tail >= packet && tail + tail_bytes == packet + length);
		PROVE(r == 0 || (error.text[sizeof(error.text) - 1] == '\0' && error.holder_comm[sizeof(error.holder_comm) - 1] == '\0'));
	}
	free(packet);
	free(out);
	ASSUME(r == 0);
	END();
}
