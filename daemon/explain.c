/* SPDX-License-Identifier: MIT */
/*
 * What holds for a name (explain.h).
 *
 * Anybody may ask about himself; about others root and the daemon's own user, who can read the files anyhow.
 */
#include "explain.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "access.h"
#include "broker.h"
#include "peer.h"
#include "policy.h"
#include "setting.h"

_Static_assert((int)POLICY_SOURCE_MAX <= (int)SHMB_SOURCE_MAX, "a source fits its field");

static void add_patterns(const struct policy_section *const *matching, size_t count, struct reply *reply,
			 struct shmb_msg_policy_answer *answer)
{
	char source[POLICY_SOURCE_MAX];

	for (size_t i = 0; i < count; i++) {
		struct shmb_msg_policy_pattern *record;

		/* Settings come behind and always fit. */
		if (reply_room(reply) < sizeof(*record) + SETTING_COUNT * sizeof(struct shmb_msg_policy_setting))
			return;
		record = reply_tail(reply, sizeof(*record));
		shmb_text_set(record->pattern, sizeof(record->pattern), matching[i]->pattern);
		shmb_text_set(record->source, sizeof(record->source), policy_origin_text(&matching[i]->origin, source));
		answer->pattern_count++;
	}
}

static void add_settings(const struct policy *policy, struct reply *reply, struct shmb_msg_policy_answer *answer)
{
	char value[SETTING_VALUE_MAX];
	char source[POLICY_SOURCE_MAX];

	for (unsigned i = 0; i < SETTING_COUNT; i++) {
		struct shmb_msg_policy_setting *record = reply_tail(reply, sizeof(*record));
		enum policy_setting setting = (enum policy_setting)i;

		shmb_text_set(record->name, sizeof(record->name), setting_name(setting));
		shmb_text_set(record->value, sizeof(record->value), setting_format(setting, policy, value));
		shmb_text_set(record->source, sizeof(record->source), policy_origin_text(&policy->at[setting], source));
		answer->setting_count++;
	}
}

_Static_assert(sizeof(struct shmb_msg_policy_answer) + SETTING_COUNT * sizeof(struct shmb_msg_policy_setting) < SHMB_MESSAGE_MAX,
	       "all settings fit an answer");

void explain_policy(struct peer *peer, const union shmb_msg_request *request, const char *tail, struct reply *reply)
{
	const struct shmb_msg_policy *ask = &request->policy;
	struct broker *broker = peer->broker;
	const struct segment *segment = registry_find(&broker->registry, ask->name);
	const struct policy_section *matching[POLICY_SECTIONS_MAX];
	/* Whether it is there, and whose it is, is for those who may read it. */
	bool is_there = segment != NULL && access_sees(peer, segment);
	uint32_t owner = is_there ? segment->owner_uid : ACCESS_NO_OWNER;
	struct shmb_msg_policy_answer *answer;
	struct policy policy;
	struct access_who who;
	char why[SHMB_TEXT_MAX];
	size_t count;

	(void)tail;
	access_who_of(peer, &who);
	if (ask->uid != UINT32_MAX && ask->uid != peer->holder.uid && !access_is_operator(peer)) {
		reply_error(reply, &ask->head, -EPERM, "uid %u may ask what it may do itself; about others ask as root", peer->holder.uid);
		return;
	}
	if (ask->uid != UINT32_MAX && access_is_operator(peer))
		who = (struct access_who){ .uid = ask->uid, .gids = ask->gids, .gid_count = ask->gid_count, .daemon_uid = geteuid() };
	count = policy_explain(broker->policies, ask->name, &policy, matching);
	answer = reply_begin(reply, &ask->head, sizeof(*answer));
	answer->uid = who.uid;
	answer->may_read = access_judge(&policy, ACCESS_READ, owner, &who, why);
	shmb_text_set(answer->read_why, sizeof(answer->read_why), why);
	answer->may_write = access_judge(&policy, ACCESS_WRITE, owner, &who, why);
	shmb_text_set(answer->write_why, sizeof(answer->write_why), why);
	answer->is_there = is_there;
	add_patterns(matching, count, reply, answer);
	add_settings(&policy, reply, answer);
}
