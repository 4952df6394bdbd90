/* SPDX-License-Identifier: MIT */
/* USERS (users.h). The accounts lie by growing uid, and so does the answer. */
#include "users.h"

#include "access.h"
#include "broker.h"
#include "peer.h"

static void fill(const struct account *account, struct shmb_msg_user *out)
{
	out->bytes = account->bytes;
	out->requests = account->requests;
	out->refusals = account->refusals;
	out->over = account->refused;
	out->bytes_max = account->limits.max[LIMIT_BYTES];
	out->segments_max = account->limits.max[LIMIT_SEGMENTS];
	out->connections_max = account->limits.max[LIMIT_CONNECTIONS];
	out->request_rate = account->limits.max[LIMIT_REQUEST_RATE];
	out->uid = account->uid;
	out->segments = account->segments;
	out->connections = account->connections;
}

void users_list(struct peer *peer, const union shmb_msg_request *request, const char *tail, struct reply *reply)
{
	struct account_list *accounts = &peer->broker->accounts;
	struct shmb_msg_users_answer *answer = reply_begin(reply, &request->users.head, sizeof(*answer));
	bool sees_all = access_is_operator(peer);
	const struct account *account;

	(void)tail;
	fill(&accounts->total, &answer->total);
	answer->total.uid = UINT32_MAX;
	LIST_FOREACH (account, &accounts->list, link) {
		struct shmb_msg_user *record;

		/* Those without a reference have nothing: they are kept for a while for their buckets. */
		if (account->uid < request->users.from || account->references == 0 || !(sees_all || account->uid == peer->holder.uid))
			continue;
		record = reply_tail(reply, sizeof(*record));
		if (record == NULL) {
			answer->next = account->uid;
			break;
		}
		fill(account, record);
		answer->count++;
	}
}
