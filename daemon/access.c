/* SPDX-License-Identifier: MIT */
/* Who may read and write what (access.h). */
#include "access.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "broker.h"
#include "log.h"
#include "match.h"
#include "parts.h"
#include "peer.h"

static bool is_all_powerful(const struct access_who *who)
{
	return who->uid == 0 || who->uid == who->daemon_uid;
}

/* "writers = 1000 @44 (/etc/shmbroker/shmbrokerd.conf:12)" */
static void rule_text(const struct policy *policy, enum policy_setting setting, char *out, size_t size)
{
	char value[SETTING_VALUE_MAX];
	char source[POLICY_SOURCE_MAX];

	setting_format(setting, policy, value);
	snprintf(out, size, "%s = %.60s%s (%s)", setting_name(setting), value, strlen(value) > 60 ? "..." : "",
		 policy_origin_text(&policy->at[setting], source));
}

/* Why `setting` and its owner decide as they do; `may` is what came of it. */
static void why_text(const struct policy *policy, enum access_right right, uint32_t owner_uid, const struct access_who *who, bool may,
		     char *why)
{
	bool is_owner = owner_uid == who->uid;

	if (is_all_powerful(who))
		snprintf(why, SHMB_TEXT_MAX, "uid %u is root or the daemon's own", who->uid);
	else if (right == ACCESS_WRITE && policy->writers.is_set)
		rule_text(policy, SETTING_WRITERS, why, SHMB_TEXT_MAX);
	else if (right == ACCESS_WRITE && owner_uid == ACCESS_NO_OWNER && !may)
		rule_text(policy, SETTING_READERS, why, SHMB_TEXT_MAX);
	else if (right == ACCESS_WRITE && owner_uid == ACCESS_NO_OWNER)
		snprintf(why, SHMB_TEXT_MAX, "it is not there yet: who makes it owns it");
	else if (right == ACCESS_WRITE && !may)
		snprintf(why, SHMB_TEXT_MAX, "it belongs to uid %u, this process has uid %u: only its owner and root write it", owner_uid,
			 who->uid);
	else if (right == ACCESS_WRITE || is_owner)
		snprintf(why, SHMB_TEXT_MAX, "it belongs to uid %u", owner_uid);
	else if (!policy->readers.is_set)
		snprintf(why, SHMB_TEXT_MAX, "who may connect may read it");
	else
		rule_text(policy, policy_who_has(&policy->writers, who->uid, who->gids, who->gid_count) ? SETTING_WRITERS : SETTING_READERS,
			  why, SHMB_TEXT_MAX);
}

bool access_judge(const struct policy *policy, enum access_right right, uint32_t owner_uid, const struct access_who *who, char *why)
{
	bool is_owner = owner_uid != ACCESS_NO_OWNER && owner_uid == who->uid;
	bool may;

	if (is_all_powerful(who))
		may = true;
	else if (right == ACCESS_WRITE &&
		 !policy->writers.is_set) /* who could not read it does not make it: else he would see whether it is there */
		may = is_owner || (owner_uid == ACCESS_NO_OWNER &&
				   (!policy->readers.is_set || policy_who_has(&policy->readers, who->uid, who->gids, who->gid_count)));
	else
		may = policy_who_has(&policy->writers, who->uid, who->gids, who->gid_count) ||
		      (right == ACCESS_READ &&
		       (is_owner || !policy->readers.is_set || policy_who_has(&policy->readers, who->uid, who->gids, who->gid_count)));
	if (why != NULL)
		why_text(policy, right, owner_uid, who, may, why);
	return may;
}

/* The groups the kernel noted when the client connected. Without them it has none: that takes rights away and gives none. */
static void groups_get(struct peer *peer)
{
	socklen_t bytes = 0;
	gid_t *groups = NULL;

	peer->groups_known = true;
	if (getsockopt(peer->fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &bytes) < 0 && errno != ERANGE)
		bytes = 0;
	groups = malloc(bytes + sizeof(*groups));
	if (groups == NULL)
		return;
	if (bytes > 0 && getsockopt(peer->fd, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes) < 0)
		bytes = 0;
	peer->group_count = bytes / sizeof(*groups);
	groups[peer->group_count++] = peer->gid;
	peer->groups = groups;
}

_Static_assert(sizeof(gid_t) == sizeof(uint32_t), "groups are compared as they come");

void access_who_of(struct peer *peer, struct access_who *who)
{
	if (!peer->groups_known)
		groups_get(peer);
	*who = (struct access_who){
		.uid = peer->holder.uid, .gids = peer->groups, .gid_count = peer->group_count, .daemon_uid = peer->broker->store.uid
	};
}

static bool judge(struct peer *peer, enum access_right right, const char *name, const struct segment *segment, char *why)
{
	struct policy policy;
	struct access_who who;

	access_who_of(peer, &who);
	/* One that is hidden is answered for as if it were not there. */
	if (segment != NULL && right == ACCESS_WRITE && !access_judge(segment->policy, ACCESS_READ, segment->owner_uid, &who, NULL))
		return access_judge(segment->policy, right, ACCESS_NO_OWNER, &who, why);
	if (segment != NULL)
		return access_judge(segment->policy, right, segment->owner_uid, &who, why);
	policy_explain(peer->broker->policies, name, &policy, NULL);
	return access_judge(&policy, right, ACCESS_NO_OWNER, &who, why);
}

bool access_check(struct peer *peer, enum access_right right, const char *name, const struct segment *segment,
		  const struct shmb_msg_head *head, struct reply *reply)
{
	char why[SHMB_TEXT_MAX];

	/* Most may: the sentence is made for who may not. */
	if (judge(peer, right, name, segment, NULL))
		return true;
	judge(peer, right, name, segment, why);
	if (right == ACCESS_WRITE && segment != NULL && !segment->policy->writers.is_set && access_sees(peer, segment))
		reply_error(reply, head, -EPERM, "%s: %s", name, why);
	else
		reply_error(reply, head, -EACCES, "%s is not for uid %u to %s: %s", name, peer->holder.uid,
			    right == ACCESS_WRITE ? "write" : "read", why);
	return false;
}

bool access_sees(struct peer *peer, const struct segment *segment)
{
	return judge(peer, ACCESS_READ, segment->name, segment, NULL);
}

bool access_is_operator(const struct peer *peer)
{
	return peer->holder.uid == 0 || peer->holder.uid == peer->broker->store.uid;
}

bool access_check_size(struct peer *peer, const struct shmb_msg_open_writer *open, struct reply *reply)
{
	struct shmb_request request = match_request(open);
	struct shmb_geometry geometry;
	struct policy policy;
	char rule[POLICY_SOURCE_MAX + SETTING_VALUE_MAX];
	const char *why;
	uint64_t bytes;

	policy_explain(peer->broker->policies, open->name, &policy, NULL);
	if (shmb_geometry_plan(&request, policy.areas, &geometry, &why) < 0)
		return true; /* making it will say what is wrong */
	bytes = parts_bytes(&geometry, open->head.tail_bytes);
	if (bytes > policy.bytes_max) {
		rule_text(&policy, SETTING_BYTES_MAX, rule, sizeof(rule));
		reply_error(reply, &open->head, -EFBIG, "%s would take %" PRIu64 " bytes: %s", open->name, bytes, rule);
		return false;
	}
	if (geometry.slot_count > policy.capacity_max) {
		rule_text(&policy, SETTING_CAPACITY_MAX, rule, sizeof(rule));
		reply_error(reply, &open->head, -EFBIG, "%s would have %u slots: %s", open->name, geometry.slot_count, rule);
		return false;
	}
	return true;
}

bool access_seen(struct peer *peer, const char *name, const struct shmb_msg_head *head, struct reply *reply)
{
	if (peer->holder.pid > 0)
		return true;
	reply_error(reply, head, -EOPNOTSUPP,
		    "%s: the broker cannot see this process, which is in a container with pids of its own, and so lets it only read: "
		    "run both in one pid namespace",
		    name);
	return false;
}
