/* SPDX-License-Identifier: MIT */
/*
 * A packet of any bytes and any length: nothing outside it is read, and what is accepted is as long as it says. For CBMC request_check() may say what it
 * likes (tests/cbmc/prove takes its body away): request.c proves what it reads.
 */
#include "prove.h"

#include "proto/message.h"

#include <stdlib.h>

#ifndef __CPROVER
static uint16_t draw_opcode(void)
{
	return (uint16_t)draw(SHMB_OP_COUNT + 1);
}

/* Mostly zeros, and as long as it says. */
static size_t draw_length(uint16_t opcode)
{
	return draw(2) ? shmb_request_size(opcode) : draw(sizeof(union shmb_msg_request) + 8);
}

static void draw_packet(char *packet, size_t length)
{
	struct shmb_msg_head head = { 0 };

	if (draw(2))
		draw_bytes(packet, length);
	else
		memset(packet, 0, length);
	memcpy(packet, &head, length < sizeof(head) ? length : sizeof(head));
}
#endif

void harness(void)
{
	union shmb_msg_request request;
	const char *tail = NULL, *why = NULL;
	uint16_t opcode;
	size_t length;
	char *packet;
	int r;

	ANY(opcode);
	ANY(length);
	DRAW(opcode = draw_opcode());
	DRAW(length = draw_length(opcode));
	ASSUME(length <= SHMB_MESSAGE_MAX + 1);
	packet = malloc(length);
	ASSUME(packet != NULL);
	DRAW(draw_packet(packet, length));
	if (length >= sizeof(opcode))
		memcpy(packet, &opcode, sizeof(opcode));
	r = shmb_request_decode(packet, length, &request, &tail, &why);
	ASSUME(r <= 0);
	if (r == 0) {
		PROVE(shmb_request_size(request.head.opcode) != 0);
		PROVE(request.head.opcode == opcode);
		PROVE(length == shmb_request_size(opcode) + request.head.tail_bytes);
		PROVE(tail >= packet && tail + request.head.tail_bytes == packet + length);
	}
	free(packet);
	ASSUME(r == 0);
	END();
}
