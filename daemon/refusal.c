/* SPDX-License-Identifier: MIT */
/* Refusals become events (refusal.h); event.c bounds how many of one user are told. */
#include "refusal.h"

#include <errno.h>
#include <string.h>

#include "broker.h"
#include "peer.h"

bool refusal_is_event(int result)
{
	switch (-result) {
	case 0:
	case ENOENT:
	case EBUSY:
	case ESTALE:
	case ENODATA:
	case EMEDIUMTYPE:
	case EDQUOT:
		return false;
	default:
		return true;
	}
}

/* The segment that a request is about, NULL none. */
static const char *request_segment(const union shmb_msg_request *request)
{
	switch ((enum shmb_opcode)request->head.opcode) {
	case SHMB_OP_RESUME:
		return request->resume.name;
	case SHMB_OP_OPEN_WRITER:
		return request->open_writer.name;
	case SHMB_OP_OPEN_READER:
		return request->open_reader.name;
	case SHMB_OP_INFO:
	case SHMB_OP_REMOVE:
		return request->name.name;
	case SHMB_OP_POLICY:
		return request->policy.name;
	default:
		return NULL;
	}
}

void refusal_tell(struct peer *peer, const union shmb_msg_request *request, bool is_sound, const struct shmb_msg_answer *answer)
{
	const struct dispatch_entry *entry = dispatch_find(request->head.opcode);
	const char *reason = strerrorname_np(-answer->head.result);
	struct event event = {
		.kind = EVENT_REFUSED,
		.segment = is_sound ? request_segment(request) : NULL,
		.pid = peer->holder.pid,
		.uid = peer->holder.uid,
		.comm = peer->process != NULL ? peer->process->comm : NULL,
		.reason = reason,
	};

	if (!refusal_is_event(answer->head.result))
		return;
	event_tell(peer->broker, &event, "%s%sprocess %d (%s) of uid %u is refused %s: %s", event.segment != NULL ? event.segment : "",
		   event.segment != NULL ? ": " : "", event.pid, event.comm != NULL ? event.comm : "?", event.uid,
		   entry != NULL ? entry->name : "an unknown request", answer->text);
}
