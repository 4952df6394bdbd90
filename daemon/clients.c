/* SPDX-License-Identifier: MIT */
/* CLIENTS (clients.h). The list of connections has the newest first, and so has the answer. */
#include "clients.h"

#include <string.h>

#include "access.h"
#include "attachment.h"
#include "broker.h"
#include "peer.h"

_Static_assert(sizeof(struct shmb_msg_clients_answer) + sizeof(struct shmb_msg_client) +
			       PEER_ATTACHMENTS_MAX * sizeof(struct shmb_msg_client_handle) <=
		       SHMB_MESSAGE_MAX,
	       "a client with all its handles fits one packet");

static void fill(const struct peer *peer, struct shmb_msg_client *out)
{
	const struct attachment *attachment;

	out->order = peer->order;
	out->connected_ns = peer->connected_ns;
	out->requests = peer->requests;
	out->refusals = peer->refusals;
	out->pid = peer->holder.pid;
	out->uid = peer->holder.uid;
	out->gid = peer->gid;
	out->handle_count = peer->attachment_count;
	out->is_ready = peer->state == PEER_ACTIVE;
	out->watches = peer->watch_events != NULL;
	if (peer->process != NULL)
		shmb_text_set(out->comm, sizeof(out->comm), peer->process->comm);
	LIST_FOREACH (attachment, &peer->attachments, peer_link) {
		if (attachment->role == SHMB_ROLE_WRITER)
			out->bytes += attachment->segment->bytes;
	}
}

void clients_list(struct peer *peer, const union shmb_msg_request *request, const char *tail, struct reply *reply)
{
	struct shmb_msg_clients_answer *answer = reply_begin(reply, &request->clients.head, sizeof(*answer));
	uint64_t before = request->clients.before != 0 ? request->clients.before : UINT64_MAX;
	bool sees_all = access_is_operator(peer);
	const struct peer *other;

	(void)tail;
	LIST_FOREACH (other, &peer->broker->peers, link) {
		const struct attachment *attachment;
		struct shmb_msg_client_handle *handle;

		if (other->order >= before || other->refusal != 0 || !(sees_all || other->holder.uid == peer->holder.uid))
			continue;
		if (reply_room(reply) < sizeof(struct shmb_msg_client) + other->attachment_count * sizeof(*handle))
			break;
		fill(other, reply_tail(reply, sizeof(struct shmb_msg_client)));
		answer->count++;
		LIST_FOREACH (attachment, &other->attachments, peer_link) {
			handle = reply_tail(reply, sizeof(*handle));
			handle->handle = attachment->handle;
			handle->role = (uint8_t)attachment->role;
			shmb_text_set(handle->name, sizeof(handle->name), attachment->segment->name);
		}
	}
}
