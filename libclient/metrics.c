/* SPDX-License-Identifier: MIT */
/* The broker's counts, its clients and their users (shmb_metrics.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "query.h"
#include "text.h"

/* Records of the tail, which the codec has checked; their strings stay in it. */
static void counts_point(struct shmb_metrics_count *counts, uint32_t count, const struct shmb_msg_count *records)
{
	for (uint32_t i = 0; i < count; i++)
		counts[i] = (struct shmb_metrics_count){ .name = records[i].name, .value = records[i].value };
}

static int metrics_visit(const struct shmb_msg_metrics_answer *answer, const char *tail,
			 int (*visit)(const struct shmb_metrics *metrics, void *user), void *user)
{
	/* malloc'ed memory is aligned for the records, all of whose sizes are multiples of 8. */
	const struct shmb_msg_bucket *records = (const void *)tail;
	const struct shmb_msg_count *refusals = (const void *)(tail + answer->bucket_count * sizeof(*records));
	uint32_t count = answer->refusal_count + answer->event_count;
	struct shmb_metrics_bucket *buckets = calloc(answer->bucket_count + 1, sizeof(*buckets));
	struct shmb_metrics_count *counts = calloc(count + 1, sizeof(*counts));
	const struct shmb_metrics metrics = {
		.version = answer->version,
		.started_ns = answer->started_ns,
		.segments = answer->segments,
		.clients = answer->clients,
		.bytes = answer->bytes,
		.deaths = answer->deaths,
		.repairs = answer->repairs,
		.reaps = answer->reaps,
		.adopted = answer->adopted,
		.latency_ns = answer->latency_ns,
		.cpu_ns = answer->cpu_ns,
		.resident_bytes = answer->resident_bytes,
		.descriptors = answer->descriptors,
		.descriptors_max = answer->descriptors_max,
		.bucket_count = answer->bucket_count,
		.refusal_count = answer->refusal_count,
		.event_count = answer->event_count,
		.buckets = buckets,
		.refusals = counts,
		.events = counts != NULL ? counts + answer->refusal_count : NULL,
	};
	int r;

	if (buckets == NULL || counts == NULL) {
		r = text_fail(-ENOMEM, "no memory for an answer");
	} else {
		for (uint32_t i = 0; i < answer->bucket_count; i++)
			buckets[i] = (struct shmb_metrics_bucket){ .upto_ns = records[i].upto_ns, .count = records[i].count };
		counts_point(counts, count, refusals);
		r = visit(&metrics, user);
	}
	free(buckets);
	free(counts);
	return r;
}

int shmb_metrics(struct shmb *broker, int (*visit)(const struct shmb_metrics *metrics, void *user), void *user)
{
	struct shmb_msg_metrics request = { .head.opcode = SHMB_OP_METRICS };
	struct shmb_msg_metrics_answer answer;
	char *tail = NULL;
	int r = query_ask(broker, &request.head, &answer, &tail);

	if (r == 0)
		r = metrics_visit(&answer, tail, visit, user);
	free(tail);
	return r;
}

/* One record and its handles. */
static int client_visit(const struct shmb_msg_client *client, const struct shmb_msg_client_handle *records,
			int (*visit)(const struct shmb_client_info *client, void *user), void *user)
{
	struct shmb_client_handle *handles = calloc(client->handle_count + 1, sizeof(*handles));
	const struct shmb_client_info info = {
		.id = client->order,
		.connected_ns = client->connected_ns,
		.requests = client->requests,
		.refusals = client->refusals,
		.bytes = client->bytes,
		.pid = client->pid,
		.uid = client->uid,
		.gid = client->gid,
		.comm = client->comm,
		.watches = client->watches,
		.handle_count = client->handle_count,
		.handles = handles,
	};
	int r;

	if (handles == NULL)
		return text_fail(-ENOMEM, "no memory for %u handles", client->handle_count);
	for (uint32_t i = 0; i < client->handle_count; i++)
		handles[i] = (struct shmb_client_handle){ .role = (enum shmb_handle_role)records[i].role, .segment = records[i].name };
	r = visit(&info, user);
	free(handles);
	return r;
}

int shmb_clients(struct shmb *broker, int (*visit)(const struct shmb_client_info *client, void *user), void *user)
{
	struct shmb_msg_clients request = { .head.opcode = SHMB_OP_CLIENTS };

	for (;;) {
		struct shmb_msg_clients_answer answer;
		uint64_t before = request.before;
		char *tail = NULL;
		const char *at;
		int r = query_ask(broker, &request.head, &answer, &tail);

		if (r < 0)
			return r;
		at = tail;
		for (uint32_t i = 0; i < answer.count && r == 0; i++) {
			const struct shmb_msg_client *client = (const void *)at;

			at += sizeof(*client);
			request.before = client->order;
			r = client_visit(client, (const void *)at, visit, user);
			at += client->handle_count * sizeof(struct shmb_msg_client_handle);
		}
		free(tail);
		/* The order shrinks from record to record: one that does not would make this loop endless. */
		if (r != 0 || answer.count == 0 || request.before == 0 || (before != 0 && request.before >= before))
			return r;
	}
}

static int user_visit(const struct shmb_msg_user *record, int is_total, int (*visit)(const struct shmb_user_info *info, void *user),
		      void *user)
{
	const struct shmb_user_info info = {
		.uid = record->uid,
		.is_total = is_total,
		.clients = record->connections,
		.segments = record->segments,
		.bytes = record->bytes,
		.requests = record->requests,
		.refusals = record->refusals,
		.over_quota = record->over,
		.bytes_max = record->bytes_max,
		.segments_max = record->segments_max,
		.clients_max = record->connections_max,
		.request_rate = record->request_rate,
	};

	return visit(&info, user);
}

int shmb_users(struct shmb *broker, int (*visit)(const struct shmb_user_info *info, void *user), void *user)
{
	struct shmb_msg_users request = { .head.opcode = SHMB_OP_USERS };

	for (;;) {
		struct shmb_msg_users_answer answer;
		uint64_t from = request.from;
		const struct shmb_msg_user *records;
		char *tail = NULL;
		int r = query_ask(broker, &request.head, &answer, &tail);

		if (r < 0)
			return r;
		records = (const void *)tail;
		if (from == 0)
			r = user_visit(&answer.total, 1, visit, user);
		for (uint32_t i = 0; i < answer.count && r == 0; i++)
			r = user_visit(&records[i], 0, visit, user);
		free(tail);
		request.from = answer.next;
		/* It grows: one that does not would make this loop endless. */
		if (r != 0 || answer.next <= from)
			return r;
	}
}
