/* SPDX-License-Identifier: MIT */
/* A packet of any bytes and any length up to a little more than its largest request: nothing outside it is read, and what is accepted is as long as it says. */
#include "prove.h"

#include "proto/message.h"

enum { PACKET = sizeof(union shmb_msg_request) + 8 };

void harness(void)
{
	char packet[PACKET];
	union shmb_msg_request request;
	const char *tail = NULL, *why = NULL;
	size_t length;
	int r;

	ANY(packet);
	ANY(length);
	DRAW(length %= PACKET + 1);
	DRAW(memset(packet, 0, draw(2) ? sizeof(packet) : 0));
	DRAW(((struct shmb_msg_head *)(void *)packet)->opcode = (uint16_t)draw(SHMB_OP_COUNT + 1));
	DRAW(length = draw(2) ? shmb_request_size(((struct shmb_msg_head *)(void *)packet)->opcode) : length);
	ASSUME(length <= PACKET);
	r = shmb_request_decode(packet, length, &request, &tail, &why);
	PROVE(r <= 0);
	ASSUME(r == 0);
	PROVE(shmb_request_size(request.head.opcode) != 0);
	PROVE(length == shmb_request_size(request.head.opcode) + request.head.tail_bytes);
	PROVE(tail >= packet && tail + request.head.tail_bytes == packet + length);
	PROVE(request.head.opcode == SHMB_OP_OPEN_WRITER || request.head.tail_bytes == 0);
}
