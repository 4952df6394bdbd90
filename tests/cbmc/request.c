/* SPDX-License-Identifier: MIT */
/*
 * A request of any bytes, once it has been copied out of its packet (packet.c): no check reads outside it, none says success with a reason or failure
 * without. What field.c proves of names and text.c of texts stands here for their checks. CBMC takes one opcode at a time, CASE: a packet with one that
 * is none does not come this far.
 */
#include "verdict.h"

#include "proto/message.c"

void harness(void)
{
	union shmb_msg_request request;
	const char *why = NULL;
	int r;

	ANY(request);
	DRAW(draw(2) ? memset(&request, 0, sizeof(request)) : &request);
	DRAW(request.head.opcode = (uint16_t)draw(SHMB_OP_COUNT + 1));
#ifdef __CPROVER
	request.head.opcode = CASE;
#endif
	r = request_check(&request, &why);
	PROVE(r <= 0);
	PROVE((r == 0) == (why == NULL));
	ASSUME(r == 0);
	PROVE(request.head.tail_bytes == 0 || (request.head.opcode == SHMB_OP_OPEN_WRITER && request.head.tail_bytes <= SHMB_SCHEMA_MAX));
	END();
}
