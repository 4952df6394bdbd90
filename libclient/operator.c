/* SPDX-License-Identifier: MIT */
/* Reload, policy, gc (shmb_operator.h). Answers are copied before a visitor is called, so that no lock is held meanwhile. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "query.h"
#include "segment.h"
#include "text.h"

int shmb_reload(struct shmb *broker, int (*visit)(const struct shmb_reload_result *result, void *user), void *user)
{
	struct shmb_msg_reload request = { .head.opcode = SHMB_OP_RELOAD };
	struct shmb_msg_reload_answer answer;
	struct shmb_reload_result result;
	char *tail = NULL;
	int r = query_ask(broker, &request.head, &answer, &tail);

	if (r < 0)
		return r;
	result = (struct shmb_reload_result){
		.files = answer.files,
		.patterns = answer.patterns,
		.segments = answer.segments,
		.not_applied = answer.not_applied,
		.notes = tail,
	};
	r = visit(&result, user);
	free(tail);
	return r;
}

/* Points into the tail, whose strings the codec has checked. */
static int policy_visit(const struct shmb_msg_policy_answer *answer, const char *tail,
			int (*visit)(const struct shmb_policy_info *info, void *user), void *user)
{
	const struct shmb_msg_policy_pattern *pattern = (const void *)tail;
	const struct shmb_msg_policy_setting *setting =
		(const void *)(tail + answer->pattern_count * sizeof(struct shmb_msg_policy_pattern));
	struct shmb_policy_pattern *patterns = calloc(answer->pattern_count + 1, sizeof(*patterns));
	struct shmb_policy_setting *settings = calloc(answer->setting_count + 1, sizeof(*settings));
	struct shmb_policy_info info = {
		.uid = answer->uid,
		.may_read = answer->may_read,
		.may_write = answer->may_write,
		.read_why = answer->read_why,
		.write_why = answer->write_why,
		.is_there = answer->is_there,
		.pattern_count = answer->pattern_count,
		.setting_count = answer->setting_count,
		.patterns = patterns,
		.settings = settings,
	};
	int r;

	if (patterns == NULL || settings == NULL) {
		r = text_fail(-ENOMEM, "no memory for an answer");
	} else {
		for (uint32_t i = 0; i < answer->pattern_count; i++)
			patterns[i] = (struct shmb_policy_pattern){ pattern[i].pattern, pattern[i].source };
		for (uint32_t i = 0; i < answer->setting_count; i++)
			settings[i] = (struct shmb_policy_setting){ setting[i].name, setting[i].value, setting[i].source };
		r = visit(&info, user);
	}
	free(patterns);
	free(settings);
	return r;
}

int shmb_policy(struct shmb *broker, const char *name, const struct shmb_user *user_asked,
		int (*visit)(const struct shmb_policy_info *info, void *user), void *user)
{
	struct shmb_msg_policy request = { .head.opcode = SHMB_OP_POLICY, .uid = UINT32_MAX };
	struct shmb_msg_policy_answer answer;
	char *tail = NULL;
	int r = segment_name_set(request.name, name);

	if (r < 0)
		return r;
	if (user_asked != NULL) {
		if (user_asked->gid_count > SHMB_GROUPS_MAX)
			return text_fail(-EINVAL, "a user of more than %d groups cannot be asked about", SHMB_GROUPS_MAX);
		request.uid = user_asked->uid;
		request.gid_count = user_asked->gid_count;
		memcpy(request.gids, user_asked->gids, user_asked->gid_count * sizeof(request.gids[0]));
	}
	r = query_ask(broker, &request.head, &answer, &tail);
	if (r == 0)
		r = policy_visit(&answer, tail, visit, user);
	free(tail);
	return r;
}

static int gc_visit(const struct shmb_msg_gc_answer *answer, const char *tail, int (*visit)(const struct shmb_gc_info *info, void *user),
		    void *user)
{
	const struct shmb_msg_gc_item *items = (const void *)tail;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < answer->count; i++) {
		const struct shmb_gc_info info = {
			.name = items[i].name,
			.reason = items[i].reason,
			.outcome = (enum shmb_gc_outcome)items[i].verdict,
			.is_foreign = items[i].is_foreign,
			.bytes = items[i].bytes,
			.due_ns = items[i].due_ns,
			.uid = items[i].uid,
			.pid = items[i].pid,
		};

		r = visit(&info, user);
	}
	return r;
}

int shmb_gc(struct shmb *broker, unsigned what, int (*visit)(const struct shmb_gc_info *info, void *user), void *user)
{
	struct shmb_msg_gc request = { .head.opcode = SHMB_OP_GC };
	struct shmb_msg_gc_answer answer = { 0 };
	uint64_t before;
	int r = 0;

	if ((what & ~(unsigned)(SHMB_GC_TELL | SHMB_GC_FOREIGN_FILES)) != 0)
		return text_fail(-EINVAL, "unknown flags");
	if ((what & SHMB_GC_TELL) != 0)
		request.flags |= SHMB_GC_DRY_RUN;
	if ((what & SHMB_GC_FOREIGN_FILES) != 0)
		request.flags |= SHMB_GC_FOREIGN;
	do {
		char *tail = NULL;

		before = request.after;
		r = query_ask(broker, &request.head, &answer, &tail);
		if (r == 0)
			r = gc_visit(&answer, tail, visit, user);
		free(tail);
		request.after = answer.next;
		/* It grows, a segment's number as well as a place in a directory: one that does not would make this loop endless. */
	} while (r == 0 && answer.next > before);
	return r;
}
