/* SPDX-License-Identifier: MIT */
/* Putting another configuration in the place of the one in use (reload.h). */
#include "reload.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "access.h"
#include "attachment.h"
#include "broker.h"
#include "config_files.h"
#include "event.h"
#include "notify.h"
#include "peer.h"
#include "setting.h"
#include "stale.h"

/* Whoever wants to hear of each segment, and how many words were said. */
struct notes {
	struct broker *broker;
	void (*fn)(const char *line, void *user);
	void *user;
	unsigned count;
};

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

__attribute__((format(printf, 3, 4))) static void note(struct notes *notes, const struct segment *segment, const char *format, ...)
{
	char text[SHMB_NAME_MAX + SETTING_VALUE_MAX + POLICY_SOURCE_MAX + 160];
	size_t at = (size_t)snprintf(text, sizeof(text), "%s: ", segment->name);
	va_list args;

	va_start(args, format);
	vsnprintf(text + at, sizeof(text) - at, format, args);
	va_end(args);
	notes->count++;
	event_tell(notes->broker, &(struct event){ .kind = EVENT_POLICY, .segment = segment->name, .reason = "not-applied" }, "%s", text);
	if (notes->fn != NULL)
		notes->fn(text, notes->user);
}

/* Settled when it was made. */
static void note_settled(struct notes *notes, const struct segment *segment, const struct policy *before, const struct policy *after)
{
	char value[SETTING_VALUE_MAX];
	char source[POLICY_SOURCE_MAX];

	for (unsigned i = 0; i < SETTING_COUNT; i++) {
		enum policy_setting setting = (enum policy_setting)i;

		if (setting_is_for_new(setting) && !setting_is_same(setting, before, after))
			note(notes, segment, "%s = %s (%s) applies when it is made again", setting_name(setting),
			     setting_format(setting, after, value), policy_origin_text(&after->at[setting], source));
	}
}

/* Open already, by those who may not open it any more: what is mapped cannot be taken away. */
static void note_open(struct notes *notes, struct segment *segment)
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
			note(notes, segment, "process %d of uid %u may no longer %s it, but has it open: %s", attachment->holder.pid,
			     attachment->holder.uid, writes ? "write" : "read", why);
	}
}

static bool access_is_same(const struct policy *before, const struct policy *after)
{
	return setting_is_same(SETTING_WRITERS, before, after) && setting_is_same(SETTING_READERS, before, after);
}

static void apply(struct notes *notes, struct segment *segment, const struct policy_set *policies)
{
	struct broker *broker = notes->broker;
	const struct policy *before = segment->policy;

	segment->policy = policy_find(policies, segment->name);
	for (struct segment *older = segment->older; older != NULL; older = older->older)
		older->policy = segment->policy;
	note_settled(notes, segment, before, segment->policy);
	if (!access_is_same(before, segment->policy))
		note_open(notes, segment);
	stale_follow(broker, segment);
	reaper_look(&broker->reaper, segment);
}

static int reload(struct broker *broker, void (*fn)(const char *line, void *user), void *user)
{
	struct notes notes = { .broker = broker, .fn = fn, .user = user };
	struct config *before = broker->config;
	struct config *after;
	struct segment *segment;
	char why[CONFIG_WHY_MAX];
	int r = load(broker, &after, why);

	if (r < 0) {
		broker->reload.refused_ns = loop_realtime_ns();
		snprintf(broker->reload.refusal, sizeof(broker->reload.refusal), "%s", why);
		event_tell(broker, &(struct event){ .kind = EVENT_POLICY, .reason = "refused" },
			   "the configuration is refused, the one before stays: %s", why);
		return r;
	}
	put_in_place(broker, after);
	TAILQ_FOREACH (segment, &broker->registry.in_order, order_link)
		apply(&notes, segment, after->policies);
	strays_follow(broker);
	account_limits_changed(broker);
	event_tell(broker, &(struct event){ .kind = EVENT_POLICY, .reason = "loaded" },
		   "the configuration is loaded: %zu files, %zu patterns, %u segments looked at, %u changes do not reach them",
		   after->policies->file_count, after->policies->count, broker->registry.count, notes.count);
	config_free(before);
	return 0;
}

int reload_now(struct broker *broker, void (*fn)(const char *line, void *user), void *user)
{
	int r;

	notify_reloading();
	r = reload(broker, fn, user);
	notify_ready(broker->registry.count);
	return r;
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

static void add_note(const char *line, void *user)
{
	struct reply *reply = user;
	struct shmb_msg_reload_answer *answer = (struct shmb_msg_reload_answer *)reply->bytes;

	answer->not_applied++;
	add_line(reply, line);
}

void reload_status(const struct broker *broker, struct reply *reply)
{
	add_line(reply, broker->reload.refusal);
	for (size_t i = 0; i < broker->policies->file_count; i++)
		add_line(reply, broker->policies->files[i]);
}

void reload_request(struct peer *peer, const union shmb_msg_request *request, const char *tail, struct reply *reply)
{
	struct broker *broker = peer->broker;
	const struct shmb_msg_head *head = &request->reload.head;
	struct shmb_msg_reload_answer *answer;
	int r;

	(void)tail;
	if (!access_is_operator(peer)) {
		reply_error(reply, head, -EPERM, "only root and the daemon's own user reload its configuration, not uid %u",
			    peer->holder.uid);
		return;
	}
	answer = reply_begin(reply, head, sizeof(*answer));
	r = reload_now(broker, add_note, reply);
	if (r < 0) {
		reply_error(reply, head, r == -ENOMEM ? r : -EINVAL, "refused, the configuration before stays: %s", broker->reload.refusal);
		return;
	}
	answer->segments = broker->registry.count;
	answer->files = (uint32_t)broker->policies->file_count;
	answer->patterns = (uint32_t)broker->policies->count;
}
