/* SPDX-License-Identifier: MIT */
/* Putting another configuration in the place of the one in use (reload.h). */
#include "reload.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "attachment.h"
#include "broker.h"
#include "config_files.h"
#include "event.h"
#include "hello.h"
#include "later.h"
#include "notify.h"
#include "peer.h"
#include "proto/step.h"
#include "setting.h"
#include "stale.h"

/* What fits an answer. */
enum { NOTES_BYTES = SHMB_MESSAGE_MAX - sizeof(struct shmb_msg_reload_answer) };

static int load(struct broker *broker, struct config **out, char *why)
{
	const struct options *options = broker->options;
	const struct config_place place = {
		.file = options->config,
		.must_exist = options->config_given,
		.linger_ns = options->linger_ns,
		.linger_fixed = options->linger_given,
	};

	return config_load(out, &place, why);
}

static void put_in_place(struct broker *broker, struct config *config)
{
	broker->config = config;
	broker->policies = config->policies;
	broker->reload.loaded_ns = loop_realtime_ns();
	broker->reload.refused_ns = 0;
	broker->reload.refusal[0] = '\0';
}

int reload_start(struct broker *broker, char why[CONFIG_WHY_MAX])
{
	struct config *config;
	int r = load(broker, &config, why);

	if (r < 0)
		return r;
	put_in_place(broker, config);
	return 0;
}

/* ---- what does not apply to what is there ---- */

/* A line for the answer of who asked, where it fits. */
static void note_keep(struct reload *reload, const char *line)
{
	size_t length = strlen(line);

	if (reload->notes == NULL || length + 1 > NOTES_BYTES - reload->notes_length)
		return;
	memcpy(reload->notes + reload->notes_length, line, length);
	reload->notes[reload->notes_length + length] = '\n';
	reload->notes_length += length + 1;
}

__attribute__((format(printf, 3, 4))) static void note(struct broker *broker, const struct segment *segment, const char *format, ...)
{
	char text[SHMB_NAME_MAX + SETTING_VALUE_MAX + POLICY_SOURCE_MAX + 160];
	size_t at = (size_t)snprintf(text, sizeof(text), "%s: ", segment->name);
	va_list args;

	va_start(args, format);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it is, one line above */
	vsnprintf(text + at, sizeof(text) - at, format, args);
	va_end(args);
	broker->reload.not_applied++;
	event_tell(broker, &(struct event){ .kind = EVENT_POLICY, .segment = segment->name, .reason = "not-applied" }, "%s", text);
	note_keep(&broker->reload, text);
}

/* Settled when it was made. */
static void note_settled(struct broker *broker, const struct segment *segment, const struct policy *before, const struct policy *after)
{
	char value[SETTING_VALUE_MAX];
	char source[POLICY_SOURCE_MAX];

	for (unsigned i = 0; i < SETTING_COUNT; i++) {
		enum policy_setting setting = (enum policy_setting)i;

		if (setting_is_for_new(setting) && !setting_is_same(setting, before, after))
			note(broker, segment, "%s = %s (%s) applies when it is made again", setting_name(setting),
			     setting_format(setting, after, value), policy_origin_text(&after->at[setting], source));
	}
}

/* Open already, by those who may not open it any more: what is mapped cannot be taken away. */
static void note_open(struct broker *broker, struct segment *segment)
{
	struct attachment *attachment;
	char why[SHMB_TEXT_MAX];

	LIST_FOREACH (attachment, &segment->attachments, segment_link) {
		bool writes = attachment->role == SHMB_ROLE_WRITER || attachment->role == SHMB_ROLE_SHARER;
		struct access_who who;

		if (attachment->peer == NULL)
			continue; /* of a process that has no connection now: its groups are not known */
		access_who_of(attachment->peer, &who);
		if (!access_judge(segment->policy, writes ? ACCESS_WRITE : ACCESS_READ, segment->owner_uid, &who, why))
			note(broker, segment, "process %d of uid %u may no longer %s it, but has it open: %s", attachment->holder.pid,
			     attachment->holder.uid, writes ? "write" : "read", why);
	}
}

static bool access_is_same(const struct policy *before, const struct policy *after)
{
	return setting_is_same(SETTING_WRITERS, before, after) && setting_is_same(SETTING_READERS, before, after);
}

static void apply(struct broker *broker, struct segment *segment)
{
	const struct policy *before = segment->policy;

	segment->policy = policy_find(broker->policies, segment->name);
	for (struct segment *older = segment->older; older != NULL; older = older->older)
		older->policy = segment->policy;
	note_settled(broker, segment, before, segment->policy);
	if (!access_is_same(before, segment->policy))
		note_open(broker, segment);
	stale_follow(broker, segment);
	reaper_look(&broker->reaper, segment);
}

/* ---- in pieces ---- */

static void finish(struct broker *broker)
{
	struct reload *reload = &broker->reload;

	event_tell(broker, &(struct event){ .kind = EVENT_POLICY, .reason = "loaded" },
		   "the configuration is loaded: %zu files, %zu patterns, %u segments looked at, %u changes do not reach them",
		   broker->policies->file_count, broker->policies->count, reload->segments, reload->not_applied);
	reload->before = config_free(reload->before);
	notify_ready(broker->registry.count);
}

static enum chore_state next_segment(void *user)
{
	struct broker *broker = user;
	struct reload *reload = &broker->reload;
	struct segment *segment = registry_after(&broker->registry, reload->next);

	if (segment == NULL) {
		finish(broker);
		return CHORE_DONE;
	}
	SHMB_STEP("turn.reload");
	reload->next = segment->order;
	reload->segments++;
	apply(broker, segment);
	return CHORE_MORE;
}

/* Reads it, and goes through the segments for a turn; the rest is a chore. 0, or what came of reading. */
static int begin(struct broker *broker)
{
	struct reload *reload = &broker->reload;
	uint64_t begun_ns = loop_now_ns();
	struct config *before = broker->config;
	struct config *after;
	char why[CONFIG_WHY_MAX];
	int r;

	/* A signal while one is under way: that ends first. */
	chores_drop(&reload->chore);
	while (reload->before != NULL)
		next_segment(broker);
	notify_reloading();
	r = load(broker, &after, why);
	if (r < 0) {
		reload->refused_ns = loop_realtime_ns();
		snprintf(reload->refusal, sizeof(reload->refusal), "%s", why);
		event_tell(broker, &(struct event){ .kind = EVENT_POLICY, .reason = "refused" },
			   "the configuration is refused, the one before stays: %s", why);
		notify_ready(broker->registry.count);
		return r;
	}
	put_in_place(broker, after);
	strays_follow(broker);
	account_limits_changed(broker);
	hello_follow(broker);
	reload->before = before;
	reload->next = 0;
	reload->segments = 0;
	reload->not_applied = 0;
	while (reload->before != NULL && !chores_turn_is_over(begun_ns))
		next_segment(broker);
	if (reload->before != NULL)
		chores_add(&broker->chores, &reload->chore, next_segment, broker);
	return 0;
}

void reload_now(struct broker *broker)
{
	begin(broker);
}

static void disown(struct reload *reload)
{
	reload->owner = 0;
	free(reload->notes);
	reload->notes = NULL;
	reload->notes_length = 0;
}

void reload_deinit(struct broker *broker)
{
	disown(&broker->reload);
	broker->reload.before = config_free(broker->reload.before);
}

/* ---- in messages ---- */

/* Where it fits. */
static void add_line(struct reply *reply, const char *line)
{
	size_t length = strlen(line);
	char *at = reply_tail(reply, length + 1);

	if (at == NULL)
		return;
	memcpy(at, line, length + 1);
	at[length] = '\n'; /* where its NUL was */
}

void reload_status(const struct broker *broker, struct reply *reply)
{
	add_line(reply, broker->reload.refusal);
	for (size_t i = 0; i < broker->policies->file_count; i++)
		add_line(reply, broker->policies->files[i]);
}

static bool is_connected(const struct broker *broker, uint64_t order)
{
	const struct peer *peer;

	LIST_FOREACH (peer, &broker->peers, link) {
		if (peer->order == order)
			return true;
	}
	return false;
}

static void answer(struct broker *broker, const struct shmb_msg_head *head, struct reply *reply)
{
	struct reload *reload = &broker->reload;
	struct shmb_msg_reload_answer *answer = reply_begin(reply, head, sizeof(*answer));

	answer->segments = reload->segments;
	answer->not_applied = reload->not_applied;
	answer->files = (uint32_t)broker->policies->file_count;
	answer->patterns = (uint32_t)broker->policies->count;
	if (reload->notes_length > 0)
		memcpy(reply_tail(reply, reload->notes_length), reload->notes, reload->notes_length);
	disown(reload);
}

/* gcc's analyzer takes notes, which disown() frees, for lost. */
#ifndef __clang__
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif
void reload_request(struct peer *peer, const union shmb_msg_request *request, const char *tail, struct reply *reply)
{
	struct broker *broker = peer->broker;
	struct reload *reload = &broker->reload;
	const struct shmb_msg_head *head = &request->reload.head;
	int r;

	(void)tail;
	if (!access_is_operator(peer)) {
		reply_error(reply, head, -EPERM, "only root and the daemon's own user reload its configuration, not uid %u",
			    peer->holder.uid);
		return;
	}
	if (reload->owner != peer->order) {
		if (reload->before != NULL || (reload->owner != 0 && is_connected(broker, reload->owner))) {
			later_defer(peer, &request->reload, sizeof(request->reload), reply);
			return;
		}
		disown(reload);
		reload->notes = malloc(NOTES_BYTES);
		r = reload->notes == NULL ? -ENOMEM : begin(broker);
		if (r < 0) {
			disown(reload);
			reply_error(reply, head, r == -ENOMEM ? r : -EINVAL, "refused, the configuration before stays: %s",
				    r == -ENOMEM ? "out of memory" : reload->refusal);
			return;
		}
		reload->owner = peer->order;
	}
	if (reload->before != NULL)
		later_defer(peer, &request->reload, sizeof(request->reload), reply);
	else
		answer(broker, head, reply);
}
#ifndef __clang__
#pragma GCC diagnostic pop
#endif
