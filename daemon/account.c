/* SPDX-License-Identifier: MIT */
/* Quotas (account.h). */
#include "account.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "access.h"
#include "broker.h"
#include "event.h"
#include "log.h"
#include "parts.h"
#include "peer.h"
#include "proto/step.h"

enum {
	LARGEST_MAX = 3,    /* segments named in a refusal */
	REST_NS = 10000000, /* between two turns of a user that asks too often: others are served meanwhile */
};

static const uint64_t second_ns = 1000000000;
static const uint64_t turn_ns = 1000000; /* a request takes some 10 us to 100 us; and there are few users */

static bool is_operator(uint32_t uid)
{
	return uid == 0 || uid == geteuid();
}

static void limits_look(struct account *account)
{
	const struct config *config = account->broker->config;

	if (account == &account->broker->accounts.total)
		account->limits = config->total;
	else
		limits_of(config->users, config->user_count, account->uid, is_operator(account->uid), &account->limits);
	account->tokens = account->limits.max[LIMIT_REQUEST_RATE];
}

/* ---- accounts ---- */

static void on_turn(void *user)
{
	struct account *account = user;
	struct broker *broker = account->broker;
	struct peer *peer;

	LIST_FOREACH (peer, &broker->peers, link) {
		if (peer->slowed_by == account) {
			peer->slowed_by = NULL;
			peer_read_on(peer);
		}
	}
}

static struct account *account_free(struct account *account)
{
	LIST_REMOVE(account, link);
	loop_timer_free(account->timer);
	free(account);
	return NULL;
}

/*
 * Buckets of users that are gone: a user that comes again so soon that it matters is among those kept. One goes for each that comes, so there are never
 * more than these besides the most that ever had something at a time.
 */
static void forget_idle(struct broker *broker)
{
	struct account *first = NULL; /* to have gone */
	struct account *account;
	unsigned idle = 0;

	LIST_FOREACH (account, &broker->accounts.list, link) {
		if (account->references > 0)
			continue;
		idle++;
		if (first == NULL || account->gone_ns < first->gone_ns)
			first = account;
	}
	if (idle > ACCOUNTS_IDLE)
		account_free(first);
}

/* The last one with a smaller uid, NULL none. */
static struct account *place_before(struct broker *broker, uint32_t uid)
{
	struct account *before = NULL;
	struct account *account;

	LIST_FOREACH (account, &broker->accounts.list, link) {
		if (account->uid > uid)
			break;
		before = account;
	}
	return before;
}

struct account *account_get(struct broker *broker, uint32_t uid)
{
	struct account *account;
	struct account *before;

	LIST_FOREACH (account, &broker->accounts.list, link) {
		if (account->uid == uid) {
			account->references++;
			return account;
		}
	}
	forget_idle(broker);
	account = calloc(1, sizeof(*account));
	if (account == NULL || loop_timer_new(broker->loop, on_turn, account, &account->timer) < 0) {
		free(account);
		return NULL;
	}
	account->broker = broker;
	account->uid = uid;
	account->references = 1;
	TAILQ_INIT(&account->later.list);
	before = place_before(broker, uid);
	if (before != NULL)
		LIST_INSERT_AFTER(before, account, link);
	else
		LIST_INSERT_HEAD(&broker->accounts.list, account, link);
	limits_look(account);
	return account;
}

struct account *account_put(struct account *account)
{
	if (account != NULL && --account->references == 0)
		account->gone_ns = loop_now_ns();
	return NULL;
}

int account_list_init(struct broker *broker)
{
	struct account *total = &broker->accounts.total;

	LIST_INIT(&broker->accounts.list);
	total->broker = broker;
	return loop_timer_new(broker->loop, on_turn, total, &total->timer);
}

void account_list_deinit(struct broker *broker)
{
	while (!LIST_EMPTY(&broker->accounts.list))
		account_free(LIST_FIRST(&broker->accounts.list));
	broker->accounts.total.timer = loop_timer_free(broker->accounts.total.timer);
}

void account_limits_changed(struct broker *broker)
{
	struct account *account;

	limits_look(&broker->accounts.total);
	LIST_FOREACH (account, &broker->accounts.list, link)
		limits_look(account);
	capacity_check(&broker->store, &broker->accounts.total.limits, broker->accounts.limit_file);
}

/* ---- memory ---- */

static void charge(struct account *account, uint64_t bytes)
{
	account->bytes += bytes;
	account->broker->accounts.total.bytes += bytes;
}

void account_charge(struct broker *broker, struct segment *segment)
{
	segment->account = account_get(broker, segment->writer_uid);
	if (segment->account == NULL) {
		log_error("%s: no memory to charge it to uid %u", segment->name, segment->writer_uid);
		return;
	}
	charge(segment->account, segment->bytes);
	segment->account->segments++;
	broker->accounts.total.segments++;
}

struct account *account_removed(struct segment *segment)
{
	struct account *account = segment->account;

	if (account != NULL) {
		account->segments--;
		account->broker->accounts.total.segments--;
	}
	segment->account = NULL;
	return account;
}

void account_uncharge(struct account *account, uint64_t bytes)
{
	if (account == NULL)
		return;
	charge(account, -bytes);
	account_put(account);
}

struct account *account_reserve(struct broker *broker, uint32_t uid, uint64_t bytes)
{
	struct account *account = account_get(broker, uid);

	if (account != NULL)
		charge(account, bytes);
	return account;
}

/* ---- refusals ---- */

void account_over(struct account *account)
{
	struct account *total = &account->broker->accounts.total;

	account->refused++;
	if (account != total)
		total->refused++;
}

void account_answered(struct account *account, bool is_refused)
{
	struct account *total = &account->broker->accounts.total;

	account->requests++;
	account->refusals += is_refused;
	total->requests++;
	total->refusals += is_refused;
}

/* "; largest: camera/front 8388608, map 4096": of this user, or of all that the client may see. */
static void largest_text(struct peer *peer, const struct account *account, char *out, size_t size)
{
	const struct segment *largest[LARGEST_MAX] = { NULL };
	struct segment *newest;
	size_t at = 0;

	out[0] = '\0';
	TAILQ_FOREACH (newest, &peer->broker->registry.in_order, order_link) {
		for (const struct segment *segment = newest; segment != NULL; segment = segment->older) {
			const struct segment *here = segment;

			if (account != NULL && segment->account != account)
				continue;
			if (account == NULL && !access_sees(peer, newest))
				continue;
			for (unsigned i = 0; i < LARGEST_MAX && here != NULL; i++) {
				const struct segment *there = largest[i];

				if (there != NULL && there->bytes >= here->bytes)
					continue;
				largest[i] = here;
				here = there;
			}
		}
	}
	for (unsigned i = 0; i < LARGEST_MAX && largest[i] != NULL && at < size; i++)
		at += (size_t)snprintf(out + at, size - at, "%s%s %" PRIu64, i == 0 ? ACCOUNT_LARGEST : ", ", largest[i]->name,
				       largest[i]->bytes);
}

/* "bytes-max = 4096 (FILE:LINE)" */
static void limit_text(const struct account *account, enum limit limit, char *out, size_t size)
{
	char source[POLICY_SOURCE_MAX];

	snprintf(out, size, "%s = %" PRIu64 " (%.100s)", limits_name(limit), account->limits.max[limit],
		 policy_origin_text(&account->limits.at[limit], source));
}

static void tell(struct peer *peer, struct account *account, enum limit limit, const char *name, const char *text)
{
	account_over(account);
	event_tell(peer->broker,
		   &(struct event){ .kind = EVENT_QUOTA,
				    .segment = name,
				    .pid = peer->holder.pid,
				    .uid = peer->holder.uid,
				    .comm = peer->process != NULL ? peer->process->comm : NULL,
				    .reason = limits_name(limit) },
		   "%s", text);
}

static bool refuse(struct peer *peer, struct account *account, enum limit limit, const char *name, uint64_t bytes,
		   const struct shmb_msg_head *head, struct reply *reply)
{
	bool is_total = account == &peer->broker->accounts.total;
	char text[2 * SHMB_TEXT_MAX];
	char rule[160];
	char largest[SHMB_TEXT_MAX];
	char who[32] = "all users";

	limit_text(account, limit, rule, sizeof(rule));
	largest_text(peer, is_total ? NULL : account, largest, sizeof(largest));
	if (!is_total)
		snprintf(who, sizeof(who), "uid %u", account->uid);
	if (limit == LIMIT_BYTES)
		snprintf(text, sizeof(text), "%s needs %" PRIu64 " bytes, %s has %" PRIu64 ", %s%s", name, bytes, who, account->bytes, rule,
			 largest);
	else
		snprintf(text, sizeof(text), "%s: %s has %u segments, %s%s", name, who, account->segments, rule, largest);
	reply_error(reply, head, is_total ? -ENOSPC : -EDQUOT, "%s", text);
	tell(peer, account, limit, name, text);
	return false;
}

bool account_check(struct peer *peer, const struct segment_spec *spec, const struct shmb_msg_head *head, struct reply *reply)
{
	struct account *both[] = { peer->account, &peer->broker->accounts.total };
	struct shmb_geometry geometry;
	const char *why;
	uint64_t bytes;

	if (segment_spec_plan(&peer->broker->store, spec, &geometry, &why) < 0)
		return true; /* making it will say what is wrong */
	bytes = parts_bytes(&geometry, spec->schema_length);
	for (unsigned i = 0; i < 2; i++) {
		struct account *account = both[i];

		if (account->bytes > account->limits.max[LIMIT_BYTES] || bytes > account->limits.max[LIMIT_BYTES] - account->bytes)
			return refuse(peer, account, LIMIT_BYTES, spec->name, bytes, head, reply);
		if (account->segments >= account->limits.max[LIMIT_SEGMENTS])
			return refuse(peer, account, LIMIT_SEGMENTS, spec->name, bytes, head, reply);
	}
	return true;
}

void account_reply_full(struct peer *peer, const char *name, const char *why, const struct shmb_msg_head *head, struct reply *reply)
{
	char largest[SHMB_TEXT_MAX];

	largest_text(peer, NULL, largest, sizeof(largest));
	reply_error(reply, head, -ENOSPC, "%s cannot be made: %s%s", name, why, largest);
}

/* ---- connections and requests ---- */

bool account_check_connection(struct account *account)
{
	struct account *total = &account->broker->accounts.total;

	return account->connections < account->limits.max[LIMIT_CONNECTIONS] && total->connections < total->limits.max[LIMIT_CONNECTIONS];
}

bool account_turn(struct peer *peer)
{
	struct account *account = peer->account;
	uint64_t round = loop_round(peer->broker->loop);

	if (account == NULL)
		return true;
	if (account->round != round) {
		account->round = round;
		account->spent_ns = 0;
		account->lap += !account->lap_goes_on;
		account->lap_goes_on = false;
	}
	if (peer->lap == account->lap)
		return false;
	if (account->spent_ns >= SHMB_STEP_NUMBER("turn", turn_ns)) {
		account->lap_goes_on = true;
		return false;
	}
	peer->lap = account->lap;
	return true;
}

void account_spend(struct account *account, uint64_t ns)
{
	if (account != NULL)
		account->spent_ns += ns;
}

/* Takes a token. */
static bool token_take(struct account *account, uint64_t now)
{
	uint64_t rate = account->limits.max[LIMIT_REQUEST_RATE];
	uint64_t earned;

	if (now - account->tokens_ns >= second_ns) {
		account->tokens = rate;
		account->tokens_ns = now;
	} else {
		earned = (now - account->tokens_ns) * rate / second_ns;
		if (earned > 0) {
			account->tokens_ns += earned * second_ns / rate;
			account->tokens = account->tokens + earned < rate ? account->tokens + earned : rate;
		}
	}
	if (account->tokens == rate)
		account->is_told = false;
	if (account->tokens == 0)
		return false;
	account->tokens--;
	return true;
}

static void slow_down(struct peer *peer, struct account *account)
{
	uint64_t rate = account->limits.max[LIMIT_REQUEST_RATE];
	uint64_t wait = second_ns / rate;
	char text[SHMB_TEXT_MAX];
	char rule[160];

	peer->slowed_by = account;
	loop_timer_set(account->timer, wait > REST_NS ? wait : REST_NS);
	if (account->is_told)
		return;
	account->is_told = true;
	limit_text(account, LIMIT_REQUEST_RATE, rule, sizeof(rule));
	snprintf(text, sizeof(text), "process %d of uid %u asks too often: its requests are read later, %s", peer->holder.pid,
		 peer->holder.uid, rule);
	tell(peer, account, LIMIT_REQUEST_RATE, NULL, text);
}

bool account_admit(struct peer *peer)
{
	struct account *both[] = { peer->account, &peer->broker->accounts.total };

	if (peer->account == NULL)
		return true;
	for (unsigned i = 0; i < 2; i++) {
		if (both[i]->limits.max[LIMIT_REQUEST_RATE] == UINT64_MAX || (i == 1 && is_operator(peer->holder.uid)))
			continue;
		if (!token_take(both[i], loop_now_ns())) {
			slow_down(peer, both[i]);
			return false;
		}
	}
	return true;
}
